package io.ballast.director.sync;

import io.ballast.core.config.Endpoint;
import io.ballast.director.sync.Names.Server;
import io.ballast.director.sync.Names.Translation;
import io.ballast.director.sync.Names.Where;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What directors say to each other once they trust each other ({@link Seal}): a byte with its kind, then its fields in
 * network byte order. What one cannot be is refused as a whole.
 */
public sealed interface Message {
    /** So long one may be at most: names of 16,000 servers with addresses of IPv6. */
    int LONGEST = 4 << 20;

    /** Of an entry. */
    int ENTRY_BYTES = 50;

    /** So many entries are in one message at most. */
    int MOST_ENTRIES = 512;

    private static byte kind(Message message) {
        return switch (message) {
            case Numbers n -> 1;
            case Told t -> 2;
            case Heard h -> 3;
            case Again a -> 4;
        };
    }

    /** What the numbers in what follows stand for. */
    record Numbers(Names names) implements Message {}

    /**
     * Entries; none to show that one is there.
     *
     * @param sequence counts these messages
     * @param all with this, everything that there was has been told
     */
    record Told(long sequence, boolean all, List<Entry> entries) implements Message {}

    /**
     * How far the other one has come.
     *
     * @param sequence of what was told last and has been dealt with; 0 before there is any
     * @param refused how many entries were not taken, of all
     */
    record Heard(long sequence, long refused) implements Message {}

    /** What could not be understood before might be now: everything is to be told once more. */
    record Again() implements Message {}

    /** A message cannot be one. */
    final class MalformedException extends Exception {
        private static final long serialVersionUID = 1;

        MalformedException(String message) {
            super(message);
        }
    }

    /** The message in bytes. */
    static byte[] encode(Message message) {
        ByteBuffer out = ByteBuffer.allocate(size(message));
        out.put(kind(message));
        switch (message) {
            case Numbers numbers -> {
                out.putInt(numbers.names.endpoints().size());
                numbers.names.endpoints().forEach((number, where) -> put(out.putInt(number), where));
                out.putInt(numbers.names.servers().size());
                numbers.names.servers().forEach((number, server) -> put(out.putInt(number), server));
            }
            case Told told -> {
                out.putLong(told.sequence).put((byte) (told.all ? 1 : 0));
                told.entries.forEach(entry -> put(out, entry));
            }
            case Heard heard -> out.putLong(heard.sequence).putLong(heard.refused);
            case Again a -> {}
        }
        byte[] bytes = new byte[out.position()];
        out.flip().get(bytes);
        return bytes;
    }

    private static int size(Message message) {
        return switch (message) {
            case Numbers numbers -> {
                // A name of 255 bytes, an address of 16, and what goes with them.
                int most = 300;
                yield 16
                        + most
                                * (numbers.names.endpoints().size()
                                        + numbers.names.servers().size());
            }
            case Told told -> 10 + ENTRY_BYTES * told.entries.size();
            case Heard h -> 17;
            case Again a -> 1;
        };
    }

    /** What the bytes say. */
    static Message decode(byte[] bytes) throws MalformedException {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        try {
            Message message = switch (in.get()) {
                case 1 -> new Numbers(names(in));
                case 2 -> told(in);
                case 3 -> new Heard(in.getLong(), in.getLong());
                case 4 -> new Again();
                default -> throw new MalformedException("its kind is unknown");
            };
            if (in.hasRemaining()) {
                throw new MalformedException("it goes on behind its end");
            }
            return message;
        } catch (BufferUnderflowException e) {
            throw new MalformedException("it ends too early");
        }
    }

    private static Names names(ByteBuffer in) throws MalformedException {
        Map<Integer, Where> endpoints = new HashMap<>();
        for (int left = count(in); left > 0; left--) {
            int number = in.getInt();
            String service = text(in);
            Translation translation = enumOf(Translation.values(), in.get());
            int protocol = in.get();
            Optional<Endpoint> endpoint = Optional.empty();
            if (protocol != 0) {
                InetAddress address = address(in);
                int first = Short.toUnsignedInt(in.getShort());
                int last = Short.toUnsignedInt(in.getShort());
                if (first < 1 || last < first) {
                    throw new MalformedException("an endpoint has no ports");
                }
                endpoint = Optional.of(
                        new Endpoint(address, first, last, enumOf(Endpoint.Protocol.values(), protocol - 1)));
            }
            endpoints.put(number, new Where(service, endpoint, translation));
        }
        Map<Integer, Server> servers = new HashMap<>();
        for (int left = count(in); left > 0; left--) {
            int number = in.getInt();
            servers.put(
                    number,
                    new Server(text(in), new InetSocketAddress(address(in), Short.toUnsignedInt(in.getShort()))));
        }
        return new Names(endpoints, servers);
    }

    private static void put(ByteBuffer out, Where where) {
        text(out, where.service());
        out.put((byte) number(where.translation()));
        if (where.endpoint().isEmpty()) {
            out.put((byte) 0);
            return;
        }
        Endpoint endpoint = where.endpoint().get();
        out.put((byte) (endpoint.protocol() == Endpoint.Protocol.TCP ? 1 : 2));
        address(out, endpoint.address());
        out.putShort((short) endpoint.firstPort()).putShort((short) endpoint.lastPort());
    }

    private static int number(Translation translation) {
        return switch (translation) {
            case NONE -> 0;
            case NAT -> 1;
            case FULL_NAT -> 2;
        };
    }

    private static void put(ByteBuffer out, Server server) {
        text(out, server.service());
        address(out, server.address().getAddress());
        out.putShort((short) server.address().getPort());
    }

    private static Told told(ByteBuffer in) throws MalformedException {
        long sequence = in.getLong();
        boolean all = in.get() != 0;
        if (in.remaining() % ENTRY_BYTES != 0 || in.remaining() > MOST_ENTRIES * ENTRY_BYTES) {
            throw new MalformedException("its entries are not whole, or too many");
        }
        List<Entry> entries = new ArrayList<>(in.remaining() / ENTRY_BYTES);
        while (in.hasRemaining()) {
            entries.add(entry(in));
        }
        return new Told(sequence, all, entries);
    }

    private static void put(ByteBuffer out, Entry entry) {
        out.putInt(entry.endpoint())
                .putInt(entry.server())
                .putLong(entry.high())
                .putLong(entry.low())
                .putShort((short) entry.clientPort())
                .putShort((short) entry.port())
                .put((byte) entry.state().number())
                .putInt(entry.ticks())
                .putShort((short) entry.natPort())
                .putShort((short) (entry.router() >>> 32))
                .putInt((int) entry.router())
                .putLong(entry.tags())
                .put((byte) entry.header());
    }

    private static Entry entry(ByteBuffer in) throws MalformedException {
        int endpoint = in.getInt();
        int server = in.getInt();
        long high = in.getLong();
        long low = in.getLong();
        int clientPort = Short.toUnsignedInt(in.getShort());
        int port = Short.toUnsignedInt(in.getShort());
        Entry.State state = enumOf(Entry.State.values(), in.get() - 1);
        int ticks = in.getInt();
        int natPort = Short.toUnsignedInt(in.getShort());
        long router = Short.toUnsignedLong(in.getShort()) << 32 | Integer.toUnsignedLong(in.getInt());
        long tags = in.getLong();
        int header = in.get();
        // Ethernet, with one tag, with two.
        boolean frame = header == 0 || header == 14 || header == 18 || header == 22;
        if (ticks < 0 || ticks > 0x3fff_ffff || !frame) {
            throw new MalformedException("an entry is impossible");
        }
        return new Entry(endpoint, server, high, low, clientPort, port, state, ticks, natPort, router, tags, header);
    }

    private static <T> T enumOf(T[] values, int number) throws MalformedException {
        if (number < 0 || number >= values.length) {
            throw new MalformedException("a number stands for nothing");
        }
        return values[number];
    }

    private static int count(ByteBuffer in) throws MalformedException {
        int count = in.getInt();
        // The shortest takes more than 8 bytes.
        if (count < 0 || count > in.remaining() / 8) {
            throw new MalformedException("it says that it has more than it has");
        }
        return count;
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[Byte.toUnsignedInt(in.get())];
        in.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private static void text(ByteBuffer out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        if (bytes.length > 255) {
            throw new IllegalArgumentException("a name of " + bytes.length + " bytes: " + text);
        }
        out.put((byte) bytes.length).put(bytes);
    }

    private static InetAddress address(ByteBuffer in) throws MalformedException {
        int length = in.get();
        if (length != 4 && length != 16) {
            throw new MalformedException("an address has " + length + " bytes");
        }
        byte[] bytes = new byte[length];
        in.get(bytes);
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void address(ByteBuffer out, InetAddress address) {
        byte[] bytes = address.getAddress();
        out.put((byte) bytes.length).put(bytes);
    }
}

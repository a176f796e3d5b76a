package io.ballast.director.xdp;

import com.google.gson.JsonObject;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.HostPort;
import io.ballast.director.Trace;
import io.ballast.director.xdp.DataPlane.Reason;
import io.ballast.linux.bpf.RingBuffer;
import io.ballast.linux.bpf.XdpAction;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.IntFunction;

/** Reads what trace.h writes, and puts names to the numbers. */
final class XdpTrace implements Trace {
    private static final String[] CHOSEN = {
        "", "memory", "slot", "base", "turn", "load", "fragment", "memory", "persistence", "quic-id"
    };
    private static final int BACK = 7;
    private static final Reason[] REASONS = Reason.values();
    private static final String[] DOES = {"goes-on", "syn", "fin", "rst"};
    private static final int ERROR = 1;
    private static final int FIRST = 2;
    private static final int LATER = 4;
    private static final int SYN_ACK = 8;
    private static final int PROOF = 16;
    private static final int DROP = XdpAction.DROP.number();
    private static final int PASS = XdpAction.PASS.number();

    /** Why one packet went another way, for people. */
    private static final Map<Reason, String> WHY = Map.ofEntries(
            Map.entry(Reason.PASS_NO_SERVER, "no server could take it"),
            Map.entry(Reason.PASS_NO_NEXT_HOP, "no way to the server was known"),
            Map.entry(Reason.PASS_FRAGMENT, "its first fragment was not seen"),
            Map.entry(Reason.DROP_TOO_BIG, "too long for the way, which its sender was told"),
            Map.entry(Reason.DROP_HEADROOM, "no room for another header"),
            Map.entry(Reason.FLOW_TABLE_FULL, "its connection could not be remembered"),
            Map.entry(Reason.FLOW_EVICTED, "another connection was forgotten for it"),
            Map.entry(Reason.PASS_NO_FLOW, "nobody remembers its connection"),
            Map.entry(Reason.PASS_NO_PORT, "no port was free"),
            Map.entry(Reason.PASS_TTL, "it has travelled too far"),
            Map.entry(Reason.PASS_KILLED, "its connection was ended by the operator"),
            Map.entry(Reason.DROP_RATE, "a new connection above the service's rate"),
            Map.entry(Reason.DROP_SOURCE_RATE, "a new connection above its client's rate"),
            Map.entry(Reason.FLOW_UNLEARNED, "its connection was not remembered, because too many came at once"),
            Map.entry(Reason.SYN_GREETED, "answered with a SYN cookie"),
            Map.entry(Reason.SYN_PROVEN, "it acknowledges a SYN cookie"));

    /** What a server's number stands for. */
    private record Told(String name, Target target) {}

    private final DataPlane plane;
    private final RingBuffer ring;
    private final Map<Integer, Told> servers = new ConcurrentHashMap<>();
    private final IntFunction<String> interfaces;
    private final Runnable stop;
    /** Between the clock of records and that on the wall. */
    private final Instant wall;

    private final long nanos;
    private volatile boolean over;
    private volatile boolean abandoned;
    private boolean closed;

    /**
     * @param interfaces the name of an interface by its number
     * @param stop ends it in the data plane
     */
    XdpTrace(DataPlane plane, IntFunction<String> interfaces, Runnable stop) throws IOException {
        this.plane = plane;
        this.interfaces = interfaces;
        this.stop = stop;
        ring = plane.traces();
        // Of whoever looked before.
        ring.drain(old -> {});
        wall = Instant.now();
        nanos = System.nanoTime();
    }

    /** What a number stands for from now on. */
    void server(int number, String name, Target target) {
        servers.put(number, new Told(name, target));
    }

    @Override
    public int read(Consumer<JsonObject> packet) {
        return ring.drain(record -> packet.accept(describe(record)));
    }

    private JsonObject describe(MemorySegment record) {
        int verdict = record.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.TRACE_VERDICT);
        int how = record.get(ValueLayout.JAVA_BYTE, Layout.TRACE_HOW);
        JsonObject json = new JsonObject();
        long at = record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.TRACE_TIME);
        json.addProperty("time", wall.plusNanos(at - nanos).toString());
        json.addProperty("interface", interfaces.apply(number(record, Layout.TRACE_INTERFACE)));
        json.addProperty("protocol", record.get(ValueLayout.JAVA_BYTE, Layout.TRACE_PROTO) == 17 ? "udp" : "tcp");
        int what = record.get(ValueLayout.JAVA_BYTE, Layout.TRACE_WHAT);
        boolean ports = (what & LATER) == 0;
        boolean error = (what & ERROR) != 0;
        String from = end(record, Layout.TRACE_SOURCE, Layout.TRACE_SOURCE_PORT, ports);
        String to = end(record, Layout.TRACE_DESTINATION, Layout.TRACE_PORT, ports);
        // An error goes the other way than the packet that it is about.
        json.addProperty("from", error ? to : from);
        json.addProperty("to", error ? from : to);
        json.addProperty("packet", what(record, what));
        json.addProperty("length", number(record, Layout.TRACE_LENGTH));
        json.addProperty("answer", how == BACK);
        int server = number(record, Layout.TRACE_SERVER);
        Told told = servers.get(server);
        if (server != Layout.NOBODY) {
            json.addProperty("server", told == null ? "#" + server : told.name);
            json.addProperty("chosen", how >= 0 && how < CHOSEN.length ? CHOSEN[how] : Integer.toString(how));
        }
        json.addProperty("verdict", verdict == PASS ? "passed" : verdict == DROP ? "dropped" : "sent");
        int reason = number(record, Layout.TRACE_REASON);
        boolean sent = verdict != PASS && verdict != DROP;
        boolean tooBig = false;
        if (reason > 0 && reason <= REASONS.length) {
            Reason why = REASONS[reason - 1];
            tooBig = why == Reason.DROP_TOO_BIG;
            String word = why.name().toLowerCase(Locale.ROOT);
            json.addProperty("reason", word);
            json.addProperty("why", WHY.getOrDefault(why, word.replace('_', ' ')));
        }
        if (!sent || tooBig) {
            return json;
        }
        if (how == BACK) {
            become(
                    json,
                    end(record, Layout.TRACE_OUT_SOURCE, Layout.TRACE_OUT_SOURCE_PORT, true),
                    end(record, Layout.TRACE_OUT_DESTINATION, Layout.TRACE_OUT_PORT, true),
                    error);
        } else if (told != null) {
            way(json, record, told.target, from, error);
        }
        return json;
    }

    /** Under which addresses a packet goes on that has others then. */
    private static void become(JsonObject json, String from, String to, boolean error) {
        json.addProperty("outFrom", error ? to : from);
        json.addProperty("outTo", error ? from : to);
    }

    /** Where a packet to a server left. */
    private void way(JsonObject json, MemorySegment record, Target target, String from, boolean error) {
        target.hop().ifPresent(hop -> {
            json.addProperty("outInterface", interfaces.apply(hop.interfaceIndex()));
            json.addProperty("mac", hop.to().toString());
        });
        int flags = target.flags();
        if ((flags & Layout.NAT) != 0) {
            int port = port(record, Layout.TRACE_OUT_PORT);
            int asked = port(record, Layout.TRACE_PORT);
            become(
                    json,
                    (flags & Layout.FULL_NAT) == 0
                            ? from
                            : HostPort.join(
                                    Addresses.print(target.source()), port(record, Layout.TRACE_OUT_SOURCE_PORT)),
                    HostPort.join(Addresses.print(target.address()), port == 0 ? asked : port),
                    error);
        } else if ((flags & (Layout.TUNNEL4 | Layout.TUNNEL6)) != 0) {
            json.addProperty("tunnel", Addresses.print(target.address()));
        }
    }

    private static String what(MemorySegment record, int what) {
        if ((what & LATER) != 0) {
            return "fragment";
        }
        if ((what & ERROR) != 0) {
            return "icmp-error";
        }
        int does = record.get(ValueLayout.JAVA_BYTE, Layout.TRACE_DOES);
        if ((what & SYN_ACK) != 0) {
            return "syn-ack";
        }
        if ((what & PROOF) != 0) {
            return "cookie";
        }
        String word = does >= 0 && does < DOES.length ? DOES[does] : Integer.toString(does);
        return (what & FIRST) != 0 ? word + ", first fragment" : word;
    }

    private static String end(MemorySegment record, int address, int port, boolean ports) {
        byte[] bytes = ByteBuffer.allocate(16)
                .putLong(record.get(ValueLayout.JAVA_LONG_UNALIGNED, address))
                .putLong(record.get(ValueLayout.JAVA_LONG_UNALIGNED, address + Long.BYTES))
                .array();
        try {
            // A mapped address comes back as the IPv4 one that it is.
            String text = Addresses.print(InetAddress.getByAddress(bytes));
            return ports ? HostPort.join(text, port(record, port)) : text;
        } catch (UnknownHostException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static int port(MemorySegment record, int at) {
        return Short.toUnsignedInt(record.get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
    }

    private static int number(MemorySegment record, int at) {
        return record.get(ValueLayout.JAVA_INT_UNALIGNED, at);
    }

    /** The engine lets go: nothing more is told, but what is in the buffer may still be read. */
    void end() {
        abandoned = true;
        over = true;
    }

    @Override
    public long lost() {
        return over ? 0 : plane.traceLost();
    }

    @Override
    public long seen() {
        return over ? 0 : plane.traceSeen();
    }

    @Override
    public boolean isOver() {
        return over || plane.traceLeft() <= 0;
    }

    @Override
    public boolean isAbandoned() {
        return abandoned;
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            if (!over) {
                stop.run();
            }
            over = true;
            ring.close();
        }
    }
}

package io.ballast.takeover.address;

import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Hears on an interface whether somebody else says to have an address of this node's: an ARP frame of that sender from
 * another Ethernet address (RFC 5227 section 2.4), or a neighbour advertisement of it, or a solicitation from it, with
 * IPv6 (RFC 4862 section 5.4.4). It is only told, since it is not known who is right; an
 * administrator has to look.
 *
 * <p>At a takeover both have an address for a moment, in good order; so what is heard in the first second counts for
 * nothing. Afterwards each Ethernet address is told once for each address, as long as this node has that.
 *
 * <p>A filter at the socket keeps all frames away but those of senders between the lowest and the highest address, with
 * IPv6 but those of neighbour discovery.
 */
public final class Duplicates implements AutoCloseable {
    private static final int ARP = 0x0806;
    private static final int IPV6 = 0x86dd;
    private static final int LENGTH = 42;
    private static final int SENDER_MAC = 22;
    private static final int SENDER_ADDRESS = 28;

    private static final int ETHERNET_SENDER = 6;
    private static final int NEXT_HEADER = 20;
    private static final int SOURCE = 22;
    private static final int TYPE = 54;
    private static final int TARGET = 62;
    private static final int TARGET_END = 78;
    private static final int ICMPV6 = 58;
    private static final int SOLICITATION = 135;
    private static final int ADVERTISEMENT = 136;

    static final long SETTLING = TimeUnit.SECONDS.toNanos(1);
    /** More than so many others are no more news. */
    private static final int MOST_TOLD = 16;

    /** Somebody else who has one of this node's addresses. */
    public record Duplicate(InetAddress address, MacAddress mac) {}

    private static final class Held {
        final long since;
        final Set<MacAddress> told = new HashSet<>();

        Held(long since) {
            this.since = since;
        }
    }

    private final NativeSocket socket;
    private final boolean ipv6;
    private final Set<MacAddress> own;
    private final long settling;
    private final Consumer<Duplicate> consumer;
    /** Guarded by itself. */
    private final Map<InetAddress, Held> held = new HashMap<>();

    private Duplicates(
            NativeSocket socket, boolean ipv6, Set<MacAddress> own, long settling, Consumer<Duplicate> consumer) {
        this.socket = socket;
        this.ipv6 = ipv6;
        this.own = own;
        this.settling = settling;
        this.consumer = consumer;
    }

    /**
     * Starts to listen, for no address yet, in the network namespace of the calling thread. Needs CAP_NET_RAW.
     *
     * @param link an Ethernet interface
     * @param ipv6 of which family its addresses are
     * @param own where this node has its addresses: the interface's own Ethernet address, and virtual ones
     * @param consumer is called on a virtual thread
     */
    public static Duplicates start(Link link, boolean ipv6, Set<MacAddress> own, Consumer<Duplicate> consumer)
            throws IOException {
        return start(link, ipv6, own, SETTLING, consumer);
    }

    static Duplicates start(Link link, boolean ipv6, Set<MacAddress> own, long settling, Consumer<Duplicate> consumer)
            throws IOException {
        Duplicates duplicates = new Duplicates(
                NativeSocket.packet(link.index(), ipv6 ? IPV6 : ARP), ipv6, Set.copyOf(own), settling, consumer);
        try {
            duplicates.holds(Set.of());
        } catch (IOException e) {
            duplicates.close();
            throw e;
        }
        Thread.ofVirtual().name("duplicates " + link.name()).start(duplicates::run);
        return duplicates;
    }

    /** Listens for these from now on, which are all that this node has there. */
    public void holds(Collection<? extends InetAddress> addresses) throws IOException {
        synchronized (held) {
            held.keySet().retainAll(Set.copyOf(addresses));
            long now = System.nanoTime();
            addresses.forEach(address -> held.computeIfAbsent(address, unknown -> new Held(now)));
        }
        socket.attachFilter(addresses.isEmpty() ? new long[] {TAKE_NOTHING} : ipv6 ? DISCOVERY : filter(addresses));
    }

    private static long[] filter(Collection<? extends InetAddress> addresses) {
        long[] numbers =
                addresses.stream().mapToLong(Duplicates::number).sorted().toArray();
        return filter(numbers[0], numbers[numbers.length - 1]);
    }

    private static final long TAKE_NOTHING = instruction(0x06, 0, 0, 0);

    /** Lets neighbour advertisements and solicitations pass. */
    private static final long[] DISCOVERY = {
        instruction(0x30, 0, 0, NEXT_HEADER), // load the byte there
        instruction(0x15, 0, 4, ICMPV6), // this, or to the end
        instruction(0x30, 0, 0, TYPE),
        instruction(0x35, 0, 2, SOLICITATION), // at least this, or to the end
        instruction(0x25, 1, 0, ADVERTISEMENT), // more than this: to the end
        instruction(0x06, 0, 0, 0xffff), // take all of the frame
        TAKE_NOTHING
    };

    /** Lets those pass whose sender's address is between these (linux/filter.h). */
    private static long[] filter(long lowest, long highest) {
        return new long[] {
            instruction(0x20, 0, 0, SENDER_ADDRESS), // load the word there
            instruction(0x35, 0, 2, lowest), // at least this, or to the end
            instruction(0x25, 1, 0, highest), // more than this: to the end
            instruction(0x06, 0, 0, 0xffff), // take all of the frame
            instruction(0x06, 0, 0, 0) // take nothing
        };
    }

    /** {@code struct sock_filter}: operation, jumps where true and where false, operand. */
    private static long instruction(int code, int ifTrue, int ifFalse, long operand) {
        return operand << 32 | (long) ifFalse << 24 | (long) ifTrue << 16 | code;
    }

    private static long number(InetAddress address) {
        return Integer.toUnsignedLong(ByteBuffer.wrap(address.getAddress()).getInt());
    }

    private void run() {
        byte[] frame = new byte[ipv6 ? TARGET_END : LENGTH];
        while (socket.isOpen()) {
            try {
                int length = socket.read(frame, 0, frame.length, NativeSocket.NO_DEADLINE);
                if (length == frame.length) {
                    news(frame).ifPresent(consumer);
                }
            } catch (SocketException e) {
                return; // closed
            } catch (LinuxException e) {
                pause(); // the interface is down, or gone: what takes note of that closes this
            } catch (IOException e) {
                throw new IllegalStateException(e); // no other is possible without a deadline or an interrupt
            }
        }
    }

    private Optional<Duplicate> news(byte[] frame) throws IOException {
        int at = ipv6 ? ETHERNET_SENDER : SENDER_MAC;
        MacAddress mac = MacAddress.of(Arrays.copyOfRange(frame, at, at + MacAddress.LENGTH));
        int where = !ipv6 ? SENDER_ADDRESS : (frame[TYPE] & 0xff) == ADVERTISEMENT ? TARGET : SOURCE;
        InetAddress address = InetAddress.getByAddress(Arrays.copyOfRange(frame, where, where + (ipv6 ? 16 : 4)));
        synchronized (held) {
            Held here = held.get(address);
            if (here == null
                    || own.contains(mac)
                    || System.nanoTime() - here.since < settling
                    || here.told.size() == MOST_TOLD
                    || !here.told.add(mac)) {
                return Optional.empty();
            }
        }
        return Optional.of(new Duplicate(address, mac));
    }

    private static void pause() {
        try {
            TimeUnit.SECONDS.sleep(1);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends it; what is being told may still arrive. */
    @Override
    public void close() {
        socket.close();
    }
}

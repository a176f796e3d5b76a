package io.ballast.linux.neighbour;

import io.ballast.linux.NativeSocket;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Asks a network who else answers for an address, as a host does before it takes one (RFC 5227 section 2.1.1): an ARP
 * request without a sender's address, which changes nobody's table. This machine's own kernel does not hear it.
 */
public final class ArpProbe {
    private static final int ARP = 0x0806;
    private static final int REPLY = 2;
    private static final int HEADER = 14;
    private static final int LENGTH = HEADER + 28;
    private static final int SENDER_MAC = HEADER + 8;
    private static final int SENDER_ADDRESS = HEADER + 14;
    /** Ethernet and IPv4, with addresses of 6 and 4 bytes (RFC 826). */
    private static final byte[] KIND = {0, 1, 8, 0, 6, 4};

    private ArpProbe() {}

    /**
     * Asks for all at once, and waits.
     *
     * @param link an Ethernet interface
     * @return whom it heard, by address; without those that nobody answered for
     */
    public static Map<InetAddress, Set<MacAddress>> whoElseHas(
            Link link, Set<Inet4Address> addresses, Duration patience) throws IOException {
        Map<InetAddress, Set<MacAddress>> found = new LinkedHashMap<>();
        try (NativeSocket socket = NativeSocket.packet(link.index(), ARP)) {
            long deadline = NativeSocket.deadlineIn(patience.toNanos());
            for (Inet4Address address : addresses) {
                socket.write(request(Objects.requireNonNull(link.address()), address), deadline);
            }
            ByteBuffer frame = ByteBuffer.allocate(LENGTH);
            while (true) {
                frame.clear();
                socket.read(frame, deadline);
                sender(frame.flip())
                        .filter(addresses::contains)
                        .ifPresent(address -> found.computeIfAbsent(address, unknown -> new LinkedHashSet<>())
                                .add(mac(frame)));
            }
        } catch (SocketTimeoutException e) {
            return found;
        }
    }

    /** A socket for {@link #repeat}, in the network namespace of the calling thread. */
    public static NativeSocket open(Link link) throws IOException {
        return NativeSocket.packet(link.index(), ARP);
    }

    /**
     * Asks for one address again and again, and tells of each answer, until the socket is closed or interface and all
     * are gone.
     *
     * @param link the socket's
     */
    public static void repeat(
            NativeSocket socket, Link link, Inet4Address address, Duration every, Consumer<MacAddress> answers) {
        MacAddress own = Objects.requireNonNull(link.address());
        ByteBuffer frame = ByteBuffer.allocate(LENGTH);
        try {
            for (long next = System.nanoTime(); ; next += every.toNanos()) {
                socket.write(request(own, address), NativeSocket.NO_DEADLINE);
                while (true) {
                    frame.clear();
                    try {
                        socket.read(frame, next + every.toNanos());
                    } catch (SocketTimeoutException e) {
                        break; // time to ask again
                    }
                    if (sender(frame.flip()).filter(address::equals).isPresent()) {
                        answers.accept(mac(frame));
                    }
                }
            }
        } catch (IOException e) {
            // Closed, or the interface has gone: there is nobody to ask any more.
        }
    }

    static ByteBuffer request(MacAddress own, Inet4Address address) {
        byte[] everybody = new byte[MacAddress.LENGTH];
        Arrays.fill(everybody, (byte) 0xff);
        return ByteBuffer.allocate(LENGTH)
                .put(everybody)
                .put(own.bytes())
                .putShort((short) ARP)
                .put(KIND)
                .putShort((short) 1)
                .put(own.bytes())
                .putInt(0)
                .put(new byte[MacAddress.LENGTH])
                .put(address.getAddress())
                .flip();
    }

    /** The address that an answer speaks for; empty for what is no answer. */
    static Optional<InetAddress> sender(ByteBuffer frame) {
        if (frame.limit() < LENGTH
                || !ByteBuffer.wrap(KIND).equals(frame.slice(HEADER, KIND.length))
                || frame.getShort(HEADER + KIND.length) != REPLY) {
            return Optional.empty();
        }
        byte[] address = new byte[4];
        frame.get(SENDER_ADDRESS, address);
        try {
            return Optional.of(InetAddress.getByAddress(address));
        } catch (UnknownHostException e) {
            throw new IllegalStateException(e); // only for a wrong length
        }
    }

    private static MacAddress mac(ByteBuffer frame) {
        byte[] mac = new byte[MacAddress.LENGTH];
        frame.get(SENDER_MAC, mac);
        return MacAddress.of(mac);
    }
}

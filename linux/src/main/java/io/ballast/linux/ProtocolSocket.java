package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import org.jspecify.annotations.Nullable;

/**
 * Hears the packets of one IP protocol that come by one interface (raw(7)), and knows of each where it is from, where it
 * was sent to, with what TTL, and when it arrived. Nothing blocks: {@link PollSet} says when there is something to read.
 * Not thread-safe. Needs CAP_NET_RAW.
 */
public final class ProtocolSocket implements AutoCloseable {
    /**
     * Bytes, of which the kernel counts about a thousand for a small packet: what 255 virtual routers that advertise every
     * 10 ms send in 300 ms is kept while nobody reads. The usual buffer holds 250 packets.
     */
    private static final int BUFFER = 4 << 20;

    private static final int IP_TOS = 1;
    private static final int IP_MULTICAST_IF = 32;
    private static final int IP_MULTICAST_TTL = 33;
    private static final int IP_MULTICAST_LOOP = 34;
    private static final int IP_ADD_MEMBERSHIP = 35;
    private static final int IP_TTL = 2;
    private static final int IP_HDRINCL = 3;
    private static final int IP_MULTICAST_ALL = 49;
    private static final int IPV6_UNICAST_HOPS = 16;
    private static final int IPV6_MULTICAST_IF = 17;
    private static final int IPV6_MULTICAST_HOPS = 18;
    private static final int IPV6_MULTICAST_LOOP = 19;
    private static final int IPV6_JOIN_GROUP = 20;
    private static final int IPV6_MULTICAST_ALL = 29;
    private static final int IPV6_RECVPKTINFO = 49;
    private static final int IPV6_PKTINFO = 50;
    private static final int IPV6_RECVHOPLIMIT = 51;
    private static final int IPV6_HOPLIMIT = 52;
    private static final int IPV6_TCLASS = 67;
    private static final int SO_MARK = 36;
    private static final int SO_TIMESTAMPNS = 35;
    private static final int CLOCK_REALTIME = 0;

    private static final int IPV4_HEADER = 20;
    private static final int CMSG_HEADER = 16;
    private static final int CONTROL = 256;
    private static final int MSG_NAME = 0;
    private static final int MSG_NAMELEN = 8;
    private static final int MSG_IOV = 16;
    private static final int MSG_IOVLEN = 24;
    private static final int MSG_CONTROL = 32;
    private static final int MSG_CONTROLLEN = 40;
    private static final int MSG_FLAGS = 48;
    private static final int MSGHDR = 56;

    /** {@code BPF_RET 0}: nothing gets into the queue. */
    private static final long NOTHING = 0x06;

    /** How far back an arrival may lie to be believed: the clock of the time stamps may be set. */
    private static final long BELIEVED = 10_000_000_000L;

    /**
     * What came.
     *
     * @param header the IP header of IPv4; empty with IPv6
     * @param payload what follows the IP header
     * @param ttl TTL or hop limit it arrived with; -1 where the kernel did not say
     * @param at when it arrived, by {@link System#nanoTime}
     */
    @SuppressWarnings("ArrayRecordComponent")
    public record Packet(
            InetAddress source, InetAddress destination, byte[] header, byte[] payload, int ttl, long at) {}

    /** Where packets are heard, or leave by. */
    public record Interface(int index, String name) {}

    private final Descriptor socket;
    private final boolean ipv6;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment buffer;
    private final MemorySegment header;
    private final MemorySegment name;
    private final MemorySegment control;
    private final MemorySegment clock;

    private ProtocolSocket(Descriptor socket, boolean ipv6, int longest) {
        this.socket = socket;
        this.ipv6 = ipv6;
        buffer = arena.allocate(longest + 60L, 8);
        name = arena.allocate(SocketAddresses.MAX_SIZE, 8);
        control = arena.allocate(CONTROL, 8);
        clock = arena.allocate(16, 8);
        MemorySegment vector = arena.allocate(16, 8);
        vector.set(ValueLayout.ADDRESS, 0, buffer);
        vector.set(ValueLayout.JAVA_LONG, 8, buffer.byteSize());
        header = arena.allocate(MSGHDR, 8);
        header.set(ValueLayout.ADDRESS, MSG_NAME, name);
        header.set(ValueLayout.ADDRESS, MSG_IOV, vector);
        header.set(ValueLayout.JAVA_LONG, MSG_IOVLEN, 1);
        header.set(ValueLayout.ADDRESS, MSG_CONTROL, control);
    }

    /**
     * Hears what is sent to the machine's own addresses and to a multicast group, which it joins.
     *
     * @param protocol IP protocol number
     * @param group says by its family which IP is meant
     * @param longest payload; what is longer is cut off
     */
    public static ProtocolSocket open(int protocol, Interface on, InetAddress group, int longest) throws IOException {
        boolean ipv6 = group instanceof Inet6Address;
        Descriptor socket = socket(protocol, on, ipv6);
        try (Kernel kernel = Kernel.open()) {
            option(kernel, socket, Constants.SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
            if (kernel.setsockopt(socket.fd(), Constants.SOL_SOCKET, Constants.SO_RCVBUFFORCE, BUFFER) < 0) {
                option(kernel, socket, Constants.SOL_SOCKET, Constants.SO_RCVBUF, BUFFER, "SO_RCVBUF");
            }
            MemorySegment membership;
            if (ipv6) {
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT");
                membership = kernel.allocate(20, 4); // struct ipv6_mreq
                MemorySegment.copy(group.getAddress(), 0, membership, ValueLayout.JAVA_BYTE, 0, 16);
                membership.set(ValueLayout.JAVA_INT, 16, on.index());
                LinuxException.check(
                        kernel.setsockopt(socket.fd(), Constants.IPPROTO_IPV6, IPV6_JOIN_GROUP, membership),
                        "setsockopt IPV6_JOIN_GROUP " + group.getHostAddress(),
                        socket.label());
            } else {
                option(kernel, socket, Constants.IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL");
                membership = multicastInterface(kernel, group, on);
                LinuxException.check(
                        kernel.setsockopt(socket.fd(), Constants.IPPROTO_IP, IP_ADD_MEMBERSHIP, membership),
                        "setsockopt IP_ADD_MEMBERSHIP " + group.getHostAddress(),
                        socket.label());
            }
            return new ProtocolSocket(socket, ipv6, longest);
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /**
     * A socket that sends payloads of a protocol to one destination, by one interface, with TTL 255 and the class of
     * network control (CS6), and hears nothing.
     *
     * @param source the address they come from, one of this machine's
     * @param mark of its packets, for who sees them on their way (SO_MARK, which needs CAP_NET_ADMIN); 0 for none
     */
    public static Descriptor sender(int protocol, Interface on, InetAddress source, InetAddress destination, int mark)
            throws IOException {
        boolean ipv6 = destination instanceof Inet6Address;
        Descriptor socket = socket(protocol, on, ipv6);
        try (Kernel kernel = Kernel.open()) {
            MemorySegment program = kernel.allocate(16, 8);
            program.set(ValueLayout.JAVA_SHORT, 0, (short) 1);
            program.set(
                    ValueLayout.JAVA_LONG,
                    8,
                    kernel.allocateFrom(ValueLayout.JAVA_LONG, NOTHING).address());
            LinuxException.check(
                    kernel.setsockopt(socket.fd(), Constants.SOL_SOCKET, Constants.SO_ATTACH_FILTER, program),
                    "setsockopt SO_ATTACH_FILTER",
                    socket.label());
            if (mark != 0) {
                option(kernel, socket, Constants.SOL_SOCKET, SO_MARK, mark, "SO_MARK");
            }
            if (ipv6) {
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255, "IPV6_UNICAST_HOPS");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255, "IPV6_MULTICAST_HOPS");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, "IPV6_MULTICAST_LOOP");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_MULTICAST_IF, on.index(), "IPV6_MULTICAST_IF");
                option(kernel, socket, Constants.IPPROTO_IPV6, IPV6_TCLASS, 0xc0, "IPV6_TCLASS");
                // A link-local address may be that of the interface below this one.
                option(kernel, socket, Constants.IPPROTO_IPV6, Constants.IPV6_FREEBIND, 1, "IPV6_FREEBIND");
            } else {
                option(kernel, socket, Constants.IPPROTO_IP, IP_TTL, 255, "IP_TTL");
                option(kernel, socket, Constants.IPPROTO_IP, IP_MULTICAST_TTL, 255, "IP_MULTICAST_TTL");
                option(kernel, socket, Constants.IPPROTO_IP, IP_MULTICAST_LOOP, 0, "IP_MULTICAST_LOOP");
                option(kernel, socket, Constants.IPPROTO_IP, IP_TOS, 0xc0, "IP_TOS");
                LinuxException.check(
                        kernel.setsockopt(
                                socket.fd(),
                                Constants.IPPROTO_IP,
                                IP_MULTICAST_IF,
                                multicastInterface(kernel, InetAddress.getByAddress(new byte[4]), on)),
                        "setsockopt IP_MULTICAST_IF",
                        socket.label());
            }
            LinuxException.check(
                    kernel.bind(socket.fd(), address(kernel, source, on)),
                    "bind " + source.getHostAddress(),
                    socket.label());
            LinuxException.check(
                    kernel.connect(socket.fd(), address(kernel, destination, on)),
                    "connect " + destination.getHostAddress(),
                    socket.label());
            return socket;
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /**
     * As {@link #sender}, of IPv4 and of whole packets with their IP header, of which the kernel makes up the sum only.
     */
    public static Descriptor packetSender(
            int protocol, Interface on, InetAddress source, InetAddress destination, int mark) throws IOException {
        Descriptor socket = sender(protocol, on, source, destination, mark);
        try (Kernel kernel = Kernel.open()) {
            option(kernel, socket, Constants.IPPROTO_IP, IP_HDRINCL, 1, "IP_HDRINCL");
            return socket;
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    private static Descriptor socket(int protocol, Interface on, boolean ipv6) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            String label = "protocol " + protocol + " on " + on.name();
            int fd = kernel.socket(
                    ipv6 ? Constants.AF_INET6 : Constants.AF_INET,
                    Constants.SOCK_RAW | Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC,
                    protocol);
            Descriptor socket = Descriptor.own(LinuxException.check(fd, "socket", label, Capability.NET_RAW), label);
            int bound =
                    kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_BINDTODEVICE, kernel.string(on.name()));
            if (bound < 0) {
                socket.close();
                LinuxException.check(bound, "setsockopt SO_BINDTODEVICE", label, Capability.NET_RAW);
            }
            return socket;
        }
    }

    /** {@code struct ip_mreqn}. */
    private static MemorySegment multicastInterface(Kernel kernel, InetAddress group, Interface on) {
        MemorySegment membership = kernel.allocate(12, 4);
        MemorySegment.copy(group.getAddress(), 0, membership, ValueLayout.JAVA_BYTE, 0, 4);
        membership.set(ValueLayout.JAVA_INT, 8, on.index());
        return membership;
    }

    private static MemorySegment address(Kernel kernel, InetAddress address, Interface on) throws UnknownHostException {
        InetAddress scoped =
                address instanceof Inet6Address && (address.isLinkLocalAddress() || address.isMulticastAddress())
                        ? Inet6Address.getByAddress(null, address.getAddress(), on.index())
                        : address;
        return SocketAddresses.encode(kernel, new InetSocketAddress(scoped, 0));
    }

    private static void option(Kernel kernel, Descriptor socket, int level, int option, int value, String name)
            throws LinuxException {
        LinuxException.check(
                kernel.setsockopt(socket.fd(), level, option, value), "setsockopt " + name, socket.label());
    }

    /**
     * Lets into the queue only what a program for sockets returns more than 0 for; it sees packets of IPv4 with their IP
     * header, and of IPv6 without.
     *
     * @param program its descriptor
     */
    public void filter(int program) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            option(kernel, socket, Constants.SOL_SOCKET, Constants.SO_ATTACH_BPF, program, "SO_ATTACH_BPF");
        }
    }

    /** What {@link PollSet} waits for. */
    public Descriptor descriptor() {
        return socket;
    }

    /** The next packet; null where there is none now. What is too short to be one is passed over. */
    public @Nullable Packet receive() throws IOException {
        while (true) {
            int length;
            try (Kernel kernel = Kernel.open()) {
                header.set(ValueLayout.JAVA_INT, MSG_NAMELEN, SocketAddresses.MAX_SIZE);
                header.set(ValueLayout.JAVA_LONG, MSG_CONTROLLEN, CONTROL);
                header.set(ValueLayout.JAVA_INT, MSG_FLAGS, 0);
                length = kernel.recvmsg(socket.fd(), header, Constants.MSG_DONTWAIT);
                if (length == -Errno.EAGAIN.number()) {
                    return null;
                }
                if (length == -Errno.EINTR.number()) {
                    continue;
                }
                LinuxException.check(length, "recvmsg", socket.label());
            }
            Packet packet = packet(length);
            if (packet != null) {
                return packet;
            }
        }
    }

    private @Nullable Packet packet(int length) throws IOException {
        InetAddress source = plain(SocketAddresses.decode(name).getAddress());
        InetAddress destination = null;
        int ttl = -1;
        int start = 0;
        if (!ipv6) {
            start = (buffer.get(ValueLayout.JAVA_BYTE, 0) & 0xf) * 4;
            if (length < IPV4_HEADER || start < IPV4_HEADER || start > length) {
                return null;
            }
            // The kernel has checked the header's length and sum, and cut off what is behind the packet.
            ttl = buffer.get(ValueLayout.JAVA_BYTE, 8) & 0xff;
            destination = InetAddress.getByAddress(bytes(buffer, 16, 4));
        }
        long at = System.nanoTime();
        long stop = header.get(ValueLayout.JAVA_LONG, MSG_CONTROLLEN);
        for (long i = 0; i + CMSG_HEADER <= stop; ) {
            long size = control.get(ValueLayout.JAVA_LONG, i);
            if (size < CMSG_HEADER || i + size > stop) {
                break;
            }
            int level = control.get(ValueLayout.JAVA_INT, i + 8);
            int type = control.get(ValueLayout.JAVA_INT, i + 12);
            long data = i + CMSG_HEADER;
            if (level == Constants.SOL_SOCKET && type == SO_TIMESTAMPNS) {
                at -= age(control.get(ValueLayout.JAVA_LONG, data), control.get(ValueLayout.JAVA_LONG, data + 8));
            } else if (level == Constants.IPPROTO_IPV6 && type == IPV6_HOPLIMIT) {
                ttl = control.get(ValueLayout.JAVA_INT, data);
            } else if (level == Constants.IPPROTO_IPV6 && type == IPV6_PKTINFO) {
                destination = InetAddress.getByAddress(bytes(control, data, 16));
            }
            i += (size + 7) & ~7L;
        }
        return destination == null
                ? null
                : new Packet(
                        source, destination, bytes(buffer, 0, start), bytes(buffer, start, length - start), ttl, at);
    }

    /** Without the interface, which is known. */
    private static InetAddress plain(InetAddress address) throws UnknownHostException {
        return address instanceof Inet6Address ? Inet6Address.getByAddress(null, address.getAddress(), -1) : address;
    }

    /** How long ago that was; 0 where the clock has been set meanwhile. */
    private long age(long seconds, long nanos) {
        try (Kernel kernel = Kernel.open()) {
            kernel.clockGettime(CLOCK_REALTIME, clock);
        }
        long age = (clock.get(ValueLayout.JAVA_LONG, 0) - seconds) * 1_000_000_000L
                + clock.get(ValueLayout.JAVA_LONG, 8)
                - nanos;
        return age < 0 || age > BELIEVED ? 0 : age;
    }

    private static byte[] bytes(MemorySegment from, long offset, int length) {
        return from.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    @Override
    public void close() {
        if (socket.isOpen()) {
            socket.close();
            arena.close();
        }
    }
}

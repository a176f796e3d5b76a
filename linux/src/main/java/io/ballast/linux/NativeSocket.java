package io.ballast.linux;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * A client socket for virtual threads: calls look blocking and each takes a deadline, while underneath no native call
 * ever blocks a carrier. It exists beside {@link java.net.Socket} because health checks need what that one hides: the
 * exact error of the kernel ({@link LinuxException#errno()}), the interface to leave by, ICMP, a deadline per operation,
 * and no hidden read-ahead or close-ahead.
 *
 * <p>How an operation works: it tries the non-blocking call; on EAGAIN the thread parks and the {@link Poller}'s thread
 * unparks it when the kernel reports the descriptor ready; it tries again, until success, error or deadline. Most calls
 * toward a fast peer succeed at the first try and never meet the poller.
 *
 * <p>Deadlines are points of {@link System#nanoTime()}; {@link #NO_DEADLINE} waits for ever. A deadline that passes throws
 * {@link SocketTimeoutException}; an interrupted thread gets {@link InterruptedIOException}. One thread may read and
 * another write at the same time, and any thread may {@link #close()}, which wakes both with {@link SocketException}. The
 * network namespace is that of the thread that opened the socket (virtual threads: the process's; see
 * {@link NetworkNamespace}).
 */
public final class NativeSocket implements AutoCloseable {
    /** Wait for ever. */
    public static final long NO_DEADLINE = Pollable.NEVER;

    /** More than this is not copied in one call; larger reads and writes take several. */
    private static final int CHUNK = 64 * 1024;

    private final Pollable pollable;
    private final String protocol;
    private final boolean stream;
    private final boolean raw;
    private volatile @Nullable InetSocketAddress remote;

    private NativeSocket(int fd, String protocol, boolean stream, boolean raw) {
        this.pollable = new Pollable(fd, this::label);
        this.protocol = protocol;
        this.stream = stream;
        this.raw = raw;
    }

    /** The deadline {@code nanos} from now. */
    public static long deadlineIn(long nanos) {
        return System.nanoTime() + nanos;
    }

    /** A TCP socket of the peer's address family, not yet connected. */
    public static NativeSocket tcp(InetAddress peer) throws IOException {
        int family = SocketAddresses.family(peer);
        return new NativeSocket(socket(family, Constants.SOCK_STREAM, 0, "tcp"), "tcp", true, false);
    }

    /** A UDP socket of the peer's address family. */
    public static NativeSocket udp(InetAddress peer) throws IOException {
        int family = SocketAddresses.family(peer);
        return new NativeSocket(socket(family, Constants.SOCK_DGRAM, 0, "udp"), "udp", false, false);
    }

    /**
     * A socket for ICMP or ICMPv6 echo, by the peer's family: the unprivileged "ping socket" (icmp(7)) where
     * {@code net.ipv4.ping_group_range} admits this group, else a raw socket, which needs CAP_NET_RAW. Most callers want
     * {@link Ping}.
     */
    public static NativeSocket icmp(InetAddress peer) throws IOException {
        int family = SocketAddresses.family(peer);
        int protocol = family == Constants.AF_INET6 ? Constants.IPPROTO_ICMPV6 : Constants.IPPROTO_ICMP;
        String name = family == Constants.AF_INET6 ? "icmpv6" : "icmp";
        try (Kernel kernel = Kernel.open()) {
            int flags = Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC;
            int fd = kernel.socket(family, Constants.SOCK_DGRAM | flags, protocol);
            boolean raw = false;
            if (fd == -Errno.EACCES.number() || fd == -Errno.EPERM.number()) {
                raw = true;
                fd = kernel.socket(family, Constants.SOCK_RAW | flags, protocol);
            }
            if (fd == -Errno.EPERM.number() || fd == -Errno.EACCES.number()) {
                throw new LinuxException(
                        -fd, "socket", name, "needs this group in net.ipv4.ping_group_range, or CAP_NET_RAW");
            }
            LinuxException.check(fd, "socket", name);
            return new NativeSocket(fd, name, false, raw);
        }
    }

    /**
     * A socket for whole Ethernet frames of one type, by one interface (packet(7)): a read gives a frame with its header,
     * a write sends one. Needs CAP_NET_RAW.
     *
     * @param ifindex the interface's number; 0 to hear all of them and send by none
     * @param etherType of linux/if_ether.h, for instance 0x0806 for ARP; 0 to hear nothing
     */
    public static NativeSocket packet(int ifindex, int etherType) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            short type = Short.reverseBytes((short) etherType); // as the network has it
            // Without a type it hears nothing until it is bound to its interface.
            int fd = kernel.socket(
                    Constants.AF_PACKET, Constants.SOCK_RAW | Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC, 0);
            LinuxException.check(fd, "socket", "packet", Capability.NET_RAW);
            NativeSocket socket = new NativeSocket(fd, "packet", false, true);
            MemorySegment address = kernel.allocate(20, 4); // struct sockaddr_ll
            address.set(ValueLayout.JAVA_SHORT, 0, (short) Constants.AF_PACKET);
            address.set(ValueLayout.JAVA_SHORT, 2, type);
            address.set(ValueLayout.JAVA_INT, 4, ifindex);
            int result = kernel.bind(fd, address);
            if (result < 0) {
                socket.close();
                throw new LinuxException(-result, "bind", "packet socket of interface " + ifindex);
            }
            return socket;
        }
    }

    private static int socket(int family, int type, int protocol, String name) throws LinuxException {
        try (Kernel kernel = Kernel.open()) {
            int flags = Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC;
            return LinuxException.check(kernel.socket(family, type | flags, protocol), "socket", name);
        }
    }

    /** True for a raw ICMP socket: IPv4 replies then begin with the IP header. */
    public boolean isRaw() {
        return raw;
    }

    /** Binds the source address; port 0 lets the kernel choose. */
    public void bind(InetSocketAddress source) throws IOException {
        String object = label(source);
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                if (stream && source.getPort() == 0) {
                    // The port is chosen at connect, per peer; without this all peers would share one range of ports.
                    set(kernel, fd, Constants.IPPROTO_IP, Constants.IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT");
                } else if (stream) {
                    set(kernel, fd, Constants.SOL_SOCKET, Constants.SO_REUSEADDR, "SO_REUSEADDR");
                }
                int result = kernel.bind(fd, SocketAddresses.encode(kernel, source));
                if (source.getPort() == 0) {
                    LinuxException.check(result, "bind", object);
                } else {
                    LinuxException.check(result, "bind", object, Capability.NET_BIND_SERVICE);
                }
            } finally {
                pollable.leave();
            }
        }
    }

    /** Leaves and arrives by this interface only (SO_BINDTODEVICE). */
    public void bindToDevice(String device) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_BINDTODEVICE, kernel.string(device)),
                        "setsockopt SO_BINDTODEVICE",
                        device,
                        Capability.NET_RAW);
            } finally {
                pollable.leave();
            }
        }
    }

    /**
     * Makes close send a reset instead of going through TIME_WAIT (SO_LINGER 0): right for a check that opens thousands
     * of connections and has nothing left to say, wrong where sent data must arrive.
     */
    public void abortOnClose() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment linger = kernel.allocateFrom(ValueLayout.JAVA_INT, 1, 0);
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_LINGER, linger),
                        "setsockopt SO_LINGER",
                        label());
            } finally {
                pollable.leave();
            }
        }
    }

    /** Sends small writes at once (TCP_NODELAY). */
    public void noDelay() throws IOException {
        setOption(Constants.IPPROTO_TCP, Constants.TCP_NODELAY, 1, "TCP_NODELAY");
    }

    private void set(Kernel kernel, int fd, int level, int option, String name) throws LinuxException {
        LinuxException.check(kernel.setsockopt(fd, level, option, 1), "setsockopt " + name, label());
    }

    /** Sets an integer option by number; for what has no method of its own here. */
    void setOption(int level, int option, int value, String name) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                LinuxException.check(kernel.setsockopt(fd, level, option, value), "setsockopt " + name, label());
            } finally {
                pollable.leave();
            }
        }
    }

    /** Queues up to this many bytes of what has arrived, beyond the system's limit where that is permitted. */
    public void receiveBuffer(int bytes) throws IOException {
        try {
            setOption(Constants.SOL_SOCKET, Constants.SO_RCVBUFFORCE, bytes, "SO_RCVBUFFORCE");
        } catch (LinuxException e) {
            setOption(Constants.SOL_SOCKET, Constants.SO_RCVBUF, bytes, "SO_RCVBUF");
        }
    }

    /** Queues only what this classic BPF program lets pass (SO_ATTACH_FILTER): one {@code struct sock_filter} a number. */
    public void attachFilter(long[] program) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            // struct sock_fprog: the number of instructions, and where they are.
            MemorySegment pointer = kernel.allocate(16, 8);
            pointer.set(ValueLayout.JAVA_SHORT, 0, (short) program.length);
            pointer.set(
                    ValueLayout.JAVA_LONG,
                    8,
                    kernel.allocateFrom(ValueLayout.JAVA_LONG, program).address());
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_ATTACH_FILTER, pointer),
                        "setsockopt SO_ATTACH_FILTER",
                        label());
            } finally {
                pollable.leave();
            }
        }
    }

    /** The pending error (SO_ERROR), which this call clears; null where there is none. */
    public @Nullable Errno error() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment value = kernel.allocate(ValueLayout.JAVA_INT);
            MemorySegment length = kernel.allocateFrom(ValueLayout.JAVA_INT, 4);
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.getsockopt(fd, Constants.SOL_SOCKET, Constants.SO_ERROR, value, length),
                        "getsockopt SO_ERROR",
                        label());
            } finally {
                pollable.leave();
            }
            int number = value.get(ValueLayout.JAVA_INT, 0);
            return number == 0 ? null : Errno.of(number);
        }
    }

    /**
     * Connects; for datagrams this only fixes the peer, so that refusals come back as errors.
     *
     * @throws LinuxException with the exact error: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ...
     * @throws SocketTimeoutException when the deadline passed first
     */
    public void connect(InetSocketAddress peer, long deadlineNanos) throws IOException {
        remote = peer;
        try (Kernel kernel = Kernel.open()) {
            MemorySegment address = SocketAddresses.encode(kernel, peer);
            int fd = pollable.enter();
            try {
                while (true) {
                    // Asking again after EINPROGRESS tells the outcome (EALREADY, 0 or the error that ended it), and on
                    // a short way the second call usually finds it done, without the poller.
                    int result = kernel.connect(fd, address);
                    if (result == -Errno.EINPROGRESS.number()) {
                        result = kernel.connect(fd, address);
                    }
                    if (result == -Errno.EALREADY.number() || result == -Errno.EINTR.number()) {
                        await(true, deadlineNanos, "connect");
                        continue;
                    }
                    if (result != -Errno.EISCONN.number()) {
                        LinuxException.check(result, "connect", label());
                    }
                    return;
                }
            } finally {
                pollable.leave();
            }
        }
    }

    /**
     * Reads at least one byte, or one datagram (whose rest is lost if it is longer).
     *
     * @return the number of bytes; -1 at the end of a stream
     */
    public int read(byte[] bytes, int offset, int length, long deadlineNanos) throws IOException {
        return read(ByteBuffer.wrap(bytes, offset, length), deadlineNanos);
    }

    /** Reads into the buffer's remaining room, as {@link #read(byte[], int, int, long)}. */
    public int read(ByteBuffer buffer, long deadlineNanos) throws IOException {
        if (!buffer.hasRemaining() && stream) {
            return 0;
        }
        try (Kernel kernel = Kernel.open()) {
            MemorySegment target = room(kernel, buffer);
            int count = receive(kernel, target, MemorySegment.NULL, MemorySegment.NULL, deadlineNanos);
            if (count == 0 && stream) {
                return -1;
            }
            taken(buffer, target, count);
            return count;
        }
    }

    /**
     * Receives one datagram and says from whom.
     *
     * @return the sender
     */
    public InetSocketAddress receive(ByteBuffer buffer, long deadlineNanos) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment from = kernel.allocate(SocketAddresses.MAX_SIZE, 8);
            MemorySegment fromLength = kernel.allocateFrom(ValueLayout.JAVA_INT, SocketAddresses.MAX_SIZE);
            MemorySegment target = room(kernel, buffer);
            int count = receive(kernel, target, from, fromLength, deadlineNanos);
            taken(buffer, target, count);
            return SocketAddresses.decode(from);
        }
    }

    private static MemorySegment room(Kernel kernel, ByteBuffer buffer) {
        return buffer.isDirect()
                ? MemorySegment.ofBuffer(buffer)
                : kernel.allocate(Math.min(buffer.remaining(), CHUNK));
    }

    private static void taken(ByteBuffer buffer, MemorySegment target, int count) {
        if (buffer.isDirect()) {
            buffer.position(buffer.position() + count);
        } else {
            buffer.put(target.asSlice(0, count).asByteBuffer());
        }
    }

    private int receive(
            Kernel kernel, MemorySegment target, MemorySegment from, MemorySegment fromLength, long deadlineNanos)
            throws IOException {
        int fd = pollable.enter();
        try {
            while (true) {
                int result = kernel.recvfrom(fd, target, Constants.MSG_DONTWAIT, from, fromLength);
                if (result == -Errno.EAGAIN.number()) {
                    await(false, deadlineNanos, "read");
                } else if (result != -Errno.EINTR.number()) {
                    return LinuxException.check(result, "read", label());
                }
            }
        } finally {
            pollable.leave();
        }
    }

    /** Writes all of it. */
    public void write(byte[] bytes, int offset, int length, long deadlineNanos) throws IOException {
        write(ByteBuffer.wrap(bytes, offset, length), deadlineNanos);
    }

    /** Writes what remains in the buffer; for a connected datagram socket, as one datagram. */
    public void write(ByteBuffer buffer, long deadlineNanos) throws IOException {
        do {
            try (Kernel kernel = Kernel.open()) {
                buffer.position(
                        buffer.position() + send(kernel, source(kernel, buffer), MemorySegment.NULL, deadlineNanos));
            }
        } while (buffer.hasRemaining());
    }

    /** Sends what remains in the buffer as one datagram. */
    public void send(ByteBuffer buffer, InetSocketAddress to, long deadlineNanos) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            send(kernel, source(kernel, buffer), SocketAddresses.encode(kernel, to), deadlineNanos);
            buffer.position(buffer.limit());
        }
    }

    private MemorySegment source(Kernel kernel, ByteBuffer buffer) {
        if (buffer.isDirect()) {
            return MemorySegment.ofBuffer(buffer);
        }
        int length = stream ? Math.min(buffer.remaining(), CHUNK) : buffer.remaining();
        MemorySegment copy = kernel.allocate(length);
        copy.copyFrom(MemorySegment.ofBuffer(buffer).asSlice(0, length));
        return copy;
    }

    private int send(Kernel kernel, MemorySegment bytes, MemorySegment to, long deadlineNanos) throws IOException {
        int fd = pollable.enter();
        try {
            while (true) {
                int result = kernel.sendto(fd, bytes, Constants.MSG_DONTWAIT | Constants.MSG_NOSIGNAL, to);
                if (result == -Errno.EAGAIN.number()) {
                    await(true, deadlineNanos, "write");
                } else if (result != -Errno.EINTR.number()) {
                    return LinuxException.check(result, "write", label());
                }
            }
        } finally {
            pollable.leave();
        }
    }

    private void await(boolean write, long deadlineNanos, String operation) throws IOException {
        if (!pollable.await(write, deadlineNanos)) {
            throw new SocketTimeoutException(operation + " " + label() + ": timed out");
        }
    }

    /** Ends the stream toward the peer; reading goes on. */
    public void shutdownOutput() throws IOException {
        shutdown(Constants.SHUT_WR);
    }

    /** Discards what the peer still sends. */
    public void shutdownInput() throws IOException {
        shutdown(Constants.SHUT_RD);
    }

    private void shutdown(int how) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                LinuxException.check(kernel.shutdown(fd, how), "shutdown", label());
            } finally {
                pollable.leave();
            }
        }
    }

    /** The address that this end has. */
    public InetSocketAddress localAddress() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment address = kernel.allocate(SocketAddresses.MAX_SIZE, 8);
            MemorySegment length = kernel.allocateFrom(ValueLayout.JAVA_INT, SocketAddresses.MAX_SIZE);
            int fd = pollable.enter();
            try {
                LinuxException.check(kernel.getsockname(fd, address, length), "getsockname", label());
            } finally {
                pollable.leave();
            }
            return SocketAddresses.decode(address);
        }
    }

    /** The peer given to {@link #connect}; null before. */
    public @Nullable InetSocketAddress remoteAddress() {
        return remote;
    }

    /** False once closed. */
    public boolean isOpen() {
        return pollable.isOpen();
    }

    /** Closes; threads inside another operation leave it with {@link SocketException}. Idempotent. */
    @Override
    public void close() {
        pollable.close();
    }

    /** This connection as a {@link Socket}, for APIs that want one, above all TLS layered over it. No deadline. */
    public Socket asSocket() throws IOException {
        return asSocket(NO_DEADLINE);
    }

    /**
     * As {@link #asSocket()}: every read and write of it also ends at the deadline; a read ends at the earlier of that
     * and {@link Socket#setSoTimeout}. Closing it closes this.
     */
    public Socket asSocket(long deadlineNanos) throws IOException {
        return NativeSocketImpl.socket(this, deadlineNanos);
    }

    private String label() {
        InetSocketAddress peer = remote;
        return peer == null ? protocol : label(peer);
    }

    private String label(InetSocketAddress address) {
        if (protocol.startsWith("icmp")) {
            return address.getAddress().getHostAddress() + "/" + protocol;
        }
        return SocketAddresses.text(address) + "/" + protocol;
    }

    @Override
    public String toString() {
        return label();
    }
}

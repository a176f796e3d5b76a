package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * Opens the sockets that a service is reached by, and tells what a socket is that came from elsewhere. The node process
 * owns them and lends them to its workers by {@link MessageChannel}; nothing is accepted or read here.
 *
 * <p>All are non-blocking and closed on exec. IPv6 sockets take IPv6 only (IPV6_V6ONLY), so the same port of IPv4 is a
 * socket of its own.
 */
public final class Sockets {
    private Sockets() {}

    /**
     * How to open a socket.
     *
     * @param backlog connections that wait to be accepted; the kernel caps it at {@code net.core.somaxconn}
     * @param freeBind bind an address that this host does not have yet (IP_FREEBIND), for addresses that move
     * @param device the interface to serve alone (SO_BINDTODEVICE), or null for all
     */
    public record Options(
            int backlog, boolean freeBind, @Nullable String device) {
        /** Backlog 4096 (the kernel's own default cap), no free bind, every interface. */
        public static final Options DEFAULT = new Options(4096, false, null);

        /** These options with another backlog. */
        public Options withBacklog(int newBacklog) {
            return new Options(newBacklog, freeBind, device);
        }

        /** These options with or without free bind. */
        public Options withFreeBind(boolean newFreeBind) {
            return new Options(backlog, newFreeBind, device);
        }

        /** These options for one interface. */
        public Options withDevice(@Nullable String newDevice) {
            return new Options(backlog, freeBind, newDevice);
        }
    }

    /**
     * Opens a listening TCP socket. SO_REUSEADDR is set, so that connections of a former process in TIME_WAIT do not
     * stand in the way; another listener still does.
     *
     * @throws LinuxException for example {@code bind 192.0.2.1:80/tcp: EADDRINUSE: address already in use}; {@link
     *     PortHolder} finds out by whom, which takes a while
     */
    public static Descriptor listenTcp(InetSocketAddress address, Options options) throws IOException {
        Descriptor socket = open(address, Constants.SOCK_STREAM, "tcp", options);
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(kernel.listen(socket.fd(), options.backlog()), "listen", socket.label());
            return socket;
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /**
     * Opens a bound UDP socket. Without SO_REUSEADDR: for UDP it would let a second process bind the same port and take
     * the datagrams, where an error is wanted.
     */
    public static Descriptor bindUdp(InetSocketAddress address, Options options) throws IOException {
        return open(address, Constants.SOCK_DGRAM, "udp", options);
    }

    private static Descriptor open(InetSocketAddress address, int type, String protocol, Options options)
            throws IOException {
        String label = SocketAddresses.text(address) + "/" + protocol;
        try (Kernel kernel = Kernel.open()) {
            MemorySegment encoded = SocketAddresses.encode(kernel, address);
            int family = SocketAddresses.family(address.getAddress());
            int flags = Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC;
            int fd = LinuxException.check(kernel.socket(family, type | flags, 0), "socket", label);
            try {
                if (type == Constants.SOCK_STREAM) {
                    set(kernel, fd, Constants.SOL_SOCKET, Constants.SO_REUSEADDR, "SO_REUSEADDR", label);
                }
                if (family == Constants.AF_INET6) {
                    set(kernel, fd, Constants.IPPROTO_IPV6, Constants.IPV6_V6ONLY, "IPV6_V6ONLY", label);
                }
                if (options.freeBind()) {
                    if (family == Constants.AF_INET6) {
                        set(kernel, fd, Constants.IPPROTO_IPV6, Constants.IPV6_FREEBIND, "IPV6_FREEBIND", label);
                    } else {
                        set(kernel, fd, Constants.IPPROTO_IP, Constants.IP_FREEBIND, "IP_FREEBIND", label);
                    }
                }
                if (options.device() != null) {
                    LinuxException.check(
                            kernel.setsockopt(
                                    fd,
                                    Constants.SOL_SOCKET,
                                    Constants.SO_BINDTODEVICE,
                                    kernel.string(options.device())),
                            "setsockopt SO_BINDTODEVICE",
                            options.device() + " for " + label,
                            Capability.NET_RAW);
                }
                LinuxException.check(kernel.bind(fd, encoded), "bind", label, Capability.NET_BIND_SERVICE);
                return Descriptor.own(fd, label);
            } catch (IOException | RuntimeException e) {
                kernel.close(fd);
                throw e;
            }
        }
    }

    private static void set(Kernel kernel, int fd, int level, int option, String name, String label)
            throws LinuxException {
        LinuxException.check(kernel.setsockopt(fd, level, option, 1), "setsockopt " + name, label);
    }

    /** The address that a socket is bound to (getsockname), with the port that the kernel chose for 0. */
    public static InetSocketAddress localAddress(Descriptor socket) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment address = kernel.allocate(SocketAddresses.MAX_SIZE, 8);
            MemorySegment length = kernel.allocateFrom(ValueLayout.JAVA_INT, SocketAddresses.MAX_SIZE);
            LinuxException.check(kernel.getsockname(socket.fd(), address, length), "getsockname", socket.label());
            return SocketAddresses.decode(address);
        }
    }

    /** True for a socket that listens (SO_ACCEPTCONN). */
    public static boolean isListening(Descriptor socket) throws IOException {
        return option(socket, Constants.SO_ACCEPTCONN, "SO_ACCEPTCONN") != 0;
    }

    /** True for a TCP socket. */
    public static boolean isTcp(Descriptor socket) throws IOException {
        return option(socket, Constants.SO_PROTOCOL, "SO_PROTOCOL") == Constants.IPPROTO_TCP;
    }

    /** True for a UDP socket. */
    public static boolean isUdp(Descriptor socket) throws IOException {
        return option(socket, Constants.SO_PROTOCOL, "SO_PROTOCOL") == Constants.IPPROTO_UDP;
    }

    private static int option(Descriptor socket, int option, String name) throws LinuxException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment value = kernel.allocate(ValueLayout.JAVA_INT);
            MemorySegment length = kernel.allocateFrom(ValueLayout.JAVA_INT, 4);
            LinuxException.check(
                    kernel.getsockopt(socket.fd(), Constants.SOL_SOCKET, option, value, length),
                    "getsockopt " + name,
                    socket.label());
            return value.get(ValueLayout.JAVA_INT, 0);
        }
    }
}

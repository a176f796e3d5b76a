package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A netlink(7) socket: datagrams to the kernel and from it, whose content is none of its business. Messages are made
 * and read by {@code io.ballast.linux.netlink}.
 *
 * <p>It belongs to the network namespace of the thread that opened it. Waiting parks the thread, as in
 * {@link NativeSocket}; one thread may receive while another sends, and any may close.
 */
public final class NetlinkSocket implements AutoCloseable {
    /** Wait for ever. */
    public static final long NO_DEADLINE = Pollable.NEVER;

    /** The kernel fills at most 32 KiB of a dump into one datagram; single messages are far smaller. */
    private static final int MAX_DATAGRAM = 64 * 1024;

    /** {@code struct sockaddr_nl}: family, padding, port id, groups. */
    private static final int ADDRESS_SIZE = 12;

    private static final int PORT_ID = 4;

    /** What the kernel's other end is (linux/netlink.h). */
    public enum Family {
        /** Links, addresses, neighbours, routes: rtnetlink(7). */
        ROUTE(0);

        private final int protocol;

        Family(int protocol) {
            this.protocol = protocol;
        }
    }

    private final Pollable pollable;
    private final String label;

    private NetlinkSocket(int fd, String label) {
        this.pollable = new Pollable(fd, () -> label);
        this.label = label;
    }

    /**
     * Opens a socket that reports errors with the kernel's own words (NETLINK_EXT_ACK) and, where the kernel can
     * (4.20), has the headers of requests checked strictly, so that filters of dumps are not silently ignored.
     */
    public static NetlinkSocket open(Family family) throws IOException {
        String label = "netlink " + family;
        try (Kernel kernel = Kernel.open()) {
            int type = Constants.SOCK_RAW | Constants.SOCK_NONBLOCK | Constants.SOCK_CLOEXEC;
            int fd = LinuxException.check(kernel.socket(Constants.AF_NETLINK, type, family.protocol), "socket", label);
            NetlinkSocket socket = new NetlinkSocket(fd, label);
            try {
                kernel.setsockopt(fd, Constants.SOL_NETLINK, Constants.NETLINK_CAP_ACK, 1);
                kernel.setsockopt(fd, Constants.SOL_NETLINK, Constants.NETLINK_EXT_ACK, 1);
                kernel.setsockopt(fd, Constants.SOL_NETLINK, Constants.NETLINK_GET_STRICT_CHK, 1);
                MemorySegment address = kernel.allocate(ADDRESS_SIZE, 4);
                address.set(ValueLayout.JAVA_SHORT, 0, (short) Constants.AF_NETLINK);
                LinuxException.check(kernel.bind(fd, address), "bind", label);
                return socket;
            } catch (IOException | RuntimeException e) {
                socket.close();
                throw e;
            }
        }
    }

    /** Receives what the kernel tells a multicast group from now on. */
    public void join(int group) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.setsockopt(fd, Constants.SOL_NETLINK, Constants.NETLINK_ADD_MEMBERSHIP, group),
                        "setsockopt NETLINK_ADD_MEMBERSHIP",
                        label + " group " + group);
            } finally {
                pollable.leave();
            }
        }
    }

    /** How much may wait here before the kernel drops more; without CAP_NET_ADMIN capped by net.core.rmem_max. */
    public void receiveBuffer(int bytes) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                int result = kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_RCVBUFFORCE, bytes);
                if (result == -Errno.EPERM.number()) {
                    result = kernel.setsockopt(fd, Constants.SOL_SOCKET, Constants.SO_RCVBUF, bytes);
                }
                LinuxException.check(result, "setsockopt SO_RCVBUF", label);
            } finally {
                pollable.leave();
            }
        }
    }

    /**
     * Sends a datagram to the kernel, which acts on it before this returns; it may sleep meanwhile, waiting for others
     * who change the network.
     */
    public void send(byte[] datagram) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment bytes = kernel.allocateFrom(ValueLayout.JAVA_BYTE, datagram);
            int fd = pollable.enter();
            try {
                int result;
                do {
                    result = kernel.sendto(fd, bytes, Constants.MSG_DONTWAIT, MemorySegment.NULL);
                } while (result == -Errno.EINTR.number());
                LinuxException.check(result, "send", label);
            } finally {
                pollable.leave();
            }
        }
    }

    /**
     * Receives one datagram of the kernel's; what other processes send is passed over.
     *
     * @param deadlineNanos in {@link System#nanoTime()}'s terms, or {@link #NO_DEADLINE}
     * @return its bytes, in the byte order of this machine
     * @throws LinuxException with ENOBUFS once when datagrams were lost because they came faster than they were read
     * @throws SocketTimeoutException when the deadline passed
     * @throws SocketException when another thread closed the socket
     */
    public ByteBuffer receive(long deadlineNanos) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment bytes = kernel.allocate(MAX_DATAGRAM, 8);
            MemorySegment from = kernel.allocate(ADDRESS_SIZE, 4);
            MemorySegment fromLength = kernel.allocate(ValueLayout.JAVA_INT);
            int fd = pollable.enter();
            try {
                while (true) {
                    fromLength.set(ValueLayout.JAVA_INT, 0, ADDRESS_SIZE);
                    int flags = Constants.MSG_DONTWAIT | Constants.MSG_TRUNC;
                    int result = kernel.recvfrom(fd, bytes, flags, from, fromLength);
                    if (result == -Errno.EAGAIN.number()) {
                        if (!pollable.await(false, deadlineNanos)) {
                            throw new SocketTimeoutException("receive " + label + ": timed out");
                        }
                    } else if (result != -Errno.EINTR.number()) {
                        LinuxException.check(result, "receive", label);
                        if (result > MAX_DATAGRAM) {
                            throw new LinuxException(
                                    Errno.EMSGSIZE.number(), "receive", label, "a datagram of " + result + " bytes");
                        }
                        if (from.get(ValueLayout.JAVA_INT, PORT_ID) == 0) {
                            byte[] copy = bytes.asSlice(0, result).toArray(ValueLayout.JAVA_BYTE);
                            return ByteBuffer.wrap(copy).order(ByteOrder.nativeOrder());
                        }
                    }
                }
            } finally {
                pollable.leave();
            }
        }
    }

    /** False once closed. */
    public boolean isOpen() {
        return pollable.isOpen();
    }

    /** Closes; a thread that waits in {@link #receive} leaves it with {@link SocketException}. Idempotent. */
    @Override
    public void close() {
        pollable.close();
    }

    @Override
    public String toString() {
        return label;
    }
}

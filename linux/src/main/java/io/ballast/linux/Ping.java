package io.ballast.linux;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/**
 * One ICMP (RFC 792) or ICMPv6 (RFC 4443 section 4) echo request and its reply. The socket is the unprivileged kind where
 * the system allows it and raw otherwise ({@link NativeSocket#icmp}); the reply is recognised by a random token in the
 * data, which also holds where the kernel rewrites the identifier.
 */
public final class Ping {
    private static final int ECHO_REPLY = 0;
    private static final int ECHO_REQUEST = 8;
    private static final int ECHO_REQUEST_V6 = 128;
    private static final int ECHO_REPLY_V6 = 129;

    /** The data of ping(8) by default. */
    private static final int DATA_SIZE = 56;

    private static final int HEADER_SIZE = 8;

    /** What an IPv4 packet has room for behind its own header and ICMP's. */
    public static final int MAX_DATA_SIZE = 65_507;

    /** An IPv4 header with every option. */
    private static final int MAX_IP_HEADER = 60;

    private Ping() {}

    /**
     * Sends one request and waits for its reply.
     *
     * @param source the address to send from, or null for the route's
     * @param device the interface to send by, or null for the route's
     * @return the round-trip time in nanoseconds
     * @throws LinuxException when the network says no: EHOSTUNREACH, ENETUNREACH, EPERM, ...
     * @throws SocketTimeoutException when no reply came before the deadline
     */
    public static long echo(
            InetAddress target, @Nullable InetAddress source, @Nullable String device, long deadlineNanos)
            throws IOException {
        return echo(target, source, device, DATA_SIZE, deadlineNanos);
    }

    /**
     * As above, with so many bytes of data, 0 to {@value #MAX_DATA_SIZE}; fewer than eight, which recognise the reply,
     * are never sent.
     */
    public static long echo(
            InetAddress target, @Nullable InetAddress source, @Nullable String device, int dataSize, long deadlineNanos)
            throws IOException {
        boolean v6 = target instanceof Inet6Address;
        try (NativeSocket socket = NativeSocket.icmp(target)) {
            if (device != null) {
                socket.bindToDevice(device);
            }
            if (source != null) {
                socket.bind(new InetSocketAddress(source, 0));
            }
            // Unreachable answers become errors of the socket instead of silence.
            if (v6) {
                socket.setOption(Constants.IPPROTO_IPV6, Constants.IPV6_RECVERR, 1, "IPV6_RECVERR");
            } else {
                socket.setOption(Constants.IPPROTO_IP, Constants.IP_RECVERR, 1, "IP_RECVERR");
            }
            if (socket.isRaw()) {
                admitOnlyReplies(socket, v6);
            }
            socket.connect(new InetSocketAddress(target, 0), deadlineNanos);

            long token = ThreadLocalRandom.current().nextLong();
            ByteBuffer request = request(v6, token, dataSize);
            long sent = System.nanoTime();
            socket.write(request, deadlineNanos);
            ByteBuffer answer = ByteBuffer.allocate(MAX_IP_HEADER + request.capacity());
            while (true) {
                answer.clear();
                socket.read(answer, deadlineNanos);
                long received = System.nanoTime();
                answer.flip();
                if (isReply(answer, socket.isRaw(), v6, token)) {
                    return received - sent;
                }
            }
        } catch (SocketTimeoutException e) {
            SocketTimeoutException clearer =
                    new SocketTimeoutException("echo " + target.getHostAddress() + ": no reply in time");
            clearer.initCause(e);
            throw clearer;
        }
    }

    /** Raw sockets see every ICMP message of the host; without this filter also the requests that it answers. */
    private static void admitOnlyReplies(NativeSocket socket, boolean v6) throws IOException {
        if (v6) {
            // struct icmp6_filter: 256 bits in host words, a set bit blocks.
            int[] words = new int[8];
            Arrays.fill(words, -1);
            words[ECHO_REPLY_V6 >> 5] &= ~(1 << (ECHO_REPLY_V6 & 31));
            ByteBuffer filter = ByteBuffer.allocate(32).order(ByteOrder.nativeOrder());
            filter.asIntBuffer().put(words);
            socket.setOption(Constants.IPPROTO_ICMPV6, Constants.ICMP6_FILTER, filter.array(), "ICMPV6_FILTER");
        } else {
            // struct icmp_filter: one word for types 0 to 31, a set bit blocks.
            socket.setOption(Constants.SOL_RAW, Constants.ICMP_FILTER, ~(1 << ECHO_REPLY), "ICMP_FILTER");
        }
    }

    static ByteBuffer request(boolean v6, long token, int dataSize) {
        ByteBuffer packet = ByteBuffer.allocate(HEADER_SIZE + Math.clamp(dataSize, Long.BYTES, MAX_DATA_SIZE));
        packet.put((byte) (v6 ? ECHO_REQUEST_V6 : ECHO_REQUEST)).put((byte) 0).putShort((short) 0);
        packet.putShort((short) (token >>> 48)).putShort((short) 1);
        packet.putLong(token);
        if (!v6) {
            // A raw IPv4 socket sends it as it is; everywhere else the kernel computes it anew.
            packet.putShort(2, checksum(packet));
        }
        return packet.clear();
    }

    /** The Internet checksum (RFC 1071) over the whole buffer; an odd byte counts as if a zero followed. */
    private static short checksum(ByteBuffer packet) {
        int sum = 0;
        for (int i = 0; i < packet.capacity(); i++) {
            int value = packet.get(i) & 0xff;
            sum += i % 2 == 0 ? value << 8 : value;
        }
        sum = (sum >>> 16) + (sum & 0xffff);
        sum += sum >>> 16;
        return (short) ~sum;
    }

    static boolean isReply(ByteBuffer packet, boolean raw, boolean v6, long token) {
        int start = 0;
        if (raw && !v6) {
            if (packet.remaining() < 20) {
                return false;
            }
            start = (packet.get(0) & 0x0f) * 4; // the IP header's length
        }
        if (packet.remaining() < start + HEADER_SIZE + Long.BYTES) {
            return false;
        }
        int type = packet.get(start) & 0xff;
        return type == (v6 ? ECHO_REPLY_V6 : ECHO_REPLY) && packet.getLong(start + HEADER_SIZE) == token;
    }
}

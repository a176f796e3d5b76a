package io.ballast.linux;

import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
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

    // linux/bpf_common.h; the loads are relative to X.
    private static final int BPF_LDX_IMM = 0x01;
    private static final int BPF_LDX_IP_HEADER = 0xb1;
    private static final int BPF_LD_BYTE = 0x50;
    private static final int BPF_LD_WORD = 0x40;
    private static final int BPF_JEQ = 0x15;
    private static final int BPF_RETURN = 0x06;

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
        long token = ThreadLocalRandom.current().nextLong();
        try (NativeSocket socket = socket(target, source, device, token)) {
            socket.connect(new InetSocketAddress(target, 0), deadlineNanos);
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

    /** A socket that gets, as far as its kind allows, only the reply with this token. */
    static NativeSocket socket(InetAddress target, @Nullable InetAddress source, @Nullable String device, long token)
            throws IOException {
        boolean v6 = target instanceof Inet6Address;
        NativeSocket socket = NativeSocket.icmp(target);
        try {
            if (socket.isRaw()) {
                socket.attachFilter(replyFilter(v6, token));
            }
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
            return socket;
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    /**
     * Raw sockets see every ICMP message of the host, so a thousand pings at once would fill each other's receive buffers
     * and lose their replies. This classic BPF program (filter.txt of the kernel's documentation) drops all but the reply
     * with the token before it is queued.
     */
    private static long[] replyFilter(boolean v6, long token) {
        return new long[] {
            // X = where ICMP begins: behind the IP header, which only IPv4 shows.
            v6 ? filter(BPF_LDX_IMM, 0, 0, 0) : filter(BPF_LDX_IP_HEADER, 0, 0, 0),
            filter(BPF_LD_BYTE, 0, 0, 0),
            filter(BPF_JEQ, 0, 5, v6 ? ECHO_REPLY_V6 : ECHO_REPLY),
            filter(BPF_LD_WORD, 0, 0, HEADER_SIZE),
            filter(BPF_JEQ, 0, 3, (int) (token >>> 32)),
            filter(BPF_LD_WORD, 0, 0, HEADER_SIZE + Integer.BYTES),
            filter(BPF_JEQ, 0, 1, (int) token),
            filter(BPF_RETURN, 0, 0, -1), // the whole packet
            filter(BPF_RETURN, 0, 0, 0),
        };
    }

    /** A {@code struct sock_filter} (linux/filter.h): 16 bits of operation, 8 and 8 of jumps, 32 of operand. */
    private static long filter(int operation, int ifTrue, int ifFalse, int operand) {
        ByteBuffer instruction = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.nativeOrder());
        instruction
                .putShort((short) operation)
                .put((byte) ifTrue)
                .put((byte) ifFalse)
                .putInt(operand);
        return instruction.getLong(0);
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

package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.neighbour.state.Resolution;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Asks real servers as the service's clients do: by a SYN to the service's own address, sent to the server's MAC address or
 * inside its tunnel, as the program in the kernel sends theirs. A health check asks the server's own address, and so finds
 * one well that has not the service's address, or does not unpack the tunnel.
 *
 * <p>The SYN comes from an address of this machine that is no service's, since the answer is to come here, and from a port
 * that a socket holds, so that no connection of this machine is meant by the answer. That comes from the service's
 * address, which this machine has as well, so its kernel will not have it; a packet socket sees it before. A connection
 * that a server begins so is ended at once, by a reset that takes the same way: no program on the server hears of it.
 */
final class PathProbe {
    private static final int TRIES = 3;

    private static final int ETHERNET = 14;
    private static final int IPV4_TYPE = 0x0800;
    private static final int IPV6_TYPE = 0x86dd;
    private static final int IPV4 = 20;
    private static final int IPV6 = 40;
    private static final int TCP = 20;
    private static final int UDP = 8;
    private static final int MSS_OPTION = 4;

    private static final int PROTOCOL_IPIP = 4;
    private static final int PROTOCOL_TCP = 6;
    private static final int PROTOCOL_UDP = 17;
    private static final int PROTOCOL_IPV6 = 41;
    private static final int GUE_PORT = 6080;
    private static final int HOPS = 64;

    private static final int SYN = 0x02;
    private static final int RST = 0x04;
    private static final int ACK = 0x10;

    /** What a server said. */
    enum Answer {
        /** It begins a connection. */
        ACCEPTS,
        /** It takes the packet, but nobody listens at the service's address. */
        REFUSES,
        /** Nothing came back. */
        SILENT
    }

    /**
     * A question.
     *
     * @param endpoint whose first port is asked for
     * @param server the address that packets are sent to
     * @param way of packets to it
     * @param source of this machine, no service's, of the endpoint's family
     */
    record Question(
            Endpoint endpoint, ForwardingMethod method, InetAddress server, Resolution.Hop way, InetAddress source) {}

    private PathProbe() {}

    /**
     * Asks all at once, and waits; for the network namespace of the calling thread, which is to be a platform thread. Needs
     * CAP_NET_RAW.
     *
     * @param patience in all, over several tries
     */
    static Map<Question, Answer> ask(List<Question> questions, Duration patience) throws IOException {
        Map<Question, Answer> answers = new LinkedHashMap<>();
        questions.forEach(question -> answers.put(question, Answer.SILENT));
        for (boolean ipv6 : new boolean[] {false, true}) {
            List<Question> some = answers.keySet().stream()
                    .filter(question -> question.endpoint().ipv6() == ipv6)
                    .toList();
            if (!some.isEmpty()) {
                try (Round round = new Round(ipv6)) {
                    round.ask(some, answers, patience);
                }
            }
        }
        return answers;
    }

    /** The questions of one address family. */
    private static final class Round implements AutoCloseable {
        private final Socket port = new Socket();
        private final NativeSocket ear;
        private final Map<Integer, NativeSocket> mouths = new HashMap<>();
        /** By what an answer must acknowledge. */
        private final Map<Integer, Question> asked = new HashMap<>();

        Round(boolean ipv6) throws IOException {
            try {
                port.bind(new InetSocketAddress(0));
                // On every interface: what is sent by one may be answered by another.
                ear = NativeSocket.packet(0, ipv6 ? IPV6_TYPE : IPV4_TYPE);
            } catch (IOException | RuntimeException e) {
                port.close();
                throw e;
            }
            try {
                ear.attachFilter(onlyTo(port.getLocalPort(), ipv6));
            } catch (IOException | RuntimeException e) {
                close();
                throw e;
            }
        }

        void ask(List<Question> questions, Map<Question, Answer> answers, Duration patience) throws IOException {
            SecureRandom random = new SecureRandom();
            for (Question question : questions) {
                int number = random.nextInt();
                while (asked.putIfAbsent(number + 1, question) != null) {
                    number = random.nextInt();
                }
            }
            for (int i = 0; i < TRIES && !asked.isEmpty(); i++) {
                for (Map.Entry<Integer, Question> each : Map.copyOf(asked).entrySet()) {
                    send(each.getValue(), each.getKey() - 1, SYN);
                }
                listen(answers, NativeSocket.deadlineIn(patience.toNanos() / TRIES));
            }
        }

        private void send(Question question, int number, int flags) throws IOException {
            int link = question.way().link();
            NativeSocket mouth = mouths.get(link);
            if (mouth == null) {
                mouth = NativeSocket.packet(link, 0);
                mouths.put(link, mouth);
            }
            mouth.write(
                    frame(question, port.getLocalPort(), number, flags),
                    NativeSocket.deadlineIn(Duration.ofSeconds(1).toNanos()));
        }

        private void listen(Map<Question, Answer> answers, long deadline) throws IOException {
            ByteBuffer frame = ByteBuffer.allocate(256);
            try {
                while (!asked.isEmpty()) {
                    frame.clear();
                    ear.read(frame, deadline);
                    Heard heard = heard(frame.flip()).orElse(null);
                    Question question = heard == null ? null : asked.get(heard.acknowledged());
                    if (heard == null || question == null || !heard.from().equals(socketOf(question.endpoint()))) {
                        continue;
                    }
                    if (heard.accepts()) {
                        send(question, heard.acknowledged(), RST);
                    }
                    asked.remove(heard.acknowledged());
                    answers.put(question, heard.accepts() ? Answer.ACCEPTS : Answer.REFUSES);
                }
            } catch (SocketTimeoutException e) {
                // Whoever has not answered by now is asked again.
            }
        }

        private static InetSocketAddress socketOf(Endpoint endpoint) {
            return new InetSocketAddress(endpoint.address(), endpoint.firstPort());
        }

        @Override
        public void close() throws IOException {
            ear.close();
            mouths.values().forEach(NativeSocket::close);
            port.close();
        }
    }

    /**
     * What is of interest in an answer.
     *
     * @param accepts whether it begins a connection; else it refuses one
     */
    record Heard(InetSocketAddress from, int acknowledged, boolean accepts) {}

    /** Reads a frame; empty for what is no answer to a SYN. */
    static Optional<Heard> heard(ByteBuffer frame) {
        boolean ipv6 = frame.limit() > ETHERNET && (frame.get(ETHERNET) >>> 4) == 6;
        int ip = ipv6 ? IPV6 : frame.limit() > ETHERNET ? (frame.get(ETHERNET) & 0xf) * 4 : IPV4;
        int tcp = ETHERNET + ip;
        if (frame.limit() < tcp + TCP || frame.get(ETHERNET + (ipv6 ? 6 : 9)) != PROTOCOL_TCP) {
            return Optional.empty();
        }
        byte[] address = new byte[ipv6 ? 16 : 4];
        frame.get(ETHERNET + (ipv6 ? 8 : 12), address);
        int flags = frame.get(tcp + 13);
        if ((flags & ACK) == 0 || (flags & (SYN | RST)) == 0) {
            return Optional.empty();
        }
        try {
            return Optional.of(new Heard(
                    new InetSocketAddress(InetAddress.getByAddress(address), Short.toUnsignedInt(frame.getShort(tcp))),
                    frame.getInt(tcp + 8),
                    (flags & SYN) != 0));
        } catch (IOException e) {
            throw new IllegalStateException(e); // only for a wrong length
        }
    }

    /** Classic BPF: TCP to this port. */
    private static long[] onlyTo(int port, boolean ipv6) {
        return ipv6
                ? new long[] {
                    instruction(0x30, 0, 0, ETHERNET + 6), // ldb next header
                    instruction(0x15, 0, 3, PROTOCOL_TCP), // jeq
                    instruction(0x28, 0, 0, ETHERNET + IPV6 + 2), // ldh destination port
                    instruction(0x15, 0, 1, port),
                    instruction(0x06, 0, 0, 256), // ret
                    instruction(0x06, 0, 0, 0)
                }
                : new long[] {
                    instruction(0x30, 0, 0, ETHERNET + 9),
                    instruction(0x15, 0, 4, PROTOCOL_TCP),
                    instruction(0xb1, 0, 0, ETHERNET), // ldx 4 * length of the header
                    instruction(0x48, 0, 0, ETHERNET + 2), // ldh [x + ...]
                    instruction(0x15, 0, 1, port),
                    instruction(0x06, 0, 0, 256),
                    instruction(0x06, 0, 0, 0)
                };
    }

    /** struct sock_filter of linux/filter.h: u16 code, u8 jt, u8 jf, u32 k. */
    private static long instruction(int code, int ifTrue, int ifFalse, int value) {
        return code | ((long) ifTrue << 16) | ((long) ifFalse << 24) | ((long) value << 32);
    }

    /** A frame with a TCP segment without data, as the program in the kernel would send it on. */
    static ByteBuffer frame(Question question, int port, int number, int flags) {
        ByteBuffer inner = packet(question, port, number, flags);
        InetAddress server = question.server();
        boolean direct = question.method() == ForwardingMethod.DR;
        boolean ipv6 = direct ? question.endpoint().ipv6() : server instanceof Inet6Address;
        ByteBuffer frame = ByteBuffer.allocate(ETHERNET + IPV6 + UDP + inner.remaining())
                .put(question.way().destination().bytes())
                .put(question.way().source().bytes())
                .putShort((short) (ipv6 ? IPV6_TYPE : IPV4_TYPE));
        if (!direct) {
            boolean gue = question.method() == ForwardingMethod.GUE;
            int length = inner.remaining() + (gue ? UDP : 0);
            int protocol = gue ? PROTOCOL_UDP : question.endpoint().ipv6() ? PROTOCOL_IPV6 : PROTOCOL_IPIP;
            ip(frame, Objects.requireNonNull(question.way().sourceAddress()), server, protocol, length);
            if (gue) {
                // Without a checksum, as the program sends it; any port of those that it spreads flows over.
                frame.putShort((short) (0xc000 | (port & 0x3fff)))
                        .putShort((short) GUE_PORT)
                        .putShort((short) length)
                        .putShort((short) 0);
            }
        }
        return frame.put(inner).flip();
    }

    private static ByteBuffer packet(Question question, int port, int number, int flags) {
        boolean syn = flags == SYN;
        boolean ipv6 = question.endpoint().ipv6();
        InetAddress to = question.endpoint().address();
        int length = TCP + (syn ? MSS_OPTION : 0);
        ByteBuffer packet = ByteBuffer.allocate(IPV6 + length);
        ip(packet, question.source(), to, PROTOCOL_TCP, length);
        int start = packet.position();
        packet.putShort((short) port)
                .putShort((short) question.endpoint().firstPort())
                .putInt(number)
                .putInt(0)
                .put((byte) ((length / 4) << 4))
                .put((byte) flags)
                .putShort((short) 65_535)
                .putShort((short) 0) // checksum
                .putShort((short) 0);
        if (syn) {
            packet.put((byte) 2).put((byte) MSS_OPTION).putShort((short) (ipv6 ? 1_220 : 536));
        }
        long pseudo = sum(ByteBuffer.wrap(question.source().getAddress()))
                + sum(ByteBuffer.wrap(to.getAddress()))
                + PROTOCOL_TCP
                + length;
        packet.flip();
        packet.putShort(start + 16, folded(pseudo + sum(packet.slice(start, length))));
        return packet;
    }

    private static void ip(ByteBuffer out, InetAddress from, InetAddress to, int protocol, int length) {
        if (from instanceof Inet4Address) {
            int start = out.position();
            out.putShort((short) 0x4500)
                    .putShort((short) (IPV4 + length))
                    .putShort((short) 0)
                    .putShort((short) 0x4000) // don't fragment
                    .put((byte) HOPS)
                    .put((byte) protocol)
                    .putShort((short) 0)
                    .put(from.getAddress())
                    .put(to.getAddress());
            out.putShort(start + 10, folded(sum(out.slice(start, IPV4))));
        } else {
            out.putInt(0x60000000)
                    .putShort((short) length)
                    .put((byte) protocol)
                    .put((byte) HOPS)
                    .put(from.getAddress())
                    .put(to.getAddress());
        }
    }

    /** Of 16-bit words; an even number of bytes. */
    private static long sum(ByteBuffer bytes) {
        long sum = 0;
        while (bytes.hasRemaining()) {
            sum += Short.toUnsignedInt(bytes.getShort());
        }
        return sum;
    }

    private static short folded(long sum) {
        long folded = sum;
        while (folded > 0xffff) {
            folded = (folded & 0xffff) + (folded >> 16);
        }
        return (short) ~folded;
    }

    /** All of a list, in runs of at most so many. */
    static <T> List<List<T>> inRuns(List<T> all, int length) {
        List<List<T>> runs = new ArrayList<>();
        for (int from = 0; from < all.size(); from += length) {
            runs.add(all.subList(from, Math.min(from + length, all.size())));
        }
        return runs;
    }
}

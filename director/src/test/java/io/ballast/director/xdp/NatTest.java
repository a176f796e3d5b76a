package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.FIN;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.RST;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.first;
import static io.ballast.director.xdp.Frames.frame;
import static io.ballast.director.xdp.Frames.hex;
import static io.ballast.director.xdp.Frames.hop;
import static io.ballast.director.xdp.Frames.icmp;
import static io.ballast.director.xdp.Frames.ip;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.ip6;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.marked;
import static io.ballast.director.xdp.Frames.shorts;
import static io.ballast.director.xdp.Frames.tagged;
import static io.ballast.director.xdp.Frames.tail;
import static io.ballast.director.xdp.Frames.tcp;
import static io.ballast.director.xdp.Frames.udp;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.director.xdp.Bench.Out;
import io.ballast.director.xdp.DataPlane.Reason;
import io.ballast.linux.bpf.XdpAction;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Translated packets in both directions, byte for byte, through the kernel. What is expected is built anew with the
 * other addresses, its checksums added up the slow way, so that every incremental update is compared with a whole one.
 */
final class NatTest {
    private static final byte[] SERVER = Bench.mac(0);
    private static final byte[] HELLO = "hello, server!".getBytes(java.nio.charset.StandardCharsets.US_ASCII);
    private static final int NAT_FLAGS = Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER | Layout.FLAG_NAT;
    private static final int ELSEWHERE = 77;

    private Bench bench;

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open();
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    /** Who takes part in a translated connection. */
    private record Side(InetAddress client, InetAddress vip, InetAddress server, InetAddress director, boolean full) {
        static Side of(boolean v6, boolean full) {
            return v6
                    ? new Side(
                            address("2001:db8:c::7"),
                            address("2001:db8:1::1"),
                            address("2001:db8:5::1"),
                            address("2001:db8:5::fe"),
                            full)
                    : new Side(
                            address("198.51.100.7"),
                            address("192.0.2.1"),
                            address("10.0.0.1"),
                            address("10.0.0.254"),
                            full);
        }

        /** Whom the server sees. */
        InetAddress seen() {
            return full ? director : client;
        }
    }

    /** A packet of a protocol, with whatever is in it. */
    private static byte[] packet(
            InetAddress from, int fromPort, InetAddress to, int toPort, boolean datagram, int flags, byte[] data) {
        return datagram
                ? ip(from, to, Frames.UDP, udp(from, fromPort, to, toPort, data))
                : ip(from, to, Frames.TCP, tcp(from, fromPort, to, toPort, flags, data));
    }

    private static int flags(boolean full) {
        return NAT_FLAGS | (full ? Layout.FLAG_FULL_NAT : 0);
    }

    /** The service on port 80 of every address and protocol, with one server that listens on 8080. */
    private void serve(boolean full) throws Exception {
        serve(full, 80, 8080);
    }

    private void serve(boolean full, int port, int serverPort) throws Exception {
        for (boolean v6 : new boolean[] {false, true}) {
            Side side = Side.of(v6, full);
            for (Protocol protocol : Protocol.values()) {
                Endpoint where = port == 0
                        ? new Endpoint(side.vip(), 1, Endpoint.MAX_PORT, protocol)
                        : new Endpoint(side.vip(), port, protocol);
                bench.serve(where, Vip.Kind.BY_SLOT_OF_HASH, flags(full), 1);
            }
            int flags = Layout.NAT | (full ? Layout.FULL_NAT : 0);
            bench.server(0, flags, side.server(), side.director(), serverPort, 1500);
        }
    }

    /** Sends the client's packet and returns the port under which the server knows it. */
    private int send(Side side, int clientPort, boolean datagram, int flags, byte[] data) throws Exception {
        Out out = bench.run(
                frame(DIRECTOR, ROUTER, packet(side.client(), clientPort, side.vip(), 80, datagram, flags, data)));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        int port = side.full() ? sourcePort(out.frame()) : clientPort;
        assertThat(out.frame())
                .containsExactly(frame(
                        SERVER, DIRECTOR, hop(packet(side.seen(), port, side.server(), 8080, datagram, flags, data))));
        return port;
    }

    private static int sourcePort(byte[] frame) {
        int at = Frames.l3(frame) + (frame[Frames.l3(frame)] >> 4 == 6 ? 40 : 20);
        return ((frame[at] & 0xff) << 8) | (frame[at + 1] & 0xff);
    }

    /** Sends the server's packet to whom it knows under the port, and expects it at the client. */
    private void answer(Side side, int port, int clientPort, boolean datagram, int flags, byte[] data)
            throws Exception {
        Out out = bench.run(
                frame(DIRECTOR, SERVER, packet(side.server(), 8080, side.seen(), port, datagram, flags, data)));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame())
                .containsExactly(frame(
                        ROUTER,
                        DIRECTOR,
                        hop(packet(side.vip(), 80, side.client(), clientPort, datagram, flags, data))));
    }

    private void passes(byte[] frame) throws Exception {
        Out out = bench.run(frame);
        assertThat(out.action()).isEqualTo(XdpAction.PASS);
        assertThat(out.frame()).containsExactly(frame);
    }

    private long reason(Reason reason) throws Exception {
        return Objects.requireNonNull(bench.plane().reasons().get(reason));
    }

    @ParameterizedTest
    @CsvSource({
        "false, false, false", "false, true, false", "true, false, false", "true, true, false",
        "false, false, true", "false, true, true", "true, false, true", "true, true, true"
    })
    void bothDirectionsAreTranslated(boolean v6, boolean datagram, boolean full) throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        int port = send(side, 4000, datagram, SYN, HELLO);
        answer(side, port, 4000, datagram, SYN | ACK, HELLO);
        Random random = new Random(1);
        for (int i = 0; i < 300; i++) {
            byte[] data = new byte[random.nextInt(200)];
            random.nextBytes(data);
            assertThat(send(side, 4000, datagram, ACK, data)).isEqualTo(port);
            answer(side, port, 4000, datagram, ACK, data);
            int other = send(side, 5000 + i, datagram, SYN, data);
            answer(side, other, 5000 + i, datagram, SYN | ACK, data);
        }
        DataPlane.Traffic traffic = bench.plane().traffic(0);
        assertThat(traffic.packets()).isEqualTo(601);
        assertThat(traffic.packetsBack()).isEqualTo(601);
        assertThat(traffic.bytesBack()).isEqualTo(traffic.bytes());
        if (full) {
            assertThat(port).isBetween(1024, 32_767);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "false, false, false", "false, true, false", "true, false, false", "true, true, false",
        "false, false, true", "false, true, true", "true, false, true", "true, true, true"
    })
    void aChecksumThatIsOnlyBegunIsCompleted(boolean v6, boolean datagram, boolean full) throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        Random random = new Random(2);
        int port = send(side, 4000, datagram, SYN, HELLO);
        for (int length : new int[] {0, 1, 2, 3, 23, 43, 44, 45, 64, 65, 107, 108, 500, 1399, 1400}) {
            byte[] data = new byte[length + 12];
            random.nextBytes(data);
            byte[] forth = begun(packet(side.client(), 4000, side.vip(), 80, datagram, ACK, data));
            assertThat(bench.run(frame(DIRECTOR, ROUTER, forth)).frame())
                    .containsExactly(frame(
                            SERVER,
                            DIRECTOR,
                            hop(packet(side.seen(), port, side.server(), 8080, datagram, ACK, data))));
            byte[] back = begun(packet(side.server(), 8080, side.seen(), port, datagram, ACK, data));
            assertThat(bench.run(frame(DIRECTOR, SERVER, join(back, new byte[5])))
                            .frame())
                    .containsExactly(join(
                            frame(
                                    ROUTER,
                                    DIRECTOR,
                                    hop(packet(side.vip(), 80, side.client(), 4000, datagram, ACK, data))),
                            new byte[5]));
        }
    }

    /** As a kernel leaves a packet that does not leave the machine: with the pseudo header's sum for a checksum. */
    private static byte[] begun(byte[] packet) {
        boolean v6 = packet[0] >> 4 == 6;
        int header = v6 ? 40 : 20;
        int proto = packet[v6 ? 6 : 9];
        byte[] addresses = Arrays.copyOfRange(packet, v6 ? 8 : 12, header);
        int sum = ~Frames.sum(addresses, shorts(proto, packet.length - header)) & 0xffff;
        int at = header + (proto == Frames.UDP ? 6 : 16);
        return join(first(packet, at), shorts(sum), tail(packet, at + 2));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void vlanTagsOfTheClientAreItsAnswers(boolean v6, boolean full) throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        int clientPort = 4000;
        for (int[] tags : new int[][] {{}, {0x2064}, {0x0c8, 0x2064}}) {
            for (int[] serverTags : new int[][] {{}, {0x12c}, {0x0c9, 0x12c}}) {
                clientPort++;
                byte[] forth = packet(side.client(), clientPort, side.vip(), 80, true, 0, HELLO);
                Out out = bench.run(tagged(DIRECTOR, ROUTER, tags, forth));
                int port = full ? sourcePort(out.frame()) : clientPort;
                assertThat(out.frame())
                        .containsExactly(tagged(
                                SERVER,
                                DIRECTOR,
                                tags,
                                hop(packet(side.seen(), port, side.server(), 8080, true, 0, HELLO))));
                // Marked otherwise than the client's, beside the tags.
                byte[] back = marked(packet(side.server(), 8080, side.seen(), port, true, 0, HELLO));
                assertThat(bench.run(tagged(DIRECTOR, SERVER, serverTags, back)).frame())
                        .containsExactly(tagged(
                                ROUTER,
                                DIRECTOR,
                                tags,
                                hop(marked(packet(side.vip(), 80, side.client(), clientPort, true, 0, HELLO)))));
            }
        }
    }

    @Test
    void byAnotherInterfaceAPacketLeavesWithoutItsTags() throws Exception {
        serve(false);
        Side side = Side.of(false, false);
        bench.interfaceOf(0, ELSEWHERE);
        byte[] forth = packet(side.client(), 4000, side.vip(), 80, true, 0, HELLO);
        for (int[] tags : new int[][] {{}, {0x2064}, {0x0c8, 0x2064}}) {
            Out out = bench.run(tagged(DIRECTOR, ROUTER, tags, forth));
            assertThat(out.action()).isEqualTo(XdpAction.REDIRECT);
            assertThat(out.frame())
                    .containsExactly(frame(
                            SERVER, DIRECTOR, hop(packet(side.client(), 4000, side.server(), 8080, true, 0, HELLO))));
        }
    }

    @Test
    void answersFollowTheClientToAnotherRouter() throws Exception {
        serve(false);
        Side side = Side.of(false, false);
        send(side, 4000, true, 0, HELLO);
        byte[] other = hex("020000000002");
        byte[] forth = packet(side.client(), 4000, side.vip(), 80, true, 0, HELLO);
        byte[] back = packet(side.server(), 8080, side.client(), 4000, true, 0, HELLO);
        byte[] expected = frame(other, DIRECTOR, hop(packet(side.vip(), 80, side.client(), 4000, true, 0, HELLO)));
        long deadline = System.nanoTime() + 5_000_000_000L;
        byte[] answer;
        do {
            bench.run(frame(DIRECTOR, other, forth));
            answer = bench.run(frame(DIRECTOR, SERVER, back)).frame();
        } while (!Arrays.equals(answer, expected) && System.nanoTime() < deadline);
        assertThat(answer).containsExactly(expected);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aUdpChecksumOfZeroStaysAndAComputedZeroIsWrittenAsItsOtherForm(boolean full) throws Exception {
        serve(full);
        Side side = Side.of(false, full);
        int port = send(side, 4000, true, 0, HELLO);
        byte[] none = packet(side.client(), 4000, side.vip(), 80, true, 0, HELLO);
        byte[] noneBehind = hop(packet(side.seen(), port, side.server(), 8080, true, 0, HELLO));
        for (byte[] each : new byte[][] {none, noneBehind}) {
            each[26] = 0;
            each[27] = 0;
        }
        assertThat(bench.run(frame(DIRECTOR, ROUTER, none)).frame())
                .containsExactly(frame(SERVER, DIRECTOR, noneBehind));
        // Data that is the checksum of the rest makes a sum of zero.
        byte[] blank = packet(side.seen(), port, side.server(), 8080, true, 0, new byte[2]);
        byte[] data = {blank[26], blank[27]};
        byte[] behind = hop(packet(side.seen(), port, side.server(), 8080, true, 0, data));
        assertThat(behind[26] | behind[27]).isZero();
        behind[26] = -1;
        behind[27] = -1;
        assertThat(bench.run(frame(DIRECTOR, ROUTER, packet(side.client(), 4000, side.vip(), 80, true, 0, data)))
                        .frame())
                .containsExactly(frame(SERVER, DIRECTOR, behind));
    }

    @ParameterizedTest
    @CsvSource({
        "false, false, false", "false, true, false", "true, false, false", "true, true, false",
        "false, false, true", "false, true, true", "true, false, true", "true, true, true"
    })
    void anErrorFromTheNetworkReachesTheServerAboutItsOwnPacket(boolean v6, boolean datagram, boolean full)
            throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        int port = send(side, 4000, datagram, SYN, HELLO);
        send(side, 4000, datagram, ACK, HELLO);
        InetAddress router = address(v6 ? "2001:db8:9::9" : "203.0.113.9");
        byte[] sent = packet(side.vip(), 80, side.client(), 4000, datagram, ACK, new byte[400]);
        byte[] known = packet(side.server(), 8080, side.seen(), port, datagram, ACK, new byte[400]);
        InetAddress from = full ? side.director() : router;
        int header = v6 ? 40 : 20;
        for (int quoted : new int[] {header + 8, header + 16, header + 20, header + 101, header + 400}) {
            for (int type : v6 ? new int[] {1, 2, 3, 4} : new int[] {3, 11, 12}) {
                byte[] error = error(router, side.vip(), type, first(sent, quoted));
                byte[] expected = hop(error(from, side.server(), type, first(known, quoted)));
                Out out = bench.run(frame(DIRECTOR, ROUTER, error));
                assertThat(out.action()).isEqualTo(XdpAction.TX);
                assertThat(out.frame()).containsExactly(frame(SERVER, DIRECTOR, expected));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "false, false, false", "false, true, false", "true, false, false", "true, true, false",
        "false, false, true", "false, true, true", "true, false, true", "true, true, true"
    })
    void anErrorFromTheServersSideReachesTheClientAboutItsOwnPacket(boolean v6, boolean datagram, boolean full)
            throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        int port = send(side, 4000, datagram, SYN, HELLO);
        send(side, 4000, datagram, ACK, HELLO);
        InetAddress router = address(v6 ? "2001:db8:5::9" : "10.0.0.9");
        byte[] sent = packet(side.client(), 4000, side.vip(), 80, datagram, ACK, new byte[400]);
        byte[] seen = packet(side.seen(), port, side.server(), 8080, datagram, ACK, new byte[400]);
        int header = v6 ? 40 : 20;
        for (InetAddress sender : new InetAddress[] {side.server(), router}) {
            for (int quoted : new int[] {header + 8, header + 20, header + 300}) {
                for (int type : v6 ? new int[] {1, 2, 3, 4} : new int[] {3, 11, 12}) {
                    byte[] error = error(sender, side.seen(), type, first(seen, quoted));
                    byte[] expected = hop(error(side.vip(), side.client(), type, first(sent, quoted)));
                    Out out = bench.run(frame(DIRECTOR, SERVER, error));
                    assertThat(out.action()).isEqualTo(XdpAction.TX);
                    assertThat(out.frame()).containsExactly(frame(ROUTER, DIRECTOR, expected));
                }
            }
        }
    }

    private static byte[] error(InetAddress from, InetAddress to, int type, byte[] quoted) {
        boolean v6 = !(to instanceof java.net.Inet4Address);
        return ip(from, to, v6 ? Frames.ICMP6 : Frames.ICMP, icmp(from, to, type, v6 ? 0 : 4, 1400, quoted));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void fragmentsFollowInBothDirections(boolean full) throws Exception {
        serve(full);
        Side side = Side.of(false, full);
        byte[] data = new byte[3000];
        new Random(3).nextBytes(data);
        int port = send(side, 4000, true, 0, HELLO);
        for (int id = 1; id < 10; id++) {
            byte[][] forth = fragments4(side.client(), side.vip(), id, udp(side.client(), 4000, side.vip(), 80, data));
            byte[][] behind =
                    fragments4(side.seen(), side.server(), id, udp(side.seen(), port, side.server(), 8080, data));
            byte[][] back =
                    fragments4(side.server(), side.seen(), id, udp(side.server(), 8080, side.seen(), port, data));
            byte[][] before = fragments4(side.vip(), side.client(), id, udp(side.vip(), 80, side.client(), 4000, data));
            for (int i : new int[] {0, 2, 1}) {
                assertThat(bench.run(frame(DIRECTOR, ROUTER, forth[i])).frame())
                        .containsExactly(frame(SERVER, DIRECTOR, hop(behind[i])));
            }
            for (int i : new int[] {0, 2, 1}) {
                assertThat(bench.run(frame(DIRECTOR, SERVER, back[i])).frame())
                        .containsExactly(frame(ROUTER, DIRECTOR, hop(before[i])));
            }
        }
    }

    private static byte[][] fragments4(InetAddress from, InetAddress to, int id, byte[] datagram) {
        return new byte[][] {
            join(ip4(from, to, 17, 0, id, 0x2000, 63, new byte[0], 1480), first(datagram, 1480)),
            join(ip4(from, to, 17, 0, id, 0x20b9, 63, new byte[0], 1480), Arrays.copyOfRange(datagram, 1480, 2960)),
            join(ip4(from, to, 17, 0, id, 0x0172, 63, new byte[0], 48), tail(datagram, 2960))
        };
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void fragmentsOfIpv6FollowInBothDirections(boolean full) throws Exception {
        serve(full);
        Side side = Side.of(true, full);
        byte[] data = new byte[2000];
        new Random(4).nextBytes(data);
        int port = send(side, 4000, true, 0, HELLO);
        for (int id = 1; id < 10; id++) {
            byte[][] forth = fragments6(side.client(), side.vip(), id, udp(side.client(), 4000, side.vip(), 80, data));
            byte[][] behind =
                    fragments6(side.seen(), side.server(), id, udp(side.seen(), port, side.server(), 8080, data));
            byte[][] back =
                    fragments6(side.server(), side.seen(), id, udp(side.server(), 8080, side.seen(), port, data));
            byte[][] before = fragments6(side.vip(), side.client(), id, udp(side.vip(), 80, side.client(), 4000, data));
            for (int i = 0; i < 2; i++) {
                assertThat(bench.run(frame(DIRECTOR, ROUTER, forth[i])).frame())
                        .containsExactly(frame(SERVER, DIRECTOR, hop(behind[i])));
                assertThat(bench.run(frame(DIRECTOR, SERVER, back[i])).frame())
                        .containsExactly(frame(ROUTER, DIRECTOR, hop(before[i])));
            }
        }
    }

    private static byte[][] fragments6(InetAddress from, InetAddress to, int id, byte[] datagram) {
        int rest = datagram.length - 1400;
        return new byte[][] {
            join(ip6(from, to, 44, 0, 63, 1408), join(new byte[] {17, 0}, shorts(1, 0, id)), first(datagram, 1400)),
            join(
                    ip6(from, to, 44, 0, 63, 8 + rest),
                    join(new byte[] {17, 0}, shorts(1400, 0, id)),
                    tail(datagram, 1400))
        };
    }

    @Test
    void ipOptionsAndExtensionHeadersStay() throws Exception {
        serve(true);
        Side side = Side.of(false, true);
        int port = send(side, 4000, false, SYN, HELLO);
        byte[] options = hex("9404000001010100");
        byte[] segment = tcp(side.client(), 4000, side.vip(), 80, ACK, HELLO);
        byte[] behind = tcp(side.director(), port, side.server(), 8080, ACK, HELLO);
        assertThat(bench.run(frame(
                                DIRECTOR,
                                ROUTER,
                                join(
                                        ip4(side.client(), side.vip(), 6, 0, 9, 0x4000, 63, options, segment.length),
                                        segment)))
                        .frame())
                .containsExactly(frame(
                        SERVER,
                        DIRECTOR,
                        join(
                                ip4(side.director(), side.server(), 6, 0, 9, 0x4000, 62, options, behind.length),
                                behind)));
        Side six = Side.of(true, true);
        serve(true);
        int port6 = send(six, 4000, true, 0, HELLO);
        byte[] headers = hex("3c00010400000000 1100010400000000");
        byte[] datagram = udp(six.client(), 4000, six.vip(), 80, HELLO);
        byte[] behind6 = udp(six.director(), port6, six.server(), 8080, HELLO);
        int length = headers.length + datagram.length;
        assertThat(bench.run(frame(
                                DIRECTOR,
                                ROUTER,
                                join(ip6(six.client(), six.vip(), 0, 0, 63, length), headers, datagram)))
                        .frame())
                .containsExactly(frame(
                        SERVER, DIRECTOR, join(ip6(six.director(), six.server(), 0, 0, 62, length), headers, behind6)));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void aPacketAtTheEndOfItsLifeIsTheKernels(boolean v6, boolean full) throws Exception {
        serve(full);
        Side side = Side.of(v6, full);
        int port = send(side, 4000, true, 0, HELLO);
        for (int hops : new int[] {0, 1}) {
            passes(frame(DIRECTOR, ROUTER, aged(packet(side.client(), 4000, side.vip(), 80, true, 0, HELLO), hops)));
            passes(frame(DIRECTOR, SERVER, aged(packet(side.server(), 8080, side.seen(), port, true, 0, HELLO), hops)));
        }
        assertThat(reason(Reason.PASS_TTL)).isEqualTo(4);
    }

    private static byte[] aged(byte[] packet, int hops) {
        byte[] aged = packet.clone();
        while ((aged[0] >> 4 == 6 ? aged[7] : aged[8]) > hops) {
            aged = hop(aged);
        }
        return aged;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aConnectionIsCountedByWhatBothSidesSay(boolean full) throws Exception {
        serve(full);
        Side side = Side.of(true, full);
        for (int last : new int[] {FIN | ACK, RST}) {
            for (boolean byServer : new boolean[] {false, true}) {
                int clientPort = 4000 + last * 2 + (byServer ? 1 : 0);
                int active = bench.plane().load(0).active();
                int inactive = bench.plane().load(0).inactive();
                int port = send(side, clientPort, false, SYN, new byte[0]);
                assertLoad(active, inactive + 1);
                answer(side, port, clientPort, false, SYN | ACK, new byte[0]);
                assertLoad(active, inactive + 1);
                send(side, clientPort, false, ACK, new byte[0]);
                assertLoad(active + 1, inactive);
                answer(side, port, clientPort, false, ACK, HELLO);
                assertLoad(active + 1, inactive);
                if (byServer) {
                    answer(side, port, clientPort, false, last, HELLO);
                } else {
                    send(side, clientPort, false, last, HELLO);
                }
                assertLoad(active, inactive + 1);
                answer(side, port, clientPort, false, ACK, HELLO);
                send(side, clientPort, false, ACK, HELLO);
                assertLoad(active, inactive + 1);
            }
        }
    }

    private void assertLoad(int active, int inactive) {
        Load load = bench.plane().load(0);
        assertThat(load.active()).isEqualTo(active);
        assertThat(load.inactive()).isEqualTo(inactive);
    }

    @Test
    void expiredConnectionsAreSweptWithTheirCountsAndPorts() throws Exception {
        Side side = Side.of(false, true);
        Vip brief = new Vip(99, 0, 0, 0, 1, 0, Vip.Kind.BY_SLOT_OF_HASH, NAT_FLAGS | Layout.FLAG_FULL_NAT, 1, 1, 1);
        bench.serve(side.vip(), 80, Protocol.TCP, Vip.Kind.BY_SLOT_OF_HASH, 0, 1);
        bench.server(0, Layout.NAT | Layout.FULL_NAT, side.server(), side.director(), 8080, 1500);
        bench.plane().endpoint(new Endpoint(side.vip(), 80, Protocol.TCP), 0, brief);
        for (int port = 1; port <= 200; port++) {
            send(side, port, false, port % 2 == 0 ? SYN : ACK, HELLO);
        }
        assertLoad(100, 100);
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (bench.plane().load(0).active() + bench.plane().load(0).inactive() > 0) {
            assertThat(System.nanoTime()).isLessThan(deadline);
            bench.plane()
                    .sweep(
                            0,
                            bench.plane().buckets(),
                            id -> id == 99,
                            new BitSet(),
                            new BitSet(),
                            (place, expired) -> {});
        }
        assertThat(bench.plane().portsTaken()).isZero();
        send(side, 1, false, SYN, HELLO);
        assertLoad(0, 1);
        assertThat(bench.plane().portsTaken()).isEqualTo(1);
        // An endpoint that is gone takes its connections along.
        bench.plane()
                .sweep(0, bench.plane().buckets(), id -> false, new BitSet(), new BitSet(), (place, expired) -> {});
        assertLoad(0, 0);
        assertThat(bench.plane().portsTaken()).isZero();
    }

    @Test
    void connectionsThatTheServerCouldNotTellApartAreNotBothOpened() throws Exception {
        serve(false);
        Side side = Side.of(false, false);
        bench.serve(new Endpoint(side.vip(), 81, Protocol.TCP), Vip.Kind.BY_SLOT_OF_HASH, flags(false), 1);
        send(side, 4000, false, SYN, HELLO);
        byte[] second = frame(DIRECTOR, ROUTER, packet(side.client(), 4000, side.vip(), 81, false, SYN, HELLO));
        passes(second);
        assertThat(reason(Reason.PASS_NO_PORT)).isEqualTo(1);
        answer(side, 4000, 4000, false, SYN | ACK, HELLO);
        // One that is closing makes way.
        send(side, 4000, false, RST, HELLO);
        assertThat(bench.run(second).action()).isEqualTo(XdpAction.TX);
        byte[] back = packet(side.server(), 8080, side.client(), 4000, false, SYN | ACK, HELLO);
        assertThat(bench.run(frame(DIRECTOR, SERVER, back)).frame())
                .containsExactly(frame(
                        ROUTER, DIRECTOR, hop(packet(side.vip(), 81, side.client(), 4000, false, SYN | ACK, HELLO))));
        assertThat(bench.plane().load(0).inactive()).isEqualTo(1);
    }

    @Test
    void withFullNatTheyAreToldApartByTheirPorts() throws Exception {
        serve(true);
        Side side = Side.of(false, true);
        bench.serve(new Endpoint(side.vip(), 81, Protocol.TCP), Vip.Kind.BY_SLOT_OF_HASH, flags(true), 1);
        int one = send(side, 4000, false, SYN, HELLO);
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet(side.client(), 4000, side.vip(), 81, false, SYN, HELLO)));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(sourcePort(out.frame())).isNotEqualTo(one);
        answer(side, one, 4000, false, SYN | ACK, HELLO);
    }

    @Test
    void everyConnectionHasItsOwnPortAndWithoutOneItIsNotOpened() throws Exception {
        serve(true);
        Side side = Side.of(false, true);
        Map<Integer, byte[]> clientOf = new HashMap<>();
        int opened = 0;
        int refused = 0;
        for (int i = 0; i < 40_000; i++) {
            InetAddress client = address("198.18." + (i >> 8) + "." + (i & 255));
            byte[] forth = packet(client, 4000, side.vip(), 80, true, 0, HELLO);
            Out out = bench.run(frame(DIRECTOR, ROUTER, forth));
            if (out.action() == XdpAction.TX) {
                opened++;
                clientOf.put(sourcePort(out.frame()), client.getAddress());
            } else {
                assertThat(out.frame()).containsExactly(frame(DIRECTOR, ROUTER, forth));
                refused++;
            }
        }
        assertThat(reason(Reason.PASS_NO_PORT)).isEqualTo(refused);
        assertThat(opened).isGreaterThan(25_000);
        Set<Integer> alive = new HashSet<>();
        for (int port = 1000; port < 33_000; port++) {
            byte[] back = packet(side.server(), 8080, side.director(), port, true, 0, HELLO);
            Out out = bench.run(frame(DIRECTOR, SERVER, back));
            if (out.action() == XdpAction.TX) {
                alive.add(port);
                assertThat(Arrays.copyOfRange(out.frame(), 30, 34)).isEqualTo(clientOf.get(port));
            }
        }
        int[] remembered = {0};
        bench.plane().flows(id -> true, flow -> ++remembered[0] > 0);
        // None shares a port with another, so there are as many ports as connections.
        assertThat(alive).hasSize(remembered[0]);
        assertThat(bench.plane().load(0).active()).isEqualTo(remembered[0]);
        assertThat(alive).allMatch(port -> port >= 1024 && port < 32_768);
    }

    @Test
    void aFloodOfSynsLeavesPortsToThoseThatComeAfterIt() throws Exception {
        serve(true);
        Side side = Side.of(false, true);
        Map<Integer, Integer> established = new HashMap<>();
        for (int i = 0; i < 200; i++) {
            int port = send(side, 4000 + i, false, SYN, new byte[0]);
            send(side, 4000 + i, false, ACK, HELLO);
            established.put(4000 + i, port);
        }
        // More than there are ports, none of which is acknowledged.
        Set<Integer> flooded = new HashSet<>();
        for (int i = 0; i < 36_000; i++) {
            InetAddress client = address("198.18." + (i >> 8) + "." + (i & 255));
            Out out = bench.run(frame(DIRECTOR, ROUTER, packet(client, 4000, side.vip(), 80, false, SYN, HELLO)));
            assertThat(out.action()).as("SYN %d", i).isEqualTo(XdpAction.TX);
            flooded.add(sourcePort(out.frame()));
        }
        assertThat(reason(Reason.PASS_NO_PORT)).isZero();
        assertThat(reason(Reason.FLOW_EVICTED)).isPositive();
        assertThat(flooded).hasSizeGreaterThan(25_000).doesNotContainAnyElementsOf(established.values());
        int[] remembered = {0};
        bench.plane().flows(id -> true, flow -> ++remembered[0] > 0);
        assertThat(bench.plane().portsTaken()).isEqualTo(remembered[0]);
        assertLoad(200, remembered[0] - 200);
        // Who comes now gets a connection, and those of before keep theirs.
        int port = send(side, 3000, false, SYN, new byte[0]);
        answer(side, port, 3000, false, SYN | ACK, new byte[0]);
        send(side, 3000, false, ACK, HELLO);
        for (Map.Entry<Integer, Integer> each : established.entrySet()) {
            assertThat(send(side, each.getKey(), false, ACK, HELLO)).isEqualTo(each.getValue());
            answer(side, each.getValue(), each.getKey(), false, ACK, HELLO);
        }
        assertThat(bench.plane().load(0).active()).isEqualTo(201);
    }

    @Test
    void whatIsNotAConnectionsIsTheKernels() throws Exception {
        for (boolean full : new boolean[] {false, true}) {
            serve(full);
            Side side = Side.of(false, full);
            int port = send(side, 4000, false, SYN, HELLO);
            InetAddress other = address("10.0.0.2");
            // The director's own connection to the same server; another server's; another port; another protocol.
            passes(frame(DIRECTOR, SERVER, packet(side.server(), 8080, side.director(), 40_000, false, ACK, HELLO)));
            passes(frame(DIRECTOR, SERVER, packet(side.server(), 8080, side.director(), port ^ 1, false, ACK, HELLO)));
            passes(frame(DIRECTOR, SERVER, packet(other, 8080, side.seen(), port, false, ACK, HELLO)));
            passes(frame(DIRECTOR, SERVER, packet(side.server(), 8081, side.seen(), port, false, ACK, HELLO)));
            passes(frame(DIRECTOR, SERVER, packet(side.server(), 8080, side.seen(), port, true, ACK, HELLO)));
            passes(frame(DIRECTOR, SERVER, packet(side.server(), 8080, other, port, false, ACK, HELLO)));
            byte[] echo = ip(side.server(), side.seen(), Frames.ICMP, icmp(side.server(), side.seen(), 0, 0, 1, HELLO));
            passes(frame(DIRECTOR, SERVER, echo));
        }
    }

    @Test
    void theEndOfAnUnknownConnectionIsTheKernels() throws Exception {
        serve(true);
        Side side = Side.of(false, true);
        passes(frame(DIRECTOR, ROUTER, packet(side.client(), 4000, side.vip(), 80, false, FIN | ACK, HELLO)));
        byte[] quoted = first(packet(side.vip(), 80, side.client(), 4000, false, ACK, HELLO), 28);
        passes(frame(DIRECTOR, ROUTER, error(address("203.0.113.9"), side.vip(), 3, quoted)));
        assertThat(reason(Reason.PASS_NO_FLOW)).isEqualTo(2);
    }

    @Test
    void aWholeAddressKeepsThePortThatWasAskedFor() throws Exception {
        for (boolean full : new boolean[] {false, true}) {
            serve(full, 0, 0);
            Side side = Side.of(true, full);
            for (int asked : new int[] {53, 8000}) {
                byte[] forth = packet(side.client(), 4000 + asked, side.vip(), asked, true, 0, HELLO);
                Out out = bench.run(frame(DIRECTOR, ROUTER, forth));
                int port = full ? sourcePort(out.frame()) : 4000 + asked;
                assertThat(out.frame())
                        .containsExactly(frame(
                                SERVER,
                                DIRECTOR,
                                hop(packet(side.seen(), port, side.server(), asked, true, 0, HELLO))));
                byte[] back = packet(side.server(), asked, side.seen(), port, true, 0, HELLO);
                assertThat(bench.run(frame(DIRECTOR, SERVER, back)).frame())
                        .containsExactly(frame(
                                ROUTER,
                                DIRECTOR,
                                hop(packet(side.vip(), asked, side.client(), 4000 + asked, true, 0, HELLO))));
            }
        }
    }
}

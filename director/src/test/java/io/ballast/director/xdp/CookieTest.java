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
import static io.ballast.director.xdp.Frames.shorts;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.director.xdp.Bench.Out;
import io.ballast.linux.bpf.XdpAction;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Handshakes by SYN cookie, packet by packet and byte for byte; what is expected is built anew. */
final class CookieTest {
    private static final byte[] SERVER = Bench.mac(0);
    private static final byte[] NOTHING = new byte[0];
    private static final int FLAGS = Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER | Layout.FLAG_NAT | Layout.FLAG_COOKIES;
    private static final int ISN = 0xfffffff0;
    private static final int SERVERS_ISN = 0x7ffffffe;
    private static final byte[] MSS_1460 = hex("020405b4");
    private static final byte[] NOPS = hex("01010101");
    /** Of the loopback, which the test's packets come from. */
    private static final int MTU = 65_536;

    private Bench bench;
    private Random random = new Random(3);

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

        InetAddress seen() {
            return full ? director : client;
        }

        boolean v6() {
            return !(vip instanceof Inet4Address);
        }
    }

    private Side serve(boolean v6, boolean full) throws Exception {
        Side side = Side.of(v6, full);
        int flags = FLAGS | (full ? Layout.FLAG_FULL_NAT : 0);
        bench.serve(side.vip(), 80, Protocol.TCP, Vip.Kind.BY_SLOT_OF_HASH, flags, 1);
        bench.server(0, Layout.NAT | (full ? Layout.FULL_NAT : 0), side.server(), side.director(), 8080, 1500);
        return side;
    }

    /** A segment with whatever it says. */
    static byte[] tcp(
            InetAddress from,
            int fromPort,
            InetAddress to,
            int toPort,
            int sequence,
            int acknowledged,
            int flags,
            int window,
            byte[] options,
            byte[] data) {
        byte[] segment = join(
                shorts(
                        fromPort,
                        toPort,
                        sequence >>> 16,
                        sequence,
                        acknowledged >>> 16,
                        acknowledged,
                        ((5 + options.length / 4) << 12) | flags,
                        window,
                        0,
                        0),
                options,
                data);
        byte[] pseudo = join(
                from.getAddress(),
                to.getAddress(),
                from instanceof Inet4Address ? shorts(6, segment.length) : shorts(0, segment.length, 0, 6));
        int sum = Frames.sum(pseudo, segment);
        segment[16] = (byte) (sum >> 8);
        segment[17] = (byte) sum;
        return segment;
    }

    private byte[] fromClient(
            Side side, int port, int sequence, int acknowledged, int flags, byte[] options, byte[] data) {
        byte[] segment = tcp(side.client(), port, side.vip(), 80, sequence, acknowledged, flags, 512, options, data);
        return ip(side.client(), side.vip(), Frames.TCP, segment);
    }

    private byte[] toServer(
            Side side, int port, int sequence, int acknowledged, int flags, byte[] options, byte[] data) {
        byte[] segment = tcp(side.seen(), port, side.server(), 8080, sequence, acknowledged, flags, 512, options, data);
        return hop(ip(side.seen(), side.server(), Frames.TCP, segment));
    }

    private byte[] fromServer(
            Side side, int port, int sequence, int acknowledged, int flags, byte[] options, byte[] data) {
        byte[] segment =
                tcp(side.server(), 8080, side.seen(), port, sequence, acknowledged, flags, 29_200, options, data);
        return ip(side.server(), side.seen(), Frames.TCP, segment);
    }

    private byte[] toClient(
            Side side, int port, int sequence, int acknowledged, int flags, byte[] options, byte[] data) {
        byte[] segment = tcp(side.vip(), 80, side.client(), port, sequence, acknowledged, flags, 29_200, options, data);
        return hop(ip(side.vip(), side.client(), Frames.TCP, segment));
    }

    private Out client(byte[] packet) throws Exception {
        return bench.run(frame(DIRECTOR, ROUTER, packet));
    }

    private Out server(byte[] packet) throws Exception {
        return bench.run(frame(DIRECTOR, SERVER, packet));
    }

    private int remembered() {
        int[] count = {0};
        bench.plane().flows(endpoint -> true, flow -> ++count[0] > 0);
        return count[0];
    }

    private static int intAt(Side side, byte[] frame, int at) {
        return ByteBuffer.wrap(frame).getInt(14 + (side.v6() ? 40 : 20) + at);
    }

    private static int sourcePort(Side side, byte[] frame) {
        return intAt(side, frame, 0) >>> 16;
    }

    /** Sends a SYN, and returns the cookie that it is answered with. */
    private int greet(Side side, int port, byte[] options) throws Exception {
        Out out = client(fromClient(side, port, ISN, 0, SYN, options, NOTHING));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        int cookie = intAt(side, out.frame(), 4);
        int mss = MTU - (side.v6() ? 60 : 40);
        byte[] segment = tcp(
                side.vip(), 80, side.client(), port, cookie, ISN + 1, SYN | ACK, 0, join(shorts(0x0204, mss)), NOTHING);
        byte[] header = side.v6()
                ? ip6(side.vip(), side.client(), Frames.TCP, 0, 64, segment.length)
                : ip4(side.vip(), side.client(), Frames.TCP, 0, 0, 0x4000, 64, NOTHING, segment.length);
        assertThat(out.frame()).containsExactly(frame(ROUTER, DIRECTOR, join(header, segment)));
        return cookie;
    }

    /** Sends the acknowledgement, and returns the port under which the server knows the client by the SYN. */
    private int prove(Side side, int port, int sequence, int cookie, byte[] mss) throws Exception {
        Out out = client(fromClient(side, port, sequence, cookie + 1, ACK, NOTHING, NOTHING));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        int seen = side.full() ? sourcePort(side, out.frame()) : port;
        assertThat(out.frame())
                .containsExactly(frame(SERVER, DIRECTOR, toServer(side, seen, ISN, 0, SYN, mss, NOTHING)));
        return seen;
    }

    private void accept(Side side, int port, int seen, int cookie) throws Exception {
        Out out = server(fromServer(side, seen, SERVERS_ISN, ISN + 1, SYN | ACK, MSS_1460, NOTHING));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame())
                .containsExactly(
                        frame(ROUTER, DIRECTOR, toClient(side, port, cookie + 1, ISN + 1, ACK, NOPS, NOTHING)));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void aClientThatAcknowledgesItsCookieIsConnected(boolean v6, boolean full) throws Exception {
        Side side = serve(v6, full);
        int cookie = greet(
                side,
                4000,
                join(MSS_1460, hex("0402080a00000001000000000103030a").clone()));
        assertThat(remembered()).isZero();
        int seen = prove(side, 4000, ISN + 1, cookie, MSS_1460);
        assertThat(remembered()).isEqualTo(1);
        assertThat(bench.plane().reasonsByService())
                .isEqualTo(Map.of(0, Map.of(DataPlane.Reason.SYN_GREETED, 1L, DataPlane.Reason.SYN_PROVEN, 1L)));
        assertThat(bench.plane().load(0).inactive()).isEqualTo(1);
        accept(side, 4000, seen, cookie);
        assertThat(bench.plane().load(0))
                .isEqualTo(new Load(1, 0, 1, 0, bench.plane().load(0).turn()));
        int sent = ISN + 1;
        int answered = SERVERS_ISN + 1;
        for (int i = 0; i < 200; i++) {
            byte[] data = new byte[random.nextInt(300)];
            random.nextBytes(data);
            int offset = answered - SERVERS_ISN;
            assertThat(client(fromClient(side, 4000, sent, cookie + offset, ACK, NOTHING, data))
                            .frame())
                    .containsExactly(frame(SERVER, DIRECTOR, toServer(side, seen, sent, answered, ACK, NOTHING, data)));
            sent += data.length;
            assertThat(server(fromServer(side, seen, answered, sent, ACK, NOTHING, data))
                            .frame())
                    .containsExactly(
                            frame(ROUTER, DIRECTOR, toClient(side, 4000, cookie + offset, sent, ACK, NOTHING, data)));
            answered += data.length;
        }
    }

    @Test
    void aProbeOfTheClosedWindowMakesTheSynAgainUntilTheServerAnswers() throws Exception {
        Side side = serve(false, true);
        int cookie = greet(side, 4000, MSS_1460);
        int seen = prove(side, 4000, ISN + 1, cookie, MSS_1460);
        assertThat(prove(side, 4000, ISN, cookie, MSS_1460)).isEqualTo(seen);
        assertThat(prove(side, 4000, ISN + 1, cookie, MSS_1460)).isEqualTo(seen);
        accept(side, 4000, seen, cookie);
        // Then it is the server that answers, by an acknowledgement that opens the window.
        assertThat(client(fromClient(side, 4000, ISN, cookie + 1, ACK, NOTHING, NOTHING))
                        .frame())
                .containsExactly(
                        frame(SERVER, DIRECTOR, toServer(side, seen, ISN, SERVERS_ISN + 1, ACK, NOTHING, NOTHING)));
        // The server's SYN-ACK once more is one for the client, which acknowledges it again (RFC 5961 section 4).
        assertThat(server(fromServer(side, seen, SERVERS_ISN, ISN + 1, SYN | ACK, MSS_1460, NOTHING))
                        .frame())
                .containsExactly(
                        frame(ROUTER, DIRECTOR, toClient(side, 4000, cookie, ISN + 1, SYN | ACK, MSS_1460, NOTHING)));
    }

    @Test
    void aServerThatRefusesIsHeard() throws Exception {
        Side side = serve(false, false);
        int cookie = greet(side, 4000, MSS_1460);
        prove(side, 4000, ISN + 1, cookie, MSS_1460);
        assertThat(server(fromServer(side, 4000, 0, ISN + 1, RST | ACK, NOTHING, NOTHING))
                        .frame())
                .containsExactly(frame(
                        ROUTER, DIRECTOR, toClient(side, 4000, cookie + 1, ISN + 1, RST | ACK, NOTHING, NOTHING)));
    }

    @Test
    void theServerIsToldAnMssThatIsNotAboveTheClients() throws Exception {
        Side side = serve(false, false);
        int[][] told = {{535, 536}, {1219, 536}, {1220, 1220}, {1400, 1380}, {1459, 1440}, {1460, 1460}, {9000, 8940}};
        for (int[] pair : told) {
            int cookie = greet(side, 4000 + pair[0], join(NOPS, shorts(0x0204, pair[0])));
            prove(side, 4000 + pair[0], ISN + 1, cookie, shorts(0x0204, pair[1]));
        }
        int cookie = greet(side, 4000, NOTHING);
        prove(side, 4000, ISN + 1, cookie, shorts(0x0204, 536));
    }

    @Test
    void whatProvesNothingIsTheKernelsAndNotRemembered() throws Exception {
        Side side = serve(false, false);
        int cookie = greet(side, 4000, MSS_1460);
        for (int wrong : new int[] {cookie, cookie + 2, cookie + 1 + (1 << 24), cookie + 1 + (2 << 27)}) {
            byte[] packet = fromClient(side, 4000, ISN + 1, wrong, ACK, NOTHING, NOTHING);
            Out out = client(packet);
            assertThat(out.action()).isEqualTo(XdpAction.PASS);
            assertThat(out.frame()).containsExactly(frame(DIRECTOR, ROUTER, packet));
        }
        assertThat(client(fromClient(side, 4001, ISN + 1, cookie + 1, ACK, NOTHING, NOTHING))
                        .action())
                .isEqualTo(XdpAction.PASS);
        assertThat(client(fromClient(side, 4000, ISN + 2, cookie + 1, ACK, NOTHING, NOTHING))
                        .action())
                .isEqualTo(XdpAction.PASS);
        assertThat(remembered()).isZero();
        prove(side, 4000, ISN + 1, cookie, MSS_1460);
    }

    /** The numbers of a connection that came by a cookie, whose server has said {@code said} bytes. */
    private record Connected(int port, int seen, int cookie) {
        int told(int said) {
            return cookie + 1 + said;
        }
    }

    /** The server's number after so many, which wraps. */
    private static int theirs(int after) {
        return SERVERS_ISN + after;
    }

    private Connected connect(Side side, int port) throws Exception {
        int cookie = greet(side, port, MSS_1460);
        int seen = prove(side, port, ISN + 1, cookie, MSS_1460);
        accept(side, port, seen, cookie);
        return new Connected(port, seen, cookie);
    }

    private void goesOn(Side side, Connected it) throws Exception {
        byte[] data = new byte[100];
        random.nextBytes(data);
        assertThat(client(fromClient(side, it.port(), ISN + 1, it.told(7), ACK, NOTHING, data))
                        .frame())
                .containsExactly(
                        frame(SERVER, DIRECTOR, toServer(side, it.seen(), ISN + 1, theirs(8), ACK, NOTHING, data)));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void anErrorAboutTheServersSegmentNamesTheNumberThatTheServerKnows(boolean v6, boolean full) throws Exception {
        Side side = serve(v6, full);
        Connected it = connect(side, 4000);
        byte[] data = new byte[400];
        byte[] sent = ip(
                side.vip(),
                side.client(),
                Frames.TCP,
                tcp(side.vip(), 80, side.client(), 4000, it.told(7), ISN + 1, ACK, 512, NOTHING, data));
        byte[] known = ip(
                side.server(),
                side.seen(),
                Frames.TCP,
                tcp(side.server(), 8080, side.seen(), it.seen(), theirs(8), ISN + 1, ACK, 512, NOTHING, data));
        InetAddress router = address(v6 ? "2001:db8:9::9" : "203.0.113.9");
        int header = v6 ? 40 : 20;
        for (int quoted : new int[] {header + 8, header + 20, header + 101}) {
            Out out = client(error(router, side.vip(), first(sent, quoted)));
            assertThat(out.action()).isEqualTo(XdpAction.TX);
            assertThat(out.frame())
                    .containsExactly(frame(
                            SERVER,
                            DIRECTOR,
                            hop(error(full ? side.director() : router, side.server(), first(known, quoted)))));
        }
    }

    /** Too long for the next hop. */
    private static byte[] error(InetAddress from, InetAddress to, byte[] quoted) {
        boolean v6 = !(to instanceof Inet4Address);
        int type = v6 ? 2 : 3;
        return ip(from, to, v6 ? Frames.ICMP6 : Frames.ICMP, icmp(from, to, type, v6 ? 0 : 4, 1400, quoted));
    }

    @Test
    void numbersAreTranslatedBehindOptionsOfIp() throws Exception {
        Side side = serve(false, false);
        Connected it = connect(side, 4000);
        byte[] data = new byte[50];
        byte[] asked = tcp(side.client(), 4000, side.vip(), 80, ISN + 1, it.told(7), ACK, 512, NOTHING, data);
        byte[] told = tcp(side.client(), 4000, side.server(), 8080, ISN + 1, theirs(8), ACK, 512, NOTHING, data);
        byte[] before = ip4(side.client(), side.vip(), Frames.TCP, 0, 0, 0x4000, 64, NOPS, asked.length);
        byte[] after = ip4(side.client(), side.server(), Frames.TCP, 0, 0, 0x4000, 64, NOPS, told.length);
        assertThat(client(join(before, asked)).frame())
                .containsExactly(frame(SERVER, DIRECTOR, hop(join(after, told))));
    }

    @Test
    void whoHasClosedOrWasEndedOpensAnotherFromTheSamePort() throws Exception {
        Side side = serve(false, false);
        Connected first = connect(side, 4000);
        goesOn(side, first);
        assertThat(client(fromClient(side, 4000, ISN + 1, first.told(7), FIN | ACK, NOTHING, NOTHING))
                        .action())
                .isEqualTo(XdpAction.TX);
        Connected second = connect(side, 4000);
        goesOn(side, second);
        assertThat(remembered()).isEqualTo(1);
        bench.plane().flowsForAnotherThread().visit(place -> place.kill(Integer.MAX_VALUE / 2) >= 0);
        assertThat(client(fromClient(side, 4000, ISN + 1, second.told(7), ACK, NOTHING, NOTHING))
                        .action())
                .isEqualTo(XdpAction.PASS);
        goesOn(side, connect(side, 4000));
        assertThat(remembered()).isEqualTo(1);
    }

    @Test
    void whatCameByACookieGoesOnWhenTheyAreTurnedOff() throws Exception {
        Side side = serve(false, false);
        Connected it = connect(side, 4000);
        int cookie = greet(side, 4001, MSS_1460);
        bench.plane().cookies(0, false);
        // Whoever has a cookie may come, others open connections as ever.
        prove(side, 4001, ISN + 1, cookie, MSS_1460);
        byte[] syn = fromClient(side, 4002, ISN, 0, SYN, MSS_1460, NOTHING);
        assertThat(client(syn).frame())
                .containsExactly(frame(SERVER, DIRECTOR, toServer(side, 4002, ISN, 0, SYN, MSS_1460, NOTHING)));
        goesOn(side, it);
    }

    @Test
    void aFloodIsAnsweredAndNotRemembered() throws Exception {
        Side side = serve(false, true);
        Connected it = connect(side, 4000);
        int flood = Integer.getInteger("ballast.flood", 50_000);
        for (int i = 0; i < flood; i++) {
            InetAddress client = address("198.18." + (i >> 8 & 255) + "." + (i & 255));
            byte[] segment = tcp(client, 1024 + (i >> 16), side.vip(), 80, i, 0, SYN, 512, MSS_1460, NOTHING);
            assertThat(client(ip(client, side.vip(), Frames.TCP, segment)).action())
                    .isEqualTo(XdpAction.TX);
        }
        assertThat(remembered()).isEqualTo(1);
        assertThat(bench.plane().load(0).inactive()).isZero();
        goesOn(side, it);
    }
}

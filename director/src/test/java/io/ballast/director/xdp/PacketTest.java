package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.first;
import static io.ballast.director.xdp.Frames.frame;
import static io.ballast.director.xdp.Frames.hex;
import static io.ballast.director.xdp.Frames.icmp;
import static io.ballast.director.xdp.Frames.ip;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.ip6;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.shorts;
import static io.ballast.director.xdp.Frames.tagged;
import static io.ballast.director.xdp.Frames.tail;
import static io.ballast.director.xdp.Frames.tcp;
import static io.ballast.director.xdp.Frames.udp;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.director.xdp.Bench.Out;
import io.ballast.director.xdp.DataPlane.Reason;
import io.ballast.linux.bpf.XdpAction;
import java.net.InetAddress;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Packets in, packets out, byte for byte, through the kernel. */
final class PacketTest {
    private static final InetAddress CLIENT4 = address("198.51.100.7");
    private static final InetAddress VIP4 = address("192.0.2.1");
    private static final InetAddress CLIENT6 = address("2001:db8:c::7");
    private static final InetAddress VIP6 = address("2001:db8:1::1");
    private static final byte[] HELLO = "hello, server!".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

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

    private static InetAddress client(boolean v6) {
        return v6 ? CLIENT6 : CLIENT4;
    }

    private static InetAddress vip(boolean v6) {
        return v6 ? VIP6 : VIP4;
    }

    private static byte[] packet(boolean v6, boolean datagram) {
        InetAddress client = client(v6);
        InetAddress vip = vip(v6);
        return datagram
                ? ip(client, vip, Frames.UDP, udp(client, 4000, vip, 80, HELLO))
                : ip(client, vip, Frames.TCP, tcp(client, 4000, vip, 80, ACK, HELLO));
    }

    /** One service on every endpoint that the tests use, with one server. */
    private void serve(int flags, String server, String source, int guePort, int mtu) throws Exception {
        for (InetAddress vip : new InetAddress[] {VIP4, VIP6}) {
            for (Endpoint.Protocol protocol : Endpoint.Protocol.values()) {
                bench.serve(new Endpoint(vip, 80, protocol), Vip.Kind.BY_SLOT_OF_HASH, 0, 1);
            }
        }
        bench.server(0, flags, address(server), address(source), guePort, mtu);
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void directRoutingChangesTheFramesAddressesAndNothingElse(boolean v6, boolean datagram) throws Exception {
        serve(0, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] packet = packet(v6, datagram);
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(Bench.mac(0), DIRECTOR, packet));
        assertThat(bench.plane().traffic(0).packets()).isEqualTo(1);
        assertThat(bench.plane().traffic(0).bytes()).isEqualTo(packet.length);
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aTunnelInIpv4(boolean v6, boolean datagram) throws Exception {
        serve(Layout.TUNNEL4, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] packet = packet(v6, datagram);
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        byte[] outer = ip4(
                address("10.0.0.254"), address("10.0.0.1"), v6 ? 41 : 4, 0, 0, 0x4000, 64, new byte[0], packet.length);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(Bench.mac(0), DIRECTOR, join(outer, packet)));
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aTunnelInIpv6(boolean v6, boolean datagram) throws Exception {
        serve(Layout.TUNNEL6, "2001:db8:5::1", "2001:db8:5::fe", 0, 1500);
        byte[] packet = packet(v6, datagram);
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        byte[] outer = ip6(address("2001:db8:5::fe"), address("2001:db8:5::1"), v6 ? 41 : 4, 0, 64, packet.length);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(Bench.mac(0), DIRECTOR, join(outer, packet)));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void gue(boolean outerV6) throws Exception {
        InetAddress server = address(outerV6 ? "2001:db8:5::1" : "10.0.0.1");
        InetAddress director = address(outerV6 ? "2001:db8:5::fe" : "10.0.0.254");
        serve(
                Layout.GUE | (outerV6 ? Layout.TUNNEL6 : Layout.TUNNEL4),
                server.getHostAddress(),
                director.getHostAddress(),
                6080,
                1500);
        byte[] packet = packet(false, false);
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        int at = 14 + (outerV6 ? 40 : 20);
        int sourcePort = ((out.frame()[at] & 0xff) << 8) | (out.frame()[at + 1] & 0xff);
        assertThat(sourcePort).isGreaterThanOrEqualTo(0xc000);
        byte[] inner = join(shorts(sourcePort, 6080, 8 + packet.length, 0), packet);
        byte[] outer = outerV6
                ? ip6(director, server, 17, 0, 64, inner.length)
                : ip4(director, server, 17, 0, 0, 0x4000, 64, new byte[0], inner.length);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(Bench.mac(0), DIRECTOR, join(outer, inner)));
        // Another connection takes another path through the network.
        byte[] other = ip(CLIENT4, VIP4, Frames.TCP, tcp(CLIENT4, 4001, VIP4, 80, ACK, HELLO));
        assertThat(Arrays.copyOfRange(bench.run(frame(DIRECTOR, ROUTER, other)).frame(), at, at + 2))
                .isNotEqualTo(shorts(sourcePort));
    }

    @Test
    void theTunnelCarriesTheTypeOfServiceAndMayBeFragmentedWhereThePacketMay() throws Exception {
        serve(Layout.TUNNEL4, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] segment = tcp(CLIENT4, 4000, VIP4, 80, ACK, HELLO);
        byte[] packet = join(ip4(CLIENT4, VIP4, 6, 0x2e, 9, 0, 63, new byte[0], segment.length), segment);
        byte[] outer = ip4(address("10.0.0.254"), address("10.0.0.1"), 4, 0x2e, 0, 0, 64, new byte[0], packet.length);
        assertThat(bench.run(frame(DIRECTOR, ROUTER, packet)).frame())
                .containsExactly(frame(Bench.mac(0), DIRECTOR, join(outer, packet)));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void vlanTagsStay(int count) throws Exception {
        int[] tags = count == 1 ? new int[] {0x2064} : new int[] {0x0c8, 0x2064};
        byte[] packet = packet(false, false);
        serve(0, "10.0.0.1", "10.0.0.254", 0, 1500);
        assertThat(bench.run(tagged(DIRECTOR, ROUTER, tags, packet)).frame())
                .containsExactly(tagged(Bench.mac(0), DIRECTOR, tags, packet));
        serve(Layout.TUNNEL4, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] outer = ip4(address("10.0.0.254"), address("10.0.0.1"), 4, 0, 0, 0x4000, 64, new byte[0], packet.length);
        assertThat(bench.run(tagged(DIRECTOR, ROUTER, tags, packet)).frame())
                .containsExactly(tagged(Bench.mac(0), DIRECTOR, tags, join(outer, packet)));
    }

    @Test
    void ipOptionsAndExtensionHeadersAreSteppedOver() throws Exception {
        serve(0, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] segment = tcp(CLIENT4, 4000, VIP4, 80, SYN, new byte[0]);
        byte[] options = hex("9404000001010100");
        byte[] packet = join(ip4(CLIENT4, VIP4, 6, 0, 9, 0x4000, 63, options, segment.length), segment);
        assertThat(bench.run(frame(DIRECTOR, ROUTER, packet)).frame())
                .containsExactly(frame(Bench.mac(0), DIRECTOR, packet));
        byte[] datagram = udp(CLIENT6, 4000, VIP6, 80, HELLO);
        byte[] headers = hex("3c00010400000000 1100010400000000");
        byte[] packet6 = join(ip6(CLIENT6, VIP6, 0, 0, 63, headers.length + datagram.length), headers, datagram);
        assertThat(bench.run(frame(DIRECTOR, ROUTER, packet6)).frame())
                .containsExactly(frame(Bench.mac(0), DIRECTOR, packet6));
    }

    @Test
    void everyFragmentGoesWhereTheFirstWent() throws Exception {
        bench.serve(new Endpoint(VIP4, 80, Endpoint.Protocol.UDP), Vip.Kind.IN_TURN, 0, 4);
        bench.serve(new Endpoint(VIP6, 80, Endpoint.Protocol.UDP), Vip.Kind.IN_TURN, 0, 4);
        for (int i = 0; i < 4; i++) {
            bench.server(i, 0, address("10.0.0." + (i + 1)), address("10.0.0.254"), 0, 1500);
        }
        byte[] datagram = udp(CLIENT4, 4000, VIP4, 80, new byte[3000]);
        byte[] datagram6 = udp(CLIENT6, 4000, VIP6, 80, new byte[3000]);
        for (int id = 1; id < 20; id++) {
            byte[] one = join(ip4(CLIENT4, VIP4, 17, 0, id, 0x2000, 63, new byte[0], 1480), first(datagram, 1480));
            byte[] two = join(
                    ip4(CLIENT4, VIP4, 17, 0, id, 0x20b9, 63, new byte[0], 1480),
                    Arrays.copyOfRange(datagram, 1480, 2960));
            byte[] three = join(ip4(CLIENT4, VIP4, 17, 0, id, 0x0172, 63, new byte[0], 48), tail(datagram, 2960));
            byte[] to = first(bench.run(frame(DIRECTOR, ROUTER, one)).frame(), 6);
            for (byte[] later : new byte[][] {three, two}) {
                assertThat(bench.run(frame(DIRECTOR, ROUTER, later)).frame())
                        .containsExactly(frame(to, DIRECTOR, later));
            }
            byte[] head = join(new byte[] {17, 0}, shorts(0x0001, 0, id));
            byte[] one6 = join(ip6(CLIENT6, VIP6, 44, 0, 63, 8 + 1400), head, first(datagram6, 1400));
            byte[] head2 = join(new byte[] {17, 0}, shorts(1400, 0, id));
            byte[] two6 =
                    join(ip6(CLIENT6, VIP6, 44, 0, 63, 8 + 1000), head2, Arrays.copyOfRange(datagram6, 1400, 2400));
            byte[] to6 = first(bench.run(frame(DIRECTOR, ROUTER, one6)).frame(), 6);
            assertThat(bench.run(frame(DIRECTOR, ROUTER, two6)).frame()).containsExactly(frame(to6, DIRECTOR, two6));
        }
        // One whose beginning did not come this way is the kernel's.
        byte[] stray = join(ip4(CLIENT4, VIP4, 17, 0, 999, 0x0172, 63, new byte[0], 48), tail(datagram, 2960));
        assertThat(bench.run(frame(DIRECTOR, ROUTER, stray)).action()).isEqualTo(XdpAction.PASS);
        assertThat(bench.plane().reasons().get(Reason.PASS_FRAGMENT)).isEqualTo(1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void anIcmpErrorGoesToTheServerOfTheConnectionThatItIsAbout(boolean v6) throws Exception {
        InetAddress client = client(v6);
        InetAddress vip = vip(v6);
        InetAddress hop = address(v6 ? "2001:db8:9::9" : "203.0.113.9");
        bench.serve(new Endpoint(vip, 80, Endpoint.Protocol.TCP), Vip.Kind.BY_SLOT_OF_HASH, Layout.FLAG_HASH_PORT, 50);
        for (int i = 0; i < 50; i++) {
            bench.server(i, 0, address("10.0.0." + (i + 1)), address("10.0.0.254"), 0, 1500);
        }
        for (int port = 2000; port < 2100; port++) {
            byte[] forth = ip(client, vip, Frames.TCP, tcp(client, port, vip, 80, ACK, HELLO));
            byte[] to = first(bench.run(frame(DIRECTOR, ROUTER, forth)).frame(), 6);
            byte[] back = ip(vip, client, Frames.TCP, tcp(vip, 80, client, port, ACK, new byte[500]));
            for (int type : v6 ? new int[] {1, 2, 3, 4} : new int[] {3, 11, 12}) {
                byte[] error = ip(
                        hop,
                        vip,
                        v6 ? Frames.ICMP6 : Frames.ICMP,
                        icmp(hop, vip, type, v6 ? 0 : 4, 1400, first(back, v6 ? 200 : 28)));
                Out out = bench.run(frame(DIRECTOR, ROUTER, error));
                assertThat(out.action()).isEqualTo(XdpAction.TX);
                assertThat(out.frame()).containsExactly(frame(to, DIRECTOR, error));
            }
        }
        byte[] echo = ip(hop, vip, v6 ? Frames.ICMP6 : Frames.ICMP, icmp(hop, vip, v6 ? 128 : 8, 0, 1, new byte[56]));
        assertThat(bench.run(frame(DIRECTOR, ROUTER, echo)).action()).isEqualTo(XdpAction.PASS);
    }

    @Test
    void whatIsTooLongForTheTunnelIsAnsweredByFragmentationNeeded() throws Exception {
        serve(Layout.TUNNEL4, "10.0.0.1", "10.0.0.254", 0, 1500);
        byte[] fits = ip(CLIENT4, VIP4, Frames.TCP, tcp(CLIENT4, 4000, VIP4, 80, ACK, new byte[1440]));
        assertThat(bench.run(frame(DIRECTOR, ROUTER, fits)).frame()).hasSize(14 + 1500);
        byte[] packet = ip(CLIENT4, VIP4, Frames.TCP, tcp(CLIENT4, 4000, VIP4, 80, ACK, new byte[1441]));
        for (int[] tags : new int[][] {{}, {0x2064}}) {
            Out out = bench.run(tagged(DIRECTOR, ROUTER, tags, packet));
            byte[] message = icmp(VIP4, CLIENT4, 3, 4, 1480, first(packet, 128));
            byte[] answer = join(ip4(VIP4, CLIENT4, 1, 0, 0, 0x4000, 64, new byte[0], message.length), message);
            assertThat(out.action()).isEqualTo(XdpAction.TX);
            assertThat(out.frame()).containsExactly(tagged(ROUTER, DIRECTOR, tags, answer));
        }
        assertThat(bench.plane().reasons().get(Reason.DROP_TOO_BIG)).isEqualTo(2);
    }

    @Test
    void whatIsTooLongForTheTunnelIsAnsweredByPacketTooBig() throws Exception {
        serve(Layout.TUNNEL6, "2001:db8:5::1", "2001:db8:5::fe", 0, 1500);
        byte[] packet = ip(CLIENT6, VIP6, Frames.TCP, tcp(CLIENT6, 4000, VIP6, 80, ACK, new byte[1401]));
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        byte[] message = icmp(VIP6, CLIENT6, 2, 0, 1460, first(packet, 256));
        byte[] answer = join(ip6(VIP6, CLIENT6, Frames.ICMP6, 0, 64, message.length), message);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(ROUTER, DIRECTOR, answer));
    }

    @Test
    void whatIsNotAServicesPassesUntouched() throws Exception {
        serve(Layout.TUNNEL4, "10.0.0.1", "10.0.0.254", 0, 1500);
        InetAddress other = address("192.0.2.2");
        byte[][] packets = {
            ip(CLIENT4, VIP4, Frames.TCP, tcp(CLIENT4, 4000, VIP4, 81, ACK, HELLO)),
            ip(CLIENT4, other, Frames.TCP, tcp(CLIENT4, 4000, other, 80, ACK, HELLO)),
            ip(CLIENT4, VIP4, 47, HELLO),
            ip(CLIENT4, VIP4, Frames.ICMP, icmp(CLIENT4, VIP4, 8, 0, 1, HELLO)),
            ip(CLIENT6, VIP6, 59, new byte[0]),
            first(packet(false, false), 30),
            first(packet(true, true), 44),
        };
        for (byte[] packet : packets) {
            byte[] frame = frame(DIRECTOR, ROUTER, packet);
            Out out = bench.run(frame);
            assertThat(out.action()).isEqualTo(XdpAction.PASS);
            assertThat(out.frame()).containsExactly(frame);
        }
        byte[] arp = join(DIRECTOR, ROUTER, hex("0806 0001 0800 0604 0001"), new byte[20]);
        assertThat(bench.run(arp).frame()).containsExactly(arp);
    }

    /** The number of the server that a packet to the port goes to, or -1 where it is left alone; always as it came. */
    private int serverAt(boolean v6, boolean datagram, int port) throws Exception {
        InetAddress client = client(v6);
        InetAddress vip = vip(v6);
        byte[] packet = datagram
                ? ip(client, vip, Frames.UDP, udp(client, 4000, vip, port, HELLO))
                : ip(client, vip, Frames.TCP, tcp(client, 4000, vip, port, ACK, HELLO));
        Out out = bench.run(frame(DIRECTOR, ROUTER, packet));
        if (out.action() == XdpAction.PASS) {
            assertThat(out.frame()).containsExactly(frame(DIRECTOR, ROUTER, packet));
            return -1;
        }
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        assertThat(out.frame()).containsExactly(frame(Bench.mac(Bench.serverOf(out)), DIRECTOR, packet));
        return Bench.serverOf(out);
    }

    private void serveOnTheLink(int servers) {
        for (int i = 0; i < servers; i++) {
            bench.server(i, 0, address("10.0.0." + (i + 1)), address("10.0.0.254"), 0, 1500);
        }
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void aPortOfItsOwnGoesBeforeARangeAndARangeBeforeTheWholeAddress(boolean v6, boolean datagram) throws Exception {
        Endpoint.Protocol protocol = datagram ? Endpoint.Protocol.UDP : Endpoint.Protocol.TCP;
        bench.serveOne(new Endpoint(vip(v6), 8005, protocol), 0, 1, 0);
        for (int range = 1; range < Layout.RANGES; range++) {
            bench.serveOne(
                    new Endpoint(vip(v6), 7000 + range * 1000, 7999 + range * 1000, protocol), range, range + 1, 0);
        }
        serveOnTheLink(Layout.RANGES + 2);
        assertThat(serverAt(v6, datagram, 8005)).isEqualTo(1);
        for (int range = 1; range < Layout.RANGES; range++) {
            for (int port : new int[] {7000 + range * 1000, 7500 + range * 1000, 7999 + range * 1000}) {
                assertThat(serverAt(v6, datagram, port)).isEqualTo(range + 1);
            }
        }
        for (int port : new int[] {0, 1, 7999, 15_000, 65_535}) {
            assertThat(serverAt(v6, datagram, port)).as("port " + port).isEqualTo(-1);
            // The other protocol has no endpoint at all.
            assertThat(serverAt(v6, !datagram, 8000)).isEqualTo(-1);
        }
        bench.serveOne(new Endpoint(vip(v6), 1, 65_535, protocol), Layout.RANGES, Layout.RANGES + 1, 0);
        for (int port : new int[] {1, 7999, 15_000, 65_535}) {
            assertThat(serverAt(v6, datagram, port)).isEqualTo(Layout.RANGES + 1);
        }
        assertThat(serverAt(v6, datagram, 8005)).isEqualTo(1);
        assertThat(serverAt(v6, datagram, 14_999)).isEqualTo(Layout.RANGES);
        // There is no port 0 (RFC 6335 section 6).
        assertThat(serverAt(v6, datagram, 0)).isEqualTo(-1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void fragmentsAndIcmpErrorsFindARangeAsWell(boolean v6) throws Exception {
        InetAddress client = client(v6);
        InetAddress vip = vip(v6);
        InetAddress hop = address(v6 ? "2001:db8:9::9" : "203.0.113.9");
        bench.serve(new Endpoint(vip, 8000, 8999, Endpoint.Protocol.UDP), Vip.Kind.BY_SLOT_OF_HASH, 0, 1);
        serveOnTheLink(1);
        byte[] datagram = udp(client, 4000, vip, 8642, new byte[2000]);
        byte[][] pieces = v6
                ? new byte[][] {
                    join(
                            ip6(client, vip, 44, 0, 63, 8 + 1400),
                            new byte[] {17, 0},
                            shorts(0x0001, 0, 5),
                            first(datagram, 1400)),
                    join(
                            ip6(client, vip, 44, 0, 63, 8 + 608),
                            new byte[] {17, 0},
                            shorts(1400, 0, 5),
                            tail(datagram, 1400))
                }
                : new byte[][] {
                    join(ip4(client, vip, 17, 0, 5, 0x2000, 63, new byte[0], 1480), first(datagram, 1480)),
                    join(ip4(client, vip, 17, 0, 5, 0x00b9, 63, new byte[0], 528), tail(datagram, 1480))
                };
        for (byte[] piece : pieces) {
            assertThat(bench.run(frame(DIRECTOR, ROUTER, piece)).frame())
                    .containsExactly(frame(Bench.mac(0), DIRECTOR, piece));
        }
        for (int port : new int[] {8000, 8999, 9000}) {
            byte[] back = ip(vip, client, Frames.UDP, udp(vip, port, client, 4000, new byte[500]));
            byte[] error = ip(
                    hop,
                    vip,
                    v6 ? Frames.ICMP6 : Frames.ICMP,
                    icmp(hop, vip, v6 ? 1 : 3, v6 ? 4 : 3, 0, first(back, v6 ? 200 : 28)));
            Out out = bench.run(frame(DIRECTOR, ROUTER, error));
            assertThat(out.action()).isEqualTo(port < 9000 ? XdpAction.TX : XdpAction.PASS);
            assertThat(out.frame())
                    .containsExactly(
                            port < 9000 ? frame(Bench.mac(0), DIRECTOR, error) : frame(DIRECTOR, ROUTER, error));
        }
    }

    @Test
    void aServerWithoutAKnownNextHopIsLeftToTheKernelAndCounted() throws Exception {
        serve(0, "10.0.0.1", "10.0.0.254", 0, 1500);
        bench.unready(0);
        byte[] frame = frame(DIRECTOR, ROUTER, packet(false, false));
        assertThat(bench.run(frame).action()).isEqualTo(XdpAction.PASS);
        assertThat(bench.plane().reasons().get(Reason.PASS_NO_NEXT_HOP)).isEqualTo(1);
    }
}

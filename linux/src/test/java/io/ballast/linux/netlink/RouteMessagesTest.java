package io.ballast.linux.netlink;

import static io.ballast.linux.netlink.NetlinkMessageTest.bytes;
import static io.ballast.linux.netlink.NetlinkMessageTest.hex;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.netlink.NetlinkMessage.Writer;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RouteMessagesTest {
    private static final InetAddress SIX = InetAddress.ofLiteral("2001:db8::6");

    private static InetAddress ip(String text) {
        return InetAddress.ofLiteral(text);
    }

    /** As {@link Netlink} sends it: with acknowledgement where it is a change, and the sequence number of the capture. */
    private static String change(Writer request) {
        return hex(request.flag(NetlinkMessage.NLM_F_ACK).finish(0x6b018363));
    }

    private static String ask(Writer request) {
        return hex(request.finish(0x6b018363));
    }

    private static String captured(String bytes) {
        return bytes.replaceAll("\\s", "");
    }

    // What ip(8) of iproute2 6.1.0 sends for the same, as strace shows it.

    @Test
    void virtualLinksAreMadeAsIpMakesThem() {
        assertThat(change(RouteMessages.newLink(new NewLink.Dummy("d0")))).isEqualTo(captured("""
                                38 00 00 00 10 00 05 06  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                07 00 03 00 64 30 00 00  10 00 12 00 09 00 01 00
                                64 75 6d 6d 79 00 00 00
                                """));
        assertThat(change(RouteMessages.newLink(new NewLink.Tunnel("t0", NewLink.Tunnel.Kind.IPIP, null, null, true))))
                .isEqualTo(captured("""
                                44 00 00 00 10 00 05 06  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                07 00 03 00 74 30 00 00  1c 00 12 00 08 00 01 00
                                69 70 69 70 10 00 02 00  05 00 09 00 00 00 00 00
                                04 00 13 00
                                """));
        assertThat(change(
                        RouteMessages.newLink(new NewLink.Tunnel("t1", NewLink.Tunnel.Kind.IP6TNL, null, null, true))))
                .isEqualTo(captured("""
                                48 00 00 00 10 00 05 06  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                07 00 03 00 74 31 00 00  20 00 12 00 0a 00 01 00
                                69 70 36 74 6e 6c 00 00  10 00 02 00 05 00 09 00
                                00 00 00 00 04 00 13 00
                                """));
        assertThat(change(RouteMessages.newLink(new NewLink.Veth("v0", "v1", null))))
                .isEqualTo(captured("""
                                54 00 00 00 10 00 05 06  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                07 00 03 00 76 30 00 00  2c 00 12 00 08 00 01 00
                                76 65 74 68 20 00 02 00  1c 00 01 00 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 07 00 03 00
                                76 31 00 00
                                """));
        assertThat(change(RouteMessages.newLink(new NewLink.Macvlan("m0", 1, NewLink.Macvlan.Mode.PRIVATE, null))))
                .isEqualTo(captured("""
                                4c 00 00 00 10 00 05 06  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                08 00 05 00 01 00 00 00  07 00 03 00 6d 30 00 00
                                1c 00 12 00 0b 00 01 00  6d 61 63 76 6c 61 6e 00
                                0c 00 02 00 08 00 01 00  01 00 00 00
                                """));
    }

    @Test
    void tunnelWithAddressesNamesThem() throws Exception {
        byte[] four = RouteMessages.newLink(
                        new NewLink.Tunnel("t2", NewLink.Tunnel.Kind.IPIP, ip("192.0.2.1"), ip("192.0.2.2"), false))
                .finish(1);
        // The data as ip(8) sends them first: protocol, local, remote.
        assertThat(hex(four)).endsWith("1c000200" + "0500090000000000" + "08000200c0000201" + "08000300c0000202");
        byte[] six = RouteMessages.newLink(new NewLink.Tunnel("t3", NewLink.Tunnel.Kind.IP6TNL, SIX, null, false))
                .finish(1);
        assertThat(hex(six))
                .endsWith("28000200" + "0500090000000000" + "0800080001000000"
                        + "1400020020010db8000000000000000000000006");
        assertThatThrownBy(() -> new NewLink.Tunnel("t4", NewLink.Tunnel.Kind.IPIP, ip("192.0.2.1"), null, true))
                .hasMessage("tunnel t4: external, yet with addresses");
    }

    @Test
    void linksAreChangedAndAskedForAsByIp() {
        assertThat(change(RouteMessages.setMtu(1, 1400))).isEqualTo(captured("""
                                28 00 00 00 10 00 05 00  63 83 01 6b 00 00 00 00
                                00 00 00 00 01 00 00 00  00 00 00 00 00 00 00 00
                                08 00 04 00 78 05 00 00
                                """));
        assertThat(change(RouteMessages.setUp(1, true))).isEqualTo(captured("""
                                20 00 00 00 10 00 05 00  63 83 01 6b 00 00 00 00
                                00 00 00 00 01 00 00 00  01 00 00 00 01 00 00 00
                                """));
        // ip(8) also asks for virtual functions (09 where 08 is).
        assertThat(ask(RouteMessages.getLink("lo"))).isEqualTo(captured("""
                                30 00 00 00 12 00 01 00  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                08 00 1d 00 08 00 00 00  07 00 03 00 6c 6f 00 00
                                """));
        assertThat(ask(RouteMessages.getLinks())).isEqualTo(captured("""
                                28 00 00 00 12 00 01 03  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
                                08 00 1d 00 08 00 00 00
                                """));
    }

    @Test
    void namesThatTheKernelCutsAreRefused() {
        assertThatThrownBy(() -> RouteMessages.getLink("sixteen-bytes-up"))
                .hasMessage("interface name 'sixteen-bytes-up': 1 to 15 bytes, not 16");
        assertThatThrownBy(() -> RouteMessages.newLink(new NewLink.Dummy("")))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void addressesAreAddedAsByIp() {
        Address temporary = Address.of(1, ip("192.0.2.6"), 25)
                .withScope(Scope.HOST)
                .withLifetime(Duration.ZERO, Duration.ofMillis(29_001));
        assertThat(change(RouteMessages.addAddress(temporary, false))).isEqualTo(captured("""
                                3c 00 00 00 14 00 05 06  63 83 01 6b 00 00 00 00
                                02 19 00 fe 01 00 00 00  08 00 02 00 c0 00 02 06
                                08 00 01 00 c0 00 02 06  14 00 06 00 00 00 00 00
                                1e 00 00 00 00 00 00 00  00 00 00 00
                                """));
        assertThat(change(
                        RouteMessages.addAddress(Address.of(1, SIX, 128).withFlags(Set.of(Address.Flag.NODAD)), false)))
                .isEqualTo(captured("""
                                40 00 00 00 14 00 05 06  63 83 01 6b 00 00 00 00
                                0a 80 02 00 01 00 00 00  14 00 02 00 20 01 0d b8
                                00 00 00 00 00 00 00 00  00 00 00 06 14 00 01 00
                                20 01 0d b8 00 00 00 00  00 00 00 00 00 00 00 06
                                """));
    }

    @Test
    void neighboursAreAskedForAsByIp() {
        // ip(8) adds with NLM_F_EXCL and leaves NTF_USE out: "06" and "00" in their places.
        assertThat(change(RouteMessages.useNeighbour(1, ip("192.0.2.7"), true))).isEqualTo(captured("""
                                2c 00 00 00 1c 00 05 04  63 83 01 6b 00 00 00 00
                                02 00 00 00 01 00 00 00  00 00 01 00 08 00 01 00
                                c0 00 02 07 08 00 0f 00  01 00 00 00
                                """));
        assertThat(ask(RouteMessages.getNeighbour(1, ip("192.0.2.1")))).isEqualTo(captured("""
                                24 00 00 00 1e 00 01 00  63 83 01 6b 00 00 00 00
                                02 00 00 00 01 00 00 00  00 00 00 00 08 00 01 00
                                c0 00 02 01
                                """));
        assertThat(ask(RouteMessages.getNeighbours())).isEqualTo(captured("""
                                1c 00 00 00 1e 00 01 03  63 83 01 6b 00 00 00 00
                                00 00 00 00 00 00 00 00  00 00 00 00
                                """));
    }

    @Test
    void routesAreAddedAndAskedForAsByIp() {
        Route route = Route.to(new Prefix(ip("192.0.2.0"), 24), 1, ip("127.0.0.1"))
                .withTable(1000)
                .withLimits(1400, 1360);
        // ip(8) calls itself "boot", 3, where this says "static", 4.
        assertThat(change(RouteMessages.addRoute(route, false))).isEqualTo(captured("""
                                50 00 00 00 18 00 05 06  63 83 01 6b 00 00 00 00
                                02 18 00 00 00 04 00 01  00 00 00 00 08 00 01 00
                                c0 00 02 00 08 00 05 00  7f 00 00 01 08 00 0f 00
                                e8 03 00 00 08 00 04 00  01 00 00 00 14 00 08 00
                                08 00 02 00 78 05 00 00  08 00 08 00 50 05 00 00
                                """));
        assertThat(ask(RouteMessages.getRoute(ip("192.0.2.1")))).isEqualTo(captured("""
                                24 00 00 00 1a 00 01 00  63 83 01 6b 00 00 00 00
                                02 20 00 00 00 00 00 00  00 10 00 00 08 00 01 00
                                c0 00 02 01
                                """));
        assertThat(ask(RouteMessages.getRoute(ip("2001:db8::1")))).isEqualTo(captured("""
                                30 00 00 00 1a 00 01 00  63 83 01 6b 00 00 00 00
                                0a 80 00 00 00 00 00 00  00 00 00 00 14 00 01 00
                                20 01 0d b8 00 00 00 00  00 00 00 00 00 00 00 01
                                """));
    }

    // Reading.

    private static NetlinkMessage message(int type, Writer content) throws MalformedMessageException {
        NetlinkMessage message = NetlinkMessage.split(
                        ByteBuffer.wrap(content.finish(0)).order(ByteOrder.nativeOrder()))
                .getFirst();
        return new NetlinkMessage(type, 0, 0, message.body());
    }

    @Test
    void linkIsReadWithItsXdpProgramAndPeer() throws Exception {
        Writer writer = new Writer(16, 0)
                .u8(0)
                .u8(0)
                .u16(1)
                .i32(7)
                .i32(0x1043)
                .i32(0)
                .attribute(3, "eth0")
                .attributeI32(4, 1500)
                .attribute(1, new byte[] {2, 0, 0, 0, 0, 1})
                .attributeI32(5, 9)
                .attributeI32(37, 0)
                .attributeI32(10, 12);
        writer.attribute(20, "uplink");
        int info = writer.begin(18);
        writer.attribute(1, "veth").end(info);
        int xdp = writer.begin(43 | 0x8000);
        writer.attributeU8(2, 1).attributeI32(4, 55).attributeI32(5, 55).end(xdp);
        Link link = RouteMessages.link(message(16, writer));
        assertThat(link)
                .isEqualTo(new Link(
                        7,
                        "eth0",
                        1,
                        MacAddress.parse("02:00:00:00:00:01"),
                        1500,
                        true,
                        true,
                        true,
                        "veth",
                        "uplink",
                        12,
                        9,
                        true,
                        new Link.Xdp(Link.Xdp.Mode.DRIVER, 55)));
        assertThat(link).isNotNull();
        assertThat(link.isEthernet()).isTrue();
    }

    @Test
    void whatIsNotOfTheKindIsPassedOver() throws Exception {
        Writer port = new Writer(16, 0).u8(7).u8(0).u16(1).i32(7).i32(0).i32(0);
        assertThat(RouteMessages.link(message(17, port)))
                .describedAs("a bridge's port")
                .isNull();
        Writer entry = new Writer(28, 0).u8(7).u8(0).u16(0).i32(7).u16(2).u8(0).u8(0);
        assertThat(RouteMessages.neighbour(message(28, entry)))
                .describedAs("a bridge's forwarding entry")
                .isNull();
        assertThat(RouteMessages.link(message(28, entry))).isNull();
        assertThat(RouteMessages.events(ByteBuffer.wrap(entry.finish(0)).order(ByteOrder.nativeOrder())))
                .isEmpty();
    }

    @Test
    void routeOfSeveralWaysAndAForeignGatewayIsRead() throws Exception {
        Writer writer = new Writer(24, 0)
                .u8(2)
                .u8(0)
                .u8(0)
                .u8(0)
                .u8(254)
                .u8(3)
                .u8(0)
                .u8(1)
                .i32(0)
                .attributeI32(15, 254);
        int several = writer.begin(9);
        writer.u16(16).u8(0).u8(0).i32(3).attribute(5, ip("192.0.2.1"));
        writer.u16(30).u8(0).u8(0).i32(4);
        int via = writer.begin(18);
        writer.u16(10);
        for (byte part : SIX.getAddress()) {
            writer.u8(part);
        }
        writer.end(via).end(several);
        Route route = RouteMessages.route(message(24, writer));
        assertThat(route).isNotNull();
        assertThat(route.destination()).hasToString("0.0.0.0/0");
        assertThat(route.hops()).containsExactly(new Route.Hop(3, ip("192.0.2.1")), new Route.Hop(4, SIX));
        assertThat(route.table()).isEqualTo(Route.MAIN);
    }

    @Test
    void malformedDatagramBecomesALoss() {
        assertThat(RouteMessages.events(bytes("11000000 1000 0000 00000000 00000000")))
                .containsExactly(new RouteEvent.Lost("malformed netlink message: length 17 where 16 bytes are"));
        assertThat(RouteMessages.events(bytes("10000000 0400 0000 00000000 00000000")))
                .containsExactly(new RouteEvent.Lost("the kernel dropped messages"));
        // A neighbour in two states at once.
        assertThat(RouteMessages.events(
                        bytes("24000000 1c00 0000 00000000 00000000 02000000 01000000 03000000 08000100 c0000201")))
                .containsExactly(new RouteEvent.Lost("malformed netlink message: a neighbour in state 0x3"));
    }

    // Whatever comes, nothing but events and MalformedMessageException.

    private static List<byte[]> corpus() {
        Writer link =
                new Writer(16, 0).u8(0).u8(0).u16(1).i32(7).i32(0x43).i32(0).attribute(3, "eth0");
        int info = link.begin(18);
        link.attribute(1, "veth").end(info);
        int xdp = link.begin(43);
        link.attributeU8(2, 1).attributeI32(4, 55).end(xdp);
        Writer address = RouteMessages.addAddress(
                Address.of(1, SIX, 64).withLifetime(Duration.ofSeconds(5), Duration.ofSeconds(9)), true);
        Writer neighbour =
                new Writer(28, 0).u8(2).u8(0).u16(0).i32(3).u16(2).u8(0).u8(1);
        neighbour.attribute(1, ip("192.0.2.1")).attribute(2, new byte[6]).attributeI32(15, 1);
        Writer route = RouteMessages.addRoute(
                Route.to(new Prefix(ip("192.0.2.0"), 24), 1, SIX).withLimits(1400, 1360), true);
        Writer several = new Writer(24, 0).u8(10).u8(0).u16(0).i32(0x01000000).i32(0);
        int hops = several.begin(9);
        several.u16(28).u16(0).i32(3).attribute(5, SIX).end(hops);
        return List.of(link.finish(0), address.finish(0), neighbour.finish(0), route.finish(0), several.finish(0));
    }

    private static void readAll(byte[] bytes) {
        ByteBuffer datagram = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
        RouteMessages.events(datagram.duplicate().order(datagram.order()));
        try {
            for (NetlinkMessage message : NetlinkMessage.split(datagram)) {
                List<Netlink.Reader<?>> readers = List.of(
                        RouteMessages::link,
                        RouteMessages::address,
                        RouteMessages::neighbour,
                        RouteMessages::route,
                        NetlinkMessage::explanation,
                        NetlinkMessage::result);
                for (Netlink.Reader<?> reader : readers) {
                    try {
                        reader.read(message);
                    } catch (MalformedMessageException e) {
                        // as it should be
                    }
                }
            }
        } catch (MalformedMessageException e) {
            // as it should be
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void readersSurviveDamagedMessages(long seed) {
        Random random = new Random(seed);
        List<byte[]> corpus = corpus();
        for (int i = 0; i < 10_000; i++) {
            byte[] bytes = corpus.get(random.nextInt(corpus.size())).clone();
            int damages = 1 + random.nextInt(4);
            for (int d = 0; d < damages; d++) {
                int at = random.nextInt(bytes.length);
                bytes[at] = random.nextBoolean() ? (byte) random.nextInt() : (byte) (bytes[at] + random.nextInt(9) - 4);
            }
            if (random.nextInt(4) == 0) {
                bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length + 8));
            }
            try {
                readAll(bytes);
            } catch (RuntimeException e) {
                throw new AssertionError("seed " + seed + ", run " + i + ": " + hex(bytes), e);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {4, 5})
    void readersSurviveRandomBytes(long seed) {
        Random random = new Random(seed);
        int[] types = {2, 3, 16, 17, 20, 21, 24, 25, 28, 29, 32};
        for (int i = 0; i < 10_000; i++) {
            byte[] bytes = new byte[16 + random.nextInt(200)];
            random.nextBytes(bytes);
            ByteBuffer header = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
            header.putInt(bytes.length).putShort((short) types[random.nextInt(types.length)]);
            if (bytes.length > 16) {
                bytes[16] = (byte) List.of(0, 2, 10).get(random.nextInt(3)).intValue();
            }
            try {
                readAll(bytes);
            } catch (RuntimeException e) {
                throw new AssertionError("seed " + seed + ", run " + i + ": " + hex(bytes), e);
            }
        }
    }

    @Test
    void everyEventIsRead() {
        List<RouteEvent> events = new ArrayList<>();
        for (byte[] datagram : corpus()) {
            events.addAll(RouteMessages.events(ByteBuffer.wrap(datagram).order(ByteOrder.nativeOrder())));
        }
        assertThat(events)
                .extracting(event -> (Object) event.getClass())
                .containsExactly(
                        RouteEvent.LinkChanged.class,
                        RouteEvent.AddressChanged.class,
                        RouteEvent.NeighbourChanged.class,
                        RouteEvent.RouteChanged.class,
                        RouteEvent.RouteChanged.class);
    }
}

package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
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
import static io.ballast.director.xdp.Frames.tagged;
import static io.ballast.director.xdp.Frames.tail;
import static io.ballast.director.xdp.Frames.udp;
import static io.ballast.director.xdp.QuicDatagrams.HANDSHAKE;
import static io.ballast.director.xdp.QuicDatagrams.INITIAL;
import static io.ballast.director.xdp.QuicDatagrams.VERSION_1;
import static io.ballast.director.xdp.QuicDatagrams.VERSION_2;
import static io.ballast.director.xdp.QuicDatagrams.ZERO_RTT;
import static io.ballast.director.xdp.QuicDatagrams.longHeader;
import static io.ballast.director.xdp.QuicDatagrams.shortHeader;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.xdp.Bench.Out;
import io.ballast.linux.bpf.XdpAction;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Datagrams of QUIC through the kernel: to the server that their connection ID names, or where others would go. */
final class QuicTest {
    private static final int PORT = 443;
    /** The same table, and nobody looks at connection IDs. */
    private static final int PLAIN_PORT = 444;

    private static final int SERVERS = 4;
    private static final int CONFIG = 2;
    private static final QuicIds IDS = QuicIds.plain(CONFIG, 2, 6);
    private static final int DIRECTOR_NAT = Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER | Layout.FLAG_NAT;

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

    private static InetAddress vip(boolean v6) {
        return address(v6 ? "2001:db8:1::1" : "192.0.2.1");
    }

    private static InetAddress client(boolean v6, int number) {
        return address((v6 ? "2001:db8:c::" : "198.51.100.") + number);
    }

    private static byte[] serverId(int server) {
        return new byte[] {0x0a, (byte) server};
    }

    /** The ID of a connection of a server. */
    private static byte[] id(int server) {
        return IDS.make(serverId(server), hex("d1d2d3d4d5d6"));
    }

    private static byte[] packet(InetAddress client, int clientPort, InetAddress vip, int port, byte[] datagram) {
        return ip(client, vip, Frames.UDP, udp(client, clientPort, vip, port, datagram));
    }

    private void serve(Vip.Kind kind, int flags, ForwardingMethod method) throws Exception {
        for (boolean v6 : new boolean[] {false, true}) {
            bench.serve(vip(v6), PORT, Protocol.UDP, kind, flags | Layout.FLAG_QUIC, SERVERS);
            bench.serve(vip(v6), PLAIN_PORT, Protocol.UDP, kind, flags, SERVERS);
        }
        bench.plane().quic(0, new ServiceSpec.Quic(CONFIG, 2));
        for (int server = 0; server < SERVERS; server++) {
            bench.server(server, flags(method), endOf(server, method), source(method), port(method), 1500);
            bench.plane().quicId(new QuicName(0, CONFIG, QuicIds.print(serverId(server))), server);
        }
    }

    private void serve() throws Exception {
        serve(Vip.Kind.BY_SLOT_OF_HASH, 0, ForwardingMethod.DR);
    }

    private static int flags(ForwardingMethod method) {
        return switch (method) {
            case PROXY, DR -> 0;
            case TUNNEL -> Layout.TUNNEL4;
            case GUE -> Layout.TUNNEL4 | Layout.GUE;
            case NAT -> Layout.NAT;
            case FULLNAT -> Layout.NAT | Layout.FULL_NAT;
        };
    }

    private static InetAddress endOf(int server, ForwardingMethod method) {
        return address((method == ForwardingMethod.PROXY ? "2001:db8:5::" : "10.0.0.") + (server + 1));
    }

    private static InetAddress source(ForwardingMethod method) {
        return address(method == ForwardingMethod.PROXY ? "2001:db8:5::fe" : "10.0.0.254");
    }

    private static int port(ForwardingMethod method) {
        return method == ForwardingMethod.GUE ? 6080 : 0;
    }

    private Out run(byte[] packet) throws Exception {
        return bench.run(frame(DIRECTOR, ROUTER, packet));
    }

    private int serverOf(byte[] packet) throws Exception {
        Out out = run(packet);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        return Bench.serverOf(out);
    }

    /** Where a client's datagram goes. */
    private int send(InetAddress client, int clientPort, byte[] datagram) throws Exception {
        return serverOf(packet(client, clientPort, vip(client.getAddress().length > 4), PORT, datagram));
    }

    /** A client that the table leads to another server than the one. */
    private InetAddress clientAwayFrom(boolean v6, int server) throws Exception {
        for (int number = 1; number < 100; number++) {
            InetAddress client = client(v6, number);
            if (serverOf(packet(client, 4000, vip(v6), PLAIN_PORT, new byte[0])) != server) {
                return client;
            }
        }
        throw new AssertionError("every client goes to server " + server);
    }

    private void assertThatTheTableDecides(String what, boolean v6, byte[] datagram) throws Exception {
        for (int number = 1; number < 20; number++) {
            InetAddress client = client(v6, number);
            assertThat(send(client, 4000, datagram))
                    .as(what)
                    .isEqualTo(serverOf(packet(client, 4000, vip(v6), PLAIN_PORT, datagram)));
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everyFormOfHeaderGoesToWhomItsIdNames(boolean v6) throws Exception {
        serve();
        for (int server = 0; server < SERVERS; server++) {
            for (byte[] datagram : List.of(
                    shortHeader(id(server)),
                    longHeader(HANDSHAKE, VERSION_1, id(server)),
                    longHeader(INITIAL, VERSION_1, id(server)),
                    longHeader(ZERO_RTT, VERSION_1, id(server)),
                    longHeader(INITIAL, VERSION_2, id(server)),
                    longHeader(3, 0xfaceb00c, join(id(server), new byte[11])))) {
                for (int number = 1; number < 20; number++) {
                    assertThat(send(client(v6, number), 4000 + number, datagram))
                            .isEqualTo(server);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void whatNamesNobodyGoesWhereItWouldWithoutQuic(boolean v6) throws Exception {
        serve();
        byte[] known = id(1);
        byte[] otherConfig = known.clone();
        otherConfig[0] ^= 0x20;
        byte[] unroutable = known.clone();
        unroutable[0] |= (byte) 0xe0;
        byte[] stranger = IDS.make(hex("0b01"), new byte[6]);
        Map<String, byte[]> datagrams = new HashMap<>();
        datagrams.put("another configuration", shortHeader(otherConfig));
        datagrams.put("unroutable", shortHeader(unroutable));
        datagrams.put("nobody's ID", shortHeader(stranger));
        datagrams.put("nothing", new byte[0]);
        datagrams.put("a byte", new byte[] {0x41});
        datagrams.put("shorter than any packet", first(shortHeader(known), 20));
        datagrams.put("the client's ID", longHeader(INITIAL, VERSION_1, hex("a1a2a3a4a5a6a7a8")));
        datagrams.put("version negotiation", longHeader(INITIAL, 0, known));
        datagrams.put("an ID without nonce", longHeader(HANDSHAKE, VERSION_1, first(known, 6)));
        datagrams.put("no ID", longHeader(HANDSHAKE, VERSION_1, 0, known));
        datagrams.put("an ID longer than the datagram", longHeader(HANDSHAKE, VERSION_1, 200, known));
        datagrams.put("a long header's beginning", first(longHeader(HANDSHAKE, VERSION_1, known), 25));
        for (Map.Entry<String, byte[]> entry : datagrams.entrySet()) {
            assertThatTheTableDecides(entry.getKey(), v6, entry.getValue());
        }
        // As long as it has to be.
        assertThat(send(clientAwayFrom(v6, 1), 4000, first(shortHeader(known), 21)))
                .isEqualTo(1);
        assertThat(send(clientAwayFrom(v6, 1), 4000, longHeader(HANDSHAKE, VERSION_1, first(known, 7))))
                .isEqualTo(1);
    }

    /** Bytes behind the packet, which Ethernet adds to what is short, are none of it. */
    @Test
    void theFramesPaddingIsNotRead() throws Exception {
        serve();
        InetAddress client = clientAwayFrom(false, 1);
        byte[] padded = join(
                frame(DIRECTOR, ROUTER, packet(client, 4000, vip(false), PORT, first(shortHeader(id(1)), 20))),
                new byte[40]);
        assertThat(Bench.serverOf(bench.run(padded))).isNotEqualTo(1);
    }

    @Test
    void anIcmpErrorIsNotReadForIds() throws Exception {
        serve();
        InetAddress client = clientAwayFrom(false, 1);
        // Where a datagram would stand is the quoted packet's header, whose class and length look like an ID.
        byte[] datagram = udp(vip(false), PORT, client, 4000, shortHeader(id(1)));
        byte[] quoted = join(ip4(vip(false), client, 17, CONFIG << 5, 7, 0, 63, new byte[0], 0x0a01 - 20), datagram);
        byte[] error = icmp(address("203.0.113.9"), vip(false), 3, 4, 1400, quoted);
        assertThat(serverOf(ip(address("203.0.113.9"), vip(false), Frames.ICMP, error)))
                .isEqualTo(serverOf(packet(client, 4000, vip(false), PLAIN_PORT, new byte[0])))
                .isNotEqualTo(1);
    }

    @Test
    void oneThatIsDownOrCannotBeReachedIsPassedOver() throws Exception {
        serve();
        bench.flags(1, Layout.READY | Layout.DOWN);
        assertThatTheTableDecides("down", false, shortHeader(id(1)));
        bench.flags(1, Layout.NEW);
        for (int number = 1; number < 20; number++) {
            InetAddress client = client(false, number);
            Out out = run(packet(client, 4000, vip(false), PORT, shortHeader(id(1))));
            Out plain = run(packet(client, 4000, vip(false), PLAIN_PORT, shortHeader(id(1))));
            assertThat(out.action()).isEqualTo(plain.action());
        }
    }

    /** An ID in a long header may be of the client's making, so that it brings no connection to one that drains. */
    @Test
    void oneThatDrainsKeepsItsConnectionsAndGetsNoOthers() throws Exception {
        serve();
        bench.flags(1, Layout.READY);
        for (int number = 1; number < 20; number++) {
            assertThat(send(client(false, number), 4000, shortHeader(id(1)))).isEqualTo(1);
        }
        assertThatTheTableDecides("handshake", false, longHeader(HANDSHAKE, VERSION_1, id(1)));
        assertThatTheTableDecides("initial", false, longHeader(INITIAL, VERSION_1, id(1)));
    }

    @ParameterizedTest
    @CsvSource({"DR", "TUNNEL", "GUE", "PROXY"})
    void packetsLeaveAsTheMethodHasIt(ForwardingMethod method) throws Exception {
        boolean ipv6Tunnel = method == ForwardingMethod.PROXY;
        serve(Vip.Kind.BY_SLOT_OF_HASH, 0, method);
        if (ipv6Tunnel) {
            for (int server = 0; server < SERVERS; server++) {
                bench.server(server, Layout.TUNNEL6, endOf(server, method), source(method), 0, 1500);
            }
        }
        for (boolean v6 : new boolean[] {false, true}) {
            byte[] packet = packet(clientAwayFrom(v6, 3), 4000, vip(v6), PORT, shortHeader(id(3)));
            byte[] outer = new byte[0];
            if (ipv6Tunnel) {
                outer = ip6(source(method), endOf(3, method), v6 ? 41 : 4, 0, 64, packet.length);
            } else if (method == ForwardingMethod.TUNNEL) {
                outer = ip4(
                        source(method), endOf(3, method), v6 ? 41 : 4, 0, 0, 0x4000, 64, new byte[0], packet.length);
            }
            byte[] out = run(packet).frame();
            if (method == ForwardingMethod.GUE) {
                assertThat(first(out, 6)).isEqualTo(Bench.mac(3));
                assertThat(tail(out, 14 + 28)).isEqualTo(packet);
            } else {
                assertThat(out).containsExactly(frame(Bench.mac(3), DIRECTOR, join(outer, packet)));
            }
        }
    }

    @Test
    void tagsOptionsAndExtensionHeadersAreSteppedOver() throws Exception {
        serve();
        InetAddress four = clientAwayFrom(false, 2);
        InetAddress six = clientAwayFrom(true, 2);
        byte[] datagram4 = udp(four, 4000, vip(false), PORT, shortHeader(id(2)));
        byte[] datagram6 = udp(six, 4000, vip(true), PORT, shortHeader(id(2)));
        byte[] options = hex("9404000001010100");
        byte[] headers = hex("3c00010400000000 1100010400000000");
        for (byte[] packet : List.of(
                packet(four, 4000, vip(false), PORT, shortHeader(id(2))),
                join(ip4(four, vip(false), 17, 0, 9, 0, 63, options, datagram4.length), datagram4),
                join(ip6(six, vip(true), 0, 0, 63, headers.length + datagram6.length), headers, datagram6))) {
            for (int[] tags : new int[][] {{}, {0x2064}, {0x0c8, 0x2064}}) {
                Out out = bench.run(tagged(DIRECTOR, ROUTER, tags, packet));
                assertThat(Bench.serverOf(out)).isEqualTo(2);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void fragmentsGoWhereTheFirstSays(boolean v6) throws Exception {
        serve();
        InetAddress client = clientAwayFrom(v6, 3);
        byte[] datagram = udp(client, 4000, vip(v6), PORT, join(shortHeader(id(3)), new byte[100]));
        byte[] whole = first(datagram, 64);
        byte[] rest = tail(datagram, 64);
        List<byte[]> pieces = v6
                ? List.of(
                        join(ip6(client, vip(true), 44, 0, 63, 72), new byte[] {17, 0}, shorts(1, 0, 7), whole),
                        join(
                                ip6(client, vip(true), 44, 0, 63, 8 + rest.length),
                                new byte[] {17, 0},
                                shorts(64, 0, 7),
                                rest))
                : List.of(
                        join(ip4(client, vip(false), 17, 0, 7, 0x2000, 63, new byte[0], 64), whole),
                        join(ip4(client, vip(false), 17, 0, 7, 8, 63, new byte[0], rest.length), rest));
        for (byte[] piece : pieces) {
            assertThat(serverOf(piece)).isEqualTo(3);
        }
    }

    /** A service that remembers its connections counts a client that moves where it goes. */
    @ParameterizedTest
    @EnumSource(names = {"IN_TURN", "LEAST_CONNECTION"})
    void memoryFollowsTheId(Vip.Kind kind) throws Exception {
        serve(kind, Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER, ForwardingMethod.DR);
        bench.plane().service(0, 0, 0, kind.byLoad() ? 8 : 0, kind.number);
        if (kind.byLoad()) {
            new LoadTree(kind, bench.plane()::load)
                    .build(0, 8, (node, server) -> bench.plane().node(0, node, server));
        }
        InetAddress client = client(false, 1);
        int opened = send(client, 4000, longHeader(INITIAL, VERSION_1, hex("a1a2a3a4a5a6a7a8")));
        assertThat(active()).containsExactly(with(new int[SERVERS], opened, 1));
        int other = (opened + 1) % SERVERS;
        // From where it is, with the ID of its server.
        assertThat(send(client, 4000, shortHeader(id(opened)))).isEqualTo(opened);
        assertThat(active()).containsExactly(with(new int[SERVERS], opened, 1));
        // From another port and another address.
        assertThat(send(client, 5000, shortHeader(id(opened)))).isEqualTo(opened);
        assertThat(send(client(false, 2), 4000, shortHeader(id(opened)))).isEqualTo(opened);
        assertThat(active()).containsExactly(with(new int[SERVERS], opened, 3));
        // What has no ID goes by memory.
        assertThat(send(client(false, 2), 4000, new byte[0])).isEqualTo(opened);
        // Another connection comes to an address and port.
        assertThat(send(client, 5000, shortHeader(id(other)))).isEqualTo(other);
        assertThat(send(client, 5000, new byte[0])).isEqualTo(other);
        assertThat(active()).containsExactly(with(with(new int[SERVERS], opened, 2), other, 1));
        assertThat(bench.plane().quicIds()).hasSize(SERVERS);
    }

    private static int[] with(int[] counts, int at, int count) {
        int[] with = counts.clone();
        with[at] = count;
        return with;
    }

    private int[] active() {
        return bench.loads(SERVERS).stream().mapToInt(Load::active).toArray();
    }

    @ParameterizedTest
    @CsvSource({"false, false", "false, true", "true, false", "true, true"})
    void answersOfATranslatedConnectionFollowTheClient(boolean v6, boolean full) throws Exception {
        ForwardingMethod method = full ? ForwardingMethod.FULLNAT : ForwardingMethod.NAT;
        serve(
                Vip.Kind.BY_SLOT_OF_HASH,
                DIRECTOR_NAT | (full ? Layout.FLAG_FULL_NAT : 0),
                v6 ? ForwardingMethod.DR : method);
        InetAddress server = address(v6 ? "2001:db8:5::3" : "10.0.0.3");
        InetAddress director = address(v6 ? "2001:db8:5::fe" : "10.0.0.254");
        bench.server(2, flags(method), server, director, 8443, 1500);
        byte[] asked = shortHeader(id(2));
        byte[] answered = shortHeader(hex("c1c2c3c4"));
        for (int number = 1; number < 8; number++) {
            InetAddress client = client(v6, number);
            Out out = run(packet(client, 4000 + number, vip(v6), PORT, asked));
            InetAddress seen = full ? director : client;
            int l4 = 14 + (v6 ? 40 : 20);
            int seenPort = (out.frame()[l4] & 0xff) << 8 | (out.frame()[l4 + 1] & 0xff);
            assertThat(out.frame())
                    .containsExactly(frame(Bench.mac(2), DIRECTOR, hop(packet(seen, seenPort, server, 8443, asked))));
            Out back = bench.run(frame(DIRECTOR, Bench.mac(2), packet(server, 8443, seen, seenPort, answered)));
            assertThat(back.frame())
                    .containsExactly(
                            frame(ROUTER, DIRECTOR, hop(packet(vip(v6), PORT, client, 4000 + number, answered))));
        }
        assertThat(active()[2]).isEqualTo(7);
    }

    /** Any length and configuration, IDs that are somebody's and others, against the reading of the Java class. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void randomIdsAreReadAsTheReferenceReadsThem(boolean encrypted) throws Exception {
        serve();
        Random random = new Random(11);
        int named = 0;
        for (int round = 0; round < 200; round++) {
            int length = 1 + random.nextInt(15);
            int config = random.nextInt(7);
            int nonce = encrypted ? 4 + random.nextInt(16 - length) : QuicIds.MIN_NONCE;
            byte[] key = new byte[16];
            random.nextBytes(key);
            QuicIds ids =
                    encrypted ? QuicIds.encrypted(config, length, nonce, key) : QuicIds.plain(config, length, nonce);
            Optional<ServiceSpec.QuicEncryption> encryption = encrypted
                    ? Optional.of(new ServiceSpec.QuicEncryption(nonce, QuicIds.print(key)))
                    : Optional.empty();
            bench.plane().quic(0, new ServiceSpec.Quic(config, length, encryption));
            Map<String, Integer> servers = new HashMap<>();
            for (int server = 0; server < SERVERS; server++) {
                byte[] id = new byte[length];
                random.nextBytes(id);
                if (servers.putIfAbsent(QuicIds.print(id), server) == null) {
                    bench.plane().quicId(new QuicName(0, config, QuicIds.print(id)), server);
                }
            }
            List<String> known = new ArrayList<>(servers.keySet());
            for (int i = 0; i < 30; i++) {
                byte[] datagram = randomDatagram(random, ids, hex(known.get(random.nextInt(known.size()))), nonce);
                Integer expected = QuicDatagrams.serverId(datagram, ids)
                        .map(QuicIds::print)
                        .map(servers::get)
                        .orElse(null);
                InetAddress client = client(i % 2 == 0, 1 + random.nextInt(200));
                int plain = serverOf(packet(client, 4000, vip(i % 2 == 0), PLAIN_PORT, datagram));
                assertThat(send(client, 4000, datagram))
                        .as("%s, key %s: %s", ids, QuicIds.print(key), QuicIds.print(datagram))
                        .isEqualTo(Optional.ofNullable(expected).orElse(plain));
                named += expected == null ? 0 : 1;
            }
            for (String id : known) {
                bench.plane().removeQuicId(new QuicName(0, config, id));
            }
        }
        assertThat(named).isBetween(1500, 5_000);
    }

    private static byte[] randomDatagram(Random random, QuicIds ids, byte[] serverId, int nonceLength) {
        byte[] nonce = new byte[nonceLength];
        random.nextBytes(nonce);
        byte[] made = ids.make(serverId, nonce);
        byte[] id = Arrays.copyOf(made, made.length + random.nextInt(3) - (random.nextInt(4) == 0 ? 1 : 0));
        if (random.nextInt(4) == 0) {
            id[random.nextInt(id.length)] ^= (byte) (1 << random.nextInt(8));
        }
        byte[] datagram = random.nextBoolean()
                ? shortHeader(id)
                : longHeader(random.nextInt(4), random.nextInt(8) == 0 ? 0 : random.nextInt(), id);
        return random.nextInt(4) == 0 ? Arrays.copyOf(datagram, random.nextInt(datagram.length + 1)) : datagram;
    }

    /** Appendix B.2 of the draft; its last ID begins with the configuration's number here, which it lacks in print. */
    @ParameterizedTest
    @CsvSource({
        "0, ed793a, 4, 0720b1d07b359d3c",
        "1, ed793a51d49b8f5fab65, 5, 2fcc381bc74cb4fbad2823a3d1f8fed2",
        "2, ed793a51d49b8f5f, 8, 504dd2d05a7b0de9b2b9907afb5ecf8cc3",
        "3, ed793a51d49b8f5fab, 9, 725779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"
    })
    void theDraftsEncryptedIdsAreRead(int config, String server, int nonce, String id) throws Exception {
        serve();
        Optional<ServiceSpec.QuicEncryption> encryption =
                Optional.of(new ServiceSpec.QuicEncryption(nonce, "8f95f09245765f80256934e50c66207f"));
        bench.plane().quic(0, new ServiceSpec.Quic(config, server.length() / 2, encryption));
        bench.plane().quicId(new QuicName(0, config, server), 3);
        for (boolean v6 : new boolean[] {false, true}) {
            InetAddress client = clientAwayFrom(v6, 3);
            assertThat(send(client, 4000, shortHeader(hex(id)))).isEqualTo(3);
            assertThat(send(client, 4000, longHeader(HANDSHAKE, VERSION_1, hex(id))))
                    .isEqualTo(3);
            String other = id.substring(0, id.length() - 1) + (id.endsWith("0") ? "1" : "0");
            assertThat(send(client, 4000, shortHeader(hex(other)))).isNotEqualTo(3);
        }
    }
}

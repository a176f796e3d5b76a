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
import static org.junit.jupiter.api.Assertions.fail;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.xdp.PacketModel.Server;
import io.ballast.director.xdp.PacketModel.Service;
import io.ballast.linux.bpf.XdpAction;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/**
 * Damaged packets of every kind, each against {@link PacketModel}: never a drop of what is not ours, never a wrong
 * rewrite. {@code -Dballast.noise=10000000} makes it long, {@code -Dballast.seed=N} another one.
 */
final class NoiseTest {
    private static final InetAddress CLIENT4 = address("198.51.100.7");
    private static final InetAddress CLIENT6 = address("2001:db8:c::7");
    private static final InetAddress ROUTER4 = address("203.0.113.9");
    private static final InetAddress ROUTER6 = address("2001:db8:9::9");
    private static final InetAddress OTHER4 = address("192.0.2.99");
    private static final InetAddress OTHER6 = address("2001:db8:1::99");
    private static final int GUE_PORT = 6080;
    private static final int MTU = 1500;
    private static final int FULL_NAT = Layout.NAT | Layout.FULL_NAT;

    private static final List<Server> SERVERS = List.of(
            new Server(0, 0, address("10.0.0.1"), address("10.0.0.254"), 0, MTU),
            new Server(1, Layout.TUNNEL4, address("10.0.0.2"), address("10.0.0.254"), 0, MTU),
            new Server(2, Layout.TUNNEL6, address("2001:db8:5::3"), address("2001:db8:5::fe"), 0, MTU),
            new Server(3, Layout.TUNNEL4 | Layout.GUE, address("10.0.0.4"), address("10.0.0.254"), GUE_PORT, MTU),
            new Server(
                    4, Layout.TUNNEL6 | Layout.GUE, address("2001:db8:5::5"), address("2001:db8:5::fe"), GUE_PORT, MTU),
            new Server(5, Layout.NAT, address("10.0.0.6"), address("10.0.0.254"), 0, MTU),
            new Server(6, Layout.NAT, address("2001:db8:5::7"), address("2001:db8:5::fe"), 8080, MTU),
            new Server(7, FULL_NAT, address("10.0.0.8"), address("10.0.0.254"), 8080, MTU),
            new Server(8, FULL_NAT, address("2001:db8:5::9"), address("2001:db8:5::fe"), 0, MTU));

    /** In place of a server's number: the service that looks into QUIC. */
    private static final int QUIC = 19;

    /** Every server that sees packets as they are, by the ID that it puts into connection IDs. */
    private static final Map<String, Server> NAMED = SERVERS.stream()
            .filter(server -> !server.nat())
            .collect(Collectors.toMap(server -> QuicIds.print(serverId(server)), Function.identity()));

    private static byte[] serverId(Server server) {
        return new byte[] {0x0a, (byte) server.number()};
    }

    private final List<byte[]> samples = new ArrayList<>();
    private final List<byte[]> answers = new ArrayList<>();

    private static InetAddress vip(boolean v6, int server) {
        return address((v6 ? "2001:db8:1::" : "192.0.2.") + (server + 1));
    }

    /** Whether IPv4 or IPv6 or both: only a tunnel takes the other. */
    private static List<Boolean> families(Server server) {
        return server.nat() ? List.of(!(server.address() instanceof Inet4Address)) : List.of(false, true);
    }

    private static List<Service> services() {
        List<Service> services = new ArrayList<>();
        for (Server server : SERVERS) {
            for (boolean v6 : families(server)) {
                InetAddress vip = vip(v6, server.number());
                services.add(new Service(new Endpoint(vip, 80, Protocol.TCP), server));
                if (server.number() % 2 == 0) {
                    services.add(new Service(new Endpoint(vip, 80, Protocol.UDP), server));
                } else {
                    services.add(new Service(new Endpoint(vip, 79, 207, Protocol.UDP), server));
                    services.add(new Service(new Endpoint(vip, 1, 65_535, Protocol.UDP), SERVERS.getFirst()));
                }
            }
        }
        for (boolean v6 : new boolean[] {false, true}) {
            services.add(new Service(new Endpoint(vip(v6, QUIC), 443, Protocol.UDP), SERVERS.getFirst(), NAMED));
            services.add(new Service(new Endpoint(vip(v6, QUIC), 500, 600, Protocol.UDP), SERVERS.get(1), NAMED));
        }
        return services;
    }

    /** Packets of every kind, to every server. */
    private void makeSamples() {
        for (Server server : SERVERS) {
            for (boolean v6 : families(server)) {
                samples(v6 ? CLIENT6 : CLIENT4, vip(v6, server.number()), v6);
            }
        }
        for (Server server : SERVERS) {
            quicSamples(CLIENT4, vip(false, QUIC), server);
            quicSamples(CLIENT6, vip(true, QUIC), server);
        }
        samples(CLIENT4, OTHER4, false);
        samples(CLIENT6, OTHER6, true);
        samples.add(join(DIRECTOR, ROUTER, hex("0806 0001 0800 0604 0001"), new byte[20]));
    }

    private void samples(InetAddress client, InetAddress vip, boolean v6) {
        byte[] segment = tcp(client, 4000, vip, 80, ACK, new byte[20]);
        byte[] datagram = udp(client, 4000, vip, 80, new byte[60]);
        byte[] large = udp(client, 4000, vip, 80, new byte[v6 ? 1440 : 1460]);
        add(ip(client, vip, Frames.TCP, segment));
        add(ip(client, vip, Frames.TCP, tcp(client, 4001, vip, 80, SYN, new byte[0])));
        add(ip(client, vip, Frames.UDP, datagram));
        add(ip(client, vip, Frames.UDP, large));
        InetAddress router = v6 ? ROUTER6 : ROUTER4;
        // The longer error fits no tunnel, and is not answered either.
        for (int data : new int[] {40, v6 ? 1380 : 1420}) {
            byte[] back = ip(vip, client, Frames.TCP, tcp(vip, 80, client, 4000, ACK, new byte[data]));
            byte[] error = icmp(router, vip, v6 ? 2 : 3, v6 ? 0 : 4, 1400, back);
            add(ip(router, vip, v6 ? Frames.ICMP6 : Frames.ICMP, error));
        }
        if (v6) {
            byte[] headers = hex("3c00010400000000 1100010400000000");
            add(join(ip6(client, vip, 0, 0, 63, headers.length + datagram.length), headers, datagram));
            byte[] piece = join(new byte[] {17, 0}, shorts(1, 0, 7));
            add(join(ip6(client, vip, 44, 0, 63, 8 + 40), piece, first(datagram, 40)));
            byte[] later = join(new byte[] {17, 0}, shorts(40, 0, 7));
            add(join(ip6(client, vip, 44, 0, 63, 8 + 28), later, tail(datagram, 40)));
        } else {
            byte[] options = hex("9404000001010100");
            add(join(ip4(client, vip, 6, 0x2e, 9, 0, 63, options, segment.length), segment));
            add(join(ip4(client, vip, 17, 0, 7, 0x2000, 63, new byte[0], 40), first(datagram, 40)));
            add(join(ip4(client, vip, 17, 0, 7, 0x0005, 63, new byte[0], 28), tail(datagram, 40)));
        }
    }

    /** Connection IDs that name somebody, and those of servers of NAT, which nobody has here. */
    private void quicSamples(InetAddress client, InetAddress vip, Server server) {
        byte[] id = PacketModel.QUIC.make(serverId(server), hex("d1d2d3d4"));
        int port = server.number() % 2 == 0 ? 443 : 555;
        for (byte[] datagram : List.of(
                QuicDatagrams.shortHeader(id),
                QuicDatagrams.longHeader(QuicDatagrams.HANDSHAKE, QuicDatagrams.VERSION_1, id),
                QuicDatagrams.longHeader(QuicDatagrams.INITIAL, QuicDatagrams.VERSION_2, join(id, new byte[13])),
                join(QuicDatagrams.shortHeader(id), new byte[1400]))) {
            byte[] whole = udp(client, 4000, vip, port, datagram);
            add(ip(client, vip, Frames.UDP, whole));
            if (client instanceof Inet4Address) {
                byte[] options = hex("9404000001010100");
                add(join(ip4(client, vip, Frames.UDP, 0, 9, 0x4000, 63, options, whole.length), whole));
                add(join(ip4(client, vip, Frames.UDP, 0, 8, 0x2000, 63, new byte[0], 40), first(whole, 40)));
            } else {
                byte[] headers = hex("3c00010400000000 1100010400000000");
                add(join(ip6(client, vip, 0, 0, 63, headers.length + whole.length), headers, whole));
                byte[] piece = join(new byte[] {17, 0}, shorts(1, 0, 8));
                add(join(ip6(client, vip, 44, 0, 63, 8 + 40), piece, first(whole, 40)));
            }
        }
    }

    private void add(byte[] packet) {
        samples.add(frame(DIRECTOR, ROUTER, packet));
        samples.add(tagged(DIRECTOR, ROUTER, new int[] {0x2064}, packet));
        samples.add(tagged(DIRECTOR, ROUTER, new int[] {0x0c8, 0x2064}, packet));
    }

    /** Some bytes of the headers changed, to anything or to what means something; cut, or with more behind it. */
    private static byte[] damaged(byte[] sample, Random random) {
        byte[] frame = sample.clone();
        int headers = Math.min(frame.length - 12, 110);
        for (int damage = random.nextInt(5); damage > 0; damage--) {
            int at = 12 + random.nextInt(headers);
            frame[at] = switch (random.nextInt(4)) {
                case 0 -> (byte) random.nextInt();
                case 1 -> (byte) (frame[at] ^ (1 << random.nextInt(8)));
                case 2 -> (byte) (frame[at] + random.nextInt(3) - 1);
                default -> frame[12 + random.nextInt(headers)];
            };
        }
        return switch (random.nextInt(8)) {
            case 0 -> first(frame, 14 + random.nextInt(frame.length - 13));
            case 1 -> join(frame, new byte[random.nextInt(40)]);
            default -> frame;
        };
    }

    private static int translation(Server server) {
        return !server.nat()
                ? 0
                : Layout.FLAG_LOOKUP
                        | Layout.FLAG_REMEMBER
                        | Layout.FLAG_NAT
                        | (server.fullNat() ? Layout.FLAG_FULL_NAT : 0);
    }

    /** What a server says to a translated packet, and its complaint about it. */
    private void answer(byte[] frame, Random random) {
        byte[] packet = tail(frame, Frames.l3(frame));
        boolean v6 = packet[0] >> 4 == 6;
        int l4 = v6 ? 40 : 20;
        int proto = packet[v6 ? 6 : 9];
        boolean whole = v6 || ((packet[0] & 15) == 5 && (packet[6] & 0x3f) == 0 && packet[7] == 0);
        if (frame[5] < 5 || !whole || packet.length < l4 + 20 || (proto != Frames.TCP && proto != Frames.UDP)) {
            return;
        }
        InetAddress client = PacketModel.address(packet, v6 ? 8 : 12, v6 ? 16 : 4);
        InetAddress server = PacketModel.address(packet, v6 ? 24 : 16, v6 ? 16 : 4);
        int clientPort = PacketModel.u16(packet, l4);
        int port = PacketModel.u16(packet, l4 + 2);
        byte[] data = new byte[random.nextInt(30)];
        byte[] said = proto == Frames.TCP
                ? tcp(server, port, client, clientPort, ACK, data)
                : udp(server, port, client, clientPort, data);
        byte[] error = icmp(server, client, v6 ? 1 : 3, v6 ? 4 : 3, 0, first(packet, Math.min(packet.length, 80)));
        for (byte[] answer :
                List.of(ip(server, client, proto, said), ip(server, client, v6 ? Frames.ICMP6 : Frames.ICMP, error))) {
            byte[] back = frame(DIRECTOR, Bench.mac(frame[5]), answer);
            if (answers.size() < 400) {
                answers.add(back);
            } else {
                answers.set(random.nextInt(answers.size()), back);
            }
        }
    }

    @Test
    void whatIsNotOursPassesUntouchedAndWhatIsOursIsSentAsItShouldBe() throws Exception {
        long seed = Long.getLong("ballast.seed", 42);
        int rounds = Integer.getInteger("ballast.noise", 200_000);
        Random random = new Random(seed);
        makeSamples();
        PacketModel model = new PacketModel(services());
        int answered = 0;
        Map<XdpAction, Integer> seen = new EnumMap<>(XdpAction.class);
        try (Bench bench = Bench.open()) {
            for (Server server : SERVERS) {
                bench.server(
                        server.number(),
                        server.flags(),
                        server.address(),
                        server.source(),
                        server.port(),
                        server.mtu());
            }
            bench.plane().quic(0, new ServiceSpec.Quic(2, 2));
            for (Map.Entry<String, Server> each : NAMED.entrySet()) {
                bench.plane()
                        .quicId(
                                new QuicName(0, 2, each.getKey()),
                                each.getValue().number());
            }
            for (Service service : services()) {
                Endpoint endpoint = service.endpoint();
                bench.serveOne(
                        endpoint,
                        endpoint.single() ? 0 : endpoint.everyPort() ? 2 : 1,
                        service.server().number(),
                        service.named().isEmpty() ? translation(service.server()) : Layout.FLAG_QUIC);
            }
            for (int round = 0; round < rounds; round++) {
                boolean back = !answers.isEmpty() && random.nextInt(4) == 0;
                List<byte[]> from = back ? answers : samples;
                byte[] sample = from.get(random.nextInt(from.size()));
                byte[] frame = round < samples.size() ? samples.get(round) : damaged(sample, random);
                Bench.Out out = bench.run(frame);
                seen.merge(out.action(), 1, Integer::sum);
                String complaint = model.complaint(frame, out.action(), out.frame());
                if (back && out.action() == XdpAction.TX) {
                    answered++;
                } else if (out.action() == XdpAction.TX) {
                    answer(out.frame(), random);
                }
                if (complaint != null) {
                    fail("seed " + seed + " round " + round + ": " + PacketModel.hex(frame) + "\n" + complaint);
                }
            }
        }
        assertThat(answered).isGreaterThan(rounds / 20);
        assertThat(model.named()).isGreaterThan(rounds / 20);
        // Enough of everything, or this would say little.
        assertThat(seen.get(XdpAction.PASS)).isGreaterThan(rounds / 20);
        assertThat(seen.get(XdpAction.TX)).isGreaterThan(rounds / 4);
        assertThat(seen.get(XdpAction.DROP)).isBetween(1, rounds / 20);
        assertThat(seen).containsOnlyKeys(XdpAction.PASS, XdpAction.TX, XdpAction.DROP);
    }
}

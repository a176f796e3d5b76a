package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.hex;
import static io.ballast.director.xdp.QuicDatagrams.INITIAL;
import static io.ballast.director.xdp.QuicDatagrams.VERSION_1;
import static io.ballast.director.xdp.QuicDatagrams.longHeader;
import static io.ballast.director.xdp.QuicDatagrams.shortHeader;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Services of QUIC as the engine makes them: connections stay at their server, wherever clients and servers go. */
final class QuicEngineTest {
    private static final InetAddress VIP = address("192.0.2.1");
    private static final int PORT = 443;

    private final List<String> events = new ArrayList<>();
    private final Random random = new Random(5);
    private Bench bench;
    private XdpEngine engine;
    private long now;

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open();
        engine = new XdpEngine(bench.plane(), new OnTheLink(), new RecordedEvents(events), () -> now);
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    /** Every server is on the link, with a MAC address that ends in the last byte of its IP address. */
    static final class OnTheLink implements Hops {
        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            MacAddress mac = new MacAddress(0x0200_0001_0000L + (server.getAddress()[3] & 0xff));
            listener.hop(server, Optional.of(new Hop(mac, new MacAddress(0x0200_0000_00aaL), 1, 1500)));
        }

        @Override
        public void forget(InetAddress server, Listener listener) {}

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.of(address("10.9.255.254"));
        }
    }

    static String id(int server) {
        return String.format("0a%02x", server);
    }

    static Server server(int number, ServerState state) {
        return new Server(
                "s" + number,
                new InetSocketAddress(address("10.9.0." + number), PORT),
                1,
                0,
                state,
                Optional.of(id(number)));
    }

    static Forwarding web(SchedulerKind scheduler, ForwardingMethod method, ServiceSpec.Quic quic, Server... servers) {
        Forwarding plain = Forwardings.of(
                "web", method, scheduler, List.of(new Endpoint(VIP, PORT, Protocol.UDP)), List.of(servers));
        return new Forwarding(
                plain.service(),
                plain.listen(),
                plain.scheduler(),
                plain.method(),
                plain.persistence(),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                plain.servers(),
                plain.sorry(),
                Optional.of(quic));
    }

    private static final ServiceSpec.Quic QUIC = new ServiceSpec.Quic(1, 2);

    private static Server[] up(int... numbers) {
        return IntStream.of(numbers)
                .mapToObj(number -> server(number, ServerState.UP))
                .toArray(Server[]::new);
    }

    private void put(SchedulerKind scheduler, Server... servers) {
        engine.put(web(scheduler, ForwardingMethod.DR, QUIC, servers));
    }

    static byte[] packet(int client, int port, byte[] datagram) {
        InetAddress from = address("198.51." + (client >> 8) + "." + (client & 255));
        return Frames.frame(
                DIRECTOR, ROUTER, Frames.ip(from, VIP, Frames.UDP, Frames.udp(from, port, VIP, PORT, datagram)));
    }

    /** The number of the server that a datagram goes to. */
    private int send(int client, int port, byte[] datagram) throws Exception {
        Bench.Out out = bench.run(packet(client, port, datagram));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        return Bench.serverOf(out);
    }

    private byte[] connectionId(int config, int server) {
        byte[] nonce = new byte[6];
        random.nextBytes(nonce);
        return QuicIds.plain(config, 2, 6).make(hex(id(server)), nonce);
    }

    private int open(int client) throws Exception {
        return send(client, 4000, longHeader(INITIAL, VERSION_1, hex("e1a2a3a4a5a6a7a8")));
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "SH", "RR", "WLC"})
    void aClientMayMoveWhileServersComeAndGo(SchedulerKind scheduler) throws Exception {
        put(scheduler, up(1, 2, 3));
        Map<Integer, Integer> serverOf = new HashMap<>();
        for (int client = 0; client < 200; client++) {
            serverOf.put(client, open(client));
        }
        assertThat(Set.copyOf(serverOf.values())).hasSize(3);
        for (Server[] servers : List.of(up(1, 2, 3, 4), up(2, 3, 4), up(2, 3, 4, 5), up(1, 2, 3, 5))) {
            put(scheduler, servers);
            for (int client = 0; client < 200; client++) {
                int at = serverOf.getOrDefault(client, 0);
                // Rebound by a NAT, and in another network.
                assertThat(send(client, 5000 + random.nextInt(1000), shortHeader(connectionId(1, at))))
                        .isEqualTo(at);
                assertThat(send(1000 + random.nextInt(1000), 4000, shortHeader(connectionId(1, at))))
                        .isEqualTo(at);
            }
        }
        assertThat(events).allMatch(event -> event.contains("listening"));
    }

    @Test
    void anIdIsKeptUntilItsServerIsCutOff() throws Exception {
        Forwarding without = web(SchedulerKind.MH, ForwardingMethod.DR, QUIC, up(2, 3));
        put(SchedulerKind.MH, up(1, 2, 3));
        engine.put(without);
        now += without.timeouts().drain().toNanos() - 1;
        engine.tick();
        assertThat(bench.plane().quicIds()).hasSize(3);
        for (int client = 0; client < 50; client++) {
            assertThat(send(client, 4000, shortHeader(connectionId(1, 1)))).isEqualTo(1);
            assertThat(send(client, 4000, longHeader(INITIAL, VERSION_1, connectionId(1, 1))))
                    .isEqualTo(open(client));
        }
        now++;
        engine.tick();
        assertThat(bench.plane().quicIds().keySet()).extracting(QuicName::id).containsExactlyInAnyOrder(id(2), id(3));
        for (int client = 0; client < 50; client++) {
            assertThat(send(client, 4000, shortHeader(connectionId(1, 1)))).isIn(2, 3);
        }
    }

    @Test
    void whoIsDownLosesItsConnectionsAndWhoDrainsKeepsThem() throws Exception {
        put(SchedulerKind.WLC, up(1, 2));
        put(SchedulerKind.WLC, server(1, ServerState.DISABLED), server(2, ServerState.UP));
        assertThat(send(1, 4000, shortHeader(connectionId(1, 1)))).isEqualTo(1);
        put(SchedulerKind.WLC, server(1, ServerState.DOWN), server(2, ServerState.UP));
        assertThat(send(1, 4000, shortHeader(connectionId(1, 1)))).isEqualTo(2);
        assertThat(send(2, 4000, shortHeader(connectionId(1, 1)))).isEqualTo(2);
    }

    @Test
    void anIdMayPassToAnotherServerAndAnotherConfigurationTakeOver() throws Exception {
        put(SchedulerKind.MH, up(1, 2));
        Server heir = new Server(
                "s3", new InetSocketAddress(address("10.9.0.3"), PORT), 1, 0, ServerState.UP, Optional.of(id(1)));
        put(SchedulerKind.MH, heir, server(2, ServerState.UP));
        assertThat(send(1, 4000, shortHeader(connectionId(1, 1)))).isEqualTo(3);
        engine.put(web(SchedulerKind.MH, ForwardingMethod.DR, new ServiceSpec.Quic(4, 2), heir));
        Set<Integer> old = new HashSet<>();
        for (int client = 0; client < 50; client++) {
            assertThat(send(client, 4000, shortHeader(connectionId(4, 1)))).isEqualTo(3);
            old.add(send(client, 4000, shortHeader(connectionId(1, 1))));
        }
        assertThat(old).as("by the table").hasSizeGreaterThan(1);
    }

    /** Another scheduler is another service to the data plane, with numbers of its own. */
    @Test
    void nothingIsLeftOfAServiceThatIsReplacedOrRemoved() throws Exception {
        put(SchedulerKind.MH, up(1, 2));
        put(SchedulerKind.WLC, up(1, 2, 3));
        assertThat(bench.plane().quicIds()).hasSize(3);
        assertThat(send(1, 4000, shortHeader(connectionId(1, 2)))).isEqualTo(2);
        Forwarding web = web(SchedulerKind.WLC, ForwardingMethod.DR, QUIC, up(1, 2, 3));
        engine.put(Forwardings.of("web", web.method(), web.scheduler(), web.listen(), web.servers()));
        assertThat(bench.plane().quicIds()).isEmpty();
        engine.put(web);
        assertThat(bench.plane().quicIds()).hasSize(3);
        engine.remove("web");
        assertThat(bench.plane().quicIds()).isEmpty();
    }
}

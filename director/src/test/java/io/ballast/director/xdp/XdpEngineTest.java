package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.FIN;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.RST;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.ServiceSpec.OnDown;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.director.ServiceStatistics;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Forwardings in, packets through the kernel's program, and what the engine says about them. */
final class XdpEngineTest {
    private static final InetAddress VIP = address("192.0.2.1");
    private static final Endpoint WEB = new Endpoint(VIP, 80, Protocol.TCP);
    private static final ServiceSpec.Timeouts TIMEOUTS = new ServiceSpec.Timeouts(
            Duration.ofSeconds(1),
            Duration.ofMinutes(10),
            Duration.ofMinutes(1),
            Duration.ofMinutes(1),
            Duration.ofSeconds(1),
            Duration.ofMinutes(5));

    private final List<String> events = new ArrayList<>();
    private final Map<InetAddress, Hops.Listener> watched = new HashMap<>();
    private final Set<InetAddress> unknown = new HashSet<>();
    private Bench bench;
    private XdpEngine engine;
    private long now;
    private ForwardingMethod method = ForwardingMethod.DR;
    private List<Endpoint> listen = List.of(WEB);

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open();
        engine = new XdpEngine(bench.plane(), new KnownHops(), new RecordedEvents(events), () -> now);
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    /** Every server is on the link, with a MAC address that ends in the last two bytes of its IP address. */
    private final class KnownHops implements Hops {
        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            watched.put(server, listener);
            if (!unknown.contains(server)) {
                listener.hop(server, Optional.of(hopTo(server)));
            }
        }

        @Override
        public void forget(InetAddress server, Listener listener) {
            watched.remove(server);
        }

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.of(address("10.9.255.254"));
        }
    }

    private static Hop hopTo(InetAddress server) {
        byte[] bytes = server.getAddress();
        int last = ((bytes[2] & 0xff) << 8) | (bytes[3] & 0xff);
        return new Hop(new MacAddress(0x0200_0001_0000L + last), new MacAddress(0x0200_0000_00aaL), 1, 1500);
    }

    private static Server server(int number, int weight, ServerState state) {
        return new Server("s" + number, new InetSocketAddress(address("10.9.0." + number), 80), weight, 0, state);
    }

    private Forwarding forwarding(SchedulerKind scheduler, OnDown onDown, List<Server> servers, String sorry) {
        return new Forwarding(
                "web",
                listen,
                scheduler,
                method,
                Optional.empty(),
                TIMEOUTS,
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                onDown,
                Optional.empty(),
                servers,
                sorry.isEmpty() ? Optional.empty() : Optional.of(new InetSocketAddress(address(sorry), 80)));
    }

    private static List<Server> up(int count) {
        List<Server> servers = new ArrayList<>();
        for (int i = 1; i <= count; i++) {
            servers.add(server(i, 1, ServerState.UP));
        }
        return servers;
    }

    private Bench.Out packet(int client, int flags) throws Exception {
        InetAddress from = address("198.51." + (client >> 8) + "." + (client & 255));
        return bench.run(Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, VIP, Frames.TCP, Frames.tcp(from, 5000, VIP, 80, flags, new byte[0]))));
    }

    /** The number in the server's name. */
    private int send(int client, int flags) throws Exception {
        Bench.Out out = packet(client, flags);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        return Bench.serverOf(out);
    }

    private ServiceStatistics statistics() {
        return engine.statistics().toCompletableFuture().join().getFirst();
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "RR", "WRR", "LC", "WLC", "SED", "NQ", "SH"})
    void connectionsAreSpreadAndStay(SchedulerKind scheduler) throws Exception {
        engine.put(forwarding(scheduler, OnDown.KEEP, up(4), ""));
        assertThat(events).containsExactly("listening web 192.0.2.1:80/tcp");
        int[] count = new int[5];
        int[] serverOf = new int[400];
        for (int client = 0; client < 400; client++) {
            serverOf[client] = send(client, SYN);
            count[serverOf[client]]++;
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        for (int server = 1; server <= 4; server++) {
            assertThat(count[server]).as("server " + server).isBetween(60, 145);
        }
        for (int client = 0; client < 400; client++) {
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        assertThat(statistics().connections()).isEqualTo(400);
        assertThat(statistics().servers()).hasSize(4);
        assertThat(statistics().bytesIn()).isEqualTo(400L * 3 * 40);
    }

    @Test
    void flowsOfDatagramsAreCountedWhereTheyAreRemembered() throws Exception {
        listen = List.of(new Endpoint(VIP, 53, Protocol.UDP));
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(4), ""));
        for (int client = 0; client < 60; client++) {
            int server = datagram(client);
            assertThat(datagram(client)).isEqualTo(server);
        }
        assertThat(statistics().connections()).isEqualTo(60);
    }

    /** The number of the server that it went to. */
    private int datagram(int client) throws Exception {
        InetAddress from = address("198.51.100." + client);
        Bench.Out out = bench.run(Frames.frame(
                DIRECTOR, ROUTER, Frames.ip(from, VIP, Frames.UDP, Frames.udp(from, 5000, VIP, 53, new byte[] {1, 2, 3
                }))));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        return Bench.serverOf(out);
    }

    @Test
    void countersOfAServiceOnlyGrowWhateverBecomesOfItsServersAndSchedule() throws Exception {
        engine.put(forwarding(SchedulerKind.WRR, OnDown.KEEP, up(3), ""));
        for (int client = 0; client < 90; client++) {
            send(client, SYN);
        }
        engine.put(forwarding(SchedulerKind.WRR, OnDown.KEEP, List.of(server(1, 0, ServerState.UP)), ""));
        for (int client = 100; client < 105; client++) {
            assertThat(packet(client, SYN).action()).isEqualTo(XdpAction.PASS);
        }
        Map<DataPlane.Reason, Long> noServer = Map.of(DataPlane.Reason.PASS_NO_SERVER, 5L);
        for (SchedulerKind scheduler : new SchedulerKind[] {SchedulerKind.MH, SchedulerKind.WLC, SchedulerKind.RR}) {
            // More servers than there are numbers make it another one as well.
            for (int count : new int[] {3, 20, 3}) {
                engine.put(forwarding(scheduler, OnDown.KEEP, up(count), ""));
                assertThat(statistics().connections()).isEqualTo(90);
                assertThat(statistics().bytesIn()).isEqualTo(90 * 40);
                for (int i = 0; i < 3; i++) {
                    assertThat(statistics().servers().get(i).connections()).isEqualTo(30);
                }
                assertThat(engine.reasons().get("web")).isEqualTo(noServer);
            }
        }
        // One leaves, and another is at its address when nothing names it any more.
        engine.put(forwarding(SchedulerKind.RR, OnDown.KEEP, up(2), ""));
        now += TIMEOUTS.drain().toNanos();
        ticks(1);
        now += TIMEOUTS.idle().toNanos();
        int over = (int) (System.nanoTime() >>> Layout.TICK_SHIFT) - 1;
        bench.plane().flowsForAnotherThread().visit(place -> place.kill(over) >= 0);
        ticks(16);
        assertThat(statistics().servers()).hasSize(2);
        assertThat(statistics().connections()).isEqualTo(90);
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(3), ""));
        assertThat(statistics().connections()).isEqualTo(90);
        assertThat(statistics().servers().getLast().connections()).isZero();
        engine = new XdpEngine(bench.plane(), new KnownHops(), new RecordedEvents(events), () -> now);
        engine.adopt();
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(3), ""));
        send(200, SYN);
        assertThat(statistics().connections()).isEqualTo(91);
        assertThat(engine.reasons().get("web")).isEqualTo(noServer);
        // Who takes its number is another service.
        engine.remove("web");
        ticks(8);
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(3), ""));
        assertThat(statistics().connections()).isZero();
        assertThat(engine.reasons()).doesNotContainKey("web");
    }

    /** Three servers have numbers for some more, so that the data plane has to be given another service on the way. */
    @ParameterizedTest
    @EnumSource(names = {"MH", "SH", "WRR", "RR", "WLC", "LC", "SED", "NQ"})
    void connectionsStayHoweverManyServersCome(SchedulerKind scheduler) throws Exception {
        List<Server> servers = up(3);
        engine.put(forwarding(scheduler, OnDown.KEEP, servers, ""));
        int[] serverOf = open(300);
        // One leaves meanwhile, and is drained by the numbers that it has then.
        servers.remove(1);
        for (int number = 4; number < 80; number++) {
            servers.add(server(number, 1, ServerState.UP));
            engine.put(forwarding(scheduler, OnDown.KEEP, servers, ""));
            for (int client = number % 10; client < serverOf.length; client += 10) {
                assertThat(send(client, ACK)).as("client " + client).isEqualTo(serverOf[client]);
            }
            engine.tick();
        }
        for (int client = 0; client < serverOf.length; client++) {
            assertThat(send(client, ACK)).as("client " + client).isEqualTo(serverOf[client]);
        }
        assertThat(events).noneMatch(event -> event.contains("connections"));
        assertThat(statistics().connections()).isEqualTo(300);
    }

    /** The number of the server of each of so many clients, who open a connection. */
    private int[] open(int clients) throws Exception {
        int[] serverOf = new int[clients];
        for (int client = 0; client < clients; client++) {
            serverOf[client] = send(client, SYN);
            send(client, ACK);
        }
        return serverOf;
    }

    @ParameterizedTest
    @CsvSource({"WLC, RR", "RR, LC", "WRR, MH", "WLC, SH", "NQ, SED", "RR, WRR", "LC, MH"})
    void connectionsThatAreRememberedStayWithAnotherScheduler(SchedulerKind before, SchedulerKind after)
            throws Exception {
        engine.put(forwarding(before, OnDown.KEEP, up(5), ""));
        int[] serverOf = open(300);
        engine.put(forwarding(after, OnDown.KEEP, up(5), ""));
        for (int round = 0; round < 20; round++) {
            for (int client = 0; client < serverOf.length; client++) {
                assertThat(send(client, ACK)).as("client " + client).isEqualTo(serverOf[client]);
            }
            engine.tick();
        }
        int active = 0;
        for (var server : statistics().servers()) {
            active += server.active();
        }
        assertThat(active).isEqualTo(300);
        assertThat(events).noneMatch(event -> event.contains("connections"));
    }

    @Test
    void aSchedulerThatCannotKeepConnectionsIsWarnedOf() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(5), ""));
        open(10);
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(5), ""));
        assertThat(events).anyMatch(event -> event.contains("may go to another server"));
        method = ForwardingMethod.NAT;
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(5), ""));
        assertThat(events).anyMatch(event -> event.contains("its connections end"));
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "WLC", "RR"})
    void aDrainingServerKeepsItsConnectionsAndGetsNoNewOnes(SchedulerKind scheduler) throws Exception {
        engine.put(forwarding(scheduler, OnDown.KEEP, up(3), ""));
        int[] serverOf = new int[300];
        for (int client = 0; client < 300; client++) {
            serverOf[client] = send(client, SYN);
            send(client, ACK);
        }
        List<Server> servers = up(3);
        servers.set(1, server(2, 0, ServerState.UP));
        engine.put(forwarding(scheduler, OnDown.KEEP, servers, ""));
        for (int client = 0; client < 300; client++) {
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        for (int client = 300; client < 500; client++) {
            assertThat(send(client, SYN)).isNotEqualTo(2);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "WLC"})
    void aRemovedServersConnectionsGoOnUntilTheDrainTimeout(SchedulerKind scheduler) throws Exception {
        engine.put(forwarding(scheduler, OnDown.KEEP, up(3), ""));
        int[] serverOf = new int[300];
        for (int client = 0; client < 300; client++) {
            serverOf[client] = send(client, SYN);
            send(client, ACK);
        }
        engine.put(forwarding(scheduler, OnDown.KEEP, up(2), ""));
        for (int client = 0; client < 300; client++) {
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        now += TIMEOUTS.drain().toNanos();
        engine.tick();
        assertThat(events.getLast()).startsWith("drained web/s3 ");
        for (int client = 0; client < 300; client++) {
            if (serverOf[client] == 3) {
                assertThat(send(client, ACK)).isNotEqualTo(3);
            } else {
                assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
            }
        }
    }

    /** The promise in numbers; {@code -Dballast.connections} makes it shorter where programs are interpreted. */
    @Test
    void ofAHundredThousandConnectionsOnlyThoseOfTheServerThatIsGoneBreak() throws Exception {
        int connections = Integer.getInteger("ballast.connections", 100_000);
        int gone = 51;
        List<Server> servers = up(100);
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.copyOf(servers), ""));
        byte[] opening = clientsFrame(SYN);
        byte[] going = clientsFrame(ACK);
        int[] serverOf = new int[connections];
        for (int client = 0; client < connections; client++) {
            serverOf[client] = serverOf(opening, client);
        }
        servers.remove(gone - 1);
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.copyOf(servers), ""));
        assertThat(astray(going, serverOf, -1)).as("while it drains").isZero();
        now += TIMEOUTS.drain().toNanos();
        engine.tick();
        assertThat(astray(going, serverOf, gone)).as("when it is gone").isZero();
        for (int added = 101; added <= 110; added++) {
            servers.add(server(added, 1, ServerState.UP));
        }
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.copyOf(servers), ""));
        assertThat(astray(going, serverOf, gone)).as("when ten are new").isZero();
        assertThat(bench.plane().reasons().get(DataPlane.Reason.FLOW_EVICTED)).isZero();
    }

    private static byte[] clientsFrame(int flags) {
        InetAddress from = address("100.64.0.0");
        return Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, VIP, Frames.TCP, Frames.tcp(from, 5000, VIP, 80, flags, new byte[0])));
    }

    /** Which server the frame goes to as this client's; checksums are nobody's affair here. */
    private int serverOf(byte[] frame, int client) throws Exception {
        frame[27] = (byte) (64 + (client >> 16));
        frame[28] = (byte) (client >> 8);
        frame[29] = (byte) client;
        Bench.Out out = bench.run(frame);
        if (out.action() != XdpAction.TX) {
            throw new AssertionError("client " + client + ": " + out.action());
        }
        return Bench.serverOf(out);
    }

    /** How many connections go to another server than they went to; those of one that is gone have to. */
    private int astray(byte[] frame, int[] serverOf, int gone) throws Exception {
        int astray = 0;
        for (int client = 0; client < serverOf.length; client++) {
            boolean lost = serverOf[client] == gone;
            if ((serverOf(frame, client) == serverOf[client]) == lost) {
                astray++;
            }
        }
        return astray;
    }

    @Test
    void connectionsOfALostServerAreKeptOrMovedAsTheServiceSays() throws Exception {
        List<Server> servers = up(3);
        servers.set(0, server(1, 1, ServerState.DOWN));
        for (OnDown onDown : OnDown.values()) {
            engine.put(forwarding(SchedulerKind.MH, onDown, up(3), ""));
            int client = 0;
            while (send(client, SYN) != 1) {
                client++;
            }
            engine.put(forwarding(SchedulerKind.MH, onDown, servers, ""));
            assertThat(send(client, ACK) == 1).isEqualTo(onDown == OnDown.KEEP);
            assertThat(send(client + 1000, SYN)).isNotEqualTo(1);
        }
    }

    @Test
    void theSorryServerAnswersWhileNoOtherCan() throws Exception {
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, List.of(server(1, 1, ServerState.DOWN)), "10.9.0.99"));
        assertThat(send(1, SYN)).isEqualTo(99);
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(1), "10.9.0.99"));
        assertThat(send(2, SYN)).isEqualTo(1);
        assertThat(send(1, ACK)).isEqualTo(99);
    }

    @Test
    void withoutAServerThePacketIsTheKernels() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.of(), ""));
        assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.PASS);
    }

    @Test
    void aTableSettlesAndTheShortWayIsTakenAgain() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(3), ""));
        int[] serverOf = new int[200];
        for (int client = 0; client < 200; client++) {
            serverOf[client] = send(client, SYN);
        }
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(6), ""));
        for (int client = 0; client < 200; client++) {
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        int remembered = connections("web").connections().size();
        assertThat(remembered).isBetween(50, 150);
        now += TIMEOUTS.idle().toNanos();
        engine.tick();
        for (int client = 0; client < 200; client++) {
            assertThat(send(client, ACK)).isEqualTo(serverOf[client]);
        }
        assertThat(connections("web").connections()).hasSize(remembered);
        assertThat(connections("other").connections()).isEmpty();
    }

    private ConnectionReport connections(String service) {
        return connections(ConnectionQuery.list(service, 1000));
    }

    private ConnectionReport connections(ConnectionQuery query) {
        return engine.connections(query).toCompletableFuture().join();
    }

    @Test
    void connectionsAreFilteredAndCountedWhereTheyAre() throws Exception {
        engine.put(forwarding(SchedulerKind.RR, OnDown.KEEP, up(2), ""));
        for (int client = 0; client < 20; client++) {
            send(client, SYN);
        }
        for (int client = 0; client < 6; client++) {
            send(client, ACK);
        }
        send(0, FIN);
        ConnectionReport counted = connections(count(ConnectionFilter.of("")));
        assertThat(counted.connections()).isEmpty();
        assertThat(counted.counts())
                .containsExactlyInAnyOrder(
                        new ConnectionReport.Count("web", "s1", 7, 2, 1),
                        new ConnectionReport.Count("web", "s2", 7, 3, 0));
        assertThat(counted.notes()).isEmpty();
        ConnectionFilter established = new ConnectionFilter(
                "web",
                Optional.empty(),
                "s2",
                Optional.of(ConnectionFilter.Phase.ESTABLISHED),
                Optional.of(Protocol.TCP));
        assertThat(connections(count(established)).total()).isEqualTo(3);
        assertThat(connections(new ConnectionQuery(established, ConnectionQuery.Task.LIST, 2))
                        .connections())
                .hasSize(2)
                .allMatch(each -> each.server().equals("s2") && each.state().equals("established"));
        String client = connections("web").connections().getFirst().client();
        assertThat(connections(count(new ConnectionFilter(
                                "",
                                Optional.of(ConnectionFilter.Clients.parse(client)),
                                "",
                                Optional.empty(),
                                Optional.empty())))
                        .total())
                .isEqualTo(1);
        assertThat(connections(count(new ConnectionFilter(
                                "", Optional.empty(), "", Optional.empty(), Optional.of(Protocol.UDP))))
                        .total())
                .isZero();
    }

    @Test
    void anEndedConnectionIsTheKernelsUntilItsClientOpensANewOne() throws Exception {
        engine.put(forwarding(SchedulerKind.LC, OnDown.KEEP, up(2), ""));
        for (int client = 0; client < 10; client++) {
            send(client, SYN);
            send(client, ACK);
        }
        assertThat(statistics().servers()).allMatch(server -> server.active() == 5);
        int first = send(0, ACK);
        String server = "s" + first;
        ConnectionReport ended = connections(new ConnectionQuery(
                new ConnectionFilter("web", Optional.empty(), server, Optional.empty(), Optional.empty()),
                ConnectionQuery.Task.KILL,
                0));
        assertThat(ended.counts()).containsExactly(new ConnectionReport.Count("web", server, 0, 5, 0));
        assertThat(statistics().servers())
                .allMatch(each -> each.active() == (each.server().equals(server) ? 0 : 5) && each.inactive() == 0);
        assertThat(connections("web").connections()).hasSize(5);
        for (int flags : new int[] {ACK, ACK | FIN}) {
            assertThat(packet(0, flags).action()).isEqualTo(XdpAction.PASS);
        }
        assertThat(bench.plane().reasons().get(DataPlane.Reason.PASS_KILLED)).isEqualTo(2);
        // The client's own reset is how its server learns of it.
        assertThat(send(0, RST)).isEqualTo(first);
        assertThat(packet(0, ACK).action()).isEqualTo(XdpAction.PASS);
        // The order by load knows at once who is free now.
        for (int client = 20; client < 25; client++) {
            assertThat(send(client, SYN)).isEqualTo(first);
        }
        int again = send(0, SYN);
        assertThat(send(0, ACK)).isEqualTo(again);
        assertThat(connections("web").connections()).hasSize(11);
        bench.plane().recount();
        assertThat(statistics().servers().stream()
                        .mapToInt(each -> each.active() + each.inactive())
                        .sum())
                .isEqualTo(11);
    }

    @Test
    void anEndedConnectionOfAHashServiceDoesNotEndTheNextOne() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(3), ""));
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(6), ""));
        for (int client = 0; client < 50; client++) {
            send(client, ACK);
        }
        int remembered = connections("web").connections().size();
        ConnectionReport ended =
                connections(new ConnectionQuery(ConnectionFilter.of("web"), ConnectionQuery.Task.KILL, 0));
        assertThat(ended.total()).isEqualTo(remembered).isPositive();
        assertThat(ended.notes()).hasSize(1);
        int kernels = 0;
        for (int client = 0; client < 50; client++) {
            kernels += packet(client, ACK).action() == XdpAction.PASS ? 1 : 0;
        }
        assertThat(kernels).isEqualTo(remembered);
        for (int client = 0; client < 50; client++) {
            int server = send(client, SYN);
            assertThat(send(client, ACK)).isEqualTo(server);
        }
    }

    @Test
    void whatGoesAnotherWayIsCountedForItsService() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.of(), ""));
        Forwarding web = forwarding(SchedulerKind.MH, OnDown.KEEP, up(1), "");
        Endpoint where = new Endpoint(VIP, 81, Protocol.TCP);
        engine.put(new Forwarding(
                "other",
                List.of(where),
                web.scheduler(),
                web.method(),
                web.persistence(),
                web.timeouts(),
                web.limits(),
                web.connectRetry(),
                web.proxyProtocol(),
                web.onDown(),
                web.source(),
                List.of(),
                web.sorry()));
        packet(1, SYN);
        packet(2, SYN);
        bench.run(Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(
                        address("203.0.113.1"),
                        VIP,
                        Frames.TCP,
                        Frames.tcp(address("203.0.113.1"), 999, VIP, 81, SYN, new byte[0]))));
        assertThat(engine.reasons())
                .isEqualTo(Map.of(
                        "",
                        Map.of(),
                        "web",
                        Map.of(DataPlane.Reason.PASS_NO_SERVER, 2L),
                        "other",
                        Map.of(DataPlane.Reason.PASS_NO_SERVER, 1L)));
        // Whoever gets the number next begins at zero.
        engine.remove("web");
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, List.of(), ""));
        assertThat(engine.reasons()).doesNotContainKey("web");
    }

    private static ConnectionQuery count(ConnectionFilter filter) {
        return new ConnectionQuery(filter, ConnectionQuery.Task.COUNT, 0);
    }

    @Test
    void whatIsNotRememberedIsSaidRatherThanCountedAsNothing() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(3), ""));
        send(1, SYN);
        assertThat(connections(count(ConnectionFilter.of("web"))).notes())
                .singleElement()
                .asString()
                .contains("servers of web by a hash")
                .contains("no connections while the servers stay as they are");
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(6), ""));
        assertThat(connections("web").notes())
                .singleElement()
                .asString()
                .contains("only connections in slots that a change");
    }

    @Test
    void aServerWhoseNextHopIsLostIsTheKernelsUntilItIsBack() throws Exception {
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(1), ""));
        InetAddress server = address("10.9.0.1");
        Hops.Listener listener = Objects.requireNonNull(watched.get(server));
        listener.hop(server, Optional.empty());
        assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.PASS);
        listener.hop(server, Optional.of(hopTo(server)));
        assertThat(send(1, SYN)).isEqualTo(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "RR", "WLC"})
    void aServerGetsNoConnectionsBeforeTheWayToItIsKnown(SchedulerKind scheduler) throws Exception {
        InetAddress second = address("10.9.0.2");
        unknown.add(second);
        engine.put(forwarding(scheduler, OnDown.KEEP, up(2), ""));
        for (int client = 0; client < 50; client++) {
            assertThat(send(client, SYN)).isEqualTo(1);
            send(client, ACK);
        }
        Objects.requireNonNull(watched.get(second)).hop(second, Optional.of(hopTo(second)));
        for (int client = 0; client < 50; client++) {
            assertThat(send(client, ACK)).isEqualTo(1);
        }
        Set<Integer> servers = new HashSet<>();
        for (int client = 100; client < 150; client++) {
            servers.add(send(client, SYN));
        }
        assertThat(servers).contains(2);
    }

    @Test
    void packetsForTheDirectorItselfAreTheKernels() throws Exception {
        InetAddress here = address("10.9.0.1");
        unknown.add(here);
        engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(2), ""));
        Objects.requireNonNull(watched.get(here)).hop(here, Optional.of(Hop.HERE));
        Set<XdpAction> actions = new HashSet<>();
        for (int client = 0; client < 50; client++) {
            actions.add(packet(client, SYN).action());
        }
        assertThat(actions).containsExactlyInAnyOrder(XdpAction.PASS, XdpAction.TX);
    }

    @Test
    void aRemovedServiceIsGoneAndItsPlaceIsUsedAgain() throws Exception {
        for (int round = 0; round < 30; round++) {
            engine.put(forwarding(SchedulerKind.MH, OnDown.KEEP, up(200), ""));
            assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.TX);
            engine.remove("web");
            assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.PASS);
            engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(200), ""));
            assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.TX);
            engine.remove("web");
        }
        assertThat(watched).isEmpty();
        assertThat(events).noneMatch(event -> event.startsWith("not"));
    }

    @Test
    void anotherSchedulerTakesOver() throws Exception {
        for (SchedulerKind kind : new SchedulerKind[] {SchedulerKind.MH, SchedulerKind.WLC, SchedulerKind.RR}) {
            engine.put(forwarding(kind, OnDown.KEEP, up(3), ""));
            assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.TX);
        }
    }

    @Test
    void whatItCannotDoItSays() {
        engine.put(forwarding(SchedulerKind.LBLC, OnDown.KEEP, up(1), ""));
        assertThat(events)
                .containsExactly("notListening web 192.0.2.1:80/tcp: the engine xdp has no scheduler lblc:"
                        + " it has mh, rr, wrr, lc, wlc, sh, dh, sed and nq");
    }

    /** A translated connection as its client and its server have it. */
    private record Translated(InetAddress client, InetAddress server, InetAddress seen, int port) {}

    private static InetAddress clientAddress(int client) {
        return address("198.51." + (client >> 8) + "." + (client & 255));
    }

    /** What a server is asked when a client sends this. */
    private Translated ask(int client, int flags) throws Exception {
        Bench.Out out = packet(client, flags);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        byte[] frame = out.frame();
        return new Translated(
                clientAddress(client),
                InetAddress.getByAddress(Arrays.copyOfRange(frame, 30, 34)),
                InetAddress.getByAddress(Arrays.copyOfRange(frame, 26, 30)),
                ((frame[34] & 0xff) << 8) | (frame[35] & 0xff));
    }

    private Bench.Out answer(Translated to, int flags) throws Exception {
        byte[] segment = Frames.tcp(to.server(), 80, to.seen(), to.port(), flags, new byte[10]);
        return bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(to.server(), to.seen(), Frames.TCP, segment)));
    }

    private void assertAnswered(Translated to, int flags) throws Exception {
        Bench.Out out = answer(to, flags);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        byte[] segment = Frames.tcp(VIP, 80, to.client(), 5000, flags, new byte[10]);
        assertThat(out.frame())
                .containsExactly(
                        Frames.frame(ROUTER, DIRECTOR, Frames.hop(Frames.ip(VIP, to.client(), Frames.TCP, segment))));
    }

    @ParameterizedTest
    @CsvSource({"NAT, MH", "NAT, WLC", "FULLNAT, RR", "FULLNAT, WLC"})
    void translatedConnectionsAreSpreadAnsweredAndCounted(ForwardingMethod translating, SchedulerKind scheduler)
            throws Exception {
        method = translating;
        engine.put(forwarding(scheduler, OnDown.KEEP, up(4), ""));
        Map<InetAddress, Integer> count = new HashMap<>();
        List<Translated> connections = new ArrayList<>();
        for (int client = 0; client < 400; client++) {
            Translated connection = ask(client, SYN);
            assertThat(connection.seen())
                    .isEqualTo(translating == ForwardingMethod.NAT ? clientAddress(client) : address("10.9.255.254"));
            count.merge(connection.server(), 1, Integer::sum);
            assertAnswered(connection, SYN | ACK);
            assertThat(ask(client, ACK)).isEqualTo(connection);
            connections.add(connection);
        }
        assertThat(count).hasSize(4);
        assertThat(count.values()).allMatch(number -> number > 60);
        ServiceStatistics statistics = statistics();
        assertThat(statistics.connections()).isEqualTo(400);
        assertThat(statistics.active()).isEqualTo(400);
        assertThat(statistics.bytesIn()).isEqualTo(400L * 2 * 40);
        assertThat(statistics.bytesOut()).isEqualTo(400L * 50);
        // One server drains, one is lost, one leaves: their connections go on, in both directions.
        List<Server> servers = new ArrayList<>(up(3));
        servers.set(0, server(1, 0, ServerState.UP));
        servers.set(1, server(2, 1, ServerState.DOWN));
        engine.put(forwarding(scheduler, OnDown.KEEP, servers, ""));
        for (int client = 0; client < 400; client++) {
            assertThat(ask(client, ACK)).isEqualTo(connections.get(client));
            assertAnswered(connections.get(client), ACK);
            assertThat(ask(1000 + client, SYN).server()).isEqualTo(address("10.9.0.3"));
        }
        // When the drain time-out is over, those of the server that left go to another.
        now += TIMEOUTS.drain().toNanos();
        engine.tick();
        for (int client = 0; client < 400; client++) {
            Translated connection = connections.get(client);
            boolean left = connection.server().equals(address("10.9.0.4"));
            assertThat(ask(client, ACK).equals(connection)).isEqualTo(!left);
            if (!left) {
                assertAnswered(connection, FIN | ACK);
            }
        }
        engine.remove("web");
        // The sweep comes by every connection in so many ticks.
        for (int tick = 0; tick < 20; tick++) {
            engine.tick();
        }
        for (Translated connection : connections) {
            assertThat(answer(connection, ACK).action()).isEqualTo(XdpAction.PASS);
        }
    }

    /** How many clients there are whose SYN goes to a server, where none acknowledges anything. */
    private int opened(int from, int count) throws Exception {
        int opened = 0;
        for (int client = from; client < from + count; client++) {
            Bench.Out out = packet(client, SYN);
            assertThat(out.action()).isEqualTo(XdpAction.TX);
            // A cookie is for the client.
            opened += Arrays.equals(out.frame(), 0, 6, ROUTER, 0, 6) ? 0 : 1;
        }
        return opened;
    }

    private void ticks(int count) {
        for (int i = 0; i < count; i++) {
            now += 1_000_000_000L;
            engine.tick();
        }
    }

    /** The client acknowledges a cookie; the server has not answered. */
    private void connectByCookie(int client) throws Exception {
        InetAddress from = clientAddress(client);
        byte[] none = new byte[0];
        byte[] syn = CookieTest.tcp(from, 5000, VIP, 80, 7, 0, SYN, 512, none, none);
        byte[] greeting = bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(from, VIP, Frames.TCP, syn)))
                .frame();
        int cookie = ByteBuffer.wrap(greeting).getInt(14 + 20 + 4);
        byte[] ack = CookieTest.tcp(from, 5000, VIP, 80, 8, cookie + 1, ACK, 512, none, none);
        assertThat(bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(from, VIP, Frames.TCP, ack)))
                        .action())
                .isEqualTo(XdpAction.TX);
    }

    private boolean asksForCookies() throws Exception {
        return bench.plane().endpoints().stream().anyMatch(found -> (found.vip().flags() & Layout.FLAG_COOKIES) != 0);
    }

    @ParameterizedTest
    @CsvSource({"NAT, MH", "FULLNAT, WLC"})
    void synsAreAnsweredByCookiesWhileTooManyConnectionsAreHalfOpen(ForwardingMethod translating, SchedulerKind kind)
            throws Exception {
        method = translating;
        Forwarding web = forwarding(kind, OnDown.KEEP, up(4), "").with(ServiceSpec.SynCookies.AUTO);
        engine.put(web);
        Translated old = ask(1, SYN);
        assertAnswered(old, SYN | ACK);
        ask(1, ACK);
        assertThat(opened(100, 200)).isEqualTo(200);
        ticks(8);
        // What is not needed costs nothing.
        assertThat(engine.synCookies()).containsExactly(Map.entry("web", false));
        assertThat(asksForCookies()).isFalse();
        assertThat(opened(1000, 1500)).isEqualTo(1500);
        assertThat(events).noneMatch(event -> event.contains("cookies"));
        ticks(1);
        assertThat(events.getLast()).contains("web", "half open, more than 1,024");
        assertThat(engine.synCookies()).containsExactly(Map.entry("web", true));
        assertThat(opened(3000, 500)).isZero();
        assertThat(ask(1, ACK)).isEqualTo(old);
        assertAnswered(old, ACK);
        // Those who began before go on, and after them it is only the flood that keeps it on.
        for (int client = 1000; client < 2500; client++) {
            assertThat(packet(client, ACK).action()).isEqualTo(XdpAction.TX);
        }
        for (int i = 0; i < 3; i++) {
            ticks(30);
            assertThat(opened(4000, 600)).isZero();
        }
        // Another process finds it on, also where another kind of schedule makes it another service to the tables.
        engine = new XdpEngine(bench.plane(), new KnownHops(), new RecordedEvents(events), () -> now);
        engine.adopt();
        engine.put(web);
        assertThat(opened(4000, 100)).isZero();
        assertThat(ask(1, ACK)).isEqualTo(old);
        engine.put(forwarding(SchedulerKind.RR, OnDown.KEEP, up(4), "").with(ServiceSpec.SynCookies.AUTO));
        ticks(59);
        assertThat(opened(5000, 100)).isZero();
        connectByCookie(6000);
        ticks(2);
        assertThat(engine.synCookies()).containsExactly(Map.entry("web", false));
        assertThat(events.getLast()).contains("no longer answered with cookies");
        assertThat(opened(5000, 100)).isEqualTo(100);
        // The endpoint looks on for as long as there is a connection that came by one, or a cookie is good.
        ticks(200);
        assertThat(asksForCookies()).isTrue();
        bench.plane().flowsForAnotherThread().visit(place -> place.kill(Integer.MAX_VALUE / 2) >= 0);
        ticks(130);
        assertThat(asksForCookies()).isTrue();
        ticks(16);
        assertThat(asksForCookies()).isFalse();
    }

    @Test
    void lostServersTranslatedConnectionsAreMovedWhereTheServiceWantsIt() throws Exception {
        method = ForwardingMethod.FULLNAT;
        engine.put(forwarding(SchedulerKind.WLC, OnDown.RESET, up(2), ""));
        Translated one = ask(1, SYN);
        Translated other = ask(2, SYN);
        assertThat(one.server()).isNotEqualTo(other.server());
        List<Server> servers = up(2);
        int lost = one.server().getAddress()[3];
        servers.set(lost - 1, server(lost, 1, ServerState.DOWN));
        engine.put(forwarding(SchedulerKind.WLC, OnDown.RESET, servers, ""));
        Translated moved = ask(1, ACK);
        assertThat(moved.server()).isEqualTo(other.server());
        assertAnswered(moved, RST);
        assertThat(answer(one, ACK).action()).isEqualTo(XdpAction.PASS);
        assertThat(ask(2, ACK)).isEqualTo(other);
    }

    @Test
    void anotherForwardingMethodTakesOver() throws Exception {
        for (ForwardingMethod each : EnumSet.complementOf(EnumSet.of(ForwardingMethod.PROXY))) {
            method = each;
            engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, up(2), ""));
            assertThat(packet(1, SYN).action()).isEqualTo(XdpAction.TX);
        }
        assertThat(events).noneMatch(event -> event.startsWith("not"));
    }

    @Test
    void addressesOfAnotherFamilyAreNotTranslated() {
        method = ForwardingMethod.NAT;
        Server six = new Server("six", new InetSocketAddress(address("2001:db8::1"), 80), 1, 0, ServerState.UP);
        engine.put(forwarding(SchedulerKind.WLC, OnDown.KEEP, List.of(six), ""));
        assertThat(events)
                .containsExactly("notListening web 192.0.2.1:80/tcp: forwarding nat translates no IPv4 into IPv6:"
                        + " servers must have addresses of the service's family");
    }

    private static Endpoint ports(int first, int last) {
        return new Endpoint(VIP, first, last, Protocol.TCP);
    }

    /** A service with one server for each number. */
    private Forwarding listening(String name, SchedulerKind scheduler, List<Endpoint> listen, int... servers) {
        List<Server> described = Arrays.stream(servers)
                .mapToObj(number -> server(number, 1, ServerState.UP))
                .toList();
        return Forwardings.of(name, method, scheduler, listen, described);
    }

    /** The number of the server that a packet to the port goes to; 0 where it passes to the kernel. */
    private int sendTo(int client, int port, int flags) throws Exception {
        InetAddress from = clientAddress(client);
        Bench.Out out = bench.run(Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, VIP, Frames.TCP, Frames.tcp(from, 5000, VIP, port, flags, new byte[0]))));
        return out.action() == XdpAction.PASS ? 0 : Bench.serverOf(out);
    }

    @Test
    void rangesComeChangeAndGoAndEachPortHasOneService() throws Exception {
        engine.put(listening("rest", SchedulerKind.MH, List.of(ports(1, 65_535)), 1));
        engine.put(listening("one", SchedulerKind.MH, List.of(ports(1000, 1999)), 2));
        engine.put(listening("two", SchedulerKind.MH, List.of(ports(2000, 2999), WEB), 3));
        engine.put(listening("three", SchedulerKind.MH, List.of(ports(3000, 3999)), 4));
        assertThat(events).contains("listening rest 192.0.2.1:*/tcp", "listening one 192.0.2.1:1000-1999/tcp");
        int[][] expected = {{1, 1}, {80, 3}, {999, 1}, {1000, 2}, {1999, 2}, {2000, 3}, {2999, 3}, {3999, 4}, {4000, 1}
        };
        for (int[] each : expected) {
            assertThat(sendTo(1, each[0], SYN)).as("port " + each[0]).isEqualTo(each[1]);
        }
        // The first of the row leaves, and the last but one takes its place; then the last.
        engine.remove("one");
        int[][] without = {{80, 3}, {1000, 1}, {1999, 1}, {2000, 3}, {3000, 4}, {3999, 4}, {4000, 1}};
        for (int[] each : without) {
            assertThat(sendTo(1, each[0], SYN)).as("port " + each[0]).isEqualTo(each[1]);
        }
        engine.put(listening("two", SchedulerKind.MH, List.of(ports(2500, 2999)), 3));
        assertThat(sendTo(1, 2499, SYN)).isEqualTo(1);
        assertThat(sendTo(1, 2500, SYN)).isEqualTo(3);
        assertThat(sendTo(1, 80, SYN)).isEqualTo(1);
        engine.remove("rest");
        assertThat(sendTo(1, 80, SYN)).isZero();
        assertThat(sendTo(1, 2499, SYN)).isZero();
        assertThat(sendTo(1, 3500, SYN)).isEqualTo(4);
        engine.remove("two");
        engine.remove("three");
        assertThat(bench.plane().endpoints()).isEmpty();
        assertThat(events).noneMatch(event -> event.startsWith("not"));
    }

    @Test
    void connectionsStayWhenThePortsAroundThemChange() throws Exception {
        List<List<Endpoint>> changes = List.of(
                List.of(ports(8000, 8999)),
                List.of(ports(8000, 9999)),
                List.of(ports(8500, 8999), ports(8080, 8080), ports(9000, 9999)),
                List.of(ports(8000, 9999), ports(8080, 8080), ports(8600, 8600)),
                List.of(ports(1, 65_535)),
                List.of(ports(8080, 8080), ports(8600, 8600)));
        engine.put(listening("web", SchedulerKind.WLC, changes.getFirst(), 1, 2, 3));
        Map<Integer, Integer> serverOf = new HashMap<>();
        for (int client = 0; client < 60; client++) {
            int port = client % 2 == 0 ? 8080 : 8600;
            serverOf.put(client, sendTo(client, port, SYN));
            sendTo(client, port, ACK);
        }
        assertThat(Set.copyOf(serverOf.values())).containsExactlyInAnyOrder(1, 2, 3);
        for (List<Endpoint> change : changes) {
            engine.put(listening("web", SchedulerKind.WLC, change, 1, 2, 3));
            engine.tick();
            for (int client = 0; client < 60; client++) {
                assertThat(sendTo(client, client % 2 == 0 ? 8080 : 8600, ACK))
                        .as("client " + client + " at " + change)
                        .isEqualTo(serverOf.get(client));
            }
        }
        assertThat(statistics().connections()).isEqualTo(60);
        assertThat(connections("web").connections())
                .hasSize(60)
                .extracting(ConnectionInfo::listen)
                .containsOnly("192.0.2.1:8080/tcp", "192.0.2.1:8600/tcp");
    }

    @Test
    void thereAreNoMoreThanEightRangesAndOneThatIsReplacedMakesRoom() throws Exception {
        List<Endpoint> eight = new ArrayList<>();
        for (int i = 1; i <= 8; i++) {
            eight.add(ports(1000 * i, 1000 * i + 499));
        }
        engine.put(listening("web", SchedulerKind.MH, List.copyOf(eight), 1));
        engine.put(listening("more", SchedulerKind.MH, List.of(ports(20_000, 20_999)), 2));
        assertThat(events)
                .contains("notListening more 192.0.2.1:20000-20999/tcp: no place for 192.0.2.1:20000-20999/tcp: the"
                        + " engine xdp has at most 8 ranges of ports of one address and protocol");
        eight.set(3, ports(4000, 4999));
        engine.put(listening("web", SchedulerKind.MH, List.copyOf(eight), 1));
        assertThat(sendTo(1, 4999, SYN)).isEqualTo(1);
        engine.put(listening("web", SchedulerKind.MH, List.copyOf(eight.subList(1, 8)), 1));
        engine.tick();
        assertThat(sendTo(1, 20_999, SYN)).isEqualTo(2);
        assertThat(sendTo(1, 1000, SYN)).isZero();
        assertThat(sendTo(1, 8499, SYN)).isEqualTo(1);
    }

    @Test
    void anEndpointThatMovesToAnotherServiceIsNotTakenAwayByTheOneThatHadIt() throws Exception {
        for (Endpoint moving : List.of(WEB, ports(8000, 8999))) {
            int port = moving.firstPort();
            engine.put(listening("one", SchedulerKind.MH, List.of(moving, ports(7000, 7000)), 1));
            engine.put(listening("two", SchedulerKind.MH, List.of(moving), 2));
            engine.put(listening("one", SchedulerKind.MH, List.of(ports(7000, 7000)), 1));
            assertThat(sendTo(1, port, SYN)).isEqualTo(2);
            engine.remove("one");
            assertThat(sendTo(1, port, SYN)).isEqualTo(2);
            engine.remove("two");
            assertThat(sendTo(1, port, SYN)).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"NAT", "FULLNAT"})
    void eachPortOfARangeIsItsOwnAtAServerWithoutAPort(ForwardingMethod translating) throws Exception {
        method = translating;
        Server any = new Server("any", new InetSocketAddress(address("10.9.0.1"), 0), 1, 0, ServerState.UP);
        engine.put(Forwardings.of("web", method, SchedulerKind.WLC, List.of(ports(8000, 8999)), List.of(any)));
        Map<Integer, Bench.Out> asked = new HashMap<>();
        for (int port = 8000; port < 8100; port++) {
            InetAddress client = clientAddress(1);
            asked.put(
                    port,
                    bench.run(Frames.frame(
                            DIRECTOR,
                            ROUTER,
                            Frames.ip(
                                    client, VIP, Frames.TCP, Frames.tcp(client, 5000, VIP, port, SYN, new byte[0])))));
        }
        int answered = 0;
        for (Map.Entry<Integer, Bench.Out> each : asked.entrySet()) {
            if (each.getValue().action() == XdpAction.PASS) {
                continue;
            }
            byte[] frame = each.getValue().frame();
            int port = each.getKey();
            InetAddress seen = InetAddress.getByAddress(Arrays.copyOfRange(frame, 26, 30));
            int seenPort = ((frame[34] & 0xff) << 8) | (frame[35] & 0xff);
            assertThat(((frame[36] & 0xff) << 8) | (frame[37] & 0xff)).isEqualTo(port);
            byte[] segment = Frames.tcp(address("10.9.0.1"), port, seen, seenPort, SYN | ACK, new byte[0]);
            Bench.Out back = bench.run(
                    Frames.frame(DIRECTOR, ROUTER, Frames.ip(address("10.9.0.1"), seen, Frames.TCP, segment)));
            if (back.action() == XdpAction.PASS) {
                continue;
            }
            byte[] expected = Frames.tcp(VIP, port, clientAddress(1), 5000, SYN | ACK, new byte[0]);
            assertThat(back.frame())
                    .containsExactly(Frames.frame(
                            ROUTER, DIRECTOR, Frames.hop(Frames.ip(VIP, clientAddress(1), Frames.TCP, expected))));
            answered++;
        }
        // With NAT what a client opens from one port shares a place for eight, with full NAT it lies anywhere.
        assertThat(answered).isGreaterThanOrEqualTo(translating == ForwardingMethod.NAT ? 8 : 100);
    }
}

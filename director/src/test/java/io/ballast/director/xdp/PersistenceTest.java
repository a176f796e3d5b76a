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
import io.ballast.core.config.ServiceSpec.Persistence;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.RecordedEvents;
import io.ballast.director.scheduler.FlowKey;
import io.ballast.director.scheduler.Member;
import io.ballast.director.scheduler.PersistenceTable;
import io.ballast.director.scheduler.Scheduler;
import io.ballast.director.scheduler.Schedulers;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A client's connections to a service lead to one server, as the userspace engine has it. */
final class PersistenceTest {
    private static final InetAddress VIP4 = address("192.0.2.1");
    private static final InetAddress VIP6 = address("2001:db8:1::1");
    private static final Duration LONG = Duration.ofHours(1);
    private static final List<SchedulerKind> KINDS = List.of(
            SchedulerKind.MH,
            SchedulerKind.SH,
            SchedulerKind.RR,
            SchedulerKind.WRR,
            SchedulerKind.LC,
            SchedulerKind.WLC,
            SchedulerKind.SED,
            SchedulerKind.NQ);
    private static final List<ServerState> STATES = List.of(ServerState.values());
    private static final ServiceSpec.Timeouts TIMEOUTS = new ServiceSpec.Timeouts(
            Duration.ofSeconds(1),
            Duration.ofMinutes(10),
            Duration.ofMinutes(1),
            Duration.ofMinutes(10),
            Duration.ofSeconds(1),
            Duration.ofMinutes(5));

    private final List<String> events = new ArrayList<>();
    private final List<Endpoint> listen = new ArrayList<>();
    private Bench bench;
    private XdpEngine engine;
    private MemorySegment flows;
    private long now;
    private SchedulerKind scheduler = SchedulerKind.WLC;
    private ForwardingMethod method = ForwardingMethod.DR;
    private OnDown onDown = OnDown.KEEP;
    private Optional<InetSocketAddress> sorry = Optional.empty();

    @BeforeEach
    void open() throws Exception {
        bench = Bench.open(1024, 0);
        begin();
        for (int port : new int[] {80, 443}) {
            listen.add(new Endpoint(VIP4, port, Protocol.TCP));
            listen.add(new Endpoint(VIP6, port, Protocol.TCP));
        }
        listen.add(new Endpoint(VIP4, 443, Protocol.UDP));
    }

    private void begin() throws Exception {
        engine = new XdpEngine(bench.plane(), new Known(), new RecordedEvents(events), () -> now);
        flows = bench.plane().memory("flows");
    }

    @AfterEach
    void close() {
        if (bench != null) {
            bench.close();
        }
    }

    /** Every server is on the link, and its MAC address ends as its IP address does. */
    private static final class Known implements Hops {
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

    private static Server server(int number, int weight, int limit, ServerState state) {
        return new Server("s" + number, new InetSocketAddress(address("10.9.0." + number), 80), weight, limit, state);
    }

    private static List<Server> up(int count) {
        List<Server> servers = new ArrayList<>();
        for (int number = 1; number <= count; number++) {
            servers.add(server(number, 1, 0, ServerState.UP));
        }
        return servers;
    }

    private static List<Server> upBut(int count, Server other) {
        List<Server> servers = up(count);
        servers.set(Integer.parseInt(other.name().substring(1)) - 1, other);
        return servers;
    }

    private static Optional<Persistence> persistent(Duration timeout) {
        return Optional.of(new Persistence(timeout, 32, 128));
    }

    private void put(Optional<Persistence> persistence, List<Server> servers) {
        engine.put(new Forwarding(
                "web",
                List.copyOf(listen),
                scheduler,
                method,
                persistence,
                TIMEOUTS,
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                onDown,
                Optional.empty(),
                List.copyOf(servers),
                sorry));
        assertThat(events).noneMatch(event -> event.startsWith("not"));
    }

    private static InetAddress client(int number) {
        return address("198.51." + (number >> 8) + "." + (number & 255));
    }

    private Bench.Out packet(InetAddress from, int fromPort, int port, int flags) throws Exception {
        InetAddress vip = from instanceof Inet4Address ? VIP4 : VIP6;
        byte[] segment = Frames.tcp(from, fromPort, vip, port, flags, new byte[0]);
        return bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(from, vip, Frames.TCP, segment)));
    }

    /** The number in the name of the server that it goes to; 0 where it is the kernel's. */
    private int send(InetAddress from, int fromPort, int port, int flags) throws Exception {
        Bench.Out out = packet(from, fromPort, port, flags);
        return out.action() == XdpAction.PASS ? 0 : Bench.serverOf(out);
    }

    private int send(int client, int fromPort, int port, int flags) throws Exception {
        return send(client(client), fromPort, port, flags);
    }

    /** A connection that has come about. */
    private int connect(int client, int fromPort, int port) throws Exception {
        int server = send(client, fromPort, port, SYN);
        assertThat(send(client, fromPort, port, ACK)).isEqualTo(server);
        return server;
    }

    /** The places of the flow table that hold clients' servers, also of those whose time is over. */
    private List<MemorySegment> templates() {
        List<MemorySegment> found = new ArrayList<>();
        for (long bucket = 0; bucket < flows.byteSize(); bucket += Layout.BUCKET) {
            for (int way = 0; way < Layout.WAYS; way++) {
                long at = bucket + Layout.BUCKET_FLOWS + (long) way * Layout.FLOW;
                int vip = flows.get(ValueLayout.JAVA_INT, at + Layout.FLOW_VIP);
                if (flows.get(ValueLayout.JAVA_INT, bucket + 4L * way) != 0 && (vip & Layout.TEMPLATE_OF) != 0) {
                    found.add(flows.asSlice(at, Layout.FLOW));
                }
            }
        }
        return found;
    }

    private List<ConnectionInfo> connections() {
        return engine.connections(ConnectionQuery.list("web", 10_000))
                .toCompletableFuture()
                .join()
                .connections();
    }

    private int expiry() {
        return templates().getFirst().get(ValueLayout.JAVA_INT, Layout.FLOW_EXPIRES);
    }

    /** So many ticks from now the only client is forgotten; below 0 it is already. */
    private void expireIn(int ticks) {
        templates().getFirst().set(ValueLayout.JAVA_INT, Layout.FLOW_EXPIRES, ticks() + ticks);
    }

    private static int ticks() {
        return (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
    }

    /** The next packet of a connection is the first in its tick. */
    private static void awaitTick() {
        int before = ticks();
        // The kernel's clock may be a few milliseconds behind.
        while (ticks() < before + 2) {
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
        }
    }

    @Test
    void aClientsConnectionsToAllEndpointsOfTheServiceLeadToOneServer() throws Exception {
        for (SchedulerKind kind : KINDS) {
            scheduler = kind;
            leadToOneServer();
            engine.remove("web");
            sweep();
            assertThat(templates()).isEmpty();
        }
    }

    private void leadToOneServer() throws Exception {
        put(persistent(LONG), up(4));
        int[] serverOf = new int[40];
        Set<Integer> servers = new HashSet<>();
        for (int client = 0; client < serverOf.length; client++) {
            serverOf[client] = connect(client, 5000, 80);
            servers.add(serverOf[client]);
        }
        assertThat(servers).containsExactlyInAnyOrder(1, 2, 3, 4);
        for (int round = 1; round < 6; round++) {
            for (int client = 0; client < serverOf.length; client++) {
                assertThat(connect(client, 5000 + round, round % 2 == 0 ? 80 : 443))
                        .isEqualTo(serverOf[client]);
                InetAddress from = client(client);
                byte[] datagram = Frames.udp(from, 6000 + round, VIP4, 443, new byte[0]);
                Bench.Out out = bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(from, VIP4, Frames.UDP, datagram)));
                assertThat(Bench.serverOf(out)).isEqualTo(serverOf[client]);
            }
        }
        assertThat(templates()).hasSize(serverOf.length);
        assertThat(connections()).hasSize(serverOf.length * 11);
        // Clients count in no load: 11 connections each.
        assertThat(engine.statistics().toCompletableFuture().join().getFirst().active())
                .isEqualTo(serverOf.length * 11);
    }

    private static final class Open {
        final InetAddress client;
        final int fromPort;
        final int port;
        final Member member;

        Open(InetAddress client, int fromPort, int port, Member member) {
            this.client = client;
            this.fromPort = fromPort;
            this.port = port;
            this.member = member;
        }
    }

    private static InetAddress randomClient(Random random) {
        return random.nextBoolean()
                ? address("10.0." + random.nextInt(3) + "." + random.nextInt(12))
                : address("2001:db8:0:" + random.nextInt(3) + ":" + random.nextInt(2) + "::"
                        + Integer.toHexString(random.nextInt(6)));
    }

    /** What the worker's Balancer does, without a queue. */
    private static @Nullable Member choice(PersistenceTable clients, Scheduler reference, FlowKey flow) {
        PersistenceTable.Entry entry = clients.find(flow, 0);
        if (entry != null && !entry.server().full()) {
            clients.opened(entry, 0);
            return entry.server();
        }
        return reference.pick(flow);
    }

    /** Whether the schedule does not depend on when the table was written. */
    private static boolean isExact(SchedulerKind kind) {
        return kind != SchedulerKind.RR && kind != SchedulerKind.WRR;
    }

    @Test
    void choosesAsTheUserspaceEngineOverRandomHistories() throws Exception {
        for (SchedulerKind kind : KINDS) {
            scheduler = kind;
            chooseAsTheUserspaceEngine(kind);
        }
    }

    private void chooseAsTheUserspaceEngine(SchedulerKind kind) throws Exception {
        boolean limits = kind.comparesLoads();
        for (int seed = 1; seed <= 6; seed++) {
            Random random = new Random(seed * 7919L);
            Persistence persistence =
                    new Persistence(LONG, seed % 3 == 0 ? 32 : 20 + random.nextInt(13), 60 + random.nextInt(69));
            Scheduler reference = Schedulers.create(kind);
            PersistenceTable clients =
                    new PersistenceTable(LONG.toNanos(), persistence.prefix4(), persistence.prefix6(), 1000, seed);
            List<Server> servers = new ArrayList<>();
            List<Member> members = new ArrayList<>();
            int count = 1 + random.nextInt(6);
            for (int i = 0; i < count; i++) {
                servers.add(server(i + 1, 1 + random.nextInt(4), 0, ServerState.UP));
                members.add(new Member("s" + (i + 1), servers.get(i).weight(), 0, true));
                reference.add(members.get(i));
            }
            put(Optional.of(persistence), servers);
            List<Open> open = new ArrayList<>();
            for (int step = 0; step < 250; step++) {
                String as = kind + " seed " + seed + " step " + step;
                if (random.nextInt(25) == 0) {
                    int which = random.nextInt(count);
                    int weight = random.nextInt(4) == 0 ? 0 : 1 + random.nextInt(4);
                    int limit = limits && random.nextInt(3) == 0 ? 1 + random.nextInt(20) : 0;
                    ServerState state = STATES.get(random.nextInt(STATES.size()));
                    servers.set(which, server(which + 1, weight, limit, state));
                    reference.update(members.get(which), weight, limit, state == ServerState.UP);
                    put(Optional.of(persistence), servers);
                } else if (open.isEmpty() || random.nextInt(4) > 0) {
                    InetAddress client = randomClient(random);
                    int fromPort = 1024 + step;
                    int port = random.nextBoolean() ? 80 : 443;
                    FlowKey flow = FlowKey.of(client.getAddress(), fromPort, VIP4.getAddress());
                    PersistenceTable.Entry before = clients.find(flow, 0);
                    Member expected = choice(clients, reference, flow);
                    int picked = send(client, fromPort, port, SYN);
                    if (expected == null) {
                        assertThat(picked).as(as).isZero();
                        continue;
                    }
                    if (before == null && !isExact(kind)) {
                        assertThat(members.get(picked - 1).available()).as(as).isTrue();
                        expected = members.get(picked - 1);
                    }
                    assertThat(picked).as(as).isEqualTo(members.indexOf(expected) + 1);
                    if (before == null || before.server().full()) {
                        clients.opened(Objects.requireNonNull(clients.assign(flow, expected, 0)), 0);
                    }
                    assertThat(send(client, fromPort, port, ACK)).as(as).isEqualTo(picked);
                    reference.opened(expected);
                    open.add(new Open(client, fromPort, port, expected));
                } else {
                    Open ended = open.remove(random.nextInt(open.size()));
                    assertThat(send(ended.client, ended.fromPort, ended.port, FIN | ACK))
                            .as(as)
                            .isEqualTo(members.indexOf(ended.member) + 1);
                    reference.deactivated(ended.member);
                }
            }
            engine.remove("web");
            engine.tick();
        }
    }

    @Test
    void aServerThatTakesNoNewConnectionsLosesItsClientsButNotTheirConnections() throws Exception {
        int client = 0;
        for (ServerState state : ServerState.values()) {
            for (int weight = 0; weight < 2; weight++) {
                put(persistent(LONG), up(3));
                client++;
                int before = connect(client, 5000, 80);
                put(persistent(LONG), upBut(3, server(before, weight, 0, state)));
                boolean stays = state == ServerState.UP && weight > 0;
                int after = connect(client, 5001, 443);
                assertThat(after == before).isEqualTo(stays);
                assertThat(send(client, 5000, 80, ACK)).isEqualTo(before);
                put(persistent(LONG), up(3));
                assertThat(connect(client, 5002, 80))
                        .as("it stays where it is now")
                        .isEqualTo(after);
                // The old connection does not win the client back.
                awaitTick();
                assertThat(send(client, 5000, 80, ACK)).isEqualTo(before);
                assertThat(connect(client, 5003, 80)).isEqualTo(after);
            }
        }
    }

    @Test
    void aServerAtItsLimitGivesItsClientsAway() throws Exception {
        put(persistent(LONG), List.of(server(1, 9, 2, ServerState.UP), server(2, 1, 0, ServerState.UP)));
        assertThat(connect(1, 5000, 80)).isEqualTo(1);
        assertThat(connect(1, 5001, 80)).isEqualTo(1);
        assertThat(connect(1, 5002, 80)).isEqualTo(2);
        put(persistent(LONG), List.of(server(1, 9, 0, ServerState.UP), server(2, 1, 0, ServerState.UP)));
        assertThat(connect(1, 5003, 80)).isEqualTo(2);
    }

    @Test
    void withNoOtherServerAClientStaysOneOfThatWhichCannotTakeIt() throws Exception {
        put(persistent(LONG), up(2));
        int server = connect(1, 5000, 80);
        List<Server> none = List.of(server(1, 1, 0, ServerState.DOWN), server(2, 1, 0, ServerState.DOWN));
        put(persistent(LONG), none);
        assertThat(send(1, 5001, 80, SYN)).isZero();
        put(persistent(LONG), up(2));
        assertThat(connect(1, 5002, 80)).isEqualTo(server);
    }

    @Test
    void theSorryServerKeepsNoClients() throws Exception {
        sorry = Optional.of(new InetSocketAddress(address("10.9.0.99"), 80));
        for (SchedulerKind kind : List.of(SchedulerKind.WLC, SchedulerKind.RR, SchedulerKind.SH)) {
            scheduler = kind;
            put(persistent(LONG), List.of(server(1, 1, 0, ServerState.DOWN)));
            assertThat(connect(1, 5000, 80)).isEqualTo(99);
            put(persistent(LONG), up(1));
            assertThat(connect(1, 5001, 80)).as(kind.toString()).isEqualTo(1);
            assertThat(send(1, 5000, 80, ACK)).isEqualTo(99);
            engine.remove("web");
        }
    }

    @Test
    void timeRunsFromTheLastPacketOfTheLastConnection() throws Exception {
        scheduler = SchedulerKind.RR;
        put(persistent(LONG), up(50));
        int server = connect(1, 5000, 80);
        int hour = (int) (LONG.toNanos() >>> Layout.TICK_SHIFT);
        assertThat(expiry() - ticks()).isBetween(hour - 50, hour);
        for (int flags : new int[] {ACK, FIN | ACK}) {
            expireIn(1000);
            awaitTick();
            int before = ticks();
            assertThat(send(1, 5000, 80, flags)).isEqualTo(server);
            assertThat(expiry() - before).isBetween(hour - 1, hour + 50);
        }
        expireIn(1000);
        assertThat(connect(1, 5001, 80)).isEqualTo(server);
        assertThat(expiry() - ticks()).isGreaterThan(hour - 50);
        expireIn(-1);
        awaitTick();
        assertThat(send(1, 5001, 80, ACK))
                .as("nothing becomes of one whose time is over")
                .isEqualTo(server);
        int other = connect(1, 5002, 80);
        assertThat(other).isNotEqualTo(server);
        assertThat(templates()).as("it has the same place").hasSize(1);
        expireIn(1000);
        awaitTick();
        assertThat(send(1, 5001, 80, ACK)).isEqualTo(server);
        assertThat(expiry() - ticks()).as("of a connection elsewhere").isLessThan(1000);
    }

    @Test
    void whatOnlySynsHaveAskedForIsForgottenSooner() throws Exception {
        put(persistent(LONG), up(2));
        send(1, 5000, 80, SYN);
        int open = expiry();
        assertThat(open - ticks()).isBetween(390, 450);
        send(1, 5000, 80, RST);
        send(1, 5000, 80, ACK);
        assertThat(expiry() - open).as("a reset proves nothing").isBetween(0, 50);
        send(1, 5001, 80, SYN);
        assertThat(expiry() - ticks()).isBetween(390, 450);
        send(1, 5001, 80, ACK);
        assertThat(expiry() - ticks()).isGreaterThan(26_000);
        send(1, 5002, 80, SYN);
        assertThat(expiry() - ticks()).isGreaterThan(26_000);
    }

    @Test
    void aFloodOfSynsTakesNoClientFromItsServer() throws Exception {
        bench.close();
        bench = Bench.open(1, 0);
        begin();
        scheduler = SchedulerKind.RR;
        put(persistent(LONG), up(50));
        int server = connect(1, 5000, 80);
        // Their time is shorter than what is being opened has.
        for (long way = 0; way < Layout.WAYS; way++) {
            flows.set(
                    ValueLayout.JAVA_INT, Layout.BUCKET_FLOWS + way * Layout.FLOW + Layout.FLOW_EXPIRES, ticks() + 200);
        }
        for (int client = 2; client < 100; client++) {
            send(client, 5000, 80, SYN);
        }
        assertThat(connections()).anyMatch(connection -> connection.state().equals("established"));
        assertThat(send(1, 5001, 443, SYN)).isEqualTo(server);
        assertThat(send(1, 5000, 80, ACK)).isEqualTo(server);
    }

    @Test
    void sweepingForgetsClientsOfServersThatAreGoneAndNoOthers() throws Exception {
        scheduler = SchedulerKind.RR;
        put(persistent(LONG), up(3));
        for (int client = 0; client < 30; client++) {
            connect(client, 5000, 80);
        }
        put(persistent(LONG), up(2));
        sweep();
        assertThat(templates()).as("it drains").hasSize(30);
        now += TIMEOUTS.drain().toNanos();
        sweep();
        assertThat(templates()).hasSize(20);
        assertThat(events.getLast()).as("clients are no connections").isEqualTo("drained web/s3 10");
        for (int client = 0; client < 30; client++) {
            send(client, 5000, 80, ACK); // and moves where it has to
        }
        now += TimeUnit.MINUTES.toNanos(2);
        sweep();
        assertThat(numbered()).as("its number is free").isEqualTo(2);
        assertThat(engine.statistics().toCompletableFuture().join().getFirst().servers())
                .allMatch(row -> row.active() > 0);
    }

    private void sweep() {
        for (int tick = 0; tick < 16; tick++) {
            engine.tick();
        }
    }

    @Test
    void aServersNumberIsNoOtherServersWhileAClientBelongsToIt() throws Exception {
        put(persistent(LONG), up(2));
        connect(1, 5000, 80);
        connect(2, 5000, 80);
        put(persistent(LONG), up(1));
        for (int tick = 0; tick < 7; tick++) {
            engine.tick();
        }
        connectionsAreOver();
        // In this tick the server is cut off, and numbers of those that were a minute ago are given back.
        now += TIMEOUTS.drain().toNanos() + TimeUnit.MINUTES.toNanos(2);
        engine.tick();
        assertThat(numbered()).isEqualTo(2);
        sweep();
        assertThat(numbered()).isEqualTo(1);
    }

    private void connectionsAreOver() {
        for (long at = 0; at < flows.byteSize(); at += Layout.BUCKET) {
            for (int way = 0; way < Layout.WAYS; way++) {
                MemorySegment flow = flows.asSlice(at + Layout.BUCKET_FLOWS + (long) way * Layout.FLOW, Layout.FLOW);
                if (flow.get(ValueLayout.JAVA_INT, Layout.FLOW_VIP) > 0) {
                    flow.set(ValueLayout.JAVA_INT, Layout.FLOW_EXPIRES, ticks() - 1000);
                }
            }
        }
    }

    /** How many servers of the service have a number. */
    private int numbered() {
        Notes notes = bench.plane().notes();
        return notes.servers(notes.services().getFirst()).size();
    }

    @Test
    void aServiceThatIsInstalledAnewKnowsNoClientsOfAnother() throws Exception {
        scheduler = SchedulerKind.RR;
        put(persistent(LONG), up(2));
        for (int client = 0; client < 30; client++) {
            connect(client, 5000, 80);
        }
        engine.remove("web");
        put(persistent(LONG), up(2));
        int[] serverOf = new int[30];
        for (int client = 0; client < 30; client++) {
            serverOf[client] = connect(client, 5000, 80);
        }
        assertThat(templates()).hasSize(60);
        sweep();
        assertThat(templates()).hasSize(30);
        for (int client = 0; client < 30; client++) {
            assertThat(connect(client, 5001, 80)).isEqualTo(serverOf[client]);
        }
    }

    @Test
    void persistenceComesAndGoesWithoutHarmToConnections() throws Exception {
        scheduler = SchedulerKind.MH;
        put(Optional.empty(), up(6));
        int[] serverOf = new int[100];
        for (int client = 0; client < 100; client++) {
            serverOf[client] = connect(client, 5000, 80);
        }
        // All are one client now, but for the connections that there are.
        Optional<Persistence> oneClient = Optional.of(new Persistence(LONG, 16, 16));
        put(oneClient, up(6));
        int server = connect(0, 5001, 80);
        for (int client = 0; client < 100; client++) {
            assertThat(send(client, 5000, 80, ACK)).isEqualTo(serverOf[client]);
            assertThat(connect(client, 5001, 80)).isEqualTo(server);
        }
        assertThat(templates()).hasSize(1);
        put(Optional.empty(), up(6));
        now += TIMEOUTS.idle().toNanos();
        sweep();
        assertThat(templates()).isEmpty();
        for (int client = 0; client < 100; client++) {
            assertThat(send(client, 5000, 80, ACK)).isEqualTo(serverOf[client]);
            assertThat(send(client, 5001, 80, ACK)).isEqualTo(server);
            assertThat(connect(client, 5002, 80)).isEqualTo(serverOf[client]);
        }
    }

    @Test
    void aClientOfBeforeTheMaskChangedIsAnother() throws Exception {
        scheduler = SchedulerKind.RR;
        put(Optional.of(new Persistence(LONG, 32, 128)), up(50));
        int before = connect(0, 5000, 80);
        put(Optional.of(new Persistence(LONG, 24, 128)), up(50));
        int after = connect(0, 5001, 80);
        assertThat(after).as("198.51.0.0 as an address and as a network").isNotEqualTo(before);
        assertThat(connect(7, 5001, 80)).isEqualTo(after);
    }

    @ParameterizedTest
    @EnumSource(names = {"NAT", "FULLNAT"})
    void translatedConnectionsLeadToOneServerAndAnswersKeepTheClient(ForwardingMethod translating) throws Exception {
        method = translating;
        scheduler = SchedulerKind.RR;
        listen.removeIf(Endpoint::ipv6);
        put(persistent(LONG), up(50));
        InetAddress server = translated(1, 5000, 80, SYN).server();
        assertThat(translated(1, 5001, 443, SYN).server()).isEqualTo(server);
        assertThat(translated(2, 5001, 443, SYN).server()).isNotEqualTo(server);
        Translated connection = translated(1, 5000, 80, ACK);
        assertThat(connection.server()).isEqualTo(server);
        for (MemorySegment template : templates()) {
            template.set(ValueLayout.JAVA_INT, Layout.FLOW_EXPIRES, ticks() + 1000);
        }
        awaitTick();
        byte[] answer = Frames.tcp(server, 80, connection.seen(), connection.port(), ACK, new byte[10]);
        byte[] frame = Frames.frame(DIRECTOR, ROUTER, Frames.ip(server, connection.seen(), Frames.TCP, answer));
        assertThat(bench.run(frame).action()).isEqualTo(XdpAction.TX);
        assertThat(templates().stream()
                        .map(template -> template.get(ValueLayout.JAVA_INT, Layout.FLOW_EXPIRES) - ticks() > 2000))
                .containsExactlyInAnyOrder(true, false);
    }

    private record Translated(InetAddress server, InetAddress seen, int port) {}

    private Translated translated(int client, int fromPort, int port, int flags) throws Exception {
        Bench.Out out = packet(client(client), fromPort, port, flags);
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        byte[] frame = out.frame();
        return new Translated(
                InetAddress.getByAddress(Arrays.copyOfRange(frame, 30, 34)),
                InetAddress.getByAddress(Arrays.copyOfRange(frame, 26, 30)),
                ((frame[34] & 0xff) << 8) | (frame[35] & 0xff));
    }

    @Test
    void anIcmpErrorFollowsTheClientAndChangesNothing() throws Exception {
        scheduler = SchedulerKind.RR;
        put(persistent(LONG), up(50));
        int server = connect(1, 5000, 80);
        expireIn(1000);
        InetAddress from = client(1);
        byte[] quoted = Frames.ip(VIP4, from, Frames.TCP, Frames.tcp(VIP4, 443, from, 5555, ACK, new byte[0]));
        byte[] error = Frames.icmp(from, VIP4, 3, 4, 1400, quoted);
        Bench.Out out = bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(from, VIP4, Frames.ICMP, error)));
        assertThat(Bench.serverOf(out)).isEqualTo(server);
        assertThat(expiry() - ticks()).isLessThan(1001);
        assertThat(send(client(2), 5000, 80, RST)).isNotZero();
        assertThat(templates()).as("the end of a connection makes no client").hasSize(1);
    }
}

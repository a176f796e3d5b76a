package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.FIN;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.scheduler.FlowKey;
import io.ballast.director.scheduler.HashOptions;
import io.ballast.director.scheduler.Member;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.director.scheduler.Scheduler;
import io.ballast.director.scheduler.Schedulers;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The data plane picks what the reference schedulers pick, over random servers and connections. */
final class ScheduleTest {
    private static final InetAddress VIP = address("192.0.2.1");
    private static final Endpoint WEB = new Endpoint(VIP, 80, Protocol.TCP);
    private static final int LINE = 8192;

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

    private static InetAddress client(int number) {
        return address("10." + (number >> 16) + "." + (number >> 8 & 255) + "." + (number & 255));
    }

    private int send(int client, int port, int flags) throws Exception {
        byte[] segment = Frames.tcp(client(client), port, VIP, 80, flags, new byte[0]);
        return Bench.serverOf(
                bench.run(Frames.frame(DIRECTOR, ROUTER, Frames.ip(client(client), VIP, Frames.TCP, segment))));
    }

    private static FlowKey flow(int client, int port) {
        return FlowKey.of(client(client).getAddress(), port, VIP.getAddress());
    }

    private record Open(int client, int port, Member member) {}

    private Vip vip(Vip.Kind kind, int slots, int bits, int flags) {
        return new Vip(9, 0, 0, LINE, slots, bits, kind, flags, 450, 6700, 900);
    }

    @ParameterizedTest
    @EnumSource(names = {"LC", "WLC", "SED", "NQ"})
    void byLoad(SchedulerKind kind) throws Exception {
        Vip.Kind how = switch (kind) {
            case LC -> Vip.Kind.LEAST_CONNECTION;
            case WLC -> Vip.Kind.WEIGHTED_LEAST_CONNECTION;
            case SED -> Vip.Kind.SHORTEST_EXPECTED_DELAY;
            default -> Vip.Kind.NEVER_QUEUE;
        };
        for (int seed = 1; seed <= 12; seed++) {
            Random random = new Random(seed);
            int count = 1 + random.nextInt(seed == 12 ? 1000 : 20);
            int leaves = Math.max(2, Integer.highestOneBit(count - 1) * 2);
            Scheduler reference = Schedulers.create(kind);
            List<Member> members = new ArrayList<>();
            for (int i = 0; i < leaves; i++) {
                bench.plane().clear(i);
            }
            for (int i = 0; i < count; i++) {
                int weight = random.nextInt(6) == 0 ? 0 : 1 + random.nextInt(5);
                int limit = random.nextInt(6) == 0 ? 1 + random.nextInt(4) : 0;
                Member member = new Member("s" + i, weight, limit, true);
                reference.add(member);
                members.add(member);
                bench.server(i, 0, address("10.9.0.1"), address("10.9.0.2"), 0, 1500);
                bench.plane().allow(i, weight, limit);
            }
            bench.plane().service(0, 0, 64, leaves, how.number);
            new LoadTree(how, bench.plane()::load)
                    .build(0, leaves, (node, server) -> bench.plane().node(64, node, server));
            bench.plane()
                    .endpoint(
                            WEB,
                            0,
                            new Vip(
                                    100 + seed,
                                    0,
                                    0,
                                    0,
                                    0,
                                    0,
                                    how,
                                    Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER,
                                    450,
                                    6700,
                                    900));
            List<Open> open = new ArrayList<>();
            for (int step = 0; step < 400; step++) {
                if (open.isEmpty() || random.nextInt(3) > 0) {
                    int client = step;
                    int port = 1024 + random.nextInt(60_000);
                    Member expected = reference.pick(flow(client, port));
                    if (expected == null) {
                        continue;
                    }
                    int picked = send(client, port, SYN);
                    assertThat(picked).as("seed " + seed + " step " + step).isEqualTo(members.indexOf(expected));
                    assertThat(send(client, port, ACK)).isEqualTo(picked);
                    reference.opened(expected);
                    open.add(new Open(client, port, expected));
                } else {
                    Open ended = open.remove(random.nextInt(open.size()));
                    assertThat(send(ended.client(), ended.port(), FIN | ACK))
                            .isEqualTo(members.indexOf(ended.member()));
                    // It stays as an inactive one, as it does with IPVS.
                    reference.deactivated(ended.member());
                }
            }
            for (int i = 0; i < count; i++) {
                assertThat(bench.plane().load(i).active())
                        .isEqualTo(members.get(i).connections());
                assertThat(bench.plane().load(i).inactive())
                        .isEqualTo(members.get(i).inactive());
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "SH", "DH", "RR", "WRR"})
    void byTable(SchedulerKind kind) throws Exception {
        Vip.Kind how = switch (kind) {
            case MH -> Vip.Kind.BY_SLOT_OF_HASH;
            case SH -> Vip.Kind.BY_SLOT_OF_SOURCE;
            case DH -> Vip.Kind.BY_SLOT_OF_DESTINATION;
            default -> Vip.Kind.IN_TURN;
        };
        for (int seed = 1; seed <= 6; seed++) {
            for (boolean port : new boolean[] {false, true}) {
                Random random = new Random(seed);
                HashOptions options = new HashOptions(port, true, 0);
                Scheduler reference = Schedulers.create(kind, options);
                List<ScheduleTable.Server> servers = new ArrayList<>();
                List<Member> members = new ArrayList<>();
                int count = 1 + random.nextInt(40);
                for (int i = 0; i < count; i++) {
                    int last = 1 + random.nextInt(9);
                    int weight = random.nextInt(5) == 0 ? 0 : last;
                    boolean eligible = random.nextInt(5) > 0;
                    servers.add(new ScheduleTable.Server("s" + i, weight, last, eligible));
                    Member member = new Member("s" + i, last, 0, eligible);
                    reference.add(member);
                    reference.update(member, weight, 0, eligible);
                    members.add(member);
                    bench.server(i, 0, address("10.9.0.1"), address("10.9.0.2"), 0, 1500);
                }
                char[] table = ScheduleTable.of(kind, options, servers);
                bench.plane().slots(LINE, new SlotTable(table));
                bench.plane().service(0, 0, 0, 0, 0);
                int bits = Integer.numberOfTrailingZeros(Integer.highestOneBit(table.length));
                bench.plane().endpoint(WEB, 0, vip(how, table.length, bits, port ? Layout.FLAG_HASH_PORT : 0));
                for (int i = 0; i < 300; i++) {
                    int client = random.nextInt(1 << 20);
                    int clientPort = random.nextInt(65_536);
                    Member expected = reference.pick(flow(client, clientPort));
                    if (expected != null) {
                        assertThat(send(client, clientPort, SYN)).isEqualTo(members.indexOf(expected));
                    }
                }
                bench.plane().resetTurns(0);
            }
        }
    }

    /** The promise of the table with two columns: whoever leaves or comes, connections stay. */
    @Test
    void connectionsStayWithTheirServersWhateverBecomesOfTheOthers() throws Exception {
        Random random = new Random(7);
        int count = 20;
        List<ScheduleTable.Server> servers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            servers.add(new ScheduleTable.Server("s" + i, 1, 1, i < 15));
            bench.server(i, 0, address("10.9.0.1"), address("10.9.0.2"), 0, 1500);
        }
        SlotTable table = new SlotTable(ScheduleTable.of(SchedulerKind.MH, HashOptions.DEFAULT, servers));
        bench.plane().slots(LINE, table);
        bench.plane()
                .endpoint(WEB, 0, vip(Vip.Kind.BY_SLOT_OF_HASH, 65_537, 0, Layout.FLAG_HASH_PORT | Layout.FLAG_LOOKUP));
        int[] serverOf = new int[3000];
        boolean[] ended = new boolean[3000];
        int next = 0;
        for (int change = 0; change < 12; change++) {
            for (int i = 0; i < 200; i++) {
                serverOf[next] = send(next, 1024 + next, SYN);
                assertThat((Object) servers.get(serverOf[next])).matches(s -> ((ScheduleTable.Server) s).eligible());
                next++;
            }
            int changed = random.nextInt(count);
            ScheduleTable.Server old = servers.get(changed);
            boolean removed = old.eligible() && random.nextBoolean();
            servers.set(changed, new ScheduleTable.Server(old.name(), 1, 1, !old.eligible()));
            if (removed) {
                // Gone with its connections, rather than draining.
                bench.flags(changed, 0);
            } else {
                bench.flags(changed, Layout.READY | Layout.NEW);
            }
            table.update(
                    ScheduleTable.of(SchedulerKind.MH, HashOptions.DEFAULT, servers),
                    member -> !(removed && member == changed));
            bench.plane().slots(LINE, table);
            for (int i = 0; i < next; i++) {
                if (removed && serverOf[i] == changed) {
                    ended[i] = true;
                }
                if (!ended[i]) {
                    assertThat(send(i, 1024 + i, ACK))
                            .as("connection " + i + " after change " + change)
                            .isEqualTo(serverOf[i]);
                }
            }
            if (change % 4 == 3) {
                // By now every connection has been seen since the change.
                table.settle();
                bench.plane().slots(LINE, table);
            }
        }
    }

    /** Walks of two processors may cross; what is counted stays right, and what is wrong in the order is soon mended. */
    @ParameterizedTest
    @EnumSource(names = {"LEAST_CONNECTION", "WEIGHTED_LEAST_CONNECTION"})
    void twoProcessorsAtATimeLeaveCountsAndOrderRight(Vip.Kind kind) throws Exception {
        int servers = 64;
        int each = 20_000;
        DataPlane.Sizes sizes = new DataPlane.Sizes(4, 4, servers, 16, 16, 16_384);
        try (DataPlane plane = DataPlane.load("bench", sizes, DataPlane.Features.NONE, 1);
                BpfProgram opening = plane.program("bench4");
                Arena arena = Arena.ofShared()) {
            for (int i = 0; i < servers; i++) {
                plane.server(i, Bench.target(i, 0, address("10.9.0.1"), address("10.9.0.2"), 0, 1500));
                plane.allow(i, 1, 0);
            }
            plane.service(0, 0, 0, servers, kind.number);
            new LoadTree(kind, plane::load).build(0, servers, (node, server) -> plane.node(0, node, server));
            plane.endpoint(
                    WEB, 0, new Vip(1, 0, 0, 0, 0, 0, kind, Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER, 450, 6700, 900));
            plane.variables().set(ValueLayout.JAVA_INT, XdpBenchmark.MASK, -1);
            byte[] segment = Frames.tcp(client(0), 1024, VIP, 80, SYN, new byte[6]);
            byte[] frame = Frames.frame(DIRECTOR, ROUTER, Frames.ip(client(0), VIP, Frames.TCP, segment));
            TestRun run = TestRun.of(arena.allocateFrom(ValueLayout.JAVA_BYTE, frame));
            try (ExecutorService processors = Executors.newFixedThreadPool(2)) {
                List<Future<TestRun.Result>> both = List.of(
                        processors.submit(() -> opening.testRun(run.times(each))),
                        processors.submit(() -> opening.testRun(run.times(each))));
                for (Future<TestRun.Result> one : both) {
                    one.get();
                }
            }
            int[] remembered = new int[servers];
            plane.flows(endpoint -> true, flow -> ++remembered[flow.server()] > 0);
            for (int i = 0; i < servers; i++) {
                Load load = plane.load(i);
                assertThat(load.active() + load.inactive()).as("server " + i).isEqualTo(remembered[i]);
            }
            // Each server that is named where it should not be is picked, which sets its way to the top right.
            opening.testRun(run.times(20 * servers));
            int least = Integer.MAX_VALUE;
            int most = 0;
            for (int i = 0; i < servers; i++) {
                least = Math.min(least, plane.load(i).inactive());
                most = Math.max(most, plane.load(i).inactive());
            }
            assertThat(most - least).isLessThanOrEqualTo(1);
        }
    }
}

package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.ACK;
import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.SYN;
import static io.ballast.director.xdp.Frames.address;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.quic.QuicIds;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.linux.Capability;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A process that writes the tables may end before any write; the next one finds its way, and packets notice nothing. */
final class AdoptionTest {
    private static final InetAddress VIP = address("192.0.2.1");
    private static final int CONNECTIONS = 40;
    private static final DataPlane.Sizes SIZES = new DataPlane.Sizes(64, 8, 512, 17_000, 64, 256);

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment in = arena.allocate(2048);
    private final MemorySegment out = arena.allocate(4096);
    private final List<AutoCloseable> opened = new ArrayList<>();
    private Generation generation;
    private BpfProgram program;
    private long now;

    @BeforeEach
    void pin() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN, Capability.SYS_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        Assumptions.assumeTrue(
                DataPlane.class.getResource("director.bpf.o") != null, "this build has no engine xdp: no clang");
        BpfFolder folder = open(new BpfFolder());
        generation = new Generation(folder.path.resolve("tables_1"));
        generation.create(SIZES, DataPlane.Features.ALL, 1);
        program = open(generation.program());
    }

    private <T extends AutoCloseable> T open(T resource) {
        opened.add(resource);
        return resource;
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable each : opened.reversed()) {
            each.close();
        }
        arena.close();
    }

    /** The end of a process. */
    private static final class Killed extends Error {
        private static final long serialVersionUID = 1L;
    }

    /** Ends the process before a certain write. */
    private static final class Mortal extends DataPlane {
        private int left;
        private final Notes notes;

        Mortal(Path folder, int left) throws IOException {
            super(folder);
            this.left = left;
            notes = new Notes(super.notes()) {
                @Override
                void write(Notes.OfService note) {
                    step();
                    super.write(note);
                }

                @Override
                void eraseService(int number) {
                    step();
                    super.eraseService(number);
                }

                @Override
                void write(Notes.OfServer note) {
                    step();
                    super.write(note);
                }

                @Override
                void eraseServer(int number) {
                    step();
                    super.eraseServer(number);
                }
            };
        }

        private void step() {
            if (--left < 0) {
                throw new Killed();
            }
        }

        @Override
        Notes notes() {
            return notes;
        }

        @Override
        void endpoint(Endpoint where, int range, Vip vip) throws IOException {
            step();
            super.endpoint(where, range, vip);
        }

        @Override
        void removeEndpoint(Endpoint where, int range) throws IOException {
            step();
            super.removeEndpoint(where, range);
        }

        /** Of a table the first half is written by then. */
        @Override
        void slots(int line, SlotTable table) {
            if (left == 0) {
                SlotTable half = slots(line, table.length());
                char[] current = new char[table.length()];
                char[] base = new char[table.length()];
                BitSet doubtful = new BitSet(table.length());
                for (int slot = 0; slot < current.length; slot++) {
                    SlotTable from = slot < current.length / 2 ? table : half;
                    current[slot] = from.current(slot);
                    base[slot] = from.base(slot);
                    doubtful.set(slot, from.isDoubtful(slot));
                }
                super.slots(line, new SlotTable(current, base, doubtful));
            }
            step();
            super.slots(line, table);
        }

        @Override
        void server(int number, Target target) {
            step();
            super.server(number, target);
        }

        @Override
        void hop(int number, Optional<Hop> hop) {
            step();
            super.hop(number, hop);
        }

        @Override
        void allow(int number, int weight, int limit) {
            step();
            super.allow(number, weight, limit);
        }

        @Override
        void clear(int number) throws IOException {
            step();
            super.clear(number);
        }

        @Override
        void quic(int service, ServiceSpec.Quic quic) {
            step();
            super.quic(service, quic);
        }

        @Override
        void quicId(QuicName name, int server) throws IOException {
            step();
            super.quicId(name, server);
        }

        @Override
        void removeQuicId(QuicName name) throws IOException {
            step();
            super.removeQuicId(name);
        }

        @Override
        void persistence(int number, int ticks, int prefix4, int prefix6) {
            step();
            super.persistence(number, ticks, prefix4, prefix6);
        }

        @Override
        void service(int number, int firstServer, int tree, int leaves, int scheduler) {
            step();
            super.service(number, firstServer, tree, leaves, scheduler);
        }
    }

    private static Hop hopTo(InetAddress server) {
        return new Hop(
                new MacAddress(0x0200_0001_0000L + (server.getAddress()[3] & 0xff)),
                new MacAddress(0x0200_0000_00aaL),
                1,
                1500);
    }

    /** Knows new servers at once; of those that are in the tables it knows nothing yet, like a kernel just asked. */
    private static final class FewHops implements Hops {
        private final int known;

        FewHops(int known) {
            this.known = known;
        }

        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            if (server.getAddress()[3] > known) {
                listener.hop(server, Optional.of(hopTo(server)));
            }
        }

        @Override
        public void forget(InetAddress server, Listener listener) {}

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.empty();
        }
    }

    private static final class Silent implements EngineEvents {
        @Override
        public void listening(String service, Endpoint endpoint) {}

        @Override
        public void notListening(String service, Endpoint endpoint, String reason) {
            throw new AssertionError(reason);
        }

        @Override
        public void drained(String service, String server, int closed) {}

        @Override
        public void pressure(boolean on, String reason) {}

        @Override
        public void note(boolean warning, String subject, String message) {
            if (!message.startsWith("connections that were opened before may go to another server")) {
                throw new AssertionError(message);
            }
        }
    }

    /** The engine of a process that starts. */
    private XdpEngine start(DataPlane plane, int inTables) throws IOException {
        XdpEngine engine = new XdpEngine(plane, new FewHops(inTables), new Silent(), () -> now);
        engine.adopt();
        return engine;
    }

    private static Forwarding persistent(Forwarding plain) {
        return new Forwarding(
                plain.service(),
                plain.listen(),
                plain.scheduler(),
                plain.method(),
                Optional.of(new ServiceSpec.Persistence(Duration.ofHours(1), 32, 128)),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                plain.servers(),
                plain.sorry());
    }

    private static Forwarding web(SchedulerKind scheduler, int ports, int... servers) {
        List<Endpoint> listen = new ArrayList<>();
        for (int port = 80; port < 80 + ports; port++) {
            listen.add(new Endpoint(VIP, port, Protocol.TCP));
        }
        List<Server> described = new ArrayList<>();
        for (int number : servers) {
            described.add(new Server(
                    "s" + number, new InetSocketAddress(address("10.9.0." + number), 80), 1, 0, ServerState.UP));
        }
        return Forwardings.of("web", ForwardingMethod.DR, scheduler, listen, described);
    }

    /** The number of the server that the packet goes to; 0 where it passes to the kernel. */
    private int send(int client, int port, int flags) throws IOException {
        return send(client, 5000, port, flags);
    }

    private int send(int client, int fromPort, int port, int flags) throws IOException {
        InetAddress from = address("198.51.100." + client);
        byte[] frame = Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, VIP, Frames.TCP, Frames.tcp(from, fromPort, VIP, port, flags, new byte[0])));
        MemorySegment.copy(frame, 0, in, ValueLayout.JAVA_BYTE, 0, frame.length);
        TestRun.Result result =
                program.testRun(TestRun.of(in.asSlice(0, frame.length)).into(out));
        if (result.action() == XdpAction.PASS) {
            return 0;
        }
        assertThat(result.action()).isEqualTo(XdpAction.TX);
        return out.get(ValueLayout.JAVA_BYTE, 5) & 0xff;
    }

    private int[] connect() throws IOException {
        int[] serverOf = new int[CONNECTIONS];
        for (int client = 0; client < CONNECTIONS; client++) {
            serverOf[client] = send(client, 80 + client % 2, SYN);
            assertThat(send(client, 80 + client % 2, ACK)).isEqualTo(serverOf[client]);
        }
        return serverOf;
    }

    private void assertThatConnectionsGoOn(int[] serverOf) throws IOException {
        for (int client = 0; client < CONNECTIONS; client++) {
            assertThat(send(client, 80 + client % 2, ACK))
                    .as("client " + client)
                    .isEqualTo(serverOf[client]);
        }
    }

    private Set<Integer> whereNewOnesGo() throws IOException {
        Set<Integer> servers = new TreeSet<>();
        for (int client = 100; client < 220; client++) {
            servers.add(send(client, 80 + client % 2, SYN));
        }
        return servers;
    }

    /** What a process does before it ends. */
    private interface Deed {
        void on(XdpEngine engine);
    }

    /** Whether the process ended in the middle of it. */
    private boolean diesDoing(Deed deed, int after, int inTables) throws IOException {
        try (Mortal plane = new Mortal(generation.folder(), after)) {
            deed.on(start(plane, inTables));
            return false;
        } catch (Killed e) {
            return true;
        }
    }

    private void removeEverything() throws IOException {
        try (DataPlane plane = generation.open()) {
            start(plane, 0).retain(Set.of());
            assertThat(plane.endpoints()).isEmpty();
            assertThat(plane.notes().services()).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "RR", "WLC", "SH"})
    void aChangeOfServersMayBeInterruptedAnywhere(SchedulerKind scheduler) throws Exception {
        boolean died = true;
        for (int after = 0; died; after++) {
            assertThat(after).isLessThan(300);
            try (DataPlane plane = generation.open()) {
                start(plane, 0).put(web(scheduler, 2, 1, 2, 3));
            }
            int[] serverOf = connect();
            Forwarding next = web(scheduler, 2, 1, 2, 4, 5);
            died = diesDoing(engine -> engine.put(next), after, 3);
            assertThatConnectionsGoOn(serverOf);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                assertThatConnectionsGoOn(serverOf);
                engine.put(next);
                assertThatConnectionsGoOn(serverOf);
                Set<Integer> servers = whereNewOnesGo();
                // By load, all go to those without connections.
                assertThat(servers).as("after " + after).contains(4, 5).isSubsetOf(1, 2, 4, 5);
                assertThat(servers).as("after " + after).hasSize(scheduler == SchedulerKind.WLC ? 2 : 4);
                engine.tick();
                assertThatConnectionsGoOn(serverOf);
                assertThat(engine.statistics()
                                .toCompletableFuture()
                                .join()
                                .getFirst()
                                .servers())
                        .as("after " + after)
                        .hasSize(5);
            }
            removeEverything();
        }
    }

    /** New connections of known clients go where their others went, but for those of the server that left. */
    private void assertThatClientsStay(int[] serverOf, int fromPort) throws IOException {
        for (int client = 0; client < CONNECTIONS; client++) {
            int server = send(client, fromPort, 81 - client % 2, SYN);
            if (serverOf[client] == 3) {
                assertThat(server).as("client " + client).isNotEqualTo(0);
            } else {
                assertThat(server).as("client " + client).isEqualTo(serverOf[client]);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "RR", "WLC"})
    void clientsOfAPersistentServiceStayWhereverAProcessEnds(SchedulerKind scheduler) throws Exception {
        boolean died = true;
        for (int after = 0; died; after++) {
            assertThat(after).isLessThan(300);
            try (DataPlane plane = generation.open()) {
                start(plane, 0).put(persistent(web(scheduler, 2, 1, 2, 3)));
            }
            int[] serverOf = connect();
            Forwarding next = persistent(web(scheduler, 2, 1, 2, 4, 5));
            died = diesDoing(engine -> engine.put(next), after, 3);
            assertThatConnectionsGoOn(serverOf);
            assertThatClientsStay(serverOf, 5001);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                assertThatClientsStay(serverOf, 5002);
                engine.put(next);
                assertThatConnectionsGoOn(serverOf);
                assertThatClientsStay(serverOf, 5003);
                for (int client = 0; client < CONNECTIONS; client++) {
                    assertThat(send(client, 5004, 80, SYN)).isIn(1, 2, 4, 5);
                }
            }
            removeEverything();
        }
    }

    /** The data plane is given another service, with other numbers for the same servers. */
    @ParameterizedTest
    @CsvSource({"LC, RR", "RR, LC", "WRR, MH"})
    void connectionsGoOnWhereverAnotherSchedulerIsInterrupted(SchedulerKind before, SchedulerKind scheduler)
            throws Exception {
        boolean died = true;
        for (int after = 0; died; after++) {
            assertThat(after).isLessThan(300);
            try (DataPlane plane = generation.open()) {
                start(plane, 0).put(web(before, 2, 1, 2, 3));
            }
            int[] serverOf = connect();
            Forwarding next = web(scheduler, 2, 1, 2, 4);
            died = diesDoing(engine -> engine.put(next), after, 3);
            assertThatConnectionsGoOn(serverOf);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                assertThatConnectionsGoOn(serverOf);
                engine.put(next);
                assertThatConnectionsGoOn(serverOf);
                for (int second = 0; second < 20; second++) {
                    engine.tick();
                }
                assertThatConnectionsGoOn(serverOf);
                assertThat(plane.notes().services()).hasSize(1);
            }
            removeEverything();
        }
    }

    @Test
    void anotherSchedulerMayBeInterruptedAnywhere() throws Exception {
        boolean died = true;
        for (int after = 0; died; after++) {
            try (DataPlane plane = generation.open()) {
                start(plane, 0).put(web(SchedulerKind.MH, 2, 1, 2, 3));
            }
            Forwarding next = web(SchedulerKind.WLC, 2, 1, 2, 4);
            died = diesDoing(engine -> engine.put(next), after, 3);
            assertThat(whereNewOnesGo()).as("after " + after).doesNotContain(0);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                assertThat(whereNewOnesGo()).as("after " + after).doesNotContain(0);
                engine.put(next);
                assertThat(whereNewOnesGo()).as("after " + after).isSubsetOf(1, 2, 4);
                assertThat(plane.notes().services()).hasSize(1);
            }
            removeEverything();
        }
    }

    @Test
    void aFirstInstallationAndARemovalMayBeInterruptedAnywhere() throws Exception {
        boolean died = true;
        for (int after = 0; died; after++) {
            Forwarding web = web(SchedulerKind.SH, 2, 1, 2);
            died = diesDoing(engine -> engine.put(web), after, 0);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 0);
                engine.put(web);
                assertThat(whereNewOnesGo()).as("after " + after).containsExactly(1, 2);
            }
            died |= diesDoing(engine -> engine.remove("web"), after, 2);
            removeEverything();
            assertThat(whereNewOnesGo()).containsExactly(0);
        }
    }

    /** Where a client that came to another address goes with an ID of each of the servers 1 to 4; 0 for the table's. */
    private int[] whereIdsGo() throws IOException {
        int[] serverOf = new int[5];
        for (int server = 1; server < serverOf.length; server++) {
            Set<Integer> went = new TreeSet<>();
            for (int client = 0; client < 30; client++) {
                byte[] id = QuicIds.plain(1, 2, 4).make(Frames.hex(QuicEngineTest.id(server)), new byte[4]);
                byte[] frame = QuicEngineTest.packet(client, 4000 + server, QuicDatagrams.shortHeader(id));
                MemorySegment.copy(frame, 0, in, ValueLayout.JAVA_BYTE, 0, frame.length);
                program.testRun(TestRun.of(in.asSlice(0, frame.length)).into(out));
                went.add(out.get(ValueLayout.JAVA_BYTE, 5) & 0xff);
            }
            serverOf[server] = went.size() == 1 ? went.iterator().next() : 0;
        }
        return serverOf;
    }

    @ParameterizedTest
    @EnumSource(names = {"MH", "WLC"})
    void connectionIdsLeadToTheirServersWhereverAChangeIsInterrupted(SchedulerKind scheduler) throws Exception {
        ServiceSpec.Quic quic = new ServiceSpec.Quic(1, 2);
        boolean died = true;
        for (int after = 0; died; after++) {
            assertThat(after).isLessThan(300);
            try (DataPlane plane = generation.open()) {
                start(plane, 0).put(quicWeb(scheduler, quic, 1, 2, 3));
            }
            assertThat(whereIdsGo()).startsWith(0, 1, 2, 3);
            // One that drains, one that comes, and a drain's end.
            Forwarding next = quicWeb(scheduler, quic, 1, 2, 4);
            died = diesDoing(
                    engine -> {
                        engine.put(next);
                        now += next.timeouts().drain().toNanos();
                        engine.tick();
                    },
                    after,
                    3);
            assertThat(whereIdsGo()).as("after " + after).startsWith(0, 1, 2);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                engine.put(next);
                assertThat(whereIdsGo())
                        .as("after " + after)
                        .startsWith(0, 1, 2)
                        .endsWith(4);
                now += next.timeouts().drain().toNanos();
                engine.tick();
                assertThat(plane.quicIds()).as("after " + after).hasSize(3);
                int[] goes = whereIdsGo();
                assertThat(goes).as("after " + after).startsWith(0, 1, 2).endsWith(4);
                assertThat(goes[3]).as("after " + after).isNotEqualTo(3);
            }
            died |= diesDoing(engine -> engine.remove("web"), after, 4);
            removeEverything();
            try (DataPlane plane = generation.open()) {
                assertThat(plane.quicIds()).as("after " + after).isEmpty();
            }
        }
    }

    private static Forwarding quicWeb(SchedulerKind scheduler, ServiceSpec.Quic quic, int... servers) {
        return QuicEngineTest.web(
                scheduler,
                ForwardingMethod.DR,
                quic,
                IntStream.of(servers)
                        .mapToObj(number -> QuicEngineTest.server(number, ServerState.UP))
                        .toArray(Server[]::new));
    }

    @Test
    void aDrainGoesOnAndItsEndComes() throws Exception {
        try (DataPlane plane = generation.open()) {
            start(plane, 0).put(web(SchedulerKind.WLC, 2, 1, 2, 3));
        }
        int[] serverOf = connect();
        Forwarding next = web(SchedulerKind.WLC, 2, 1, 2);
        try (DataPlane plane = generation.open()) {
            start(plane, 3).put(next);
        }
        now += next.timeouts().drain().toNanos() - 1;
        try (DataPlane plane = generation.open()) {
            XdpEngine engine = start(plane, 3);
            engine.put(next);
            engine.tick();
            assertThatConnectionsGoOn(serverOf);
            now++;
            engine.tick();
            for (int client = 0; client < CONNECTIONS; client++) {
                assertThat(send(client, 80 + client % 2, ACK)).isNotIn(0, 3);
            }
        }
    }

    @Test
    void anotherProgramOfTheSameLayoutTakesTheTables() throws Exception {
        Generation.Origin origin = generation.origin().orElseThrow();
        assertThat(generation.isOfThisBuild(origin)).isTrue();
        assertThat(generation.renewProgram(origin, DataPlane.Features.ALL)).isEmpty();
        try (DataPlane plane = generation.open()) {
            start(plane, 0).put(web(SchedulerKind.WLC, 2, 1, 2, 3));
        }
        int[] serverOf = connect();
        assertThat(generation.renewProgram(
                        new Generation.Origin(origin.layout(), 5, origin.flowSeed()), DataPlane.Features.ALL))
                .isEqualTo("this version's");
        assertThat(generation.origin()).contains(origin);
        program = open(generation.program());
        assertThatConnectionsGoOn(serverOf);
        assertThat(generation.isOfThisBuild(new Generation.Origin(5, origin.program(), origin.flowSeed())))
                .isFalse();
    }

    private static Endpoint ports(int first, int last) {
        return new Endpoint(VIP, first, last, Protocol.TCP);
    }

    private static Forwarding ranges(String name, int server, Endpoint... listen) {
        Server described =
                new Server("s" + server, new InetSocketAddress(address("10.9.0." + server), 0), 1, 0, ServerState.UP);
        return Forwardings.of(name, ForwardingMethod.DR, SchedulerKind.SH, List.of(listen), List.of(described));
    }

    /** Of six ranges and the whole address: one leaves, one comes and one changes, and nobody else's packet is missed. */
    @Test
    void aChangeOfRangesMayBeInterruptedAnywhere() throws Exception {
        Forwarding rest = ranges("rest", 1, ports(1, 65_535));
        Forwarding stays = ranges("stays", 2, ports(2000, 2999), ports(4000, 4999), ports(6000, 6999));
        Forwarding before = ranges("web", 3, ports(1000, 1999), ports(3000, 3499), ports(5000, 5999));
        Forwarding after = ranges("web", 3, ports(3000, 3999), ports(5500, 5599), ports(7000, 7999));
        int[][] always = {
            {80, 1},
            {2000, 2},
            {2999, 2},
            {4000, 2},
            {4999, 2},
            {6000, 2},
            {6999, 2},
            {3000, 3},
            {3499, 3},
            {5500, 3},
            {5599, 3},
            {8000, 1},
            {65_535, 1}
        };
        boolean died = true;
        int step = 0;
        for (; died; step++) {
            assertThat(step).isLessThan(200);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 0);
                engine.put(rest);
                engine.put(before);
                engine.put(stays);
            }
            died = diesDoing(
                    engine -> {
                        engine.put(rest);
                        engine.put(after);
                        engine.put(stays);
                    },
                    step,
                    3);
            assertServed(always, "died at " + step);
            try (DataPlane plane = generation.open()) {
                XdpEngine engine = start(plane, 3);
                assertServed(always, "adopted at " + step);
                engine.put(rest);
                engine.put(after);
                engine.put(stays);
                assertThat(plane.endpoints()).as("after " + step).hasSize(7);
            }
            assertServed(always, "put at " + step);
            assertServed(
                    new int[][] {{1000, 1}, {1999, 1}, {3999, 3}, {5000, 1}, {5999, 1}, {7000, 3}}, "put at " + step);
            removeEverything();
        }
        assertThat(step).isGreaterThan(20);
    }

    private void assertServed(int[][] ports, String when) throws IOException {
        for (int[] each : ports) {
            assertThat(send(1, each[0], SYN)).as("port " + each[0] + " " + when).isEqualTo(each[1]);
        }
    }

    @Test
    void rowsOfRangesThatNoEngineWritesAreRefused() throws Exception {
        try (DataPlane plane = generation.open()) {
            XdpEngine engine = start(plane, 0);
            engine.put(ranges("web", 1, ports(1000, 1999), ports(3000, 3499)));
            plane.removeEndpoint(ports(1000, 1999), 1);
            XdpEngine next = new XdpEngine(plane, new FewHops(1), new Silent(), () -> now);
            assertThatThrownBy(next::adopt)
                    .isInstanceOf(Adoption.DamagedException.class)
                    .hasMessageContaining("missing before 192.0.2.1:3000-3499/tcp");
        }
    }

    /** A director that comes to have a range gets a program that looks for it, over the same tables. */
    @Test
    void aProgramThatLooksForRangesTakesTheTables() throws Exception {
        Generation.Origin origin = generation.origin().orElseThrow();
        assertThat(generation.renewProgram(origin, DataPlane.Features.NONE))
                .isEqualTo("one that does not look for ranges of ports");
        program = open(generation.program());
        try (DataPlane plane = generation.open()) {
            start(plane, 0).put(ranges("web", 1, ports(1000, 1999), ports(80, 80)));
        }
        assertServed(new int[][] {{80, 1}, {1000, 0}}, "without");
        assertThat(generation.renewProgram(generation.origin().orElseThrow(), DataPlane.Features.ALL))
                .isEqualTo("one that also looks for ranges of ports");
        assertThat(generation.origin()).contains(origin);
        program = open(generation.program());
        assertServed(new int[][] {{80, 1}, {1000, 1}}, "with");
    }
}

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
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.Server;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.director.sync.ConnectionSync;
import io.ballast.director.sync.ConnectionTable.Changes;
import io.ballast.director.sync.ConnectionTable.Outcome;
import io.ballast.director.sync.Entry;
import io.ballast.linux.bpf.XdpAction;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Two directors with tables of their own, whose hashes and numbers differ: one has connections, the other is told of
 * them, and packets that come to it then leave it as they would have left the first.
 */
@Timeout(60)
final class SharedFlowsTest {
    private static final int CONNECTIONS = 400;
    private static final int NAT_OFFSET4 = 20;

    /** A director without a machine. */
    private static final class Director implements Hops, AutoCloseable {
        final Bench bench;
        final XdpEngine engine;
        final SharedFlows flows;
        final List<String> events = new ArrayList<>();

        Director(long seed) throws IOException {
            bench = Bench.open(1024, 0, seed);
            engine = new XdpEngine(bench.plane(), this, new RecordedEvents(events), System::nanoTime);
            flows = engine.share(seed);
            SharedFlows.WayIn way = new SharedFlows.WayIn(1, new MacAddress(0x0200_0000_00aaL).bits(), 65_535);
            engine.waysIn(Map.of(vip(false), way, vip(true), way));
        }

        @Override
        public void watch(InetAddress server, Listener listener) {
            byte[] bytes = server.getAddress();
            listener.hop(
                    server,
                    Optional.of(new Hop(
                            new MacAddress(0x0200_0001_0000L + bytes[bytes.length - 1]),
                            new MacAddress(0x0200_0000_00aaL),
                            1,
                            1500)));
        }

        @Override
        public void soon(Runnable task) {
            task.run();
        }

        @Override
        public void forget(InetAddress server, Listener listener) {}

        @Override
        public Optional<InetAddress> sourceFor(InetAddress server) {
            return Optional.of(address(server.getAddress().length == 4 ? "10.9.0.254" : "2001:db8:9::fe"));
        }

        /** How many connections and clients it remembers for so long yet. */
        int remembers(int ticks) {
            int[] count = {0};
            int now = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
            bench.plane().flowsForAnotherThread().visit(place -> {
                count[0] += place.expires() - now > ticks ? 1 : 0;
                return true;
            });
            return count[0];
        }

        List<Load> loads(int servers) {
            List<Load> loads = new ArrayList<>();
            for (int number = 1; number <= servers; number++) {
                int at = number;
                loads.add(engine.statistics().toCompletableFuture().join().getLast().servers().stream()
                        .filter(server -> server.server().equals("s" + at))
                        .map(server -> new Load(server.active(), server.inactive(), 0, 0, 0))
                        .findAny()
                        .orElseThrow());
            }
            return loads;
        }

        @Override
        public void close() {
            bench.close();
        }
    }

    private Director one;
    private Director other;
    private Changes changes;

    @BeforeEach
    void open() throws Exception {
        one = new Director(5);
        other = new Director(77);
        changes = one.flows.changes();
    }

    @AfterEach
    void close() {
        for (AutoCloseable each : new AutoCloseable[] {changes, one, other}) {
            if (each != null) {
                try {
                    each.close();
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }
        }
    }

    private static InetAddress vip(boolean v6) {
        return address(v6 ? "2001:db8:1::1" : "192.0.2.1");
    }

    private static InetAddress server(boolean v6, int number) {
        return address((v6 ? "2001:db8:9::" : "10.9.0.") + number);
    }

    private static InetAddress client(boolean v6, int number) {
        return v6
                ? address("2001:db8:c::" + Integer.toHexString(number))
                : address("198.51." + number / 200 + "." + number % 200);
    }

    /** The servers in the order of their numbers, so that two directors may have other numbers for them. */
    private static Forwarding web(
            ForwardingMethod method, SchedulerKind scheduler, boolean v6, Duration persistence, int... numbers) {
        List<Server> servers = new ArrayList<>();
        for (int number : numbers) {
            InetSocketAddress at = new InetSocketAddress(server(v6, number), method.keepsPort() ? 80 : 8080);
            servers.add(new Server("s" + number, at, 1, 0, ServerState.UP));
        }
        List<Endpoint> listen =
                List.of(new Endpoint(vip(v6), 80, Protocol.TCP), new Endpoint(vip(v6), 80, Protocol.UDP));
        Forwarding plain = Forwardings.of("web", method, scheduler, listen, servers);
        return new Forwarding(
                plain.service(),
                listen,
                scheduler,
                method,
                persistence.isZero()
                        ? Optional.empty()
                        : Optional.of(new ServiceSpec.Persistence(persistence, 32, 128)),
                plain.timeouts(),
                plain.limits(),
                plain.connectRetry(),
                plain.proxyProtocol(),
                plain.onDown(),
                plain.source(),
                servers,
                plain.sorry());
    }

    /** With full NAT the hashes have to be the same, so that ports which one has given are free at the other. */
    private void serve(ForwardingMethod method, SchedulerKind scheduler, boolean v6, Duration persistence)
            throws IOException {
        if (method == ForwardingMethod.FULLNAT) {
            other.close();
            other = new Director(5);
        }
        one.engine.put(web(method, scheduler, v6, persistence, 1, 2, 3));
        Endpoint elsewhere = new Endpoint(vip(v6), 81, Protocol.TCP);
        other.engine.put(Forwardings.of("first", ForwardingMethod.DR, SchedulerKind.RR, List.of(elsewhere), List.of()));
        other.engine.put(web(method, scheduler, v6, persistence, 4, 3, 2, 1));
    }

    private static byte[] packet(boolean v6, int client, int flags) {
        InetAddress from = client(v6, client);
        return Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(from, vip(v6), Frames.TCP, Frames.tcp(from, 5000, vip(v6), 80, flags, new byte[3])));
    }

    private static byte[] send(Director to, boolean v6, int client, int flags) throws IOException {
        Bench.Out out = to.bench.run(packet(v6, client, flags));
        assertThat(out.action()).isEqualTo(XdpAction.TX);
        return out.frame();
    }

    /** What a server would answer to a packet that it got. */
    private static byte[] answer(byte[] frame, boolean v6) throws IOException {
        int l3 = 14;
        int addresses = l3 + (v6 ? 8 : 12);
        int length = v6 ? 16 : 4;
        InetAddress from = InetAddress.getByAddress(Arrays.copyOfRange(frame, addresses, addresses + length));
        InetAddress to =
                InetAddress.getByAddress(Arrays.copyOfRange(frame, addresses + length, addresses + 2 * length));
        int l4 = l3 + (v6 ? 40 : NAT_OFFSET4);
        int fromPort = ((frame[l4] & 0xff) << 8) | (frame[l4 + 1] & 0xff);
        return Frames.frame(
                DIRECTOR,
                ROUTER,
                Frames.ip(to, from, Frames.TCP, Frames.tcp(to, 8080, from, fromPort, ACK, new byte[5])));
    }

    /** Tells the other director what has changed; how much it was. */
    private int tell() {
        int told = 0;
        boolean more = true;
        while (more) {
            var look = changes.next(where -> true, 64);
            more = look.more();
            told += look.entries().size();
            List<Entry> understood = new ArrayList<>();
            for (Entry entry : look.entries()) {
                understood.add(entry.by(number(entry.endpoint()), serverNumber(entry.server())));
            }
            var _ = other.flows.put(understood, where -> false, null);
        }
        return told;
    }

    private int number(int endpoint) {
        return key(
                other.flows.names().endpoints(),
                Objects.requireNonNull(one.flows.names().endpoints().get(endpoint)));
    }

    private int serverNumber(int server) {
        return key(
                other.flows.names().servers(),
                Objects.requireNonNull(one.flows.names().servers().get(server)));
    }

    private static <T> int key(Map<Integer, T> map, T value) {
        return map.entrySet().stream()
                .filter(each -> each.getValue().equals(value))
                .findAny()
                .orElseThrow()
                .getKey();
    }

    @ParameterizedTest
    @CsvSource({"DR,RR,false", "DR,WLC,true", "NAT,RR,false", "NAT,WLC,true", "FULLNAT,WLC,false", "FULLNAT,RR,true"})
    void packetsLeaveTheOtherDirectorAsTheyWouldHaveLeftTheFirst(
            ForwardingMethod method, SchedulerKind scheduler, boolean v6) throws Exception {
        serve(method, scheduler, v6, Duration.ZERO);
        List<byte[]> left = new ArrayList<>();
        Set<Integer> servers = new HashSet<>();
        for (int client = 0; client < CONNECTIONS; client++) {
            send(one, v6, client, SYN);
            left.add(send(one, v6, client, ACK));
            servers.add((int) left.getLast()[5]);
        }
        assertThat(servers).hasSize(3);
        assertThat(tell()).isEqualTo(CONNECTIONS);
        assertThat(other.loads(3)).isEqualTo(one.loads(3));
        for (int client = 0; client < CONNECTIONS; client++) {
            if (method != ForwardingMethod.DR) {
                // Before the client has said anything to this one.
                byte[] answer = answer(left.get(client), v6);
                Bench.Out wanted = one.bench.run(answer);
                Bench.Out out = other.bench.run(answer);
                assertThat(wanted.action()).isEqualTo(XdpAction.TX);
                assertThat(out.action()).isEqualTo(XdpAction.TX);
                assertThat(out.frame()).containsExactly(wanted.frame());
            }
            assertThat(send(other, v6, client, ACK)).containsExactly(left.get(client));
        }
    }

    @Test
    void oneIsToldOfOnceAndWhenItChanges() throws Exception {
        serve(ForwardingMethod.DR, SchedulerKind.WLC, false, Duration.ZERO);
        send(one, false, 1, SYN);
        assertThat(tell()).as("it is only being opened").isZero();
        send(one, false, 1, ACK);
        assertThat(tell()).isEqualTo(1);
        send(one, false, 1, ACK);
        changes.lookEverywhere();
        assertThat(tell()).as("nothing that the other one ought to know").isZero();
        send(one, false, 1, FIN | ACK);
        assertThat(tell()).isEqualTo(1);
        assertThat(other.loads(3)).isEqualTo(one.loads(3));
        assertThat(other.remembers(1000)).as("it is forgotten soon").isZero();
        changes.forget();
        assertThat(tell()).isEqualTo(1);
        assertThat(other.loads(3)).isEqualTo(one.loads(3));
    }

    @Test
    void clientsStayAtTheirServer() throws Exception {
        serve(ForwardingMethod.DR, SchedulerKind.RR, false, Duration.ofMinutes(5));
        Map<Integer, Integer> serverOf = new HashMap<>();
        for (int client = 0; client < 30; client++) {
            send(one, false, client, SYN);
            serverOf.put(client, (int) send(one, false, client, ACK)[5]);
        }
        assertThat(tell()).isEqualTo(60);
        for (int client = 29; client >= 0; client--) {
            InetAddress from = client(false, client);
            Bench.Out out = other.bench.run(Frames.frame(
                    DIRECTOR,
                    ROUTER,
                    Frames.ip(from, vip(false), Frames.TCP, Frames.tcp(from, 6000, vip(false), 80, SYN, new byte[0]))));
            assertThat(Bench.serverOf(out)).isEqualTo(serverOf.get(client));
        }
    }

    @Test
    void whoHasTheAddressKnowsBetter() throws Exception {
        serve(ForwardingMethod.DR, SchedulerKind.RR, false, Duration.ZERO);
        // The turns begin at different servers.
        for (Director each : List.of(one, other)) {
            send(each, false, 1, SYN);
            send(each, false, 1, ACK);
        }
        int mine = send(other, false, 1, ACK)[5];
        assertThat((int) send(one, false, 1, ACK)[5]).isNotEqualTo(mine);
        Entry entry = changes.next(where -> true, 64).entries().getFirst();
        Entry theirs = entry.by(number(entry.endpoint()), serverNumber(entry.server()));
        assertThat(other.flows.put(List.of(theirs), where -> true, null)).containsExactly(Outcome.TAKEN);
        assertThat((int) send(other, false, 1, ACK)[5]).isEqualTo(mine);
        assertThat(other.flows.put(List.of(theirs), where -> false, null)).containsExactly(Outcome.NEW);
        assertThat((int) send(other, false, 1, ACK)[5]).isNotEqualTo(mine);
        assertThat(other.loads(3)).isEqualTo(one.loads(3));
    }

    // ---- Over TCP

    private static final String SECRET = "known to both";

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private final List<String> reports = new CopyOnWriteArrayList<>();

    private ConnectionSync sync(String node, String peer, String own, String others, int port, String secret) {
        return new ConnectionSync(
                new ConnectionSync.Settings(
                        node,
                        Set.of(address(own)),
                        port,
                        secret,
                        List.of(new ConnectionSync.Peer(peer, address(own), address(others)))),
                (warning, whom, message) -> reports.add(whom + ": " + message));
    }

    private static ConnectionSync.State state(ConnectionSync sync) {
        return sync.status().peers().getFirst();
    }

    @Test
    void directorsTellEachOther() throws Exception {
        serve(ForwardingMethod.FULLNAT, SchedulerKind.WLC, false, Duration.ZERO);
        other.engine.put(web(ForwardingMethod.FULLNAT, SchedulerKind.WLC, false, Duration.ZERO, 3, 2, 1));
        List<byte[]> left = new ArrayList<>();
        for (int client = 0; client < CONNECTIONS / 2; client++) {
            send(one, false, client, SYN);
            left.add(send(one, false, client, ACK));
        }
        int port = freePort();
        try (ConnectionSync a = sync("a", "b", "127.0.0.1", "127.0.0.2", port, SECRET);
                ConnectionSync b = sync("b", "a", "127.0.0.2", "127.0.0.1", port, SECRET)) {
            a.has(Set.of(vip(false)));
            b.table(other.flows);
            // Who is told before he tells himself does not remember of whom he has what, and tells it back.
            Village.await("the second one tells", () -> state(b).telling());
            a.table(one.flows);
            Village.await("all is told", () -> state(a).complete() && state(b).informed());
            assertThat(state(b).taken()).isEqualTo(CONNECTIONS / 2);
            // And what comes after.
            for (int client = CONNECTIONS / 2; client < CONNECTIONS; client++) {
                send(one, false, client, SYN);
                left.add(send(one, false, client, ACK));
            }
            Village.await("changes are told", () -> other.remembers(0) == CONNECTIONS);
            for (int client = 0; client < CONNECTIONS; client++) {
                assertThat(send(other, false, client, ACK)).containsExactly(left.get(client));
            }
            assertThat(state(b).refused().values()).containsOnly(0L);
            assertThat(state(a).told()).isEqualTo(CONNECTIONS);
            // The other one has the address now, and what it was told it does not tell back.
            a.has(Set.of());
            b.has(Set.of(vip(false)));
            send(other, false, CONNECTIONS, SYN);
            send(other, false, CONNECTIONS, ACK);
            Village.await("the first one is told", () -> one.remembers(0) == CONNECTIONS + 1);
            assertThat(state(a).heard()).isEqualTo(1);
            // A service that only one of them has, until the other has it.
            Endpoint alone = new Endpoint(vip(false), 90, Protocol.TCP);
            Forwarding late = Forwardings.of(
                    "late",
                    ForwardingMethod.DR,
                    SchedulerKind.RR,
                    List.of(alone),
                    List.of(new Server("s1", new InetSocketAddress(server(false, 1), 90), 1, 0, ServerState.UP)));
            other.engine.put(late);
            InetAddress from = client(false, 7);
            for (int flags : new int[] {SYN, ACK}) {
                other.bench.run(Frames.frame(
                        DIRECTOR,
                        ROUTER,
                        Frames.ip(
                                from,
                                vip(false),
                                Frames.TCP,
                                Frames.tcp(from, 5000, vip(false), 90, flags, new byte[3]))));
            }
            Village.await("it is not understood", () -> state(a).refused().getOrDefault("unknown", 0L) == 1);
            one.engine.put(late);
            Village.await("it is told again", () -> one.remembers(0) == CONNECTIONS + 2);
            assertThat(reports).isEmpty();
        }
    }

    @Test
    void whoDoesNotHaveTheSecretIsToldNothingAndNotHeard() throws Exception {
        serve(ForwardingMethod.DR, SchedulerKind.RR, false, Duration.ZERO);
        send(one, false, 1, SYN);
        send(one, false, 1, ACK);
        int port = freePort();
        try (ConnectionSync a = sync("a", "b", "127.0.0.1", "127.0.0.2", port, SECRET);
                ConnectionSync b = sync("b", "a", "127.0.0.2", "127.0.0.1", port, "another")) {
            a.has(Set.of(vip(false)));
            a.table(one.flows);
            b.table(other.flows);
            Village.await(
                    "both see it", () -> a.status().forged() > 0 && b.status().forged() > 0);
            Village.await("it is said", () -> !reports.isEmpty());
            assertThat(reports.getFirst()).contains("connection-sync.key must be the same");
            assertThat(state(a).told()).isZero();
            assertThat(other.remembers(0)).isZero();
            // Noise, and one that says nothing, keep nobody from being heard.
            try (Socket noise = new Socket(address("127.0.0.1"), port);
                    Socket silent = new Socket(address("127.0.0.1"), port)) {
                noise.getOutputStream().write(new byte[1000]);
                assertThat(noise.getInputStream().read()).as("it is hung up on").isLessThan(0);
                assertThat(silent.isConnected()).isTrue();
            }
        }
    }
}

package io.ballast.node;

import static io.ballast.node.Descriptions.check;
import static io.ballast.node.Descriptions.inKernel;
import static io.ballast.node.Descriptions.listening;
import static io.ballast.node.Descriptions.server;
import static io.ballast.node.Descriptions.serverWithoutPort;
import static io.ballast.node.Descriptions.service;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.health.CheckId;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.Test;

class ServiceTableTest {
    private static final ProbeResult GOOD = ProbeResult.success("connected", 100);
    private static final ProbeResult BAD = ProbeResult.failure("refused", 100);

    /** What the engine forwards. */
    private final Map<String, Forwarding> forwarded = new LinkedHashMap<>();

    private final List<String> calls = new ArrayList<>();
    private final Map<String, ProbeTarget> checks = new TreeMap<>();
    private final List<String> events = new ArrayList<>();
    private final ArrayDeque<Runnable> loop = new ArrayDeque<>();
    private final ServiceTable.Now now = new ServiceTable.Now(Instant.ofEpochSecond(1000), 1000);

    private final ForwardingEngine engine = new ForwardingEngine() {
        @Override
        public String name() {
            return "test";
        }

        @Override
        public void put(Forwarding service) {
            calls.add("put " + service.service());
            forwarded.put(service.service(), service);
        }

        @Override
        public void remove(String service) {
            calls.add("remove " + service);
            forwarded.remove(service);
        }

        @Override
        public CompletionStage<List<ServiceStatistics>> statistics() {
            return CompletableFuture.completedFuture(List.of());
        }

        @Override
        public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
            return CompletableFuture.completedFuture(ConnectionReport.EMPTY);
        }

        @Override
        public void close() {}
    };

    private final ServiceTable table = new ServiceTable(
            engine,
            new ServiceTable.Checks() {
                @Override
                public void put(CheckId id, CheckSpec spec, ProbeTarget target) {
                    checks.put(id.toString(), target);
                }

                @Override
                public void remove(CheckId id) {
                    assertThat(checks.remove(id.toString())).as("%s", id).isNotNull();
                }
            },
            (at, severity, type, subject, message, data) -> events.add(type + " " + subject),
            loop::add);

    private void run() {
        while (!loop.isEmpty()) {
            loop.remove().run();
        }
    }

    private void apply(ServiceSpec... services) {
        table.apply(now, List.of(services), Resolution.NONE);
        run();
    }

    private void result(String id, ProbeResult result) {
        String[] parts = id.split("/", -1);
        table.onResult(now, new CheckId(parts[0], parts[1], parts[2]), result);
        run();
    }

    private Forwarding forwarded(String service) {
        return Objects.requireNonNull(forwarded.get(service), service);
    }

    private ServerState state(String service, String server) {
        return forwarded(service).servers().stream()
                .filter(s -> s.name().equals(server))
                .findFirst()
                .orElseThrow()
                .state();
    }

    private static ServiceSpec web() {
        return service(
                "web", "127.0.0.1", List.of(), server("a", "10.1.0.1", check()), server("b", "10.1.0.2", check()));
    }

    @Test
    void resultsReachTheEngine() {
        apply(web());
        assertThat(checks.keySet()).containsExactly("web/a/tcp", "web/b/tcp");
        assertThat(checks.get("web/a/tcp")).hasToString("10.1.0.1:80");
        assertThat(calls).isEmpty();
        result("web/a/tcp", GOOD);
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
        assertThat(state("web", "b")).isEqualTo(ServerState.DOWN);
        result("web/b/tcp", GOOD);
        result("web/a/tcp", BAD);
        assertThat(state("web", "a")).isEqualTo(ServerState.DOWN);
        assertThat(events).containsExactly("server.up web/a", "service.up web", "server.up web/b", "server.down web/a");
    }

    @Test
    void checksOfAServerWithoutAPortAskTheFirstSingleOneOfTheService() {
        InetAddress address = InetAddress.ofLiteral("192.0.2.1");
        ServiceSpec ports = listening(
                inKernel(service("web", "192.0.2.1", List.of(), serverWithoutPort("a", "10.1.0.1", check()))),
                new Endpoint(address, 53, Endpoint.Protocol.UDP),
                new Endpoint(address, 8000, 8999, Endpoint.Protocol.TCP),
                new Endpoint(address, 443, Endpoint.Protocol.TCP),
                new Endpoint(address, 80, Endpoint.Protocol.TCP));
        apply(ports);
        assertThat(checks.get("web/a/tcp")).hasToString("10.1.0.1:443");
        result("web/a/tcp", GOOD);
        assertThat(forwarded("web").servers().getFirst().address()).isEqualTo(new InetSocketAddress("10.1.0.1", 0));
        assertThat(ports.servers().getFirst().address()).hasToString("10.1.0.1");
    }

    @Test
    void inconclusiveResultsProveNothing() {
        apply(web());
        result("web/a/tcp", ProbeResult.inconclusive("out of descriptors", 0));
        result("web/b/tcp", BAD);
        assertThat(calls).isEmpty();
        result("web/a/tcp", BAD);
        assertThat(calls).containsExactly("put web");
        assertThat(events).endsWith("service.down web");
    }

    @Test
    void manyChangesOfOneServiceAreOnePut() {
        apply(web());
        for (int i = 0; i < 5; i++) {
            table.onResult(now, new CheckId("web", "a", "tcp"), i % 2 == 0 ? GOOD : BAD);
        }
        run();
        assertThat(calls).containsExactly("put web");
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
    }

    @Test
    void onlyTheDifferenceIsTouched() {
        ServiceSpec other = service("other", "127.0.0.2", List.of(), server("c", "10.1.0.3"));
        apply(web(), other);
        result("web/a/tcp", GOOD);
        calls.clear();
        ServiceSpec more = service(
                "web",
                "127.0.0.1",
                List.of(),
                server("a", "10.1.0.1", check()),
                server("b", "10.1.0.2", check()),
                server("d", "10.1.0.4", check()));
        apply(more, other);
        assertThat(calls).containsExactly("put web");
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
        assertThat(checks).containsKey("web/d/tcp");
        calls.clear();
        apply(more);
        assertThat(calls).containsExactly("remove other");
        apply();
        assertThat(checks).isEmpty();
        assertThat(forwarded).isEmpty();
    }

    @Test
    void aNewCheckOfAServerThatIsUpDoesNotTakeItOut() {
        apply(web());
        result("web/a/tcp", GOOD);
        result("web/b/tcp", BAD);
        CheckSpec http = check("http", 2, InitialState.DOWN);
        apply(service("web", "127.0.0.1", List.of(), server("a", "10.1.0.1", http), server("b", "10.1.0.2", http)));
        assertThat(checks.keySet()).containsExactly("web/a/http", "web/b/http");
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
        assertThat(state("web", "b")).isEqualTo(ServerState.DOWN);
        result("web/a/http", BAD);
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
        result("web/a/http", BAD);
        assertThat(state("web", "a")).isEqualTo(ServerState.DOWN);
        result("web/b/http", GOOD);
        assertThat(state("web", "b")).isEqualTo(ServerState.UP);
    }

    @Test
    void aServerThatMovedIsCheckedAnew() {
        apply(web());
        result("web/a/tcp", GOOD);
        apply(service(
                "web", "127.0.0.1", List.of(), server("a", "10.1.0.9", check()), server("b", "10.1.0.2", check())));
        assertThat(checks.get("web/a/tcp")).hasToString("10.1.0.9:80");
        assertThat(state("web", "a")).isEqualTo(ServerState.DOWN);
        result("web/a/tcp", GOOD);
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
    }

    @Test
    void whateverChangesTheServicesAreThoseOfTheDescriptionInItsOrder() {
        ServiceSpec[] all = new ServiceSpec[8];
        for (int i = 0; i < all.length; i++) {
            all[i] = service("s" + i, "127.0.0." + (1 + i), List.of(), server("a", "10.1.0.1", check()));
        }
        for (long seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            List<ServiceSpec> chosen = new ArrayList<>();
            for (ServiceSpec service : all) {
                if (random.nextInt(4) > 0) {
                    chosen.add(random.nextInt(1 + chosen.size()), service);
                }
            }
            if (random.nextBoolean()) {
                Collections.sort(chosen, Comparator.comparing(ServiceSpec::name));
            }
            apply(chosen.toArray(ServiceSpec[]::new));
            List<String> names = chosen.stream().map(ServiceSpec::name).toList();
            assertThat(table.names()).as("seed %s", seed).isEqualTo(names);
            assertThat(checks.keySet())
                    .as("seed %s", seed)
                    .containsExactlyInAnyOrderElementsOf(
                            names.stream().map(name -> name + "/a/tcp").toList());
        }
    }

    @Test
    void aNameThatMovedIsAChange() {
        ServiceSpec named = service("web", "127.0.0.1", List.of(), server("a", "www1", check()));
        table.apply(now, List.of(named), new Resolution(Map.of("www1", InetAddress.ofLiteral("10.1.0.1")), Map.of()));
        run();
        result("web/a/tcp", GOOD);
        table.apply(now, List.of(named), new Resolution(Map.of("www1", InetAddress.ofLiteral("10.1.0.5")), Map.of()));
        run();
        assertThat(checks.get("web/a/tcp")).hasToString("10.1.0.5:80");
        assertThat(forwarded("web").servers().getFirst().address()).hasToString("/10.1.0.5:80");
    }

    @Test
    void serversOfTheOperatorAreCheckedToo() throws RefusedException {
        apply(web());
        result("web/a/tcp", GOOD);
        HostPort address = new HostPort("10.1.0.7", 80);
        table.add(now, "web", "x", address, Resolution.NONE.of(address), 1, 0);
        run();
        assertThat(checks).containsKey("web/x/tcp");
        result("web/x/tcp", GOOD);
        assertThat(state("web", "x")).isEqualTo(ServerState.UP);
        table.remove(now, "web", "x");
        run();
        assertThat(checks).doesNotContainKey("web/x/tcp");
        assertThat(forwarded("web").servers()).hasSize(2);
        assertThatThrownBy(() -> table.change(now, "mail", "x", Optional.of(1), Optional.empty()))
                .hasMessage("there is no service mail on this node; there are web");
    }

    @Test
    void adoptionKeepsWhatRunsAndEndsWhatIsNotWanted() {
        apply(web(), service("old", "127.0.0.3", List.of(), server("c", "10.1.0.3")));
        result("web/a/tcp", GOOD);
        result("web/b/tcp", BAD);
        Map<String, Forwarding> left = new LinkedHashMap<>(forwarded);
        calls.clear();
        checks.clear();
        events.clear();

        ServiceTable after = new ServiceTable(
                engine,
                new ServiceTable.Checks() {
                    @Override
                    public void put(CheckId id, CheckSpec spec, ProbeTarget target) {}

                    @Override
                    public void remove(CheckId id) {}
                },
                (at, severity, type, subject, message, data) -> events.add(type + " " + subject),
                loop::add);
        after.adopt(now, List.of(web()), Resolution.NONE, Map.of(), left);
        run();
        assertThat(calls).containsExactly("remove old", "put web");
        assertThat(forwarded("web")).isEqualTo(left.get("web"));
        assertThat(events).isEmpty();
        after.onResult(now, new CheckId("web", "a", "tcp"), BAD);
        after.onResult(now, new CheckId("web", "b", "tcp"), GOOD);
        run();
        assertThat(events)
                .containsExactly("server.down web/a", "service.down web", "server.up web/b", "service.up web");
    }

    @Test
    void aServerThatWasDownStaysOutOverARestartUntilItsCheckSaysOtherwise() {
        CheckSpec patient = check("tcp", 3, InitialState.UP);
        ServiceSpec web = service(
                "web", "127.0.0.1", List.of(), server("a", "10.1.0.1", patient), server("b", "10.1.0.2", patient));
        apply(web);
        for (int i = 0; i < 3; i++) {
            result("web/b/tcp", BAD);
        }
        assertThat(state("web", "b")).isEqualTo(ServerState.DOWN);
        Map<String, Forwarding> left = new LinkedHashMap<>(forwarded);
        checks.clear();
        events.clear();

        ServiceTable after = new ServiceTable(
                engine,
                new ServiceTable.Checks() {
                    @Override
                    public void put(CheckId id, CheckSpec spec, ProbeTarget target) {}

                    @Override
                    public void remove(CheckId id) {}
                },
                (at, severity, type, subject, message, data) -> events.add(type + " " + subject),
                loop::add);
        after.adopt(now, List.of(web), Resolution.NONE, Map.of(), left);
        after.onResult(now, new CheckId("web", "a", "tcp"), BAD);
        after.onResult(now, new CheckId("web", "b", "tcp"), BAD);
        run();
        assertThat(events).isEmpty();
        assertThat(state("web", "a")).isEqualTo(ServerState.UP);
        assertThat(state("web", "b")).isEqualTo(ServerState.DOWN);
        after.onResult(now, new CheckId("web", "b", "tcp"), GOOD);
        run();
        assertThat(events).containsExactly("server.up web/b");
        assertThat(state("web", "b")).isEqualTo(ServerState.UP);
    }

    @Test
    void checksOfServersWithTheServicesAddressAreSentFromAnother() {
        InetAddress server = InetAddress.ofLiteral("10.1.0.1");
        InetAddress own = InetAddress.ofLiteral("10.1.0.254");
        table.sources(Map.of(server, own));
        apply(web());
        assertThat(Objects.requireNonNull(checks.get("web/a/tcp")).source())
                .as("the engine userspace has its own connections")
                .isEmpty();
        assertThat(table.asked()).isEmpty();
        apply(Descriptions.inKernel(web()));
        assertThat(Objects.requireNonNull(checks.get("web/a/tcp")).source()).hasValue(own);
        assertThat(Objects.requireNonNull(checks.get("web/b/tcp")).source()).isEmpty();
        assertThat(table.asked()).containsExactlyInAnyOrder(server, InetAddress.ofLiteral("10.1.0.2"));
        assertThat(table.asked()).isEqualTo(ServiceTable.asked(List.of(Descriptions.inKernel(web())), Resolution.NONE));
        table.sources(Map.of());
        assertThat(Objects.requireNonNull(checks.get("web/a/tcp")).source()).isEmpty();
    }
}

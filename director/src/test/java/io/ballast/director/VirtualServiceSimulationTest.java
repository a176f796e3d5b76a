package io.ballast.director;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.VirtualService.Health;
import io.ballast.director.VirtualService.RealServer;
import io.ballast.director.VirtualService.State;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Random lives of a service: results, operators, reloads, crashes; after every step the invariants must hold. */
class VirtualServiceSimulationTest {
    private static final int STEPS = 300;

    @Test
    void theInvariantsHoldInEveryLife() {
        long first = Long.getLong("ballast.seed", System.nanoTime());
        long until = System.nanoTime()
                + Duration.ofSeconds(seconds(System.getProperty("ballast.simulate", "")))
                        .toNanos();
        for (int run = 0; run < 300 || System.nanoTime() < until; run++) {
            long seed = first + run;
            try {
                new Life(seed).run();
            } catch (AssertionError | RuntimeException e) {
                throw new AssertionError("seed " + seed + " (repeat with -Dballast.seed=" + seed + ")", e);
            }
        }
    }

    @Test
    void theSameSeedGivesTheSameLife() {
        List<String> once = new Life(42).run();
        assertThat(new Life(42).run()).isEqualTo(once);
        assertThat(new Life(43).run()).isNotEqualTo(once);
    }

    private static long seconds(String text) {
        if (text.isEmpty()) {
            return 0;
        }
        return Duration.parse("PT" + text).toSeconds();
    }

    /** One life of a service, and what a bystander would know of it from the outside. */
    private static final class Life implements VirtualService.Output {
        private final Random random;
        private final List<String> trace = new ArrayList<>();
        private Instant now = Instant.ofEpochSecond(1_000_000);

        private VirtualService service;
        private @Nullable Forwarding engine;
        private final Map<String, String> lastServerEvent = new HashMap<>();
        private @Nullable String lastServiceEvent;
        /** What the checks said last, by name and address. */
        private final Map<String, Boolean> results = new HashMap<>();
        /** What the operator wants, by server: what the description said then, and the wish. */
        private final Map<String, ServerOverride> wishes = new LinkedHashMap<>();

        Life(long seed) {
            random = new Random(seed);
            service = new VirtualService(now, describe(), Services::literal, Map.of(), Optional.empty(), this);
        }

        List<String> run() {
            check();
            for (int step = 0; step < STEPS; step++) {
                now = now.plusMillis(random.nextInt(1000));
                step();
                check();
            }
            return trace;
        }

        private void step() {
            int dice = random.nextInt(100);
            try {
                if (dice < 60) {
                    String server = anyName();
                    boolean up = random.nextInt(3) > 0;
                    trace.add("result " + server + " " + up);
                    service.servers().stream()
                            .filter(s -> s.spec().name().equals(server))
                            .filter(s -> !s.spec().checks().isEmpty())
                            .forEach(s -> results.put(server + s.address(), up));
                    service.onHealth(now, server, up, "because");
                } else if (dice < 75) {
                    change();
                } else if (dice < 80) {
                    HostPort address = new HostPort("10.1.0." + (1 + random.nextInt(8)), 80);
                    String server = anyName();
                    trace.add("add " + server + " " + address);
                    service.add(now, server, address, Services.literal(address), random.nextInt(3), 0);
                    wish(
                            server,
                            Optional.of(new ServerOverride.Facts(address, weightOf(server), 0, AdminState.ENABLED)));
                } else if (dice < 85) {
                    String server = anyName();
                    trace.add("remove " + server);
                    service.remove(now, server);
                    wish(server, Optional.empty());
                } else if (dice < 95) {
                    ServiceSpec next = random.nextInt(4) == 0 ? service.spec() : describe();
                    trace.add("configure " + next.servers());
                    service.configure(now, next, Services::literal);
                } else {
                    boolean workerLives = random.nextBoolean();
                    trace.add("crash " + workerLives);
                    restart(workerLives);
                }
            } catch (RefusedException e) {
                trace.add("refused: " + e.getMessage());
            }
        }

        private void change() throws RefusedException {
            String server = anyName();
            Optional<Integer> weight = random.nextBoolean() ? Optional.of(random.nextInt(3)) : Optional.empty();
            Optional<AdminState> state = random.nextBoolean() ? Optional.of(anyState()) : Optional.empty();
            trace.add("change " + server + " " + weight + " " + state);
            service.change(now, server, weight, state);
            RealServer s = find(server);
            weight.ifPresent(w -> assertThat(s.spec().weight()).isEqualTo(w));
            state.ifPresent(w -> assertThat(s.spec().state()).isEqualTo(w));
            wish(server, Optional.of(ServerOverride.Facts.of(s.spec())));
        }

        private void restart(boolean workerLives) {
            Map<String, ServerOverride> kept = service.overrides();
            Optional<Forwarding> adopted = workerLives ? service.forwarding() : Optional.empty();
            results.clear();
            if (workerLives) {
                // Only what a running worker forwards with certainty tells what the checks had said.
                adopted.ifPresent(f -> f.servers().forEach(s -> {
                    if (s.state() == ServerState.UP || s.state() == ServerState.DOWN) {
                        results.put(s.name() + s.address(), s.state() == ServerState.UP);
                    }
                }));
            }
            engine = null;
            lastServerEvent.clear();
            lastServiceEvent = null;
            service = new VirtualService(now, service.spec(), Services::literal, kept, adopted, this);
            if (adopted.isPresent()) {
                assertThat(lastServiceEvent).as("adopting is no event").isNull();
                lastServiceEvent = "service." + service.state().name().toLowerCase(java.util.Locale.ROOT);
                for (Forwarding.Server s : adopted.get().servers()) {
                    if (s.state() == ServerState.UP) {
                        assertThat(state(service.forwarding().orElseThrow(), s.name()))
                                .as("adopting takes no server out")
                                .isEqualTo(ServerState.UP);
                    }
                }
            }
        }

        private void check() {
            List<RealServer> servers = service.servers();
            forgetThoseWhoLeft(servers);
            boolean anyUp = servers.stream().anyMatch(s -> s.state() == ServerState.UP);
            for (RealServer s : servers) {
                checkServer(s);
            }
            assertThat(service.state() == State.UP).isEqualTo(anyUp);
            assertThat(service.state() == State.SORRY)
                    .isEqualTo(!anyUp && service.spec().sorry().isPresent());
            assertThat(Optional.ofNullable(engine)).isEqualTo(service.forwarding());
            assertThat(service.settled()).isEqualTo(engine != null);
            if (engine != null) {
                assertThat(engine.servers().stream().map(Forwarding.Server::name))
                        .containsExactlyElementsOf(
                                servers.stream().map(s -> s.spec().name()).toList());
                for (RealServer s : servers) {
                    assertThat(state(engine, s.spec().name())).isEqualTo(s.state());
                }
                assertThat(lastServiceEvent)
                        .isEqualTo("service." + service.state().name().toLowerCase(java.util.Locale.ROOT));
            } else {
                assertThat(anyUp).as("a server is up but nobody was told").isFalse();
                assertThat(lastServiceEvent).isNull();
            }
            checkWishes();
        }

        /** A server that comes back, or gets checks again, begins anew. */
        private void forgetThoseWhoLeft(List<RealServer> servers) {
            Set<String> present = new HashSet<>();
            Set<String> checked = new HashSet<>();
            for (RealServer s : servers) {
                present.add(s.spec().name() + s.address());
                if (!s.spec().checks().isEmpty()) {
                    checked.add(s.spec().name() + s.address());
                }
            }
            results.keySet().retainAll(checked);
            lastServerEvent.keySet().retainAll(present);
        }

        private void checkServer(RealServer s) {
            Boolean result = results.get(s.spec().name() + s.address());
            if (s.spec().checks().isEmpty()) {
                assertThat(s.health()).isEqualTo(Health.UP);
            } else if (result != null) {
                assertThat(s.health() == Health.UP).isEqualTo(result);
            }
            if (s.state() == ServerState.UP) {
                assertThat(s.health()).isEqualTo(Health.UP);
                assertThat(s.spec().weight()).isPositive();
                assertThat(s.spec().state()).isEqualTo(AdminState.ENABLED);
            }
            String event = lastServerEvent.get(s.spec().name() + s.address());
            if (event != null && service.settled()) {
                assertThat(event).isEqualTo(s.health() == Health.UP ? "server.up" : "server.down");
            }
            assertThat(s.since()).isBeforeOrEqualTo(now);
        }

        /** Every wish holds while the description of its server is what it was; then it is gone for good. */
        private void checkWishes() {
            Map<String, ServerOverride.Facts> described = new HashMap<>();
            service.spec().servers().forEach(s -> described.put(s.name(), ServerOverride.Facts.of(s)));
            wishes.entrySet()
                    .removeIf(w -> !w.getValue().described().equals(Optional.ofNullable(described.get(w.getKey()))));
            assertThat(service.overrides()).isEqualTo(wishes);
            Map<String, ServerOverride.Facts> expected = new HashMap<>(described);
            wishes.forEach((server, wish) -> {
                expected.remove(server);
                wish.wanted().ifPresent(w -> expected.put(server, w));
            });
            Map<String, ServerOverride.Facts> actual = new HashMap<>();
            service.servers().forEach(s -> actual.put(s.spec().name(), ServerOverride.Facts.of(s.spec())));
            assertThat(actual).isEqualTo(expected);
        }

        private void wish(String server, Optional<ServerOverride.Facts> wanted) {
            Optional<ServerOverride.Facts> described = service.spec().servers().stream()
                    .filter(s -> s.name().equals(server))
                    .findFirst()
                    .map(ServerOverride.Facts::of);
            if (described.equals(wanted)) {
                wishes.remove(server);
            } else {
                wishes.put(server, new ServerOverride(described, wanted));
            }
        }

        private RealServer find(String server) {
            return service.servers().stream()
                    .filter(s -> s.spec().name().equals(server))
                    .findFirst()
                    .orElseThrow();
        }

        private int weightOf(String server) {
            return find(server).spec().weight();
        }

        private ServiceSpec describe() {
            List<ServerSpec> servers = new ArrayList<>();
            for (int i = 1; i <= 4; i++) {
                if (random.nextInt(4) > 0) {
                    int host = random.nextInt(10) == 0 ? i + 4 : i;
                    servers.add(Services.server(
                            "www" + i,
                            "10.1.0." + host,
                            random.nextInt(5) == 0 ? 0 : 1,
                            random.nextInt(5) == 0 ? anyState() : AdminState.ENABLED,
                            random.nextInt(6) == 0
                                    ? List.of()
                                    : List.of(Services.check(
                                            random.nextInt(6) == 0 ? InitialState.UP : InitialState.DOWN))));
                }
            }
            return Services.service(servers, random.nextBoolean());
        }

        private String anyName() {
            return "www" + (1 + random.nextInt(5));
        }

        private AdminState anyState() {
            return switch (random.nextInt(3)) {
                case 0 -> AdminState.ENABLED;
                case 1 -> AdminState.DRAIN;
                default -> AdminState.DISABLED;
            };
        }

        private static ServerState state(Forwarding forwarding, String server) {
            return forwarding.servers().stream()
                    .filter(s -> s.name().equals(server))
                    .findFirst()
                    .orElseThrow()
                    .state();
        }

        @Override
        public void forward(Forwarding forwarding) {
            trace.add("forward " + forwarding.servers());
            if (forwarding.equals(engine)) {
                fail("the same forwarding was handed out twice");
            }
            engine = forwarding;
        }

        @Override
        public void happened(
                Instant at, Severity severity, String type, String subject, String message, Map<String, String> data) {
            trace.add(type + " " + subject);
            if (type.startsWith("service.")) {
                assertThat(type).as("told twice").isNotEqualTo(lastServiceEvent);
                lastServiceEvent = type;
            } else if (type.startsWith("server.")) {
                String server = subject.substring("web/".length());
                lastServerEvent.put(server + Services.literal(hostPort(data)), type);
            }
        }

        private static HostPort hostPort(Map<String, String> data) {
            String address = data.getOrDefault("address", "");
            int colon = address.lastIndexOf(':');
            return new HostPort(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
        }
    }
}

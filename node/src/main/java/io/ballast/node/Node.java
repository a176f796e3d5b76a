package io.ballast.node;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineChoice;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.core.loop.Loop;
import io.ballast.director.EngineEvents;
import io.ballast.director.Engines;
import io.ballast.director.Forwarding;
import io.ballast.director.ServerOverride;
import io.ballast.director.userspace.UserspaceEngine;
import io.ballast.director.xdp.XdpOnDemand;
import io.ballast.health.CheckId;
import io.ballast.health.CheckRunner;
import io.ballast.health.ProbeTarget;
import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * What the control loop owns on this node: the services, their figures, the state of their sockets, and the workers. It
 * is where results of checks, news of the engine and requests of the operator come together, one after the other.
 *
 * <p>Except for {@link #ask}, only the loop's thread calls it.
 */
final class Node {
    private static final Duration SAMPLING = Duration.ofSeconds(2);
    private static final int SERVERS_PER_SECOND = 10_000;
    private static final Duration LAG_TICK = Duration.ofSeconds(1);

    /** The control loop did not do something in time. */
    static final class BusyException extends Exception {
        private static final long serialVersionUID = 1L;

        BusyException(Duration limit) {
            super("the control loop did not answer in " + limit.toSeconds() + " s");
        }
    }

    private final Loop loop;
    private final EventLog events;
    private final HookRunner hooks;
    private final UserspaceEngine userspace;
    private final XdpOnDemand xdp;
    private final Engines engines;
    private final ServiceTable table;
    private final Traffic traffic = new Traffic();
    private final CheckRunner checks;
    private final CheckSources sources;
    private final Set<Endpoint> open = new HashSet<>();
    /** Why an endpoint cannot be opened. */
    private final Map<Endpoint, String> refused = new HashMap<>();

    private final Map<String, ServiceSpec> specs = new HashMap<>();
    private final UpNews upNews = new UpNews();

    private Runnable serviceNews = () -> {};
    private List<ServiceSpec> services = List.of();
    private String pressure = "";
    private @Nullable CompletableFuture<Void> sampling;
    private long lagNanos;
    private long worstLagNanos;

    /**
     * A node without services.
     *
     * @param checkRunner makes the runner for the listener that it is given
     * @param xdpEngine makes the engine xdp for what hears of it
     */
    Node(
            Loop loop,
            EventLog events,
            HookRunner hooks,
            Function<CheckRunner.Listener, CheckRunner> checkRunner,
            Function<EngineEvents, XdpOnDemand> xdpEngine) {
        this.loop = loop;
        this.events = events;
        this.hooks = hooks;
        EngineEvents fromEngine = new FromEngine();
        this.userspace = new UserspaceEngine(loop, fromEngine);
        List<XdpOnDemand> made = new ArrayList<>();
        this.engines = new Engines(loop, fromEngine, userspace, told -> {
            made.add(xdpEngine.apply(told));
            return made.getFirst();
        });
        this.xdp = made.getFirst();
        this.checks = checkRunner.apply((id, result) -> loop.execute(() -> table().onResult(now(), id, result)));
        this.table = new ServiceTable(engines, new ToRunner(), this::happened, loop);
        this.sources = new CheckSources(new FromSources());
        loop.schedule(LAG_TICK, () -> tick(loop.now()));
        sampleLater();
    }

    /** Runs this, on the loop, when something has happened to a service or a server of it. */
    void onServiceNews(Runnable news) {
        serviceNews = news;
    }

    private ServiceTable table() {
        return table;
    }

    /** The time of this step. */
    ServiceTable.Now now() {
        return new ServiceTable.Now(Instant.now(), loop.now());
    }

    private final class FromSources implements CheckSources.Listener {
        @Override
        public void changed(Map<InetAddress, InetAddress> now) {
            loop.execute(() -> table().sources(now));
        }

        @Override
        public void warn(String message) {
            loop.execute(() -> happened(Instant.now(), Severity.WARNING, "engine.note", "checks", message, Map.of()));
        }
    }

    private final class ToRunner implements ServiceTable.Checks {
        @Override
        public void put(CheckId id, CheckSpec spec, ProbeTarget target) {
            checks.put(id, spec, target);
        }

        @Override
        public void remove(CheckId id) {
            checks.remove(id);
        }
    }

    /** Runs a question on the loop and waits for its answer; from any other thread. */
    <T> T ask(Callable<T> question) throws ExecutionException, InterruptedException, BusyException {
        return ask(question, Duration.ofSeconds(10));
    }

    /** The same with another limit. */
    <T> T ask(Callable<T> question, Duration limit) throws ExecutionException, InterruptedException, BusyException {
        CompletableFuture<T> answer = new CompletableFuture<>();
        loop.execute(() -> {
            try {
                answer.complete(question.call());
            } catch (Exception e) {
                answer.completeExceptionally(e);
            }
        });
        try {
            return answer.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            throw new BusyException(limit);
        }
    }

    /**
     * Finds out where checks of services that are to begin are sent from, before the first of them is; from any thread but
     * the loop's, before {@link #begin} or {@link #apply}.
     */
    void prepare(List<ServiceSpec> next, Resolution resolution) throws InterruptedException {
        Map<InetAddress, InetAddress> found = sources.await(ServiceTable.asked(next, resolution), addresses(next));
        loop.execute(() -> table().sources(found));
    }

    private static Set<InetAddress> addresses(List<ServiceSpec> services) {
        Set<InetAddress> addresses = new HashSet<>();
        services.forEach(service -> service.listen().forEach(endpoint -> addresses.add(endpoint.address())));
        return addresses;
    }

    /** Runs something on the loop, some time; from any other thread. */
    void later(Runnable task) {
        loop.execute(task);
    }

    /** Begins with the services of this node. */
    void begin(
            List<ServiceSpec> services,
            Resolution resolution,
            Map<String, Map<String, ServerOverride>> overrides,
            Map<String, Forwarding> adopted) {
        remember(services);
        table.adopt(now(), services, resolution, overrides, adopted);
        table.flush();
        var _ = xdp.settle();
    }

    /** Brings the node to other services. */
    void apply(List<ServiceSpec> services, Resolution resolution) {
        remember(services);
        table.apply(now(), services, resolution);
        table.flush();
    }

    private void remember(List<ServiceSpec> next) {
        Middle<ServiceSpec> middle = Middle.of(services, next);
        Set<Endpoint> still = new HashSet<>();
        middle.after().forEach(s -> still.addAll(s.listen()));
        for (ServiceSpec service : middle.before()) {
            specs.remove(service.name());
            for (Endpoint endpoint : service.listen()) {
                if (!still.contains(endpoint)) {
                    open.remove(endpoint);
                    refused.remove(endpoint);
                }
            }
        }
        middle.after().forEach(s -> specs.put(s.name(), s));
        upNews.retain(specs.keySet());
        services = next;
    }

    private void happened(
            Instant at, Severity severity, String type, String subject, String message, Map<String, String> data) {
        ServiceSpec spec = specs.get(data.getOrDefault("service", ""));
        if (spec != null) {
            serviceNews.run();
        }
        if (type.startsWith("service.") && spec != null) {
            boolean listens = spec.listen().stream().anyMatch(open::contains);
            upNews.happened(at, spec, type, listens, when -> tell(when, severity, type, subject, message, data));
        } else {
            tell(at, severity, type, subject, message, data);
        }
    }

    private void tell(
            Instant at, Severity severity, String type, String subject, String message, Map<String, String> data) {
        var _ = events.happened(at, severity, type, subject, message, data);
        ServiceSpec spec = specs.get(data.getOrDefault("service", ""));
        if (spec == null) {
            return;
        }
        ServiceSpec.NotifySpec wanted = spec.hooks();
        Optional<String> hook = switch (type) {
            case "server.up" -> wanted.serverUp();
            case "server.down" -> wanted.serverDown();
            case "service.up" -> wanted.serviceUp();
            case "service.sorry", "service.down" -> wanted.serviceDown();
            default -> Optional.empty();
        };
        hook.ifPresent(command -> {
            Map<String, String> facts = new LinkedHashMap<>(data);
            facts.put("event", type);
            facts.put("message", message);
            facts.put("time", at.toString());
            hooks.run(List.of(command), subject, facts);
        });
    }

    private final class FromEngine implements EngineEvents {
        @Override
        public void listening(String service, Endpoint endpoint) {
            open.add(endpoint);
            upNews.listens(Instant.now(), service);
            if (refused.remove(endpoint) != null) {
                happened(
                        Instant.now(),
                        Severity.INFO,
                        "listen.ok",
                        service,
                        service + " listens on " + endpoint + " now",
                        Map.of("service", service, "endpoint", endpoint.toString()));
            }
        }

        @Override
        public void notListening(String service, Endpoint endpoint, String reason) {
            open.remove(endpoint);
            if (reason.equals(refused.put(endpoint, reason))) {
                return; // said, and it is so still: an engine says it whenever it is asked
            }
            happened(
                    Instant.now(),
                    Severity.ERROR,
                    "listen.failed",
                    service,
                    service + " cannot listen on " + endpoint + ": " + reason,
                    Map.of("service", service, "endpoint", endpoint.toString(), "reason", reason));
        }

        @Override
        public void drained(String service, String server, int closed) {
            String subject = service + "/" + server;
            happened(
                    Instant.now(),
                    Severity.INFO,
                    "server.drained",
                    subject,
                    subject
                            + (closed == 0
                                    ? " has no connection left"
                                    : " was left by its last connections: " + closed
                                            + " were closed by the drain time-out"),
                    Map.of("service", service, "server", server, "closed", Integer.toString(closed)));
        }

        @Override
        public void pressure(boolean on, String reason) {
            pressure = on ? reason : "";
            happened(
                    Instant.now(),
                    on ? Severity.ERROR : Severity.INFO,
                    on ? "pressure.on" : "pressure.off",
                    "worker",
                    reason,
                    Map.of());
        }

        @Override
        public void note(boolean warning, String subject, String message) {
            happened(
                    Instant.now(),
                    warning ? Severity.WARNING : Severity.INFO,
                    "engine.note",
                    subject,
                    message,
                    Map.of());
        }
    }

    // ---- Figures

    private void sampleLater() {
        int servers = table().services().stream()
                .mapToInt(s -> s.spec().servers().size())
                .sum();
        loop.schedule(SAMPLING.plusSeconds(servers / SERVERS_PER_SECOND), () -> {
            var _ = sample();
            sampleLater();
        });
    }

    /** Asks the engine for its figures, unless it was asked a moment ago; done when they are in {@link #traffic()}. */
    CompletableFuture<Void> sample() {
        if (sampling != null) {
            return sampling;
        }
        if (traffic.isFresh(loop.now(), Duration.ofSeconds(1).toNanos())) {
            return CompletableFuture.completedFuture(null);
        }
        CompletableFuture<Void> done = new CompletableFuture<>();
        sampling = done;
        var _ = engines.statistics()
                .whenComplete((all, error) -> loop.execute(() -> {
                    sampling = null;
                    if (all != null) {
                        traffic.sample(all, loop.now());
                    }
                    done.complete(null);
                }));
        return done;
    }

    /** What the engine counted. */
    Traffic traffic() {
        return traffic;
    }

    private void tick(long planned) {
        long now = loop.now();
        lagNanos = Math.max(0, now - planned - LAG_TICK.toNanos());
        worstLagNanos = Math.max(worstLagNanos, lagNanos);
        if (table().takeSynced()) {
            sources.become(table().asked(), addresses(services));
        }
        loop.schedule(LAG_TICK, () -> tick(now));
    }

    /** How late the loop was at its last tick. */
    Duration lag() {
        return Duration.ofNanos(lagNanos);
    }

    /** How late it was at its latest tick since the start. */
    Duration worstLag() {
        return Duration.ofNanos(worstLagNanos);
    }

    // ---- What it is made of

    ServiceTable services() {
        return table;
    }

    /** What forwards, whichever engine does. */
    Engines engines() {
        return engines;
    }

    /** The engine in the kernel. */
    XdpOnDemand xdp() {
        return xdp;
    }

    /** The engine that serves a service now, or is to, where it is not forwarded yet. */
    EngineKind engineOf(ServiceSpec service) {
        return engines.engineOf(service.name()).orElse(EngineChoice.of(service));
    }

    /** Why a service with {@code engine: auto} has the engine userspace; empty for every other. */
    Optional<String> whyUserspace(ServiceSpec service) {
        return service.engine() == EngineKind.AUTO
                ? EngineChoice.onlyUserspace(service).or(() -> engines.whyNotXdp(service.name()))
                : Optional.empty();
    }

    /** The engine that workers belong to. */
    UserspaceEngine userspace() {
        return userspace;
    }

    CheckRunner checks() {
        return checks;
    }

    /** Ends the checks. */
    void close() {
        checks.close();
        sources.close();
    }

    /** Why an endpoint is not open; empty where it is, nothing before it was tried. */
    Optional<String> listening(Endpoint endpoint) {
        return open.contains(endpoint) ? Optional.of("") : Optional.ofNullable(refused.get(endpoint));
    }

    /** Whether an endpoint of one of these services, which is to be forwarded, was not tried yet. */
    boolean isOpening(List<ServiceSpec> some) {
        for (ServiceSpec service : some) {
            if (table.isForwarded(service.name())
                    && !service.listen().stream().allMatch(e -> open.contains(e) || refused.containsKey(e))) {
                return true;
            }
        }
        return false;
    }

    /** The endpoints that cannot be opened, in the description's order. */
    List<Configuration.Closed> closed() {
        List<Configuration.Closed> closed = new ArrayList<>();
        for (ServiceSpec service : refused.isEmpty() ? List.<ServiceSpec>of() : services) {
            for (Endpoint endpoint : service.listen()) {
                String reason = refused.get(endpoint);
                if (reason != null) {
                    closed.add(new Configuration.Closed(service.name(), endpoint, reason));
                }
            }
        }
        return closed;
    }

    /** At which limit the engine is; empty where at none. */
    String pressure() {
        return pressure;
    }
}

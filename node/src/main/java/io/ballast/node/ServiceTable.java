package io.ballast.node;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.Forwarding;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.RefusedException;
import io.ballast.director.ServerOverride;
import io.ballast.director.VirtualService;
import io.ballast.director.VirtualService.Health;
import io.ballast.director.VirtualService.RealServer;
import io.ballast.health.CheckId;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.RiseFall;
import io.ballast.health.state.ServerHealth;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The services of this node at work: joins each {@link VirtualService} with the checks of its servers on one side and
 * with the engine that forwards it on the other.
 *
 * <p>Only the control loop's thread calls it.
 */
final class ServiceTable {

    /** Runs checks; results come back through {@link #onResult}. */
    interface Checks {
        /** Adds or changes one. */
        void put(CheckId id, CheckSpec spec, ProbeTarget target);

        /** Ends one. */
        void remove(CheckId id);
    }

    /** Hears what happens. */
    @FunctionalInterface
    interface Events {
        /** See {@link io.ballast.core.event.Event}. */
        void happened(
                Instant now, Severity severity, String type, String subject, String message, Map<String, String> data);
    }

    /** The time of a step, on both clocks. */
    record Now(Instant wall, long nanos) {}

    private static final class Entry {
        final VirtualService service;
        final Map<String, Checked> servers = new HashMap<>();
        Resolution resolution;

        Entry(VirtualService service, Resolution resolution) {
            this.service = service;
            this.resolution = resolution;
        }
    }

    /** The checks of one server. */
    private static final class Checked {
        final InetSocketAddress address;
        final ServerHealth health;
        List<CheckSpec> specs;
        long successes;
        long failures;
        long inconclusive;
        /** What the service believes; null while it knows nothing. */
        @Nullable
        Boolean told;

        Checked(InetSocketAddress address, ServerHealth health, List<CheckSpec> specs, Health told) {
            this.address = address;
            this.health = health;
            this.specs = specs;
            this.told = told == Health.UNKNOWN ? null : told == Health.UP;
        }

        /** Whether the checks have something to say that the service does not know. */
        boolean hasNews() {
            boolean up = health.up();
            if (told != null && told == up) {
                return false;
            }
            // A server that nobody has asked yet is not up, but that is no finding.
            return up || told != null || foundDown();
        }

        private boolean foundDown() {
            for (ServerHealth.CheckHealth check : health.checks()) {
                if (check.state() == RiseFall.State.DOWN
                        && check.last()
                                .map(r -> r.outcome() == ProbeResult.Outcome.FAILURE)
                                .orElse(false)) {
                    return true;
                }
            }
            return false;
        }
    }

    private final ForwardingEngine engine;
    private final Checks checks;
    private final Events events;
    private final Executor loop;
    private SequencedMap<String, Entry> entries = new LinkedHashMap<>();
    private List<ServiceSpec> applied = List.of();
    private Map<String, InetAddress> names = Map.of();
    private final SequencedMap<String, Forwarding> unsent = new LinkedHashMap<>();
    /** Where checks are sent from that the kernel would send from a service's address. */
    private Map<InetAddress, InetAddress> sources = Map.of();

    private boolean synced;

    ServiceTable(ForwardingEngine engine, Checks checks, Events events, Executor loop) {
        this.engine = engine;
        this.checks = checks;
        this.events = events;
        this.loop = loop;
    }

    /**
     * Takes over what a process before has left, before anything else is applied.
     *
     * @param adopted what the engine forwards already
     */
    void adopt(
            Now now,
            List<ServiceSpec> services,
            Resolution resolution,
            Map<String, Map<String, ServerOverride>> overrides,
            Map<String, Forwarding> adopted) {
        for (ServiceSpec spec : services) {
            start(
                    now,
                    spec,
                    resolution,
                    overrides.getOrDefault(spec.name(), Map.of()),
                    Optional.ofNullable(adopted.get(spec.name())));
        }
        adopted.keySet().stream()
                .filter(service -> !entries.containsKey(service))
                .forEach(engine::remove);
        applied = services;
        names = resolution.names();
    }

    /** Brings the services to exactly these; whatever did not change is not touched. */
    void apply(Now now, List<ServiceSpec> services, Resolution resolution) {
        Middle<ServiceSpec> middle =
                resolution.names().equals(names) ? Middle.of(applied, services) : new Middle<>(applied, services);
        List<String> before = middle.before().stream().map(ServiceSpec::name).toList();
        List<String> after = middle.after().stream().map(ServiceSpec::name).toList();
        Set<String> wanted = new HashSet<>(after);
        // First what leaves: an endpoint that moves from one service to another has to be free.
        for (String name : before) {
            Entry leaving = wanted.contains(name) ? null : entries.remove(name);
            if (leaving != null) {
                stop(leaving);
            }
        }
        for (ServiceSpec spec : middle.after()) {
            Entry entry = entries.get(spec.name());
            if (entry == null) {
                start(now, spec, resolution, Map.of(), Optional.empty());
                continue;
            }
            if (!spec.equals(entry.service.spec()) || !resolution.names().equals(entry.resolution.names())) {
                entry.resolution = resolution;
                entry.service.configure(now.wall(), spec, resolution);
                sync(now, entry);
            }
        }
        if (!before.equals(after)) {
            SequencedMap<String, Entry> ordered = new LinkedHashMap<>(services.size() * 2);
            services.forEach(s -> ordered.put(s.name(), Objects.requireNonNull(entries.get(s.name()))));
            entries = ordered;
        }
        applied = services;
        names = resolution.names();
    }

    private void start(
            Now now,
            ServiceSpec spec,
            Resolution resolution,
            Map<String, ServerOverride> overrides,
            Optional<Forwarding> adopted) {
        VirtualService service =
                new VirtualService(now.wall(), spec, resolution, overrides, adopted, new VirtualService.Output() {
                    @Override
                    public void forward(Forwarding forwarding) {
                        send(forwarding);
                    }

                    @Override
                    public void happened(
                            Instant at,
                            Severity severity,
                            String type,
                            String subject,
                            String message,
                            Map<String, String> data) {
                        events.happened(at, severity, type, subject, message, data);
                    }
                });
        Entry entry = new Entry(service, resolution);
        entries.put(spec.name(), entry);
        sync(now, entry);
    }

    private void stop(Entry entry) {
        String service = entry.service.name();
        entry.servers.forEach((server, checked) -> endChecks(service, server, checked.specs));
        unsent.remove(service);
        engine.remove(service);
    }

    /** Hands forwardings to the engine once the loop has done what is at hand: of many changes the last one counts. */
    private void send(Forwarding forwarding) {
        if (unsent.isEmpty()) {
            loop.execute(this::flush);
        }
        unsent.put(forwarding.service(), forwarding);
    }

    /** Hands over what is to be handed over, without waiting for the loop. */
    void flush() {
        List<Forwarding> now = new ArrayList<>(unsent.values());
        unsent.clear();
        now.forEach(engine::put);
    }

    /** From now on checks of services whose servers may have their addresses are sent from there. */
    void sources(Map<InetAddress, InetAddress> next) {
        if (next.equals(sources)) {
            return;
        }
        sources = next;
        for (Entry entry : entries.sequencedValues()) {
            for (RealServer server : choosesSource(entry) ? entry.service.servers() : List.<RealServer>of()) {
                String name = server.spec().name();
                Checked checked = entry.servers.get(name);
                for (CheckSpec spec : checked == null ? List.<CheckSpec>of() : checked.specs) {
                    // Does nothing where its source stays.
                    checks.put(new CheckId(entry.service.name(), name, spec.name()), spec, target(entry, server, spec));
                }
            }
        }
    }

    /** Whom checks ask that {@link #sources} is about. */
    Set<InetAddress> asked() {
        Set<InetAddress> asked = new HashSet<>();
        for (Entry entry : entries.sequencedValues()) {
            for (RealServer server : choosesSource(entry) ? entry.service.servers() : List.<RealServer>of()) {
                Checked checked = entry.servers.get(server.spec().name());
                for (CheckSpec spec : checked == null ? List.<CheckSpec>of() : checked.specs) {
                    asked.add(target(entry, server, spec).address());
                }
            }
        }
        return asked;
    }

    /** The same of services that are to begin. */
    static Set<InetAddress> asked(List<ServiceSpec> services, Resolution resolution) {
        Set<InetAddress> asked = new HashSet<>();
        for (ServiceSpec service : services) {
            for (ServerSpec server : choosesSource(service) ? service.servers() : List.<ServerSpec>of()) {
                boolean unknown = resolution.trouble(server).isPresent();
                for (CheckSpec check : unknown ? List.<CheckSpec>of() : server.checks()) {
                    asked.add(resolution.address(
                            check.host().orElse(server.address()).host()));
                }
            }
        }
        return asked;
    }

    /** Whether servers or checks may have changed since this was asked last. */
    boolean takeSynced() {
        boolean was = synced;
        synced = false;
        return was;
    }

    private static boolean choosesSource(Entry entry) {
        return choosesSource(entry.service.spec());
    }

    private static boolean choosesSource(ServiceSpec spec) {
        return spec.engine() != EngineKind.USERSPACE && spec.source().isEmpty();
    }

    /** Brings the checks of a service to its servers. */
    private void sync(Now now, Entry entry) {
        synced = true;
        String service = entry.service.name();
        Set<String> present = new HashSet<>();
        for (RealServer server : entry.service.servers()) {
            String name = server.spec().name();
            present.add(name);
            Checked known = entry.servers.get(name);
            if (known != null && !known.address.equals(server.address())) {
                endChecks(service, name, known.specs);
                known = null;
            }
            if (entry.resolution.trouble(server.spec()).isPresent()) {
                if (known != null) {
                    endChecks(service, name, known.specs);
                }
                entry.servers.remove(name);
                continue;
            }
            if (known == null && server.spec().checks().isEmpty()) {
                entry.servers.remove(name);
                continue;
            }
            entry.servers.put(name, checked(now, entry, server, known));
        }
        entry.servers.entrySet().removeIf(e -> {
            boolean gone = !present.contains(e.getKey());
            if (gone) {
                endChecks(service, e.getKey(), e.getValue().specs);
            }
            return gone;
        });
    }

    private Checked checked(Now now, Entry entry, RealServer server, @Nullable Checked known) {
        String service = entry.service.name();
        String name = server.spec().name();
        List<CheckSpec> specs = server.spec().checks();
        Checked checked = known;
        if (checked == null) {
            checked = new Checked(
                    server.address(),
                    new ServerHealth(beginning(specs, List.of(), server.health()), now.nanos()),
                    specs,
                    server.health());
        } else {
            Set<String> names = new HashSet<>();
            specs.forEach(s -> names.add(s.name()));
            endChecks(
                    service,
                    name,
                    checked.specs.stream()
                            .filter(s -> !names.contains(s.name()))
                            .toList());
            var _ = checked.health.configure(beginning(specs, checked.specs, server.health()), now.nanos());
            checked.specs = specs;
            tell(now, entry, name, checked);
        }
        for (CheckSpec spec : specs) {
            checks.put(new CheckId(service, name, spec.name()), spec, target(entry, server, spec));
        }
        return checked;
    }

    /**
     * What checks that are new to a server believe at first. Of a server that is up the best: a reload alone takes no
     * server out. Of one that a process before found down the worst: a restart alone brings none back.
     */
    private static List<CheckSpec> beginning(List<CheckSpec> specs, List<CheckSpec> before, Health health) {
        InitialState initial;
        if (health == Health.UP) {
            initial = InitialState.UP;
        } else if (health == Health.DOWN && before.isEmpty()) {
            initial = InitialState.DOWN;
        } else {
            return specs;
        }
        Set<String> old = new HashSet<>();
        before.forEach(s -> old.add(s.name()));
        return specs.stream()
                .map(s -> old.contains(s.name()) || s.initial() == initial ? s : beginningWith(initial, s))
                .toList();
    }

    private static CheckSpec beginningWith(InitialState initial, CheckSpec s) {
        return new CheckSpec(
                s.name(),
                s.interval(),
                s.timeout(),
                s.rise(),
                s.fall(),
                initial,
                s.jitter(),
                s.backoff(),
                s.source(),
                s.bindInterface(),
                s.host(),
                s.port(),
                s.probe());
    }

    private ProbeTarget target(Entry entry, RealServer server, CheckSpec spec) {
        InetAddress address = spec.host()
                .map(h -> entry.resolution.address(h.host()))
                .orElse(server.address().getAddress());
        int hostPort = spec.host().map(HostPort::port).orElse(0);
        int own = server.address().getPort();
        int port = spec.port() != 0
                ? spec.port()
                : hostPort != 0
                        ? hostPort
                        : own != 0 ? own : entry.service.spec().portToAsk(spec.probe());
        return new ProbeTarget(
                address,
                port,
                spec.source().or(() -> source(entry, address, spec)),
                spec.bindInterface(),
                server.spec().name(),
                entry.service.name());
    }

    private Optional<InetAddress> source(Entry entry, InetAddress address, CheckSpec spec) {
        return choosesSource(entry) && spec.bindInterface().isEmpty()
                ? Optional.ofNullable(sources.get(address))
                : Optional.empty();
    }

    private void endChecks(String service, String server, List<CheckSpec> specs) {
        specs.forEach(s -> checks.remove(new CheckId(service, server, s.name())));
    }

    /** A check has a result; one of a server that is no longer there is ignored. */
    void onResult(Now now, CheckId id, ProbeResult result) {
        Entry entry = entries.get(id.service());
        Checked checked = entry == null ? null : entry.servers.get(id.server());
        if (entry == null || checked == null) {
            return;
        }
        switch (result.outcome()) {
            case SUCCESS -> checked.successes++;
            case FAILURE -> checked.failures++;
            case INCONCLUSIVE -> checked.inconclusive++;
        }
        var _ = checked.health.onResult(id.check(), result, now.nanos());
        tell(now, entry, id.server(), checked);
    }

    private static void tell(Now now, Entry entry, String server, Checked checked) {
        if (checked.hasNews()) {
            checked.told = checked.health.up();
            entry.service.onHealth(now.wall(), server, checked.health.up(), checked.health.reason());
        }
    }

    /** The operator changes a server. */
    void change(Now now, String service, String server, Optional<Integer> weight, Optional<AdminState> state)
            throws RefusedException {
        Entry entry = find(service);
        entry.service.change(now.wall(), server, weight, state);
        if (!entry.servers.containsKey(server)) {
            // One that had been removed is back.
            sync(now, entry);
        }
    }

    /** The operator adds a server. */
    void add(
            Now now, String service, String server, HostPort hostPort, InetSocketAddress address, int weight, int limit)
            throws RefusedException {
        Entry entry = find(service);
        entry.service.add(now.wall(), server, hostPort, address, weight, limit);
        sync(now, entry);
    }

    /** The operator removes a server. */
    void remove(Now now, String service, String server) throws RefusedException {
        Entry entry = find(service);
        entry.service.remove(now.wall(), server);
        sync(now, entry);
    }

    private Entry find(String service) throws RefusedException {
        Entry entry = entries.get(service);
        if (entry == null) {
            throw new RefusedException(
                    RefusedException.Kind.NOT_FOUND,
                    "there is no service " + service + " on this node"
                            + (entries.isEmpty() || entries.size() > 20
                                    ? ""
                                    : "; there are " + String.join(", ", entries.sequencedKeySet())));
        }
        return entry;
    }

    /**
     * Refuses a server's name that no service has, or that the service does not have which is named.
     *
     * @param service empty for every service
     */
    void known(String service, String server) throws RefusedException {
        List<Entry> asked = service.isEmpty() ? List.copyOf(entries.values()) : List.of(find(service));
        Set<String> names = new TreeSet<>();
        for (Entry entry : asked) {
            entry.service.servers().forEach(each -> names.add(each.spec().name()));
            entry.service.removed().forEach(each -> names.add(each.name()));
            entry.service.spec().sorry().ifPresent(sorry -> names.add("sorry"));
        }
        if (!names.contains(server)) {
            boolean tooMany = names.isEmpty() || names.size() > 20;
            throw new RefusedException(
                    RefusedException.Kind.NOT_FOUND,
                    (service.isEmpty()
                                    ? "no service has a server " + server
                                    : "service " + service + " has no server " + server)
                            + (tooMany
                                    ? ""
                                    : "; " + (service.isEmpty() ? "there are " : "it has ")
                                            + String.join(", ", names)));
        }
    }

    /** A service by its name. */
    VirtualService service(String name) throws RefusedException {
        return find(name).service;
    }

    /** The names of all services, in the description's order; a copy. */
    List<String> names() {
        return List.copyOf(entries.sequencedKeySet());
    }

    /** Whether the engine was told to forward a service: it knows enough of its servers. */
    boolean isForwarded(String service) {
        Entry entry = entries.get(service);
        return entry != null && entry.service.forwarding().isPresent();
    }

    /** All services, in the description's order. */
    Collection<VirtualService> services() {
        return entries.sequencedValues().stream().map(e -> e.service).toList();
    }

    /** What the checks of a server found; empty for a server without checks. */
    List<ServerHealth.CheckHealth> checks(String service, String server) {
        Entry entry = entries.get(service);
        Checked checked = entry == null ? null : entry.servers.get(server);
        return checked == null ? List.of() : checked.health.checks();
    }

    /** How the checks of a server ended so far. */
    record Results(long successes, long failures, long inconclusive) {}

    /** How the checks of a server ended so far; empty for a server without checks. */
    Optional<Results> results(String service, String server) {
        Entry entry = entries.get(service);
        Checked checked = entry == null ? null : entry.servers.get(server);
        return checked == null
                ? Optional.empty()
                : Optional.of(new Results(checked.successes, checked.failures, checked.inconclusive));
    }

    /** What the operator changed, by service and server. */
    Map<String, Map<String, ServerOverride>> overrides() {
        Map<String, Map<String, ServerOverride>> all = new LinkedHashMap<>();
        entries.forEach((name, entry) -> {
            if (entry.service.overridden() > 0) {
                all.put(name, entry.service.overrides());
            }
        });
        return Collections.unmodifiableMap(all);
    }
}

package io.ballast.lab.drill;

import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.farm.Daemon;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabServer;
import io.ballast.lab.farm.Restoring;
import io.ballast.lab.farm.WebServer;
import io.ballast.lab.farm.Witness;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadProcess;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.load.Sample;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.lab.topology.Topology;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;

/**
 * Injects faults into a lab that is up, one after another, while a client asks at a constant rate, and says for each
 * what the client saw.
 *
 * <p>Every scenario goes the same way: all servers are up; the load begins; a moment later comes the fault; the fault
 * stays until the daemon has taken the server out (where it should) and a while longer; it ends; the daemon lets the
 * server in again; the load ends. The times of leaving and coming back are those of the daemon's journal, all the rest is
 * what the client measured.
 */
public final class Drill implements AutoCloseable {
    private static final Duration NODE_OFF = Duration.ofSeconds(1);
    private static final Duration SETTLE_PATIENCE = Duration.ofSeconds(30);
    private static final Duration LOOK = Duration.ofMillis(20);
    private static final Duration WARM_UP = Duration.ofSeconds(3);

    /** What happens while a drill runs, for who watches. */
    public interface Watcher {
        /** What the client saw in the last tenth of a second. */
        default void sample(Sample sample) {}

        /** The fault begins, or ends. */
        default void step(String what) {}

        /** The server was taken out, so long after the fault began. */
        default void left(String server, Duration after) {}

        /** The server was let in again, so long after the fault ended. */
        default void back(String server, Duration after) {}

        /** Another node has the shared address, so long after the fault began. */
        default void taken(String node, Duration after) {}

        /** This node alone has the shared address, so long after the fault ended. */
        default void settled(String node, Duration after) {}

        /** What the nodes that share the address wrote in their journals; told at the end. */
        default void story(List<String> lines) {
            lines.forEach(this::step);
        }
    }

    /**
     * How long the load goes on where nothing is waited for.
     *
     * @param before the fault
     * @param hold after the fault has had its effect, before it ends
     * @param after all is well again
     */
    public record Timing(Duration before, Duration hold, Duration after) {
        /** As short as the figures allow. */
        public static final Timing BRISK =
                new Timing(Duration.ofMillis(500), Duration.ofSeconds(1), Duration.ofMillis(500));
    }

    /**
     * What the client does, and for how long.
     *
     * @param warmUp how long it asks before it counts
     */
    public record Settings(double rate, Duration timeout, boolean keepAlive, Timing timing, Duration warmUp) {
        /** Warmed up as long as it takes until the figures are steady. */
        public Settings(double rate, Duration timeout, boolean keepAlive, Timing timing) {
            this(rate, timeout, keepAlive, timing, WARM_UP);
        }
    }

    private final Lab lab;
    private final ServiceSpec service;
    private final List<Daemon> directors;
    private final Optional<Moving> moving;
    private Daemon daemon;
    private final DescriptionText base;
    private final DescriptionText withSorry;
    private final LoadPlan plan;
    private final LoadProcess load;
    private final Timing timing;
    private final Watcher watcher;

    /**
     * Starts the load generator and warms it up, and the service with it.
     *
     * @param service which of the lab's services is drilled
     * @param base the description for all scenarios but the one with a sorry server
     * @param withSorry the description for that one
     */
    public Drill(
            Lab lab,
            String service,
            DescriptionText base,
            DescriptionText withSorry,
            Settings settings,
            Watcher watcher)
            throws IOException, InterruptedException {
        this.lab = lab;
        ServiceSpec spec = lab.description().services().get(service);
        if (spec == null) {
            throw new IllegalArgumentException("no service " + service);
        }
        this.service = spec;
        this.base = base;
        this.withSorry = withSorry;
        this.timing = settings.timing();
        this.watcher = watcher;
        this.directors = lab.daemons().stream()
                .filter(d -> lab.topology().node(d.node()).stream()
                        .anyMatch(n -> n.directs().contains(service)))
                .toList();
        if (directors.isEmpty()) {
            throw new IOException("no daemon of the lab directs " + service);
        }
        this.daemon = directors.getFirst();
        this.plan = udp(spec)
                ? LoadPlan.datagrams(
                        lab.addresses(spec, Endpoint.Protocol.UDP).getFirst(), settings.rate(), settings.timeout())
                : new LoadPlan(
                        lab.addresses(spec).getFirst(),
                        "/",
                        settings.rate(),
                        settings.timeout(),
                        settings.keepAlive(),
                        200,
                        expectedText(spec));
        InetAddress address = plan.target().getAddress();
        this.moving = lab.virtualRouter(address).map(router -> new Moving(lab, router, address));
        this.load = new LoadProcess(lab.loadGenerator(), watcher::sample);
        boolean warm = false;
        try {
            use(base);
            load.warm(plan, settings.warmUp());
            warm = true;
        } finally {
            if (!warm) {
                load.close();
            }
        }
    }

    /** Whether a service is asked by datagrams, as none of its endpoints is TCP. */
    static boolean udp(ServiceSpec service) {
        return service.listen().stream().allMatch(e -> e.protocol() == Endpoint.Protocol.UDP);
    }

    /** What the client asks. */
    public LoadPlan plan() {
        return plan;
    }

    /** The service that is drilled. */
    public ServiceSpec service() {
        return service;
    }

    /** Whether several nodes share the address that is asked, one at a time. */
    public boolean moves() {
        return moving.isPresent();
    }

    /** Its daemon; of several that share its address, the one that has it now. */
    public Daemon daemon() {
        return daemon;
    }

    /** Ends the load generator. */
    @Override
    public void close() {
        load.close();
    }

    /** Runs one scenario; what goes wrong in it is told in its row. */
    public Row run(Scenario scenario) throws InterruptedException {
        if (scenario.movesAddress() && moving.isEmpty()) {
            return Row.skipped(
                    scenario, plan.target().getAddress().getHostAddress() + " is no virtual router's address");
        }
        if (scenario.needsNamespaces() && !lab.namespaces()) {
            return Row.skipped(scenario, "needs network namespaces, and so root");
        }
        if (scenario.needsHttp() && udp(service)) {
            return Row.skipped(scenario, "the lab's UDP server only sends back what it is sent");
        }
        if (scenario.needsUserspace() && service.engine() != EngineKind.USERSPACE) {
            return Row.skipped(
                    scenario,
                    "the engine " + service.engine().yamlName()
                            + (scenario == Scenario.WORKER_KILLED
                                    ? " has no traffic worker"
                                    : " sends packets, which the drill's sorry server would not understand"));
        }
        try {
            use(
                    scenario == Scenario.ALL_DOWN_SORRY
                            ? withSorry
                            : scenario == Scenario.ALL_DOWN ? withoutSorry() : base);
            Observation seen =
                    scenario.movesAddress() && moving.isPresent() ? observe(scenario, moving.get()) : observe(scenario);
            boolean shared = moving.isPresent() && (scenario.movesAddress() || scenario == Scenario.NODE_KILLED);
            return Row.of(
                    scenario, seen, shared ? Limit.of(scenario, moving.get().router()) : Limit.of(scenario, service));
        } catch (IOException | Failure e) {
            return Row.failed(scenario, String.valueOf(e.getMessage()));
        }
    }

    private DescriptionText withoutSorry() {
        return base.withSorry(service.name(), Optional.empty());
    }

    /** Makes the daemons run this description, with all servers up and the address where it belongs. */
    private void use(DescriptionText text) throws IOException, InterruptedException {
        if (!lab.text().toString().equals(text.toString())) {
            lab.describe(text);
            apply(text);
        }
        if (moving.isPresent()) {
            Moving address = moving.get();
            await(SETTLE_PATIENCE, "not one node alone has the address of " + service.name(), address::settled);
            daemon = address.master().orElse(daemon);
        }
        await(
                SETTLE_PATIENCE,
                "not all servers of " + service.name() + " are up",
                () -> directors.stream().allMatch(director -> down(director).isEmpty()));
    }

    private void apply(DescriptionText text) throws IOException {
        try {
            for (Daemon director : directors) {
                director.control()
                        .describe(
                                "/v1/apply",
                                lab.file().toString(),
                                text.toString().getBytes(StandardCharsets.UTF_8))
                        .successful();
            }
        } catch (Failure e) {
            throw new IOException("apply: " + e.getMessage(), e);
        }
    }

    private Observation observe(Scenario scenario) throws IOException, InterruptedException, Failure {
        List<ServerSpec> victims = victims(scenario);
        long sequence = lastEvent();
        load.start(plan);
        LoadResult result;
        Instant injected;
        Instant healed;
        Optional<Duration> left = Optional.empty();
        Optional<Duration> back = Optional.empty();
        try {
            Thread.sleep(timing.before());
            injected = Instant.now();
            watcher.step((scenario.singleServer() ? names(victims) + ": " : "") + scenario.title());
            inject(scenario, victims);
            if (scenario.serverLeaves()) {
                awaitQuietly(() -> down().containsAll(
                                victims.stream().map(ServerSpec::name).toList()));
                left = leftAfter(victims, changes("server.down", sequence, injected), injected);
                left.ifPresent(after -> watcher.left(names(victims), after));
            }
            Thread.sleep(timing.hold());
            healed = Instant.now();
            if (!scenario.end().isEmpty()) {
                watcher.step((scenario.singleServer() ? names(victims) + ": " : "") + scenario.end());
            }
            heal(scenario, victims);
            awaitQuietly(() -> down().isEmpty());
            if (scenario.serverLeaves()) {
                back = backAfter(changes("server.up", sequence, healed), healed);
                back.ifPresent(after -> watcher.back(names(victims), after));
            }
            Thread.sleep(timing.after());
        } finally {
            result = load.stop(plan);
        }
        return new Observation(result, injected, healed, left, back);
    }

    /** The same where the fault is about who has the address. */
    private Observation observe(Scenario scenario, Moving address) throws IOException, InterruptedException, Failure {
        Daemon master = daemon;
        LoadResult result;
        Instant injected;
        Instant healed;
        Handover handover;
        Optional<Witness> witness = address.witness();
        try {
            Instant begun = Instant.now();
            load.start(plan);
            boolean over = false;
            Restoring end = () -> {};
            try {
                Thread.sleep(timing.before());
                watcher.step(master.node() + " is master; " + scenario.title());
                Moving.Fault fault = address.inject(scenario, master);
                injected = fault.at();
                end = fault.end();
                if (scenario.othersTakeOver()) {
                    awaitQuietly(patience(address), () -> address.takenFrom(master));
                    address.taker(master, injected)
                            .ifPresent(taker -> watcher.taken(taker.node(), Duration.between(injected, taker.at())));
                }
                Thread.sleep(address.hold(scenario, injected, timing.hold()));
                healed = Instant.now();
                if (!scenario.end().isEmpty()) {
                    watcher.step(master.node() + ": " + scenario.end());
                }
                over = true;
                end.restore();
                awaitQuietly(SETTLE_PATIENCE, address::settled);
                Handover now = address.seen(master, witness, begun, injected, healed);
                now.settled().ifPresent(after -> watcher.settled(now.last(), after));
                Thread.sleep(timing.after());
            } finally {
                if (!over) {
                    end.restore();
                }
                result = load.stop(plan);
            }
            handover = address.seen(master, witness, begun, injected, healed);
        } finally {
            witness.ifPresent(Witness::close);
        }
        watcher.story(handover.story());
        return new Observation(result, injected, healed, handover.taken(), handover.settled(), Optional.of(handover));
    }

    /** Well beyond what it takes to notice that a master is silent. */
    private static Duration patience(Moving address) {
        return Limit.detection(address.router()).multipliedBy(2).plusSeconds(4);
    }

    /** How long after the fault the last of the servers was out; nothing where one of them stayed. */
    static Optional<Duration> leftAfter(List<ServerSpec> victims, Map<String, Instant> downs, Instant injected) {
        return victims.stream().allMatch(v -> downs.containsKey(v.name()))
                ? downs.values().stream().max(Instant::compareTo).map(t -> Duration.between(injected, t))
                : Optional.empty();
    }

    /** How long after its end the first server was in again. */
    static Optional<Duration> backAfter(Map<String, Instant> ups, Instant healed) {
        return ups.values().stream().min(Instant::compareTo).map(t -> Duration.between(healed, t));
    }

    /** The servers that a scenario befalls: the first, or all of them. */
    private List<ServerSpec> victims(Scenario scenario) throws IOException {
        List<ServerSpec> servers = service.servers().stream()
                .filter(s -> server(s).isPresent())
                .filter(s -> s.state() == ServerSpec.AdminState.ENABLED && s.weight() > 0)
                .toList();
        if (servers.isEmpty()) {
            throw new IOException("no server of " + service.name() + " runs in the lab");
        }
        return scenario.allServers() ? servers : servers.subList(0, 1);
    }

    private static String names(List<ServerSpec> servers) {
        return servers.stream().map(ServerSpec::name).collect(Collectors.joining(", "));
    }

    private Optional<? extends LabServer> server(ServerSpec server) {
        return udp(service) ? lab.datagramServer(address(server)) : lab.webServer(address(server));
    }

    private LabServer running(ServerSpec server) throws IOException {
        return server(server).orElseThrow(() -> new IOException("no server of the lab runs for " + server.name()));
    }

    private static void answer(LabServer server, WebServer.Mode mode) throws IOException {
        if (server instanceof WebServer web) {
            web.answer(mode);
        }
    }

    private void inject(Scenario scenario, List<ServerSpec> victims) throws IOException, InterruptedException, Failure {
        LabServer first = running(victims.getFirst());
        switch (scenario) {
            case STOPPED -> first.stop();
            case KILLED -> first.kill();
            case FROZEN -> first.freeze();
            case ERROR -> answer(first, WebServer.Mode.ERROR);
            case SLOW -> answer(first, WebServer.Mode.SLOW);
            case LINK_CUT -> lab.plug(first.node(), false);
            case FLAPPING -> flap(first);
            case ALL_DOWN, ALL_DOWN_SORRY -> {
                for (ServerSpec victim : victims) {
                    running(victim).kill();
                }
            }
            case RELOAD -> {
                for (int i = 0; i < 5; i++) {
                    daemon.reload();
                    Thread.sleep(200);
                }
            }
            case APPLY -> apply(changedWeight(victims.getFirst()));
            case RESTART -> {
                daemon.stopKeepingWorker();
                daemon.start(List.of());
                daemon.awaitAnswer();
            }
            case REPLACE -> {
                daemon.start(List.of("--replace"));
                daemon.awaitAnswer();
            }
            case NODE_KILLED -> {
                daemon.kill();
                Thread.sleep(NODE_OFF);
                daemon.start(List.of());
                daemon.awaitAnswer();
            }
            case WORKER_KILLED -> killWorker();
            default -> throw new IllegalArgumentException(scenario + " befalls no server");
        }
    }

    private void heal(Scenario scenario, List<ServerSpec> victims) throws IOException, InterruptedException {
        LabServer first = running(victims.getFirst());
        switch (scenario) {
            case STOPPED, KILLED -> restart(first);
            case FROZEN -> first.thaw();
            case ERROR, SLOW -> answer(first, WebServer.Mode.RIGHT);
            case LINK_CUT -> lab.plug(first.node(), true);
            case ALL_DOWN, ALL_DOWN_SORRY -> {
                for (ServerSpec victim : victims) {
                    restart(running(victim));
                }
            }
            case APPLY -> apply(base);
            default -> {
                // The others end by themselves.
            }
        }
    }

    private void flap(LabServer server) throws IOException, InterruptedException {
        for (int i = 0; i < 4; i++) {
            server.kill();
            Thread.sleep(500);
            restart(server);
            Thread.sleep(500);
        }
    }

    private static void restart(LabServer server) throws IOException, InterruptedException {
        server.start();
        server.awaitListening();
    }

    private void killWorker() throws IOException, Failure {
        long pid = daemon.workerPid()
                .orElseThrow(() -> new IOException("the daemon on " + daemon.node() + " has no worker to kill"));
        ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
    }

    private DescriptionText changedWeight(ServerSpec server) {
        return base.withWeight(service.name(), service.servers().indexOf(server), server.weight() + 1);
    }

    /** The servers of the service that get no connections now. */
    private List<String> down() {
        return down(daemon);
    }

    private List<String> down(Daemon director) {
        try {
            JsonObject json = director.control().get("/v1/services/" + service.name());
            List<String> down = new ArrayList<>();
            for (JsonObject server : Json.objects(json, "servers")) {
                if (!Json.text(server, "state").equals("up")) {
                    down.add(Json.text(server, "name"));
                }
            }
            return down;
        } catch (Failure e) {
            return List.of("(the daemon does not answer)");
        }
    }

    /** Waits for it; a server that does not leave, or not come back, is no error here but what the row will say. */
    private boolean awaitQuietly(BooleanSupplier condition) throws InterruptedException {
        return awaitQuietly(patience(), condition);
    }

    private static boolean awaitQuietly(Duration patience, BooleanSupplier condition) throws InterruptedException {
        for (long until = System.nanoTime() + patience.toNanos(); !condition.getAsBoolean(); Thread.sleep(LOOK)) {
            if (System.nanoTime() > until) {
                return false;
            }
        }
        return true;
    }

    /** Well beyond what the checks allow. */
    private Duration patience() {
        return service.checks().stream()
                .map(c -> c.interval().plus(c.timeout()).multipliedBy(Math.max(c.fall(), c.rise())))
                .max(Duration::compareTo)
                .orElse(Duration.ZERO)
                .plusSeconds(4);
    }

    private static void await(Duration patience, String otherwise, BooleanSupplier condition)
            throws IOException, InterruptedException {
        for (long until = System.nanoTime() + patience.toNanos(); !condition.getAsBoolean(); Thread.sleep(LOOK)) {
            if (System.nanoTime() > until) {
                throw new IOException(otherwise + " after " + patience.toSeconds() + " s");
            }
        }
    }

    private long lastEvent() throws Failure {
        long[] last = {0};
        daemon.control().lines("/v1/events?limit=1", e -> last[0] = Json.number(e, "sequence"));
        return last[0];
    }

    /** When each server of the service changed so, the first time after {@code from}. */
    private Map<String, Instant> changes(String type, long since, Instant from) throws Failure {
        Map<String, Instant> changes = new LinkedHashMap<>();
        daemon.control().lines("/v1/events?limit=10000&since=" + since, event -> {
            String subject = Json.text(event, "subject");
            if (Json.text(event, "type").equals(type) && subject.startsWith(service.name() + "/")) {
                Instant time = Instant.parse(Json.text(event, "time"));
                if (!time.isBefore(from)) {
                    changes.putIfAbsent(subject.substring(service.name().length() + 1), time);
                }
            }
        });
        return changes;
    }

    /** What the pages contain, because a check wants it. */
    private static String expectedText(ServiceSpec service) {
        return service.checks().stream()
                .flatMap(c -> c.probe() instanceof ProbeSpec.Http http
                        ? http.body().stream()
                        : Optional.<ProbeSpec.TextMatch>empty().stream())
                .filter(m -> !m.regex())
                .map(ProbeSpec.TextMatch::text)
                .findFirst()
                .orElse("");
    }

    /** Where a server answers; one without a port at the first endpoint's of the service. */
    private InetSocketAddress address(ServerSpec server) {
        String host = server.address().host();
        int port = server.address().port() != 0
                ? server.address().port()
                : service.listen().stream()
                        .filter(e -> udp(service) || e.protocol() == Endpoint.Protocol.TCP)
                        .map(Topology::port)
                        .findFirst()
                        .orElse(0);
        try {
            return new InetSocketAddress(InetAddress.ofLiteral(host), port);
        } catch (IllegalArgumentException e) {
            // A name for the resolver: no node of the lab has it.
            return InetSocketAddress.createUnresolved(host, port);
        }
    }
}

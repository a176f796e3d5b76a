package io.ballast.node;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.event.Event;
import io.ballast.core.event.Event.Severity;
import io.ballast.core.event.Journal;
import io.ballast.core.loop.ControlLoop;
import io.ballast.director.Forwarding;
import io.ballast.director.RefusedException;
import io.ballast.director.ServerOverride;
import io.ballast.director.VirtualService;
import io.ballast.director.realserver.Part;
import io.ballast.director.realserver.RealServerDuty;
import io.ballast.director.xdp.XdpDirector;
import io.ballast.director.xdp.XdpOnDemand;
import io.ballast.health.CheckRunner;
import io.ballast.health.Probes;
import io.ballast.linux.Capability;
import io.ballast.linux.Notify;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.node.http.UnixHttpServer;
import io.ballast.takeover.wire.LocalAddresses;
import io.ballast.takeover.wire.Ownership;
import io.ballast.takeover.wire.Takeover;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.security.Security;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The node process: {@code ballast run}.
 *
 * <p><b>What it is made of.</b> One control loop owns everything that changes ({@link Node}): the services
 * ({@link ServiceTable}), which join the checks' results, the operator's wishes and the engine, and the workers
 * ({@link WorkerSupervisor}), which carry the traffic in processes of their own. Around it, at the edges and on virtual
 * threads: checks, hooks, the control API ({@link ControlApi}), reading descriptions ({@link Configuration}).
 *
 * <p><b>How it starts.</b> Whatever could keep it from running is found before anything is touched: the description, the
 * names in it, the directories, another node process in the same run directory. With {@code --replace} that one is then
 * asked to leave its worker running and to end. A running worker is adopted with its connections, so that the traffic
 * does not notice which node process is in charge; otherwise one is started.
 *
 * <p><b>How it ends.</b> SIGTERM lets the connections finish, for as long as the services' drain time-outs say; a second
 * one ends everything at once. Asked to keep the worker, it ends alone. Killed, it leaves the worker behind just so, for
 * the next node process to adopt.
 */
public final class Daemon {

    /**
     * How to run.
     *
     * @param file the description
     * @param node which node of it this is; found out where it is not given
     * @param replace take over from a node process that runs already
     */
    public record Options(Path file, Optional<String> node, Directories directories, boolean replace) {}

    /** Ended as asked. */
    public static final int DONE = 0;

    /** It could not start, or had to give up. */
    public static final int FAILED = 1;

    /** The description is wrong. */
    public static final int WRONG = 2;

    /** The user may not do this. */
    public static final int NOT_PERMITTED = 3;

    private static final Duration STALL = Duration.ofSeconds(2);
    private static final Duration REPLACE_PATIENCE = Duration.ofSeconds(20);
    private static final Duration STOP_PATIENCE = Duration.ofSeconds(20);
    private static final Duration LEAVING_PATIENCE = Duration.ofMillis(500);
    private static final Duration ASK_FOR_NAMES = Duration.ofSeconds(2);
    private static final Duration READY_PATIENCE = Duration.ofSeconds(10);
    private static final Duration READY_LOOK = Duration.ofMillis(10);
    private static final Duration OPENING_PATIENCE = Duration.ofSeconds(2);
    private static final Duration OPENING_LOOK = Duration.ofMillis(5);
    private static final Duration HEAP_LOOK = Duration.ofSeconds(30);
    private static final int SPARE_DESCRIPTORS = 300;

    /** With fewer, node process and worker cannot even do nothing. */
    private static final int FEWEST_DESCRIPTORS = 128;

    private static final int MOST_PROBES = 4_000;

    private final Options options;
    private final String name;
    private final Configuration.Active first;
    private final Notify notify;
    private final Map<String, String> environment;
    private final Instant since = Instant.now();
    private final CompletableFuture<Integer> exit = new CompletableFuture<>();
    private final OverrideStore store;
    private final LogWriter lines;
    private final EventLog events;
    private final HeapKeeper heap = new HeapKeeper(HeapKeeper.Heap.OWN);
    private final ControlLoop loop;
    private final Node node;
    private final RealServerDuty realServer;
    private final TakeoverDuty takeover;
    private final WatchdogDuty watchdog;
    /** Of the control loop. */
    private boolean comparesServed;

    private final SyncDuty sync;
    private final WorkerSupervisor workers;
    private final Configuration configuration;
    private final Processes.@Nullable FileLimit fileLimit;
    private final Object keeping = new Object();
    /** What the store has, as far as is known; guarded by {@link #keeping}. */
    private @Nullable Map<String, Map<String, ServerOverride>> kept;

    // The control loop's:
    private boolean ready;
    private boolean stopping;
    private boolean leaving;
    private String storeTrouble = "";

    private volatile @Nullable UnixHttpServer server;

    /**
     * Runs the daemon until it is told to end; what it has to say goes to {@code out}, a line each.
     *
     * @return {@link #DONE}, {@link #FAILED}, {@link #WRONG} or {@link #NOT_PERMITTED}
     */
    public static int run(Options options, Map<String, String> environment, PrintStream out)
            throws InterruptedException {
        Log log = new Log(out, environment.containsKey("JOURNAL_STREAM"));
        // A reload should see what the resolver says now, and not what it said half a minute ago.
        Security.setProperty("networkaddress.cache.ttl", "0");
        Security.setProperty("networkaddress.cache.negative.ttl", "0");
        try {
            byte[] text = DescriptionReader.bytes(options.file());
            List<Problem> problems = new ArrayList<>();
            DescriptionReader reader = new DescriptionReader(
                    Configuration.limits(Runtime.getRuntime().maxMemory()));
            Configuration.Active first = Configuration.read(
                    reader,
                    options.file().toString(),
                    text,
                    options.node(),
                    hostName(),
                    Resolution.Resolver.SYSTEM,
                    problems,
                    Optional.empty());
            problems.forEach(p -> log.say(Severity.WARNING, p.toString()));
            String name = NodeRole.choose(first.description(), options.node(), hostName());
            Optional<String> tooFew = tooFewDescriptors();
            if (tooFew.isPresent()) {
                log.error(tooFew.get());
                return FAILED;
            }
            options.directories().create();
            InstanceLock lock = lock(options, log);
            if (lock == null) {
                return FAILED;
            }
            try (lock) {
                return new Daemon(options, name, reader, first, environment, log).run();
            }
        } catch (Configuration.RejectedException e) {
            e.problems().forEach(p -> log.error(p.toString()));
            log.error("the description is wrong; nothing was started");
            return WRONG;
        } catch (NodeRole.UnknownNodeException e) {
            log.error(options.file() + ": error: " + e.getMessage());
            return WRONG;
        } catch (NoSuchFileException e) {
            log.error(e.getFile() + ": no such file");
            return e.getFile().equals(options.file().toString()) ? WRONG : FAILED;
        } catch (AccessDeniedException e) {
            log.error(e.getFile() + ": permission denied");
            return NOT_PERMITTED;
        } catch (FileSystemException e) {
            String reason = e instanceof NotDirectoryException || e instanceof FileAlreadyExistsException
                    ? "it is in the way and not a directory"
                    : e.getReason();
            log.error(e.getFile() + ": " + (reason == null ? e.getClass().getSimpleName() : reason));
            return FAILED;
        } catch (IOException e) {
            log.error(String.valueOf(e.getMessage()));
            return FAILED;
        }
    }

    private static Optional<String> tooFewDescriptors() throws IOException {
        long limit = Processes.fileLimit().hard();
        return limit >= FEWEST_DESCRIPTORS
                ? Optional.empty()
                : Optional.of("the limit on open files is " + limit + ", and ballast cannot run with fewer than "
                        + FEWEST_DESCRIPTORS + ": raise it (LimitNOFILE= in the unit, ulimit -Hn in a shell)");
    }

    static String hostName() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
        } catch (IOException e) {
            return "localhost";
        }
    }

    /** Takes the run directory, from the node process that has it where that is wanted; null when it cannot be had. */
    private static @Nullable InstanceLock lock(Options options, Log log) throws IOException, InterruptedException {
        Path file = options.directories().lock();
        InstanceLock lock = InstanceLock.tryTake(file);
        if (lock != null) {
            return lock;
        }
        String holder = InstanceLock.holder(file);
        if (!options.replace()) {
            log.error("another daemon (" + holder + ") runs in "
                    + options.directories().run()
                    + ": stop it (ballast stop), take over from it (--replace), or choose another --run-dir");
            return null;
        }
        log.say(Severity.INFO, "taking over from the daemon that runs (" + holder + ")");
        try {
            StopRequest.keepWorker(options.directories().controlSocket());
        } catch (IOException e) {
            // It may have left by itself just now.
            lock = InstanceLock.take(file, LEAVING_PATIENCE);
            if (lock == null) {
                log.error("the daemon that runs (" + holder + ") cannot be asked to leave at "
                        + options.directories().controlSocket() + ": " + e.getMessage()
                        + "\nEnd it with kill -9 and start this again: its traffic worker goes on and is adopted");
            }
            return lock;
        }
        lock = InstanceLock.take(file, REPLACE_PATIENCE);
        if (lock == null) {
            log.error("the daemon that runs (" + holder + ") did not leave in " + REPLACE_PATIENCE.toSeconds()
                    + " s; end it with kill -9: its traffic worker goes on and is adopted");
        }
        return lock;
    }

    @SuppressWarnings("this-escape") // its parts only call back once run() has begun
    private Daemon(
            Options options,
            String name,
            DescriptionReader reader,
            Configuration.Active first,
            Map<String, String> environment,
            Log log)
            throws IOException, InterruptedException {
        this.options = options;
        this.name = name;
        this.first = first;
        this.environment = environment;
        this.notify = Notify.of(environment);
        this.store = new OverrideStore(options.directories().overrides());
        this.fileLimit = raiseFileLimit(log);
        this.lines = new LogWriter(log::event, line -> log.say(Severity.WARNING, line));
        this.events = new EventLog(openJournal(), name, lines);
        this.loop = new ControlLoop("control", STALL, new LoopTrouble());
        HookRunner hooks = new HookRunner(HookRunner.TIMEOUT, HookRunner.MOST_WAITING, events::happened);
        Probes probes = new Probes();
        probes.warmUp();
        this.node = new Node(
                loop,
                events,
                hooks,
                listener -> new CheckRunner(probes::of, probesAtATime(), listener),
                fromEngine -> XdpOnDemand.onThisMachine(
                        loop,
                        fromEngine,
                        options.directories().bpf(),
                        options.directories().instance()));
        this.realServer = new RealServerDuty(
                loop,
                (warning, message) -> {
                    var _ = events.happened(
                            warning ? Severity.WARNING : Severity.INFO, "realserver.note", name, message, Map.of());
                },
                options.directories().realServer(),
                options.directories().bpf(),
                options.directories().instance());
        this.sync = new SyncDuty(events, name, node.xdp());
        this.takeover = new TakeoverDuty(
                events,
                name,
                new TakeoverDuty.OwnershipMaker() {
                    @Override
                    public Ownership make(Takeover.Listener listener) {
                        return LocalAddresses.open(
                                listener, options.directories().instance());
                    }

                    @Override
                    public void dismantle() throws IOException {
                        LocalAddresses.dismantle(options.directories().instance());
                    }
                },
                loop,
                (elsewhere, devices) -> {
                    node.xdp().shared(elsewhere, devices);
                    sync.shared(elsewhere);
                },
                new MannerStore(options.directories().manners()),
                sync,
                new ResourceDuty(events, name, this::mustNotGoOn));
        this.watchdog = new WatchdogDuty(events, Map.of("control loop", loop, "takeover", takeover::execute));
        String build = Build.id();
        this.workers = new WorkerSupervisor(
                loop,
                node.userspace(),
                WorkerLauncher.likeThisProcess(build),
                options.directories().run(),
                build,
                new FromWorkers());
        this.configuration = new Configuration(
                reader, options.file(), name, first, Resolution.Resolver.SYSTEM, this::apply, this::overrides, events);
    }

    private Journal openJournal() throws IOException {
        return Journal.open(options.directories().journal(), Journal.Limits.STANDARD, new Journal.Observer() {
            @Override
            public void failing(IOException why) {
                journalTrouble(
                        Severity.ERROR,
                        "journal.failing",
                        "events cannot be written to " + options.directories().journal() + " and are kept in memory: "
                                + why.getMessage());
            }

            @Override
            public void recovered(long lost) {
                journalTrouble(
                        Severity.INFO,
                        "journal.ok",
                        "events are written again" + (lost == 0 ? "" : "; " + lost + " were lost"));
            }
        });
    }

    private void journalTrouble(Severity severity, String type, String message) {
        var _ = events.happened(severity, type, "journal", message, Map.of());
    }

    private static Processes.@Nullable FileLimit raiseFileLimit(Log log) {
        try {
            Processes.FileLimit limit = Processes.fileLimit();
            if (limit.soft() < limit.hard()) {
                Processes.setFileLimit(new Processes.FileLimit(limit.hard(), limit.hard()));
            }
            return Processes.fileLimit();
        } catch (IOException e) {
            log.error("cannot raise the limit on open files: " + e.getMessage());
            return null;
        }
    }

    private int probesAtATime() {
        long limit = fileLimit == null ? 1024 : fileLimit.soft();
        return Math.clamp((limit - SPARE_DESCRIPTORS) / 2, 64, MOST_PROBES);
    }

    /** What descriptors this node needs beside those of connections, which the worker has. */
    private long descriptorsNeeded(List<ServiceSpec> services) {
        long sockets = 0;
        long checks = 0;
        for (ServiceSpec service : services) {
            sockets += service.listen().size();
            for (ServerSpec server : service.servers()) {
                checks += server.checks().size();
            }
        }
        return SPARE_DESCRIPTORS + sockets + Math.min(checks, probesAtATime());
    }

    /** What people read: each line with its priority for systemd's journal, events with their time otherwise. */
    private record Log(PrintStream out, boolean systemd) {
        private static final DateTimeFormatter TIME =
                DateTimeFormatter.ofPattern("HH:mm:ss.SSS", Locale.ROOT).withZone(ZoneId.systemDefault());

        void event(Event event) {
            if (systemd) {
                say(event.severity(), event.message());
                return;
            }
            String severity = switch (event.severity()) {
                case INFO -> "";
                case WARNING -> "warning: ";
                case ERROR -> "error: ";
            };
            out.println(TIME.format(event.time()) + " " + severity + event.message());
        }

        void error(String text) {
            say(Severity.ERROR, text);
        }

        void say(Severity severity, String text) {
            if (!systemd) {
                out.println(text);
                return;
            }
            String priority = switch (severity) {
                case INFO -> "<6>";
                case WARNING -> "<4>";
                case ERROR -> "<3>";
            };
            out.println(text.lines().map(line -> priority + line).collect(Collectors.joining("\n")));
        }
    }

    private final class LoopTrouble implements ControlLoop.Observer {
        @Override
        public void failed(Runnable task, Throwable error) {
            StackTraceElement[] stack = error.getStackTrace();
            var _ = events.happened(
                    Severity.ERROR,
                    "internal.error",
                    "control loop",
                    "a step of the control loop failed: " + error + (stack.length > 0 ? " at " + stack[0] : ""),
                    Map.of());
        }

        @Override
        public void stalled(Runnable task, Duration soFar, List<StackTraceElement> where) {
            var _ = events.happened(
                    Severity.WARNING,
                    "internal.stall",
                    "control loop",
                    "a step of the control loop takes " + soFar.toMillis() + " ms"
                            + (where.isEmpty() ? "" : ", it is at " + where.getFirst()),
                    Map.of());
        }
    }

    // ---- Life

    private int run() throws InterruptedException {
        var _ = events.happened(
                Severity.INFO,
                "daemon.start",
                name,
                "ballast " + Build.version() + " runs as " + name + " with "
                        + count(first.services().size(), "service") + " from " + first.file(),
                Map.of(
                        "version",
                        Build.version(),
                        "pid",
                        Long.toString(ProcessHandle.current().pid())));
        warnAboutDescriptors(first.services());
        warnAboutInterfaces(first);
        try {
            Metrics metrics = new Metrics(
                    node,
                    takeover,
                    sync,
                    new Metrics.Workers() {
                        @Override
                        public List<WorkerSupervisor.Status> status() {
                            return workers.status();
                        }

                        @Override
                        public long restarts() {
                            return workers.restarts();
                        }
                    },
                    events.journal());
            ControlApi api = new ControlApi(
                    node,
                    takeover,
                    configuration,
                    events.journal(),
                    metrics,
                    Resolution.Resolver.SYSTEM,
                    new FromApi());
            server = UnixHttpServer.open(
                    options.directories().controlSocket(),
                    UnixHttpServer.Limits.standard(
                            Configuration.limits(Runtime.getRuntime().maxMemory())
                                    .bytes()),
                    api::answer,
                    trouble -> {
                        var _ = events.happened(Severity.WARNING, "api.trouble", "control", trouble, Map.of());
                    });
        } catch (IOException e) {
            var _ = events.happened(Severity.ERROR, "daemon.stop", name, "cannot start: " + e.getMessage(), Map.of());
            end(FAILED);
            return finish();
        }
        Map<String, Map<String, ServerOverride>> overrides = loadOverrides();
        Resolution resolution = withOverrides(overrides);
        node.prepare(first.services(), resolution);
        loop.execute(() -> workers.begin(adopted -> begin(resolution, overrides, adopted)));
        loop.schedule(HEAP_LOOK, this::lookAtHeap);
        watchSignals();
        startWatchdog();
        var _ = Thread.ofVirtual().name("names").start(this::askForMissingNames);
        return finish();
    }

    private int finish() throws InterruptedException {
        try {
            return exit.get();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        } finally {
            UnixHttpServer open = server;
            if (open != null) {
                open.close();
            }
            takeover.close();
            watchdog.close();
            sync.close();
            node.close();
            realServer.close();
            loop.close();
            events.journal().close();
            lines.close();
        }
    }

    /** Something may be in use here that another node is to have. */
    private void mustNotGoOn(String why) {
        watchdog.reset(why);
    }

    private void end(int code) {
        exit.complete(code);
    }

    private void lookAtHeap() {
        heap.look();
        loop.schedule(HEAP_LOOK, this::lookAtHeap);
    }

    private Map<String, Map<String, ServerOverride>> loadOverrides() {
        try {
            return store.load();
        } catch (IOException e) {
            var _ = events.happened(
                    Severity.ERROR,
                    "admin.lost",
                    name,
                    "what the operator changed at run time before this start is lost: " + e.getMessage(),
                    Map.of());
            return Map.of();
        }
    }

    /** The resolution of the description, with the names of servers that the operator added; those not found are dropped. */
    private Resolution withOverrides(Map<String, Map<String, ServerOverride>> overrides) {
        Map<String, InetAddress> names = new HashMap<>(first.resolution().names());
        overrides.forEach((service, servers) -> servers.values()
                .removeIf(override -> override.wanted()
                        .map(wanted -> {
                            try {
                                InetSocketAddress found = Resolution.one(wanted.address(), Resolution.Resolver.SYSTEM);
                                if (!Resolution.isLiteral(wanted.address().host())) {
                                    names.putIfAbsent(wanted.address().host(), found.getAddress());
                                }
                                return false;
                            } catch (UnknownHostException e) {
                                var _ = events.happened(
                                        Severity.WARNING,
                                        "admin.lapsed",
                                        service,
                                        "a server of " + service + " that the operator wanted at " + wanted.address()
                                                + " is left out: the name has no address any more",
                                        Map.of("service", service));
                                return true;
                            }
                        })
                        .orElse(false)));
        return new Resolution(Map.copyOf(names), first.resolution().missing());
    }

    /** On the control loop: the services begin. */
    private void begin(
            Resolution resolution,
            Map<String, Map<String, ServerOverride>> overrides,
            Map<String, Forwarding> adopted) {
        node.userspace().shared(TakeoverDuty.addresses(first.description(), name));
        sync.become(first.description());
        node.begin(first.services(), resolution, overrides, adopted);
        realServer.become(part(first));
        // Whoever had an address before its checks know a server would refuse the clients that another one serves.
        takeover.become(first.description());
        watchdog.become(first.description().resources().watchdog());
        lookWhetherReady(loop.now() + READY_PATIENCE.toNanos());
    }

    /** On the control loop, soon: once for as much news as comes until then. */
    private void compareServedSoon() {
        if (!comparesServed) {
            comparesServed = true;
            loop.execute(this::compareServed);
        }
    }

    /** On the control loop. */
    private void compareServed() {
        comparesServed = false;
        takeover.serving(name -> {
            try {
                return Optional.of(node.services().service(name));
            } catch (RefusedException e) {
                return Optional.empty();
            }
        });
    }

    /** Start is finished once traffic can flow as well as it ever will: every service has begun, and a worker serves. */
    private void lookWhetherReady(long atLatest) {
        if (ready || stopping) {
            return;
        }
        // Who has the connections until now is to tell of them before he may lose their address to this node.
        boolean begun = workers.serving()
                && sync.isReady()
                && node.services().services().stream().allMatch(VirtualService::settled)
                && node.services().services().stream()
                        .allMatch(s -> s.spec().listen().stream()
                                .allMatch(e -> node.listening(e).isPresent()));
        if (!begun && loop.now() < atLatest) {
            loop.schedule(READY_LOOK, () -> lookWhetherReady(atLatest));
            return;
        }
        ready = true;
        node.onServiceNews(this::compareServedSoon);
        compareServed();
        takeover.begin();
        tellManager(() -> notify.ready(summary()));
    }

    private String summary() {
        return count(node.services().names().size(), "service") + " from "
                + configuration.active().file();
    }

    private static String count(int number, String what) {
        return number + " " + what + (number == 1 ? "" : "s");
    }

    private interface Message {
        void send() throws IOException;
    }

    /** Tells the service manager, on a thread that may wait for it. */
    private void tellManager(Message message) {
        if (!notify.isWanted()) {
            return;
        }
        Thread.ofVirtual().name("notify").start(() -> {
            try {
                message.send();
            } catch (IOException e) {
                var _ = events.happened(
                        Severity.WARNING,
                        "internal.notify",
                        name,
                        "cannot tell the service manager: " + e.getMessage(),
                        Map.of());
            }
        });
    }

    private void askForMissingNames() {
        try {
            while (!exit.isDone()) {
                Thread.sleep(ASK_FOR_NAMES);
                configuration.askForMissingNames();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (IllegalStateException e) {
            // The control loop did not take it, or is closed.
            var _ = events.happened(Severity.ERROR, "internal.error", name, String.valueOf(e.getMessage()), Map.of());
        }
    }

    /** Pings come from the control loop, so that a loop which hangs is noticed. */
    private void startWatchdog() {
        try {
            Notify.watchdogInterval(environment, ProcessHandle.current().pid())
                    .ifPresent(interval -> loop.execute(() -> ping(interval.dividedBy(3))));
        } catch (IOException e) {
            var _ = events.happened(
                    Severity.WARNING, "internal.notify", name, String.valueOf(e.getMessage()), Map.of());
        }
    }

    private void ping(Duration pause) {
        tellManager(notify::watchdog);
        loop.schedule(pause, () -> ping(pause));
    }

    private void watchSignals() {
        Signal.HUP.watch(s -> Thread.ofVirtual().name("reload").start(this::reload));
        Signal.TERM.watch(s -> loop.execute(() -> stop(true, false)));
        Signal.INT.watch(s -> loop.execute(() -> stop(true, false)));
    }

    private void reload() {
        tellManager(notify::reloading);
        try {
            // What is wrong with it has been said where it was found.
            var _ = configuration.reload();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            loop.execute(() -> tellManager(() -> notify.ready(summary())));
        }
    }

    /** What this node is as a real server of services that others balance. */
    private Part part(Configuration.Active active) {
        NodeSpec self = active.description().nodes().get(name);
        return self == null
                ? Part.NONE
                : Part.of(
                        active.description().services().values(),
                        self,
                        service -> NodeRole.balances(active.description(), name, service));
    }

    /** {@link Configuration.Applier}: brings the node to the next description. */
    private List<Configuration.Closed> apply(Configuration.Active next) throws InterruptedException {
        warnAboutDescriptors(next.services());
        warnAboutInterfaces(next);
        List<ServiceSpec> before = configuration.active().services();
        node.prepare(next.services(), next.resolution());
        try {
            var _ = node.ask(
                    () -> {
                        node.userspace().shared(TakeoverDuty.addresses(next.description(), name));
                        sync.become(next.description());
                        node.apply(next.services(), next.resolution());
                        realServer.become(part(next));
                        takeover.become(next.description());
                        watchdog.become(next.description().resources().watchdog());
                        compareServed();
                        if (next.services().size() < before.size() / 2) {
                            heap.expectLess();
                        }
                        return true;
                    },
                    Duration.ofSeconds(60));
            var _ = keep(node.ask(() -> node.services().overrides()));
            return awaitSockets(Middle.of(before, next.services()).after());
        } catch (ExecutionException e) {
            throw new IllegalStateException("applying " + next.file() + " failed", e.getCause());
        } catch (Node.BusyException e) {
            throw new IllegalStateException("applying " + next.file() + ": " + e.getMessage(), e);
        }
    }

    /** Waits, if not for long, until it was tried to open the sockets of services; answers with all that are not open. */
    private List<Configuration.Closed> awaitSockets(List<ServiceSpec> changed)
            throws InterruptedException, ExecutionException, Node.BusyException {
        long deadline = System.nanoTime() + OPENING_PATIENCE.toNanos();
        while (node.ask(() -> node.isOpening(changed)) && System.nanoTime() < deadline) {
            TimeUnit.MILLISECONDS.sleep(OPENING_LOOK.toMillis());
        }
        return node.ask(node::closed);
    }

    private Map<String, Map<String, ServerOverride>> overrides() throws InterruptedException {
        try {
            return node.ask(() -> node.services().overrides());
        } catch (ExecutionException | Node.BusyException e) {
            throw new IllegalStateException("asking for what the operator changed: " + e.getMessage(), e);
        }
    }

    private void warnAboutInterfaces(Configuration.Active active) {
        for (String trouble : missingInterfaces(active)) {
            var _ = events.happened(Severity.WARNING, "engine.note", name, trouble, Map.of());
        }
    }

    /** The engine xdp looks for the services' addresses, not for interfaces, so that a wrong name would go unnoticed. */
    private List<String> missingInterfaces(Configuration.Active active) {
        NodeSpec self = active.description().nodes().get(name);
        if (self == null || active.services().stream().allMatch(s -> s.engine() == EngineKind.USERSPACE)) {
            return List.of();
        }
        List<String> missing = new ArrayList<>();
        try (RouteNetlink netlink = RouteNetlink.open()) {
            for (NodeSpec.InterfaceSpec each : self.interfaces()) {
                if (netlink.link(each.name()).isEmpty()) {
                    missing.add("the description gives this node the interface " + each.name() + ", and it has none of"
                            + " that name: the engine xdp takes the interfaces that have the services' addresses");
                }
            }
        } catch (IOException e) {
            missing.add("the interfaces of this node cannot be looked at: " + e.getMessage());
        }
        return missing;
    }

    private void warnAboutDescriptors(List<ServiceSpec> services) {
        descriptorTrouble(services).ifPresent(trouble -> {
            var _ = events.happened(Severity.WARNING, "pressure.on", name, trouble, Map.of());
        });
    }

    private Optional<String> descriptorTrouble(List<ServiceSpec> services) {
        long needed = descriptorsNeeded(services);
        return fileLimit == null || fileLimit.soft() >= needed
                ? Optional.empty()
                : Optional.of("this description needs " + needed + " open files, and the limit is " + fileLimit.soft()
                        + ": raise it (LimitNOFILE= in the unit, ulimit -Hn in a shell), or some sockets stay closed");
    }

    /** Keeps what the operator changed; why that failed, where it did. */
    private Optional<String> keep(Map<String, Map<String, ServerOverride>> overrides) {
        synchronized (keeping) {
            if (overrides.equals(kept)) {
                return Optional.empty();
            }
            try {
                store.save(overrides);
                kept = overrides;
                loop.execute(() -> storeTrouble = "");
                return Optional.empty();
            } catch (IOException e) {
                kept = null;
                return Optional.of(storeTrouble(e));
            }
        }
    }

    private String storeTrouble(IOException e) {
        String trouble = "what the operator changed at run time does not survive a restart: " + e.getMessage();
        loop.execute(() -> storeTrouble = trouble);
        var _ = events.happened(Severity.ERROR, "admin.unsaved", name, trouble, Map.of());
        return trouble;
    }

    /** On the control loop: ends the daemon. The second time it does not wait for anything. */
    private void stop(boolean drain, boolean keepWorker) {
        if (leaving) {
            // It ends already, and whoever asked for it wants the worker.
            return;
        }
        if (stopping && !keepWorker) {
            var _ = events.happened(
                    Severity.WARNING, "daemon.stop", name, "told again to stop: ending at once", Map.of());
            workers.killAll();
            return;
        }
        stopping = true;
        Duration atMost = drain ? longestDrain() : Duration.ZERO;
        String how = keepWorker
                ? "the traffic worker goes on"
                : drain ? "connections have " + atMost.toSeconds() + " s to end" : "connections end now";
        var _ = events.happened(Severity.INFO, "daemon.stop", name, "stopping: " + how, Map.of());
        tellManager(() -> notify.stopping(
                how, atMost.plus(STOP_PATIENCE).plus(takeover.resources().patience())));
        leaving = keepWorker;
        var _ = Thread.ofVirtual().name("leaving").start(() -> {
            // Others have the addresses before anything ends here.
            try {
                takeover.leave();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            loop.execute(() -> ending(keepWorker, atMost));
        });
    }

    private void ending(boolean keepWorker, Duration atMost) {
        node.checks().close();
        if (keepWorker) {
            workers.leave();
            node.engines().close();
            end(DONE);
        } else {
            workers.drain(atMost);
        }
    }

    private Duration longestDrain() {
        return configuration.active().services().stream()
                .map(s -> s.timeouts().drain())
                .max(Duration::compareTo)
                .orElse(Duration.ZERO);
    }

    private final class FromWorkers implements WorkerSupervisor.Output {
        @Override
        public void happened(Severity severity, String type, String subject, String message, Map<String, String> data) {
            var _ = events.happened(severity, type, subject, message, data);
        }

        @Override
        public void allGone() {
            var _ = node.xdp().dismantle().thenRun(() -> {
                node.engines().close();
                end(DONE);
            });
        }
    }

    // ---- What the control API asks for

    private final class FromApi implements ControlApi.Actions {
        @Override
        public JsonObject status() {
            return Daemon.this.status();
        }

        @Override
        public void stop(boolean drain, boolean keepWorker) {
            // At once: a SIGTERM that comes after the answer must not overtake a stop that keeps the worker.
            loop.execute(() -> Daemon.this.stop(drain, keepWorker));
        }

        @Override
        public Optional<String> keep(Map<String, Map<String, ServerOverride>> overrides) {
            return Daemon.this.keep(overrides);
        }
    }

    /** What only the control loop knows for the status. */
    private record Moment(
            boolean ready,
            boolean stopping,
            List<WorkerSupervisor.Status> workers,
            long restarts,
            List<Configuration.Closed> closed,
            String pressure,
            String storeTrouble,
            int overridden,
            Optional<XdpOnDemand.Condition> xdp,
            Map<String, String> chosen,
            List<String> kernelTroubles) {}

    private Moment moment() {
        int overridden = 0;
        for (VirtualService service : node.services().services()) {
            overridden += service.overridden();
        }
        return new Moment(
                ready,
                stopping,
                workers.status(),
                workers.restarts(),
                node.closed(),
                node.pressure(),
                storeTrouble,
                overridden,
                node.xdp().condition(),
                chosen(),
                Stream.concat(
                                node.xdp().warnings().stream(),
                                Stream.concat(realServer.troubles().stream(), takeover.trouble().stream()))
                        .filter(trouble -> !trouble.isEmpty())
                        .toList());
    }

    /** The engines of services that leave the choice to this node, the first of them. */
    private Map<String, String> chosen() {
        Map<String, String> chosen = new LinkedHashMap<>();
        node.services().services().stream()
                .map(VirtualService::spec)
                .filter(spec -> spec.engine() == EngineKind.AUTO)
                .limit(20)
                .forEach(spec -> chosen.put(
                        spec.name(),
                        node.engineOf(spec).yamlName()
                                + node.whyUserspace(spec)
                                        .map(why -> " (not xdp: " + why + ")")
                                        .orElse("")));
        return chosen;
    }

    private JsonObject status() {
        Moment moment;
        try {
            moment = node.ask(this::moment);
        } catch (ExecutionException | Node.BusyException e) {
            throw new IllegalStateException(e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted", e);
        }
        Configuration.Active active = configuration.active();
        JsonObject json = new JsonObject();
        json.addProperty("node", name);
        json.addProperty("state", moment.stopping() ? "stopping" : moment.ready() ? "running" : "starting");
        json.addProperty("version", Build.version());
        json.addProperty("pid", ProcessHandle.current().pid());
        json.addProperty("since", since.toString());
        json.addProperty("uptimeSeconds", Duration.between(since, Instant.now()).toSeconds());
        JsonObject description = new JsonObject();
        description.addProperty("name", active.description().name());
        description.addProperty("file", active.file());
        description.addProperty("sha256", active.sha256());
        description.addProperty("since", active.since().toString());
        description.addProperty("services", active.services().size());
        json.add("description", description);
        json.add("worker", worker(moment));
        if (!moment.chosen().isEmpty()) {
            JsonObject engines = new JsonObject();
            moment.chosen().forEach(engines::addProperty);
            json.add("engines", engines);
        }
        moment.xdp().ifPresent(xdp -> json.add("xdp", xdp(xdp)));
        sync.status().ifPresent(status -> json.add("connectionSync", SyncDuty.json(status)));
        realServer.figures().ifPresent(figures -> {
            JsonObject tunnels = new JsonObject();
            tunnels.addProperty("unpacked", figures.unpacked());
            tunnels.addProperty("mssLowered", figures.lowered());
            json.add("tunnels", tunnels);
        });
        JsonArray capabilities = new JsonArray();
        capabilities().forEach(c -> capabilities.add(c.kernelName()));
        json.add("capabilities", capabilities);
        JsonObject memory = new JsonObject();
        memory.addProperty("residentBytes", Metrics.residentBytes());
        memory.addProperty("heapMaxBytes", Runtime.getRuntime().maxMemory());
        json.add("memory", memory);
        JsonObject descriptors = new JsonObject();
        descriptors.addProperty("open", Metrics.openDescriptors());
        descriptors.addProperty("limit", fileLimit == null ? 0 : fileLimit.soft());
        json.add("descriptors", descriptors);
        JsonObject directories = new JsonObject();
        directories.addProperty("run", options.directories().run().toString());
        directories.addProperty("state", options.directories().state().toString());
        json.add("directories", directories);
        JsonArray warnings = new JsonArray();
        warnings(moment, active).forEach(warnings::add);
        json.add("warnings", warnings);
        return json;
    }

    private static JsonObject xdp(XdpOnDemand.Condition xdp) {
        JsonObject json = new JsonObject();
        JsonObject interfaces = new JsonObject();
        for (XdpDirector.Attachment attachment : xdp.attachments()) {
            interfaces.addProperty(attachment.device(), attachment.mode().isEmpty() ? "off" : attachment.mode());
        }
        json.add("interfaces", interfaces);
        JsonArray exceptions = new JsonArray();
        for (XdpOnDemand.Exceptional each : xdp.exceptions()) {
            JsonObject exception = new JsonObject();
            exception.addProperty("service", each.service());
            exception.addProperty("reason", each.reason());
            exception.addProperty("words", each.words());
            exception.addProperty("count", each.count());
            exceptions.add(exception);
        }
        json.add("exceptions", exceptions);
        JsonArray greeting = new JsonArray();
        xdp.synCookies().forEach((service, on) -> {
            if (on) {
                greeting.add(service);
            }
        });
        json.add("synCookies", greeting);
        JsonObject connections = new JsonObject();
        connections.addProperty("places", xdp.connections().places());
        connections.addProperty("used", xdp.connections().used());
        connections.addProperty("opening", xdp.connections().opening());
        connections.addProperty("established", xdp.connections().established());
        connections.addProperty("closing", xdp.connections().closing());
        connections.addProperty("expired", xdp.connections().expired());
        json.add("connections", connections);
        return json;
    }

    private static JsonObject worker(Moment moment) {
        JsonObject json = new JsonObject();
        Optional<WorkerSupervisor.Status> current = moment.workers().stream()
                .filter(w -> w.state() != WorkerSupervisor.State.DRAINING)
                .reduce((a, b) -> b);
        json.addProperty(
                "state",
                current.map(w -> w.state().name().toLowerCase(Locale.ROOT)).orElse("none"));
        json.addProperty("pid", current.map(WorkerSupervisor.Status::pid).orElse(0L));
        json.addProperty(
                "adopted", current.map(WorkerSupervisor.Status::adopted).orElse(false));
        json.addProperty(
                "draining",
                moment.workers().stream()
                        .filter(w -> w.state() == WorkerSupervisor.State.DRAINING)
                        .count());
        json.addProperty("restarts", moment.restarts());
        return json;
    }

    private List<String> warnings(Moment moment, Configuration.Active active) {
        List<String> warnings = new ArrayList<>();
        moment.closed().stream()
                .limit(20)
                .forEach(closed -> warnings.add(
                        closed.service() + " cannot listen on " + closed.endpoint() + ": " + closed.reason()));
        if (moment.closed().size() > 20) {
            warnings.add("and " + (moment.closed().size() - 20) + " further endpoints cannot be opened");
        }
        if (!moment.pressure().isEmpty()) {
            warnings.add(moment.pressure());
        }
        warnings.addAll(moment.kernelTroubles());
        moment.xdp().ifPresent(xdp -> {
            if (!xdp.connections().pressure().isEmpty()) {
                warnings.add(xdp.connections().pressure());
            }
            List<String> flooded = active.services().stream()
                    .filter(spec -> spec.synCookies() == ServiceSpec.SynCookies.AUTO)
                    .map(ServiceSpec::name)
                    .filter(name -> xdp.synCookies().getOrDefault(name, false))
                    .toList();
            if (!flooded.isEmpty()) {
                warnings.add("SYNs of " + String.join(", ", flooded.subList(0, Math.min(5, flooded.size())))
                        + (flooded.size() > 5 ? " and " + (flooded.size() - 5) + " more" : "")
                        + " are answered with cookies at the moment, as in a flood: new connections are without window"
                        + " scaling, SACK and timestamps");
            }
            for (XdpDirector.Attachment attachment : xdp.attachments()) {
                if (!attachment.trouble().isEmpty()) {
                    warnings.add(attachment.device() + ": " + attachment.trouble());
                } else if (attachment.mode().equals("generic")) {
                    warnings.add(attachment.device() + ": its driver has no native XDP, so every packet costs several"
                            + " times as much");
                }
            }
            xdp.unreachable().entrySet().stream()
                    .limit(20)
                    .forEach(server ->
                            warnings.add(Addresses.print(server.getKey()) + " is not sent to: " + server.getValue()));
        });
        active.resolution().missing().entrySet().stream()
                .limit(20)
                .forEach(m -> warnings.add("the name " + m.getKey() + " has no address (" + m.getValue()
                        + "): servers that need it are down; it is asked for again"));
        descriptorTrouble(active.services()).ifPresent(warnings::add);
        warnings.addAll(missingInterfaces(active));
        if (events.journal().failing()) {
            warnings.add("events cannot be written to " + options.directories().journal()
                    + "; they are kept in memory while there is room");
        }
        if (!moment.storeTrouble().isEmpty()) {
            warnings.add(moment.storeTrouble());
        }
        Optional<String> wrong = configuration.differsFromOwnFile() ? configuration.ownFileTrouble() : Optional.empty();
        if (wrong.isPresent()) {
            warnings.add(wrong.get() + "; what runs came from " + active.file() + ", and a restart would fail");
        } else if (configuration.differsFromOwnFile()) {
            warnings.add("what runs came from " + active.file() + " and differs from " + configuration.ownFile()
                    + ", which a restart or reload would use");
        }
        if (moment.overridden() > 0) {
            warnings.add(count(moment.overridden(), "server") + " overridden at run time; ballast list marks them");
        }
        return warnings;
    }

    /** The capabilities that this process may use, as far as Ballast knows what to do with them. */
    private static List<Capability> capabilities() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith("CapEff:")) {
                    long set = Long.parseUnsignedLong(line.substring(7).strip(), 16);
                    return java.util.Arrays.stream(Capability.values())
                            .filter(c -> (set >>> c.bit() & 1) != 0)
                            .collect(Collectors.toList());
                }
            }
        } catch (IOException | NumberFormatException e) {
            // Shown as none, which is what can be relied upon.
        }
        return List.of();
    }
}

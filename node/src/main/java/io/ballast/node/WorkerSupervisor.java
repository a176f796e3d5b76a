package io.ballast.node;

import io.ballast.core.event.Event.Severity;
import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.director.Forwarding;
import io.ballast.director.userspace.UserspaceEngine;
import io.ballast.director.userspace.WorkerEvents;
import io.ballast.director.userspace.WorkerInfo;
import io.ballast.director.worker.TrafficWorker;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.MessageChannel;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Sees to it that there is always a traffic worker, and never one that hangs.
 *
 * <p>A worker listens on a socket {@code worker-N.sock} in the run directory, and that is how it is found again: a new
 * node process first connects to every such socket. A worker that answers is adopted as it is, traffic and all; one of
 * another build is adopted too, and replaced at once, which costs nobody a connection, since its successor accepts on
 * the same sockets before it is told to drain.
 *
 * <p>A worker that dies is replaced at once. One that dies young, again and again, is given up to {@link #MAX_PAUSE}
 * between attempts, so that a broken installation does not burn the machine. One that does not answer is killed, and
 * then has died. Meanwhile the listening sockets stay open in this process, and clients wait instead of being refused.
 *
 * <p>Everything here belongs to the control loop's thread; starting and connecting happen on virtual threads.
 */
final class WorkerSupervisor {
    /** A worker that did not live so long has died young. */
    static final Duration YOUNG = Duration.ofSeconds(5);

    /** The longest pause before the next attempt. */
    static final Duration MAX_PAUSE = Duration.ofSeconds(5);

    /** How long a worker may take to introduce itself, or to answer. */
    static final Duration PATIENCE = Duration.ofSeconds(10);

    /** How long one may take to listen: on a machine at its limit, killing it early helps nobody. */
    private static final Duration START_PATIENCE = Duration.ofSeconds(30);

    private static final Duration TABLE_PATIENCE = Duration.ofSeconds(30);
    private static final Duration PING = Duration.ofSeconds(1);
    private static final Duration STEP = Duration.ofSeconds(1);
    private static final Duration FIRST_PAUSE = Duration.ofMillis(250);
    /** How a JVM exits by -XX:+ExitOnOutOfMemoryError. */
    private static final int OUT_OF_MEMORY = 3;

    private static final long CONNECT_AGAIN_MILLIS = 5;

    /** Hears what happens to workers; on the control loop. */
    interface Output {
        /** See {@link io.ballast.core.event.Event}. */
        void happened(Severity severity, String type, String subject, String message, Map<String, String> data);

        /** The last worker is gone after {@link WorkerSupervisor#drain}. */
        void allGone();
    }

    /** What a worker is doing. */
    enum State {
        /** Its process was started, or its socket found; it has not introduced itself yet. */
        STARTING,
        /** It forwards. */
        SERVING,
        /** It finishes its connections and takes no new ones. */
        DRAINING
    }

    /** A worker as status shows it. */
    record Status(long pid, String build, State state, Instant since, boolean adopted) {}

    private static final class Worker {
        final Path socket;
        final Instant since = Instant.now();
        final long begun;
        final boolean adopted;
        long pid;
        String build = "";
        boolean greeted;
        State state = State.STARTING;

        @Nullable
        Process process;

        @Nullable
        Timer deadline;

        String ending = "";

        Worker(Path socket, boolean adopted, long begun) {
            this.socket = socket;
            this.adopted = adopted;
            this.begun = begun;
        }
    }

    private final Loop loop;
    private final UserspaceEngine engine;
    private final WorkerLauncher launcher;
    private final Path directory;
    private final String build;
    private final Output output;
    private final Map<Path, Worker> workers = new LinkedHashMap<>();
    private @Nullable Consumer<Map<String, Forwarding>> onKnown;
    private int lastNumber;
    private int looking;
    private int youngDeaths;
    private long restarts;
    private boolean ending;
    private boolean waiting;

    WorkerSupervisor(
            Loop loop, UserspaceEngine engine, WorkerLauncher launcher, Path directory, String build, Output output) {
        this.loop = loop;
        this.engine = engine;
        this.launcher = launcher;
        this.directory = directory;
        this.build = build;
        this.output = output;
    }

    /**
     * Adopts the worker that a process before has left, or starts one.
     *
     * @param known is told, before the engine sends anything, what an adopted worker forwards; nothing if there is none
     */
    void begin(Consumer<Map<String, Forwarding>> known) {
        onKnown = known;
        List<Path> left = new ArrayList<>();
        try (DirectoryStream<Path> sockets = Files.newDirectoryStream(directory, "worker-*.sock")) {
            sockets.forEach(left::add);
        } catch (IOException e) {
            output.happened(
                    Severity.WARNING,
                    "worker.exit",
                    "worker",
                    "cannot look for running workers in " + directory + ": " + e.getMessage(),
                    Map.of());
        }
        looking = left.size();
        for (Path socket : left) {
            connect(new Worker(socket, true, loop.now()));
        }
        lookedAtAll();
    }

    /** Once every socket that was left has been looked at, a worker is started unless one was found. */
    private void lookedAtAll() {
        if (looking == 0) {
            // Its process starts beside whatever is done with the news.
            startUnlessThere();
            tellKnown(Map.of());
        }
    }

    private void tellKnown(Map<String, Forwarding> known) {
        Consumer<Map<String, Forwarding>> told = onKnown;
        onKnown = null;
        if (told != null) {
            told.accept(known);
        }
    }

    private void startUnlessThere() {
        if (!ending && !waiting && workers.values().stream().noneMatch(w -> w.state != State.DRAINING)) {
            start();
        }
    }

    private void start() {
        Path socket;
        do {
            socket = directory.resolve("worker-" + ++lastNumber + ".sock");
        } while (Files.exists(socket));
        connect(new Worker(socket, false, loop.now()));
    }

    /** Connects to a worker, after starting its process where it has none, on a thread of its own. */
    private void connect(Worker worker) {
        workers.put(worker.socket, worker);
        Thread.ofVirtual().name("worker-connect").start(() -> {
            try {
                if (!worker.adopted) {
                    Process process = launcher.start(worker.socket);
                    loop.execute(() -> {
                        worker.process = process;
                        worker.pid = process.pid();
                    });
                    var _ = process.onExit().thenAccept(dead -> loop.execute(() -> exited(worker, dead.exitValue())));
                    MessageChannel channel = connectWhenReady(worker.socket, process);
                    loop.execute(() -> attach(worker, channel));
                } else {
                    MessageChannel channel = MessageChannel.connect(worker.socket);
                    long pid = channel.peer().pid();
                    loop.execute(() -> {
                        worker.pid = pid;
                        attach(worker, channel);
                    });
                }
            } catch (IOException e) {
                loop.execute(() -> failed(worker, reason(e)));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
    }

    private static String reason(IOException e) {
        String reason = e.getMessage() == null ? e.toString() : e.getMessage();
        boolean descriptors = reason.contains("Too many open files") || reason.contains("EMFILE");
        return descriptors ? reason + fileLimit() : reason;
    }

    private static String fileLimit() {
        try {
            return "; the limit is " + Processes.fileLimit().soft()
                    + ": raise it (LimitNOFILE= in the unit, ulimit -Hn in a shell) and start the daemon again";
        } catch (IOException e) {
            return "";
        }
    }

    private static MessageChannel connectWhenReady(Path socket, Process process)
            throws IOException, InterruptedException {
        long deadline = System.nanoTime() + START_PATIENCE.toNanos();
        while (true) {
            try {
                return MessageChannel.connect(socket);
            } catch (IOException e) {
                if (!process.isAlive()) {
                    throw new IOException("it ended with exit code " + process.exitValue(), e);
                }
                if (System.nanoTime() - deadline > 0) {
                    throw new IOException("it did not listen in " + START_PATIENCE.toSeconds() + " s", e);
                }
                TimeUnit.MILLISECONDS.sleep(CONNECT_AGAIN_MILLIS);
            }
        }
    }

    private void attach(Worker worker, MessageChannel channel) {
        killUnlessCancelled(worker, PATIENCE, "it did not introduce itself");
        engine.attach(channel, new WorkerEvents() {
            @Override
            public void greeted(WorkerInfo info, Map<String, Forwarding> forwarded) {
                onGreeted(worker, info, forwarded);
            }

            @Override
            public void serving(WorkerInfo info) {
                onServing(worker);
            }

            @Override
            public void gone(WorkerInfo info, boolean drained, String reason) {
                onGone(worker, drained, reason);
            }
        });
    }

    private void onGreeted(Worker worker, WorkerInfo info, Map<String, Forwarding> forwarded) {
        cancelDeadline(worker);
        worker.pid = info.pid();
        worker.build = info.build();
        worker.greeted = true;
        if (info.draining()) {
            worker.state = State.DRAINING;
        } else if (info.compatible()) {
            killUnlessCancelled(worker, TABLE_PATIENCE, "it did not take its table");
        }
        if (worker.adopted) {
            output.happened(
                    Severity.INFO,
                    "daemon.adopt",
                    "worker",
                    "adopted the traffic worker " + info.pid() + " with " + info.services() + " services and "
                            + info.listeners() + " listening sockets",
                    Map.of("pid", Long.toString(info.pid()), "build", info.build()));
            if (!info.draining()) {
                tellKnown(forwarded);
            }
            looking--;
            lookedAtAll();
        }
    }

    private void onServing(Worker worker) {
        worker.state = State.SERVING;
        cancelDeadline(worker);
        pingLater(worker);
        for (Worker other : workers.values()) {
            if (other != worker && other.state == State.SERVING) {
                other.state = State.DRAINING;
            }
        }
        output.happened(
                Severity.INFO,
                "worker.start",
                "worker",
                "the traffic worker " + worker.pid + " serves",
                Map.of("pid", Long.toString(worker.pid), "build", worker.build));
        if (!worker.build.equals(build) && !ending) {
            output.happened(
                    Severity.INFO,
                    "worker.start",
                    "worker",
                    "the traffic worker " + worker.pid + " is of build " + worker.build + ", this is " + build
                            + ": it is replaced",
                    Map.of("pid", Long.toString(worker.pid)));
            start();
        }
    }

    private void pingLater(Worker worker) {
        loop.schedule(PING, () -> {
            if (workers.containsValue(worker) && worker.state == State.SERVING) {
                killUnlessCancelled(worker, PATIENCE, "it did not answer in " + PATIENCE.toSeconds() + " s");
                var _ = engine.ping(worker.pid).thenRun(() -> {
                    cancelDeadline(worker);
                    pingLater(worker);
                });
            }
        });
    }

    private void onGone(Worker worker, boolean drained, String reason) {
        cancelDeadline(worker);
        if (drained) {
            worker.ending = "it drained";
            worker.state = State.DRAINING;
        } else if (worker.ending.isEmpty()) {
            worker.ending = reason;
        }
        // What has no channel any more is of no use, and would hold on to its connections and sockets.
        if (!drained) {
            kill(worker, worker.ending);
        }
        if (worker.process == null) {
            over(worker);
        } else {
            killUnlessCancelled(worker, PATIENCE, worker.ending + ", but went on");
        }
    }

    private void exited(Worker worker, int code) {
        String how = code > 128
                ? "killed by signal " + (code - 128)
                : code == OUT_OF_MEMORY
                        ? "out of memory; give it more with BALLAST_WORKER_JAVA_OPTS=-Xmx512m"
                        : "exit code " + code;
        worker.ending = worker.ending.isEmpty() ? how : how + ", " + worker.ending;
        over(worker);
    }

    private void failed(Worker worker, String reason) {
        worker.ending = worker.ending.isEmpty() ? reason : worker.ending;
        if (worker.process != null && worker.process.isAlive()) {
            kill(worker, reason);
        } else {
            over(worker);
        }
    }

    private void over(Worker worker) {
        if (!workers.remove(worker.socket, worker)) {
            return;
        }
        cancelDeadline(worker);
        deleteSocket(worker.socket);
        if (worker.adopted && !worker.greeted) {
            // A socket that was left by a worker which is long gone.
            looking--;
            lookedAtAll();
            return;
        }
        boolean expected = worker.state == State.DRAINING || ending;
        output.happened(
                expected ? Severity.INFO : Severity.ERROR,
                "worker.exit",
                "worker",
                "the traffic worker " + worker.pid + " ended: " + worker.ending,
                Map.of("pid", Long.toString(worker.pid), "reason", worker.ending));
        if (ending) {
            if (workers.isEmpty()) {
                output.allGone();
            }
            return;
        }
        if (expected) {
            startUnlessThere();
            return;
        }
        restarts++;
        boolean young = loop.now() - worker.begun < YOUNG.toNanos();
        youngDeaths = young ? youngDeaths + 1 : 0;
        Duration pause = pause(youngDeaths);
        if (pause.isZero()) {
            startUnlessThere();
        } else {
            waiting = true;
            loop.schedule(pause, () -> {
                waiting = false;
                startUnlessThere();
            });
        }
    }

    /** None after a worker's first death, then longer and longer. */
    static Duration pause(int youngDeaths) {
        if (youngDeaths < 2) {
            return Duration.ZERO;
        }
        Duration pause = FIRST_PAUSE.multipliedBy(1L << Math.min(youngDeaths - 2, 10));
        return pause.compareTo(MAX_PAUSE) > 0 ? MAX_PAUSE : pause;
    }

    private void deleteSocket(Path socket) {
        try {
            Files.deleteIfExists(socket);
        } catch (IOException e) {
            output.happened(
                    Severity.WARNING,
                    "worker.exit",
                    "worker",
                    "cannot remove " + socket + ": " + e.getMessage(),
                    Map.of());
        }
    }

    private void kill(Worker worker, String reason) {
        if (worker.ending.isEmpty()) {
            worker.ending = reason;
        }
        // An adopted one is not our child: its number may have been given to another process since.
        boolean there = worker.process != null ? worker.process.isAlive() : isWorker(worker.pid);
        if (!there) {
            return;
        }
        try {
            Processes.kill(worker.pid, Signal.KILL);
        } catch (IOException e) {
            if (e instanceof LinuxException failed && failed.errno() == Errno.ESRCH) {
                // It has died meanwhile, which is all that is wanted.
                return;
            }
            output.happened(
                    Severity.WARNING,
                    "worker.exit",
                    "worker",
                    "cannot kill the traffic worker " + worker.pid + ": " + e.getMessage(),
                    Map.of());
        }
    }

    private static boolean isWorker(long pid) {
        try {
            return pid > 0
                    && Files.readString(Path.of("/proc", Long.toString(pid), "cmdline"))
                            .contains(TrafficWorker.class.getName());
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Kills a worker after so long, unless {@link #cancelDeadline}. The time is counted in steps of this loop: when the
     * whole machine stood still (a virtual machine that is moved, or starved), that is one late step, and no silence of
     * the worker.
     */
    private void killUnlessCancelled(Worker worker, Duration left, String reason) {
        worker.deadline = loop.schedule(STEP, () -> {
            if (left.compareTo(STEP) > 0) {
                killUnlessCancelled(worker, left.minus(STEP), reason);
            } else {
                kill(worker, reason);
            }
        });
    }

    private static void cancelDeadline(Worker worker) {
        if (worker.deadline != null) {
            worker.deadline.cancel();
            worker.deadline = null;
        }
    }

    /** Lets every worker finish its connections and then go; {@link Output#allGone} when they have. */
    void drain(Duration atMost) {
        ending = true;
        if (workers.isEmpty()) {
            output.allGone();
            return;
        }
        engine.drain(atMost);
        workers.values().forEach(w -> w.state = State.DRAINING);
        loop.schedule(atMost.plusSeconds(2), this::killAll);
    }

    /** Ends every worker at once. */
    void killAll() {
        ending = true;
        if (workers.isEmpty()) {
            output.allGone();
        }
        List.copyOf(workers.values()).forEach(w -> kill(w, "it was told to end at once"));
    }

    /** Lets workers be: they go on without this process. */
    void leave() {
        ending = true;
    }

    /** Whether a worker forwards. */
    boolean serving() {
        return workers.values().stream().anyMatch(w -> w.state == State.SERVING);
    }

    /** The workers there are. */
    List<Status> status() {
        return workers.values().stream()
                .map(w -> new Status(w.pid, w.build, w.state, w.since, w.adopted))
                .toList();
    }

    /** How many workers died that should not have. */
    long restarts() {
        return restarts;
    }
}

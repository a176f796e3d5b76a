package io.ballast.lab.farm;

import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.cli.control.ControlClient;
import io.ballast.lab.farm.LabServer.Host;
import io.ballast.lab.farm.ProcessId.Stat;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The daemon of one node, as {@code ballast run} starts it, and what may befall it. */
public final class Daemon {
    /** Its name among the programs of its node. */
    static final String ROLE = "daemon";

    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final Duration UP_PATIENCE = Duration.ofSeconds(10);

    private final String node;
    private final Path directory;
    private final Path file;
    private final Host host;
    private @Nullable ProcessId process;

    /**
     * A daemon that does not run yet.
     *
     * @param directory of the node's own; the daemon keeps its sockets in {@code run} below it and its log is
     *     {@code daemon.log} there
     * @param file the description
     * @param host starts it there
     */
    public Daemon(String node, Path directory, Path file, Host host) {
        this.node = node;
        this.directory = directory;
        this.file = file;
        this.host = host;
    }

    /** The node it runs on. */
    public String node() {
        return node;
    }

    /** Its node process; 0 while that does not run. */
    public long pid() {
        return process == null || !process.alive() ? 0 : process.pid();
    }

    /** Its traffic worker, as far as it says so itself. */
    public Optional<Long> workerPid() throws Failure {
        long pid = Json.number(Json.object(control().get("/v1/status"), "worker"), "pid");
        return pid == 0 ? Optional.empty() : Optional.of(pid);
    }

    /** A client of its control API. */
    public ControlClient control() {
        return control(directory);
    }

    static ControlClient control(Path directory) {
        return new ControlClient(directory.resolve("run").resolve("control.sock"));
    }

    /**
     * Starts the node process; returns before it is ready.
     *
     * @param options further options of {@code ballast run}
     */
    public void start(List<String> options) throws IOException, InterruptedException {
        List<String> words = new ArrayList<>(List.of("run", file.toString(), "--node", node));
        words.addAll(List.of("--run-dir", directory.resolve("run").toString()));
        words.addAll(List.of("--state-dir", directory.resolve("state").toString()));
        words.addAll(options);
        process = host.start(node, ROLE, Jvm.ballast(words));
    }

    /** Waits until the control API answers. */
    public void awaitAnswer() throws IOException, InterruptedException {
        for (long until = System.nanoTime() + PATIENCE.toNanos(); ; Thread.sleep(20)) {
            if (pid() == 0) {
                throw new IOException("the daemon on " + node + " ended: " + lastWords());
            }
            try {
                // An older process may still answer while a new one takes over.
                if (Json.number(control().get("/v1/status"), "pid") == pid()) {
                    return;
                }
            } catch (Failure e) {
                if (System.nanoTime() > until) {
                    throw new IOException("the daemon on " + node + " does not answer: " + e.getMessage(), e);
                }
            }
            if (System.nanoTime() > until) {
                throw new IOException("the daemon on " + node + " did not take over from the one before");
            }
        }
    }

    /** Waits until the control API answers and every service has a server that takes connections, if it ever has. */
    public void awaitReady() throws IOException, InterruptedException {
        awaitAnswer();
        long until = System.nanoTime() + UP_PATIENCE.toNanos();
        while (!services().stream().allMatch(s -> Json.text(s, "state").equals("up")) && System.nanoTime() < until) {
            Thread.sleep(20);
        }
    }

    /** The services as the daemon lists them. */
    public List<JsonObject> services() throws IOException {
        try {
            return Json.objects(control().get("/v1/services"), "services");
        } catch (Failure e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /** What its node is in virtual routers; nothing while it does not answer. */
    public List<RouterRole> roles() {
        return RouterRole.of(node, control());
    }

    /** Tells it to read its file again (SIGHUP). */
    public void reload() throws IOException {
        signal(Signal.HUP);
    }

    /** Ends the node process with SIGKILL. */
    public void kill() throws IOException {
        signal(Signal.KILL);
    }

    /** Ends it as an administrator would (SIGTERM), and waits for the end. */
    public void stop() throws IOException, InterruptedException {
        signal(Signal.TERM);
        awaitEnd();
    }

    /** Asks it to end, and does not wait. */
    public void askToStop() throws IOException {
        signal(Signal.TERM);
    }

    /**
     * Ends all of it with SIGKILL, the traffic worker too.
     *
     * @return when
     */
    public Instant killAll() throws IOException {
        return signalAll(Signal.KILL);
    }

    /**
     * Stops it as it stands (SIGSTOP), all of it.
     *
     * @return when
     */
    public Instant freeze() throws IOException {
        return signalAll(Signal.STOP);
    }

    /** Lets it go on. */
    public void thaw() throws IOException {
        var _ = signalAll(Signal.CONT);
    }

    private Instant signalAll(Signal signal) throws IOException {
        ProcessId node = process;
        if (node == null) {
            return Instant.now();
        }
        // A worker leads a session of its own, and one that was found running at the start is nobody's child here.
        Set<Long> own = new HashSet<>(Set.of(node.pid()));
        try {
            if (signal == Signal.KILL) {
                workerPid().ifPresent(own::add);
            }
        } catch (Failure e) {
            // It does not answer: then what belongs to it by its parents has to do.
        }
        List<Stat> all = ProcessId.all();
        for (boolean more = true; more; ) {
            more = all.stream()
                    .filter(s -> own.contains(s.parent()) || own.contains(s.session()))
                    .map(s -> own.add(s.id().pid()))
                    .reduce(false, Boolean::logicalOr);
        }
        Instant at = Instant.now();
        for (Stat stat : all) {
            if (own.contains(stat.id().pid()) && !stat.zombie()) {
                OwnProcesses.signal(stat.id(), signal);
            }
        }
        return at;
    }

    /** Ends the node process and leaves the traffic worker as it is, and waits for the end. */
    public void stopKeepingWorker() throws IOException, InterruptedException {
        JsonObject body = new JsonObject();
        body.addProperty("keepWorker", true);
        try {
            control().call("POST", "/v1/stop", Optional.of(body));
        } catch (Failure e) {
            throw new IOException(e.getMessage(), e);
        }
        awaitEnd();
    }

    /** Waits until the node process has ended. */
    public void awaitEnd() throws IOException, InterruptedException {
        ProcessId old = process;
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (old != null && old.alive()) {
            if (System.nanoTime() > until) {
                throw new IOException("the node process on " + node + " (pid " + old.pid() + ") did not end");
            }
            Thread.sleep(5);
        }
    }

    /** The end of its log, in one line. */
    public String lastWords() {
        Path log = directory.resolve("daemon.log");
        try {
            List<String> lines = Files.readAllLines(log);
            List<String> last = lines.subList(Math.max(0, lines.size() - 5), lines.size());
            return last.isEmpty() ? "its log " + log + " is empty" : String.join(" / ", last);
        } catch (IOException e) {
            return "and its log cannot be read: " + e.getMessage();
        }
    }

    private void signal(Signal signal) throws IOException {
        if (process != null) {
            OwnProcesses.signal(process, signal);
        }
    }
}

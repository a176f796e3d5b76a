package io.ballast.lab.farm;

import io.ballast.lab.farm.ProcessId.Stat;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A real server of the lab, and what may befall it. */
public abstract sealed class LabServer permits WebServer, DatagramServer {
    private static final Duration PATIENCE = Duration.ofSeconds(15);

    /** What a program of a farm runs in. */
    public interface Host {
        /** Starts a program on a node. */
        ProcessId start(String node, String role, List<String> command) throws IOException, InterruptedException;
    }

    private final String node;
    private final String role;
    private final Host host;
    private @Nullable ProcessId process;

    /**
     * A server that does not run yet.
     *
     * @param role its name among the programs of the node
     */
    LabServer(String node, String role, Host host) {
        this.node = node;
        this.role = role;
        this.host = host;
    }

    /** Where it runs. */
    public String node() {
        return node;
    }

    /** What it is, for people. */
    public abstract String program();

    /** Where it answers. */
    public abstract List<InetSocketAddress> listen();

    /** What to run; called before each start. */
    abstract List<String> command() throws IOException;

    /** Whether what it needs to answer is there. */
    abstract boolean isServing(long pid) throws IOException;

    /** How it is asked to finish what it is doing and end. */
    abstract Signal gracefulEnd();

    /** Its main process; 0 while it does not run. */
    public long pid() {
        return process == null || !process.alive() ? 0 : process.pid();
    }

    /** The process, also of one that has ended; null before the first start. */
    @Nullable
    ProcessId process() {
        return process;
    }

    /** Starts it; returns before it listens. */
    public void start() throws IOException, InterruptedException {
        process = host.start(node, role, command());
    }

    /** Waits until it listens. */
    public void awaitListening() throws IOException, InterruptedException {
        ProcessId started = process;
        for (long until = System.nanoTime() + PATIENCE.toNanos(); ; ) {
            if (started == null || !started.alive()) {
                throw new IOException(program() + " (" + role + " on " + node + ") ended at once; its log says why");
            }
            if (isServing(started.pid())) {
                return;
            }
            if (System.nanoTime() > until) {
                throw new IOException(program() + " (" + role + " on " + node + ") does not listen on " + listen()
                        + " after " + PATIENCE.toSeconds() + " s; its log says why");
            }
            Thread.sleep(5);
        }
    }

    static boolean isServed(InetSocketAddress wanted, Set<InetSocketAddress> listening) {
        return listening.contains(wanted)
                || listening.stream()
                        .anyMatch(a -> a.getAddress().isAnyLocalAddress() && a.getPort() == wanted.getPort());
    }

    /** Asks it to finish what it is doing and end. */
    public void stop() throws IOException {
        if (process != null) {
            OwnProcesses.signal(process, gracefulEnd());
        }
    }

    /** Ends it with SIGKILL, every process of it. */
    public void kill() throws IOException {
        signalAll(Signal.KILL);
    }

    /** Stops it as it stands (SIGSTOP): its kernel still takes what is sent to it, and nobody answers. */
    public void freeze() throws IOException {
        signalAll(Signal.STOP);
    }

    /** Lets it go on. */
    public void thaw() throws IOException {
        signalAll(Signal.CONT);
    }

    private void signalAll(Signal signal) throws IOException {
        if (process == null) {
            return;
        }
        for (Stat stat : ProcessId.all()) {
            if (stat.session() == process.pid() && !stat.zombie()) {
                OwnProcesses.signal(stat.id(), signal);
            }
        }
    }
}

package io.ballast.node;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.Optional;

/**
 * Where a daemon keeps its files.
 *
 * @param run what lasts as long as a boot: sockets, the lock
 * @param state what lasts longer: the journal, what the operator changed
 */
public record Directories(Path run, Path state) {
    private static final String LOCK = "daemon.lock";

    /**
     * Chosen by the command line, else by {@code BALLAST_RUN_DIR} and {@code BALLAST_STATE_DIR}, else the usual places
     * of root or of an ordinary user.
     */
    public static Directories of(Map<String, String> environment, Optional<Path> run, Optional<Path> state) {
        return of(environment, run, state, uid());
    }

    static Directories of(Map<String, String> environment, Optional<Path> run, Optional<Path> state, int uid) {
        return new Directories(
                run.or(() -> variable(environment, "BALLAST_RUN_DIR")).orElseGet(() -> {
                    if (uid == 0) {
                        return Path.of("/run/ballast");
                    }
                    return variable(environment, "XDG_RUNTIME_DIR")
                            .map(d -> d.resolve("ballast"))
                            .orElseGet(() -> Path.of("/tmp/ballast-" + uid));
                }),
                state.or(() -> variable(environment, "BALLAST_STATE_DIR")).orElseGet(() -> {
                    if (uid == 0) {
                        return Path.of("/var/lib/ballast");
                    }
                    return variable(environment, "XDG_STATE_HOME")
                            .orElseGet(() -> Path.of(environment.getOrDefault("HOME", "/"))
                                    .resolve(".local/state"))
                            .resolve("ballast");
                }));
    }

    private static Optional<Path> variable(Map<String, String> environment, String name) {
        return Optional.ofNullable(environment.get(name))
                .filter(value -> !value.isEmpty())
                .map(Path::of);
    }

    private static int uid() {
        try {
            return (Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        } catch (IOException e) {
            throw new IllegalStateException("cannot tell who runs this: /proc is not mounted", e);
        }
    }

    /** The control API's socket. */
    public Path controlSocket() {
        return run.resolve("control.sock");
    }

    /** Where the node process and its traffic worker meet. */
    public Path workerSocket() {
        return run.resolve("worker.sock");
    }

    /** Where a bpffs is mounted where the machine has none of its own. */
    public Path bpf() {
        return run.resolve("bpf");
    }

    /** The name of a daemon with these directories among others of the machine. */
    public String instance() {
        return run.toAbsolutePath().normalize().toString().substring(1).replace('/', '-');
    }

    /** What the node has changed of the machine as a real server. */
    public Path realServer() {
        return run.resolve("real-server.json");
    }

    /** Held by the running node process, with its process id inside. */
    public Path lock() {
        return run.resolve(LOCK);
    }

    /** The same, of the daemon that listens at this control socket. */
    public static Path lockBeside(Path controlSocket) {
        return controlSocket.resolveSibling(LOCK);
    }

    /** What the operator changed at run time. */
    public Path overrides() {
        return state.resolve("overrides.json");
    }

    /** What the operator wants of virtual routers. */
    public Path manners() {
        return state.resolve("takeover.json");
    }

    /** The events. */
    public Path journal() {
        return state.resolve("journal");
    }

    /** Makes both, for their owner alone, where they do not exist; and refuses a run directory of somebody else's. */
    void create() throws IOException {
        for (Path directory : new Path[] {run, state}) {
            if (!Files.isDirectory(directory)) {
                Path parent = directory.toAbsolutePath().getParent();
                if (parent != null) {
                    Files.createDirectories(parent);
                }
                Files.createDirectory(
                        directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            }
        }
        // In /tmp anybody may have been faster, and would then own the sockets' names.
        int owner = (Integer) Files.getAttribute(run, "unix:uid");
        int self = uid();
        if (owner != self && owner != 0) {
            throw new IOException(run + " belongs to user " + owner + ", not to " + self
                    + ": remove it, or choose another with --run-dir");
        }
    }
}

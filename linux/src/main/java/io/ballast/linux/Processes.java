package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** Signals to processes, limits, sessions and privileges. */
public final class Processes {
    private static final long RLIM_INFINITY = -1;

    private Processes() {}

    /**
     * How many descriptors this process may have open (RLIMIT_NOFILE).
     *
     * @param soft what holds now; {@link Long#MAX_VALUE} for no limit
     * @param hard what it may be raised to without CAP_SYS_RESOURCE
     */
    public record FileLimit(long soft, long hard) {}

    /** Sends a signal to one process. */
    public static void kill(long pid, Signal signal) throws IOException {
        if (pid <= 0 || pid > Integer.MAX_VALUE) {
            // 0, -1 and negative numbers address groups, or everybody
            throw new IllegalArgumentException("not a process id: " + pid);
        }
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(
                    kernel.kill((int) pid, signal.number()), "kill", "pid " + pid + " SIG" + signal, Capability.KILL);
        }
    }

    /**
     * Makes this process the leader of a session of its own (setsid(2)), so that signals to the group or the terminal it
     * was started from do not reach it; one that leads a group already stays where it is.
     */
    public static void leaveSession() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int result = kernel.setsid();
            if (result != -Errno.EPERM.number()) {
                LinuxException.check(result, "setsid", "");
            }
        }
    }

    /** Work that may fail as a start of a process does. */
    @FunctionalInterface
    public interface Work<T> {
        /** Does it. */
        T run() throws IOException;
    }

    /**
     * Does some work on a thread of its own that gave up its capabilities for good, and that cannot gain any by executing
     * a program. What it starts inherits both: a process started so never has a capability, also not as root.
     * Capabilities belong to threads, and a process cannot take them from threads that its run-time system started
     * before; so they are best given up before its start.
     *
     * @param keep the capabilities that it has nevertheless, as far as the calling thread has them
     */
    public static <T> T withoutCapabilities(Set<Capability> keep, Work<T> work)
            throws IOException, InterruptedException {
        CompletableFuture<T> done = new CompletableFuture<>();
        Thread.ofPlatform().daemon().name("unprivileged").start(() -> {
            try {
                giveUpCapabilities(keep);
                done.complete(work.run());
            } catch (IOException | RuntimeException | Error e) {
                done.completeExceptionally(e);
            }
        });
        try {
            return done.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failed) {
                throw failed;
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    private static void giveUpCapabilities(Set<Capability> keep) throws IOException {
        Set<Capability> kept = EnumSet.noneOf(Capability.class);
        kept.addAll(keep);
        kept.retainAll(Capability.effective());
        long bits = 0;
        for (Capability capability : kept) {
            bits |= 1L << capability.bit();
        }
        try (Kernel kernel = Kernel.open()) {
            // Otherwise root would get all back at exec.
            LinuxException.check(kernel.prctl(Constants.PR_SET_NO_NEW_PRIVS, 1), "prctl", "PR_SET_NO_NEW_PRIVS");
            LinuxException.check(
                    kernel.prctl(Constants.PR_CAP_AMBIENT, Constants.PR_CAP_AMBIENT_CLEAR_ALL),
                    "prctl",
                    "PR_CAP_AMBIENT_CLEAR_ALL");
            int low = (int) bits;
            int high = (int) (bits >>> 32);
            // version and pid 0; then effective, permitted and inheritable of the lower 32 capabilities, of the upper
            MemorySegment header = kernel.allocateFrom(ValueLayout.JAVA_INT, Constants.LINUX_CAPABILITY_VERSION_3, 0);
            MemorySegment data = kernel.allocateFrom(ValueLayout.JAVA_INT, low, low, 0, high, high, 0);
            LinuxException.check(kernel.capset(header, data), "capset", kept.toString());
        }
    }

    /** Reads the limit on open descriptors. */
    public static FileLimit fileLimit() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment limit = kernel.allocate(16, 8); // struct rlimit: soft, hard
            LinuxException.check(
                    kernel.prlimit(0, Constants.RLIMIT_NOFILE, MemorySegment.NULL, limit),
                    "getrlimit",
                    "RLIMIT_NOFILE");
            return new FileLimit(
                    decode(limit.get(ValueLayout.JAVA_LONG, 0)), decode(limit.get(ValueLayout.JAVA_LONG, 8)));
        }
    }

    /** Sets the limit on open descriptors; raising the hard limit needs CAP_SYS_RESOURCE. */
    public static void setFileLimit(FileLimit wanted) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment limit =
                    kernel.allocateFrom(ValueLayout.JAVA_LONG, encode(wanted.soft()), encode(wanted.hard()));
            LinuxException.check(
                    kernel.prlimit(0, Constants.RLIMIT_NOFILE, limit, MemorySegment.NULL),
                    "setrlimit",
                    "RLIMIT_NOFILE " + wanted.soft() + " of " + wanted.hard(),
                    Capability.SYS_RESOURCE);
        }
    }

    private static long decode(long value) {
        return value == RLIM_INFINITY ? Long.MAX_VALUE : value;
    }

    private static long encode(long value) {
        return value == Long.MAX_VALUE ? RLIM_INFINITY : value;
    }
}

package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Signals to processes and limits of this one. */
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

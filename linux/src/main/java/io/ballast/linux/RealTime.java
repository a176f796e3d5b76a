package io.ballast.linux;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Real-time scheduling of threads (sched(7)): one that has it runs as soon as it can, before all that have not. */
public final class RealTime {
    private static final int FIFO = 1;
    private static final int RESET_ON_FORK = 0x40000000;

    private RealTime() {}

    /**
     * Gives it to the calling platform thread until that ends (SCHED_FIFO). It must not keep a CPU for long. Needs
     * CAP_SYS_NICE, or a limit RLIMIT_RTPRIO. What the thread starts does not have it: not a thread, as that of virtual
     * threads which it happens to wake, and not a program.
     *
     * @param priority 1 to 99
     */
    public static void fifo(int priority) throws LinuxException {
        if (Thread.currentThread().isVirtual()) {
            throw new IllegalStateException("a virtual thread has no priority of its own");
        }
        try (Kernel kernel = Kernel.open()) {
            MemorySegment parameter = kernel.allocateFrom(ValueLayout.JAVA_INT, priority);
            LinuxException.check(
                    kernel.schedSetscheduler(FIFO | RESET_ON_FORK, parameter),
                    "sched_setscheduler",
                    "SCHED_FIFO " + priority,
                    Capability.SYS_NICE);
        }
    }
}

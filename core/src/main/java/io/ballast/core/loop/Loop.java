package io.ballast.core.loop;

import java.time.Duration;
import java.util.concurrent.Executor;

/**
 * Runs tasks one after another, now or at a time. Tasks of one loop never run at the same time, so what only they touch
 * needs no lock. {@link ControlLoop} is the real one; {@link io.ballast.core.sim.SimulatedLoop} is its double in
 * virtual time.
 *
 * <p>All methods may be called from any thread.
 */
public interface Loop extends Executor {

    /** The loop's clock in nanoseconds; only differences mean something, and it never goes back. */
    long now();

    /**
     * Runs the task soon, after those given before it. Once the loop has ended, tasks are dropped: nobody is left to
     * see their effect.
     */
    @Override
    void execute(Runnable task);

    /**
     * Runs the task at a time, never before it, and in the order of times; those of one time in the order in which they
     * were scheduled.
     *
     * @param at by {@link #now()}; a time in the past means soon
     */
    Timer scheduleAt(long at, Runnable task);

    /** Runs the task after a delay. */
    default Timer schedule(Duration delay, Runnable task) {
        return scheduleAt(now() + delay.toNanos(), task);
    }

    /** Whether the caller is a task of this loop. */
    boolean inLoop();
}

package io.ballast.core.sim;

import io.ballast.core.loop.Timer;
import java.time.Duration;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * A clock that moves only when told to, and jumps from one event to the next. Every loop of a simulation shares one, so
 * that all that happens has one order: by time, and by the order of scheduling where times are equal. Nothing in it
 * depends on threads or on the machine, so the same seed gives the same run.
 *
 * <p>Not thread-safe: a simulation is one thread.
 */
public final class VirtualTime {
    private final PriorityQueue<Event> events = new PriorityQueue<>();
    private long now;
    private long sequence;
    private long steps;

    static final class Event implements Timer, Comparable<Event> {
        final long at;
        private final long order;
        private final SimulatedLoop loop;

        @Nullable
        Runnable task;

        private Event(long at, long order, SimulatedLoop loop, Runnable task) {
            this.at = at;
            this.order = order;
            this.loop = loop;
            this.task = task;
        }

        @Override
        public void cancel() {
            task = null;
        }

        @Override
        public int compareTo(Event other) {
            return at != other.at ? Long.compare(at, other.at) : Long.compare(order, other.order);
        }
    }

    /** Nanoseconds since the simulation began. */
    public long now() {
        return now;
    }

    /** Tasks that have run; two runs that took the same way have the same number. */
    public long steps() {
        return steps;
    }

    /** A loop that lives in this time. */
    public SimulatedLoop newLoop(String name) {
        return new SimulatedLoop(name, this);
    }

    Event add(long at, SimulatedLoop loop, Runnable task) {
        var event = new Event(Math.max(at, now), sequence++, loop, task);
        events.add(event);
        return event;
    }

    /**
     * Runs the next task, and moves the clock to its time.
     *
     * @return false when nothing is left to run
     */
    public boolean step() {
        return step(Long.MAX_VALUE);
    }

    private boolean step(long until) {
        for (Event event = events.peek(); event != null && event.at <= until; event = events.peek()) {
            events.remove();
            Runnable task = event.task;
            if (task != null && !event.loop.ended()) {
                event.task = null;
                now = event.at;
                steps++;
                event.loop.run(task);
                return true;
            }
        }
        return false;
    }

    /** Runs everything up to that time, which the clock then shows. */
    public void runUntil(long time) {
        while (step(time)) {
            // step() does the work
        }
        now = Math.max(now, time);
    }

    /** Runs everything within that time from now. */
    public void runFor(Duration duration) {
        runUntil(now + duration.toNanos());
    }

    /** Runs everything that is due now, without moving the clock. */
    public void settle() {
        runUntil(now);
    }
}

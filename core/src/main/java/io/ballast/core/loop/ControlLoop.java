package io.ballast.core.loop;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The node's control loop: a single thread that owns all mutable control state and runs the state machines. What happens
 * elsewhere (a check's result, a request at the control API, a worker's message) comes in as a task; what waits for a
 * time is a timer. So the state needs no locks, and every change of it has a place in one order.
 *
 * <p>The price is that a task which waits holds up everything else. So tasks never do: what may block runs on a virtual
 * thread at the edge and comes back as a task. A task that takes longer than the stall limit is reported while it still
 * runs, with the place where it stands.
 *
 * <p>A task that fails is reported and does not end the loop: one broken service must not stop the others.
 *
 * <p>Each turn takes what has arrived so far, runs it, then runs the timers that are due. Neither can starve the other:
 * what a task adds waits for the next turn.
 */
public final class ControlLoop implements Loop, AutoCloseable {

    /** Hears what goes wrong in the loop. */
    public interface Observer {

        /** A task failed; called on the loop's thread. */
        void failed(Runnable task, Throwable error);

        /**
         * A task has run for longer than the limit; told once for each such task, while it runs or, if it just ended,
         * after it. Called on a thread that is not the loop's in the first case.
         *
         * @param where what the loop's thread does; empty when the task has ended
         */
        void stalled(Runnable task, Duration soFar, List<StackTraceElement> where);
    }

    private static final Duration CLOSE_LIMIT = Duration.ofSeconds(5);

    private final Observer observer;
    private final long stallNanos;
    private final Thread thread;
    private final Thread watch;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition arrived = lock.newCondition();
    private ArrayDeque<Runnable> tasks = new ArrayDeque<>();
    private final PriorityQueue<Waiting> timers = new PriorityQueue<>();
    private long sequence;
    private boolean ending;

    /** The task at hand, for the watch. */
    private volatile @Nullable Running running;

    private static final class Running {
        final Runnable task;
        final long since;
        private boolean told;

        Running(Runnable task, long since) {
            this.task = task;
            this.since = since;
        }

        /** Whether the caller is the first to tell. */
        synchronized boolean tell() {
            boolean first = !told;
            told = true;
            return first;
        }
    }

    private final class Waiting implements Timer, Comparable<Waiting> {
        final long at;
        final long order;

        @Nullable
        Runnable task;

        Waiting(long at, long order, Runnable task) {
            this.at = at;
            this.order = order;
            this.task = task;
        }

        @Override
        public void cancel() {
            lock.lock();
            try {
                if (task != null) {
                    task = null;
                    timers.remove(this);
                }
            } finally {
                lock.unlock();
            }
        }

        @Override
        public int compareTo(Waiting other) {
            long difference = at - other.at;
            return difference != 0 ? Long.signum(difference) : Long.compare(order, other.order);
        }
    }

    /**
     * Starts the loop.
     *
     * @param name of its thread
     * @param stallLimit how long a task may run before it is reported
     */
    public ControlLoop(String name, Duration stallLimit, Observer observer) {
        this.observer = observer;
        this.stallNanos = stallLimit.toNanos();
        this.thread = Thread.ofPlatform().name(name).daemon(true).unstarted(this::run);
        this.watch = Thread.ofPlatform().name(name + "-watch").daemon(true).unstarted(this::watch);
        thread.start();
        watch.start();
    }

    @Override
    public long now() {
        return System.nanoTime();
    }

    @Override
    public boolean inLoop() {
        return Thread.currentThread().equals(thread);
    }

    @Override
    public void execute(Runnable task) {
        lock.lock();
        try {
            if (!ending) {
                tasks.add(task);
                arrived.signal();
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Timer scheduleAt(long at, Runnable task) {
        lock.lock();
        try {
            var timer = new Waiting(at, sequence++, task);
            if (!ending) {
                timers.add(timer);
                if (timers.peek() == timer) {
                    arrived.signal();
                }
            }
            return timer;
        } finally {
            lock.unlock();
        }
    }

    /** Tasks that wait for their turn. */
    public int backlog() {
        lock.lock();
        try {
            return tasks.size();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Ends the loop: what has been given to it still runs, timers do not. Called by a task of the loop, it returns at
     * once and the loop ends after the tasks at hand.
     *
     * @param limit how long to wait; after it the loop's thread is interrupted
     * @return whether the loop has ended
     */
    public boolean end(Duration limit) {
        lock.lock();
        try {
            ending = true;
            timers.clear();
            arrived.signal();
        } finally {
            lock.unlock();
        }
        if (inLoop()) {
            return false;
        }
        boolean ended = join(limit);
        if (!ended) {
            thread.interrupt();
        }
        return ended;
    }

    private boolean join(Duration limit) {
        try {
            return thread.join(limit);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return !thread.isAlive();
        }
    }

    /** Ends the loop, with five seconds for what it still has to do. */
    @Override
    public void close() {
        end(CLOSE_LIMIT);
    }

    private void run() {
        try {
            List<Runnable> due = new ArrayList<>();
            for (ArrayDeque<Runnable> batch = next(due); batch != null; batch = next(due)) {
                batch.forEach(this::run);
                for (Runnable task : due) {
                    run(task);
                }
                due.clear();
            }
        } finally {
            watch.interrupt();
        }
    }

    /** Waits for work; null when the loop ends. */
    private @Nullable ArrayDeque<Runnable> next(List<Runnable> due) {
        lock.lock();
        try {
            while (true) {
                takeDue(due);
                if (!tasks.isEmpty() || !due.isEmpty()) {
                    ArrayDeque<Runnable> batch = tasks;
                    tasks = new ArrayDeque<>();
                    return batch;
                }
                if (ending) {
                    return null;
                }
                await();
            }
        } finally {
            lock.unlock();
        }
    }

    @SuppressWarnings("WaitNotInLoop") // next() is the loop
    private void await() {
        Waiting first = timers.peek();
        try {
            if (first == null) {
                arrived.await();
            } else {
                arrived.awaitNanos(Math.max(1, first.at - now()));
            }
        } catch (InterruptedException e) {
            // Only end() interrupts, to free a task that hangs; the loop itself just looks at its queues again.
        }
    }

    /** Takes the timers that are due; each looks again at its task when its turn comes, because it may be cancelled. */
    private void takeDue(List<Runnable> due) {
        long now = now();
        for (Waiting first = timers.peek(); first != null && first.at - now <= 0; first = timers.peek()) {
            timers.remove();
            Waiting timer = first;
            due.add(new Runnable() {
                @Override
                public void run() {
                    Runnable task = taken(timer);
                    if (task != null) {
                        task.run();
                    }
                }

                @Override
                public String toString() {
                    return String.valueOf(timer.task);
                }
            });
        }
    }

    private @Nullable Runnable taken(Waiting timer) {
        lock.lock();
        try {
            Runnable task = timer.task;
            timer.task = null;
            return task;
        } finally {
            lock.unlock();
        }
    }

    @SuppressWarnings("CatchingUnchecked") // whatever a task throws must not end the loop
    private void run(Runnable task) {
        var current = new Running(task, now());
        running = current;
        try {
            task.run();
        } catch (Throwable e) {
            tell(() -> observer.failed(task, e));
        } finally {
            running = null;
            long took = now() - current.since;
            if (took >= stallNanos && current.tell()) {
                tell(() -> observer.stalled(task, Duration.ofNanos(took), List.of()));
            }
        }
    }

    /** An observer that fails has nobody to tell but the standard error. */
    @SuppressWarnings("CatchAndPrintStackTrace")
    private static void tell(Runnable report) {
        try {
            report.run();
        } catch (RuntimeException e) {
            e.printStackTrace();
        }
    }

    private void watch() {
        while (thread.isAlive()) {
            try {
                TimeUnit.NANOSECONDS.sleep(Math.max(1_000_000, stallNanos / 4));
            } catch (InterruptedException e) {
                return;
            }
            Running current = running;
            if (current == null) {
                continue;
            }
            long soFar = now() - current.since;
            if (soFar >= stallNanos && current.tell()) {
                List<StackTraceElement> where = List.of(thread.getStackTrace());
                tell(() -> observer.stalled(current.task, Duration.ofNanos(soFar), where));
            }
        }
    }
}

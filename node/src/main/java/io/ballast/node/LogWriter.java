package io.ballast.node;

import io.ballast.core.event.Event;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * Shows events to whoever runs the daemon, on a thread of its own: whoever reads them may be slow, or have stopped to,
 * and the control loop waits for nobody. What does not fit while that lasts is left out, and counted; the journal has it.
 */
final class LogWriter implements Consumer<Event>, AutoCloseable {
    /** More than a start with 10,000 services has to say. */
    static final int MOST_WAITING = 20_000;

    private static final Duration CLOSE_LIMIT = Duration.ofSeconds(2);

    private final Consumer<Event> show;
    private final Consumer<String> remark;
    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final ArrayDeque<Event> waiting = new ArrayDeque<>();
    private long leftOut;
    private boolean closing;

    /**
     * Starts.
     *
     * @param show shows one event; may block
     * @param remark shows a line about the log itself; may block
     */
    LogWriter(Consumer<Event> show, Consumer<String> remark) {
        this.show = show;
        this.remark = remark;
        this.thread = Thread.ofPlatform().name("log").daemon(true).unstarted(this::write);
        thread.start();
    }

    /** From any thread; returns at once. */
    @Override
    public void accept(Event event) {
        lock.lock();
        try {
            if (waiting.size() < MOST_WAITING) {
                waiting.add(event);
                changed.signal();
            } else {
                leftOut++;
            }
        } finally {
            lock.unlock();
        }
    }

    private void write() {
        List<Event> batch = new ArrayList<>();
        while (true) {
            long missing;
            lock.lock();
            try {
                while (waiting.isEmpty() && !closing) {
                    changed.await();
                }
                if (waiting.isEmpty()) {
                    return;
                }
                batch.addAll(waiting);
                waiting.clear();
                missing = leftOut;
                leftOut = 0;
            } catch (InterruptedException e) {
                return;
            } finally {
                lock.unlock();
            }
            batch.forEach(show);
            batch.clear();
            if (missing > 0) {
                remark.accept(missing + " events were not shown, because their reader was too slow; ballast events"
                        + " has them");
            }
        }
    }

    /** Shows what is left, as far as that takes no longer than two seconds. */
    @Override
    public void close() {
        lock.lock();
        try {
            closing = true;
            changed.signal();
        } finally {
            lock.unlock();
        }
        try {
            if (!thread.join(CLOSE_LIMIT)) {
                thread.interrupt();
            }
        } catch (InterruptedException e) {
            thread.interrupt();
            Thread.currentThread().interrupt();
        }
    }
}

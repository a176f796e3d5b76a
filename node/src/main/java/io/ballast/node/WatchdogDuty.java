package io.ballast.node;

import io.ballast.core.config.ResourcesSpec.WatchdogSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.linux.Watchdog;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Writes to the machine's watchdog for as long as this daemon does its work: the threads that decide have answered lately,
 * and nothing has happened after which the machine must not go on. Without a description of one, none is ever opened.
 */
final class WatchdogDuty implements AutoCloseable {
    /** What is written to. */
    interface Device {
        void feed() throws IOException;

        /** So that the machine is not reset. */
        void end() throws IOException;
    }

    /** Opens it. */
    @FunctionalInterface
    interface Opening {
        Device open(WatchdogSpec spec) throws IOException;
    }

    /** Hears what is worth the journal. */
    @FunctionalInterface
    interface Journal {
        void happened(Severity severity, String type, String message);
    }

    /** Of its time, after which those who have not answered count as dead, and a quarter of which goes by between two writes. */
    private static final int PARTS = 4;

    private final Journal journal;
    private final Opening opening;
    /** Threads that have to answer. */
    private final Map<String, Executor> threads;

    // Guarded by this.
    private Optional<WatchdogSpec> spec = Optional.empty();
    private @Nullable Feeder feeder;
    private String reset = "";

    WatchdogDuty(EventLog events, Map<String, Executor> threads) {
        this(
                (severity, type, message) -> events.happened(severity, type, "watchdog", message, Map.of()),
                threads,
                WatchdogDuty::device);
    }

    WatchdogDuty(Journal journal, Map<String, Executor> threads, Opening opening) {
        this.journal = journal;
        this.threads = Map.copyOf(threads);
        this.opening = opening;
    }

    private static Device device(WatchdogSpec spec) throws IOException {
        Watchdog watchdog = Watchdog.open(spec.device(), (int) spec.timeout().toSeconds());
        return new Device() {
            @Override
            public void feed() throws IOException {
                watchdog.feed();
            }

            @Override
            public void end() throws IOException {
                watchdog.end();
            }
        };
    }

    /** Keeps this one from now on, or none. */
    synchronized void become(Optional<WatchdogSpec> wanted) {
        if (wanted.equals(spec) && (feeder != null || wanted.isEmpty())) {
            return;
        }
        close();
        spec = wanted;
        wanted.ifPresent(this::open);
    }

    private synchronized void open(WatchdogSpec of) {
        try {
            Device device = opening.open(of);
            feeder = new Feeder(of, device);
            feeder.thread.start();
            tell(
                    Severity.INFO,
                    "watchdog.opened",
                    of.device() + " resets this machine when the daemon is dead or hangs for "
                            + of.timeout().toSeconds() + " s");
        } catch (IOException e) {
            tell(
                    Severity.ERROR,
                    "watchdog.failed",
                    "the watchdog " + of.device() + " cannot be had, so nothing resets this machine: "
                            + e.getMessage());
        }
    }

    private void tell(Severity severity, String type, String message) {
        journal.happened(severity, type, message);
    }

    /** The machine must not go on: nothing is written any more. */
    synchronized void reset(String why) {
        if (reset.isEmpty()) {
            reset = why;
            tell(
                    Severity.ERROR,
                    "watchdog.starved",
                    feeder == null
                            ? "this machine should be reset (" + why + "), and there is no watchdog to do so"
                            : "this machine is reset by its watchdog: " + why);
            if (feeder != null) {
                feeder.starved = true;
            }
        }
    }

    /** The machine is not reset for that; but where it must not go on, it is. */
    @Override
    public synchronized void close() {
        Feeder running = feeder;
        feeder = null;
        if (running == null || running.starved) {
            return;
        }
        running.ended = true;
        LockSupport.unpark(running.thread);
        try {
            running.thread.join();
            running.device.end();
        } catch (IOException e) {
            tell(Severity.ERROR, "watchdog.failed", "the watchdog may reset this machine: " + e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The thread that writes. */
    private final class Feeder {
        final Device device;
        final Thread thread;
        private final long timeout;
        volatile boolean ended;
        volatile boolean starved;

        Feeder(WatchdogSpec of, Device device) {
            this.device = device;
            this.timeout = of.timeout().toNanos();
            this.thread = Thread.ofPlatform().daemon().name("watchdog").unstarted(this::run);
        }

        private void run() {
            Answer[] answers = threads.entrySet().stream()
                    .map(each -> new Answer(each.getKey(), each.getValue()))
                    .toArray(Answer[]::new);
            boolean told = false;
            while (!ended && !starved) {
                long now = System.nanoTime();
                String silent = "";
                for (Answer answer : answers) {
                    answer.ask();
                    if (now - answer.last > timeout * (PARTS - 1) / PARTS / 2) {
                        silent = answer.name;
                    }
                }
                if (silent.isEmpty()) {
                    told = false;
                    try {
                        device.feed();
                    } catch (IOException e) {
                        tell(Severity.ERROR, "watchdog.failed", "the watchdog is not written to: " + e.getMessage());
                    }
                } else if (!told) {
                    told = true;
                    tell(
                            Severity.ERROR,
                            "watchdog.starving",
                            "the thread " + silent + " does not answer: this machine is reset if that goes on");
                }
                LockSupport.parkNanos(timeout / PARTS / 2);
            }
        }
    }

    /** When a thread was last at work. */
    private static final class Answer {
        final String name;
        private final Executor thread;
        volatile long last = System.nanoTime();
        private volatile boolean asked;

        Answer(String name, Executor thread) {
            this.name = name;
            this.thread = thread;
        }

        void ask() {
            if (!asked) {
                asked = true;
                thread.execute(() -> {
                    last = System.nanoTime();
                    asked = false;
                });
            }
        }
    }
}

package io.ballast.health;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeSchedule;
import io.ballast.linux.Processes;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Runs checks when they are due: thousands of them, each by itself.
 *
 * <p>One thread keeps the time. It sleeps until the earliest start, hands every due probe to a virtual thread of its
 * own, and never asks a server anything itself; so a probe that hangs holds up nothing but its own check. What a probe
 * finds goes to the listener, and then {@link ProbeSchedule} plans the check's next start.
 *
 * <p>A probe keeps to its deadline by itself. One that does not, for instance because it reads a file on a dead network
 * file system, is reported as a failure a second after its deadline and again every pause, without starting a second
 * one beside it.
 *
 * <p>Two limits protect the process around it: no more than {@code maxRunning} probes are under way at a time (each may
 * hold a descriptor), and a start beyond that is reported as inconclusive instead of waiting. First starts are spaced
 * {@value #FIRST_START_SPACING_MICROS} microseconds apart, so that a large farm does not begin with one burst, nor fall
 * into step.
 *
 * <p>All methods may be called from any thread.
 */
public final class CheckRunner implements AutoCloseable {

    /** Microseconds between the first starts of checks added together. */
    public static final long FIRST_START_SPACING_MICROS = 100;

    private static final long GRACE_NANOS = TimeUnit.SECONDS.toNanos(1);

    /** Without memory to start it, a probe is tried again after this. */
    private static final long RETRY_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    /** Starts between two looks at the clock. */
    private static final int BATCH = 256;

    /** Heap that a probe under way may take, generously: a virtual thread, its buffers, and what it has read. */
    private static final int PROBE_BYTES = 16 * 1024;

    /** Takes results; called on the probe's virtual thread, so it should hand them on and return. */
    @FunctionalInterface
    public interface Listener {
        /**
         * A probe has ended.
         *
         * @param id of a check that may have been removed a moment ago
         */
        void onResult(CheckId id, ProbeResult result);
    }

    private final Function<ProbeSpec, Probe> probes;
    private final Listener listener;
    private final int maxRunning;
    private final DelayHistogram startDelays = new DelayHistogram();
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition earlier = lock.newCondition();
    private final Map<CheckId, Check> checks = new HashMap<>();
    private final DueQueue<Check> due = new DueQueue<>();
    private long lastFirstStart = System.nanoTime();
    private int running;
    private boolean closed;

    /**
     * One check; everything in it is guarded by the lock. It is due at its next start or, while it runs, when it would
     * be overdue.
     */
    private static final class Check extends DueQueue.Item {
        final CheckId id;
        final ProbeSchedule schedule;
        CheckSpec spec;
        ProbeTarget target;
        Probe probe;

        @Nullable
        Run run;

        boolean stuck;

        Check(CheckId id, CheckSpec spec, ProbeTarget target, Probe probe, long first) {
            this.id = id;
            this.spec = spec;
            this.target = target;
            this.probe = probe;
            this.schedule = new ProbeSchedule(spec, first);
        }
    }

    /**
     * Starts without checks.
     *
     * @param probes makes the probe for a description, see {@link Probes}
     * @param maxRunning probes that may be under way at a time, see {@link #affordable}
     */
    public CheckRunner(Function<ProbeSpec, Probe> probes, int maxRunning, Listener listener) {
        this.probes = probes;
        this.maxRunning = maxRunning;
        this.listener = listener;
        var _ = Thread.ofPlatform().name("check-timing").daemon().start(this::keepTime);
    }

    /**
     * Adds a check, or changes one. A new or changed check is asked at once, and a run of its older form is dropped
     * without a result; one that is put again as it was goes on undisturbed.
     */
    public void put(CheckId id, CheckSpec spec, ProbeTarget target) {
        lock.lock();
        try {
            if (closed) {
                throw new IllegalStateException("check " + id + ": the runner is closed");
            }
            Check check = checks.get(id);
            if (check == null) {
                long start = firstStart();
                check = new Check(id, spec, target, probes.apply(spec.probe()), start);
                checks.put(id, check);
                plan(check, start);
            } else if (!check.spec.equals(spec) || !check.target.equals(target)) {
                Probe probe = check.spec.probe().equals(spec.probe()) ? check.probe : probes.apply(spec.probe());
                check.schedule.configure(spec);
                drop(check);
                check.spec = spec;
                check.target = target;
                check.probe = probe;
                long start = firstStart();
                check.schedule.restart(start);
                plan(check, start);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Ends a check; a run under way is interrupted and gives no result. Unknown ones are ignored. */
    public void remove(CheckId id) {
        lock.lock();
        try {
            Check check = checks.remove(id);
            if (check != null) {
                due.remove(check);
                drop(check);
            }
        } finally {
            lock.unlock();
        }
    }

    /** How many checks there are. */
    public int size() {
        lock.lock();
        try {
            return checks.size();
        } finally {
            lock.unlock();
        }
    }

    /** How many probes are under way, dropped ones that have not ended yet included. */
    public int running() {
        lock.lock();
        try {
            return running;
        } finally {
            lock.unlock();
        }
    }

    /** How late probes started, measured on their own thread. */
    public DelayHistogram startDelays() {
        return startDelays;
    }

    /** Ends every check; runs under way are interrupted and give no result. */
    @Override
    public void close() {
        lock.lock();
        try {
            closed = true;
            checks.values().forEach(CheckRunner::drop);
            checks.clear();
            due.clear();
            earlier.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * How many probes may be under way in this process without harm: as many as half of its descriptors and half of its
     * heap allow.
     */
    public static int affordable() {
        long descriptors;
        try {
            descriptors = Processes.fileLimit().soft();
        } catch (IOException e) {
            descriptors = 1024; // what every process has
        }
        return Math.clamp(Math.min(descriptors, Runtime.getRuntime().maxMemory() / PROBE_BYTES) / 2, 16, 1 << 20);
    }

    private long firstStart() {
        lastFirstStart =
                Math.max(System.nanoTime(), lastFirstStart + TimeUnit.MICROSECONDS.toNanos(FIRST_START_SPACING_MICROS));
        return lastFirstStart;
    }

    private static void drop(Check check) {
        if (check.run != null) {
            check.run.thread.interrupt();
            check.run = null;
        }
        check.stuck = false;
    }

    private void plan(Check check, long at) {
        due.put(check, at);
        if (due.first() == check) {
            earlier.signal();
        }
    }

    private void keepTime() {
        List<Run> begun = new ArrayList<>(BATCH);
        List<Thread> reports = new ArrayList<>(BATCH);
        while (true) {
            lock.lock();
            try {
                if (closed) {
                    return;
                }
                long now = System.nanoTime();
                Check check = due.first();
                while (check != null && check.dueAt() - now <= 0 && begun.size() + reports.size() < BATCH) {
                    try {
                        if (check.run == null) {
                            begun.add(begin(check));
                        } else {
                            reports.add(overdue(check, check.run, now));
                        }
                    } catch (OutOfMemoryError e) {
                        due.put(check, now + RETRY_NANOS);
                    }
                    check = due.first();
                }
                if (begun.isEmpty() && reports.isEmpty()) {
                    var _ = earlier.awaitNanos(check == null ? Long.MAX_VALUE : check.dueAt() - now);
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException("nobody may interrupt the timing thread", e);
            } finally {
                lock.unlock();
            }
            for (Run run : begun) {
                try {
                    run.thread.start();
                } catch (OutOfMemoryError e) {
                    run.finish(ProbeResult.Outcome.INCONCLUSIVE);
                }
            }
            reports.forEach(Thread::start);
            begun.clear();
            reports.clear();
        }
    }

    private Run begin(Check check) {
        Run run = new Run(check, running < maxRunning ? check.probe : this::full);
        check.run = run;
        check.stuck = false;
        running++;
        due.put(check, run.planned + run.timeout + GRACE_NANOS);
        return run;
    }

    private ProbeResult full(ProbeTarget unusedTarget, Deadline unusedDeadline) {
        return ProbeResult.inconclusive(
                "not started: " + maxRunning + " other probes are under way, as many as are allowed", 0);
    }

    /** The probe did not keep to its deadline: the check fails, and the thread is left to end when it can. */
    private Thread overdue(Check check, Run run, long now) {
        check.stuck = true;
        run.thread.interrupt();
        check.schedule.onResult(ProbeResult.Outcome.FAILURE, now);
        due.put(check, now + Math.max(check.schedule.pause(), GRACE_NANOS));
        ProbeResult result = ProbeResult.failure(
                "still no end of the probe " + Texts.took(now - run.planned) + " after its start, with a time-out of "
                        + Texts.limit(run.timeout),
                TimeUnit.NANOSECONDS.toMicros(now - run.planned));
        return Thread.ofVirtual().unstarted(() -> listener.onResult(check.id, result));
    }

    /** One run of a probe, on its virtual thread. */
    private final class Run implements Runnable {
        private final Check check;
        private final Probe probe;
        private final ProbeTarget target;
        private final long planned;
        private final long timeout;
        private final Thread thread;

        @SuppressWarnings("this-escape") // the thread is started long after the constructor has ended
        Run(Check check, Probe probe) {
            this.check = check;
            this.probe = probe;
            this.target = check.target;
            this.planned = check.dueAt();
            this.timeout = check.spec.timeout().toNanos();
            this.thread = Thread.ofVirtual().unstarted(this);
        }

        @Override
        public void run() {
            long started = System.nanoTime();
            startDelays.record(started - planned);
            ProbeResult result = ProbeResult.inconclusive("interrupted", 0);
            boolean wanted = false;
            try {
                result = ask(new Deadline(started + timeout));
                wanted = takeBack();
                if (wanted) {
                    listener.onResult(check.id, result);
                }
            } catch (InterruptedException e) {
                // The check was removed or changed, or its failure to end in time has been reported already.
                wanted = false;
            } finally {
                finish(wanted ? result.outcome() : ProbeResult.Outcome.INCONCLUSIVE);
            }
        }

        private ProbeResult ask(Deadline deadline) throws InterruptedException {
            try {
                return probe.run(target, deadline);
            } catch (VirtualMachineError | LinkageError e) {
                // Out of memory, or out of descriptors just when a class had to be loaded.
                return ProbeResult.inconclusive("the director itself is in trouble: " + e, 0);
            } catch (RuntimeException e) {
                return ProbeResult.failure("the probe itself broke: " + e, 0);
            }
        }

        /** Whether the result still counts; it cannot become overdue any more then. */
        private boolean takeBack() {
            lock.lock();
            try {
                if (check.run != this) {
                    return false;
                }
                due.remove(check);
                return !check.stuck;
            } finally {
                lock.unlock();
            }
        }

        private void finish(ProbeResult.Outcome outcome) {
            long now = System.nanoTime();
            lock.lock();
            try {
                running--;
                if (check.run == this) {
                    check.run = null;
                    due.remove(check);
                    check.schedule.onResult(outcome, now);
                    plan(
                            check,
                            check.schedule.nextStart(
                                    now, ThreadLocalRandom.current().nextDouble()));
                }
            } finally {
                lock.unlock();
            }
        }
    }
}

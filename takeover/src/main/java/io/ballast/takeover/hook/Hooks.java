package io.ballast.takeover.hook;

import io.ballast.linux.Fifo;
import io.ballast.linux.Hook;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Tells the operator's programs what a node has become to a virtual router. A script that is to start a service at the
 * master and stop it at a backup does harm when the two run at the same time or in the wrong order; so the hooks of a
 * virtual router are run one after another, in the order of what happened, and every one of them is run: also one whose
 * news are old when its turn comes, since what it would have done may be what the next undoes. Virtual routers do not
 * wait for each other, but for a limit on how many hooks run at a time.
 *
 * <p>A hook that does not end is killed after a time-out ({@link Hook}), so that those behind it come to their turn.
 *
 * <p>A named pipe, where one is given, gets an event at once, as a line as keepalived's: {@code INSTANCE "web" MASTER 150}. Nobody has to
 * read it. Nothing here waits for a hook or a reader, so any thread may tell of events.
 */
public final class Hooks implements AutoCloseable {
    /** After which a hook is killed. */
    public static final Duration TIMEOUT = Duration.ofSeconds(30);

    static final int AT_A_TIME = 32;
    /** So many hooks of a virtual router that wait are worth telling. */
    static final int MANY = 100;

    /** What a node has become to a virtual router. */
    public enum State {
        /** It has the addresses. */
        MASTER,
        /** Another has, or is about to. */
        BACKUP,
        /** It must not have them, as something is missing. */
        FAULT,
        /** It takes no part any more. */
        STOP
    }

    /**
     * Something that happened.
     *
     * @param router the virtual router's name
     * @param priority of the node, 1 to 255
     * @param facts for the hooks by name, beside {@code router}, {@code state} and {@code priority}: {@code why}
     *     becomes {@code BALLAST_WHY}
     */
    public record Event(String router, State state, int priority, Map<String, String> facts) {
        public Event {
            facts = Map.copyOf(facts);
        }
    }

    /** Hears what became of hooks; called on any thread. */
    public interface Listener {
        /** A hook has ended. */
        void ended(Event event, List<String> command, Hook.Result result);

        /** Something that an administrator should know. */
        void warn(String message);
    }

    private record Job(Event event, List<String> command) {}

    private final Duration timeout;
    private final Listener listener;
    private final Semaphore running = new Semaphore(AT_A_TIME, true);

    // Guarded by this.
    /** What waits or runs, by virtual router; only where something does. */
    private final Map<String, Deque<Job>> queues = new HashMap<>();

    private final Map<String, Thread> workers = new HashMap<>();
    /** Full pipes that have been told of. */
    private final Set<Fifo> unread = new HashSet<>();

    private boolean closed;

    /**
     * Without anything to tell so far.
     *
     * @param timeout after which a hook is killed
     */
    public Hooks(Duration timeout, Listener listener) {
        this.timeout = timeout;
        this.listener = listener;
    }

    /**
     * Tells of an event. Events of a virtual router are to be told in their order.
     *
     * @param commands to run for it, one after another: each a program's path, and its arguments
     * @param fifo that is told of it; not to be closed before this is
     */
    public synchronized void happened(Event event, List<List<String>> commands, Optional<Fifo> fifo) {
        if (closed) {
            return;
        }
        fifo.ifPresent(pipe -> write(event, pipe));
        if (commands.isEmpty()) {
            return;
        }
        String router = event.router();
        Deque<Job> queue = queues.get(router);
        boolean idle = queue == null;
        if (queue == null) {
            queue = new ArrayDeque<>();
            queues.put(router, queue);
        }
        for (List<String> command : commands) {
            queue.addLast(new Job(event, List.copyOf(command)));
            if (queue.size() % MANY == 0) {
                listener.warn(queue.size() + " hooks of virtual router " + router + " wait for their turn");
            }
        }
        if (idle) {
            Deque<Job> jobs = queue;
            workers.put(router, Thread.ofVirtual().name("hooks " + router).start(() -> work(router, jobs)));
        }
    }

    private synchronized void write(Event event, Fifo fifo) {
        try {
            boolean written =
                    fifo.write("INSTANCE \"" + event.router() + "\" " + event.state() + " " + event.priority());
            if (written) {
                unread.remove(fifo);
            } else if (unread.add(fifo)) {
                listener.warn("the named pipe of notifications is full, as nobody reads it: events are missing in it");
            }
        } catch (IOException e) {
            listener.warn("the named pipe of notifications: " + e.getMessage());
        }
    }

    private void work(String router, Deque<Job> jobs) {
        try {
            for (Job job = next(router, jobs); job != null; job = next(router, jobs)) {
                run(job);
            }
        } catch (InterruptedException e) {
            var _ = next(router, jobs); // closed: there is none
        }
    }

    /** What is to run now; null where nothing is left, or this is closed. */
    private synchronized @Nullable Job next(String router, Deque<Job> jobs) {
        Job job = closed ? null : jobs.pollFirst();
        if (job == null) {
            queues.remove(router);
            workers.remove(router);
            notifyAll();
        }
        return job;
    }

    private void run(Job job) throws InterruptedException {
        Map<String, String> facts = new LinkedHashMap<>(job.event().facts());
        facts.put("router", job.event().router());
        facts.put("state", job.event().state().name());
        facts.put("priority", Integer.toString(job.event().priority()));
        running.acquire();
        try {
            listener.ended(job.event(), job.command(), Hook.run(job.command(), facts, timeout));
        } finally {
            running.release();
        }
    }

    /**
     * Waits until every hook has ended; those of a daemon's end should have the time to run.
     *
     * @return false when some had not by then
     */
    public synchronized boolean finish(Duration patience) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (!queues.isEmpty()) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            TimeUnit.NANOSECONDS.timedWait(this, left);
        }
        return true;
    }

    /** Kills what runs, forgets what waits, and tells of nothing any more. */
    @Override
    public synchronized void close() {
        closed = true;
        workers.values().forEach(Thread::interrupt);
    }
}

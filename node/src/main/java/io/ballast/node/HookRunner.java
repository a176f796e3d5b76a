package io.ballast.node;

import io.ballast.core.event.Event.Severity;
import io.ballast.linux.Hook;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;

/**
 * Runs the operator's notify hooks: programs that hear what happened.
 *
 * <p>A hook can do no harm to the daemon: each runs on a virtual thread, no more than {@value #AT_A_TIME} at a time
 * (the others wait their turn, up to a limit), it is killed with all its children after a time-out, and of what it
 * prints the first {@value Hook#OUTPUT} bytes are read. However it ends, that is told.
 */
final class HookRunner {
    static final int AT_A_TIME = 8;
    static final Duration TIMEOUT = Duration.ofSeconds(30);
    static final int MOST_WAITING = 1000;

    /** Hears how a hook ended; called on any thread. */
    @FunctionalInterface
    interface Ended {
        /** See {@link io.ballast.core.event.Event}. */
        void onEnd(Severity severity, String type, String subject, String message, Map<String, String> data);
    }

    private final Semaphore running = new Semaphore(AT_A_TIME, true);
    private final Semaphore waiting;
    private final int mostWaiting;
    private final Duration timeout;
    private final Ended ended;

    /**
     * Without hooks to run yet.
     *
     * @param timeout after which a hook is killed
     * @param mostWaiting how many may wait for their turn; one more is not run, and that is told
     */
    HookRunner(Duration timeout, int mostWaiting, Ended ended) {
        this.waiting = new Semaphore(AT_A_TIME + mostWaiting);
        this.mostWaiting = mostWaiting;
        this.timeout = timeout;
        this.ended = ended;
    }

    /**
     * Runs a program and returns at once.
     *
     * @param command the program and its arguments
     * @param subject what it is about
     * @param facts by name; {@code service} becomes {@code BALLAST_SERVICE}
     */
    void run(List<String> command, String subject, Map<String, String> facts) {
        if (!waiting.tryAcquire()) {
            ended.onEnd(
                    Severity.ERROR,
                    "notify.failed",
                    subject,
                    "the hook " + String.join(" ", command) + " was not run: " + mostWaiting + " others wait already",
                    Map.of("command", String.join(" ", command)));
            return;
        }
        Thread.ofVirtual().name("hook").start(() -> {
            try {
                running.acquire();
                try {
                    runNow(command, subject, facts);
                } finally {
                    running.release();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                waiting.release();
            }
        });
    }

    private void runNow(List<String> words, String subject, Map<String, String> facts) throws InterruptedException {
        tell(ended, words, subject, Hook.run(words, facts, timeout));
    }

    /** Tells how a hook ended. */
    static void tell(Ended ended, List<String> words, String subject, Hook.Result result) {
        String command = String.join(" ", words);
        Map<String, String> data = new LinkedHashMap<>();
        data.put("command", command);
        data.put("millis", Long.toString(result.took().toMillis()));
        if (!result.output().isEmpty()) {
            data.put("output", result.output());
        }
        Severity severity = switch (result.end()) {
            case RAN -> Severity.INFO;
            case FAILED -> Severity.WARNING;
            case KILLED, NOT_STARTED -> Severity.ERROR;
        };
        ended.onEnd(
                severity,
                result.end() == Hook.End.RAN ? "notify.ran" : "notify.failed",
                subject,
                "the hook " + command + " " + result.how(),
                data);
    }
}

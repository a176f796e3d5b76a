package io.ballast.node;

import io.ballast.core.event.Event.Severity;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Runs the operator's notify hooks: programs that hear what happened.
 *
 * <p>A hook can do no harm to the daemon: each runs on a virtual thread, no more than {@value #AT_A_TIME} at a time (the
 * others wait their turn, up to a limit), it is killed with all its children after a time-out, and of what
 * it prints the first {@value #OUTPUT} bytes are read. However it ends, that is told.
 */
final class HookRunner {
    static final int AT_A_TIME = 8;
    static final int OUTPUT = 4096;
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

    private void runNow(List<String> command, String subject, Map<String, String> facts) throws InterruptedException {
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectInput(new File("/dev/null"));
        facts.forEach((name, value) -> builder.environment()
                .put("BALLAST_" + name.toUpperCase(Locale.ROOT).replace('-', '_'), value.replace('\0', ' ')));
        long begun = System.nanoTime();
        Process process;
        try {
            process = builder.start();
        } catch (IOException e) {
            told(Severity.ERROR, "notify.failed", subject, command, "cannot be started: " + e.getMessage(), "", begun);
            return;
        }
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        Thread reader = Thread.ofVirtual().name("hook-output").start(() -> read(process.getInputStream(), output));
        boolean inTime = process.waitFor(timeout.toNanos(), TimeUnit.NANOSECONDS);
        if (!inTime) {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
            var _ = process.waitFor();
        }
        // A child that the hook left behind may hold the pipe open for as long as it likes.
        var _ = reader.join(Duration.ofMillis(200));
        String said = output.toString(StandardCharsets.UTF_8).strip();
        if (!inTime) {
            told(
                    Severity.ERROR,
                    "notify.failed",
                    subject,
                    command,
                    "was killed: it did not end in " + timeout.toSeconds() + " s",
                    said,
                    begun);
        } else if (process.exitValue() != 0) {
            told(
                    Severity.WARNING,
                    "notify.failed",
                    subject,
                    command,
                    "ended with exit code " + process.exitValue() + (said.isEmpty() ? "" : ": " + firstLine(said)),
                    said,
                    begun);
        } else {
            told(Severity.INFO, "notify.ran", subject, command, "ran", said, begun);
        }
    }

    private void told(
            Severity severity, String type, String subject, List<String> words, String how, String output, long begun) {
        String command = String.join(" ", words);
        Map<String, String> data = new LinkedHashMap<>();
        data.put("command", command);
        data.put("millis", Long.toString(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun)));
        if (!output.isEmpty()) {
            data.put("output", output);
        }
        ended.onEnd(severity, type, subject, "the hook " + command + " " + how, data);
    }

    private static String firstLine(String text) {
        int end = text.indexOf('\n');
        return end < 0 ? text : text.substring(0, end);
    }

    private static void read(InputStream in, ByteArrayOutputStream output) {
        try (in) {
            byte[] buffer = new byte[1024];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                int wanted = Math.min(n, OUTPUT - output.size());
                if (wanted > 0) {
                    output.write(buffer, 0, wanted);
                }
            }
        } catch (IOException e) {
            // The process was killed; what it had said until then is enough.
        }
    }
}

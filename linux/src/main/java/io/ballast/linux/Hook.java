package io.ballast.linux;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * Runs an operator's hook, a program that hears what happened: once, to its end or a time-out, at which it is killed
 * with all that it has started ({@link Program}). What it leaves running when it ends in time is its own business. Of
 * what it prints a bounded part is kept.
 */
public final class Hook {
    /** How many bytes of what it prints are kept. */
    public static final int OUTPUT = 4096;

    private static final String SHELL = "/bin/sh";

    private Hook() {}

    /** How a hook ended. */
    public enum End {
        /** By itself, with exit code 0. */
        RAN,
        /** By itself with another, or by a signal that came from elsewhere. */
        FAILED,
        /** It was killed. */
        KILLED,
        /** It could not be started. */
        NOT_STARTED
    }

    /**
     * What became of a hook.
     *
     * @param how for people, to be put behind its name: {@code ended with exit code 3: no such host}
     * @param output the beginning of what it printed, without blank space around it
     * @param took from its start to its end
     * @param code with which it ended by itself; -1 where it did not
     */
    public record Result(End end, String how, String output, Duration took, int code) {}

    /**
     * Runs a hook and waits for its end.
     *
     * @param command the program as a path, and its arguments; a script whose first line does not say
     *     by what it is to be run is run by {@code /bin/sh}
     * @param facts by name; {@code service} becomes {@code BALLAST_SERVICE}
     * @throws InterruptedException when this thread was interrupted; the hook is killed
     */
    public static Result run(List<String> command, Map<String, String> facts, Duration timeout)
            throws InterruptedException {
        return run(command, facts, Map.of(), timeout);
    }

    /** The same, with more in its environment, as it is. */
    public static Result run(
            List<String> command, Map<String, String> facts, Map<String, String> more, Duration timeout)
            throws InterruptedException {
        Map<String, String> environment = Program.environment();
        environment.putAll(more);
        facts.forEach((name, value) -> environment.put(
                "BALLAST_" + name.toUpperCase(Locale.ROOT).replace('-', '_'), value.replace('\0', ' ')));
        long begun = System.nanoTime();
        CompletableFuture<Program.Result> end = new CompletableFuture<>();
        // Starting a program, and waiting for it, blocks a thread.
        Thread thread = Thread.ofPlatform().daemon().name("hook").start(() -> {
            try {
                end.complete(run(command, environment, begun + timeout.toNanos()));
            } catch (IOException | RuntimeException e) {
                end.completeExceptionally(e);
            }
        });
        try {
            return result(end.get(), timeout, took(begun));
        } catch (ExecutionException e) {
            if (!(e.getCause() instanceof IOException why) || why instanceof InterruptedIOException) {
                throw new IllegalStateException(String.join(" ", command), e.getCause());
            }
            return new Result(End.NOT_STARTED, "cannot be started: " + why.getMessage(), "", took(begun), -1);
        } catch (InterruptedException e) {
            thread.interrupt();
            throw e;
        }
    }

    private static Duration took(long begun) {
        return Duration.ofNanos(System.nanoTime() - begun);
    }

    private static Program.Result run(List<String> command, Map<String, String> environment, long deadlineNanos)
            throws IOException {
        try {
            return Program.run(command, environment, OUTPUT, deadlineNanos, Program.Remains.LEFT);
        } catch (LinuxException e) {
            if (e.errno() != Errno.ENOEXEC) {
                throw e;
            }
            List<String> script = new ArrayList<>(command);
            script.addFirst(SHELL);
            return Program.run(script, environment, OUTPUT, deadlineNanos, Program.Remains.LEFT);
        }
    }

    private static Result result(Program.Result result, Duration timeout, Duration took) {
        String said = (result.output() + result.errors()).strip();
        said = said.substring(0, Math.min(said.length(), OUTPUT));
        String first = said.lines().findFirst().map(line -> ": " + line).orElse("");
        return switch (result.end()) {
            case EXITED ->
                result.number() == 0
                        ? new Result(End.RAN, "ran", said, took, 0)
                        : new Result(
                                End.FAILED,
                                "ended with exit code " + result.number() + first,
                                said,
                                took,
                                result.number());
            case SIGNALLED -> new Result(End.FAILED, "was ended by signal " + result.number() + first, said, took, -1);
            case KILLED_LATE ->
                new Result(End.KILLED, "was killed: it did not end in " + timeout.toSeconds() + " s", said, took, -1);
            case KILLED_FLOODING ->
                new Result(
                        End.KILLED,
                        "was killed: it printed more than " + Program.FLOOD_BYTES / 1024 + " KiB",
                        said,
                        took,
                        -1);
        };
    }
}

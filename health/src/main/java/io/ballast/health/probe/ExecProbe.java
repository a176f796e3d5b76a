package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Deadline;
import io.ballast.health.Probe;
import io.ballast.health.ProbeTarget;
import io.ballast.health.Texts;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeResult.Outcome;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Program;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * An external program, by the rules of Nagios plugins: the exit code decides, the first line of the output is the
 * reason, and what follows a {@code |} in it is performance data. A program that is missing or cannot be executed is a
 * mistake in the description, which would otherwise go unnoticed: the check fails and says so. One that cannot be
 * started for lack of memory, processes or descriptors is the director's problem, and inconclusive.
 */
final class ExecProbe implements Probe {

    /** Bytes of output that are kept, as many as Nagios keeps. */
    static final int MAX_OUTPUT = 8192;

    private final List<String> command;
    private final BlockingCalls calls;

    ExecProbe(ProbeSpec.Exec spec, BlockingCalls calls) {
        if (spec.command().isEmpty() || !spec.command().getFirst().startsWith("/")) {
            throw new IllegalArgumentException("command must begin with the absolute path of a program");
        }
        this.command = spec.command();
        this.calls = calls;
    }

    private sealed interface Ran {}

    private record Ended(Program.Result result) implements Ran {}

    private record NotStarted(IOException why) implements Ran {}

    @Override
    public ProbeResult run(ProbeTarget target, Deadline deadline) throws InterruptedException {
        long started = System.nanoTime();
        long timeout = TimeUnit.MILLISECONDS.toNanos(Math.round((deadline.nanoTime() - started) / 1e6));
        // Killing takes a moment; the call itself ends late only where the kernel cannot start or end the program.
        Deadline whole = new Deadline(deadline.nanoTime() + TimeUnit.MILLISECONDS.toNanos(500));
        List<String> filled = command.stream().map(word -> fill(word, target)).toList();
        BlockingCalls.Answer<Ran> answer = calls.call(() -> execute(filled, deadline), whole);
        long micros = TimeUnit.NANOSECONDS.toMicros(System.nanoTime() - started);
        String program = command.getFirst();
        return switch (answer) {
            case BlockingCalls.Full<Ran> full -> ProbeResult.inconclusive(full.reason(), micros);
            case BlockingCalls.Late<Ran> _ ->
                ProbeResult.failure(
                        program + " neither started nor ended within " + Texts.limit(timeout) + ", even when killed",
                        micros);
            case BlockingCalls.Done<Ran> done ->
                switch (done.value()) {
                    case NotStarted not -> notStarted(program, not.why(), micros);
                    case Ended(Program.Result result)
                    when result.end() == Program.End.KILLED_LATE && done.waitedNanos() > timeout / 10 ->
                        ProbeResult.inconclusive(
                                program + " had to wait " + Texts.took(done.waitedNanos())
                                        + " for other check programs to end, and then had too little time",
                                micros);
                    case Ended(Program.Result result) -> result(program, result, Texts.limit(timeout), micros);
                };
        };
    }

    private static Ran execute(List<String> command, Deadline deadline) {
        try {
            return new Ended(Program.run(command, Program.environment(), MAX_OUTPUT, deadline.nanoTime()));
        } catch (IOException e) {
            return new NotStarted(e);
        }
    }

    static String fill(String word, ProbeTarget target) {
        return word.replace("${address}", target.address().getHostAddress())
                .replace("${port}", Integer.toString(target.port()))
                .replace("${name}", target.server())
                .replace("${service}", target.service());
    }

    private static ProbeResult notStarted(String program, IOException why, long micros) {
        if (!(why instanceof LinuxException linux)) {
            return ProbeResult.failure(program + ": " + why.getMessage(), micros);
        }
        return switch (linux.errno()) {
            case ENOENT ->
                ProbeResult.failure(
                        "check program " + program + " is missing, or the interpreter that its first line names",
                        micros);
            case EACCES ->
                ProbeResult.failure(
                        "check program " + program
                                + (Files.isDirectory(Path.of(program))
                                        ? " is a directory; name the program in it"
                                        : " is not executable: chmod +x it, and its folders too"),
                        micros);
            case ENOEXEC ->
                ProbeResult.failure(
                        "check program " + program
                                + " is neither a program for this machine nor a script whose first line begins with #!",
                        micros);
            case EMFILE, ENFILE, ENOMEM, EAGAIN ->
                ProbeResult.inconclusive("check program not started: " + linux.getMessage(), micros);
            default -> ProbeResult.failure("check program not started: " + linux.getMessage(), micros);
        };
    }

    static ProbeResult result(String program, Program.Result ran, String limit, long micros) {
        String printed = ran.output().isBlank() ? ran.errors() : ran.output();
        String first =
                printed.lines().filter(line -> !line.isBlank()).findFirst().orElse("");
        int bar = first.indexOf('|');
        String text = (bar < 0 ? first : first.substring(0, bar)).strip();
        String perfdata = bar < 0 ? "" : first.substring(bar + 1).strip();
        return switch (ran.end()) {
            case KILLED_LATE ->
                new ProbeResult(
                        Outcome.FAILURE,
                        program + " did not end within " + limit + " and was killed" + said(text),
                        micros,
                        perfdata,
                        printed);
            case KILLED_FLOODING ->
                new ProbeResult(
                        Outcome.FAILURE,
                        program + " printed more than " + Program.FLOOD_BYTES + " bytes and was killed",
                        micros,
                        "",
                        printed);
            case SIGNALLED ->
                new ProbeResult(
                        Outcome.FAILURE,
                        program + " was ended by signal " + ran.number() + said(text),
                        micros,
                        perfdata,
                        printed);
            case EXITED -> {
                // Of Nagios' four states, WARNING (1) still serves; CRITICAL (2) and UNKNOWN (3) do not.
                Outcome outcome = ran.number() <= 1 ? Outcome.SUCCESS : Outcome.FAILURE;
                String reason =
                        text.isEmpty() ? "exit code " + ran.number() + " of " + program + ", without output" : text;
                if (ran.number() > 1 && !text.isEmpty()) {
                    reason += " (exit code " + ran.number() + ")";
                }
                yield new ProbeResult(outcome, reason, micros, perfdata, printed);
            }
        };
    }

    private static String said(String text) {
        return text.isEmpty() ? "" : "; it said: " + text;
    }
}

package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Deadline;
import io.ballast.health.Probe;
import io.ballast.health.ProbeTarget;
import io.ballast.health.Texts;
import io.ballast.health.state.ProbeResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * Whether a file is there: the operator's switch to take a server out or in. The look goes to a thread of its own,
 * since a file may lie on a network file system that does not answer.
 */
final class FileProbe implements Probe {

    private final Path path;
    private final boolean wanted;
    private final BlockingCalls calls;

    FileProbe(ProbeSpec.File spec, BlockingCalls calls) {
        this.path = Path.of(spec.path());
        this.wanted = spec.present();
        this.calls = calls;
    }

    private enum Found {
        PRESENT,
        ABSENT,
        UNKNOWN
    }

    @Override
    public ProbeResult run(ProbeTarget target, Deadline deadline) throws InterruptedException {
        long started = System.nanoTime();
        long timeout = TimeUnit.MILLISECONDS.toNanos(Math.round((deadline.nanoTime() - started) / 1e6));
        BlockingCalls.Answer<Found> answer = calls.call(() -> look(path), deadline);
        long micros = TimeUnit.NANOSECONDS.toMicros(System.nanoTime() - started);
        return switch (answer) {
            case BlockingCalls.Late<Found> _ ->
                ProbeResult.failure(
                        "no answer from the file system within " + Texts.limit(timeout) + " about " + path, micros);
            case BlockingCalls.Full<Found> full -> ProbeResult.inconclusive(full.reason(), micros);
            case BlockingCalls.Done<Found> done ->
                switch (done.value()) {
                    case PRESENT ->
                        wanted
                                ? ProbeResult.success(path + " is present", micros)
                                : ProbeResult.failure(path + " is present, and must be absent", micros);
                    case ABSENT ->
                        wanted
                                ? ProbeResult.failure(path + " is absent, and must be present", micros)
                                : ProbeResult.success(path + " is absent", micros);
                    case UNKNOWN ->
                        ProbeResult.failure(path + ": not allowed to look, or the file system failed", micros);
                };
        };
    }

    private static Found look(Path path) {
        // A dangling link counts as present: it was put there by somebody.
        if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return Found.PRESENT;
        }
        return Files.notExists(path, LinkOption.NOFOLLOW_LINKS) ? Found.ABSENT : Found.UNKNOWN;
    }
}

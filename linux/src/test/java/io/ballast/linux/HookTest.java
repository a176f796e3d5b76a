package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class HookTest {
    private static final Duration MINUTE = Duration.ofMinutes(1);

    @TempDir
    private Path directory;

    private Hook.Result run(String script) throws InterruptedException {
        return Hook.run(List.of("/bin/sh", "-c", script), Map.of(), MINUTE);
    }

    @Test
    void whatItLeavesRunningGoesOn() throws Exception {
        Path gate = directory.resolve("gate");
        Path done = directory.resolve("done");
        Hook.Result result = run("(while [ ! -e " + gate + " ]; do sleep 0.02; done; echo it prints; touch " + done
                + ") & echo started");
        assertThat(result.end()).isEqualTo(Hook.End.RAN);
        assertThat(result.output()).isEqualTo("started");
        Files.createFile(gate);
        Host.await("its end", () -> Files.exists(done));
    }

    @Test
    void aScriptWithoutAFirstLineIsTheShells() throws Exception {
        Path script = Files.writeString(directory.resolve("hook"), "echo \"$1 $BALLAST_A_FACT\"\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        Hook.Result result = Hook.run(List.of(script.toString(), "one"), Map.of("a-fact", "two\0three"), MINUTE);
        assertThat(result.output()).isEqualTo("one two three");
    }

    @Test
    void whatItPrintsIsKeptToTheBound() throws IOException, InterruptedException {
        Hook.Result result = run("head -c 100000 /dev/zero | tr '\\0' x; echo error >&2");
        assertThat(result.end()).isEqualTo(Hook.End.RAN);
        assertThat(result.output()).hasSize(Hook.OUTPUT).startsWith("xxx");
        assertThat(run("head -c 9000000 /dev/zero").how()).isEqualTo("was killed: it printed more than 1024 KiB");
    }

    @Test
    void aSignalEndsItAsAFailure() throws Exception {
        Hook.Result result = run("kill -TERM $$");
        assertThat(result.end()).isEqualTo(Hook.End.FAILED);
        assertThat(result.how()).isEqualTo("was ended by signal 15");
    }
}

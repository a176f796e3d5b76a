package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Hook;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HookRunnerTest {
    private record Told(String type, String message, Map<String, String> data) {}

    private final LinkedBlockingQueue<Told> told = new LinkedBlockingQueue<>();

    private HookRunner runner(Duration timeout) {
        return new HookRunner(
                timeout, 2, (severity, type, subject, message, data) -> told.add(new Told(type, message, data)));
    }

    private static List<String> shell(String script) {
        return List.of("/bin/sh", "-c", script);
    }

    private Told next() throws InterruptedException {
        return Objects.requireNonNull(told.poll(60, TimeUnit.SECONDS), "nothing was told in 60 s");
    }

    @Test
    void aHookGetsTheFactsAndItsEndIsTold() throws Exception {
        runner(Duration.ofSeconds(60))
                .run(
                        shell("echo \"$BALLAST_SERVICE is $BALLAST_STATE\""),
                        "web",
                        Map.of("service", "web", "state", "down"));
        Told end = next();
        assertThat(end.type()).isEqualTo("notify.ran");
        assertThat(end.data()).containsEntry("output", "web is down");
    }

    @Test
    void aHookThatFailsIsTold() throws Exception {
        runner(Duration.ofSeconds(60)).run(shell("echo oh; exit 3"), "web", Map.of());
        assertThat(next().message()).isEqualTo("the hook /bin/sh -c echo oh; exit 3 ended with exit code 3: oh");
        runner(Duration.ofSeconds(60)).run(List.of("/nonexistent/hook"), "web", Map.of());
        assertThat(next().type()).isEqualTo("notify.failed");
    }

    @Test
    void aHookThatHangsIsKilledWithItsChildren() throws Exception {
        runner(Duration.ofMillis(300)).run(shell("sleep 1000 & echo $!; wait"), "web", Map.of());
        Told end = next();
        assertThat(end.message()).contains("was killed");
        long child = Long.parseLong(end.data().getOrDefault("output", ""));
        // Gone, or a zombie until its parent is reaped.
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (ProcessHandle.of(child).filter(ProcessHandle::isAlive).isPresent()) {
            assertThat(System.nanoTime() - deadline).isNegative();
            Thread.sleep(10);
        }
    }

    @Test
    void aHookThatFloodsItsOutputIsReadToTheBound() throws Exception {
        runner(Duration.ofSeconds(60)).run(shell("head -c 1000000 /dev/zero | tr '\\0' x"), "web", Map.of());
        Told end = next();
        assertThat(end.type()).isEqualTo("notify.ran");
        assertThat(end.data().get("output")).hasSize(Hook.OUTPUT);
    }

    @Test
    void moreHooksThanMayWaitAreRefused(@TempDir Path directory) throws Exception {
        HookRunner hooks = runner(Duration.ofSeconds(60));
        Path gate = Files.createFile(directory.resolve("gate"));
        for (int i = 0; i < HookRunner.AT_A_TIME + 2; i++) {
            hooks.run(shell("while [ -e " + gate + " ]; do sleep 0.02; done"), "web", Map.of());
        }
        hooks.run(shell("true"), "web", Map.of());
        Told refused = next();
        Files.delete(gate);
        assertThat(refused.message()).endsWith("was not run: 2 others wait already");
        for (int i = 0; i < HookRunner.AT_A_TIME + 2; i++) {
            assertThat(next().type()).isEqualTo("notify.ran");
        }
    }
}

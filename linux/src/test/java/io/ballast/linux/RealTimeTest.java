package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class RealTimeTest {
    /** The 39th value behind the name (proc_pid_stat(5): policy, 41). */
    private static final int POLICY = 38;

    private static String policy() {
        try {
            String stat = Files.readString(Path.of("/proc/thread-self/stat"));
            return stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[POLICY];
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void whatARealTimeThreadStartsIsNotOne() throws Exception {
        CompletableFuture<String> own = new CompletableFuture<>();
        CompletableFuture<String> started = new CompletableFuture<>();
        CompletableFuture<String> refused = new CompletableFuture<>();
        Thread.ofPlatform().daemon().start(() -> {
            try {
                RealTime.fifo(1);
                own.complete(policy());
                Thread.ofPlatform().daemon().start(() -> started.complete(policy()));
            } catch (LinuxException e) {
                refused.complete(e.getMessage());
            }
        });
        CompletableFuture.anyOf(started, refused).get(30, TimeUnit.SECONDS);
        Assumptions.assumeFalse(refused.isDone(), () -> "needs CAP_SYS_NICE: " + refused.join());
        assertThat(own.join()).isEqualTo("1");
        assertThat(started.join()).isEqualTo("0");
    }
}

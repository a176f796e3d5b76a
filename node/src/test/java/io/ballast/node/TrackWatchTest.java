package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.takeover.track.Tracking.State;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class TrackWatchTest {
    private static final State UP = new State.Up();
    private static final State DOWN = new State.Down("no process of that name");

    @TempDir
    private Path directory;

    private final BlockingQueue<Map.Entry<String, State>> looked = new LinkedBlockingQueue<>();
    private final List<String> warnings = new CopyOnWriteArrayList<>();
    private TrackWatch watch;

    @BeforeEach
    void begin() {
        watch = new TrackWatch(
                directory,
                new TrackWatch.Listener() {
                    @Override
                    public void looked(String label, State state) {
                        looked.add(Map.entry(label, state));
                    }

                    @Override
                    public void warn(String message) {
                        warnings.add(message);
                    }
                },
                Duration.ofMillis(5));
    }

    @AfterEach
    void end() {
        watch.close();
    }

    private void next(String label, State state) throws InterruptedException {
        assertThat(looked.poll(30, TimeUnit.SECONDS)).isEqualTo(Map.entry(label, state));
    }

    private static void write(Path file, String text) throws Exception {
        // At once, as one should: a reader in between would see an empty file.
        Path next = Files.writeString(file.resolveSibling(file.getFileName() + ".next"), text);
        Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    }

    @Test
    void aFileSaysItsNumber() throws Exception {
        Path file = directory.resolve("rank");
        watch.become(Map.of("file rank", file), Map.of());
        next("file rank", new State.Count(0));
        write(file, "42\n");
        next("file rank", new State.Count(42));
        write(file, "  -7 \nand more");
        next("file rank", new State.Count(-7));
        write(file, "+999999999999999999");
        next("file rank", new State.Count(999_999_999_999_999_999L));
        assertThat(warnings).isEmpty();
        write(file, "much");
        next("file rank", new State.Count(0));
        write(file, "1");
        next("file rank", new State.Count(1));
        assertThat(warnings)
                .containsExactly(
                        "the file " + file + " has no whole number in it and counts as 0: it begins with \"much\"");
        write(file, "\n");
        next("file rank", new State.Count(0));
        assertThat(warnings).hasSize(1);
    }

    private Path process(int pid, String comm, String... command) throws Exception {
        Path process = Files.createDirectories(directory.resolve(Integer.toString(pid)));
        Files.writeString(process.resolve("comm"), comm + "\n");
        Files.writeString(process.resolve("cmdline"), command.length == 0 ? "" : String.join("\0", command) + "\0");
        return process;
    }

    private static void kill(Path process) throws Exception {
        for (String file : List.of("comm", "cmdline")) {
            Files.delete(process.resolve(file));
        }
        Files.delete(process);
    }

    @Test
    void aProgramIsUpWhileAProcessRuns() throws Exception {
        Files.createDirectory(directory.resolve("sys"));
        process(1, "init", "/sbin/init");
        process(2, "haproxy"); // has ended, and its parent does not know yet
        process(3, "sh", "/bin/sh", "/usr/sbin/haproxy");
        watch.become(Map.of(), Map.of("process haproxy", "haproxy"));
        next("process haproxy", DOWN);
        Path first = process(10, "haproxy", "/usr/sbin/haproxy", "-W");
        next("process haproxy", UP);
        Path second = process(11, "haproxy", "/usr/sbin/haproxy", "-W");
        kill(first);
        kill(second);
        next("process haproxy", DOWN);
        // A script, and a program that has renamed itself, are known by what the kernel calls them.
        process(12, "haproxy", "haproxy: worker");
        next("process haproxy", UP);
    }

    @Test
    void aLongNameIsKnownByTheFileOrWhatTheKernelKeepsOfIt() throws Exception {
        process(10, "a-very-long-pro", "/opt/a-very-long-program");
        process(11, "another-long-na", "python3", "/opt/another-long-name");
        watch.become(Map.of(), Map.of("long", "a-very-long-program"));
        next("long", UP);
        watch.become(Map.of(), Map.of("script", "another-long-name"));
        next("script", UP);
        watch.become(Map.of(), Map.of("no", "a-very-long-prO"));
        next("no", DOWN);
    }

    @Test
    void whatIsTrackedNoMoreIsNotLookedAt() throws Exception {
        Path file = directory.resolve("rank");
        Path other = directory.resolve("other");
        watch.become(Map.of("file rank", file), Map.of());
        next("file rank", new State.Count(0));
        watch.become(Map.of("file other", other), Map.of());
        next("file other", new State.Count(0));
        write(file, "1");
        write(other, "2");
        next("file other", new State.Count(2));
        assertThat(looked).isEmpty();
    }
}

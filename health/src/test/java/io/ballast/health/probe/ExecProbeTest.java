package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static io.ballast.health.probe.Asking.target;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Deadline;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeResult.Outcome;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(180)
class ExecProbeTest {

    @TempDir
    private Path folder;

    private int scripts;

    private Path script(String... lines) throws IOException {
        Path script = folder.resolve("check" + ++scripts);
        Files.writeString(script, "#!/bin/sh\n" + String.join("\n", lines) + "\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        return script;
    }

    private static ProbeSpec.Exec exec(Path program, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(program.toString());
        command.addAll(List.of(arguments));
        return new ProbeSpec.Exec(command);
    }

    private static void awaitGone(long pid) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (ProcessHandle.of(pid).map(ProcessHandle::isAlive).orElse(false)) {
            assertThat(System.nanoTime() - end)
                    .as("pid %d is gone within 30 s", pid)
                    .isNegative();
            Thread.sleep(5);
        }
    }

    private long pidIn(String file) throws IOException {
        return Long.parseLong(Files.readString(folder.resolve(file)).strip());
    }

    @Test
    void aPluginsLineAndPerformanceDataAreKept() throws IOException {
        Path plugin = script("echo \"DISK OK - free 5 GB | /=2643MB;5948;5958;0;5968\"", "echo 'more | /boot=1MB'");
        ProbeResult result = ask(exec(plugin), 80);
        assertThat(result.outcome()).isEqualTo(Outcome.SUCCESS);
        assertThat(result.reason()).isEqualTo("DISK OK - free 5 GB");
        assertThat(result.perfdata()).isEqualTo("/=2643MB;5948;5958;0;5968");
        assertThat(result.detail()).contains("more");
    }

    @Test
    void theExitCodeDecides() throws IOException {
        assertThat(ask(exec(script("echo WARN; exit 1")), 80).ok()).isTrue();
        ProbeResult critical = ask(exec(script("echo 'HTTP CRITICAL: 503'; exit 2")), 80);
        assertThat(critical.outcome()).isEqualTo(Outcome.FAILURE);
        assertThat(critical.reason()).isEqualTo("HTTP CRITICAL: 503 (exit code 2)");
        Path silent = script("exit 3");
        assertThat(ask(exec(silent), 80).reason()).isEqualTo("exit code 3 of " + silent + ", without output");
        assertThat(ask(exec(script("echo trouble >&2; exit 2")), 80).reason()).isEqualTo("trouble (exit code 2)");
        assertThat(ask(exec(script("kill -SEGV $$")), 80).reason()).contains("was ended by signal 11");
    }

    @Test
    void theServersFactsAreFilledIn() throws IOException {
        ProbeTarget target = new ProbeTarget(
                InetAddress.getLoopbackAddress(), 8080, Optional.empty(), Optional.empty(), "www1", "web");
        ProbeResult result = ask(
                exec(script("echo \"$@\""), "${address}:${port}", "x${name}", "${service}", "${other}"),
                target,
                Asking.LONG);
        assertThat(result.reason()).isEqualTo("127.0.0.1:8080 xwww1 web ${other}");
    }

    @Test
    void aProgramThatCannotBeStartedIsAMistakeThatFails() throws IOException {
        ProbeResult missing = ask(exec(folder.resolve("nothing")), 80);
        assertThat(missing.outcome()).isEqualTo(Outcome.FAILURE);
        assertThat(missing.reason()).contains("nothing is missing");
        Path plain = script("exit 0");
        Files.setPosixFilePermissions(plain, PosixFilePermissions.fromString("rw-r--r--"));
        assertThat(ask(exec(plain), 80).reason()).contains("is not executable: chmod +x");
        assertThat(ask(exec(folder), 80).reason()).contains(folder + " is a directory");
        Path noScript = script();
        Files.writeString(noScript, "exit 0\n");
        assertThat(ask(exec(noScript), 80).reason()).contains("neither a program for this machine nor a script");
    }

    @Test
    void aProgramThatHangsIsKilledWithAllThatItStarted() throws Exception {
        Path program = script(
                "cd " + folder,
                "sleep 1000 & echo $! > child",
                "setsid sh -c 'echo $$ > session; exec sleep 1000' &",
                "(setsid sh -c 'echo $$ > daemon; exec sleep 1000' &)",
                "while [ ! -s session ] || [ ! -s daemon ]; do sleep 0.01; done",
                "echo started",
                "echo $$ > self",
                "sleep 1000");
        // Long enough that all of them have started, or the files would be missing.
        ProbeResult result = ask(exec(program), target(80), Duration.ofSeconds(5));
        assertThat(result.outcome()).isEqualTo(Outcome.FAILURE);
        assertThat(result.reason()).isEqualTo(program + " did not end within 5s and was killed; it said: started");
        for (String file : List.of("self", "child", "session", "daemon")) {
            awaitGone(pidIn(file));
        }
    }

    @Test
    void aFloodEndsAtItsBound() throws IOException {
        Path program = script("exec yes flooding");
        ProbeResult result = ask(exec(program), 80);
        assertThat(result.reason()).isEqualTo(program + " printed more than 1048576 bytes and was killed");
        assertThat(result.detail().length()).isEqualTo(ExecProbe.MAX_OUTPUT);
    }

    @Test
    void longOutputIsCutAndTheExitCodeStillCounts() throws IOException {
        Path program = script("echo fine", "head -c 300000 /dev/zero | tr '\\0' x", "exit 1");
        ProbeResult result = ask(exec(program), 80);
        assertThat(result.ok()).isTrue();
        assertThat(result.reason()).isEqualTo("fine");
    }

    @Test
    void whatAProgramLeavesBehindIsEndedAndDoesNotHoldUpTheResult() throws Exception {
        Path program = script(
                "cd " + folder,
                "sleep 1000 & echo $! > child",
                "sleep 1000 > /dev/null 2>&1 & echo $! > quiet",
                "setsid sh -c 'echo $$ > session; exec sleep 1000' &",
                "while [ ! -s session ]; do sleep 0.01; done",
                "echo done");
        ProbeResult result = ask(exec(program), target(80), Duration.ofSeconds(60));
        assertThat(result.reason()).isEqualTo("done");
        assertThat(result.rttMicros()).isLessThan(50_000_000);
        for (String file : List.of("child", "quiet", "session")) {
            awaitGone(pidIn(file));
        }
    }

    @Test
    void aDaemonThatAProgramStartedLives() throws Exception {
        Path program = script(
                "cd " + folder,
                "setsid sh -c 'echo $$ > daemon; exec sleep 1000' < /dev/null > /dev/null 2>&1 &",
                "while [ ! -s daemon ]; do sleep 0.01; done");
        try {
            assertThat(ask(exec(program), target(80), Duration.ofSeconds(60)).ok())
                    .isTrue();
            assertThat(ProcessHandle.of(pidIn("daemon")).map(ProcessHandle::isAlive))
                    .hasValue(true);
        } finally {
            ProcessHandle.of(pidIn("daemon")).ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    @Test
    void aChildThatGoesOnFloodingDoesNotHoldUpTheResult() throws Exception {
        Path program = script("yes & echo $! > " + folder + "/left", "exit 0");
        assertThat(ask(exec(program), target(80), Duration.ofSeconds(60)).ok()).isTrue();
        awaitGone(pidIn("left")); // by SIGPIPE: nobody reads any more
    }

    @Test
    void noDescriptorOfTheDirectorIsInherited() throws IOException {
        try (var open = new java.io.RandomAccessFile(folder.resolve("mine").toFile(), "rw")) {
            assertThat(open.getFD().valid()).isTrue();
            ProbeResult result = ask(exec(script("ls /proc/self/fd | tr '\\n' ' '")), 80);
            assertThat(result.reason()).as("ls itself opens number 3").isEqualTo("0 1 2 3");
        }
    }

    @Test
    void aRemovedCheckKillsItsProgram() throws Exception {
        Path program = script("echo $$ > " + folder + "/self", "exec sleep 1000");
        CountDownLatch interrupted = new CountDownLatch(1);
        Thread probe = Thread.ofVirtual().start(() -> {
            try {
                var _ = Asking.FACTORY.of(exec(program)).run(target(80), Deadline.after(Duration.ofMinutes(5)));
            } catch (InterruptedException e) {
                interrupted.countDown();
            }
        });
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!Files.exists(folder.resolve("self")) || Files.size(folder.resolve("self")) == 0) {
            assertThat(System.nanoTime() - end).isNegative();
            Thread.sleep(5);
        }
        probe.interrupt();
        assertThat(interrupted.await(30, TimeUnit.SECONDS)).isTrue();
        awaitGone(pidIn("self"));
    }

    @Test
    void beyondTheAllowedNumberProgramsAreNotStarted() throws Exception {
        BlockingCalls one = new BlockingCalls(1, "check programs");
        ExecProbe slow = new ExecProbe(exec(script("sleep 1000")), one);
        Thread first = Thread.ofVirtual().start(() -> ask(slow, target(80), Duration.ofSeconds(3)));
        try {
            Thread.sleep(1);
            while (one.free() > 0) {
                Thread.sleep(1);
            }
            ProbeResult result = ask(slow, target(80), Asking.SHORT);
            assertThat(result.outcome()).isEqualTo(Outcome.INCONCLUSIVE);
            assertThat(result.reason())
                    .isEqualTo("not started: 1 check programs are under way, as many as are allowed");
        } finally {
            first.join();
        }
    }
}

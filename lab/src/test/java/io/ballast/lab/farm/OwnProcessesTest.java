package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ballast.lab.farm.LabRecord.Kind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a lab ends, and what not. */
@Timeout(60)
class OwnProcessesTest {
    @TempDir
    Path lab;

    @Test
    void whatSomebodyStartedInItsNetworkEndsWithTheLabAndNothingElse() throws Exception {
        String missing = Privileges.missingForNamespaces().orElse("");
        assumeTrue(missing.isEmpty(), missing);
        String namespace = "bl-t" + ProcessHandle.current().pid() + "-own";
        ip("netns", "add", namespace);
        Process inside = new ProcessBuilder("ip", "netns", "exec", namespace, "sleep", "300").start();
        Process outside = new ProcessBuilder("sleep", "300").start();
        try {
            LabRecord record =
                    LabRecord.of(Kind.NAMESPACES, "farm.yaml", Optional.empty(), List.of(namespace, "bl-none-here"));
            Object network = Files.getAttribute(Network.file(namespace), "unix:ino");
            while (!network.equals(Files.getAttribute(Path.of("/proc/" + inside.pid() + "/ns/net"), "unix:ino"))) {
                Thread.onSpinWait(); // until `ip` is in it, or the time of the test is over
            }
            assertThat(OwnProcesses.of(lab, record))
                    .extracting(stat -> stat.id().pid())
                    .containsExactly(inside.pid());
            OwnProcesses.end(lab, record);
            assertThat(inside.waitFor(10, TimeUnit.SECONDS)).isTrue();
            assertThat(outside.isAlive()).isTrue();
        } finally {
            inside.destroyForcibly();
            outside.destroyForcibly();
            ip("netns", "delete", namespace);
        }
    }

    private static void ip(String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(List.of(words));
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor()).isZero();
    }
}

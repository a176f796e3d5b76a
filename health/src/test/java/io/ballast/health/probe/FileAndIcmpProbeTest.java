package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import io.ballast.linux.NetworkNamespace;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class FileAndIcmpProbeTest {

    @TempDir
    private Path folder;

    @Test
    void aFileIsThereOrNot() throws Exception {
        Path file = folder.resolve("maintenance");
        assertThat(ask(new ProbeSpec.File(file.toString(), false), 0).reason()).isEqualTo(file + " is absent");
        assertThat(ask(new ProbeSpec.File(file.toString(), true), 0).reason())
                .isEqualTo(file + " is absent, and must be present");
        Files.createFile(file);
        assertThat(ask(new ProbeSpec.File(file.toString(), true), 0).ok()).isTrue();
        assertThat(ask(new ProbeSpec.File(file.toString(), false), 0).reason())
                .isEqualTo(file + " is present, and must be absent");
    }

    @Test
    void loopbackAnswersEchoesOfBothFamiliesAndOfAnySize() throws Exception {
        Root.assume("raw ICMP sockets");
        for (String address : new String[] {"127.0.0.1", "::1"}) {
            for (int size : new int[] {0, 57, 1400, 60_000}) {
                ProbeResult result =
                        ask(new ProbeSpec.Icmp(size), ProbeTarget.of(InetAddress.getByName(address), 0), Asking.LONG);
                assertThat(result.reason()).as("%s %d", address, size).matches("echo reply in [0-9.]+ ms");
            }
        }
    }

    @Test
    void anUnreachableHostIsToldApartFromASilentOne() throws Exception {
        Root.assume("an empty network namespace");
        ProbeTarget nowhere = ProbeTarget.of(InetAddress.getByName("203.0.113.1"), 0);
        try (NetworkNamespace empty = NetworkNamespace.create()) {
            ProbeResult result = empty.call(() -> ask(new ProbeSpec.Icmp(56), nowhere, Asking.LONG));
            assertThat(result.reason()).isEqualTo("no route to 203.0.113.1: network unreachable");
        }
    }
}

package io.ballast.cli.control;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.cli.Failure;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class ControlClientTest {
    @TempDir
    Path directory;

    @Test
    void theSystemsDaemonIsNamedWhereOneListens() throws IOException {
        Path system = Files.createFile(directory.resolve("control.sock"));

        assertThatThrownBy(() -> client(system).get("/v1/status"))
                .hasMessageContaining("no daemon of yours runs at " + directory.resolve("mine.sock"))
                .hasMessageContaining("sudo ballast status");
    }

    @Test
    void aLabInTheSystemsDirectoryIsNotTakenForItsDaemon() throws IOException {
        Files.createDirectory(directory.resolve("lab"));

        assertThatThrownBy(() -> client(directory.resolve("control.sock")).get("/v1/status"))
                .hasMessageContaining("Start one: ballast run ballast.yaml")
                .hasMessageNotContaining("sudo");
    }

    private ControlClient client(Path system) {
        return new ControlClient(directory.resolve("mine.sock"), Optional.of(system));
    }

    @Test
    void aDaemonThatHangsIsNamedWithWhatToDo() throws IOException {
        Path socket = directory.resolve("control.sock");
        Files.writeString(directory.resolve("daemon.lock"), "4711\n");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            ControlClient client = new ControlClient(socket, Optional.empty(), Duration.ofMillis(100));
            assertThatThrownBy(() -> client.get("/v1/status"))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("the daemon (pid 4711) at " + socket + " gave no answer in 0 s")
                    .hasMessageContaining("kill -9 4711");
            assertThatThrownBy(() -> client.describe("/v1/apply", "x", new byte[4 << 20]))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("gave no answer");
            assertThatThrownBy(() -> client.lines("/v1/events?follow", line -> {}))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("gave no answer");
        }
    }
}

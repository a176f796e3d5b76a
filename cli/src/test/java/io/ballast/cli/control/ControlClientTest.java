package io.ballast.cli.control;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
}

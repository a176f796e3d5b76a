package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The real daemon and its worker as processes, on loopback. */
class DaemonTest {
    @TempDir
    Path directory;

    private HttpFarm www1;
    private HttpFarm www2;
    private int port;
    private String yaml;

    @BeforeEach
    void farm() throws IOException {
        www1 = HttpFarm.server("www1");
        www2 = HttpFarm.server("www2");
        port = HttpFarm.freePort();
        yaml = """
                services:
                  web:
                    listen: ["127.0.0.1:%d/tcp"]
                    scheduler: rr
                    connect-retry: { attempts: 2, replay: 16KiB }
                    timeouts: { drain: 5s }
                    checks: [{ type: tcp, interval: 100ms, timeout: 1s, rise: 1, fall: 1 }]
                    servers:
                      - { name: www1, address: "127.0.0.1:%d" }
                      - { name: www2, address: "127.0.0.1:%d" }
                """.formatted(port, www1.port(), www2.port());
    }

    @AfterEach
    void close() {
        www1.close();
        www2.close();
    }

    private Set<String> whoAnswers(int requests) throws IOException {
        Set<String> names = new HashSet<>();
        for (int i = 0; i < requests; i++) {
            names.add(Load.ask(port));
        }
        return names;
    }

    @Test
    void forwardsToServersThatPassTheirChecks() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            assertThat(whoAnswers(4)).containsExactlyInAnyOrder("www1", "www2");
            www1.stop();
            daemon.await("www1 leaves", () -> daemon.server("web", "www1").equals("down"));
            assertThat(whoAnswers(4)).containsExactly("www2");
            www1.restart();
            daemon.await("www1 comes back", () -> daemon.server("web", "www1").equals("up"));
            assertThat(whoAnswers(4)).containsExactlyInAnyOrder("www1", "www2");
            JsonObject web = daemon.service("web");
            assertThat(web.get("state").getAsString()).isEqualTo("up");
            daemon.await(
                    "the connections are counted",
                    () -> daemon.service("web").get("connections").getAsLong() == 12);
            assertThat(daemon.events())
                    .contains("daemon.start " + daemon.status().get("node").getAsString())
                    .containsSubsequence("server.down web/www1", "server.up web/www1");
        }
    }
}

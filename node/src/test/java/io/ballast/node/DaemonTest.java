package io.ballast.node;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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

    private static void free(ServerSocket socket) throws IOException {
        socket.close();
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

    @Test
    void aKilledWorkerIsReplacedAndNoClientNotices() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            long before = daemon.workerPid();
            try (Load load = Load.start(port, 8)) {
                daemon.await("load flows", () -> load.answered.get() > 200);
                // Connections in flight die with their worker; those that come after it must only wait.
                Processes.kill(before, Signal.KILL);
                daemon.await("another worker serves", () -> daemon.workerPid() != before && serving(daemon));
                long since = load.answered.get();
                daemon.await("load flows again", () -> load.answered.get() > since + 200);
                load.end();
                assertThat(load.failures.stream().filter(f -> f.contains("refused")))
                        .isEmpty();
                assertThat(load.failures.size()).as("%s", load.failures).isLessThanOrEqualTo(8);
            }
            assertThat(daemon.status().getAsJsonObject("worker").get("restarts").getAsInt())
                    .as(daemon.log())
                    .isEqualTo(1);
            assertThat(daemon.events()).containsSubsequence("worker.exit worker", "worker.start worker");
        }
    }

    private static boolean serving(DaemonProcess daemon) throws IOException {
        return daemon.status()
                .getAsJsonObject("worker")
                .get("state")
                .getAsString()
                .equals("serving");
    }

    @Test
    void aNewNodeProcessTakesOverWithoutAFailure() throws Exception {
        try (DaemonProcess first = DaemonProcess.start(directory, yaml).awaitRunning()) {
            long worker = first.workerPid();
            try (Load load = Load.start(port, 8)) {
                first.await("load flows", () -> load.answered.get() > 200);
                try (DaemonProcess second =
                        DaemonProcess.start(directory, first.file, Map.of(), List.of(), "--replace")) {
                    assertThat(first.awaitExit()).isZero();
                    second.awaitRunning();
                    assertThat(second.workerPid()).isEqualTo(worker);
                    long since = load.answered.get();
                    second.await("load flows on", () -> load.answered.get() > since + 200);
                    load.end();
                    assertThat(load.failures).isEmpty();
                    assertThat(second.events())
                            .contains("daemon.adopt worker")
                            .doesNotContain("server.down web/www1", "server.down web/www2", "worker.exit worker");
                }
            }
        }
    }

    @Test
    void theTrafficOutlivesAKilledNodeProcess() throws Exception {
        try (DaemonProcess first = DaemonProcess.start(directory, yaml).awaitRunning()) {
            long worker = first.workerPid();
            try (Load load = Load.start(port, 4)) {
                first.await("load flows", () -> load.answered.get() > 100);
                Processes.kill(first.process().pid(), Signal.KILL);
                first.awaitExit();
                long alone = load.answered.get();
                first.await("load flows without a node process", () -> load.answered.get() > alone + 100);
                // Meanwhile the description has changed; the difference is corrected.
                int other = HttpFarm.freePort();
                String next = yaml + """
                      other:
                        listen: ["127.0.0.1:%d/tcp"]
                        servers: [{ name: www2, address: "127.0.0.1:%d" }]
                    """.formatted(other, www2.port());
                try (DaemonProcess second = DaemonProcess.start(directory, next).awaitRunning()) {
                    assertThat(second.workerPid()).isEqualTo(worker);
                    assertThat(Load.ask(other)).isEqualTo("www2");
                    load.end();
                    assertThat(load.failures).isEmpty();
                }
            }
        }
    }

    @Test
    void aServiceThatWentMeanwhileIsGoneAfterTheRestart() throws Exception {
        int other = HttpFarm.freePort();
        String both = yaml + """
              other:
                listen: ["127.0.0.1:%d/tcp"]
                servers: [{ name: www2, address: "127.0.0.1:%d" }]
            """.formatted(other, www2.port());
        try (DaemonProcess first = DaemonProcess.start(directory, both).awaitRunning()) {
            assertThat(Load.ask(other)).isEqualTo("www2");
            Processes.kill(first.process().pid(), Signal.KILL);
            first.awaitExit();
            try (DaemonProcess second = DaemonProcess.start(directory, yaml).awaitRunning()) {
                assertThat(whoAnswers(2)).containsExactlyInAnyOrder("www1", "www2");
                second.await("the other's port is free", () -> {
                    try {
                        Load.ask(other);
                        return false;
                    } catch (IOException e) {
                        return true;
                    }
                });
            }
        }
    }

    @Test
    void aSecondDaemonInTheSamePlaceIsRefused() throws Exception {
        try (DaemonProcess first = DaemonProcess.start(directory, yaml).awaitRunning()) {
            try (DaemonProcess second = DaemonProcess.start(directory, first.file, Map.of(), List.of())) {
                assertThat(second.awaitExit()).isEqualTo(Daemon.FAILED);
                assertThat(second.log())
                        .contains("another daemon (pid " + first.process().pid() + ")")
                        .contains("--replace");
            }
            assertThat(whoAnswers(2)).hasSize(2);
        }
    }

    @Test
    void aBadDescriptionIsRefusedWithItsPlace() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml.replace("scheduler: rr", "scheduler: rrr"))) {
            assertThat(daemon.awaitExit()).isEqualTo(Daemon.WRONG);
            assertThat(daemon.log()).contains("ballast.yaml:4:").contains("nothing was started");
        }
        assertThat(directory.resolve("run")).doesNotExist();
    }

    @Test
    void aNameWithoutAnAddressTakesDownItsServerOnly() throws Exception {
        String unresolvable = yaml.replace("\"127.0.0.1:" + www1.port() + "\"", "\"no-such-host.invalid:80\"");
        try (DaemonProcess daemon = DaemonProcess.start(directory, unresolvable).awaitRunning()) {
            assertThat(daemon.log())
                    .contains("services.web.servers[0].address: the name no-such-host.invalid has no address")
                    .contains("web/www1 is down: the name no-such-host.invalid has no address");
            assertThat(daemon.server("web", "www1")).isEqualTo("down");
            assertThat(daemon.status().getAsJsonArray("warnings").toString()).contains("no-such-host.invalid");
            assertThat(whoAnswers(4)).containsExactly("www2");
            // What is missing already hinders no other change; a new name is a mistake.
            assertThat(daemon.request(
                                    "POST", "/v1/apply", unresolvable.replace("name: www2,", "name: www2, weight: 2,"))
                            .status())
                    .isEqualTo(200);
            assertThat(daemon.request("POST", "/v1/apply", unresolvable.replace("no-such-host", "no-such-other"))
                            .status())
                    .isEqualTo(422);
            assertThat(daemon.request("POST", "/v1/apply", yaml).status()).isEqualTo(200);
            daemon.await("www1 is used", () -> whoAnswers(4).size() == 2);
        }
    }

    @Test
    void underSystemdEveryLineOfAComplaintHasItsPriority() throws Exception {
        Path file = DaemonProcess.write(directory, yaml.replace("services:", "servises:"));
        try (DaemonProcess daemon = DaemonProcess.start(directory, file, Map.of("JOURNAL_STREAM", "8:1"), List.of())) {
            assertThat(daemon.awaitExit()).isEqualTo(Daemon.WRONG);
            assertThat(daemon.log().lines()).hasSizeGreaterThan(3).allMatch(line -> line.startsWith("<3>"));
        }
    }

    @Test
    void whatItsMemoryCannotHoldIsRefusedAndTrafficGoesOn() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            var services = new StringBuilder("services:\n");
            for (int i = 0; i < 200; i++) {
                services.append("  s%d: { listen: \"127.0.0.1:%d\", servers: [".formatted(i, 20_000 + i));
                for (int j = 1; j <= 100; j++) {
                    services.append("127.1.%d.%d:80,".formatted(i, j));
                }
                services.append("] }\n");
            }
            DaemonProcess.Answer many = daemon.request("POST", "/v1/apply", services.toString());
            assertThat(many.status()).as(many.body()).isEqualTo(422);
            assertThat(many.body())
                    .contains("services and servers in one description: the daemon's memory is too small for it");
            var servers = new StringBuilder(yaml.replaceFirst("(?s) *servers:.*", "") + "    servers:\n");
            for (int i = 0; i < 150_000; i++) {
                servers.append("    - 127.%d.%d.%d:80\n".formatted(1 + i / 62_500, i / 250 % 250, 1 + i % 250));
            }
            DaemonProcess.Answer answer = daemon.request("POST", "/v1/apply", servers.toString());
            assertThat(answer.status()).as(answer.body()).isEqualTo(422);
            assertThat(answer.body()).contains("values in one entry; divide it into several");
            answer = daemon.request("POST", "/v1/apply", "# " + "x".repeat(5 << 20));
            assertThat(answer.status()).isEqualTo(413);
            var keys = new StringBuilder(yaml);
            for (int i = 0; keys.length() < 3 << 20; i++) {
                keys.append("key").append(i).append(": 1\n");
            }
            answer = daemon.request("POST", "/v1/apply", keys.toString());
            assertThat(answer.status()).isEqualTo(422);
            assertThat(answer.body()).contains("and 900 more problems like these; the rest was not read");
            Files.writeString(daemon.file, "# " + "x".repeat(20 << 20));
            answer = daemon.request("POST", "/v1/reload", "");
            assertThat(answer.status()).isEqualTo(422);
            assertThat(answer.body()).contains("is larger than 3 MiB: the daemon's memory is too small");
            assertThat(daemon.status().get("state").getAsString()).isEqualTo("running");
            assertThat(whoAnswers(4)).hasSize(2);
        }
    }

    @Test
    void reloadAndApplyChangeOnlyWhatDiffers() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning();
                Load load = Load.start(port, 4)) {
            String heavier = yaml.replace("name: www2,", "name: www2, weight: 3,");
            DaemonProcess.Answer plan = daemon.request("POST", "/v1/plan", heavier, "X-Ballast-File: next.yaml");
            assertThat(plan.status()).isEqualTo(200);
            assertThat(plan.json().getAsJsonArray("changes")).hasSize(1);
            assertThat(plan.body()).contains("web/www2").contains("weight 1 -> 3");

            DaemonProcess.Answer applied = daemon.request("POST", "/v1/apply", heavier, "X-Ballast-File: next.yaml");
            assertThat(applied.status()).as(applied.body()).isEqualTo(200);
            assertThat(applied.json().get("millis").getAsLong()).isNotNegative();
            assertThat(daemon.status().getAsJsonArray("warnings").toString()).contains("next.yaml and differs from");

            assertThat(applied.json().getAsJsonArray("closed")).isEmpty();

            // An address for documentation, which no machine has.
            String elsewhere = heavier + "  other: { listen: \"192.0.2.1:80\", servers: [\"127.0.0.1:9\"] }\n";
            DaemonProcess.Answer closed = daemon.request("POST", "/v1/apply", elsewhere);
            assertThat(closed.status()).as(closed.body()).isEqualTo(200);
            assertThat(closed.json().getAsJsonArray("closed")).hasSize(1);
            assertThat(closed.body()).contains("no interface of this machine has the address 192.0.2.1");
            assertThat(daemon.request("POST", "/v1/apply", heavier).json().getAsJsonArray("closed"))
                    .isEmpty();

            DaemonProcess.Answer bad = daemon.request("POST", "/v1/apply", "services: [");
            assertThat(bad.status()).isEqualTo(422);
            assertThat(bad.json().getAsJsonObject("error").get("message").getAsString())
                    .contains("nothing was changed");
            assertThat(bad.json().getAsJsonArray("problems")).isNotEmpty();

            Files.writeString(daemon.file, yaml.replace("scheduler: rr", "scheduler: wrong"));
            Processes.kill(daemon.process().pid(), Signal.HUP);
            daemon.await(
                    "the reload is rejected",
                    () -> daemon.events().stream()
                                    .filter(e -> e.startsWith("config.rejected"))
                                    .count()
                            >= 2);
            daemon.await(
                    "the status says so",
                    () -> daemon.status().getAsJsonArray("warnings").toString().contains("is wrong and was refused"));
            Files.delete(daemon.file);
            assertThat(daemon.request("POST", "/v1/reload", "").body())
                    .contains("ballast.yaml")
                    .contains("no such file");
            Files.writeString(daemon.file, yaml);
            Processes.kill(daemon.process().pid(), Signal.HUP);
            daemon.await(
                    "the reload is applied",
                    () -> daemon.events().stream()
                                    .filter(e -> e.startsWith("config.applied"))
                                    .count()
                            == 4);
            assertThat(daemon.status().getAsJsonArray("warnings")).isEmpty();
            load.end();
            assertThat(load.failures).isEmpty();
        }
    }

    @Test
    void whatTheOperatorWantsOutlivesARestart() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            DaemonProcess.Answer drained =
                    daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"state\":\"drain\"}");
            assertThat(drained.status()).as(drained.body()).isEqualTo(200);
            assertThat(drained.json().get("state").getAsString()).isEqualTo("draining");
            assertThat(drained.json().get("overridden").getAsBoolean()).isTrue();
            daemon.await("www1 gets no connection", () -> whoAnswers(4).equals(Set.of("www2")));

            assertThat(daemon.request("PATCH", "/v1/services/web/servers/www9", "{\"weight\":1}")
                            .status())
                    .isEqualTo(404);
            assertThat(daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"weight\":-1}")
                            .status())
                    .isEqualTo(400);
            assertThat(daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"colour\":1}")
                            .status())
                    .isEqualTo(400);
            assertThat(daemon.request(
                                    "POST",
                                    "/v1/services/web/servers",
                                    "{\"address\":\"127.0.0.1:" + www1.port() + "\"}")
                            .status())
                    .isEqualTo(409);
            Processes.kill(daemon.process().pid(), Signal.TERM);
            assertThat(daemon.awaitExit()).isZero();
        }
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            assertThat(daemon.server("web", "www1")).isEqualTo("draining");
            assertThat(whoAnswers(4)).containsExactly("www2");
            assertThat(daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"state\":\"enabled\"}")
                            .status())
                    .isEqualTo(200);
            assertThat(Files.readString(directory.resolve("state/overrides.json")))
                    .doesNotContain("www1");
        }
    }

    @Test
    void serversAreAddedAndRemovedAtRunTime() throws Exception {
        try (HttpFarm www3 = HttpFarm.server("www3");
                DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            DaemonProcess.Answer added = daemon.request(
                    "POST",
                    "/v1/services/web/servers",
                    "{\"address\":\"127.0.0.1:" + www3.port() + "\",\"name\":\"www3\",\"weight\":1}");
            assertThat(added.status()).as(added.body()).isEqualTo(201);
            daemon.await("www3 comes up", () -> daemon.server("web", "www3").equals("up"));
            daemon.await("www3 answers", () -> whoAnswers(3).contains("www3"));
            assertThat(daemon.request("DELETE", "/v1/services/web/servers/www1", "")
                            .status())
                    .isEqualTo(200);
            daemon.await("www1 has left", () -> whoAnswers(6).equals(Set.of("www2", "www3")));
        }
    }

    @Test
    void aNodesNameStandsForItsAddressAtRunTimeToo() throws Exception {
        String nodes = """
            nodes:
              lb: { interfaces: { lo: { addresses: [127.0.0.1/8] } } }
              www3: { interfaces: { lo: { addresses: [127.0.0.3/8] } } }
              bare:
            """;
        try (DaemonProcess daemon =
                DaemonProcess.start(directory, nodes + yaml, "--node", "lb").awaitRunning()) {
            DaemonProcess.Answer added =
                    daemon.request("POST", "/v1/services/web/servers", "{\"address\":\"www3:81\"}");
            assertThat(added.status()).as(added.body()).isEqualTo(201);
            assertThat(added.json().get("address").getAsString()).isEqualTo("127.0.0.3:81");
            assertThat(daemon.request("POST", "/v1/services/web/servers", "{\"address\":\"bare:81\"}")
                            .body())
                    .contains("the node bare has no address in the description");
        }
    }

    @Test
    void aServerWithoutAPortHasTheServices() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            DaemonProcess.Answer added =
                    daemon.request("POST", "/v1/services/web/servers", "{\"address\":\"127.0.0.9\",\"name\":\"www9\"}");
            assertThat(added.status()).as(added.body()).isEqualTo(201);
            assertThat(added.json().get("address").getAsString()).isEqualTo("127.0.0.9:" + port);
        }
        String several = yaml.replace(
                "listen: [\"127.0.0.1:" + port + "/tcp\"]",
                "listen: [\"127.0.0.1:" + port + "/tcp\", \"127.0.0.1:" + HttpFarm.freePort() + "/tcp\"]");
        assertThat(several).isNotEqualTo(yaml);
        try (DaemonProcess daemon = DaemonProcess.start(directory, several).awaitRunning()) {
            DaemonProcess.Answer refused =
                    daemon.request("POST", "/v1/services/web/servers", "{\"address\":\"127.0.0.9\"}");
            assertThat(refused.status()).isEqualTo(400);
            assertThat(refused.body()).contains("address: the port is missing, and the service web listens on several");
        }
    }

    @Test
    void aRemovedServerIsToldUntilItIsEnabled() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            assertThat(daemon.request("DELETE", "/v1/services/web/servers/www1", "")
                            .status())
                    .isEqualTo(200);
            assertThat(daemon.service("web").getAsJsonArray("removed").toString())
                    .isEqualTo("[{\"name\":\"www1\",\"address\":\"127.0.0.1:" + www1.port() + "\"}]");
            for (String what : List.of("/v1/plan", "/v1/apply")) {
                assertThat(daemon.request("POST", what, yaml).body())
                        .contains("www1 was removed at run time and stays out");
            }
            DaemonProcess.Answer back =
                    daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"state\":\"enabled\"}");
            assertThat(back.status()).as(back.body()).isEqualTo(200);
            daemon.await("www1 is back", () -> whoAnswers(4).size() == 2);
            assertThat(daemon.request("POST", "/v1/plan", yaml).json().getAsJsonArray("problems"))
                    .isEmpty();
        }
    }

    @Test
    void theSorryServerShowsWhileAllAreDown() throws Exception {
        try (HttpFarm sorry = HttpFarm.server("sorry");
                DaemonProcess daemon = DaemonProcess.start(
                                directory,
                                yaml.replace(
                                        "    scheduler: rr",
                                        "    scheduler: rr\n    sorry: \"127.0.0.1:" + sorry.port() + "\""))
                        .awaitRunning()) {
            www1.stop();
            www2.stop();
            daemon.await(
                    "the sorry server serves",
                    () -> daemon.service("web").get("state").getAsString().equals("sorry"));
            assertThat(whoAnswers(2)).containsExactly("sorry");
            www2.restart();
            daemon.await(
                    "www2 is back",
                    () -> daemon.service("web").get("state").getAsString().equals("up"));
            daemon.await("the sorry server has left", () -> whoAnswers(2).equals(Set.of("www2")));
            assertThat(daemon.events())
                    .containsSubsequence("service.sorry web", "server.up web/www2", "service.up web");
        }
    }

    @Test
    void hooksHearWhatHappened() throws Exception {
        Path hook = directory.resolve("hook");
        Path heard = directory.resolve("heard");
        Files.writeString(
                hook, "#!/bin/sh\necho \"$BALLAST_EVENT $BALLAST_SERVICE/$BALLAST_SERVER\" >> " + heard + "\n");
        assertThat(hook.toFile().setExecutable(true)).isTrue();
        try (DaemonProcess daemon = DaemonProcess.start(
                        directory,
                        yaml.replace(
                                "    scheduler: rr",
                                "    scheduler: rr\n    hooks: { server-down: " + hook
                                        + ", server-up: /nonexistent/hook }"))
                .awaitRunning()) {
            www1.stop();
            daemon.await("the hook has run", () -> daemon.events().contains("notify.ran web/www1"));
            assertThat(Files.readString(heard)).isEqualTo("server.down web/www1\n");
            www1.restart();
            daemon.await("the missing hook is told", () -> daemon.events().contains("notify.failed web/www1"));
        }
    }

    @Test
    void aStopLetsConnectionsFinish() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning();
                Socket slow = new Socket(InetAddress.getLoopbackAddress(), port)) {
            daemon.await(
                    "the connection is there",
                    () -> daemon.get("/v1/connections")
                                    .getAsJsonArray("connections")
                                    .size()
                            == 1);
            assertThat(daemon.request("POST", "/v1/stop", "{\"drain\":true}").status())
                    .isEqualTo(202);
            daemon.await("nobody listens", () -> {
                try {
                    new Socket(InetAddress.getLoopbackAddress(), port).close();
                    return false;
                } catch (ConnectException e) {
                    return true;
                }
            });
            slow.getOutputStream().write("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".getBytes(US_ASCII));
            assertThat(new String(slow.getInputStream().readAllBytes(), US_ASCII))
                    .endsWith("www1");
            assertThat(daemon.awaitExit()).isZero();
        }
    }

    @Test
    void aPortInUseIsToldAndTriedAgain() throws Exception {
        try (ServerSocket taken = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
            try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
                assertThat(daemon.status().getAsJsonArray("warnings").toString())
                        .contains("web cannot listen on 127.0.0.1:" + port)
                        .contains("in use");
                free(taken);
                daemon.await("it listens", () -> daemon.events().contains("listen.ok web"));
                assertThat(whoAnswers(2)).hasSize(2);
                assertThat(daemon.status().getAsJsonArray("warnings")).isEmpty();
            }
        }
    }

    @Test
    void aWorkerThatHangsIsKilledAndReplaced() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            long before = daemon.workerPid();
            Processes.kill(before, Signal.STOP);
            daemon.await("another worker serves", () -> daemon.workerPid() != before && serving(daemon));
            assertThat(whoAnswers(2)).hasSize(2);
        }
    }

    @Test
    void metricsAreInPrometheusForm() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            whoAnswers(4);
            daemon.await(
                    "connections are counted",
                    () -> daemon.request("GET", "/metrics", "")
                            .body()
                            .contains("ballast_service_connections_total{service=\"web\"} 4"));
            String text = daemon.request("GET", "/metrics", "").body();
            assertThat(text)
                    .contains("ballast_service_up{service=\"web\"} 1")
                    .contains("ballast_server_up{service=\"web\",server=\"www1\"} 1")
                    .contains("ballast_check_up{service=\"web\",server=\"www1\",check=\"tcp\"} 1")
                    .contains("ballast_worker_restarts_total 0")
                    .contains("ballast_journal_failing 0")
                    .contains("process_resident_memory_bytes ");
            // Each line is a comment, or a name with labels and a number; each family has its help and type once.
            Set<String> families = new HashSet<>();
            for (String line : text.lines().toList()) {
                if (line.startsWith("# TYPE ")) {
                    assertThat(families.add(line.split(" ", -1)[2])).as(line).isTrue();
                } else if (!line.startsWith("#")) {
                    assertThat(line).matches("[a-z_]+(\\{[a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*})? -?[0-9.eE+-]+");
                    assertThat(families).contains(line.split("[{ ]", 2)[0]);
                }
            }
        }
    }

    @Test
    void eventsCanBeFollowed() throws Exception {
        try (DaemonProcess _ = DaemonProcess.start(directory, yaml).awaitRunning();
                SocketChannel channel =
                        SocketChannel.open(UnixDomainSocketAddress.of(directory.resolve("run/control.sock")))) {
            channel.write(ByteBuffer.wrap("GET /v1/events?follow=true&limit=0 HTTP/1.0\r\n\r\n".getBytes(US_ASCII)));
            BufferedReader lines = new BufferedReader(Channels.newReader(channel, US_ASCII));
            while (!lines.readLine().isEmpty()) {
                // The answer's head.
            }
            www1.stop();
            String line = lines.readLine();
            while (!line.contains("server.down")) {
                line = lines.readLine();
            }
            assertThat(JsonParser.parseString(line)
                            .getAsJsonObject()
                            .get("subject")
                            .getAsString())
                    .isEqualTo("web/www1");
        }
    }

    @Test
    void theApiIsAsItsOwnDescriptionSays() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            JsonObject api = daemon.get("/v1/openapi.json");
            JsonObject paths = api.getAsJsonObject("paths");
            JsonObject schemas = api.getAsJsonObject("components").getAsJsonObject("schemas");
            for (String path : paths.keySet()) {
                String real = path.replace("{service}", "web").replace("{server}", "www1");
                for (String method : List.of("GET", "POST", "PATCH", "DELETE")) {
                    if (real.equals("/v1/stop") || method.equals("DELETE")) {
                        continue;
                    }
                    boolean described = paths.getAsJsonObject(path).has(method.toLowerCase(Locale.ROOT));
                    int status = daemon.request(method, real, "{}").status();
                    assertThat(status != 405)
                            .as(method + " " + real + " " + status)
                            .isEqualTo(described);
                }
            }
            hasRequired(daemon.status(), "Status", schemas);
            JsonObject web = daemon.service("web");
            hasRequired(web, "Service", schemas);
            JsonObject server = web.getAsJsonArray("servers").get(0).getAsJsonObject();
            hasRequired(server, "Server", schemas);
            hasRequired(server.getAsJsonArray("checks").get(0).getAsJsonObject(), "Check", schemas);
            for (String wrong :
                    List.of("/", "/v2/status", "/v1", "/v1/status/x", "/v1/services/web/x/y", "/v1/services/none")) {
                assertThat(daemon.request("GET", wrong, "").status()).as(wrong).isEqualTo(404);
            }
            assertThat(daemon.request("GET", "/v1/events?since=x", "").status()).isEqualTo(400);
            assertThat(daemon.request("GET", "/v1/connections?limit=-1", "").status())
                    .isEqualTo(400);
            for (String outside : List.of("every=0", "limit=0", "limit=1000001", "millis=0", "millis=3600001")) {
                assertThat(daemon.request("GET", "/v1/services/web/trace?" + outside, "")
                                .status())
                        .as(outside)
                        .isEqualTo(400);
            }
            assertThat(daemon.request("POST", "/v1/stop", "[]").status()).isEqualTo(400);
            assertThat(daemon.request("POST", "/v1/services/web/servers", "[".repeat(50_000))
                            .status())
                    .isEqualTo(400);
        }
    }

    @Test
    void aServerThatNoServiceHasIsNoEmptyAnswer() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning()) {
            for (String method : List.of("GET", "DELETE")) {
                DaemonProcess.Answer everywhere = daemon.request(method, "/v1/connections?server=wwww1", "");
                assertThat(everywhere.status()).isEqualTo(404);
                assertThat(everywhere.body()).contains("no service has a server wwww1; there are www1, www2");
                DaemonProcess.Answer here = daemon.request(method, "/v1/connections?service=web&server=wwww1", "");
                assertThat(here.status()).isEqualTo(404);
                assertThat(here.body()).contains("service web has no server wwww1; it has www1, www2");
                assertThat(daemon.request(method, "/v1/connections?server=www1", "")
                                .status())
                        .isEqualTo(200);
            }
        }
    }

    private static void hasRequired(JsonObject json, String schema, JsonObject schemas) {
        JsonObject described = schemas.getAsJsonObject(schema);
        for (var name : described.getAsJsonArray("required")) {
            assertThat(json.keySet()).as(schema).contains(name.getAsString());
        }
        assertThat(described.getAsJsonObject("properties").keySet()).as(schema).containsAll(json.keySet());
    }

    @Test
    void aStopThatIsAskedForTwiceDoesNotWait() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml.replace("drain: 5s", "drain: 1h"))
                        .awaitRunning();
                Socket idle = new Socket(InetAddress.getLoopbackAddress(), port)) {
            daemon.await(
                    "the connection is there",
                    () -> daemon.get("/v1/connections")
                                    .getAsJsonArray("connections")
                                    .size()
                            == 1);
            Processes.kill(daemon.process().pid(), Signal.TERM);
            daemon.await(
                    "it stops", () -> daemon.status().get("state").getAsString().equals("stopping"));
            assertThat(idle.isConnected()).isTrue();
            Processes.kill(daemon.process().pid(), Signal.TERM);
            assertThat(daemon.awaitExit()).isZero();
        }
    }

    @Test
    void aDaemonWithoutDescriptorsDoesNotStart() throws Exception {
        List<String> few = List.of("sh", "-c", "ulimit -n 40; exec \"$@\"", "sh");
        try (DaemonProcess daemon =
                DaemonProcess.start(directory, DaemonProcess.write(directory, yaml), Map.of(), few)) {
            assertThat(daemon.awaitExit()).isEqualTo(Daemon.FAILED);
            assertThat(daemon.log()).contains("the limit on open files is 40").contains("LimitNOFILE=");
        }
    }

    @Test
    void aDaemonThatCannotBeAskedToLeaveIsNotWaitedFor() throws Exception {
        try (DaemonProcess _ = DaemonProcess.start(directory, yaml).awaitRunning()) {
            Files.delete(directory.resolve("run").resolve("control.sock"));
            try (DaemonProcess next = DaemonProcess.start(directory, yaml, "--replace")) {
                assertThat(next.awaitExit()).isEqualTo(Daemon.FAILED);
                assertThat(next.log())
                        .contains("cannot be asked to leave")
                        .contains("kill -9")
                        .doesNotContain("did not leave in");
            }
            assertThat(whoAnswers(2)).hasSize(2);
        }
    }

    @Test
    void aSignalToTheGroupCutsNoConnection() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(
                                directory,
                                DaemonProcess.write(directory, yaml.replace("drain: 5s", "drain: 1h")),
                                Map.of(),
                                List.of("setsid"))
                        .awaitRunning();
                Socket idle = new Socket(InetAddress.getLoopbackAddress(), port)) {
            daemon.await(
                    "the connection is there",
                    () -> daemon.get("/v1/connections")
                                    .getAsJsonArray("connections")
                                    .size()
                            == 1);
            Process kill = new ProcessBuilder(
                            "kill", "-TERM", "--", "-" + daemon.process().pid())
                    .start();
            assertThat(kill.waitFor()).isZero();
            daemon.await(
                    "it stops", () -> daemon.status().get("state").getAsString().equals("stopping"));
            assertThat(daemon.get("/v1/connections").getAsJsonArray("connections"))
                    .hasSize(1);
            assertThat(idle.isConnected()).isTrue();
            Processes.kill(daemon.process().pid(), Signal.TERM);
            assertThat(daemon.awaitExit()).isZero();
        }
    }

    @Test
    void noThreadOfAWorkerHasACapability() throws Exception {
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml).awaitRunning();
                DirectoryStream<Path> threads =
                        Files.newDirectoryStream(Path.of("/proc/" + daemon.workerPid() + "/task"))) {
            for (Path thread : threads) {
                assertThat(Files.readAllLines(thread.resolve("status")))
                        .contains("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1");
            }
            assertThat(whoAnswers(2)).hasSize(2);
        }
    }

    @Test
    void aPrivilegedPortWithoutPermissionIsExplained() throws Exception {
        assumeRootWith("setpriv");
        String privileged = yaml.replace("127.0.0.1:" + port + "/tcp", "127.0.0.1:81/tcp");
        // A network namespace of its own, since the machine's may let everybody have every port.
        String start = "ip link set lo up; exec setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service"
                + " \"$@\"";
        try (DaemonProcess daemon = DaemonProcess.start(
                        directory,
                        DaemonProcess.write(directory, privileged),
                        Map.of(),
                        List.of("unshare", "-n", "sh", "-c", start, "sh"))
                .awaitRunning()) {
            assertThat(daemon.status().getAsJsonArray("capabilities").toString())
                    .doesNotContain("CAP_NET_BIND_SERVICE");
            assertThat(daemon.status().getAsJsonArray("warnings").toString())
                    .contains("no permission for port 81")
                    .contains("CAP_NET_BIND_SERVICE");
        }
    }

    private static void assumeRootWith(String program) throws IOException {
        assumeTrue(Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0), "not run: needs root");
        assumeTrue(
                Files.exists(Path.of("/usr/bin/unshare")) && Files.exists(Path.of("/usr/bin/" + program)),
                "not run: needs unshare and " + program + " (package util-linux)");
    }

    @Test
    void aLimitOnDescriptorsThatIsTooSmallIsTold() throws Exception {
        StringBuilder many = new StringBuilder("services:\n");
        for (int i = 0; i < 150; i++) {
            many.append("  s%d: { listen: [\"127.7.%d.%d:%d/tcp\"], servers: [\"127.0.0.1:%d\"] }\n"
                    .formatted(i, i / 200, 1 + i % 200, port, www1.port()));
        }
        try (DaemonProcess daemon = DaemonProcess.start(
                        directory,
                        DaemonProcess.write(directory, many.toString()),
                        Map.of(),
                        List.of("prlimit", "--nofile=200:200"))
                .awaitRunning()) {
            String warnings = daemon.status().getAsJsonArray("warnings").toString();
            assertThat(warnings)
                    .contains("needs 450 open files, and the limit is 200")
                    .contains("LimitNOFILE");
            assertThat(daemon.process().isAlive()).isTrue();
        }
    }

    @Test
    void eventsAreKeptInMemoryWhileTheDiskIsFull() throws Exception {
        assumeRootWith("unshare");
        Path state = Files.createDirectories(directory.resolve("state"));
        String start = "mount -t tmpfs -o size=64k none " + state + " && head -c 100000 /dev/zero > " + state
                + "/filler 2>/dev/null; exec \"$@\"";
        try (DaemonProcess daemon = DaemonProcess.start(
                        directory,
                        DaemonProcess.write(directory, yaml),
                        Map.of(),
                        List.of("unshare", "-m", "sh", "-c", start, "sh"))
                .awaitRunning()) {
            daemon.await("the trouble is told", () -> daemon.events().contains("journal.failing journal"));
            assertThat(daemon.status().getAsJsonArray("warnings").toString()).contains("events cannot be written");
            assertThat(daemon.request("GET", "/metrics", "").body()).contains("ballast_journal_failing 1");
            www1.stop();
            daemon.await("events go on", () -> daemon.events().contains("server.down web/www1"));
            DaemonProcess.Answer drained =
                    daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"state\":\"drain\"}");
            assertThat(drained.status()).as(drained.body()).isEqualTo(200);
            assertThat(daemon.status().getAsJsonArray("warnings").toString()).contains("does not survive a restart");

            Files.delete(Path.of("/proc/" + daemon.process().pid() + "/root" + state + "/filler"));
            daemon.await("it recovers", () -> daemon.events().contains("journal.ok journal"));
            assertThat(daemon.request("PATCH", "/v1/services/web/servers/www1", "{\"state\":\"enabled\"}")
                            .status())
                    .isEqualTo(200);
            daemon.await(
                    "nothing is left to warn of",
                    () -> daemon.status().getAsJsonArray("warnings").isEmpty());
        }
    }

    @Test
    void aStateDirectoryThatCannotBeUsedIsNamed() throws Exception {
        Files.writeString(directory.resolve("state"), "in the way");
        try (DaemonProcess daemon = DaemonProcess.start(directory, yaml)) {
            assertThat(daemon.awaitExit()).isEqualTo(Daemon.FAILED);
            assertThat(daemon.log()).contains(directory.resolve("state") + ": ").contains("not a directory");
        }
    }

    @Test
    void theServiceManagerIsToldOfStartReloadAndStop() throws Exception {
        Path socket = directory.resolve("notify");
        try (NotifySocket manager = NotifySocket.open(socket);
                DaemonProcess daemon = DaemonProcess.start(
                        directory,
                        DaemonProcess.write(directory, yaml),
                        Map.of("NOTIFY_SOCKET", socket.toString(), "WATCHDOG_USEC", "600000"),
                        List.of())) {
            manager.await("READY=1");
            assertThat(whoAnswers(2)).hasSize(2);
            manager.await("WATCHDOG=1");
            Processes.kill(daemon.process().pid(), Signal.HUP);
            manager.await("RELOADING=1");
            manager.await("READY=1");
            Processes.kill(daemon.process().pid(), Signal.TERM);
            manager.await("STOPPING=1");
            assertThat(daemon.awaitExit()).isZero();
        }
    }

    @Test
    void aSignalAfterAStopThatKeepsTheWorkerKeepsItToo() throws Exception {
        try (DaemonProcess first = DaemonProcess.start(directory, yaml).awaitRunning()) {
            long worker = first.workerPid();
            assertThat(first.request("POST", "/v1/stop", "{\"keepWorker\":true}")
                            .status())
                    .isEqualTo(202);
            for (int i = 0; i < 3 && first.process().isAlive(); i++) {
                Processes.kill(first.process().pid(), Signal.TERM);
            }
            first.awaitExit();
            assertThat(ProcessHandle.of(worker).filter(ProcessHandle::isAlive)).isPresent();
        }
    }

    @Test
    void aWorkerOfAnotherBuildIsReplacedWithoutAFailure() throws Exception {
        try (DaemonProcess first = DaemonProcess.start(
                        directory, DaemonProcess.write(directory, yaml), Map.of(), List.of(), "--build", "old")
                .awaitRunning()) {
            long worker = first.workerPid();
            try (Load load = Load.start(port, 4)) {
                first.await("load flows", () -> load.answered.get() > 100);
                try (DaemonProcess second =
                        DaemonProcess.start(directory, first.file, Map.of(), List.of(), "--replace")) {
                    second.awaitRunning();
                    second.await("the worker is replaced", () -> second.workerPid() != worker && serving(second));
                    second.await(
                            "the old one has gone",
                            () -> ProcessHandle.of(worker)
                                    .filter(ProcessHandle::isAlive)
                                    .isEmpty());
                    long since = load.answered.get();
                    second.await("load flows on", () -> load.answered.get() > since + 100);
                    load.end();
                    assertThat(load.failures).isEmpty();
                    assertThat(second.status()
                                    .getAsJsonObject("worker")
                                    .get("restarts")
                                    .getAsInt())
                            .as(second.log())
                            .isZero();
                }
            }
        }
    }
}

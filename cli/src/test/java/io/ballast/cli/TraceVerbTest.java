package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.cli.control.TraceVerb;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** {@code ballast trace}: how packets look, what is refused, and how it ends. */
@Timeout(60)
class TraceVerbTest {
    private static final String HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n";
    private static final String PACKET = """
            {"time":"2026-01-01T10:00:00.000001Z","interface":"eth0","protocol":"tcp","from":"10.9.0.1:8080",\
            "to":"10.9.0.254:1024","packet":"syn-ack","length":60,"answer":true,"server":"www1","chosen":"memory",\
            "verdict":"sent","outFrom":"192.0.2.1:80","outTo":"198.51.100.7:4711"}
            """;

    /** What the verb prints for one packet, behind the time. */
    private static String shown(String members) throws IOException {
        TimeZone before = TimeZone.getDefault();
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        String packet = "{\"time\":\"2026-01-01T10:00:00.000001Z\",\"interface\":\"eth0\"," + members + "}\n";
        String end = "{\"ended\":\"limit\",\"told\":1,\"seen\":1,\"lost\":0}\n";
        try (FakeDaemon daemon = FakeDaemon.start(r -> HEAD + packet + end)) {
            Console console = daemon.run("trace", "web");
            assertThat(console.code()).isEqualTo(Exit.DONE);
            assertThat(console.err()).isEqualTo("1 of 1 packet shown\n");
            assertThat(console.out()).startsWith("10:00:00.000001 eth0    ");
            return console.out().substring("10:00:00.000001 eth0    ".length()).strip();
        } finally {
            TimeZone.setDefault(before);
        }
    }

    private static String members(String packet, boolean answer, String more) {
        return "\"protocol\":\"tcp\",\"from\":\"198.51.100.7:4711\",\"to\":\"192.0.2.1:80\",\"packet\":\"" + packet
                + "\",\"length\":60,\"answer\":" + answer + "," + more;
    }

    @Test
    void whatCameStandsFirstAndWhatItBecomesBehind() throws IOException {
        String way = "\"server\":\"www1\",\"chosen\":\"slot\",\"verdict\":\"sent\",\"outInterface\":\"eth1\","
                + "\"mac\":\"02:00:00:01:00:01\"";
        assertThat(shown(members("syn", false, way)))
                .isEqualTo("TCP 198.51.100.7:4711 > 192.0.2.1:80  SYN, 60 bytes: by slot to www1:"
                        + " sent by eth1 to 02:00:00:01:00:01");
        assertThat(shown(
                        members("cookie", false, way + ",\"outFrom\":\"10.9.0.254:1024\",\"outTo\":\"10.9.0.1:8080\"")))
                .isEqualTo("TCP 198.51.100.7:4711 > 192.0.2.1:80  ACK of a SYN cookie, 60 bytes: by slot to www1:"
                        + " sent as 10.9.0.254:1024 > 10.9.0.1:8080 by eth1 to 02:00:00:01:00:01");
        assertThat(shown(members("goes-on, first fragment", false, way + ",\"tunnel\":\"10.9.0.1\"")))
                .isEqualTo("TCP 198.51.100.7:4711 > 192.0.2.1:80  ACK, first fragment, 60 bytes: by slot to www1:"
                        + " sent in a tunnel to 10.9.0.1 by eth1 to 02:00:00:01:00:01");
        assertThat(shown(PACKET.strip()
                        .substring(1)
                        .replaceAll("^.*?\"protocol\"", "\"protocol\"")
                        .replace("}", "")))
                .isEqualTo("TCP 10.9.0.1:8080 > 10.9.0.254:1024  SYN-ACK, 60 bytes: answer of www1:"
                        + " sent to the client as 192.0.2.1:80 > 198.51.100.7:4711");
        assertThat(shown(members(
                        "icmp-error", false, way + ",\"outFrom\":\"10.9.0.1:8080\",\"outTo\":\"198.51.100.7:4711\"")))
                .isEqualTo("ICMP error about TCP 198.51.100.7:4711 > 192.0.2.1:80  60 bytes: by slot to www1:"
                        + " sent about 10.9.0.1:8080 > 198.51.100.7:4711 by eth1 to 02:00:00:01:00:01");
        assertThat(shown(members("syn", false, "\"verdict\":\"sent\",\"why\":\"answered with a SYN cookie\"")))
                .isEqualTo("TCP 198.51.100.7:4711 > 192.0.2.1:80  SYN, 60 bytes: answered with a SYN cookie");
        assertThat(shown(members("syn", false, "\"verdict\":\"passed\",\"why\":\"no server could take it\"")))
                .isEqualTo("TCP 198.51.100.7:4711 > 192.0.2.1:80  SYN, 60 bytes: passed to the kernel,"
                        + " no server could take it");
    }

    @Test
    void whatIsOutsideIsRefusedBeforeTheDaemonIsAsked() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> HEAD)) {
            for (String[] wrong : new String[][] {
                {"--every", "0", "--every 0 is not between 1 and 2147483647"},
                {"--every", "2147483648", "--every 2147483648 is not between 1 and 2147483647"},
                {"--limit", "0", "--limit 0 is not between 1 and 1000000"},
                {"--limit", "1000001", "--limit 1000001 is not between 1 and 1000000"},
                {"--for", "2h", "--for 2h is not between 1ms and 1h"},
            }) {
                Console console = daemon.run("trace", "web", wrong[0], wrong[1]);
                assertThat(console.code()).isEqualTo(Exit.USAGE);
                assertThat(console.err()).contains(wrong[2]);
            }
            assertThat(daemon.requests()).isEmpty();
            daemon.run("trace", "web", "--every", "7", "--limit", "1000000", "--for", "1h");
            assertThat(daemon.requests().getFirst())
                    .startsWith("GET /v1/services/web/trace?every=7&limit=1000000&millis=3600000 ");
        }
    }

    private record Ended(int code, String out, String err) {}

    /** One that is interrupted as soon as the daemon answers. */
    private static Ended interrupted(FakeDaemon daemon) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                "",
                Map.of());
        CountDownLatch over = new CountDownLatch(1);
        TraceVerb verb = new TraceVerb(stop -> Thread.ofPlatform().daemon().start(() -> {
            stop.run();
            over.countDown();
        }));
        int code = verb.run(new Invocation(
                Map.of("service", List.of("web")),
                Map.of("--socket", List.of(daemon.socket().toString())),
                terminal,
                Map.of()));
        over.await();
        return new Ended(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    @Test
    void whoeverInterruptsItGetsTheSum() throws Exception {
        String sum = "{\"ended\":\"client\",\"told\":1,\"seen\":20,\"lost\":3}\n";
        try (FakeDaemon daemon = FakeDaemon.untilItIsStopped(HEAD + PACKET, sum)) {
            Ended ended = interrupted(daemon);
            assertThat(ended.out()).contains("SYN-ACK");
            assertThat(ended.err())
                    .isEqualTo("1 of 20 packets shown, until it was interrupted; 3 more came too fast to be told of:"
                            + " --every N samples\n");
        }
    }

    @Test
    void aDaemonThatEndsMeanwhileIsSaidAndIsAFailure() throws Exception {
        String sum = "{\"ended\":\"engine\",\"told\":1,\"seen\":0,\"lost\":0}\n";
        for (String end : new String[] {sum, ""}) {
            try (FakeDaemon daemon = FakeDaemon.start(r -> HEAD + PACKET + end)) {
                Console console = daemon.run("trace", "web");
                assertThat(console.code()).isEqualTo(Exit.FAILED);
                assertThat(console.err()).startsWith("error: 1 packet shown; the daemon ended");
            }
        }
    }

    @Test
    void aDaemonThatEndsWithoutTheSumIsNoLoss() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.untilItIsStopped(HEAD + PACKET + PACKET, "")) {
            assertThat(interrupted(daemon).err())
                    .isEqualTo("2 packets shown; the daemon ended before it could sum up\n");
        }
    }
}

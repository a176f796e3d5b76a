package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static io.ballast.health.probe.Asking.containing;
import static io.ballast.health.probe.Asking.http;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class HttpProbeTest {

    private static final String PAGE = "<h1>Test Page</h1>\n";
    private static final String DIGEST = "d6e4dc7ac9a3a3d3a9ed7d6a0dde7e35b1b4a0eec0ee41d97b4a0b7d4a6e0c5e";

    private static ProbeResult answered(ProbeSpec.Http spec, String... pieces) throws IOException {
        try (FakeServer server = FakeServer.tcp(FakeServer.answer(pieces))) {
            return ask(spec, server.port());
        }
    }

    private static String ok(String body) {
        return "HTTP/1.1 200 OK\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
    }

    @Test
    void aGoodAnswerIsToldWithItsStatus() throws IOException {
        ProbeResult result = answered(http(), ok(PAGE));
        assertThat(result.ok()).isTrue();
        assertThat(result.reason()).matches("connected in [0-9.]+ ms, HTTP 200");
    }

    @Test
    void anotherStatusIsToldWithWhatWasExpected() throws IOException {
        ProbeResult result = answered(http(), "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy");
        assertThat(result.ok()).isFalse();
        assertThat(result.reason()).matches("connected in [0-9.]+ ms, HTTP 503, expected 200-299");
        assertThat(result.detail()).isEqualTo("busy");
    }

    @Test
    void theBodyMustContainTheText() throws IOException {
        assertThat(answered(containing(http(), "Test Page", false), ok(PAGE)).ok())
                .isTrue();
        ProbeResult result = answered(containing(http(), "Test Page", false), ok("x".repeat(612)));
        assertThat(result.reason()).endsWith("HTTP 200, text \"Test Page\" not found in 612 bytes");
        assertThat(answered(containing(http(), "T.st\\s+P", true), ok(PAGE)).ok())
                .isTrue();
    }

    @Test
    void theCharsetOfTheAnswerCounts() throws IOException {
        String latin = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=ISO-8859-1\r\n\r\ncaf\u00e9";
        assertThat(answered(containing(http(), "café", false), latin).ok()).isTrue();
        String utf8 = new String("café".getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
        assertThat(answered(containing(http(), "café", false), "HTTP/1.1 200 OK\r\n\r\n" + utf8)
                        .ok())
                .isTrue();
    }

    @Test
    void theBodyMustHaveTheDigest() throws Exception {
        byte[] sum = java.security.MessageDigest.getInstance("SHA-256").digest(PAGE.getBytes(StandardCharsets.UTF_8));
        String right = java.util.HexFormat.of().formatHex(sum);
        for (boolean match : new boolean[] {true, false}) {
            ProbeSpec.Http spec = new ProbeSpec.Http(
                    "GET",
                    "/",
                    Optional.empty(),
                    Map.of(),
                    List.of(new StatusRange(200, 200)),
                    Optional.empty(),
                    Optional.of(match ? right : DIGEST),
                    HttpVersion.HTTP_1_1,
                    Optional.empty());
            ProbeResult result = answered(spec, ok(PAGE));
            assertThat(result.ok()).isEqualTo(match);
            if (!match) {
                assertThat(result.reason()).contains("SHA-256 " + right);
            }
        }
    }

    @Test
    void chunksAreJoined() throws IOException {
        ProbeResult result = answered(
                containing(http(), "Test Page", false),
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nTest\r\n",
                "5\r\n Page\r\n0\r\nTrailer: yes\r\n\r\n");
        assertThat(result.ok()).isTrue();
    }

    @Test
    void interimAnswersArePassedOver() throws IOException {
        assertThat(answered(http(), "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", ok(PAGE))
                        .ok())
                .isTrue();
    }

    @Test
    void answersWithoutBodyNeedNone() throws IOException {
        ProbeSpec.Http head = new ProbeSpec.Http(
                "HEAD",
                "/",
                Optional.empty(),
                Map.of(),
                List.of(new StatusRange(200, 204)),
                Optional.empty(),
                Optional.empty(),
                HttpVersion.HTTP_1_1,
                Optional.empty());
        assertThat(answered(head, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
                        .ok())
                .isTrue();
        assertThat(answered(http(), "HTTP/1.1 204 No Content\r\n\r\n").ok()).isTrue();
    }

    @Test
    void malformedAnswersAreNamed() throws IOException {
        record Case(String answer, String reason) {}
        List<Case> cases = List.of(
                new Case("220 mail.example ESMTP\r\n", "the server does not speak HTTP here: it answered \"220 mail"),
                new Case("HTTP/1.1 20x OK\r\n\r\n", "does not speak HTTP here"),
                new Case("HTTP/2.0 200 OK\r\n\r\n", "does not speak HTTP here"),
                new Case("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "a line without a field name"),
                new Case("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "Content-Length is \"-5\""),
                new Case(
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                        "two different Content-Length"),
                new Case("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding \"gzip\""),
                new Case("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "instead of its size"),
                new Case("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", "instead of its size"),
                new Case("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than it says"),
                new Case("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "closed the connection before"),
                new Case("HTTP/1.1 200 OK\r\nX: " + "y".repeat(70_000) + "\r\n\r\n", "longer than"),
                new Case("", "closed the connection before its answer was complete"));
        for (Case one : cases) {
            ProbeResult result = answered(http(), one.answer());
            assertThat(result.ok()).as(one.answer()).isFalse();
            assertThat(result.reason()).as(one.answer()).contains(one.reason());
        }
    }

    @Test
    void aBodyIsReadToItsBoundOnly() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            FakeServer.readUntil(socket, "\r\n\r\n");
            socket.getOutputStream().write("HTTP/1.1 200 OK\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            byte[] flood = new byte[65536];
            while (true) {
                socket.getOutputStream().write(flood);
            }
        })) {
            assertThat(ask(http(), server.port()).ok()).isTrue();
            assertThat(ask(containing(http(), "Test", false), server.port()).reason())
                    .endsWith("text \"Test\" not found in the first 1048576 bytes");
        }
    }

    @Test
    void aServerThatStopsInTheMiddleFailsAtTheTimeOut() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            FakeServer.readUntil(socket, "\r\n\r\n");
            socket.getOutputStream()
                    .write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".getBytes(StandardCharsets.US_ASCII));
            FakeServer.silent().serve(socket);
        })) {
            assertThat(ask(http(), Asking.target(server.port()), Asking.SHORT).reason())
                    .matches("no end of the answer within 150ms \\(connected in [0-9.]+ ms, 43 bytes came\\)");
        }
    }

    @Test
    void theRequestIsAsDescribed() throws Exception {
        BlockingQueue<String> requests = new LinkedBlockingQueue<>();
        try (FakeServer server = FakeServer.tcp(socket -> {
            requests.add(FakeServer.readUntil(socket, "\r\n\r\n"));
            socket.getOutputStream().write(ok("").getBytes(StandardCharsets.US_ASCII));
        })) {
            ask(http(), server.port());
            assertThat(requests.take())
                    .isEqualTo("GET /index.html HTTP/1.1\r\nHost: 127.0.0.1:" + server.port()
                            + "\r\nUser-Agent: ballast\r\nAccept: */*\r\nConnection: close\r\n\r\n");
            ask(
                    new ProbeSpec.Http(
                            "OPTIONS",
                            "*",
                            Optional.of("www.example"),
                            Map.of("user-agent", "me"),
                            List.of(),
                            Optional.empty(),
                            Optional.empty(),
                            HttpVersion.HTTP_1_0,
                            Optional.empty()),
                    server.port());
            assertThat(requests.take())
                    .isEqualTo("OPTIONS * HTTP/1.0\r\nHost: www.example\r\nAccept: */*\r\nuser-agent: me\r\n\r\n");
        }
    }

    @Test
    void hostsLoseTheirPortForTheCertificate() {
        assertThat(HttpProbe.withoutPort("www.example:8443")).isEqualTo("www.example");
        assertThat(HttpProbe.withoutPort("www.example")).isEqualTo("www.example");
        assertThat(HttpProbe.withoutPort("[2001:db8::1]:443")).isEqualTo("2001:db8::1");
        assertThat(HttpProbe.withoutPort("2001:db8::1")).isEqualTo("2001:db8::1");
    }
}

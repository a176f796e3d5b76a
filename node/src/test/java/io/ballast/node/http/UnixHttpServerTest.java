package io.ballast.node.http;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UnixHttpServerTest {
    private static final UnixHttpServer.Limits IMPATIENT = new UnixHttpServer.Limits(
            Duration.ofMillis(300), Duration.ofMillis(300), Duration.ofMillis(300), 5, 4 << 20);

    @TempDir
    Path dir;

    private Path socket;
    private final CountDownLatch endlessEnded = new CountDownLatch(1);
    private final LinkedBlockingQueue<String> troubles = new LinkedBlockingQueue<>();
    private UnixHttpServer server;

    @BeforeEach
    void open() throws IOException {
        socket = dir.resolve("s");
        server = UnixHttpServer.open(socket, UnixHttpServer.Limits.standard(4 << 20), this::answer, troubles::add);
    }

    @AfterEach
    void close() {
        server.close();
        assertThat(socket).doesNotExist();
        assertThat(troubles).isEmpty();
    }

    private void reopen(UnixHttpServer.Limits limits) throws IOException {
        server.close();
        server = UnixHttpServer.open(socket, limits, this::answer, troubles::add);
    }

    private Response answer(Request request) throws HttpException {
        if (request.path().isEmpty()) {
            throw new HttpException(404, "nothing here");
        }
        return switch (request.path().getFirst()) {
            case "echo" ->
                Response.text(
                        200,
                        "text/plain",
                        request.method() + " " + request.path() + " " + request.query() + " " + request.text());
            case "length" -> Response.text(200, "text/plain", Integer.toString(request.body().length));
            case "stream" ->
                Response.stream(200, "text/plain", out -> {
                    for (int i = 0; i < 5000; i++) {
                        out.write("0123456789".getBytes(ISO_8859_1));
                    }
                });
            case "huge" ->
                Response.stream(200, "text/plain", out -> {
                    byte[] block = new byte[1 << 16];
                    for (int i = 0; i < 10_000; i++) {
                        out.write(block);
                    }
                });
            case "endless" ->
                Response.endless(200, "text/plain", out -> {
                    try {
                        out.write("first\n".getBytes(ISO_8859_1));
                        out.flush();
                        new CountDownLatch(1).await();
                    } finally {
                        endlessEnded.countDown();
                    }
                });
            case "stop" -> {
                Thread.ofVirtual().start(server::close);
                awaitClosing();
                yield Response.text(200, "text/plain", "stopping");
            }
            default -> throw new HttpException(404, "no " + request.path());
        };
    }

    private SocketChannel connect() throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        assertThat(channel.connect(UnixDomainSocketAddress.of(socket))).isTrue();
        return channel;
    }

    private static void send(SocketChannel channel, String text) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(ISO_8859_1));
        while (bytes.hasRemaining()) {
            assertThat(channel.write(bytes)).isNotNegative();
        }
    }

    private static String readAll(SocketChannel channel) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        ByteBuffer buffer = ByteBuffer.allocate(8192);
        while (channel.read(buffer.clear()) >= 0) {
            all.write(buffer.array(), 0, buffer.position());
        }
        return all.toString(ISO_8859_1);
    }

    /** Sends bytes, then reads until the server closes. */
    private String ask(String text) throws IOException {
        try (SocketChannel channel = connect()) {
            send(channel, text);
            return readAll(channel);
        }
    }

    private static String bodyOf(String answer) {
        return answer.substring(answer.indexOf("\r\n\r\n") + 4);
    }

    @Test
    void theSocketBelongsToItsOwnerAlone() throws IOException {
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
                .isEqualTo("rw-------");
        try (var files = Files.list(dir)) {
            assertThat(files).containsExactly(socket);
        }
    }

    @Test
    void answersOneRequestAfterTheOtherOnOneConnection() throws IOException {
        String answer = ask("GET /echo/a%20b?x=1&y=%C3%A4+z HTTP/1.1\r\nHost: x\r\n\r\n"
                + "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
                + "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: r\r\n\r\n"
                + "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n");
        assertThat(answer)
                .contains("GET [echo, a b] {x=1, y=")
                .contains("POST [echo] {} hello")
                .contains("POST [echo] {} abcde")
                .endsWith("GET [echo] {} ");
    }

    @Test
    void streamsWhatHasNoKnownLength() throws IOException {
        assertThat(ask("GET /stream HTTP/1.1\r\nConnection: close\r\n\r\n"))
                .contains("Transfer-Encoding: chunked")
                .endsWith("0\r\n\r\n");
        String old = ask("GET /stream HTTP/1.0\r\n\r\n");
        assertThat(old).contains("Connection: close").doesNotContain("chunked");
        assertThat(bodyOf(old)).hasSize(50_000);
    }

    @Test
    void aBodyIsAskedForOnlyWhenItIsAcceptable() throws IOException {
        try (SocketChannel channel = connect()) {
            send(
                    channel,
                    "POST /length HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
            ByteBuffer buffer = ByteBuffer.allocate(100);
            assertThat(channel.read(buffer)).isPositive();
            assertThat(new String(buffer.array(), 0, buffer.position(), ISO_8859_1))
                    .isEqualTo("HTTP/1.1 100 Continue\r\n\r\n");
            send(channel, "abc");
            assertThat(bodyOf(readAll(channel))).isEqualTo("3");
        }
        String tooLarge = ask("POST /length HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 67108865\r\n\r\n");
        assertThat(tooLarge).startsWith("HTTP/1.1 413 ").doesNotContain("100 Continue");
    }

    @Test
    void malformedRequestsGetAReasonAndTheConnectionEnds() throws IOException {
        assertThat(ask("nonsense\r\n\r\n")).startsWith("HTTP/1.1 400 ").contains("not an HTTP/1.1 request");
        assertThat(ask("GET /echo HTTP/2.0\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("GET http://x/echo HTTP/1.1\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("GET /%zz HTTP/1.1\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("GET /echo HTTP/1.1\r\nno colon\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("GET /echo HTTP/1.1\r\nA: b\r\n folded\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n")).startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"))
                .startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"))
                .startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"))
                .startsWith("HTTP/1.1 501 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"))
                .startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"))
                .startsWith("HTTP/1.1 400 ");
        assertThat(ask("POST /length HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4000001\r\n"))
                .startsWith("HTTP/1.1 413 ");
        assertThat(ask("GET / HTTP/1.1\r\n\r\n")).startsWith("HTTP/1.1 404 ").endsWith("nothing here\n");
    }

    @Test
    void anEndlessHeadIsCutOff() throws IOException {
        assertThat(ask("GET /echo HTTP/1.1\r\nX: " + "y".repeat(UnixHttpServer.MAX_HEAD)))
                .startsWith("HTTP/1.1 431 ");
    }

    @Test
    void aRequestThatEndsInTheMiddleIsRefused() throws IOException {
        try (SocketChannel channel = connect()) {
            send(channel, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel");
            channel.shutdownOutput();
            assertThat(readAll(channel)).startsWith("HTTP/1.1 400 ").contains("the request ends in its body");
        }
    }

    @Test
    void clientsThatSayNothingOrDribbleAreLetGo() throws IOException {
        reopen(IMPATIENT);
        assertThat(ask("")).isEmpty();
        assertThat(ask("GET /ec")).isEmpty();
        assertThat(ask("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel")).isEmpty();
    }

    @Test
    void aClientThatDoesNotReadItsAnswerIsLetGo() throws Exception {
        reopen(IMPATIENT);
        try (SocketChannel channel = connect()) {
            send(channel, "GET /huge HTTP/1.1\r\n\r\n");
            await(() -> server.connections() == 0);
        }
    }

    @Test
    void oneClientTooManyIsToldSo() throws Exception {
        reopen(new UnixHttpServer.Limits(
                Duration.ofSeconds(30), Duration.ofSeconds(30), Duration.ofSeconds(30), 2, 4 << 20));
        try (SocketChannel one = connect();
                SocketChannel two = connect();
                SocketChannel three = connect()) {
            assertThat(readAll(three)).startsWith("HTTP/1.1 503 ");
            send(one, "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n");
            assertThat(readAll(one)).startsWith("HTTP/1.1 200 ");
            await(() -> server.connections() == 1);
            send(two, "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n");
            assertThat(readAll(two)).startsWith("HTTP/1.1 200 ");
        }
    }

    @Test
    void whoWritesAnEndlessAnswerHearsThatTheClientLeft() throws Exception {
        try (SocketChannel channel = connect()) {
            send(channel, "GET /endless HTTP/1.1\r\n\r\n");
            ByteBuffer buffer = ByteBuffer.allocate(1000);
            while (!new String(buffer.array(), 0, buffer.position(), ISO_8859_1).contains("first\n")) {
                assertThat(channel.read(buffer)).isPositive();
            }
            assertThat(endlessEnded.getCount()).isEqualTo(1);
        }
        assertThat(endlessEnded.await(30, TimeUnit.SECONDS)).isTrue();
        await(() -> server.connections() == 0);
    }

    @Test
    void aNewServerTakesTheNameFromTheOldOne() throws IOException {
        UnixHttpServer old = server;
        server = UnixHttpServer.open(socket, UnixHttpServer.Limits.standard(4 << 20), this::answer, troubles::add);
        old.close();
        assertThat(ask("GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n")).startsWith("HTTP/1.1 200 ");
    }

    @Test
    void noBytesWhateverBreakTheServer() throws IOException {
        reopen(IMPATIENT);
        long seed = Long.getLong("ballast.seed", System.nanoTime());
        Random random = new Random(seed);
        String[] words = {
            "GET ",
            "POST ",
            "/echo",
            "/length",
            "?a=b",
            " HTTP/1.1",
            "\r\n",
            "\r\n\r\n",
            "Content-Length: ",
            "3",
            "abc",
            "Transfer-Encoding: chunked",
            ":",
            "%",
            "\0",
            "Expect: 100-continue",
            "0\r\n\r\n",
            "\n",
            "Connection: close"
        };
        for (int i = 0; i < 300; i++) {
            StringBuilder text = new StringBuilder();
            for (int n = random.nextInt(20); n >= 0; n--) {
                text.append(
                        random.nextInt(8) == 0
                                ? String.valueOf((char) random.nextInt(256))
                                : words[random.nextInt(words.length)]);
            }
            try (SocketChannel channel = connect()) {
                send(channel, text.toString());
                channel.shutdownOutput();
                String answer = readAll(channel);
                assertThat(answer.isEmpty() || answer.startsWith("HTTP/1.1 "))
                        .as("seed %d run %d", seed, i)
                        .isTrue();
            } catch (IOException e) {
                // Closed while we were still sending: allowed.
                assertThat(e).hasMessageContaining("Broken pipe");
            }
        }
        assertThat(ask("GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n")).startsWith("HTTP/1.1 200 ");
    }

    private void awaitClosing() {
        try {
            await(() -> !Files.exists(socket));
            // Only closing connections too early could still go wrong, so there must be time for it.
            TimeUnit.MILLISECONDS.sleep(50);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void whoeverAskedForTheStopHearsTheAnswer() throws IOException {
        assertThat(ask("GET /stop HTTP/1.1\r\n\r\n")).endsWith("stopping");
    }

    private static void await(java.util.function.BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime() - deadline).as("waited 30 s").isNegative();
            Thread.sleep(10);
        }
    }
}

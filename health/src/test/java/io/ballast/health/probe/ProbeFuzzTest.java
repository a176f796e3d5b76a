package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.health.Deadline;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.Seeds;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Servers that say nearly the right thing. Whatever comes, a probe ends with a result and a reason; a defect shows as an
 * exception, or as a probe that waits although the server has gone.
 */
@Timeout(300)
class ProbeFuzzTest {

    private static final int ANSWERS = 300;
    private static final int MESSAGES = 20_000;

    static byte[] mutate(byte[] golden, Random random) {
        byte[] bytes = golden.clone();
        for (int changes = 1 + random.nextInt(3); changes > 0 && bytes.length > 0; changes--) {
            int at = random.nextInt(bytes.length);
            switch (random.nextInt(7)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> bytes[at] = (byte) 0xff;
                case 3 -> bytes[at] = 0;
                case 4 -> bytes = splice(bytes, at, at, random(random, 1 + random.nextInt(20)));
                case 5 -> bytes = splice(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(8)), new byte[0]);
                default -> bytes = splice(bytes, at, bytes.length, new byte[0]);
            }
        }
        return bytes;
    }

    private static byte[] splice(byte[] bytes, int from, int to, byte[] instead) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(bytes, 0, from);
        out.writeBytes(instead);
        out.write(bytes, to, bytes.length - to);
        return out.toByteArray();
    }

    private static byte[] random(Random random, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    @Test
    void everyProbeSurvivesItsServer() throws IOException {
        AtomicReference<byte[]> answer = new AtomicReference<>(new byte[0]);
        try (FakeServer server = FakeServer.tcp(socket -> {
            socket.getOutputStream().write(answer.get());
        })) {
            for (Golden golden : Golden.all()) {
                answer.set(golden.answer());
                ProbeResult good = ask(golden.spec(), server.port());
                assertThat(good.reason()).as("%s, unchanged", golden).startsWith("connected in");
                assertThat(good.ok()).as("%s: %s", golden, good.reason()).isTrue();
                for (int n = 1; n <= Seeds.runs(ANSWERS); n++) {
                    long seed = Seeds.seed(n);
                    byte[] changed = mutate(golden.answer(), new Random(seed));
                    answer.set(changed);
                    ProbeResult result = ask(golden.spec(), Asking.target(server.port()), Duration.ofSeconds(60));
                    assertThat(result.reason()).as("%s seed %d", golden, seed).startsWith("connected in");
                    assertThat(result.rttMicros())
                            .as("%s seed %d: the end of input must be noticed", golden, seed)
                            .isLessThan(30_000_000);
                }
            }
        }
    }

    @Test
    void noMessageOfDnsLeadsItsReaderAstray() throws IOException {
        byte[] golden = Golden.dnsAnswer(0x1234).substring(2).getBytes(StandardCharsets.ISO_8859_1);
        assertThat(read(golden)).contains("192.0.2.7").contains("alias.example").contains("hiya");
        for (int n = 1; n <= Seeds.runs(MESSAGES); n++) {
            byte[] changed = mutate(golden, new Random(Seeds.seed(n)));
            assertThat(read(changed)).as("seed %d", Seeds.seed(n)).isNotEmpty();
        }
    }

    private static String read(byte[] message) {
        try {
            return DnsMessage.read(message, message.length).toString();
        } catch (ProbeFailure e) {
            return "failure: " + e.getMessage();
        }
    }

    @Test
    void noAnswerOfHttpLeadsItsReaderAstray() throws IOException {
        for (Golden golden : Golden.all()) {
            if (!golden.name().startsWith("http") && !golden.name().equals("grpc")) {
                continue;
            }
            for (int n = 1; n <= Seeds.runs(MESSAGES / 4); n++) {
                byte[] changed = mutate(golden.answer(), new Random(Seeds.seed(n)));
                assertThat(read(golden, changed))
                        .as("%s seed %d", golden, Seeds.seed(n))
                        .isNotEmpty();
            }
        }
    }

    private static String read(Golden golden, byte[] bytes) throws IOException {
        BoundedInput in = new BoundedInput(new ByteArrayInputStream(bytes));
        try {
            if (golden.name().equals("http/2") || golden.name().equals("grpc")) {
                Http2Exchange exchange =
                        new Http2Exchange(in, new ByteArrayOutputStream(), Deadline.after(Duration.ofMinutes(5)));
                exchange.request("GET", false, "www.example", "/", Map.of(), new byte[0]);
                HttpAnswer answer = exchange.answer();
                if (golden.name().equals("grpc")) {
                    return "serving " + GrpcProbe.serving(answer.body().bytes());
                }
                return "status " + answer.status();
            }
            return "status " + HttpAnswer.read(in, false).status();
        } catch (EOFException e) {
            return "end";
        } catch (ProbeFailure e) {
            return "failure: " + e.getMessage();
        }
    }

    @Test
    void noMessageOfGrpcLeadsItsReaderAstray() {
        for (int n = 1; n <= Seeds.runs(MESSAGES); n++) {
            Random random = new Random(Seeds.seed(n));
            byte[] message = Golden.hex("0000000000").getBytes(StandardCharsets.ISO_8859_1);
            byte[] fields = random(random, random.nextInt(24));
            // Keys of small fields, or all of it would end at the first one.
            for (int i = 0; i < fields.length; i += 1 + random.nextInt(12)) {
                fields[i] &= 0x0f;
            }
            String said;
            try {
                said = "serving " + GrpcProbe.serving(splice(message, 5, 5, fields));
            } catch (ProbeFailure e) {
                said = "failure: " + e.getMessage();
            }
            assertThat(said).as("seed %d", Seeds.seed(n)).isNotEmpty();
        }
    }

    @Test
    void aServerThatNeverStopsIsLeftAtABound() throws IOException {
        for (Golden golden : Golden.all()) {
            byte[] flood = golden.answer();
            int half = flood.length / 2;
            try (FakeServer server = FakeServer.tcp(socket -> flood(socket, flood, half))) {
                ProbeResult result = ask(golden.spec(), Asking.target(server.port()), Duration.ofSeconds(60));
                assertThat(result.reason()).as(golden.name()).isNotEmpty();
                assertThat(result.rttMicros()).as(golden.name()).isLessThan(30_000_000);
            }
        }
    }

    /** The first half, and then its last byte for ever. */
    private static void flood(Socket socket, byte[] bytes, int half) throws IOException {
        socket.getOutputStream().write(bytes, 0, half);
        byte[] more = new byte[8192];
        java.util.Arrays.fill(more, bytes[half - 1]);
        while (true) {
            socket.getOutputStream().write(more);
        }
    }
}

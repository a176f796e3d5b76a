package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static io.ballast.health.probe.Asking.target;
import static io.ballast.health.probe.Asking.tcp;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.health.Probe;
import io.ballast.health.ProbeTarget;
import io.ballast.health.Probes;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeResult.Outcome;
import io.ballast.linux.NetworkNamespace;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class TcpProbeTest {

    private static ProbeSpec.Tcp expecting(String send, TextMatch match) {
        return new ProbeSpec.Tcp(Optional.of(send), Optional.of(match), Optional.empty());
    }

    @Test
    void connectingIsEnough() throws IOException {
        try (FakeServer server = FakeServer.tcp(FakeServer.silent())) {
            ProbeResult result = ask(tcp(), server.port());
            assertThat(result.ok()).isTrue();
            assertThat(result.reason()).matches("connected in [0-9.]+ m?s");
            assertThat(result.rttMicros()).isPositive();
        }
    }

    @Test
    void aClosedPortIsNamed() {
        int port = Asking.closedPort();
        ProbeResult result = ask(tcp(), port);
        assertThat(result.outcome()).isEqualTo(Outcome.FAILURE);
        assertThat(result.reason()).isEqualTo("connection refused by 127.0.0.1:" + port);
    }

    @Test
    void sendsAndExpects() throws IOException {
        try (FakeServer server = FakeServer.tcp(FakeServer.answer("220 mail", " ready\r\n"))) {
            ProbeResult good = ask(tcp("HELLO\r\n", "ready"), server.port());
            assertThat(good.reason()).endsWith("answered as expected");
            ProbeResult bad = ask(tcp("HELLO\r\n", "steady"), server.port());
            assertThat(bad.ok()).isFalse();
            assertThat(bad.reason()).endsWith(", text \"steady\" not found in 16 bytes");
            assertThat(bad.detail()).isEqualTo("220 mail ready\r\n");
            assertThat(ask(expecting("x", new TextMatch("^220 .* ready", true)), server.port())
                            .ok())
                    .isTrue();
        }
    }

    @Test
    void bytesAboveAsciiAreSentAsBytes() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            int got = socket.getInputStream().read();
            socket.getOutputStream().write(new byte[] {(byte) got, (byte) 0xfe});
        })) {
            assertThat(ask(tcp("\u00ff", "\u00ff\u00fe"), server.port()).ok()).isTrue();
        }
    }

    @Test
    void silenceIsAFailureAtTheTimeOut() throws IOException {
        try (FakeServer server = FakeServer.tcp(FakeServer.silent())) {
            ProbeResult result = ask(tcp("x", "y"), target(server.port()), Asking.SHORT);
            assertThat(result.reason()).matches("no answer within 150ms \\(connected in [0-9.]+ ms\\)");
            assertThat(result.rttMicros()).isGreaterThanOrEqualTo(140_000);
        }
    }

    @Test
    void anAnswerThatNeverMatchesEndsAtItsBound() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            byte[] flood = new byte[8192];
            while (true) {
                socket.getOutputStream().write(flood);
            }
        })) {
            assertThat(ask(tcp("x", "y"), server.port()).reason()).endsWith("not found in 65536 bytes");
        }
    }

    @Test
    void aServerThatDribblesIsCutOffAtTheTimeOut() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            socket.getOutputStream().write('a');
            FakeServer.silent().serve(socket);
        })) {
            assertThat(ask(tcp("x", "y"), target(server.port()), Duration.ofSeconds(2))
                            .reason())
                    .endsWith("text \"y\" not found in 1 byte that came in time");
        }
    }

    @Test
    void anExpressionThatNeverEndsIsCutOff() throws IOException {
        try (FakeServer server = FakeServer.tcp(FakeServer.answer("a".repeat(4000) + "!"))) {
            ProbeResult result = ask(
                    expecting("x", new TextMatch("(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)=", true)),
                    target(server.port()),
                    Asking.SHORT);
            assertThat(result.reason()).contains("simplify the expression");
        }
    }

    @Test
    void anUnreachableNetworkIsTheServersFailure() throws Exception {
        Root.assume("an empty network namespace");
        ProbeTarget nowhere = ProbeTarget.of(InetAddress.getByName("203.0.113.1"), 80);
        try (NetworkNamespace empty = NetworkNamespace.create()) {
            ProbeResult result = empty.call(() -> ask(tcp(), nowhere, Asking.LONG));
            assertThat(result.outcome()).isEqualTo(Outcome.FAILURE);
            assertThat(result.reason()).isEqualTo("no route to 203.0.113.1:80: network unreachable");
        }
    }

    @Test
    void aSourceAddressThatIsNotHereIsTheDirectorsProblem() throws IOException {
        ProbeTarget target = new ProbeTarget(
                InetAddress.getLoopbackAddress(),
                80,
                Optional.of(InetAddress.getByName("203.0.113.77")),
                Optional.empty(),
                "www1",
                "web");
        ProbeResult result = ask(tcp(), target, Asking.LONG);
        assertThat(result.outcome()).isEqualTo(Outcome.INCONCLUSIVE);
        assertThat(result.reason()).contains("the source address is not on this node");
    }

    @Test
    void theSourceAddressIsUsed() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            String from = socket.getInetAddress().getHostAddress();
            socket.getOutputStream().write(("you are " + from).getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        })) {
            ProbeTarget target = new ProbeTarget(
                    InetAddress.getLoopbackAddress(),
                    server.port(),
                    Optional.of(InetAddress.getByName("127.0.0.9")),
                    Optional.empty(),
                    "www1",
                    "web");
            assertThat(ask(tcp("", "you are 127.0.0.9"), target, Asking.LONG).ok())
                    .isTrue();
        }
    }

    @Test
    void anInterfaceThatIsNotThereFailsWithItsName() {
        ProbeTarget target = new ProbeTarget(
                InetAddress.getLoopbackAddress(), 80, Optional.empty(), Optional.of("nosuch0"), "www1", "web");
        ProbeResult result = ask(tcp(), target, Asking.LONG);
        assertThat(result.ok()).isFalse();
        assertThat(result.reason()).contains("nosuch0");
    }

    @Test
    void aWrongExpressionIsNamed() {
        Probe probe = new Probes().of(expecting("", new TextMatch("(", true)));
        assertThat(ask(probe, target(1), Asking.LONG).reason())
                .startsWith("the description of the check is wrong: Unclosed group");
    }
}

package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.Tls;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class TlsClientTest {

    private static final FakeServer.Script PAGE = FakeServer.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");

    private static ProbeResult https(String keyStore, Tls tls) throws IOException {
        try (FakeServer server = FakeServer.tls(keyStore, PAGE)) {
            return ask(Asking.http(HttpVersion.HTTP_1_1, Optional.of(tls)), server.port());
        }
    }

    private static X509Certificate certificate(String keyStore) throws Exception {
        try (InputStream in = TlsClientTest.class.getResourceAsStream("/tls/" + keyStore + ".p12")) {
            KeyStore keys = KeyStore.getInstance("PKCS12");
            keys.load(in, "testing".toCharArray());
            return (X509Certificate) keys.getCertificate("server");
        }
    }

    private static String pin(String keyStore) throws Exception {
        byte[] key = certificate(keyStore).getPublicKey().getEncoded();
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(key));
    }

    @Test
    void aTrustedCertificateForTheNameIsAccepted() throws IOException {
        assertThat(https("good", Asking.tls("www.example", true)).reason()).endsWith("HTTP 200");
    }

    @Test
    void theAddressIsVerifiedWhereThereIsNoName() throws IOException {
        assertThat(https("good", new Tls(Optional.empty(), true, Optional.empty(), OptionalInt.empty()))
                        .reason())
                .endsWith("HTTP 200");
        assertThat(https("other", new Tls(Optional.empty(), true, Optional.empty(), OptionalInt.empty()))
                        .reason())
                .contains("certificate is not for 127.0.0.1");
    }

    @Test
    void whatIsWrongWithACertificateIsSaid() throws IOException {
        assertThat(https("expired", Asking.tls("www.example", true)).reason())
                .matches("connected in [0-9.]+ ms, certificate expired [0-9]+ days ago");
        assertThat(https("other", Asking.tls("www.example", true)).reason())
                .contains("certificate is not for www.example");
        assertThat(https("self", Asking.tls("www.example", true)).reason())
                .endsWith("certificate is self-signed, and this system does not trust it");
    }

    @Test
    void withoutVerificationAnyCertificateWillDo() throws IOException {
        assertThat(https("expired", Asking.tls("nobody", false)).ok()).isTrue();
        assertThat(https("self", Asking.tls("nobody", false)).ok()).isTrue();
    }

    @Test
    void aPinReplacesTrust() throws Exception {
        Tls pinned = new Tls(Optional.empty(), true, Optional.of(pin("self")), OptionalInt.empty());
        assertThat(https("self", pinned).ok()).isTrue();
        assertThat(https("good", pinned).reason()).endsWith("SHA-256 " + pin("good") + ", which is not the pin");
    }

    @Test
    void theDaysLeftAreCounted() throws Exception {
        Tls month = new Tls(Optional.empty(), false, Optional.empty(), OptionalInt.of(30));
        X509Certificate certificate = certificate("good");
        Instant end = certificate.getNotAfter().toInstant();
        List<X509Certificate> chain = List.of(certificate);
        TlsClient.check(chain, month, end.minus(Duration.ofDays(31)));
        assertThatThrownBy(() -> TlsClient.check(chain, month, end.minus(Duration.ofDays(3))))
                .hasMessage("certificate expires in 3 days, expected 30 or more");
        assertThatThrownBy(() -> TlsClient.check(chain, month, end.minus(Duration.ofHours(5))))
                .hasMessage("certificate expires in 5 hours, expected 30 or more");
        assertThatThrownBy(() -> TlsClient.check(chain, month, end.plus(Duration.ofDays(3))))
                .hasMessage("certificate expired 3 days ago");
    }

    @Test
    void aPortWithoutTlsIsNamed() throws IOException {
        ProbeSpec.Http https = Asking.http(HttpVersion.HTTP_1_1, Optional.of(Asking.tls("www.example", true)));
        try (FakeServer server = FakeServer.tcp(FakeServer.answer("HTTP/1.1 400 Bad Request\r\n\r\n"))) {
            assertThat(ask(https, server.port()).reason()).endsWith("the server does not speak TLS on this port");
        }
        try (FakeServer server = FakeServer.tcp(FakeServer.silent())) {
            assertThat(ask(https, Asking.target(server.port()), Asking.SHORT).reason())
                    .startsWith("no TLS handshake within 150ms (connected in");
        }
    }

    @Test
    void tcpInTlsSendsAndExpects() throws IOException {
        try (FakeServer server = FakeServer.tls(
                "good", socket -> socket.getOutputStream().write("hello".getBytes(StandardCharsets.US_ASCII)))) {
            ProbeSpec.Tcp spec = new ProbeSpec.Tcp(
                    Optional.empty(),
                    Optional.of(new ProbeSpec.TextMatch("hello", false)),
                    Optional.of(Asking.tls("www.example", true)));
            assertThat(ask(spec, server.port()).ok()).isTrue();
        }
    }

    @Test
    void aProtocolThatTheServerDoesNotChooseIsNamed() throws IOException {
        try (FakeServer server = FakeServer.tls("good", PAGE, "http/1.1")) {
            ProbeResult result =
                    ask(Asking.http(HttpVersion.HTTP_2, Optional.of(Asking.tls("www.example", true))), server.port());
            assertThat(result.reason()).contains("no application protocol");
        }
    }
}

package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static io.ballast.health.probe.Asking.closedPort;
import static io.ballast.health.probe.Asking.target;
import static io.ballast.health.probe.Golden.frame;
import static io.ballast.health.probe.Golden.hex;
import static io.ballast.health.probe.Golden.mysqlGreeting;
import static io.ballast.health.probe.Golden.mysqlOk;
import static io.ballast.health.probe.Golden.mysqlRow;
import static io.ballast.health.probe.Golden.packet;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.Tls;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.io.InputStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Optional;
import java.util.OptionalInt;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What servers say when they are not well, in the bytes of their protocols. */
@Timeout(120)
class ProtocolProbesTest {

    private static final String SCRAMBLE = "abcdefghijklmnopqrst";

    private static String reason(ProbeSpec spec, String answer) throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> write(socket, answer))) {
            return ask(spec, server.port()).reason();
        }
    }

    private static void write(Socket socket, String bytes) throws IOException {
        socket.getOutputStream().write(bytes.getBytes(StandardCharsets.ISO_8859_1));
        socket.getOutputStream().flush();
    }

    @Test
    void greetingsOfSickServersAreQuoted() throws IOException {
        assertThat(reason(new ProbeSpec.Ftp(Optional.empty()), "421 Too many connections\r\n"))
                .endsWith("connection answered by \"421 Too many connections\", expected 220");
        assertThat(reason(new ProbeSpec.Imap(Optional.empty()), "* BYE shutting down\r\n"))
                .endsWith("the server greets with \"* BYE shutting down\", expected * OK");
        assertThat(reason(new ProbeSpec.Pop3(Optional.empty()), "-ERR busy\r\n"))
                .endsWith("the server greets with \"-ERR busy\", expected +OK");
        assertThat(reason(new ProbeSpec.Pop3(Optional.empty()), "+OKAY\r\n")).contains("expected +OK");
        assertThat(reason(new ProbeSpec.Smtp("lb.example", false, Optional.empty()), "554 no service\r\n"))
                .contains("\"554 no service\", expected 220");
        assertThat(reason(new ProbeSpec.Smtp("lb.example", false, Optional.empty()), "220 hi\r\n502 what\r\n"))
                .endsWith("EHLO answered by \"502 what\", expected 250");
        assertThat(reason(new ProbeSpec.Smtp("lb.example", true, Optional.empty()), "220 hi\r\n250 hello\r\n"))
                .endsWith("the server does not offer STARTTLS");
        assertThat(reason(new ProbeSpec.Redis(Optional.empty()), "-LOADING Redis is loading the dataset\r\n"))
                .endsWith("PING answered by \"-LOADING Redis is loading the dataset\", expected PONG");
        assertThat(reason(new ProbeSpec.Memcached(), "ERROR\r\n")).endsWith("version answered by \"ERROR\"");
        assertThat(reason(new ProbeSpec.Ftp(Optional.empty()), "220-" + "x\r\n".repeat(500)))
                .endsWith("has more than 200 lines");
        assertThat(reason(new ProbeSpec.Ftp(Optional.empty()), "x".repeat(5000)))
                .endsWith("a line longer than 2048 bytes");
    }

    @Test
    void whatIsSaidBeforeTlsBeginsDoesNotCount() throws IOException {
        ProbeSpec.Smtp spec = new ProbeSpec.Smtp("lb.example", true, Optional.of(Asking.tls("www.example", true)));
        try (FakeServer server = FakeServer.tcp(socket -> {
            write(socket, "220 hi\r\n");
            FakeServer.readUntil(socket, "\r\n");
            write(socket, "250 STARTTLS\r\n");
            FakeServer.readUntil(socket, "\r\n");
            write(socket, "220 go\r\n250 injected\r\n");
        })) {
            assertThat(ask(spec, server.port()).reason()).endsWith("between its consent to TLS and the handshake");
        }
    }

    @Test
    void greetingsComeThroughTls() throws IOException {
        Optional<Tls> tls = Optional.of(Asking.tls("www.example", true));
        try (FakeServer server = FakeServer.tls("good", socket -> write(socket, "* PREAUTH welcome\r\n"))) {
            assertThat(ask(new ProbeSpec.Imap(tls), server.port()).reason()).endsWith(", \"* PREAUTH welcome\"");
        }
    }

    @Test
    void ldapErrorsHaveNames() throws IOException {
        ProbeSpec.Ldap anonymous = new ProbeSpec.Ldap(Optional.empty(), Optional.empty(), Optional.empty());
        assertThat(reason(anonymous, hex("300c 020101 6107 0a0134 0400 0400")))
                .endsWith("bind refused: unavailable (52)");
        // Notice of disconnection, RFC 4511 section 4.4.1.
        assertThat(reason(anonymous, hex("300c 020100 7807 0a0134 0400 0400")))
                .endsWith("the server disconnects: unavailable (52)");
        assertThat(reason(anonymous, hex("3084 7fffffff"))).endsWith("is longer than 65536 bytes");
        assertThat(reason(anonymous, "HTTP/1.1 400\r\n")).endsWith("the server does not speak LDAP here");
        assertThatThrownBy(() ->
                        Asking.FACTORY.of(new ProbeSpec.Ldap(Optional.of("cn=x"), Optional.empty(), Optional.empty())))
                .hasMessageContaining("proves nothing");
        assertThat(HexFormat.of().formatHex(LdapProbe.bind("cn=a", "pw")))
                .isEqualTo("3012020101600d020103" + "0404636e3d61" + "80027077");
    }

    private static ProbeSpec.Mysql mysql(String password, int maxLag) throws IOException {
        return new ProbeSpec.Mysql(
                Optional.of("monitor"),
                Optional.of(Golden.secret(password).toString()),
                maxLag == 0 ? Optional.empty() : Optional.of(Duration.ofSeconds(maxLag)));
    }

    @Test
    void mysqlProvesThePasswordByBothMethods() throws Exception {
        for (String plugin : new String[] {"mysql_native_password", "caching_sha2_password"}) {
            String algorithm = plugin.startsWith("mysql") ? "SHA-1" : "SHA-256";
            try (FakeServer server = FakeServer.tcp(socket -> {
                write(socket, mysqlGreeting("8.0.36", plugin, SCRAMBLE));
                byte[] proof = proof(socket.getInputStream(), algorithm.equals("SHA-1") ? 20 : 32);
                boolean right = verified(algorithm, proof);
                String more = plugin.startsWith("caching") ? packet(2, hex("0103")) : "";
                write(
                        socket,
                        right
                                ? more + mysqlOk(3)
                                : packet(2, hex("ff 1504") + "#28000Access denied for user 'monitor'"));
            })) {
                assertThat(ask(mysql("secret", 0), server.port()).reason())
                        .as(plugin)
                        .endsWith("MySQL 8.0.36, logged in");
                assertThat(ask(mysql("wrong", 0), server.port()).reason())
                        .as(plugin)
                        .endsWith("log-in refused: Access denied for user 'monitor' (1045)");
            }
        }
    }

    /** The proof in a handshake response: behind the user's name and its own length. */
    private static byte[] proof(InputStream in, int length) throws IOException {
        byte[] header = in.readNBytes(4);
        byte[] response = in.readNBytes((header[0] & 0xff) | ((header[1] & 0xff) << 8));
        int at = 32 + "monitor".length() + 1;
        assertThat(response[at]).isEqualTo((byte) length);
        return Arrays.copyOfRange(response, at + 1, at + 1 + length);
    }

    /** As a server does it, who knows only the twofold hash of the password. */
    private static boolean verified(String algorithm, byte[] proof) {
        try {
            MessageDigest digest = MessageDigest.getInstance(algorithm);
            byte[] stored = digest.digest(digest.digest("secret".getBytes(StandardCharsets.UTF_8)));
            byte[] scramble = SCRAMBLE.getBytes(StandardCharsets.US_ASCII);
            boolean nativeOrder = algorithm.equals("SHA-1");
            digest.update(nativeOrder ? scramble : stored);
            byte[] mask = digest.digest(nativeOrder ? stored : scramble);
            byte[] once = new byte[proof.length];
            for (int i = 0; i < once.length; i++) {
                once[i] = (byte) (proof[i] ^ mask[i]);
            }
            return Arrays.equals(digest.digest(once), stored);
        } catch (java.security.GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void mysqlSaysWhyItDoesNotServe() throws IOException {
        assertThat(reason(mysql("x", 0), packet(0, hex("ff 1004") + "Too many connections")))
                .endsWith("the server refuses the connection: Too many connections (1040)");
        String sha2 = mysqlGreeting("8.0.36", "caching_sha2_password", SCRAMBLE);
        assertThat(reason(mysql("x", 0), sha2 + packet(2, hex("0104"))))
                .contains("asks for the password itself, which is not sent without TLS");
        assertThat(reason(mysql("x", 0), sha2 + packet(2, hex("fe") + "mysql_clear_password\0")))
                .contains("by mysql_clear_password, which is not supported");
        assertThat(reason(mysql("x", 0), "SSH-2.0-OpenSSH_9.2\r\n")).contains("does not speak MySQL's protocol here");
        assertThat(reason(mysql("x", 0), "")).contains("closed the connection before");
    }

    @Test
    void mysqlReplicasAreJudgedByTheirLag() throws IOException {
        String in = mysqlGreeting("8.0.36", "mysql_native_password", SCRAMBLE) + mysqlOk(2);
        String[] running = {"Replica_IO_Running", "Yes", "Replica_SQL_Running", "Yes", "Seconds_Behind_Source", "7"};
        assertThat(reason(mysql("x", 10), in + mysqlRow(running))).endsWith(", replica is 7 s behind");
        assertThat(reason(mysql("x", 5), in + mysqlRow(running))).endsWith("replica is 7 s behind, allowed are 5s");
        String[] broken = {
            "Replica_IO_Running",
            "Yes",
            "Replica_SQL_Running",
            "No",
            "Seconds_Behind_Source",
            "NULL",
            "Last_IO_Error",
            "",
            "Last_SQL_Error",
            "Duplicate entry"
        };
        assertThat(reason(mysql("x", 5), in + mysqlRow(broken)))
                .endsWith("replication does not run (receiver: Yes, applier: No): Duplicate entry");
        String old = packet(1, hex("ff 2804") + "#42000You have an error in your SQL syntax");
        assertThat(reason(
                        mysql("x", 5),
                        in
                                + old
                                + mysqlRow(
                                        "Slave_IO_Running",
                                        "Yes",
                                        "Slave_SQL_Running",
                                        "Yes",
                                        "Seconds_Behind_Master",
                                        "0")))
                .endsWith("replica is 0 s behind");
    }

    @Test
    void datagramsAreSentAndExpected() throws Exception {
        try (DatagramSocket server = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            Thread.ofVirtual().start(() -> {
                byte[] buffer = new byte[100];
                while (!server.isClosed()) {
                    DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
                    try {
                        server.receive(packet);
                        for (String text : new String[] {"noise", "pong"}) {
                            byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
                            server.send(new DatagramPacket(bytes, bytes.length, packet.getSocketAddress()));
                        }
                    } catch (IOException e) {
                        return;
                    }
                }
            });
            ProbeResult good = ask(Golden.udpSpec("pong"), server.getLocalPort());
            assertThat(good.reason()).isEqualTo("answered with 4 bytes");
            assertThat(ask(new ProbeSpec.Udp("x", Optional.empty()), server.getLocalPort())
                            .reason())
                    .isEqualTo("answered with 5 bytes");
            assertThat(ask(Golden.udpSpec("other"), target(server.getLocalPort()), Duration.ofSeconds(1))
                            .reason())
                    .isEqualTo("text \"other\" not found in the last answer of 4 bytes");
        }
        int closed = closedPort();
        assertThat(ask(Golden.udpSpec("pong"), closed).reason())
                .isEqualTo("port unreachable: nothing listens on 127.0.0.1:" + closed + "/udp");
        try (DatagramSocket silent = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            assertThat(ask(Golden.udpSpec("pong"), target(silent.getLocalPort()), Asking.SHORT)
                            .reason())
                    .isEqualTo("no answer from 127.0.0.1:" + silent.getLocalPort() + " within 150ms");
        }
    }

    @Test
    void dnsAnswersOfOthersAreNotTaken() throws IOException {
        try (FakeServer server = FakeServer.tcp(socket -> {
            byte[] query = socket.getInputStream().readNBytes(4);
            int id = ((query[2] & 0xff) << 8) | (query[3] & 0xff);
            write(socket, Golden.dnsAnswer(id));
        })) {
            assertThat(ask(Golden.dnsSpec(), server.port()).reason()).endsWith(", NOERROR, 192.0.2.7");
        }
        try (FakeServer server = FakeServer.tcp(socket -> {
            byte[] query = socket.getInputStream().readNBytes(4);
            int id = ((query[2] & 0xff) << 8) | (query[3] & 0xff);
            write(socket, Golden.dnsAnswer(id ^ 1));
        })) {
            assertThat(ask(Golden.dnsSpec(), server.port()).reason())
                    .endsWith("the server's answer does not belong to the question");
        }
        assertThatThrownBy(() -> DnsMessage.query(1, "a".repeat(64), 1)).hasMessageContaining("no name that DNS");
        assertThatThrownBy(() -> DnsMessage.query(1, "a..b", 1)).hasMessageContaining("no name that DNS");
        assertThat(DnsMessage.query(1, ".", 6)).hasSize(17);
        assertThatThrownBy(() -> DnsMessage.type("AXFRX")).hasMessageContaining("no type");
        assertThat(DnsMessage.type("65535")).isEqualTo(65535);
    }

    @Test
    void http2RefusalsHaveNames() throws IOException {
        ProbeSpec.Http http2 = Asking.http(HttpVersion.HTTP_2, Optional.empty());
        String settings = frame(4, 0, 0, "");
        assertThat(reason(http2, settings + frame(3, 0, 1, hex("00000007"))))
                .endsWith("the server refused the request: REFUSED_STREAM");
        assertThat(reason(http2, settings + frame(7, 0, 0, hex("00000000 0000000b") + "too much")))
                .endsWith("the server ended the connection: ENHANCE_YOUR_CALM (too much)");
        assertThat(reason(http2, settings + frame(7, 0, 0, hex("00000001 00000000")) + frame(1, 5, 1, hex("88"))))
                .as("GOAWAY after the request was taken is a polite end")
                .endsWith("HTTP 200");
        assertThat(reason(http2, settings + frame(0, 0, 1, "body"))).endsWith("sent the body before its status");
        assertThat(reason(http2, settings + frame(1, 4, 1, hex("ff ff ff ff ff ff"))))
                .contains("headers are malformed");
        assertThat(reason(http2, settings + frame(1, 5, 1, hex("08 03") + "103") + frame(1, 5, 1, hex("88"))))
                .as("an interim answer")
                .isNotEmpty();
        assertThat(reason(
                        http2,
                        settings
                                + frame(1, 0, 1, hex("88"))
                                + frame(9, 4, 1, hex("5f 04") + "text")
                                + frame(0, 1, 1, "")))
                .endsWith("HTTP 200");
        assertThat(reason(http2, settings + hex("0fffff 00 00 00000001"))).contains("16384 are allowed");
        assertThat(reason(http2, settings + frame(6, 0, 0, "12345678").repeat(20_000)))
                .endsWith("10000 frames without end of the answer");
        assertThat(reason(http2, frame(6, 0, 0, "12345678"))).endsWith("it did not begin with SETTINGS");
    }

    @Test
    void http2IsChosenByAlpn() throws IOException {
        String answer = frame(4, 0, 0, "") + frame(1, 5, 1, hex("89")); // 204
        ProbeSpec.Http spec = Asking.http(
                HttpVersion.HTTP_2,
                Optional.of(new Tls(Optional.of("www.example"), true, Optional.empty(), OptionalInt.empty())));
        try (FakeServer server = FakeServer.tls(
                "good",
                socket -> {
                    ((SSLSocket) socket).startHandshake();
                    assertThat(((SSLSocket) socket).getApplicationProtocol()).isEqualTo("h2");
                    write(socket, answer);
                },
                "h2")) {
            assertThat(ask(spec, server.port()).reason()).endsWith("HTTP 204");
        }
        try (FakeServer server = FakeServer.tls("good", socket -> write(socket, answer))) {
            assertThat(ask(spec, server.port()).reason()).endsWith("the server did not choose h2 by ALPN, but nothing");
        }
    }

    @Test
    void gRpcStatusesHaveNames() throws IOException {
        ProbeSpec.Grpc grpc = new ProbeSpec.Grpc("", Optional.empty());
        String settings = frame(4, 0, 0, "");
        assertThat(reason(
                        grpc,
                        settings
                                + frame(
                                        1,
                                        5,
                                        1,
                                        hex("88 00 0b") + "grpc-status" + hex("02") + "12" + hex("00 0c")
                                                + "grpc-message" + hex("02") + "no")))
                .endsWith("gRPC status UNIMPLEMENTED: no");
        assertThat(reason(grpc, settings + frame(1, 5, 1, hex("88")))).endsWith("gRPC status missing");
        assertThat(reason(grpc, settings + frame(1, 5, 1, hex("8d")))).endsWith("HTTP 404, which is no answer of gRPC");
        byte[] cart = GrpcProbe.request("cart");
        assertThat(HexFormat.of().formatHex(cart)).isEqualTo("0000000006" + "0a0463617274");
        assertThat(GrpcProbe.request("x".repeat(300))).hasSize(5 + 3 + 300);
    }

    @Test
    void aPasswordThatOthersMayReadIsRefused() throws IOException {
        Path secret = Golden.secret("pw");
        Files.setPosixFilePermissions(secret, PosixFilePermissions.fromString("rw-r--r--"));
        ProbeSpec.Redis open = new ProbeSpec.Redis(Optional.of(secret.toString()));
        assertThat(ask(open, 1).reason())
                .isEqualTo("password file " + secret + " is open to others: chmod 600 " + secret);
        ProbeSpec.Redis missing = new ProbeSpec.Redis(Optional.of("/nonexistent/secret"));
        assertThat(ask(missing, 1).reason()).contains("cannot be read: NoSuchFileException");
    }
}

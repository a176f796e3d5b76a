package io.ballast.health.probe;

import static io.ballast.health.probe.Asking.ask;
import static io.ballast.health.probe.Asking.closedPort;
import static io.ballast.health.probe.Asking.containing;
import static io.ballast.health.probe.Asking.http;
import static io.ballast.health.probe.Asking.target;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.Tls;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Each probe against the server that it was made for; a server that is not installed is named and passed over. */
@Timeout(180)
class RealPeersTest {

    @TempDir
    private Path folder;

    private String secret(String content) throws IOException {
        Path file = Files.createTempFile(folder, "secret", "");
        Files.writeString(file, content + "\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        return file.toString();
    }

    @Test
    void nginxAnswersInEveryVersionOfHttp() throws Exception {
        String nginx = Peer.program("nginx", "nginx-light");
        int plain = closedPort();
        int tls = closedPort();
        int clear2 = closedPort();
        Peer.writePem("good", folder);
        Files.createDirectory(folder.resolve("html"));
        Files.writeString(folder.resolve("html/index.html"), "<h1>Test Page</h1>\n" + "x".repeat(200_000));
        Path configuration = folder.resolve("nginx.conf");
        Files.writeString(configuration, """
                daemon off; pid nginx.pid; error_log stderr; worker_processes 1; master_process off;
                events { worker_connections 64; }
                http {
                  access_log off;
                  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
                  gzip off;
                  server {
                    listen 127.0.0.1:%d; listen 127.0.0.1:%d ssl http2; listen 127.0.0.1:%d http2;
                    ssl_certificate good.crt; ssl_certificate_key good.key;
                    root html;
                    location /busy { return 503; }
                    location /chunked { ssi on; ssi_types *; alias html/; }
                    location /secret { if ($http_x_token != "please") { return 403; } return 204; }
                  }
                }
                """.formatted(plain, tls, clear2));
        try (Peer peer =
                Peer.start(folder, plain, nginx, "-e", "stderr", "-p", folder + "/", "-c", configuration.toString())) {
            Optional<Tls> verified = Optional.of(Asking.tls("www.example", true));
            record Way(HttpVersion version, Optional<Tls> tls, int port) {}
            for (Way way : List.of(
                    new Way(HttpVersion.HTTP_1_0, Optional.empty(), plain),
                    new Way(HttpVersion.HTTP_1_1, Optional.empty(), plain),
                    new Way(HttpVersion.HTTP_2, Optional.empty(), clear2),
                    new Way(HttpVersion.HTTP_1_0, verified, tls),
                    new Way(HttpVersion.HTTP_1_1, verified, tls),
                    new Way(HttpVersion.HTTP_2, verified, tls))) {
                ProbeSpec.Http page = containing(http(way.version(), way.tls()), "Test Page", false);
                ProbeResult good = ask(page, way.port());
                assertThat(good.reason()).as("%s: %s", way, peer.log()).endsWith("HTTP 200");
                assertThat(good.ok()).isTrue();
                assertThat(ask(containing(page, "Other Page", false), way.port())
                                .reason())
                        .endsWith("HTTP 200, text \"Other Page\" not found in 200019 bytes");
                ProbeSpec.Http busy = path(page, "/busy");
                assertThat(ask(busy, way.port()).reason()).endsWith("HTTP 503, expected 200-299");
                ProbeSpec.Http head = new ProbeSpec.Http(
                        "HEAD",
                        "/index.html",
                        Optional.of("www.example"),
                        java.util.Map.of("X-Token", "please"),
                        page.statuses(),
                        Optional.empty(),
                        Optional.empty(),
                        way.version(),
                        way.tls());
                assertThat(ask(head, way.port()).ok()).as("HEAD %s", way).isTrue();
                assertThat(ask(path(head, "/secret"), way.port()).reason()).endsWith("HTTP 204");
            }
            assertThat(ask(path(containing(http(), "Test Page", false), "/chunked/index.html"), plain)
                            .ok())
                    .isTrue();
            assertThat(ask(http(HttpVersion.HTTP_2, Optional.empty()), plain).reason())
                    .contains("in HTTP/1, not in HTTP/2");
            assertThat(ask(http(HttpVersion.HTTP_1_1, Optional.of(Asking.tls("other.example", true))), tls)
                            .reason())
                    .contains("certificate is not for other.example");
        }
    }

    private static ProbeSpec.Http path(ProbeSpec.Http http, String path) {
        return new ProbeSpec.Http(
                http.method(),
                path,
                http.hostHeader(),
                http.headers(),
                http.statuses(),
                http.body(),
                http.digest(),
                http.version(),
                http.tls());
    }

    @Test
    void redisAnswersPing() throws Exception {
        String redis = Peer.program("redis-server", "redis-server");
        int port = closedPort();
        try (Peer peer = Peer.start(
                folder, port, redis, "--port", "" + port, "--bind", "127.0.0.1", "--save", "", "--requirepass", "pw")) {
            assertThat(ask(new ProbeSpec.Redis(Optional.of(secret("pw"))), port).reason())
                    .as(peer.log())
                    .endsWith("PONG");
            assertThat(ask(new ProbeSpec.Redis(Optional.empty()), port).reason())
                    .endsWith("PING answered by \"-NOAUTH Authentication required.\", expected PONG");
            assertThat(ask(new ProbeSpec.Redis(Optional.of(secret("wrong"))), port)
                            .reason())
                    .contains("AUTH answered by \"-WRONGPASS");
        }
    }

    @Test
    void memcachedSaysItsVersion() throws Exception {
        String memcached = Peer.program("memcached", "memcached");
        int port = closedPort();
        try (Peer peer = Peer.start(
                folder, port, memcached, "-l", "127.0.0.1", "-p", "" + port, "-u", System.getProperty("user.name"))) {
            assertThat(ask(new ProbeSpec.Memcached(), port).reason())
                    .as(peer.log())
                    .matches("connected in [0-9.]+ ms, [0-9.]+");
        }
    }

    @Test
    void mariadbIsLoggedInto() throws Exception {
        String server = Peer.program("mariadbd", "mariadb-server");
        String install = Peer.program("mariadb-install-db", "mariadb-server");
        int port = closedPort();
        String user = System.getProperty("user.name");
        Path data = folder.resolve("data");
        Process made = new ProcessBuilder(
                        install,
                        "--no-defaults",
                        "--datadir=" + data,
                        "--auth-root-authentication-method=normal",
                        "--skip-test-db",
                        "--user=" + user)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("install.log").toFile())
                .start();
        assertThat(made.waitFor())
                .as(Files.readString(folder.resolve("install.log")))
                .isZero();
        Path init = folder.resolve("init.sql");
        Files.writeString(init, """
                CREATE USER 'monitor'@'%' IDENTIFIED BY 'secret';
                GRANT REPLICA MONITOR ON *.* TO 'monitor'@'%';
                CREATE USER 'plain'@'%' IDENTIFIED BY '';
                CREATE USER 'modern'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret');
                """);
        try (Peer peer = Peer.start(
                folder,
                port,
                server,
                "--no-defaults",
                "--datadir=" + data,
                "--port=" + port,
                "--bind-address=127.0.0.1",
                "--socket=" + folder.resolve("s"),
                "--pid-file=" + folder.resolve("pid"),
                "--plugin-load-add=auth_ed25519",
                "--init-file=" + init,
                "--user=" + user)) {
            assertThat(ask(mysql("", "", 0), port).reason())
                    .as(peer.log())
                    .matches("connected in [0-9.]+ ms, MariaDB [0-9.]+");
            assertThat(ask(mysql("monitor", "secret", 0), port).reason()).endsWith("logged in");
            assertThat(ask(mysql("plain", "", 0), port).reason()).endsWith("logged in");
            assertThat(ask(mysql("monitor", "wrong", 0), port).reason())
                    .contains("log-in refused: Access denied for user 'monitor'@")
                    .endsWith("(1045)");
            assertThat(ask(mysql("modern", "secret", 0), port).reason()).contains("client_ed25519, which is not");
            assertThat(ask(mysql("monitor", "secret", 30), port).reason()).endsWith("the server is not a replica");
            assertThat(ask(mysql("plain", "", 30), port).reason()).contains("status is refused: Access denied");
        }
    }

    private ProbeSpec.Mysql mysql(String user, String password, int maxLagSeconds) throws IOException {
        return new ProbeSpec.Mysql(
                user.isEmpty() ? Optional.empty() : Optional.of(user),
                user.isEmpty() ? Optional.empty() : Optional.of(secret(password)),
                maxLagSeconds == 0 ? Optional.empty() : Optional.of(Duration.ofSeconds(maxLagSeconds)));
    }

    @Test
    void dnsmasqIsAsked() throws Exception {
        String dnsmasq = Peer.program("dnsmasq", "dnsmasq-base");
        int port = closedPort();
        String longText = "x".repeat(200);
        try (Peer peer = Peer.start(
                folder,
                port,
                dnsmasq,
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file",
                "--user=" + System.getProperty("user.name"),
                "--port=" + port,
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--no-resolv",
                "--no-hosts",
                "--log-facility=-",
                "--edns-packet-max=512",
                "--local=/example/",
                "--host-record=www.example,192.0.2.7,2001:db8::7",
                "--cname=alias.example,www.example",
                "--mx-host=example,mail.example,10",
                "--srv-host=_http._tcp.example,www.example,80,1,2",
                "--txt-record=text.example,hello world",
                "--txt-record=long.example," + longText + "," + longText + "," + longText)) {
            assertThat(ask(dns("www.example", "A", "192.0.2.7", "NOERROR"), port)
                            .reason())
                    .as(peer.log())
                    .isEqualTo("NOERROR, 192.0.2.7");
            assertThat(ask(dns("www.example", "AAAA", "2001:DB8:0::7", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("alias.example", "A", "192.0.2.7", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("alias.example", "CNAME", "WWW.example.", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("example", "MX", "10 mail.example.", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("_http._tcp.example", "SRV", "1 2 80 www.example", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("text.example", "TXT", "hello world", "NOERROR"), port)
                            .ok())
                    .isTrue();
            assertThat(ask(dns("www.example", "A", "192.0.2.8", "NOERROR"), port)
                            .reason())
                    .isEqualTo("NOERROR, 192.0.2.7, expected 192.0.2.8");
            assertThat(ask(dns("nobody.example", "A", "", "NOERROR"), port).reason())
                    .isEqualTo("NXDOMAIN, expected NOERROR");
            assertThat(ask(dns("nobody.example", "A", "", "NXDOMAIN"), port).ok())
                    .isTrue();
            assertThat(ask(dns("www.example", "MX", "", "NOERROR"), port).reason())
                    .isEqualTo("NOERROR, no record of type MX");
            assertThat(ask(dns("elsewhere.test", "A", "", "NOERROR"), port).reason())
                    .contains("REFUSED");
            assertThat(ask(dns("long.example", "TXT", longText + longText + longText, "NOERROR"), port)
                            .reason())
                    .as("truncated by UDP, whole by TCP")
                    .startsWith("connected in ");
            assertThat(ask(new ProbeSpec.Dns("www.example", "A", Optional.empty(), "NOERROR", true), port)
                            .ok())
                    .isTrue();
        }
    }

    private static ProbeSpec.Dns dns(String query, String type, String expect, String rcode) {
        return new ProbeSpec.Dns(query, type, expect.isEmpty() ? Optional.empty() : Optional.of(expect), rcode, false);
    }

    @Test
    void slapdIsBoundTo() throws Exception {
        String slapd = Peer.program("slapd", "slapd");
        int port = closedPort();
        Path configuration = folder.resolve("slapd.conf");
        Files.createDirectory(folder.resolve("data"));
        Files.writeString(configuration, """
                include /etc/ldap/schema/core.schema
                modulepath /usr/lib/ldap
                moduleload back_mdb
                pidfile %1$s/slapd.pid
                database mdb
                maxsize 1048576
                suffix "dc=example"
                rootdn "cn=admin,dc=example"
                rootpw secret
                directory %1$s/data
                """.formatted(folder));
        try (Peer peer = Peer.start(
                folder, port, slapd, "-h", "ldap://127.0.0.1:" + port, "-f", configuration.toString(), "-d", "0")) {
            assertThat(ask(new ProbeSpec.Ldap(Optional.empty(), Optional.empty(), Optional.empty()), port)
                            .reason())
                    .as(peer.log())
                    .endsWith("bound anonymously");
            assertThat(ask(ldap("cn=admin,dc=example", "secret"), port).reason())
                    .endsWith(", bound");
            assertThat(ask(ldap("cn=admin,dc=example", "wrong"), port).reason())
                    .endsWith("bind refused: invalidCredentials (49)");
            assertThat(ask(ldap("no name", "x"), port).reason()).endsWith("bind refused: invalidDNSyntax (34)");
        }
    }

    private ProbeSpec.Ldap ldap(String dn, String password) throws IOException {
        return new ProbeSpec.Ldap(Optional.of(dn), Optional.of(secret(password)), Optional.empty());
    }

    @Test
    void eximIsGreetedAndStartsTls() throws Exception {
        String exim = Peer.program("exim4", "exim4-daemon-light");
        Root.assume("exim with a configuration of its own");
        int port = closedPort();
        Peer.writePem("good", folder);
        // exim gives up root, and must still reach its files.
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        Path spool = Files.createDirectory(folder.resolve("spool"));
        Files.setPosixFilePermissions(spool, PosixFilePermissions.fromString("rwxrwxrwx"));
        Files.setPosixFilePermissions(folder.resolve("good.key"), PosixFilePermissions.fromString("rw-r--r--"));
        Path configuration = folder.resolve("exim.conf");
        Files.writeString(configuration, """
                primary_hostname = mail.example
                daemon_smtp_ports = %d
                local_interfaces = 127.0.0.1
                spool_directory = %2$s/spool
                log_file_path = %2$s/spool/%%slog
                pid_file_path = %2$s/spool/pid
                tls_advertise_hosts = *
                tls_certificate = %2$s/good.crt
                tls_privatekey = %2$s/good.key
                host_lookup =
                rfc1413_hosts =
                """.formatted(port, folder));
        try (Peer peer = Peer.start(folder, port, exim, "-C", configuration.toString(), "-bdf", "-q1h")) {
            ProbeSpec.Smtp plain = new ProbeSpec.Smtp("lb.example", false, Optional.empty());
            assertThat(ask(plain, port).reason()).as(peer.log()).contains("\"220 mail.example ESMTP Exim");
            ProbeSpec.Smtp tls = new ProbeSpec.Smtp("lb.example", true, Optional.of(Asking.tls("www.example", true)));
            assertThat(ask(tls, port).reason()).contains("\"220 mail.example ESMTP Exim");

            ProbeSpec.Smtp other = new ProbeSpec.Smtp("lb.example", true, Optional.of(Asking.tls("a.example", true)));
            assertThat(ask(other, port).reason()).contains("certificate is not for a.example");
        }
    }

    @Test
    void vsftpdGreets() throws Exception {
        String vsftpd = Peer.program("vsftpd", "vsftpd");
        Root.assume("vsftpd");
        int port = closedPort();
        Path configuration = folder.resolve("vsftpd.conf");
        Files.writeString(configuration, """
                listen=YES
                listen_address=127.0.0.1
                listen_port=%d
                background=NO
                anonymous_enable=NO
                local_enable=YES
                """.formatted(port));
        Files.setPosixFilePermissions(configuration, PosixFilePermissions.fromString("rw-------"));
        try (Peer peer = Peer.start(folder, port, vsftpd, configuration.toString())) {
            assertThat(ask(new ProbeSpec.Ftp(Optional.empty()), port).reason())
                    .as(peer.log())
                    .contains("\"220 (vsFTPd");
        }
    }

    @Test
    void aGrpcServerIsServing() throws Exception {
        String python = "/usr/bin/python3";
        boolean there = Files.isExecutable(Path.of(python))
                && new ProcessBuilder(python, "-c", "import grpc")
                                .redirectErrorStream(true)
                                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                                .start()
                                .waitFor()
                        == 0;
        if (!there) {
            System.out.println("skipped: needs Python's grpc (apt install python3-grpcio)");
        }
        Assumptions.assumeTrue(there, "needs Python's grpc (apt install python3-grpcio)");
        int port = closedPort();
        int tlsPort = closedPort();
        Peer.writePem("good", folder);
        Path script = folder.resolve("server.py");
        Files.writeString(script, """
                import grpc
                from concurrent import futures
                def check(request, context):
                    if request == b'':
                        return b'\\x08\\x01'
                    if request == b'\\x0a\\x04cart':
                        return b'\\x08\\x02'
                    context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
                server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
                server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('grpc.health.v1.Health',
                    {'Check': grpc.unary_unary_rpc_method_handler(check)}),))
                server.add_insecure_port('127.0.0.1:%d')
                keys = grpc.ssl_server_credentials([(open('good.key','rb').read(), open('good.crt','rb').read())])
                server.add_secure_port('127.0.0.1:%d', keys)
                server.start()
                server.wait_for_termination()
                """.formatted(port, tlsPort));
        try (Peer peer = Peer.start(folder, port, python, script.toString())) {
            assertThat(ask(new ProbeSpec.Grpc("", Optional.empty()), port).reason())
                    .as(peer.log())
                    .endsWith("SERVING");
            assertThat(ask(new ProbeSpec.Grpc("cart", Optional.empty()), port).reason())
                    .endsWith("NOT_SERVING, expected SERVING");
            assertThat(ask(new ProbeSpec.Grpc("other", Optional.empty()), port).reason())
                    .endsWith("gRPC status NOT_FOUND: unknown service");
            Tls tls = new Tls(Optional.of("www.example"), true, Optional.empty(), OptionalInt.empty());
            assertThat(ask(new ProbeSpec.Grpc("", Optional.of(tls)), tlsPort).reason())
                    .endsWith("SERVING");
        }
    }

    @Test
    void aNagiosPluginIsUnderstood() throws Exception {
        String checkTcp = Peer.program("check_tcp", "monitoring-plugins-basic");
        try (FakeServer server = FakeServer.tcp(FakeServer.silent())) {
            ProbeResult good = ask(
                    new ProbeSpec.Exec(List.of(checkTcp, "-H", "${address}", "-p", "${port}")),
                    target(server.port()),
                    Asking.LONG);
            assertThat(good.reason()).startsWith("TCP OK");
            assertThat(good.perfdata()).startsWith("time=");
        }
        ProbeResult bad = ask(new ProbeSpec.Exec(List.of(checkTcp, "-H", "127.0.0.1", "-p", "" + closedPort())), 1);
        assertThat(bad.ok()).isFalse();
        assertThat(bad.reason()).contains("refused").endsWith("(exit code 2)");
    }
}

package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The verbs that talk to a daemon, against answers written as docs/control-api.md says. */
class ControlVerbsTest {
    private static final String WEB = """
            {"name":"web","listen":[{"endpoint":"192.168.9.100:80/tcp","state":"listening","reason":""},
              {"endpoint":"[fd00:9::100]:80/tcp","state":"failed","reason":"address not on this machine"}],
             "scheduler":"wlc","engine":"userspace","forward":"proxy","flags":["persistent 300"],"state":"up",
             "sorry":{"address":"127.0.0.1:8081","serving":false},"active":3,"inactive":1,"queued":0,
             "connections":120,"refused":2,"bytesIn":1000,"bytesOut":2000,
             "rates":{"cps":10.25,"bytesIn":1.0,"bytesOut":200.0},
             "servers":[{"name":"www1","address":"10.1.0.1:80","weight":1,"state":"up","overridden":false,"active":3,
               "inactive":1,"connections":40,"failures":7,"bytesIn":500,"bytesOut":600,
               "rates":{"cps":3.25,"bytesIn":0,"bytesOut":123}},
              {"name":"www2","address":"10.1.0.2:80","weight":2,"state":"draining","overridden":true,"active":0,
               "inactive":0,"connections":0,"failures":0,"bytesIn":0,"bytesOut":0}],
             "removed":[{"name":"www4","address":"10.1.0.4:80"}]}""";

    @Test
    void listLooksLikeIpvsadm() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, "{\"services\":[" + WEB + "]}"))) {
            assertThat(daemon.run("list").out()).isEqualTo("""
                    Prot LocalAddress:Port                                           Scheduler Flags
                      -> RemoteAddress:Port  Forward  Weight  ActiveConn  InActConn  Server              State
                    TCP  192.168.9.100:80                                            wlc persistent 300  web up
                    TCP  [fd00:9::100]:80                                            wlc persistent 300  not listening: address not on this machine
                      -> 10.1.0.1:80           Proxy       1           3          1  www1                up
                      -> 10.1.0.2:80           Proxy       2           0          0  www2                draining *
                      -> 10.1.0.4:80                                                 www4                removed *
                      -> 127.0.0.1:8081        Sorry                                 sorry               waiting
                    """);
            assertThat(daemon.run("list", "--stats").out())
                    .contains("Conns   Refused  InBytes  OutBytes")
                    .contains("  120         2     1000      2000")
                    .contains("   40         7      500       600");
            assertThat(daemon.run("list", "--rate").out())
                    .contains("   10    1.0     200")
                    .contains("  3.3      0     123");
            assertThat(daemon.run("list", "--json").out()).startsWith("{\"services\":[{\"name\":\"web\"");
            assertThat(daemon.run("list", "--stats", "--rate").code()).isEqualTo(Exit.USAGE);
            assertThat(daemon.run("list", "--interval", "1ms").err()).contains("at least 100ms");
        }
    }

    @Test
    void connectionsAreFilteredByTheDaemonAndCountedInATable() throws IOException {
        String counts = "{\"total\":5,\"counts\":["
                + "{\"service\":\"web\",\"server\":\"www1\",\"opening\":1,\"established\":2,\"closing\":0},"
                + "{\"service\":\"web\",\"server\":\"\",\"opening\":2,\"established\":0,\"closing\":0}],"
                + "\"notes\":[\"there may be more\"]}";
        try (FakeDaemon daemon = FakeDaemon.start(
                r -> FakeDaemon.json(200, r.contains("count=true") ? counts : "{\"connections\":[],\"notes\":[]}"))) {
            Console counted = daemon.run("connections", "web", "--count");
            assertThat(counted.out()).isEqualTo("""
                    Service  Server  Opening  Established  Closing  All
                    web      www1          1            2        0    3
                    web      -             2            0        0    2
                    5 connections
                    """);
            assertThat(counted.err()).isEqualTo("note: there may be more\n");
            daemon.run(
                    "connections",
                    "--client",
                    "192.0.2.0/24:80",
                    "--server",
                    "www1",
                    "--state",
                    "closing",
                    "--protocol",
                    "tcp");
            assertThat(daemon.requests().get(1))
                    .startsWith("GET /v1/connections?limit=100&client=192.0.2.0%2F24%3A80&server=www1&state=closing"
                            + "&protocol=tcp HTTP/1.1\r\n");
            assertThat(daemon.run("connections", "--state", "open").code()).isEqualTo(Exit.USAGE);
            assertThat(daemon.run("connections", "--count", "--limit", "5").code())
                    .isEqualTo(Exit.USAGE);
        }
    }

    @Test
    void aStateIsAskedForByTheWordThatIsShown() throws IOException {
        String answer = "{\"connections\":[{\"service\":\"dns\",\"protocol\":\"udp\",\"client\":\"192.0.2.7:4711\","
                + "\"listen\":\"192.0.2.80:53/udp\",\"server\":\"ns1\",\"state\":\"established\"},"
                + "{\"service\":\"web\",\"protocol\":\"tcp\",\"client\":\"192.0.2.7:4712\","
                + "\"listen\":\"192.0.2.80:80/tcp\",\"server\":\"\",\"state\":\"opening\"}],\"notes\":[]}";
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, answer))) {
            String shown = daemon.run("connections").out();
            assertThat(shown).isEqualTo("""
                    Prot  Client          Listen             Service  Server  State        Age  Idle  InBytes  OutBytes
                    UDP   192.0.2.7:4711  192.0.2.80:53/udp  dns      ns1     established    -     -        -         -
                    TCP   192.0.2.7:4712  192.0.2.80:80/tcp  web      -       opening        -     -        -         -
                    """);
            for (String state : List.of("established", "opening", "closing")) {
                assertThat(daemon.run("connections", "--state", state).code()).isEqualTo(Exit.DONE);
            }
        }
    }

    @Test
    void everythingIsEndedOnlyWhereThatIsSaid() throws IOException {
        String answer = "{\"killed\":3,\"counts\":[{\"service\":\"web\",\"server\":\"www1\",\"opening\":1,"
                + "\"established\":2,\"closing\":0}],\"notes\":[]}";
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, answer))) {
            Console refused = daemon.run("connections", "kill");
            assertThat(refused.code()).isEqualTo(Exit.USAGE);
            assertThat(refused.err())
                    .contains("every connection of every service")
                    .contains("--all");
            assertThat(daemon.requests()).isEmpty();
            assertThat(daemon.run("connections", "kill", "web").out())
                    .isEqualTo("web/www1: 3\n3 connections were ended\n");
            daemon.run("connections", "kill", "--all");
            assertThat(daemon.requests().get(0))
                    .startsWith("DELETE /v1/connections?all=false&service=web HTTP/1.1\r\n");
            assertThat(daemon.requests().get(1)).startsWith("DELETE /v1/connections?all=true HTTP/1.1\r\n");
        }
    }

    @Test
    void namesAreEncodedInPaths() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, "{}"))) {
            daemon.run("server", "remove", "a/b c", "[fd00::1]:80");
            daemon.run("server", "weight", "web", "10.1.0.1:80", "7");
            daemon.run("list", "ü");

            assertThat(daemon.requests().get(0))
                    .startsWith("DELETE /v1/services/a%2Fb%20c/servers/%5Bfd00%3A%3A1%5D%3A80 HTTP/1.1\r\n");
            assertThat(daemon.requests().get(1))
                    .startsWith("PATCH /v1/services/web/servers/10.1.0.1%3A80 HTTP/1.1\r\n")
                    .endsWith("\r\n\r\n{\"weight\":7}");
            assertThat(daemon.requests().get(2)).startsWith("GET /v1/services/%C3%BC HTTP/1.1\r\n");
        }
    }

    @Test
    void aServerIsAddedWithWhatWasGiven() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(201, "{}"))) {
            Console console = daemon.run("server", "add", "web", "10.1.0.9:80", "--name", "www9", "--weight", "2");

            assertThat(console.out()).isEqualTo("web/www9 added\n");
            assertThat(daemon.requests().getFirst())
                    .startsWith("POST /v1/services/web/servers HTTP/1.1\r\n")
                    .endsWith("{\"address\":\"10.1.0.9:80\",\"name\":\"www9\",\"weight\":2,\"limit\":0}");
            assertThat(daemon.run("server", "add", "web", "x:1", "--weight", "65536")
                            .code())
                    .isEqualTo(Exit.USAGE);
        }
    }

    @Test
    void drainWaitsUntilTheLastConnectionIsGone() throws IOException {
        AtomicInteger left = new AtomicInteger(3);
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(
                200,
                r.startsWith("PATCH")
                        ? "{}"
                        : "{\"servers\":[{\"name\":\"www1\",\"active\":" + Math.max(0, left.decrementAndGet())
                                + "}]}"))) {
            Console console = daemon.run("server", "drain", "web", "www1", "--wait");

            assertThat(console.out()).isEqualTo("web/www1 has no connection left\n");
            assertThat(daemon.requests()).hasSize(4);
            assertThat(daemon.requests().getFirst()).endsWith("{\"state\":\"drain\"}");
        }
    }

    @Test
    void drainThatTakesTooLongFails() throws IOException {
        try (FakeDaemon daemon =
                FakeDaemon.start(r -> FakeDaemon.json(200, "{\"servers\":[{\"name\":\"www1\",\"active\":5}]}"))) {
            Console console = daemon.run("server", "drain", "web", "www1", "--wait", "--timeout", "1ms");

            assertThat(console.code()).isEqualTo(Exit.FAILED);
            assertThat(console.err()).contains("web/www1 still has 5 connections; it stays draining");
        }
    }

    @Test
    void whatTheDaemonRefusesIsToldWithTheRightExitCode() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(
                r.contains("web") ? 404 : r.contains("busy") ? 409 : 400,
                "{\"error\":{\"code\":\"x\",\"message\":\"there is no server www9 in web\"}}"))) {
            Console missing = daemon.run("server", "drain", "web", "www9");

            assertThat(missing.code()).isEqualTo(Exit.FAILED);
            assertThat(missing.err()).isEqualTo("error: there is no server www9 in web\n");
            assertThat(daemon.run("server", "drain", "busy", "x").code()).isEqualTo(Exit.FAILED);
            assertThat(daemon.run("server", "drain", "other", "x").code()).isEqualTo(Exit.USAGE);
        }
    }

    @Test
    void planShowsChangesAndApplySaysHowLong(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("ballast.yaml"), "name: x\n");
        String changes = "\"changes\":[{\"action\":\"change\",\"subject\":\"web/www1\",\"detail\":\"weight 1 -> 3\"},"
                + "{\"action\":\"add\",\"subject\":\"web/www4\",\"detail\":\"\"}]";
        try (FakeDaemon daemon = FakeDaemon.start(
                r -> FakeDaemon.json(200, "{" + changes + (r.contains("plan") ? "}" : ",\"millis\":12}")))) {
            assertThat(daemon.run("plan", file.toString()).out())
                    .isEqualTo("~ web/www1  weight 1 -> 3\n+ web/www4\n2 changes to make\n");
            assertThat(daemon.run("apply", file.toString()).out()).endsWith("2 changes made in 12 ms\n");
            assertThat(daemon.run("reload").out()).endsWith("2 changes made in 12 ms\n");
            assertThat(daemon.requests().getFirst())
                    .contains("X-Ballast-File: " + file + "\r\n")
                    .endsWith("\r\n\r\nname: x\n");
        }
    }

    @Test
    void aRefusedDescriptionComesWithItsProblems(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("ballast.yaml"), "nam: x\n");
        String problem = "{\"severity\":\"error\",\"file\":\"ballast.yaml\",\"line\":1,\"column\":1,\"path\":\"nam\","
                + "\"message\":\"unknown key; did you mean name?\",\"excerpt\":\"nam: x\\n^\"}";
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(
                422, "{\"error\":{\"code\":\"invalid\",\"message\":\"1 error\"},\"problems\":[" + problem + "]}"))) {
            Console console = daemon.run("apply", file.toString());

            assertThat(console.code()).isEqualTo(Exit.USAGE);
            assertThat(console.err()).isEqualTo("""
                    ballast.yaml:1:1: error: nam: unknown key; did you mean name?
                    nam: x
                    ^
                    error: the description is wrong; nothing was changed
                    """);
        }
    }

    @Test
    void whatIsTooLargeForADescriptionIsNotSent(@TempDir Path directory) throws IOException {
        Path huge = directory.resolve("huge.yaml");
        try (RandomAccessFile file = new RandomAccessFile(huge.toFile(), "rw")) {
            file.setLength(1L << 40);
        }
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, "{\"changes\":[],\"problems\":[]}"))) {
            for (String verb : List.of("plan", "apply")) {
                Console console = daemon.run(verb, huge.toString());
                assertThat(console.code()).isEqualTo(Exit.USAGE);
                assertThat(console.err())
                        .isEqualTo("error: " + huge
                                + ": is larger than 16 MiB and cannot be a description; nothing was changed\n");
            }
            assertThat(daemon.requests()).isEmpty();
        }
    }

    @Test
    void aDaemonThatTakesNoSuchSizeIsHeard(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("ballast.yaml"), "name: x\n");
        String answer =
                "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\ntoo much";
        try (FakeDaemon daemon = FakeDaemon.start(r -> answer)) {
            Console console = daemon.run("apply", file.toString());
            assertThat(console.code()).isEqualTo(Exit.USAGE);
            assertThat(console.err()).contains("the daemon refuses it: too much");
        }
    }

    @Test
    void eventsComeOneALineInChunksAndInLocalTime() throws IOException {
        TimeZone before = TimeZone.getDefault();
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        String first = "{\"sequence\":1,\"time\":\"2026-01-01T10:00:00Z\",\"severity\":\"info\",\"type\":\"server.up\","
                + "\"subject\":\"web/www1\",\"message\":\"up\"}\n";
        String second = "{\"sequence\":2,\"time\":\"2026-01-01T11:00:00.5Z\",\"severity\":\"error\","
                + "\"type\":\"service.down\",\"subject\":\"web\",\"message\":\"no server left\"}\n";
        String body = first + second;
        String cut = Integer.toHexString(50) + "\r\n" + body.substring(0, 50) + "\r\n"
                + Integer.toHexString(body.length() - 50) + ";x=y\r\n" + body.substring(50) + "\r\n0\r\n\r\n";
        try (FakeDaemon daemon = FakeDaemon.start(r -> "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + cut)) {
            assertThat(daemon.run("events").out()).isEqualTo("""
                    2026-01-01 10:00:00.000 INFO    server.up       web/www1     up
                    2026-01-01 11:00:00.500 ERROR   service.down    web          no server left
                    """);
            assertThat(daemon.run("events", "--since", "2026-01-01T10:30:00Z", "--json")
                            .out())
                    .isEqualTo(second);
            daemon.run("events", "-f", "--since", "17", "-n", "3");
            assertThat(daemon.requests().getFirst()).startsWith("GET /v1/events?limit=50 ");
            assertThat(daemon.requests().getLast()).startsWith("GET /v1/events?limit=3&since=17&follow=true ");
            assertThat(daemon.run("events", "--since", "yesterday").code()).isEqualTo(Exit.USAGE);
        } finally {
            TimeZone.setDefault(before);
        }
    }

    @Test
    void completionAsksForNames() throws IOException {
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, "{\"services\":[" + WEB + "]}"))) {
            assertThat(daemon.run("complete", "services").out()).isEqualTo("web\n");
            assertThat(daemon.run("complete", "servers").out()).isEqualTo("www1\nwww2\n");
        }
    }

    @Test
    void brokenAnswersAreToldAsSuch() throws IOException {
        for (String answer : new String[] {
            "",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x}}",
            "HTTP/1.1 200 OK\r\nbroken\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nX: " + "x".repeat(70_000) + "\r\n\r\n{}",
        }) {
            try (FakeDaemon daemon = FakeDaemon.start(r -> answer)) {
                Console console = daemon.run("status");
                assertThat(console.code()).as(answer).isEqualTo(Exit.FAILED);
                assertThat(console.err())
                        .as(answer)
                        .contains("did not answer: ")
                        .doesNotContain("Exception");
            }
        }
    }

    @Test
    void theStatusCanBeReadInEightyColumns() throws IOException {
        String status = """
                {"node":"director","engines":{"web":"xdp",\
                "ftp":"userspace (not xdp: eth0 has no native mode, and generic is slower than this engine)"},
                "xdp":{"interfaces":{"eth0":"native","eth1":"off"},"exceptions":[
                {"service":"","reason":"pass_fragment","words":"fragments whose beginning was not seen (passed to\
                 the kernel)","count":3},
                {"service":"web","reason":"pass_no_next_hop","words":"packets for a server to which no way was\
                 known (passed to the kernel)","count":1204},
                {"service":"web","reason":"flow_evicted","words":"connections forgotten to make room for others",\
                "count":17}],"connections":{"places":1048576,"used":5}},
                "description":{"file":"farm.yaml","sha256":"\
                0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","services":2},
                "warnings":[]}""";
        try (FakeDaemon daemon = FakeDaemon.start(r -> FakeDaemon.json(200, status))) {
            assertThat(daemon.run("status").out()).isEqualTo("""
                    node:           director
                    engines:        web xdp
                                    ftp userspace (not xdp: eth0 has no native mode, and generic is
                                      slower than this engine)
                    xdp:            interfaces: eth0 native, eth1 off
                                    connections: places 1048576, used 5
                    exceptions:     (no service)
                                         3 fragments whose beginning was not seen (passed to the
                                           kernel)
                                    web
                                      1204 packets for a server to which no way was known (passed to
                                           the kernel)
                                        17 connections forgotten to make room for others
                    description:    file farm.yaml, sha256
                                      0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef,
                                      services 2
                    """);
        }
    }

    @Test
    void withoutADaemonItSaysWhichSocketAndHowToStartOne(@TempDir Path directory) throws IOException {
        Console none = Console.run(Map.of("BALLAST_RUN_DIR", directory.toString()), "list");
        assertThat(none.code()).isEqualTo(Exit.FAILED);
        assertThat(none.err())
                .contains(directory + "/control.sock (there is no such file)")
                .contains("Start one: ballast run ballast.yaml");

        Path stale = directory.resolve("control.sock");
        ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                .bind(UnixDomainSocketAddress.of(stale))
                .close();
        assertThat(Console.run("list", "--socket", stale.toString()).err()).contains("nobody listens there any more");

        Path file = Files.writeString(directory.resolve("file"), "");
        assertThat(Console.run("list", "--socket", file.toString()).code()).isEqualTo(Exit.FAILED);
        assertThat(Console.run("list", "--socket", "/" + "x".repeat(200)).code())
                .isNotEqualTo(Exit.DONE);
    }

    @Test
    void aDescriptionThatIsNoFileIsWrongUsage(@TempDir Path directory) {
        assertThat(Console.run("plan", directory.toString()).err()).contains("is a directory");
        assertThat(Console.run("plan", directory.resolve("none").toString()).err())
                .contains("no such file");
    }
}

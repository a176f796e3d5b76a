package io.ballast.lab;

import com.sun.net.httpserver.HttpServer;
import io.ballast.cli.Exit;
import io.ballast.cli.Main;
import io.ballast.cli.Terminal;
import io.ballast.director.worker.TrafficWorker;
import io.ballast.node.Daemon;
import io.ballast.node.Directories;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/**
 * The training run of the AOT cache: what people wait for, done once in one JVM. What is loaded and linked here comes
 * from the cache later.
 *
 * <p>That is the verbs of {@link #VERBS}, and the start of a daemon and of a traffic worker. These are processes of their
 * own otherwise, but a cache remembers one; so here the worker runs beside the daemon, which finds its socket and adopts
 * it. They serve a small farm on loopback, and the verbs ask this daemon. In the end it takes a large description, in
 * which lines change: the cache also keeps what the compilers have learned about methods that run often.
 */
public final class Training {
    private static final List<List<String>> VERBS = List.of(
            List.of("version"),
            List.of("--help"),
            List.of("lst"),
            List.of("list", "--help"),
            List.of("check", "EXAMPLE"),
            List.of("check", "EXAMPLE", "--json"),
            List.of("list", "--socket", "SOCKET"),
            List.of("list", "--socket", "SOCKET", "--stats"),
            List.of("status", "--socket", "SOCKET"),
            List.of("connections", "--socket", "SOCKET"),
            List.of("events", "--socket", "SOCKET"),
            List.of("plan", "FILE", "--socket", "SOCKET"),
            List.of("server", "drain", "web", "www1", "--socket", "SOCKET"),
            List.of("server", "enable", "web", "www1", "--socket", "SOCKET"),
            List.of("reload", "--socket", "SOCKET"),
            List.of("list", "--socket", "/nonexistent"),
            List.of("doctor"));

    /** What the worker calls its build, and this process as well, so that it is not replaced. */
    private static final String BUILD = "training";

    private static final int REQUESTS = 50;

    /** Services in a large description: enough that what takes them is recorded as worth compiling. */
    private static final int SERVICES = 2_000;

    /** Of one line of it. */
    private static final int CHANGES = 8;

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Path example;
    private final Path directory;
    private final Directories directories;

    private Training(Path example, Path directory) {
        this.example = example;
        this.directory = directory;
        this.directories = new Directories(directory.resolve("run"), directory.resolve("state"));
    }

    /** Runs with the example that {@code args} names. */
    public static void main(String[] args) throws Exception {
        System.setProperty("ballast.build", BUILD);
        Path directory = Files.createTempDirectory("ballast-training");
        try {
            new Training(Path.of(args[0]), directory).run();
        } finally {
            try (Stream<Path> files = Files.walk(directory)) {
                for (Path file : files.sorted((a, b) -> b.compareTo(a)).toList()) {
                    Files.deleteIfExists(file);
                }
            }
        }
        System.exit(Exit.DONE);
    }

    private void run() throws Exception {
        Files.createDirectory(
                directories.run(), PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        HttpServer www1 = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        www1.createContext("/", exchange -> {
            try (exchange) {
                byte[] page = "Test Page\n".getBytes(StandardCharsets.US_ASCII);
                exchange.sendResponseHeaders(200, page.length);
                exchange.getResponseBody().write(page);
            }
        });
        www1.start();
        int port;
        int nobody; // where no server is
        try (ServerSocket first = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                ServerSocket second = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = first.getLocalPort();
            nobody = second.getLocalPort();
        }
        Path file = Files.writeString(directory.resolve("ballast.yaml"), """
                name: training
                services:
                  web:
                    listen: ["127.0.0.1:%1$d/tcp"]
                    scheduler: wlc
                    checks:
                      - { type: http, path: /, expect: { text: Test Page }, interval: 100ms, fall: 1 }
                    servers:
                      - { name: www1, address: "127.0.0.1:%2$d" }
                      - { name: www2, address: "127.0.0.1:%3$d", checks: [{ type: tcp, interval: 100ms, fall: 1 }] }
                """.formatted(
                        port, www1.getAddress().getPort(), nobody));

        ByteArrayOutputStream log = new ByteArrayOutputStream();
        try (TrafficWorker worker =
                TrafficWorker.start(new TrafficWorker.Options(directories.run().resolve("worker-1.sock"), 1, BUILD))) {
            FutureTask<Integer> daemon = new FutureTask<>(() -> Daemon.run(
                    new Daemon.Options(file, Optional.empty(), directories, false),
                    Map.of(),
                    new PrintStream(log, true, StandardCharsets.UTF_8)));
            Thread.ofPlatform().name("daemon").daemon().start(daemon);
            await(log, () -> log.toString(StandardCharsets.UTF_8).contains(" serves"));
            await(log, () -> log.toString(StandardCharsets.UTF_8).contains("web/www2 is down"));
            for (int i = 0; i < REQUESTS; i++) {
                ask(port);
            }
            for (List<String> verb : VERBS) {
                verb(verb, file);
            }
            for (int change = 0; change <= CHANGES; change++) {
                Path many = Files.writeString(directory.resolve("many.yaml"), description(port, 80 + change));
                verb(List.of("apply", "FILE", "--socket", "SOCKET"), many);
            }
            verb(List.of("stop", "--keep-worker", "--socket", "SOCKET"), file);
            int code = daemon.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            if (code != Daemon.DONE || worker.exit().isDone()) {
                throw new IOException("the daemon ended with " + code + ":\n" + log.toString(StandardCharsets.UTF_8));
            }
        }
        www1.stop(0);
    }

    private void verb(List<String> verb, Path file) {
        PrintStream nowhere = new PrintStream(PrintStream.nullOutputStream(), false, StandardCharsets.UTF_8);
        Terminal terminal = new Terminal(nowhere, nowhere, "out,err", Map.of("TERM", "xterm"));
        List<String> words = verb.stream()
                .map(word -> switch (word) {
                    case "EXAMPLE" -> example.toString();
                    case "FILE" -> file.toString();
                    case "SOCKET" -> directories.controlSocket().toString();
                    default -> word;
                })
                .toList();
        var _ = new Main(terminal, Map.of("PATH", "/usr/bin")).run(words);
    }

    /** Many services with ten servers each at addresses of the loopback interface; the very last port is given. */
    private static String description(int listen, int lastPort) {
        StringBuilder yaml = new StringBuilder("name: training\nservices:\n");
        for (int service = 0; service < SERVICES; service++) {
            String network = (service >> 8) + "." + (service & 255);
            yaml.append("  s%d:\n    listen: 127.77.%s:%d\n    servers:\n".formatted(service, network, listen));
            for (int server = 0; server < 10; server++) {
                int port = service == SERVICES - 1 && server == 9 ? lastPort : 80;
                yaml.append("      - 127.%d.%s:%d\n".formatted(100 + server, network, port));
            }
        }
        return yaml.toString();
    }

    private static void ask(int port) throws IOException {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            socket.getOutputStream()
                    .write("GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
                            .getBytes(StandardCharsets.US_ASCII));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            if (!answer.startsWith("HTTP/1.1 200 ")) {
                throw new IOException(
                        "the farm answered \"" + answer.lines().findFirst().orElse("") + "\"");
            }
        }
    }

    private static void await(ByteArrayOutputStream log, BooleanSupplier condition)
            throws IOException, InterruptedException {
        Instant deadline = Instant.now().plus(PATIENCE);
        while (!condition.getAsBoolean()) {
            if (Instant.now().isAfter(deadline)) {
                throw new IOException("the daemon did not get so far:\n" + log.toString(StandardCharsets.UTF_8));
            }
            TimeUnit.MILLISECONDS.sleep(10);
        }
    }
}

package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** The real daemon in a JVM of its own, for tests; ends what it started, workers included. */
final class DaemonProcess implements AutoCloseable {

    /** The child's main: {@code RUN STATE FILE [--replace] [--node NAME] [--build ID]}. */
    public static final class Main {
        private Main() {}

        /** Runs the daemon. */
        public static void main(String[] args) throws InterruptedException {
            List<String> words = List.of(args);
            int node = words.indexOf("--node");
            int build = words.indexOf("--build");
            if (build >= 0) {
                System.setProperty(Build.PROPERTY, args[build + 1]);
            }
            int code = Daemon.run(
                    new Daemon.Options(
                            Path.of(args[2]),
                            node < 0 ? Optional.empty() : Optional.of(args[node + 1]),
                            new Directories(Path.of(args[0]), Path.of(args[1])),
                            words.contains("--replace")),
                    System.getenv(),
                    new PrintStream(System.err, true, StandardCharsets.UTF_8));
            System.exit(code);
        }
    }

    static final Duration PATIENCE = Duration.ofSeconds(60);

    final Path directory;
    final Path file;
    private final Process process;
    private final Path log;

    private DaemonProcess(Path directory, Path file, Process process, Path log) {
        this.directory = directory;
        this.file = file;
        this.process = process;
        this.log = log;
    }

    /** Starts one in {@code directory/run} and {@code directory/state}. */
    static DaemonProcess start(Path directory, String yaml, String... more) throws IOException {
        return start(directory, write(directory, yaml), Map.of(), List.of(), more);
    }

    /** Writes the description. */
    static Path write(Path directory, String yaml) throws IOException {
        return Files.writeString(directory.resolve("ballast.yaml"), yaml);
    }

    /**
     * Starts one on an existing description.
     *
     * @param prefix a program that starts it, with its options
     */
    static DaemonProcess start(
            Path directory, Path file, Map<String, String> environment, List<String> prefix, String... more)
            throws IOException {
        Path log = Files.createTempFile(directory, "daemon", ".log");
        List<String> command = new ArrayList<>(prefix);
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-Xmx64m",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                directory.resolve("run").toString(),
                directory.resolve("state").toString(),
                file.toString()));
        command.addAll(List.of(more));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(new File("/dev/null"))
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        builder.environment().putAll(environment);
        return new DaemonProcess(directory, file, builder.start(), log);
    }

    Process process() {
        return process;
    }

    /** What it printed. */
    String log() {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits until it says that it runs. */
    DaemonProcess awaitRunning() throws Exception {
        await(
                "running",
                () -> process.isAlive() && status().get("state").getAsString().equals("running"));
        return this;
    }

    /** Waits for its end. */
    int awaitExit() throws InterruptedException {
        assertThat(process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                .as("it ends; %s", log())
                .isTrue();
        return process.exitValue();
    }

    /** Waits for a condition; one that throws is not met yet. */
    void await(String what, Callable<Boolean> condition) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        Exception last = null;
        while (true) {
            try {
                if (condition.call()) {
                    return;
                }
            } catch (Exception e) {
                last = e;
            }
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("waited " + PATIENCE.toSeconds() + " s for: " + what + "\n" + log(), last);
            }
            TimeUnit.MILLISECONDS.sleep(5);
        }
    }

    record Answer(int status, String body) {
        JsonObject json() {
            return JsonParser.parseString(body).getAsJsonObject();
        }
    }

    Answer request(String method, String path, String body, String... headers) throws IOException {
        try (SocketChannel channel = SocketChannel.open(
                UnixDomainSocketAddress.of(directory.resolve("run").resolve("control.sock")))) {
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            StringBuilder head = new StringBuilder(method + " " + path + " HTTP/1.0\r\n");
            for (String header : headers) {
                head.append(header).append("\r\n");
            }
            head.append("Content-Length: ").append(bytes.length).append("\r\n\r\n");
            for (ByteBuffer part : List.of(
                    ByteBuffer.wrap(head.toString().getBytes(StandardCharsets.UTF_8)), ByteBuffer.wrap(bytes))) {
                while (part.hasRemaining()) {
                    channel.write(part);
                }
            }
            java.io.ByteArrayOutputStream all = new java.io.ByteArrayOutputStream();
            ByteBuffer buffer = ByteBuffer.allocate(65536);
            while (channel.read(buffer.clear()) >= 0) {
                all.write(buffer.array(), 0, buffer.position());
            }
            String text = all.toString(StandardCharsets.UTF_8);
            int end = text.indexOf("\r\n\r\n");
            return new Answer(Integer.parseInt(text.substring(9, 12)), text.substring(end + 4));
        }
    }

    JsonObject get(String path) throws IOException {
        Answer answer = request("GET", path, "");
        assertThat(answer.status()).as(answer.body()).isEqualTo(200);
        return answer.json();
    }

    JsonObject status() throws IOException {
        return get("/v1/status");
    }

    JsonObject service(String name) throws IOException {
        return get("/v1/services/" + name);
    }

    /** A server's state. */
    String server(String service, String server) throws IOException {
        for (var s : service(service).getAsJsonArray("servers")) {
            if (s.getAsJsonObject().get("name").getAsString().equals(server)) {
                return s.getAsJsonObject().get("state").getAsString();
            }
        }
        return "none";
    }

    long workerPid() throws IOException {
        return status().getAsJsonObject("worker").get("pid").getAsLong();
    }

    /** The types of all events, oldest first. */
    List<String> events() throws IOException {
        return request("GET", "/v1/events?since=0", "")
                .body()
                .lines()
                .map(l -> JsonParser.parseString(l).getAsJsonObject())
                .map(e -> e.get("type").getAsString() + " " + e.get("subject").getAsString())
                .toList();
    }

    /** Ends it and its workers, whatever state they are in. */
    @Override
    public void close() {
        List<ProcessHandle> all = new ArrayList<>();
        all.add(process.toHandle());
        process.descendants().forEach(all::add);
        // A worker outlives its node process, and is no child of the next one.
        ProcessHandle.allProcesses()
                .filter(p -> p.info().arguments().stream()
                        .flatMap(java.util.Arrays::stream)
                        .anyMatch(a -> a.startsWith(directory.resolve("run") + "/worker-")))
                .forEach(all::add);
        all.forEach(ProcessHandle::destroyForcibly);
        all.forEach(p -> p.onExit().orTimeout(10, TimeUnit.SECONDS).join());
    }
}

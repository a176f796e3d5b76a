package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A service manager's end of sd_notify(3): a datagram socket, which Java has none of, so Python holds it. */
final class NotifySocket implements AutoCloseable {
    private static final String RECEIVE = """
            import socket, sys
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind(sys.argv[1])
            while True:
                print(s.recv(4096).decode(), flush=True)
            """;

    private final Process process;
    private final LinkedBlockingQueue<String> lines = new LinkedBlockingQueue<>();

    private NotifySocket(Process process) {
        this.process = process;
        Thread.ofVirtual().start(() -> {
            try (BufferedReader reader =
                    new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                    lines.add(line);
                }
            } catch (IOException e) {
                lines.add("broken: " + e.getMessage());
            }
        });
    }

    static NotifySocket open(Path socket) throws IOException, InterruptedException {
        NotifySocket opened = new NotifySocket(new ProcessBuilder("python3", "-c", RECEIVE, socket.toString()).start());
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!Files.exists(socket)) {
            assertThat(System.nanoTime() - deadline)
                    .as("python3 binds the socket")
                    .isNegative();
            Thread.sleep(5);
        }
        return opened;
    }

    /** Waits for a line; others before it are passed over. */
    void await(String wanted) throws InterruptedException {
        String line = "";
        while (!line.equals(wanted)) {
            line = lines.poll(60, TimeUnit.SECONDS);
            assertThat(line).as("waiting for " + wanted).isNotNull();
        }
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}

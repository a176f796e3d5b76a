package io.ballast.node;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;

/** What a new node process says to the one that it replaces. */
final class StopRequest {
    private static final String BODY = "{\"keepWorker\":true}";

    private static final Duration PATIENCE = Duration.ofSeconds(15);

    private StopRequest() {}

    private static void closeLater(SocketChannel channel) {
        try {
            Thread.sleep(PATIENCE);
            channel.close();
        } catch (InterruptedException | IOException e) {
            // The answer came, or nothing is left to close.
            Thread.currentThread().interrupt();
        }
    }

    /** Asks the daemon at this control socket to end and to leave its traffic worker running. */
    static void keepWorker(Path controlSocket) throws IOException {
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(controlSocket))) {
            ByteBuffer request = ByteBuffer.wrap(("POST /v1/stop HTTP/1.1\r\nHost: ballast\r\nConnection: close\r\n"
                            + "Content-Length: " + BODY.length() + "\r\n\r\n" + BODY)
                    .getBytes(StandardCharsets.US_ASCII));
            while (request.hasRemaining()) {
                var _ = channel.write(request);
            }
            ByteBuffer answer = ByteBuffer.allocate(4096);
            // A blocking channel has no time-out of its own.
            Thread patience = Thread.ofVirtual().start(() -> closeLater(channel));
            try {
                while (answer.hasRemaining() && channel.read(answer) >= 0) {
                    // To the end: only the first line matters, but it must be whole.
                }
            } catch (ClosedChannelException e) {
                throw new IOException("it gave no answer in " + PATIENCE.toSeconds() + " s", e);
            } finally {
                patience.interrupt();
            }
            String status = new String(answer.array(), 0, answer.position(), StandardCharsets.US_ASCII);
            if (!status.startsWith("HTTP/1.1 2")) {
                throw new IOException(
                        "it answered \"" + status.lines().findFirst().orElse("") + "\"");
            }
        }
    }
}

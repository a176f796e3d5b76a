package io.ballast.cli;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** A control socket whose answers a test gives: bytes as they are, by the request's first line. */
final class FakeDaemon implements AutoCloseable {
    private final Path directory;
    private final ServerSocketChannel server;
    private final List<String> requests = Collections.synchronizedList(new ArrayList<>());

    private FakeDaemon(Path directory, ServerSocketChannel server) {
        this.directory = directory;
        this.server = server;
    }

    /** Starts one; {@code answers} is given a request line without its version and gives the whole answer. */
    static FakeDaemon start(Function<String, String> answers) throws IOException {
        Path directory = Files.createTempDirectory("ballast-cli-test");
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        FakeDaemon daemon = new FakeDaemon(directory, server);
        server.bind(UnixDomainSocketAddress.of(daemon.socket()));
        Thread.ofPlatform().daemon().start(() -> daemon.serve(answers));
        return daemon;
    }

    /** An answer with JSON and its length. */
    static String json(int status, String json) {
        int length = json.getBytes(StandardCharsets.UTF_8).length;
        return "HTTP/1.1 " + status + " X\r\nContent-Type: application/json\r\nContent-Length: " + length + "\r\n\r\n"
                + json;
    }

    Path socket() {
        return directory.resolve("control.sock");
    }

    /** Every request so far: its head and body as they came. */
    List<String> requests() {
        return List.copyOf(requests);
    }

    /** What one verb says and ends with. */
    Console run(String... args) {
        List<String> words = new ArrayList<>(List.of(args));
        words.add("--socket");
        words.add(socket().toString());
        return Console.run(Map.of(), words.toArray(String[]::new));
    }

    private void serve(Function<String, String> answers) {
        while (true) {
            try (SocketChannel client = server.accept()) {
                String request = readRequest(client);
                requests.add(request);
                String line = request.substring(0, request.indexOf(" HTTP/1.1"));
                client.write(ByteBuffer.wrap(answers.apply(line).getBytes(StandardCharsets.UTF_8)));
            } catch (IOException e) {
                // The test closed the server.
                return;
            }
        }
    }

    /**
     * The other way: one that answers with the first part, and with the second when the client says that it sends nothing
     * more.
     */
    static FakeDaemon untilItIsStopped(String first, String last) throws IOException {
        Path directory = Files.createTempDirectory("ballast-cli-test");
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        FakeDaemon daemon = new FakeDaemon(directory, server);
        server.bind(UnixDomainSocketAddress.of(daemon.socket()));
        Thread.ofPlatform().daemon().start(() -> {
            try (SocketChannel client = server.accept()) {
                daemon.requests.add(readRequest(client));
                client.write(ByteBuffer.wrap(first.getBytes(StandardCharsets.UTF_8)));
                if (client.read(ByteBuffer.allocate(1)) < 0) {
                    client.write(ByteBuffer.wrap(last.getBytes(StandardCharsets.UTF_8)));
                }
            } catch (IOException e) {
                // The test closed the server.
            }
        });
        return daemon;
    }

    private static String readRequest(SocketChannel client) throws IOException {
        StringBuilder request = new StringBuilder();
        ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
        while (!complete(request) && client.read(buffer) >= 0) {
            request.append(StandardCharsets.UTF_8.decode(buffer.flip()));
            buffer.clear();
        }
        return request.toString();
    }

    private static boolean complete(StringBuilder request) {
        int end = request.indexOf("\r\n\r\n");
        if (end < 0) {
            return false;
        }
        int length = request.indexOf("Content-Length: ");
        int expected =
                length < 0 ? 0 : Integer.parseInt(request.substring(length + 16, request.indexOf("\r\n", length)));
        return request.substring(end + 4).getBytes(StandardCharsets.UTF_8).length >= expected;
    }

    @Override
    public void close() throws IOException {
        server.close();
        Files.deleteIfExists(socket());
        Files.delete(directory);
    }
}

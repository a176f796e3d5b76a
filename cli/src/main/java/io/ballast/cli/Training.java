package io.ballast.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * The training run of the AOT cache: the verbs that people wait for, run once in one JVM. What is loaded and linked here
 * comes from the cache later, so a verb that should start fast stands in {@link #VERBS}.
 */
public final class Training {
    private static final List<List<String>> VERBS = List.of(
            List.of("version"),
            List.of("--help"),
            List.of("lst"),
            List.of("list", "--help"),
            List.of("check", "FILE"),
            List.of("check", "FILE", "--json"),
            List.of("list", "--socket", "SOCKET"),
            List.of("list", "--socket", "SOCKET", "--stats"),
            List.of("status", "--socket", "SOCKET"),
            List.of("connections", "--socket", "SOCKET"),
            List.of("events", "--socket", "SOCKET"),
            List.of("plan", "FILE", "--socket", "SOCKET"),
            List.of("server", "drain", "web", "www1", "--socket", "SOCKET"),
            List.of("list", "--socket", "/nonexistent"),
            List.of("doctor"));

    /** One answer that every verb above can show something of. */
    private static final String ANSWER = "{\"node\":\"director\",\"version\":\"0\",\"pid\":1,\"warnings\":[\"none\"],"
            + "\"services\":[{\"name\":\"web\",\"listen\":[{\"endpoint\":\"192.0.2.1:80/tcp\",\"state\":\"listening\"}],"
            + "\"scheduler\":\"wlc\",\"forward\":\"proxy\",\"flags\":[\"persistent 300\"],\"state\":\"up\","
            + "\"sorry\":{\"address\":\"127.0.0.1:8081\",\"serving\":false},\"connections\":1,\"rates\":{\"cps\":1.5},"
            + "\"servers\":[{\"name\":\"www1\",\"address\":\"10.1.0.1:80\",\"weight\":1,\"state\":\"up\","
            + "\"active\":1,\"rates\":{\"cps\":1.5}}]}],"
            + "\"connections\":[{\"protocol\":\"tcp\",\"client\":\"192.0.2.9:1\",\"ageMillis\":5}],"
            + "\"changes\":[{\"action\":\"change\",\"subject\":\"web/www1\",\"detail\":\"weight 1 -> 3\"}],"
            + "\"time\":\"2026-01-01T00:00:00Z\",\"severity\":\"info\",\"type\":\"server.up\",\"message\":\"up\"}";

    private Training() {}

    /** Runs every verb with the description that {@code args} names. */
    public static void main(String[] args) throws IOException {
        Path directory = Files.createTempDirectory("ballast-training");
        Path socket = directory.resolve("control.sock");
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8);
        Terminal terminal = new Terminal(nowhere, nowhere, "out,err", Map.of("TERM", "xterm"));
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofPlatform().daemon().start(() -> answer(server));
            for (List<String> verb : VERBS) {
                List<String> words = verb.stream()
                        .map(word -> switch (word) {
                            case "FILE" -> args[0];
                            case "SOCKET" -> socket.toString();
                            default -> word;
                        })
                        .toList();
                new Main(terminal, Map.of("PATH", "/usr/bin")).run(words);
            }
        } finally {
            Files.deleteIfExists(socket);
            Files.delete(directory);
        }
        System.exit(Exit.DONE);
    }

    private static void answer(ServerSocketChannel server) {
        byte[] answer = ("HTTP/1.1 200 OK\r\nContent-Length: " + ANSWER.length() + "\r\n\r\n" + ANSWER)
                .getBytes(StandardCharsets.US_ASCII);
        while (server.isOpen()) {
            try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(1 << 16));
                client.write(ByteBuffer.wrap(answer));
            } catch (IOException e) {
                // The training is over.
                return;
            }
        }
    }
}

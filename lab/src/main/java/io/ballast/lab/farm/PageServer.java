package io.ballast.lab.farm;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.ballast.lab.farm.WebServer.Mode;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;

/**
 * The web server of a lab on a machine without nginx: the JDK's own, as a process of its own. It reads what to serve
 * from the files that {@link WebServer} writes, and how to serve it again before each answer.
 */
public final class PageServer {
    private static final Duration SLOW = Duration.ofSeconds(10);

    private final Path directory;
    private final Map<String, Page> pages = new HashMap<>();

    private record Page(int status, String body) {}

    private PageServer(Path directory) throws IOException {
        this.directory = directory;
        for (String line : Files.readAllLines(directory.resolve("pages"))) {
            String[] words = line.split(" ", 3); // file, status, path
            pages.put(words[2], new Page(Integer.parseInt(words[1]), Files.readString(directory.resolve(words[0]))));
        }
    }

    /** Takes the directory with the settings. */
    public static void main(String[] args) throws IOException {
        System.setProperty("sun.net.httpserver.nodelay", "true"); // or small answers wait 40 ms for an acknowledgement
        Path directory = Path.of(args[0]);
        PageServer server = new PageServer(directory);
        List<HttpServer> listeners = new ArrayList<>();
        for (String address : Files.readAllLines(directory.resolve("listen"))) {
            URI uri = URI.create("http://" + address);
            HttpServer listener = HttpServer.create(new InetSocketAddress(uri.getHost(), uri.getPort()), 1024);
            listener.createContext("/", server::answer);
            listener.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
            listeners.add(listener);
        }
        // What is under way is finished; the port is closed at once.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> listeners.forEach(l -> l.stop(1))));
        listeners.forEach(HttpServer::start);
    }

    private void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            Mode mode = Mode.valueOf(Files.readString(directory.resolve("mode")));
            if (mode == Mode.SLOW) {
                pause();
            }
            Page found = pages.getOrDefault(exchange.getRequestURI().getPath(), new Page(404, "not found\n"));
            Page page = mode == Mode.ERROR ? new Page(500, "out of order\n") : found;
            exchange.getResponseHeaders().set("Content-Type", "text/plain");
            exchange.getResponseHeaders().set("Server", "jdk.httpserver");
            byte[] bytes = page.body().getBytes(StandardCharsets.UTF_8);
            // -1 says that there is no body at all, as a 204 must not have one.
            boolean body = page.status() != 204
                    && page.status() != 304
                    && !exchange.getRequestMethod().equals("HEAD");
            exchange.sendResponseHeaders(page.status(), body ? bytes.length : -1);
            if (body) {
                exchange.getResponseBody().write(bytes);
            }
        }
    }

    private static void pause() throws IOException {
        try {
            Thread.sleep(SLOW);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        }
    }
}

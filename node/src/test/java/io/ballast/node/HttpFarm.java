package io.ballast.node;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** A real server that answers every request with its name. */
final class HttpFarm implements AutoCloseable {
    private final String name;
    private final int port;
    private HttpServer server;
    private ExecutorService threads;

    private HttpFarm(String name, int port) throws IOException {
        this.name = name;
        this.port = port;
        this.threads = Executors.newVirtualThreadPerTaskExecutor();
        this.server = open();
    }

    static HttpFarm server(String name) throws IOException {
        return new HttpFarm(name, freePort());
    }

    /** A port that nobody had a moment ago. */
    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private HttpServer open() throws IOException {
        HttpServer fresh = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 512);
        fresh.createContext("/", exchange -> {
            try (exchange) {
                exchange.getRequestBody().readAllBytes();
                byte[] body = name.getBytes(StandardCharsets.UTF_8);
                exchange.getResponseHeaders().set("Connection", "close");
                exchange.sendResponseHeaders(200, body.length);
                exchange.getResponseBody().write(body);
            }
        });
        fresh.setExecutor(threads);
        fresh.start();
        return fresh;
    }

    int port() {
        return port;
    }

    void stop() {
        server.stop(0);
    }

    void restart() throws IOException {
        threads = Executors.newVirtualThreadPerTaskExecutor();
        server = open();
    }

    @Override
    public void close() {
        server.stop(0);
        threads.shutdownNow();
    }
}

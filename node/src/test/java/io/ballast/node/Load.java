package io.ballast.node;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/** Clients that ask one request a connection, again and again, and count what goes wrong. */
final class Load implements AutoCloseable {
    private static final int TIMEOUT_MILLIS = 20_000;

    final AtomicLong answered = new AtomicLong();
    final ConcurrentLinkedQueue<String> failures = new ConcurrentLinkedQueue<>();
    private final List<Thread> threads = new ArrayList<>();
    private volatile boolean ended;

    private Load() {}

    static Load start(int port, int clients) {
        Load load = new Load();
        for (int i = 0; i < clients; i++) {
            load.threads.add(Thread.ofPlatform().daemon().start(() -> {
                while (!load.ended) {
                    try {
                        String answer = ask(port);
                        if (answer.isEmpty()) {
                            load.failures.add("an empty answer");
                        }
                        load.answered.incrementAndGet();
                        Thread.sleep(2);
                    } catch (IOException e) {
                        load.failures.add(String.valueOf(e));
                    } catch (InterruptedException e) {
                        return;
                    }
                }
            }));
        }
        return load;
    }

    /** One request on a connection of its own: the body of the answer. */
    static String ask(int port) throws IOException {
        try (Socket socket = new Socket()) {
            socket.setSoTimeout(TIMEOUT_MILLIS);
            socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), TIMEOUT_MILLIS);
            socket.getOutputStream()
                    .write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                            .getBytes(StandardCharsets.US_ASCII));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int end = answer.indexOf("\r\n\r\n");
            return end < 0 ? "" : answer.substring(end + 4);
        }
    }

    /** Stops, and waits for what is under way. */
    void end() {
        ended = true;
        for (Thread thread : threads) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public void close() {
        end();
    }
}

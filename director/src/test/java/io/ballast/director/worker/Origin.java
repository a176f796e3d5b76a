package io.ballast.director.worker;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;

/** A real server for tests: each accepted connection gets a virtual thread with the behaviour. */
final class Origin implements Closeable {
    /** What it does with a connection; the socket is closed when it returns. */
    interface Behaviour {
        void serve(Socket socket) throws IOException, InterruptedException;
    }

    /** Connections as they were accepted. */
    final BlockingQueue<Socket> accepted = new LinkedBlockingQueue<>();

    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    private final ServerSocket listener;

    Origin(Behaviour behaviour) throws IOException {
        listener = new ServerSocket(0, 1000, Farm.LOOPBACK);
        Thread.ofVirtual().start(() -> acceptAll(behaviour));
    }

    /** Sends back whatever comes, preceded by its name. */
    static Behaviour echo(String name) {
        return socket -> {
            socket.getOutputStream().write((name + ":").getBytes(StandardCharsets.US_ASCII));
            InputStream in = socket.getInputStream();
            byte[] bytes = new byte[8192];
            for (int n = in.read(bytes); n > 0; n = in.read(bytes)) {
                socket.getOutputStream().write(bytes, 0, n);
            }
        };
    }

    InetSocketAddress address() {
        return (InetSocketAddress) listener.getLocalSocketAddress();
    }

    int openConnections() {
        return open.size();
    }

    private void acceptAll(Behaviour behaviour) {
        while (true) {
            try {
                Socket socket = listener.accept();
                open.add(socket);
                accepted.add(socket);
                Thread.ofVirtual().start(() -> {
                    try (socket) {
                        behaviour.serve(socket);
                    } catch (IOException | InterruptedException e) {
                        // The test ends connections as it likes.
                    } finally {
                        open.remove(socket);
                    }
                });
            } catch (IOException e) {
                return;
            }
        }
    }

    @Override
    public void close() throws IOException {
        listener.close();
        for (Socket socket : open) {
            socket.close();
        }
    }
}

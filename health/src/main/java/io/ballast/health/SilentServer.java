package io.ballast.health;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;

/**
 * A server that hangs, for measurements: its listen queue is full and nobody takes from it, so the kernel drops every
 * further SYN. A client neither connects nor is refused.
 */
public final class SilentServer implements AutoCloseable {
    /** A queue of length n takes n + 1 connections; one more waits in vain already. */
    private static final int QUEUE = 1;

    private final ServerSocketChannel listener;
    private final List<SocketChannel> waiting = new ArrayList<>();

    /** Listens on a free port of loopback. */
    public SilentServer() throws IOException {
        listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), QUEUE);
        for (int i = 0; i < QUEUE + 2; i++) {
            SocketChannel client = SocketChannel.open();
            client.configureBlocking(false);
            client.connect(address());
            waiting.add(client);
        }
    }

    /** Where it listens. */
    public InetSocketAddress address() throws IOException {
        return (InetSocketAddress) listener.getLocalAddress();
    }

    @Override
    public void close() throws IOException {
        for (SocketChannel client : waiting) {
            client.close();
        }
        listener.close();
    }
}

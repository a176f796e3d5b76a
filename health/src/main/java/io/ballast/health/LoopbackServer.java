package io.ballast.health;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;

/**
 * The cheapest server that a check can be measured against: one thread that takes connections, and answers whatever is
 * sent with a small page of HTTP.
 */
public final class LoopbackServer implements AutoCloseable {

    private static final int BACKLOG = 4096;

    private static final byte[] PAGE = """
            HTTP/1.1 200 OK\r
            Content-Type: text/html; charset=utf-8\r
            Content-Length: 19\r
            Connection: close\r
            \r
            <h1>Test Page</h1>
            """.getBytes(StandardCharsets.US_ASCII);

    private final ServerSocketChannel listener;
    private final Selector selector;

    /** Listens on a free port of loopback. */
    public LoopbackServer() throws IOException {
        selector = Selector.open();
        listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), BACKLOG);
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        var _ = Thread.ofPlatform().daemon().name("loopback-server").start(this::serve);
    }

    /** Where it listens. */
    public InetSocketAddress address() throws IOException {
        return (InetSocketAddress) listener.getLocalAddress();
    }

    private void serve() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
        ByteBuffer page = ByteBuffer.allocateDirect(PAGE.length).put(PAGE).flip();
        try {
            while (listener.isOpen()) {
                selector.select();
                Iterator<SelectionKey> ready = selector.selectedKeys().iterator();
                while (ready.hasNext()) {
                    SelectionKey key = ready.next();
                    ready.remove();
                    if (!key.isValid()) {
                        continue;
                    }
                    if (key.channel() instanceof SocketChannel channel) {
                        answer(channel, buffer, page);
                    } else {
                        accept();
                    }
                }
            }
        } catch (IOException e) {
            if (listener.isOpen()) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private void accept() throws IOException {
        SocketChannel channel;
        while ((channel = listener.accept()) != null) {
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_READ);
        }
    }

    private static void answer(SocketChannel channel, ByteBuffer buffer, ByteBuffer page) throws IOException {
        try {
            buffer.clear();
            if (channel.read(buffer) > 0) {
                channel.write(page.rewind());
            }
        } catch (IOException e) {
            // A check that only connects leaves with a reset.
        } finally {
            channel.close();
        }
    }

    @Override
    public void close() throws IOException {
        listener.close();
        selector.close();
    }

    /** Serves until it is killed, for measurements that keep the server's cost out of theirs; prints its port. */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        try (LoopbackServer server = new LoopbackServer()) {
            System.out.println(server.address().getPort());
            Thread.currentThread().join();
        }
    }
}

package io.ballast.node.http;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Semaphore;
import java.util.function.Consumer;

/**
 * An HTTP/1.1 server (RFC 9112) on a unix socket, one virtual thread for each connection.
 *
 * <p>Who may ask is decided by the socket's file: it has mode 0600, and it has it before it gets its name, so there is
 * no moment in which somebody else could connect. What may be asked is bounded before it is read: a request's head
 * to {@value #MAX_HEAD} bytes, its body and a connection's silence to {@link Limits}, and the number
 * of connections. An idle or slow client costs a parked virtual thread, and that only for so long.
 */
public final class UnixHttpServer implements AutoCloseable {
    /** Bytes of request line and headers. */
    public static final int MAX_HEAD = 16 * 1024;

    /** Bytes of a body that is taken at any time; of larger ones there is one at a time. */
    static final int LARGE_BODY = 256 * 1024;

    /**
     * How patient the server is.
     *
     * @param idle for the first byte of a request
     * @param request for the rest of it
     * @param write for a client to take the next part of an answer
     * @param connections at a time; one more is told so and closed
     * @param body bytes of a request's body
     */
    public record Limits(Duration idle, Duration request, Duration write, int connections, int body) {
        /** What a control socket needs. */
        public static Limits standard(int body) {
            return new Limits(Duration.ofSeconds(60), Duration.ofSeconds(30), Duration.ofSeconds(30), 100, body);
        }
    }

    /** Answers requests; called on a virtual thread, several at a time. */
    @FunctionalInterface
    public interface Handler {
        /** The answer; what is thrown becomes an error for the client. */
        Response answer(Request request) throws HttpException, InterruptedException;
    }

    private static final long SWEEP_MILLIS = 250;
    private static final long ANSWER_NANOS = 1_000_000_000L;
    private static final long ANSWER_LOOK_MILLIS = 2;

    private final Path path;
    private final Object fileKey;
    private final ServerSocketChannel listener;
    private final Handler handler;
    private final Limits limits;
    private final Consumer<String> trouble;
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();
    private final Semaphore large = new Semaphore(1);
    private final Thread accepting;
    private final Thread sweeping;

    private UnixHttpServer(
            Path path,
            Object fileKey,
            ServerSocketChannel listener,
            Limits limits,
            Handler handler,
            Consumer<String> trouble) {
        this.path = path;
        this.fileKey = fileKey;
        this.listener = listener;
        this.limits = limits;
        this.handler = handler;
        this.trouble = trouble;
        this.accepting = Thread.ofVirtual().name("control-accept").unstarted(this::accept);
        this.sweeping = Thread.ofVirtual().name("control-sweep").unstarted(this::sweep);
    }

    /**
     * Listens on {@code path}, in place of whatever socket has the name now; its directory must exist.
     *
     * @param trouble takes what goes wrong that no client can be told, as a sentence
     */
    public static UnixHttpServer open(Path path, Limits limits, Handler handler, Consumer<String> trouble)
            throws IOException {
        Path directory = path.toAbsolutePath().getParent();
        if (directory == null) {
            throw new IOException("listen on " + path + ": it is not in a directory");
        }
        // Bound under another name that nobody else can reach, then renamed: the socket is never without its mode, and
        // a process that had the name before is replaced in one step.
        Path hidden = Files.createTempDirectory(
                directory, ".c", PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Path bound = hidden.resolve("s");
        ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            listener.bind(UnixDomainSocketAddress.of(bound), 64);
            Files.setPosixFilePermissions(bound, PosixFilePermissions.fromString("rw-------"));
            Object key = inode(bound);
            Files.move(bound, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            UnixHttpServer server = new UnixHttpServer(path, key, listener, limits, handler, trouble);
            server.accepting.start();
            server.sweeping.start();
            return server;
        } catch (IOException e) {
            listener.close();
            Files.deleteIfExists(bound);
            throw new IOException("listen on " + path + ": " + e.getMessage(), e);
        } finally {
            Files.deleteIfExists(hidden);
        }
    }

    private static Object inode(Path path) throws IOException {
        return Files.getAttribute(path, "unix:ino", LinkOption.NOFOLLOW_LINKS);
    }

    private void accept() {
        while (listener.isOpen()) {
            SocketChannel channel;
            try {
                channel = listener.accept();
            } catch (ClosedChannelException e) {
                return;
            } catch (IOException e) {
                // Out of descriptors, most likely: the client waits in the listen queue, and we look again a little
                // later instead of spinning.
                trouble.accept("accept on " + path + ": " + e.getMessage());
                if (!pause(SWEEP_MILLIS)) {
                    return;
                }
                continue;
            }
            Connection connection = new Connection(channel, handler, limits, large, trouble, connections::remove);
            connections.add(connection);
            if (connections.size() > limits.connections()) {
                connection.refuse();
            } else {
                Thread.ofVirtual().name("control").start(connection);
            }
        }
    }

    private void sweep() {
        while (listener.isOpen() || !connections.isEmpty()) {
            long now = System.nanoTime();
            connections.forEach(c -> c.closeIfOverdue(now));
            if (!pause(SWEEP_MILLIS)) {
                return;
            }
        }
    }

    private static boolean pause(long millis) {
        try {
            Thread.sleep(millis);
            return true;
        } catch (InterruptedException e) {
            return false;
        }
    }

    /** How many clients are connected. */
    public int connections() {
        return connections.size();
    }

    /**
     * Stops listening, removes the socket's file unless another process has put its own there, and ends connections, those
     * whose answer is on its way a moment later: whoever asked for the stop should hear that it was understood.
     */
    @Override
    public void close() {
        try {
            listener.close();
            if (inode(path).equals(fileKey)) {
                Files.deleteIfExists(path);
            }
        } catch (NoSuchFileException e) {
            // Removed by somebody else, which is what we wanted.
        } catch (IOException e) {
            trouble.accept("close " + path + ": " + e.getMessage());
        }
        long deadline = System.nanoTime() + ANSWER_NANOS;
        while (connections.stream().anyMatch(Connection::answering) && System.nanoTime() - deadline < 0) {
            if (!pause(ANSWER_LOOK_MILLIS)) {
                break;
            }
        }
        connections.forEach(Connection::close);
    }
}

package io.ballast.director.worker;

import io.ballast.linux.Processes;
import io.netty.channel.unix.Errors.NativeIoException;
import io.netty.channel.unix.FileDescriptor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;

/**
 * Keeps the worker from running out of file descriptors. It knows the limit and counts what it opens, so a listener
 * stops accepting while there is still room for the server's half of what was accepted, and the clients wait in the
 * kernel's listen queue. Where the system runs out earlier (ENFILE, another reckoning), the error has the same effect.
 *
 * <p>A listener that had to stop asks again ten times a second, so there is neither a busy loop nor a lost wake-up.
 */
final class Descriptors {
    /** How long a listener waits before it asks again. */
    static final long RETRY_NANOS = 100_000_000L;

    /** For the process itself: control sockets, listening sockets in hand-over, jars. */
    private static final int RESERVE = 48;

    private static final int EMFILE = 24;
    private static final int ENFILE = 23;
    private static final int ENOBUFS = 105;
    private static final int ENOMEM = 12;
    private static final Path OPEN = Path.of("/proc/self/fd");

    private final int limit;
    private final AtomicInteger open = new AtomicInteger();
    private final BiConsumer<Boolean, String> pressure;
    private final Set<Object> waiting = new HashSet<>();

    /**
     * @param limit how many descriptors there may be beyond those open now
     * @param pressure told when the first listener stops and when the last one has gone on
     */
    Descriptors(int limit, BiConsumer<Boolean, String> pressure) {
        this.limit = limit;
        this.pressure = pressure;
    }

    /** What this process may open besides what it has and needs itself. */
    static int available() {
        try (var files = Files.list(OPEN)) {
            long all = Processes.fileLimit().soft();
            return Math.clamp(all - files.count() - RESERVE, 2, Integer.MAX_VALUE / 2);
        } catch (IOException e) {
            // Without /proc the error of accept itself still stops a listener in time.
            return Integer.MAX_VALUE / 2;
        }
    }

    /** Whether a listener that stopped may go on: there is room, and the system opens files again. */
    boolean recovered() {
        if (!room()) {
            return false;
        }
        try {
            FileDescriptor.from("/dev/null").close();
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    void opened() {
        open.incrementAndGet();
    }

    void closed() {
        open.decrementAndGet();
    }

    int open() {
        return open.get();
    }

    int limit() {
        return limit;
    }

    /** Whether a connection may be accepted: it needs two. */
    boolean room() {
        return open.get() + 2 <= limit;
    }

    /** Whether an error says that the process or the system is out of descriptors or of memory for sockets. */
    static boolean isExhaustion(Throwable error) {
        for (Throwable t = error; t != null; t = t.getCause()) {
            if (t instanceof NativeIoException e) {
                int errno = -e.expectedErr();
                return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
            }
        }
        return false;
    }

    /** A socket was refused by the system. */
    void refused(Throwable error) {
        if (!isExhaustion(error)) {
            throw new IllegalStateException("socket: " + error.getMessage(), error);
        }
    }

    /** The listener has stopped accepting for want of descriptors. */
    synchronized void stopped(Object listener) {
        boolean first = waiting.isEmpty();
        if (waiting.add(listener) && first) {
            pressure.accept(
                    true,
                    "out of file descriptors (" + open.get() + " sockets open, limit " + limit
                            + "): new connections wait in the listen queue; raise LimitNOFILE or ulimit -n");
        }
    }

    /** It accepts again, or is gone. */
    synchronized void resumed(Object listener) {
        if (waiting.remove(listener) && waiting.isEmpty()) {
            pressure.accept(false, "file descriptors are free again");
        }
    }

    /** The listeners that wait; for tests. */
    synchronized List<Object> waiting() {
        return List.copyOf(waiting);
    }
}

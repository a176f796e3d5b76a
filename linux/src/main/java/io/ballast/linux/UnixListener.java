package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;

/**
 * Listens for {@link MessageChannel}s on a unix stream socket that only its owner (and root) may connect to: the file has
 * mode 0600 before the first connection is possible.
 *
 * <p>A socket file left by a process that died is replaced; one that somebody listens on is not. Starters of several
 * processes exclude each other by a lock on the directory, since looking and replacing are two steps.
 */
public final class UnixListener implements AutoCloseable {
    private static final int BACKLOG = 128;

    private final Path path;
    private final Object fileKey;
    private final Pollable pollable;

    private UnixListener(Path path, Object fileKey, int fd) {
        this.path = path;
        this.fileKey = fileKey;
        this.pollable = new Pollable(fd, path::toString);
    }

    /**
     * Binds the path and listens. The directory must exist.
     *
     * @throws LinuxException {@code bind /run/ballast/control: EADDRINUSE} when another process listens there
     */
    public static UnixListener open(Path path) throws IOException {
        Path directory = Objects.requireNonNullElse(path.toAbsolutePath().getParent(), Path.of("/"));
        try (Kernel kernel = Kernel.open()) {
            int lock = LinuxException.check(
                    kernel.open(directory.toString(), Constants.O_CLOEXEC), "open", directory.toString());
            try {
                LinuxException.check(kernel.flock(lock, Constants.LOCK_EX), "flock", directory.toString());
                return bind(kernel, path);
            } finally {
                kernel.close(lock);
            }
        }
    }

    private static UnixListener bind(Kernel kernel, Path path) throws IOException {
        String name = path.toString();
        MemorySegment address = SocketAddresses.encodeUnix(kernel, name);
        int type = Constants.SOCK_STREAM | Constants.SOCK_CLOEXEC | Constants.SOCK_NONBLOCK;
        int fd = LinuxException.check(kernel.socket(Constants.AF_UNIX, type, 0), "socket", "unix");
        boolean bound = false;
        try {
            int result = kernel.bind(fd, address);
            if (result == -Errno.EADDRINUSE.number()) {
                refuseUnlessStale(kernel, path, address);
                Files.deleteIfExists(path);
                result = kernel.bind(fd, address);
            }
            LinuxException.check(result, "bind", name);
            bound = true;
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
            LinuxException.check(kernel.listen(fd, BACKLOG), "listen", name);
            return new UnixListener(path, fileKey(path), fd);
        } catch (IOException | RuntimeException e) {
            kernel.close(fd);
            if (bound) {
                Files.deleteIfExists(path);
            }
            throw e;
        }
    }

    private static void refuseUnlessStale(Kernel kernel, Path path, MemorySegment address) throws IOException {
        int type = Constants.SOCK_STREAM | Constants.SOCK_CLOEXEC | Constants.SOCK_NONBLOCK;
        int probe = LinuxException.check(kernel.socket(Constants.AF_UNIX, type, 0), "socket", "unix");
        try {
            int result = kernel.connect(probe, address);
            // Refused is what the kernel says of a socket file without a listener, and also of a plain file, which is
            // nothing of ours to delete.
            boolean socketFile = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                    .isOther();
            if (!socketFile) {
                throw new LinuxException(
                        Errno.EADDRINUSE.number(), "bind", path.toString(), "the path is a file that is not a socket");
            }
            if (result != -Errno.ECONNREFUSED.number()) {
                throw new LinuxException(
                        Errno.EADDRINUSE.number(), "bind", path.toString(), "another process listens there");
            }
        } finally {
            kernel.close(probe);
        }
    }

    private static Object fileKey(Path path) throws IOException {
        return Files.getAttribute(path, "unix:ino", LinkOption.NOFOLLOW_LINKS);
    }

    /** Takes over a listening socket that another process opened and handed here. */
    public static UnixListener adopt(Descriptor listening, Path path) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(
                    kernel.fcntl(listening.fd(), Constants.F_SETFL, Constants.O_NONBLOCK),
                    "fcntl F_SETFL O_NONBLOCK",
                    path.toString());
        }
        Object key = fileKey(path);
        return new UnixListener(path, key, listening.release());
    }

    /** A copy of the listening socket, to hand to another process. */
    public Descriptor duplicate() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                int copy = LinuxException.check(
                        kernel.fcntl(fd, Constants.F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC", path.toString());
                return Descriptor.own(copy, path.toString());
            } finally {
                pollable.leave();
            }
        }
    }

    /** Waits for the next connection; {@link SocketException} when another thread closes the listener. */
    public MessageChannel accept() throws IOException {
        return accept(MessageChannel.NO_DEADLINE);
    }

    /** Waits for the next connection until a deadline; {@link SocketTimeoutException} when it passes. */
    public MessageChannel accept(long deadlineNanos) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                while (true) {
                    int accepted = kernel.accept4(fd, Constants.SOCK_CLOEXEC | Constants.SOCK_NONBLOCK);
                    if (accepted == -Errno.EAGAIN.number()) {
                        if (!pollable.await(false, deadlineNanos)) {
                            throw new SocketTimeoutException("accept " + path + ": timed out");
                        }
                    } else if (accepted != -Errno.EINTR.number() && accepted != -Errno.ECONNABORTED.number()) {
                        LinuxException.check(accepted, "accept", path.toString());
                        return MessageChannel.of(
                                Descriptor.own(accepted, path.toString()), MessageChannel.DEFAULT_MAX_PAYLOAD);
                    }
                }
            } finally {
                pollable.leave();
            }
        }
    }

    /** The path that was bound. */
    public Path path() {
        return path;
    }

    /** Stops listening here but leaves the path, for a process that has taken the socket over. */
    public void closeKeepingPath() {
        pollable.close();
    }

    /** Stops listening and deletes the path, unless somebody else has bound it anew. */
    @Override
    public void close() {
        if (!pollable.isOpen()) {
            return;
        }
        try {
            if (fileKey(path).equals(fileKey)) {
                Files.deleteIfExists(path);
            }
        } catch (NoSuchFileException e) {
            // Already gone, as it should be.
        } catch (IOException e) {
            // What stays behind is a stale socket, which the next opener replaces.
        } finally {
            pollable.close();
        }
    }
}

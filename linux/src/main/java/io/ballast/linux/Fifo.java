package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * A named pipe (fifo(7)) that another program reads lines from, if it likes. Writing never waits: while nobody reads,
 * lines stay in the pipe for whoever comes, until there is no room for more.
 *
 * <p>Thread-safe: a line is written whole or not at all, and never in two parts.
 */
public final class Fifo implements AutoCloseable {
    /** Up to so many bytes the kernel writes in one piece (PIPE_BUF). */
    private static final int LONGEST = 4096;

    private static final int MODE = 0600;

    private final Descriptor descriptor;

    private Fifo(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** Opens the pipe, which is made for this user alone where it is not there yet, and stays when this is closed. */
    public static Fifo open(Path path) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int made = kernel.mknod(path.toString(), Constants.S_IFIFO | MODE);
            if (made != -Errno.EEXIST.number()) {
                LinuxException.check(made, "mkfifo", path.toString());
            }
            if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS)
                    .isOther()) {
                throw new IOException(path + " is not a named pipe: remove it, or name another path");
            }
            // Also for reading: so opening neither waits nor fails while nobody else reads.
            int flags = Constants.O_RDWR | Constants.O_NONBLOCK | Constants.O_CLOEXEC;
            int fd = LinuxException.check(kernel.open(path.toString(), flags), "open", path.toString());
            return new Fifo(Descriptor.own(fd, path.toString()));
        }
    }

    /**
     * Writes a line.
     *
     * @param line without its end
     * @return false where there is no room: nobody has read for long
     */
    public boolean write(String line) throws IOException {
        byte[] bytes = (line + "\n").getBytes(StandardCharsets.UTF_8);
        if (bytes.length > LONGEST) {
            throw new IllegalArgumentException("a line of " + bytes.length + " bytes");
        }
        try (Kernel kernel = Kernel.open()) {
            MemorySegment text = kernel.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            int result;
            do {
                result = kernel.write(descriptor.fd(), text);
            } while (result == -Errno.EINTR.number());
            if (result == -Errno.EAGAIN.number()) {
                return false;
            }
            LinuxException.check(result, "write", descriptor.label());
            return true;
        }
    }

    @Override
    public void close() {
        descriptor.close();
    }
}

package io.ballast.linux;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A file descriptor with one owner, who closes it or gives it away. It says nothing about what the descriptor is; sockets
 * for reading and writing are {@link NativeSocket}.
 *
 * <p>Closing is idempotent and safe from any thread. Using the number that {@link #fd()} gave while another thread
 * closes is not: the kernel may hand the same number to the next file. An owner therefore keeps a descriptor to itself.
 */
public final class Descriptor implements AutoCloseable {
    private static final int GONE = -1;

    private final AtomicInteger fd;
    private final String label;

    private Descriptor(int fd, String label) {
        this.fd = new AtomicInteger(fd);
        this.label = label;
    }

    /**
     * Takes ownership of a number.
     *
     * @param label what it is, for messages: {@code 192.0.2.1:80/tcp}
     */
    public static Descriptor own(int fd, String label) {
        if (fd < 0) {
            throw new IllegalArgumentException("not a file descriptor: " + fd);
        }
        return new Descriptor(fd, label);
    }

    /** The number, still owned here. Throws {@link IllegalStateException} once closed or released. */
    public int fd() {
        int number = fd.get();
        if (number == GONE) {
            throw new IllegalStateException(label + ": descriptor already closed or released");
        }
        return number;
    }

    /** True until closed or released. */
    public boolean isOpen() {
        return fd.get() != GONE;
    }

    /** What it is, for messages. */
    public String label() {
        return label;
    }

    /** Gives the number away: the caller now has to close it. */
    public int release() {
        int number = fd.getAndSet(GONE);
        if (number == GONE) {
            throw new IllegalStateException(label + ": descriptor already closed or released");
        }
        return number;
    }

    /** A second descriptor of the same open file, closed on exec, owned separately. */
    public Descriptor duplicate() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int copy = kernel.duplicate(fd());
            return own(LinuxException.check(copy, "fcntl F_DUPFD_CLOEXEC", label), label);
        }
    }

    /** Closes once; later calls do nothing. An error of close(2) is not reported, since the number is free anyway. */
    @Override
    public void close() {
        int number = fd.getAndSet(GONE);
        if (number != GONE) {
            closeNumber(number);
        }
    }

    /** Closes a bare number that nobody owns. */
    static void closeNumber(int number) {
        try (Kernel kernel = Kernel.open()) {
            kernel.close(number);
        }
    }

    @Override
    public String toString() {
        return label + " (fd " + fd.get() + ")";
    }
}

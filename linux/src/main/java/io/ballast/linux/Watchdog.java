package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A watchdog of the machine (Documentation/watchdog/watchdog-api.rst): who opens it has to write to it in time again and
 * again, or the machine is reset. It goes on to count when the process that opened it has died.
 */
public final class Watchdog {
    /** WDIOC_SETTIMEOUT: _IOWR('W', 6, int). */
    private static final long SET_TIMEOUT = 0xc004_5706L;

    private static final byte ALIVE = 0;

    /** Before it is closed, so that the machine is not reset for that (magic close). */
    private static final byte END = 'V';

    private final Descriptor device;
    private final int seconds;

    private Watchdog(Descriptor device, int seconds) {
        this.device = device;
        this.seconds = seconds;
    }

    /**
     * Opens a watchdog, which counts from then on.
     *
     * @param seconds after which the machine is reset
     * @throws LinuxException when it cannot be opened: EBUSY where another program has it, EACCES, ENOENT; it was closed again
     *     where it does not take the time
     */
    public static Watchdog open(String path, int seconds) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = LinuxException.check(
                    kernel.open(path, Constants.O_RDWR | Constants.O_NONBLOCK | Constants.O_CLOEXEC), "open", path);
            Descriptor device = Descriptor.own(fd, path);
            Watchdog opened = new Watchdog(device, seconds);
            MemorySegment time = kernel.allocateFrom(ValueLayout.JAVA_INT, seconds);
            int result = kernel.ioctl(fd, SET_TIMEOUT, time);
            if (result == -Errno.ENOTTY.number()) {
                device.close(); // a file of somebody's, into which nothing may be written
                throw new IOException(path + " is no watchdog: write the device of one, such as /dev/watchdog");
            }
            int granted = time.get(ValueLayout.JAVA_INT, 0);
            if (result < 0 || granted < seconds) {
                opened.end();
                LinuxException.check(result, "WDIOC_SETTIMEOUT " + seconds + " s", path);
                throw new IOException(path + " resets the machine after " + granted + " s, and not " + seconds
                        + ": write that as its timeout");
            }
            return new Watchdog(device, granted);
        }
    }

    /** After how many seconds the machine is reset. */
    public int seconds() {
        return seconds;
    }

    /** Everything is well, for now. */
    public void feed() throws IOException {
        write(ALIVE);
    }

    private void write(byte what) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment one = kernel.allocateFrom(ValueLayout.JAVA_BYTE, what);
            int result;
            do {
                result = kernel.write(device.fd(), one);
            } while (result == -Errno.EINTR.number());
            LinuxException.check(result, "write", device.label());
        }
    }

    /** Nobody is to be reset: the watchdog counts no more, if it can be stopped at all (its module's nowayout). */
    public void end() throws IOException {
        try {
            write(END);
        } finally {
            device.close();
        }
    }
}

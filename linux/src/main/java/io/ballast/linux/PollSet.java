package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * What a platform thread of its own waits for in poll(2): that something can be read, that a time has come, or that
 * another thread calls ({@link #wake}). Only {@link #wake} is for other threads.
 */
public final class PollSet implements AutoCloseable {
    private static final int POLLFD = 8;
    private static final int EVENTFD_NONBLOCK = 0x800;
    private static final int EVENTFD_CLOEXEC = 0x80000;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment counter = arena.allocate(8, 8);
    private final MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_LONG, 1);
    private final Descriptor wake;
    private List<Descriptor> readable = List.of();
    private MemorySegment descriptors;

    private PollSet(Descriptor wake) {
        this.wake = wake;
        this.descriptors = arena.allocate(POLLFD, 4);
        watch(List.of());
    }

    /** Waits for calls only, so far. */
    public static PollSet open() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = kernel.eventfd(EVENTFD_NONBLOCK | EVENTFD_CLOEXEC);
            return new PollSet(Descriptor.own(LinuxException.check(fd, "eventfd2", ""), "calls"));
        }
    }

    /** Waits for these from now on, in place of others. */
    public void watch(List<Descriptor> others) {
        readable = new ArrayList<>(others);
        descriptors = Arena.ofAuto().allocate((long) POLLFD * (others.size() + 1), 4);
        for (int i = 0; i <= others.size(); i++) {
            int fd = i == 0 ? wake.fd() : others.get(i - 1).fd();
            descriptors.set(ValueLayout.JAVA_INT, (long) i * POLLFD, fd);
            descriptors.set(ValueLayout.JAVA_SHORT, (long) i * POLLFD + 4, (short) Constants.POLLIN);
        }
    }

    /**
     * Waits until one of them is to be read or is in error, or somebody calls, or the time has come. What the kernel does
     * on behalf of this thread meanwhile, as with each of its {@link TimedSends}, does not end it.
     *
     * @param until by {@link System#nanoTime}
     */
    public void await(long until) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int ready;
            long left;
            do {
                left = until - System.nanoTime();
                ready = kernel.pollNanos(descriptors, readable.size() + 1, Math.max(0, left));
            } while (ready == -Errno.EINTR.number() && left > 0);
            if (ready != -Errno.EINTR.number()) {
                LinuxException.check(ready, "ppoll", readable.size() + " descriptors");
                if (ready > 0 && descriptors.get(ValueLayout.JAVA_SHORT, 6) != 0) {
                    kernel.read(wake.fd(), counter);
                }
            }
        }
    }

    /** Ends {@link #await}, or the next one; from any thread. */
    public void wake() {
        try (Kernel kernel = Kernel.open()) {
            kernel.write(wake.fd(), one);
        }
    }

    @Override
    public void close() {
        wake.close();
        arena.close();
    }
}

package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The one thread that blocks in epoll_wait so that no other has to: it learns which descriptors became ready and wakes
 * the threads that wait for them. Interest is one-shot, so an event that nobody waits for any more costs one wake-up and
 * no more.
 *
 * <p>The kernel gives back what was registered with an event: here the descriptor's number and the registration's
 * serial. Numbers are reused as soon as they are closed and an event may still be on its way from a former life of one,
 * so an event is delivered only where both match.
 */
final class Poller {
    private static final boolean PACKED = System.getProperty("os.arch", "").matches("amd64|x86_64");
    /** {@code struct epoll_event} is packed on x86_64 only (sys/epoll.h, __EPOLL_PACKED). */
    private static final int EVENT_SIZE = PACKED ? 12 : 16;

    private static final int DATA = PACKED ? 4 : 8;
    private static final int BATCH = 256;

    private final int epoll;
    private final ConcurrentHashMap<Integer, Pollable> registered = new ConcurrentHashMap<>();
    private final AtomicInteger serials = new AtomicInteger();

    private static final class Holder {
        static final Poller INSTANCE = new Poller();
    }

    /** The process's poller, started on first use. */
    static Poller instance() {
        return Holder.INSTANCE;
    }

    private Poller() {
        try (Kernel kernel = Kernel.open()) {
            epoll = LinuxException.check(kernel.epollCreate1(Constants.EPOLL_CLOEXEC), "epoll_create1", "");
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        Thread.ofPlatform().name("poller").daemon().start(this::run);
    }

    int nextSerial() {
        return serials.incrementAndGet();
    }

    /** Asks for one event; called by the pollable under its lock. */
    void arm(Pollable pollable, int fd, int serial, int interest, boolean first) throws LinuxException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment event = kernel.allocate(EVENT_SIZE, 8);
            event.set(ValueLayout.JAVA_INT, 0, interest | Constants.EPOLLONESHOT);
            event.set(ValueLayout.JAVA_INT_UNALIGNED, DATA, fd);
            event.set(ValueLayout.JAVA_INT_UNALIGNED, DATA + 4, serial);
            if (first) {
                registered.put(fd, pollable);
            }
            int operation = first ? Constants.EPOLL_CTL_ADD : Constants.EPOLL_CTL_MOD;
            int result = kernel.epollCtl(epoll, operation, fd, event);
            if (result < 0 && first) {
                registered.remove(fd, pollable);
            }
            LinuxException.check(result, "epoll_ctl", "fd " + fd);
        }
    }

    /**
     * Forgets a descriptor before it is closed. Needed although closing removes it from the set: a copy of it in
     * another process keeps the registration alive.
     */
    void forget(Pollable pollable, int fd) {
        registered.remove(fd, pollable);
        try (Kernel kernel = Kernel.open()) {
            kernel.epollCtl(epoll, Constants.EPOLL_CTL_DEL, fd, kernel.allocate(EVENT_SIZE, 8));
        }
    }

    private void run() {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment events = kernel.allocate((long) EVENT_SIZE * BATCH, 8);
            while (true) {
                int count = kernel.epollWait(epoll, events, BATCH, -1);
                if (count == -Errno.EINTR.number()) {
                    continue;
                }
                if (count < 0) {
                    throw new IllegalStateException(new LinuxException(-count, "epoll_wait", ""));
                }
                for (int i = 0; i < count; i++) {
                    long offset = (long) i * EVENT_SIZE;
                    int ready = events.get(ValueLayout.JAVA_INT_UNALIGNED, offset);
                    int fd = events.get(ValueLayout.JAVA_INT_UNALIGNED, offset + DATA);
                    int serial = events.get(ValueLayout.JAVA_INT_UNALIGNED, offset + DATA + 4);
                    Pollable pollable = registered.get(fd);
                    if (pollable != null && pollable.serial() == serial) {
                        pollable.onReady(ready);
                    }
                }
            }
        }
    }
}

package io.ballast.linux;

import java.io.InterruptedIOException;
import java.net.SocketException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A non-blocking descriptor that threads share: they try a call, wait here when it would block, and try again. Waiting
 * parks the thread, so a virtual thread costs its carrier nothing; no native call made here ever blocks.
 *
 * <p>Closing and using must not meet: a number that is closed while another thread is about to use it may belong to the
 * next socket by then. Every use is therefore bracketed by {@link #enter()} and {@link #leave()}, {@link #close()} only
 * marks the descriptor and wakes the waiting, and whoever leaves last closes it. One thread may wait in each direction.
 */
final class Pollable {
    /** A deadline that never comes, for parameters that take {@link System#nanoTime()} values. */
    static final long NEVER = Long.MAX_VALUE;

    private static final int CLOSED = 1 << 30;

    private static final class Waiter {
        final Thread thread = Thread.currentThread();
        volatile boolean ready;
    }

    private final int fd;
    private final int serial;
    private final Supplier<String> label;
    /** Threads inside, plus {@link #CLOSED}. */
    private final AtomicInteger users = new AtomicInteger();

    // Guarded by this.
    private @Nullable Waiter reader;
    private @Nullable Waiter writer;
    private boolean registered;

    /**
     * Takes ownership of a non-blocking descriptor.
     *
     * @param label what it is, for messages
     */
    Pollable(int fd, Supplier<String> label) {
        this.fd = fd;
        this.label = label;
        this.serial = Poller.instance().nextSerial();
    }

    int serial() {
        return serial;
    }

    /** Begins a use and gives the number; pair it with {@link #leave()} in a finally block. */
    int enter() throws SocketException {
        int seen;
        do {
            seen = users.get();
            if ((seen & CLOSED) != 0) {
                throw closed();
            }
        } while (!users.compareAndSet(seen, seen + 1));
        return fd;
    }

    private SocketException closed() {
        return new SocketException(label.get() + ": closed");
    }

    void leave() {
        if (users.decrementAndGet() == CLOSED) {
            release();
        }
    }

    boolean isOpen() {
        return (users.get() & CLOSED) == 0;
    }

    /** Marks it closed and wakes who waits; the number is freed when the last user has left. Idempotent. */
    void close() {
        int seen;
        do {
            seen = users.get();
            if ((seen & CLOSED) != 0) {
                return;
            }
        } while (!users.compareAndSet(seen, seen | CLOSED));
        if (seen == 0) {
            release();
        } else {
            onReady(Constants.EPOLLHUP);
        }
    }

    private void release() {
        boolean known;
        synchronized (this) {
            known = registered;
        }
        if (known) {
            Poller.instance().forget(this, fd);
        }
        Descriptor.closeNumber(fd);
    }

    /**
     * Waits, inside {@link #enter()} and {@link #leave()}, until the descriptor may be readable (or writable), or is in
     * error, or closed by another thread.
     *
     * @param deadline in {@link System#nanoTime()}'s terms, or {@link #NEVER}
     * @return false when the deadline passed
     * @throws InterruptedIOException when the thread is interrupted; its interrupt status stays set
     * @throws SocketException when another thread closed the descriptor
     */
    boolean await(boolean write, long deadline) throws SocketException, InterruptedIOException, LinuxException {
        Waiter waiter = new Waiter();
        synchronized (this) {
            if ((write ? writer : reader) != null) {
                throw new IllegalStateException(
                        label.get() + ": two threads " + (write ? "write" : "read") + " at the same time");
            }
            if (write) {
                writer = waiter;
            } else {
                reader = waiter;
            }
            try {
                arm();
            } catch (LinuxException e) {
                clear(waiter);
                throw e;
            }
        }
        try {
            while (!waiter.ready && isOpen()) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new InterruptedIOException(label.get() + ": interrupted while waiting");
                }
                if (deadline == NEVER) {
                    LockSupport.park(this);
                } else {
                    long left = deadline - System.nanoTime();
                    if (left <= 0) {
                        return false;
                    }
                    LockSupport.parkNanos(this, left);
                }
            }
        } finally {
            synchronized (this) {
                clear(waiter);
            }
        }
        if (!isOpen()) {
            throw closed();
        }
        return true;
    }

    /** From the poller, or from close: wakes those that the event concerns. */
    synchronized void onReady(int ready) {
        boolean failed = (ready & (Constants.EPOLLERR | Constants.EPOLLHUP)) != 0;
        if (reader != null && (failed || (ready & (Constants.EPOLLIN | Constants.EPOLLRDHUP)) != 0)) {
            reader.ready = true;
            LockSupport.unpark(reader.thread);
        }
        if (writer != null && (failed || (ready & Constants.EPOLLOUT) != 0)) {
            writer.ready = true;
            LockSupport.unpark(writer.thread);
        }
        if (isOpen()) {
            try {
                arm();
            } catch (LinuxException e) {
                // Only a defect can make a change of a registered descriptor fail; the waiting thread will meet it too.
                wakeAll();
            }
        }
    }

    private void wakeAll() {
        for (Waiter waiter : new Waiter[] {reader, writer}) {
            if (waiter != null) {
                waiter.ready = true;
                LockSupport.unpark(waiter.thread);
            }
        }
    }

    /** Registers what is still waited for; the kernel reports at once what is ready already. */
    private void arm() throws LinuxException {
        int interest = (reader != null && !reader.ready ? Constants.EPOLLIN | Constants.EPOLLRDHUP : 0)
                | (writer != null && !writer.ready ? Constants.EPOLLOUT : 0);
        if (interest != 0) {
            Poller.instance().arm(this, fd, serial, interest, !registered);
            registered = true;
        }
    }

    private void clear(Waiter waiter) {
        if (reader == waiter) {
            reader = null;
        }
        if (writer == waiter) {
            writer = null;
        }
    }
}

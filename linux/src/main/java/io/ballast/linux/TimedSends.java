package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayDeque;

/**
 * Datagrams that the kernel sends at their times without a thread of this process getting to run Java: a stop for the
 * garbage collector does not make them late. What is dead sends nothing: with the process, or the thread that queued
 * them, what is queued goes as well; and a process that is stopped by a signal sends nothing while it is.
 *
 * <p>Each is a pair of linked requests of io_uring(7): a time-out, and a send that begins when that is over. The kernel
 * keeps the timer, and where the thread that asked for it is blocked or at a safepoint, it borrows it for the send. So the
 * look-ahead, which is how much is queued, is how long the process may stand still without being missed; but on a busy
 * machine a send is as late as that thread is, which then wants a real-time priority.
 *
 * <p>For one platform thread, which has to live as long as what it has queued. Linux 5.19 or newer.
 */
public final class TimedSends implements AutoCloseable {
    private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();

    // linux/io_uring.h
    private static final int PARAMS = 120;
    private static final int SQ_OFFSETS = 40;
    private static final int CQ_OFFSETS = 80;
    private static final int SQE = 64;
    private static final int CQE = 16;
    private static final long OFFSET_SQ_RING = 0;
    private static final long OFFSET_CQ_RING = 0x8000000;
    private static final long OFFSET_SQES = 0x10000000;
    private static final byte OP_TIMEOUT = 11;
    private static final byte OP_ASYNC_CANCEL = 14;
    private static final byte OP_SEND = 26;
    private static final byte LINK = 1 << 2;
    private static final int TIMEOUT_ABSOLUTE = 1;
    private static final int TIMEOUT_IS_SUCCESS = 1 << 5;
    private static final int CANCEL_ALL = 1;
    private static final int CANCEL_ANY = 1 << 2;
    private static final int GET_EVENTS = 1;
    private static final int TIMESPEC = 16;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED_POPULATE = 0x8001;

    private static final long OF_CANCEL = -1;
    private static final int NANOS_PER_SECOND = 1_000_000_000;

    private final Descriptor ring;
    private final Descriptor socket;
    private final int longest;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private final MemorySegment sq;
    private final MemorySegment cq;
    private final MemorySegment requests;
    private final int sqTail;
    private final int sqArray;
    private final int sqMask;
    private final int cqHead;
    private final int cqTail;
    private final int cqMask;
    private final int cqes;
    private final ArrayDeque<Integer> free = new ArrayDeque<>();
    private final int[] open;
    private int queued;
    private long sent;
    private long failed;
    private int lastError;

    private TimedSends(Descriptor ring, MemorySegment params, Descriptor socket, int room, int longest)
            throws IOException {
        this.ring = ring;
        this.socket = socket;
        this.longest = longest;
        this.open = new int[room];
        this.memory = arena.allocate((long) room * slot(), 8);
        int sqEntries = params.get(ValueLayout.JAVA_INT, 0);
        int cqEntries = params.get(ValueLayout.JAVA_INT, 4);
        sqTail = params.get(ValueLayout.JAVA_INT, SQ_OFFSETS + 4);
        sqArray = params.get(ValueLayout.JAVA_INT, SQ_OFFSETS + 24);
        cqHead = params.get(ValueLayout.JAVA_INT, CQ_OFFSETS);
        cqTail = params.get(ValueLayout.JAVA_INT, CQ_OFFSETS + 4);
        cqes = params.get(ValueLayout.JAVA_INT, CQ_OFFSETS + 20);
        sqMask = sqEntries - 1;
        cqMask = cqEntries - 1;
        sq = map(sqArray + 4L * sqEntries, OFFSET_SQ_RING);
        cq = map(cqes + (long) CQE * cqEntries, OFFSET_CQ_RING);
        requests = map((long) SQE * sqEntries, OFFSET_SQES);
        for (int slot = 0; slot < room; slot++) {
            free.add(slot);
        }
    }

    /**
     * Opens a queue.
     *
     * @param socket that needs no address to send: connected, or of one interface; stays the caller's and open
     * @param room how many datagrams can be queued
     * @param longest bytes of a datagram
     * @throws LinuxException where the kernel has or allows no io_uring
     */
    public static TimedSends open(Descriptor socket, int room, int longest) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment params = kernel.allocate(PARAMS, 8);
            int fd = kernel.ioUringSetup(Integer.highestOneBit(2 * room + 1) * 2, params);
            if (fd < 0) {
                throw new LinuxException(
                        -fd,
                        "io_uring_setup",
                        socket.label(),
                        "the kernel has to have io_uring, and kernel.io_uring_disabled must not forbid it");
            }
            Descriptor ring = Descriptor.own(fd, "io_uring of " + socket.label());
            try {
                return new TimedSends(ring, params, socket, room, longest);
            } catch (IOException | RuntimeException e) {
                ring.close();
                throw e;
            }
        }
    }

    private MemorySegment map(long length, long offset) throws LinuxException {
        try (Kernel kernel = Kernel.open()) {
            long address = kernel.mmap(length, PROT_READ_WRITE, MAP_SHARED_POPULATE, ring.fd(), offset);
            if (address < 0) {
                throw new LinuxException((int) -address, "mmap", ring.label());
            }
            return MemorySegment.ofAddress(address).reinterpret(length, arena, TimedSends::unmap);
        }
    }

    private static void unmap(MemorySegment mapping) {
        try (Kernel kernel = Kernel.open()) {
            kernel.munmap(mapping);
        }
    }

    private long slot() {
        return TIMESPEC + (longest + 7L) / 8 * 8;
    }

    /**
     * Queues a datagram; {@link #flush} hands it to the kernel.
     *
     * @param at by {@link System#nanoTime}; a time that is over means at once
     * @throws IllegalStateException there is no room, or it is too long
     */
    public void add(long at, byte[] datagram) {
        if (datagram.length > longest) {
            throw new IllegalStateException(datagram.length + " bytes do not fit into " + longest);
        }
        reap();
        Integer number = free.poll();
        if (number == null) {
            throw new IllegalStateException(open.length + " datagrams are queued already");
        }
        long place = number * slot();
        long time = Math.max(at, 1);
        memory.set(ValueLayout.JAVA_LONG, place, time / NANOS_PER_SECOND);
        memory.set(ValueLayout.JAVA_LONG, place + 8, time % NANOS_PER_SECOND);
        MemorySegment.copy(datagram, 0, memory, ValueLayout.JAVA_BYTE, place + TIMESPEC, datagram.length);
        open[number] = 2;
        long timespec = memory.address() + place;
        request(OP_TIMEOUT, LINK, -1, timespec, 1, TIMEOUT_ABSOLUTE | TIMEOUT_IS_SUCCESS, 2L * number);
        request(OP_SEND, (byte) 0, socket.fd(), timespec + TIMESPEC, datagram.length, 0, 2L * number + 1);
    }

    /** Hands the kernel what has been queued. */
    public void flush() throws IOException {
        enter(0, 0);
    }

    /** Makes sure that nothing of what was queued is sent any more. When this returns, nothing is. */
    public void cancel() throws IOException {
        if (pending() > 0) {
            request(OP_ASYNC_CANCEL, (byte) 0, -1, 0, 0, CANCEL_ALL | CANCEL_ANY, OF_CANCEL);
            enter(0, 0);
            while (pending() > 0) {
                // Each time-out that is taken back ends its send as well.
                enter(1, GET_EVENTS);
            }
        }
    }

    /** How many are queued, or being sent. */
    public int pending() {
        reap();
        return open.length - free.size();
    }

    /** How many have been sent since it was opened. */
    public long sent() {
        reap();
        return sent;
    }

    /** How many the kernel could not send; {@link #lastError} says why. Those taken back are not among them. */
    public long failed() {
        reap();
        return failed;
    }

    /** Of the last that could not be sent. */
    public Errno lastError() {
        return Errno.of(lastError);
    }

    private void request(byte operation, byte flags, int fd, long address, int length, int more, long data) {
        int tail = (int) WORD.get(sq, (long) sqTail);
        int index = tail & sqMask;
        MemorySegment request = requests.asSlice((long) index * SQE, SQE);
        request.fill((byte) 0);
        request.set(ValueLayout.JAVA_BYTE, 0, operation);
        request.set(ValueLayout.JAVA_BYTE, 1, flags);
        request.set(ValueLayout.JAVA_INT, 4, fd);
        request.set(ValueLayout.JAVA_LONG, 16, address);
        request.set(ValueLayout.JAVA_INT, 24, length);
        request.set(ValueLayout.JAVA_INT, 28, more);
        request.set(ValueLayout.JAVA_LONG, 32, data);
        sq.set(ValueLayout.JAVA_INT, sqArray + 4L * index, index);
        WORD.setRelease(sq, (long) sqTail, tail + 1);
        queued++;
    }

    private void enter(int complete, int flags) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            do {
                int taken = kernel.ioUringEnter(ring.fd(), queued, complete, flags);
                if (taken == -Errno.EINTR.number()) {
                    continue;
                }
                LinuxException.check(taken, "io_uring_enter", ring.label());
                queued -= taken;
            } while (queued > 0);
        }
    }

    /** Reads what is over. */
    private void reap() {
        int head = (int) WORD.get(cq, (long) cqHead);
        int tail = (int) WORD.getAcquire(cq, (long) cqTail);
        for (; head != tail; head++) {
            long at = cqes + (long) (head & cqMask) * CQE;
            over(cq.get(ValueLayout.JAVA_LONG, at), cq.get(ValueLayout.JAVA_INT, at + 8));
        }
        WORD.setRelease(cq, (long) cqHead, head);
    }

    private void over(long data, int result) {
        if (data == OF_CANCEL) {
            return;
        }
        int number = (int) (data / 2);
        if (data % 2 == 1) {
            if (result >= 0) {
                sent++;
            } else if (result != -Errno.ECANCELED.number()) {
                failed++;
                lastError = -result;
            }
        }
        if (--open[number] == 0) {
            free.add(number);
        }
    }

    /** Takes back what is queued. */
    @Override
    public void close() {
        if (ring.isOpen()) {
            // With its descriptor and its mappings the ring goes, and what was queued with it.
            try {
                cancel();
            } catch (IOException e) {
                throw new IllegalStateException("queued datagrams cannot be taken back", e);
            } finally {
                ring.close();
                arena.close();
            }
        }
    }
}

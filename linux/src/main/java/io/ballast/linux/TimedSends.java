package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Datagrams that the kernel sends at their times without a thread of this process getting to run Java: a stop for the
 * garbage collector does not make them late. What is dead sends nothing: with the process, or the thread that queued
 * them, what is queued goes as well; and a process that is stopped by a signal sends nothing while it is. (When it goes
 * on, what has become due meanwhile is sent at once.)
 *
 * <p>Each is a pair of linked requests of io_uring(7): a time-out, and a send that begins when that is over. The kernel
 * keeps the timer, and where the thread that asked for it is blocked or at a safepoint, it borrows it for the send. So the
 * look-ahead, which is how much is queued, is how long the process may stand still without being missed; but on a busy
 * machine a send is as late as that thread is, which then wants a real-time priority ({@link RealTime}).
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
    private static final int SETUP_CQ_SIZE = 1 << 3;
    private static final int TIMEOUT_ABSOLUTE = 1;
    private static final int TIMEOUT_IS_SUCCESS = 1 << 5;
    private static final int CANCEL_ALL = 1;
    private static final int GET_EVENTS = 1;
    private static final int TIMESPEC = 16;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_SHARED_POPULATE = 0x8001;

    /** Requests that are handed over together; more take several calls. */
    private static final int BATCH = 256;

    /** As many as may be over without having been read: two for each that is queued. */
    private static final int COMPLETIONS = 65_536;

    /** What is queued of all streams. */
    private static final int MOST = COMPLETIONS / 2 - BATCH;

    // What a completion is of: a send has its stream's number and its own, a time-out its stream's.
    private static final long OF_CANCEL = -1;
    private static final long OF_TIMEOUT = 1L << 62;
    private static final int STREAM = 32;

    private static final int NANOS_PER_SECOND = 1_000_000_000;

    private final Descriptor ring;
    private final Arena arena = Arena.ofShared();
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
    private final Map<Integer, Stream> streams = new HashMap<>();
    private int nextStream;
    private int room = MOST;
    private int queued;

    private TimedSends(Descriptor ring, MemorySegment params) throws IOException {
        this.ring = ring;
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
    }

    /**
     * Opens a queue.
     *
     * @throws LinuxException where the kernel has or allows no io_uring
     */
    public static TimedSends open() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment params = kernel.allocate(PARAMS, 8);
            params.set(ValueLayout.JAVA_INT, 4, COMPLETIONS);
            params.set(ValueLayout.JAVA_INT, 8, SETUP_CQ_SIZE);
            int fd = kernel.ioUringSetup(BATCH, params);
            if (fd < 0) {
                throw new LinuxException(
                        -fd,
                        "io_uring_setup",
                        "",
                        "the kernel has to have io_uring, and kernel.io_uring_disabled must not forbid it");
            }
            Descriptor ring = Descriptor.own(fd, "io_uring");
            try {
                return new TimedSends(ring, params);
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

    /**
     * A row of datagrams of its own, which can be taken back without the others.
     *
     * @param socket that needs no address to send: connected, or of one interface; stays the caller's, and open as long
     *     as the stream is
     * @param most datagrams that can be queued
     * @param longest bytes of a datagram
     * @throws IllegalStateException with that, more could be queued than the kernel takes
     */
    public Stream stream(Descriptor socket, int most, int longest) {
        if (most > room) {
            throw new IllegalStateException(
                    MOST - room + " datagrams may be queued already, and " + most + " more are too many");
        }
        room -= most;
        Stream stream = new Stream(nextStream++, socket, most, longest);
        streams.put(stream.number, stream);
        return stream;
    }

    /** Datagrams that are sent by one socket. */
    public final class Stream implements AutoCloseable {
        private final int number;
        private final Descriptor socket;
        private final int most;
        private final int longest;
        private final Arena own = Arena.ofShared();
        private final MemorySegment memory;
        private final ArrayDeque<Integer> free = new ArrayDeque<>();
        private long sent;
        private long failed;
        private int lastError;

        private Stream(int number, Descriptor socket, int most, int longest) {
            this.number = number;
            this.socket = socket;
            this.most = most;
            this.longest = longest;
            this.memory = own.allocate(most * slot(), 8);
            for (int slot = 0; slot < most; slot++) {
                free.add(slot);
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
        public void add(long at, byte[] datagram) throws IOException {
            if (datagram.length > longest) {
                throw new IllegalStateException(datagram.length + " bytes do not fit into " + longest);
            }
            reap();
            Integer slot = free.poll();
            if (slot == null) {
                throw new IllegalStateException(most + " datagrams are queued already");
            }
            if (queued + 2 > BATCH) {
                enter(0, 0);
            }
            long place = slot * slot();
            long time = Math.max(at, 1);
            memory.set(ValueLayout.JAVA_LONG, place, time / NANOS_PER_SECOND);
            memory.set(ValueLayout.JAVA_LONG, place + 8, time % NANOS_PER_SECOND);
            MemorySegment.copy(datagram, 0, memory, ValueLayout.JAVA_BYTE, place + TIMESPEC, datagram.length);
            long timespec = memory.address() + place;
            request(OP_TIMEOUT, LINK, -1, timespec, 1, TIMEOUT_ABSOLUTE | TIMEOUT_IS_SUCCESS, OF_TIMEOUT | number);
            long of = (long) number << STREAM | slot;
            // One that waited for room would come late, and could not be taken back.
            int dontWait = Constants.MSG_DONTWAIT;
            request(OP_SEND, (byte) 0, socket.fd(), timespec + TIMESPEC, datagram.length, dontWait, of);
        }

        /** Makes sure that nothing of what was queued is sent any more. When this returns, nothing is. */
        public void cancel() throws IOException {
            if (pending() > 0) {
                // Each time-out that is taken back ends its send as well.
                request(OP_ASYNC_CANCEL, (byte) 0, -1, OF_TIMEOUT | number, 0, CANCEL_ALL, OF_CANCEL);
                enter(0, 0);
                while (pending() > 0) {
                    enter(1, GET_EVENTS);
                }
            }
        }

        /** How many are queued, or being sent. */
        public int pending() {
            reap();
            return most - free.size();
        }

        /** How many have been sent since it was opened. */
        public long sent() {
            reap();
            return sent;
        }

        /**
         * How many the kernel could not send, also because there was no room (EAGAIN); {@link #lastError} says why. Those
         * taken back are not among them.
         */
        public long failed() {
            reap();
            return failed;
        }

        /** Of the last that could not be sent. */
        public Errno lastError() {
            return Errno.of(lastError);
        }

        private void over(int slot, int result) {
            if (result >= 0) {
                sent++;
            } else if (result != -Errno.ECANCELED.number()) {
                failed++;
                lastError = -result;
            }
            free.add(slot);
        }

        /** Takes back what is queued. */
        @Override
        public void close() {
            if (streams.containsKey(number)) {
                try {
                    cancel();
                } catch (IOException e) {
                    throw new IllegalStateException("queued datagrams cannot be taken back", e);
                }
                streams.remove(number);
                room += most;
                own.close();
            }
        }
    }

    /** Hands the kernel what has been queued. */
    public void flush() throws IOException {
        if (queued > 0) {
            enter(0, 0);
        }
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
            long of = cq.get(ValueLayout.JAVA_LONG, at);
            // The time and the bytes are the kernel's until the send is over; nothing hangs on the time-out.
            Stream stream = of < 0 || of >= OF_TIMEOUT ? null : streams.get((int) (of >> STREAM));
            if (stream != null) {
                stream.over((int) of, cq.get(ValueLayout.JAVA_INT, at + 8));
            }
        }
        WORD.setRelease(cq, (long) cqHead, head);
    }

    /** Takes back what is queued. */
    @Override
    public void close() {
        if (ring.isOpen()) {
            try {
                List.copyOf(streams.values()).forEach(Stream::close);
            } finally {
                // With its descriptor and its mappings the ring goes.
                ring.close();
                arena.close();
            }
        }
    }
}

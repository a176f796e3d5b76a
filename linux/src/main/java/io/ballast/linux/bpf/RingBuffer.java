package io.ballast.linux.bpf;

import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.util.function.Consumer;

/**
 * Reads the records that programs write into a ring buffer (kernel 5.8 and newer, Documentation/bpf/ringbuf.rst).
 *
 * <p>The kernel's memory is mapped here: a page with the reader's position, a page with the writers', and the data twice
 * in a row, so that a record is never in two pieces. Both positions only grow. Each record begins with a header of 8
 * bytes: its length, with one bit while it is being written and one when its writer gave it up.
 *
 * <p>One thread reads. The map stays its owner's and has to stay open.
 */
public final class RingBuffer implements AutoCloseable {
    private static final int HEADER_SIZE = 8;
    private static final int BUSY = 1 << 31;
    private static final int DISCARDED = 1 << 30;
    private static final int PROT_READ = 1;
    private static final int PROT_WRITE = 2;
    private static final int POLLIN = 1;

    private static final VarHandle LONG = ValueLayout.JAVA_LONG.varHandle();
    private static final VarHandle INT = ValueLayout.JAVA_INT.varHandle();

    private final BpfMap map;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment consumer;
    private final MemorySegment producer;
    private final MemorySegment data;
    private final long mask;

    /**
     * Maps a ring buffer's memory.
     *
     * @throws IllegalArgumentException when the map is of another kind
     */
    public RingBuffer(BpfMap map) throws IOException {
        MapShape shape = map.info().shape();
        if (shape.type() != MapType.RINGBUF) {
            throw new IllegalArgumentException(map + ": is no ring buffer");
        }
        this.map = map;
        long size = Integer.toUnsignedLong(shape.maxEntries());
        long page = Kernel.pageSize();
        mask = size - 1;
        try {
            consumer = map.map(page, 0, PROT_READ | PROT_WRITE, arena);
            MemorySegment rest = map.map(page + 2 * size, page, PROT_READ, arena);
            producer = rest.asSlice(0, page);
            data = rest.asSlice(page);
        } catch (IOException | RuntimeException e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Hands over the records that are there, in the order in which writers reserved them.
     *
     * @param record takes one record, in the kernel's memory: it is overwritten after the call
     * @return how many
     */
    public int drain(Consumer<MemorySegment> record) {
        int count = 0;
        long position = (long) LONG.getAcquire(consumer, 0L);
        while (position < (long) LONG.getAcquire(producer, 0L)) {
            long at = position & mask;
            int header = (int) INT.getAcquire(data, at);
            if ((header & BUSY) != 0) {
                break;
            }
            int length = header & ~DISCARDED;
            long next = position + ((length + HEADER_SIZE + 7L) & -8);
            try {
                if ((header & DISCARDED) == 0) {
                    record.accept(data.asSlice(at + HEADER_SIZE, length));
                    count++;
                }
            } finally {
                LONG.setRelease(consumer, 0L, next);
            }
            position = next;
        }
        return count;
    }

    /**
     * As {@link #drain}, after waiting for the first record. Blocks in the kernel: for platform threads.
     *
     * @param timeoutMillis how long to wait at most; a signal may end the wait before
     */
    public int poll(int timeoutMillis, Consumer<MemorySegment> record) throws IOException {
        int count = drain(record);
        if (count > 0 || timeoutMillis == 0) {
            return count;
        }
        try (Kernel kernel = Kernel.open()) {
            MemorySegment wait = kernel.allocate(8, 4); // struct pollfd
            wait.set(ValueLayout.JAVA_INT, 0, map.fd());
            wait.set(ValueLayout.JAVA_SHORT, 4, (short) POLLIN);
            int result = kernel.poll(wait, 1, timeoutMillis);
            if (result != -Errno.EINTR.number()) {
                LinuxException.check(result, "poll", map.label());
            }
        }
        return drain(record);
    }

    /** Bytes written and not yet read; how near the buffer is to being full. */
    public long pending() {
        return (long) LONG.getAcquire(producer, 0L) - (long) LONG.getAcquire(consumer, 0L);
    }

    /** Ends the mapping; what was not read stays for the next reader. */
    @Override
    public void close() {
        arena.close();
    }
}

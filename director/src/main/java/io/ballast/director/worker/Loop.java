package io.ballast.director.worker;

import com.google.gson.JsonArray;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.IoEventLoop;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One event loop with what its connections share: the buffer that every read goes into, the time-outs, and the sockets
 * that wait to be closed. Everything here belongs to the loop's thread, except {@link #execute} and {@link #run}.
 */
final class Loop implements Executor {
    /** The size of the shared read buffer, and so the most that one read can leave unsent. */
    static final int SCRATCH = 64 * 1024;

    final int index;
    final ByteBufAllocator buffers;

    /** Where every read goes; what it holds is sent on, or copied away, before the next read of any connection. */
    final ByteBuffer scratch;

    /** The address of {@link #scratch}. */
    final long scratchAddress;

    /** Services owned by this loop that had a connection since their figures were last told in full. */
    final Set<Balancer> active = new LinkedHashSet<>();

    /** Services owned by this loop. */
    final Set<Balancer> owned = new HashSet<>();

    private final IoEventLoop events;
    private final Wheel wheel = new Wheel(System::nanoTime);
    private final Runnable tick = this::tick;
    private final Runnable rest = this::rest;
    private boolean ticking;
    private List<Side> unfinished = new ArrayList<>();
    private List<Closing> graves = new ArrayList<>();
    private boolean restScheduled;

    Loop(int index, IoEventLoop events, ByteBufAllocator buffers) {
        this.index = index;
        this.events = events;
        this.buffers = buffers;
        MemorySegment memory = Arena.global().allocate(SCRATCH, 4096);
        scratch = memory.asByteBuffer();
        scratchAddress = memory.address();
    }

    @Override
    public void execute(Runnable task) {
        events.execute(task);
    }

    /** Runs the task at once where this is the loop's own thread, otherwise there as soon as it can. */
    void run(Runnable task) {
        if (events.inEventLoop()) {
            task.run();
            return;
        }
        try {
            events.execute(task);
        } catch (RejectedExecutionException e) {
            // The worker is being closed, and that loop was the first to go.
            if (!events.isShuttingDown()) {
                throw e;
            }
        }
    }

    /** Runs the task on the loop later. */
    void schedule(Runnable task, long delayNanos) {
        Future<?> _ = events.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
    }

    /** Runs the task on the loop later, unless the result is cancelled before. */
    Future<?> timer(Runnable task, long delayNanos) {
        return events.schedule(task, delayNanos, TimeUnit.NANOSECONDS);
    }

    boolean inLoop() {
        return events.inEventLoop();
    }

    /** Watches a descriptor. */
    IoRegistration register(EpollIoHandle handle, EpollIoOps interest) throws IOException {
        Future<IoRegistration> future = events.register(handle);
        if (!future.isSuccess()) {
            throw new IOException("epoll_ctl of descriptor " + handle.fd().intValue() + " failed", future.cause());
        }
        IoRegistration registration = future.getNow();
        registration.submit(interest);
        return registration;
    }

    /** Nanoseconds of the loop's clock, up to 50 ms old. */
    long now() {
        return wheel.size() == 0 ? wheel.refresh() : wheel.now();
    }

    /** Puts the entry where its due time belongs; again after a change that brings it nearer. */
    void arm(Wheel.Entry entry) {
        if (!ticking) {
            wheel.refresh();
            ticking = true;
            schedule(tick, Wheel.TICK_NANOS);
        }
        wheel.place(entry);
    }

    void disarm(Wheel.Entry entry) {
        wheel.remove(entry);
    }

    /** Resets every connection of this loop. */
    void endAll() {
        for (Wheel.Entry entry : wheel.entries()) {
            if (entry instanceof Exchange exchange) {
                exchange.end(true);
            }
        }
    }

    private void tick() {
        wheel.tick();
        ticking = wheel.size() > 0;
        if (ticking) {
            schedule(tick, Wheel.TICK_NANOS);
        }
    }

    void startHousekeeping(long everyNanos) {
        schedule(
                () -> {
                    long now = System.nanoTime();
                    owned.forEach(service -> service.housekeeping(now));
                    startHousekeeping(everyNanos);
                },
                everyNanos);
    }

    /** Figures of the given services, or of those that had connections since the last time. */
    List<JsonArray> figures(@Nullable List<Balancer> wanted) {
        List<JsonArray> rows = new ArrayList<>();
        for (Balancer service : wanted == null ? active : wanted) {
            rows.add(Wire.statistics(service.statistics()));
        }
        active.removeIf(service -> service.live() == 0);
        return rows;
    }

    /** Goes on with a side that has more to read, once the others have had their turn. */
    void again(Side side) {
        unfinished.add(side);
        scheduleRest();
    }

    /**
     * Closes a socket when the events at hand are through: were its number free at once, a new socket could get it, and
     * the old one's last event.
     */
    void bury(Closing socket) {
        graves.add(socket);
        scheduleRest();
    }

    private void scheduleRest() {
        if (!restScheduled) {
            restScheduled = true;
            events.execute(rest);
        }
    }

    private void rest() {
        restScheduled = false;
        if (!graves.isEmpty()) {
            List<Closing> now = graves;
            graves = new ArrayList<>();
            now.forEach(Closing::closeNow);
        }
        if (!unfinished.isEmpty()) {
            List<Side> now = unfinished;
            unfinished = new ArrayList<>();
            now.forEach(Side::goOn);
        }
    }

    /** A pooled copy of bytes {@code from} to {@code to} of the shared read buffer. */
    ByteBuf copyOfScratch(int from, int to) {
        ByteBuf copy = buffers.directBuffer(to - from, to - from);
        append(copy, from, to);
        return copy;
    }

    /** Appends bytes of the shared read buffer. */
    void append(ByteBuf target, int from, int to) {
        scratch.limit(to).position(from);
        target.writeBytes(scratch);
        scratch.clear();
    }
}

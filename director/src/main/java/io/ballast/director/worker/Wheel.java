package io.ballast.director.worker;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Time-outs of one event loop, coarse and cheap: a ring of slots, each 50 ms wide, with the entries chained through
 * themselves. Nothing is allocated and nothing moves while bytes flow: an entry only remembers when it was last used, and
 * is asked for its due time when its slot comes up; if that has moved on, the entry moves on too. Due times beyond the
 * ring (12.8 s) are met by going round again.
 *
 * <p>The clock is read once per tick, so {@link #now()} is up to a tick old; that is exact enough for time-outs and idle
 * times, and free.
 */
final class Wheel {
    static final long TICK_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final int SLOTS = 256;

    private final Entry[] slots = new Entry[SLOTS];
    private final LongSupplier clock;
    private long now;
    private long cursor;
    private int size;

    Wheel(LongSupplier clock) {
        this.clock = clock;
        for (int i = 0; i < SLOTS; i++) {
            slots[i] = new Head();
        }
        now = clock.getAsLong();
        cursor = now / TICK_NANOS;
    }

    /** The time of the last tick, in nanoseconds of the loop's clock. */
    long now() {
        return now;
    }

    /** How many entries wait. */
    int size() {
        return size;
    }

    /** Reads the clock outside a tick: needed where the wheel had nothing to do for a while. */
    long refresh() {
        now = clock.getAsLong();
        if (size == 0) {
            cursor = now / TICK_NANOS;
        }
        return now;
    }

    /** Sees to it that the entry is asked when it is due, or before; where it is in time already, it stays there. */
    void place(Entry entry) {
        long ticks = Math.ceilDiv(entry.due(), TICK_NANOS) - cursor;
        long tick = cursor + Math.clamp(ticks, 1, SLOTS - 1);
        if (entry.next != null) {
            if (entry.tick <= tick) {
                return;
            }
            remove(entry);
        }
        insert(entry, tick);
    }

    private void insert(Entry entry, long tick) {
        Entry head = slots[(int) (tick & (SLOTS - 1))];
        entry.tick = tick;
        entry.next = head;
        entry.previous = head.previous;
        link(head.previous, entry);
        head.previous = entry;
        size++;
    }

    private static void link(@Nullable Entry previous, Entry next) {
        if (previous != null) {
            previous.next = next;
        }
    }

    /** Takes the entry out; does nothing where it is not in. */
    void remove(Entry entry) {
        Entry next = entry.next;
        if (next != null) {
            next.previous = entry.previous;
            link(entry.previous, next);
            entry.next = null;
            entry.previous = null;
            size--;
        }
    }

    /** All that wait, in no order. */
    List<Entry> entries() {
        List<Entry> all = new ArrayList<>(size);
        for (Entry head : slots) {
            for (Entry entry = head.next; entry != null && !(entry instanceof Head); entry = entry.next) {
                all.add(entry);
            }
        }
        return all;
    }

    /** Reads the clock and expires what is due. */
    void tick() {
        now = clock.getAsLong();
        long until = now / TICK_NANOS;
        if (until - cursor > SLOTS) {
            cursor = until - SLOTS;
        }
        while (cursor < until) {
            cursor++;
            expireSlot(slots[(int) (cursor & (SLOTS - 1))]);
        }
    }

    private void expireSlot(Entry head) {
        // An entry that goes round again is never put into the slot at hand, so this comes to an end.
        for (Entry entry = head.next; entry != null && !(entry instanceof Head); entry = head.next) {
            remove(entry);
            if (entry.due() <= now) {
                entry.expire();
            } else {
                place(entry);
            }
        }
    }

    /** Something that ends when nothing happens. */
    abstract static class Entry {
        private @Nullable Entry next;
        private @Nullable Entry previous;
        private long tick;

        /** When it is due as things are now, in nanoseconds of the loop's clock. */
        abstract long due();

        /** It was due; it is no longer in the wheel. */
        abstract void expire();
    }

    private static final class Head extends Entry {
        Head() {
            super.next = this;
            super.previous = this;
        }

        @Override
        long due() {
            return Long.MAX_VALUE;
        }

        @Override
        void expire() {}
    }
}

package io.ballast.health;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * Delays, such as how late probes start: a histogram with buckets that grow with the value, eight to each doubling, so that every
 * figure read from it is at most 12.5 % too high. Any thread may record.
 */
public final class DelayHistogram {

    private static final int SUB_BITS = 3;
    private static final int SUB = 1 << SUB_BITS;

    private final AtomicLongArray buckets = new AtomicLongArray((Long.SIZE - SUB_BITS) * SUB);
    private final AtomicLong max = new AtomicLong();

    /** Counts one delay; what is below zero counts as none. */
    public void record(long nanos) {
        long value = Math.max(0, nanos);
        buckets.incrementAndGet(bucket(value));
        if (value > max.get()) {
            max.accumulateAndGet(value, Math::max);
        }
    }

    private static int bucket(long value) {
        int shift = Math.max(0, Long.SIZE - Long.numberOfLeadingZeros(value) - SUB_BITS - 1);
        return shift == 0 ? (int) value : shift * SUB + (int) (value >>> shift);
    }

    private static long top(int bucket) {
        int shift = Math.max(0, bucket / SUB - 1);
        long mantissa = bucket - (long) shift * SUB;
        return ((mantissa + 1) << shift) - 1;
    }

    /** How many were recorded. */
    public long count() {
        long count = 0;
        for (int i = 0; i < buckets.length(); i++) {
            count += buckets.get(i);
        }
        return count;
    }

    /** The longest delay, in nanoseconds. */
    public long maxNanos() {
        return max.get();
    }

    /**
     * The delay that a part of all did not exceed.
     *
     * @param part from 0 to 1: 0.99 is the 99th percentile
     * @return in nanoseconds; 0 where nothing was recorded
     */
    public long nanosAt(double part) {
        long rank = (long) Math.ceil(part * count());
        long seen = 0;
        for (int i = 0; i < buckets.length(); i++) {
            seen += buckets.get(i);
            if (seen >= rank && seen > 0) {
                return Math.min(top(i), max.get());
            }
        }
        return max.get();
    }

    /** Forgets everything, for instance what was recorded while warming up. */
    public void reset() {
        for (int i = 0; i < buckets.length(); i++) {
            buckets.set(i, 0);
        }
        max.set(0);
    }
}

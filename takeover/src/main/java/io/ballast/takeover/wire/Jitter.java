package io.ballast.takeover.wire;

import java.util.Arrays;

/** How late things were: a histogram with fixed bounds. */
public final class Jitter {
    /** Upper bounds of the buckets, in microseconds; the last bucket has none. */
    private static final long[] BOUNDS = {
        100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 20_000_000
    };

    private final long[] counts = new long[BOUNDS.length + 1];
    private long worst;
    private long sum;

    void late(long nanos) {
        long micros = Math.abs(nanos) / 1000;
        int bucket = 0;
        while (bucket < BOUNDS.length && micros > BOUNDS[bucket]) {
            bucket++;
        }
        counts[bucket]++;
        sum += Math.abs(nanos);
        worst = Math.max(worst, Math.abs(nanos));
    }

    /** The upper bounds of the buckets but the last, in microseconds. */
    public static long[] bounds() {
        return BOUNDS.clone();
    }

    /** How many there were in each bucket. */
    public long[] counts() {
        return counts.clone();
    }

    /** The latest of all, in nanoseconds. */
    public long worst() {
        return worst;
    }

    /** All of them together, in nanoseconds. */
    public long sum() {
        return sum;
    }

    Jitter copy() {
        Jitter copy = new Jitter();
        System.arraycopy(counts, 0, copy.counts, 0, counts.length);
        copy.worst = worst;
        copy.sum = sum;
        return copy;
    }

    @Override
    public String toString() {
        return Arrays.toString(counts);
    }
}

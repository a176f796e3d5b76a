package io.ballast.lab.load;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.HdrHistogram.Histogram;

/**
 * Counts what becomes of requests. Times are nanoseconds of one monotonic clock and come from the caller; requests end
 * on many threads, so every method is synchronized, and {@code now} must not be older than what was last told by more
 * than the threads' jitter.
 */
final class Tally {
    /** The resolution of the timeline. */
    static final Duration SLICE = Duration.ofMillis(100);

    /** Slower answers count as this slow; time-outs are shorter. */
    private static final long MAX_LATENCY_MICROS = Duration.ofMinutes(2).toNanos() / 1000;

    private final long start;
    private final Instant started;
    private final Histogram latencies = new Histogram(MAX_LATENCY_MICROS, 3);
    private final EnumMap<Outcome, Long> outcomes = new EnumMap<>(Outcome.class);
    private final Map<String, Long> servers = new TreeMap<>();
    private final List<Slice> timeline = new ArrayList<>();
    private long lastOk;
    private long longestGap;
    private Interval interval = new Interval();

    /**
     * @param start when the first request is due
     * @param started the same moment as wall-clock time
     */
    Tally(long start, Instant started) {
        this.start = start;
        this.started = started;
        this.lastOk = start;
    }

    /** A request became due. */
    synchronized void due() {
        interval.sent++;
    }

    /**
     * A request ended.
     *
     * @param intended when it was due
     * @param server which server answered; empty where none did
     */
    synchronized void ended(long intended, long now, Outcome outcome, String server) {
        outcomes.merge(outcome, 1L, Long::sum);
        Slice slice = slice(intended);
        if (outcome.failed()) {
            slice.failed++;
            interval.failed++;
            return;
        }
        long micros = Math.clamp((now - intended) / 1000, 0, MAX_LATENCY_MICROS);
        latencies.recordValue(micros);
        interval.maxMicros = Math.max(interval.maxMicros, micros);
        if (outcome == Outcome.SORRY) {
            slice.sorry++;
            interval.sorry++;
            return;
        }
        slice.ok++;
        interval.ok++;
        slice.servers.merge(server, 1L, Long::sum);
        interval.servers.merge(server, 1L, Long::sum);
        servers.merge(server, 1L, Long::sum);
        if (now > lastOk) {
            longestGap = Math.max(longestGap, now - lastOk);
            lastOk = now;
        }
    }

    /** What ended since the last call. */
    synchronized Sample sample(Instant at) {
        Interval done = interval;
        interval = new Interval();
        return new Sample(
                at, done.sent, done.ok, done.sorry, done.failed, done.servers, Duration.ofNanos(done.maxMicros * 1000));
    }

    /**
     * The whole run.
     *
     * @param end when sending ended
     * @param cpu what the generator used
     */
    synchronized LoadResult result(long end, Duration cpu) {
        long gap = Math.max(longestGap, end - lastOk);
        List<LoadResult.Slice> slices = timeline.stream()
                .map(s -> new LoadResult.Slice(s.ok, s.sorry, s.failed, Map.copyOf(s.servers)))
                .toList();
        return new LoadResult(
                started,
                Duration.ofNanos(end - start),
                Map.copyOf(outcomes),
                new TreeMap<>(servers),
                Duration.ofNanos(gap),
                Duration.ofNanos(latencies.getValueAtPercentile(50) * 1000),
                Duration.ofNanos(latencies.getValueAtPercentile(99) * 1000),
                Duration.ofNanos(latencies.getMaxValue() * 1000),
                cpu,
                slices);
    }

    private Slice slice(long intended) {
        int index = (int) ((intended - start) / SLICE.toNanos());
        while (timeline.size() <= index) {
            timeline.add(new Slice());
        }
        return timeline.get(index);
    }

    private static final class Slice {
        private long ok;
        private long sorry;
        private long failed;
        private final Map<String, Long> servers = new TreeMap<>();
    }

    private static final class Interval {
        private long sent;
        private long ok;
        private long sorry;
        private long failed;
        private long maxMicros;
        private final Map<String, Long> servers = new TreeMap<>();
    }
}

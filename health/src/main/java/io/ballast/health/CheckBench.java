package io.ballast.health;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

/**
 * What checks cost: a rate of them, run as the daemon runs them ({@link CheckRunner}, one check for each probe a second),
 * toward one server.
 */
public final class CheckBench {

    /** Ticks a second of the times in /proc/self/stat (sysconf(_SC_CLK_TCK), 100 on every Linux of today). */
    private static final int TICKS = 100;

    private CheckBench() {}

    /** What is asked. */
    public enum Kind {
        /** A connection. */
        TCP,
        /** GET of a small page, with its text looked for. */
        HTTP
    }

    /**
     * What was measured.
     *
     * @param results by what they said, over the measured time
     * @param startDelays how late probes started
     * @param roundTrips from the start of a probe to its result; of those that succeeded
     * @param cpuSeconds user and system time of this process, with everything in it
     */
    public record Result(
            Kind kind,
            int checksPerSecond,
            Duration measured,
            Map<ProbeResult.Outcome, Long> results,
            DelayHistogram startDelays,
            DelayHistogram roundTrips,
            double cpuSeconds) {

        @Override
        public String toString() {
            double seconds = measured.toNanos() / 1e9;
            return String.format(
                    java.util.Locale.ROOT,
                    "%s %d/s for %.1f s: %s (%.0f/s); start delay p50 %s p99 %s max %s;"
                            + " round trip p50 %s p99 %s max %s; CPU %.2f cores, %.0f us a check",
                    kind,
                    checksPerSecond,
                    seconds,
                    results,
                    results.values().stream().mapToLong(Long::longValue).sum() / seconds,
                    micros(startDelays.nanosAt(0.5)),
                    micros(startDelays.nanosAt(0.99)),
                    micros(startDelays.maxNanos()),
                    micros(roundTrips.nanosAt(0.5)),
                    micros(roundTrips.nanosAt(0.99)),
                    micros(roundTrips.maxNanos()),
                    cpuSeconds / seconds,
                    cpuSeconds * 1e6 / Math.max(1, startDelays.count()));
        }

        private static String micros(long nanos) {
            return TimeUnit.NANOSECONDS.toMicros(nanos) + " us";
        }
    }

    /**
     * Runs checks and measures them.
     *
     * @param warmUp time before the measurement begins, with the same load
     * @param server should listen with a long queue, and for HTTP answer {@code GET /} with 200 and {@code Test Page}
     */
    public static Result run(
            Kind kind, int checksPerSecond, Duration warmUp, Duration measure, InetSocketAddress server)
            throws InterruptedException, IOException {
        Map<ProbeResult.Outcome, LongAdder> counts = Map.of(
                ProbeResult.Outcome.SUCCESS,
                new LongAdder(),
                ProbeResult.Outcome.FAILURE,
                new LongAdder(),
                ProbeResult.Outcome.INCONCLUSIVE,
                new LongAdder());
        DelayHistogram roundTrips = new DelayHistogram();
        try (CheckRunner runner = new CheckRunner(new Probes()::of, CheckRunner.affordable(), (id, result) -> {
            java.util.Objects.requireNonNull(counts.get(result.outcome())).increment();
            if (result.ok()) {
                roundTrips.record(TimeUnit.MICROSECONDS.toNanos(result.rttMicros()));
            }
        })) {
            CheckSpec spec = spec(kind);
            ProbeTarget target = ProbeTarget.of(server.getAddress(), server.getPort());
            for (int i = 0; i < checksPerSecond; i++) {
                runner.put(new CheckId("bench", Integer.toString(i), "check"), spec, target);
            }
            TimeUnit.NANOSECONDS.sleep(warmUp.toNanos());
            counts.values().forEach(LongAdder::reset);
            roundTrips.reset();
            runner.startDelays().reset();
            double cpuBefore = cpuSeconds();
            long began = System.nanoTime();
            TimeUnit.NANOSECONDS.sleep(measure.toNanos());
            Duration took = Duration.ofNanos(System.nanoTime() - began);
            double cpu = cpuSeconds() - cpuBefore;
            Map<ProbeResult.Outcome, Long> results = new java.util.EnumMap<>(ProbeResult.Outcome.class);
            counts.forEach((outcome, count) -> results.put(outcome, count.sum()));
            return new Result(kind, checksPerSecond, took, results, runner.startDelays(), roundTrips, cpu);
        }
    }

    private static CheckSpec spec(Kind kind) {
        ProbeSpec probe = switch (kind) {
            case TCP -> new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty());
            case HTTP ->
                new ProbeSpec.Http(
                        "GET",
                        "/",
                        Optional.empty(),
                        Map.of(),
                        List.of(new StatusRange(200, 200)),
                        Optional.of(new ProbeSpec.TextMatch("Test Page", false)),
                        Optional.empty(),
                        HttpVersion.HTTP_1_1,
                        Optional.empty());
        };
        Duration second = Duration.ofSeconds(1);
        return new CheckSpec(
                "check",
                second,
                second,
                1,
                2,
                InitialState.UP,
                0,
                second,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                probe);
    }

    /** User and system time of this process so far. */
    static double cpuSeconds() throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / (double) TICKS;
    }
}

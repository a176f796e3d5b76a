package io.ballast.health;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
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
 * toward one server; some of them, where wanted, toward a server that never answers. And what they must cost at least:
 * the same connections and bytes one after the other, with blocking sockets of the JDK and nothing around them.
 */
public final class CheckBench {

    /** Ticks a second of the times in /proc/self/stat (sysconf(_SC_CLK_TCK), 100 on every Linux of today). */
    private static final int TICKS = 100;

    private static final String HUNG = "hung";

    private CheckBench() {}

    /**
     * Checks that hang until their time-out, a second.
     *
     * @param oneIn so many checks one hangs
     * @param server takes no connection and refuses none
     */
    public record Hanging(int oneIn, InetSocketAddress server) {}

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
     * @param results by what they said, over the measured time; of those that do not hang
     * @param hung checks that hung and were reported as failures
     * @param startDelays how late probes started
     * @param roundTrips from the start of a probe to its result; of those that succeeded
     * @param cpuSeconds user and system time of this process, with everything in it
     */
    public record Result(
            Kind kind,
            int checksPerSecond,
            Duration measured,
            Map<ProbeResult.Outcome, Long> results,
            long hung,
            DelayHistogram startDelays,
            DelayHistogram roundTrips,
            double cpuSeconds) {

        @Override
        public String toString() {
            double seconds = measured.toNanos() / 1e9;
            return String.format(
                    java.util.Locale.ROOT,
                    "%s %d/s for %.1f s: %s (%.0f/s), %d hung; start delay p50 %s p99 %s max %s;"
                            + " round trip p50 %s p99 %s max %s; CPU %.2f cores, %.0f us a check",
                    kind,
                    checksPerSecond,
                    seconds,
                    results,
                    results.values().stream().mapToLong(Long::longValue).sum() / seconds,
                    hung,
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
     * @param hanging asks some of the checks to hang
     */
    public static Result run(
            Kind kind,
            int checksPerSecond,
            Duration warmUp,
            Duration measure,
            InetSocketAddress server,
            Optional<Hanging> hanging)
            throws InterruptedException, IOException {
        Map<ProbeResult.Outcome, LongAdder> counts = Map.of(
                ProbeResult.Outcome.SUCCESS,
                new LongAdder(),
                ProbeResult.Outcome.FAILURE,
                new LongAdder(),
                ProbeResult.Outcome.INCONCLUSIVE,
                new LongAdder());
        DelayHistogram roundTrips = new DelayHistogram();
        LongAdder hung = new LongAdder();
        try (CheckRunner runner = new CheckRunner(new Probes()::of, CheckRunner.affordable(), (id, result) -> {
            if (id.server().startsWith(HUNG)) {
                hung.increment();
                return;
            }
            java.util.Objects.requireNonNull(counts.get(result.outcome())).increment();
            if (result.ok()) {
                roundTrips.record(TimeUnit.MICROSECONDS.toNanos(result.rttMicros()));
            }
        })) {
            CheckSpec spec = spec(kind);
            ProbeTarget target = ProbeTarget.of(server.getAddress(), server.getPort());
            for (int i = 0; i < checksPerSecond; i++) {
                if (hanging.isPresent() && i % hanging.get().oneIn() == 0) {
                    InetSocketAddress silent = hanging.get().server();
                    runner.put(
                            new CheckId("bench", HUNG + i, "check"),
                            spec,
                            ProbeTarget.of(silent.getAddress(), silent.getPort()));
                } else {
                    runner.put(new CheckId("bench", Integer.toString(i), "check"), spec, target);
                }
            }
            TimeUnit.NANOSECONDS.sleep(warmUp.toNanos());
            counts.values().forEach(LongAdder::reset);
            hung.reset();
            roundTrips.reset();
            runner.startDelays().reset();
            double cpuBefore = cpuSeconds();
            long began = System.nanoTime();
            TimeUnit.NANOSECONDS.sleep(measure.toNanos());
            Duration took = Duration.ofNanos(System.nanoTime() - began);
            double cpu = cpuSeconds() - cpuBefore;
            Map<ProbeResult.Outcome, Long> results = new java.util.EnumMap<>(ProbeResult.Outcome.class);
            counts.forEach((outcome, count) -> results.put(outcome, count.sum()));
            return new Result(kind, checksPerSecond, took, results, hung.sum(), runner.startDelays(), roundTrips, cpu);
        }
    }

    /**
     * CPU seconds of one check without a checker: connect, send and read where there is something to, end by a reset;
     * one after the other on this thread.
     */
    public static double floorCpuSeconds(Kind kind, Duration measure, InetSocketAddress server) throws IOException {
        byte[] request =
                "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
        byte[] answer = new byte[4096];
        double cpuBefore = cpuSeconds();
        long until = System.nanoTime() + measure.toNanos();
        int checks = 0;
        for (; System.nanoTime() < until; checks++) {
            try (Socket socket = new Socket(server.getAddress(), server.getPort())) {
                if (kind == Kind.HTTP) {
                    socket.getOutputStream().write(request);
                    for (int count = 0; count >= 0; ) {
                        count = socket.getInputStream().read(answer);
                    }
                }
                socket.setSoLinger(true, 0);
            }
        }
        return (cpuSeconds() - cpuBefore) / checks;
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

package io.ballast.bench;

import io.ballast.health.CheckBench;
import io.ballast.health.CheckBench.Kind;
import io.ballast.health.CheckBench.Result;
import io.ballast.health.state.ProbeResult.Outcome;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** A rate of checks toward nginx: whether all of them run, how late they start, and what they cost. */
final class HealthArea implements Area {
    private static final int PORT = 18083;
    private static final int JUDGED = 10_000;
    private static final int[] TCP_RATES = {1_000, JUDGED, 20_000};
    private static final int[] HTTP_RATES = {1_000, 5_000};
    private static final String SOURCE = "10,000 checks a second without falling behind";

    @Override
    public String name() {
        return "health";
    }

    @Override
    public String summary() {
        return "thousands of health checks a second: how many run, how late they start, what they cost";
    }

    @Override
    public Results run(Effort effort, Consumer<String> progress) throws Exception {
        List<Row> rows = new ArrayList<>();
        try (Programs programs = new Programs()) {
            Files.writeString(programs.directory().resolve("index.html"), "Test Page");
            Programs.startNginx(programs, PORT);
            for (int rate : TCP_RATES) {
                measure(Kind.TCP, rate, effort, rows, progress);
            }
            for (int rate : HTTP_RATES) {
                measure(Kind.HTTP, rate, effort, rows, progress);
            }
        }
        return new Results(
                name(),
                rows,
                List.of(
                        "Each check runs once a second; the server is nginx on the second processor, which it shares with "
                                + "the checks. Start delay: from when a probe was due until it ran."));
    }

    private static void measure(Kind kind, int rate, Effort effort, List<Row> rows, Consumer<String> progress)
            throws Exception {
        int rounds = effort.rounds();
        double[] done = new double[rounds];
        double[] failed = new double[rounds];
        double[] p50 = new double[rounds];
        double[] p99 = new double[rounds];
        double[] cost = new double[rounds];
        InetSocketAddress server = new InetSocketAddress(InetAddress.getLoopbackAddress(), PORT);
        for (int round = 0; round < rounds; round++) {
            Result result =
                    CheckBench.run(kind, rate, Duration.ofSeconds(3), Duration.ofSeconds(effort.seconds()), server);
            double seconds = result.measured().toNanos() / 1e9;
            long good = result.results().getOrDefault(Outcome.SUCCESS, 0L);
            long all = result.results().values().stream()
                    .mapToLong(Long::longValue)
                    .sum();
            done[round] = all / seconds;
            failed[round] = all - good;
            p50[round] = result.startDelays().nanosAt(0.5) / 1e6;
            p99[round] = result.startDelays().nanosAt(0.99) / 1e6;
            cost[round] = result.cpuSeconds() * 1e6 / Math.max(1, all);
            progress.accept(result.toString());
        }
        String name = kind + ", " + Sample.number(rate) + "/s: ";
        boolean judged = kind == Kind.TCP && rate == JUDGED;
        Sample ran = Sample.of(done);
        // A reading may begin or end between two beats of the second, so one part in two hundred is no lag.
        rows.add(
                judged
                        ? Row.own(name + "results", "1/s", ran, Row.Target.atLeast(JUDGED * 0.995, SOURCE))
                        : Row.info(name + "results", "1/s", ran));
        Sample bad = Sample.of(failed);
        rows.add(
                judged
                        ? Row.own(name + "not successful", "checks", bad, Row.Target.atMost(0, SOURCE))
                        : Row.info(name + "not successful", "checks", bad));
        rows.add(Row.info(name + "start delay p50", "ms", Sample.of(p50)));
        rows.add(Row.info(name + "start delay p99", "ms", Sample.of(p99)));
        rows.add(Row.info(name + "CPU", "us/check", Sample.of(cost)));
    }
}

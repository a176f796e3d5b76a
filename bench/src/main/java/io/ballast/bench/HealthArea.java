package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.health.CheckBench;
import io.ballast.health.CheckBench.Hanging;
import io.ballast.health.CheckBench.Kind;
import io.ballast.health.CheckBench.Result;
import io.ballast.health.SilentServer;
import io.ballast.health.state.ProbeResult.Outcome;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** A rate of checks toward nginx: whether all of them run, how late they start, and what they cost. */
final class HealthArea implements Area {
    private static final int PORT = 18083;
    private static final int JUDGED = 10_000;
    private static final int HANGING_ONE_IN = 100;
    private static final String SOURCE = "10,000 checks a second without falling behind";
    private static final String SOURCE_HANGING = "a check that hangs never delays another";

    /** First starts are spaced, so that even 20,000 checks have begun after two seconds. */
    private static final Duration WARM_UP = Duration.ofSeconds(3);

    private static final Duration FIRST_WARM_UP = Duration.ofSeconds(8);
    private static final int WARM_UP_RATE = 4_000;
    private static final Duration FLOOR = Duration.ofSeconds(1);

    /** One load: how many checks of a kind a second, and whether some of them hang. */
    private record Load(Kind kind, int rate, boolean hanging) {
        String name() {
            return kind + ", " + Sample.number(rate) + "/s" + (hanging ? ", 1 in " + HANGING_ONE_IN + " hangs" : "");
        }

        /** Checks that do not hang. */
        int answered() {
            return hanging ? rate - rate / HANGING_ONE_IN : rate;
        }
    }

    private static final List<Load> LOADS = List.of(
            new Load(Kind.TCP, 1_000, false),
            new Load(Kind.TCP, JUDGED, false),
            new Load(Kind.TCP, JUDGED, true),
            new Load(Kind.TCP, 20_000, false),
            new Load(Kind.HTTP, 1_000, false),
            new Load(Kind.HTTP, 5_000, false),
            new Load(Kind.HTTP, 5_000, true),
            new Load(Kind.HTTP, JUDGED, false));

    @Override
    public String name() {
        return "health";
    }

    @Override
    public String summary() {
        return "thousands of health checks a second: how many run, how late they start, what they cost";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException {
        try (Programs programs = new Programs();
                SilentServer silent = new SilentServer()) {
            programs.startNginx("server", "1", PORT);
            InetSocketAddress server = new InetSocketAddress(InetAddress.getLoopbackAddress(), PORT);
            Kind warm = null;
            for (Load load : LOADS) {
                if (load.kind() != warm) {
                    warm = load.kind();
                    sheet.progress(warm + ": warming up for " + FIRST_WARM_UP.toSeconds() + " s");
                    CheckBench.run(warm, WARM_UP_RATE, FIRST_WARM_UP, Duration.ofMillis(1), server, Optional.empty());
                    CheckBench.floorCpuSeconds(warm, FLOOR, server);
                }
                Optional<Hanging> hanging =
                        load.hanging() ? Optional.of(new Hanging(HANGING_ONE_IN, silent.address())) : Optional.empty();
                sheet.measure(load.name(), "", () -> measure(load, effort, server, hanging, sheet));
            }
        }
        sheet.note(
                "Each check runs once a second, with a time-out of one; the server is nginx on the second processor, "
                        + "which it shares with the checks. Start delay: from when a probe was due until it ran. CPU is that of "
                        + "the checking process, compiled as the node process is where this area runs alone; its floor: connect, send, read, reset, one after the other on one thread with "
                        + "blocking sockets. A check that hangs gets no answer to its SYN until its time-out.");
    }

    private static void measure(
            Load load, Effort effort, InetSocketAddress server, Optional<Hanging> hanging, Sheet sheet)
            throws IOException, InterruptedException {
        int rounds = effort.rounds();
        double[] done = new double[rounds];
        double[] failed = new double[rounds];
        double[] p50 = new double[rounds];
        double[] p99 = new double[rounds];
        double[] cost = new double[rounds];
        double[] floor = new double[rounds];
        Duration measured = Duration.ofSeconds(effort.seconds());
        for (int round = 0; round < rounds; round++) {
            Result result = CheckBench.run(load.kind(), load.rate(), WARM_UP, measured, server, hanging);
            double seconds = result.measured().toNanos() / 1e9;
            long good = result.results().getOrDefault(Outcome.SUCCESS, 0L);
            long all = result.results().values().stream()
                    .mapToLong(Long::longValue)
                    .sum();
            done[round] = all / seconds;
            failed[round] = all - good;
            p50[round] = result.startDelays().nanosAt(0.5) / 1e6;
            p99[round] = result.startDelays().nanosAt(0.99) / 1e6;
            cost[round] = result.cpuSeconds() * 1e6 / Math.max(1, all + result.hung());
            floor[round] = CheckBench.floorCpuSeconds(load.kind(), FLOOR, server) * 1e6;
            sheet.progress(result.toString());
        }
        boolean judged = load.rate() == JUDGED || load.hanging();
        String source = load.hanging() ? SOURCE_HANGING : SOURCE;
        // A reading may begin or end between two beats of the second, so one part in two hundred is no lag.
        Row.Target all = judged ? Row.Target.atLeast(load.answered() * 0.995, source) : null;
        Row.Target none = judged ? Row.Target.atMost(0, source) : null;
        String name = load.name() + ": ";
        sheet.add(Row.paired(name + "results", "1/s", done, null, null, all));
        sheet.add(Row.paired(name + "not successful", "checks", failed, null, null, none));
        sheet.add(Row.info(name + "start delay p50", "ms", Sample.of(p50)));
        sheet.add(Row.info(name + "start delay p99", "ms", Sample.of(p99)));
        sheet.add(Row.paired(name + "CPU", "us/check", cost, null, floor, null));
    }
}

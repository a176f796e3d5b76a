package io.ballast.bench;

import io.ballast.core.config.SchedulerKind;
import io.ballast.director.scheduler.SchedulerRates;

/** Scheduler decisions a second on one core, and how they grow with the number of servers. */
final class SchedulerArea implements Area {
    private static final int[] SERVERS = {10, 1_000, 10_000};
    private static final int JUDGED = 1_000;
    private static final int DESTINATIONS = 1_000;
    private static final long WARM_UP_NANOS = 300_000_000;

    @Override
    public String name() {
        return "schedulers";
    }

    @Override
    public String summary() {
        return "scheduler decisions a second on one core, each with its connection's opening and end";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws InterruptedException {
        // A reading needs no seconds: at a million decisions a second a tenth of one is a hundred thousand.
        long nanos = effort.seconds() * 1_000_000_000L / 10;
        for (SchedulerKind kind : SchedulerKind.values()) {
            for (int servers : SERVERS) {
                String name = kind.yamlName() + ", " + Sample.number(servers) + " servers";
                sheet.measure(name, "decisions/s", () -> {
                    double[] readings = new double[effort.rounds()];
                    double[] floor = new double[effort.rounds()];
                    for (int round = 0; round < readings.length; round++) {
                        readings[round] = SchedulerRates.measure(
                                kind, servers, DESTINATIONS, WARM_UP_NANOS, nanos, System::nanoTime);
                        floor[round] = SchedulerRates.floor(servers, WARM_UP_NANOS / 3, nanos, System::nanoTime);
                    }
                    Row.Target target = servers == JUDGED ? Row.Target.atLeast(1e6, "1,000,000 a second") : null;
                    sheet.add(Row.paired(name, "decisions/s", readings, null, floor, target));
                    sheet.progress(name + ": " + Sample.of(readings).text());
                });
            }
        }
        sheet.note("A decision is the pick, the new connection's opening and the oldest one's end; weights 1 to 10; "
                + DESTINATIONS + " destinations for dh, lblc and lblcr. Floor: the same with the first server always "
                + "picked.");
    }
}

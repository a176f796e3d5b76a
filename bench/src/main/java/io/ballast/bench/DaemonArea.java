package io.ballast.bench;

import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.control.ControlClient;
import io.ballast.linux.Processes;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A real daemon, started as a user starts it, that takes a description of 10,000 services: at its start, and from one
 * request. The clock stops when the traffic worker has every listening socket. Then one line changes.
 */
final class DaemonArea implements Area {
    private static final int SERVICES = 10_000;
    private static final int SPARE_DESCRIPTORS = 500;
    private static final int LATER_CHANGES = 5;
    private static final long BOUND_NANOS = TimeUnit.MINUTES.toNanos(2);
    private static final Row.Target LARGE =
            Row.Target.atMost(3_000, "10,000 services x 10 servers load and apply in under 3 s");
    private static final Row.Target LINE = Row.Target.atMost(100, "a one-line change applies in under 100 ms");

    @Override
    public String name() {
        return "daemon";
    }

    @Override
    public String summary() {
        return "how long a daemon takes to load and apply 10,000 services with 10 servers each, and a changed line";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException {
        int services = (int) Math.min(SERVICES, Processes.fileLimit().hard() - SPARE_DESCRIPTORS);
        String size = Sample.number(services) + " services x 10";
        sheet.measure(size, "ms", () -> measure(services, size, effort.rounds(), sheet));
        sheet.note(
                "Started by the launcher; start and apply end when the traffic worker has every socket, a changed line"
                        + " when the daemon has answered. The servers have no checks.");
        if (services < SERVICES) {
            sheet.note("A process may have " + Processes.fileLimit().hard() + " descriptors here, so there were only "
                    + Sample.number(services) + " services.");
        }
    }

    private static void measure(int services, String size, int rounds, Sheet sheet)
            throws IOException, Failure, InterruptedException {
        double[] start = new double[rounds];
        double[] apply = new double[rounds];
        double[] first = new double[2 * rounds];
        double[] later = new double[2 * rounds];
        double[] node = new double[rounds];
        double[] worker = new double[rounds];
        for (int round = 0; round < rounds; round++) {
            try (Programs programs = new Programs()) {
                long begun = System.nanoTime();
                Started daemon = Started.of(programs, DescriptionArea.text(services, 80));
                daemon.awaitListening(services);
                start[round] = millisSince(begun);
                double[] changes = changes(daemon, services);
                first[round] = changes[0];
                later[round] = changes[1];
                node[round] = Programs.residentMiB(daemon.process.pid());
                worker[round] = Programs.residentMiB(daemon.worker());
            }
            try (Programs programs = new Programs()) {
                Started daemon = Started.of(programs, DescriptionArea.text(1, 80));
                daemon.awaitListening(1);
                byte[] text = DescriptionArea.text(services, 80);
                long begun = System.nanoTime();
                daemon.apply(text);
                daemon.awaitListening(services);
                apply[round] = millisSince(begun);
                double[] changes = changes(daemon, services);
                first[rounds + round] = changes[0];
                later[rounds + round] = changes[1];
            }
            sheet.progress("round " + (round + 1) + ": start " + Sample.number(start[round]) + " ms, apply "
                    + Sample.number(apply[round]) + " ms, a line " + Sample.number(first[round]) + " ms, then "
                    + Sample.number(later[round]) + " ms");
        }
        sheet.add(Row.own(size + ", start", "ms", Sample.of(start), LARGE));
        sheet.add(Row.own(size + ", apply", "ms", Sample.of(apply), LARGE));
        sheet.add(Row.own(size + ", first changed line", "ms", Sample.of(first), LINE));
        sheet.add(Row.own(size + ", later changed lines", "ms", Sample.of(later), LINE));
        sheet.add(Row.info(size + ", node process", "MiB RSS", Sample.of(node)));
        sheet.add(Row.info(size + ", traffic worker", "MiB RSS", Sample.of(worker)));
    }

    /** How long the first change of a line takes, and the median of those after it. */
    private static double[] changes(Started daemon, int services) throws Failure {
        double[] millis = new double[LATER_CHANGES];
        double first = 0;
        for (int change = 0; change <= LATER_CHANGES; change++) {
            byte[] text = DescriptionArea.text(services, 81 + change);
            long begun = System.nanoTime();
            daemon.apply(text);
            if (change == 0) {
                first = millisSince(begun);
            } else {
                millis[change - 1] = millisSince(begun);
            }
        }
        Arrays.sort(millis);
        return new double[] {first, millis[LATER_CHANGES / 2]};
    }

    private static double millisSince(long begun) {
        return (System.nanoTime() - begun) / 1e6;
    }

    /** A daemon under measurement. */
    private record Started(Programs programs, Process process, ControlClient client) {

        /** Starts one on all processors, by the launcher that started this process. */
        static Started of(Programs programs, byte[] yaml) throws IOException, Failure {
            String launcher = System.getProperty("ballast.launcher");
            if (launcher == null) {
                throw Failure.failed("this is measured with the launcher: start it as ./ballast bench daemon");
            }
            Path run = Files.createDirectories(programs.directory().resolve("run"));
            Path state = Files.createDirectories(programs.directory().resolve("state"));
            Process process = programs.start(
                    "ballast",
                    "0-" + (Runtime.getRuntime().availableProcessors() - 1),
                    List.of(
                            launcher,
                            "run",
                            programs.file("ballast.yaml", new String(yaml, StandardCharsets.UTF_8))
                                    .toString(),
                            "--run-dir",
                            run.toString(),
                            "--state-dir",
                            state.toString()));
            return new Started(programs, process, new ControlClient(run.resolve("control.sock")));
        }

        /** The process id of the traffic worker. */
        long worker() throws IOException {
            return process.descendants()
                    .filter(p -> p.info()
                            .arguments()
                            .map(a -> String.join(" ", a))
                            .orElse("")
                            .contains("TrafficWorker"))
                    .map(ProcessHandle::pid)
                    .findFirst()
                    .orElseThrow(() -> new IOException("the daemon has no traffic worker"));
        }

        void apply(byte[] yaml) throws Failure {
            JsonObject answer = client.describe("/v1/apply", "bench.yaml", yaml).successful();
            if (!answer.has("changes")) {
                throw Failure.failed("the daemon did not apply the benchmark's description: " + answer);
            }
        }

        /** Waits until the daemon says that it runs, and its worker has so many sockets. */
        void awaitListening(int services) throws IOException, Failure, InterruptedException {
            long deadline = System.nanoTime() + BOUND_NANOS;
            while (!running() || descriptors(worker()) < services) {
                if (!process.isAlive() || System.nanoTime() > deadline) {
                    throw Failure.failed("the daemon does not come up with " + services + " services: "
                            + programs.log("ballast").lines().limit(20).toList());
                }
                TimeUnit.MILLISECONDS.sleep(10);
            }
        }

        private boolean running() {
            try {
                return client.get("/v1/status").get("state").getAsString().equals("running");
            } catch (Failure e) {
                return false; // it has no control socket yet
            }
        }

        private static long descriptors(long pid) throws IOException {
            try (Stream<Path> all = Files.list(Path.of("/proc/" + pid + "/fd"))) {
                return all.count();
            }
        }
    }
}

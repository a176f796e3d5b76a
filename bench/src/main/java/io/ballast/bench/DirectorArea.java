package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.lab.farm.Daemon;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The userspace director beside HAProxy in TCP mode. The proxy under test has processor 0 to itself; the server (nginx)
 * and the load (wrk) share processor 1, so that neither proxy is ever charged for them. What is compared is the
 * proxy's own CPU time for each request, user and system, which on a shared machine is far steadier than throughput.
 * Ours includes the node process, which watches while the worker carries the bytes.
 *
 * <p>The floor is a second nginx on processor 0 that answers the same load directly: one connection where a proxy has
 * two, and nothing in between.
 */
final class DirectorArea implements Area {
    private static final int SERVER_PORT = 18080;
    private static final int PEER_PORT = 18081;
    private static final int OUR_PORT = 18082;
    private static final int FLOOR_PORT = 18084;
    private static final int CONNECTIONS = 64;

    /** Requests after which the worker's code is compiled, asked for in slices of some seconds. */
    private static final int WARM_UP_REQUESTS = 150_000;

    private static final int WARM_UP_SLICE_SECONDS = 5;
    private static final int WARM_UP_SLICES = 6;

    private static final String SOURCE = "HAProxy in TCP mode, same run";

    /** One kind of load. */
    private record Load(String name, String path, boolean close) {}

    private static final List<Load> LOADS = List.of(
            new Load("1 KiB, keep-alive", "/1k", false),
            new Load("64 KiB, keep-alive", "/64k", false),
            new Load("1 KiB, new connection each", "/1k", true));

    @Override
    public String name() {
        return "director";
    }

    @Override
    public String engine() {
        return "userspace";
    }

    @Override
    public String summary() {
        return "CPU time for each request through the userspace engine, against HAProxy in TCP mode";
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException {
        Path nginx = Programs.need("nginx", "nginx-light");
        Path haproxy = Programs.need("haproxy", "haproxy");
        Programs.need("wrk", "wrk");
        boolean loads = Runtime.getRuntime().availableProcessors() >= 2;
        String others = loads ? "1" : "0";
        try (Programs programs = new Programs()) {
            IdleConnections idle = IdleConnections.asManyAsFit();
            Files.writeString(programs.directory().resolve("1k"), "x".repeat(1 << 10));
            Files.writeString(programs.directory().resolve("64k"), "x".repeat(1 << 16));
            Path haproxyFile = programs.file(
                    "haproxy.cfg",
                    Programs.resource("haproxy.cfg")
                            .replace("@PORT@", Integer.toString(PEER_PORT))
                            .replace("@MAXCONN@", Integer.toString(idle.peerLimit()))
                            .replace("@SERVER@", Integer.toString(SERVER_PORT)));
            programs.startNginx("server", others, SERVER_PORT);
            Process direct = programs.startNginx("floor", "0", FLOOR_PORT);
            Process peer = programs.start("haproxy", "0", List.of(haproxy.toString(), "-f", haproxyFile.toString()));
            programs.await("haproxy", PEER_PORT);
            Daemon daemon = programs.startDaemon(
                    "0",
                    Programs.resource("ballast.yaml")
                            .replace("@PORT@", Integer.toString(OUR_PORT))
                            .replace("@SERVER@", Integer.toString(SERVER_PORT)));
            daemon.awaitReady();

            Contestant ours = new Contestant("ours", daemon.pid(), OUR_PORT);
            Contestant theirs = new Contestant("haproxy", peer.pid(), PEER_PORT);
            Contestant floor = new Contestant("nginx alone", direct.pid(), FLOOR_PORT);
            if (!loads) {
                sheet.note("With one processor only, which proxy, load and server would share, there are no loads.");
            }
            for (Load load : loads ? LOADS : List.<Load>of()) {
                sheet.measure(
                        load.name(),
                        "us CPU/request",
                        () -> compare(sheet, programs, load, effort, ours, theirs, floor));
            }
            sheet.measure(idle.name(), "MiB resident", () -> {
                sheet.progress(idle.name());
                long worker = daemon.workerPid().orElseThrow(() -> new IOException("the daemon has no worker"));
                String when = loads ? " after the loads above" : " after the start";
                idle.compare(sheet, when, OUR_PORT, worker, PEER_PORT, peer.pid());
            });
            sheet.note("Floor: nginx on the proxy's processor answers the same load directly. "
                    + "Ours is the CPU time of node process and worker together.");
            sheet.note(firstLine(programs.run(others, 10, List.of(haproxy.toString(), "-v"))) + "; "
                    + firstLine(programs.run(others, 10, List.of(nginx.toString(), "-v"))) + "; Java "
                    + Runtime.version() + "; Linux " + System.getProperty("os.version"));
        }
    }

    private static void compare(
            Sheet sheet,
            Programs programs,
            Load load,
            Effort effort,
            Contestant ours,
            Contestant theirs,
            Contestant floor)
            throws IOException, Failure, InterruptedException {
        long warm = 0;
        for (int slice = 0; slice < WARM_UP_SLICES && warm < WARM_UP_REQUESTS; slice++) {
            warm += ours.ask(programs, load, WARM_UP_SLICE_SECONDS).requests();
        }
        sheet.progress(load.name() + ": warmed up with " + Sample.number((double) warm) + " requests");
        int rounds = effort.rounds();
        Readings our = new Readings(rounds);
        Readings their = new Readings(rounds);
        Readings least = new Readings(rounds);
        for (int round = 0; round < rounds; round++) {
            our.read(round, programs, ours, load, effort.seconds());
            their.read(round, programs, theirs, load, effort.seconds());
            least.read(round, programs, floor, load, effort.seconds());
            sheet.progress(String.format(
                    "%s: round %d: ours %.1f us, haproxy %.1f us, floor %.1f us a request",
                    load.name(), round + 1, our.cost[round], their.cost[round], least.cost[round]));
        }
        Row.Target noMore = Row.Target.ratioAtMost(1.0, SOURCE);
        sheet.add(Row.paired(load.name(), "us CPU/request", our.cost, their.cost, least.cost, noMore));
        sheet.add(Row.paired(load.name(), "requests/s", our.rate, their.rate, least.rate, null));
        sheet.add(Row.paired(load.name(), "ms p99", our.p99, their.p99, least.p99, null));
        sheet.note(load.name() + ": processor 0 busy " + our.busy() + " with ours, " + their.busy() + " with haproxy, "
                + least.busy() + " with the floor");
    }

    /** Something that answers on a port, and the process (with its children) that is charged for it. */
    private record Contestant(String name, long pid, int port) {
        HttpLoad ask(Programs programs, Load load, int seconds) throws IOException, Failure, InterruptedException {
            return HttpLoad.run(programs, "http://127.0.0.1:" + port + load.path(), CONNECTIONS, seconds, load.close());
        }
    }

    /** What one contestant needed, round by round. */
    private static final class Readings {
        final double[] cost;
        final double[] rate;
        final double[] p99;
        private final double[] busy;

        Readings(int rounds) {
            cost = new double[rounds];
            rate = new double[rounds];
            p99 = new double[rounds];
            busy = new double[rounds];
        }

        void read(int round, Programs programs, Contestant contestant, Load load, int seconds)
                throws IOException, Failure, InterruptedException {
            double before = Programs.cpuSecondsOfTree(contestant.pid());
            long start = System.nanoTime();
            HttpLoad answered = contestant.ask(programs, load, seconds);
            double elapsed = (System.nanoTime() - start) / 1e9;
            double used = Programs.cpuSecondsOfTree(contestant.pid()) - before;
            cost[round] = used * 1e6 / answered.requests();
            rate[round] = answered.perSecond();
            p99[round] = answered.p99Millis();
            busy[round] = used / elapsed;
        }

        String busy() {
            return Sample.number(100 * Sample.of(busy).median()) + " %";
        }
    }

    private static String firstLine(String text) {
        return text.strip().lines().findFirst().orElse("");
    }
}

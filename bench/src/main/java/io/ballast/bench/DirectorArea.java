package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.linux.Processes;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * The userspace director beside HAProxy in TCP mode. The proxy under test has processor 0 to itself; the server (nginx)
 * and the load (wrk) share processor 1, so that neither proxy is ever charged for them. What is compared is the
 * proxy's own CPU time for each request, user and system, which on a shared machine is far steadier than throughput.
 */
final class DirectorArea implements Area {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
    private static final int SERVER_PORT = 18080;
    private static final int PEER_PORT = 18081;
    private static final int OUR_PORT = 18082;
    private static final int CONNECTIONS = 64;
    private static final int WARM_UP_SECONDS = 10;
    private static final int IDLE_CONNECTIONS = 10_000;

    /** Descriptors that a proxy needs beside its connections, and a margin. */
    private static final int OTHER_DESCRIPTORS = 1_500;

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
    public String summary() {
        return "CPU time for each request through the userspace engine, against HAProxy in TCP mode";
    }

    @Override
    public Results run(Effort effort, Consumer<String> progress) throws Exception {
        List<Row> rows = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        Path nginx = Programs.need("nginx", "nginx-light");
        Path haproxy = Programs.need("haproxy", "haproxy");
        Programs.need("wrk", "wrk");
        if (Runtime.getRuntime().availableProcessors() < 2) {
            throw Failure.failed("this benchmark needs two processors: one for the proxy, one for load and server");
        }
        try (Programs programs = new Programs()) {
            Files.writeString(programs.directory().resolve("1k"), "x".repeat(1 << 10));
            Files.writeString(programs.directory().resolve("64k"), "x".repeat(1 << 16));
            Path haproxyFile = programs.file(
                    "haproxy.cfg",
                    Programs.resource("haproxy.cfg")
                            .replace("@PORT@", Integer.toString(PEER_PORT))
                            .replace("@MAXCONN@", Integer.toString(idleConnections() + 100))
                            .replace("@SERVER@", Integer.toString(SERVER_PORT)));
            Programs.startNginx(programs, SERVER_PORT);
            Process peer = programs.start("haproxy", "0", List.of(haproxy.toString(), "-f", haproxyFile.toString()));
            programs.await("haproxy", PEER_PORT);
            Process ours = OurDaemon.start(
                    programs,
                    "0",
                    Programs.resource("ballast.yaml")
                            .replace("@PORT@", Integer.toString(OUR_PORT))
                            .replace("@SERVER@", Integer.toString(SERVER_PORT)));
            programs.await("ballast", OUR_PORT);

            for (Load load : LOADS) {
                progress.accept(load.name() + ": warming up for " + WARM_UP_SECONDS + " s");
                HttpLoad.run(programs, url(OUR_PORT, load), CONNECTIONS, WARM_UP_SECONDS, load.close());
                HttpLoad.run(programs, url(PEER_PORT, load), CONNECTIONS, 2, load.close());
                int rounds = effort.rounds();
                Readings our = new Readings(rounds);
                Readings their = new Readings(rounds);
                for (int round = 0; round < rounds; round++) {
                    our.read(round, programs, ours, url(OUR_PORT, load), effort.seconds(), load.close());
                    their.read(round, programs, peer, url(PEER_PORT, load), effort.seconds(), load.close());
                    progress.accept(String.format(
                            "%s: round %d: ours %.1f us, haproxy %.1f us a request",
                            load.name(), round + 1, our.cost[round], their.cost[round]));
                }
                rows.add(Row.paired(
                        load.name(), "us CPU/request", our.cost, their.cost, Row.Target.ratioAtMost(1.0, SOURCE)));
                rows.add(Row.paired(load.name(), "requests/s", our.rate, their.rate, null));
                rows.add(Row.paired(load.name(), "ms p99", our.p99, their.p99, null));
                notes.add(load.name() + ": processor 0 busy "
                        + Sample.number(100 * Sample.of(our.busy).median()) + " % with ours, "
                        + Sample.number(100 * Sample.of(their.busy).median()) + " % with haproxy");
            }
            if (idleConnections() < IDLE_CONNECTIONS) {
                notes.add("a process may have " + Processes.fileLimit().hard() + " descriptors here, so there were "
                        + idleConnections() + " idle connections instead of " + IDLE_CONNECTIONS);
            }
            progress.accept("idle connections");
            rows.add(idle(ours, peer));
            notes.add(firstLine(programs.run("1", 10, List.of(haproxy.toString(), "-v"))) + "; "
                    + firstLine(programs.run("1", 10, List.of(nginx.toString(), "-v"))) + "; Java "
                    + Runtime.version() + "; Linux " + System.getProperty("os.version"));
        }
        return new Results(name(), rows, notes);
    }

    /** What one proxy showed, round by round. */
    private static final class Readings {
        final double[] cost;
        final double[] rate;
        final double[] p99;
        final double[] busy;

        Readings(int rounds) {
            cost = new double[rounds];
            rate = new double[rounds];
            p99 = new double[rounds];
            busy = new double[rounds];
        }

        void read(int round, Programs programs, Process proxy, String url, int seconds, boolean close)
                throws Exception {
            double before = cpu(proxy);
            long start = System.nanoTime();
            HttpLoad load = HttpLoad.run(programs, url, CONNECTIONS, seconds, close);
            double elapsed = (System.nanoTime() - start) / 1e9;
            double used = cpu(proxy) - before;
            cost[round] = used * 1e6 / load.requests();
            rate[round] = load.perSecond();
            p99[round] = load.p99Millis();
            busy[round] = used / elapsed;
        }
    }

    private static double cpu(Process process) throws IOException {
        double sum = 0;
        for (long pid : Programs.tree(process)) {
            sum += Programs.cpuSeconds(pid);
        }
        return sum;
    }

    /** Resident memory of the traffic worker (of haproxy) with so many idle connections through it. */
    private static Row idle(Process ours, Process peer) throws Exception {
        double our = residentWithIdle(OUR_PORT, OurDaemon.worker(ours));
        double their = residentWithIdle(PEER_PORT, Programs.tree(peer).getLast());
        return new Row(
                Sample.number(idleConnections()) + " idle connections after the loads above",
                "MiB resident",
                Sample.of(our),
                Sample.of(their),
                null,
                Sample.of(our / their),
                Row.Target.atMost(200, "10,000 idle connections in under 200 MiB"));
    }

    /** So many as the limit on descriptors allows a proxy, which has two for each. */
    private static int idleConnections() throws IOException {
        long limit = Processes.fileLimit().hard();
        return (int) Math.min(IDLE_CONNECTIONS, (limit - OTHER_DESCRIPTORS) / 2);
    }

    private static double residentWithIdle(int port, long pid) throws Exception {
        int idle = idleConnections();
        List<SocketChannel> channels = new ArrayList<>(idle);
        try {
            for (int i = 0; i < idle; i++) {
                channels.add(SocketChannel.open(new InetSocketAddress(LOOPBACK, port)));
            }
            // Each is counted only when it has reached the server: the last one must be answered.
            try (Socket probe = new Socket(LOOPBACK, port)) {
                probe.setSoTimeout(10_000);
                probe.getOutputStream().write("GET /1k HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                if (probe.getInputStream().read() < 0) {
                    throw Failure.failed("port " + port + " does not answer with " + idle + " idle connections");
                }
            }
            return Programs.residentMiB(pid);
        } finally {
            for (SocketChannel channel : channels) {
                channel.close();
            }
        }
    }

    private static String url(int port, Load load) {
        return "http://127.0.0.1:" + port + load.path();
    }

    private static String firstLine(String text) {
        return text.strip().lines().findFirst().orElse("");
    }
}

package io.ballast.bench;

import com.google.gson.JsonObject;
import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.cli.Terminal;
import io.ballast.lab.Source;
import io.ballast.lab.farm.Daemon;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.Privileges;
import io.ballast.lab.farm.Restoring;
import io.ballast.lab.farm.RouterRole;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Processes;
import io.ballast.node.Directories;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Established connections of a client to the lab's web servers over the end of the director that leads them there, and over
 * its return: how many are lost, and how far behind the other director was. The client's ends are this process's, the
 * servers' are those of the two web servers, so each process has as many descriptors as it may.
 */
final class EstablishedConnections implements AutoCloseable {
    private static final int WANTED = 10_000;

    /** Descriptors of this process beside them. */
    private static final int OTHERS = 500;

    private static final InetSocketAddress WEB = new InetSocketAddress(InetAddress.ofLiteral("192.168.6.240"), 80);
    private static final byte[] QUESTION =
            "GET /index.html HTTP/1.1\r\nHost: web\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
    private static final int PATIENCE_MILLIS = 20_000;
    private static final int LOOK_MILLIS = 20;

    /** Connections that are opened between two looks at the lag. */
    private static final int STRETCH = 250;

    /** A client's connection, and what its server answered first, which names it. */
    private record Kept(Socket socket, String server) {}

    private final Lab lab;
    private final List<Kept> connections = new ArrayList<>();
    private final byte[] buffer = new byte[4096];
    private long greatestLag;

    private EstablishedConnections(Lab lab) {
        this.lab = lab;
    }

    /** Measures by dr and by nat. */
    static void measure(Sheet sheet) throws InterruptedException {
        sheet.measure("connections by dr", "connections", () -> measure(sheet, "ultramonkey.yaml", "dr"));
        sheet.measure("connections by nat", "connections", () -> measure(sheet, "nat-pair.yaml", "nat"));
    }

    /** Measures with one of the lab's examples. */
    private static void measure(Sheet sheet, String example, String forwarding)
            throws IOException, Failure, InterruptedException {
        Optional<String> missing = Privileges.missingForXdp();
        if (missing.isPresent()) {
            throw Failure.failed("no engine xdp here: " + missing.get());
        }
        Source source = Source.example(example, new Terminal(System.out, System.err, "", Map.of()));
        DescriptionText text = DescriptionText.of(source.text()
                .toString()
                .replaceFirst("\nservices:", "\nconnection-sync: { key: known-to-both-of-them }\n\nservices:"));
        var plan = new Lab.Plan("bench-" + ProcessHandle.current().pid(), Path.of(source.name()), text, true, true);
        LabStore store = new LabStore(Directories.of(System.getenv(), Optional.empty(), Optional.empty())
                .run());
        try (Lab lab = store.up(plan, _ -> {});
                EstablishedConnections all = new EstablishedConnections(lab)) {
            all.measure(sheet, forwarding);
        }
    }

    private void measure(Sheet sheet, String forwarding) throws IOException, Failure, InterruptedException {
        Daemon first = daemon("director1");
        Daemon second = daemon("director2");
        int count = (int) Math.min(WANTED, Processes.fileLimit().hard() - OTHERS);
        String name = Sample.number(count) + " connections by " + forwarding;
        long begun = System.nanoTime();
        open(count, first);
        double opened = (System.nanoTime() - begun) / 1e9;
        await("director2 does not know them", () -> knows(first, second, count));
        long lag = lag(first);

        Restoring interfaces = lab.removeInterfaces(first.node());
        var _ = first.killAll();
        begun = System.nanoTime();
        await("director2 does not become master", () -> isMaster(second));
        int lost = lost();
        double asked = (System.nanoTime() - begun) / 1e6;
        interfaces.restore();
        first.awaitEnd();
        first.start(List.of());
        first.awaitAnswer();
        await("director1 does not become master again", () -> isMaster(first));
        int lostToo = lost();

        var none = Row.Target.atMost(0, "connections outlive their director");
        sheet.add(Row.own(name + ", lost over its director's death", "connections", Sample.of(lost), none));
        sheet.add(Row.own(name + ", lost over that and its return", "connections", Sample.of(lostToo), none));
        sheet.add(Row.info(name + ", death to the last answer", "ms", Sample.of(asked)));
        sheet.add(Row.info(name + ", sync lag before the death", "ms", Sample.of((double) lag)));
        sheet.add(Row.info(name + ", greatest sync lag while opened", "ms", Sample.of((double) greatestLag)));
        sheet.progress(name + ": opened in " + Sample.number(opened) + " s, " + lost + " lost, then " + lostToo);
    }

    private Daemon daemon(String node) {
        return lab.daemons().stream()
                .filter(daemon -> daemon.node().equals(node))
                .findFirst()
                .orElseThrow();
    }

    private void open(int count, Daemon director) throws IOException, Failure {
        try (NetworkNamespace client = lab.namespace(lab.client().name())) {
            while (connections.size() < count) {
                int until = Math.min(count, connections.size() + STRETCH);
                client.call(() -> {
                    while (connections.size() < until) {
                        connect();
                    }
                    return true;
                });
                greatestLag = Math.max(greatestLag, lag(director));
            }
        }
    }

    private void connect() throws IOException {
        Socket socket = new Socket();
        try {
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(PATIENCE_MILLIS);
            socket.connect(WEB, PATIENCE_MILLIS);
            socket.getOutputStream().write(QUESTION);
            connections.add(new Kept(socket, answer(socket)));
        } catch (IOException e) {
            socket.close();
            throw new IOException("connection " + connections.size() + ": " + e.getMessage(), e);
        }
    }

    /** What the server says, up to the page's end; {@code Content-Length} says where that is. */
    private String answer(Socket socket) throws IOException {
        InputStream in = socket.getInputStream();
        String text = "";
        for (int length = 0; length < buffer.length; ) {
            int more = in.read(buffer, length, buffer.length - length);
            if (more < 0) {
                throw new IOException("ended in the middle of an answer");
            }
            length += more;
            text = new String(buffer, 0, length, StandardCharsets.ISO_8859_1);
            int head = text.indexOf("\r\n\r\n");
            int field = text.indexOf("Content-Length: ");
            if (head > field && field > 0) {
                int from = field + "Content-Length: ".length();
                int size = Integer.parseInt(text, from, text.indexOf('\r', from), 10);
                if (length >= head + 4 + size) {
                    return text.substring(head + 4);
                }
            }
        }
        throw new IOException("an answer is too long: " + text);
    }

    /** Asks all, then waits for what their own servers answer: how many do not. */
    private int lost() {
        int lost = 0;
        List<Kept> asked = new ArrayList<>();
        for (Kept each : connections) {
            try {
                each.socket().getOutputStream().write(QUESTION);
                asked.add(each);
            } catch (IOException e) {
                lost++; // which is what is counted
            }
        }
        long until = System.nanoTime() + PATIENCE_MILLIS * 1_000_000L;
        for (Kept each : asked) {
            try {
                each.socket().setSoTimeout((int) Math.max(1, (until - System.nanoTime()) / 1_000_000));
                if (!answer(each.socket()).equals(each.server())) {
                    lost++;
                }
            } catch (IOException e) {
                lost++;
            }
        }
        return lost;
    }

    private static JsonObject sync(Daemon daemon) throws Failure {
        return Json.objects(Json.object(daemon.control().get("/v1/status"), "connectionSync"), "peers")
                .getFirst();
    }

    private static long lag(Daemon daemon) throws Failure {
        return Json.number(sync(daemon), "lagMillis");
    }

    private static boolean knows(Daemon teller, Daemon listener, int count) throws Failure {
        JsonObject told = sync(teller);
        return told.get("knowsAll").getAsBoolean()
                && Json.number(told, "told") >= count
                && Json.number(sync(listener), "taken") >= count;
    }

    private boolean isMaster(Daemon daemon) {
        Set<String> masters = new TreeSet<>();
        lab.roles().stream().filter(RouterRole::master).map(RouterRole::node).forEach(masters::add);
        return masters.equals(Set.of(daemon.node()));
    }

    private interface Condition {
        boolean holds() throws Failure;
    }

    private static void await(String otherwise, Condition condition) throws Failure, InterruptedException {
        long until = System.nanoTime() + PATIENCE_MILLIS * 1_000_000L;
        while (!condition.holds()) {
            if (System.nanoTime() > until) {
                throw Failure.failed(otherwise);
            }
            Thread.sleep(LOOK_MILLIS);
        }
    }

    @Override
    public void close() throws IOException {
        for (Kept each : connections) {
            each.socket().close();
        }
    }
}

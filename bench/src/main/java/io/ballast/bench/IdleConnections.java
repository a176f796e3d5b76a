package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.linux.Processes;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Connections through a proxy that say nothing, and what they cost it in memory. Each takes two descriptors in the
 * proxy, one here and one in the server, so where the limit on descriptors is low it is the proxy that meets it first.
 */
final class IdleConnections {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
    private static final int WANTED = 10_000;

    /** Descriptors that a proxy has beside its connections, and keeps in reserve. */
    private static final int OTHER_DESCRIPTORS = 200;

    /** What asks beside them whether the proxy still answers. */
    private static final int PROBES = 10;

    private static final int PATIENCE_MILLIS = 30_000;
    private static final int MOST_MIB = 200;

    private final int count;
    private final long limit;

    private IdleConnections(int count, long limit) {
        this.count = count;
        this.limit = limit;
    }

    /** 10,000, or as many as the limit on descriptors of one process lets a proxy have. */
    static IdleConnections asManyAsFit() throws IOException {
        long limit = Processes.fileLimit().hard();
        return new IdleConnections((int) Math.min(WANTED, (limit - OTHER_DESCRIPTORS) / 2), limit);
    }

    String name() {
        return Sample.number(count) + " idle connections";
    }

    /** The most connections that the peer is to allow. */
    int peerLimit() {
        return count + PROBES;
    }

    /**
     * Opens them through one proxy, closes them, and then through the other.
     *
     * @param when what the proxies did before, for people
     */
    void compare(Sheet sheet, String when, int ourPort, long ourPid, int peerPort, long peerPid)
            throws IOException, Failure, InterruptedException {
        double ourBefore = Programs.residentMiB(ourPid);
        double our = residentWithAll(ourPort, ourPid);
        double theirBefore = Programs.residentMiB(peerPid);
        double their = residentWithAll(peerPort, peerPid);
        sheet.add(Row.paired(
                name() + when,
                "MiB resident",
                new double[] {our},
                new double[] {their},
                null,
                Row.Target.atMost(MOST_MIB, "10,000 idle connections in under " + MOST_MIB + " MiB")));
        // All of it over all of them: what was resident before may or may not have had room for them.
        sheet.add(Row.paired(
                "the same, over their number",
                "KiB/connection",
                new double[] {our * 1024 / count},
                new double[] {their * 1024 / count},
                null,
                null));
        sheet.note("Resident before the idle connections: ours " + Sample.number(ourBefore) + " MiB, haproxy "
                + Sample.number(theirBefore) + " MiB.");
        if (count < WANTED) {
            sheet.note("A process may have " + limit + " descriptors here and a proxy needs two for a connection: "
                    + Sample.number(count) + " idle connections instead of " + Sample.number(WANTED) + ".");
        }
    }

    private double residentWithAll(int port, long pid) throws IOException, Failure {
        List<SocketChannel> channels = new ArrayList<>(count);
        try {
            for (int i = 0; i < count; i++) {
                channels.add(SocketChannel.open(new InetSocketAddress(LOOPBACK, port)));
            }
            // Connections are taken in their order: when one more is answered, all have been passed on.
            try (Socket probe = new Socket(LOOPBACK, port)) {
                probe.setSoTimeout(PATIENCE_MILLIS);
                probe.getOutputStream().write("GET /1k HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                if (probe.getInputStream().read() < 0) {
                    throw new IOException("ended without an answer");
                }
            }
            return Programs.residentMiB(pid);
        } catch (IOException e) {
            throw Failure.failed("port " + port + " with " + channels.size() + " idle connections: " + e.getMessage());
        } finally {
            for (SocketChannel channel : channels) {
                channel.close();
            }
        }
    }
}

package io.ballast.director;

import java.util.List;

/**
 * Counters of one service since the engine was first given it; they only grow, and outlive changes of the service.
 *
 * @param active connections that carry bytes now
 * @param queued connections that wait for a server below its limit
 * @param refused connections closed because no server could take them
 */
public record ServiceStatistics(
        String service,
        long connections,
        int active,
        int queued,
        long refused,
        long bytesIn,
        long bytesOut,
        List<ServerStatistics> servers) {

    /**
     * Counters of one server.
     *
     * @param server its name; the sorry server is called {@code sorry}
     * @param active established connections with both directions open (TCP), or live flows (UDP)
     * @param inactive connections with one direction closed
     * @param connections that it was ever given
     * @param failures connection attempts that it did not accept
     * @param bytesIn from clients to the server
     * @param bytesOut from the server to clients
     */
    public record ServerStatistics(
            String server, int active, int inactive, long connections, long failures, long bytesIn, long bytesOut) {}
}

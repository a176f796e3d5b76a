package io.ballast.director;

import java.util.List;
import java.util.Map;

/**
 * Counters of one service since the engine was first given it; they only grow, and outlive changes of the service.
 *
 * @param active connections that carry bytes now
 * @param queued connections that wait for a server below its limit
 * @param refused connections closed because no server could take them, or not taken because of a limit
 * @param refusals the latter by the name of the limit; empty where the engine has none
 */
public record ServiceStatistics(
        String service,
        long connections,
        int active,
        int queued,
        long refused,
        long bytesIn,
        long bytesOut,
        List<ServerStatistics> servers,
        Map<String, Long> refusals) {

    /** Of an engine without such limits. */
    public ServiceStatistics(
            String service,
            long connections,
            int active,
            int queued,
            long refused,
            long bytesIn,
            long bytesOut,
            List<ServerStatistics> servers) {
        this(service, connections, active, queued, refused, bytesIn, bytesOut, servers, Map.of());
    }

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

package io.ballast.director;

/**
 * One connection or flow as {@code ballast connections} shows it. What an engine does not keep of a connection is {@link
 * #UNKNOWN}.
 *
 * @param protocol {@code tcp} or {@code udp}
 * @param client address and port
 * @param listen the virtual service's endpoint
 * @param server the real server's name; empty where the connection waits for one
 * @param state the word of its {@link ConnectionFilter.Phase}, so that what is shown can be asked for
 * @param ageMillis since it began
 * @param idleMillis since its last byte
 */
public record ConnectionInfo(
        String service,
        String protocol,
        String client,
        String listen,
        String server,
        String state,
        long ageMillis,
        long idleMillis,
        long bytesIn,
        long bytesOut) {
    /** For what an engine does not keep. */
    public static final long UNKNOWN = -1;
}

package io.ballast.core.config;

/**
 * A host and a port as written: the host is a literal address, the name of a node in the description, or a name for
 * the resolver. The reader replaces node names by the node's address; what is left is resolved by the node when the
 * description is applied.
 *
 * @param port 0 to 65535; 0 where the protocol has no port (ICMP), where the service's port is meant, or of a server the
 *     port that each client asked for
 */
public record HostPort(String host, int port) {

    /** Host and port as one text, an IPv6 address in brackets. */
    public static String join(String host, int port) {
        return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + port;
    }

    @Override
    public String toString() {
        return port != 0 ? join(host, port) : host.indexOf(':') >= 0 ? "[" + host + "]" : host;
    }
}

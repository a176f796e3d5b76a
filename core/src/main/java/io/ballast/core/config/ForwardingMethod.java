package io.ballast.core.config;

import java.util.Locale;

/** How packets get from a director to a real server, and the answers back. */
public enum ForwardingMethod {
    /** The director ends the client's connection and opens another to the server. */
    PROXY,
    /**
     * Direct routing: the packet goes on as it is to the server's MAC address. The server has the service's address, on
     * an interface that answers no ARP, and answers the client itself.
     */
    DR,
    /** The packet travels inside another (IP in IP), so the server may be any number of routers away. As with {@link #DR}, it answers itself. */
    TUNNEL,
    /** The same inside UDP (Generic UDP Encapsulation, variant 1), which spreads over a network's parallel paths. */
    GUE,
    /** Destination NAT: answers come back through the director, which must be the servers' way to the clients. */
    NAT,
    /** The client's address is translated as well: answers come back wherever client and server are. */
    FULLNAT;

    /** The name in {@code ballast.yaml}. */
    public String yamlName() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Whether the server sees the port that the client asked for. */
    public boolean keepsPort() {
        return this == DR || this == TUNNEL || this == GUE;
    }
}

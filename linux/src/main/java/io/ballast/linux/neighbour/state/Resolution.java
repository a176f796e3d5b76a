package io.ballast.linux.neighbour.state;

import io.ballast.linux.netlink.MacAddress;
import java.net.InetAddress;
import org.jspecify.annotations.Nullable;

/** How a server's packets leave, or why they cannot. */
public sealed interface Resolution {
    /**
     * The way.
     *
     * @param link the number of the interface that they leave by
     * @param device its name
     * @param source its Ethernet address
     * @param destination the next hop's Ethernet address
     * @param mtu the longest packet on the way as far as known, in bytes, without the Ethernet header
     * @param sourceAddress what this host would send from, for outer headers of tunnels; null where the kernel names none
     * @param nextHop the server itself, or the router before it
     */
    record Hop(
            int link,
            String device,
            MacAddress source,
            MacAddress destination,
            int mtu,
            @Nullable InetAddress sourceAddress,
            InetAddress nextHop)
            implements Resolution {}

    /**
     * No way at present.
     *
     * @param detail the reason for a message to the user: which interface, which address, which error
     */
    record Unresolved(Reason reason, String detail) implements Resolution {}

    /** Why there is no way. */
    enum Reason {
        /** The kernel has not answered yet; what every server begins with. */
        RESOLVING,
        /** No route leads there. */
        NO_ROUTE,
        /** It is an address of this host. */
        OWN_ADDRESS,
        /** The interface is off, has no carrier, or is gone. */
        LINK_DOWN,
        /** The interface does not carry Ethernet frames. */
        NO_ETHERNET,
        /** The next hop does not answer when asked for its Ethernet address. */
        NO_ANSWER,
        /** The kernel refused to look after the next hop. */
        REFUSED
    }
}

package io.ballast.director.xdp;

import io.ballast.linux.netlink.MacAddress;

/**
 * The first step of the way to a real server.
 *
 * @param to the server's MAC address, or that of the router on the way
 * @param from the MAC address of the interface that it leaves by
 * @param interfaceIndex of that interface
 * @param mtu of that interface, in bytes
 */
record Hop(MacAddress to, MacAddress from, int interfaceIndex, int mtu) {
    /** To the director itself: its packets pass to the kernel, which gives them to whoever listens. */
    static final Hop HERE = new Hop(new MacAddress(0), new MacAddress(0), 0, 0);

    boolean isHere() {
        return interfaceIndex == 0;
    }
}

package io.ballast.director.xdp;

/**
 * The first step of the way to a real server.
 *
 * @param to the MAC address of the server or of the router on the way, in the lower 48 bits
 * @param from the MAC address of the interface that it leaves by, likewise
 * @param interfaceIndex of that interface
 * @param mtu of that interface, in bytes
 */
record Hop(long to, long from, int interfaceIndex, int mtu) {}

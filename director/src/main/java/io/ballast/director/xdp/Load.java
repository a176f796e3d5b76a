package io.ballast.director.xdp;

/**
 * What a server has and may have, as schedulers by load compare it.
 *
 * @param active connections that carry bytes
 * @param inactive connections that are being opened or closed
 * @param weight 0 takes no new connections
 * @param limit connections at a time, 0 for any number
 * @param turn among servers of the same load, the least goes first
 */
record Load(int active, int inactive, int weight, int limit, long turn) {}

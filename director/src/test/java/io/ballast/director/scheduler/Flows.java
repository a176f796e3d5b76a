package io.ballast.director.scheduler;

import java.net.InetAddress;
import java.net.UnknownHostException;

/** Connections for tests. */
final class Flows {

    private Flows() {}

    /** From client number {@code client} (10.0.0.0 + client) to 192.0.2.1. */
    static FlowKey from(int client) {
        return of(client, 40_000, 0);
    }

    /** To destination number {@code destination} (192.0.2.1 + destination). */
    static FlowKey to(int destination) {
        return of(1, 40_000, destination);
    }

    static FlowKey of(int client, int port, int destination) {
        return FlowKey.of(bytes(0x0a000000 + client), port, bytes(0xc0000201 + destination));
    }

    /** From an address in text form. */
    static FlowKey from(String client) {
        try {
            return FlowKey.of(InetAddress.getByName(client).getAddress(), 40_000, bytes(0xc0000201));
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(client, e);
        }
    }

    private static byte[] bytes(int ipv4) {
        return new byte[] {(byte) (ipv4 >>> 24), (byte) (ipv4 >>> 16), (byte) (ipv4 >>> 8), (byte) ipv4};
    }
}

package io.ballast.director.worker;

import io.ballast.core.config.HostPort;
import io.ballast.director.scheduler.FlowKey;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;

/** Addresses as the native calls give them, as {@link FlowKey} holds them, and as text. */
final class Addresses {
    /** The longest that accept writes: a length, 16 bytes of address, a scope and a port. */
    static final int ACCEPTED = 25;

    private static final int IPV4 = 8;

    private Addresses() {}

    /** Upper half of the client's address out of what accept has written: a length, address, (scope,) port. */
    static FlowKey flow(byte[] accepted, long destinationHigh, long destinationLow) {
        int length = accepted[0];
        int port = number(accepted, length - 3) & 0xffff;
        if (length == IPV4) {
            long low = 0xffff_0000_0000L | (number(accepted, 1) & 0xffff_ffffL);
            return new FlowKey(0, low, port, destinationHigh, destinationLow);
        }
        ByteBuffer bytes = ByteBuffer.wrap(accepted);
        return new FlowKey(bytes.getLong(1), bytes.getLong(9), port, destinationHigh, destinationLow);
    }

    private static int number(byte[] bytes, int at) {
        return (bytes[at] & 0xff) << 24
                | (bytes[at + 1] & 0xff) << 16
                | (bytes[at + 2] & 0xff) << 8
                | (bytes[at + 3] & 0xff);
    }

    static boolean isIpv4(long high, long low) {
        return high == 0 && low >>> 32 == 0xffff;
    }

    static InetAddress address(long high, long low) {
        byte[] bytes = isIpv4(high, low)
                ? ByteBuffer.allocate(4).putInt((int) low).array()
                : ByteBuffer.allocate(16).putLong(high).putLong(low).array();
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new IllegalStateException("4 or 16 bytes are an address", e);
        }
    }

    static String text(long high, long low, int port) {
        return HostPort.join(address(high, low).getHostAddress(), port);
    }
}

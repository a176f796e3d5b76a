package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.join;

import io.ballast.core.quic.QuicIds;
import java.util.Arrays;
import java.util.Optional;

/** Datagrams as clients of QUIC send them, as far as anybody may look into them, and the slow way to read their ID. */
final class QuicDatagrams {
    static final int INITIAL = 0;
    static final int ZERO_RTT = 1;
    static final int HANDSHAKE = 2;
    static final int VERSION_1 = 1;
    static final int VERSION_2 = 0x6b3343cf;

    private QuicDatagrams() {}

    /** RFC 9000 section 17.3.1: behind the ID, a packet number and something encrypted. */
    static byte[] shortHeader(byte[] id) {
        return join(new byte[] {0x41}, id, encrypted(21));
    }

    /** RFC 9000 section 17.2, with an ID of the client's. */
    static byte[] longHeader(int type, int version, byte[] id) {
        return longHeader(type, version, id.length, id);
    }

    static byte[] longHeader(int type, int version, int length, byte[] id) {
        return join(
                new byte[] {(byte) (0xc0 | type << 4)},
                Frames.shorts(version >>> 16, version & 0xffff),
                new byte[] {(byte) length},
                id,
                new byte[] {5, 9, 9, 9, 9, 9},
                encrypted(40));
    }

    private static byte[] encrypted(int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) 0x5e);
        return bytes;
    }

    /** The server's ID in a datagram, if it may have one. */
    static Optional<byte[]> serverId(byte[] datagram, QuicIds ids) {
        if (datagram.length < 21) {
            return Optional.empty();
        }
        if (datagram[0] >= 0) {
            return ids.serverId(Frames.tail(datagram, 1));
        }
        int length = datagram[5] & 0xff;
        boolean version = (datagram[1] | datagram[2] | datagram[3] | datagram[4]) != 0;
        return version && datagram.length >= 26 && datagram.length >= 6 + length
                ? ids.serverId(Arrays.copyOfRange(datagram, 6, 6 + length))
                : Optional.empty();
    }
}

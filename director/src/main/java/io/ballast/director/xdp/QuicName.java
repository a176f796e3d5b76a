package io.ballast.director.xdp;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * What names a server in connection IDs of QUIC, as layout.h has it.
 *
 * @param service its number
 * @param config number of the configuration that the ID is of
 * @param id of the server: an even number of hexadecimal digits, at most 30
 */
record QuicName(int service, int config, String id) {

    static QuicName of(MemorySegment key) {
        byte[] bytes = key.asSlice(Layout.QUIC_KEY_ID, Layout.QUIC_KEY_FORM - Layout.QUIC_KEY_ID)
                .toArray(ValueLayout.JAVA_BYTE);
        int form = key.get(ValueLayout.JAVA_BYTE, Layout.QUIC_KEY_FORM) & 0xff;
        return new QuicName(
                key.get(ValueLayout.JAVA_INT_UNALIGNED, Layout.QUIC_KEY_SERVICE),
                form >> 5,
                HexFormat.of().formatHex(Arrays.copyOf(bytes, Math.min(form & 0x1f, bytes.length))));
    }

    byte[] bytes() {
        byte[] bytes = HexFormat.of().parseHex(id);
        byte[] key = new byte[Layout.QUIC_KEY];
        MemorySegment.ofArray(key).set(ValueLayout.JAVA_INT_UNALIGNED, Layout.QUIC_KEY_SERVICE, service);
        System.arraycopy(bytes, 0, key, Layout.QUIC_KEY_ID, bytes.length);
        key[Layout.QUIC_KEY_FORM] = (byte) (config << 5 | bytes.length);
        return key;
    }
}

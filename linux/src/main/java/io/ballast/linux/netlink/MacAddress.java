package io.ballast.linux.netlink;

import java.util.HexFormat;

/**
 * An Ethernet address.
 *
 * @param bits its six bytes, the first on the wire uppermost of the lower 48
 */
public record MacAddress(long bits) {
    /** Bytes of one. */
    public static final int LENGTH = 6;

    private static final HexFormat COLONS = HexFormat.ofDelimiter(":");

    public MacAddress {
        if (bits >>> 48 != 0) {
            throw new IllegalArgumentException("more than 48 bits: " + Long.toHexString(bits));
        }
    }

    /** From six bytes in the order of the wire. */
    public static MacAddress of(byte[] bytes) {
        if (bytes.length != LENGTH) {
            throw new IllegalArgumentException("an Ethernet address has 6 bytes, not " + bytes.length);
        }
        long bits = 0;
        for (byte part : bytes) {
            bits = bits << 8 | Byte.toUnsignedLong(part);
        }
        return new MacAddress(bits);
    }

    /** From text such as {@code 02:00:5e:10:00:01}. */
    public static MacAddress parse(String text) {
        try {
            return of(COLONS.parseHex(text));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("not an Ethernet address: " + text, e);
        }
    }

    /** Six bytes in the order of the wire. */
    public byte[] bytes() {
        byte[] bytes = new byte[LENGTH];
        for (int i = 0; i < LENGTH; i++) {
            bytes[i] = (byte) (bits >>> (8 * (LENGTH - 1 - i)));
        }
        return bytes;
    }

    /** Two hexadecimal digits a byte, with colons between. */
    @Override
    public String toString() {
        return COLONS.formatHex(bytes());
    }
}

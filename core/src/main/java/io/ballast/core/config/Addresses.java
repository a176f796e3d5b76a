package io.ballast.core.config;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Optional;

/** Literal IP addresses. Nothing here ever asks a resolver, and IPv4 has one form only: four decimal numbers. */
public final class Addresses {
    private Addresses() {}

    /** The address that {@code text} is, or nothing; an IPv6 address without brackets and without a zone. */
    public static Optional<InetAddress> parse(String text) {
        byte[] bytes = new byte[4];
        if (parse4(text, bytes)) {
            return Optional.of(of(bytes));
        }
        if (text.indexOf(':') < 0 || text.length() > 45 || !text.chars().allMatch(Addresses::isIpv6Character)) {
            return Optional.empty();
        }
        try {
            return Optional.of(Inet6Address.ofLiteral(text));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** The address as RFC 5952 writes it: lower case, the longest run of zeros as {@code ::}, without a zone. */
    public static String print(InetAddress address) {
        byte[] bytes = address.getAddress();
        if (bytes.length == 4) {
            return address.getHostAddress();
        }
        int[] groups = new int[8];
        for (int i = 0; i < 8; i++) {
            groups[i] = (bytes[2 * i] & 255) << 8 | (bytes[2 * i + 1] & 255);
        }
        int runStart = -1;
        int runLength = 1;
        for (int i = 0; i < 8; i++) {
            int length = 0;
            while (i + length < 8 && groups[i + length] == 0) {
                length++;
            }
            if (length > runLength) {
                runStart = i;
                runLength = length;
            }
        }
        var text = new StringBuilder();
        for (int i = 0; i < 8; i++) {
            if (i == runStart) {
                text.append("::");
                i += runLength - 1;
            } else {
                boolean first = text.isEmpty() || text.charAt(text.length() - 1) == ':';
                text.append(first ? "" : ":").append(Integer.toHexString(groups[i]));
            }
        }
        return text.toString();
    }

    private static boolean isIpv6Character(int c) {
        return c == ':' || c == '.' || (c < 128 && Character.digit(c, 16) >= 0);
    }

    private static boolean parse4(String text, byte[] bytes) {
        int length = text.length();
        int at = 0;
        for (int part = 0; part < 4; part++) {
            int start = at;
            int value = 0;
            while (at < length && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
                value = value * 10 + text.charAt(at) - '0';
                at++;
                if (at - start > 3) {
                    return false;
                }
            }
            boolean leadingZero = at - start > 1 && text.charAt(start) == '0';
            boolean endsRight = part == 3 ? at == length : at < length && text.charAt(at) == '.';
            if (at == start || value > 255 || leadingZero || !endsRight) {
                return false;
            }
            bytes[part] = (byte) value;
            at++;
        }
        return true;
    }

    private static InetAddress of(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes);
        } catch (UnknownHostException e) {
            throw new AssertionError("4 bytes are an IPv4 address", e);
        }
    }
}

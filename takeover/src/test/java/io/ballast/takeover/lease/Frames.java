package io.ballast.takeover.lease;

import java.io.ByteArrayOutputStream;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.HexFormat;

/** Frames byte by byte, as far as the gate reads them: sums are not added up. */
final class Frames {
    static final String BROADCAST = "ffffffffffff";
    static final int ICMP = 1;
    static final int UDP = 17;
    static final int VRRP = 112;

    private Frames() {}

    static InetAddress address(String text) {
        return InetAddress.ofLiteral(text);
    }

    static byte[] hex(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    private static byte[] ethernet(String tags, String type, byte[] payload) {
        return join(hex("0200000000aa 020000000001" + tags + type), payload);
    }

    /** A frame around an IP packet or an ARP message, behind VLAN tags in hexadecimal digits. */
    static byte[] frame(String tags, byte[] payload) {
        String type = payload[0] >> 4 == 4 ? "0800" : payload[0] >> 4 == 6 ? "86dd" : "0806";
        return ethernet(tags, type, payload);
    }

    static byte[] frame(byte[] payload) {
        return frame("", payload);
    }

    /** One of another protocol. */
    static byte[] other(String type, byte[] payload) {
        return ethernet("", type, payload);
    }

    static byte[] arp(int operation, String sender, String target) {
        return join(
                hex("0001 0800 06 04 000" + operation + "020000000001"),
                address(sender).getAddress(),
                hex("000000000000"),
                address(target).getAddress());
    }

    /** An IPv4 packet; flags and offset of a fragment and options in hexadecimal digits. */
    static byte[] ip4(String from, String to, int protocol, String fragment, String options, byte[] payload) {
        byte[] rest = hex(options);
        int words = 5 + rest.length / 4;
        return join(
                new byte[] {(byte) (0x40 | words), 0, 0, (byte) (words * 4 + payload.length), 0, 7},
                hex(fragment),
                new byte[] {64, (byte) protocol, 0, 0},
                address(from).getAddress(),
                address(to).getAddress(),
                rest,
                payload);
    }

    static byte[] ip6(String from, String to, int next, byte[] payload) {
        return join(
                hex("60000000"),
                new byte[] {0, (byte) payload.length, (byte) next, (byte) 255},
                address(from).getAddress(),
                address(to).getAddress(),
                payload);
    }

    static byte[] ip(String from, String to, int protocol, byte[] payload) {
        return address(from) instanceof Inet4Address
                ? ip4(from, to, protocol, "4000", "", payload)
                : ip6(from, to, protocol, payload);
    }

    /** A neighbour solicitation (135) or advertisement (136), without options. */
    static byte[] discovery(int type, String target) {
        return join(
                new byte[] {(byte) type, 0, 0, 0, 0, 0, 0, 0}, address(target).getAddress());
    }
}

package io.ballast.director.xdp;

import java.io.ByteArrayOutputStream;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.HexFormat;

/** Frames byte by byte, with checksums added up the slow and obvious way (RFC 1071). */
final class Frames {
    static final byte[] ROUTER = HexFormat.of().parseHex("020000000001");
    static final byte[] DIRECTOR = HexFormat.of().parseHex("0200000000aa");

    static final int TCP = 6;
    static final int UDP = 17;
    static final int ICMP = 1;
    static final int ICMP6 = 58;

    static final int FIN = 1;
    static final int SYN = 2;
    static final int RST = 4;
    static final int ACK = 16;

    private Frames() {}

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    static byte[] hex(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }

    static byte[] shorts(int... values) {
        byte[] bytes = new byte[values.length * 2];
        for (int i = 0; i < values.length; i++) {
            bytes[2 * i] = (byte) (values[i] >> 8);
            bytes[2 * i + 1] = (byte) values[i];
        }
        return bytes;
    }

    static InetAddress address(String text) {
        return InetAddress.ofLiteral(text);
    }

    static int sum(byte[]... parts) {
        byte[] all = join(parts);
        long sum = 0;
        for (int i = 0; i < all.length; i += 2) {
            sum += ((all[i] & 0xff) << 8) | (i + 1 < all.length ? all[i + 1] & 0xff : 0);
        }
        while (sum > 0xffff) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (int) (~sum & 0xffff);
    }

    private static byte[] with(byte[] bytes, int at, int value) {
        byte[] copy = bytes.clone();
        copy[at] = (byte) (value >> 8);
        copy[at + 1] = (byte) value;
        return copy;
    }

    private static byte[] pseudo(InetAddress from, InetAddress to, int proto, int length) {
        return from instanceof Inet4Address
                ? join(from.getAddress(), to.getAddress(), shorts(proto, length))
                : join(from.getAddress(), to.getAddress(), shorts(0, length, 0, proto));
    }

    /** A TCP segment without options. */
    static byte[] tcp(InetAddress from, int fromPort, InetAddress to, int toPort, int flags, byte[] data) {
        byte[] segment =
                join(shorts(fromPort, toPort, 0x1234, 0x5678, 0x9abc, 0xdef0, 0x5000 | flags, 512, 0, 0), data);
        return with(segment, 16, sum(pseudo(from, to, TCP, segment.length), segment));
    }

    static byte[] udp(InetAddress from, int fromPort, InetAddress to, int toPort, byte[] data) {
        byte[] datagram = join(shorts(fromPort, toPort, 8 + data.length, 0), data);
        return with(datagram, 6, sum(pseudo(from, to, UDP, datagram.length), datagram));
    }

    /** An ICMP message; for ICMPv6 the addresses count in the sum. */
    static byte[] icmp(InetAddress from, InetAddress to, int type, int code, int rest, byte[] data) {
        byte[] message = join(new byte[] {(byte) type, (byte) code, 0, 0}, shorts(rest >>> 16, rest & 0xffff), data);
        return from instanceof Inet4Address
                ? with(message, 2, sum(message))
                : with(message, 2, sum(pseudo(from, to, ICMP6, message.length), message));
    }

    /** An IPv4 header; {@code fragment} are flags and offset. */
    static byte[] ip4(
            InetAddress from,
            InetAddress to,
            int proto,
            int tos,
            int id,
            int fragment,
            int ttl,
            byte[] options,
            int payload) {
        int words = 5 + options.length / 4;
        byte[] header = join(
                shorts(0x4000 | (words << 8) | tos, words * 4 + payload, id, fragment, (ttl << 8) | proto, 0),
                from.getAddress(),
                to.getAddress(),
                options);
        return with(header, 10, sum(header));
    }

    static byte[] ip6(InetAddress from, InetAddress to, int next, int tos, int hops, int payload) {
        return join(shorts(0x6000 | (tos << 4), 0, payload, (next << 8) | hops), from.getAddress(), to.getAddress());
    }

    /** An IP packet with default header fields around a payload. */
    static byte[] ip(InetAddress from, InetAddress to, int proto, byte[] payload) {
        return from instanceof Inet4Address
                ? join(ip4(from, to, proto, 0, 7, 0x4000, 63, new byte[0], payload.length), payload)
                : join(ip6(from, to, proto, 0, 63, payload.length), payload);
    }

    /** The same packet after one more router. */
    static byte[] hop(byte[] packet) {
        byte[] next = packet.clone();
        if (packet[0] >> 4 == 6) {
            next[7]--;
            return next;
        }
        next[8]--;
        int header = (packet[0] & 15) * 4;
        return join(
                with(first(with(next, 10, 0), header), 10, sum(first(with(next, 10, 0), header))), tail(next, header));
    }

    /** The same packet with a traffic class of its own. */
    static byte[] marked(byte[] packet) {
        byte[] next = packet.clone();
        if (packet[0] >> 4 == 6) {
            next[0] = 0x6b;
            next[1] = (byte) 0x80;
            return next;
        }
        next[1] = (byte) 0xb8;
        int header = (packet[0] & 15) * 4;
        return join(with(first(next, header), 10, sum(first(with(next, 10, 0), header))), tail(next, header));
    }

    static byte[] frame(byte[] to, byte[] from, byte[] packet) {
        return join(to, from, shorts(packet[0] >> 4 == 6 ? 0x86dd : 0x0800), packet);
    }

    static byte[] tagged(byte[] to, byte[] from, int[] tags, byte[] packet) {
        byte[] head = join(to, from);
        for (int i = 0; i < tags.length; i++) {
            head = join(head, shorts(i < tags.length - 1 ? 0x88a8 : 0x8100, tags[i]));
        }
        return join(head, shorts(packet[0] >> 4 == 6 ? 0x86dd : 0x0800), packet);
    }

    /** Where the packet begins in the frame: behind at most two VLAN tags. */
    static int l3(byte[] frame) {
        int at = 14;
        for (int tag = 0; tag < 2; tag++) {
            int type = (frame[at - 2] & 0xff) << 8 | (frame[at - 1] & 0xff);
            if (type == 0x8100 || type == 0x88a8) {
                at += 4;
            }
        }
        return at;
    }

    static byte[] tail(byte[] bytes, int at) {
        return Arrays.copyOfRange(bytes, at, bytes.length);
    }

    static byte[] first(byte[] bytes, int count) {
        return Arrays.copyOf(bytes, count);
    }
}

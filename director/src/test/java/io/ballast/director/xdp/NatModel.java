package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.join;

import java.net.InetAddress;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * NAT, said slowly: other addresses and ports in a packet or in the one that an ICMP error quotes, and what follows from
 * that for checksums. Those may have been wrong before and are wrong by as much afterwards (RFC 1624).
 */
final class NatModel {
    private static final int MAX_HEADER6 = 1024;

    /** Addresses and ports that a packet is to have. */
    record Ends(InetAddress from, int fromPort, InetAddress to, int toPort) {}

    /**
     * Where things are in a packet.
     *
     * @param length of the packet, which may be shorter than the frame
     * @param l4 where the header of TCP, UDP or ICMP begins
     * @param proto TCP or UDP, of the quoted packet in an error
     * @param keepFrom the sender stays
     */
    record Shape(
            boolean v6,
            int length,
            int l4,
            int proto,
            boolean error,
            boolean fragment,
            boolean follows,
            boolean keepFrom) {}

    private final byte[] packet;
    private final Shape shape;
    private final Ends ends;

    private NatModel(byte[] packet, Shape shape, Ends ends) {
        this.packet = packet.clone();
        this.shape = shape;
        this.ends = ends;
    }

    /** The packet as it should leave; null where it is the kernel's. */
    static byte @Nullable [] translated(byte[] packet, Shape shape, Ends ends) {
        NatModel model = new NatModel(packet, shape, ends);
        return model.translate() ? model.packet : null;
    }

    private int u16(int at) {
        return (packet[at] & 0xff) << 8 | (packet[at + 1] & 0xff);
    }

    private void put(int at, int value) {
        packet[at] = (byte) (value >> 8);
        packet[at + 1] = (byte) value;
    }

    /** One's complement sum of the words of both, folded. */
    private static int words(byte[] bytes, int from, int to) {
        long sum = 0;
        for (int at = from; at < to; at += 2) {
            sum += (bytes[at] & 0xff) << 8 | (at + 1 < to ? bytes[at + 1] & 0xff : 0);
        }
        return fold(sum);
    }

    private static int fold(long sum) {
        long folded = sum;
        while (folded > 0xffff) {
            folded = (folded & 0xffff) + (folded >> 16);
        }
        return (int) folded;
    }

    /** The checksum of something of which these bytes have changed. */
    private static int adjusted(int check, byte[] before, byte[] after) {
        long sum = ~check & 0xffff;
        for (int at = 0; at < before.length; at += 2) {
            sum += ~((before[at] & 0xff) << 8 | (before[at + 1] & 0xff)) & 0xffff;
            sum += (after[at] & 0xff) << 8 | (after[at + 1] & 0xff);
        }
        return ~fold(sum) & 0xffff;
    }

    private byte[] cut(int from, int to) {
        return Arrays.copyOfRange(packet, from, to);
    }

    private boolean translate() {
        int sources = shape.v6 ? 8 : 12;
        int width = shape.v6 ? 16 : 4;
        int ttl = shape.v6 ? 7 : 8;
        if (shape.length < shape.l4 + (shape.error ? 8 : 0)
                || (packet[ttl] & 0xff) <= 1
                || (shape.v6 && shape.l4 >= MAX_HEADER6)) {
            return false;
        }
        boolean begun = isBegun();
        byte[] header = cut(0, shape.v6 ? 40 : 20);
        byte[] addresses = cut(sources, sources + 2 * width);
        if (!shape.keepFrom) {
            System.arraycopy(ends.from.getAddress(), 0, packet, sources, width);
        }
        System.arraycopy(ends.to.getAddress(), 0, packet, sources + width, width);
        byte[] now = cut(sources, sources + 2 * width);
        packet[ttl]--;
        if (!shape.v6) {
            put(10, adjusted((header[10] & 0xff) << 8 | (header[11] & 0xff), without(header), without(cut(0, 20))));
        }
        if (shape.error) {
            return translateError(addresses, now);
        }
        if (!shape.follows) {
            translatePorts(shape.l4, packet.length, addresses, now, ends.fromPort, ends.toPort);
            if (begun) {
                complete();
            }
        }
        return true;
    }

    /** A header of IPv4 but for its checksum. */
    private static byte[] without(byte[] header) {
        byte[] rest = header.clone();
        rest[10] = 0;
        rest[11] = 0;
        return rest;
    }

    private void translatePorts(int at, int known, byte[] before, byte[] after, int first, int second) {
        int check = at + (shape.proto == Frames.TCP ? 16 : 6);
        byte[] ports = cut(at, at + 4);
        put(at, first);
        put(at + 2, second);
        if (check + 2 > known || (shape.proto == Frames.UDP && u16(check) == 0)) {
            return;
        }
        int sum = adjusted(u16(check), join(before, ports), join(after, cut(at, at + 4)));
        put(check, sum == 0 && shape.proto == Frames.UDP ? 0xffff : sum);
    }

    /** The quoted packet went the other way. */
    private boolean translateError(byte[] outerBefore, byte[] outerAfter) {
        int inner = shape.l4 + 8;
        int header = shape.v6 ? 40 : (packet[inner] & 15) * 4;
        int ports = inner + header;
        if (ports + 4 > shape.length) {
            return false;
        }
        byte[] before = packet.clone();
        int sources = inner + (shape.v6 ? 8 : 12);
        int width = shape.v6 ? 16 : 4;
        byte[] addresses = cut(sources, sources + 2 * width);
        System.arraycopy(ends.to.getAddress(), 0, packet, sources, width);
        System.arraycopy(ends.from.getAddress(), 0, packet, sources + width, width);
        byte[] now = cut(sources, sources + 2 * width);
        if (!shape.v6) {
            put(inner + 10, adjusted(u16(inner + 10), addresses, now));
        }
        translatePorts(ports, Math.min(shape.length, packet.length), addresses, now, ends.toPort, ends.fromPort);
        int end = packet.length - (packet.length - inner) % 2;
        byte[] quotedBefore = Arrays.copyOfRange(before, inner, end);
        byte[] quotedAfter = cut(inner, end);
        int check = u16(shape.l4 + 2);
        put(
                shape.l4 + 2,
                shape.v6
                        ? adjusted(check, join(outerBefore, quotedBefore), join(outerAfter, quotedAfter))
                        : adjusted(check, quotedBefore, quotedAfter));
        return true;
    }

    private int pseudo() {
        int addresses = shape.v6 ? words(packet, 8, 40) : words(packet, 12, 20);
        return fold((long) addresses + shape.proto + ((shape.length - shape.l4) & 0xffff));
    }

    private int checkAt() {
        return shape.l4 + (shape.proto == Frames.TCP ? 16 : 6);
    }

    /** Whether the sender's kernel has left the rest of the sum to somebody else. */
    private boolean isBegun() {
        return !shape.error
                && !shape.follows
                && !shape.fragment
                && packet.length >= 40
                && shape.l4 + 20 <= packet.length
                && u16(checkAt()) == pseudo();
    }

    private void complete() {
        put(checkAt(), 0);
        int sum = ~fold((long) pseudo() + words(packet, shape.l4, shape.length)) & 0xffff;
        put(checkAt(), sum == 0 && shape.proto == Frames.UDP ? 0xffff : sum);
    }
}

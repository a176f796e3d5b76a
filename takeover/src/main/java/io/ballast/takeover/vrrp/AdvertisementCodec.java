package io.ballast.takeover.vrrp;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Advertisements as they travel: the payload of IP protocol 112.
 *
 * <p>Version 3 over IPv4 has two checksums in use. RFC 9568 section 5.2.8 sums the message alone; keepalived, FRR and what
 * reads captures put the pseudo header of IPv4 in front, as the one of IPv6 is. Both are taken here, and which one is sent
 * is the caller's to say: a router that takes only one form would hear nothing, and there would be two masters.
 */
public final class AdvertisementCodec {
    /** IP protocol number. */
    public static final int PROTOCOL = 112;

    /** Of the IP header: routers lower it, so that one who sees 255 knows the sender is on the link. */
    public static final int TTL = 255;

    /** The longest one: version 3 with 255 addresses of IPv6, signed. */
    public static final int LONGEST = 8 + 255 * 16 + HmacTrailer.LENGTH;

    private static final int HEADER = 8;
    private static final int PASSWORD = 8;
    private static final int TYPE = 1;
    private static final int NONE = 0;
    private static final int SIMPLE = 1;
    private static final int HEADED = 2;

    /** What the checksum of version 3 over IPv4 counts. */
    public enum Checksum {
        /** The message alone: RFC 9568. */
        MESSAGE,
        /** The pseudo header of IPv4 as well: keepalived, FRR. */
        PSEUDO_HEADER
    }

    /** What a packet was. */
    public sealed interface Decoded {
        /**
         * An advertisement.
         *
         * @param checksum the form that its checksum has; of the others than version 3 over IPv4 the one that there is
         */
        record Good(Advertisement advertisement, Checksum checksum) implements Decoded {}

        /** Nothing to listen to. */
        record Bad(Discard why) implements Decoded {}
    }

    private AdvertisementCodec() {}

    /** Bytes of an advertisement of so many addresses. */
    public static int length(int version, int addresses, boolean ipv6) {
        return HEADER + addresses * (ipv6 ? 16 : 4) + (version == 2 ? PASSWORD : 0);
    }

    /** Bytes of a message by what it says; 0 where it is too short to. */
    static int length(byte[] message, boolean ipv4) {
        return message.length < HEADER ? 0 : length(message[0] >> 4 & 0xf, message[3] & 0xff, !ipv4);
    }

    /** Gives a message of IPv6 the checksum that it has with all that is behind it. */
    static void sum(byte[] message, InetAddress source, InetAddress destination) {
        ByteBuffer out = ByteBuffer.wrap(message).putShort(6, (short) 0);
        out.putShort(6, (short) ~sum(message, pseudo(source, destination, message.length)));
    }

    /**
     * Writes an advertisement.
     *
     * @param by version 2: up to eight bytes of the password are sent, in clear, where no header stands before it
     * @param source of the IP header; with destination it is part of the sum
     */
    public static byte[] encode(
            Advertisement ad, Authentication by, Checksum checksum, InetAddress source, InetAddress destination) {
        int width = ad.addresses().getFirst().getAddress().length;
        int length = length(ad.version(), ad.addresses().size(), width == 16);
        ByteBuffer out = ByteBuffer.allocate(length);
        out.put((byte) (ad.version() << 4 | TYPE))
                .put((byte) ad.routerId())
                .put((byte) ad.priority())
                .put((byte) ad.addresses().size());
        int interval = (int) (ad.interval() / Advertisement.unit(ad.version()));
        if (ad.version() == 2) {
            out.put((byte) kind(by)).put((byte) interval);
        } else {
            out.putShort((short) interval);
        }
        out.putShort((short) 0);
        ad.addresses().forEach(address -> out.put(address.getAddress()));
        if (ad.version() == 2) {
            out.put(padded(kind(by) == SIMPLE ? by.password() : ""));
        }
        boolean pseudo = ad.version() == 3 && (width != 4 || checksum == Checksum.PSEUDO_HEADER);
        out.putShort(6, (short) ~sum(out.array(), pseudo ? pseudo(source, destination, length) : 0));
        return out.array();
    }

    /**
     * Reads what came as protocol 112.
     *
     * @param message the payload, as long as the IP header says
     * @param trailer how much of it is behind the message, and has been judged ({@link HmacTrailer#judge})
     * @param ttl of the IP header; -1 where that says nothing, as among unicast peers
     * @param by as in {@link #encode}; a header has been judged before
     */
    public static Decoded decode(
            byte[] message, int trailer, int ttl, Authentication by, InetAddress source, InetAddress destination) {
        if (ttl != -1 && ttl != TTL) {
            return new Decoded.Bad(Discard.TTL);
        }
        if (message.length < HEADER) {
            return new Decoded.Bad(Discard.LENGTH);
        }
        ByteBuffer in = ByteBuffer.wrap(message);
        int version = in.get(0) >> 4 & 0xf;
        int width = source instanceof Inet4Address ? 4 : 16;
        if (version != 3 && (version != 2 || width != 4)) {
            return new Decoded.Bad(Discard.VERSION);
        }
        if ((in.get(0) & 0xf) != TYPE) {
            return new Decoded.Bad(Discard.TYPE);
        }
        int count = in.get(3) & 0xff;
        int length = length(version, count, width == 16);
        if (message.length != length + trailer) {
            boolean signed = trailer == 0 && message.length == length + HmacTrailer.LENGTH;
            return new Decoded.Bad(signed ? Discard.AUTHENTICATION_TYPE : Discard.LENGTH);
        }
        byte[] summed = width == 4 ? Arrays.copyOf(message, length) : message;
        Checksum checksum = Checksum.MESSAGE;
        boolean plain = sum(summed, 0) == 0xffff;
        if (version == 3 && (width == 16 || !plain)) {
            checksum = Checksum.PSEUDO_HEADER;
            plain = sum(summed, pseudo(source, destination, summed.length)) == 0xffff;
        }
        if (!plain) {
            return new Decoded.Bad(Discard.CHECKSUM);
        }
        int routerId = in.get(1) & 0xff;
        if (routerId == 0) {
            return new Decoded.Bad(Discard.ROUTER_ID);
        }
        if (count == 0) {
            return new Decoded.Bad(Discard.NO_ADDRESS);
        }
        // The upper four bits are reserved: RFC 9568 section 5.2.6.
        int interval = version == 2 ? in.get(5) & 0xff : in.getShort(4) & 0xfff;
        if (interval == 0) {
            return new Decoded.Bad(Discard.INTERVAL);
        }
        if (version == 2) {
            int kind = in.get(4) & 0xff;
            if (kind != kind(by)) {
                return new Decoded.Bad(Discard.AUTHENTICATION_TYPE);
            }
            byte[] sent = new byte[PASSWORD];
            in.get(length - PASSWORD, sent);
            if (kind == SIMPLE && !MessageDigest.isEqual(sent, padded(by.password()))) {
                return new Decoded.Bad(Discard.AUTHENTICATION);
            }
        }
        return new Decoded.Good(
                new Advertisement(
                        version,
                        routerId,
                        in.get(2) & 0xff,
                        interval * Advertisement.unit(version),
                        addresses(in, count, width)),
                checksum);
    }

    private static List<InetAddress> addresses(ByteBuffer in, int count, int width) {
        List<InetAddress> addresses = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            byte[] address = new byte[width];
            in.get(HEADER + i * width, address);
            try {
                // InetAddress would make an IPv4 address of ::ffff:192.0.2.1.
                addresses.add(
                        width == 4 ? InetAddress.getByAddress(address) : Inet6Address.getByAddress(null, address, -1));
            } catch (UnknownHostException e) {
                throw new IllegalStateException(width + " bytes are an address", e);
            }
        }
        return addresses;
    }

    /** RFC 2338 section 5.3.6. */
    private static int kind(Authentication by) {
        return by.header() ? HEADED : by.password().isEmpty() ? NONE : SIMPLE;
    }

    /** A password of version 2 as it is sent. */
    public static byte[] padded(String password) {
        byte[] all = password.getBytes(StandardCharsets.UTF_8);
        byte[] eight = new byte[PASSWORD];
        System.arraycopy(all, 0, eight, 0, Math.min(all.length, PASSWORD));
        return eight;
    }

    private static int pseudo(InetAddress source, InetAddress destination, int length) {
        int sum = PROTOCOL + length;
        for (InetAddress address : List.of(source, destination)) {
            sum += sum(address.getAddress(), 0);
        }
        return sum;
    }

    /** The ones' complement sum of sixteen-bit words (RFC 1071), from a beginning. */
    private static int sum(byte[] bytes, int beginning) {
        long sum = beginning;
        for (int i = 0; i < bytes.length; i += 2) {
            sum += (bytes[i] & 0xff) << 8 | (i + 1 < bytes.length ? bytes[i + 1] & 0xff : 0);
        }
        while (sum >> 16 != 0) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        return (int) sum;
    }
}

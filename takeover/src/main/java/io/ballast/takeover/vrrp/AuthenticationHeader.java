package io.ballast.takeover.vrrp;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * The authentication header of version 2 (RFC 2338 section 5.3.6.3, RFC 2402, RFC 2403) as keepalived has it: HMAC-MD5, of which
 * 12 bytes are sent, of the IP header, itself and the message. RFC 3768 gave it up, and MD5 is old; it is for neighbours that
 * know nothing else.
 *
 * <pre>
 *   0      112: what is behind it
 *   1..3   4, 0, 0: its length in words of four bytes, without two
 *   4..7   security parameters index: the sender's address
 *   8..11  sequence
 *   12..23 the code, with 12 bytes of 0 here; with 0 for the IP header's class, flags, fragment and sum
 * </pre>
 *
 * <p>The TTL of the IP header is 0 there (RFC 2402 section 3.3.3.1.1.1), but keepalived has the real one where it sends
 * multicast. That is sent here; both are accepted.
 *
 * <p>Sequences grow, and keepalived wants them to grow over all senders: it discards what is not above everything that it has
 * sent or heard. So the next one here is above all that was heard, and not below the seconds since 1970, so that a restart needs
 * no memory. What is accepted has to grow for each sender.
 *
 * <p>Not thread-safe. {@code now} and {@code at} are nanoseconds of one clock that never goes back.
 */
public final class AuthenticationHeader {
    /** IP protocol number. */
    public static final int PROTOCOL = 51;

    /** Its bytes. */
    public static final int LENGTH = 24;

    private static final int IP_HEADER = 20;

    /** What {@link #packet} puts before a message. */
    public static final int AROUND = IP_HEADER + LENGTH;

    private static final int WORDS = 4;
    private static final int SEQUENCE = 8;
    private static final int CODE = 12;
    private static final int CODE_LENGTH = 12;
    private static final byte CLASS = (byte) 0xc0;
    private static final int SENDERS = 64;

    private record Queued(long at, long sequence) {}

    private Mac mac;
    private final ArrayDeque<Queued> ahead = new ArrayDeque<>();
    private long last;
    private final Map<InetAddress, Long> heard = new HashMap<>();

    public AuthenticationHeader(String password) {
        mac = mac(password);
    }

    /** From now on with this password. */
    public void configure(String password) {
        mac = mac(password);
    }

    private static Mac mac(String password) {
        try {
            Mac mac = Mac.getInstance("HmacMD5");
            mac.init(new SecretKeySpec(AdvertisementCodec.padded(password), "HmacMD5"));
            return mac;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has HmacMD5", e);
        }
    }

    /** The sequence of what is sent then; the seconds since 1970 are those of that moment. */
    public long next(long at, long now, long seconds) {
        settle(now);
        long before = ahead.isEmpty() ? last : Math.max(last, ahead.getLast().sequence());
        long sequence = Math.max(before + 1, seconds);
        ahead.add(new Queued(at, sequence));
        return sequence;
    }

    /** What was to be sent later than now is not. */
    public void takeBack(long now) {
        settle(now);
        ahead.clear();
    }

    private void settle(long now) {
        while (!ahead.isEmpty() && ahead.getFirst().at() <= now) {
            last = Math.max(last, ahead.removeFirst().sequence());
        }
    }

    /** The whole IP packet around a message; its sum is left to the kernel. */
    public byte[] packet(byte[] message, long sequence, InetAddress source, InetAddress destination) {
        int id = (int) (sequence & 0xffff);
        ByteBuffer out = ByteBuffer.allocate(IP_HEADER + LENGTH + message.length)
                .put((byte) 0x45)
                .put(CLASS)
                .putShort((short) (IP_HEADER + LENGTH + message.length))
                .putShort((short) (id == 0 ? 1 : id)) // the kernel would take another for 0
                .putShort((short) 0)
                .put((byte) AdvertisementCodec.TTL)
                .put((byte) PROTOCOL)
                .putShort((short) 0)
                .put(source.getAddress())
                .put(destination.getAddress())
                .put((byte) AdvertisementCodec.PROTOCOL)
                .put((byte) WORDS)
                .putShort((short) 0)
                .put(source.getAddress())
                .putInt((int) sequence)
                .put(new byte[CODE_LENGTH])
                .put(message);
        byte[] code = code(
                Arrays.copyOf(out.array(), IP_HEADER),
                Arrays.copyOfRange(out.array(), IP_HEADER, out.limit()),
                destination.isMulticastAddress());
        out.put(IP_HEADER + CODE, code, 0, CODE_LENGTH);
        return out.array();
    }

    private byte[] code(byte[] ip, byte[] payload, boolean withTtl) {
        byte[] fixed = ip.clone();
        fixed[1] = 0;
        fixed[6] = 0;
        fixed[7] = 0;
        fixed[10] = 0;
        fixed[11] = 0;
        if (!withTtl) {
            fixed[8] = 0;
        }
        mac.update(fixed);
        mac.update(payload, 0, CODE);
        mac.update(new byte[CODE_LENGTH]);
        mac.update(payload, LENGTH, payload.length - LENGTH);
        return Arrays.copyOf(mac.doFinal(), CODE_LENGTH);
    }

    /** The message behind a header; empty where there is none of VRRP. */
    public static byte[] message(byte[] payload) {
        boolean has = payload.length >= LENGTH
                && payload[0] == AdvertisementCodec.PROTOCOL
                && payload[1] == WORDS
                && payload[2] == 0
                && payload[3] == 0;
        return has ? Arrays.copyOfRange(payload, LENGTH, payload.length) : new byte[0];
    }

    /**
     * Judges what came as protocol 51, before anything else of it is believed.
     *
     * @param ip its IP header
     * @return why it is not to be listened to; nothing where it is right
     */
    public Optional<Discard> judge(byte[] ip, byte[] payload, InetAddress source) {
        if (message(payload).length == 0 || !(source instanceof Inet4Address)) {
            return Optional.of(Discard.HEADER);
        }
        byte[] code = Arrays.copyOfRange(payload, CODE, CODE + CODE_LENGTH);
        boolean right = MessageDigest.isEqual(code, code(ip, payload, true))
                || MessageDigest.isEqual(code, code(ip, payload, false));
        if (!right || !Arrays.equals(payload, 4, 8, source.getAddress(), 0, 4)) {
            return Optional.of(Discard.AUTHENTICATION);
        }
        long sequence = Integer.toUnsignedLong(ByteBuffer.wrap(payload).getInt(SEQUENCE));
        if (sequence <= heard.getOrDefault(source, -1L)) {
            return Optional.of(Discard.REPLAYED);
        }
        if (heard.containsKey(source) || heard.size() < SENDERS) {
            heard.put(source, sequence);
        }
        last = Math.max(last, sequence);
        return Optional.empty();
    }
}

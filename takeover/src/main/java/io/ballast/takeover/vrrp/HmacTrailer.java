package io.ballast.takeover.vrrp;

import io.ballast.takeover.vrrp.Authentication.Hmac;
import io.ballast.takeover.vrrp.Authentication.Mode;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Signs advertisements, and judges those of others: 28 bytes behind the message, as keepalived sends them from version 2.4
 * on (draft-cassen-vrrp-auth-hmac).
 *
 * <pre>
 *   0      type: 1, HMAC-SHA256 of which 16 bytes are sent
 *   1      number of the key
 *   2..3   0
 *   4..11  sequence: seconds since 1970, 1/65536 seconds, and a counter, of 4, 2 and 2 bytes
 *   12..27 the first half of the HMAC over
 *            family (4 or 6), version, router-id, 0, and the sender's address, with IPv4 12 bytes of 0 behind it;
 *            the message with a checksum of 0; the trailer with 16 bytes of 0 here
 * </pre>
 *
 * <p>The destination is no part of it, so that every peer gets the same. The checksum of IPv4 is the message's alone; that
 * of IPv6 counts the trailer, as the kernel of keepalived's makes it.
 *
 * <p>Against replay, a receiver remembers of each sender the last sequence, which has to grow. It is the time at which the
 * advertisement is sent, so that a sender that restarts needs to remember nothing, and a receiver that does ({@link
 * Hmac#fresh}) believes nothing that is older than a few seconds. Advertisements are signed ahead of time here, for the
 * moment at which the kernel sends them; what is taken back before that has not been used.
 *
 * <p>Not thread-safe. Times are nanoseconds: {@code now} and {@code at} of one clock that never goes back, {@code utc} since
 * 1970.
 */
public final class HmacTrailer {
    /** Bytes behind the message. */
    public static final int LENGTH = 28;

    private static final int TYPE = 1;
    private static final int SEQUENCE = 4;
    private static final int CODE = 12;
    private static final int CODE_LENGTH = 16;
    private static final int CHECKSUM = 6;
    private static final int PSEUDO = 20;
    private static final long NANOS = 1_000_000_000L;

    /** Only who knows a key gets in, so a few are enough. */
    private static final int SENDERS = 64;

    /** When what was signed is sent. */
    private record Signed(long at, long sequence) {}

    private Hmac hmac;
    private final Map<Integer, Mac> codes = new HashMap<>();
    private final ArrayDeque<Signed> ahead = new ArrayDeque<>();
    private long sent;
    private boolean anySent;
    private final Map<InetAddress, Long> heard = new LinkedHashMap<>(16, 0.75f, true);

    public HmacTrailer(Hmac hmac) {
        this.hmac = hmac;
    }

    /** From now on with these keys; what is remembered of senders stays. */
    public void configure(Hmac other) {
        if (!other.equals(hmac)) {
            hmac = other;
            codes.clear();
        }
    }

    /** Whether {@link #sign} is to be called for what is sent. */
    public boolean signs() {
        return hmac.mode() != Mode.RECEIVE_ONLY;
    }

    // ---- Sending

    /**
     * The sequence of an advertisement.
     *
     * @param at when it is sent
     * @param utc at that moment
     */
    public long next(long at, long now, long utc) {
        settle(now);
        Signed last = ahead.peekLast();
        boolean any = anySent || last != null;
        long before = last == null ? sent : last.sequence();
        long clock = sequence(utc);
        long tooFar = (before >>> 32) - (clock >>> 32) - hmac.window();
        // A clock that was set back: receivers that look at it believe nothing of what would only count on.
        boolean restart = hmac.fresh() && tooFar > 0;
        long sequence = !any || clock - before > 0 || restart ? clock : before + 1;
        ahead.add(new Signed(at, sequence));
        return sequence;
    }

    /** What was to be sent later than now is not. */
    public void takeBack(long now) {
        settle(now);
        ahead.clear();
    }

    private void settle(long now) {
        for (Iterator<Signed> i = ahead.iterator(); i.hasNext(); ) {
            Signed signed = i.next();
            if (signed.at() > now) {
                break;
            }
            sent = signed.sequence();
            anySent = true;
            i.remove();
        }
    }

    static long sequence(long utc) {
        long fraction = ((utc % NANOS) << 16) / NANOS;
        return ((utc / NANOS) << 32) | (fraction << 16);
    }

    /** The message with a signature of the first key behind it, and the checksum that it has then. */
    public byte[] sign(byte[] message, long sequence, InetAddress source, InetAddress destination) {
        Authentication.Key key = hmac.keys().getFirst();
        ByteBuffer out = ByteBuffer.allocate(message.length + LENGTH);
        out.put(message)
                .put((byte) TYPE)
                .put((byte) key.id())
                .putShort((short) 0)
                .putLong(sequence);
        out.put(code(key, out.array(), source), 0, CODE_LENGTH);
        if (!(source instanceof Inet4Address)) {
            AdvertisementCodec.sum(out.array(), source, destination);
        }
        return out.array();
    }

    /** Over a message and its trailer. */
    private byte[] code(Authentication.Key key, byte[] packet, InetAddress source) {
        byte[] address = source.getAddress();
        byte[] pseudo = new byte[PSEUDO];
        pseudo[0] = (byte) (address.length == 4 ? 4 : 6);
        pseudo[1] = (byte) (packet[0] >> 4 & 0xf);
        pseudo[2] = packet[1];
        System.arraycopy(address, 0, pseudo, 4, address.length);
        Mac mac = codes.computeIfAbsent(key.id(), _ -> mac(key));
        mac.update(pseudo);
        mac.update(packet, 0, CHECKSUM);
        mac.update(new byte[2]);
        mac.update(packet, CHECKSUM + 2, packet.length - CODE_LENGTH - CHECKSUM - 2);
        mac.update(new byte[CODE_LENGTH]);
        return mac.doFinal();
    }

    private static Mac mac(Authentication.Key key) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key.secret(), "HmacSHA256"));
            return mac;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has HmacSHA256", e);
        }
    }

    // ---- Receiving

    /** Whether there is something behind the message that has a trailer's length. */
    public static boolean isBehind(byte[] packet, InetAddress source) {
        return packet.length == AdvertisementCodec.length(packet, source instanceof Inet4Address) + LENGTH;
    }

    /**
     * Judges what came, before anything else of it is believed.
     *
     * @return why it is not to be listened to; nothing where it is signed rightly, or may be without a signature
     */
    public Optional<Discard> judge(byte[] packet, InetAddress source, long utc) {
        if (!isBehind(packet, source)) {
            return hmac.mode() == Mode.ENFORCE ? Optional.of(Discard.UNSIGNED) : Optional.empty();
        }
        ByteBuffer trailer =
                ByteBuffer.wrap(packet, packet.length - LENGTH, LENGTH).slice();
        if (trailer.get(0) != TYPE || trailer.getShort(2) != 0) {
            return Optional.of(Discard.SIGNATURE_TYPE);
        }
        long sequence = trailer.getLong(SEQUENCE);
        // Before the code is worked out, which costs more.
        if (hmac.fresh() && !isNear(sequence, utc)) {
            return Optional.of(Discard.STALE);
        }
        Optional<Authentication.Key> key = hmac.key(trailer.get(1) & 0xff);
        if (key.isEmpty()) {
            return Optional.of(Discard.UNKNOWN_KEY);
        }
        byte[] code = new byte[CODE_LENGTH];
        trailer.get(CODE, code);
        ByteBuffer expected = ByteBuffer.wrap(code(key.get(), packet, source), 0, CODE_LENGTH);
        byte[] right = new byte[CODE_LENGTH];
        expected.get(right);
        if (!MessageDigest.isEqual(code, right)) {
            return Optional.of(Discard.SIGNATURE);
        }
        Long last = heard.get(source);
        boolean counts = last != null && (!hmac.fresh() || isNear(last, utc));
        if (counts && last != null && sequence - last <= 0) {
            return Optional.of(Discard.REPLAYED);
        }
        if (last == null && heard.size() == SENDERS) {
            heard.remove(heard.keySet().iterator().next());
        }
        heard.put(source, sequence);
        return Optional.empty();
    }

    private boolean isNear(long sequence, long utc) {
        // Seconds of 32 bits, which begin anew in 2106.
        int age = (int) (utc / NANOS) - (int) (sequence >>> 32);
        return age <= hmac.window() && age >= -hmac.window();
    }
}

package io.ballast.director.sync;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What shows that messages are the peer's, whole, of this connection, and in their order. Both sides send a random number
 * first, and both numbers, both names and the common secret make the key of the connection, of which each direction has
 * its own half. So nothing of another connection or the other direction is any good in this one, and a counter that is
 * part of what is authenticated does the rest: there is no window in which a message could be repeated.
 *
 * <p>HMAC-SHA256 (RFC 2104), cut to 16 bytes. Nothing is hidden from who listens on the wire.
 */
final class Seal {
    static final int BYTES = 16;
    static final int NONCE = 32;

    private static final String HMAC = "HmacSHA256";

    private final Mac mac;
    private long counter;

    private Seal(byte[] key) {
        mac = mac(key);
    }

    /**
     * The seal of one direction.
     *
     * @param secret that both have
     * @param caller what the caller sent at first
     * @param called what the called one did
     * @param ofCaller whether it is of what the caller sends
     */
    static Seal of(byte[] secret, Hello caller, Hello called, boolean ofCaller) {
        Mac connection = mac(secret);
        connection.update("ballast connections".getBytes(StandardCharsets.US_ASCII));
        connection.update(caller.bytes());
        connection.update(called.bytes());
        Mac direction = mac(connection.doFinal());
        return new Seal(direction.doFinal((ofCaller ? "caller" : "called").getBytes(StandardCharsets.US_ASCII)));
    }

    /** A number that all who have the secret know, and nobody else; it tells nothing of the secret. */
    static long common(byte[] secret) {
        return ByteBuffer.wrap(mac(secret).doFinal("ballast hash".getBytes(StandardCharsets.US_ASCII)))
                .getLong();
    }

    private static Mac mac(byte[] key) {
        try {
            Mac mac = Mac.getInstance(HMAC);
            mac.init(new SecretKeySpec(key, HMAC));
            return mac;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has " + HMAC, e);
        }
    }

    /** The message with its seal behind it. */
    byte[] seal(byte[] message) {
        byte[] sealed = Arrays.copyOf(message, message.length + BYTES);
        System.arraycopy(next(message), 0, sealed, message.length, BYTES);
        return sealed;
    }

    /** The message without its seal; empty where that is not right. Nothing that follows can be right then. */
    byte[] open(byte[] sealed) {
        if (sealed.length <= BYTES) {
            return new byte[0];
        }
        byte[] message = Arrays.copyOf(sealed, sealed.length - BYTES);
        byte[] wanted = Arrays.copyOf(next(message), BYTES);
        byte[] found = Arrays.copyOfRange(sealed, message.length, sealed.length);
        return MessageDigest.isEqual(wanted, found) ? message : new byte[0];
    }

    private byte[] next(byte[] message) {
        mac.update(ByteBuffer.allocate(Long.BYTES).putLong(counter++).array());
        return mac.doFinal(message);
    }
}

package io.ballast.core.quic;

import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Optional;
import javax.crypto.Cipher;
import javax.crypto.spec.SecretKeySpec;

/**
 * Connection IDs of QUIC that tell whose they are, so that a director finds the server of a connection whatever address
 * its client has by now (draft-ietf-quic-load-balancers-21): a server makes all its IDs by one of these.
 *
 * <p>An ID is a first byte (three bits of the configuration's number and five of the length of what follows), the
 * server's ID and a nonce. With a key, the last two are encrypted together: in one pass of AES-128 where they are 16
 * bytes, else by a Feistel network of four passes. Without one, everybody on the way sees which IDs are of one server.
 *
 * <p>Pure, immutable and for any number of threads.
 */
public final class QuicIds {
    /** A configuration of this number does not exist: a server that has none begins its IDs so. */
    public static final int UNROUTABLE = 7;

    /** Bytes of a connection ID at most, in QUIC version 1 (RFC 9000 section 17.2). */
    public static final int MAX_LENGTH = 20;

    /** Bytes of a nonce at least. */
    public static final int MIN_NONCE = 4;

    private static final int BLOCK = 16;

    private final int config;
    private final int serverIdLength;
    private final int nonceLength;
    private final Optional<SecretKeySpec> key;

    private QuicIds(int config, int serverIdLength, int nonceLength, Optional<SecretKeySpec> key) {
        if (config < 0 || config >= UNROUTABLE) {
            throw new IllegalArgumentException("configuration " + config + ": there are 0 to 6");
        }
        if (serverIdLength < 1 || nonceLength < MIN_NONCE || 1 + serverIdLength + nonceLength > MAX_LENGTH) {
            throw new IllegalArgumentException("IDs of servers of " + serverIdLength + " bytes with a nonce of "
                    + nonceLength + ": the first needs at least 1 and the second at least " + MIN_NONCE
                    + ", and both have room for " + (MAX_LENGTH - 1));
        }
        this.config = config;
        this.serverIdLength = serverIdLength;
        this.nonceLength = nonceLength;
        this.key = key;
    }

    /**
     * IDs that anybody can read.
     *
     * @param config its number, 0 to 6
     * @param serverIdLength bytes of a server's ID, at least 1
     * @param nonceLength bytes of a nonce, at least 4; both together at most 19
     */
    public static QuicIds plain(int config, int serverIdLength, int nonceLength) {
        return new QuicIds(config, serverIdLength, nonceLength, Optional.empty());
    }

    /** IDs that need a key of 16 bytes to be read; the other arguments are those of {@link #plain}. */
    public static QuicIds encrypted(int config, int serverIdLength, int nonceLength, byte[] key) {
        if (key.length != BLOCK) {
            throw new IllegalArgumentException("a key of " + key.length + " bytes: AES-128 needs " + BLOCK);
        }
        return new QuicIds(config, serverIdLength, nonceLength, Optional.of(new SecretKeySpec(key, "AES")));
    }

    /** Bytes of a connection ID. */
    public int length() {
        return 1 + serverIdLength + nonceLength;
    }

    /**
     * Makes the ID of a connection.
     *
     * @param nonce not used before with this configuration; without a key it must look random
     */
    public byte[] make(byte[] serverId, byte[] nonce) {
        if (serverId.length != serverIdLength || nonce.length != nonceLength) {
            throw new IllegalArgumentException("server ID of " + serverId.length + " bytes and nonce of " + nonce.length
                    + ", not " + serverIdLength + " and " + nonceLength);
        }
        byte[] block = Arrays.copyOf(serverId, serverIdLength + nonceLength);
        System.arraycopy(nonce, 0, block, serverIdLength, nonceLength);
        byte[] hidden = key.map(k -> block.length == BLOCK ? pass(k, Cipher.ENCRYPT_MODE, block) : encrypt(k, block))
                .orElse(block);
        byte[] id = new byte[length()];
        id[0] = (byte) (config << 5 | block.length);
        System.arraycopy(hidden, 0, id, 1, hidden.length);
        return id;
    }

    /** The server's ID in the ID of a connection; empty where that is of another configuration, or too short. */
    public Optional<byte[]> serverId(byte[] connectionId) {
        if (connectionId.length < length() || (connectionId[0] & 0xff) >> 5 != config) {
            return Optional.empty();
        }
        byte[] hidden = Arrays.copyOfRange(connectionId, 1, length());
        byte[] block = key.map(k -> hidden.length == BLOCK ? pass(k, Cipher.DECRYPT_MODE, hidden) : decrypt(k, hidden))
                .orElse(hidden);
        return Optional.of(Arrays.copyOf(block, serverIdLength));
    }

    // ---- The Feistel network of section 5.4.2: the halves of an odd number of bytes share the one in the middle.

    private static byte[] encrypt(SecretKeySpec key, byte[] block) {
        byte[] left = left(block);
        byte[] right = right(block);
        right = next(key, block.length, 1, left, right, true);
        left = next(key, block.length, 2, right, left, false);
        right = next(key, block.length, 3, left, right, true);
        left = next(key, block.length, 4, right, left, false);
        return joined(block.length, left, right);
    }

    private static byte[] decrypt(SecretKeySpec key, byte[] block) {
        byte[] left = left(block);
        byte[] right = right(block);
        left = next(key, block.length, 4, right, left, false);
        right = next(key, block.length, 3, left, right, true);
        left = next(key, block.length, 2, right, left, false);
        right = next(key, block.length, 1, left, right, true);
        return joined(block.length, left, right);
    }

    private static byte[] left(byte[] block) {
        byte[] left = Arrays.copyOf(block, Math.ceilDiv(block.length, 2));
        return cleared(left, block.length, false);
    }

    private static byte[] right(byte[] block) {
        byte[] right = Arrays.copyOfRange(block, block.length / 2, block.length);
        return cleared(right, block.length, true);
    }

    private static byte[] cleared(byte[] half, int length, boolean first) {
        if (length % 2 != 0) {
            int at = first ? 0 : half.length - 1;
            half[at] &= (byte) (first ? 0x0f : 0xf0);
        }
        return half;
    }

    private static byte[] next(SecretKeySpec key, int length, int pass, byte[] from, byte[] half, boolean isRight) {
        byte[] expanded = Arrays.copyOf(from, BLOCK);
        expanded[BLOCK - 2] = (byte) length;
        expanded[BLOCK - 1] = (byte) pass;
        byte[] mask = pass(key, Cipher.ENCRYPT_MODE, expanded);
        byte[] next = half.clone();
        for (int i = 0; i < next.length; i++) {
            next[i] ^= mask[i];
        }
        return cleared(next, length, isRight);
    }

    private static byte[] joined(int length, byte[] left, byte[] right) {
        byte[] block = Arrays.copyOf(left, length);
        int at = length / 2;
        byte middle = length % 2 == 0 ? 0 : left[left.length - 1];
        System.arraycopy(right, 0, block, at, right.length);
        block[at] |= middle;
        return block;
    }

    private static byte[] pass(SecretKeySpec key, int mode, byte[] block) {
        try {
            // A block at a time is all there is, so that no mode of chaining could be safer.
            Cipher cipher = Cipher.getInstance("AES/ECB/NoPadding");
            cipher.init(mode, key);
            return cipher.doFinal(block);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("AES-128 of this JVM", e);
        }
    }

    /** Without the key. */
    @Override
    public String toString() {
        return "configuration " + config + ", server IDs of " + serverIdLength + " bytes, nonces of " + nonceLength
                + (key.isPresent() ? ", encrypted" : "");
    }

    /** An ID in hexadecimal digits, as the description and logs have it. */
    public static String print(byte[] id) {
        return HexFormat.of().formatHex(id);
    }
}

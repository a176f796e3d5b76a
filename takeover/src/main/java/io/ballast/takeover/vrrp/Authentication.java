package io.ballast.takeover.vrrp;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * By what nodes of a virtual router know each other.
 *
 * @param password of version 2, sent in clear or, with the header, the key of that; empty for none
 * @param header whether an authentication header stands before advertisements of version 2 ({@link AuthenticationHeader})
 * @param hmac what signs advertisements, where something does
 */
public record Authentication(String password, boolean header, Optional<Hmac> hmac) {
    /** Everybody on the network is believed. */
    public static final Authentication NONE = new Authentication("", false, Optional.empty());

    /** With a password of version 2. */
    public static Authentication password(String password) {
        return new Authentication(password, false, Optional.empty());
    }

    /** With the authentication header of version 2. */
    public static Authentication header(String password) {
        return new Authentication(password, true, Optional.empty());
    }

    /** With signatures. */
    public static Authentication of(Hmac hmac) {
        return new Authentication("", false, Optional.of(hmac));
    }

    /** Whether what is not signed is not accepted. */
    public boolean refusesUnsigned() {
        return hmac.filter(each -> each.mode() == Mode.ENFORCE).isPresent();
    }

    /** Says nothing of what is secret. */
    @Override
    public String toString() {
        return "Authentication[password=" + (password.isEmpty() ? "none" : "...") + ", header=" + header + ", hmac="
                + hmac.map(Hmac::toString).orElse("none") + "]";
    }

    /**
     * HMAC-SHA256 behind each advertisement, as keepalived has it from version 2.4 on ({@link HmacTrailer}).
     *
     * @param keys the first one signs, all are accepted
     * @param mode what is sent, and what is accepted without a signature
     * @param fresh whether what was signed more than the window ago, or ahead, is refused: clocks have to agree. Else only
     *     what is no newer than the sender's last one is
     * @param window in seconds, 1 to 300
     */
    public record Hmac(List<Key> keys, Mode mode, boolean fresh, int window) {
        public Hmac {
            keys = List.copyOf(keys);
            if (keys.isEmpty()
                    || keys.size() != keys.stream().map(Key::id).distinct().count()) {
                throw new IllegalArgumentException("keys " + keys + ": at least one, each of its own number");
            }
            if (window < 1 || window > 300) {
                throw new IllegalArgumentException("window of " + window + " s: from 1 to 300");
            }
        }

        Optional<Key> key(int id) {
            return keys.stream().filter(key -> key.id() == id).findFirst();
        }
    }

    /** How far signatures are in use; a group of nodes goes from none to the last by way of the others. */
    public enum Mode {
        /** Nothing is signed; what is signed has to be so rightly. */
        RECEIVE_ONLY,
        /** Everything is signed; what others do not sign is accepted. */
        PERMISSIVE,
        /** Only what is signed is accepted. */
        ENFORCE
    }

    /**
     * A secret that nodes share.
     *
     * @param id 1 to 255, by which receivers know which one it is
     * @param secret 32 to 64 bytes
     */
    @SuppressWarnings("ArrayRecordComponent")
    public record Key(int id, byte[] secret) {
        /** Fewer bytes could be guessed. */
        public static final int SHORTEST = 32;

        /** More add nothing. */
        public static final int LONGEST = 64;

        public Key {
            secret = secret.clone();
            if (id < 1 || id > 255) {
                throw new IllegalArgumentException("key " + id + ": from 1 to 255");
            }
            if (secret.length < SHORTEST || secret.length > LONGEST) {
                throw new IllegalArgumentException(
                        "key " + id + " has " + secret.length + " bytes: from " + SHORTEST + " to " + LONGEST);
            }
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Key key && key.id == id && Arrays.equals(key.secret, secret);
        }

        @Override
        public int hashCode() {
            return id;
        }

        @Override
        public String toString() {
            return "key " + id;
        }
    }
}

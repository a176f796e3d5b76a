package io.ballast.director.sync;

import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

/**
 * What both sides send first, before anything is authenticated: who they are and a random number ({@link Seal}).
 */
final class Hello {
    /** Changes with every change of what follows. */
    static final byte VERSION = 1;

    private static final byte[] MAGIC = "Ballast connections".getBytes(StandardCharsets.US_ASCII);

    private final byte[] nonce;
    private final String node;

    /**
     * @param node the name of the sender in the description, at most 255 bytes
     * @param nonce {@link Seal#NONCE} random bytes
     */
    Hello(String node, byte[] nonce) {
        this.node = node;
        this.nonce = nonce.clone();
    }

    String node() {
        return node;
    }

    /** As it is sent. */
    byte[] bytes() {
        byte[] name = node.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(MAGIC.length + 2 + nonce.length + name.length)
                .put(MAGIC)
                .put(VERSION)
                .put(nonce)
                .put((byte) name.length)
                .put(name)
                .array();
    }

    /** Reads one; at most 308 bytes. */
    static Hello read(DataInputStream in) throws IOException {
        byte[] magic = new byte[MAGIC.length];
        in.readFully(magic);
        if (!Arrays.equals(magic, MAGIC)) {
            throw new RefusedException("it does not speak this protocol");
        }
        byte version = in.readByte();
        if (version != VERSION) {
            throw new RefusedException(String.format(
                    Locale.ROOT,
                    "it speaks version %d of the protocol and this one version %d: the same release of Ballast has"
                            + " to run on both",
                    version,
                    VERSION));
        }
        byte[] nonce = new byte[Seal.NONCE];
        in.readFully(nonce);
        byte[] name = new byte[in.readUnsignedByte()];
        in.readFully(name);
        return new Hello(new String(name, StandardCharsets.UTF_8), nonce);
    }

    /** Somebody is not to be talked with. */
    static final class RefusedException extends IOException {
        private static final long serialVersionUID = 1;

        RefusedException(String message) {
            super(message);
        }
    }
}

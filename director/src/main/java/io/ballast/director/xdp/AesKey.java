package io.ballast.director.xdp;

import java.util.Arrays;

/** The expansion of a key of AES-128 (FIPS 197 section 5.2), which packets should not have to wait for. */
final class AesKey {
    private static final int KEY = 16;
    private static final int WORD = 4;

    private AesKey() {}

    /** The words of all rounds, byte for byte. */
    static byte[] expand(byte[] key) {
        byte[] words = Arrays.copyOf(key, Layout.AES_KEY);
        int constant = 1;
        for (int at = KEY; at < words.length; at += WORD) {
            byte[] word = Arrays.copyOfRange(words, at - WORD, at);
            if (at % KEY == 0) {
                byte first = word[0];
                word[0] = (byte) (substituted(word[1]) ^ constant);
                word[1] = substituted(word[2]);
                word[2] = substituted(word[3]);
                word[3] = substituted(first);
                constant = doubled(constant);
            }
            for (int i = 0; i < WORD; i++) {
                words[at + i] = (byte) (words[at + i - KEY] ^ word[i]);
            }
        }
        return words;
    }

    private static int doubled(int a) {
        return (a << 1) ^ (a >= 0x80 ? 0x11b : 0);
    }

    /** The S-box, reckoned: the inverse in the field, and then its bits mixed. */
    private static byte substituted(byte value) {
        int a = value & 0xff;
        int inverse = 1;
        // All but zero have it as their 254th power.
        for (int i = 0; i < 254; i++) {
            inverse = product(inverse, a);
        }
        int mixed = 0x63;
        for (int turn = 0; turn < 5; turn++) {
            mixed ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xff;
        }
        return (byte) mixed;
    }

    private static int product(int a, int b) {
        int sum = 0;
        int power = a;
        for (int rest = b; rest > 0; rest >>= 1) {
            if ((rest & 1) != 0) {
                sum ^= power;
            }
            power = doubled(power);
        }
        return sum;
    }
}

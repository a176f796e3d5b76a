package io.ballast.health;

import java.util.Locale;

/** Small texts for reasons. */
public final class Texts {

    private Texts() {}

    /** How long something took, with the digits that matter: {@code 0.4 ms}, {@code 3 ms}, {@code 1.2 s}. */
    public static String took(long nanos) {
        if (nanos >= 10_000_000_000L) {
            return nanos / 1_000_000_000L + " s";
        }
        if (nanos >= 1_000_000_000L) {
            return String.format(Locale.ROOT, "%.1f s", nanos / 1e9);
        }
        if (nanos >= 1_000_000L) {
            return nanos / 1_000_000L + " ms";
        }
        return String.format(Locale.ROOT, nanos >= 100_000L ? "%.1f ms" : "%.2f ms", Math.max(0, nanos) / 1e6);
    }

    /** A time as it is written in the description: {@code 1s}, {@code 100ms}. */
    public static String limit(long nanos) {
        if (nanos % 1_000_000_000L == 0) {
            return nanos / 1_000_000_000L + "s";
        }
        return nanos % 1_000_000L == 0 ? nanos / 1_000_000L + "ms" : nanos / 1_000L + "us";
    }

    /** A number of bytes: {@code 1 byte}, {@code 612 bytes}. */
    public static String bytes(long count) {
        return count == 1 ? "1 byte" : count + " bytes";
    }
}

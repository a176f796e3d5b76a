package io.ballast.health;

/** Small texts for reasons. */
public final class Texts {

    private Texts() {}

    /** How long something took, with the digits that matter: {@code 0.4 ms}, {@code 3 ms}, {@code 1.2 s}. */
    public static String took(long nanos) {
        if (nanos >= 10_000_000_000L) {
            return nanos / 1_000_000_000L + " s";
        }
        if (nanos >= 1_000_000_000L) {
            return decimal(nanos / 10_000_000L, 1) + " s";
        }
        if (nanos >= 1_000_000L) {
            return nanos / 1_000_000L + " ms";
        }
        return decimal(Math.max(0, nanos) / 10_000L, nanos >= 100_000L ? 1 : 2) + " ms";
    }

    /** Hundredths with one digit or two, cut off; thousands of checks a second say this, so no formatter is asked. */
    private static String decimal(long hundredths, int digits) {
        String fraction = Long.toString(100 + hundredths % 100).substring(1, 1 + digits);
        return hundredths / 100 + "." + fraction;
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

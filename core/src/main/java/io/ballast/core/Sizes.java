package io.ballast.core;

import java.util.OptionalLong;

/** Sizes as people write them: a whole number and a unit of bytes, {@code 512B}, {@code 64KiB}, {@code 1MiB}. */
public final class Sizes {
    private static final String[] NAMES = {"B", "KiB", "MiB", "GiB", "TiB"};
    private static final int MAX_DIGITS = 6;

    private Sizes() {}

    /** The size in bytes, or nothing where the text is none. */
    public static OptionalLong parse(String text) {
        int digits = 0;
        while (digits < text.length() && text.charAt(digits) >= '0' && text.charAt(digits) <= '9') {
            digits++;
        }
        String unit = text.substring(digits);
        if (digits == 0 || digits > (unit.equals("B") ? 2 * MAX_DIGITS : MAX_DIGITS)) {
            return OptionalLong.empty();
        }
        for (int i = 0; i < NAMES.length; i++) {
            if (NAMES[i].equals(unit)) {
                return OptionalLong.of(Long.parseLong(text, 0, digits, 10) << (10 * i));
            }
        }
        return OptionalLong.empty();
    }

    /** The shortest text that {@link #parse} reads back exactly. */
    public static String print(long bytes) {
        int unit = 0;
        long value = bytes;
        while (value != 0 && (value & 1023) == 0 && unit < NAMES.length - 1) {
            value >>= 10;
            unit++;
        }
        return value + NAMES[unit];
    }
}

package io.ballast.core.time;

import java.time.Duration;
import java.util.Optional;

/** Durations as people write them: a whole number and a unit, {@code 100ms}, {@code 1s}, {@code 5m}, {@code 1h}. */
public final class Durations {
    private static final String[] NAMES = {"ms", "s", "m", "h", "d"};
    private static final long[] MILLIS = {1, 1_000, 60_000, 3_600_000, 86_400_000};
    private static final int MAX_DIGITS = 12;

    private Durations() {}

    /** The duration, or nothing where the text is none. */
    public static Optional<Duration> parse(String text) {
        int digits = 0;
        while (digits < text.length() && text.charAt(digits) >= '0' && text.charAt(digits) <= '9') {
            digits++;
        }
        if (digits == 0 || digits > MAX_DIGITS) {
            return Optional.empty();
        }
        String unit = text.substring(digits);
        for (int i = 0; i < NAMES.length; i++) {
            if (NAMES[i].equals(unit)) {
                return Optional.of(Duration.ofMillis(Long.parseLong(text, 0, digits, 10) * MILLIS[i]));
            }
        }
        return Optional.empty();
    }

    /** The shortest text that {@link #parse} reads back exactly; parts of a millisecond are cut off. */
    public static String print(Duration duration) {
        long millis = duration.toMillis();
        for (int i = NAMES.length - 1; i > 0; i--) {
            if (millis != 0 && millis % MILLIS[i] == 0) {
                return millis / MILLIS[i] + NAMES[i];
            }
        }
        return millis == 0 ? "0s" : millis + "ms";
    }
}

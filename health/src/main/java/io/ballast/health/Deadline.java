package io.ballast.health;

import java.time.Duration;

/**
 * A moment by which something must be over.
 *
 * @param nanoTime of {@link System#nanoTime}
 */
public record Deadline(long nanoTime) {

    /** The moment that lies {@code timeout} ahead. */
    public static Deadline after(Duration timeout) {
        return new Deadline(System.nanoTime() + timeout.toNanos());
    }

    /** Nanoseconds until then; zero or less when it has passed. */
    public long remainingNanos() {
        return nanoTime - System.nanoTime();
    }

    /** Whether it has passed. */
    public boolean passed() {
        return remainingNanos() <= 0;
    }
}

package io.ballast.director.scheduler;

import java.util.Random;

/**
 * Runs a property with many seeds. A failure names the seed; {@code -Dballast.seed=N} runs that one alone. By default
 * the seeds are 1, 2, 3 and so on, so that a build is repeatable; where {@code -Dballast.simulate} asks for long
 * simulations, twenty times as many fresh ones.
 */
final class Seeds {

    interface Property {
        void holds(Random random);
    }

    private Seeds() {}

    static void forEach(int runs, Property property) {
        String only = System.getProperty("ballast.seed", "");
        if (!only.isEmpty()) {
            run(Long.parseLong(only), property);
            return;
        }
        boolean fresh = !System.getProperty("ballast.simulate", "").isEmpty();
        long first = fresh ? System.nanoTime() : 1;
        for (long seed = first; seed < first + (fresh ? 20L : 1L) * runs; seed++) {
            run(seed, property);
        }
    }

    /** The generator of a seed; neighbouring seeds alone would give {@link Random}s that begin alike. */
    static Random random(long seed) {
        return new Random(FlowKey.mix(seed));
    }

    private static void run(long seed, Property property) {
        try {
            property.holds(random(seed));
        } catch (AssertionError | RuntimeException e) {
            throw new AssertionError("with seed " + seed + " (-Dballast.seed=" + seed + " repeats it): " + e, e);
        }
    }
}

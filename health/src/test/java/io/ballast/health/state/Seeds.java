package io.ballast.health.state;

import org.jspecify.annotations.Nullable;

/** Seeds of simulations: fixed ones in every build; {@code -Dballast.seed=N} repeats one run. */
public final class Seeds {

    private Seeds() {}

    /** How many runs: 1 where one seed was named. */
    public static int runs(int usual) {
        return named() == null ? usual : 1;
    }

    /** The seed of the n-th run. */
    public static long seed(int n) {
        String named = named();
        return named == null ? n : Long.parseLong(named);
    }

    private static @Nullable String named() {
        String seed = System.getProperty("ballast.seed", "");
        return seed.isEmpty() ? null : seed;
    }
}

package io.ballast.bench;

import java.util.function.Consumer;

/** One area of the program that can be measured: {@code ballast bench NAME}. */
interface Area {

    /** The word after {@code ballast bench}. */
    String name();

    /** What is measured, in one line. */
    String summary();

    /**
     * Measures.
     *
     * @param effort how long and how often
     * @param progress told what is being done
     */
    Results run(Effort effort, Consumer<String> progress) throws Exception;

    /**
     * How much is measured.
     *
     * @param rounds readings of each figure
     * @param seconds length of one reading
     */
    record Effort(int rounds, int seconds) {}
}

package io.ballast.bench;

import io.ballast.cli.Failure;
import java.io.IOException;
import java.time.Duration;

/** One area of the program that can be measured: {@code ballast bench NAME}. */
interface Area {

    /** The word after {@code ballast bench}. */
    String name();

    /** Which of the engines that {@code --engine} names it measures; empty where it is not about one. */
    default String engine() {
        return "";
    }

    /** What is measured, in one line. */
    String summary();

    /** How often each figure is read where nobody says it. */
    default int rounds() {
        return 5;
    }

    /**
     * Measures.
     *
     * @param effort how long and how often
     * @param sheet where rows and remarks go
     */
    void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException;

    /**
     * How much is measured.
     *
     * @param rounds readings of each figure
     * @param seconds length of one reading
     * @param interval between advertisements of directors
     */
    record Effort(int rounds, int seconds, Duration interval) {}
}

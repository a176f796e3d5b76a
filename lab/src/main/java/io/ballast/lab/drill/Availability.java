package io.ballast.lab.drill;

import java.time.Duration;

/**
 * Availability classes by yearly downtime: class 3 is 99.9 % (9 hours), class 5 is 99.999 % (5 minutes, where high
 * availability begins), class 7 is 99.99999 % (3 seconds).
 */
public final class Availability {
    /** No downtime was seen at all, or less than class 7 allows a tenth of; a drill cannot tell finer. */
    public static final int BEYOND = 8;

    private static final Duration YEAR = Duration.ofDays(365);

    private Availability() {}

    /** The downtime of a year with so many faults that each cost so much. */
    public static Duration yearly(Duration downtimePerFault, long faultsPerYear) {
        return downtimePerFault.multipliedBy(faultsPerYear);
    }

    /** The class, 0 to 7, or {@link #BEYOND}. */
    public static int classOf(Duration yearlyDowntime) {
        Duration allowed = YEAR;
        for (int nines = 0; nines < BEYOND; nines++) {
            allowed = allowed.dividedBy(10);
            if (yearlyDowntime.compareTo(allowed) > 0) {
                return nines;
            }
        }
        return BEYOND;
    }

    /** The class for people. */
    public static String label(int classNumber) {
        return classNumber >= BEYOND ? ">7" : Integer.toString(classNumber);
    }
}

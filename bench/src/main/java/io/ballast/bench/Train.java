package io.ballast.bench;

/**
 * Questions that a client asked one after the other, and what became of them. Times are nanoseconds of one clock.
 *
 * @param sent when each was sent, ascending
 * @param answered when its answer came; 0 where none did
 * @param by who answered, 0 where nobody did
 */
@SuppressWarnings("ArrayRecordComponent") // thousands of them, and nobody compares two
record Train(long[] sent, long[] answered, byte[] by) {

    /** How many were not answered. */
    int lost() {
        int lost = 0;
        for (long at : answered) {
            lost += at == 0 ? 1 : 0;
        }
        return lost;
    }

    /**
     * For how long nobody answered: the longest time from the first question without an answer to the next one with one,
     * in nanoseconds. What was not answered at the end counts up to the last question.
     */
    long outage() {
        long longest = 0;
        int first = -1;
        for (int i = 0; i < sent.length; i++) {
            boolean lost = answered[i] == 0;
            if (first < 0 && lost) {
                first = i;
            }
            if (first >= 0 && (!lost || i == sent.length - 1)) {
                longest = Math.max(longest, sent[i] - sent[first]);
            }
            if (!lost) {
                first = -1;
            }
        }
        return longest;
    }

    /** Whether at least so many of them, the last ones, were all answered by this one. */
    boolean endsWith(int count, int who) {
        for (int i = by.length - count; i < by.length; i++) {
            if (i < 0 || by[i] != who) {
                return false;
            }
        }
        return true;
    }
}

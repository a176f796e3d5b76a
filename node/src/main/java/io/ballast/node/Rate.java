package io.ballast.node;

/**
 * How fast a counter grows, as IPVS's estimator has it: an exponentially weighted moving average, of which the newest
 * two seconds make up a quarter. The kernel samples every two seconds; here samples may come at any distance, and one
 * weighs as much as the time it covers: {@code 1 - 0.75^(dt / 2 s)}. So the rate follows a step to 90 % in 16 s, and is
 * right at once for a counter that grows evenly from its first sample on.
 */
final class Rate {
    private static final double SECONDS = 1e9;

    private long counter;
    private long at;
    private boolean begun;
    private boolean hasRate;
    private double perSecond;

    /**
     * Takes a sample.
     *
     * @param value of the counter; one smaller than before is a counter that began anew
     * @param nanos of a clock that never goes back
     */
    void sample(long value, long nanos) {
        double seconds = (nanos - at) / SECONDS;
        if (!begun || value < counter) {
            begun = true;
        } else if (seconds <= 0) {
            return;
        } else {
            double now = (value - counter) / seconds;
            double weight = hasRate ? 1 - Math.pow(0.75, seconds / 2) : 1;
            perSecond += (now - perSecond) * weight;
            hasRate = true;
        }
        counter = value;
        at = nanos;
    }

    /** Per second; 0 before there were two samples. */
    double perSecond() {
        return perSecond;
    }
}

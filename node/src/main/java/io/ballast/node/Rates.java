package io.ballast.node;

/**
 * How fast a service's or server's counters grow, as IPVS's estimator has it: exponentially weighted moving averages, of
 * which the newest two seconds make up a quarter. The kernel samples every two seconds; here samples may come at any
 * distance, and one weighs as much as the time it covers: {@code 1 - 0.75^(dt / 2 s)}. So a rate follows a step to 90 %
 * in 16 s, and is right at once for a counter that grows evenly from its first sample on.
 */
final class Rates {
    private static final double SECOND = 1e9;

    /**
     * What comes of it.
     *
     * @param bytesIn from clients
     * @param bytesOut to clients
     */
    record PerSecond(double connections, double bytesIn, double bytesOut) {
        static final PerSecond NONE = new PerSecond(0, 0, 0);
    }

    private long connections;
    private long bytesIn;
    private long bytesOut;
    private long at;
    private boolean begun;
    private boolean known;
    private double connectionsPerSecond;
    private double bytesInPerSecond;
    private double bytesOutPerSecond;

    /**
     * Takes a sample of the counters; one smaller than before has begun anew, and the sample only starts from there.
     *
     * @param nanos of a clock that never goes back
     */
    void sample(long newConnections, long newBytesIn, long newBytesOut, long nanos) {
        double seconds = (nanos - at) / SECOND;
        boolean anew = newConnections < connections || newBytesIn < bytesIn || newBytesOut < bytesOut;
        if (begun && !anew) {
            if (seconds <= 0) {
                return;
            }
            double weight = known ? 1 - Math.pow(0.75, seconds / 2) : 1;
            connectionsPerSecond += ((newConnections - connections) / seconds - connectionsPerSecond) * weight;
            bytesInPerSecond += ((newBytesIn - bytesIn) / seconds - bytesInPerSecond) * weight;
            bytesOutPerSecond += ((newBytesOut - bytesOut) / seconds - bytesOutPerSecond) * weight;
            known = true;
        }
        begun = true;
        connections = newConnections;
        bytesIn = newBytesIn;
        bytesOut = newBytesOut;
        at = nanos;
    }

    /** Connections and bytes a second; zeros before there were two samples. */
    PerSecond perSecond() {
        return new PerSecond(connectionsPerSecond, bytesInPerSecond, bytesOutPerSecond);
    }
}

package io.ballast.director.xdp;

import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/**
 * How full the table of remembered connections is, and whether that matters. Pure: the sweep over the table, which looks at
 * a part of it each second, tells what it finds there, and the data plane's counters say what was forgotten for want of a
 * place.
 *
 * <p>A table becomes crowded long before it is full, since a connection can lie in the eight places of one bucket only: at
 * three quarters one bucket of seven has more than it holds.
 */
public final class FlowPressure {
    private static final double CROWDED = 0.75;
    private static final double ROOMY = 0.65;

    /** A bucket that overflows now and then is chance, or a client that opens many connections from one port. */
    private static final int MANY_A_SECOND = 10;

    private static final long QUIET_NANOS = Duration.ofMinutes(1).toNanos();

    /** What was found in a part of the table. */
    static final class Tally {
        private int opening;
        private int established;
        private int closing;
        private int other;
        private int expired;

        /**
         * Counts a place that is taken.
         *
         * @param state of {@link Layout}
         * @param isExpired it is forgotten when its place is needed, or by the next sweep
         */
        void count(int state, boolean isExpired) {
            if (isExpired) {
                expired++;
            } else {
                switch (state) {
                    case Layout.OPENING, Layout.COOKIE -> opening++;
                    case Layout.ESTABLISHED -> established++;
                    case Layout.CLOSING -> closing++;
                    default -> other++;
                }
            }
        }

        private void add(Tally more) {
            opening += more.opening;
            established += more.established;
            closing += more.closing;
            other += more.other;
            expired += more.expired;
        }
    }

    private final long places;
    private final Tally[] parts;
    private long evicted = -1;
    private long failed;
    private double evictedPerSecond;
    private double failedPerSecond;
    private long steppedAt;
    private long lastTrouble;
    private boolean on;
    private String reason = "";

    /**
     * @param places of the table
     * @param parts in which it is swept
     */
    FlowPressure(long places, int parts) {
        this.places = places;
        this.parts = new Tally[parts];
        for (int part = 0; part < parts; part++) {
            this.parts[part] = new Tally();
        }
    }

    /** What the sweep found in a part. */
    void part(int number, Tally found) {
        parts[number] = found;
    }

    /**
     * Judges; to be called when all parts have been told again.
     *
     * @param nowNanos of a monotonic clock
     * @param evictedEver connections that were forgotten for others, since the tables were made
     * @param failedEver connections that could not be remembered, likewise
     * @return what to tell people, where pressure begins or ends
     */
    Optional<String> step(long nowNanos, long evictedEver, long failedEver) {
        if (evicted >= 0 && nowNanos > steppedAt) {
            double seconds = (nowNanos - steppedAt) / 1e9;
            evictedPerSecond = (evictedEver - evicted) / seconds;
            failedPerSecond = (failedEver - failed) / seconds;
        }
        evicted = evictedEver;
        failed = failedEver;
        steppedAt = nowNanos;
        boolean trouble = evictedPerSecond + failedPerSecond >= MANY_A_SECOND;
        if (trouble) {
            lastTrouble = nowNanos;
        }
        Occupancy now = occupancy();
        if (!on && (trouble || now.used() >= CROWDED * places)) {
            on = true;
            reason = reason(now);
            return Optional.of(reason);
        }
        if (on && now.used() < ROOMY * places && (lastTrouble == 0 || nowNanos - lastTrouble >= QUIET_NANOS)) {
            on = false;
            lastTrouble = 0;
            reason = "";
            return Optional.of("the table of remembered connections has room again: " + percent(now.used())
                    + " of its places are in use");
        }
        if (on) {
            reason = reason(now);
        }
        return Optional.empty();
    }

    boolean isOn() {
        return on;
    }

    private String percent(long used) {
        return 100 * used / places + " %";
    }

    private String reason(Occupancy now) {
        String what = String.format(
                Locale.ROOT,
                "the table of remembered connections is under pressure: %s of %,d places are in use (%,d connections being"
                        + " opened, %,d established, %,d closing), and %,.0f a second are forgotten for others",
                percent(now.used()),
                places,
                now.opening(),
                now.established(),
                now.closing(),
                now.evictedPerSecond() + now.failedPerSecond());
        boolean flood = now.opening() > now.established() + now.closing();
        return what
                + (flood
                        ? "; most are being opened, as in a flood of SYNs: give the services limits (connection-rate,"
                                + " source-connection-rate)"
                        : "; lower timeouts.idle and half-closed, take scheduler mh, which remembers few, or share the"
                                + " services among more directors");
    }

    /**
     * How the places of the table are used, as the last sweep over all of it found them.
     *
     * @param used also by what has expired and was not swept out yet
     * @param other clients that stay at their server, and ended connections
     * @param pressure what is wrong and what to do, for people; empty where nothing is
     */
    public record Occupancy(
            long places,
            long used,
            long opening,
            long established,
            long closing,
            long other,
            long expired,
            double evictedPerSecond,
            double failedPerSecond,
            String pressure) {}

    Occupancy occupancy() {
        Tally all = new Tally();
        for (Tally part : parts) {
            all.add(part);
        }
        long used = (long) all.opening + all.established + all.closing + all.other + all.expired;
        return new Occupancy(
                places,
                used,
                all.opening,
                all.established,
                all.closing,
                all.other,
                all.expired,
                evictedPerSecond,
                failedPerSecond,
                reason);
    }
}

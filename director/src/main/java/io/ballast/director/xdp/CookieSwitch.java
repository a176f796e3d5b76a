package io.ballast.director.xdp;

import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/**
 * Whether a service's SYNs are answered with cookies, where that is to be so in a flood only. Pure: told once a second what
 * there is, it says what changes.
 *
 * <p><b>On</b> when more connections are half open than the bound. Linux's has the same form: {@code
 * net.ipv4.tcp_max_syn_backlog} is a 128th of the places in the kernel's table of connections, and a listening socket
 * whose backlog is full answers with cookies ({@code tcp_syncookies}).
 *
 * <p><b>Off</b> is harder to tell, since with cookies nothing is half open any more, however many SYNs come. What would be
 * is known all the same: half-open connections are remembered for a minute, so they would be those cookies of the last
 * minute that nobody has acknowledged. It is off again when for a whole minute less than half of the bound has been
 * remembered as half open, and in that minute fewer cookies than that have remained without an answer.
 */
final class CookieSwitch {
    /** The share of the table that one service may have half open. */
    private static final int SHARE_OF_PLACES = 128;

    /** Or, if that is more, of the connections that it has established: who is asked much waits for many. */
    private static final int SHARE_OF_ESTABLISHED = 8;

    /** But no more than this share of the ports that there are for them: full NAT. */
    private static final int SHARE_OF_PORTS = 8;

    /** Half-open connections are counted in an eighth of the table, which is no measure of a few. */
    private static final int LEAST = 1024;

    static final long QUIET_NANOS = Duration.ofMinutes(1).toNanos();

    private boolean on;
    /** Since when there has been less than half of the bound; meaningless while it is off. */
    private long quietSince;

    private long unansweredThen;
    private boolean begun;

    /**
     * @param on whether SYNs are answered with cookies already
     */
    CookieSwitch(boolean on) {
        this.on = on;
    }

    /**
     * How many connections of a service may be half open.
     *
     * @param places for remembered connections, of all services
     * @param established connections that the service has
     * @param ports that its servers can know connections by, so that there are no more than so many of them; {@link
     *     Long#MAX_VALUE} where nothing bounds that
     */
    static long bound(long places, long established, long ports) {
        long bound = Math.min(
                Math.max(places / SHARE_OF_PLACES, established / SHARE_OF_ESTABLISHED), ports / SHARE_OF_PORTS);
        return Math.max(LEAST, bound);
    }

    boolean isOn() {
        return on;
    }

    /**
     * Decides; to be called about every second.
     *
     * @param now nanoseconds of a monotonic clock
     * @param bound how many may be half open
     * @param halfOpen how many are remembered as half open
     * @param unanswered cookies that were sent less those that were acknowledged, of all time; asked only while it is on
     * @return what to tell people, where it goes on or off
     */
    Optional<String> step(long now, long bound, long halfOpen, long unanswered) {
        if (!on) {
            if (halfOpen <= bound) {
                return Optional.empty();
            }
            on = true;
            begun = false;
            return Optional.of(String.format(
                    Locale.ROOT,
                    "about %,d connections are half open, more than %,d, as in a flood: SYNs are answered with"
                            + " cookies from now on",
                    halfOpen,
                    bound));
        }
        boolean quiet = begun && 2 * halfOpen < bound && 2 * (unanswered - unansweredThen) < bound;
        if (!quiet) {
            quietSince = now;
            unansweredThen = unanswered;
            begun = true;
        } else if (now - quietSince >= QUIET_NANOS) {
            on = false;
            return Optional.of(String.format(
                    Locale.ROOT,
                    "in the last minute fewer than %,d clients began a connection and did not go on: SYNs are no longer"
                            + " answered with cookies",
                    Math.ceilDiv(bound, 2)));
        }
        return Optional.empty();
    }
}

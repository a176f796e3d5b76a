package io.ballast.takeover.address;

/**
 * When the addresses of a virtual router are announced: several times at once, since nobody confirms an announcement
 * and a switch that has just lost a link loses frames as well; once more now and then, less and less often, until all of it
 * is done again after a while, for who was not there or heard something else in between; and, where it is wanted, every so often as long as this node has them.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
final class AnnouncementSchedule {
    static final long NEVER = Long.MAX_VALUE;

    private final Announcer.Settings settings;
    /** After so long once more, and after twice as long each time. */
    private static final long FIRST = 500_000_000;

    private long begun;
    private int left;
    private long due = NEVER;
    private long again = NEVER;

    AnnouncementSchedule(Announcer.Settings settings) {
        this.settings = settings;
    }

    /** From the beginning. */
    void begin(long now) {
        begun = now;
        left = settings.repeat();
        again = settings.delay() == 0 ? NEVER : now + settings.delay();
        due = now;
    }

    /** When all addresses are to be announced once more; {@link #NEVER} where nothing is left to do. */
    long due() {
        return due;
    }

    private long between(long now) {
        long after = FIRST;
        while (begun + after <= now) {
            after *= 2;
        }
        return again == NEVER || begun + after >= again ? NEVER : begun + after;
    }

    /** All were announced once. */
    void done(long now) {
        if (left == 0) { // the delay was over, or it was a refresh
            left = now >= again ? settings.repeat() : 1;
        }
        if (now >= again) {
            again = NEVER;
        }
        left--;
        if (left == 0) {
            due = Math.min(Math.min(again, between(now)), settings.refresh() == 0 ? NEVER : now + settings.refresh());
        }
    }
}

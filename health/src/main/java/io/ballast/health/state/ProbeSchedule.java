package io.ballast.health.state;

import io.ballast.core.config.CheckSpec;
import io.ballast.health.state.ProbeResult.Outcome;

/**
 * When a check asks next.
 *
 * <p>Starts stand on a grid: one {@code interval} after the other, counted from the planned starts and not from the
 * real ones, so that being late once does not move all that follows. Jitter moves one start, never the grid. A probe
 * that is still under way at its successor's time delays it until it is finished, and then the grid starts anew from
 * there: missed starts are not made up for, so that a check can never pile up behind a server that hangs, nor burst
 * after the director was paused.
 *
 * <p>While its server is down a check asks less and less often: the first pause is the interval, then twice that, up
 * to {@code backoff}. The first success ends this, so that further ones that {@code rise} wants come at the normal pace.
 */
public final class ProbeSchedule {

    private long interval;
    private double jitter;
    private long backoff;
    private final RiseFall state;
    private long pause;
    private long grid;

    /** The schedule of a check whose first start is planned for {@code first}, in nanoseconds. */
    public ProbeSchedule(CheckSpec spec, long first) {
        state = new RiseFall(spec, first);
        grid = first;
        configure(spec);
    }

    /** Takes new times and counts; the next start stays planned as it is, the one after it follows the new interval. */
    public void configure(CheckSpec spec) {
        interval = spec.interval().toNanos();
        jitter = spec.jitter();
        backoff = Math.max(interval, spec.backoff().toNanos());
        if (interval <= 0 || !(jitter >= 0 && jitter <= 1)) {
            throw new IllegalArgumentException("check " + spec.name() + ": interval " + spec.interval() + ", jitter "
                    + jitter + ": the interval must be above 0 and jitter from 0 to 1");
        }
        state.configure(spec.rise(), spec.fall());
        pause = Math.clamp(pause, interval, backoff);
    }

    /** Takes what the probe that just ended has found. */
    public void onResult(Outcome outcome, long now) {
        boolean wasDown = !state.up();
        var _ = state.onResult(outcome, now);
        switch (outcome) {
            case SUCCESS -> pause = interval;
            case FAILURE -> {
                if (wasDown) {
                    pause = pause > backoff / 2 ? backoff : pause * 2;
                }
            }
            case INCONCLUSIVE -> {}
        }
    }

    /**
     * Plans the next start after a probe has ended, or was dropped.
     *
     * @param now in nanoseconds
     * @param chance from 0 to 1: how much of the jitter this start takes
     * @return when to start, in nanoseconds; never before {@code now}
     */
    public long nextStart(long now, double chance) {
        grid += pause;
        if (grid - now < 0) {
            grid = now;
        }
        return grid + (long) (chance * jitter * interval);
    }

    /** Moves the grid: the next start is planned for {@code start} instead. */
    public void restart(long start) {
        grid = start;
    }

    /** From one start to the next as things are, without jitter, in nanoseconds. */
    public long pause() {
        return pause;
    }
}

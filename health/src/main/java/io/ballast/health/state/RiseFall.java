package io.ballast.health.state;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.health.state.ProbeResult.Outcome;

/**
 * What one check believes of its server: up or down.
 *
 * <p>A single lost packet must not take a server out, and a single lucky answer must not bring a sick one back. So a
 * server that is up goes down after {@code fall} failures in a row, and one that is down comes up after {@code rise}
 * successes in a row; a result of the other kind starts the count again. One exception makes a farm start quickly: a
 * server that was down from the beginning has not failed yet, it was only not asked, and its first success is enough.
 *
 * <p>Inconclusive results leave everything as it is.
 */
public final class RiseFall {

    /** What is believed. */
    public enum State {
        /** It may be given work. */
        UP,
        /** It may not. */
        DOWN
    }

    /** What a result, or a new description, changed. */
    public enum Change {
        /** Nothing. */
        NONE,
        /** It is up now and was not before. */
        WENT_UP,
        /** It is down now and was not before. */
        WENT_DOWN
    }

    private int rise;
    private int fall;
    private State state;
    private boolean beenUp;
    private int streak;
    private long since;

    /** The state before the first result. */
    public RiseFall(int rise, int fall, InitialState initial, long now) {
        configure(rise, fall);
        this.beenUp = initial == InitialState.UP;
        this.state = beenUp ? State.UP : State.DOWN;
        this.since = now;
    }

    /** The state before the first result. */
    public RiseFall(CheckSpec spec, long now) {
        this(spec.rise(), spec.fall(), spec.initial(), now);
    }

    /** Takes new counts; what is believed stays, and so does the run of results that speaks against it. */
    public void configure(int newRise, int newFall) {
        if (newRise < 1 || newFall < 1) {
            throw new IllegalArgumentException("rise " + newRise + ", fall " + newFall + ": both must be 1 or more");
        }
        rise = newRise;
        fall = newFall;
    }

    /**
     * Takes one result.
     *
     * @param now in nanoseconds of a clock that never goes back
     */
    public Change onResult(Outcome outcome, long now) {
        return switch (outcome) {
            case INCONCLUSIVE -> Change.NONE;
            case SUCCESS -> {
                if (state == State.UP) {
                    streak = 0;
                    yield Change.NONE;
                }
                yield ++streak >= (beenUp ? rise : 1) ? turn(State.UP, now) : Change.NONE;
            }
            case FAILURE -> {
                if (state == State.DOWN) {
                    streak = 0;
                    yield Change.NONE;
                }
                yield ++streak >= fall ? turn(State.DOWN, now) : Change.NONE;
            }
        };
    }

    private Change turn(State to, long now) {
        state = to;
        streak = 0;
        since = now;
        beenUp = true;
        return to == State.UP ? Change.WENT_UP : Change.WENT_DOWN;
    }

    /** What is believed. */
    public State state() {
        return state;
    }

    /** Whether it may be given work. */
    public boolean up() {
        return state == State.UP;
    }

    /** Since when, in the nanoseconds of the results' clock. */
    public long since() {
        return since;
    }

    /** How many results in a row speak against what is believed. */
    public int streak() {
        return streak;
    }
}

package io.ballast.takeover.track;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The priority of a virtual router by the state of what it tracks: interfaces, checks, processes, files, programs. Each
 * of these is up or down, or a number, and has a weight, as keepalived has them:
 *
 * <ul>
 *   <li>Weight 0: while it is down, the virtual router is at fault.
 *   <li>A positive weight is added while it is up, a negative one while it is down.
 *   <li>A number is multiplied by the weight and added; below {@value #LEAST} that is a fault. With weight 0 every number
 *       but zero is one.
 *   <li>Reversed, what would be added is subtracted, and the fault is to be up, or to be zero.
 * </ul>
 *
 * <p>What nothing is known of yet adds nothing. What may be a fault is waited for: no node should become master of what it
 * cannot serve, and none give it up before that is known. Not thread-safe.
 */
public final class Tracking {
    /** The most that one thing can change. */
    public static final int MOST = 253;

    /** The other way. */
    public static final int LEAST = -MOST;

    private static final int OWNER = 255;
    private static final int LOWEST = 1;
    private static final int HIGHEST = 254;

    /** A number beyond this makes no difference. */
    private static final long FAR = 1_000_000;

    /**
     * A thing that is tracked.
     *
     * @param name for people, as {@code interface eth1}
     * @param weight from -253 to 253
     */
    public record Tracked(String name, int weight, boolean reverse) {
        public Tracked {
            if (weight < LEAST || weight > MOST) {
                throw new IllegalArgumentException(
                        "weight " + weight + " of " + name + ": from " + LEAST + " to " + MOST);
            }
        }
    }

    /**
     * What comes of all of them.
     *
     * @param priority from 1 to 254, or 255 of an owner, whom nothing makes less
     * @param faults why the virtual router must not have its addresses, for people; empty where it may
     * @param awaited what may be a fault, and is not known yet
     */
    public record Verdict(int priority, List<String> faults, List<String> awaited) {
        public Verdict {
            faults = List.copyOf(faults);
            awaited = List.copyOf(awaited);
        }
    }

    /** How a thing is. */
    public sealed interface State {
        /** It is up. */
        record Up() implements State {}

        /**
         * It is down.
         *
         * @param why for people
         */
        record Down(String why) implements State {}

        /** It says a number. */
        record Count(long value) implements State {}
    }

    /**
     * One of the things, and what comes of it.
     *
     * @param state for people
     * @param adds to the priority, before that is kept from 1 to 254
     * @param fault whether it keeps the virtual router from having its addresses
     */
    public record Standing(Tracked tracked, String state, int adds, boolean fault) {}

    private int base;
    private Map<String, Tracked> tracked = Map.of();
    private final Map<String, State> states = new HashMap<>();

    /**
     * Nothing is known of them yet.
     *
     * @param base the priority from 1 to 255 to which is added
     */
    public Tracking(int base, List<Tracked> tracked) {
        configure(base, tracked);
    }

    /** Another base, and other things; of those that it had before, it still knows what it knew. */
    public void configure(int newBase, List<Tracked> newTracked) {
        if (newBase < LOWEST || newBase > OWNER) {
            throw new IllegalArgumentException("priority " + newBase + ": from 1 to 255");
        }
        Map<String, Tracked> next = new LinkedHashMap<>();
        for (Tracked each : newTracked) {
            if (next.put(each.name(), each) != null) {
                throw new IllegalArgumentException(each.name() + " is tracked twice");
            }
        }
        base = newBase;
        tracked = next;
        states.keySet().retainAll(next.keySet());
    }

    /**
     * How a thing is now; of what is not tracked, that is no matter.
     *
     * @return whether it was otherwise, or not known, before
     */
    public boolean put(String name, State state) {
        return tracked.containsKey(name) && !state.equals(states.put(name, state));
    }

    /** What comes of all that is known now. */
    public Verdict verdict() {
        List<String> faults = new ArrayList<>();
        List<String> awaited = new ArrayList<>();
        long priority = base;
        for (Tracked each : tracked.values()) {
            if (each.weight() == 0 && !states.containsKey(each.name())) {
                awaited.add(each.name());
            }
            long adds = adds(each);
            fault(each, adds).ifPresent(why -> faults.add(each.name() + " " + why));
            priority += Math.clamp(adds, LEAST, MOST);
        }
        return new Verdict(base == OWNER ? OWNER : Math.clamp(priority, LOWEST, HIGHEST), faults, awaited);
    }

    /** What comes of each of them. */
    public List<Standing> standings() {
        return tracked.values().stream().map(this::standing).toList();
    }

    /** What comes of one of them. */
    public Optional<Standing> standing(String name) {
        return Optional.ofNullable(tracked.get(name)).map(this::standing);
    }

    private Standing standing(Tracked of) {
        long adds = adds(of);
        String state = switch (states.get(of.name())) {
            case State.Up _ -> "up";
            case State.Down(String why) -> "down: " + why;
            case State.Count(long value) -> Long.toString(value);
            case null -> "not known yet";
        };
        return new Standing(
                of, state, Math.clamp(adds, LEAST, MOST), fault(of, adds).isPresent());
    }

    private long adds(Tracked of) {
        long plain = switch (states.get(of.name())) {
            case State.Up _ -> Math.max(of.weight(), 0);
            case State.Down _ -> Math.min(of.weight(), 0);
            case State.Count(long value) -> of.weight() * Math.clamp(value, -FAR, FAR);
            case null -> 0;
        };
        return of.reverse() ? -plain : plain;
    }

    private Optional<String> fault(Tracked of, long adds) {
        if (of.weight() != 0) {
            return adds < LEAST && states.get(of.name()) instanceof State.Count(long value)
                    ? Optional.of("says " + value + ", which by its weight of " + of.weight() + " is below " + LEAST)
                    : Optional.empty();
        }
        return switch (states.get(of.name())) {
            case State.Up _ -> of.reverse() ? Optional.of("is up, and must not be") : Optional.empty();
            case State.Down(String why) -> of.reverse() ? Optional.empty() : Optional.of("is down: " + why);
            case State.Count(long value) ->
                (value == 0) == of.reverse()
                        ? Optional.of("says " + value + ", and must " + (of.reverse() ? "not be 0" : "be 0"))
                        : Optional.empty();
            case null -> Optional.empty();
        };
    }
}

package io.ballast.takeover.group;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Whether a node that is elected may bring up what only one node may have. While another is heard to have it, no. Where that
 * is not enough, because of a shared disk for instance, every other node must have said that it is free ({@link Others}), or
 * is fenced: a program of the operator's sees to it that it is off.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class Permission {
    /** For how long a word of a node is waited for of which nothing is known. */
    static final long PATIENCE = 3_000_000_000L;

    /** Between one attempt to fence a node and the next: at first, and at most. */
    static final long FIRST_RETRY = 5_000_000_000L;

    static final long LAST_RETRY = 60_000_000_000L;

    private static final long NEVER = Long.MAX_VALUE;

    /** Where decisions go. */
    public interface Output {
        /** See to it that this node is off; {@link Permission#fenced} is to be told how that ended. */
        void fence(String node, String why);

        /** Something worth the journal. */
        void note(boolean warning, String message);
    }

    /**
     * Another node that may have it.
     *
     * @param delay for how long this node waits before it fences that one, in nanoseconds: so that two that do not hear each
     *     other do not both do so
     */
    public record Other(String name, long delay) {}

    private final List<Other> nodes;
    private final boolean required;
    private final boolean byProgram;
    private final Others others;
    private final Output output;

    /** When nodes are to be fenced, or next; {@link Long#MAX_VALUE} while one is being fenced. */
    private final Map<String, Long> attempts = new HashMap<>();

    private final Map<String, Long> backoff = new HashMap<>();
    private final Map<String, String> failures = new HashMap<>();
    private boolean asked;
    private long since;
    private String awaits = "";
    private long due = NEVER;

    /**
     * Of a node that asks for nothing yet.
     *
     * @param required whether every other node must be known not to have it
     * @param byProgram whether there is a program that fences; without one the operator does, and says so
     */
    public Permission(List<Other> nodes, boolean required, boolean byProgram, Others others, Output output) {
        this.nodes = List.copyOf(nodes);
        this.required = required;
        this.byProgram = byProgram;
        this.others = others;
        this.output = output;
    }

    /** Whether it may be brought up now; asked again at {@link #due}, and when something was heard. */
    public boolean ask(long now) {
        if (!asked) {
            asked = true;
            since = now;
        }
        due = NEVER;
        awaits = "";
        String holder = others.holder(now);
        if (holder != null) {
            awaits = holder + " has it still: waits until that one says that it is free";
            due = others.due(now);
            return false;
        }
        boolean free = true;
        if (required) {
            for (Other other : nodes) {
                free &= isFree(other, now);
            }
        }
        return free;
    }

    private boolean isFree(Other other, long now) {
        String name = other.name();
        Others.Standing standing = others.of(name, now);
        if (standing == Others.Standing.FREE) {
            return true;
        }
        boolean gone = standing == Others.Standing.GONE;
        long first = since + other.delay() + (gone ? 0 : PATIENCE);
        long at = attempts.computeIfAbsent(name, _ -> first);
        String why = gone ? "it had it, and fell silent" : "nothing was heard of it";
        if (at != NEVER && now >= at) {
            attempts.put(name, NEVER);
            at = NEVER;
            if (byProgram) {
                output.fence(name, why);
            } else {
                output.note(
                        true,
                        name + " must be off first (" + why
                                + "): see to it that it is, and then: ballast takeover fenced " + name);
            }
        }
        if (awaits.isEmpty()) {
            String failed = failures.getOrDefault(name, "");
            String end = " is free, or certainly off";
            awaits = at != NEVER && failed.isEmpty()
                    ? "waits until " + name + " says that it is free"
                    : !byProgram
                            ? "waits until the operator says that " + name + " is off: ballast takeover fenced " + name
                            : !failed.isEmpty()
                                    ? "waits until " + name + end + ": fencing failed: " + failed
                                    : "fences " + name;
        }
        due = Math.min(due, at);
        return false;
    }

    /** It is not asked for any more. */
    public void forget() {
        asked = false;
        awaits = "";
        due = NEVER;
        attempts.values().removeIf(at -> at != NEVER); // one that is being fenced is not fenced twice
        if (!byProgram) {
            attempts.clear();
        }
    }

    /** An attempt to fence a node has ended. */
    public void fenced(String node, boolean isOff, String how, long now) {
        if (isOff) {
            attempts.remove(node);
            backoff.remove(node);
            failures.remove(node);
            others.fenced(node);
            output.note(true, node + " is off: " + how);
            return;
        }
        long wait = backoff.merge(node, FIRST_RETRY, (before, _) -> Math.min(LAST_RETRY, before * 2));
        attempts.put(node, now + wait);
        failures.put(node, how);
        output.note(
                true,
                node + " could not be fenced: " + how + "; tried again in " + wait / 1_000_000_000
                        + " s. Or see to it that it is off, and then: ballast takeover fenced " + node);
    }

    /** What is waited for, for people; empty where nothing is. */
    public String awaits() {
        return awaits;
    }

    /** When {@link #ask} may answer otherwise though nothing was heard. */
    public long due() {
        return due;
    }
}

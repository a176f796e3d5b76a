package io.ballast.takeover.wire;

import io.ballast.takeover.wire.OwnershipCondition.Standing;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * All that it depends on, beside their role, whether virtual routers that move together have their addresses. Where there
 * is nothing, they have them with the role. What comes first is granted before the next is asked for, and where it is lost,
 * what comes after it is given back: who has no majority starts nothing, and fences nobody.
 */
final class Claims {
    private List<OwnershipCondition> conditions = List.of();
    private boolean wanted;
    /** Whether those that are there have been told that they are wanted, or are not. */
    private boolean told;

    private final Set<OwnershipCondition> asked = new HashSet<>();
    private String why = "";

    /** From now on these; those that are gone are given back. */
    void become(List<OwnershipCondition> next) {
        List<OwnershipCondition> before = conditions;
        conditions = List.copyOf(next);
        told &= before.containsAll(conditions);
        before.stream().filter(condition -> !conditions.contains(condition)).forEach(condition -> {
            asked.remove(condition);
            condition.given("not described any more");
        });
        advance();
    }

    /**
     * Asks for what is next, and gives back what came after what is lost: the last first, and each when what came after it is
     * gone, or will not go.
     */
    void advance() {
        boolean all = wanted;
        int kept = 0;
        for (OwnershipCondition condition : conditions) {
            if (!all) {
                break;
            }
            if (asked.add(condition)) {
                condition.wanted(why);
            }
            kept++;
            all = condition.standing().state() == OwnershipCondition.State.GRANTED;
        }
        for (OwnershipCondition condition :
                conditions.subList(kept, conditions.size()).reversed()) {
            if (asked.remove(condition)) {
                condition.given(wanted ? "what it needs is lost" : why);
            }
            OwnershipCondition.State state = condition.standing().state();
            if (!state.isFree() && state != OwnershipCondition.State.STUCK) {
                break;
            }
        }
    }

    boolean isEmpty() {
        return conditions.isEmpty();
    }

    /** They are to be granted. */
    void want(String because) {
        if (!wanted) {
            wanted = true;
            told = true;
            why = because;
            advance();
        }
    }

    /** They are not; the addresses have been dropped. */
    void give(String because) {
        if (wanted || !told) {
            if (!told) {
                asked.addAll(conditions);
            }
            wanted = false;
            told = true;
            why = because;
            advance();
        }
    }

    /** Another node advertises. */
    void heard(InetAddress from, boolean has, long at, long until) {
        for (OwnershipCondition condition : conditions) {
            condition.heard(from, has, at, until);
        }
    }

    /** Whether the others depend on being told that it is free. */
    boolean tells() {
        return conditions.stream().anyMatch(OwnershipCondition::tells);
    }

    /** The others are told that all of it is free. */
    void said(long at) {
        conditions.forEach(condition -> condition.said(at));
    }

    boolean isWanted() {
        return wanted;
    }

    /** Whether the addresses may be had. */
    boolean isGranted() {
        return wanted && standings().allMatch(standing -> standing.state() == OwnershipCondition.State.GRANTED);
    }

    /** Until when they are granted at most. */
    long until() {
        return conditions.stream().mapToLong(OwnershipCondition::until).min().orElse(Long.MAX_VALUE);
    }

    /** Whether others may have all of it. */
    boolean isFree() {
        return standings().allMatch(standing -> standing.state().isFree());
    }

    /** Whether it cannot be given back: nobody needs to wait for that any longer. */
    boolean isStuck() {
        return standings().anyMatch(standing -> standing.state() == OwnershipCondition.State.STUCK);
    }

    /** Why this node cannot have all of it. */
    Optional<String> fault() {
        return standings()
                .filter(standing -> standing.state().isFault())
                .map(Standing::text)
                .findFirst();
    }

    /** Why this node is to give way to every other one. */
    Optional<String> last() {
        return standings().filter(Standing::last).map(Standing::text).findFirst();
    }

    /** What is not as it should be, for people. */
    List<String> waitsFor() {
        List<String> waits = new ArrayList<>();
        conditions.forEach(condition -> {
            Standing standing = condition.standing();
            OwnershipCondition.State settled =
                    asked.contains(condition) ? OwnershipCondition.State.GRANTED : OwnershipCondition.State.FREE;
            if (standing.state() != settled) {
                waits.add(standing.text());
            }
        });
        return waits;
    }

    private Stream<Standing> standings() {
        return conditions.stream().map(OwnershipCondition::standing);
    }
}

package io.ballast.director.scheduler;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;

/** What all schedulers share: the members in order of addition, and their counters. */
abstract class AbstractScheduler implements Scheduler {

    /** The members in order of addition; {@code members[i].index == i} below {@link #size}. */
    Member[] members = new Member[8];

    int size;

    /** How much later a server's next turn is after a connection, for the weight 1. */
    static final long STRIDE = 1 << 20;

    /** The turn at which the last connection was given: what a server that had none for long has its next turn after. */
    private long turn;

    /** How many turns the member has for one of a member with the share 1, among members of the same load. */
    int share(Member member) {
        return member.weight();
    }

    /** The member was put at the end of {@link #members}. */
    abstract void added(Member member);

    /** The member is no longer in {@link #members}; it was at {@code index}, and those behind it have moved up. */
    abstract void removed(Member member, int index);

    /**
     * Its counters, weight, limit or eligibility may have changed.
     *
     * @param described whether weight or eligibility did, which is rare; otherwise only counters and limit
     */
    abstract void changed(Member member, boolean described);

    /** The members stand in another order; it was {@code before}. */
    abstract void reordered(Member[] before);

    @Override
    public final void opened(Member member) {
        isHere(member);
        turn = Math.max(turn, member.turn);
        member.turn = turn + STRIDE / Math.max(1, share(member));
        count(member, 1, 0);
    }

    @Override
    public final void deactivated(Member member) {
        count(member, -1, 1);
    }

    @Override
    public final void closed(Member member) {
        count(member, -1, 0);
    }

    @Override
    public final void closedInactive(Member member) {
        count(member, 0, -1);
    }

    private void count(Member member, int active, int inactive) {
        boolean here = isHere(member);
        member.count(active, inactive);
        if (here) {
            changed(member, false);
        }
    }

    @Override
    public final void add(Member member) {
        if (member.owner != null) {
            throw new IllegalStateException("server " + member.name() + " is in a scheduler already");
        }
        if (size == members.length) {
            members = Arrays.copyOf(members, size * 2);
        }
        member.owner = this;
        member.index = size;
        members[size++] = member;
        added(member);
    }

    @Override
    public final void remove(Member member) {
        if (!isHere(member)) {
            throw new IllegalStateException("server " + member.name() + " is not in this scheduler");
        }
        int index = member.index;
        for (int i = index; i < size - 1; i++) {
            members[i] = members[i + 1];
            members[i].index = i;
        }
        clearLast();
        member.owner = null;
        member.index = -1;
        removed(member, index);
    }

    @SuppressWarnings("NullAway") // slots at and behind size hold no member and are not read
    private void clearLast() {
        members[--size] = null;
    }

    @Override
    public final void update(Member member, int weight, int limit, boolean eligible) {
        boolean here = isHere(member);
        boolean described = weight != member.weight() || eligible != member.eligible();
        member.set(weight, limit, eligible);
        if (here) {
            changed(member, described);
        }
    }

    @Override
    public final void reorder(List<Member> order) {
        boolean same = order.size() == size && new HashSet<>(order).size() == size;
        if (!same || !order.stream().allMatch(this::owns)) {
            throw new IllegalArgumentException(
                    "an order of other servers than those of the scheduler: " + order + " instead of " + members());
        }
        Member[] before = members;
        members = Arrays.copyOf(order.toArray(new Member[0]), before.length);
        for (int i = 0; i < size; i++) {
            members[i].index = i;
        }
        reordered(before);
    }

    private boolean isHere(Member member) {
        if (member.owner != null && !owns(member)) {
            throw new IllegalStateException("server " + member.name() + " is in another scheduler");
        }
        return member.owner != null;
    }

    @SuppressWarnings("ReferenceEquality") // identity is meant
    private boolean owns(Member member) {
        return member.owner == this;
    }

    @Override
    public final List<Member> members() {
        return List.of(Arrays.copyOf(members, size));
    }
}

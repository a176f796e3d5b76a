package io.ballast.director.scheduler;

import java.util.Arrays;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Schedulers that take the servers in turn. The weights of the available servers stand in a {@link MaxTree}, so the
 * next server with a turn is found in O(log n), however many without one lie between.
 */
abstract class Rotation extends AbstractScheduler {

    final MaxTree weights = new MaxTree();

    /** Where the last turn was; -1 before the first server. */
    int last = -1;

    private int[] setAside = new int[4];

    /** What the server counts in the tree while it is available, above 0. */
    abstract int value(Member member);

    /** Moves on to the next server with a turn and returns its index; -1, without a move, where {@code weights} is 0. */
    abstract int turn();

    /** Called once before the turns of a pick; what {@link #reset} needs, besides {@link #last}, to undo them. */
    abstract int mark();

    abstract void reset(int mark);

    @Override
    public final @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        int oldLast = last;
        int oldMark = mark();
        int aside = 0;
        Member picked = null;
        while (true) {
            int index = turn();
            if (index < 0) {
                last = oldLast;
                reset(oldMark);
                break;
            }
            if (!excluded.test(members[index])) {
                picked = members[index];
                break;
            }
            // Out of the tree for the rest of this pick, or the turns of a heavy excluded server would take long.
            weights.set(index, 0);
            if (aside == setAside.length) {
                setAside = Arrays.copyOf(setAside, aside * 2);
            }
            setAside[aside++] = index;
        }
        while (aside > 0) {
            place(members[setAside[--aside]]);
        }
        return picked;
    }

    @Override
    void added(Member member) {
        weights.ensure(size);
        place(member);
    }

    @Override
    void removed(Member member, int index) {
        if (index <= last) {
            last--;
        }
        placeAll();
    }

    @Override
    void reordered(Member[] before) {
        if (last >= 0) {
            last = before[last].index;
        }
        placeAll();
    }

    private void placeAll() {
        weights.clear(size);
        for (int i = 0; i < size; i++) {
            place(members[i]);
        }
    }

    @Override
    void changed(Member member, boolean described) {
        place(member);
    }

    private void place(Member member) {
        int value = member.available() ? value(member) : 0;
        if (weights.get(member.index) != value) {
            weights.set(member.index, value);
        }
    }
}

package io.ballast.director.scheduler;

/**
 * {@code wrr}: each available server as often as its weight says, interleaved as IPVS does it. A cycle consists of
 * passes over the servers. The first pass takes those of the highest weight, and each further pass lowers the bar by
 * the greatest common divisor of all weights, so that the last takes everybody: a, b and c with weights 4, 3 and 2 give
 * a, ab, abc, abc. A cycle without a change is exact.
 *
 * <p>A change keeps the place in the cycle: the bar stays where it is (or drops to the new highest weight), and so does
 * the turn. IPVS starts its pass again at the first server, which favours that one when changes are many.
 *
 * <p>A server at its limit is passed over; its missed turns are not made up for. Passes in which nobody would have a
 * turn are skipped in one step, and the servers without one by the tree, so a pick takes O(log n).
 */
final class WeightedRoundRobin extends Rotation {

    /** The bar: servers of at least this weight have a turn in this pass. 0 before the first pass. */
    private int bar;

    /** By how much the bar sinks: the greatest common divisor of the weights. */
    private int step = 1;

    /** Where the bar starts, so that it ends at 1: the highest weight less {@code step - 1}. */
    private int top;

    private boolean stale = true;

    @Override
    int value(Member member) {
        return member.weight();
    }

    @Override
    int turn() {
        int highest = weights.max();
        if (highest == 0) {
            return -1;
        }
        int next = weights.next(last + 1, bar);
        if (next < 0) {
            bar -= step;
            if (bar <= 0) {
                bar = top;
            }
            bar = Math.min(bar, floor(highest));
            next = weights.next(0, bar);
        }
        last = next;
        return next;
    }

    @Override
    int mark() {
        if (stale) {
            measure();
        }
        return bar;
    }

    @Override
    void reset(int mark) {
        bar = mark;
    }

    @Override
    void added(Member member) {
        super.added(member);
        stale = true;
    }

    @Override
    void removed(Member member, int index) {
        super.removed(member, index);
        stale = true;
    }

    @Override
    void changed(Member member, boolean described) {
        super.changed(member, described);
        stale |= described;
    }

    /** Once for any number of changes, at the next pick: it looks at every server. */
    private void measure() {
        stale = false;
        int divisor = 0;
        int highest = 0;
        for (int i = 0; i < size; i++) {
            if (members[i].eligible()) {
                divisor = gcd(members[i].weight(), divisor);
                highest = Math.max(highest, members[i].weight());
            }
        }
        step = Math.max(divisor, 1);
        top = highest == 0 ? 0 : floor(highest);
        bar = bar <= 0 || bar > top ? top : floor(bar);
    }

    /** The highest position of the bar that does not exceed {@code weight}: 1, or some steps above it. */
    private int floor(int weight) {
        return (weight - 1) / step * step + 1;
    }

    private static int gcd(int a, int b) {
        return b == 0 ? a : gcd(b, a % b);
    }
}

package io.ballast.director.scheduler;

import java.util.concurrent.TimeUnit;

/**
 * What the locality-based kinds share: the weighted least connection order of all servers, who has room to spare, and
 * the ageing of what is remembered for each destination address.
 *
 * <p><b>Overload</b> as in IPVS: a server is given up for a destination when it has more active connections than its
 * weight while some server has fewer than half its weight. How many such servers there are is counted as connections
 * come and go, so the question costs nothing.
 *
 * <p><b>Ageing.</b> {@link #expire} forgets destinations that were not asked for since a day, and, where more than
 * {@value #MANY} are remembered, those not asked for since six minutes, down to a third of the excess below that number
 * and not more than half of it in one call: IPVS's constants. IPVS looks for the day-old only every half hour, and sets
 * no bound; here, at {@value #MOST} destinations, no further one is remembered until some are forgotten.
 *
 * <p>The clock is the time of the last {@link #expire}: ages are as exact as the calls are frequent.
 */
abstract class Locality extends AbstractScheduler {

    static final long DAY = TimeUnit.HOURS.toNanos(24);
    static final long SHORT = TimeUnit.MINUTES.toNanos(6);

    /** More destinations than these are too many. */
    static final int MANY = 16 * 1024;

    /** Never more destinations than these. */
    static final int MOST = 4 * MANY;

    final MemberHeap heap = new MemberHeap(Ranking.WEIGHTED_LEAST_CONNECTION, 0);
    long now;
    private int roomy;
    private int toForget;

    final boolean overloaded(Member member) {
        return member.connections() > member.weight() && roomy > 0;
    }

    /** Whether what was last used then is to be forgotten; {@link #startForgetting} comes first. */
    final boolean old(long lastUse) {
        long age = now - lastUse;
        if (age >= DAY) {
            toForget--;
            return true;
        }
        if (age >= SHORT && toForget > 0) {
            toForget--;
            return true;
        }
        return false;
    }

    final void startForgetting(long nowNanos, int destinations) {
        now = nowNanos;
        toForget = destinations <= MANY ? 0 : Math.min((destinations - MANY) * 4 / 3, MANY / 2);
    }

    @Override
    void added(Member member) {
        changed(member, true);
    }

    @Override
    void removed(Member member, int index) {
        if (heap.contains(member)) {
            heap.remove(member);
        }
        roomy(member, false);
    }

    @Override
    void reordered(Member[] before) {
        heap.rebuild();
    }

    @Override
    void changed(Member member, boolean described) {
        if (!member.available()) {
            if (heap.contains(member)) {
                heap.remove(member);
            }
        } else if (heap.contains(member)) {
            heap.fix(member);
        } else {
            heap.insert(member);
        }
        roomy(member, member.eligible() && member.connections() * 2L < member.weight());
    }

    private void roomy(Member member, boolean is) {
        if (member.roomy != is) {
            member.roomy = is;
            roomy += is ? 1 : -1;
        }
    }
}

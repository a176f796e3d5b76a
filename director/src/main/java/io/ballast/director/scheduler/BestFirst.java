package io.ballast.director.scheduler;

import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * {@code lc}, {@code wlc}, {@code sed}, {@code nq}, {@code fo} and {@code ovf}: always the best available server by a
 * {@link Ranking}. IPVS looks at every server for every connection. Here they stand in a heap, so a pick looks at the
 * root, and each opened or closed connection moves one server in O(log n).
 */
final class BestFirst extends AbstractScheduler {

    private final Ranking ranking;
    private final MemberHeap heap;

    BestFirst(Ranking ranking) {
        this.ranking = ranking;
        this.heap = new MemberHeap(ranking, 0);
    }

    @Override
    public @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        return heap.first(excluded);
    }

    @Override
    int share(Member member) {
        return ranking == Ranking.LEAST_CONNECTION ? 1 : member.weight();
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
    }

    @Override
    void reordered(Member[] before) {
        heap.rebuild();
    }

    @Override
    void changed(Member member, boolean described) {
        boolean candidate = member.available() && ranking.admits(member);
        if (!candidate) {
            removed(member, member.index);
        } else if (heap.contains(member)) {
            heap.fix(member);
        } else {
            heap.insert(member);
        }
    }
}

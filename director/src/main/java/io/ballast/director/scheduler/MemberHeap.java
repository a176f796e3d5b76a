package io.ballast.director.scheduler;

import java.util.Arrays;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A binary heap of members that each know their place in it, so that one whose numbers changed moves in O(log n). The
 * best is at the root. A member may be in several heaps, which differ by their slot.
 */
final class MemberHeap {

    private final Ranking ranking;
    private final int slot;
    private Member[] heap = new Member[8];
    private int size;

    /** @param slot which element of {@link Member#places} is this heap's */
    MemberHeap(Ranking ranking, int slot) {
        this.ranking = ranking;
        this.slot = slot;
    }

    boolean contains(Member member) {
        return member.places[slot] >= 0;
    }

    void insert(Member member) {
        if (size == heap.length) {
            heap = Arrays.copyOf(heap, size * 2);
        }
        put(member, size++);
        up(member);
    }

    void remove(Member member) {
        int place = member.places[slot];
        member.places[slot] = -1;
        Member moved = heap[--size];
        clear(size);
        if (place < size) {
            put(moved, place);
            fix(moved);
        }
    }

    /** The member's numbers changed. */
    void fix(Member member) {
        up(member);
        down(member);
    }

    /** Any number of members changed. */
    void rebuild() {
        for (int place = size / 2 - 1; place >= 0; place--) {
            down(heap[place]);
        }
    }

    /** The best that is not excluded, or null. */
    @Nullable
    Member first(Predicate<? super Member> excluded) {
        return first(0, excluded);
    }

    /** Looks below the excluded only: as many steps as there are excluded ones in the way, and one more each. */
    private @Nullable Member first(int place, Predicate<? super Member> excluded) {
        if (place >= size) {
            return null;
        }
        if (!excluded.test(heap[place])) {
            return heap[place];
        }
        Member left = first(2 * place + 1, excluded);
        Member right = first(2 * place + 2, excluded);
        if (left == null || right == null) {
            return left == null ? right : left;
        }
        return ranking.before(left, right) ? left : right;
    }

    private void up(Member member) {
        int place = member.places[slot];
        while (place > 0) {
            Member parent = heap[(place - 1) / 2];
            if (!ranking.before(member, parent)) {
                break;
            }
            put(parent, place);
            place = (place - 1) / 2;
        }
        put(member, place);
    }

    private void down(Member member) {
        int place = member.places[slot];
        while (2 * place + 1 < size) {
            int child = 2 * place + 1;
            if (child + 1 < size && ranking.before(heap[child + 1], heap[child])) {
                child++;
            }
            if (!ranking.before(heap[child], member)) {
                break;
            }
            put(heap[child], place);
            place = child;
        }
        put(member, place);
    }

    private void put(Member member, int place) {
        heap[place] = member;
        member.places[slot] = place;
    }

    @SuppressWarnings("NullAway") // places at and behind size hold no member and are not read
    private void clear(int place) {
        heap[place] = null;
    }
}

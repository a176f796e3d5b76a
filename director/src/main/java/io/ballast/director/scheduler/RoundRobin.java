package io.ballast.director.scheduler;

/**
 * {@code rr}: each available server in turn, whatever its weight. A server that is added takes its turn behind the
 * others; the removal of one disturbs nobody's turn.
 */
final class RoundRobin extends Rotation {

    @Override
    int value(Member member) {
        return 1;
    }

    @Override
    int turn() {
        int next = weights.next(last + 1, 1);
        if (next < 0) {
            next = weights.next(0, 1);
        }
        if (next >= 0) {
            last = next;
        }
        return next;
    }

    @Override
    int mark() {
        return 0;
    }

    @Override
    void reset(int mark) {}
}

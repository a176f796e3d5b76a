package io.ballast.director.scheduler;

/**
 * The orders in which the next connection prefers servers. Each is total: equal servers keep the order of addition, as
 * IPVS's scan of its list takes the first of the best. Ratios are compared by multiplying across, exactly.
 */
enum Ranking {
    /** {@code lc}: the least overhead, active connections * 256 + inactive ones. */
    LEAST_CONNECTION {
        @Override
        boolean before(Member a, Member b) {
            return decide(Long.compare(a.overhead(), b.overhead()), a, b);
        }
    },
    /** {@code wlc}: the least overhead for the weight. */
    WEIGHTED_LEAST_CONNECTION {
        @Override
        boolean before(Member a, Member b) {
            return decide(Long.compare(a.overhead() * b.weight(), b.overhead() * a.weight()), a, b);
        }
    },
    /** {@code sed}: the shortest expected delay, (active connections + 1) / weight. */
    SHORTEST_EXPECTED_DELAY {
        @Override
        boolean before(Member a, Member b) {
            return decide(Long.compare((a.connections() + 1L) * b.weight(), (b.connections() + 1L) * a.weight()), a, b);
        }
    },
    /** {@code nq}: the first server without active connections, whatever its weight; where there is none, as sed. */
    NEVER_QUEUE {
        @Override
        boolean before(Member a, Member b) {
            boolean idle = a.connections() == 0;
            if (idle != (b.connections() == 0)) {
                return idle;
            }
            return idle ? a.index < b.index : SHORTEST_EXPECTED_DELAY.before(a, b);
        }
    },
    /** {@code fo}: the highest weight. */
    FAILOVER {
        @Override
        boolean before(Member a, Member b) {
            return decide(Integer.compare(b.weight(), a.weight()), a, b);
        }
    },
    /**
     * {@code ovf}: the highest weight among the servers whose active connections do not exceed their weight. As in
     * IPVS a server with exactly as many as its weight takes one more.
     */
    OVERFLOW {
        @Override
        boolean before(Member a, Member b) {
            return FAILOVER.before(a, b);
        }

        @Override
        boolean admits(Member member) {
            return member.connections() <= member.weight();
        }
    },
    /** As wlc, behind which those that are not available stand; for sets that members do not leave meanwhile. */
    AVAILABLE_FIRST {
        @Override
        boolean before(Member a, Member b) {
            boolean available = a.available();
            if (available != b.available()) {
                return available;
            }
            return available ? WEIGHTED_LEAST_CONNECTION.before(a, b) : a.index < b.index;
        }
    };

    /** Whether {@code a} is to be preferred; both are in one scheduler. */
    abstract boolean before(Member a, Member b);

    /** Whether an available server may be picked at all. */
    boolean admits(Member member) {
        return true;
    }

    private static boolean decide(int comparison, Member a, Member b) {
        return comparison != 0 ? comparison < 0 : a.index < b.index;
    }
}

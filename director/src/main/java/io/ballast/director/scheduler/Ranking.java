package io.ballast.director.scheduler;

/**
 * The orders in which the next connection prefers servers. Each is total. Servers of the same load take turns, each as
 * often as its weight says ({@code lc}: all as often): the next turn of a server comes the later after a connection the
 * smaller its weight is, as in start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996). Servers with the same turn
 * stand in the order of addition. IPVS takes the first of its list, which works because it counts a closed connection as
 * inactive for two minutes more; who proxies connections sees them end, so that idle servers would stay equal, the first
 * would get nearly everything, and weights would mean nothing. By weight alone ({@code fo}, {@code ovf}) equal servers
 * keep the order of addition. Ratios are compared by multiplying across, exactly.
 */
enum Ranking {
    /** {@code lc}: the least overhead, active connections * 256 + inactive ones. */
    LEAST_CONNECTION {
        @Override
        boolean before(Member a, Member b) {
            return inTurn(Long.compare(a.overhead(), b.overhead()), a, b);
        }
    },
    /** {@code wlc}: the least overhead for the weight. */
    WEIGHTED_LEAST_CONNECTION {
        @Override
        boolean before(Member a, Member b) {
            return inTurn(Long.compare(a.overhead() * b.weight(), b.overhead() * a.weight()), a, b);
        }
    },
    /** {@code sed}: the shortest expected delay, (active connections + 1) / weight. */
    SHORTEST_EXPECTED_DELAY {
        @Override
        boolean before(Member a, Member b) {
            return inTurn(Long.compare((a.connections() + 1L) * b.weight(), (b.connections() + 1L) * a.weight()), a, b);
        }
    },
    /** {@code nq}: a server without active connections, whatever its weight; where there is none, as sed. */
    NEVER_QUEUE {
        @Override
        boolean before(Member a, Member b) {
            boolean idle = a.connections() == 0;
            if (idle != (b.connections() == 0)) {
                return idle;
            }
            return idle ? inTurn(0, a, b) : SHORTEST_EXPECTED_DELAY.before(a, b);
        }
    },
    /** {@code fo}: the highest weight. */
    FAILOVER {
        @Override
        boolean before(Member a, Member b) {
            return inOrder(Integer.compare(b.weight(), a.weight()), a, b);
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

    private static boolean inTurn(int comparison, Member a, Member b) {
        return inOrder(comparison != 0 ? comparison : Long.compare(a.turn, b.turn), a, b);
    }

    private static boolean inOrder(int comparison, Member a, Member b) {
        return comparison != 0 ? comparison < 0 : a.index < b.index;
    }
}

package io.ballast.director.xdp;

import io.ballast.director.xdp.Vip.Kind;
import java.util.function.IntFunction;

/**
 * The order of servers by load, as a tournament: node 1 of a binary tree names the best server of all, nodes 2 and 3 the
 * best of its halves, and so on. The data plane keeps it from connection to connection ({@code rank} in flows.h); this
 * makes it anew when servers, weights or states change. Both compare alike, and as
 * {@code io.ballast.director.scheduler.Ranking} does.
 */
final class LoadTree {
    private final Kind kind;
    private final IntFunction<Load> loads;

    /** @param loads of a server by its number */
    LoadTree(Kind kind, IntFunction<Load> loads) {
        this.kind = kind;
        this.loads = loads;
    }

    /** Receives nodes. */
    interface Nodes {
        void node(int number, int server);
    }

    /**
     * Decides every node.
     *
     * @param first number of the first server
     * @param leaves how many there are: a power of two, at least 2
     */
    void build(int first, int leaves, Nodes nodes) {
        int[] winner = new int[2 * leaves];
        for (int i = 0; i < leaves; i++) {
            winner[leaves + i] = available(loads.apply(first + i)) ? first + i : Layout.NOBODY;
        }
        for (int node = leaves - 1; node > 0; node--) {
            winner[node] = better(winner[2 * node], winner[2 * node + 1]);
            nodes.node(node, winner[node]);
        }
    }

    private int better(int a, int b) {
        if (a == Layout.NOBODY || b == Layout.NOBODY) {
            return a == Layout.NOBODY ? b : a;
        }
        return before(loads.apply(a), loads.apply(b)) ? a : b;
    }

    private static boolean available(Load load) {
        return load.weight() > 0 && (load.limit() == 0 || load.active() + load.inactive() < load.limit());
    }

    /** Whether {@code a}, which stands earlier in the list, is preferred. */
    private boolean before(Load a, Load b) {
        int comparison = switch (kind) {
            case LEAST_CONNECTION -> Long.compare(overhead(a), overhead(b));
            case WEIGHTED_LEAST_CONNECTION -> Long.compare(overhead(a) * b.weight(), overhead(b) * a.weight());
            case SHORTEST_EXPECTED_DELAY -> delay(a, b);
            case NEVER_QUEUE ->
                a.active() == 0 || b.active() == 0 ? Boolean.compare(a.active() != 0, b.active() != 0) : delay(a, b);
            case BY_SLOT_OF_HASH, BY_SLOT_OF_SOURCE, BY_SLOT_OF_DESTINATION, IN_TURN ->
                throw new IllegalStateException(kind + " compares no loads");
        };
        return comparison != 0 ? comparison < 0 : a.turn() <= b.turn();
    }

    private static long overhead(Load load) {
        return ((long) load.active() << 8) + load.inactive();
    }

    private static int delay(Load a, Load b) {
        return Long.compare((a.active() + 1L) * b.weight(), (b.active() + 1L) * a.weight());
    }
}

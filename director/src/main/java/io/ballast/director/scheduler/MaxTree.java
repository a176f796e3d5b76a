package io.ballast.director.scheduler;

/**
 * An array of numbers from 0 up that finds the next one of at least a given size in O(log n): a binary tree in which
 * every node holds the largest number below it. A rotation uses it to step over servers without a turn.
 */
final class MaxTree {

    private int leaves = 8;
    private int[] tree = new int[2 * leaves];

    /** Makes room for numbers at 0 to {@code count - 1}, all 0. */
    void clear(int count) {
        while (leaves < count) {
            leaves *= 2;
        }
        tree = new int[2 * leaves];
    }

    void ensure(int count) {
        if (count > leaves) {
            int[] old = tree;
            int had = leaves;
            clear(count);
            for (int i = 0; i < had; i++) {
                set(i, old[had + i]);
            }
        }
    }

    int get(int index) {
        return tree[leaves + index];
    }

    void set(int index, int value) {
        int node = leaves + index;
        tree[node] = value;
        for (node >>= 1; node > 0; node >>= 1) {
            int largest = Math.max(tree[2 * node], tree[2 * node + 1]);
            if (tree[node] == largest) {
                return;
            }
            tree[node] = largest;
        }
    }

    /** The largest number. */
    int max() {
        return tree[1];
    }

    /** The first index from {@code from} on with a number of at least {@code least} (above 0), or -1. */
    int next(int from, int least) {
        if (from >= leaves) {
            return -1;
        }
        int node = leaves + from;
        while (tree[node] < least) {
            while ((node & 1) == 1) {
                node >>= 1; // a right child: what follows it begins beside its parent
            }
            if (node == 0) {
                return -1; // climbed past the root
            }
            node++;
        }
        while (node < leaves) {
            node *= 2;
            if (tree[node] < least) {
                node++;
            }
        }
        return node - leaves;
    }
}

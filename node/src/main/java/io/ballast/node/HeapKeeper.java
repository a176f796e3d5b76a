package io.ballast.node;

/**
 * Keeps the heap as small as what is in it, although it may grow: the serial collector rather extends the old generation
 * than it collects it, so that a heap with a large maximum, which one node in a thousand needs, would fill up with
 * garbage at all the others. Where the heap has grown beyond what it had to be at the last look, it is collected as a
 * whole, which also gives memory back. That takes a pause in proportion to what lives: some 20 ms in a small farm, which
 * gets there once in many days, a fifth of a second with 10,000 services.
 */
final class HeapKeeper {
    /** A heap up to this is left alone, in bytes. */
    static final long SMALL = 64L << 20;

    /** The heap, narrowed to what is needed here. */
    interface Heap {
        /** Bytes that it takes from the system. */
        long committed();

        /** Collects all garbage. */
        void collect();

        /** That of this JVM. */
        Heap OWN = new Heap() {
            @Override
            public long committed() {
                return Runtime.getRuntime().totalMemory();
            }

            @Override
            public void collect() {
                System.gc();
            }
        };
    }

    private final Heap heap;
    private long limit = SMALL;

    HeapKeeper(Heap heap) {
        this.heap = heap;
    }

    /** Looks at the heap, and collects it if it has grown by a quarter since that helped; to be called now and then. */
    void look() {
        if (heap.committed() > limit) {
            heap.collect();
            limit = Math.max(SMALL, heap.committed() + heap.committed() / 4);
        }
    }

    /** Much was let go: the next look collects unless the heap is small. */
    void expectLess() {
        limit = SMALL;
    }
}

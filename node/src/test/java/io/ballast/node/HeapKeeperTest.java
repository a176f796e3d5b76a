package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class HeapKeeperTest {
    private static final long MIB = 1L << 20;

    private long committed = 16 * MIB;
    private long needed = 16 * MIB;
    private int collections;
    private final HeapKeeper keeper = new HeapKeeper(new HeapKeeper.Heap() {
        @Override
        public long committed() {
            return committed;
        }

        @Override
        public void collect() {
            collections++;
            committed = needed;
        }
    });

    @Test
    void aSmallHeapIsLeftAlone() {
        committed = HeapKeeper.SMALL;
        keeper.look();
        assertThat(collections).isZero();
    }

    @Test
    void aHeapThatGrewIsCollectedAndAgainWhenItGrewByAQuarter() {
        committed = 200 * MIB;
        needed = 100 * MIB;
        keeper.look();
        assertThat(collections).isEqualTo(1);
        committed = 125 * MIB;
        keeper.look();
        assertThat(collections).isEqualTo(1);
        committed = 126 * MIB;
        keeper.look();
        assertThat(collections).isEqualTo(2);
    }

    @Test
    void whereMuchIsNeededItIsNotCollectedAgainAndAgain() {
        committed = 300 * MIB;
        needed = 300 * MIB;
        keeper.look();
        keeper.look();
        keeper.look();
        assertThat(collections).isEqualTo(1);
    }

    @Test
    void whatALargeDescriptionLeavesIsGivenBack() {
        committed = 120 * MIB;
        needed = 110 * MIB;
        keeper.look();
        needed = 20 * MIB;
        keeper.look();
        assertThat(collections).isEqualTo(1);
        keeper.expectLess();
        keeper.look();
        assertThat(collections).isEqualTo(2);
        assertThat(committed).isEqualTo(20 * MIB);
    }
}

package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.director.scheduler.ScheduleTable;
import org.junit.jupiter.api.Test;

final class SlotTableTest {

    private static char[] slots(int... members) {
        char[] slots = new char[members.length];
        for (int i = 0; i < slots.length; i++) {
            slots[i] = (char) members[i];
        }
        return slots;
    }

    private static void assertColumns(SlotTable table, char[] current, char[] base) {
        for (int slot = 0; slot < current.length; slot++) {
            assertThat(table.current(slot)).isEqualTo(current[slot]);
            assertThat(table.base(slot)).isEqualTo(base[slot]);
        }
    }

    @Test
    void theBaseStaysUntilItIsSettled() {
        SlotTable table = new SlotTable(slots(0, 1, 2, 0));
        assertThat(table.moved()).isZero();
        table.update(slots(0, 2, 2, 1), member -> true);
        assertThat(table.moved()).isEqualTo(2);
        assertColumns(table, slots(0, 2, 2, 1), slots(0, 1, 2, 0));
        table.update(slots(0, 1, 2, 2), member -> true);
        assertThat(table.moved()).isEqualTo(1);
        assertColumns(table, slots(0, 1, 2, 2), slots(0, 1, 2, 0));
        table.settle();
        assertThat(table.moved()).isZero();
        assertColumns(table, slots(0, 1, 2, 2), slots(0, 1, 2, 2));
    }

    /** A server goes, connections are opened elsewhere and remembered, and it comes back: columns alone would forget them. */
    @Test
    void aSlotStaysDoubtfulUntilNobodyIsRemembered() {
        SlotTable table = new SlotTable(slots(0, 1));
        table.update(slots(0, 2), member -> true);
        table.update(slots(0, 1), member -> true);
        assertThat(table.moved()).isZero();
        assertThat(table.isDoubtful(0)).isFalse();
        assertThat(table.isDoubtful(1)).isTrue();
        assertThat(table.trust()).isTrue();
        assertThat(table.isDoubtful(1)).isFalse();
        assertThat(table.trust()).isFalse();
    }

    @Test
    void whatIsTrustedAndMovedIsDoubtful() {
        SlotTable table = new SlotTable(slots(0, 1));
        table.update(slots(0, 2), member -> true);
        table.trust();
        assertThat(table.isDoubtful(1)).isTrue();
    }

    @Test
    void whoKeepsNoConnectionsIsNoBase() {
        SlotTable table = new SlotTable(slots(0, 1));
        table.update(slots(2, 2), member -> member != 1);
        assertColumns(table, slots(2, 2), slots(0, 2));
        assertThat(table.names(0)).isTrue();
        assertThat(table.names(1)).isFalse();
    }

    @Test
    void whereNobodyWasTheFirstServerIsTheBase() {
        SlotTable table = new SlotTable(slots(ScheduleTable.NONE));
        table.update(slots(3), member -> true);
        assertColumns(table, slots(3), slots(3));
    }

    @Test
    void rangesAreTakenAndGivenBack() {
        Extents extents = new Extents(0, 10);
        assertThat(extents.take(4)).isZero();
        assertThat(extents.take(4)).isEqualTo(4);
        assertThat(extents.take(4)).isEqualTo(-1);
        extents.give(0, 4);
        assertThat(extents.take(2)).isZero();
        extents.give(4, 4);
        extents.give(0, 2);
        assertThat(extents.left()).isEqualTo(10);
        assertThat(extents.take(10)).isZero();
        extents.give(0, 10);
        assertThatThrownBy(() -> extents.give(3, 1)).isInstanceOf(IllegalStateException.class);
    }
}

package io.ballast.director.xdp;

import io.ballast.director.scheduler.ScheduleTable;
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.IntPredicate;

/**
 * The two columns of a hash service's table, which are what lets connections keep their server without being remembered.
 *
 * <p>{@code current} is where new connections go. {@code base} is where a packet goes whose connection nobody remembers:
 * to the server that its slot led to before the last change. Where both agree, which is nearly everywhere nearly always,
 * the slot says all there is to know and no connection needs a place in memory. Where they differ, the data plane
 * remembers each connection that it sees, new ones with {@code current} and others with {@code base}. After the time in
 * which every living connection must have sent a packet, all of those are remembered, and {@link #settle} lets the base
 * follow.
 *
 * <p>So of a hundred servers one may come, go or drain, and only the connections in the slots that this moves (its own,
 * and about half a percent of the others) ever cost memory, and none changes its server.
 *
 * <p>A slot in which connections may be remembered is <em>doubtful</em>, also when its columns agree again: a server that
 * went may have come back, and the connections that were opened in between are elsewhere. Packets in other slots need
 * not be looked for in memory, so that a change costs only the connections that it moves any time.
 *
 * <p>Members are numbers of servers within the service; {@link ScheduleTable#NONE} is no server.
 */
final class SlotTable {
    private char[] current;
    private char[] base;
    private final BitSet doubtful;
    private int moved;

    /** A table without connections from before. */
    SlotTable(char[] first) {
        current = first.clone();
        base = first.clone();
        doubtful = new BitSet(first.length);
    }

    /** A table as it was found. */
    SlotTable(char[] current, char[] base, BitSet doubtful) {
        this.current = current.clone();
        this.base = base.clone();
        this.doubtful = (BitSet) doubtful.clone();
        countMoved();
    }

    private void countMoved() {
        moved = 0;
        for (int slot = 0; slot < current.length; slot++) {
            if (base[slot] != current[slot]) {
                moved++;
                doubtful.set(slot);
            }
        }
    }

    /**
     * New connections go by {@code next} from now on.
     *
     * @param keeps whether a member may keep the connections that nobody remembers: it exists, and was not declared
     *     lost with its connections
     */
    void update(char[] next, IntPredicate keeps) {
        if (next.length != current.length) {
            // Slots of another number have nothing to do with the earlier ones.
            base = next.clone();
            doubt();
        }
        current = next.clone();
        for (int slot = 0; slot < current.length; slot++) {
            char before = base[slot];
            if (before == ScheduleTable.NONE || !keeps.test(before)) {
                base[slot] = current[slot];
            }
        }
        countMoved();
    }

    /** Connections of any slot may be remembered. */
    void doubt() {
        doubtful.set(0, base.length);
    }

    /**
     * No connection is remembered any more.
     *
     * @return whether this changes a slot
     */
    boolean trust() {
        boolean changes = !doubtful.isEmpty();
        doubtful.clear();
        countMoved();
        return changes;
    }

    /** Whether a connection in the slot may be remembered. */
    boolean isDoubtful(int slot) {
        return doubtful.get(slot);
    }

    /** Every living connection of a moved slot is remembered by now: the base follows. */
    void settle() {
        base = current.clone();
        moved = 0;
    }

    /** In how many slots the columns differ. */
    int moved() {
        return moved;
    }

    int length() {
        return current.length;
    }

    char current(int slot) {
        return current[slot];
    }

    char base(int slot) {
        return base[slot];
    }

    /** Whether the member is still named in a column. */
    boolean names(int member) {
        for (int slot = 0; slot < current.length; slot++) {
            if (current[slot] == member || base[slot] == member) {
                return true;
            }
        }
        return false;
    }

    @Override
    public String toString() {
        return moved + " of " + current.length + " slots moved, " + Arrays.hashCode(current);
    }
}

package io.ballast.director.scheduler;

import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * {@code sh} and {@code dh}: a table of 256 slots that the servers fill in turn, and a hash of the client's (sh) or the
 * destination's (dh) address that leads to one of them. Hash and filling are IPVS's, so the same servers in the same
 * order give the same table. With sh a server fills as many slots at a time as its weight says; dh knows no weights
 * other than 0. What does not fit has no slot: with more than 256 servers, or a sum of weights above 256, give more
 * slots.
 *
 * <p>A server that is down, drained or full keeps its slots, so that its clients come back to it and nobody else's
 * client moves. Meanwhile they are refused, or with {@linkplain HashOptions#fallback the fallback} go where IPVS's
 * sh-fallback sends them: to the first available server from the slot at twice their slot's number on. (IPVS has that
 * for sh alone.) Where no slot has an available server, one that has no slot is taken.
 *
 * <p>Adding, removing and weighting change many slots, as in IPVS; {@code mh} does not. The table is filled again at the
 * first pick after such a change.
 */
final class SlotHash extends AbstractScheduler {

    static final int DEFAULT_SLOTS = 256;

    /** The kernel's GOLDEN_RATIO_32. */
    private static final int GOLDEN_RATIO = 0x61C88647;

    private final boolean destination;
    private final HashOptions options;
    private final int bits;
    private final @Nullable Member[] slots;
    private boolean stale;

    /** @param destination dh rather than sh */
    SlotHash(boolean destination, HashOptions options) {
        int count = options.slots() == 0 ? DEFAULT_SLOTS : options.slots();
        if (count < 2 || Integer.bitCount(count) != 1) {
            throw new IllegalArgumentException("a hash table of " + count + " slots: it must be a power of two");
        }
        this.destination = destination;
        this.options = options;
        this.bits = Integer.numberOfTrailingZeros(count);
        this.slots = new @Nullable Member[count];
    }

    @Override
    public @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        if (stale) {
            fill();
        }
        return at(slot(flow), excluded);
    }

    private @Nullable Member at(int slot, Predicate<? super Member> excluded) {
        Member server = slots[slot];
        if (server == null || usable(server, excluded)) {
            return server;
        }
        return options.fallback() ? another(slot, excluded) : null;
    }

    /** For each slot the place of the member that a client led there gets now; {@link ScheduleTable#NONE} for none. */
    char[] picks() {
        if (stale) {
            fill();
        }
        char[] picks = new char[slots.length];
        for (int slot = 0; slot < picks.length; slot++) {
            Member server = at(slot, Exclusion.NONE);
            picks[slot] = server == null ? ScheduleTable.NONE : (char) server.index;
        }
        return picks;
    }

    private int slot(FlowKey flow) {
        int key = destination
                ? FlowKey.fold(flow.destinationHigh(), flow.destinationLow())
                : FlowKey.fold(flow.sourceHigh(), flow.sourceLow()) + (options.port() ? flow.sourcePort() : 0);
        return (key * GOLDEN_RATIO) >>> (32 - bits);
    }

    private @Nullable Member another(int slot, Predicate<? super Member> excluded) {
        for (int i = 0; i < slots.length; i++) {
            Member server = slots[(2 * slot + i) & (slots.length - 1)];
            if (server != null && usable(server, excluded)) {
                return server;
            }
        }
        for (int i = 0; i < size; i++) {
            if (usable(members[i], excluded)) {
                return members[i];
            }
        }
        return null;
    }

    private static boolean usable(Member server, Predicate<? super Member> excluded) {
        return server.available() && !excluded.test(server);
    }

    private void fill() {
        stale = false;
        int at = 0;
        int filled = 0;
        for (int slot = 0; slot < slots.length; slot++) {
            if (size == 0) {
                slots[slot] = null;
                continue;
            }
            slots[slot] = members[at];
            filled++;
            if (destination || filled >= members[at].lastWeight()) {
                at = (at + 1) % size;
                filled = 0;
            }
        }
        for (int i = 0; i < size; i++) {
            members[i].tableWeight = members[i].lastWeight();
        }
    }

    @Override
    void added(Member member) {
        stale = true;
    }

    @Override
    void removed(Member member, int index) {
        stale = true;
    }

    @Override
    void reordered(Member[] before) {
        stale = true;
    }

    @Override
    void changed(Member member, boolean described) {
        stale |= described && member.lastWeight() != member.tableWeight;
    }
}

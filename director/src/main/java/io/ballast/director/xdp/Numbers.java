package io.ballast.director.xdp;

import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * The numbers that packets go by: those of services, of servers, of lines of slots and of trees, and ids of endpoints.
 * Here they are taken and given back.
 *
 * <p>What only endpoints lead to is free as soon as none does. Servers' and services' numbers are not, since remembered
 * connections name them: an old connection would be counted out of a new server's load. They are free once the sweep has
 * been by the whole table. Ids of endpoints are never given twice: a connection that is remembered under one is that
 * endpoint's.
 */
final class Numbers {
    /**
     * What a service needs to begin with.
     *
     * @param tree -1 where none was wanted
     */
    record Taken(int service, int firstServer, int tree) {}

    /** What is free when so many parts of the table have been swept. */
    private record Emptied(int service, int firstServer, int capacity, long dueAt) {}

    private final Extents servers;
    private final Extents slotLines;
    private final Extents nodeLines;
    private final BitSet services = new BitSet();
    private final int mostServices;
    private final int sweepParts;
    private final Deque<Emptied> emptied = new ArrayDeque<>();
    private long swept;
    private int lastEndpoint;

    /**
     * @param sweepParts in so many parts the sweep comes by every connection
     */
    Numbers(DataPlane.Sizes sizes, int sweepParts) {
        servers = new Extents(0, sizes.servers());
        slotLines = new Extents(0, sizes.slotLines());
        nodeLines = new Extents(0, sizes.nodeLines());
        mostServices = sizes.services();
        this.sweepParts = sweepParts;
    }

    /** Lines for so many slots or nodes. */
    static int lines(int count) {
        return Math.ceilDiv(count, Layout.LINE);
    }

    /**
     * Takes numbers for a service; null, with nothing taken, where there are not enough.
     *
     * @param capacity of so many servers
     * @param tree whether it compares loads
     */
    @Nullable
    Taken take(int capacity, boolean tree) {
        int service = services.nextClearBit(0);
        if (service >= mostServices) {
            return null;
        }
        int first = servers.take(capacity);
        if (first < 0) {
            return null;
        }
        int nodes = tree ? nodeLines.take(lines(capacity)) : -1;
        if (tree && nodes < 0) {
            servers.give(first, capacity);
            return null;
        }
        services.set(service);
        return new Taken(service, first, nodes);
    }

    /** Numbers of servers that have been given back and are not free yet: no connection is to name them. */
    BitSet given() {
        BitSet given = new BitSet();
        emptied.forEach(old -> given.set(old.firstServer, old.firstServer + old.capacity));
        return given;
    }

    /** Whether a sweep will free numbers. */
    boolean areWaiting() {
        return !emptied.isEmpty();
    }

    /**
     * Takes what an earlier process had taken.
     *
     * @throws IllegalArgumentException where another service has some of it
     */
    void claim(Notes.OfService note) {
        services.set(note.number());
        boolean free = servers.claim(note.firstServer(), note.capacity());
        if (note.slotCount() > 0) {
            free &= slotLines.claim(note.slots(), lines(note.slotCount()));
        }
        if (note.tree() >= 0) {
            free &= nodeLines.claim(note.tree(), lines(note.capacity()));
        }
        if (!free) {
            throw new IllegalArgumentException("service " + note.name() + " lies across another");
        }
    }

    /** Lines of slots; -1 where there are not so many. */
    int takeSlots(int lines) {
        return slotLines.take(lines);
    }

    void giveSlots(int at, int lines) {
        slotLines.give(at, lines);
    }

    /** Gives back all that a service has, which no endpoint leads to any more. */
    void give(Installed old) {
        int capacity = old.service.capacity();
        emptied.add(new Emptied(old.service.number, old.firstServer, capacity, swept + sweepParts));
        if (old.lines >= 0) {
            slotLines.give(old.lines, old.lineCount);
        }
        if (old.tree >= 0) {
            nodeLines.give(old.tree, lines(capacity));
        }
    }

    /** A part of the table has been swept. */
    void sweptPart() {
        swept++;
        while (!emptied.isEmpty() && emptied.getFirst().dueAt <= swept) {
            Emptied old = emptied.removeFirst();
            servers.give(old.firstServer, old.capacity);
            services.clear(old.service);
        }
    }

    /** An id for another endpoint. */
    int nextEndpoint() {
        return ++lastEndpoint;
    }

    /** An id that was given by an earlier process. */
    void endpointWas(int id) {
        lastEndpoint = Math.max(lastEndpoint, id);
    }
}

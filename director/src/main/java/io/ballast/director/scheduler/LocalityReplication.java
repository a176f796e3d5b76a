package io.ballast.director.scheduler;

import java.util.Arrays;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * {@code lblcr}: as {@code lblc}, with a set of servers for each destination address. The best of the set by weighted
 * least connection is picked; when that is {@linkplain Locality overloaded} or there is none, the best of all servers is
 * picked and joins the set. A set that did not change for a day gives up its most loaded server at its next pick.
 *
 * <p>Two things differ from IPVS. Equal servers of a set stand in the order of addition to the scheduler, where IPVS
 * takes the one that joined the set last; and a removed server leaves every set at once.
 *
 * <p><b>Large sets.</b> A hot destination's set grows up to all servers, and looking through it would cost O(n). The
 * first {@value #INDEXED} sets with more than {@value #LARGE} servers therefore keep a heap of their own. More would
 * make every opened connection pay for heaps that it hardly uses, so further large sets are looked through.
 */
final class LocalityReplication extends Locality {

    static final int LARGE = 16;
    static final int INDEXED = 8;

    private static final class Destination extends AddressTable.Entry {

        private Member[] servers = new Member[2];
        private int count;
        private long lastUse;
        private long lastChange;
        private int slot;

        Destination(FlowKey flow) {
            super(flow.destinationHigh(), flow.destinationLow());
        }
    }

    private final AddressTable<Destination> destinations = new AddressTable<>(0);

    /** The heaps of large sets by slot; null at 0, which is {@link #heap}'s slot and that of sets without a heap. */
    private final @Nullable MemberHeap[] sets = new @Nullable MemberHeap[1 + INDEXED];

    private int setsInUse;

    @Override
    public @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        Destination destination = destinations.get(flow.destinationHigh(), flow.destinationLow());
        if (destination != null) {
            destination.lastUse = now;
            Member best = best(destination, excluded);
            if (destination.count > 1 && now - destination.lastChange > DAY) {
                dropMostLoaded(destination);
            }
            if (best != null && !overloaded(best)) {
                return best;
            }
        }
        Member server = heap.first(excluded);
        if (server == null) {
            return null;
        }
        if (destination == null && destinations.size() < MOST) {
            destination = new Destination(flow);
            destination.lastUse = now;
            destinations.put(destination);
        }
        if (destination != null) {
            join(destination, server);
        }
        return server;
    }

    @Override
    public void expire(long nowNanos) {
        startForgetting(nowNanos, destinations.size());
        destinations.removeIf(destination -> {
            boolean old = old(destination.lastUse);
            if (old) {
                dropIndex(destination);
            }
            return old;
        });
    }

    /** How many destinations are remembered. */
    int destinations() {
        return destinations.size();
    }

    /** How many sets have a heap of their own. */
    int setsWithAHeap() {
        return setsInUse;
    }

    @Override
    void added(Member member) {
        if (member.places.length < sets.length) {
            member.places = new int[sets.length];
            Arrays.fill(member.places, -1);
        }
        super.added(member);
    }

    @Override
    void removed(Member member, int index) {
        super.removed(member, index);
        destinations.removeIf(destination -> {
            int at = find(destination, member);
            if (at >= 0) {
                leave(destination, at);
            }
            return false;
        });
    }

    @Override
    void reordered(Member[] before) {
        super.reordered(before);
        for (MemberHeap set : sets) {
            if (set != null) {
                set.rebuild();
            }
        }
    }

    @Override
    void changed(Member member, boolean described) {
        super.changed(member, described);
        for (int slot = 1, left = setsInUse; left > 0; slot++) {
            MemberHeap set = sets[slot];
            if (set != null) {
                left--;
                if (set.contains(member)) {
                    set.fix(member);
                }
            }
        }
    }

    private @Nullable Member best(Destination destination, Predicate<? super Member> excluded) {
        MemberHeap set = sets[destination.slot];
        if (set != null) {
            Member first = set.first(excluded);
            return first != null && first.available() ? first : null;
        }
        Member best = null;
        for (int i = 0; i < destination.count; i++) {
            Member server = destination.servers[i];
            if (server.available()
                    && (best == null || Ranking.WEIGHTED_LEAST_CONNECTION.before(server, best))
                    && !excluded.test(server)) {
                best = server;
            }
        }
        return best;
    }

    private void dropMostLoaded(Destination destination) {
        int most = -1;
        for (int i = 0; i < destination.count; i++) {
            Member server = destination.servers[i];
            if (server.weight() > 0 && (most < 0 || moreLoaded(server, destination.servers[most]))) {
                most = i;
            }
        }
        if (most >= 0) {
            leave(destination, most);
        }
    }

    private static boolean moreLoaded(Member a, Member b) {
        int comparison = Long.compare(a.overhead() * b.weight(), b.overhead() * a.weight());
        return comparison != 0 ? comparison > 0 : a.index < b.index;
    }

    private void join(Destination destination, Member server) {
        MemberHeap set = sets[destination.slot];
        if (set != null ? set.contains(server) : find(destination, server) >= 0) {
            return;
        }
        if (destination.count == destination.servers.length) {
            destination.servers = Arrays.copyOf(destination.servers, destination.count * 2);
        }
        destination.servers[destination.count++] = server;
        destination.lastChange = now;
        if (set != null) {
            set.insert(server);
        } else if (destination.count > LARGE && setsInUse < INDEXED) {
            index(destination);
        }
    }

    @SuppressWarnings("NullAway") // places at and behind count hold no server and are not read
    private void leave(Destination destination, int at) {
        MemberHeap set = sets[destination.slot];
        if (set != null) {
            set.remove(destination.servers[at]);
        }
        destination.servers[at] = destination.servers[--destination.count];
        destination.servers[destination.count] = null;
        destination.lastChange = now;
    }

    @SuppressWarnings("ReferenceEquality") // identity is meant
    private static int find(Destination destination, Member server) {
        for (int i = 0; i < destination.count; i++) {
            if (destination.servers[i] == server) {
                return i;
            }
        }
        return -1;
    }

    private void index(Destination destination) {
        int slot = 1;
        while (sets[slot] != null) {
            slot++;
        }
        MemberHeap set = new MemberHeap(Ranking.AVAILABLE_FIRST, slot);
        sets[slot] = set;
        setsInUse++;
        destination.slot = slot;
        for (int i = 0; i < destination.count; i++) {
            set.insert(destination.servers[i]);
        }
    }

    private void dropIndex(Destination destination) {
        if (destination.slot == 0) {
            return;
        }
        for (int i = 0; i < destination.count; i++) {
            destination.servers[i].places[destination.slot] = -1;
        }
        sets[destination.slot] = null;
        setsInUse--;
        destination.slot = 0;
    }
}

package io.ballast.director.scheduler;

import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Picks the real server of each new connection of one virtual service.
 *
 * <p><b>How it is used.</b> {@link Schedulers#create} makes one; each server is {@link #add}ed as a {@link Member} and
 * {@link #update}d in place when its weight, limit or state changes, which moves no established connection. For a new
 * connection the caller asks {@link #pick}, connects, and reports {@link #opened}; a server that did not answer is
 * excluded from the next {@code pick}. Picking counts nothing: the caller that accepts ten connections before it
 * reports the first has asked ten times about the same state.
 *
 * <p><b>What it means.</b> The kinds are those of IPVS and mean what the kernel's {@code ip_vs_*.c} mean. What is
 * "first in the list" there is first in the order of addition here (IPVS puts a new server at the head of its list), but
 * servers of the same load take turns; {@link Ranking} says why. A server is picked only while it is
 * {@link Member#available available}. A limit works as IPVS's upper threshold without a lower one would if it ended
 * with the first closed connection; IPVS waits for a quarter of them.
 *
 * <p><b>Cost.</b> {@code pick} and the counting methods allocate nothing and take constant or O(log n) time for n
 * servers; where a kind differs, its class says so. Adding and removing may take O(n).
 *
 * <p><b>Threads.</b> A scheduler, its members and what is picked from it belong to one thread. Nothing is synchronized:
 * a worker with several event loops has one scheduler, with its own members, for each of them.
 */
public interface Scheduler {

    /** The server for a new connection, or null where none is available. */
    default @Nullable Member pick(FlowKey flow) {
        return pick(flow, Exclusion.NONE);
    }

    /**
     * The server for a new connection among those that {@code excluded} does not name; null where none is left.
     *
     * @param excluded servers that were tried already; a small set, asked at most a few times for each server in it
     */
    @Nullable
    Member pick(FlowKey flow, Predicate<? super Member> excluded);

    /** A connection to the server is established: it counts as active. */
    void opened(Member member);

    /** An active connection has closed one direction: it counts as inactive from now on. */
    void deactivated(Member member);

    /** An active connection ended. */
    void closed(Member member);

    /** An inactive connection ended. */
    void closedInactive(Member member);

    /**
     * Adds a server behind the others.
     *
     * @throws IllegalStateException it is in a scheduler already
     */
    void add(Member member);

    /**
     * Takes a server out: it is not picked any more. Its connections may go on, and their ends are still reported here.
     *
     * @throws IllegalStateException it is not in this scheduler
     */
    void remove(Member member);

    /**
     * Changes a server in place, whether it is in the scheduler now or was removed.
     *
     * @throws IllegalArgumentException a weight outside 0 to {@link Member#MAX_WEIGHT} or a limit below 0
     */
    void update(Member member, int weight, int limit, boolean eligible);

    /**
     * Puts the servers into another order, which takes the place of the order of addition from now on. Nobody loses the
     * turn, a slot that a table does not assign by order, or what is remembered of destinations.
     *
     * @param order every server that is in the scheduler, once
     * @throws IllegalArgumentException one is missing, twice there, or not in this scheduler
     */
    void reorder(List<Member> order);

    /** The servers in the order of addition, as they are now; a copy. */
    List<Member> members();

    /**
     * Tells the time to the kinds that forget (lblc, lblcr), which know no other clock. Call it about once a minute, and
     * once before the first {@code pick}; the others ignore it.
     *
     * @param nowNanos of a monotonic clock
     */
    default void expire(long nowNanos) {}
}

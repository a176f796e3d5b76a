package io.ballast.takeover.wire;

import io.ballast.linux.Descriptor;
import io.ballast.linux.netlink.Link;
import java.util.Collection;
import java.util.Optional;

/**
 * What having the addresses of virtual routers means on this machine. Called by the takeover thread only, which must not
 * wait for it: what fails is told to whom it was given for that.
 */
public interface Ownership extends AutoCloseable {
    /** The interface that carries a virtual router with an Ethernet address of its own. */
    sealed interface Carrier {
        /** It is there, and up. */
        record Ready(Link link) implements Carrier {}

        /** It will be there in a moment, or be refused; whoever hears of changes to interfaces hears of it. */
        record Awaited() implements Carrier {}

        /** It cannot be had, and is tried again when it is asked for again. */
        record Refused(String why) implements Carrier {}
    }

    /**
     * Sees to it that there is such an interface, until {@link #leave}.
     *
     * @param member that has an Ethernet address of its own
     * @param parent the interface below
     * @param links all interfaces as they are now
     */
    Carrier carrier(Membership member, Link parent, Collection<Link> links);

    /**
     * Takes care of a virtual router's addresses from now on; none of them is this node's yet.
     *
     * @param link the interface that leads to the other nodes
     * @param carrier where the addresses are: the same, or with an Ethernet address of its own that of {@link #carrier}
     */
    void enter(Membership member, Link link, Link carrier);

    /** It is described otherwise from now on, with the same addresses in the same place. */
    default void configure(Membership member) {}

    /** Has nothing to do with them any more; they have been released. */
    void leave(Membership member);

    /**
     * Until when this node may have the addresses, by {@link System#nanoTime}: by then they are not answered for, whether this
     * process goes on or not. Given before {@link #acquire}, and again with each later time.
     */
    void until(Membership member, long time);

    /** It will not {@link #enter}: what {@link #carrier} has made, or is about to, is not needed. */
    default void abandon(Membership member) {}

    /** The addresses are this node's: let them in, add them, tell the network. */
    void acquire(Membership member, long now);

    /**
     * Another is taking them: packets that still come here are served, but nobody is told any more that they are here. They
     * are released soon.
     */
    void handOver(Membership member);

    /** They are another's. */
    void release(Membership member, long now);

    /** Whether nobody else is to have them now: while one node hands over to another, both do. */
    void alone(Membership member, boolean isAlone);

    /** Somebody else has claimed them, wrongly: tell the network again. */
    void announce(Membership member, long now);

    /**
     * What came here for addresses that another node has.
     *
     * @param senders neighbours that sent it
     * @param last how long after the addresses had gone the last frame of it came, in nanoseconds
     */
    record Strays(int senders, long frames, long last) {}

    /** What has come for them since they went; nothing where they are here, nothing came, or nobody looks. */
    default Optional<Strays> strays(Membership member) {
        return Optional.empty();
    }

    /** Where the signs of life go that the lease lives on; empty where there is no lease. */
    Optional<Descriptor> lifeline();

    /** For how many nanoseconds a sign of life is good. */
    long lease();

    /** Until when the lease runs, by {@link System#nanoTime}; {@link Long#MAX_VALUE} where there is none. */
    long aliveUntil();

    /** This process lives, and knows what it does: the lease runs from now on, also where it was over. */
    void live();

    /** Everything has been released and left. */
    @Override
    void close();
}

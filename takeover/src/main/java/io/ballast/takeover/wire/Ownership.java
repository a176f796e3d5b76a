package io.ballast.takeover.wire;

import io.ballast.linux.Descriptor;
import io.ballast.linux.netlink.Link;
import java.util.Optional;

/**
 * What having the addresses of virtual routers means on this machine. Called by the takeover thread only, which must not
 * wait for it: what can fail says so to whom it was given for that, and is tried again at {@link #tick}.
 */
public interface Ownership extends AutoCloseable {
    /** Takes care of a virtual router's addresses from now on; none of them is this node's yet. */
    void enter(Membership member, Link link);

    /** Has nothing to do with them any more; they have been released. */
    void leave(Membership member);

    /** The addresses are this node's: let them in, add them, tell the network. */
    void acquire(Membership member, long now);

    /** They are another's. */
    void release(Membership member, long now);

    /** Somebody else has claimed them, wrongly: tell the network again. */
    void announce(Membership member, long now);

    /** When {@link #tick} has something to do, by {@link System#nanoTime}. */
    long due();

    /** Does what is due. */
    void tick(long now);

    /** Where the signs of life go that the lease lives on; empty where there is no lease. */
    Optional<Descriptor> lifeline();

    /** For how many nanoseconds a sign of life is good. */
    long lease();

    /** This process had stood still, and lives: the lease that was over begins anew. */
    void revive();

    /** Everything has been released and left. */
    @Override
    void close();
}

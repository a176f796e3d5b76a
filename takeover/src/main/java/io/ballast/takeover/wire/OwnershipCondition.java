package io.ballast.takeover.wire;

import java.net.InetAddress;
import java.util.List;

/**
 * Something that this node needs, beside being elected master, before it has the addresses of virtual routers that move
 * together: that programs and mounts have been started, that a majority agrees. While one of them is not
 * {@link State#GRANTED}, the master advertises and has no addresses.
 *
 * <p>The addresses come last and go first. Who is to give them up in good order drops them, says {@link #given}, and tells
 * the other nodes that it leaves when every condition is free: what it needed may be needed by the next one.
 *
 * <p>Called by the takeover thread, which must not wait for it.
 */
public interface OwnershipCondition {
    /** Where virtual routers depend on nothing. */
    Maker NONE = (_, _) -> List.of();

    /** How it stands. */
    enum State {
        /** It is not wanted, and nothing of it is here: others may have it. */
        FREE(true),
        /** It is wanted, and not there yet. */
        AWAITED(false),
        /** It is there. */
        GRANTED(false),
        /** It is not wanted, and not all of it is gone. */
        GIVEN_BACK(false),
        /** It cannot be had on this node, which is a fault; nothing of it is here. */
        FAILED(true),
        /** It cannot be had, which is a fault, and may be here for ever: others must not believe that it is free. */
        STUCK(false);

        private final boolean free;

        State(boolean free) {
            this.free = free;
        }

        /** Whether others may have it. */
        public boolean isFree() {
            return free;
        }

        /** Whether this node is at fault by it. */
        public boolean isFault() {
            return this == FAILED || this == STUCK;
        }
    }

    /**
     * How it stands.
     *
     * @param text what it waits for, or why it has failed, for people: {@code resources db: starts mount /srv}
     * @param last whether this node is to give way to every other one, as it could not have it before
     */
    record Standing(State state, String text, boolean last) {}

    /** Makes what the addresses of virtual routers depend on; the same thing again where it is asked again. */
    @FunctionalInterface
    interface Maker {
        /**
         * What it depends on whether this node has the addresses of these.
         *
         * @param routers they move together; what is alone is of one family, and another of its name may be elsewhere
         * @param changed to be run, by any thread, when a {@link #standing} or {@link #until} is another
         */
        List<OwnershipCondition> make(List<Membership> routers, Runnable changed);
    }

    /** This node is elected: it should be granted, if it can be. */
    void wanted(String why);

    /** This node is elected no more, or is to give the addresses up; it has none of them now. */
    void given(String why);

    /**
     * Until when it is granted at most, by {@link System#nanoTime}: the addresses are gone by then, whatever happens to this
     * process.
     */
    default long until() {
        return Long.MAX_VALUE;
    }

    /**
     * Another node advertises.
     *
     * @param has whether it may have what this is about, as master; if not, it has said that it has not, and will not come to
     *     have it before it says so
     * @param until when it would be heard again
     */
    default void heard(InetAddress from, boolean has, long at, long until) {}

    /** Whether the other nodes depend on being told that this one has nothing of it: they are told again and again. */
    default boolean tells() {
        return false;
    }

    /** The others are told by then that this node has nothing of it, and will not before it says so. */
    default void said(long at) {}

    /** How it stands now; may be asked by the takeover thread at any time. */
    Standing standing();
}

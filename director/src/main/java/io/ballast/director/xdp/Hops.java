package io.ballast.director.xdp;

import java.net.InetAddress;
import java.util.Optional;

/** Finds the first step of the way to servers, and keeps it true. */
interface Hops {

    /** Is told of changes on the control loop's thread. */
    interface Listener {
        /** The way is this now; empty while there is none. */
        void hop(InetAddress server, Optional<Hop> hop);
    }

    /** Tells the listener now or as soon as something is known, and at every change until {@link #forget}. */
    void watch(InetAddress server, Listener listener);

    /** Runs something once what is known of several servers has been told. */
    void soon(Runnable task);

    /** Ends one {@link #watch} of the server. */
    void forget(InetAddress server, Listener listener);

    /** The address from which packets to the server leave; empty while there is no route. */
    Optional<InetAddress> sourceFor(InetAddress server);
}

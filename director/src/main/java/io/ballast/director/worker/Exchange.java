package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.scheduler.FlowKey;
import io.ballast.director.scheduler.Member;
import io.ballast.director.scheduler.PersistenceTable;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one client has with one server: a TCP connection or a UDP flow. The fields are the {@link Balancer}'s account of it
 * and belong to that one's loop.
 */
abstract class Exchange extends Wheel.Entry {
    final Balancer balancer;

    /** The loop that carries its bytes. */
    final Loop loop;

    /** Who asks, and for which address. */
    final FlowKey flow;

    /** Servers that did not take it. */
    final List<Member> tried = new ArrayList<>(0);

    /** The server that counts it. */
    @Nullable
    RealServer assigned;

    /** One direction has ended. */
    boolean countedInactive;

    /** It is over. */
    boolean gone;

    /** What persistence knows the client by, while this counts there. */
    PersistenceTable.@Nullable Entry remembered;

    /** The server's exchanges are chained through themselves. */
    @Nullable
    Exchange nextOfServer;

    @Nullable
    Exchange previousOfServer;

    Exchange(Balancer balancer, Loop loop, FlowKey flow) {
        this.balancer = balancer;
        this.loop = loop;
        this.flow = flow;
    }

    /** Ends it now, on its own loop; the client and the server get a reset where there is such a thing. */
    abstract void end(boolean reset);

    /**
     * What a listing shows. It may be read on another thread than the loop's: the figures are then those of a moment ago,
     * which is what every listing is.
     */
    abstract ConnectionInfo info(String serverName, long now);

    /** How far it is; like {@link #info} a moment ago where another thread asks. */
    abstract ConnectionFilter.Phase phase();

    abstract Endpoint.Protocol protocol();

    /** The client's address and port as text. */
    final String client() {
        return Addresses.text(flow.sourceHigh(), flow.sourceLow(), flow.sourcePort());
    }
}

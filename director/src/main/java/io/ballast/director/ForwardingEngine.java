package io.ballast.director;

import java.util.List;
import java.util.concurrent.CompletionStage;

/**
 * What forwards the packets of virtual services: the seam between the director's decisions, which are the same
 * everywhere, and the ways of moving bytes, which differ.
 *
 * <p>An engine is told the whole of what one service should be, never a step toward it: {@link #put} with what it
 * already has changes nothing, and a repeated or late call does no harm. It finds the difference itself, and
 * established connections outlive every change that leaves their server in the table.
 *
 * <p>All methods are called by the control loop's thread and return at once. What happens later comes back through
 * {@link EngineEvents}, also on the control loop's thread.
 */
public interface ForwardingEngine extends AutoCloseable {

    /** The engine's name in listings. */
    String name();

    /** Installs the service, or brings an installed one to exactly this. */
    void put(Forwarding service);

    /** Takes the service away: its sockets close at once, its connections drain as its time-outs say. */
    void remove(String service);

    /** Counters of every service; fails when the engine cannot answer at the moment. */
    CompletionStage<List<ServiceStatistics>> statistics();

    /**
     * Lists, counts or ends connections. Those that come or go meanwhile may be met or not. Fails when the engine cannot
     * answer at the moment.
     */
    CompletionStage<ConnectionReport> connections(ConnectionQuery query);

    /**
     * Lets go of the engine. What it forwards goes on where the engine can outlive the daemon; use {@link #remove} to
     * end it.
     */
    @Override
    void close();
}

package io.ballast.director;

import io.ballast.core.config.Endpoint;

/** What an engine tells the director; called on the control loop's thread. */
public interface EngineEvents {

    /** The endpoint accepts connections. */
    void listening(String service, Endpoint endpoint);

    /**
     * The endpoint could not be opened, and is tried again by the engine.
     *
     * @param reason what the system said and what to do, for people
     */
    void notListening(String service, Endpoint endpoint, String reason);

    /** A server ended draining: it has no connection left, or the drain time-out closed {@code closed} of them. */
    void drained(String service, String server, int closed);

    /** The engine is at a limit (file descriptors, memory) or has left it; {@code reason} is for people. */
    void pressure(boolean on, String reason);

    /** Something worth the journal that is none of the above. */
    void note(boolean warning, String subject, String message);
}

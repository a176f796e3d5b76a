package io.ballast.health;

import io.ballast.health.state.ProbeResult;

/**
 * One question to a server. An instance keeps no state between runs and may be run by several threads at a time.
 *
 * <p>Runs block, and are made for virtual threads.
 */
@FunctionalInterface
public interface Probe {

    /**
     * Asks once. Whatever the server or the network does ends in a result, never in an exception.
     *
     * @param deadline by when there must be an answer; the probe ends shortly after it in any case
     * @throws InterruptedException when the check was removed meanwhile
     */
    ProbeResult run(ProbeTarget target, Deadline deadline) throws InterruptedException;
}

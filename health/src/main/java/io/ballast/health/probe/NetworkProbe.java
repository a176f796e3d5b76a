package io.ballast.health.probe;

import io.ballast.health.Deadline;
import io.ballast.health.Probe;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;

/** A probe that talks to a server: it says what to ask, and {@link Attempt} turns every way to fail into a reason. */
abstract class NetworkProbe implements Probe {

    /**
     * Asks, and returns when the server has answered as it should; what is worth telling is added to the attempt's
     * story.
     */
    abstract void ask(Attempt attempt) throws IOException, ProbeFailure, InterruptedException;

    @Override
    public final ProbeResult run(ProbeTarget target, Deadline deadline) throws InterruptedException {
        try (Attempt attempt = new Attempt(target, deadline)) {
            try {
                ask(attempt);
                return attempt.success();
            } catch (ProbeFailure e) {
                return attempt.failure(e);
            } catch (IOException e) {
                return attempt.failure(e);
            }
        }
    }
}

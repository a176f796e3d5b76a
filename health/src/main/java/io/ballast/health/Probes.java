package io.ballast.health;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.probe.ProbeFactory;
import io.ballast.health.state.ProbeResult;

/** Makes probes from their descriptions; one instance serves a whole process, and bounds what its probes may use. */
public final class Probes {

    private final ProbeFactory factory;

    /** Probes that trust the certificates that the system trusts. */
    public Probes() {
        this(ProbeFactory.system());
    }

    Probes(ProbeFactory factory) {
        this.factory = factory;
    }

    /**
     * The probe that a description asks for. One that cannot be made, for instance because its regular expression is
     * wrong, is a probe that always fails and says why.
     */
    public Probe of(ProbeSpec spec) {
        try {
            return factory.of(spec);
        } catch (IllegalArgumentException e) {
            ProbeResult wrong = ProbeResult.failure("the description of the check is wrong: " + e.getMessage(), 0);
            return (target, deadline) -> wrong;
        }
    }
}

package io.ballast.health;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.health.probe.ProbeFactory;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeSchedule;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Optional;

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

    /**
     * Loads and links what probes need, by a few that ask nobody. Worth calling once at the start of a process, before
     * it takes on checks: the first probes are then not late, and a process that runs out of descriptors later, when no
     * class file can be opened any more, has the code at hand that says so. Takes some hundred milliseconds.
     */
    public void warmUp() throws InterruptedException {
        ProbeTarget nobody = ProbeTarget.of(InetAddress.getLoopbackAddress(), 1);
        ProbeSpec connect = new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty());
        ProbeResult refused = of(connect).run(nobody, Deadline.after(Duration.ofSeconds(1)));
        CheckSpec spec = new CheckSpec(
                "warm-up",
                Duration.ofSeconds(1),
                Duration.ofSeconds(1),
                1,
                1,
                CheckSpec.InitialState.UP,
                0,
                Duration.ofSeconds(1),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                connect);
        ProbeSchedule schedule = new ProbeSchedule(spec, 0);
        for (ProbeResult.Outcome outcome : ProbeResult.Outcome.values()) {
            schedule.onResult(outcome, refused.rttMicros());
        }
    }
}

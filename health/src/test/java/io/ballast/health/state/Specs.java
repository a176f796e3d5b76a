package io.ballast.health.state;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.ProbeSpec;
import java.time.Duration;
import java.util.Optional;

/** Checks for tests. */
public final class Specs {

    private Specs() {}

    /** A check of a file: the probe does not matter to the state machines. */
    public static CheckSpec check(String name, Duration interval, int rise, int fall, InitialState initial) {
        return check(name, interval, Duration.ofSeconds(1), rise, fall, initial, 0, interval);
    }

    /** A check with every time given. */
    public static CheckSpec check(
            String name,
            Duration interval,
            Duration timeout,
            int rise,
            int fall,
            InitialState initial,
            double jitter,
            Duration backoff) {
        return new CheckSpec(
                name,
                interval,
                timeout,
                rise,
                fall,
                initial,
                jitter,
                backoff,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                new ProbeSpec.File("/etc/hostname", true));
    }
}

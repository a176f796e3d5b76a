package io.ballast.director;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Services for tests, with everything at its plainest that they do not name. */
public final class Forwardings {
    private Forwardings() {}

    /** One that listens there and has these servers. */
    public static Forwarding of(
            String name,
            ForwardingMethod method,
            SchedulerKind scheduler,
            List<Endpoint> listen,
            List<Forwarding.Server> servers) {
        return new Forwarding(
                name,
                listen,
                scheduler,
                method,
                Optional.empty(),
                new ServiceSpec.Timeouts(
                        Duration.ofSeconds(1),
                        Duration.ofMinutes(10),
                        Duration.ofMinutes(1),
                        Duration.ofMinutes(1),
                        Duration.ofSeconds(1),
                        Duration.ofMinutes(5)),
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                ServiceSpec.OnDown.KEEP,
                Optional.empty(),
                servers,
                Optional.empty());
    }

    /** One without servers. */
    public static Forwarding of(String name, ForwardingMethod method, Endpoint... listen) {
        return of(name, method, SchedulerKind.WLC, List.of(listen), List.of());
    }
}

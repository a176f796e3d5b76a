package io.ballast.director;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.ServiceSpec;
import java.util.List;
import java.util.Optional;

/** Services without servers, for tests of what passes them on. */
public final class Forwardings {
    private Forwardings() {}

    /** One that listens there. */
    public static Forwarding of(String name, ForwardingMethod method, Endpoint... listen) {
        ServiceSpec web = Services.service(List.of(), false);
        return new Forwarding(
                name,
                List.of(listen),
                web.scheduler(),
                method,
                web.persistence(),
                web.timeouts(),
                web.limits(),
                web.connectRetry(),
                web.proxyProtocol(),
                web.onDown(),
                web.source(),
                List.of(),
                Optional.empty());
    }
}

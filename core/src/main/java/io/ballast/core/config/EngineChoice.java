package io.ballast.core.config;

import io.ballast.core.config.ServiceSpec.ConnectRetry;
import io.ballast.core.config.ServiceSpec.Limits;
import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import java.net.InetAddress;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What the description alone says about the engine of a service with {@code engine: auto}. It may ask for whatever the engine
 * userspace can do; where only that one can, there is no choice left.
 */
public final class EngineChoice {
    /** What a service has that asks for nothing. */
    private static final Limits NO_LIMITS = new Limits(0, 1_000, 0);

    private static final ConnectRetry USUAL_RETRY = new ConnectRetry(2, 0);
    private static final ConnectRetry NO_RETRY = new ConnectRetry(0, 0);

    private EngineChoice() {}

    /** The engine that a service begins with: {@link EngineKind#AUTO} only where the description leaves a choice. */
    public static EngineKind of(ServiceSpec spec) {
        return spec.engine() == EngineKind.AUTO && onlyUserspace(spec).isPresent()
                ? EngineKind.USERSPACE
                : spec.engine();
    }

    /** What the engine xdp cannot do of what a service asks for, for people; empty where it can do all of it. */
    public static Optional<String> onlyUserspace(ServiceSpec spec) {
        if (!EngineKind.XDP.has(spec.scheduler())) {
            return Optional.of(
                    "only userspace has the scheduler " + spec.scheduler().yamlName());
        }
        if (spec.proxyProtocol() != ProxyProtocol.OFF) {
            return Optional.of("only userspace speaks the PROXY protocol");
        }
        if (!spec.connectRetry().equals(USUAL_RETRY) && !spec.connectRetry().equals(NO_RETRY)) {
            return Optional.of("only userspace can try another server (connect-retry)");
        }
        if (!spec.limits().equals(NO_LIMITS)) {
            return Optional.of("only userspace keeps limits of connections and their queue (limits)");
        }
        if (spec.listen().stream().anyMatch(endpoint -> endpoint.address().isAnyLocalAddress())) {
            return Optional.of("only userspace can listen on any of a node's addresses");
        }
        if (Stream.concat(
                        spec.listen().stream().map(Endpoint::address),
                        hosts(spec).flatMap(host -> Addresses.parse(host.host()).stream()))
                .anyMatch(InetAddress::isLoopbackAddress)) {
            return Optional.of("only userspace has to do with what stays on the machine, at a loopback address");
        }
        for (ServerSpec server : spec.servers()) {
            if (server.limit() > 0 && !spec.scheduler().comparesLoads()) {
                return Optional.of("only userspace keeps the limit of " + server.name() + " with the scheduler "
                        + spec.scheduler().yamlName());
            }
        }
        boolean translated = spec.forwarding() == ForwardingMethod.NAT || spec.forwarding() == ForwardingMethod.FULLNAT;
        return translated && mixesFamilies(spec)
                ? Optional.of("only userspace connects clients of one address family with servers of the other")
                : Optional.empty();
    }

    private static boolean mixesFamilies(ServiceSpec spec) {
        Set<Integer> lengths = new HashSet<>();
        spec.listen().forEach(endpoint -> lengths.add(endpoint.address().getAddress().length));
        hosts(spec)
                .flatMap(host -> Addresses.parse(host.host()).stream())
                .forEach(address -> lengths.add(address.getAddress().length));
        return lengths.size() > 1;
    }

    private static Stream<HostPort> hosts(ServiceSpec spec) {
        return Stream.concat(spec.servers().stream().map(ServerSpec::address), spec.sorry().stream());
    }
}

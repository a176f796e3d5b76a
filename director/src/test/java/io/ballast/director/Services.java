package io.ballast.director;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Descriptions for tests. */
final class Services {
    private Services() {}

    static CheckSpec check(InitialState initial) {
        Duration second = Duration.ofSeconds(1);
        return new CheckSpec(
                "tcp",
                second,
                second,
                1,
                1,
                initial,
                0,
                second,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty()));
    }

    static ServerSpec server(String name, String host, int weight, AdminState state, List<CheckSpec> checks) {
        return new ServerSpec(name, new HostPort(host, 80), weight, 0, state, checks);
    }

    static ServerSpec server(String name, String host) {
        return server(name, host, 1, AdminState.ENABLED, List.of(check(InitialState.DOWN)));
    }

    static ServiceSpec service(List<ServerSpec> servers, boolean sorry) {
        Duration second = Duration.ofSeconds(1);
        return new ServiceSpec(
                "web",
                List.of(new Endpoint(InetAddress.ofLiteral("127.0.0.1"), 8080, Endpoint.Protocol.TCP)),
                List.of(),
                SchedulerKind.WLC,
                EngineKind.USERSPACE,
                ForwardingMethod.PROXY,
                Optional.empty(),
                new ServiceSpec.Timeouts(second, second, second, second, second, second),
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(1, 0),
                ServiceSpec.ProxyProtocol.OFF,
                ServiceSpec.OnDown.KEEP,
                Optional.empty(),
                servers,
                List.of(check(InitialState.DOWN)),
                sorry ? Optional.of(new HostPort("127.0.0.9", 8081)) : Optional.empty(),
                new ServiceSpec.NotifySpec(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty()),
                Optional.empty());
    }

    static InetSocketAddress literal(HostPort hostPort) {
        return new InetSocketAddress(InetAddress.ofLiteral(hostPort.host()), hostPort.port());
    }
}

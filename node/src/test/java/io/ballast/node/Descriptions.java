package io.ballast.node;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import java.net.InetAddress;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/** Descriptions for tests. */
final class Descriptions {
    private Descriptions() {}

    static NodeSpec node(String name, String... addresses) {
        return new NodeSpec(
                name,
                List.of(new NodeSpec.InterfaceSpec(
                        "eth0",
                        java.util.Arrays.stream(addresses)
                                .map(a -> new NodeSpec.Cidr(InetAddress.ofLiteral(a), 24))
                                .toList())));
    }

    static CheckSpec check(String name, int fall, InitialState initial) {
        Duration second = Duration.ofSeconds(1);
        return new CheckSpec(
                name,
                second,
                second,
                1,
                fall,
                initial,
                0,
                second,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty()));
    }

    static CheckSpec check() {
        return check("tcp", 1, InitialState.DOWN);
    }

    static ServerSpec server(String name, String host, CheckSpec... checks) {
        return new ServerSpec(name, new HostPort(host, 80), 1, 0, AdminState.ENABLED, List.of(checks));
    }

    /** One that is asked at the ports of its service. */
    static ServerSpec serverWithoutPort(String name, String host, CheckSpec... checks) {
        return new ServerSpec(name, new HostPort(host, 0), 1, 0, AdminState.ENABLED, List.of(checks));
    }

    static ServiceSpec service(String name, String listen, List<String> directors, ServerSpec... servers) {
        Duration second = Duration.ofSeconds(1);
        return new ServiceSpec(
                name,
                List.of(new Endpoint(InetAddress.ofLiteral(listen), 80, Endpoint.Protocol.TCP)),
                directors,
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
                List.of(servers),
                List.of(check()),
                Optional.empty(),
                new ServiceSpec.NotifySpec(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty()),
                Optional.empty());
    }

    /** The same, listening elsewhere. */
    static ServiceSpec listening(ServiceSpec s, Endpoint... listen) {
        return new ServiceSpec(
                s.name(),
                List.of(listen),
                s.directors(),
                s.scheduler(),
                s.engine(),
                s.forwarding(),
                s.persistence(),
                s.timeouts(),
                s.limits(),
                s.connectRetry(),
                s.proxyProtocol(),
                s.onDown(),
                s.source(),
                s.servers(),
                s.checks(),
                s.sorry(),
                s.hooks(),
                s.quic());
    }

    /** The same with the engine xdp. */
    static ServiceSpec inKernel(ServiceSpec s) {
        return new ServiceSpec(
                s.name(),
                s.listen(),
                s.directors(),
                s.scheduler(),
                EngineKind.XDP,
                ForwardingMethod.DR,
                s.persistence(),
                s.timeouts(),
                s.limits(),
                s.connectRetry(),
                s.proxyProtocol(),
                s.onDown(),
                s.source(),
                s.servers(),
                s.checks(),
                s.sorry(),
                s.hooks(),
                s.quic());
    }

    static Description description(List<NodeSpec> nodes, ServiceSpec... services) {
        SequencedMap<String, NodeSpec> byName = new LinkedHashMap<>();
        nodes.forEach(n -> byName.put(n.name(), n));
        SequencedMap<String, ServiceSpec> all = new LinkedHashMap<>();
        for (ServiceSpec s : services) {
            all.put(s.name(), s);
        }
        return new Description("test", byName, all);
    }
}

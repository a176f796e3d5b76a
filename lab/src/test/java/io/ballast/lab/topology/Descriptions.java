package io.ballast.lab.topology;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.NodeSpec.InterfaceSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Short ways to write descriptions in tests. */
final class Descriptions {
    private Descriptions() {}

    static NodeSpec node(String name, InterfaceSpec... interfaces) {
        return new NodeSpec(name, List.of(interfaces));
    }

    static InterfaceSpec device(String name, String... addresses) {
        return new InterfaceSpec(
                name, Arrays.stream(addresses).map(Descriptions::cidr).toList());
    }

    static Cidr cidr(String text) {
        String[] parts = text.split("/", 2);
        return new Cidr(InetAddress.ofLiteral(parts[0]), Integer.parseInt(parts[1]));
    }

    static ServerSpec server(String name, String host, int port) {
        return new ServerSpec(name, new HostPort(host, port), 1, 0, ServerSpec.AdminState.ENABLED, List.of());
    }

    static Endpoint tcp(String address, int port) {
        return new Endpoint(InetAddress.ofLiteral(address), port, Endpoint.Protocol.TCP);
    }

    static CheckSpec check(ProbeSpec probe) {
        return check(probe, 0);
    }

    static CheckSpec check(ProbeSpec probe, int port) {
        Duration second = Duration.ofSeconds(1);
        return new CheckSpec(
                probe.yamlName(),
                second,
                second,
                1,
                2,
                CheckSpec.InitialState.UP,
                0,
                second,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                port,
                probe);
    }

    static ProbeSpec.Http http(String path, int low, int high, TextMatch... body) {
        return new ProbeSpec.Http(
                "GET",
                path,
                Optional.empty(),
                Map.of(),
                List.of(new StatusRange(low, high)),
                Arrays.stream(body).findFirst(),
                Optional.empty(),
                ProbeSpec.HttpVersion.HTTP_1_1,
                Optional.empty());
    }

    static ServiceSpec service(
            String name, List<Endpoint> listen, List<String> directors, List<ServerSpec> servers, CheckSpec... checks) {
        Duration second = Duration.ofSeconds(1);
        return new ServiceSpec(
                name,
                listen,
                directors,
                SchedulerKind.WLC,
                EngineKind.USERSPACE,
                ForwardingMethod.PROXY,
                Optional.empty(),
                new ServiceSpec.Timeouts(second, second, second, second, second, second),
                new ServiceSpec.Limits(0, 0, 0),
                new ServiceSpec.ConnectRetry(0, 0),
                ServiceSpec.ProxyProtocol.OFF,
                ServiceSpec.OnDown.KEEP,
                Optional.empty(),
                servers,
                List.of(checks),
                Optional.empty(),
                new ServiceSpec.NotifySpec(Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty()),
                Optional.empty());
    }

    static ServiceSpec withSorry(ServiceSpec s, String host, int port) {
        return new ServiceSpec(
                s.name(),
                s.listen(),
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
                Optional.of(new HostPort(host, port)),
                s.hooks(),
                s.quic());
    }

    static Description description(List<NodeSpec> nodes, ServiceSpec... services) {
        LinkedHashMap<String, NodeSpec> byName = new LinkedHashMap<>();
        nodes.forEach(n -> byName.put(n.name(), n));
        LinkedHashMap<String, ServiceSpec> servicesByName = new LinkedHashMap<>();
        for (ServiceSpec service : services) {
            servicesByName.put(service.name(), service);
        }
        return new Description("farm", byName, servicesByName);
    }

    /** The farm of examples/farm.yaml, without what does not matter here. */
    static Description farm() {
        return description(
                List.of(
                        node(
                                "director",
                                device("eth0", "192.168.9.1/24", "192.168.9.100/24", "fd00:9::1/64", "fd00:9::100/64"),
                                device("eth1", "10.1.0.254/24")),
                        node("www1", device("eth0", "10.1.0.1/24")),
                        node("www2", device("eth0", "10.1.0.2/24")),
                        node("client", device("eth0", "192.168.9.10/24", "fd00:9::10/64"))),
                service(
                        "web",
                        List.of(tcp("192.168.9.100", 80), tcp("fd00:9::100", 80)),
                        List.of(),
                        List.of(server("www1:80", "10.1.0.1", 80), server("www2:80", "10.1.0.2", 80)),
                        check(http("/index.html", 200, 200, new TextMatch("Test Page", false)))));
    }
}

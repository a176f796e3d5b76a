package io.ballast.lab.topology;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.ballast.core.config.Description;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class LoopbackTest {
    private final AtomicInteger next = new AtomicInteger(30_000);
    private final Loopback loopback = new Loopback(5, 6, Optional.of(next::getAndIncrement));

    private static Description read(String text) {
        ReadResult result = new DescriptionReader().read("test.yaml", text);
        assertThat(result.problems()).isEmpty();
        return result.description().orElseThrow();
    }

    private static String farm() throws Exception {
        return Files.readString(Path.of("../examples/farm.yaml"));
    }

    private static ServiceSpec web(Description description) {
        return description.services().values().stream()
                .filter(s -> s.name().equals("web"))
                .findFirst()
                .orElseThrow();
    }

    private Description moved(String text) {
        return read(loopback.apply(DescriptionText.of(text), Topology.of(read(text)))
                .toString());
    }

    @Test
    void theExampleStaysTheSameServiceElsewhere() throws Exception {
        Description before = read(farm());
        Description after = moved(farm());
        assertThat(after.nodes().keySet())
                .containsExactlyElementsOf(before.nodes().keySet());
        assertThat(web(after).checks()).isEqualTo(web(before).checks());
        assertThat(web(after).connectRetry()).isEqualTo(web(before).connectRetry());
        assertThat(web(after).servers())
                .extracting(ServerSpec::name, ServerSpec::weight)
                .containsExactlyElementsOf(web(before).servers().stream()
                        .map(s -> tuple(s.name(), s.weight()))
                        .toList());
        assertThat(web(after).listen())
                .extracting(Object::toString)
                .containsExactly("127.5.6.2:8080/tcp", "[::1]:30000/tcp");
    }

    @Test
    void aServersPlaceIsWhereItsWebServerListens() throws Exception {
        Description after = moved(farm());
        Topology topology = loopback.apply(Topology.of(read(farm())));
        assertThat(topology.sites()).hasSize(3);
        for (Site site : topology.sites()) {
            HostPort address = web(after).servers().stream()
                    .filter(s -> s.name().equals(site.name()))
                    .findFirst()
                    .orElseThrow()
                    .address();
            assertThat(site.listen())
                    .containsExactly(new InetSocketAddress(InetAddress.ofLiteral(address.host()), address.port()));
        }
        assertThat(topology.directors()).extracting(Topology.Node::name).containsExactly("director");
    }

    @Test
    void everyFormOfAnAddressIsMoved() {
        String text = """
                nodes:
                  lb: { interfaces: { eth0: { addresses: 10.0.0.1/24 }, eth1: { addresses: ["fd00::1/64"] } } }
                  four: { interfaces: { eth0: { addresses: [10.0.0.4/24, "fd00::4/64"] } } }
                  six: { interfaces: { eth0: { addresses: ["fd00::6/64"] } } }
                checks:
                  other: { type: http, host: "10.0.0.4:81", source: 10.0.0.1 }
                services:
                  web:
                    listen: 10.0.0.1:80
                    sorry: "127.0.0.1:82"
                    source: 10.0.0.1
                    servers:
                      - four:80
                      - { name: s6, address: "six:80", checks: [other, { type: tcp, port: 443, bind-interface: eth1 }] }
                      - { name: literal, address: "10.0.0.77:8081" }
                      - { name: resolver, address: "example.com:80" }
                    checks: [{ type: tcp }]
                """;
        ServiceSpec web = web(moved(text));
        assertThat(web.listen().getFirst()).hasToString("127.5.6.1:8080/tcp");
        assertThat(web.source()).contains(InetAddress.ofLiteral("127.5.6.1"));
        assertThat(web.servers())
                .extracting(s -> s.name() + " " + s.address())
                .containsExactly(
                        "four 127.5.6.2:8080", "s6 [::1]:30000", "literal 127.5.6.4:8081", "resolver example.com:8080");
        assertThat(web.sorry().map(HostPort::port)).contains(8082);
        var checks = web.servers().get(1).checks();
        assertThat(checks.getFirst().host().map(HostPort::toString)).contains("127.5.6.2:8081");
        assertThat(checks.get(1).port()).isEqualTo(8443);
        assertThat(checks.get(1).bindInterface()).isEmpty();
    }

    @Test
    void ofDirectorsThatShareAnAddressOneIsLeftAndThatIsSaid() throws Exception {
        String text = Files.readString(Path.of("../examples/ultramonkey.yaml"))
                .replace("engine: xdp", "engine: userspace")
                .replace("forwarding: dr", "forwarding: proxy");
        Description after = moved(text);
        assertThat(after.virtualRouters()).isEmpty();
        assertThat(web(after).directors()).containsExactly("director1");
        assertThat(loopback.apply(Topology.of(read(text))).notes())
                .contains("only director1 directs the services: without network namespaces, directors cannot share an"
                        + " address");
        assertThat(loopback.apply(Topology.of(read(farm()))).notes()).noneMatch(note -> note.startsWith("only "));
    }

    @Test
    void withoutIpv6ItsAddressesAreLeftOutAndThatIsSaid() throws Exception {
        Loopback four = new Loopback(1, 2, Optional.empty());
        Topology topology = Topology.of(read(farm()));
        Description after =
                read(four.apply(DescriptionText.of(farm()), topology).toString());
        assertThat(web(after).listen()).hasSize(1);
        assertThat(four.apply(topology).notes()).anyMatch(n -> n.contains("no IPv6"));
    }

    @Test
    void checksIntervalsSorryAndWeightsAreChangedInPlace() throws Exception {
        DescriptionText text = DescriptionText.of(farm());
        ServiceSpec fast = web(read(text.withCheckInterval(Duration.ofMillis(100))
                .withCheckTimeout(Duration.ofMillis(250))
                .toString()));
        assertThat(fast.checks().getFirst().interval()).isEqualTo(Duration.ofMillis(100));
        assertThat(fast.checks().getFirst().timeout()).isEqualTo(Duration.ofMillis(250));
        assertThat(web(read(text.withSorry("web", Optional.of("127.0.0.1:8081")).toString()))
                        .sorry())
                .contains(new HostPort("127.0.0.1", 8081));
        ServiceSpec weighted =
                web(read(text.withWeight("web", 0, 7).withWeight("web", 2, 9).toString()));
        assertThat(weighted.servers())
                .extracting(s -> s.name() + " " + s.weight())
                .containsExactly("www1 7", "www2 1", "www3 9");
        assertThat(web(read(text.toString()))).isEqualTo(web(read(farm())));
    }
}

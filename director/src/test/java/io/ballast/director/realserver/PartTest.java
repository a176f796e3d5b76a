package io.ballast.director.realserver;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Description;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.director.xdp.MssClamping;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

class PartTest {
    private static final Description FARM = read("""
            name: farm
            nodes:
              lb1: { interfaces: { eth0: { addresses: [192.0.2.1/24, 192.0.2.100/24] } } }
              www1: { interfaces: { eth0: { addresses: [192.0.2.11/24, "2001:db8::11/64"] } } }
              www2: { interfaces: { eth0: { addresses: [192.0.2.12/24] } } }
            services:
              web:
                listen: ["192.0.2.100:80", "[2001:db8::100]:80"]
                engine: xdp
                forwarding: tunnel
                servers: [www1, www2]
              names:
                listen: 192.0.2.101:53/udp
                engine: xdp
                servers: [www1]
              pages:
                listen: 192.0.2.102:80
                servers: [www1]
            """);

    private static Description read(String text) {
        var result = new DescriptionReader().read("farm.yaml", text.getBytes(StandardCharsets.UTF_8));
        return result.description()
                .orElseThrow(() -> new AssertionError(result.problems().toString()));
    }

    private static Part part(String node, Predicate<ServiceSpec> directs) {
        return Part.of(
                FARM.services().values(), Objects.requireNonNull(FARM.nodes().get(node)), directs);
    }

    @Test
    void realServersHaveTheAddressesOfServicesThatReachThemUnchanged() {
        Part www1 = part("www1", service -> false);
        assertThat(www1.addresses())
                .containsExactly(
                        InetAddress.ofLiteral("192.0.2.100"),
                        InetAddress.ofLiteral("2001:db8::100"),
                        InetAddress.ofLiteral("192.0.2.101"));
        assertThat(www1.tunnelEnds()).containsExactly(InetAddress.ofLiteral("192.0.2.11"));
        assertThat(www1.answers())
                .containsExactly(
                        new MssClamping.Answer(
                                InetAddress.ofLiteral("192.0.2.100"), 80, InetAddress.ofLiteral("192.0.2.11"), false),
                        new MssClamping.Answer(
                                InetAddress.ofLiteral("2001:db8::100"),
                                80,
                                InetAddress.ofLiteral("192.0.2.11"),
                                false));
        assertThat(part("www2", service -> false).addresses()).hasSize(2);
        assertThat(part("lb1", service -> true)).isEqualTo(Part.NONE);
    }

    @Test
    void aNodeThatBalancesTheServiceItselfHasItsAddressAlready() {
        assertThat(part("www1", service -> service.name().equals("web")).addresses())
                .containsExactly(InetAddress.ofLiteral("192.0.2.101"));
    }
}

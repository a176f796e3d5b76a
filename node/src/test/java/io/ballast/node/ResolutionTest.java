package io.ballast.node;

import static io.ballast.node.Descriptions.check;
import static io.ballast.node.Descriptions.server;
import static io.ballast.node.Descriptions.service;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.HostPort;
import io.ballast.core.config.Problem;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ResolutionTest {
    private static InetAddress resolve(String name) throws UnknownHostException {
        if (name.startsWith("www")) {
            return InetAddress.ofLiteral("10.1.0." + name.substring(3));
        }
        throw new UnknownHostException(name);
    }

    @Test
    void literalAddressesNeedNoResolver() throws Exception {
        Resolution resolution = Resolution.of(
                List.of(service(
                        "web", "127.0.0.1", List.of(), server("a", "10.1.0.1", check()), server("b", "fd00::1"))),
                "f",
                name -> {
                    throw new AssertionError(name);
                });
        assertThat(resolution.of(new HostPort("fd00::1", 80)).getAddress()).isEqualTo(InetAddress.ofLiteral("fd00::1"));
    }

    @Test
    void namesAreResolvedOnce() throws Exception {
        Resolution resolution = Resolution.of(
                List.of(service("web", "127.0.0.1", List.of(), server("a", "www7", check()), server("b", "www8"))),
                "f",
                ResolutionTest::resolve);
        assertThat(resolution.of(new HostPort("www8", 81))).hasToString("/10.1.0.8:81");
    }

    @Test
    void namesThatAreInUseAreForgivenAndAskedForAgain() throws Exception {
        var services =
                List.of(service("web", "127.0.0.1", List.of(), server("a", "www7", check()), server("b", "www8")));
        List<Problem> warnings = new ArrayList<>();
        Resolution first = Resolution.of(
                services, "f", name -> name.equals("www8") ? resolve("?") : resolve(name), Optional.empty(), warnings);
        assertThat(warnings).hasSize(1);
        assertThat(first.missing()).containsOnlyKeys("www8");
        assertThat(first.of(new HostPort("www8", 80)).isUnresolved()).isTrue();
        assertThat(first.trouble(server("b", "www8"))).isPresent();
        assertThat(first.trouble(server("a", "www7"))).isEmpty();

        Resolution outage = Resolution.of(services, "f", name -> resolve("?"), Optional.of(first), new ArrayList<>());
        assertThat(outage).isEqualTo(first);
        Resolution found = outage.again(ResolutionTest::resolve);
        assertThat(found.missing()).isEmpty();
        assertThat(found.of(new HostPort("www8", 80))).hasToString("/10.1.0.8:80");
    }

    @Test
    void everyNameWithoutAnAddressIsAProblem() {
        assertThatThrownBy(() -> Resolution.of(
                        List.of(service(
                                "web",
                                "127.0.0.1",
                                List.of(),
                                server("a", "www7"),
                                server("b", "wwx"),
                                server("c", "wwy"))),
                        "farm.yaml",
                        ResolutionTest::resolve))
                .isInstanceOf(Resolution.UnresolvedException.class)
                .hasMessageContaining("farm.yaml: error: services.web.servers[1].address: the name wwx has no address")
                .hasMessageContaining("services.web.servers[2].address: the name wwy has no address");
    }
}

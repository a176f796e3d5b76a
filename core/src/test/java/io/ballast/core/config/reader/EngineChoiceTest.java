package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.EngineChoice;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.ServiceSpec.SynCookies;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a description leaves to the node; read, because what stands there without being written matters too. */
class EngineChoiceTest {
    private static ServiceSpec web(String engine, String key) {
        ReadResult result = new DescriptionReader().read("t.yaml", """
                services:
                  web:
                    listen: "192.0.2.100:80"
                    servers: ["10.1.0.1:80"]
                    engine: %s
                    %s
                """.formatted(engine, key));
        assertThat(result.errors()).isEmpty();
        return Objects.requireNonNull(
                result.description().orElseThrow().services().get("web"));
    }

    @Test
    void aPlainServiceCanHaveEither() {
        ServiceSpec plain = web("auto", "");
        assertThat(plain.forwarding()).isEqualTo(ForwardingMethod.FULLNAT);
        assertThat(EngineChoice.of(plain)).isEqualTo(EngineKind.AUTO);
        assertThat(EngineChoice.onlyUserspace(plain)).isEmpty();
        assertThat(EngineChoice.of(web("auto", "forwarding: dr"))).isEqualTo(EngineKind.AUTO);
        assertThat(EngineChoice.of(web("auto", "connect-retry: 0"))).isEqualTo(EngineKind.AUTO);
        assertThat(EngineChoice.of(web("userspace", ""))).isEqualTo(EngineKind.USERSPACE);
        assertThat(EngineChoice.of(web("xdp", ""))).isEqualTo(EngineKind.XDP);
    }

    @Test
    void synsAreAnsweredByCookiesInAFloodWhereTheyCanBe() {
        assertThat(web("xdp", "forwarding: nat").synCookies()).isEqualTo(SynCookies.AUTO);
        assertThat(web("xdp", "forwarding: fullnat").synCookies()).isEqualTo(SynCookies.AUTO);
        assertThat(web("auto", "").synCookies()).isEqualTo(SynCookies.AUTO);
        assertThat(web("xdp", "").synCookies()).isEqualTo(SynCookies.OFF);
        assertThat(web("userspace", "").synCookies()).isEqualTo(SynCookies.OFF);
        assertThat(web("xdp", "forwarding: nat\n    syn-cookies: off").synCookies())
                .isEqualTo(SynCookies.OFF);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "scheduler: fo | only userspace has the scheduler fo",
                "proxy-protocol: v2 | only userspace speaks the PROXY protocol",
                "connect-retry: 1 | only userspace can try another server (connect-retry)",
                "limits: { connections: 10 } | only userspace keeps limits of connections and their queue (limits)",
                "sorry: '127.0.0.1:81' | only userspace has to do with what stays on the machine, at a loopback address",
                "sorry: '[2001:db8::1]:80' | only userspace connects clients of one address family with servers of the other",
            })
    void whatOnlyOneCanDoLeavesNoChoice(String key, String why) {
        ServiceSpec web = web("auto", key);
        assertThat(EngineChoice.onlyUserspace(web)).hasValue(why);
        assertThat(EngineChoice.of(web)).isEqualTo(EngineKind.USERSPACE);
    }
}

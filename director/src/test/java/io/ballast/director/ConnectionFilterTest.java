package io.ballast.director;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.director.ConnectionFilter.Clients;
import io.ballast.director.scheduler.FlowKey;
import java.net.InetAddress;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ConnectionFilterTest {
    @ParameterizedTest
    @CsvSource({
        "192.0.2.7, 192.0.2.7, 4711, true",
        "192.0.2.7, 192.0.2.8, 4711, false",
        "192.0.2.7:4711, 192.0.2.7, 4711, true",
        "192.0.2.7:4711, 192.0.2.7, 4712, false",
        "192.0.2.0/24, 192.0.2.255, 1, true",
        "192.0.2.0/24, 192.0.3.0, 1, false",
        "192.0.2.0/24:80, 192.0.2.9, 80, true",
        "0.0.0.0/0, 203.0.113.9, 1, true",
        "0.0.0.0/0, 2001:db8::1, 1, false",
        "2001:db8::/32, 2001:db8:ffff::1, 1, true",
        "2001:db8::/32, 2001:db9::1, 1, false",
        "2001:db8::7, 2001:db8::7, 1, true",
        "[2001:db8::7]:443, 2001:db8::7, 443, true",
        "[2001:db8::7]:443, 2001:db8::7, 444, false",
        "[2001:db8::/65]:443, 2001:db8::7fff:0:0:1, 443, true",
        "[2001:db8::]/65:443, 2001:db8::8000:0:0:1, 443, false",
        "::/0, 2001:db8::1, 1, true",
        "::/0, 192.0.2.1, 1, true"
    })
    void clientsAreMeantByAddressPrefixAndPort(String filter, String address, int port, boolean meant) {
        byte[] bytes = InetAddress.ofLiteral(address).getAddress();
        FlowKey key = FlowKey.of(bytes, port, bytes);
        assertThat(Clients.parse(filter).has(key.sourceHigh(), key.sourceLow(), port))
                .isEqualTo(meant);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "www1",
                "192.0.2",
                "192.0.2.7/33",
                "192.0.2.7:0",
                "192.0.2.7:65536",
                "192.0.2.7:",
                "2001:db8::/129",
                "[2001:db8::1",
                ":80"
            })
    void whatIsNoClientIsRefused(String text) {
        assertThatThrownBy(() -> Clients.parse(text))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"" + text + "\"");
    }
}

package io.ballast.core.config;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.reader.DescriptionReader;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DescriptionDiffTest {
    private static final String FARM = """
            nodes:
              lb: { interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
            services:
              web:
                listen: "10.0.0.1:80"
                checks:
                  - { type: http, path: /a }
                servers:
                  - { name: www1, address: "10.0.0.11:80" }
                  - { name: www2, address: "10.0.0.12:80", weight: 2 }
              mail:
                listen: "10.0.0.1:25"
                servers: ["10.0.0.13:25"]
            """;

    private static Description read(String text) {
        var result = new DescriptionReader().read("test.yaml", text);
        return result.description().orElseThrow(() -> new AssertionError(result.problems()));
    }

    private static List<String> changes(String from, String to) {
        return DescriptionDiff.between(read(from), read(to)).stream()
                .map(Change::toString)
                .toList();
    }

    private static List<String> edit(String what, String with) {
        assertThat(FARM).contains(what);
        return changes(FARM, FARM.replace(what, with));
    }

    @Test
    void theSameDescriptionHasNoChanges() {
        assertThat(changes(FARM, FARM)).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            weight: 2                | weight: 3                        | change web/www2: weight 2 -> 3
            weight: 2                | weight: 2, limit: 10             | change web/www2: limit 0 -> 10
            weight: 2                | weight: 2, state: drain          | change web/www2: state enabled -> drain
            10.0.0.11:80             | 10.0.0.14:80                     | change web/www1: address 10.0.0.11:80 -> 10.0.0.14:80
            path: /a                 | path: /b                         | change web: check http: what it asks or expects
            path: /a                 | path: /a, interval: 2s           | change web: check http: interval 1s -> 2s
            path: /a                 | path: /a, name: page             | change web: check page added; change web: check http removed
            10.0.0.1:25              | 10.0.0.1:26                      | change mail: listen [10.0.0.1:25/tcp] -> [10.0.0.1:26/tcp]
            """)
    void aFieldThatChangesIsNamedWithBothValues(String what, String with, String expected) {
        assertThat(String.join("; ", edit(what, with))).isEqualTo(expected);
    }

    @Test
    void aServiceThatComesAndOneThatGoes() {
        assertThat(edit("  mail:", "  post:"))
                .containsExactly(
                        "add post: [10.0.0.1:25/tcp] wlc, 1 server", "remove mail: [10.0.0.1:25/tcp] wlc, 1 server");
    }

    @Test
    void aServerThatComesAndOneThatGoes() {
        assertThat(edit("name: www1", "name: www3"))
                .containsExactly("add web/www3: 10.0.0.11:80 weight 1", "remove web/www1: 10.0.0.11:80 weight 1");
    }

    @Test
    void whatOnlyTheEngineXdpHasIsSeen() {
        String rates = """
                listen: "10.0.0.1:25"
                    engine: xdp
                    forwarding: nat
                    limits: { connection-rate: 4, source-connection-rate: 5 }
                    syn-cookies: always
                """.strip();
        assertThat(edit("listen: \"10.0.0.1:25\"", rates))
                .contains(
                        "change mail: limits.connection-rate 0 -> 4",
                        "change mail: limits.source-connection-rate 0 -> 5",
                        "change mail: syn-cookies off -> always");
    }

    /** What a change does to connections is said before it is made. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            scheduler: mh          | scheduler: wlc                   | scheduler mh -> wlc (the engine xdp may lead connections that were opened before to another server)
            scheduler: rr          | scheduler: wlc                   | scheduler rr -> wlc
            scheduler: mh          | scheduler: mh, forwarding: nat   | forwarding dr -> nat (ends its connections)
            scheduler: mh          | scheduler: mh, forwarding: gue   | forwarding dr -> gue
            """)
    void whatEndsConnectionsIsSaid(String from, String to, String expected) {
        String farm = """
                nodes:
                  lb: { interfaces: { eth0: { addresses: [10.0.0.1/24] } } }
                services:
                  web: { listen: "10.0.0.1:80", engine: xdp, %s, servers: ["10.0.1.13:80"] }
                """;
        String before = from + (to.contains("forwarding") ? ", forwarding: dr" : "");
        assertThat(changes(farm.formatted(before), farm.formatted(to))).contains("change web: " + expected);
    }

    @Test
    void everyFieldOfAServiceIsSeen() {
        String all = """
                listen: "10.0.0.1:25"
                    directors: [lb]
                    scheduler: rr
                    persistence: 2m
                    timeouts: { connect: 1s, idle: 2s, half-closed: 3s, udp: 4s, queue: 6s, drain: 7s }
                    limits: { connections: 1, queue: 2, backlog: 3 }
                    connect-retry: { attempts: 1, replay: 4KiB }
                    proxy-protocol: v2
                    on-down: reset
                    source: 10.0.0.1
                    sorry: 10.0.0.9:80
                    hooks: { server-up: /a, server-down: /b, service-up: /c, service-down: /d }
                """.strip();
        assertThat(edit("listen: \"10.0.0.1:25\"", all))
                .containsExactly(
                        "change mail: directors [] -> [lb]",
                        "change mail: scheduler wlc -> rr",
                        "change mail: persistence none -> 2m /32 /128",
                        "change mail: timeouts.connect 3s -> 1s",
                        "change mail: timeouts.idle 15m -> 2s",
                        "change mail: timeouts.half-closed 30s -> 3s",
                        "change mail: timeouts.udp 5m -> 4s",
                        "change mail: timeouts.queue 5s -> 6s",
                        "change mail: timeouts.drain 30s -> 7s",
                        "change mail: limits.connections 0 -> 1",
                        "change mail: limits.queue 1000 -> 2",
                        "change mail: limits.backlog 0 -> 3",
                        "change mail: connect-retry 2 -> 1 with replay of 4KiB",
                        "change mail: proxy-protocol off -> v2",
                        "change mail: on-down keep -> reset",
                        "change mail: source none -> 10.0.0.1",
                        "change mail: sorry none -> 10.0.0.9:80",
                        "change mail: hooks.server-up none -> /a",
                        "change mail: hooks.server-down none -> /b",
                        "change mail: hooks.service-up none -> /c",
                        "change mail: hooks.service-down none -> /d");
    }

    private static final String SHARED = """
            nodes:
              d1: { interfaces: { eth0: { addresses: [192.0.2.1/24] }, eth1: { addresses: [192.0.2.3/24] } } }
              d2: { interfaces: { eth0: { addresses: [192.0.2.2/24] } } }
            virtual-routers:
              front: { router-id: 51, addresses: [192.0.2.240/24], nodes: { d1: { interface: eth0 }, d2: }, preempt: true }
            services:
              web: { listen: "192.0.2.240:80", servers: ["10.0.0.13:80"] }
            """;

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            router-id: 51      | router-id: 52                     | router-id 51 -> 52
            [192.0.2.240/24]   | [192.0.2.240/24, 192.0.2.241/24]  | addresses [192.0.2.240/24] -> [192.0.2.240/24, 192.0.2.241/24]
            eth0 }, d2:        | eth0, priority: 200 }, d2:        | nodes [d1 eth0 priority 150, d2 eth0 priority 140] -> [d1 eth0 priority 200, d2 eth0 priority 140]
            interface: eth0    | interface: eth1                   | nodes [d1 eth0 priority 150, d2 eth0 priority 140] -> [d1 eth1 priority 150, d2 eth0 priority 140]
            preempt: true      | version: 2                        | version 3 -> 2
            preempt: true      | interval: 100ms                   | interval 1s -> 100ms
            preempt: true      | preempt: false                    | preempt true -> false
            preempt: true      | preempt-delay: 30s                | preempt-delay 0s -> 30s
            preempt: true      | unicast: true                     | unicast false -> true
            preempt: true      | virtual-mac: true                 | virtual-mac false -> true
            preempt: true      | hmac: { keys: [{ id: 1, file: /k }] } | hmac none -> keys [1] of [/k] enforce time
            preempt: true      | checksum: rfc9568                 | checksum pseudo-header -> rfc9568
            preempt: true      | look-ahead: 1s                    | look-ahead 500ms -> 1s
            preempt: true      | gratuitous-arp: { repeat: 3 }     | gratuitous-arp.repeat 5 -> 3
            preempt: true      | gratuitous-arp: { again-after: 0s } | gratuitous-arp.again-after 5s -> 0s
            preempt: true      | hooks: { master: /m }             | hooks.master none -> /m
            preempt: true      | hooks: { backup: /b }             | hooks.backup none -> /b
            preempt: true      | hooks: { fault: /f }              | hooks.fault none -> /f
            preempt: true      | hooks: { stop: /s }               | hooks.stop none -> /s
            preempt: true      | hooks: { fifo: /run/p }           | hooks.fifo none -> /run/p
            preempt: true      | track: { files: { /f: { weight: 5 } } } | track [] -> [file /f weight 5]
            preempt: true      | group: both                       | group none -> both
            """)
    void whatChangesOfAVirtualRouterIsNamed(String what, String with, String expected) {
        assertThat(SHARED).contains(what);
        assertThat(changes(SHARED, SHARED.replace(what, with)))
                .containsExactly("change virtual-router front: " + expected);
    }

    @Test
    void virtualRoutersThatComeAndGoAndTheirPasswordsAreSeen() {
        String without = SHARED.replaceFirst("virtual-routers:\n.*\n", "").replace("192.0.2.240:80", "192.0.2.1:80");
        assertThat(changes(without, SHARED))
                .contains("add virtual-router front: [192.0.2.240/24] router-id 51, [d1 eth0 priority 150, d2 eth0"
                        + " priority 140]");
        assertThat(changes(SHARED, without)).anyMatch(change -> change.startsWith("remove virtual-router front: "));
        String two = SHARED.replace("preempt: true", "version: 2");
        String secret = SHARED.replace("preempt: true", "version: 2, password: \"mars\"");
        String other = secret.replace("mars", "venus");
        assertThat(changes(two, secret)).containsExactly("change virtual-router front: password added");
        assertThat(changes(secret, other)).containsExactly("change virtual-router front: password changed");
        assertThat(changes(other, two)).containsExactly("change virtual-router front: password removed");
        assertThat(changes(secret, secret.replace("\"mars\"", "\"mars\", authentication-header: true")))
                .containsExactly("change virtual-router front: authentication-header false -> true");
    }

    @Test
    void connectionIdsOfQuicAreSeen() {
        String before = """
                services:
                  dns:
                    listen: 192.0.2.1:443/udp
                    engine: xdp
                    quic: { config: 1, server-id-length: 1 }
                    servers: [{ name: a, address: "10.0.0.1:443", quic-id: "0A" }]
                """;
        String after = before.replace("config: 1, server-id-length: 1", "config: 2, server-id-length: 2")
                .replace("0A", "0a01");
        assertThat(changes(before, after))
                .containsExactly(
                        "change dns/a: quic-id 0a -> 0a01",
                        "change dns: quic config 1, server-id-length 1 -> config 2, server-id-length 2");
        String keyed =
                before.replace("config: 1,", "config: 1, nonce-length: 15, key: \"8f95f09245765f80256934e50c66207f\",");
        assertThat(changes(before, keyed))
                .containsExactly("change dns: quic config 1, server-id-length 1"
                        + " -> config 1, server-id-length 1, nonce-length 15, key ...");
        assertThat(changes(keyed, keyed.replace("8f95", "9f95"))).hasSize(1);
    }

    @Test
    void theOrderOfServersIsAChangeAndThatOfServicesIsNone() {
        String swapped = FARM.replace(
                        "www1, address: \"10.0.0.11:80\" }", "www2, address: \"10.0.0.12:80\", weight: 2 }")
                .replaceFirst(
                        "(?s)(.*)name: www2, address: \"10.0.0.12:80\", weight: 2",
                        "$1name: www1, address: \"10.0.0.11:80\"");
        assertThat(changes(FARM, swapped)).containsExactly("change web: servers [www1, www2] -> [www2, www1]");
        int web = FARM.indexOf("  web:");
        int mail = FARM.indexOf("  mail:");
        String order = FARM.substring(0, web) + FARM.substring(mail) + FARM.substring(web, mail);
        assertThat(changes(FARM, order)).isEmpty();
    }

    @Test
    void aNodeThatChanges() {
        assertThat(edit("10.0.0.1/24]", "10.0.0.1/24, 10.0.0.2/24]"))
                .containsExactly("change node lb: interfaces eth0 [10.0.0.1/24] -> eth0 [10.0.0.1/24, 10.0.0.2/24]");
    }
}

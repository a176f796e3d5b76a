package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Change;
import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.DescriptionDiff;
import io.ballast.core.config.Problem;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.Checksum;
import io.ballast.core.config.VirtualRouterSpec.HmacSpec;
import io.ballast.core.config.VirtualRouterSpec.KeySpec;
import io.ballast.core.config.VirtualRouterSpec.Member;
import io.ballast.core.config.VirtualRouterSpec.NotifySpec;
import java.net.InetAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class VirtualRoutersTest {
    private static final String NODES = """
            nodes:
              d1: { interfaces: { eth0: { addresses: [192.0.2.1/24, "2001:db8::1/64"] }, eth1: { addresses: 10.0.0.1/24 } } }
              d2: { interfaces: { eth0: { addresses: [192.0.2.2/24, "2001:db8::2/64"] }, eth1: { addresses: 10.0.0.2/24 } } }
              d3: { interfaces: { eth0: { addresses: [192.0.2.3/24, "2001:db8::3/64"] } } }
              www: { interfaces: { eth7: { addresses: 172.16.0.9/24 }, eth0: { addresses: 192.0.2.11/24 } } }
            """;
    private static final String ROUTER = """
            virtual-routers:
              front:
                router-id: 51
                addresses: [192.0.2.240/24]
                nodes: { d2: , d1: }
            """;
    private static final String SERVICE = """
            services:
              web: { listen: "192.0.2.240:80", servers: [www] }
            """;

    private static InetAddress address(String literal) {
        return Addresses.parse(literal).orElseThrow();
    }

    private static Description read(String text) {
        ReadResult result = new DescriptionReader().read("t", text);
        assertThat(result.problems()).isEmpty();
        return result.description().orElseThrow();
    }

    private static VirtualRouterSpec router(String text) {
        return Objects.requireNonNull(read(text).virtualRouters().get("front"));
    }

    private static ServiceSpec service(Description description, String name) {
        return Objects.requireNonNull(description.services().get(name));
    }

    @Test
    void theExampleIsRead() {
        ReadResult result = new DescriptionReader().read(Path.of("../examples/ultramonkey.yaml"));
        assertThat(result.problems()).isEmpty();
        Description farm = result.description().orElseThrow();
        VirtualRouterSpec front = Objects.requireNonNull(farm.virtualRouters().get("front"));
        assertThat(front.interval()).isEqualTo(Duration.ofMillis(100));
        assertThat(front.nodes().get("director2")).isEqualTo(new Member("eth0", 100));
        assertThat(farm.directors(service(farm, "web"))).containsExactly("director1", "director2");
    }

    @Test
    void whatIsNotWrittenHasADefault() {
        VirtualRouterSpec front = router(NODES + ROUTER + SERVICE);
        assertThat(front.toString())
                .isEqualTo("VirtualRouterSpec[name=front, routerId=51, addresses=[192.0.2.240/24],"
                        + " nodes={d2=Member[interfaceName=eth0, priority=150],"
                        + " d1=Member[interfaceName=eth0, priority=140]}, version=3, interval=PT1S, preempt=true,"
                        + " preemptDelay=PT0S, unicast=false, virtualMac=false, checksum=PSEUDO_HEADER, password=none,"
                        + " authenticationHeader=false, hmac=none, lookAhead=PT0.5S, announcements=5, announceAgain=PT5S, hooks=NotifySpec[master=Optional.empty,"
                        + " backup=Optional.empty, fault=Optional.empty, stop=Optional.empty, fifo=Optional.empty], track=[],"
                        + " group=none, accept=true, routes=[]]");
    }

    @Test
    void everyKeyIsRead() {
        String more = ROUTER.replace("nodes: { d2: , d1: }", """
                nodes: { d2: { interface: eth1, priority: 7 }, d1: { interface: eth1 } }
                    interval: 40950ms
                    preempt: false
                    unicast: true
                    virtual-mac: true
                    checksum: rfc9568
                    hmac: { keys: [{ id: 2, file: /k2 }, { id: 1, file: /k1 }], mode: permissive, window: 7s }
                    look-ahead: 1s
                    gratuitous-arp: { repeat: 3, again-after: 0s }
                    hooks: { master: /m, backup: /b, fault: /f, stop: /s, fifo: /run/p }
                """.strip()).replace("192.0.2.240/24", "10.0.0.240/24");
        VirtualRouterSpec front = router(NODES + more + SERVICE.replace("192.0.2.240", "10.0.0.240"));
        assertThat(front.nodes().get("d2")).isEqualTo(new Member("eth1", 7));
        assertThat(front.nodes().get("d1")).isEqualTo(new Member("eth1", 140));
        assertThat(front.interval()).isEqualTo(Duration.ofMillis(40_950));
        assertThat(front.preempt()).isFalse();
        assertThat(front.unicast()).isTrue();
        assertThat(front.virtualMac()).isTrue();
        assertThat(front.checksum()).isEqualTo(Checksum.RFC9568);
        assertThat(front.hmac())
                .contains(new HmacSpec(
                        List.of(new KeySpec(2, "/k2"), new KeySpec(1, "/k1")),
                        HmacSpec.Mode.PERMISSIVE,
                        HmacSpec.Replay.TIME,
                        Optional.of(Duration.ofSeconds(7))));
        assertThat(front.lookAhead()).isEqualTo(Duration.ofSeconds(1));
        assertThat(front.announcements()).isEqualTo(3);
        assertThat(front.announceAgain()).isZero();
        assertThat(front.hooks())
                .isEqualTo(new NotifySpec(
                        Optional.of("/m"),
                        Optional.of("/b"),
                        Optional.of("/f"),
                        Optional.of("/s"),
                        Optional.of("/run/p")));
    }

    @Test
    void whatIsTrackedIsRead() {
        String tracking = ROUTER + """
                    group: gateway
                    track:
                      interfaces: { eth1: , eth7: { weight: -30 } }
                      services: { web: { weight: 20, per-server: true } }
                      files: { /run/rank: { weight: 1, reverse: true } }
                      processes: { haproxy: { weight: -253 } }
                  inside: { router-id: 52, addresses: 10.0.0.240/24, nodes: { d2: , d1: }, group: gateway }
                """;
        Description description = read(NODES.replace("eth1: {", "eth7: {}, eth1: {") + tracking + SERVICE);
        VirtualRouterSpec front =
                Objects.requireNonNull(description.virtualRouters().get("front"));
        assertThat(front.group()).contains("gateway");
        assertThat(front.track())
                .hasToString("[interface eth1 weight 0, interface eth7 weight -30, servers of web weight 20,"
                        + " file /run/rank weight 1 reverse, process haproxy weight -253]");
        assertThat(description.virtualRouters().get("inside"))
                .extracting("group")
                .isEqualTo(Optional.of("gateway"));
    }

    @Test
    void aTrackedServiceThatGoesIsMissedBesideAServiceThatIsReadAlone() {
        var reader = new DescriptionReader();
        String text = NODES + ROUTER + """
                    track: { services: { web: } }
                services:
                  web:
                    listen: 192.0.2.240:80
                    servers: [www]
                """;
        assertThat(reader.read("t", text).problems()).isEmpty();
        for (String other :
                new String[] {text.replace("  web:\n", "  wob:\n"), text.replace("[www]", "[www]\n    directors: [d3]")
                }) {
            ReadResult result = reader.read("t", other);
            assertThat(result).isEqualTo(new DescriptionReader().read("t", other));
            assertThat(result.errors()).hasSize(1);
        }
    }

    @Test
    void aPasswordOfVersion2IsNotShown() {
        String two =
                ROUTER + "    version: 2\n    interval: 255s\n    preempt-delay: 1000s\n    password: \"so long!\"\n"
                        + "    authentication-header: true\n";
        VirtualRouterSpec front = router(NODES + two + SERVICE);
        assertThat(front.password()).contains("so long!");
        assertThat(front.authenticationHeader()).isTrue();
        assertThat(front.interval()).isEqualTo(Duration.ofSeconds(255));
        assertThat(front.preemptDelay()).isEqualTo(Duration.ofSeconds(1000));
        assertThat(front.toString()).contains("version=2", "password=...").doesNotContain("so long!");
        assertThat(new DescriptionReader()
                        .read("t", NODES + two.replace("version: 2", "version: 3") + SERVICE)
                        .errors())
                .isNotEmpty()
                .noneMatch(problem -> problem.toString().contains("so long!"));
    }

    @Test
    void whoAcceptsNothingServesByXdpOnly() {
        String closed = NODES + ROUTER + "    accept: false\n" + SERVICE;
        assertThat(new DescriptionReader().read("t", closed).errors())
                .singleElement()
                .asString()
                .contains(
                        "services.web.listen", "accept nothing there", "engine userspace answers", "write engine: xdp");
        VirtualRouterSpec front = router(closed.replace("servers: [www]", "servers: [www], engine: xdp"));
        assertThat(front.accept()).isFalse();
        assertThat(router(NODES + ROUTER + SERVICE).accept()).isTrue();
    }

    @Test
    void routesGoWithTheAddresses() {
        VirtualRouterSpec front = router(NODES
                + ROUTER
                + "    routes: [{ to: 0.0.0.0/0, via: 192.0.2.9, source: 192.0.2.240 },"
                + " { to: 10.0.0.0/8, interface: eth1, table: 7, metric: 3 }]\n"
                + SERVICE);
        assertThat(front.routes())
                .hasToString("[0.0.0.0/0 via 192.0.2.9 src 192.0.2.240, 10.0.0.0/8 dev eth1 table 7 metric 3]");
        for (List<String> each : List.of(
                List.of("{ to: 10.0.0.1/8 }", "routes.0.to", "write 10.0.0.0/8, or /32 for that alone"),
                List.of("{ to: 10.0.0.0/8, via: \"fe80::1\" }", "routes.0.via", "is of another family"),
                List.of("{ to: \"::/0\" }", "front.routes", "goes with no address"))) {
            assertThat(new DescriptionReader()
                            .read("t", NODES + ROUTER + "    routes: [" + each.getFirst() + "]\n" + SERVICE)
                            .errors())
                    .singleElement()
                    .asString()
                    .contains(each.get(2));
        }
    }

    @Test
    void addressesOfBothFamiliesAreToldApart() {
        VirtualRouterSpec front = router(NODES
                + ROUTER.replace("[192.0.2.240/24]", "[\"2001:db8::240/64\", 192.0.2.240/24, \"fe80::240/64\"]")
                + SERVICE);
        assertThat(front.addresses(true)).hasToString("[2001:db8::240/64, fe80::240/64]");
        assertThat(front.addresses(false)).hasToString("[192.0.2.240/24]");
    }

    @Test
    void manyNodesHaveAPriorityEach() {
        var nodes = new StringBuilder("nodes:\n");
        var members = new StringBuilder();
        for (int i = 1; i <= 17; i++) {
            nodes.append("  n%d: { interfaces: { eth0: { addresses: 192.0.2.%d/24 } } }\n".formatted(i, i));
            members.append("n%d: , ".formatted(i));
        }
        ReadResult result = new DescriptionReader()
                .read("t", nodes + ROUTER.replace("d2: , d1:", members) + SERVICE.replace("www", "\"a:1\""));
        assertThat(result.problems())
                .extracting(Problem::message)
                .containsExactly(
                        "has priority 1 like n16, so the higher of their own addresses decides; give it another");
    }

    @Test
    void theOrderOfTheKeysDoesNotMatter() {
        Description usual = read(NODES + ROUTER + SERVICE);
        assertThat(read(ROUTER + NODES + SERVICE)).isEqualTo(usual);
        assertThat(read(ROUTER + SERVICE + NODES)).isEqualTo(usual);
        assertThat(read(SERVICE + ROUTER + NODES)).isEqualTo(usual);
        assertThat(read(NODES + SERVICE + ROUTER)).isEqualTo(usual);
        assertThat(service(usual, "web").servers())
                .as("the address in the network of those that direct the service")
                .extracting(ServerSpec::address)
                .hasToString("[192.0.2.11:80]");
    }

    @Test
    void whoMayComeToHaveAnAddressDirectsItsServices() {
        Description description = read(NODES + ROUTER + """
                services:
                  web: { listen: "192.0.2.240:80", servers: [www] }
                  own: { listen: "192.0.2.3:80", servers: [www] }
                  both: { listen: ["192.0.2.3:81", "192.0.2.240:81"], servers: ["www:80"] }
                  named: { listen: "192.0.2.240:82", servers: [www], directors: [d1, d2] }
                  any: { listen: "0.0.0.0:83", servers: [www] }
                """);
        assertThat(description.directors(service(description, "web"))).containsExactly("d1", "d2");
        assertThat(description.directors(service(description, "own"))).containsExactly("d3");
        assertThat(description.directors(service(description, "both"))).containsExactly("d1", "d2", "d3");
        assertThat(description.directors(service(description, "named"))).containsExactly("d1", "d2");
        assertThat(description.directors(service(description, "any"))).isEmpty();
        for (ServiceSpec service : description.services().values()) {
            for (String node : description.nodes().keySet()) {
                assertThat(description.directs(node, service))
                        .as("%s directs %s", node, service.name())
                        .isEqualTo(description.directors(service).contains(node));
            }
        }
    }

    @Test
    void aServiceThatChangesIsReadBesideTheVirtualRoutersAsBefore() {
        var reader = new DescriptionReader();
        String text = NODES + ROUTER + """
                services:
                  web:
                    listen: 192.0.2.240:80
                    servers: [www]
                """;
        reader.read("t", text);
        String weighed = text.replace("[www]", "[{ address: www, weight: 2 }]");
        assertThat(reader.read("t", weighed)).isEqualTo(new DescriptionReader().read("t", weighed));
        assertThat(reader.wholeReadings()).isEqualTo(1);
        String directed = text.replace("[www]", "[www]\n    directors: [d1]");
        ReadResult result = reader.read("t", directed);
        assertThat(result).isEqualTo(new DescriptionReader().read("t", directed));
        assertThat(result.problems()).hasSize(1);
        String renumbered = text.replace("51", "52");
        assertThat(reader.read("t", renumbered)).isEqualTo(new DescriptionReader().read("t", renumbered));
    }

    @Test
    void whoDecidesWhereOneAloneMayHaveAddresses() {
        Description description = read("quorum: { voters: { d1: 192.0.2.1, d2: 192.0.2.2, w: 192.0.2.9 },"
                + " key: 0123456789abcdef, lease: 500ms }\n" + NODES + ROUTER + SERVICE);
        QuorumSpec quorum = description.quorum().orElseThrow();
        assertThat(quorum.voters().keySet()).containsExactly("d1", "d2", "w");
        assertThat(quorum.port()).isEqualTo(8849);
        assertThat(quorum.lease()).isEqualTo(Duration.ofMillis(500));
        assertThat(quorum.covers("front")).isTrue();
        assertThat(quorum.toString()).doesNotContain("0123456789abcdef");
        Description without = read(NODES + ROUTER + SERVICE);
        assertThat(DescriptionDiff.between(without, description))
                .containsExactly(new Change(Change.Action.ADD, "quorum", ""));
    }

    @Test
    void directorsThatShareAddressesTellEachOtherOfConnections() {
        Description description =
                read("connection-sync: { key: 0123456789abcdef, port: 99 }\n" + NODES + ROUTER + SERVICE);
        ConnectionSyncSpec sync = description.connectionSync().orElseThrow();
        assertThat(sync).isEqualTo(new ConnectionSyncSpec(Optional.of("0123456789abcdef"), Optional.empty(), 99));
        assertThat(sync.toString()).doesNotContain("0123");
        assertThat(ConnectionSyncSpec.pairs(description, "d1"))
                .containsExactly(new ConnectionSyncSpec.Pair(address("192.0.2.1"), "d2", address("192.0.2.2")));
        assertThat(ConnectionSyncSpec.pairs(description, "d3")).isEmpty();
        Description without = read(NODES + ROUTER + SERVICE);
        assertThat(DescriptionDiff.between(without, description))
                .containsExactly(new Change(Change.Action.ADD, "connection-sync", ""));
    }

    @Test
    void theKeyOfConnectionSyncIsInTheDescriptionOrInAFile() {
        Description description = read("connection-sync: { key-file: /etc/k }\n" + NODES + ROUTER + SERVICE);
        assertThat(description.connectionSync().orElseThrow().keyFile()).contains("/etc/k");
        assertThat(new DescriptionReader()
                        .read("t", "connection-sync: { port: 99 }\n" + NODES + ROUTER + SERVICE)
                        .errors())
                .singleElement()
                .asString()
                .contains("connection-sync.key-file", "the nodes need a common secret");
        assertThat(new DescriptionReader()
                        .read(
                                "t",
                                "connection-sync: { key: 0123456789abcdef, key-file: /etc/k }\n" + NODES + ROUTER
                                        + SERVICE)
                        .errors())
                .singleElement()
                .asString()
                .contains("the key is written beside it")
                .doesNotContain("0123456");
    }
}

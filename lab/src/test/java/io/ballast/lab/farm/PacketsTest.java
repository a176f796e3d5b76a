package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.cli.Json;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.Observation;
import io.ballast.lab.drill.Row;
import io.ballast.lab.drill.Scenario;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadProcess;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.load.Outcome;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.linux.NetworkNamespace;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

/** The example whose packets the kernel forwards, really brought up. */
class PacketsTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final Path EXAMPLE = Path.of("../examples/xdp.yaml");

    private static final double RATE = 200;
    private static final Duration TOLD = Duration.ofMillis(100);
    private static final Duration BRIEF = Duration.ofMillis(300);
    private static final Drill.Settings KILLING = new Drill.Settings(
            RATE,
            Duration.ofSeconds(10),
            false,
            new Drill.Timing(BRIEF, BRIEF.multipliedBy(3), BRIEF),
            Duration.ofMillis(200));

    /** The example's echo for IPv6. */
    private static final String ECHO6 = """
            echo6:
              listen: ["[fd00:10::80]:7/udp"]
              engine: xdp
              scheduler: rr
              checks: [echo]
              servers:
                - { name: www1, address: "[fd00:10::11]:7" }
                - { name: www2, address: "[fd00:10::12]:7" }
                - { name: www3, address: "[fd00:10::13]:7" }
            """.indent(2);

    @TempDir(factory = ShortDirectory.class)
    Path run;

    private final String name =
            "x" + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime() & 0xffff);

    @AfterEach
    void takeAway() throws Exception {
        new LabStore(run).down(name);
    }

    private static DescriptionText text() throws IOException {
        return DescriptionText.of(Files.readString(EXAMPLE) + ECHO6);
    }

    private Lab up(DescriptionText text, boolean namespaces) throws Exception {
        return new LabStore(run).up(new Lab.Plan(name, EXAMPLE, text, namespaces, true), _ -> {});
    }

    private static LoadPlan plan(InetSocketAddress address) {
        return new LoadPlan(address, "/index.html", 100, Duration.ofSeconds(10), false, 200, "Test Page");
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            assertThat(System.nanoTime()).as("deadline of: " + what).isLessThan(until);
            Thread.sleep(20);
        }
    }

    @Test
    void everyWayOfForwardingInOneNetworkGetsToAllServersAndRoundADeadOne() throws Exception {
        asFarAsThisMachineHasTheEngine();
        try (Lab lab = up(text(), true);
                Client client = new Client(lab)) {
            for (ForwardingMethod method : List.of(
                    ForwardingMethod.DR, ForwardingMethod.TUNNEL, ForwardingMethod.GUE, ForwardingMethod.FULLNAT)) {
                if (method != ForwardingMethod.DR) {
                    lab.describe(text().withForwarding(method));
                    for (Daemon daemon : lab.daemons()) {
                        daemon.reload();
                    }
                }
                client.reachesAllServers(method.yamlName());
                client.reachesTheOthersOfADeadOne(method.yamlName());
            }
            lab.describe(persistent(443).withForwarding(ForwardingMethod.FULLNAT));
            for (Daemon daemon : lab.daemons()) {
                daemon.reload();
            }
            client.staysAtOneServer(443);
        }
        assertNothingIsLeft();
    }

    /** The example with clients that stay at their server, who ask the web service at another port as well. */
    private static DescriptionText persistent(int port) throws IOException {
        String listen = "listen: [\"192.168.10.80:80/tcp\"";
        String example = Files.readString(EXAMPLE) + ECHO6;
        assertThat(example).contains(listen + "]");
        return DescriptionText.of(
                example.replace(listen + "]", listen + ", \"192.168.10.80:" + port + "/tcp\"]\n    persistence: 5m"));
    }

    @Test
    void natGetsToServersBehindTheDirector() throws Exception {
        asFarAsThisMachineHasTheEngine();
        String behind = text().withForwarding(ForwardingMethod.NAT)
                .toString()
                .replaceAll("192\\.168\\.10\\.1([123])", "10.1.0.1$1")
                .replaceAll("fd00:10::1([123])", "fd00:11::1$1");
        DescriptionText routed = DescriptionText.of(behind.replaceFirst(
                "director:\\n +interfaces:\\n( +)", "$0eth1: { addresses: [10.1.0.1/24, 'fd00:11::1/64'] }\n$1"));
        try (Lab lab = up(routed, true);
                Client client = new Client(lab)) {
            client.reachesAllServers("nat");
            client.reachesTheOthersOfADeadOne("nat");
        }
        assertNothingIsLeft();
    }

    /** Servers without a port are asked at the one that the client asked for, be it one of a few or of a range. */
    @Test
    void aServiceOfSeveralPortsAndOneOfARangeLeadEachPortToItself() throws Exception {
        asFarAsThisMachineHasTheEngine();
        DescriptionText ranges = DescriptionText.of("""
                name: ranges
                nodes:
                  director:
                    interfaces:
                      eth0: { addresses: [192.168.10.1/24, 192.168.10.80/24] }
                  www1:
                    interfaces:
                      eth0: { addresses: [192.168.10.11/24] }
                  www2:
                    interfaces:
                      eth0: { addresses: [192.168.10.12/24] }
                  client:
                    interfaces:
                      eth0: { addresses: [192.168.10.100/24] }
                services:
                  web:
                    listen: ["192.168.10.80:80/tcp", "192.168.10.80:443/tcp"]
                    engine: xdp
                    checks: [{ type: http, path: /index.html, interval: 200ms, expect: { text: Test Page } }]
                    servers: [www1, www2]
                  rtp:
                    listen: ["192.168.10.80:16384-16391/udp", "192.168.10.80:20000-20999/udp"]
                    engine: xdp
                    scheduler: rr
                    checks: [{ type: tcp, port: 80, interval: 200ms }]
                    servers: [www1, www2]
                """);
        try (Lab lab = up(ranges, true);
                NetworkNamespace network = NetworkNamespace.named(
                        LabRecord.namespace(name, lab.client().name()));
                LoadProcess load = new LoadProcess(lab.loadGenerator(), _ -> {})) {
            assertThat(lab.silent()).isEmpty();
            InetAddress address = InetAddress.ofLiteral("192.168.10.80");
            for (ForwardingMethod method : List.of(ForwardingMethod.DR, ForwardingMethod.FULLNAT)) {
                if (method != ForwardingMethod.DR) {
                    lab.describe(ranges.withForwarding(method));
                    for (Daemon daemon : lab.daemons()) {
                        daemon.reload();
                    }
                }
                for (int port : new int[] {80, 443}) {
                    await("both answer at " + port + " by " + method, () -> {
                        LoadResult result =
                                load.warm(plan(new InetSocketAddress(address, port)), Duration.ofMillis(200));
                        return result.failures() == 0 && result.servers().size() == 2;
                    });
                }
                for (int port : new int[] {16_384, 16_387, 16_391, 20_000, 20_999}) {
                    await("both answer at " + port + " by " + method, () -> {
                        Set<String> answers = new TreeSet<>();
                        for (int i = 0; i < 4; i++) {
                            network.call(() -> Lab.ask(new InetSocketAddress(address, port)))
                                    .ifPresent(answers::add);
                        }
                        return answers.equals(Set.of("www1: hello", "www2: hello"));
                    });
                }
                assertThat(network.call(() -> Lab.ask(new InetSocketAddress(address, 16_392))))
                        .isEmpty();
            }
            assertThat(Json.objects(lab.daemons().getFirst().services().getFirst(), "servers"))
                    .extracting(server -> Json.text(server, "address"))
                    .containsExactly("192.168.10.11", "192.168.10.12");
        }
        assertNothingIsLeft();
    }

    private static void asFarAsThisMachineHasTheEngine() {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });
    }

    private void assertNothingIsLeft() throws Exception {
        assertThat(run)
                .satisfiesAnyOf(
                        r -> assertThat(r).doesNotExist(), r -> assertThat(r).isEmptyDirectory());
        assertThat(Programs.run(List.of("ip", "netns"), "")).doesNotContain("bl-" + name);
    }

    /** The lab's client, by TCP and UDP, to each service of both address families. */
    private final class Client implements AutoCloseable {
        private final Lab lab;
        private final List<InetSocketAddress> addresses;
        private final List<Endpoint> datagrams;
        private final NetworkNamespace network;
        private final LoadProcess load;

        Client(Lab lab) throws IOException {
            this.lab = lab;
            assertThat(lab.silent()).isEmpty();
            addresses = lab.description().services().values().stream()
                    .flatMap((ServiceSpec service) -> lab.addresses(service).stream())
                    .toList();
            datagrams = lab.description().services().values().stream()
                    .flatMap((ServiceSpec service) -> service.listen().stream())
                    .filter(e -> e.protocol() == Endpoint.Protocol.UDP)
                    .toList();
            assertThat(addresses).as("one of each family").hasSize(2);
            assertThat(datagrams).as("one of each family").hasSize(2);
            network = NetworkNamespace.named(
                    LabRecord.namespace(name, lab.client().name()));
            load = new LoadProcess(lab.loadGenerator(), _ -> {});
        }

        void reachesAllServers(String method) throws Exception {
            for (InetSocketAddress address : addresses) {
                await("all servers answer at " + address + " by " + method, () -> {
                    LoadResult result = load.warm(plan(address), Duration.ofMillis(200));
                    return result.failures() == 0 && result.servers().size() == 3;
                });
            }
            for (Endpoint endpoint : datagrams) {
                await("all servers answer at " + endpoint + " by " + method, () -> {
                    Set<String> answers = new TreeSet<>();
                    for (int i = 0; i < 9; i++) {
                        network.call(() -> Lab.ask(endpoint.socketAddress())).ifPresent(answers::add);
                    }
                    return answers.equals(Set.of("www1: hello", "www2: hello", "www3: hello"));
                });
            }
        }

        void staysAtOneServer(int otherPort) throws Exception {
            InetSocketAddress one = addresses.stream()
                    .filter(address -> address.getAddress() instanceof Inet4Address)
                    .findFirst()
                    .orElseThrow();
            InetSocketAddress other = new InetSocketAddress(one.getAddress(), otherPort);
            Set<String> servers = new TreeSet<>();
            await("answers at " + other, () -> {
                LoadResult result = load.warm(plan(other), Duration.ofMillis(200));
                servers.addAll(result.servers().keySet());
                return result.failures() == 0;
            });
            for (InetSocketAddress address : List.of(one, other, one)) {
                LoadResult result = load.warm(plan(address), Duration.ofMillis(300));
                assertThat(result.outcomes()).containsOnlyKeys(Outcome.OK);
                servers.addAll(result.servers().keySet());
            }
            assertThat(servers).as("of three").hasSize(1);
        }

        /** The drill's first scenario, of each service: a server is killed. */
        void reachesTheOthersOfADeadOne(String method) throws Exception {
            for (ServiceSpec service : lab.description().services().values()) {
                try (Drill drill =
                        new Drill(lab, service.name(), lab.text(), lab.text(), KILLING, new Drill.Watcher() {})) {
                    Row row = drill.run(Scenario.KILLED);
                    String what = service.name() + " by " + method + ": " + row.reason();
                    Observation seen = row.seen().orElseThrow(() -> new AssertionError(what));
                    assertThat(seen.left()).as(what).isPresent();
                    assertThat(seen.back()).as(what).isPresent();
                    // The journal has it before the kernel's tables do.
                    Instant out =
                            seen.injected().plus(seen.left().orElseThrow()).plus(TOLD);
                    assertThat(seen.load().failuresSince(out))
                            .as(what + ": since it was out; " + told(seen))
                            .isZero();
                    // Until then its share, a third of the requests at most, and those that were under way.
                    long due = (long) (RATE * seen.left().orElseThrow().toMillis() / 1000);
                    assertThat(seen.load().failures())
                            .as(what + ": until it was out")
                            .isLessThanOrEqualTo(due / 2 + 10);
                    assertThat(seen.load().servers()).as(what).hasSize(3);
                }
            }
        }

        /** What failed and when, for who has to explain it. */
        private static String told(Observation seen) {
            return "injected %s, left after %s, healed %s, back after %s, %s, failing: %s"
                    .formatted(
                            seen.injected(),
                            seen.left(),
                            seen.healed(),
                            seen.back(),
                            seen.load().outcomes(),
                            seen.load().failing());
        }

        @Override
        public void close() {
            load.close();
            network.close();
        }
    }

    @Test
    void onLoopbackAddressesThereAreNoPacketsToForward() {
        assertThatThrownBy(() -> up(text(), false))
                .hasMessageStartingWith("the service web has the engine xdp")
                .hasMessageContaining("network namespaces");
    }
}

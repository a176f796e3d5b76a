package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.cli.Json;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.Handover;
import io.ballast.lab.drill.Observation;
import io.ballast.lab.drill.Row;
import io.ballast.lab.drill.Scenario;
import io.ballast.lab.topology.DescriptionText;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

/** The example of two directors with one address, really brought up, and its master befallen by one thing or another. */
class TakeoverTest {
    private static final Path EXAMPLE = Path.of("../examples/ultramonkey.yaml");
    private static final InetAddress ADDRESS = InetAddress.ofLiteral("192.168.6.240");
    private static final Duration BRIEF = Duration.ofMillis(300);
    private static final Drill.Settings SETTINGS = new Drill.Settings(
            100, Duration.ofSeconds(10), false, new Drill.Timing(BRIEF, BRIEF, BRIEF), Duration.ofMillis(200));

    @TempDir(factory = ShortDirectory.class)
    Path run;

    private final String name =
            "t" + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime() & 0xffff);

    @AfterEach
    void takeAway() throws Exception {
        new LabStore(run).down(name);
    }

    @Test
    void theOtherDirectorTakesTheAddressOverAndGivesItBack() throws Exception {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });
        DescriptionText text = DescriptionText.of(Files.readString(EXAMPLE));
        LabStore store = new LabStore(run);
        try (Lab lab = store.up(new Lab.Plan(name, EXAMPLE, text, true, true), _ -> {})) {
            assertThat(lab.silent()).isEmpty();
            assertThat(RouterRole.lines(lab.roles())).containsExactly("front: director1 master, director2 backup");
            assertThat(LabStore.roles(store.info(name).orElseThrow()))
                    .as("the same without the lab that made it")
                    .isEqualTo(lab.roles());
            assertThat(lab.topology().nodes().stream()
                            .flatMap(node -> node.links().stream())
                            .flatMap(link -> link.addresses().stream()))
                    .as("the shared address is nobody's from the beginning")
                    .noneMatch(cidr -> cidr.address().equals(ADDRESS));
            try (Drill drill = new Drill(lab, "web", text, text, SETTINGS, new Drill.Watcher() {})) {
                Observation stopped = seen(drill, Scenario.MASTER_STOPPED);
                assertThat(stopped.load().failures()).as("in good order").isZero();
                isTakenOverAndGivenBack(stopped);

                Observation killed = seen(drill, Scenario.MASTER_KILLED);
                isTakenOverAndGivenBack(killed);
                Handover handover = killed.handover().orElseThrow();
                // Long before the other one may take over, and no more exact, since this machine is busy.
                assertThat(handover.silent()).as("a dead daemon's address").isPresent();
                assertThat(handover.to()).as("who answered at last").isEqualTo("director2");

                Observation apart = seen(drill, Scenario.DIRECTORS_APART);
                isTakenOverAndGivenBack(apart);
                assertThat(apart.handover().orElseThrow().to())
                        .as("who answered while they did not hear each other")
                        .isEqualTo("director1, director2");

                Observation mute = seen(drill, Scenario.MASTER_MUTE);
                isTakenOverAndGivenBack(mute);
                assertThat(mute.handover().orElseThrow().to())
                        .as("who was heard to answer")
                        .isEqualTo("director2");

                Observation clash = seen(drill, Scenario.FOREIGN_ROUTER);
                assertThat(clash.handover().orElseThrow().moves())
                        .as("roles while somebody else uses the router-id")
                        .isEmpty();
                assertThat(clash.handover().orElseThrow().story())
                        .anyMatch(note -> note.contains("VRID clash: 192.168.6.20 advertises other addresses"));
            }
        }
        assertThat(Programs.run(List.of("ip", "netns"), "")).doesNotContain("bl-" + name);
    }

    @Test
    void neverDoTwoDirectorsHaveTheAddressWhereAMajorityDecides() throws Exception {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });
        DescriptionText text = DescriptionText.of(Files.readString(EXAMPLE).replace("nodes:\n  director1:", """
                        quorum:
                          voters: { director1: 192.168.6.2, director2: 192.168.6.3, arbiter: 192.168.6.9 }
                          key: correct-horse-battery-staple
                        nodes:
                          arbiter: { interfaces: { eth0: { addresses: [192.168.6.9/24] } } }
                          director1:"""));
        LabStore store = new LabStore(run);
        try (Lab lab = store.up(new Lab.Plan(name, EXAMPLE, text, true, true), _ -> {})) {
            assertThat(lab.silent()).isEmpty();
            assertThat(RouterRole.lines(lab.roles())).containsExactly("front: director1 master, director2 backup");
            assertThat(lab.topology().witnesses()).containsExactly("arbiter");
            // Longer than a lease.
            Duration faults = Duration.ofMillis(1500);
            Drill.Settings settings = new Drill.Settings(
                    100,
                    Duration.ofSeconds(10),
                    false,
                    new Drill.Timing(faults, faults, faults),
                    Duration.ofMillis(200));
            try (Drill drill = new Drill(lab, "web", text, text, settings, new Drill.Watcher() {})) {
                Observation killed = seen(drill, Scenario.MASTER_KILLED);
                isTakenOverAndGivenBack(killed);
                assertThat(killed.handover().orElseThrow().to()).isEqualTo("director2");

                Observation apart = seen(drill, Scenario.DIRECTORS_APART);
                assertThat(apart.handover().orElseThrow().to())
                        .as("who answered while they did not hear each other")
                        .isEqualTo("director1");
                assertThat(apart.load().failures()).isZero();
            }
        }
    }

    private static Observation seen(Drill drill, Scenario scenario) throws InterruptedException {
        Row row = drill.run(scenario);
        return row.seen().orElseThrow(() -> new AssertionError(scenario + ": " + row.reason()));
    }

    private static void isTakenOverAndGivenBack(Observation seen) {
        Handover handover = seen.handover().orElseThrow();
        assertThat(handover.from()).as(handover.toString()).isEqualTo("director1");
        assertThat(handover.taker()).as(handover.toString()).isEqualTo("director2");
        assertThat(handover.last()).as(handover.toString()).isEqualTo("director1");
        assertThat(handover.settled()).as(handover.toString()).isPresent();
        // By wlc the one with fewer connections may have all new ones for a moment, and an observation is short.
        assertThat(seen.load().servers()).as("who served").isNotEmpty();
    }

    private static final String GATEWAY = """
            nodes:
              r1:
                interfaces:
                  eth0: { addresses: [192.168.6.2/24] }
                  eth1: { addresses: [10.6.1.2/24] }
                  eth2: { addresses: [10.6.2.2/24] }
              r2:
                interfaces:
                  eth0: { addresses: [192.168.6.3/24] }
                  eth1: { addresses: [10.6.1.3/24] }
                  eth2: { addresses: [10.6.2.3/24] }
              www: { interfaces: { eth0: { addresses: [192.168.6.4/24] } } }
              client: { interfaces: { eth0: { addresses: [192.168.6.20/24] } } }
            virtual-routers:
              outside:
                router-id: 51
                addresses: [192.168.6.240/24]
                nodes: { r1: { interface: eth0, priority: 150 }, r2: { interface: eth0, priority: 100 } }
                interval: 100ms
                group: gateway
                track: { interfaces: { eth2: { weight: -60 } }, services: { web: { weight: 6, per-server: true } } }
              inside:
                router-id: 52
                addresses: [10.6.1.240/24]
                nodes: { r1: { interface: eth1, priority: 150 }, r2: { interface: eth1, priority: 100 } }
                interval: 100ms
                group: gateway
            services:
              web:
                listen: "192.168.6.240:80"
                engine: userspace
                checks: [{ type: http, interval: 200ms }]
                servers: ["www:80"]
            """;

    @Test
    void routersOfAGroupMoveTogetherAndByWhatTheyTrack() throws Exception {
        Privileges.missingForNamespaces().ifPresent(reason -> {
            throw new TestAbortedException("no namespaces: " + reason);
        });
        DescriptionText text = DescriptionText.of(GATEWAY);
        try (Lab lab = new LabStore(run).up(new Lab.Plan(name, EXAMPLE, text, true, true), _ -> {})) {
            become(lab, "r1 master, r2 backup");
            // One has lost a network of its own, and both are of use only together.
            link(lab, "eth1", "down");
            become(lab, "r1 fault, r2 master");
            link(lab, "eth1", "up");
            become(lab, "r1 master, r2 backup");
            // What it tracks makes it worth less than the other one.
            link(lab, "eth2", "down");
            become(lab, "r1 backup, r2 master");
            assertThat(priority(lab)).isEqualTo(96);
            link(lab, "eth2", "up");
            become(lab, "r1 master, r2 backup");
            assertThat(priority(lab)).isEqualTo(156);
        }
    }

    private static void link(Lab lab, String device, String state) throws Exception {
        assertThat(lab.at("r1", List.of("ip", "link", "set", device, state))
                        .inheritIO()
                        .start()
                        .waitFor())
                .isZero();
    }

    private static void become(Lab lab, String roles) throws Exception {
        List<String> wanted = List.of("outside: " + roles, "inside: " + roles);
        long until = System.nanoTime() + Duration.ofSeconds(30).toNanos();
        while (!RouterRole.lines(lab.roles()).equals(wanted)) {
            assertThat(System.nanoTime())
                    .as("deadline of %s, which are %s", wanted, RouterRole.lines(lab.roles()))
                    .isLessThan(until);
            Thread.sleep(20);
        }
    }

    private static long priority(Lab lab) throws Exception {
        Daemon daemon = lab.daemons().stream()
                .filter(each -> each.node().equals("r1"))
                .findFirst()
                .orElseThrow();
        return Json.number(
                Json.objects(daemon.control().get("/v1/takeover"), "routers").getFirst(), "priority");
    }

    @Test
    void whereNoAddressIsSharedNothingCanBeTakenOver() throws Exception {
        DescriptionText text = DescriptionText.of("""
                services:
                  web:
                    listen: "127.0.0.1:80"
                    checks: [{ type: tcp, interval: 100ms }]
                    servers: ["127.0.0.2:80"]
                nodes:
                  director: { interfaces: { lo: { addresses: [127.0.0.1/8] } } }
                  www1: { interfaces: { lo: { addresses: [127.0.0.2/8] } } }
                """);
        try (Lab lab = new LabStore(run).up(new Lab.Plan(name, EXAMPLE, text, false, true), _ -> {});
                Drill drill = new Drill(lab, "web", lab.text(), lab.text(), SETTINGS, new Drill.Watcher() {})) {
            Row row = drill.run(Scenario.MASTER_KILLED);
            assertThat(row.seen()).isEqualTo(Optional.empty());
            assertThat(row.reason()).endsWith("is no virtual router's address");
            assertThat(row.exceeded()).isEmpty();
        }
    }
}

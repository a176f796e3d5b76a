package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import io.ballast.cli.Json;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadProcess;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.linux.NetworkNamespace;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
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

    private Lab up(boolean namespaces) throws Exception {
        DescriptionText text = DescriptionText.of(Files.readString(EXAMPLE) + ECHO6);
        return new LabStore(run).up(new Lab.Plan(name, EXAMPLE, text, namespaces, true), _ -> {});
    }

    private static LoadPlan plan(InetSocketAddress address) {
        return new LoadPlan(address, "/index.html", 100, Duration.ofSeconds(10), false, 200, "Test Page");
    }

    /** What the director says of the servers of a name, one in each service. */
    private static List<String> states(Lab lab, String server) throws IOException {
        return lab.daemons().getFirst().services().stream()
                .flatMap(service -> Json.objects(service, "servers").stream())
                .filter(s -> Json.text(s, "name").equals(server))
                .map((JsonObject s) -> Json.text(s, "state"))
                .toList();
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
    void everyWayOfForwardingGetsToAllServersAndRoundADeadOne() throws Exception {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });
        try (Lab lab = up(true);
                NetworkNamespace client = NetworkNamespace.named(
                        LabRecord.namespace(name, lab.client().name()));
                LoadProcess load = new LoadProcess(lab.loadGenerator(), _ -> {})) {
            assertThat(lab.answering()).isTrue();
            List<InetSocketAddress> addresses = lab.description().services().values().stream()
                    .flatMap((ServiceSpec service) -> lab.addresses(service).stream())
                    .toList();
            assertThat(addresses).as("one of each family").hasSize(2);
            List<Endpoint> datagrams = lab.description().services().values().stream()
                    .flatMap((ServiceSpec service) -> service.listen().stream())
                    .filter(e -> e.protocol() == Endpoint.Protocol.UDP)
                    .toList();
            assertThat(datagrams).as("one of each family").hasSize(2);
            DescriptionText direct = lab.text();
            for (ForwardingMethod method :
                    List.of(ForwardingMethod.DR, ForwardingMethod.TUNNEL, ForwardingMethod.GUE)) {
                if (method != ForwardingMethod.DR) {
                    lab.describe(direct.withForwarding(method));
                    for (Daemon daemon : lab.daemons()) {
                        daemon.reload();
                    }
                }
                for (InetSocketAddress address : addresses) {
                    await("all servers answer at " + address + " by " + method, () -> {
                        LoadResult result = load.warm(plan(address), Duration.ofMillis(300));
                        return result.failures() == 0 && result.servers().size() == 3;
                    });
                }
                for (Endpoint endpoint : datagrams) {
                    await("all servers answer at " + endpoint + " by " + method, () -> {
                        Set<String> answers = new TreeSet<>();
                        for (int i = 0; i < 9; i++) {
                            client.call(() -> Lab.ask(endpoint.socketAddress())).ifPresent(answers::add);
                        }
                        return answers.equals(Set.of("www1: hello", "www2: hello", "www3: hello"));
                    });
                }
                WebServer victim = lab.webServers().getFirst();
                String dead = victim.site().name();
                victim.kill();
                await(dead + " is out", () -> states(lab, dead).equals(List.of("down", "down", "up", "up")));
                for (InetSocketAddress address : addresses) {
                    LoadResult afterwards = load.warm(plan(address), Duration.ofMillis(300));
                    assertThat(afterwards.outcomes())
                            .as("%s by %s", address, method)
                            .hasSize(1);
                    assertThat(afterwards.servers()).hasSize(2).doesNotContainKey(dead);
                }
                victim.start();
                await(dead + " is in again", () -> states(lab, dead).equals(List.of("up", "up", "up", "up")));
            }
        }
        assertThat(run)
                .satisfiesAnyOf(
                        r -> assertThat(r).doesNotExist(), r -> assertThat(r).isEmptyDirectory());
        assertThat(Programs.run(List.of("ip", "netns"), "")).doesNotContain("bl-" + name);
    }

    @Test
    void onLoopbackAddressesThereAreNoPacketsToForward() {
        assertThatThrownBy(() -> up(false))
                .hasMessageStartingWith("the service web has the engine xdp")
                .hasMessageContaining("network namespaces");
    }
}

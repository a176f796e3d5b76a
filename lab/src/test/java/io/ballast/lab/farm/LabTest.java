package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import io.ballast.cli.Json;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadProcess;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.opentest4j.TestAbortedException;

/** The farm of the example, really brought up: in network namespaces where this is root, and on loopback addresses. */
class LabTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** A unix socket's path is short, and the build's own directories are deep. */
    @TempDir(factory = ShortDirectory.class)
    Path run;

    private final String name =
            "t" + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime() & 0xffff);

    private LabStore store() {
        return new LabStore(run);
    }

    @AfterEach
    void takeAway() throws Exception {
        store().down(name);
    }

    private Lab up(boolean namespaces, boolean owned) throws Exception {
        if (namespaces) {
            Privileges.missingForNamespaces().ifPresent(reason -> {
                throw new TestAbortedException("no network namespaces: " + reason);
            });
        }
        Path farm = Path.of("../examples/farm.yaml");
        DescriptionText text = DescriptionText.of(Files.readString(farm)).withCheckInterval(Duration.ofMillis(200));
        return store().up(new Lab.Plan(name, farm, text, namespaces, owned), _ -> {});
    }

    private static ServiceSpec web(Lab lab) {
        return lab.description().services().firstEntry().getValue();
    }

    private static WebServer webServer(Lab lab, ServerSpec server) {
        return lab.webServer(new InetSocketAddress(
                        InetAddress.ofLiteral(server.address().host()),
                        server.address().port()))
                .orElseThrow();
    }

    private static LoadPlan plan(InetSocketAddress address) {
        return new LoadPlan(address, "/index.html", 100, Duration.ofSeconds(10), false, 200, "Test Page");
    }

    private static String state(Lab lab, String server) throws IOException {
        for (JsonObject s : Json.objects(lab.daemons().getFirst().services().getFirst(), "servers")) {
            if (Json.text(s, "name").equals(server)) {
                return Json.text(s, "state");
            }
        }
        return "unknown";
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

    private void assertNothingIsLeft() throws Exception {
        assertThat(run)
                .as("files")
                .satisfiesAnyOf(
                        r -> assertThat(r).doesNotExist(), r -> assertThat(r).isEmptyDirectory());
        Path named = Path.of("/run/netns");
        if (Files.isDirectory(named)) {
            try (var namespaces = Files.list(named)) {
                assertThat(namespaces).noneMatch(n -> n.toString().contains("bl-" + name));
            }
        }
        String variable = OwnProcesses.VARIABLE + "=" + run.resolve("lab").resolve(name);
        for (ProcessId.Stat process : ProcessId.all()) {
            Path proc = Path.of("/proc", Long.toString(process.id().pid()));
            assertThat(read(proc.resolve("environ"))).doesNotContain(variable);
            assertThat(read(proc.resolve("cmdline")))
                    .doesNotContain(run.resolve("lab").toString());
        }
    }

    private static String read(Path file) {
        try {
            return new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return ""; // it has ended, or is another user's
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aFarmServesLosesAServerUnnoticedAndLeavesNothingBehind(boolean namespaces) throws Exception {
        try (Lab lab = up(namespaces, true)) {
            assertThat(lab.client().name()).isEqualTo("client");
            ServerSpec victim = web(lab).servers().getFirst();
            AtomicLong answered = new AtomicLong();
            try (LoadProcess load = new LoadProcess(lab.loadGenerator(), s -> answered.addAndGet(s.ok()))) {
                List<InetSocketAddress> addresses = lab.addresses(web(lab));
                assertThat(addresses).hasSizeBetween(1, 2);
                for (InetSocketAddress address : addresses) {
                    LoadResult result = load.warm(plan(address), Duration.ofSeconds(1));
                    assertThat(result.failures()).as("through %s", address).isZero();
                    assertThat(result.requests()).isPositive();
                }
                webServer(lab, victim).kill();
                await(
                        "the killed server is out",
                        () -> state(lab, victim.name()).equals("down"));
                load.start(plan(addresses.getFirst()));
                await("the others answer", () -> answered.get() > 20);
                LoadResult afterwards = load.stop(plan(addresses.getFirst()));
                assertThat(afterwards.failures()).isZero();
                assertThat(afterwards.servers())
                        .doesNotContainKey(victim.name())
                        .isNotEmpty();
                webServer(lab, victim).start();
                await("the server is in again", () -> state(lab, victim.name()).equals("up"));
            }
        }
        assertNothingIsLeft();
    }

    @Test
    void thereIsNoWayOutOfTheNetwork() throws Exception {
        try (Lab lab = up(true, true)) {
            Path netns = Path.of("/run/netns");
            for (Node node : lab.topology().nodes()) {
                assertThat(netns.resolve(LabRecord.namespace(name, node.name())))
                        .exists();
                String routes = Programs.run(List.of("ip", "-n", LabRecord.namespace(name, node.name()), "route"), "");
                // Only the lab's own networks, and for others than the director a way to the director.
                assertThat(routes.lines())
                        .allMatch(l -> l.startsWith("192.168.9.0/24 ")
                                || l.startsWith("10.1.0.0/24 ")
                                || (!node.director()
                                        && (l.startsWith("default via 10.1.0.254 ")
                                                || l.startsWith("default via 192.168.9.1 "))));
            }
            String outside = Programs.run(List.of("ip", "-o", "link"), "");
            assertThat(outside).doesNotContain("@if");
        }
        assertNothingIsLeft();
    }

    @Test
    void whatAKilledOwnerLeftIsTakenAwayByTheNextLab() throws Exception {
        Lab lab = up(false, true);
        Path directory = run.resolve("lab").resolve(name);
        LabRecord record = LabRecord.read(directory).orElseThrow();
        // As if the owner had been killed: its record names a process that is no more.
        new LabRecord(
                        record.kind(),
                        record.source(),
                        record.created(),
                        Optional.of(
                                new ProcessId(record.leaders().getFirst().id().pid(), 1)),
                        record.namespaces(),
                        record.leaders(),
                        record.ready())
                .write(directory);
        assertThat(store().info(name).orElseThrow().orphaned()).isTrue();
        long daemon = lab.daemons().getFirst().pid();
        String second = name + "b";
        try {
            Path farm = Path.of("../examples/farm.yaml");
            DescriptionText text = DescriptionText.of(Files.readString(farm));
            store().up(new Lab.Plan(second, farm, text, false, false), _ -> {});
            assertThat(directory).doesNotExist();
            assertThat(ProcessId.of(daemon).map(ProcessId::alive).orElse(false)).isFalse();
        } finally {
            store().down(second);
        }
        assertNothingIsLeft();
    }

    @Test
    void aLabThatIsUpIsNotMadeTwiceAndABrokenOneIsMadeAnew() throws Exception {
        Lab lab = up(false, false);
        assertThatThrownBy(() -> up(false, false)).hasMessageContaining("is up already");
        assertThat(store().info(name).orElseThrow().ready()).isTrue();
        ProcessId web = ProcessId.of(lab.webServers().getFirst().pid()).orElseThrow();
        OwnProcesses.signal(web, Signal.KILL);
        await("the web server is dead", () -> !web.alive());
        assertThat(store().info(name).orElseThrow().ready()).isFalse();
        up(false, false);
        assertThat(store().info(name).orElseThrow().ready()).isTrue();
        assertThat(store().down(name)).isTrue();
        assertThat(store().down(name)).as("down twice").isFalse();
        assertNothingIsLeft();
    }

    @Test
    void aFrozenOrphanedWorkerIsFoundAndEnded() throws Exception {
        Lab lab = up(false, false);
        Daemon daemon = lab.daemons().getFirst();
        ProcessId worker = ProcessId.of(daemon.workerPid().orElseThrow()).orElseThrow();
        daemon.kill();
        OwnProcesses.signal(worker, Signal.STOP);
        store().down(name);
        assertThat(worker.alive()).isFalse();
        assertNothingIsLeft();
    }
}

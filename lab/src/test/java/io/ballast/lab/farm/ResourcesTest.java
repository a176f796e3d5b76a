package io.ballast.lab.farm;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.cli.Json;
import io.ballast.lab.topology.DescriptionText;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

/** Two directors of the lab with a resource group, which a script of the test's starts and stops. */
class ResourcesTest {
    private static final Path EXAMPLE = Path.of("../examples/ultramonkey.yaml");
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Of a node that its address tells; what runs is a file, and each step a line. */
    private static final String SCRIPT = """
            #!/bin/sh
            node=$(ip -o -4 address show dev eth0 | grep -o '192\\.168\\.6\\.[23]/' | head -n 1 | cut -d . -f 4 | tr -d /)
            cd "${0%/*}" || exit 1
            case $2 in
            start) echo "$node $1 start" >>steps; [ ! -e "fails-$node" ] || exit 1; touch "runs-$node-$1" ;;
            stop) echo "$node $1 stop" >>steps; rm -f "runs-$node-$1" ;;
            status) [ -e "runs-$node-$1" ] || exit 7 ;;
            esac
            """;

    private static final String FENCE = """
            #!/bin/sh
            cd "${0%/*}" || exit 1
            echo "fence $BALLAST_NODE" >>steps
            [ -e off ]
            """;

    @TempDir(factory = ShortDirectory.class)
    Path run;

    @TempDir
    Path scripts;

    private final String name =
            "r" + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime() & 0xffff);

    @BeforeEach
    void write() throws Exception {
        program("res", SCRIPT);
        program("fence", FENCE);
    }

    private void program(String file, String text) throws Exception {
        Files.writeString(scripts.resolve(file), text);
        Files.setPosixFilePermissions(scripts.resolve(file), PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    @AfterEach
    void takeAway() throws Exception {
        new LabStore(run).down(name);
    }

    private String resource(String called) {
        String program = scripts.resolve("res") + ", " + called;
        return "{ name: " + called + ", interval: 1s, program: { start: [" + program + ", start], stop: [" + program
                + ", stop], status: [" + program + ", status] } }";
    }

    private DescriptionText description() {
        return DescriptionText.of("""
                nodes:
                  d1: { interfaces: { eth0: { addresses: [192.168.6.2/24] } } }
                  d2: { interfaces: { eth0: { addresses: [192.168.6.3/24] } } }
                  www: { interfaces: { eth0: { addresses: [192.168.6.4/24] } } }
                  client: { interfaces: { eth0: { addresses: [192.168.6.20/24] } } }
                virtual-routers:
                  front:
                    router-id: 51
                    addresses: [192.168.6.240/24]
                    nodes: { d1: { priority: 150 }, d2: { priority: 100 } }
                    interval: 100ms
                resource-groups:
                  db:
                    router: front
                    resources: [%s, %s]
                    fence: required
                fencing: { command: [%s] }
                services:
                  web:
                    listen: "192.168.6.240:80"
                    engine: userspace
                    checks: [{ type: http, interval: 200ms }]
                    servers: ["www:80"]
                """.formatted(resource("disk"), resource("base"), scripts.resolve("fence")));
    }

    private static Daemon daemon(Lab lab, String node) {
        return lab.daemons().stream()
                .filter(each -> each.node().equals(node))
                .findFirst()
                .orElseThrow();
    }

    private static JsonObject group(Lab lab, String node) throws Exception {
        return Json.objects(daemon(lab, node).control().get("/v1/takeover"), "resourceGroups")
                .getFirst();
    }

    private static boolean holds(Lab lab, String node) throws Exception {
        return Json.objects(daemon(lab, node).control().get("/v1/takeover"), "routers")
                .getFirst()
                .get("holds")
                .getAsBoolean();
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.holds()) {
            assertThat(System.nanoTime() - end).as("in time: " + what).isNegative();
            Thread.sleep(50);
        }
    }

    private List<String> steps() throws Exception {
        Path file = scripts.resolve("steps");
        List<String> steps = Files.exists(file) ? Files.readAllLines(file) : List.of();
        Files.deleteIfExists(file);
        return steps;
    }

    @Test
    void resourcesGoWithTheAddressInOrderAndOnlyWhenTheOtherNodeHasThemNoMore() throws Exception {
        Privileges.missingForNamespaces().ifPresent(reason -> {
            throw new TestAbortedException("no namespaces: " + reason);
        });
        try (Lab lab = new LabStore(run).up(new Lab.Plan(name, EXAMPLE, description(), true, true), _ -> {})) {
            await("the first one has all", () -> holds(lab, "d1"));
            steps();
            // Where a start fails, all goes back to where it works.
            Files.createFile(scripts.resolve("fails-3"));
            daemon(lab, "d1").control().call("PATCH", "/v1/takeover", wish("operator", "yielding"));
            await("the other one cannot", () -> group(lab, "d2").get("failures").getAsInt() > 0);
            await("the first one has all again", () -> holds(lab, "d1"));
            assertThat(steps())
                    .startsWith("2 base stop", "2 disk stop", "3 disk start", "3 disk stop")
                    .endsWith("2 disk start", "2 base start");
            Files.delete(scripts.resolve("fails-3"));
            daemon(lab, "d2").control().call("PATCH", "/v1/takeover", wish("operator", "normal"));
            await(
                    "it is as if it had never failed",
                    () -> group(lab, "d2").get("failures").getAsInt() == 0);
            daemon(lab, "d1").control().call("PATCH", "/v1/takeover", wish("operator", "normal"));
            await("the first one has all", () -> holds(lab, "d1"));
            steps();

            // A dead daemon may have left everything running: the other one waits until it is off.
            daemon(lab, "d1").kill();
            await("it is fenced", () -> Files.exists(scripts.resolve("steps")));
            await("it waits", () -> group(lab, "d2").get("state").getAsString().equals("waiting"));
            assertThat(holds(lab, "d2")).isFalse();
            daemon(lab, "d2").control().call("PATCH", "/v1/takeover", wish("fenced", "d1"));
            await("the other one has all", () -> holds(lab, "d2"));
            assertThat(steps()).contains("fence d1").endsWith("3 disk start", "3 base start");
        }
    }

    private static Optional<JsonElement> wish(String name, String value) {
        JsonObject body = new JsonObject();
        body.addProperty(name, value);
        return Optional.of(body);
    }
}

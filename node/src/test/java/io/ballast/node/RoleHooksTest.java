package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.ballast.core.config.Description;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.event.Event.Severity;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.wire.Membership;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class RoleHooksTest {
    private static final Duration MINUTE = Duration.ofMinutes(1);

    private record Told(Severity severity, String type, String subject, String message, Map<String, String> data) {}

    @TempDir
    private Path directory;

    private final List<Told> told = new CopyOnWriteArrayList<>();
    private final RoleHooks hooks = new RoleHooks(
            (severity, type, subject, message, data) -> told.add(new Told(severity, type, subject, message, data)));
    private Path log = Path.of("");
    private Path script = Path.of("");

    @BeforeEach
    void write() throws IOException {
        log = directory.resolve("log");
        script = script(
                "hook",
                "echo $BALLAST_ROUTER $BALLAST_STATE $BALLAST_PRIORITY $BALLAST_FAMILY from $BALLAST_FROM:"
                        + " $BALLAST_WHY: $BALLAST_ADDRESSES >> " + log);
    }

    @AfterEach
    void close() {
        hooks.close();
    }

    private Path script(String name, String text) throws IOException {
        Path file = Files.writeString(directory.resolve(name), "#!/bin/sh\n" + text + "\n");
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwx------"));
    }

    private static Description description(String keys) {
        return new DescriptionReader()
                .read("t", """
                nodes:
                  d1: { interfaces: { eth0: { addresses: [192.0.2.1/24, "2001:db8::1/64"] } } }
                  d2: { interfaces: { eth0: { addresses: [192.0.2.2/24, "2001:db8::2/64"] } } }
                virtual-routers:
                  front:
                    router-id: 51
                    addresses: [192.0.2.240/24, 192.0.2.241/24, "2001:db8::240/64"]
                    nodes: { d1: , d2: }
                    %s
                services: { web: { listen: "192.0.2.240:80", servers: ["192.0.2.11:80"] } }
                """.formatted(keys))
                .description()
                .orElseThrow();
    }

    private static Collection<VirtualRouterSpec> routers(String wanted) {
        return description("hooks: " + wanted).virtualRouters().values();
    }

    private String all() {
        return "{ master: %1$s, backup: %1$s, fault: %1$s, stop: %1$s }".formatted(script);
    }

    private static Membership member(boolean ipv6) {
        return TakeoverDuty.members(description(""), "d1").get(ipv6 ? 1 : 0);
    }

    private void changed(Role from, Role to, String why) {
        hooks.changed(member(false), from, to, 150, why);
    }

    @Test
    void everyRoleButLeavingIsToldInOrderToItsHook() throws Exception {
        hooks.become(routers(all()));
        changed(Role.STOPPED, Role.BACKUP, "started");
        changed(Role.BACKUP, Role.MASTER, "nothing heard");
        hooks.changed(member(true), Role.BACKUP, Role.MASTER, 150, "nothing heard");
        changed(Role.MASTER, Role.FAULT, "no link");
        hooks.changed(member(true), Role.MASTER, Role.LEAVING, 150, "withdrawn");
        hooks.changed(member(true), Role.LEAVING, Role.MASTER, 150, "stays");
        hooks.changed(member(true), Role.MASTER, Role.LEAVING, 150, "this node stops");
        hooks.changed(member(true), Role.LEAVING, Role.STOPPED, 150, "taken");
        hooks.close(MINUTE);
        String four = ": 192.0.2.240/24 192.0.2.241/24";
        assertThat(Files.readAllLines(log))
                .containsExactly(
                        "front BACKUP 150 ipv4 from stopped: started" + four,
                        "front MASTER 150 ipv4 from backup: nothing heard" + four,
                        "front MASTER 150 ipv6 from backup: nothing heard: 2001:db8::240/64",
                        "front FAULT 150 ipv4 from master: no link" + four,
                        "front STOP 150 ipv6 from leaving: taken: 2001:db8::240/64");
        assertThat(told)
                .extracting(Told::type, Told::subject, Told::message)
                .containsOnly(tuple("notify.ran", "front", "the hook " + script + " ran"))
                .hasSize(5);
        assertThat(told.getFirst().data()).containsEntry("command", script.toString());
    }

    @Test
    void onlyTheRoleThatHasAHookIsToldAndWhatFailsIsInTheJournal() throws Exception {
        Path fails = script("fails", "echo no such thing >&2; exit 3");
        hooks.become(routers("{ fault: " + fails + " }"));
        changed(Role.STOPPED, Role.BACKUP, "started");
        changed(Role.BACKUP, Role.FAULT, "no link");
        hooks.close(MINUTE);
        assertThat(told)
                .extracting(Told::severity, Told::type, Told::message)
                .containsExactly(tuple(
                        Severity.WARNING,
                        "notify.failed",
                        "the hook " + fails + " ended with exit code 3: no such thing"));
    }

    @Test
    void otherHooksAreNotAnotherMembership() throws Exception {
        assertThat(TakeoverDuty.members(description("hooks: " + all()), "d1"))
                .isEqualTo(TakeoverDuty.members(description(""), "d1"))
                .hasSize(2);
        hooks.become(routers(all()));
        hooks.become(routers("{ backup: " + script + " }"));
        changed(Role.STOPPED, Role.BACKUP, "started");
        changed(Role.BACKUP, Role.MASTER, "nothing heard");
        hooks.become(List.of());
        changed(Role.MASTER, Role.BACKUP, "not described any more");
        hooks.close(MINUTE);
        assertThat(Files.readAllLines(log))
                .extracting(line -> line.substring(0, line.indexOf(" 192")))
                .containsExactly(
                        "front BACKUP 150 ipv4 from stopped: started:",
                        "front BACKUP 150 ipv4 from master: not described any more:");
    }

    @Test
    void theNamedPipeGetsWhatHasNoHookAsWell() throws Exception {
        Path pipe = directory.resolve("pipe");
        hooks.become(routers("{ fifo: " + pipe + " }"));
        hooks.become(routers("{ fifo: " + pipe + " }"));
        changed(Role.STOPPED, Role.BACKUP, "started");
        changed(Role.BACKUP, Role.MASTER, "nothing heard");
        try (FileChannel reader = FileChannel.open(pipe, StandardOpenOption.READ)) {
            ByteBuffer bytes = ByteBuffer.allocate(1000);
            reader.read(bytes);
            assertThat(new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8))
                    .isEqualTo("INSTANCE \"front\" BACKUP 150\nINSTANCE \"front\" MASTER 150\n");
        }
        assertThat(told).isEmpty();
    }

    @Test
    void aPipeThatIsNoneIsToldAndHooksRunNevertheless() throws Exception {
        Path file = Files.writeString(directory.resolve("file"), "kept");
        hooks.become(routers("{ fifo: " + file + ", backup: " + script + " }"));
        changed(Role.STOPPED, Role.BACKUP, "started");
        hooks.close(MINUTE);
        assertThat(told).extracting(Told::type).containsExactly("notify.failed", "notify.ran");
        assertThat(told.getFirst().message())
                .isEqualTo("the named pipe " + file + " is told nothing: " + file
                        + " is not a named pipe: remove it, or name another path");
        assertThat(file).hasContent("kept");
    }

    @Test
    void aHookThatDoesNotEndIsKilledAtTheEnd() throws Exception {
        Path pid = directory.resolve("pid");
        Path hangs = script("hangs", "echo $$ > " + pid + ".new; mv " + pid + ".new " + pid + "; exec sleep 1000");
        hooks.become(routers("{ stop: " + hangs + " }"));
        changed(Role.MASTER, Role.STOPPED, "this node stops");
        await(pid);
        hooks.close(Duration.ofMillis(10));
        assertThat(told).extracting(Told::message).singleElement().asString().contains("had not ended");
        ProcessHandle.of(Long.parseLong(Files.readString(pid).strip()))
                .ifPresent(process ->
                        process.onExit().orTimeout(30, TimeUnit.SECONDS).join());
        changed(Role.STOPPED, Role.BACKUP, "too late");
    }

    private static void await(Path file) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!Files.exists(file)) {
            assertThat(System.nanoTime() - end).as("%s", file).isNegative();
            Thread.sleep(5);
        }
    }
}

package io.ballast.takeover.hook;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Fifo;
import io.ballast.linux.Hook;
import io.ballast.takeover.hook.Hooks.Event;
import io.ballast.takeover.hook.Hooks.State;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class HooksTest {
    private static final Duration MINUTE = Duration.ofMinutes(1);

    private record Ended(Event event, Hook.Result result) {}

    @TempDir
    private Path directory;

    private final LinkedBlockingQueue<Ended> ended = new LinkedBlockingQueue<>();
    private final List<String> warnings = new CopyOnWriteArrayList<>();
    private final Hooks.Listener listener = new Hooks.Listener() {
        @Override
        public void ended(Event event, List<String> command, Hook.Result result) {
            ended.add(new Ended(event, result));
        }

        @Override
        public void warn(String message) {
            warnings.add(message);
        }
    };

    private Hooks hooks = new Hooks(MINUTE, listener);

    @AfterEach
    void close() {
        hooks.close();
    }

    private Path script(String name, String text) throws IOException {
        Path script = Files.writeString(directory.resolve(name), "#!/bin/sh\n" + text);
        return Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
    }

    private static Event event(String router, State state) {
        return new Event(router, state, 150, Map.of("why", "no master was heard"));
    }

    private void happened(String router, State state, Path script, String... arguments) {
        List<String> command = new ArrayList<>(List.of(script.toString()));
        command.addAll(List.of(arguments));
        hooks.happened(event(router, state), List.of(command), Optional.empty());
    }

    private Ended next() throws InterruptedException {
        return Objects.requireNonNull(ended.poll(30, TimeUnit.SECONDS), "nothing ended in 30 s");
    }

    private static void await(String what, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("did not happen in 30 s: " + what);
            }
            Thread.sleep(5);
        }
    }

    private static String gate(Path gate) {
        return "while [ ! -e " + gate + " ]; do sleep 0.02; done\n";
    }

    @Test
    void aHookGetsItsArgumentsAndTheFacts() throws Exception {
        Path script = script("facts", "echo $1 $BALLAST_ROUTER $BALLAST_STATE $BALLAST_PRIORITY $BALLAST_WHY");
        happened("web", State.MASTER, script, "up");
        assertThat(next().result().output()).isEqualTo("up web MASTER 150 no master was heard");
    }

    @Test
    void hooksOfAVirtualRouterRunInOrderAndNeverTogether() throws Exception {
        Path log = directory.resolve("log");
        // Later ones are the quicker.
        Path script = script("hook", "echo begin $1 >> " + log + "; sleep 0.$((9 - $1))\necho end $1 >> " + log);
        State[] states = State.values();
        List<String> expected = new ArrayList<>();
        for (int i = 4; i < 10; i++) {
            happened("web", states[i % states.length], script, Integer.toString(i));
            expected.addAll(List.of("begin " + i, "end " + i));
        }
        assertThat(hooks.finish(MINUTE)).isTrue();
        assertThat(Files.readAllLines(log)).isEqualTo(expected);
        assertThat(ended)
                .extracting(each -> each.result().end())
                .containsOnly(Hook.End.RAN)
                .hasSize(6);
    }

    @Test
    void whatIsSupersededBeforeItsTurnIsRunAsWell() throws Exception {
        Path gate = directory.resolve("gate");
        Path script = script("hook", gate(gate) + "echo $1");
        List<State> order = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            order.add(i % 2 == 0 ? State.MASTER : State.BACKUP);
            happened("web", order.getLast(), script, Integer.toString(i));
        }
        Files.createFile(gate);
        assertThat(hooks.finish(MINUTE)).isTrue();
        assertThat(ended).extracting(each -> each.event().state()).isEqualTo(order);
        assertThat(ended)
                .extracting(each -> each.result().output())
                .startsWith("0", "1", "2")
                .endsWith("18", "19");
    }

    @Test
    void virtualRoutersDoNotWaitForEachOther() throws Exception {
        Path gate = directory.resolve("gate");
        happened("slow", State.MASTER, script("slow", gate(gate)));
        happened("quick", State.MASTER, script("quick", "echo here"));
        assertThat(next().event().router()).isEqualTo("quick");
        assertThat(hooks.finish(Duration.ofMillis(1))).isFalse();
        Files.createFile(gate);
        assertThat(next().event().router()).isEqualTo("slow");
        assertThat(hooks.finish(MINUTE)).isTrue();
    }

    @Test
    void severalCommandsOfAnEventRunOneAfterAnother() throws Exception {
        Path script = script("hook", "sleep 0.$1; echo $1");
        hooks.happened(
                event("web", State.STOP),
                List.of(List.of(script.toString(), "2"), List.of(script.toString(), "1")),
                Optional.empty());
        assertThat(next().result().output()).isEqualTo("2");
        assertThat(next().result().output()).isEqualTo("1");
    }

    @Test
    void aHookThatHangsIsKilledWithItsChildrenAndTheNextOneRuns() throws Exception {
        hooks = new Hooks(Duration.ofMillis(300), listener);
        happened("web", State.MASTER, script("hangs", "sleep 1000 & echo $!; wait"));
        happened("web", State.BACKUP, script("next", "true"));
        Hook.Result killed = next().result();
        assertThat(killed.end()).isEqualTo(Hook.End.KILLED);
        assertThat(killed.how()).startsWith("was killed: it did not end in");
        long child = Long.parseLong(killed.output());
        await(
                "the child's end",
                () -> ProcessHandle.of(child).filter(ProcessHandle::isAlive).isEmpty());
        assertThat(next().event().state()).isEqualTo(State.BACKUP);
    }

    @Test
    void aHookThatFailsOrIsMissingIsToldAndTheNextOneRuns() throws Exception {
        happened("web", State.MASTER, directory.resolve("missing"));
        happened("web", State.BACKUP, script("fails", "echo no such thing >&2; exit 3"));
        happened("web", State.FAULT, script("next", "true"));
        Hook.Result missing = next().result();
        assertThat(missing.end()).isEqualTo(Hook.End.NOT_STARTED);
        assertThat(missing.how()).startsWith("cannot be started: posix_spawn").contains("ENOENT");
        Hook.Result failed = next().result();
        assertThat(failed.end()).isEqualTo(Hook.End.FAILED);
        assertThat(failed.how()).isEqualTo("ended with exit code 3: no such thing");
        assertThat(next().result().end()).isEqualTo(Hook.End.RAN);
    }

    @Test
    void closingKillsWhatRunsAndForgetsWhatWaits() throws Exception {
        Path pid = directory.resolve("pid");
        Path wrote = directory.resolve("wrote");
        happened(
                "web",
                State.MASTER,
                script("hangs", "echo $$ > " + pid + ".new; mv " + pid + ".new " + pid + "; sleep 1000"));
        happened("web", State.BACKUP, script("next", "touch " + wrote));
        await("its start", () -> Files.exists(pid));
        hooks.close();
        assertThat(hooks.finish(MINUTE)).isTrue();
        long process = Long.parseLong(Files.readString(pid).strip());
        await(
                "its end",
                () -> ProcessHandle.of(process).filter(ProcessHandle::isAlive).isEmpty());
        happened("web", State.FAULT, script("late", "touch " + wrote));
        assertThat(hooks.finish(MINUTE)).isTrue();
        assertThat(wrote).doesNotExist();
        assertThat(ended).isEmpty();
    }

    @Test
    void aLongQueueIsTold() throws Exception {
        Path gate = directory.resolve("gate");
        Path script = script("hook", gate(gate));
        for (int i = 0; i < Hooks.MANY + 10; i++) {
            happened("web", State.MASTER, script);
        }
        assertThat(warnings).containsExactly(Hooks.MANY + " hooks of virtual router web wait for their turn");
    }

    @Test
    void aNamedPipeGetsEveryEventAndNobodyHasToReadIt() throws Exception {
        Path path = directory.resolve("events");
        Fifo fifo = Fifo.open(path);
        hooks.happened(event("web", State.BACKUP), List.of(), Optional.of(fifo));
        hooks.happened(event("mail", State.MASTER), List.of(), Optional.of(fifo));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path)))
                .isEqualTo("rw-------");
        try (fifo;
                FileChannel reader = FileChannel.open(path, StandardOpenOption.READ)) {
            assertThat(read(reader)).isEqualTo("INSTANCE \"web\" BACKUP 150\nINSTANCE \"mail\" MASTER 150\n");
            for (int i = 0; i < 5000; i++) { // more than there is room for
                hooks.happened(event("web", i % 2 == 0 ? State.MASTER : State.BACKUP), List.of(), Optional.of(fifo));
            }
            assertThat(warnings)
                    .containsExactly(
                            "the named pipe of notifications is full, as nobody reads it: events are missing in it");
            assertThat(read(reader).lines())
                    .contains("INSTANCE \"web\" MASTER 150")
                    .hasSizeGreaterThan(1000);
            hooks.happened(event("web", State.STOP), List.of(), Optional.of(fifo));
            assertThat(read(reader)).isEqualTo("INSTANCE \"web\" STOP 150\n");
        }
    }

    /** What is in the pipe now. */
    private static String read(FileChannel pipe) {
        try {
            ByteBuffer bytes = ByteBuffer.allocate(1 << 20);
            pipe.read(bytes);
            return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void anotherFileIsNoNamedPipe() throws Exception {
        Path file = Files.writeString(directory.resolve("file"), "kept");
        Path link = Files.createSymbolicLink(directory.resolve("link"), directory.resolve("elsewhere"));
        assertThatThrownBy(() -> Fifo.open(file)).hasMessageContaining("is not a named pipe");
        assertThatThrownBy(() -> Fifo.open(link)).hasMessageContaining("is not a named pipe");
        assertThat(file).hasContent("kept");
    }
}

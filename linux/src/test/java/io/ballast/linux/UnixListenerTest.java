package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
@SuppressWarnings("try") // closing early is what some tests are about
class UnixListenerTest {
    @TempDir
    Path directory;

    private Path path() {
        return directory.resolve("control");
    }

    @Test
    void messagesReachTheListenerOfThePath() throws Exception {
        try (UnixListener listener = UnixListener.open(path());
                MessageChannel client = MessageChannel.connect(path());
                MessageChannel server = listener.accept()) {
            client.send("hello");
            assertThat(Objects.requireNonNull(server.receive()).text()).isEqualTo("hello");
            assertThat(server.peer().pid()).isEqualTo(ProcessHandle.current().pid());
        }
    }

    @Test
    void onlyTheOwnerMayConnect() throws Exception {
        try (UnixListener listener = UnixListener.open(path())) {
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(listener.path())))
                    .isEqualTo("rw-------");
        }
    }

    @Test
    void pathInUseIsRefusedAndStaysUsable() throws Exception {
        try (UnixListener first = UnixListener.open(path())) {
            assertThatThrownBy(() -> UnixListener.open(path()))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EADDRINUSE))
                    .hasMessageEndingWith("(another process listens there)");
            MessageChannel.connect(path()).close();
            first.accept().close();
        }
    }

    @Test
    void socketFileOfADeadProcessIsReplaced() throws Exception {
        UnixListener.open(path()).closeKeepingPath();
        assertThat(path()).exists();
        try (UnixListener listener = UnixListener.open(path())) {
            MessageChannel.connect(path()).close();
            listener.accept().close();
        }
        assertThat(path()).doesNotExist();
    }

    @Test
    void fileThatIsNoSocketIsNotDeleted() throws Exception {
        Files.writeString(path(), "precious");
        assertThatThrownBy(() -> UnixListener.open(path())).hasMessageContaining("not a socket");
        assertThat(path()).hasContent("precious");
    }

    @Test
    void pathThatSomebodyElseBoundSinceIsNotDeleted() throws Exception {
        UnixListener old = UnixListener.open(path());
        Files.delete(path());
        try (UnixListener fresh = UnixListener.open(path())) {
            old.close();
            assertThat(fresh.path()).exists();
        }
    }

    @Test
    void listenerHandedOverKeepsItsQueue() throws Exception {
        UnixListener old = UnixListener.open(path());
        try (MessageChannel waiting = MessageChannel.connect(path())) {
            waiting.send("queued");
            Descriptor copy = old.duplicate();
            old.closeKeepingPath();
            try (UnixListener next = UnixListener.adopt(copy, path());
                    MessageChannel server = next.accept()) {
                assertThat(Objects.requireNonNull(server.receive()).text()).isEqualTo("queued");
            }
        }
    }

    @Test
    void closingWakesABlockedAccept() throws Exception {
        UnixListener listener = UnixListener.open(path());
        FutureTask<MessageChannel> accepting = new FutureTask<>(listener::accept);
        Thread thread = Thread.ofPlatform().start(accepting);
        Host.await("accept waits", () -> Host.isWaiting(thread));
        listener.close();
        assertThatThrownBy(accepting::get).hasCauseInstanceOf(SocketException.class);
    }

    @Test
    void acceptEndsAtItsDeadline() throws Exception {
        try (UnixListener listener = UnixListener.open(path())) {
            assertThatThrownBy(() -> listener.accept(NativeSocket.deadlineIn(1_000_000)))
                    .isInstanceOf(SocketTimeoutException.class);
        }
    }

    @Test
    void connectingWhereNobodyListensNamesThePath() throws IOException {
        assertThatThrownBy(() -> MessageChannel.connect(path()))
                .hasMessage("connect " + path() + ": ENOENT: no such file or directory");
    }

    @Test
    void pathThatDoesNotFitAnAddressIsRefused() {
        Path deep = directory.resolve("x".repeat(120));
        assertThatThrownBy(() -> UnixListener.open(deep))
                .hasMessage("unix socket " + deep + ": ENAMETOOLONG: file name too long (at most 107 bytes)");
    }
}

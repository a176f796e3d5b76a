package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class NotifyTest {
    /** The manager's end: receives the datagrams of a service. */
    private static final class Manager implements AutoCloseable {
        private final Descriptor socket;
        final List<Descriptor> stored = new ArrayList<>();

        Manager(String address) throws IOException {
            try (Kernel kernel = Kernel.open()) {
                int fd = LinuxException.check(
                        kernel.socket(Constants.AF_UNIX, Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC, 0),
                        "socket",
                        "unix");
                socket = Descriptor.own(fd, address);
                LinuxException.check(kernel.bind(fd, SocketAddresses.encodeUnix(kernel, address)), "bind", address);
            }
        }

        String receive() throws IOException {
            try (Kernel kernel = Kernel.open()) {
                ControlMessage message = new ControlMessage(kernel, 4096);
                message.setLength(4096);
                message.expectDescriptors();
                int count = kernel.recvmsg(socket.fd(), message.header(), Constants.MSG_CMSG_CLOEXEC);
                LinuxException.check(count, "recvmsg", socket.label());
                message.takeDescriptors(stored, "stored");
                byte[] bytes = message.buffer().asSlice(0, count).toArray(ValueLayout.JAVA_BYTE);
                return new String(bytes, StandardCharsets.UTF_8);
            }
        }

        @Override
        public void close() {
            stored.forEach(Descriptor::close);
            socket.close();
        }
    }

    @TempDir
    Path directory;

    @Test
    void managerHearsEachStepOfALife() throws Exception {
        String path = directory.resolve("notify").toString();
        try (Manager manager = new Manager(path)) {
            Notify notify = Notify.of(Map.of("NOTIFY_SOCKET", path));
            assertThat(notify.isWanted()).isTrue();
            notify.ready("3 services\nup");
            assertThat(manager.receive()).isEqualTo("READY=1\nSTATUS=3 services up");
            notify.reloading();
            assertThat(manager.receive()).matches("RELOADING=1\nMONOTONIC_USEC=[0-9]+");
            notify.watchdog();
            assertThat(manager.receive()).isEqualTo("WATCHDOG=1");
            notify.status("draining");
            assertThat(manager.receive()).isEqualTo("STATUS=draining");
            notify.stopping("bye", Duration.ofMillis(1500));
            assertThat(manager.receive()).isEqualTo("STOPPING=1\nSTATUS=bye\nEXTEND_TIMEOUT_USEC=1500000");
        }
    }

    @Test
    void descriptorsAreStoredUnderAName() throws Exception {
        String name = "@ballast-test-" + UUID.randomUUID();
        try (Manager manager = new Manager(name);
                Descriptor listening = Sockets.listenTcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), Sockets.Options.DEFAULT)) {
            Notify notify = Notify.of(Map.of("NOTIFY_SOCKET", name));
            notify.store("web", List.of(listening));
            assertThat(manager.receive()).isEqualTo("FDSTORE=1\nFDNAME=web");
            assertThat(manager.stored).hasSize(1);
            assertThat(Sockets.localAddress(manager.stored.getFirst())).isEqualTo(Sockets.localAddress(listening));
            notify.unstore("web");
            assertThat(manager.receive()).isEqualTo("FDSTOREREMOVE=1\nFDNAME=web");
            assertThatThrownBy(() -> notify.store("a:b", List.of())).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void withoutAManagerNothingHappens() throws Exception {
        Notify notify = Notify.of(Map.of());
        assertThat(notify.isWanted()).isFalse();
        notify.ready("x");
        notify.watchdog();
    }

    @Test
    void managerThatIsGoneIsAnError() {
        String path = directory.resolve("gone").toString();
        assertThatThrownBy(() -> Notify.of(Map.of("NOTIFY_SOCKET", path)).watchdog())
                .hasMessage("connect NOTIFY_SOCKET " + path + ": ENOENT: no such file or directory");
    }

    @Test
    void passedDescriptorsAreTakenWithTheirNames() throws Exception {
        try (Descriptor listening = Sockets.listenTcp(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), Sockets.Options.DEFAULT)) {
            InetSocketAddress address = Sockets.localAddress(listening);
            int number = listening.release();
            Map<String, String> environment = Map.of("LISTEN_FDS", "1", "LISTEN_PID", "77", "LISTEN_FDNAMES", "web");
            assertThat(Notify.listenFds(environment, 78, number)).isEmpty();
            List<Notify.Passed> passed = Notify.listenFds(environment, 77, number);
            assertThat(passed).hasSize(1);
            try (Descriptor taken = passed.getFirst().descriptor()) {
                assertThat(passed.getFirst().name()).isEqualTo("web");
                assertThat(Sockets.localAddress(taken)).isEqualTo(address);
            }
        }
    }

    @Test
    void wrongVariablesAreErrorsThatNameThem() {
        for (String count : new String[] {"x", "-1", "99999999999"}) {
            assertThatThrownBy(() -> Notify.listenFds(Map.of("LISTEN_FDS", count, "LISTEN_PID", "77"), 77))
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith("LISTEN_FDS");
        }
        assertThatThrownBy(() -> Notify.listenFds(Map.of("LISTEN_FDS", "1", "LISTEN_PID", "77"), 77, 1_000_000))
                .hasMessage("fcntl F_SETFD passed fd 1000000: EBADF: bad file descriptor");
        for (String micros : new String[] {"x", "0", "-5", "9223372036854775807"}) {
            assertThatThrownBy(() -> Notify.watchdogInterval(Map.of("WATCHDOG_USEC", micros), 77))
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith("WATCHDOG_USEC");
        }
    }

    @Test
    void watchdogIntervalIsForThisProcessOnly() throws Exception {
        assertThat(Notify.watchdogInterval(Map.of(), 77)).isEmpty();
        assertThat(Notify.watchdogInterval(Map.of("WATCHDOG_USEC", "2000000"), 77))
                .contains(Duration.ofSeconds(2));
        assertThat(Notify.watchdogInterval(Map.of("WATCHDOG_USEC", "2000000", "WATCHDOG_PID", "78"), 77))
                .isEmpty();
    }
}

package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.FileNotFoundException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class NetworkNamespaceTest {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

    private static String here() throws Exception {
        return Files.readSymbolicLink(Path.of("/proc/thread-self/ns/net")).toString();
    }

    @Test
    void taskRunsInsideAndTheCallerStaysOutside() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        String outside = here();
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            String inside = namespace.call(NetworkNamespaceTest::here);
            assertThat(inside).isNotEqualTo(outside);
            assertThat(namespace.call(NetworkNamespaceTest::here)).isEqualTo(inside);
            assertThat(here()).isEqualTo(outside);
        }
    }

    @Test
    void newNamespaceHasItsOwnLoopbackAndPorts() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace first = NetworkNamespace.create();
                NetworkNamespace second = NetworkNamespace.create()) {
            InetSocketAddress address = new InetSocketAddress(LOOPBACK, 8080);
            try (Descriptor listening = first.call(() -> Sockets.listenTcp(address, Sockets.Options.DEFAULT));
                    Descriptor same = second.call(() -> Sockets.listenTcp(address, Sockets.Options.DEFAULT));
                    NativeSocket client = first.call(() -> NativeSocket.tcp(LOOPBACK))) {
                client.connect(address, NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30)));
                assertThat(Sockets.localAddress(listening)).isEqualTo(Sockets.localAddress(same));
            }
        }
    }

    @Test
    void namespaceOfAProcessIsFound() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace own =
                NetworkNamespace.ofProcess(ProcessHandle.current().pid())) {
            assertThat(own.call(NetworkNamespaceTest::here)).isEqualTo(here());
        }
        try (NetworkNamespace current = NetworkNamespace.current()) {
            assertThat(current.call(NetworkNamespaceTest::here)).isEqualTo(here());
        }
    }

    @Test
    void processesStartedInsideBelongThere() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            String inside = namespace.call(NetworkNamespaceTest::here);
            String child = namespace.call(() -> {
                Process process = new ProcessBuilder("readlink", "/proc/self/ns/net").start();
                return new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8)
                        .strip();
            });
            assertThat(child).isEqualTo(inside);
        }
    }

    @Test
    void failureOfTheTaskComesBackAsItIs() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.current()) {
            assertThatThrownBy(() -> namespace.call(() -> {
                        throw new FileNotFoundException("this");
                    }))
                    .isInstanceOf(FileNotFoundException.class);
            assertThatThrownBy(() -> namespace.call(() -> {
                        throw new IllegalStateException("that");
                    }))
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void withoutPermissionTheCapabilityIsNamed() {
        assertThatThrownBy(() -> Host.withoutCapabilities(NetworkNamespace::create))
                .hasMessage("unshare CLONE_NEWNET: EPERM: operation not permitted (needs CAP_SYS_ADMIN)");
        assertThatThrownBy(() -> Host.withoutCapabilities(() -> {
                    try (NetworkNamespace current = NetworkNamespace.current()) {
                        return current.call(NetworkNamespaceTest::here);
                    }
                }))
                .hasMessage("setns /proc/thread-self/ns/net: EPERM: operation not permitted (needs CAP_SYS_ADMIN)");
    }

    @Test
    void missingNamespaceIsNamed() {
        assertThatThrownBy(() -> NetworkNamespace.named("nosuch"))
                .hasMessage("open /var/run/netns/nosuch: ENOENT: no such file or directory");
    }
}

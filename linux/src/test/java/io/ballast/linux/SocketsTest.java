package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
@SuppressWarnings("try") // closing early is what some tests are about
class SocketsTest {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
    private static final InetAddress LOOPBACK6 = InetAddress.ofLiteral("::1");
    private static final InetAddress ANY = InetAddress.ofLiteral("0.0.0.0");
    private static final InetAddress ANY6 = InetAddress.ofLiteral("::");
    private static final Sockets.Options DEFAULT = Sockets.Options.DEFAULT;
    private static final String SELF = "pid " + ProcessHandle.current().pid() + " (this process)";

    private static Descriptor listen(InetAddress address, int port) throws IOException {
        return Sockets.listenTcp(new InetSocketAddress(address, port), DEFAULT);
    }

    private static int portOf(Descriptor socket) throws IOException {
        return Sockets.localAddress(socket).getPort();
    }

    @Test
    void socketSaysWhatItIs() throws Exception {
        try (Descriptor tcp = listen(LOOPBACK, 0);
                Descriptor udp = Sockets.bindUdp(new InetSocketAddress(LOOPBACK6, 0), DEFAULT)) {
            assertThat(Sockets.isListening(tcp)).isTrue();
            assertThat(Sockets.isTcp(tcp)).isTrue();
            assertThat(Sockets.isUdp(tcp)).isFalse();
            assertThat(Sockets.localAddress(tcp).getAddress()).isEqualTo(LOOPBACK);
            assertThat(Sockets.isListening(udp)).isFalse();
            assertThat(Sockets.isUdp(udp)).isTrue();
            assertThat(Sockets.localAddress(udp).getAddress()).isEqualTo(LOOPBACK6);
            assertThat(tcp.label()).isEqualTo("127.0.0.1:0/tcp");
        }
    }

    @Test
    void connectionsWaitInTheQueueWithoutAnAcceptor() throws Exception {
        try (Descriptor tcp = listen(LOOPBACK, 0);
                Socket client = new Socket(LOOPBACK, portOf(tcp))) {
            assertThat(client.isConnected()).isTrue();
        }
    }

    @Test
    void bothFamiliesMayHaveTheSamePort() throws Exception {
        try (Descriptor any6 = listen(ANY6, 0);
                Descriptor any = listen(ANY, portOf(any6))) {
            assertThat(portOf(any)).isEqualTo(portOf(any6));
        }
    }

    @Test
    void theHolderOfAPortInUseIsFound() throws Exception {
        try (Descriptor tcp = listen(LOOPBACK, 0);
                Descriptor udp = Sockets.bindUdp(new InetSocketAddress(LOOPBACK, 0), DEFAULT)) {
            assertThatThrownBy(() -> listen(LOOPBACK, portOf(tcp)))
                    .hasMessage("bind 127.0.0.1:" + portOf(tcp) + "/tcp: EADDRINUSE: address already in use");
            assertThat(PortHolder.ofTcp(new InetSocketAddress(LOOPBACK, portOf(tcp)))
                            .toString())
                    .contains(SELF);
            assertThat(PortHolder.ofTcp(new InetSocketAddress(ANY, portOf(tcp))).toString())
                    .contains(SELF);
            assertThatThrownBy(() -> Sockets.bindUdp(new InetSocketAddress(LOOPBACK, portOf(udp)), DEFAULT))
                    .hasMessageContaining("/udp: EADDRINUSE: address already in use");
            assertThat(PortHolder.ofUdp(new InetSocketAddress(LOOPBACK, portOf(udp)))
                            .toString())
                    .contains(SELF);
        }
    }

    @Test
    void portHeldByAnotherFamilysSocketThatTakesBothIsFound() throws Exception {
        // Java's wildcard server socket is an IPv6 one that also takes IPv4.
        try (ServerSocket both = new ServerSocket(0)) {
            assertThat(PortHolder.ofTcp(new InetSocketAddress(LOOPBACK, both.getLocalPort()))
                            .toString())
                    .contains(SELF);
        }
    }

    @Test
    void freePortHasNoHolder() throws Exception {
        int port;
        try (Descriptor tcp = listen(LOOPBACK, 0)) {
            port = portOf(tcp);
        }
        assertThat(PortHolder.ofTcp(new InetSocketAddress(LOOPBACK, port))).isEqualTo(Optional.empty());
    }

    @Test
    void portIsFreeAgainAtOnceAfterConnections() throws Exception {
        int port;
        try (Descriptor tcp = listen(LOOPBACK, 0);
                Kernel kernel = Kernel.open()) {
            port = portOf(tcp);
            try (NativeSocket client = NativeSocket.tcp(LOOPBACK)) {
                client.connect(Sockets.localAddress(tcp), NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30)));
                // Our end closes first and so enters TIME_WAIT on the listener's port.
                Descriptor.closeNumber(kernel.accept4(tcp.fd(), Constants.SOCK_CLOEXEC));
                assertThat(client.read(new byte[1], 0, 1, NativeSocket.NO_DEADLINE))
                        .isEqualTo(-1);
            }
        }
        listen(LOOPBACK, port).close();
    }

    @Test
    void addressThatIsNotHereNeedsFreeBind() throws Exception {
        for (String text : new String[] {"192.0.2.9", "2001:db8::9"}) {
            InetSocketAddress address = new InetSocketAddress(InetAddress.ofLiteral(text), 0);
            assertThatThrownBy(() -> Sockets.listenTcp(address, DEFAULT))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EADDRNOTAVAIL));
            try (Descriptor tcp = Sockets.listenTcp(address, DEFAULT.withFreeBind(true))) {
                assertThat(Sockets.localAddress(tcp).getAddress()).isEqualTo(address.getAddress());
            }
        }
    }

    @Test
    void deviceIsHonouredAndAMissingOneNamed() throws Exception {
        InetSocketAddress address = new InetSocketAddress(LOOPBACK, 0);
        Sockets.listenTcp(address, DEFAULT.withDevice("lo").withBacklog(5)).close();
        assertThatThrownBy(() -> Sockets.listenTcp(address, DEFAULT.withDevice("nosuch0")))
                .hasMessage("setsockopt SO_BINDTODEVICE nosuch0 for 127.0.0.1:0/tcp: ENODEV: no such device");
    }

    @Test
    void privilegedPortWithoutPermissionNamesTheCapability() throws Exception {
        Host.assumePrivilegedPort(80);
        assertThatThrownBy(() -> Host.withoutCapabilities(() -> listen(InetAddress.ofLiteral("127.1.2.3"), 80)))
                .hasMessage("bind 127.1.2.3:80/tcp: EACCES: permission denied (needs CAP_NET_BIND_SERVICE)");
    }

    @Test
    void failedOpeningLeavesNoDescriptor() throws Exception {
        int before = Host.openSockets();
        for (int i = 0; i < 10; i++) {
            assertThatThrownBy(() -> listen(InetAddress.ofLiteral("192.0.2.9"), 1))
                    .isInstanceOf(IOException.class);
        }
        assertThat(Host.openSockets()).isLessThanOrEqualTo(before);
    }

    @Test
    void descriptorIsClosedOnceAndItsNumberNotGivenAgain() throws Exception {
        Descriptor first = listen(LOOPBACK, 0);
        int number = first.fd();
        first.close();
        try (Descriptor second = listen(LOOPBACK, 0)) {
            assertThat(second.fd()).isEqualTo(number); // the kernel reuses the lowest: what makes a double close fatal
            first.close();
            assertThat(Sockets.isListening(second)).isTrue();
            assertThatThrownBy(first::fd).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(first::release).isInstanceOf(IllegalStateException.class);
            int given = second.release();
            second.close();
            try (Descriptor third = Descriptor.own(given, "given")) {
                assertThat(Sockets.isListening(third)).isTrue();
            }
        }
    }
}

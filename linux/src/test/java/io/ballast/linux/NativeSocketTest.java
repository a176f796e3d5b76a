package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
@SuppressWarnings("try") // closing early is what some tests are about
class NativeSocketTest {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
    private static final InetAddress LOOPBACK6 = InetAddress.ofLiteral("::1");

    private static long soon() {
        return NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30));
    }

    private static ServerSocket server() throws IOException {
        return new ServerSocket(0, 100, LOOPBACK);
    }

    private static InetSocketAddress address(ServerSocket server) {
        return new InetSocketAddress(LOOPBACK, server.getLocalPort());
    }

    private static NativeSocket connected(ServerSocket server) throws IOException {
        NativeSocket socket = NativeSocket.tcp(LOOPBACK);
        socket.connect(address(server), soon());
        return socket;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static <T> FutureTask<T> onVirtualThread(Callable<T> task) {
        FutureTask<T> future = new FutureTask<>(task);
        Thread.ofVirtual().start(future);
        return future;
    }

    @Test
    void refusedConnectionNamesTheErrorAndThePeer() throws Exception {
        InetSocketAddress closed;
        try (ServerSocket server = server()) {
            closed = address(server);
        }
        try (NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
            assertThatThrownBy(() -> socket.connect(closed, soon()))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ECONNREFUSED))
                    .hasMessage("connect 127.0.0.1:" + closed.getPort() + "/tcp: ECONNREFUSED: connection refused");
        }
    }

    @Test
    void bytesGoBothWaysAndTheEndIsSeen() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server)) {
            try (Socket accepted = server.accept()) {
                byte[] hello = bytes("hello");
                socket.write(hello, 0, hello.length, soon());
                assertThat(accepted.getInputStream().readNBytes(5)).isEqualTo(hello);
                accepted.getOutputStream().write(hello);
                byte[] back = new byte[100];
                assertThat(socket.read(back, 0, 100, soon())).isEqualTo(5);
                assertThat(new String(back, 0, 5, StandardCharsets.UTF_8)).isEqualTo("hello");
            }
            assertThat(socket.read(new byte[1], 0, 1, soon())).isEqualTo(-1);
        }
    }

    @Test
    void ipv6WorksToo() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 10, LOOPBACK6);
                NativeSocket socket = NativeSocket.tcp(LOOPBACK6)) {
            InetSocketAddress peer = new InetSocketAddress(LOOPBACK6, server.getLocalPort());
            socket.bind(new InetSocketAddress(LOOPBACK6, 0));
            socket.connect(peer, soon());
            assertThat(socket.localAddress().getAddress()).isEqualTo(LOOPBACK6);
            assertThat(socket).hasToString("[0:0:0:0:0:0:0:1]:" + peer.getPort() + "/tcp");
        }
    }

    @Test
    void manyMegabytesArriveThroughFullBuffersWhateverTheBufferKind() throws Exception {
        byte[] data = new byte[8 * 1024 * 1024];
        new Random(1).nextBytes(data);
        for (boolean direct : new boolean[] {false, true}) {
            try (ServerSocket server = server();
                    NativeSocket socket = connected(server);
                    Socket accepted = server.accept()) {
                FutureTask<Void> echo = onVirtualThread(() -> {
                    accepted.getInputStream().transferTo(accepted.getOutputStream());
                    accepted.shutdownOutput();
                    return null;
                });
                FutureTask<Void> writing = onVirtualThread(() -> {
                    ByteBuffer out = direct
                            ? ByteBuffer.allocateDirect(data.length).put(data).flip()
                            : ByteBuffer.wrap(data);
                    socket.write(out, soon());
                    socket.shutdownOutput();
                    return null;
                });
                ByteBuffer in =
                        direct ? ByteBuffer.allocateDirect(data.length + 1) : ByteBuffer.allocate(data.length + 1);
                int count = socket.read(in, soon());
                while (count >= 0) {
                    count = socket.read(in, soon());
                }
                writing.get();
                echo.get();
                byte[] back = new byte[in.flip().remaining()];
                in.get(back);
                assertThat(back).isEqualTo(data);
            }
        }
    }

    @Test
    void readEndsAtItsDeadlineAndTheSocketGoesOn() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server);
                Socket accepted = server.accept()) {
            byte[] one = new byte[1];
            assertThatThrownBy(() -> socket.read(one, 0, 1, NativeSocket.deadlineIn(1_000_000)))
                    .isInstanceOf(SocketTimeoutException.class)
                    .hasMessage("read " + socket + ": timed out");
            accepted.getOutputStream().write(7);
            assertThat(socket.read(one, 0, 1, soon())).isEqualTo(1);
        }
    }

    @Test
    void connectEndsAtItsDeadlineWhereNobodyAnswers() throws Exception {
        // With a full accept queue Linux drops further SYNs, as a dead host would.
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK)) {
            List<NativeSocket> sockets = new ArrayList<>();
            try {
                assertThatThrownBy(() -> {
                            while (true) {
                                NativeSocket socket = NativeSocket.tcp(LOOPBACK);
                                sockets.add(socket);
                                socket.connect(address(server), NativeSocket.deadlineIn(50_000_000));
                            }
                        })
                        .isInstanceOf(SocketTimeoutException.class)
                        .hasMessage("connect 127.0.0.1:" + server.getLocalPort() + "/tcp: timed out");
            } finally {
                sockets.forEach(NativeSocket::close);
            }
        }
    }

    @Test
    void closingWakesReaderAndWriter() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server);
                Socket accepted = server.accept()) {
            FutureTask<Integer> reading =
                    new FutureTask<>(() -> socket.read(new byte[1], 0, 1, NativeSocket.NO_DEADLINE));
            FutureTask<Void> writing = new FutureTask<>(() -> {
                while (true) {
                    socket.write(new byte[65536], 0, 65536, NativeSocket.NO_DEADLINE);
                }
            });
            Thread reader = Thread.ofVirtual().start(reading);
            Thread writer = Thread.ofVirtual().start(writing);
            Host.await("both wait", () -> Host.isWaiting(reader) && Host.isWaiting(writer));
            socket.close();
            assertThatThrownBy(reading::get).hasCauseInstanceOf(SocketException.class);
            assertThatThrownBy(writing::get).hasCauseInstanceOf(SocketException.class);
            assertThat(accepted.isConnected()).isTrue();
        }
    }

    @Test
    void interruptEndsAWaitAndStaysSet() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server)) {
            FutureTask<Boolean> reading = new FutureTask<>(() -> {
                assertThatThrownBy(() -> socket.read(new byte[1], 0, 1, soon()))
                        .isInstanceOf(InterruptedIOException.class);
                return Thread.currentThread().isInterrupted();
            });
            Thread reader = Thread.ofVirtual().start(reading);
            Host.await("reader waits", () -> Host.isWaiting(reader));
            reader.interrupt();
            assertThat(reading.get()).isTrue();
        }
    }

    @Test
    void useAfterCloseIsAnErrorThatNamesTheSocket() throws Exception {
        NativeSocket socket = NativeSocket.udp(LOOPBACK);
        socket.close();
        socket.close();
        assertThatThrownBy(socket::localAddress)
                .isInstanceOf(SocketException.class)
                .hasMessage("udp: closed");
    }

    @Test
    void resetIsReportedAsReset() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server)) {
            Socket accepted = server.accept();
            accepted.setSoLinger(true, 0);
            accepted.close();
            assertThatThrownBy(() -> socket.read(new byte[1], 0, 1, soon()))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ECONNRESET));
        }
    }

    @Test
    void abortOnCloseSendsAReset() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = connected(server);
                Socket accepted = server.accept()) {
            socket.abortOnClose();
            socket.noDelay();
            socket.close();
            assertThatThrownBy(() -> accepted.getInputStream().read())
                    .isInstanceOf(SocketException.class)
                    .hasMessageContaining("reset");
        }
    }

    @Test
    void sourceAddressIsThePeersView() throws Exception {
        InetAddress source = InetAddress.ofLiteral("127.0.0.5");
        try (ServerSocket server = server();
                NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
            socket.bind(new InetSocketAddress(source, 0));
            socket.connect(address(server), soon());
            try (Socket accepted = server.accept()) {
                assertThat(accepted.getInetAddress()).isEqualTo(source);
                assertThat(socket.localAddress()).isEqualTo(accepted.getRemoteSocketAddress());
            }
        }
    }

    @Test
    void sourceAddressOfAnotherHostIsRefused() throws Exception {
        try (NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
            assertThatThrownBy(() -> socket.bind(new InetSocketAddress(InetAddress.ofLiteral("192.0.2.77"), 0)))
                    .hasMessage("bind 192.0.2.77:0/tcp: EADDRNOTAVAIL: cannot assign requested address");
        }
    }

    @Test
    void deviceIsHonouredAndAMissingOneNamed() throws Exception {
        try (ServerSocket server = server();
                NativeSocket socket = NativeSocket.tcp(LOOPBACK);
                NativeSocket other = NativeSocket.tcp(LOOPBACK)) {
            socket.bindToDevice("lo");
            socket.connect(address(server), soon());
            assertThatThrownBy(() -> other.bindToDevice("nosuch0"))
                    .hasMessage("setsockopt SO_BINDTODEVICE nosuch0: ENODEV: no such device");
        }
    }

    @Test
    void noRouteIsAnErrorAtOnce() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            InetAddress elsewhere = InetAddress.ofLiteral("192.0.2.1");
            NativeSocket socket = namespace.call(() -> NativeSocket.tcp(elsewhere));
            try (socket) {
                assertThatThrownBy(() -> socket.connect(new InetSocketAddress(elsewhere, 80), soon()))
                        .hasMessage("connect 192.0.2.1:80/tcp: ENETUNREACH: network is unreachable");
            }
        }
    }

    @Test
    void datagramsGoBothWaysWithTheirSender() throws Exception {
        try (DatagramSocket server = new DatagramSocket(new InetSocketAddress(LOOPBACK, 0));
                NativeSocket socket = NativeSocket.udp(LOOPBACK)) {
            InetSocketAddress peer = new InetSocketAddress(LOOPBACK, server.getLocalPort());
            socket.send(ByteBuffer.wrap(bytes("ping")), peer, soon());
            DatagramPacket packet = new DatagramPacket(new byte[100], 100);
            server.receive(packet);
            assertThat(packet.getLength()).isEqualTo(4);
            packet.setData(bytes("pong!"));
            server.send(packet);
            ByteBuffer answer = ByteBuffer.allocate(100);
            assertThat(socket.receive(answer, soon())).isEqualTo(peer);
            assertThat(answer.position()).isEqualTo(5);
            packet.setData(new byte[0]);
            server.send(packet);
            assertThat(socket.read(ByteBuffer.allocate(10), soon())).isZero();
        }
    }

    @Test
    void datagramRefusedByAClosedPortIsAnError() throws Exception {
        InetSocketAddress closed;
        try (DatagramSocket server = new DatagramSocket(new InetSocketAddress(LOOPBACK, 0))) {
            closed = new InetSocketAddress(LOOPBACK, server.getLocalPort());
        }
        try (NativeSocket socket = NativeSocket.udp(LOOPBACK)) {
            socket.connect(closed, soon());
            socket.write(ByteBuffer.wrap(bytes("x")), soon());
            assertThatThrownBy(() -> socket.read(ByteBuffer.allocate(10), soon()))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ECONNREFUSED));
            assertThat(socket.error()).isNull();
        }
    }

    @Test
    void thousandsOfVirtualThreadsWaitAtOnce() throws Exception {
        int count = 1_000;
        int before = Host.openSockets();
        try (ServerSocket server = new ServerSocket(0, count, LOOPBACK)) {
            List<FutureTask<Integer>> clients = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                clients.add(onVirtualThread(() -> {
                    try (NativeSocket socket = connected(server)) {
                        byte[] one = new byte[1];
                        socket.read(one, 0, 1, soon());
                        return (int) one[0];
                    }
                }));
            }
            List<Socket> accepted = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                accepted.add(server.accept());
            }
            for (Socket socket : accepted) {
                socket.getOutputStream().write(42);
                socket.close();
            }
            for (FutureTask<Integer> client : clients) {
                assertThat(client.get(30, TimeUnit.SECONDS)).isEqualTo(42);
            }
        }
        Host.await("all sockets closed", () -> {
            try {
                return Host.openSockets() <= before;
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /**
     * Threads open, use and close sockets while others close the same ones under their hands. If a number were used
     * after it was freed, somebody would read another's connection: each connection therefore carries its own answer.
     */
    @Test
    void closingUnderUseNeverTouchesAnotherSocket() throws Exception {
        int threads = 16;
        int rounds = 300;
        try (ServerSocket server = new ServerSocket(0, 4096, LOOPBACK)) {
            Thread echo = Thread.ofPlatform().daemon().start(() -> {
                while (!server.isClosed()) {
                    try {
                        Socket accepted = server.accept();
                        Thread.ofVirtual().start(() -> {
                            try (accepted) {
                                accepted.getInputStream().transferTo(accepted.getOutputStream());
                            } catch (IOException e) {
                                // the client closed or reset, as it should
                            }
                        });
                    } catch (IOException e) {
                        // closed
                    }
                }
            });
            List<FutureTask<Integer>> tasks = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                byte tag = (byte) (t + 1);
                tasks.add(onVirtualThread(() -> closeUnderUse(server, tag, rounds)));
            }
            int answers = 0;
            for (FutureTask<Integer> task : tasks) {
                answers += task.get(50, TimeUnit.SECONDS);
            }
            assertThat(answers).isPositive();
            server.close();
            echo.join();
        }
    }

    private static int closeUnderUse(ServerSocket server, byte tag, int rounds) throws Exception {
        Random random = new Random(tag);
        int answers = 0;
        for (int i = 0; i < rounds; i++) {
            NativeSocket socket = NativeSocket.tcp(LOOPBACK);
            socket.abortOnClose();
            long patience = random.nextInt(300_000);
            FutureTask<Void> closer = onVirtualThread(() -> {
                LockSupport.parkNanos(patience);
                socket.close();
                return null;
            });
            try {
                socket.connect(address(server), soon());
                byte[] mine = {tag, (byte) i};
                socket.write(mine, 0, 2, soon());
                byte[] back = new byte[2];
                int count = socket.read(back, 0, 2, soon());
                assertThat(count).isBetween(1, 2);
                assertThat(back[0]).isEqualTo(tag);
                answers++;
            } catch (SocketException expected) {
                assertThat(expected).hasMessageEndingWith("closed");
            }
            closer.get();
        }
        return answers;
    }

    @Test
    void runningOutOfDescriptorsSaysWhatToRaise() throws Exception {
        Processes.FileLimit before = Processes.fileLimit();
        List<NativeSocket> sockets = new ArrayList<>();
        sockets.add(NativeSocket.udp(LOOPBACK));
        // Loads the classes that are needed below while their files can still be opened.
        assertThat(new LinuxException(Errno.EMFILE.number(), "", "")).hasMessageStartingWith("");
        Processes.setFileLimit(new Processes.FileLimit(200, before.hard()));
        try {
            assertThatThrownBy(() -> {
                        while (true) {
                            sockets.add(NativeSocket.udp(LOOPBACK));
                        }
                    })
                    .isInstanceOf(LinuxException.class)
                    .hasMessageStartingWith("socket udp: EMFILE: too many open files (raise the limit of open files");
        } finally {
            Processes.setFileLimit(before);
            sockets.forEach(NativeSocket::close);
        }
    }

    @Test
    void privilegedSourcePortNamesTheCapability() throws Exception {
        Host.assumePrivilegedPort(7);
        assertThatThrownBy(() -> Host.withoutCapabilities(() -> {
                    try (NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
                        socket.bind(new InetSocketAddress(LOOPBACK, 7));
                    }
                    return null;
                }))
                .hasMessage("bind 127.0.0.1:7/tcp: EACCES: permission denied (needs CAP_NET_BIND_SERVICE)");
    }
}

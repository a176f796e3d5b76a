package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class NativeSocketTest {
    private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    private static long soon() {
        return NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30));
    }

    @Test
    void refusedConnectionNamesTheErrorAndThePeer() throws Exception {
        InetSocketAddress closed;
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK)) {
            closed = new InetSocketAddress(LOOPBACK, server.getLocalPort());
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
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK);
                NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
            socket.connect(new InetSocketAddress(LOOPBACK, server.getLocalPort()), soon());
            try (Socket accepted = server.accept()) {
                byte[] hello = "hello".getBytes(StandardCharsets.UTF_8);
                socket.write(hello, 0, hello.length, soon());
                assertThat(accepted.getInputStream().readNBytes(5)).isEqualTo(hello);
                accepted.getOutputStream().write(hello);
                byte[] back = new byte[100];
                assertThat(socket.read(back, 0, 100, soon())).isEqualTo(5);
            }
            assertThat(socket.read(new byte[1], 0, 1, soon())).isEqualTo(-1);
        }
    }
}

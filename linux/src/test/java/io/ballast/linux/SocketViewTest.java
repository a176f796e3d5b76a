package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.util.List;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
@SuppressWarnings("try") // closing early is what some tests are about
class SocketViewTest {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

    private static long soon() {
        return NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30));
    }

    private static NativeSocket connected(ServerSocket server) throws IOException {
        NativeSocket socket = NativeSocket.tcp(LOOPBACK);
        socket.connect(new InetSocketAddress(LOOPBACK, server.getLocalPort()), soon());
        return socket;
    }

    @Test
    void viewKnowsItsEndsAndItsState() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK);
                NativeSocket socket = connected(server);
                Socket accepted = server.accept();
                Socket view = socket.asSocket()) {
            assertThat(view.isConnected()).isTrue();
            assertThat(view.isBound()).isTrue();
            assertThat(view.isClosed()).isFalse();
            assertThat(view.getRemoteSocketAddress()).isEqualTo(accepted.getLocalSocketAddress());
            assertThat(view.getLocalSocketAddress()).isEqualTo(accepted.getRemoteSocketAddress());
            view.setTcpNoDelay(true);
            assertThat(view.getTcpNoDelay()).isTrue();
            view.getOutputStream().write(new byte[] {1, 2, 3});
            assertThat(accepted.getInputStream().readNBytes(3)).containsExactly(1, 2, 3);
            accepted.getOutputStream().write(255);
            assertThat(view.getInputStream().read()).isEqualTo(255);
            view.shutdownOutput();
            assertThat(accepted.getInputStream().read()).isEqualTo(-1);
            view.close();
            assertThat(socket.isOpen()).isFalse();
        }
    }

    @Test
    void unconnectedSocketHasNoView() throws Exception {
        try (NativeSocket socket = NativeSocket.tcp(LOOPBACK)) {
            assertThatThrownBy(socket::asSocket)
                    .isInstanceOf(SocketException.class)
                    .hasMessage("not connected: tcp");
        }
    }

    @Test
    void readEndsAtSoTimeoutOrDeadlineWhicheverIsFirst() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK);
                NativeSocket socket = connected(server)) {
            Socket patient = socket.asSocket();
            patient.setSoTimeout(1);
            assertThatThrownBy(() -> patient.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            Socket bounded = socket.asSocket(NativeSocket.deadlineIn(1_000_000));
            assertThatThrownBy(() -> bounded.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
            bounded.setSoTimeout(3_600_000);
            assertThatThrownBy(() -> bounded.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
        }
    }

    @Test
    void unsupportedOptionIsRefusedNotIgnored() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, LOOPBACK);
                NativeSocket socket = connected(server)) {
            assertThatThrownBy(() -> socket.asSocket().setKeepAlive(true)).isInstanceOf(SocketException.class);
        }
    }

    @Test
    void tlsLayersOverTheView(@TempDir Path directory) throws Exception {
        SSLContext context = contextWithOwnCertificate(directory);
        try (ServerSocket server = context.getServerSocketFactory().createServerSocket(0, 1, LOOPBACK)) {
            FutureTask<Void> serving = new FutureTask<>(() -> {
                try (Socket accepted = server.accept()) {
                    InputStream in = accepted.getInputStream();
                    accepted.getOutputStream().write(in.readNBytes(5));
                    in.read(); // until the client is done
                }
                return null;
            });
            Thread.ofPlatform().start(serving);
            FutureTask<byte[]> client = new FutureTask<>(() -> {
                try (NativeSocket socket = connected(server);
                        SSLSocket tls = (SSLSocket) context.getSocketFactory()
                                .createSocket(socket.asSocket(soon()), "localhost", server.getLocalPort(), true)) {
                    tls.setSoTimeout(30_000);
                    tls.startHandshake();
                    tls.getOutputStream().write(new byte[] {1, 2, 3, 4, 5});
                    byte[] back = tls.getInputStream().readNBytes(5);
                    tls.setSoTimeout(1);
                    assertThatThrownBy(() -> tls.getInputStream().read()).isInstanceOf(SocketTimeoutException.class);
                    return back;
                }
            });
            Thread.ofVirtual().start(client);
            assertThat(client.get()).containsExactly(1, 2, 3, 4, 5);
            serving.get();
        }
    }

    private static SSLContext contextWithOwnCertificate(Path directory) throws Exception {
        Path file = directory.resolve("test.p12");
        String keytool =
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        Process process = new ProcessBuilder(List.of(
                        keytool,
                        "-genkeypair",
                        "-alias",
                        "test",
                        "-keyalg",
                        "EC",
                        "-dname",
                        "CN=localhost",
                        "-validity",
                        "2",
                        "-storetype",
                        "PKCS12",
                        "-storepass",
                        "secret",
                        "-keystore",
                        file.toString()))
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("keytool.log").toFile())
                .start();
        assertThat(process.waitFor()).isZero();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(file)) {
            store.load(in, "secret".toCharArray());
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, "secret".toCharArray());
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("test", store.getCertificate("test"));
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }
}

package io.ballast.health.probe;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;

/** A server on loopback that follows a script with each connection, and closes it where the script ends. */
final class FakeServer implements AutoCloseable {

    /** What the server does with one connection. */
    interface Script {
        void serve(Socket socket) throws IOException;
    }

    private final ServerSocket listener;

    private FakeServer(ServerSocket listener, Script script) {
        this.listener = listener;
        Thread.ofVirtual().start(() -> accept(script));
    }

    static FakeServer tcp(Script script) throws IOException {
        return new FakeServer(new ServerSocket(0, 50, InetAddress.getLoopbackAddress()), script);
    }

    /** A server with one of the key stores among the test resources. */
    static FakeServer tls(String keyStore, Script script, String... protocols) throws IOException {
        SSLServerSocket socket = (SSLServerSocket)
                context(keyStore).getServerSocketFactory().createServerSocket(0, 50, InetAddress.getLoopbackAddress());
        SSLParameters parameters = socket.getSSLParameters();
        parameters.setApplicationProtocols(protocols);
        socket.setSSLParameters(parameters);
        return new FakeServer(socket, script);
    }

    static SSLContext context(String keyStore) throws IOException {
        try (InputStream in = FakeServer.class.getResourceAsStream("/tls/" + keyStore + ".p12")) {
            KeyStore keys = KeyStore.getInstance("PKCS12");
            keys.load(in, "testing".toCharArray());
            KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            factory.init(keys, "testing".toCharArray());
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(factory.getKeyManagers(), null, null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    /** Reads whatever comes first, keeps it, answers with these bytes and closes. */
    static Script answer(String... pieces) {
        return socket -> {
            byte[] buffer = new byte[65536];
            var _ = socket.getInputStream().read(buffer);
            for (String piece : pieces) {
                socket.getOutputStream().write(piece.getBytes(StandardCharsets.ISO_8859_1));
                socket.getOutputStream().flush();
            }
        };
    }

    /** Says nothing until the probe goes away. */
    static Script silent() {
        return socket -> drain(socket.getInputStream());
    }

    private void accept(Script script) {
        while (!listener.isClosed()) {
            try {
                Socket socket = listener.accept();
                Thread.ofVirtual().start(() -> {
                    try (socket) {
                        script.serve(socket);
                        socket.shutdownOutput();
                        drain(socket.getInputStream());
                    } catch (IOException e) {
                        // The probe went away, which is its right.
                    }
                });
            } catch (IOException e) {
                if (!listener.isClosed()) {
                    throw new UncheckedIOException(e);
                }
            }
        }
    }

    private static void drain(InputStream in) throws IOException {
        byte[] buffer = new byte[4096];
        while (in.read(buffer) >= 0) {
            // A close with unread bytes would be a reset.
        }
    }

    /** Reads up to and including {@code mark}. */
    static String readUntil(Socket socket, String mark) throws IOException {
        ByteArrayOutputStream seen = new ByteArrayOutputStream();
        while (true) {
            int next = socket.getInputStream().read();
            if (next < 0) {
                return seen.toString(StandardCharsets.ISO_8859_1);
            }
            seen.write(next);
            String text = seen.toString(StandardCharsets.ISO_8859_1);
            if (text.endsWith(mark)) {
                return text;
            }
        }
    }

    int port() {
        return listener.getLocalPort();
    }

    @Override
    public void close() throws IOException {
        listener.close();
    }
}

package io.ballast.health.probe;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** A real server, started in the foreground on loopback and ended with the test. */
final class Peer implements AutoCloseable {

    private final Process process;
    private final Path log;

    private Peer(Process process, Path log) {
        this.process = process;
        this.log = log;
    }

    /** The path of a program; without it the test is skipped, and says why. */
    static String program(String name, String debianPackage) {
        Optional<Path> found = Stream.concat(
                        Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)),
                        Stream.of("/usr/sbin", "/sbin", "/usr/lib/nagios/plugins"))
                .map(folder -> Path.of(folder, name))
                .filter(Files::isExecutable)
                .findFirst();
        if (found.isEmpty()) {
            System.out.println("skipped: needs " + name + " (apt install " + debianPackage + ")");
        }
        Assumptions.assumeTrue(found.isPresent(), "needs " + name + " (apt install " + debianPackage + ")");
        return found.get().toString();
    }

    /** Starts a server and waits until its port takes connections; 0 waits for nothing. */
    static Peer start(Path folder, int port, String... command) throws IOException, InterruptedException {
        Path log = Files.createTempFile(folder, "peer", ".log");
        Process process = new ProcessBuilder(List.of(command))
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        Peer peer = new Peer(process, log);
        try {
            peer.awaitPort(port);
        } catch (AssertionError | RuntimeException | IOException | InterruptedException e) {
            peer.close();
            throw e;
        }
        return peer;
    }

    private void awaitPort(int port) throws IOException, InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (port != 0) {
            assertThat(process.isAlive())
                    .as("the peer runs; it said: %s", Files.readString(log))
                    .isTrue();
            assertThat(System.nanoTime() - end)
                    .as("ready in 60 s; it said: %s", Files.readString(log))
                    .isNegative();
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1000);
                return;
            } catch (IOException e) {
                Thread.sleep(20);
            }
        }
    }

    /** What it printed. */
    String log() throws IOException {
        return Files.readString(log);
    }

    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }

    /** Writes certificate chain and key of one of the test key stores as PEM files NAME.crt and NAME.key. */
    static void writePem(String keyStore, Path folder) throws IOException {
        try (InputStream in = Peer.class.getResourceAsStream("/tls/" + keyStore + ".p12")) {
            KeyStore keys = KeyStore.getInstance("PKCS12");
            keys.load(in, "testing".toCharArray());
            StringBuilder chain = new StringBuilder();
            for (Certificate one : keys.getCertificateChain("server")) {
                chain.append(pem("CERTIFICATE", one.getEncoded()));
            }
            Files.writeString(folder.resolve(keyStore + ".crt"), chain);
            byte[] key = keys.getKey("server", "testing".toCharArray()).getEncoded();
            Files.writeString(folder.resolve(keyStore + ".key"), pem("PRIVATE KEY", key));
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    private static String pem(String what, byte[] der) {
        String body = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
        return "-----BEGIN " + what + "-----\n" + body + "\n-----END " + what + "-----\n";
    }
}

package io.ballast.health.probe;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Optional;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * The certificates that the system trusts: the bundle that {@code update-ca-certificates} writes, or what SSL_CERT_FILE
 * names, as OpenSSL's programs do it; where there is none, those that came with Java. A bundle that has changed is read
 * again.
 */
final class TrustAnchors {

    private static final Path SYSTEM_BUNDLE = Path.of("/etc/ssl/certs/ca-certificates.crt");

    private final Optional<Path> bundle;
    private @Nullable X509ExtendedTrustManager manager;
    private @Nullable FileTime read;

    private TrustAnchors(Optional<Path> bundle) {
        this.bundle = bundle;
    }

    /** The system's. */
    static TrustAnchors system() {
        String named = System.getenv("SSL_CERT_FILE");
        if (named != null && !named.isEmpty()) {
            return of(Path.of(named));
        }
        return new TrustAnchors(Files.isReadable(SYSTEM_BUNDLE) ? Optional.of(SYSTEM_BUNDLE) : Optional.empty());
    }

    /** Those of a file of PEM certificates. */
    static TrustAnchors of(Path pem) {
        return new TrustAnchors(Optional.of(pem));
    }

    /** What decides by them. */
    synchronized X509ExtendedTrustManager manager() throws IOException {
        FileTime changed = bundle.isPresent() ? Files.getLastModifiedTime(bundle.get()) : FileTime.fromMillis(0);
        if (manager == null || !changed.equals(read)) {
            manager = load();
            read = changed;
        }
        return manager;
    }

    private X509ExtendedTrustManager load() throws IOException {
        try {
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(bundle.isPresent() ? store(bundle.get()) : null);
            for (TrustManager one : factory.getTrustManagers()) {
                if (one instanceof X509ExtendedTrustManager x509) {
                    return x509;
                }
            }
            throw new IOException("this Java has no trust manager for X.509");
        } catch (GeneralSecurityException e) {
            throw new IOException("the trusted certificates in " + bundle + ": " + e.getMessage(), e);
        }
    }

    private static KeyStore store(Path pem) throws IOException, GeneralSecurityException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream in = new BufferedInputStream(Files.newInputStream(pem))) {
            int n = 0;
            for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                store.setCertificateEntry("anchor" + n++, one);
            }
        }
        return store;
    }
}

package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.ProbeTarget;
import java.io.IOException;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/**
 * TLS for probes. Each connection makes a full handshake (a resumed one would not show a certificate that was changed
 * meanwhile) and leaves a judgement on the certificate that a human can act on, where a TLS library only says that the
 * handshake failed.
 */
final class TlsClient {

    private static final String ALERT = "Received fatal alert: ";

    private final TrustAnchors anchors;

    TlsClient(TrustAnchors anchors) {
        this.anchors = anchors;
    }

    /**
     * Layers TLS over a connection.
     *
     * @param name the server's name where {@code spec} has none; empty takes the target's address
     * @param protocol to offer by ALPN
     * @return the connection inside TLS, its handshake done and its certificate found good
     */
    SSLSocket layer(
            Socket over, ProbeSpec.Tls spec, Optional<String> name, Optional<String> protocol, ProbeTarget target)
            throws IOException, ProbeFailure {
        String server = spec.sni().or(() -> name).orElse(target.address().getHostAddress());
        Judge judge = new Judge(spec.verify() && spec.pin().isEmpty() ? anchors.manager() : null);
        SSLSocket tls = (SSLSocket) context(judge).getSocketFactory().createSocket(over, server, over.getPort(), true);
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setServerNames(isName(server) ? List.of(new SNIHostName(server)) : List.of());
        protocol.ifPresent(p -> parameters.setApplicationProtocols(new String[] {p}));
        if (judge.system != null) {
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
        }
        tls.setSSLParameters(parameters);
        try {
            tls.startHandshake();
        } catch (SSLException e) {
            if (judge.refusal != null) {
                throw new ProbeFailure(untrusted(judge.chain, server, judge.refusal, Instant.now()));
            }
            throw e;
        }
        check(judge.chain, spec, Instant.now());
        if (protocol.isPresent() && !protocol.get().equals(tls.getApplicationProtocol())) {
            throw new ProbeFailure("the server did not choose " + protocol.get() + " by ALPN, but "
                    + (tls.getApplicationProtocol().isEmpty() ? "nothing" : tls.getApplicationProtocol()));
        }
        return tls;
    }

    private static SSLContext context(Judge judge) throws IOException {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {judge}, null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IOException("TLS in this Java: " + e.getMessage(), e);
        }
    }

    /** Whether it may stand in SNI, which is for names and not for addresses (RFC 6066 section 3). */
    private static boolean isName(String server) {
        return server.indexOf(':') < 0 && !server.chars().allMatch(c -> c == '.' || (c >= '0' && c <= '9'));
    }

    /** What a check wants of a certificate besides trust. */
    static void check(List<X509Certificate> chain, ProbeSpec.Tls spec, Instant now) throws ProbeFailure {
        if (chain.isEmpty()) {
            throw new ProbeFailure("the server showed no certificate");
        }
        X509Certificate leaf = chain.getFirst();
        if (spec.pin().isPresent()) {
            String pin = sha256(leaf.getPublicKey().getEncoded());
            if (!pin.equals(spec.pin().get().toLowerCase(Locale.ROOT).replace(":", ""))) {
                throw new ProbeFailure("the certificate's public key has SHA-256 " + pin + ", which is not the pin");
            }
        }
        if (spec.minDaysLeft().isPresent()) {
            Instant end = leaf.getNotAfter().toInstant();
            int wanted = spec.minDaysLeft().getAsInt();
            if (end.isBefore(now)) {
                throw new ProbeFailure("certificate expired " + days(Duration.between(end, now)) + " ago");
            }
            if (end.isBefore(now.plus(Duration.ofDays(wanted)))) {
                throw new ProbeFailure("certificate expires in " + days(Duration.between(now, end)) + ", expected "
                        + wanted + " or more");
            }
        }
    }

    /** Why a certificate was not trusted; {@code refusal} is what Java's own judgement says. */
    static String untrusted(List<X509Certificate> chain, String server, CertificateException refusal, Instant now) {
        for (X509Certificate one : chain) {
            String which = one.equals(chain.getFirst()) ? "certificate" : "intermediate certificate";
            Instant end = one.getNotAfter().toInstant();
            Instant start = one.getNotBefore().toInstant();
            if (end.isBefore(now)) {
                return which + " expired " + days(Duration.between(end, now)) + " ago";
            }
            if (start.isAfter(now)) {
                return which + " is valid only in " + days(Duration.between(now, start));
            }
        }
        String message = rootMessage(refusal);
        if (message.contains("subject alternative") || message.contains("No name matching")) {
            return "certificate is not for " + server + " (" + message + ")";
        }
        if (message.contains("unable to find valid certification path")) {
            X509Certificate leaf = chain.getFirst();
            boolean own = leaf.getSubjectX500Principal().equals(leaf.getIssuerX500Principal());
            return own
                    ? "certificate is self-signed, and this system does not trust it"
                    : "certificate is not trusted by this system: no path from its issuer "
                            + leaf.getIssuerX500Principal().getName();
        }
        return "certificate not trusted: " + message;
    }

    private static String rootMessage(Throwable e) {
        Throwable root = e;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return root.getMessage() == null ? root.toString() : root.getMessage();
    }

    private static String days(Duration time) {
        if (time.toDays() == 0) {
            return time.toHours() == 1 ? "1 hour" : time.toHours() + " hours";
        }
        return time.toDays() == 1 ? "1 day" : time.toDays() + " days";
    }

    private static String sha256(byte[] bytes) throws ProbeFailure {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (GeneralSecurityException e) {
            throw new ProbeFailure("this Java has no SHA-256");
        }
    }

    /** What a failed handshake means. */
    static String reason(SSLException e) {
        String message = e.getMessage() == null ? e.toString() : e.getMessage();
        if (message.contains("Unsupported or unrecognized SSL message")) {
            return "the server does not speak TLS on this port";
        }
        int alert = message.indexOf(ALERT);
        if (alert >= 0) {
            return "the server refused the TLS handshake: "
                    + message.substring(alert + ALERT.length()).replace('_', ' ');
        }
        if (message.contains("Remote host terminated the handshake")) {
            return "the server closed the connection during the TLS handshake";
        }
        return "TLS: " + message;
    }

    /** Remembers the chain that the server showed, and what the system's trust manager said against it. */
    private static final class Judge extends X509ExtendedTrustManager {
        private final @Nullable X509ExtendedTrustManager system;
        private List<X509Certificate> chain = List.of();
        private @Nullable CertificateException refusal;

        Judge(@Nullable X509ExtendedTrustManager system) {
            this.system = system;
        }

        @Override
        public void checkServerTrusted(X509Certificate[] shown, String authType, Socket socket)
                throws CertificateException {
            chain = List.of(shown);
            if (system != null) {
                try {
                    system.checkServerTrusted(shown, authType, socket);
                } catch (CertificateException e) {
                    refusal = e;
                    throw e;
                }
            }
        }

        @Override
        public void checkServerTrusted(X509Certificate[] shown, String authType, SSLEngine engine)
                throws CertificateException {
            throw new CertificateException("probes use sockets");
        }

        @Override
        public void checkServerTrusted(X509Certificate[] shown, String authType) throws CertificateException {
            throw new CertificateException("probes use sockets");
        }

        @Override
        public void checkClientTrusted(X509Certificate[] shown, String authType) throws CertificateException {
            throw new CertificateException("probes are clients");
        }

        @Override
        public void checkClientTrusted(X509Certificate[] shown, String authType, Socket socket)
                throws CertificateException {
            throw new CertificateException("probes are clients");
        }

        @Override
        public void checkClientTrusted(X509Certificate[] shown, String authType, SSLEngine engine)
                throws CertificateException {
            throw new CertificateException("probes are clients");
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}

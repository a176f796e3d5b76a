package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.core.config.ProbeSpec.Tls;
import io.ballast.health.Deadline;
import io.ballast.health.Probe;
import io.ballast.health.ProbeTarget;
import io.ballast.health.state.ProbeResult;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** Runs probes in tests; the times are long, since nothing may depend on them but what waits for their end. */
final class Asking {

    static final Duration LONG = Duration.ofSeconds(30);
    static final Duration SHORT = Duration.ofMillis(150);

    /** Trusts the test's own authority. */
    static final ProbeFactory FACTORY = ProbeFactory.trusting(TrustAnchors.of(resource("/tls/ca.pem")));

    private Asking() {}

    static Path resource(String name) {
        try {
            var url = Asking.class.getResource(name);
            if (url == null) {
                throw new IllegalStateException("no test resource " + name);
            }
            return Path.of(url.toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    static ProbeTarget target(int port) {
        return ProbeTarget.of(InetAddress.getLoopbackAddress(), port);
    }

    static ProbeResult ask(ProbeSpec spec, int port) {
        return ask(spec, target(port), LONG);
    }

    static ProbeResult ask(ProbeSpec spec, ProbeTarget target, Duration timeout) {
        return ask(FACTORY.of(spec), target, timeout);
    }

    static ProbeResult ask(Probe probe, ProbeTarget target, Duration timeout) {
        try {
            return probe.run(target, Deadline.after(timeout));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static ProbeSpec.Tcp tcp() {
        return new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty());
    }

    static ProbeSpec.Tcp tcp(String send, String expect) {
        return new ProbeSpec.Tcp(Optional.of(send), Optional.of(new TextMatch(expect, false)), Optional.empty());
    }

    static ProbeSpec.Http http(HttpVersion version, Optional<Tls> tls) {
        return new ProbeSpec.Http(
                "GET",
                "/index.html",
                Optional.empty(),
                Map.of(),
                List.of(new StatusRange(200, 299)),
                Optional.empty(),
                Optional.empty(),
                version,
                tls);
    }

    static ProbeSpec.Http http() {
        return http(HttpVersion.HTTP_1_1, Optional.empty());
    }

    static ProbeSpec.Http containing(ProbeSpec.Http http, String text, boolean regex) {
        return new ProbeSpec.Http(
                http.method(),
                http.path(),
                http.hostHeader(),
                http.headers(),
                http.statuses(),
                Optional.of(new TextMatch(text, regex)),
                http.digest(),
                http.version(),
                http.tls());
    }

    static Tls tls(String name, boolean verify) {
        return new Tls(Optional.of(name), verify, Optional.empty(), OptionalInt.empty());
    }

    /** A port on loopback where nothing listens. */
    static int closedPort() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}

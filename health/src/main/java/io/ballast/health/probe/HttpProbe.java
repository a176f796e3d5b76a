package io.ballast.health.probe;

import io.ballast.core.config.HostPort;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.health.Texts;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * One HTTP request and what its answer must be like. The whole answer is read, up to {@link HttpAnswer#MAX_BODY}, also
 * where only its status counts: a server that stops in the middle of a page is not healthy.
 */
final class HttpProbe extends NetworkProbe {

    private final ProbeSpec.Http spec;
    private final TlsClient tls;
    private final @Nullable Matcher body;

    HttpProbe(ProbeSpec.Http spec, TlsClient tls) {
        this.spec = spec;
        this.tls = tls;
        this.body = spec.body().map(Matcher::new).orElse(null);
        refuseControls("method", spec.method());
        refuseControls("path", spec.path());
        spec.hostHeader().ifPresent(host -> refuseControls("host", host));
        spec.headers().forEach((name, value) -> {
            refuseControls("header name", name);
            refuseControls("header " + name, value);
        });
    }

    private static void refuseControls(String what, String text) {
        if (text.chars().anyMatch(c -> c < ' ' || c == 0x7f)) {
            throw new IllegalArgumentException("the " + what + " contains a control character");
        }
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        int defaultPort = spec.tls().isPresent() ? 443 : 80;
        attempt.connect(defaultPort);
        boolean http2 = spec.version() == HttpVersion.HTTP_2;
        if (spec.tls().isPresent()) {
            Optional<String> name = spec.hostHeader().map(HttpProbe::withoutPort);
            attempt.startTls(tls, spec.tls().get(), name, http2 ? Optional.of("h2") : Optional.empty());
        }
        String authority = authority(attempt, defaultPort);
        HttpAnswer answer;
        if (http2) {
            Http2Exchange exchange = new Http2Exchange(attempt.input(), attempt.output(), attempt.deadline());
            exchange.request(spec.method(), spec.tls().isPresent(), authority, spec.path(), headers(), new byte[0]);
            answer = exchange.answer();
        } else {
            attempt.output().write(request(authority).getBytes(StandardCharsets.UTF_8));
            answer = HttpAnswer.read(attempt.input(), spec.method().equals("HEAD"));
        }
        judge(attempt, answer);
    }

    private void judge(Attempt attempt, HttpAnswer answer) throws ProbeFailure {
        attempt.say("HTTP " + answer.status());
        if (spec.statuses().stream().noneMatch(range -> accepts(range, answer.status()))) {
            attempt.detail(text(answer, 1024));
            throw new ProbeFailure("expected " + ranges(spec.statuses()));
        }
        if (body != null && !body.foundIn(text(answer, Integer.MAX_VALUE), attempt.deadline())) {
            attempt.detail(text(answer, 1024));
            throw new ProbeFailure(body + " not found in " + (answer.body().truncated() ? "the first " : "")
                    + Texts.bytes(answer.body().size()));
        }
        if (spec.digest().isPresent()) {
            if (answer.body().truncated()) {
                throw new ProbeFailure(
                        "the body is longer than " + HttpAnswer.MAX_BODY + " bytes, too long to compare its digest");
            }
            String digest = sha256(answer.body().bytes());
            if (!digest.equals(spec.digest().get().toLowerCase(Locale.ROOT))) {
                throw new ProbeFailure("the body of "
                        + Texts.bytes(answer.body().size()) + " has SHA-256 " + digest + ", not the expected one");
            }
        }
    }

    private static boolean accepts(StatusRange range, int status) {
        return status >= range.low() && status <= range.high();
    }

    private static String ranges(List<StatusRange> ranges) {
        return ranges.stream().map(StatusRange::toString).collect(Collectors.joining(", "));
    }

    private static String text(HttpAnswer answer, int max) {
        byte[] bytes = answer.body().bytes();
        return new String(
                bytes, 0, Math.min(bytes.length, max), charset(answer.headers().get("content-type")));
    }

    /** The charset that the server names; UTF-8 where it names none, or one that is unknown here. */
    private static Charset charset(@Nullable String contentType) {
        if (contentType != null) {
            int at = contentType.toLowerCase(Locale.ROOT).indexOf("charset=");
            if (at >= 0) {
                String name = contentType
                        .substring(at + "charset=".length())
                        .split("[;, ]", 2)[0]
                        .replace("\"", "");
                try {
                    return Charset.forName(name);
                } catch (IllegalArgumentException e) {
                    return StandardCharsets.UTF_8;
                }
            }
        }
        return StandardCharsets.UTF_8;
    }

    private static String sha256(byte[] bytes) throws ProbeFailure {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (GeneralSecurityException e) {
            throw new ProbeFailure("this Java has no SHA-256");
        }
    }

    private String authority(Attempt attempt, int defaultPort) {
        if (spec.hostHeader().isPresent()) {
            return spec.hostHeader().get();
        }
        InetSocketAddress address = attempt.target().socketAddress(defaultPort);
        String host = address.getAddress().getHostAddress();
        int scope = host.indexOf('%');
        if (scope >= 0) {
            host = host.substring(0, scope);
        }
        if (address.getPort() == defaultPort) {
            return host.indexOf(':') >= 0 ? "[" + host + "]" : host;
        }
        return HostPort.join(host, address.getPort());
    }

    static String withoutPort(String host) {
        if (host.startsWith("[")) {
            int end = host.indexOf(']');
            return end < 0 ? host : host.substring(1, end);
        }
        int colon = host.lastIndexOf(':');
        return colon < 0 || host.indexOf(':') != colon ? host : host.substring(0, colon);
    }

    /** The description's headers over the usual ones, with lower-case names. */
    private Map<String, String> headers() {
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("user-agent", "ballast");
        headers.put("accept", "*/*");
        spec.headers().forEach((name, value) -> headers.put(name.toLowerCase(Locale.ROOT), value));
        return headers;
    }

    private String request(String authority) {
        StringBuilder request = new StringBuilder(256)
                .append(spec.method())
                .append(' ')
                .append(spec.path())
                .append(spec.version() == HttpVersion.HTTP_1_0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
        Map<String, String> usual = new LinkedHashMap<>();
        usual.put("Host", authority);
        usual.put("User-Agent", "ballast");
        usual.put("Accept", "*/*");
        if (spec.version() == HttpVersion.HTTP_1_1) {
            usual.put("Connection", "close");
        }
        usual.forEach((name, value) -> {
            if (spec.headers().keySet().stream().noneMatch(name::equalsIgnoreCase)) {
                request.append(name).append(": ").append(value).append("\r\n");
            }
        });
        spec.headers()
                .forEach((name, value) ->
                        request.append(name).append(": ").append(value).append("\r\n"));
        return request.append("\r\n").toString();
    }
}

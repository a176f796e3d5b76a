package io.ballast.health.probe;

import io.ballast.core.config.HostPort;
import io.ballast.core.config.ProbeSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * {@code grpc.health.v1.Health/Check}: gRPC over HTTP/2, with the two small messages of protocol buffers written and read
 * by hand.
 */
final class GrpcProbe extends NetworkProbe {

    private static final String[] SERVING = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};

    private static final String[] STATUS = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED"
    };

    private final ProbeSpec.Grpc spec;
    private final TlsClient tls;

    GrpcProbe(ProbeSpec.Grpc spec, TlsClient tls) {
        if (spec.service().length() > 1024) {
            throw new IllegalArgumentException("service is longer than 1024 characters");
        }
        this.spec = spec;
        this.tls = tls;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        int defaultPort = spec.tls().isPresent() ? 443 : 80;
        attempt.connect(defaultPort);
        InetSocketAddress address = attempt.target().socketAddress(defaultPort);
        String authority = HostPort.join(address.getAddress().getHostAddress(), address.getPort());
        if (spec.tls().isPresent()) {
            attempt.startTls(tls, spec.tls().get(), Optional.empty(), Optional.of("h2"));
            authority = spec.tls().get().sni().orElse(authority);
        }
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("content-type", "application/grpc");
        headers.put("te", "trailers");
        headers.put("user-agent", "ballast");
        Http2Exchange exchange = new Http2Exchange(attempt.input(), attempt.output(), attempt.deadline());
        exchange.request(
                "POST",
                spec.tls().isPresent(),
                authority,
                "/grpc.health.v1.Health/Check",
                headers,
                request(spec.service()));
        judge(attempt, exchange.answer());
    }

    /** A message without compression: HealthCheckRequest with field 1, the service's name. */
    static byte[] request(String service) {
        byte[] name = service.getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream message = new ByteArrayOutputStream();
        if (name.length > 0) {
            message.write((1 << 3) | 2);
            for (int rest = name.length; ; rest >>>= 7) {
                if (rest < 0x80) {
                    message.write(rest);
                    break;
                }
                message.write((rest & 0x7f) | 0x80);
            }
            message.writeBytes(name);
        }
        int length = message.size();
        ByteArrayOutputStream framed = new ByteArrayOutputStream();
        framed.writeBytes(new byte[] {0, 0, 0, (byte) (length >> 8), (byte) length});
        framed.writeBytes(message.toByteArray());
        return framed.toByteArray();
    }

    private static void judge(Attempt attempt, HttpAnswer answer) throws ProbeFailure {
        if (answer.status() != 200) {
            throw new ProbeFailure("HTTP " + answer.status() + ", which is no answer of gRPC");
        }
        Map<String, String> last = answer.trailers().containsKey("grpc-status") ? answer.trailers() : answer.headers();
        String status = last.getOrDefault("grpc-status", "");
        if (!status.equals("0")) {
            String message = last.getOrDefault("grpc-message", "");
            throw new ProbeFailure("gRPC status " + name(STATUS, status) + (message.isEmpty() ? "" : ": " + message));
        }
        String serving = name(SERVING, Long.toString(serving(answer.body().bytes())));
        if (!serving.equals("SERVING")) {
            throw new ProbeFailure(serving + ", expected SERVING");
        }
        attempt.say(serving);
    }

    private static String name(String[] names, String number) {
        for (int i = 0; i < names.length; i++) {
            if (number.equals(Integer.toString(i))) {
                return names[i];
            }
        }
        return number.isEmpty() ? "missing" : number;
    }

    /** Field 1 of HealthCheckResponse; 0, its default, where it is not there. Unknown fields are passed over. */
    static long serving(byte[] body) throws ProbeFailure {
        if (body.length < 5 || body[0] != 0) {
            throw new ProbeFailure("the answer holds no message that can be read");
        }
        long value = 0;
        int position = 5;
        while (position < body.length) {
            long[] next = varint(body, position);
            position = (int) next[1];
            long key = next[0];
            switch ((int) (key & 7)) {
                case 0 -> {
                    next = varint(body, position);
                    position = (int) next[1];
                    if (key >>> 3 == 1) {
                        value = next[0];
                    }
                }
                case 1 -> position += 8;
                case 2 -> {
                    next = varint(body, position);
                    if (next[0] < 0 || next[0] > body.length) {
                        throw malformed();
                    }
                    position = (int) (next[1] + next[0]);
                }
                case 5 -> position += 4;
                default -> throw malformed();
            }
        }
        if (position != body.length) {
            throw malformed();
        }
        return value;
    }

    /** The value of a varint, and the position after it. */
    private static long[] varint(byte[] bytes, int from) throws ProbeFailure {
        long value = 0;
        for (int i = 0; i < 10 && from + i < bytes.length; i++) {
            byte octet = bytes[from + i];
            value |= (octet & 0x7fL) << (7 * i);
            if (octet >= 0) {
                return new long[] {value, from + i + 1};
            }
        }
        throw malformed();
    }

    private static ProbeFailure malformed() {
        return new ProbeFailure("the answer's message is malformed");
    }
}

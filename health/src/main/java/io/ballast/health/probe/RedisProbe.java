package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** PING, after AUTH where there is a password, in Redis' serialization protocol (RESP). */
final class RedisProbe extends NetworkProbe {

    private static final int MAX_LINE = 1024;

    private final ProbeSpec.Redis spec;

    RedisProbe(ProbeSpec.Redis spec) {
        this.spec = spec;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        String password = Secret.read(spec.passwordFile());
        attempt.connect(6379);
        if (!password.isEmpty()) {
            send(attempt, "AUTH", password);
            expect(attempt, "AUTH", "+OK");
        }
        send(attempt, "PING");
        expect(attempt, "PING", "+PONG");
        attempt.say("PONG");
    }

    private static void send(Attempt attempt, String... words) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(("*" + words.length + "\r\n").getBytes(StandardCharsets.US_ASCII));
        for (String word : words) {
            byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
            out.writeBytes(("$" + bytes.length + "\r\n").getBytes(StandardCharsets.US_ASCII));
            out.writeBytes(bytes);
            out.writeBytes("\r\n".getBytes(StandardCharsets.US_ASCII));
        }
        attempt.output().write(out.toByteArray());
    }

    private static void expect(Attempt attempt, String command, String wanted) throws IOException, ProbeFailure {
        String line = attempt.input().needLine(MAX_LINE);
        if (!line.equals(wanted)) {
            throw new ProbeFailure(command + " answered by " + Reply.quote(line) + ", expected " + wanted.substring(1));
        }
    }
}

package io.ballast.health.probe;

import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** {@code version}, in memcached's text protocol. */
final class MemcachedProbe extends NetworkProbe {

    private static final int MAX_LINE = 1024;

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        attempt.connect(11211);
        attempt.output().write("version\r\n".getBytes(StandardCharsets.US_ASCII));
        String line = attempt.input().needLine(MAX_LINE);
        if (!line.startsWith("VERSION ")) {
            throw new ProbeFailure("version answered by " + Reply.quote(line));
        }
        attempt.say(line.substring("VERSION ".length()));
    }
}

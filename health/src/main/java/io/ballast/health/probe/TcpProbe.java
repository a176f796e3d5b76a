package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Texts;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Connects; then, where the check says so, starts TLS, sends, and waits for an answer that matches. */
final class TcpProbe extends NetworkProbe {

    /** An answer that does not match in its first so many bytes does not match. */
    static final int MAX_ANSWER = 64 * 1024;

    private final ProbeSpec.Tcp spec;
    private final TlsClient tls;
    private final byte @Nullable [] send;
    private final @Nullable Matcher expect;

    TcpProbe(ProbeSpec.Tcp spec, TlsClient tls) {
        this.spec = spec;
        this.tls = tls;
        this.send = spec.send().map(Matcher::bytes).orElse(null);
        this.expect = spec.expect().map(Matcher::new).orElse(null);
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        attempt.connect(0);
        if (spec.tls().isPresent()) {
            attempt.startTls(tls, spec.tls().get(), Optional.empty(), Optional.empty());
        }
        if (send != null) {
            attempt.output().write(send);
        }
        if (expect != null) {
            await(attempt, expect);
        }
    }

    private static void await(Attempt attempt, Matcher expect) throws IOException, ProbeFailure {
        byte[] answer = new byte[1024];
        int length = 0;
        while (length < MAX_ANSWER && (length == 0 || !attempt.deadline().passed())) {
            if (length == answer.length) {
                answer = Arrays.copyOf(answer, length * 2);
            }
            int count;
            try {
                count = attempt.input().read(answer, length, answer.length - length);
            } catch (SocketTimeoutException e) {
                if (length == 0) {
                    throw e;
                }
                break;
            }
            if (count < 0) {
                break;
            }
            length += count;
            if (expect.foundIn(answer, length, attempt.deadline())) {
                attempt.say("answered as expected");
                return;
            }
        }
        attempt.detail(Matcher.shown(answer, length));
        throw new ProbeFailure(
                length == 0
                        ? "the server closed the connection without an answer"
                        : expect + " not found in " + Texts.bytes(length)
                                + (attempt.deadline().passed() ? " that came in time" : ""));
    }
}

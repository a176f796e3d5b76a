package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Texts;
import io.ballast.linux.NativeSocket;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/** Sends a datagram and waits for one that answers it. */
final class UdpProbe extends NetworkProbe {

    private static final int MAX_DATAGRAM = 65_535;

    private final byte[] send;
    private final @Nullable Matcher expect;

    UdpProbe(ProbeSpec.Udp spec) {
        this.send = Matcher.bytes(spec.send());
        this.expect = spec.expect().map(Matcher::new).orElse(null);
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        if (attempt.target().port() == 0) {
            throw new ProbeFailure("a udp check needs a port");
        }
        NativeSocket socket = attempt.datagrams(0);
        long deadline = attempt.deadline().nanoTime();
        socket.write(ByteBuffer.wrap(send), deadline);
        byte[] answer = new byte[MAX_DATAGRAM];
        int wrong = -1;
        while (true) {
            int length;
            try {
                length = socket.read(answer, 0, answer.length, deadline);
            } catch (SocketTimeoutException e) {
                if (wrong < 0) {
                    throw e;
                }
                throw new ProbeFailure(expect + " not found in the last answer of " + Texts.bytes(wrong));
            }
            if (expect == null || expect.foundIn(answer, length, attempt.deadline())) {
                attempt.say("answered with " + Texts.bytes(length));
                return;
            }
            wrong = length;
            attempt.detail(Matcher.shown(answer, length));
            if (attempt.deadline().passed()) {
                throw new ProbeFailure(expect + " not found in the last answer of " + Texts.bytes(wrong));
            }
        }
    }
}

package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/** The greeting of a mail server, EHLO, and STARTTLS where asked. */
final class SmtpProbe extends NetworkProbe {

    private static final ProbeSpec.Tls VERIFIED =
            new ProbeSpec.Tls(Optional.empty(), true, Optional.empty(), OptionalInt.empty());

    private final ProbeSpec.Smtp spec;
    private final TlsClient tls;

    SmtpProbe(ProbeSpec.Smtp spec, TlsClient tls) {
        if (spec.helo().chars().anyMatch(c -> c <= ' ' || c == 0x7f)) {
            throw new IllegalArgumentException("helo must be a name without spaces or control characters");
        }
        this.spec = spec;
        this.tls = tls;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        boolean tlsFromTheStart = spec.tls().isPresent() && !spec.startTls();
        attempt.connect(tlsFromTheStart ? 465 : 25);
        if (tlsFromTheStart) {
            attempt.startTls(tls, spec.tls().get(), Optional.empty(), Optional.empty());
        }
        attempt.await("greeting");
        String greeting =
                Reply.read(attempt.input()).expect(220, "connection").lines().getFirst();
        attempt.await("answer to EHLO");
        Reply hello = command(attempt, "EHLO " + spec.helo()).expect(250, "EHLO");
        if (spec.startTls()) {
            if (hello.lines().stream().noneMatch(SmtpProbe::offersTls)) {
                throw new ProbeFailure("the server does not offer STARTTLS");
            }
            command(attempt, "STARTTLS").expect(220, "STARTTLS");
            attempt.startTls(tls, spec.tls().orElse(VERIFIED), Optional.empty(), Optional.empty());
            command(attempt, "EHLO " + spec.helo()).expect(250, "EHLO after STARTTLS");
        }
        attempt.say(Reply.quote(greeting));
        attempt.endPolitely();
        write(attempt, "QUIT");
    }

    private static boolean offersTls(String line) {
        return line.length() > 4
                && line.substring(4).strip().toUpperCase(Locale.ROOT).equals("STARTTLS");
    }

    private static Reply command(Attempt attempt, String command) throws IOException, ProbeFailure {
        write(attempt, command);
        return Reply.read(attempt.input());
    }

    private static void write(Attempt attempt, String command) throws IOException {
        attempt.output().write((command + "\r\n").getBytes(StandardCharsets.UTF_8));
    }
}

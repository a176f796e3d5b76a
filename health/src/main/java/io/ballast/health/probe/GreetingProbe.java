package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Optional;

/** The greeting of an FTP, IMAP or POP3 server, and a goodbye. */
final class GreetingProbe extends NetworkProbe {

    private static final int MAX_LINE = 8192;

    /** What tells the protocols apart here. */
    enum Protocol {
        /** RFC 959: 220. */
        FTP(21, 990, "QUIT"),
        /** RFC 9051 section 7.1: OK, or PREAUTH. */
        IMAP(143, 993, "a LOGOUT"),
        /** RFC 1939 section 4: +OK. */
        POP3(110, 995, "QUIT");

        private final int port;
        private final int tlsPort;
        private final String goodbye;

        Protocol(int port, int tlsPort, String goodbye) {
            this.port = port;
            this.tlsPort = tlsPort;
            this.goodbye = goodbye;
        }
    }

    private final Protocol protocol;
    private final Optional<ProbeSpec.Tls> spec;
    private final TlsClient tls;

    GreetingProbe(Protocol protocol, Optional<ProbeSpec.Tls> spec, TlsClient tls) {
        this.protocol = protocol;
        this.spec = spec;
        this.tls = tls;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        attempt.connect(spec.isPresent() ? protocol.tlsPort : protocol.port);
        if (spec.isPresent()) {
            attempt.startTls(tls, spec.get(), Optional.empty(), Optional.empty());
        }
        attempt.await("greeting");
        attempt.say(Reply.quote(greeting(attempt.input())));
        attempt.endPolitely();
        attempt.output().write((protocol.goodbye + "\r\n").getBytes(StandardCharsets.US_ASCII));
    }

    private String greeting(BoundedInput in) throws IOException, ProbeFailure {
        if (protocol == Protocol.FTP) {
            return Reply.read(in).expect(220, "connection").lines().getFirst();
        }
        String line = in.needLine(MAX_LINE);
        String upper = line.toUpperCase(Locale.ROOT);
        boolean good = protocol == Protocol.IMAP ? word(upper, "* OK") || word(upper, "* PREAUTH") : word(upper, "+OK");
        if (!good) {
            throw new ProbeFailure("the server greets with " + Reply.quote(line) + ", expected "
                    + (protocol == Protocol.IMAP ? "* OK" : "+OK"));
        }
        return line;
    }

    private static boolean word(String line, String start) {
        return line.startsWith(start) && (line.length() == start.length() || line.charAt(start.length()) == ' ');
    }
}

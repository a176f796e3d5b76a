package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;

/** A simple bind of LDAPv3 (RFC 4511 section 4.2), in the few elements of BER (X.690) that it needs. */
final class LdapProbe extends NetworkProbe {

    private static final int MAX_MESSAGE = 64 * 1024;

    private static final int INTEGER = 0x02;
    private static final int OCTET_STRING = 0x04;
    private static final int ENUMERATED = 0x0a;
    private static final int SEQUENCE = 0x30;
    private static final int BIND_REQUEST = 0x60;
    private static final int BIND_RESPONSE = 0x61;
    private static final int EXTENDED_RESPONSE = 0x78;
    private static final int SIMPLE = 0x80;

    private static final byte[] UNBIND = {0x30, 0x05, 0x02, 0x01, 0x02, 0x42, 0x00};

    private static final Map<Integer, String> RESULTS = Map.ofEntries(
            Map.entry(0, "success"),
            Map.entry(1, "operationsError"),
            Map.entry(2, "protocolError"),
            Map.entry(7, "authMethodNotSupported"),
            Map.entry(8, "strongerAuthRequired"),
            Map.entry(10, "referral"),
            Map.entry(13, "confidentialityRequired"),
            Map.entry(32, "noSuchObject"),
            Map.entry(34, "invalidDNSyntax"),
            Map.entry(48, "inappropriateAuthentication"),
            Map.entry(49, "invalidCredentials"),
            Map.entry(50, "insufficientAccessRights"),
            Map.entry(51, "busy"),
            Map.entry(52, "unavailable"),
            Map.entry(53, "unwillingToPerform"),
            Map.entry(80, "other"));

    private final ProbeSpec.Ldap spec;
    private final TlsClient tls;

    LdapProbe(ProbeSpec.Ldap spec, TlsClient tls) {
        // RFC 4513 section 5.1.2: a name without a password is not verified, and succeeds.
        if (spec.bindDn().isPresent() && spec.passwordFile().isEmpty()) {
            throw new IllegalArgumentException("a bind name without a password file proves nothing");
        }
        this.spec = spec;
        this.tls = tls;
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        String password = Secret.read(spec.passwordFile());
        if (spec.bindDn().isPresent() && password.isEmpty()) {
            throw new ProbeFailure("password file " + spec.passwordFile().orElse("") + " is empty");
        }
        attempt.connect(spec.tls().isPresent() ? 636 : 389);
        if (spec.tls().isPresent()) {
            attempt.startTls(tls, spec.tls().get(), Optional.empty(), Optional.empty());
        }
        attempt.await("answer to the bind");
        attempt.output().write(bind(spec.bindDn().orElse(""), password));
        int result = response(message(attempt.input()));
        if (result != 0) {
            throw new ProbeFailure("bind refused: " + RESULTS.getOrDefault(result, "result") + " (" + result + ")");
        }
        attempt.say(spec.bindDn().isPresent() ? "bound" : "bound anonymously");
        attempt.endPolitely();
        attempt.output().write(UNBIND);
    }

    static byte[] bind(String dn, String password) {
        byte[] request = element(
                BIND_REQUEST,
                element(INTEGER, new byte[] {3}),
                element(OCTET_STRING, dn.getBytes(StandardCharsets.UTF_8)),
                element(SIMPLE, password.getBytes(StandardCharsets.UTF_8)));
        return element(SEQUENCE, element(INTEGER, new byte[] {1}), request);
    }

    private static byte[] element(int tag, byte[]... contents) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        for (byte[] part : contents) {
            content.writeBytes(part);
        }
        int length = content.size();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(tag);
        if (length < 0x80) {
            out.write(length);
        } else {
            out.write(0x82);
            out.write(length >> 8);
            out.write(length);
        }
        out.writeBytes(content.toByteArray());
        return out.toByteArray();
    }

    /** Reads one LDAPMessage, without its tag and length. */
    private static Ber message(BoundedInput in) throws IOException, ProbeFailure {
        int tag = in.need();
        if (tag != SEQUENCE) {
            throw new ProbeFailure("the server does not speak LDAP here");
        }
        int length = in.need();
        if (length > 0x84) {
            throw new ProbeFailure("the server's message is longer than " + MAX_MESSAGE + " bytes");
        }
        if (length >= 0x80) {
            int octets = length - 0x80;
            long value = 0;
            for (int i = 0; i < octets; i++) {
                value = (value << 8) | in.need();
            }
            if (octets == 0 || value > MAX_MESSAGE) {
                throw new ProbeFailure("the server's message is longer than " + MAX_MESSAGE + " bytes");
            }
            length = (int) value;
        }
        return new Ber(in.exactly(length));
    }

    /** The result code of a BindResponse. */
    private static int response(Ber message) throws ProbeFailure {
        message.enter(INTEGER, true);
        int operation = message.tag();
        if (operation == EXTENDED_RESPONSE) {
            message.enter(EXTENDED_RESPONSE, false);
            int result = message.number();
            throw new ProbeFailure(
                    "the server disconnects: " + RESULTS.getOrDefault(result, "result") + " (" + result + ")");
        }
        message.enter(BIND_RESPONSE, false);
        return message.number();
    }

    /** Reads elements of BER from a message that has come whole. */
    private static final class Ber {
        private final byte[] bytes;
        private int position;

        Ber(byte[] bytes) {
            this.bytes = bytes;
        }

        int tag() throws ProbeFailure {
            if (position >= bytes.length) {
                throw malformed();
            }
            return bytes[position] & 0xff;
        }

        /** Goes to the content of an element, or past all of it. */
        void enter(int tag, boolean past) throws ProbeFailure {
            if (tag() != tag) {
                throw malformed();
            }
            position++;
            int length = length();
            if (past) {
                position += length;
            }
        }

        private int length() throws ProbeFailure {
            int first = octet();
            long length = first;
            if (first >= 0x80) {
                int octets = first - 0x80;
                if (octets == 0 || octets > 4) {
                    throw malformed();
                }
                length = 0;
                for (int i = 0; i < octets; i++) {
                    length = (length << 8) | octet();
                }
            }
            if (length > bytes.length - position) {
                throw malformed();
            }
            return (int) length;
        }

        private int octet() throws ProbeFailure {
            int octet = tag();
            position++;
            return octet;
        }

        /** An enumerated value of one or two octets: no result code is larger. */
        int number() throws ProbeFailure {
            if (tag() != ENUMERATED) {
                throw malformed();
            }
            position++;
            int length = length();
            if (length < 1 || length > 2) {
                throw malformed();
            }
            int value = 0;
            for (int i = 0; i < length; i++) {
                value = (value << 8) | octet();
            }
            return value;
        }

        private static ProbeFailure malformed() {
            return new ProbeFailure("the server's answer to the bind is malformed");
        }
    }
}

package io.ballast.core.config;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** What a health check asks of a server. */
public sealed interface ProbeSpec {

    /** The value of {@code type:} in {@code ballast.yaml}. */
    default String yamlName() {
        return getClass().getSimpleName().toLowerCase(Locale.ROOT);
    }

    /** The protocol whose port it asks; empty where it asks no port. */
    default Optional<Endpoint.Protocol> protocol() {
        return switch (this) {
            case Icmp _, File _ -> Optional.empty();
            case Exec exec ->
                exec.command().stream().anyMatch(word -> word.contains("${port}"))
                        ? Optional.of(Endpoint.Protocol.TCP)
                        : Optional.empty();
            case Udp _ -> Optional.of(Endpoint.Protocol.UDP);
            case Dns dns -> Optional.of(dns.tcp() ? Endpoint.Protocol.TCP : Endpoint.Protocol.UDP);
            default -> Optional.of(Endpoint.Protocol.TCP);
        };
    }

    /**
     * Echo request and reply (RFC 792, RFC 4443).
     *
     * @param size bytes of payload, 0 to 65507
     */
    record Icmp(int size) implements ProbeSpec {}

    /**
     * Connect; then, where given, send and wait for an answer that matches.
     *
     * @param tls wrapped in TLS
     */
    record Tcp(Optional<String> send, Optional<TextMatch> expect, Optional<Tls> tls) implements ProbeSpec {}

    /** Send a datagram and wait for an answer; without {@code expect} any answer will do. */
    record Udp(String send, Optional<TextMatch> expect) implements ProbeSpec {}

    /**
     * One HTTP request (RFC 9110).
     *
     * @param path the request target, with its query
     * @param hostHeader the Host header (and default for SNI); empty takes the server's address
     * @param statuses the accepted status ranges
     * @param body what the body must contain
     * @param digest hexadecimal SHA-256 of the body
     * @param tls HTTPS where present
     */
    record Http(
            String method,
            String path,
            Optional<String> hostHeader,
            Map<String, String> headers,
            List<StatusRange> statuses,
            Optional<TextMatch> body,
            Optional<String> digest,
            HttpVersion version,
            Optional<Tls> tls)
            implements ProbeSpec {}

    /** EHLO, and STARTTLS where asked (RFC 5321, RFC 3207). */
    record Smtp(String helo, boolean startTls, Optional<Tls> tls) implements ProbeSpec {}

    /**
     * One DNS query (RFC 1035).
     *
     * @param type A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT or a number
     * @param expect one of the answers must have this text form; empty accepts any answer with a record
     * @param rcode the accepted response code, for instance NOERROR or NXDOMAIN
     */
    record Dns(String query, String type, Optional<String> expect, String rcode, boolean tcp) implements ProbeSpec {}

    /** The greeting of an FTP server (220, RFC 959). */
    record Ftp(Optional<Tls> tls) implements ProbeSpec {}

    /** The greeting of an IMAP server (RFC 9051). */
    record Imap(Optional<Tls> tls) implements ProbeSpec {}

    /** The greeting of a POP3 server (RFC 1939). */
    record Pop3(Optional<Tls> tls) implements ProbeSpec {}

    /**
     * A MySQL or MariaDB server: its greeting, or a log-in where a user is given.
     *
     * @param passwordFile mode 600
     * @param maxLag a replica further behind has failed; needs a user that may read the replica's status
     */
    record Mysql(Optional<String> user, Optional<String> passwordFile, Optional<Duration> maxLag)
            implements ProbeSpec {}

    /** PING answered by PONG, after AUTH where a password is given. */
    record Redis(Optional<String> passwordFile) implements ProbeSpec {}

    /** {@code version} answered. */
    record Memcached() implements ProbeSpec {}

    /** An LDAPv3 bind (RFC 4511), anonymous where no name is given. */
    record Ldap(Optional<String> bindDn, Optional<String> passwordFile, Optional<Tls> tls) implements ProbeSpec {}

    /** grpc.health.v1.Health/Check must answer SERVING. */
    record Grpc(String service, Optional<Tls> tls) implements ProbeSpec {}

    /**
     * An external program; the exit code decides: 0 is success, 1 (a Nagios plugin's warning) is success with the
     * warning as its reason, anything else is failure. What follows a {@code |} in the first line of its output is
     * kept as performance data.
     *
     * @param command the program (absolute path) and its arguments; {@code ${address}}, {@code ${port}},
     *     {@code ${name}} and {@code ${service}} are replaced
     */
    record Exec(List<String> command) implements ProbeSpec {}

    /**
     * A file on the director.
     *
     * @param path of the file
     * @param present whether it must exist, or must not
     */
    record File(String path, boolean present) implements ProbeSpec {}

    /** A text that must occur, or a regular expression ({@link java.util.regex.Pattern}) that must find something. */
    record TextMatch(String text, boolean regex) {}

    /** Status codes from {@code low} to {@code high}, both included. */
    record StatusRange(int low, int high) {
        @Override
        public String toString() {
            return low == high ? Integer.toString(low) : low + "-" + high;
        }
    }

    /** The version of HTTP to ask with. */
    enum HttpVersion {
        /** HTTP/1.0, without Connection: keep-alive. */
        HTTP_1_0,
        /** HTTP/1.1. */
        HTTP_1_1,
        /** HTTP/2, by ALPN in TLS and with prior knowledge without. */
        HTTP_2
    }

    /**
     * TLS of a probe.
     *
     * @param sni the name to ask for; empty takes the host header, or none for an address
     * @param verify whether the chain and the name are verified against the system's trust anchors
     * @param pin hexadecimal SHA-256 of the certificate's SubjectPublicKeyInfo; replaces {@code verify}
     * @param minDaysLeft the certificate must be valid for at least so many days more
     */
    record Tls(Optional<String> sni, boolean verify, Optional<String> pin, OptionalInt minDaysLeft) {}
}

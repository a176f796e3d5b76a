package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.HttpVersion;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.core.config.ProbeSpec.Tls;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/** The keys of health checks: those that every check has, and those of each kind of probe. */
final class CheckSchema {
    private static final Key<String> NAME = Key.optional(
            "name",
            Types.name("a check"),
            "The check's name in listings. Without it, the type, numbered where one type repeats. A check under the"
                    + " top-level `checks` has that name.",
            "front-page");
    private static final Key<Duration> INTERVAL = Key.withDefault(
            "interval",
            Types.duration("10ms", "1d"),
            "1s",
            "From the start of one probe to the start of the next.",
            "500ms");
    private static final Key<Duration> TIMEOUT = Key.withDefault(
            "timeout",
            Types.duration("10ms", "10m"),
            "3s",
            "A probe without an answer by then has failed. It may be longer than the interval: a due probe then waits"
                    + " for the one under way.",
            "1s");
    private static final Key<Integer> RISE = Key.withDefault(
            "rise",
            Types.integer(1, 1000),
            "1",
            "Successes in a row that bring a server up. One is enough, as in keepalived and ldirectord; HAProxy asks"
                    + " for 2.",
            "2");
    private static final Key<Integer> FALL = Key.withDefault(
            "fall",
            Types.integer(1, 1000),
            "3",
            "Failures in a row that take a server down; 3 as in HAProxy and keepalived. A dead server is out after at"
                    + " most `fall` x (`interval` + `timeout`).",
            "2");
    private static final Key<InitialState> INITIAL = Key.withDefault(
            "initial",
            Types.choice(Types.words(InitialState.values(), s -> s.name().toLowerCase(Locale.ROOT))),
            "up",
            "What is assumed of a server before the first result; `down` lets it in after its first success.",
            "down");
    private static final Key<Double> JITTER = Key.withDefault(
            "jitter",
            Types.percent(),
            "0%",
            "Part of the interval by which a probe may start late, so that many checks do not run in step.",
            "10%");
    private static final Key<Duration> BACKOFF = Key.optional(
            "backoff",
            Types.duration("10ms", "1d"),
            "The most by which the interval grows while a server is down; it doubles with each failure. Without it, the"
                    + " interval stays as it is.",
            "30s");
    private static final Key<InetAddress> SOURCE =
            Key.optional("source", Types.address(), "The address to probe from.", "192.0.2.1");
    private static final Key<String> BIND_INTERFACE = Key.optional(
            "bind-interface",
            Types.interfaceName(),
            "The network interface to probe through; needs CAP_NET_RAW.",
            "eth1");
    private static final Key<Host> HOST = Key.optional(
            "host",
            Types.host(),
            "Asked in place of the server's own address. Without a port, the server's port.",
            "10.1.0.9:8080");
    private static final Key<Integer> PORT =
            Key.optional("port", Types.integer(1, 65535), "Asked in place of the server's port.", "8080");
    private static final List<Key<?>> COMMON =
            List.of(INTERVAL, TIMEOUT, RISE, FALL, INITIAL, JITTER, BACKOFF, SOURCE, BIND_INTERFACE, HOST, PORT);

    private static final Key<String> SNI = Key.optional(
            "sni",
            Types.hostName(),
            "The name to ask for. Without it, the `host-header` where there is one.",
            "www.example.com");
    private static final Key<Boolean> VERIFY = Key.withDefault(
            "verify",
            Types.bool(),
            "true",
            "Whether the certificate's chain and name are verified against the system's trust anchors.",
            "false");
    private static final Key<String> PIN = Key.optional(
            "pin",
            Types.sha256(),
            "SHA-256 of the certificate's SubjectPublicKeyInfo; takes the place of `verify`.",
            "");
    private static final Key<Integer> MIN_DAYS_LEFT = Key.optional(
            "min-days-left", Types.integer(0, 3650), "Days for which the certificate must still be valid.", "14");
    private static final MapType<Optional<Tls>> TLS_MAP =
            new MapType<>("tls", "TLS of a probe.", List.of(SNI, VERIFY, PIN, MIN_DAYS_LEFT), v -> {
                if (v.find(PIN).isPresent() && v.given(VERIFY) && v.get(VERIFY)) {
                    v.warning(VERIFY, "is not looked at, because pin takes its place");
                }
                OptionalInt days = v.find(MIN_DAYS_LEFT).map(OptionalInt::of).orElse(OptionalInt.empty());
                return Optional.of(new Tls(v.find(SNI), v.get(VERIFY), v.find(PIN), days));
            });
    private static final Optional<Tls> TLS_DEFAULT = TLS_MAP.empty();
    private static final Type<Optional<Tls>> TLS_TYPE = Types.shortOr(
            Types.mapped(Types.bool(), (on, node, scope) -> on ? TLS_DEFAULT : Optional.<Tls>empty()), TLS_MAP);
    private static final Key<Optional<Tls>> TLS =
            Key.withDefault("tls", TLS_TYPE, "false", "Whether the probe speaks TLS, and how.", "{ verify: false }");
    private static final Key<Optional<Tls>> HTTPS_TLS =
            Key.withDefault("tls", TLS_TYPE, "true", "How the probe speaks TLS.", "{ verify: false }");

    private static final Key<String> TEXT =
            Key.optional("text", Types.text("text"), "A text that the answer must contain.", "Test Page");
    private static final Key<String> REGEX = Key.optional(
            "regex",
            Types.regex(),
            "A regular expression (java.util.regex) that must find something in the answer.",
            "^version [0-9]+");
    private static final MapType<TextMatch> ANSWER_MAP =
            new MapType<>("expected answer", "What an answer must contain.", List.of(TEXT, REGEX), v -> {
                Optional<TextMatch> match = textMatch(v);
                if (match.isEmpty() && !v.given(TEXT) && !v.given(REGEX)) {
                    v.scope().error(v.at(TEXT), "say what to expect: text or regex");
                }
                return match.orElse(null);
            });
    private static final Key<TextMatch> ANSWER =
            Key.optional("expect", ANSWER_MAP, "What the answer must contain.", "{ text: PONG }");
    private static final Key<String> SEND = Key.optional(
            "send", Types.text("text"), "What is sent, escapes as in YAML's double quotes.", "\"PING\\r\\n\"");
    private static final Key<String> SEND_REQUIRED =
            Key.required("send", Types.text("text"), "What is sent, escapes as in YAML's double quotes.", "\"ping\"");

    private static final Key<List<StatusRange>> STATUS = Key.withDefault(
            "status",
            Types.oneOrMore(Types.statusRange()),
            "200-299",
            "The accepted status codes, each a number or a range.",
            "[200, 301-302]");
    private static final Key<String> DIGEST =
            Key.optional("digest", Types.sha256(), "SHA-256 that the body must have.", "");

    /** What a response must be. */
    private record Response(List<StatusRange> statuses, Optional<TextMatch> body, Optional<String> digest) {}

    private static final MapType<Response> RESPONSE_MAP = new MapType<>(
            "expected response",
            "What an HTTP response must be.",
            List.of(STATUS, TEXT, REGEX, DIGEST),
            v -> new Response(v.get(STATUS), textMatch(v), v.find(DIGEST)));
    private static final Response RESPONSE_DEFAULT = RESPONSE_MAP.empty();
    private static final Key<Response> RESPONSE =
            Key.optional("expect", RESPONSE_MAP, "What the response must be.", "{ status: 200, text: Test Page }");
    private static final Key<String> METHOD = Key.withDefault(
            "method",
            Types.matching("method", "a request method such as GET", "[A-Z]{1,20}"),
            "GET",
            "The request method.",
            "HEAD");
    private static final Key<String> PATH = Key.withDefault(
            "path",
            Types.matching("path", "a path that begins with /", "/[\\x21-\\x7e]*"),
            "/",
            "The path to ask for, with its query.",
            "/index.html");
    private static final Key<String> HOST_HEADER = Key.optional(
            "host-header",
            Types.matching("host", "a host name, perhaps with a port", "[\\x21-\\x7e]+"),
            "The Host header. Without it, the server's address.",
            "www.example.com");
    private static final Key<SequencedMap<String, String>> HEADERS = Key.optional(
            "headers",
            Types.named(
                    "header names",
                    Types.matching("header name", "a header name", "[!#$%&'*+.^_`|~0-9A-Za-z-]+"),
                    Types.matching("text", "a header's value", "[\\x20-\\x7e\\t]*")),
            "Further request headers.",
            "{ User-Agent: ballast }");
    private static final Key<HttpVersion> VERSION = Key.withDefault(
            "version",
            Types.choice(Types.words(HttpVersion.values(), CheckSchema::httpVersion)),
            "1.1",
            "The version of HTTP. 2 is agreed by ALPN within TLS, and taken for granted without.",
            "2");

    private static final Key<Integer> ICMP_SIZE =
            Key.withDefault("size", Types.integer(0, 65507), "56", "Bytes of payload.", "");
    private static final Key<String> HELO =
            Key.withDefault("helo", Types.hostName(), "localhost", "The name given with EHLO.", "lb.example.com");
    private static final Key<Boolean> STARTTLS = Key.withDefault(
            "starttls", Types.bool(), "false", "Whether TLS begins with STARTTLS; `tls` then says how.", "true");
    private static final Key<String> QUERY =
            Key.required("query", Types.hostName(), "The name to ask for.", "example.com");
    private static final Key<String> RECORD = Key.withDefault(
            "record",
            Types.dnsType(),
            "A",
            "The type to ask for: A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT or a number.",
            "SOA");
    private static final Key<Boolean> DNS_TCP =
            Key.withDefault("tcp", Types.bool(), "false", "Whether to ask by TCP.", "true");
    private static final Key<String> DNS_ANSWER = Key.optional(
            "answer",
            Types.text("text"),
            "One of the answers must have this text form. Without it, any will do.",
            "192.0.2.1");
    private static final Key<String> RCODE = Key.withDefault(
            "rcode",
            Types.choice(sameWords("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")),
            "NOERROR",
            "The accepted response code.",
            "NXDOMAIN");

    /** What a DNS answer must be. */
    private record DnsAnswer(Optional<String> answer, String rcode) {}

    private static final MapType<DnsAnswer> DNS_ANSWER_MAP = new MapType<>(
            "expected DNS answer",
            "What a DNS answer must be.",
            List.of(DNS_ANSWER, RCODE),
            v -> new DnsAnswer(v.find(DNS_ANSWER), v.get(RCODE)));
    private static final DnsAnswer DNS_ANSWER_DEFAULT = DNS_ANSWER_MAP.empty();
    private static final Key<DnsAnswer> DNS_EXPECT =
            Key.optional("expect", DNS_ANSWER_MAP, "What the answer must be.", "{ answer: 192.0.2.1 }");
    private static final Key<String> USER = Key.optional(
            "user", Types.text("user name"), "Logs in as this user. Without it, the greeting is enough.", "monitor");
    private static final Key<String> PASSWORD_FILE = Key.optional(
            "password-file", Types.path(), "A file with the password, mode 600.", "/etc/ballast/monitor.password");
    private static final Key<Duration> MAX_LAG = Key.optional(
            "max-lag",
            Types.duration("1s", "7d"),
            "A replica that is further behind has failed. The user must be allowed to read the replica's status.",
            "30s");
    private static final Key<String> BIND_DN = Key.optional(
            "bind-dn",
            Types.text("distinguished name"),
            "Binds as this name. Without it, anonymously.",
            "cn=monitor,dc=example,dc=com");
    private static final Key<String> GRPC_SERVICE = Key.withDefault(
            "service",
            Types.text("service name"),
            "\"\"",
            "The service to ask for; empty means the whole server.",
            "shop.Cart");
    private static final Key<List<String>> COMMAND = Key.required(
            "command",
            Types.command(),
            "The program (an absolute path) and its arguments, as a list. `${address}`, `${port}`, `${name}` and"
                    + " `${service}` are replaced.",
            "[/usr/lib/nagios/plugins/check_http, -H, \"${address}\"]");
    private static final Key<String> FILE = Key.required("path", Types.path(), "The file.", "/run/maintenance");
    private static final Key<Boolean> PRESENT =
            Key.withDefault("present", Types.bool(), "true", "Whether it must exist, or must not.", "false");

    /** What one kind of probe has of its own. */
    private record ProbeKind(String type, String doc, List<Key<?>> keys, MapType.Builder<? extends ProbeSpec> probe) {}

    private static final List<ProbeKind> KINDS = List.of(
            new ProbeKind(
                    "icmp",
                    "Echo request and reply, ICMP and ICMPv6.",
                    List.of(ICMP_SIZE),
                    v -> new ProbeSpec.Icmp(v.get(ICMP_SIZE))),
            new ProbeKind(
                    "tcp",
                    "Connects; then, where given, sends and waits for an answer.",
                    List.of(SEND, ANSWER, TLS),
                    v -> new ProbeSpec.Tcp(v.find(SEND), v.find(ANSWER), v.get(TLS))),
            new ProbeKind(
                    "udp",
                    "Sends a datagram and waits for an answer.",
                    List.of(SEND_REQUIRED, ANSWER),
                    v -> new ProbeSpec.Udp(v.get(SEND_REQUIRED), v.find(ANSWER))),
            new ProbeKind("http", "One HTTP request.", http(TLS), v -> http(v, TLS)),
            new ProbeKind("https", "One HTTP request within TLS.", http(HTTPS_TLS), v -> http(v, HTTPS_TLS)),
            new ProbeKind(
                    "smtp",
                    "Greeting and EHLO of a mail server, and STARTTLS where asked.",
                    List.of(HELO, STARTTLS, TLS),
                    v -> {
                        boolean later = v.get(STARTTLS);
                        Optional<Tls> tls = v.get(TLS);
                        return new ProbeSpec.Smtp(v.get(HELO), later, later && tls.isEmpty() ? TLS_DEFAULT : tls);
                    }),
            new ProbeKind("dns", "One DNS query.", List.of(QUERY, RECORD, DNS_EXPECT, DNS_TCP), v -> {
                DnsAnswer answer = v.find(DNS_EXPECT).orElse(DNS_ANSWER_DEFAULT);
                return new ProbeSpec.Dns(v.get(QUERY), v.get(RECORD), answer.answer(), answer.rcode(), v.get(DNS_TCP));
            }),
            new ProbeKind("ftp", "The greeting of an FTP server.", List.of(TLS), v -> new ProbeSpec.Ftp(v.get(TLS))),
            new ProbeKind("imap", "The greeting of an IMAP server.", List.of(TLS), v -> new ProbeSpec.Imap(v.get(TLS))),
            new ProbeKind("pop3", "The greeting of a POP3 server.", List.of(TLS), v -> new ProbeSpec.Pop3(v.get(TLS))),
            new ProbeKind(
                    "mysql",
                    "The greeting of a MySQL or MariaDB server, or a log-in.",
                    List.of(USER, PASSWORD_FILE, MAX_LAG),
                    v -> {
                        needs(v, PASSWORD_FILE, USER);
                        needs(v, MAX_LAG, USER);
                        return new ProbeSpec.Mysql(v.find(USER), v.find(PASSWORD_FILE), v.find(MAX_LAG));
                    }),
            new ProbeKind(
                    "redis",
                    "PING, after AUTH where a password is given.",
                    List.of(PASSWORD_FILE),
                    v -> new ProbeSpec.Redis(v.find(PASSWORD_FILE))),
            new ProbeKind("memcached", "The version of a memcached.", List.of(), v -> new ProbeSpec.Memcached()),
            new ProbeKind("ldap", "An LDAPv3 bind.", List.of(BIND_DN, PASSWORD_FILE, TLS), v -> {
                needs(v, PASSWORD_FILE, BIND_DN);
                return new ProbeSpec.Ldap(v.find(BIND_DN), v.find(PASSWORD_FILE), v.get(TLS));
            }),
            new ProbeKind(
                    "grpc",
                    "grpc.health.v1.Health/Check must answer SERVING.",
                    List.of(GRPC_SERVICE, TLS),
                    v -> new ProbeSpec.Grpc(v.get(GRPC_SERVICE), v.get(TLS))),
            new ProbeKind(
                    "exec",
                    "An external program: exit code 0 or 1 (a Nagios plugin's warning) is success.",
                    List.of(COMMAND),
                    v -> new ProbeSpec.Exec(v.get(COMMAND))),
            new ProbeKind(
                    "file",
                    "A file on the director.",
                    List.of(FILE, PRESENT),
                    v -> new ProbeSpec.File(v.get(FILE), v.get(PRESENT))));

    /** A check, written where it is used or under a name. */
    static final VariantType<CheckSpec> CHECK = variants();

    private CheckSchema() {}

    private static VariantType<CheckSpec> variants() {
        SequencedMap<String, MapType<CheckSpec>> variants = new LinkedHashMap<>();
        for (ProbeKind kind : KINDS) {
            Key<String> type = Key.required(
                    "type",
                    Types.choice(sameWords(kind.type())),
                    "The kind of probe: `" + kind.type() + "`.",
                    kind.type());
            List<Key<?>> keys = new ArrayList<>();
            keys.add(type);
            keys.add(NAME);
            keys.addAll(kind.keys());
            keys.addAll(COMMON);
            MapType.Hint hint = unknown -> KINDS.stream()
                    .filter(k -> k.keys().stream().anyMatch(key -> key.name().equals(unknown)))
                    .findFirst()
                    .map(k -> "; a check of type " + k.type() + " has it, this one is of type " + kind.type())
                    .orElse("");
            variants.put(
                    kind.type(), new MapType<>(kind.type() + " check", kind.doc(), keys, hint, v -> check(v, kind)));
        }
        return new VariantType<>("check", "type", variants);
    }

    private static @Nullable CheckSpec check(Values v, ProbeKind kind) {
        ProbeSpec probe = kind.probe().build(v);
        Duration interval = v.get(INTERVAL);
        Duration backoff = v.find(BACKOFF).orElse(interval);
        if (v.given(BACKOFF) && backoff.compareTo(interval) < 0) {
            v.error(BACKOFF, "is shorter than the interval; it is the longest that the interval becomes");
        }
        if (interval.toMillis() < 100) {
            v.warning(INTERVAL, "more than ten probes a second to every server is a load of its own");
        }
        if (v.find(HOST).isPresent() && v.given(PORT) && v.get(HOST).port() != 0) {
            v.error(PORT, "host gives a port already");
        }
        boolean named = v.scope().atName();
        if (named && v.given(NAME)) {
            v.error(NAME, "this check has a name already: the key " + v.scope().lastName());
        }
        String name = named ? v.scope().lastName() : v.find(NAME).orElse(kind.type());
        Optional<HostPort> host = v.find(HOST).map(h -> v.scope().resolve(v.at(HOST), h, h.port()));
        return probe == null
                ? null
                : new CheckSpec(
                        name,
                        interval,
                        v.get(TIMEOUT),
                        v.get(RISE),
                        v.get(FALL),
                        v.get(INITIAL),
                        v.get(JITTER),
                        backoff,
                        v.find(SOURCE),
                        v.find(BIND_INTERFACE),
                        host,
                        v.find(PORT).orElse(0),
                        probe);
    }

    private static List<Key<?>> http(Key<Optional<Tls>> tls) {
        return List.of(PATH, RESPONSE, HOST_HEADER, METHOD, HEADERS, VERSION, tls);
    }

    private static ProbeSpec http(Values v, Key<Optional<Tls>> tls) {
        Response response = v.find(RESPONSE).orElse(RESPONSE_DEFAULT);
        SequencedMap<String, String> headers = v.find(HEADERS).orElse(new LinkedHashMap<>());
        headers.keySet().stream()
                .filter("host"::equalsIgnoreCase)
                .findFirst()
                .ifPresent(h -> v.error(HEADERS, "write host-header: " + headers.get(h) + " for the Host header"));
        if (v.get(METHOD).equals("HEAD")
                && (response.body().isPresent() || response.digest().isPresent())) {
            v.error(METHOD, "the answer to HEAD has no body to compare; use GET");
        }
        return new ProbeSpec.Http(
                v.get(METHOD),
                v.get(PATH),
                v.find(HOST_HEADER),
                Map.copyOf(headers),
                response.statuses(),
                response.body(),
                response.digest(),
                v.get(VERSION),
                v.get(tls));
    }

    private static Optional<TextMatch> textMatch(Values v) {
        if (v.given(TEXT) && v.given(REGEX)) {
            v.error(REGEX, "give text or regex, not both");
        }
        return v.find(TEXT)
                .map(t -> new TextMatch(t, false))
                .or(() -> v.find(REGEX).map(r -> new TextMatch(r, true)));
    }

    private static void needs(Values v, Key<?> key, Key<?> other) {
        if (v.given(key) && !v.given(other)) {
            v.error(key, "has no use without " + other.name());
        }
    }

    private static String httpVersion(HttpVersion version) {
        return switch (version) {
            case HTTP_1_0 -> "1.0";
            case HTTP_1_1 -> "1.1";
            case HTTP_2 -> "2";
        };
    }

    private static SequencedMap<String, String> sameWords(String... words) {
        SequencedMap<String, String> map = new LinkedHashMap<>();
        for (String word : words) {
            map.put(word, word);
        }
        return map;
    }
}

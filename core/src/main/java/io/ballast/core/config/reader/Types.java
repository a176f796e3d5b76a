package io.ballast.core.config.reader;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.Sizes;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.ProbeSpec.StatusRange;
import io.ballast.core.time.Durations;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Entry;
import io.ballast.core.yaml.Node.Kind;
import io.ballast.core.yaml.Node.Scalar;
import java.math.BigDecimal;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/** The types that the keys of {@code ballast.yaml} have. */
final class Types {
    private static final Pattern AMOUNT = Pattern.compile("(\\d{1,9})(?:\\.(\\d{1,3}))?\\s*([a-zA-Zµ]*)");
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");
    private static final Pattern INTERFACE = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._@-]{0,14}");
    private static final Pattern HOST_NAME =
            Pattern.compile("(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
                    + "(\\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\\.?");
    private static final String YAML_11_TRUE = " yes y on ";
    private static final String YAML_11_FALSE = " no n off ";

    private Types() {}

    /** Any text; what looks like a number, a boolean or nothing needs quotes, so that editors and we agree. */
    static Type<String> text(String label) {
        return new ScalarType<>(label, "a text", () -> SchemaWriter.type("string"), (s, scope) -> {
            if (s.kind() != Kind.TEXT) {
                scope.error(s, "expected a text, found " + Type.describe(s) + "; put it in quotes if it is one");
                return null;
            }
            return s.text();
        });
    }

    /** A text that is one line and shows all that is in it. */
    static Type<String> line(String label) {
        Type<String> text = text(label);
        return new ScalarType<>(label, "a text", () -> SchemaWriter.type("string"), (s, scope) -> {
            String value = text.read(s, scope);
            if (value != null && value.codePoints().anyMatch(Types::invisible)) {
                scope.error(s, Type.quoted(value) + " has a control character in it; remove it");
                return null;
            }
            return value;
        });
    }

    private static boolean invisible(int c) {
        int type = Character.getType(c);
        return Character.isISOControl(c)
                || type == Character.FORMAT
                || type == Character.LINE_SEPARATOR
                || type == Character.PARAGRAPH_SEPARATOR;
    }

    /** A text that matches. */
    static Type<String> matching(String label, String expected, String pattern) {
        Pattern compiled = Pattern.compile(pattern);
        Type<String> text = text(label);
        return new ScalarType<>(label, expected, () -> SchemaWriter.pattern("^(" + pattern + ")$"), (s, scope) -> {
            String value = text.read(s, scope);
            if (value != null && !compiled.matcher(value).matches()) {
                scope.error(s, "expected " + expected + ", found " + Type.quoted(value));
                return null;
            }
            return value;
        });
    }

    /** A text of this form that no message shows, nor the line that it stands in. */
    static Type<String> secret(String label, String expected, String pattern) {
        Pattern compiled = Pattern.compile(pattern);
        return new ScalarType<>(label, expected, () -> SchemaWriter.pattern("^(" + pattern + ")$"), (s, scope) -> {
            scope.problems().hide(s.line());
            if (s.kind() == Kind.TEXT && compiled.matcher(s.text()).matches()) {
                return s.text();
            }
            String found = s.kind() == Kind.TEXT
                    ? "found " + s.text().length() + " characters"
                    : "found something else; put it in quotes";
            scope.error(s, "expected " + expected + ", " + found + " (a secret, so it is not shown)");
            return null;
        });
    }

    /** The name of a network interface (at most 15 bytes, as in the kernel's IFNAMSIZ). */
    static Type<String> interfaceName() {
        return matching("interface name", "the name of a network interface such as eth0", INTERFACE.pattern());
    }

    /** A host name. */
    static Type<String> hostName() {
        return matching("host name", "a host name such as www.example.com", HOST_NAME.pattern());
    }

    /** A SHA-256. */
    static Type<String> sha256() {
        return matching("64 hexadecimal digits", "64 hexadecimal digits (SHA-256)", "[0-9A-Fa-f]{64}");
    }

    /** A type of DNS record. */
    static Type<String> dnsType() {
        List<String> known = List.of("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT");
        String expected = "one of " + String.join(", ", known) + " or a number from 1 to 65535";
        return new ScalarType<>(
                "record type",
                expected,
                () -> {
                    JsonObject words = new JsonObject();
                    var list = new JsonArray();
                    known.forEach(list::add);
                    words.add("enum", list);
                    return anyOf(words, integer(1, 65535).jsonSchema(new SchemaWriter()));
                },
                (s, scope) -> {
                    int number = smallNumber(s.text());
                    if (known.contains(s.text()) || (number >= 1 && number <= 65535)) {
                        return s.text();
                    }
                    scope.error(
                            s,
                            "expected " + expected + ", found " + Type.describe(s)
                                    + Suggestions.didYouMean(s.text(), known));
                    return null;
                });
    }

    /** A status code or a range of them. */
    static Type<StatusRange> statusRange() {
        return new ScalarType<>(
                "status or range",
                "a status code such as 200 or a range such as 200-299",
                () -> anyOf(
                        integer(100, 599).jsonSchema(new SchemaWriter()),
                        SchemaWriter.pattern("^[1-5][0-9]{2}(-[1-5][0-9]{2})?$")),
                (s, scope) -> {
                    int dash = s.text().indexOf('-');
                    int low = smallNumber(dash < 0 ? s.text() : s.text().substring(0, dash));
                    int high = dash < 0 ? low : smallNumber(s.text().substring(dash + 1));
                    if (low < 100 || high > 599 || high < low) {
                        scope.error(
                                s,
                                "expected a status code from 100 to 599 or a range such as 200-299, found "
                                        + Type.describe(s));
                        return null;
                    }
                    return new StatusRange(low, high);
                });
    }

    /** A program and its arguments. */
    static Type<List<String>> command() {
        Type<String> word = new ScalarType<>("text", "a text", () -> SchemaWriter.type("string"), (s, scope) -> {
            if (s.text().indexOf('\0') >= 0) {
                scope.error(s, "an argument cannot contain NUL");
                return null;
            }
            return s.text();
        });
        return mapped(list(word), (words, node, scope) -> {
            if (words.isEmpty() || !words.getFirst().startsWith("/")) {
                scope.error(node, "the first item is the program, and begins with /");
                return null;
            }
            return List.copyOf(words);
        });
    }

    /** Words for the constants of an enum. */
    static <T> SequencedMap<String, T> words(T[] values, Function<T, String> word) {
        SequencedMap<String, T> map = new LinkedHashMap<>();
        for (T value : values) {
            map.put(word.apply(value), value);
        }
        return map;
    }

    /** An absolute path. */
    static Type<String> path() {
        return new ScalarType<>("absolute path", "an absolute path", () -> SchemaWriter.pattern("^/"), (s, scope) -> {
            if (s.kind() != Kind.TEXT || !s.text().startsWith("/") || s.text().indexOf('\0') >= 0) {
                scope.error(s, "expected an absolute path (it begins with /), found " + Type.describe(s));
                return null;
            }
            return s.text();
        });
    }

    /** A regular expression that compiles. */
    static Type<String> regex() {
        return new ScalarType<>(
                "regular expression", "a regular expression", () -> SchemaWriter.type("string"), (s, scope) -> {
                    if (s.kind() != Kind.TEXT) {
                        scope.error(
                                s, "expected a regular expression, found " + Type.describe(s) + "; put it in quotes");
                        return null;
                    }
                    try {
                        Pattern.compile(s.text());
                        return s.text();
                    } catch (PatternSyntaxException | StackOverflowError e) {
                        String why = e instanceof PatternSyntaxException p ? p.getDescription() : "nested too deep";
                        scope.error(s, "no regular expression: " + why + " in " + Type.quoted(s.text()));
                        return null;
                    }
                });
    }

    /** A whole number. */
    static Type<Integer> integer(int min, int max) {
        String range = "a whole number from " + min + " to " + max;
        return new ScalarType<>(
                "whole number, " + min + " to " + max,
                range,
                () -> {
                    JsonObject schema = SchemaWriter.type("integer");
                    schema.addProperty("minimum", min);
                    schema.addProperty("maximum", max);
                    return schema;
                },
                (s, scope) -> wholeNumber(s, scope, min, max, range));
    }

    private static @Nullable Integer wholeNumber(Scalar s, Scope scope, int min, int max, String range) {
        String text = s.text();
        if (s.kind() != Kind.INTEGER) {
            boolean quoted = !s.plain() && Kind.of(text) == Kind.INTEGER;
            scope.error(
                    s,
                    "expected " + range + ", found " + (quoted ? "the text " : "") + Type.describe(s)
                            + (quoted ? "; remove the quotes" : ""));
            return null;
        }
        String digits = text.startsWith("-") ? text.substring(1) : text;
        if (!Character.isDigit(digits.charAt(0)) || (digits.length() > 1 && digits.charAt(0) == '0')) {
            scope.error(s, "write the number in decimal, without leading zeros or +; found " + Type.shown(text));
            return null;
        }
        long value = digits.length() > 10 ? Long.MAX_VALUE : Long.parseLong(text);
        if (value < min || value > max) {
            scope.error(s, "expected " + range + ", found " + Type.shown(text));
            return null;
        }
        return (int) value;
    }

    /** {@code true} or {@code false}; YAML 1.1's other words are refused with the right one. */
    static Type<Boolean> bool() {
        return new ScalarType<>("true or false", "true or false", () -> SchemaWriter.type("boolean"), (s, scope) -> {
            if (s.kind() == Kind.BOOLEAN) {
                return s.text().equalsIgnoreCase("true");
            }
            String word = ' ' + s.text().toLowerCase(Locale.ROOT) + ' ';
            String write = YAML_11_TRUE.contains(word) ? "true" : YAML_11_FALSE.contains(word) ? "false" : "";
            boolean quoted = !s.plain() && Kind.of(s.text()) == Kind.BOOLEAN;
            scope.error(
                    s,
                    write.isEmpty()
                            ? "expected true or false, found " + Type.describe(s)
                                    + (quoted ? "; remove the quotes" : "")
                            : Type.quoted(s.text()) + " is no boolean in YAML 1.2; write " + write);
            return null;
        });
    }

    /** A duration with its unit. */
    static Type<Duration> duration(String least, String most) {
        Duration min = Durations.parse(least).orElseThrow();
        Duration max = Durations.parse(most).orElseThrow();
        return new ScalarType<>(
                "duration", "a duration such as 3s", () -> SchemaWriter.pattern("^[0-9]+(ms|s|m|h|d)$"), (s, scope) -> {
                    Optional<Duration> value = Durations.parse(s.text());
                    if (value.isEmpty()) {
                        scope.error(s, noDuration(s));
                        return null;
                    }
                    if (value.get().compareTo(min) < 0 || value.get().compareTo(max) > 0) {
                        scope.error(s, "expected a duration from " + least + " to " + most + ", found " + s.text());
                        return null;
                    }
                    return value.get();
                });
    }

    private static String noDuration(Scalar s) {
        Matcher amount = AMOUNT.matcher(s.text());
        if (!amount.matches()) {
            return "expected a duration such as 100ms, 3s, 5m, 1h or 2d, found " + Type.describe(s);
        }
        String unit = switch (amount.group(3).toLowerCase(Locale.ROOT)) {
            case "", "s", "sec", "secs", "second", "seconds" -> "s";
            case "ms", "msec", "millis", "millisecond", "milliseconds" -> "ms";
            case "m", "min", "mins", "minute", "minutes" -> "m";
            case "h", "hr", "hour", "hours" -> "h";
            case "d", "day", "days" -> "d";
            default -> "";
        };
        if (unit.isEmpty()) {
            return Type.quoted(amount.group(3)) + " is no unit of time; write ms, s, m, h or d, for instance 3s";
        }
        Duration one = Durations.parse("1" + unit).orElseThrow();
        BigDecimal number = new BigDecimal(amount.group(1) + (amount.group(2) == null ? "" : "." + amount.group(2)));
        BigDecimal millis = number.multiply(BigDecimal.valueOf(one.toMillis()));
        if (amount.group(3).isEmpty()) {
            String write = number.scale() > 0
                    ? Durations.print(Duration.ofMillis(millis.longValue()))
                    : number.intValue() >= 100 ? number + "ms or " + number + "s" : number + "s";
            return s.text() + " has no unit; write " + write + " (units are ms, s, m, h and d)";
        }
        return "no duration: " + Type.quoted(s.text()) + "; write "
                + Durations.print(Duration.ofMillis(millis.longValue()));
    }

    /** A size with its unit. */
    static Type<Integer> size(long max) {
        return new ScalarType<>(
                "size",
                "a size such as 64KiB",
                () -> SchemaWriter.pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)$"),
                (s, scope) -> {
                    OptionalLong value = Sizes.parse(s.text());
                    if (value.isEmpty()) {
                        scope.error(s, noSize(s));
                        return null;
                    }
                    if (value.getAsLong() > max) {
                        scope.error(s, "expected a size of at most " + Sizes.print(max) + ", found " + s.text());
                        return null;
                    }
                    return (int) value.getAsLong();
                });
    }

    private static String noSize(Scalar s) {
        Matcher amount = AMOUNT.matcher(s.text());
        if (amount.matches() && amount.group(2) == null) {
            String write = switch (amount.group(3).toLowerCase(Locale.ROOT)) {
                case "", "b", "byte", "bytes" -> "B";
                case "k", "kb", "kib" -> "KiB";
                case "m", "mb", "mib" -> "MiB";
                case "g", "gb", "gib" -> "GiB";
                case "t", "tb", "tib" -> "TiB";
                default -> "";
            };
            if (!write.isEmpty()) {
                String why =
                        amount.group(3).isEmpty() ? s.text() + " has no unit" : "no size: " + Type.quoted(s.text());
                return why + "; write " + amount.group(1) + write + " (units are B, KiB, MiB, GiB and TiB)";
            }
        }
        return "expected a size such as 512B, 64KiB or 1MiB, found " + Type.describe(s);
    }

    /** A part of a whole as a percentage. */
    static Type<Double> percent() {
        return new ScalarType<>(
                "percentage",
                "a percentage such as 10%",
                () -> SchemaWriter.pattern("^([0-9]{1,2}|100)%$"),
                (s, scope) -> {
                    Matcher m = Pattern.compile("(\\d{1,3})%").matcher(s.text());
                    if (m.matches() && Integer.parseInt(m.group(1)) <= 100) {
                        return Integer.parseInt(m.group(1)) / 100.0;
                    }
                    String hint = "";
                    if (s.kind() == Kind.INTEGER || s.kind() == Kind.FLOAT) {
                        double number = Double.parseDouble(s.text().replaceFirst("^0[xo]", ""));
                        if (number > 0 && number < 1) {
                            hint = "; write " + Math.round(number * 100) + "%";
                        } else if (number >= 1 && number <= 100 && number == Math.rint(number)) {
                            hint = "; write " + (int) number + "%";
                        }
                    }
                    scope.error(s, "expected a percentage from 0% to 100%, found " + Type.describe(s) + hint);
                    return null;
                });
    }

    /** One of some words. */
    static <T> Type<T> choice(SequencedMap<String, T> values) {
        String all = String.join(", ", values.keySet());
        return new ScalarType<>(
                values.size() > 8 ? "one word" : "one of " + all,
                "one of " + all,
                () -> {
                    var schema = new JsonObject();
                    var words = new JsonArray();
                    values.keySet().forEach(w -> words.add(SchemaWriter.literal(w)));
                    schema.add("enum", words);
                    return schema;
                },
                (s, scope) -> {
                    T value = values.get(s.text());
                    if (value == null) {
                        String near = Suggestions.didYouMean(s.text(), values.keySet());
                        scope.error(s, Type.quoted(s.text()) + " is none of " + all + near);
                    }
                    return value;
                });
    }

    /** A literal IP address. */
    static Type<InetAddress> address() {
        return new ScalarType<>(
                "IP address", "an IP address such as 192.0.2.1", () -> SchemaWriter.type("string"), (s, scope) -> {
                    Optional<InetAddress> value = Addresses.parse(s.text());
                    if (value.isEmpty()) {
                        scope.error(
                                s,
                                "expected an IP address such as 192.0.2.1 or 2001:db8::1, found " + Type.describe(s)
                                        + (s.text().indexOf('/') > 0 ? "; remove the prefix length" : ""));
                    }
                    return value.orElse(null);
                });
    }

    /** An address with its prefix length. */
    static Type<Cidr> cidr() {
        return new ScalarType<>(
                "address/prefix",
                "an address with its prefix length such as 192.0.2.1/24",
                () -> SchemaWriter.pattern("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"),
                Types::cidr);
    }

    private static @Nullable Cidr cidr(Scalar s, Scope scope) {
        String text = s.text();
        int slash = text.indexOf('/');
        Optional<InetAddress> address = Addresses.parse(slash < 0 ? text : text.substring(0, slash));
        if (address.isEmpty()) {
            scope.error(
                    s, "expected an address with its prefix length such as 192.0.2.1/24, found " + Type.describe(s));
            return null;
        }
        int bits = address.get().getAddress().length * 8;
        if (slash < 0) {
            scope.error(s, "the prefix length is missing; write for instance " + text + (bits == 32 ? "/24" : "/64"));
            return null;
        }
        int prefix = smallNumber(text.substring(slash + 1));
        if (prefix < 0 || prefix > bits) {
            scope.error(
                    s,
                    "expected a prefix length from 0 to " + bits + " after the /, found "
                            + Type.quoted(text.substring(slash + 1)));
            return null;
        }
        return new Cidr(address.get(), prefix);
    }

    /** A prefix length, in digits or as a dotted netmask. */
    static Type<Integer> netmask(int bits) {
        String expected = bits == 32
                ? "a prefix length from 1 to 32 or a netmask such as 255.255.255.0"
                : "a prefix length from 1 to 128";
        return new ScalarType<>(
                bits == 32 ? "prefix length or netmask" : "prefix length",
                expected,
                () -> {
                    JsonObject schema = new JsonObject();
                    var either = new JsonArray();
                    JsonObject number = SchemaWriter.type("integer");
                    number.addProperty("minimum", 1);
                    number.addProperty("maximum", bits);
                    either.add(number);
                    if (bits == 32) {
                        either.add(SchemaWriter.pattern("^255\\.[0-9]+\\.[0-9]+\\.[0-9]+$"));
                    }
                    schema.add("anyOf", either);
                    return schema;
                },
                (s, scope) -> {
                    int prefix = s.kind() == Kind.INTEGER ? smallNumber(s.text()) : bits == 32 ? dotted(s.text()) : -1;
                    if (prefix < 1 || prefix > bits) {
                        scope.error(s, "expected " + expected + ", found " + Type.describe(s));
                        return null;
                    }
                    return prefix;
                });
    }

    private static int dotted(String text) {
        Optional<InetAddress> mask = Addresses.parse(text).filter(a -> a instanceof Inet4Address);
        if (mask.isEmpty()) {
            return -1;
        }
        int value = 0;
        for (byte b : mask.get().getAddress()) {
            value = value << 8 | (b & 255);
        }
        int ones = Integer.numberOfLeadingZeros(~value);
        return Integer.bitCount(value) == ones ? ones : -1;
    }

    /** Where a service listens. */
    static Type<Endpoint> endpoint() {
        return new ScalarType<>(
                "address:port/proto",
                "an address and port such as 192.0.2.1:80/tcp",
                () -> SchemaWriter.pattern(
                        "^([0-9.]+|\\[[0-9A-Fa-f.:]+\\]):([0-9]{1,5}(-[0-9]{1,5})?|[*])(/(tcp|udp))?$"),
                Types::endpoint);
    }

    private static @Nullable Endpoint endpoint(Scalar s, Scope scope) {
        String text = s.text();
        int slash = text.indexOf('/');
        Protocol protocol = Protocol.TCP;
        if (slash >= 0) {
            String word = text.substring(slash + 1);
            if (word.equals("udp")) {
                protocol = Protocol.UDP;
            } else if (!word.equals("tcp")) {
                scope.error(
                        s,
                        Type.quoted(word) + " is no protocol; write tcp or udp after the port"
                                + Suggestions.didYouMean(word, List.of("tcp", "udp")));
                return null;
            }
        }
        if (text.startsWith("*")) {
            scope.error(s, "for every address write 0.0.0.0, or [::] for IPv6, before the port");
            return null;
        }
        String place = slash < 0 ? text : text.substring(0, slash);
        int colon = place.lastIndexOf(':');
        String ports = place.substring(colon + 1);
        boolean several = colon > 0 && (ports.equals("*") || (ports.indexOf('-') >= 0 && ports.indexOf(']') < 0));
        Host host = host(s, several ? place.substring(0, colon) : place, scope);
        if (host == null) {
            return null;
        }
        if (host.port() == 0 && !several) {
            scope.error(s, "the port is missing; write for instance " + bracketed(host.host()) + ":80/tcp");
            return null;
        }
        if (!host.literal()) {
            scope.error(s, "a service listens on an IP address, found the name " + Type.quoted(host.host()));
            return null;
        }
        InetAddress address = Addresses.parse(host.host()).orElseThrow();
        return several ? range(s, address, ports, protocol, scope) : new Endpoint(address, host.port(), protocol);
    }

    private static @Nullable Endpoint range(
            Scalar s, InetAddress address, String ports, Protocol protocol, Scope scope) {
        if (ports.equals("*")) {
            return new Endpoint(address, 1, Endpoint.MAX_PORT, protocol);
        }
        int dash = ports.indexOf('-');
        int first = smallNumber(ports.substring(0, dash));
        int last = smallNumber(ports.substring(dash + 1));
        if (first < 1 || first > Endpoint.MAX_PORT || last < 1 || last > Endpoint.MAX_PORT) {
            scope.error(
                    s,
                    "expected two ports from 1 to 65535 after the last ':', such as 8000-8999, or * for every port,"
                            + " found " + Type.quoted(ports));
            return null;
        }
        if (last < first) {
            scope.error(s, "the range of ports ends before it begins; write " + last + "-" + first);
            return null;
        }
        return new Endpoint(address, first, last, protocol);
    }

    private static String bracketed(String host) {
        return host.indexOf(':') >= 0 ? "[" + host + "]" : host;
    }

    /** A host and perhaps a port. */
    static Type<Host> host() {
        return new ScalarType<>(
                "host:port",
                "a host and port such as 10.1.0.1:80",
                () -> SchemaWriter.pattern("^([^:\\[\\]/ ]+|\\[[0-9A-Fa-f.:]+\\])(:[0-9]{1,5})?$"),
                (s, scope) -> host(s, s.text(), scope));
    }

    private static @Nullable Host host(Scalar s, String text, Scope scope) {
        if (s.kind() != Kind.TEXT || text.isEmpty()) {
            scope.error(s, "expected a host and port such as 10.1.0.1:80, found " + Type.describe(s));
            return null;
        }
        String host = text;
        String port = "";
        if (text.charAt(0) == '[') {
            int close = text.indexOf(']');
            if (close < 0 || (close + 1 < text.length() && text.charAt(close + 1) != ':')) {
                scope.error(s, "an IPv6 address and port are written as [2001:db8::1]:80, found " + Type.quoted(text));
                return null;
            }
            host = text.substring(1, close);
            port = text.substring(close + 1);
            if (Addresses.parse(host).isEmpty() || host.indexOf(':') < 0) {
                scope.error(s, Type.quoted(host) + " is no IPv6 address");
                return null;
            }
        } else {
            int colon = text.indexOf(':');
            if (colon >= 0 && colon != text.lastIndexOf(':')) {
                boolean whole = Addresses.parse(text).isPresent();
                scope.error(
                        s,
                        whole
                                ? "put the IPv6 address in brackets, and the port behind them: \"[2001:db8::1]:80\""
                                : "expected host:port, and an IPv6 address in brackets, found " + Type.quoted(text));
                return null;
            }
            if (colon >= 0) {
                host = text.substring(0, colon);
                port = text.substring(colon);
            }
        }
        int number = 0;
        if (!port.isEmpty()) {
            number = smallNumber(port.substring(1));
            if (number < 1 || number > 65535) {
                scope.error(
                        s,
                        "expected a port from 1 to 65535 after the last ':', found " + Type.quoted(port.substring(1)));
                return null;
            }
        }
        boolean literal = Addresses.parse(host).isPresent();
        if (!literal && looksLikeIpv4(host)) {
            scope.error(s, Type.quoted(host) + " is no IPv4 address: four numbers from 0 to 255 with dots between");
            return null;
        }
        if (!literal && !HOST_NAME.matcher(host).matches()) {
            scope.error(s, Type.quoted(host) + " is neither an IP address nor a host name");
            return null;
        }
        return new Host(host, number, literal);
    }

    private static boolean looksLikeIpv4(String host) {
        boolean digit = false;
        for (int i = 0; i < host.length(); i++) {
            char c = host.charAt(i);
            digit |= c >= '0' && c <= '9';
            if (c != '.' && (c < '0' || c > '9')) {
                return false;
            }
        }
        return digit;
    }

    /** A number of at most five digits without a leading zero, else -1. */
    private static int smallNumber(String text) {
        if (text.isEmpty() || text.length() > 5 || (text.length() > 1 && text.charAt(0) == '0')) {
            return -1;
        }
        int value = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c < '0' || c > '9') {
                return -1;
            }
            value = value * 10 + c - '0';
        }
        return value;
    }

    /** A name of something in the description. */
    static Type<String> name(String what) {
        String expected = "the name of " + what;
        return new ScalarType<>(
                "name", expected, () -> SchemaWriter.pattern("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"), (s, scope) -> {
                    if (NAME.matcher(s.text()).matches()) {
                        return s.text();
                    }
                    scope.error(
                            s,
                            Type.quoted(s.text()) + " cannot be " + expected
                                    + ": letters, digits, '.', '_' and '-', at most 63, beginning with a letter or"
                                    + " digit");
                    return null;
                });
    }

    /** A list. */
    static <T> Type<List<T>> list(Type<T> item) {
        return new Type<>() {
            @Override
            @Nullable
            List<T> read(Node node, Scope scope) {
                if (!(node instanceof Node.Sequence sequence)) {
                    scope.error(
                            node,
                            "expected a list, found " + describe(node)
                                    + (node instanceof Scalar
                                            ? "; write it as [...] or with '- ' before each item"
                                            : ""));
                    return null;
                }
                return items(sequence, item, scope);
            }

            @Override
            String label() {
                return "list of " + item.label();
            }

            @Override
            String markdown() {
                return "list of " + item.markdown();
            }

            @Override
            void visitMaps(MapVisitor visitor) {
                item.visitMaps(visitor);
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                JsonObject schema = SchemaWriter.type("array");
                schema.add("items", item.jsonSchema(writer));
                return schema;
            }
        };
    }

    private static <T> List<T> items(Node.Sequence sequence, Type<T> item, Scope scope) {
        List<T> values = new ArrayList<>(sequence.items().size());
        int at = 0;
        for (Node node : sequence.items()) {
            scope.enter(at++);
            T value = item.read(node, scope);
            if (value != null) {
                values.add(value);
            }
            scope.leave();
        }
        return values;
    }

    /** A list, or one item without the list around it. */
    static <T> Type<List<T>> oneOrMore(Type<T> item) {
        Type<List<T>> list = list(item);
        return new Type<>() {
            @Override
            @Nullable
            List<T> read(Node node, Scope scope) {
                if (node instanceof Node.Sequence sequence) {
                    if (sequence.items().isEmpty()) {
                        scope.error(node, "the list is empty; it needs at least one item");
                    }
                    return list.read(node, scope);
                }
                T value = item.read(node, scope);
                return value == null ? null : List.of(value);
            }

            @Override
            String label() {
                return item.label() + ", or a list of them";
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                return anyOf(item.jsonSchema(writer), list.jsonSchema(writer));
            }
        };
    }

    /** A short form for the common case, and a map for the rest. */
    static <T> Type<T> shortOr(Type<T> scalar, MapType<T> map) {
        return new Type<>() {
            @Override
            @Nullable
            T read(Node node, Scope scope) {
                return node instanceof Node.Mapping ? map.read(node, scope) : scalar.read(node, scope);
            }

            @Override
            String label() {
                return scalar.label() + ", or a map";
            }

            @Override
            String markdown() {
                return scalar.markdown() + ", or " + map.markdown();
            }

            @Override
            void visitMaps(MapVisitor visitor) {
                map.visitMaps(visitor);
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                return anyOf(scalar.jsonSchema(writer), map.jsonSchema(writer));
            }
        };
    }

    /** A map of which nothing need be written. */
    static <T> Type<T> orNothing(MapType<T> map) {
        return new Type<>() {
            @Override
            @Nullable
            T read(Node node, Scope scope) {
                boolean nothing = node instanceof Scalar s && s.kind() == Kind.NULL;
                return map.read(nothing ? new Node.Mapping(node.line(), node.column(), List.of(), 1) : node, scope);
            }

            @Override
            String label() {
                return "a map, or nothing";
            }

            @Override
            String markdown() {
                return map.markdown() + ", or nothing";
            }

            @Override
            void visitMaps(MapVisitor visitor) {
                map.visitMaps(visitor);
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                return anyOf(map.jsonSchema(writer), SchemaWriter.type("null"));
            }
        };
    }

    /** Makes a value of another, or says why it cannot. */
    interface Mapping<S, T> {
        @Nullable
        T apply(S value, Node node, Scope scope);
    }

    /** The same value, made into something else. */
    static <S, T> Type<T> mapped(Type<S> type, Mapping<S, T> function) {
        return new Type<>() {
            @Override
            @Nullable
            T read(Node node, Scope scope) {
                S value = type.read(node, scope);
                return value == null ? null : function.apply(value, node, scope);
            }

            @Override
            String label() {
                return type.label();
            }

            @Override
            String markdown() {
                return type.markdown();
            }

            @Override
            void visitMaps(MapVisitor visitor) {
                type.visitMaps(visitor);
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                return type.jsonSchema(writer);
            }
        };
    }

    static JsonObject anyOf(JsonObject... schemas) {
        var either = new JsonArray();
        for (JsonObject schema : schemas) {
            either.add(schema);
        }
        var schema = new JsonObject();
        schema.add("anyOf", either);
        return schema;
    }

    /** A map from names that the user chooses. */
    static <T> Type<SequencedMap<String, T>> named(String what, Type<String> key, Type<T> value) {
        return new Type<>() {
            @Override
            @Nullable
            SequencedMap<String, T> read(Node node, Scope scope) {
                if (!(node instanceof Node.Mapping map)) {
                    scope.error(node, "expected a map by " + what + ", found " + describe(node));
                    return null;
                }
                SequencedMap<String, T> values = new LinkedHashMap<>();
                Map<String, Scalar> seen = new HashMap<>();
                for (Entry entry : map.entries()) {
                    scope.enter(entry.key().text());
                    String name = scope.key(entry.key(), key, seen);
                    T item = value.read(entry.value(), scope);
                    if (name != null && item != null) {
                        values.put(name, item);
                    }
                    scope.leave();
                }
                return values;
            }

            @Override
            String label() {
                return "map by " + what;
            }

            @Override
            String markdown() {
                return "map from " + what + " to " + value.markdown();
            }

            @Override
            void visitMaps(MapVisitor visitor) {
                value.visitMaps(visitor);
            }

            @Override
            JsonObject jsonSchema(SchemaWriter writer) {
                JsonObject schema = SchemaWriter.type("object");
                schema.add("propertyNames", key.jsonSchema(writer));
                schema.add("additionalProperties", value.jsonSchema(writer));
                return schema;
            }
        };
    }
}

package io.ballast.health.probe;

import java.io.ByteArrayOutputStream;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * As much of DNS' wire format (RFC 1035 section 4) as one question and its answers need. A name in a message may point
 * to an earlier place in it; every pointer followed here must point further back than the one before, so that no
 * message can send the reader round in circles.
 *
 * @param truncated whether the rest is to be had by TCP only
 * @param answers the records of the answer section
 */
record DnsMessage(int id, boolean response, boolean truncated, int rcode, String question, List<Answer> answers) {

    /** A record in its text form (RFC 1035 section 5.1), names without the dot at their end. */
    record Answer(int type, String text) {}

    static final int MAX = 65_535;

    private static final int HEADER = 12;
    private static final int MAX_NAME = 255;
    private static final int IN = 1;

    static final Map<String, Integer> TYPES = Map.ofEntries(
            Map.entry("A", 1),
            Map.entry("NS", 2),
            Map.entry("CNAME", 5),
            Map.entry("SOA", 6),
            Map.entry("PTR", 12),
            Map.entry("MX", 15),
            Map.entry("TXT", 16),
            Map.entry("AAAA", 28),
            Map.entry("SRV", 33));

    private static final List<String> RCODES =
            List.of("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED");

    /** The number of a type: its name, or a number. */
    static int type(String text) {
        Integer known = TYPES.get(text.toUpperCase(Locale.ROOT));
        int number = known != null ? known : text.matches("[0-9]{1,5}") ? Integer.parseInt(text) : 0;
        if (number < 1 || number > MAX) {
            throw new IllegalArgumentException("\"" + text + "\" is no type of DNS record");
        }
        return number;
    }

    /** The name of a response code, or its number. */
    static String rcodeName(int rcode) {
        return rcode < RCODES.size() ? RCODES.get(rcode) : "response code " + rcode;
    }

    /**
     * A question for a recursive or an authoritative server.
     *
     * @throws IllegalArgumentException for a name that DNS has no room for
     */
    static byte[] query(int id, String name, int type) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(new byte[] {(byte) (id >> 8), (byte) id, 1 /* recursion desired */, 0, 0, 1, 0, 0, 0, 0, 0, 0});
        int length = 1;
        for (String label : withoutDot(name).split("\\.", -1)) {
            byte[] bytes = label.getBytes(StandardCharsets.UTF_8);
            length += bytes.length + 1;
            boolean root = withoutDot(name).isEmpty();
            if ((!root && (bytes.length == 0 || bytes.length > 63)) || length > MAX_NAME) {
                throw new IllegalArgumentException("\"" + name + "\" is no name that DNS can be asked for");
            }
            if (!root) {
                out.write(bytes.length);
                out.writeBytes(bytes);
            }
        }
        out.writeBytes(new byte[] {0, (byte) (type >> 8), (byte) type, 0, IN});
        return out.toByteArray();
    }

    static String withoutDot(String name) {
        return name.endsWith(".") ? name.substring(0, name.length() - 1) : name;
    }

    /** The question of {@link #query} as {@link #question()} shows it. */
    static String question(String name, int type) {
        return withoutDot(name).toLowerCase(Locale.ROOT) + " " + type;
    }

    /** Reads a message. */
    static DnsMessage read(byte[] bytes, int length) throws ProbeFailure {
        Reader in = new Reader(bytes, length);
        int id = in.number16();
        int flags = in.number16();
        int questions = in.number16();
        int answerCount = in.number16();
        in.position = HEADER;
        if (questions > 1) {
            throw new ProbeFailure("the server answers " + questions + " questions, one was asked");
        }
        String question = "";
        if (questions == 1) {
            String name = in.name();
            int type = in.number16();
            if (in.number16() == IN) {
                question = question(name, type);
            }
        }
        boolean truncated = (flags & 0x0200) != 0;
        List<Answer> answers = new ArrayList<>();
        for (int i = 0; i < answerCount && !truncated; i++) {
            answers.add(in.answer());
        }
        return new DnsMessage(id, (flags & 0x8000) != 0, truncated, flags & 0xf, question, List.copyOf(answers));
    }

    private static final class Reader {
        private final byte[] bytes;
        private final int end;
        private int position;

        Reader(byte[] bytes, int length) {
            this.bytes = bytes;
            this.end = length;
        }

        int number8() throws ProbeFailure {
            if (position >= end) {
                throw malformed();
            }
            return bytes[position++] & 0xff;
        }

        int number16() throws ProbeFailure {
            return (number8() << 8) | number8();
        }

        long number32() throws ProbeFailure {
            return ((long) number16() << 16) | number16();
        }

        String name() throws ProbeFailure {
            StringBuilder name = new StringBuilder();
            int at = position;
            int furthest = position;
            boolean jumped = false;
            while (true) {
                if (at >= end) {
                    throw malformed();
                }
                int length = bytes[at] & 0xff;
                if (length >= 0xc0) {
                    if (at + 1 >= end) {
                        throw malformed();
                    }
                    int to = ((length & 0x3f) << 8) | (bytes[at + 1] & 0xff);
                    if (!jumped) {
                        position = at + 2;
                        jumped = true;
                    }
                    if (to >= furthest) {
                        throw malformed();
                    }
                    furthest = to;
                    at = to;
                } else if (length >= 0x40) {
                    throw malformed();
                } else if (length == 0) {
                    if (!jumped) {
                        position = at + 1;
                    }
                    return name.toString();
                } else {
                    if (at + 1 + length > end || name.length() + length + 1 > MAX_NAME) {
                        throw malformed();
                    }
                    if (!name.isEmpty()) {
                        name.append('.');
                    }
                    name.append(new String(bytes, at + 1, length, StandardCharsets.ISO_8859_1));
                    at += length + 1;
                }
            }
        }

        Answer answer() throws ProbeFailure {
            String _ = name();
            int type = number16();
            position += 6; // class and time to live
            int length = number16();
            int next = position + length;
            if (next > end) {
                throw malformed();
            }
            String text = switch (type) {
                case 1 -> length == 4 ? address(4) : unknown(length);
                case 28 -> length == 16 ? address(16) : unknown(length);
                case 2, 5, 12 -> name();
                case 15 -> number16() + " " + name();
                case 33 -> number16() + " " + number16() + " " + number16() + " " + name();
                case 6 ->
                    name() + " " + name() + " " + number32() + " " + number32() + " " + number32() + " " + number32()
                            + " " + number32();
                case 16 -> strings(next);
                default -> unknown(length);
            };
            if (position > next) {
                throw malformed();
            }
            position = next;
            return new Answer(type, text);
        }

        private String address(int length) throws ProbeFailure {
            byte[] address = new byte[length];
            System.arraycopy(bytes, position, address, 0, length);
            position += length;
            return addressText(address);
        }

        private String strings(int next) throws ProbeFailure {
            StringBuilder text = new StringBuilder();
            while (position < next) {
                int length = number8();
                if (position + length > next) {
                    throw malformed();
                }
                text.append(new String(bytes, position, length, StandardCharsets.UTF_8));
                position += length;
            }
            return text.toString();
        }

        /** RFC 3597 section 5. */
        private String unknown(int length) {
            String text = "\\# " + length + " " + HexFormat.of().formatHex(bytes, position, position + length);
            position += length;
            return text;
        }

        private static ProbeFailure malformed() {
            return new ProbeFailure("the server's answer is malformed");
        }
    }

    private static String addressText(byte[] address) throws ProbeFailure {
        try {
            // An IPv4-mapped address must stay the IPv6 address that it is in an AAAA record.
            InetAddress parsed = address.length == 16
                    ? Inet6Address.getByAddress("", address, -1)
                    : InetAddress.getByAddress(address);
            return parsed.getHostAddress();
        } catch (UnknownHostException e) {
            throw new ProbeFailure("the server's answer holds no address");
        }
    }

    /** Whether an answer has the text form that a check expects, written in whatever way. */
    static boolean matches(Answer answer, String expected) {
        if (answer.type() == 1 || answer.type() == 28) {
            String same = normalAddress(expected);
            return same != null && same.equals(answer.text());
        }
        if (answer.type() == 16) {
            return answer.text().equals(expected) || ("\"" + answer.text() + "\"").equals(expected);
        }
        return answer.text().equalsIgnoreCase(withoutDots(expected));
    }

    private static @Nullable String normalAddress(String text) {
        try {
            return addressText(InetAddress.ofLiteral(text).getAddress());
        } catch (IllegalArgumentException | ProbeFailure e) {
            return null;
        }
    }

    private static String withoutDots(String text) {
        return String.join(
                " ",
                List.of(text.strip().split(" +")).stream()
                        .map(DnsMessage::withoutDot)
                        .toList());
    }
}

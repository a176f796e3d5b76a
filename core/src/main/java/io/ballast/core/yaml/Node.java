package io.ballast.core.yaml;

import java.util.List;

/** A part of a YAML document: a scalar, a list or a map, and where it begins. */
public sealed interface Node {

    /** The line, from 1. */
    int line();

    /** The column in characters (code points), from 1. */
    int column();

    /** Nodes in it, itself included. */
    int size();

    /**
     * A text as written.
     *
     * @param text without quotes, escapes resolved
     * @param plain whether it was written without quotes, and so may be a number, a boolean or null
     */
    record Scalar(int line, int column, String text, boolean plain) implements Node {

        @Override
        public int size() {
            return 1;
        }

        /** What YAML 1.2's core schema takes the scalar for (YAML 1.2.2, section 10.3.2). */
        public Kind kind() {
            return plain ? Kind.of(text) : Kind.TEXT;
        }
    }

    /** A list. */
    record Sequence(int line, int column, List<Node> items, int size) implements Node {}

    /** A map; its entries in the file's order, duplicates included. */
    record Mapping(int line, int column, List<Entry> entries, int size) implements Node {}

    /** One entry of a map. */
    record Entry(Scalar key, Node value) {}

    /** What a scalar stands for. */
    enum Kind {
        /** Nothing, {@code ~} or {@code null}. */
        NULL,
        /** {@code true} or {@code false}. */
        BOOLEAN,
        /** A whole number. */
        INTEGER,
        /** A number with a fraction or an exponent, infinity or not-a-number. */
        FLOAT,
        /** Anything else. */
        TEXT;

        /** The same for any text without quotes. */
        public static Kind of(String text) {
            return switch (text) {
                case "", "~", "null", "Null", "NULL" -> NULL;
                case "true", "True", "TRUE", "false", "False", "FALSE" -> BOOLEAN;
                case ".nan", ".NaN", ".NAN" -> FLOAT;
                default -> {
                    int start = text.charAt(0) == '-' || text.charAt(0) == '+' ? 1 : 0;
                    yield switch (text.substring(start)) {
                        case ".inf", ".Inf", ".INF" -> FLOAT;
                        default -> number(text, start);
                    };
                }
            };
        }

        private static Kind number(String text, int start) {
            int end = text.length();
            if (start == 0 && end > 2 && text.charAt(0) == '0') {
                int radix = text.charAt(1) == 'x' ? 16 : text.charAt(1) == 'o' ? 8 : 0;
                if (radix > 0) {
                    return digits(text, 2, radix) == end ? INTEGER : TEXT;
                }
            }
            int at = digits(text, start, 10);
            int whole = at - start;
            if (at == end) {
                return whole > 0 ? INTEGER : TEXT;
            }
            int fraction = 0;
            if (text.charAt(at) == '.') {
                int after = digits(text, at + 1, 10);
                fraction = after - at - 1;
                at = after;
            }
            if (whole + fraction == 0) {
                return TEXT;
            }
            if (at < end && (text.charAt(at) == 'e' || text.charAt(at) == 'E')) {
                int sign = at + 1 < end && (text.charAt(at + 1) == '-' || text.charAt(at + 1) == '+') ? 1 : 0;
                int after = digits(text, at + 1 + sign, 10);
                if (after == at + 1 + sign) {
                    return TEXT;
                }
                at = after;
            }
            return at == end ? FLOAT : TEXT;
        }

        private static int digits(String text, int from, int radix) {
            int at = from;
            while (at < text.length() && Character.digit(text.charAt(at), radix) >= 0 && text.charAt(at) < 128) {
                at++;
            }
            return at;
        }
    }
}

package io.ballast.health.probe;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * An HTTP answer.
 *
 * @param headers by lower-case name; of several with one name, the last
 * @param trailers what came after the body
 */
record HttpAnswer(int status, Map<String, String> headers, Body body, Map<String, String> trailers) {

    /** Bytes of status line, headers and trailers that are read. */
    static final int MAX_HEAD = 64 * 1024;

    /** Bytes of body that are read. */
    static final int MAX_BODY = 1024 * 1024;

    /**
     * Reads an answer of HTTP/1.0 or HTTP/1.1 (RFC 9112), interim ones (1xx) left out.
     *
     * @param toHead whether the request was HEAD, whose answer has no body
     */
    static HttpAnswer read(BoundedInput in, boolean toHead) throws IOException, ProbeFailure {
        Head head = new Head(in);
        int status;
        Map<String, String> headers;
        do {
            status = status(head.line());
            headers = head.fields();
        } while (status < 200 && status != 101);
        if (toHead || status == 101 || status == 204 || status == 304) {
            return new HttpAnswer(status, headers, new Body(), Map.of());
        }
        Body body = new Body();
        Map<String, String> trailers = Map.of();
        String coding = headers.get("transfer-encoding");
        if (coding != null) {
            if (!coding.toLowerCase(Locale.ROOT).equals("chunked")) {
                throw new ProbeFailure("HTTP " + status + " with transfer coding \"" + coding
                        + "\": only chunked is understood, and no other was asked for");
            }
            if (chunks(in, body)) {
                trailers = head.fields();
            }
        } else if (headers.containsKey("content-length")) {
            body.take(in, contentLength(headers.getOrDefault("content-length", "")));
        } else {
            body.takeAll(in);
        }
        return new HttpAnswer(status, headers, body, trailers);
    }

    private static int status(String line) throws ProbeFailure {
        boolean http = line.length() >= 12
                && line.startsWith("HTTP/1.")
                && Character.isDigit(line.charAt(7))
                && line.charAt(8) == ' '
                && (line.length() == 12 || line.charAt(12) == ' ');
        int status = http ? number(line.substring(9, 12), 10, 999) : -1;
        if (status < 100) {
            String shown = line.length() > 60 ? line.substring(0, 57) + "..." : line;
            throw new ProbeFailure("the server does not speak HTTP here: it answered \"" + shown + "\"");
        }
        return status;
    }

    private static long contentLength(String text) throws ProbeFailure {
        if (text.isEmpty() || text.length() > 18 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw new ProbeFailure("the server's Content-Length is \"" + text + "\"");
        }
        return Long.parseLong(text);
    }

    /** Reads a number without sign; -1 where it is none, or above {@code max}. */
    private static int number(String digits, int radix, int max) {
        long value = 0;
        for (int i = 0; i < digits.length(); i++) {
            char c = digits.charAt(i);
            int digit = c < 0x80 ? Character.digit(c, radix) : -1;
            if (digit < 0) {
                return -1;
            }
            value = value * radix + digit;
            if (value > max) {
                return -1;
            }
        }
        return digits.isEmpty() ? -1 : (int) value;
    }

    /** Reads chunks; false where the body grew too long and the rest is left. */
    private static boolean chunks(BoundedInput in, Body body) throws IOException, ProbeFailure {
        while (true) {
            String line = in.needLine(1024);
            int extension = line.indexOf(';');
            String digits = (extension < 0 ? line : line.substring(0, extension)).strip();
            int size = number(digits, 16, Integer.MAX_VALUE);
            if (size < 0) {
                throw new ProbeFailure("a chunk of the body begins with \"" + line + "\" instead of its size");
            }
            if (size == 0) {
                return true;
            }
            body.take(in, size);
            if (body.truncated) {
                return false;
            }
            if (!in.needLine(2).isEmpty()) {
                throw new ProbeFailure("a chunk of the body is longer than it says");
            }
        }
    }

    /** Lines of heads, with one bound for all of them together. */
    private static final class Head {
        private final BoundedInput in;
        private int left = MAX_HEAD;

        Head(BoundedInput in) {
            this.in = in;
        }

        String line() throws IOException, ProbeFailure {
            if (left <= 0) {
                throw new ProbeFailure("the head of the answer is longer than " + MAX_HEAD + " bytes");
            }
            String line = in.needLine(left);
            left -= line.length() + 2;
            return line;
        }

        Map<String, String> fields() throws IOException, ProbeFailure {
            Map<String, String> fields = new HashMap<>();
            while (true) {
                String line = line();
                if (line.isEmpty()) {
                    return fields;
                }
                int colon = line.indexOf(':');
                if (colon <= 0) {
                    throw new ProbeFailure("the answer's head has a line without a field name");
                }
                String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
                String value = line.substring(colon + 1).strip();
                String before = fields.put(name, value);
                if (before != null && name.equals("content-length") && !before.equals(value)) {
                    throw new ProbeFailure("the answer has two different Content-Length fields");
                }
            }
        }
    }

    /** A body as it grows, up to {@link #MAX_BODY}. */
    static final class Body {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private boolean truncated;

        byte[] bytes() {
            return bytes.toByteArray();
        }

        int size() {
            return bytes.size();
        }

        /** Whether there was more, which was not read. */
        boolean truncated() {
            return truncated;
        }

        void add(byte[] from, int offset, int length) {
            int room = MAX_BODY - bytes.size();
            bytes.write(from, offset, Math.min(length, room));
            truncated |= length > room;
        }

        private void take(BoundedInput in, long length) throws IOException {
            byte[] piece = new byte[(int) Math.min(length, 4096)];
            long left = length;
            while (left > 0 && !truncated) {
                int count = in.read(piece, 0, (int) Math.min(left, piece.length));
                if (count < 0) {
                    throw new EOFException();
                }
                add(piece, 0, count);
                left -= count;
            }
        }

        private void takeAll(BoundedInput in) throws IOException {
            byte[] piece = new byte[4096];
            int count;
            while (!truncated && (count = in.read(piece, 0, piece.length)) >= 0) {
                add(piece, 0, count);
            }
        }
    }
}

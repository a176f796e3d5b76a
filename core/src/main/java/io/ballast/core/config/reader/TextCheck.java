package io.ballast.core.config.reader;

import io.ballast.core.config.Problem.Severity;

/** What can be told from the bytes alone: UTF-8, and only characters that a description may have. */
final class TextCheck {
    private static final int MAX_LINE = 1 << 20;
    private static final int MAX_REPORTED = 20;

    private final byte[] text;
    private final Problems problems;
    private int line = 1;
    private int column = 1;
    private int reported;

    private TextCheck(byte[] text, Problems problems) {
        this.text = text;
        this.problems = problems;
    }

    /** Whether {@code problems} was told of any. */
    static boolean check(byte[] text, Problems problems) {
        int first = text.length < 2 ? 0 : (text[0] & 255) << 8 | (text[1] & 255);
        if (first == 0xFEFF || first == 0xFFFE) {
            problems.add(Severity.ERROR, 1, 1, "", "the file is UTF-16; save it as UTF-8");
            return true;
        }
        var check = new TextCheck(text, problems);
        check.run();
        return check.reported > 0;
    }

    private void run() {
        int lineStart = 0;
        for (int at = 0; at < text.length && reported < MAX_REPORTED; ) {
            int b = text[at];
            if (b == '\n') {
                line++;
                column = 1;
                lineStart = ++at;
            } else if (b >= ' ' && b < 0x7F) {
                column++;
                at++;
            } else if (b >= 0) {
                if (b != '\t' && b != '\r') {
                    report(b == 0 ? "a NUL byte; is this a text file?" : "the control character U+%04X".formatted(b));
                }
                column++;
                at++;
            } else {
                at += multibyte(at);
                column++;
            }
            if (at - lineStart > MAX_LINE) {
                report("a line of more than " + (MAX_LINE >> 20) + " MiB");
                return;
            }
        }
    }

    /** Checks the sequence at {@code at} (RFC 3629) and returns its length. */
    private int multibyte(int at) {
        int b = text[at] & 255;
        int length = b >= 0xF0 && b <= 0xF4 ? 4 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xC2 && b < 0xE0 ? 2 : 1;
        if (length == 1 || at + length > text.length) {
            report("the byte 0x%02X is not UTF-8; save the file as UTF-8".formatted(b));
            return 1;
        }
        int code = b & (0x7F >> length);
        for (int i = 1; i < length; i++) {
            int next = text[at + i] & 255;
            if ((next & 0xC0) != 0x80) {
                report("the byte 0x%02X is not UTF-8; save the file as UTF-8".formatted(b));
                return 1;
            }
            code = code << 6 | (next & 0x3F);
        }
        boolean overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
        boolean surrogate = code >= 0xD800 && code <= 0xDFFF;
        if (overlong || surrogate || code > 0x10FFFF) {
            report("the byte 0x%02X is not UTF-8; save the file as UTF-8".formatted(b));
            return 1;
        }
        boolean mark = code == 0xFEFF && at > 0;
        if (mark || code < 0xA0 || code == 0x2028 || code == 0x2029 || code == 0xFFFE || code == 0xFFFF) {
            report(
                    mark
                            ? "a byte order mark within the text; remove it"
                            : "the control character U+%04X".formatted(code));
        }
        return length;
    }

    private void report(String message) {
        problems.add(Severity.ERROR, line, column, "", message);
        reported++;
    }
}

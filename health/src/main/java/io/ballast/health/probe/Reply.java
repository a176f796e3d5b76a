package io.ballast.health.probe;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A reply of SMTP (RFC 5321 section 4.2) or FTP (RFC 959 section 4.2): three digits and a text, over several lines where
 * a hyphen follows the digits.
 */
record Reply(int code, List<String> lines) {

    private static final int MAX_LINE = 2048;
    private static final int MAX_LINES = 200;

    static Reply read(BoundedInput in) throws IOException, ProbeFailure {
        String first = in.needLine(MAX_LINE);
        if (first.length() < 3 || !first.substring(0, 3).chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw new ProbeFailure("the server answered " + quote(first) + ", which is not a reply with a code");
        }
        int code = Integer.parseInt(first.substring(0, 3));
        List<String> lines = new ArrayList<>();
        lines.add(first);
        boolean more = first.startsWith("-", 3);
        while (more) {
            if (lines.size() == MAX_LINES) {
                throw new ProbeFailure("the server's reply has more than " + MAX_LINES + " lines");
            }
            String line = in.needLine(MAX_LINE);
            lines.add(line);
            more = !(line.startsWith(first.substring(0, 3)) && !line.startsWith("-", 3));
        }
        return new Reply(code, List.copyOf(lines));
    }

    /** Fails unless the reply has this code. */
    Reply expect(int wanted, String after) throws ProbeFailure {
        if (code != wanted) {
            throw new ProbeFailure(after + " answered by " + quote(lines.getFirst()) + ", expected " + wanted);
        }
        return this;
    }

    /** The beginning of what a server said, in quotes. */
    static String quote(String text) {
        return "\"" + (text.length() > 80 ? text.substring(0, 77) + "..." : text) + "\"";
    }
}

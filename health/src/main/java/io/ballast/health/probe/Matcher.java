package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.health.Deadline;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What an answer must contain. The search of a regular expression ends at the deadline too: a pattern can take
 * exponential time on the wrong text, and the text is the server's.
 */
final class Matcher {

    private final TextMatch match;
    private final @Nullable Pattern pattern;

    /**
     * Compiles it.
     *
     * @throws java.util.regex.PatternSyntaxException for a wrong regular expression
     */
    Matcher(TextMatch match) {
        this.match = match;
        this.pattern = match.regex() ? Pattern.compile(match.text()) : null;
    }

    /** Whether the text contains it. */
    boolean foundIn(CharSequence text, Deadline deadline) throws ProbeFailure {
        if (pattern == null) {
            return text.toString().contains(match.text());
        }
        try {
            return pattern.matcher(new Watched(text, deadline)).find();
        } catch (StackOverflowError e) {
            throw new ProbeFailure("the search for " + this + " needs too much stack: simplify the expression");
        } catch (TimeUp e) {
            throw new ProbeFailure("the search for " + this + " takes too long: simplify the expression");
        }
    }

    /** As above for bytes of a protocol without a charset: see {@link #charset}. */
    boolean foundIn(byte[] bytes, int length, Deadline deadline) throws ProbeFailure {
        return foundIn(new String(bytes, 0, length, charset(match.text())), deadline);
    }

    /**
     * How a text from the description stands for bytes: where all its characters are below U+0100, each is one byte, so
     * that {@code "\xff"} means that byte; else it is UTF-8.
     */
    static Charset charset(String text) {
        return text.chars().allMatch(c -> c < 0x100) ? StandardCharsets.ISO_8859_1 : StandardCharsets.UTF_8;
    }

    /** The bytes that a text from the description stands for. */
    static byte[] bytes(String text) {
        return text.getBytes(charset(text));
    }

    /** The beginning of an answer, for people. */
    static String shown(byte[] bytes, int length) {
        return new String(bytes, 0, Math.min(length, 1024), StandardCharsets.UTF_8);
    }

    @Override
    public String toString() {
        String shown = match.text().length() > 60 ? match.text().substring(0, 57) + "..." : match.text();
        return (match.regex() ? "expression \"" : "text \"") + shown + "\"";
    }

    private static final class TimeUp extends RuntimeException {
        TimeUp() {
            super(null, null, false, false);
        }
    }

    /** A text that is no longer there once the deadline has passed. */
    private static final class Watched implements CharSequence {
        private final CharSequence text;
        private final Deadline deadline;
        private int reads;

        Watched(CharSequence text, Deadline deadline) {
            this.text = text;
            this.deadline = deadline;
        }

        @Override
        public char charAt(int index) {
            if ((++reads & 0xffff) == 0 && deadline.passed()) {
                throw new TimeUp();
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return text.subSequence(start, end);
        }

        @Override
        public String toString() {
            return text.toString();
        }
    }
}

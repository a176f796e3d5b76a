package io.ballast.core.config.reader;

import io.ballast.core.config.Problem;
import io.ballast.core.config.Problem.Severity;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Collects what is wrong with one text, and adds the excerpts at the end. Whatever the text, it keeps only so many as are
 * shown, and counts the rest.
 */
final class Problems {
    /** More than these are counted, but not shown. */
    static final int MAX_SHOWN = 100;

    /** After so many errors the text is hardly a description, and the rest of it is not read. */
    static final int MAX_ERRORS = 1000;

    /** Excerpts of what stands farther right would cost more than they tell. */
    private static final int MAX_EXCERPT_COLUMN = 10_000;

    private static final int EXCERPT_WIDTH = 110;

    private record Found(Severity severity, int line, int column, String path, String message) {}

    private final String file;
    private final byte[] text;
    /** The first {@link #MAX_SHOWN} errors and as many warnings, in the order they were found. */
    private final List<Found> found = new ArrayList<>();

    /** Lines with a secret: no excerpt shows them. */
    private final Set<Integer> hidden = new HashSet<>();

    private int errors;
    private int warnings;
    private boolean stopped;

    /** How much was found at some moment. */
    record Mark(int kept, int errors, int warnings) {}

    Problems(String file, byte[] text) {
        this.file = file;
        this.text = text;
    }

    void add(Severity severity, int line, int column, String path, String message) {
        int before = severity == Severity.ERROR ? errors++ : warnings++;
        if (before < MAX_SHOWN) {
            found.add(new Found(severity, line, column, path, message));
        }
    }

    /** A secret stands in the line: it is not shown. */
    void hide(int line) {
        hidden.add(line);
    }

    /** A mark to return to with {@link #forget}. */
    Mark mark() {
        return new Mark(found.size(), errors, warnings);
    }

    /** Takes back what was added since the mark. */
    void forget(Mark mark) {
        found.subList(mark.kept(), found.size()).clear();
        errors = mark.errors();
        warnings = mark.warnings();
    }

    boolean anyErrorSince(Mark mark) {
        return errors > mark.errors();
    }

    boolean anyError() {
        return errors > 0;
    }

    /** Whether reading on is of no use, in which case it is to end here. */
    boolean stop() {
        stopped |= errors >= MAX_ERRORS;
        return stopped;
    }

    /** Whether the reading ended before the text did. */
    boolean stopped() {
        return stopped;
    }

    boolean isEmpty() {
        return found.isEmpty();
    }

    /** What was found, in the order of the text. */
    List<Problem> list() {
        found.sort(Comparator.comparingInt(Found::line).thenComparingInt(Found::column));
        List<Problem> shown = new ArrayList<>();
        int at = 0;
        int line = 1;
        boolean warningsToo = errors + warnings <= MAX_SHOWN;
        for (Found f : found) {
            if (shown.size() == MAX_SHOWN) {
                break;
            }
            if (f.severity() == Severity.WARNING && !warningsToo && errors > 0) {
                continue;
            }
            while (line < f.line() && at < text.length) {
                if (text[at++] == '\n') {
                    line++;
                }
            }
            boolean visible = f.line() > 0 && f.column() <= MAX_EXCERPT_COLUMN && !hidden.contains(f.line());
            String excerpt = visible ? excerpt(at, f.line(), f.column()) : "";
            shown.add(new Problem(f.severity(), file, f.line(), f.column(), f.path(), f.message(), excerpt));
        }
        int left = errors + warnings - shown.size();
        if (left > 0) {
            Severity severity = errors > 0 ? Severity.ERROR : Severity.WARNING;
            shown.add(new Problem(
                    severity,
                    file,
                    0,
                    0,
                    "",
                    "and " + left + " more problems like these" + (stopped ? "; the rest was not read" : ""),
                    ""));
        }
        return List.copyOf(shown);
    }

    private String excerpt(int start, int line, int column) {
        int end = start;
        while (end < text.length && text[end] != '\n' && end - start < 4 * (column + EXCERPT_WIDTH)) {
            end++;
        }
        String whole = new String(text, start, end - start, StandardCharsets.UTF_8);
        int[] characters = whole.codePoints()
                .map(c -> c == '\t' || c == '\uFEFF' || Character.isISOControl(c) ? ' ' : c)
                .toArray();
        int from = Math.max(0, Math.min(column - 1, characters.length) - EXCERPT_WIDTH * 2 / 3);
        int to = Math.min(characters.length, from + EXCERPT_WIDTH);
        String shown = new String(characters, from, to - from).stripTrailing();
        String number = Integer.toString(line);
        String before = from > 0 ? "..." : "";
        int caret = before.length() + column - 1 - from;
        return "  " + number + " | " + before + shown + "\n  " + " ".repeat(number.length()) + " | "
                + " ".repeat(Math.max(0, caret)) + "^";
    }
}

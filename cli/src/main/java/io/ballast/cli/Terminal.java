package io.ballast.cli;

import com.google.gson.JsonElement;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Where a verb writes: results to {@link #out}, progress and errors to {@link #err}.
 *
 * <p>The JVM cannot tell cheaply which of its streams is a terminal; the launcher can, and says so in the system
 * property {@code ballast.tty} ({@code out}, {@code err} or {@code out,err}). Colours are used on a terminal only, and
 * never with NO_COLOR in the environment (no-color.org).
 */
public final class Terminal {
    private final PrintStream out;
    private final PrintStream err;
    private final boolean outTty;
    private final boolean errTty;
    private final boolean colour;

    /**
     * @param tty which of the streams are terminals: {@code out}, {@code err}, both with a comma, or none
     * @param environment for NO_COLOR and TERM
     */
    public Terminal(PrintStream out, PrintStream err, String tty, Map<String, String> environment) {
        this.out = out;
        this.err = err;
        this.outTty = tty.contains("out");
        this.errTty = tty.contains("err");
        this.colour = environment.getOrDefault("NO_COLOR", "").isEmpty()
                && !environment.getOrDefault("TERM", "dumb").equals("dumb");
    }

    /** The process's own streams, in UTF-8 and buffered; {@link #flush} before the end. */
    static Terminal ofProcess() {
        return new Terminal(
                new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8),
                new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8),
                System.getProperty("ballast.tty", ""),
                System.getenv());
    }

    /** For results. */
    public PrintStream out() {
        return out;
    }

    /** For progress and errors. */
    public PrintStream err() {
        return err;
    }

    /** Whether {@link #out} is a terminal, so that a table may be drawn over itself. */
    public boolean interactive() {
        return outTty;
    }

    /** Whether {@link #err} is a terminal, so that progress may be drawn over itself. */
    public boolean progress() {
        return errTty;
    }

    /** The text for {@link #out} in this style, or as it is where colours are not wanted. */
    public String style(Style style, String text) {
        return outTty && colour ? style.code + text + Style.RESET : text;
    }

    /** The text for {@link #err} in this style, or as it is where colours are not wanted. */
    public String errorStyle(Style style, String text) {
        return errTty && colour ? style.code + text + Style.RESET : text;
    }

    /** Writes JSON to {@link #out}, and a line end. */
    public void json(JsonElement element) {
        out.println(element);
    }

    /** Writes what is buffered. */
    public void flush() {
        out.flush();
        err.flush();
    }

    /** How text looks. */
    public enum Style {
        /** Headings. */
        BOLD("\033[1m"),
        /** Of little importance. */
        DIM("\033[2m"),
        /** Wrong, down. */
        RED("\033[31m"),
        /** Right, up. */
        GREEN("\033[32m"),
        /** Doubtful, draining. */
        YELLOW("\033[33m");

        private static final String RESET = "\033[0m";
        private final String code;

        Style(String code) {
            this.code = code;
        }
    }
}

package io.ballast.cli;

import com.google.gson.JsonElement;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

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
    private final @Nullable Watched watched;

    /**
     * @param tty which of the streams are terminals: {@code out}, {@code err}, both with a comma, or none
     * @param environment for NO_COLOR and TERM
     */
    public Terminal(PrintStream out, PrintStream err, String tty, Map<String, String> environment) {
        this(out, err, tty, environment, null);
    }

    private Terminal(
            PrintStream out, PrintStream err, String tty, Map<String, String> environment, @Nullable Watched watched) {
        this.watched = watched;
        this.out = out;
        this.err = err;
        this.outTty = tty.contains("out");
        this.errTty = tty.contains("err");
        this.colour = environment.getOrDefault("NO_COLOR", "").isEmpty()
                && !environment.getOrDefault("TERM", "dumb").equals("dumb");
    }

    /** The process's own streams, in UTF-8 and buffered; {@link #flush} before the end. */
    static Terminal ofProcess() {
        return of(
                new FileOutputStream(FileDescriptor.out),
                new FileOutputStream(FileDescriptor.err),
                System.getProperty("ballast.tty", ""),
                System.getenv());
    }

    static Terminal of(OutputStream out, OutputStream err, String tty, Map<String, String> environment) {
        Watched watched = new Watched(out);
        return new Terminal(
                new PrintStream(watched, false, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                tty,
                environment,
                watched);
    }

    /** Remembers what went wrong in writing, which a PrintStream keeps to itself. */
    private static final class Watched extends FilterOutputStream {
        private volatile @Nullable IOException failure;

        Watched(OutputStream out) {
            super(out);
        }

        @Override
        public void write(int b) throws IOException {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            try {
                out.write(bytes, offset, length);
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                }
                throw e;
            }
        }
    }

    /** Why not all of {@link #out} was written, where that is known. */
    Optional<IOException> lost() {
        return watched == null ? Optional.empty() : Optional.ofNullable(watched.failure);
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

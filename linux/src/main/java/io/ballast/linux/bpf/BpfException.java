package io.ballast.linux.bpf;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.util.List;

/**
 * libbpf could not open or load an object. The message names the operation, the object and the error, and ends with the
 * last lines of what libbpf and the kernel's verifier said; {@link #log()} has all of it.
 */
public final class BpfException extends IOException {
    private static final long serialVersionUID = 1L;

    private static final int LAST_LINES = 25;

    private final int number;
    private final String log;

    BpfException(int number, String operation, String object, String log) {
        super(text(number, operation, object, log));
        this.number = number;
        this.log = log;
    }

    /** The error; {@link Errno#UNKNOWN} for one of libbpf's own. */
    public Errno errno() {
        return Errno.of(number);
    }

    /** The error number (positive); from 4000 on it is one of libbpf's own. */
    public int number() {
        return number;
    }

    /** All that libbpf and the verifier said, a line each; empty when they said nothing. */
    public String log() {
        return log;
    }

    private static String text(int number, String operation, String object, String log) {
        String reason = String.valueOf(new LinuxException(number, operation, object, Bpf.hint(number)).getMessage());
        if (log.isBlank()) {
            return reason;
        }
        List<String> lines = log.lines().toList();
        int first = Math.max(0, lines.size() - LAST_LINES);
        String shown = first == 0 ? "" : " (the last " + LAST_LINES + " of " + lines.size() + " lines)";
        return reason + shown + "\n" + String.join("\n", lines.subList(first, lines.size()));
    }
}

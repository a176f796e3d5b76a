package io.ballast.linux;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * A system call that failed. The message names the call, what it was applied to, the error and, where it is known, what
 * would help: {@code bind 192.0.2.1:80/tcp: EACCES: permission denied (needs CAP_NET_BIND_SERVICE)}.
 */
public final class LinuxException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int number;
    private final String call;
    private final String object;
    private final @Nullable String hint;

    /**
     * A failure.
     *
     * @param number the error number, positive
     * @param hint what would help, or what the kernel said in words; null where nothing is known
     */
    public LinuxException(int number, String call, String object, @Nullable String hint) {
        super(text(number, call, object, hint));
        this.number = number;
        this.call = call;
        this.object = object;
        this.hint = hint;
    }

    LinuxException(int number, String call, String object) {
        this(number, call, object, hint(number));
    }

    /** What helps whichever call it was. */
    private static @Nullable String hint(int number) {
        return switch (Errno.of(number)) {
            case EMFILE -> "raise the limit of open files: LimitNOFILE= in the unit, or ulimit -n";
            case ENFILE -> "raise fs.file-max";
            default -> null;
        };
    }

    /** Passes a result through, or throws when it is a negative error number as {@link Kernel} returns them. */
    public static int check(int result, String call, String object) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(-result, call, object);
        }
        return result;
    }

    /** As {@link #check(int, String, String)}, with the capability to name when the kernel says EPERM or EACCES. */
    public static int check(int result, String call, String object, Capability needed) throws LinuxException {
        if (result == -Errno.EPERM.number() || result == -Errno.EACCES.number()) {
            throw new LinuxException(-result, call, object, "needs " + needed.kernelName());
        }
        return check(result, call, object);
    }

    /** The error; {@link Errno#UNKNOWN} for a number outside the table. */
    public Errno errno() {
        return Errno.of(number);
    }

    /** The kernel's number (positive). */
    public int number() {
        return number;
    }

    /** The call that failed, for example {@code bind} or {@code setsockopt SO_BINDTODEVICE}. */
    public String call() {
        return call;
    }

    /** What the call was applied to, for example {@code 192.0.2.1:80/tcp}. */
    public String object() {
        return object;
    }

    /** What would help, without the rest of the message; null where nothing is known. */
    public @Nullable String hint() {
        return hint;
    }

    /** The error alone, for a reason shown beside the object: {@code ECONNREFUSED: connection refused}. */
    public String reason() {
        return reason(number);
    }

    private static String reason(int number) {
        Errno errno = Errno.of(number);
        return errno == Errno.UNKNOWN ? "errno " + number : errno.name() + ": " + errno.message();
    }

    private static String text(int number, String call, String object, @Nullable String hint) {
        String text = object.isEmpty() ? call : call + " " + object;
        return text + ": " + reason(number) + (hint == null ? "" : " (" + hint + ")");
    }
}

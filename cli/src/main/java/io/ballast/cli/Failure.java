package io.ballast.cli;

/** The end of a verb with a message for the user; never shown with a stack trace. */
public final class Failure extends Exception {
    private static final long serialVersionUID = 1L;

    private final int code;

    /**
     * @param code one of {@link Exit}
     * @param message what happened to which thing and what to do, without a full stop at its end
     */
    public Failure(int code, String message) {
        super(message, null, false, false);
        this.code = code;
    }

    /** The thing asked about is false, or it failed. */
    public static Failure failed(String message) {
        return new Failure(Exit.FAILED, message);
    }

    /** Wrong usage or a wrong description. */
    public static Failure usage(String message) {
        return new Failure(Exit.USAGE, message);
    }

    /** Not permitted. */
    public static Failure notPermitted(String message) {
        return new Failure(Exit.NOT_PERMITTED, message);
    }

    /** The exit code. */
    public int code() {
        return code;
    }

    /** The name of the exit code in JSON. */
    String codeName() {
        return switch (code) {
            case Exit.USAGE -> "usage";
            case Exit.NOT_PERMITTED -> "not-permitted";
            default -> "failed";
        };
    }
}

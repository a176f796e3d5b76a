package io.ballast.director;

/** An operator's request that cannot be done; the message says why, for the operator. Nothing was changed. */
public final class RefusedException extends Exception {
    private static final long serialVersionUID = 1L;

    /** Why it cannot be done. */
    public enum Kind {
        /** There is no such service or server. */
        NOT_FOUND,
        /** It contradicts what is there. */
        CONFLICT,
        /** The request itself makes no sense. */
        INVALID
    }

    private final Kind kind;

    /** A refusal of the given kind. */
    public RefusedException(Kind kind, String message) {
        super(message);
        this.kind = kind;
    }

    /** Why it cannot be done. */
    public Kind kind() {
        return kind;
    }
}

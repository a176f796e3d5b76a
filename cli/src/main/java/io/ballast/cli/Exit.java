package io.ballast.cli;

/** The exit codes of every verb. */
public final class Exit {
    /** Done, or the thing asked about is true. */
    public static final int DONE = 0;

    /** The thing asked about is false, or it failed. */
    public static final int FAILED = 1;

    /** Wrong usage or a wrong description. */
    public static final int USAGE = 2;

    /** Not permitted. */
    public static final int NOT_PERMITTED = 3;

    private Exit() {}
}

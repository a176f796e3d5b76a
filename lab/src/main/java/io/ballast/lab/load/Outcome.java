package io.ballast.lab.load;

import java.util.Locale;

/** What became of one request, as its client saw it. */
public enum Outcome {
    /** The right answer, from a real server. */
    OK,
    /** An answer from the sorry server: the client was told something, but did not get its page. */
    SORRY,
    /** The connection was refused. */
    REFUSED,
    /** The connection was reset. */
    RESET,
    /** The connection was closed before the answer was whole. */
    CLOSED,
    /** No whole answer within the time-out. */
    TIMEOUT,
    /** The network said that there is no way there. */
    UNREACHABLE,
    /** An answer with another status than expected. */
    STATUS,
    /** An answer without the expected text. */
    BODY,
    /** Not sent: the generator itself was out of sockets or had too many requests under way. */
    CLIENT;

    /** Whether the client got neither its page nor the sorry page. */
    public boolean failed() {
        return this != OK && this != SORRY;
    }

    /** The name in JSON and tables. */
    public String label() {
        return switch (this) {
            case STATUS -> "wrong status";
            case BODY -> "wrong body";
            case CLIENT -> "client out of sockets";
            default -> name().toLowerCase(Locale.ROOT);
        };
    }
}

package io.ballast.health.state;

import java.util.Objects;

/**
 * What one probe found.
 *
 * @param reason one line that a human can act on, for instance {@code connected in 3 ms, HTTP 503, expected 200-299};
 *     at most {@value #MAX_REASON} characters, control characters (servers choose some of this text) shown as dots
 * @param rttMicros microseconds from the start of the probe to its answer, or to its failure
 * @param perfdata performance data of a Nagios plugin, as it was printed; else empty
 * @param detail more of what the server or program said, for people who look closer; may be empty
 */
public record ProbeResult(Outcome outcome, String reason, long rttMicros, String perfdata, String detail) {

    /** The longest reason that is kept. */
    public static final int MAX_REASON = 400;

    /** The longest performance data and detail that are kept. */
    public static final int MAX_TEXT = 8192;

    /** What a result says about the server. */
    public enum Outcome {
        /** It answered as it should. */
        SUCCESS,
        /** It did not. */
        FAILURE,
        /**
         * Nothing was learned, because the director itself was unable to ask: it ran out of descriptors, memory or
         * local ports. Such a result counts neither way, so that a director in trouble does not empty its farm.
         */
        INCONCLUSIVE
    }

    public ProbeResult {
        Objects.requireNonNull(outcome);
        reason = printable(reason, MAX_REASON);
        perfdata = printable(perfdata, MAX_TEXT);
        detail = detail.length() > MAX_TEXT ? detail.substring(0, MAX_TEXT) : detail;
    }

    /** The server answered as it should. */
    public static ProbeResult success(String reason, long rttMicros) {
        return new ProbeResult(Outcome.SUCCESS, reason, rttMicros, "", "");
    }

    /** The server did not answer as it should. */
    public static ProbeResult failure(String reason, long rttMicros) {
        return new ProbeResult(Outcome.FAILURE, reason, rttMicros, "", "");
    }

    /** The director was unable to ask. */
    public static ProbeResult inconclusive(String reason, long rttMicros) {
        return new ProbeResult(Outcome.INCONCLUSIVE, reason, rttMicros, "", "");
    }

    /** Whether the server answered as it should. */
    public boolean ok() {
        return outcome == Outcome.SUCCESS;
    }

    /** The text with everything that could move a terminal's cursor or break a line shown as a dot. */
    static String printable(String text, int max) {
        String cut = text.length() > max ? text.substring(0, max - 3) + "..." : text;
        StringBuilder out = null;
        for (int i = 0; i < cut.length(); i++) {
            char c = cut.charAt(i);
            if (c < ' ' || (c >= 0x7f && c < 0xa0) || Character.getType(c) == Character.FORMAT) {
                if (out == null) {
                    out = new StringBuilder(cut);
                }
                out.setCharAt(i, '.');
            }
        }
        return out == null ? cut : out.toString();
    }
}

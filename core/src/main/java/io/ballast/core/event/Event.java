package io.ballast.core.event;

import java.time.Instant;
import java.util.Map;

/**
 * Something that happened, as the journal keeps it and as {@code ballast events} shows it.
 *
 * @param sequence from 1, without gaps, going on over restarts; 0 before the journal has numbered it
 * @param time wall-clock time
 * @param node where it happened
 * @param type a stable dotted name, for instance {@code server.down}
 * @param subject what it happened to, for instance {@code web/www1}; may be empty
 * @param message one sentence for people
 * @param data further facts by name, for programs
 */
public record Event(
        long sequence,
        Instant time,
        String node,
        Severity severity,
        String type,
        String subject,
        String message,
        Map<String, String> data) {

    /** How much an event matters. */
    public enum Severity {
        /** Normal. */
        INFO,
        /** Somebody should look when there is time. */
        WARNING,
        /** Service is lost or at risk. */
        ERROR
    }
}

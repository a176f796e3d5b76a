package io.ballast.node;

import io.ballast.core.event.Event;
import io.ballast.core.event.Event.Severity;
import io.ballast.core.event.Journal;
import java.time.Instant;
import java.util.Map;
import java.util.function.Consumer;

/** Everything that happens on this node: numbered and kept by the journal, and told to whoever runs the daemon. */
final class EventLog {
    private final Journal journal;
    private final String node;
    private final Consumer<Event> log;

    EventLog(Journal journal, String node, Consumer<Event> log) {
        this.journal = journal;
        this.node = node;
        this.log = log;
    }

    /** Something happened now; from any thread. */
    Event happened(Severity severity, String type, String subject, String message, Map<String, String> data) {
        return happened(Instant.now(), severity, type, subject, message, data);
    }

    /** Something happened; from any thread. */
    Event happened(
            Instant at, Severity severity, String type, String subject, String message, Map<String, String> data) {
        Event event = journal.append(new Event(0, at, node, severity, type, subject, message, data));
        log.accept(event);
        return event;
    }

    /** Where they are kept. */
    Journal journal() {
        return journal;
    }
}

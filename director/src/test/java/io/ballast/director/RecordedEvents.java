package io.ballast.director;

import io.ballast.core.config.Endpoint;
import java.util.Collection;

/**
 * What an engine tells, as lines for tests to look for.
 *
 * @param lines where they are added
 */
public record RecordedEvents(Collection<String> lines) implements EngineEvents {
    @Override
    public void listening(String service, Endpoint endpoint) {
        lines.add("listening " + service + " " + endpoint);
    }

    @Override
    public void notListening(String service, Endpoint endpoint, String reason) {
        lines.add("notListening " + service + " " + endpoint + ": " + reason);
    }

    @Override
    public void drained(String service, String server, int closed) {
        lines.add("drained " + service + "/" + server + " " + closed);
    }

    @Override
    public void pressure(boolean on, String reason) {
        lines.add("pressure " + on + ": " + reason);
    }

    @Override
    public void note(boolean warning, String subject, String message) {
        lines.add((warning ? "warning " : "note ") + subject + ": " + message);
    }
}

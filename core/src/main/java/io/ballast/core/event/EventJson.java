package io.ballast.core.event;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.ballast.core.event.Event.Severity;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** Events as JSON: in the journal's files, and at the control API. */
public final class EventJson {
    private EventJson() {}

    /** The event as an object. */
    public static JsonObject object(Event event) {
        var object = new JsonObject();
        object.addProperty("sequence", event.sequence());
        object.addProperty("time", event.time().toString());
        object.addProperty("node", event.node());
        object.addProperty("severity", event.severity().name().toLowerCase(Locale.ROOT));
        object.addProperty("type", event.type());
        object.addProperty("subject", event.subject());
        object.addProperty("message", event.message());
        if (!event.data().isEmpty()) {
            var data = new JsonObject();
            event.data().forEach(data::addProperty);
            object.add("data", data);
        }
        return object;
    }

    /** The event of a line; nothing where the line is none, for instance because a crash left half of it. */
    public static Optional<Event> parse(String line) {
        try {
            if (!(JsonParser.parseString(line) instanceof JsonObject o)) {
                return Optional.empty();
            }
            Map<String, String> data = new LinkedHashMap<>();
            if (o.get("data") instanceof JsonObject given) {
                given.entrySet().forEach(e -> data.put(e.getKey(), e.getValue().getAsString()));
            }
            long sequence = Long.parseLong(text(o, "sequence"));
            Severity severity = Severity.valueOf(text(o, "severity").toUpperCase(Locale.ROOT));
            return sequence < 1
                    ? Optional.empty()
                    : Optional.of(new Event(
                            sequence,
                            Instant.parse(text(o, "time")),
                            text(o, "node"),
                            severity,
                            text(o, "type"),
                            text(o, "subject"),
                            text(o, "message"),
                            data));
        } catch (JsonParseException
                | IllegalArgumentException
                | IllegalStateException
                | UnsupportedOperationException
                | DateTimeParseException e) {
            return Optional.empty();
        }
    }

    private static String text(JsonObject object, String name) {
        JsonElement value = object.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value.getAsString();
    }
}

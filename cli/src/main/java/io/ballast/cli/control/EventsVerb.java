package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Option;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.core.time.Durations;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;

/** {@code ballast events}: the journal. */
public final class EventsVerb implements Verb {
    private static final DateTimeFormatter LOCAL = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS", Locale.ROOT);

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("events", "Show what happened: servers down and up, changes, workers, warnings")
                .describe("The events come from the daemon's journal, which survives restarts.")
                .option(Option.flag("--follow", "wait for further events, until interrupted")
                        .letter('f'))
                .option(Option.value(
                        "--since",
                        ValueKind.TEXT,
                        "WHEN",
                        "only later ones: a duration before now (10m), a time (2026-01-31T12:00:00Z), or the number of"
                                + " the last event that is known"))
                .option(Option.value(
                                "--limit", ValueKind.NUMBER, "N", "the last so many (default: 50, all with --since)")
                        .letter('n'))
                .option(ControlClient.SOCKET)
                .example("ballast events -f", "watch while a server is taken down")
                .example("ballast events --since 1h --json", "the last hour, for a program");
    }

    @Override
    public int run(Invocation call) throws Failure {
        Since since = call.value("--since").isPresent()
                ? Since.of(call.value("--since").get(), Instant.now())
                : new Since(0, Instant.MIN);
        long limit = call.number("--limit", call.flag("--since") ? Integer.MAX_VALUE : 50);
        String query = "?limit=" + limit
                + (since.sequence > 0 ? "&since=" + since.sequence : "")
                + (call.flag("--follow") ? "&follow=true" : "");
        Terminal terminal = call.terminal();
        ControlClient.of(call).lines("/v1/events" + query, event -> {
            if (!since.includes(event)) {
                return;
            }
            if (call.json()) {
                terminal.json(event);
            } else {
                terminal.out().println(line(event, terminal));
            }
            if (call.flag("--follow")) {
                terminal.flush();
            }
        });
        return Exit.DONE;
    }

    /** From where on events are shown. */
    record Since(long sequence, Instant time) {

        static Since of(String text, Instant now) throws Failure {
            if (!text.isEmpty() && text.length() <= 18 && text.chars().allMatch(c -> c >= '0' && c <= '9')) {
                return new Since(Long.parseLong(text), Instant.MIN);
            }
            if (Durations.parse(text).isPresent()) {
                return new Since(0, now.minus(Durations.parse(text).get()));
            }
            try {
                return new Since(0, Instant.parse(text));
            } catch (DateTimeParseException e) {
                throw Failure.usage("ballast events: --since \"" + text
                        + "\" is no duration (10m), no time (2026-01-31T12:00:00Z) and no event's number");
            }
        }

        boolean includes(JsonObject event) {
            return time.equals(Instant.MIN) || !instant(event).isBefore(time);
        }
    }

    static String line(JsonObject event, Terminal terminal) {
        String severity = Json.text(event, "severity").toUpperCase(Locale.ROOT);
        String shown = switch (severity) {
            case "ERROR" -> terminal.style(Style.RED, "ERROR  ");
            case "WARNING" -> terminal.style(Style.YELLOW, "WARNING");
            default -> String.format(Locale.ROOT, "%-7s", severity);
        };
        Instant time = instant(event);
        String when =
                time.equals(Instant.MAX) ? Json.text(event, "time") : LOCAL.format(time.atZone(ZoneId.systemDefault()));
        return String.format(
                        Locale.ROOT,
                        "%s %s %-15s %-12s %s",
                        when,
                        shown,
                        Json.text(event, "type"),
                        Json.text(event, "subject"),
                        Json.text(event, "message"))
                .stripTrailing();
    }

    private static Instant instant(JsonObject event) {
        try {
            return Instant.parse(Json.text(event, "time"));
        } catch (DateTimeParseException e) {
            // Better shown than hidden.
            return Instant.MAX;
        }
    }
}

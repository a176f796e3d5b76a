package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;

/** {@code ballast trace}: what is done with the packets of a service. */
public final class TraceVerb implements Verb {
    private static final DateTimeFormatter CLOCK = DateTimeFormatter.ofPattern("HH:mm:ss.SSSSSS", Locale.ROOT);

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("trace", "Show where packets of a service go, and why")
                .describe("Of services of the engine xdp: one line for each packet that comes, with how its server was"
                        + " found and where it was sent, or why it was not. It ends by itself, and costs the service"
                        + " nothing before and after. Answers of servers are seen with nat and fullnat only; others"
                        + " do not pass here.")
                .describe(
                        "How a server was found: by memory (the connection is known), slot (the hash of the client), base"
                                + " (the same, before the last change of the servers), turn, load, persistence (the client's"
                                + " server), quic-id, or fragment (as the first of its datagram). \"Passed\" means that the kernel of this machine deals with the packet as if"
                                + " there were no service.")
                .parameter(Parameter.required("service", ValueKind.SERVICE, "the virtual service"))
                .option(Option.value("--every", ValueKind.NUMBER, "N", "only one of so many packets (default: 1)"))
                .option(Option.value("--limit", ValueKind.NUMBER, "N", "end after so many (default: 100)")
                        .letter('n'))
                .option(Option.value("--for", ValueKind.DURATION, "DURATION", "end after so long (default: 1m)"))
                .option(ControlClient.SOCKET)
                .example("ballast trace web", "where the next hundred packets go")
                .example("ballast trace web --every 1000 --for 10s", "a sample of a busy service");
    }

    @Override
    public int run(Invocation call) throws Failure {
        String query = "?every=" + Math.max(1, call.number("--every", 1)) + "&limit=" + call.number("--limit", 100)
                + "&millis=" + call.duration("--for", Duration.ofMinutes(1)).toMillis();
        String path = "/v1/services/" + ControlClient.encode(call.parameter("service")) + "/trace" + query;
        Terminal terminal = call.terminal();
        ControlClient.of(call).lines(path, record -> {
            if (call.json()) {
                terminal.json(record);
            } else if (record.has("ended")) {
                terminal.err().println(ended(record));
            } else {
                terminal.out().println(line(record, terminal));
            }
            terminal.flush();
        });
        return Exit.DONE;
    }

    private static String ended(JsonObject record) {
        long lost = Json.number(record, "lost");
        return Json.number(record, "told") + " of " + Json.number(record, "seen") + " packets shown"
                + (Json.text(record, "ended").equals("time") ? ", until the time was over" : "")
                + (lost == 0 ? "" : "; " + lost + " more came too fast to be told of: --every N samples");
    }

    static String line(JsonObject record, Terminal terminal) {
        StringBuilder line = new StringBuilder();
        line.append(time(record))
                .append(' ')
                .append(pad(Json.text(record, "interface"), 8))
                .append(Json.text(record, "protocol").toUpperCase(Locale.ROOT))
                .append(' ')
                .append(Json.text(record, "from"))
                .append(" > ")
                .append(Json.text(record, "to"))
                .append("  ")
                .append(packet(record))
                .append(", ")
                .append(Json.number(record, "length"))
                .append(" bytes");
        String server = Json.text(record, "server");
        if (!server.isEmpty()) {
            line.append(Json.truth(record, "answer") ? ": answer of " : ": by " + Json.text(record, "chosen") + " to ")
                    .append(server);
        }
        return line.append(": ").append(outcome(record, terminal)).toString();
    }

    private static String outcome(JsonObject record, Terminal terminal) {
        String why = Json.text(record, "why");
        String verdict = Json.text(record, "verdict");
        if (verdict.equals("passed")) {
            return terminal.style(Style.YELLOW, "passed to the kernel") + (why.isEmpty() ? "" : ", " + why);
        }
        if (verdict.equals("dropped")) {
            return terminal.style(Style.RED, "dropped") + (why.isEmpty() ? "" : ", " + why);
        }
        if (Json.truth(record, "answer")) {
            return "sent to the client" + (why.isEmpty() ? "" : ", " + why);
        }
        if (!record.has("outInterface")) {
            return why.isEmpty() ? "sent" : why;
        }
        String as = record.has("outTo")
                ? "sent as " + Json.text(record, "outFrom") + " > " + Json.text(record, "outTo")
                : record.has("tunnel") ? "sent in a tunnel to " + Json.text(record, "tunnel") : "sent";
        return as + " by " + Json.text(record, "outInterface") + " to " + Json.text(record, "mac")
                + (why.isEmpty() ? "" : "; " + why);
    }

    private static String packet(JsonObject record) {
        String what = Json.text(record, "packet");
        return switch (what) {
            case "syn", "fin", "rst" -> what.toUpperCase(Locale.ROOT);
            case "goes-on" -> Json.text(record, "protocol").equals("tcp") ? "ACK" : "datagram";
            case "icmp-error" -> "ICMP error";
            default -> what;
        };
    }

    private static String time(JsonObject record) {
        try {
            return CLOCK.format(Instant.parse(Json.text(record, "time")).atZone(ZoneId.systemDefault()));
        } catch (DateTimeParseException e) {
            // Better shown than hidden.
            return Json.text(record, "time");
        }
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(Math.max(1, width - text.length()));
    }
}

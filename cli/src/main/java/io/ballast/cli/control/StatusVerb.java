package io.ballast.cli.control;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.util.Map;
import java.util.StringJoiner;

/** {@code ballast status}: how the daemon itself is. */
public final class StatusVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("status", "Show how the daemon is: its node, its worker, what it may do and its warnings")
                .option(ControlClient.SOCKET)
                .example("ballast status", "is it running, and with which description");
    }

    @Override
    public int run(Invocation call) throws Failure {
        JsonObject status = ControlClient.of(call).get("/v1/status");
        if (call.json()) {
            call.terminal().json(status);
            return Exit.DONE;
        }
        // Every member is shown as the daemon names it, so that nothing new in a daemon stays hidden by an older
        // client.
        for (Map.Entry<String, JsonElement> member : status.entrySet()) {
            if (!member.getKey().equals("warnings")) {
                line(call, member.getKey(), flat(member.getValue()));
            }
        }
        if (status.get("warnings") instanceof JsonArray warnings) {
            for (JsonElement warning : warnings) {
                call.terminal().out().println(call.terminal().style(Style.YELLOW, "warning: ") + flat(warning));
            }
        }
        return Exit.DONE;
    }

    private static void line(Invocation call, String name, String value) {
        String label = name + ":";
        call.terminal().out().println(label + " ".repeat(Math.max(1, 16 - label.length())) + value);
    }

    private static String flat(JsonElement value) {
        if (value instanceof JsonObject object) {
            StringJoiner parts = new StringJoiner(", ");
            object.entrySet().forEach(e -> parts.add(e.getKey() + " " + flat(e.getValue())));
            return parts.toString();
        }
        if (value instanceof JsonArray array) {
            StringJoiner parts = new StringJoiner(", ");
            array.forEach(e -> parts.add(flat(e)));
            return parts.toString();
        }
        return value.isJsonNull() ? "-" : value.getAsString();
    }
}

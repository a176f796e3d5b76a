package io.ballast.cli.control;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

/** {@code ballast status}: how the daemon itself is. */
public final class StatusVerb implements Verb {
    private static final int LABEL = 16;
    private static final int WIDTH = 80;
    private static final int HANG = 2;

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
            switch (member.getKey()) {
                case "warnings" -> {}
                case "engines" -> engines(call, member.getValue());
                case "xdp" -> xdp(call, member.getValue());
                default -> lines(call, member.getKey(), List.of(flat(member.getValue())), HANG);
            }
        }
        if (status.get("warnings") instanceof JsonArray warnings) {
            for (JsonElement warning : warnings) {
                call.terminal().out().println(call.terminal().style(Style.YELLOW, "warning: ") + flat(warning));
            }
        }
        return Exit.DONE;
    }

    /** One service a line, since each may come with its reason. */
    private static void engines(Invocation call, JsonElement engines) {
        List<String> lines = new ArrayList<>();
        if (engines instanceof JsonObject services) {
            services.entrySet().forEach(each -> lines.add(each.getKey() + " " + flat(each.getValue())));
        }
        lines(call, "engines", lines, HANG);
    }

    private static void xdp(Invocation call, JsonElement xdp) {
        if (!(xdp instanceof JsonObject members)) {
            return;
        }
        List<String> lines = new ArrayList<>();
        members.entrySet().forEach(each -> {
            boolean none = each.getValue() instanceof JsonArray array && array.isEmpty();
            if (!each.getKey().equals("exceptions") && !none) {
                lines.add(each.getKey() + ": " + flat(each.getValue()));
            }
        });
        lines(call, "xdp", lines, HANG);
        List<JsonObject> exceptions = Json.objects(members, "exceptions");
        int digits = exceptions.stream()
                .mapToInt(each -> Long.toString(Json.number(each, "count")).length())
                .max()
                .orElse(0);
        List<String> counted = new ArrayList<>();
        String service = "";
        boolean first = true;
        for (JsonObject each : exceptions) {
            if (first || !service.equals(Json.text(each, "service"))) {
                first = false;
                service = Json.text(each, "service");
                counted.add(service.isEmpty() ? "(no service)" : service);
            }
            String count = Long.toString(Json.number(each, "count"));
            counted.add("  " + " ".repeat(digits - count.length()) + count + " " + words(each));
        }
        if (!counted.isEmpty()) {
            lines(call, "exceptions", counted, HANG + digits + 1);
        }
    }

    private static String words(JsonObject exception) {
        String words = Json.text(exception, "words");
        return Json.number(exception, "count") == 1
                ? words.replaceFirst("^(new )?(packet|connection|fragment|SYN)s ", "$1$2 ")
                        .replaceFirst("^packet that have ", "packet that has ")
                : words;
    }

    /**
     * Lines behind a label, each folded between words where it is longer than a terminal is wide.
     *
     * @param further how far in the rest of a folded line begins
     */
    private static void lines(Invocation call, String name, List<String> values, int further) {
        String label = name + ":" + " ".repeat(Math.max(1, LABEL - name.length() - 1));
        for (String value : values) {
            String rest = value;
            int hang = 0;
            while (label.length() + hang + rest.length() > WIDTH) {
                int end = rest.lastIndexOf(' ', WIDTH - label.length() - hang);
                int start = rest.length() - rest.stripLeading().length();
                if (end <= start) {
                    // A word that is too long as it is.
                    end = rest.indexOf(' ', start);
                }
                if (end < 0) {
                    break;
                }
                call.terminal().out().println(label + " ".repeat(hang) + rest.substring(0, end));
                rest = rest.substring(end + 1);
                hang = further;
                label = " ".repeat(LABEL);
            }
            call.terminal().out().println(label + " ".repeat(hang) + rest);
            label = " ".repeat(LABEL);
        }
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

package io.ballast.cli.control;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Parameter;
import io.ballast.cli.Table;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** {@code ballast takeover}: virtual routers of this node, and whose their addresses are. */
public final class TakeoverVerb implements Verb {
    private static final Parameter ROUTER = Parameter.optional(
            "router", ValueKind.TEXT, "the virtual router, as the description names it; without it, all of them");

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("takeover", "Show who has the addresses that move between nodes, and move them")
                .describe("What is asked for here is asked of this node, and holds over restarts until `resume`.");
    }

    @Override
    public List<Verb> verbs() {
        return List.of(
                new Status(),
                new Wish(
                        VerbSpec.of("release", "Give addresses to another node, and take them again only without one")
                                .parameter(ROUTER)
                                .example("ballast takeover release", "the other director is to have them"),
                        _ -> word("yielding")),
                new Wish(
                        VerbSpec.of("prefer", "Have addresses go to a node, whatever its priority, while it works")
                                .parameter(Parameter.required("node", ValueKind.TEXT, "this node, or the other one"))
                                .parameter(ROUTER)
                                .example("ballast takeover prefer director2", "until `ballast takeover resume`"),
                        call -> {
                            JsonObject body = new JsonObject();
                            body.addProperty("prefer", call.parameter("node"));
                            return body;
                        }),
                new Wish(
                        VerbSpec.of("maintenance", "Give addresses up and take no part any more, or do so again")
                                .parameter(Parameter.choice("state", "whether this node is out", "on", "off"))
                                .parameter(ROUTER)
                                .example(
                                        "ballast takeover maintenance on",
                                        "whatever happens to the others, this node does not step in"),
                        call -> word(call.parameter("state").equals("on") ? "withdrawn" : "normal")),
                new Wish(
                        VerbSpec.of("resume", "Do as the description says again")
                                .parameter(ROUTER)
                                .example("ballast takeover resume", "the end of release, prefer and maintenance"),
                        _ -> word("normal")),
                new Wish(
                        VerbSpec.of("fenced", "Say that a node is off, so that what it had can be started here")
                                .parameter(Parameter.required("node", ValueKind.TEXT, "the node that is off"))
                                .example(
                                        "ballast takeover fenced director1",
                                        "after its power was cut: where it still runs, a file system may be destroyed"),
                        call -> {
                            JsonObject body = new JsonObject();
                            body.addProperty("fenced", call.parameter("node"));
                            return body;
                        }));
    }

    private static JsonObject word(String operator) {
        JsonObject body = new JsonObject();
        body.addProperty("operator", operator);
        return body;
    }

    @Override
    public int run(Invocation call) {
        return Exit.USAGE;
    }

    private static final class Status implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("status", "Show each virtual router: role, master, peers, and how it came to that")
                    .option(ControlClient.SOCKET)
                    .example("ballast takeover status", "who has the addresses?");
        }

        @Override
        public int run(Invocation call) throws Failure {
            return show(call, ControlClient.of(call).get("/v1/takeover"));
        }
    }

    private static final class Wish implements Verb {
        private final VerbSpec spec;
        private final Function<Invocation, JsonObject> body;

        Wish(VerbSpec spec, Function<Invocation, JsonObject> body) {
            this.spec = spec.option(ControlClient.SOCKET);
            this.body = body;
        }

        @Override
        public VerbSpec spec() {
            return spec;
        }

        @Override
        public int run(Invocation call) throws Failure {
            String path = call.optionalParameter("router")
                    .map(router -> "/v1/takeover/" + ControlClient.encode(router))
                    .orElse("/v1/takeover");
            return show(call, ControlClient.of(call).call("PATCH", path, Optional.of(body.apply(call))));
        }
    }

    private static int show(Invocation call, JsonObject answer) {
        if (call.json()) {
            call.terminal().json(answer);
            return Exit.DONE;
        }
        PrintStream out = call.terminal().out();
        List<JsonObject> routers = Json.objects(answer, "routers");
        if (routers.isEmpty()) {
            out.println("this node takes part in no virtual router");
            quorum(call, answer);
            return Exit.DONE;
        }
        Table table = new Table("ROUTER", "ADDRESSES", "ON", "ROLE", ">FOR", ">PRIORITY", "MASTER");
        for (JsonObject router : routers) {
            String operator = switch (Json.text(router, "operator")) {
                case "normal" -> "";
                case "yielding" -> " (released)";
                case "withdrawn" -> " (maintenance)";
                case String other -> " (" + other + ")";
            };
            table.row(
                    Json.text(router, "name") + operator,
                    String.join(", ", texts(router, "addresses")),
                    Json.text(router, "interface"),
                    Json.text(router, "role"),
                    age(Json.text(router, "since")),
                    Long.toString(Json.number(router, "priority")),
                    router.has("master") ? Json.text(router, "master") : "-");
        }
        table.lines().forEach(out::println);
        quorum(call, answer);
        for (JsonObject router : routers) {
            out.println();
            details(call, router);
        }
        for (JsonObject group : Json.objects(answer, "resourceGroups")) {
            out.println();
            out.println("resources " + Json.text(group, "name") + ": " + Json.text(group, "state")
                    + (Json.text(group, "text").equals(Json.text(group, "state"))
                            ? ""
                            : ": " + Json.text(group, "text")));
            for (JsonObject resource : Json.objects(group, "resources")) {
                out.println("  " + Json.text(resource, "name") + ": " + Json.text(resource, "state"));
            }
            if (group.get("comesLast").getAsBoolean()) {
                out.println("  gives way to every other node, as it failed here: ballast takeover resume");
            }
        }
        if (answer.has("warning")) {
            call.terminal()
                    .err()
                    .println(call.terminal().errorStyle(Style.YELLOW, "warning:") + " " + Json.text(answer, "warning"));
        }
        return Exit.DONE;
    }

    /** Who decides, and what they have decided. */
    private static void quorum(Invocation call, JsonObject answer) {
        if (!(answer.get("quorum") instanceof JsonObject quorum)) {
            return;
        }
        PrintStream out = call.terminal().out();
        List<String> voters = Json.objects(quorum, "voters").stream()
                .map(voter -> Json.text(voter, "name")
                        + (!voter.has("answers")
                                ? ""
                                : voter.get("answers").getAsBoolean()
                                        ? " answers"
                                        : call.terminal().style(Style.YELLOW, " is silent")))
                .toList();
        out.println();
        out.println("voters: " + String.join(", ", voters));
        for (JsonObject lease : Json.objects(quorum, "leases")) {
            long left = Json.number(lease, "leftMillis");
            out.println("  lease of " + Json.text(lease, "resource") + ": "
                    + (left > 0
                            ? "this node's, " + left + " ms of it left"
                            : "not this node's: " + Json.text(lease, "why")));
        }
        if (quorum.get("granted") instanceof JsonObject granted && !granted.isEmpty()) {
            List<String> holders = granted.entrySet().stream()
                    .map(each -> each.getKey() + " to " + each.getValue().getAsString())
                    .toList();
            out.println("  this node's voice has given " + String.join(", ", holders));
        }
        if (Json.number(quorum, "forged") > 0) {
            out.println(call.terminal().style(Style.YELLOW, "  warning: ") + Json.number(quorum, "forged")
                    + " messages did not bear the secret: another key somewhere, or a stranger");
        }
    }

    private static void details(Invocation call, JsonObject router) {
        PrintStream out = call.terminal().out();
        out.println(Json.text(router, "name") + " (VRRP version " + Json.number(router, "version") + ", router "
                + Json.number(router, "routerId") + ", " + Json.text(router, "family") + "): every "
                + Json.number(router, "intervalMillis") + " ms, " + Json.number(router, "sent") + " sent"
                + (Json.number(router, "unsent") > 0 ? ", " + Json.number(router, "unsent") + " could not be" : ""));
        if (router.has("group")) {
            out.println("  moves together with all of the group " + Json.text(router, "group"));
        }
        priority(router).ifPresent(line -> out.println("  " + line));
        for (String awaited : texts(router, "waitsFor")) {
            out.println(call.terminal().style(Style.YELLOW, "  has no addresses, waits for: ") + awaited);
        }
        for (String fault : texts(router, "faults")) {
            out.println(call.terminal().style(Style.YELLOW, "  fault: ") + fault);
        }
        for (JsonObject peer : Json.objects(router, "peers")) {
            out.println("  heard " + Json.text(peer, "address") + ", priority " + Json.number(peer, "priority") + ", "
                    + Json.number(peer, "advertisements") + " times, last " + age(Json.text(peer, "heard")) + " ago");
        }
        if (router.get("jitter") instanceof JsonObject jitter) {
            jitter(jitter).ifPresent(line -> out.println("  " + line));
        }
        if (router.get("discarded") instanceof JsonObject discarded) {
            for (Map.Entry<String, JsonElement> each : discarded.entrySet()) {
                out.println("  discarded " + each.getValue().getAsLong() + ": " + each.getKey());
            }
        }
        if (router.get("misdirected") instanceof JsonObject strays) {
            out.println("  " + Json.number(strays, "senders") + " neighbours sent to it here when it had gone, "
                    + Json.number(strays, "packets") + " packets, the last after " + Json.number(strays, "lastMillis")
                    + " ms; they were answered where it is");
        }
        for (JsonObject transition : Json.objects(router, "transitions")) {
            Instant time = Instant.parse(Json.text(transition, "time")).truncatedTo(ChronoUnit.MILLIS);
            out.println("  " + time + " " + Json.text(transition, "from") + " -> " + Json.text(transition, "to") + ": "
                    + Json.text(transition, "why"));
        }
        for (String notice : texts(router, "notices")) {
            out.println(call.terminal().style(Style.YELLOW, "  warning: ") + notice);
        }
    }

    /** How the priority comes about; nothing where it is as described and nothing is tracked. */
    private static Optional<String> priority(JsonObject router) {
        long now = Json.number(router, "priority");
        long described = Json.number(router, "describedPriority");
        List<JsonObject> tracked = Json.objects(router, "tracked");
        if (tracked.isEmpty() && now == described) {
            return Optional.empty();
        }
        StringBuilder line = new StringBuilder("priority " + now + ": ");
        line.append(
                switch (Json.text(router, "operator")) {
                    case "preferred" -> "the operator wants this node first; ";
                    case "yielding" -> "the operator wants this node last; ";
                    default -> router.has("givesWay") ? Json.text(router, "givesWay") + "; " : "";
                });
        line.append("described ").append(described);
        for (JsonObject thing : tracked) {
            line.append(", ")
                    .append(String.format(Locale.ROOT, "%+d", Json.number(thing, "adds")))
                    .append(" by ")
                    .append(Json.text(thing, "name"))
                    .append(" (")
                    .append(Json.text(thing, "state"))
                    .append(')');
        }
        long sum = described
                + tracked.stream()
                        .mapToLong(thing -> Json.number(thing, "adds"))
                        .sum();
        boolean bent = Json.text(router, "operator").equals("normal") && !router.has("givesWay");
        if (bent && router.has("group") && now != Math.clamp(sum, 1, 254)) {
            line.append("; next to that, as no two nodes of a group may be equal");
        }
        return Optional.of(line.toString());
    }

    /** How late the master's advertisements arrive; nothing before one has. */
    private static Optional<String> jitter(JsonObject jitter) {
        StringBuilder line = new StringBuilder();
        for (JsonObject bucket : Json.objects(jitter, "buckets")) {
            long count = Json.number(bucket, "count");
            if (count > 0) {
                line.append(line.isEmpty() ? "arrived off time by " : ", ")
                        .append(bucket.has("upToMicros") ? "<= " + micros(Json.number(bucket, "upToMicros")) : "more")
                        .append(": ")
                        .append(count);
            }
        }
        return line.isEmpty()
                ? Optional.empty()
                : Optional.of(line + "; worst " + micros(Json.number(jitter, "worstMicros")));
    }

    private static String micros(long micros) {
        return micros < 1000 ? micros + " us" : micros / 1000 + " ms";
    }

    private static List<String> texts(JsonObject json, String name) {
        return json.get(name) instanceof JsonArray array
                ? array.asList().stream().map(JsonElement::getAsString).toList()
                : List.of();
    }

    private static String age(String since) {
        long seconds = Math.max(
                0, Duration.between(Instant.parse(since), Instant.now()).toSeconds());
        return seconds < 120
                ? seconds + " s"
                : seconds < 7200
                        ? seconds / 60 + " min"
                        : seconds < 172_800 ? seconds / 3600 + " h" : seconds / 86_400 + " d";
    }
}

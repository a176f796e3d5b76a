package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Table;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.StringJoiner;

/** {@code ballast connections}. */
public final class ConnectionsVerb implements Verb {
    private static final Parameter SERVICE =
            Parameter.optional("service", ValueKind.SERVICE, "only those of this virtual service");
    private static final List<Option> FILTERS = List.of(
            Option.value(
                    "--client",
                    ValueKind.TEXT,
                    "ADDRESS[/PREFIX][:PORT]",
                    "only those of this client, or of the clients of a network; an IPv6 address with a port in brackets"),
            Option.value("--server", ValueKind.SERVER, "NAME", "only those to this real server"),
            Option.choice("--state", "STATE", "only those in this state", "opening", "established", "closing"),
            Option.choice("--protocol", "PROTOCOL", "only those of this protocol", "tcp", "udp"));

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("connections", "Show the connections and flows that are open now")
                .describe("The engine xdp finds the servers of a service with mh, sh or dh by a hash and remembers only"
                        + " connections that a change of the servers concerns; a sentence says so where it holds.")
                .describe(
                        "The states: opening (the client has asked, and waits for a server or its answer), established"
                                + " (both sides may speak; a UDP flow too), closing (one side has ended).")
                .parameter(SERVICE)
                .options(FILTERS)
                .option(Option.flag("--count", "count them, by service and server, instead of listing them"))
                .option(Option.value("--limit", ValueKind.NUMBER, "N", "at most so many (default: 100)")
                        .letter('n'))
                .option(ControlClient.SOCKET)
                .example("ballast connections web --limit 20", "who is connected to which server")
                .example("ballast connections --client 192.0.2.0/24 --state established", "what one network has open")
                .example("ballast connections web --count", "how many each server has");
    }

    @Override
    public List<Verb> verbs() {
        return List.of(new Kill());
    }

    @Override
    public boolean runsItself() {
        return true;
    }

    @Override
    public int run(Invocation call) throws Failure {
        long limit = call.number("--limit", 100);
        boolean count = call.flag("--count");
        if (count && call.value("--limit").isPresent()) {
            throw Failure.usage("ballast connections: --count counts all of them and takes no --limit");
        }
        JsonObject answer = ControlClient.of(call).get(path(call, (count ? "count=true" : "limit=" + limit)));
        if (call.json()) {
            call.terminal().json(answer);
            return Exit.DONE;
        }
        if (count) {
            counts(call, answer, Json.number(answer, "total"));
        } else {
            list(call, answer, limit);
        }
        notes(call, answer);
        return Exit.DONE;
    }

    private static String path(Invocation call, String first) {
        StringJoiner query = new StringJoiner("&", "/v1/connections?", "").add(first);
        call.optionalParameter("service").ifPresent(s -> query.add("service=" + ControlClient.encode(s)));
        for (Option filter : FILTERS) {
            call.value(filter.name())
                    .ifPresent(value -> query.add(filter.name().substring(2) + "=" + ControlClient.encode(value)));
        }
        return query.toString();
    }

    private static void list(Invocation call, JsonObject answer, long limit) {
        Table table = new Table(
                "Prot", "Client", "Listen", "Service", "Server", "State", ">Age", ">Idle", ">InBytes", ">OutBytes");
        List<JsonObject> connections = Json.objects(answer, "connections");
        for (JsonObject c : connections) {
            table.row(
                    Json.text(c, "protocol").toUpperCase(Locale.ROOT),
                    Json.text(c, "client"),
                    Json.text(c, "listen"),
                    Json.text(c, "service"),
                    Json.text(c, "server").isEmpty() ? "-" : Json.text(c, "server"),
                    Json.text(c, "state"),
                    seconds(c, "ageMillis"),
                    seconds(c, "idleMillis"),
                    known(c, "bytesIn"),
                    known(c, "bytesOut"));
        }
        table.lines().forEach(call.terminal().out()::println);
        if (connections.size() >= limit) {
            call.terminal().err().println("more may be open; --limit N shows more, --count counts them");
        }
    }

    private static void counts(Invocation call, JsonObject answer, long total) {
        Table table = new Table("Service", "Server", ">Opening", ">Established", ">Closing", ">All");
        for (JsonObject c : Json.objects(answer, "counts")) {
            String server = Json.text(c, "server");
            long opening = Json.number(c, "opening");
            long established = Json.number(c, "established");
            long closing = Json.number(c, "closing");
            table.row(
                    Json.text(c, "service"),
                    server.isEmpty() ? "-" : server,
                    Long.toString(opening),
                    Long.toString(established),
                    Long.toString(closing),
                    Long.toString(opening + established + closing));
        }
        table.lines().forEach(call.terminal().out()::println);
        call.terminal().out().println(total == 1 ? "1 connection" : total + " connections");
    }

    private static final class Kill implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("kill", "End connections now, as a reset does")
                    .describe(
                            "The userspace engine resets both sides. The engine xdp passes what the client sends from then"
                                    + " on to the kernel, which answers with a reset where this machine has the service's address;"
                                    + " the server learns of it by the client's own reset, when it next sends something. A new"
                                    + " connection of the same client is forwarded as ever.")
                    .parameter(SERVICE)
                    .options(FILTERS)
                    .option(Option.flag("--all", "every connection of every service, where no filter is given"))
                    .option(ControlClient.SOCKET)
                    .example("ballast connections kill web --client 192.0.2.7", "one client's, at once")
                    .example("ballast connections kill --server www1", "what a server that is to be stopped still has");
        }

        @Override
        public int run(Invocation call) throws Failure {
            boolean filtered = call.optionalParameter("service").isPresent()
                    || FILTERS.stream()
                            .anyMatch(filter -> call.value(filter.name()).isPresent());
            if (!filtered && !call.flag("--all")) {
                throw Failure.usage("ballast connections kill: this would end every connection of every service; name a"
                        + " service or a filter, or say --all");
            }
            String path = path(call, filtered ? "all=false" : "all=true");
            JsonObject answer = ControlClient.of(call).call("DELETE", path, Optional.empty());
            if (call.json()) {
                call.terminal().json(answer);
                return Exit.DONE;
            }
            for (JsonObject c : Json.objects(answer, "counts")) {
                String server = Json.text(c, "server");
                long ended = Json.number(c, "opening") + Json.number(c, "established") + Json.number(c, "closing");
                call.terminal()
                        .out()
                        .println(Json.text(c, "service") + (server.isEmpty() ? ", without a server yet" : "/" + server)
                                + ": " + ended);
            }
            long killed = Json.number(answer, "killed");
            call.terminal().out().println(killed == 1 ? "1 connection was ended" : killed + " connections were ended");
            notes(call, answer);
            return Exit.DONE;
        }
    }

    /** What the figures do not say. */
    private static void notes(Invocation call, JsonObject answer) {
        for (String note : Json.texts(answer, "notes")) {
            call.terminal().err().println("note: " + note);
        }
    }

    private static String seconds(JsonObject connection, String name) {
        return connection.has(name) ? String.format(Locale.ROOT, "%.1fs", Json.number(connection, name) / 1e3) : "-";
    }

    /** An engine that forwards packets keeps neither ages nor bytes of connections. */
    private static String known(JsonObject connection, String name) {
        return connection.has(name) ? Long.toString(Json.number(connection, name)) : "-";
    }
}

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

/** {@code ballast connections}. */
public final class ConnectionsVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("connections", "Show the connections and flows that are open now")
                .parameter(Parameter.optional("service", ValueKind.SERVICE, "only those of this virtual service"))
                .option(Option.value("--limit", ValueKind.NUMBER, "N", "at most so many (default: 100)")
                        .letter('n'))
                .option(ControlClient.SOCKET)
                .example("ballast connections web --limit 20", "who is connected to which server");
    }

    @Override
    public int run(Invocation call) throws Failure {
        long limit = call.number("--limit", 100);
        String query = "?limit=" + limit
                + call.optionalParameter("service")
                        .map(s -> "&service=" + ControlClient.encode(s))
                        .orElse("");
        JsonObject answer = ControlClient.of(call).get("/v1/connections" + query);
        if (call.json()) {
            call.terminal().json(answer);
            return Exit.DONE;
        }
        Table table = new Table(
                "Prot", "Client", "Listen", "Service", "Server", "State", ">Age", ">Idle", ">InBytes", ">OutBytes");
        List<JsonObject> connections = Json.objects(answer, "connections");
        for (JsonObject c : connections) {
            table.row(
                    Json.text(c, "protocol").toUpperCase(Locale.ROOT),
                    Json.text(c, "client"),
                    Json.text(c, "listen"),
                    Json.text(c, "service"),
                    Json.text(c, "server"),
                    Json.text(c, "state"),
                    seconds(c, "ageMillis"),
                    seconds(c, "idleMillis"),
                    known(c, "bytesIn"),
                    known(c, "bytesOut"));
        }
        table.lines().forEach(call.terminal().out()::println);
        if (connections.size() >= limit) {
            call.terminal().err().println("more may be open; --limit N shows more");
        }
        return Exit.DONE;
    }

    private static String seconds(JsonObject connection, String name) {
        return connection.has(name) ? String.format(Locale.ROOT, "%.1fs", Json.number(connection, name) / 1e3) : "-";
    }

    /** An engine that forwards packets keeps neither ages nor bytes of connections. */
    private static String known(JsonObject connection, String name) {
        return connection.has(name) ? Long.toString(Json.number(connection, name)) : "-";
    }
}

package io.ballast.cli.control;

import com.google.gson.JsonArray;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** {@code ballast list}: services and servers in the form that users of ipvsadm know. */
public final class ListVerb implements Verb {
    /** The longest reason in a line, in characters. */
    private static final int REASON = 80;

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("list", "List the virtual services and their real servers, as ipvsadm does")
                .describe("One line for each address that a service answers at, then one for each of its real servers."
                        + " ActiveConn counts connections with both directions open, InActConn those with one closed.")
                .parameter(Parameter.optional("service", ValueKind.SERVICE, "only this virtual service"))
                .option(Option.flag("--stats", "totals since the start: connections, failures, bytes"))
                .option(Option.flag("--rate", "connections and bytes a second"))
                .option(Option.flag("--watch", "show it again and again, until interrupted")
                        .letter('w'))
                .option(Option.value("--interval", ValueKind.DURATION, "DURATION", "how often --watch shows it (1s)"))
                .option(ControlClient.SOCKET)
                .example("ballast list --watch", "see a server leave and come back")
                .example("ballast list web --rate", "what each server of web does now");
    }

    @Override
    public int run(Invocation call) throws Failure, InterruptedException {
        Columns columns = Columns.of(call);
        Duration interval = call.duration("--interval", Duration.ofSeconds(1));
        if (interval.toMillis() < 100) {
            throw Failure.usage("ballast list: --interval is at least 100ms");
        }
        ControlClient client = ControlClient.of(call);
        Optional<String> service = call.optionalParameter("service");
        boolean watch = call.flag("--watch");
        Terminal terminal = call.terminal();
        while (true) {
            JsonObject answer = fetch(client, service);
            if (watch && terminal.interactive() && !call.json()) {
                terminal.out().print("\033[H\033[2J");
            }
            if (call.json()) {
                terminal.json(answer);
            } else {
                render(answer, columns, terminal).forEach(terminal.out()::println);
            }
            if (!watch) {
                return Exit.DONE;
            }
            if (!terminal.interactive() && !call.json()) {
                terminal.out().println();
            }
            terminal.flush();
            Thread.sleep(interval);
        }
    }

    /** The services' JSON, as {@code {"services":[...]}} also where one was asked for. */
    static JsonObject fetch(ControlClient client, Optional<String> service) throws Failure {
        if (service.isEmpty()) {
            return client.get("/v1/services");
        }
        JsonArray one = new JsonArray();
        one.add(client.get("/v1/services/" + ControlClient.encode(service.get())));
        JsonObject answer = new JsonObject();
        answer.add("services", one);
        return answer;
    }

    /** Which figures are shown. */
    enum Columns {
        /** Weight and connections now. */
        NOW,
        /** Totals. */
        STATS,
        /** Per second. */
        RATE;

        /** The heads above a server's figures. */
        List<String> heads() {
            return switch (this) {
                case NOW -> List.of("Forward", "Weight", "ActiveConn", "InActConn");
                case STATS -> List.of("Conns", "Failures", "InBytes", "OutBytes");
                case RATE -> List.of("CPS", "InBPS", "OutBPS");
            };
        }

        /** The heads above a service's own figures. */
        List<String> serviceHeads() {
            return switch (this) {
                case NOW -> List.of();
                case STATS -> List.of("Conns", "Refused", "InBytes", "OutBytes");
                case RATE -> heads();
            };
        }

        static Columns of(Invocation call) throws Failure {
            if (call.flag("--stats") && call.flag("--rate")) {
                throw Failure.usage("ballast list: --stats and --rate are two tables; give one of them");
            }
            return call.flag("--stats") ? STATS : call.flag("--rate") ? RATE : NOW;
        }

        /** A server's figures. */
        List<String> ofServer(JsonObject server, String forward) {
            return switch (this) {
                case NOW ->
                    List.of(forward, whole(server, "weight"), whole(server, "active"), whole(server, "inactive"));
                case STATS ->
                    List.of(
                            whole(server, "connections"),
                            whole(server, "failures"),
                            whole(server, "bytesIn"),
                            whole(server, "bytesOut"));
                case RATE -> rates(server);
            };
        }

        /** A service's own figures; what it has none of stays empty. */
        List<String> ofService(JsonObject service) {
            return switch (this) {
                case NOW -> List.of();
                case STATS ->
                    List.of(
                            whole(service, "connections"),
                            whole(service, "refused"),
                            whole(service, "bytesIn"),
                            whole(service, "bytesOut"));
                case RATE -> rates(service);
            };
        }

        private static List<String> rates(JsonObject of) {
            JsonObject rates = Json.object(of, "rates");
            return List.of(rate(rates, "cps"), rate(rates, "bytesIn"), rate(rates, "bytesOut"));
        }

        private static String whole(JsonObject of, String member) {
            return Long.toString(Json.number(of, member));
        }

        private static String rate(JsonObject of, String member) {
            double rate = Json.real(of, member);
            return rate > 0 && rate < 10 ? String.format(Locale.ROOT, "%.1f", rate) : Long.toString(Math.round(rate));
        }
    }

    /** The table's lines. */
    static List<String> render(JsonObject answer, Columns columns, Terminal terminal) {
        List<Line> lines = new ArrayList<>();
        lines.add(new Line("Prot LocalAddress:Port", columns.serviceHeads(), "Scheduler Flags", ""));
        lines.add(new Line("  -> RemoteAddress:Port", columns.heads(), "Server", "State"));
        for (JsonObject service : Json.objects(answer, "services")) {
            service(service, columns, terminal, lines);
        }
        return align(lines, columns.heads().size());
    }

    private static void service(JsonObject service, Columns columns, Terminal terminal, List<Line> lines) {
        String scheduler = Json.text(service, "scheduler");
        List<String> flags = Json.texts(service, "flags");
        boolean first = true;
        for (JsonObject listen : Json.objects(service, "listen")) {
            String endpoint = Json.text(listen, "endpoint");
            int slash = endpoint.lastIndexOf('/');
            String address = slash < 0 ? endpoint : endpoint.substring(0, slash);
            String protocol = slash < 0 ? "" : endpoint.substring(slash + 1).toUpperCase(Locale.ROOT);
            String state = first ? Json.text(service, "name") + " " + state(terminal, Json.text(service, "state")) : "";
            String reason = Json.text(service, "engineReason");
            if (first && !reason.isEmpty()) {
                state += ", not by xdp: " + briefly(reason);
            }
            if (!Json.text(listen, "state").equals("listening")) {
                state = (state + " "
                                + terminal.style(Style.RED, "not listening: " + briefly(Json.text(listen, "reason"))))
                        .strip();
            }
            lines.add(new Line(
                    String.format(Locale.ROOT, "%-4s %s", protocol, address),
                    first ? columns.ofService(service) : List.of(),
                    (scheduler + " " + String.join(" ", flags)).strip(),
                    state));
            first = false;
        }
        String forward = Json.text(service, "forward");
        String method =
                forward.isEmpty() ? "" : forward.substring(0, 1).toUpperCase(Locale.ROOT) + forward.substring(1);
        for (JsonObject server : Json.objects(service, "servers")) {
            lines.add(new Line(
                    "  -> " + Json.text(server, "address"),
                    columns.ofServer(server, method),
                    Json.text(server, "name"),
                    state(terminal, Json.text(server, "state"))
                            + (Json.truth(server, "overridden") ? " *" : "")
                            + but(terminal, Json.text(server, "trouble"))));
        }
        for (JsonObject removed : Json.objects(service, "removed")) {
            lines.add(new Line(
                    "  -> " + Json.text(removed, "address"),
                    List.of(),
                    Json.text(removed, "name"),
                    state(terminal, "removed") + " *"));
        }
        JsonObject sorry = Json.object(service, "sorry");
        if (!Json.text(sorry, "address").isEmpty()) {
            lines.add(new Line(
                    "  -> " + Json.text(sorry, "address"),
                    columns == Columns.NOW ? List.of("Sorry") : List.of(),
                    "sorry",
                    Json.truth(sorry, "serving") ? terminal.style(Style.YELLOW, "serving") : "waiting"));
        }
    }

    /** So much of a reason as a line has room for; `status` and the journal have all of it. */
    private static String briefly(String reason) {
        if (reason.length() <= REASON) {
            return reason;
        }
        int end = reason.lastIndexOf(' ', REASON);
        return reason.substring(0, end < 0 ? REASON : end) + "... (all of it: ballast status)";
    }

    private static String but(Terminal terminal, String trouble) {
        return trouble.isEmpty() ? "" : terminal.style(Style.RED, ", but " + trouble);
    }

    /** A state in its colour. */
    static String state(Terminal terminal, String state) {
        return switch (state) {
            case "up" -> terminal.style(Style.GREEN, state);
            case "down" -> terminal.style(Style.RED, state);
            case "draining", "disabled", "removed", "sorry" -> terminal.style(Style.YELLOW, state);
            default -> state;
        };
    }

    /** One line of the table: its address, its figures, its name and its state. */
    private record Line(String address, List<String> figures, String name, String state) {}

    private static List<String> align(List<Line> lines, int figures) {
        int[] width = new int[figures];
        int address = 0;
        int name = 0;
        for (Line line : lines) {
            address = Math.max(address, line.address.length());
            name = Math.max(name, line.name.length());
            for (int i = 0; i < line.figures.size(); i++) {
                width[i] = Math.max(width[i], line.figures.get(i).length());
            }
        }
        List<String> texts = new ArrayList<>();
        for (Line line : lines) {
            StringBuilder text = new StringBuilder(pad(line.address, address));
            for (int i = 0; i < figures; i++) {
                String cell = i < line.figures.size() ? line.figures.get(i) : "";
                text.append("  ").append(" ".repeat(width[i] - cell.length())).append(cell);
            }
            texts.add(text.append("  ")
                    .append(pad(line.name, name))
                    .append("  ")
                    .append(line.state)
                    .toString()
                    .stripTrailing());
        }
        return texts;
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(width - text.length());
    }
}

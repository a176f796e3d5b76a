package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** {@code ballast server}: real servers at run time, over what the description says. */
public final class ServerVerb implements Verb {
    private static final Parameter SERVICE =
            Parameter.required("service", ValueKind.SERVICE, "the virtual service, as `ballast list` names it");
    private static final Parameter SERVER =
            Parameter.required("server", ValueKind.SERVER, "the real server, as `ballast list` names it");

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("server", "Add, remove, drain, disable and enable real servers while traffic flows")
                .describe("What is changed here lasts over reloads and restarts of the daemon, and `ballast list` marks"
                        + " it with a star, until `enable` takes it back or the description itself says the same.");
    }

    @Override
    public List<Verb> verbs() {
        return List.of(
                new Add(),
                new Remove(),
                new Change("enable", "enabled", "Give a server connections again, as far as its checks pass"),
                new Change(
                        "disable",
                        "disabled",
                        "Take a server out: no new connections, the rest closed after the"
                                + " service's drain time-out"),
                new Change("drain", "drain", "Give a server no new connections and let the established ones end"),
                new Weight());
    }

    @Override
    public int run(Invocation call) {
        return Exit.USAGE;
    }

    private static String path(Invocation call) {
        return "/v1/services/" + ControlClient.encode(call.parameter("service")) + "/servers";
    }

    private static String serverPath(Invocation call) {
        return path(call) + "/" + ControlClient.encode(call.parameter("server"));
    }

    private static int done(Invocation call, JsonObject answer, String sentence) {
        if (call.json()) {
            call.terminal().json(answer);
        } else {
            call.terminal().out().println(sentence);
            if (answer.has("warning")) {
                call.terminal()
                        .err()
                        .println(call.terminal().errorStyle(Style.YELLOW, "warning:") + " "
                                + Json.text(answer, "warning"));
            }
        }
        return Exit.DONE;
    }

    private static final class Add implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("add", "Add a real server to a service")
                    .parameter(SERVICE)
                    .parameter(Parameter.required(
                            "address", ValueKind.TEXT, "its address and port, an IPv6 address in brackets"))
                    .option(Option.value("--name", ValueKind.TEXT, "NAME", "its name (default: the address)"))
                    .option(Option.value("--weight", ValueKind.NUMBER, "N", "0 to 65535 (default: 1)"))
                    .option(Option.value(
                            "--limit", ValueKind.NUMBER, "N", "connections at a time (default: 0, no limit)"))
                    .option(ControlClient.SOCKET)
                    .example(
                            "ballast server add web 10.1.0.9:80 --name www9 --weight 2",
                            "one more server for a busy day");
        }

        @Override
        public int run(Invocation call) throws Failure {
            JsonObject body = new JsonObject();
            body.addProperty("address", call.parameter("address"));
            call.value("--name").ifPresent(name -> body.addProperty("name", name));
            body.addProperty("weight", weight("ballast server add: --weight", call.number("--weight", 1)));
            body.addProperty("limit", call.number("--limit", 0));
            JsonObject answer = ControlClient.of(call).call("POST", path(call), Optional.of(body));
            String name = call.value("--name").orElse(call.parameter("address"));
            return done(call, answer, call.parameter("service") + "/" + name + " added");
        }
    }

    private static final class Remove implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("remove", "Remove a real server from a service")
                    .parameter(SERVICE)
                    .parameter(SERVER)
                    .option(ControlClient.SOCKET)
                    .example("ballast server remove web www9", "the busy day is over");
        }

        @Override
        public int run(Invocation call) throws Failure {
            JsonObject answer = ControlClient.of(call).call("DELETE", serverPath(call), Optional.empty());
            return done(call, answer, call.parameter("service") + "/" + call.parameter("server") + " removed");
        }
    }

    private static final class Weight implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("weight", "Change the weight of a real server")
                    .parameter(SERVICE)
                    .parameter(SERVER)
                    .parameter(Parameter.required("weight", ValueKind.NUMBER, "0 to 65535; 0 drains"))
                    .option(ControlClient.SOCKET)
                    .example("ballast server weight web www3 4", "www3 has more memory now");
        }

        @Override
        public int run(Invocation call) throws Failure {
            long weight = weight("ballast server weight: WEIGHT", Long.parseLong(call.parameter("weight")));
            JsonObject body = new JsonObject();
            body.addProperty("weight", weight);
            JsonObject answer = ControlClient.of(call).call("PATCH", serverPath(call), Optional.of(body));
            return done(
                    call,
                    answer,
                    call.parameter("service") + "/" + call.parameter("server") + " has weight " + weight + " now");
        }
    }

    private static long weight(String what, long weight) throws Failure {
        if (weight > 65535) {
            throw Failure.usage(what + " is " + weight + "; it must be 0 to 65535");
        }
        return weight;
    }

    /** Enable, disable or drain; the last two may wait for the connections to end. */
    private static final class Change implements Verb {
        private static final Duration POLL = Duration.ofMillis(200);

        private final String name;
        private final String state;
        private final String summary;

        Change(String name, String state, String summary) {
            this.name = name;
            this.state = state;
            this.summary = summary;
        }

        @Override
        public VerbSpec spec() {
            VerbSpec spec = VerbSpec.of(name, summary)
                    .parameter(SERVICE)
                    .parameter(SERVER)
                    .option(ControlClient.SOCKET);
            return switch (name) {
                case "enable" -> spec.example("ballast server enable web www1", "www1 is back from maintenance");
                default ->
                    spec.option(Option.flag("--wait", "return when the server has no connection left"))
                            .option(Option.value(
                                    "--timeout",
                                    ValueKind.DURATION,
                                    "DURATION",
                                    "how long --wait waits (default: 10m)"))
                            .example(
                                    "ballast server " + name + " web www1 --wait && ssh www1 reboot",
                                    name.equals("drain")
                                            ? "before maintenance of www1"
                                            : "www1 misbehaves: out with it");
            };
        }

        @Override
        public int run(Invocation call) throws Failure, InterruptedException {
            ControlClient client = ControlClient.of(call);
            JsonObject body = new JsonObject();
            body.addProperty("state", state);
            JsonObject answer = client.call("PATCH", serverPath(call), Optional.of(body));
            String server = call.parameter("service") + "/" + call.parameter("server");
            if (call.flag("--wait")) {
                long deadline = System.nanoTime()
                        + call.duration("--timeout", Duration.ofMinutes(10)).toNanos();
                for (long left = connections(client, call); left > 0; left = connections(client, call)) {
                    if (System.nanoTime() - deadline > 0) {
                        throw Failure.failed(server + " still has " + left + " connections; it stays "
                                + (name.equals("drain") ? "draining" : "disabled")
                                + "\n`ballast connections " + call.parameter("service") + "` lists them");
                    }
                    Thread.sleep(POLL);
                }
                return done(call, answer, server + " has no connection left");
            }
            return done(call, answer, server + " " + (name.equals("drain") ? "drains" : name + "d") + " now");
        }

        private static long connections(ControlClient client, Invocation call) throws Failure {
            JsonObject service = client.get("/v1/services/" + ControlClient.encode(call.parameter("service")));
            for (JsonObject server : Json.objects(service, "servers")) {
                if (Json.text(server, "name").equals(call.parameter("server"))) {
                    return Json.number(server, "active") + Json.number(server, "inactive");
                }
            }
            return 0;
        }
    }
}

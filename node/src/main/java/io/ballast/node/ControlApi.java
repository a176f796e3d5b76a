package io.ballast.node;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.gson.stream.JsonWriter;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.Change;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event;
import io.ballast.core.event.EventJson;
import io.ballast.core.event.Journal;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.RefusedException;
import io.ballast.director.ServerOverride;
import io.ballast.director.Trace;
import io.ballast.node.http.HttpException;
import io.ballast.node.http.Request;
import io.ballast.node.http.Response;
import io.ballast.takeover.wire.Manner;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.math.BigDecimal;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The control API of docs/control-api.md: turns requests into questions to the control loop, and answers into JSON. */
final class ControlApi {
    private static final String JSON = "application/json";
    private static final int DEFAULT_EVENTS = 100;
    private static final int MAX_EVENTS = 10_000;
    private static final int DEFAULT_CONNECTIONS = 1_000;
    private static final int MAX_CONNECTIONS = 100_000;
    private static final int DEFAULT_TRACE = 100;
    private static final int MAX_TRACE = 1_000_000;
    private static final Duration DEFAULT_TRACE_TIME = Duration.ofMinutes(1);
    private static final Duration MAX_TRACE_TIME = Duration.ofHours(1);
    private static final int TRACE_STEP_MILLIS = 50;
    private static final Duration FOLLOW_STEP = Duration.ofSeconds(10);
    private static final Duration ENGINE_PATIENCE = Duration.ofSeconds(5);

    /** What the API does beside reading the node. */
    interface Actions {
        /** The members of the status. */
        JsonObject status();

        /** Ends the daemon; returns at once. */
        void stop(boolean drain, boolean keepWorker);

        /** Keeps what the operator changed; blocks. Says why that failed; nothing where it did not. */
        Optional<String> keep(Map<String, Map<String, ServerOverride>> overrides);
    }

    private final Node node;
    private final TakeoverDuty takeover;
    private final Configuration configuration;
    private final Journal journal;
    private final Metrics metrics;
    private final Resolution.Resolver resolver;
    private final Actions actions;

    ControlApi(
            Node node,
            TakeoverDuty takeover,
            Configuration configuration,
            Journal journal,
            Metrics metrics,
            Resolution.Resolver resolver,
            Actions actions) {
        this.node = node;
        this.takeover = takeover;
        this.configuration = configuration;
        this.journal = journal;
        this.metrics = metrics;
        this.resolver = resolver;
        this.actions = actions;
    }

    /** Answers a request; on any thread, may block. */
    Response answer(Request request) throws InterruptedException {
        try {
            return route(request);
        } catch (HttpException e) {
            return error(e.status(), code(e.status()), message(e));
        } catch (RefusedException e) {
            return switch (e.kind()) {
                case NOT_FOUND -> error(404, "not-found", message(e));
                case CONFLICT -> error(409, "conflict", message(e));
                case INVALID -> error(400, "invalid", message(e));
            };
        } catch (Node.BusyException e) {
            return error(503, "busy", message(e));
        } catch (ExecutionException | RuntimeException e) {
            return error(500, "internal", "internal error: " + (e.getCause() == null ? e : e.getCause()));
        }
    }

    private static String message(Exception e) {
        return e.getMessage() == null ? e.toString() : e.getMessage();
    }

    private static String code(int status) {
        return switch (status) {
            case 404 -> "not-found";
            case 405 -> "method-not-allowed";
            case 503 -> "busy";
            default -> "invalid";
        };
    }

    private Response route(Request request)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        List<String> path = request.path();
        if (path.equals(List.of("metrics"))) {
            allow(request, "GET");
            return metrics.answer();
        }
        if (path.size() < 2 || !path.getFirst().equals("v1")) {
            throw unknown(request);
        }
        return switch (path.get(1)) {
            case "services" -> services(request, path.subList(2, path.size()));
            case "openapi.json" -> single(request, "GET", ControlApi::openApi);
            case "status" -> single(request, "GET", () -> json(200, actions.status()));
            case "connections" -> {
                allow(request, "GET", "DELETE");
                yield single(request, request.method(), () -> connections(request));
            }
            case "events" -> single(request, "GET", () -> events(request));
            case "plan" -> single(request, "POST", () -> outcome(change(request, false), false));
            case "apply" -> single(request, "POST", () -> outcome(change(request, true), true));
            case "reload" -> single(request, "POST", () -> outcome(configuration.reload(), true));
            case "stop" -> single(request, "POST", () -> stop(request));
            case "takeover" -> takeover(request, path.subList(2, path.size()));
            default -> throw unknown(request);
        };
    }

    private interface Work {
        Response answer()
                throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException;
    }

    private static Response single(Request request, String method, Work work)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        if (request.path().size() != 2) {
            throw unknown(request);
        }
        allow(request, method);
        return work.answer();
    }

    private static HttpException unknown(Request request) {
        return new HttpException(
                404,
                "there is nothing at /" + String.join("/", request.path())
                        + "; GET /v1/openapi.json describes what is");
    }

    private static void allow(Request request, String... methods) throws HttpException {
        for (String method : methods) {
            if (request.method().equals(method) || (request.method().equals("HEAD") && method.equals("GET"))) {
                return;
            }
        }
        throw new HttpException(
                405,
                request.method() + " is not possible at /" + String.join("/", request.path()) + ", only "
                        + String.join(", ", methods));
    }

    private static Response openApi() throws HttpException {
        try (InputStream in = ControlApi.class.getResourceAsStream("openapi.json")) {
            if (in == null) {
                throw new HttpException(404, "the description of the API is missing from this build");
            }
            return Response.text(200, JSON, new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // ---- Takeover

    private Response takeover(Request request, List<String> rest) throws HttpException, InterruptedException {
        if (rest.isEmpty()) {
            allow(request, "GET", "PATCH");
        } else if (rest.size() == 1) {
            allow(request, "PATCH");
        } else {
            throw unknown(request);
        }
        Set<String> names = takeover.names();
        if (request.method().equals("PATCH")) {
            if (!rest.isEmpty() && !names.contains(rest.getFirst())) {
                throw new HttpException(
                        404,
                        names.isEmpty()
                                ? "this node takes part in no virtual router"
                                : "this node takes part in no virtual router " + rest.getFirst() + ", but in "
                                        + String.join(", ", names));
            }
            JsonObject body = body(request);
            Optional<String> off = text(body, "fenced");
            if (off.isPresent()) {
                only(body, Set.of("fenced"));
                fenced(off.get());
                return json(200, takeover.json());
            }
            Set<String> wished = rest.isEmpty() ? names : Set.of(rest.getFirst());
            Optional<String> warning = takeover.manner(wished, manner(body, wished));
            JsonObject answer = takeover.json();
            warning.ifPresent(text -> answer.addProperty("warning", text));
            return json(200, answer);
        }
        return json(200, takeover.json());
    }

    /** The operator says that a node is off. */
    private void fenced(String node) throws HttpException {
        Set<String> others = takeover.resources().others();
        if (!others.contains(node)) {
            throw new HttpException(
                    400,
                    others.isEmpty()
                            ? "this node shares no resource group, so nobody has to be off for it"
                            : "the node " + node + " shares no resource group with this one, but "
                                    + String.join(", ", others) + (others.size() == 1 ? " does" : " do"));
        }
        takeover.resources().fenced(node);
    }

    /** What the operator wants: said by a word, or by the node that is to have the addresses. */
    private Manner manner(JsonObject body, Set<String> routers) throws HttpException {
        only(body, Set.of("operator", "prefer"));
        Optional<String> preferred = text(body, "prefer");
        if (preferred.isEmpty()) {
            String wish = text(body, "operator").orElse("");
            return Manner.of(wish)
                    .orElseThrow(() -> new HttpException(
                            400, "operator \"" + wish + "\": expected normal, preferred, yielding or withdrawn"));
        }
        for (String router : routers) {
            Set<String> nodes = takeover.nodes(router);
            if (!nodes.contains(preferred.get())) {
                throw new HttpException(
                        400,
                        "the node " + preferred.get() + " takes no part in the virtual router " + router
                                + ", which is shared by " + String.join(", ", nodes));
            }
        }
        if (preferred.get().equals(takeover.node())) {
            return Manner.PREFERRED;
        }
        for (String router : routers) {
            if (takeover.nodes(router).size() > 2) {
                throw new HttpException(
                        409,
                        "more than two nodes share " + router + ", and this one cannot say which of the others has it:"
                                + " ask " + preferred.get() + " itself");
            }
        }
        return Manner.YIELDING;
    }

    // ---- Services

    private Response services(Request request, List<String> rest)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        if (rest.size() == 2 && rest.get(1).equals("trace")) {
            allow(request, "GET");
            return trace(request, rest.getFirst());
        }
        if (rest.size() > 1 && !rest.get(1).equals("servers")) {
            throw unknown(request);
        }
        return switch (rest.size()) {
            case 0 -> {
                allow(request, "GET");
                yield listServices();
            }
            case 1 -> {
                allow(request, "GET");
                yield service(rest.getFirst());
            }
            case 2 -> {
                allow(request, "POST");
                yield addServer(rest.getFirst(), body(request));
            }
            case 3 -> {
                allow(request, "PATCH", "DELETE");
                yield request.method().equals("PATCH")
                        ? changeServer(rest.getFirst(), rest.get(2), body(request))
                        : removeServer(rest.getFirst(), rest.get(2));
            }
            default -> throw unknown(request);
        };
    }

    private Response service(String name)
            throws RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        refresh();
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            view(name).write(json);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Response.text(200, JSON, text.append('\n').toString());
    }

    private ServiceView view(String service)
            throws RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        return asked(() -> ServiceView.of(node, service));
    }

    private interface Question<T> {
        T answer() throws RefusedException, IOException;
    }

    /** As {@link Node#ask}, with a refusal thrown as itself. */
    private <T> T asked(Question<T> question)
            throws RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        try {
            return node.ask(question::answer);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RefusedException refused) {
                throw refused;
            }
            throw e;
        }
    }

    /** Has the engine's figures brought up to date; they may be older where the engine does not answer. */
    private void refresh() throws Node.BusyException, ExecutionException, InterruptedException {
        try {
            node.ask(node::sample).get(ENGINE_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            // Old figures are better than none.
        }
    }

    private Response listServices() throws Node.BusyException, ExecutionException, InterruptedException {
        refresh();
        List<String> names = node.ask(() -> node.services().names());
        // One after the other, so that ten thousand of them hold up neither the loop nor the heap.
        return Response.stream(200, JSON, out -> {
            try (JsonWriter json = new JsonWriter(writer(out))) {
                json.beginObject().name("services").beginArray();
                for (String name : names) {
                    try {
                        view(name).write(json);
                    } catch (RefusedException e) {
                        // It was removed a moment ago.
                    } catch (ExecutionException | Node.BusyException e) {
                        throw new IOException(message(e), e);
                    }
                }
                json.endArray().endObject();
            }
        });
    }

    private Response addServer(String service, JsonObject body)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        only(body, Set.of("address", "name", "weight", "limit"));
        String text = text(body, "address")
                .orElseThrow(() -> new HttpException(400, "address is missing, for instance \"10.1.0.9:80\""));
        HostPort hostPort = address(service, hostPort(text));
        String server = text(body, "name").orElse(text);
        if (server.isEmpty()
                || server.length() > 100
                || server.chars().anyMatch(c -> c <= ' ' || c == '/' || c == 127)) {
            throw new HttpException(400, "name: expected 1 to 100 characters without blanks and slashes");
        }
        int weight = number(body, "weight").orElse(1);
        int limit = number(body, "limit").orElse(0);
        InetSocketAddress address;
        try {
            address = Resolution.one(hostPort, resolver);
        } catch (UnknownHostException e) {
            throw new HttpException(400, "the name " + hostPort.host() + " has no address");
        }
        asked(() -> {
            node.services().add(node.now(), service, server, hostPort, address, weight, limit);
            return true;
        });
        return server(201, service, server, keep());
    }

    /**
     * The address; where the host is the name of a node, the one that the name stands for in the description, and where
     * there is no port, the service's.
     */
    private HostPort address(String service, HostPort written) throws HttpException {
        Description description = configuration.active().description();
        NodeSpec node = description.nodes().get(written.host());
        ServiceSpec spec = description.services().get(service);
        if (spec == null) {
            return written;
        }
        HostPort wanted =
                written.port() != 0 ? written : new HostPort(written.host(), ServiceSpec.onePort(spec.listen()));
        if (wanted.port() == 0 && spec.engine() != EngineKind.XDP) {
            throw new HttpException(
                    400, "address: the port is missing, and the service " + service + " listens on several");
        }
        for (CheckSpec check : spec.checks()) {
            if (spec.hasNoPortToAsk(check, wanted)) {
                throw new HttpException(
                        400,
                        "address: the port is missing, and so the check " + check.name() + " of the service " + service
                                + " would have none to ask");
            }
        }
        if (node == null) {
            return wanted;
        }
        List<InetAddress> taken = spec.listen().stream().map(Endpoint::address).toList();
        return node.addressFor(NodeRole.directors(description, spec), taken)
                .map(address -> new HostPort(Addresses.print(address), wanted.port()))
                .orElseThrow(() -> new HttpException(
                        400, "the node " + node.name() + " has no address in the description; give the address here"));
    }

    private Response changeServer(String service, String server, JsonObject body)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        only(body, Set.of("state", "weight"));
        Optional<Integer> weight = number(body, "weight");
        Optional<AdminState> state = Optional.empty();
        Optional<String> wish = text(body, "state");
        if (wish.isPresent()) {
            state = Optional.of(
                    switch (wish.get()) {
                        case "enabled" -> AdminState.ENABLED;
                        case "drain" -> AdminState.DRAIN;
                        case "disabled" -> AdminState.DISABLED;
                        default ->
                            throw new HttpException(
                                    400, "state \"" + wish.get() + "\": expected enabled, drain or disabled");
                    });
        }
        Optional<AdminState> wanted = state;
        asked(() -> {
            node.services().change(node.now(), service, server, weight, wanted);
            return true;
        });
        return server(200, service, server, keep());
    }

    private Response removeServer(String service, String server)
            throws RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        asked(() -> {
            node.services().remove(node.now(), service, server);
            return true;
        });
        JsonObject answer = new JsonObject();
        keep().ifPresent(trouble -> answer.addProperty("warning", trouble));
        return json(200, answer);
    }

    private Optional<String> keep() throws Node.BusyException, ExecutionException, InterruptedException {
        return actions.keep(node.ask(() -> node.services().overrides()));
    }

    /** The server as it is now, and what went wrong beside. */
    private Response server(int status, String service, String server, Optional<String> warning)
            throws RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        StringWriter text = new StringWriter();
        ServiceView view = view(service);
        try (JsonWriter json = new JsonWriter(text)) {
            view.writeServer(json, server, warning);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Response.text(status, JSON, text.append('\n').toString());
    }

    // ---- Connections and events

    /** What the engine does not keep is left out. */
    private static void known(JsonWriter json, String name, long value) throws IOException {
        if (value != ConnectionInfo.UNKNOWN) {
            json.name(name).value(value);
        }
    }

    private Response connections(Request request)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        boolean count = flag(request, "count");
        boolean kill = request.method().equals("DELETE");
        known(request, Set.of("service", "client", "server", "state", "protocol", "limit", "count", "all"));
        int limit = parameter(request, "limit", DEFAULT_CONNECTIONS, 0, MAX_CONNECTIONS);
        ConnectionFilter filter = filter(request);
        if (kill && filter.isEverything() && !flag(request, "all")) {
            throw new HttpException(
                    400, "this would end every connection of every service: name some by a filter, or say all=true");
        }
        if (!filter.service().isEmpty()) {
            asked(() -> node.services().service(filter.service()));
        }
        ConnectionQuery query = new ConnectionQuery(
                filter,
                kill ? ConnectionQuery.Task.KILL : count ? ConnectionQuery.Task.COUNT : ConnectionQuery.Task.LIST,
                limit);
        ConnectionReport report;
        try {
            report = node.ask(() -> node.engines().connections(query).toCompletableFuture())
                    .get(ENGINE_PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new HttpException(503, "the engine did not answer in " + ENGINE_PATIENCE.toSeconds() + " s");
        }
        if (!filter.server().isEmpty() && report.connections().isEmpty() && report.total() == 0) {
            // Only then: what a server that has left still has is found under its name.
            asked(() -> {
                node.services().known(filter.service(), filter.server());
                return true;
            });
        }
        return Response.stream(200, JSON, out -> {
            try (JsonWriter json = new JsonWriter(writer(out))) {
                json.beginObject();
                if (query.task() == ConnectionQuery.Task.LIST) {
                    json.name("connections").beginArray();
                    for (ConnectionInfo connection : report.connections()) {
                        write(json, connection);
                    }
                    json.endArray();
                } else {
                    json.name(kill ? "killed" : "total").value(report.total());
                    json.name("counts").beginArray();
                    for (ConnectionReport.Count each : report.counts()) {
                        write(json, each);
                    }
                    json.endArray();
                }
                json.name("notes").beginArray();
                for (String note : report.notes()) {
                    json.value(note);
                }
                json.endArray().endObject();
            }
        });
    }

    private static void write(JsonWriter json, ConnectionInfo c) throws IOException {
        json.beginObject();
        json.name("service").value(c.service());
        json.name("protocol").value(c.protocol());
        json.name("client").value(c.client());
        json.name("listen").value(c.listen());
        json.name("server").value(c.server());
        json.name("state").value(c.state());
        known(json, "ageMillis", c.ageMillis());
        known(json, "idleMillis", c.idleMillis());
        known(json, "bytesIn", c.bytesIn());
        known(json, "bytesOut", c.bytesOut());
        json.endObject();
    }

    private static void write(JsonWriter json, ConnectionReport.Count count) throws IOException {
        json.beginObject();
        json.name("service").value(count.service());
        json.name("server").value(count.server());
        json.name("opening").value(count.opening());
        json.name("established").value(count.established());
        json.name("closing").value(count.closing());
        json.endObject();
    }

    private static ConnectionFilter filter(Request request) throws HttpException {
        try {
            return new ConnectionFilter(
                    request.parameter("service").orElse(""),
                    request.parameter("client").map(ConnectionFilter.Clients::parse),
                    request.parameter("server").orElse(""),
                    request.parameter("state").isPresent()
                            ? Optional.of(word(request, "state", ConnectionFilter.Phase.values()))
                            : Optional.empty(),
                    request.parameter("protocol").isPresent()
                            ? Optional.of(word(request, "protocol", Endpoint.Protocol.values()))
                            : Optional.empty());
        } catch (IllegalArgumentException e) {
            throw new HttpException(400, message(e));
        }
    }

    /** One of a few words, which are the names of constants in lower case. */
    private static <E extends Enum<E>> E word(Request request, String name, E[] words) throws HttpException {
        String given = request.parameter(name).orElse("");
        List<String> all = new ArrayList<>();
        for (E word : words) {
            String lower = word.name().toLowerCase(Locale.ROOT);
            if (lower.equals(given)) {
                return word;
            }
            all.add(lower);
        }
        throw new HttpException(400, name + " \"" + given + "\": expected " + String.join(", ", all));
    }

    private static boolean flag(Request request, String name) throws HttpException {
        String given = request.parameter(name).orElse("false");
        return switch (given) {
            case "", "true" -> true;
            case "false" -> false;
            default -> throw new HttpException(400, name + " \"" + given + "\": expected true or false");
        };
    }

    /** A filter that is misspelt must not mean everything. */
    private static void known(Request request, Set<String> names) throws HttpException {
        for (String name : request.query().keySet()) {
            if (!names.contains(name)) {
                throw new HttpException(
                        400,
                        "unknown parameter \"" + name + "\"; there are "
                                + String.join(", ", names.stream().sorted().toList()));
            }
        }
    }

    // ---- Traces

    /** Packets of a service as they come, until as many were seen, the time is over or the client leaves. */
    private Response trace(Request request, String service)
            throws HttpException, RefusedException, Node.BusyException, ExecutionException, InterruptedException {
        known(request, Set.of("every", "limit", "millis"));
        int every = parameter(request, "every", 1, 1, Integer.MAX_VALUE);
        int limit = parameter(request, "limit", DEFAULT_TRACE, 1, MAX_TRACE);
        Duration time = Duration.ofMillis(
                parameter(request, "millis", (int) DEFAULT_TRACE_TIME.toMillis(), 1, (int) MAX_TRACE_TIME.toMillis()));
        if (asked(() -> node.services().service(service).spec().forwarding()) == ForwardingMethod.PROXY) {
            throw new HttpException(
                    409,
                    service + " is served by the userspace engine, which sees connections and no packets: `ballast"
                            + " connections " + service + "` shows those, and `ballast list --stats " + service
                            + "` what servers refused");
        }
        Optional<String> closed = asked(() -> notListening(service));
        if (closed.isPresent()) {
            throw new HttpException(409, closed.get());
        }
        Trace trace = asked(() -> node.xdp().trace(service, every, limit));
        return Response.endless(200, "application/x-ndjson", out -> {
            try {
                follow(trace, time, writer(out));
            } finally {
                node.later(trace::close);
            }
        });
    }

    /** Why no packet of a service can come; empty where one can, by an endpoint at least. */
    private Optional<String> notListening(String service) throws RefusedException {
        List<Endpoint> endpoints = node.services().service(service).spec().listen();
        if (endpoints.stream()
                .anyMatch(each -> node.listening(each).filter(String::isEmpty).isPresent())) {
            return Optional.empty();
        }
        return endpoints.stream()
                .flatMap(each -> node.listening(each).stream()
                        .map(why -> service + " does not listen on " + each + ", so none of its packets comes: " + why))
                .findFirst();
    }

    private static void follow(Trace trace, Duration time, Writer lines) throws IOException {
        long end = System.nanoTime() + time.toNanos();
        long told = 0;
        boolean wanted = true;
        String why;
        do {
            // Asked first, so that what came before the end is still read.
            why = !wanted
                    ? "client"
                    : trace.isOver()
                            ? (trace.isAbandoned() ? "engine" : "limit")
                            : System.nanoTime() - end > 0 ? "time" : "";
            List<JsonObject> packets = new ArrayList<>();
            told += trace.read(packets::add);
            for (JsonObject packet : packets) {
                lines.append(packet.toString()).append('\n');
            }
            lines.flush();
            wanted = !why.isEmpty() || pause();
        } while (why.isEmpty());
        JsonObject summary = new JsonObject();
        summary.addProperty("ended", why);
        summary.addProperty("told", told);
        summary.addProperty("seen", trace.seen());
        summary.addProperty("lost", trace.lost());
        lines.append(summary.toString()).append('\n').flush();
    }

    /** Waits for more to come; false where the client has said that it sends nothing more, but it may still listen. */
    private static boolean pause() {
        try {
            TimeUnit.MILLISECONDS.sleep(TRACE_STEP_MILLIS);
            return true;
        } catch (InterruptedException e) {
            return false;
        }
    }

    private Response events(Request request) throws HttpException {
        Optional<String> given = request.parameter("since");
        long since = given.isPresent() ? parseSequence(given.get()) : -1;
        boolean follow = request.parameter("follow")
                .map(f -> f.isEmpty() || f.equals("true"))
                .orElse(false);
        int limit = parameter(request, "limit", since >= 0 ? MAX_EVENTS : DEFAULT_EVENTS, 0, Integer.MAX_VALUE);
        long from = since >= 0 ? since : Math.max(0, journal.last() - limit);
        Response.Body body = out -> {
            Writer lines = writer(out);
            long last = write(lines, from, limit);
            lines.flush();
            while (follow) {
                for (Event event : journal.next(last, 500, FOLLOW_STEP)) {
                    lines.append(EventJson.object(event).toString()).append('\n');
                    last = event.sequence();
                }
                lines.flush();
            }
        };
        return follow
                ? Response.endless(200, "application/x-ndjson", body)
                : Response.stream(200, "application/x-ndjson", body);
    }

    /** Writes events in portions; the number of the last one. */
    private long write(Writer lines, long from, int limit) throws IOException {
        long last = from;
        int left = limit;
        while (left > 0) {
            List<Event> some = journal.since(last, Math.min(left, 500));
            if (some.isEmpty()) {
                break;
            }
            for (Event event : some) {
                lines.append(EventJson.object(event).toString()).append('\n');
                last = event.sequence();
            }
            left -= some.size();
        }
        return last;
    }

    private static long parseSequence(String text) throws HttpException {
        try {
            return Math.max(0, Long.parseLong(text));
        } catch (NumberFormatException e) {
            throw new HttpException(400, "since \"" + text + "\": expected the number of an event");
        }
    }

    // ---- The description

    private Configuration.Outcome change(Request request, boolean really) throws HttpException, InterruptedException {
        if (request.body().length == 0) {
            throw new HttpException(400, "the body must be the description's text, and it is empty");
        }
        String file = request.header("x-ballast-file").orElse("(request)");
        return really ? configuration.apply(file, request.body()) : configuration.plan(file, request.body());
    }

    private static Response outcome(Configuration.Outcome outcome, boolean really) {
        StringWriter text = new StringWriter();
        try (JsonWriter json = new JsonWriter(text)) {
            json.beginObject();
            if (!outcome.accepted()) {
                long errors = outcome.problems().stream()
                        .filter(p -> p.severity() == Problem.Severity.ERROR)
                        .count();
                json.name("error").beginObject();
                json.name("code").value("wrong-description");
                json.name("message")
                        .value("the description has " + (errors == 1 ? "an error" : errors + " errors")
                                + "; nothing was changed");
                json.endObject();
            }
            json.name("changes").beginArray();
            for (Change change : outcome.changes()) {
                json.beginObject();
                json.name("action").value(change.action().word());
                json.name("subject").value(change.subject());
                json.name("detail").value(change.detail());
                json.endObject();
            }
            json.endArray().name("problems").beginArray();
            for (Problem problem : outcome.problems()) {
                json.beginObject();
                json.name("severity").value(problem.severity().name().toLowerCase(Locale.ROOT));
                json.name("file").value(problem.file());
                json.name("line").value(problem.line());
                json.name("column").value(problem.column());
                json.name("path").value(problem.path());
                json.name("message").value(problem.message());
                json.name("excerpt").value(problem.excerpt());
                json.endObject();
            }
            json.endArray();
            if (really && outcome.accepted()) {
                json.name("millis").value(outcome.took().toMillis());
                json.name("closed").beginArray();
                for (Configuration.Closed closed : outcome.closed()) {
                    json.beginObject();
                    json.name("service").value(closed.service());
                    json.name("endpoint").value(closed.endpoint().toString());
                    json.name("reason").value(closed.reason());
                    json.endObject();
                }
                json.endArray();
            }
            json.endObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return Response.text(
                outcome.accepted() ? 200 : 422, JSON, text.append('\n').toString());
    }

    private Response stop(Request request) throws HttpException {
        JsonObject body = request.body().length == 0 ? new JsonObject() : body(request);
        only(body, Set.of("drain", "keepWorker"));
        boolean keepWorker = flag(body, "keepWorker", false);
        boolean drain = flag(body, "drain", true);
        actions.stop(drain, keepWorker);
        JsonObject answer = new JsonObject();
        answer.addProperty("stopping", true);
        return json(202, answer);
    }

    // ---- JSON

    private static Writer writer(OutputStream out) {
        return new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8), 8192);
    }

    private static Response json(int status, JsonElement json) {
        return Response.text(status, JSON, json + "\n");
    }

    private static Response error(int status, String code, String message) {
        JsonObject error = new JsonObject();
        error.addProperty("code", code);
        error.addProperty("message", message);
        JsonObject json = new JsonObject();
        json.add("error", error);
        return json(status, json);
    }

    private static JsonObject body(Request request) throws HttpException {
        try {
            if (JsonParser.parseString(request.text()) instanceof JsonObject object) {
                return object;
            }
        } catch (JsonParseException e) {
            throw new HttpException(400, "the body is not JSON: " + message(e));
        } catch (StackOverflowError e) {
            throw new HttpException(400, "the body is nested too deeply");
        }
        throw new HttpException(400, "the body is not a JSON object");
    }

    private static void only(JsonObject body, Set<String> known) throws HttpException {
        for (String name : body.keySet()) {
            if (!known.contains(name)) {
                throw new HttpException(
                        400,
                        "unknown member \"" + name + "\"; there are "
                                + String.join(", ", known.stream().sorted().toList()));
            }
        }
    }

    private static Optional<String> text(JsonObject body, String name) throws HttpException {
        JsonElement value = body.get(name);
        if (value == null) {
            return Optional.empty();
        }
        if (value instanceof JsonPrimitive primitive && primitive.isString()) {
            return Optional.of(primitive.getAsString());
        }
        throw new HttpException(400, name + ": expected a string");
    }

    private static Optional<Integer> number(JsonObject body, String name) throws HttpException {
        JsonElement value = body.get(name);
        if (value == null) {
            return Optional.empty();
        }
        try {
            if (value instanceof JsonPrimitive primitive && primitive.isNumber()) {
                return Optional.of(new BigDecimal(primitive.getAsString()).intValueExact());
            }
        } catch (ArithmeticException | NumberFormatException e) {
            throw new HttpException(400, name + ": " + value + " is not a whole number in range");
        }
        throw new HttpException(400, name + ": expected a number");
    }

    private static boolean flag(JsonObject body, String name, boolean otherwise) throws HttpException {
        JsonElement value = body.get(name);
        if (value == null) {
            return otherwise;
        }
        if (value instanceof JsonPrimitive primitive && primitive.isBoolean()) {
            return primitive.getAsBoolean();
        }
        throw new HttpException(400, name + ": expected true or false");
    }

    /** A number; what is outside the bounds is refused, since something else than what was asked would happen. */
    private static int parameter(Request request, String name, int otherwise, int least, int most)
            throws HttpException {
        Optional<String> given = request.parameter(name);
        if (given.isEmpty()) {
            return otherwise;
        }
        try {
            int value = Integer.parseInt(given.get());
            if (value >= least && value <= most) {
                return value;
            }
        } catch (NumberFormatException e) {
            // Told below.
        }
        throw new HttpException(
                400, name + " \"" + given.get() + "\": expected a whole number from " + least + " to " + most);
    }

    /** Reads {@code host:port}, an IPv6 address in brackets. */
    static HostPort hostPort(String text) throws HttpException {
        boolean withoutPort = text.endsWith("]") || text.indexOf(':') < 0;
        int colon = withoutPort ? text.length() : text.lastIndexOf(':');
        String host = text.substring(0, colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        if (bracketed) {
            host = host.substring(1, host.length() - 1);
        }
        boolean v6 = host.indexOf(':') >= 0;
        boolean hostIsRight = !host.isEmpty()
                && v6 == bracketed
                && (v6 ? Addresses.parse(host).isPresent() : host.matches("[A-Za-z0-9._-]{1,253}"));
        try {
            int port = withoutPort ? 0 : Integer.parseInt(text.substring(colon + 1));
            if (hostIsRight && (withoutPort || port >= 1) && port <= 65535) {
                return new HostPort(host, port);
            }
        } catch (NumberFormatException e) {
            // Told below.
        }
        throw new HttpException(
                400, "address \"" + text + "\": expected host:port, for instance \"10.1.0.9:80\" or \"[fd00::9]:80\"");
    }
}

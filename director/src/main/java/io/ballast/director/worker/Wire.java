package io.ballast.director.worker;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.stream.JsonWriter;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import java.io.IOException;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What the node process and a traffic worker say to each other, as JSON objects in the frames of a
 * {@link io.ballast.linux.MessageChannel}. Every message has a {@code type}; records that come by the thousand are
 * arrays, in the order of the methods here.
 *
 * <table>
 * <caption>From the worker</caption>
 * <tr><td>{@code hello}</td><td>protocol, build, pid; first of all</td></tr>
 * <tr><td>{@code table}</td><td>{@code services}: the forwardings it has; several messages</td></tr>
 * <tr><td>{@code held}</td><td>{@code listeners} with their descriptors; several messages</td></tr>
 * <tr><td>{@code ready}</td><td>that was all of the greeting; {@code pressure}, if there is some</td></tr>
 * <tr><td>{@code listening}, {@code notListening}</td><td>outcome of {@code listen} for one endpoint</td></tr>
 * <tr><td>{@code synced}</td><td>answer to {@code sync}: all before it is done</td></tr>
 * <tr><td>{@code drained}, {@code pressure}, {@code note}</td><td>as in {@link io.ballast.director.EngineEvents}</td></tr>
 * <tr><td>{@code statistics}, {@code connections}</td><td>answers with the {@code id} of the question</td></tr>
 * <tr><td>{@code bye}</td><td>drained; the process ends, with its last {@code services} figures</td></tr>
 * </table>
 *
 * <table>
 * <caption>To the worker</caption>
 * <tr><td>{@code put}</td><td>{@code services}: forwardings</td></tr>
 * <tr><td>{@code remove}</td><td>{@code services} by name</td></tr>
 * <tr><td>{@code listen}, {@code unlisten}</td><td>{@code listeners}; the former with descriptors in that order</td></tr>
 * <tr><td>{@code sync}</td><td>with an {@code id}</td></tr>
 * <tr><td>{@code statistics}</td><td>{@code id}, {@code all} or only what has changed since the last answer</td></tr>
 * <tr><td>{@code connections}</td><td>{@code id}, {@code task}, {@code limit}, and the filter</td></tr>
 * <tr><td>{@code drain}</td><td>accept no more, end when the last connection has, at the latest after {@code millis}</td></tr>
 * </table>
 *
 * <p>A worker that was there before the node process tells what it has, so that only what differs is sent again.
 */
public final class Wire {
    /** The version of this protocol; a worker of another one is replaced, not adopted. */
    public static final int PROTOCOL = 2;

    /** Services, figures or connections in one message: few enough that what one takes to read is garbage before it is ever collected. */
    public static final int BATCH = 100;

    private Wire() {}

    /** A service's endpoint. */
    public record ListenerKey(String service, Endpoint endpoint) {}

    /** A message without a body yet. */
    public static JsonObject message(String type) {
        JsonObject message = new JsonObject();
        message.addProperty("type", type);
        return message;
    }

    /** The bytes of a message. */
    public static byte[] bytes(JsonObject message) {
        return message.toString().getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Reads a message.
     *
     * @throws IOException it is not a JSON object with a type
     */
    public static JsonObject parse(byte[] payload) throws IOException {
        try {
            JsonObject message = JsonParser.parseString(new String(payload, StandardCharsets.UTF_8))
                    .getAsJsonObject();
            type(message);
            return message;
        } catch (JsonParseException | IllegalStateException | UnsupportedOperationException e) {
            throw new IOException("a message between node and worker is not understood: " + e.getMessage(), e);
        }
    }

    /** The message's type. */
    public static String type(JsonObject message) throws IOException {
        JsonElement type = message.get("type");
        if (type == null) {
            throw new IOException("a message between node and worker has no type");
        }
        return type.getAsString();
    }

    // ---- Forwarding

    /** A message with services as forwardings. */
    public static byte[] services(String type, List<Forwarding> forwardings) {
        StringWriter text = new StringWriter(forwardings.size() * 1400 + 64);
        try (JsonWriter json = new JsonWriter(text)) {
            json.beginObject().name("type").value(type).name("services").beginArray();
            for (Forwarding forwarding : forwardings) {
                write(json, forwarding);
            }
            json.endArray().endObject();
        } catch (IOException e) {
            throw new IllegalStateException("writing to memory failed", e);
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** The services of a message that {@link #services(String, List)} made. */
    public static List<Forwarding> services(JsonObject message) {
        List<Forwarding> services = new ArrayList<>();
        for (JsonElement element : message.getAsJsonArray("services")) {
            services.add(forwarding(element.getAsJsonObject()));
        }
        return services;
    }

    private static void write(JsonWriter json, Forwarding f) throws IOException {
        json.beginObject().name("service").value(f.service());
        json.name("listen").beginArray();
        for (Endpoint endpoint : f.listen()) {
            write(json, endpoint);
        }
        json.endArray();
        json.name("scheduler").value(f.scheduler().name());
        if (f.persistence().isPresent()) {
            ServiceSpec.Persistence p = f.persistence().get();
            json.name("persistence")
                    .beginArray()
                    .value(p.timeout().toNanos())
                    .value(p.prefix4())
                    .value(p.prefix6())
                    .endArray();
        }
        ServiceSpec.Timeouts t = f.timeouts();
        json.name("timeouts").beginArray();
        for (Duration timeout : List.of(t.connect(), t.idle(), t.halfClosed(), t.udp(), t.queue(), t.drain())) {
            json.value(timeout.toNanos());
        }
        json.endArray();
        ServiceSpec.Limits limits = f.limits();
        json.name("limits")
                .beginArray()
                .value(limits.connections())
                .value(limits.queue())
                .value(limits.backlog())
                .endArray();
        json.name("retry")
                .beginArray()
                .value(f.connectRetry().attempts())
                .value(f.connectRetry().replayBytes())
                .endArray();
        json.name("proxy").value(f.proxyProtocol().name());
        json.name("onDown").value(f.onDown().name());
        if (f.source().isPresent()) {
            json.name("source").value(f.source().get().getHostAddress());
        }
        json.name("servers").beginArray();
        for (Forwarding.Server server : f.servers()) {
            json.beginArray().value(server.name());
            write(json, server.address());
            json.value(server.weight())
                    .value(server.limit())
                    .value(server.state().name())
                    .endArray();
        }
        json.endArray();
        if (f.sorry().isPresent()) {
            json.name("sorry").beginArray();
            write(json, f.sorry().get());
            json.endArray();
        }
        json.endObject();
    }

    private static void write(JsonWriter json, InetSocketAddress address) throws IOException {
        json.value(address.getAddress().getHostAddress()).value(address.getPort());
    }

    private static void write(JsonWriter json, Endpoint endpoint) throws IOException {
        json.beginArray()
                .value(endpoint.address().getHostAddress())
                .value(endpoint.port())
                .value(endpoint.protocol().name())
                .endArray();
    }

    private static Forwarding forwarding(JsonObject json) {
        List<Endpoint> listen = new ArrayList<>();
        for (JsonElement endpoint : json.getAsJsonArray("listen")) {
            listen.add(endpoint(endpoint.getAsJsonArray()));
        }
        List<Forwarding.Server> servers = new ArrayList<>();
        for (JsonElement element : json.getAsJsonArray("servers")) {
            JsonArray server = element.getAsJsonArray();
            servers.add(new Forwarding.Server(
                    server.get(0).getAsString(),
                    address(server, 1),
                    server.get(3).getAsInt(),
                    server.get(4).getAsInt(),
                    ServerState.valueOf(server.get(5).getAsString())));
        }
        JsonArray t = json.getAsJsonArray("timeouts");
        JsonArray limits = json.getAsJsonArray("limits");
        JsonArray retry = json.getAsJsonArray("retry");
        return new Forwarding(
                json.get("service").getAsString(),
                List.copyOf(listen),
                SchedulerKind.valueOf(json.get("scheduler").getAsString()),
                ForwardingMethod.PROXY,
                Optional.ofNullable(json.getAsJsonArray("persistence"))
                        .map(p -> new ServiceSpec.Persistence(
                                nanos(p.get(0)), p.get(1).getAsInt(), p.get(2).getAsInt())),
                new ServiceSpec.Timeouts(
                        nanos(t.get(0)),
                        nanos(t.get(1)),
                        nanos(t.get(2)),
                        nanos(t.get(3)),
                        nanos(t.get(4)),
                        nanos(t.get(5))),
                new ServiceSpec.Limits(
                        limits.get(0).getAsInt(),
                        limits.get(1).getAsInt(),
                        limits.get(2).getAsInt()),
                new ServiceSpec.ConnectRetry(
                        retry.get(0).getAsInt(), retry.get(1).getAsInt()),
                ServiceSpec.ProxyProtocol.valueOf(json.get("proxy").getAsString()),
                ServiceSpec.OnDown.valueOf(json.get("onDown").getAsString()),
                Optional.ofNullable(json.get("source")).map(source -> InetAddress.ofLiteral(source.getAsString())),
                List.copyOf(servers),
                Optional.ofNullable(json.getAsJsonArray("sorry")).map(sorry -> address(sorry, 0)));
    }

    private static Duration nanos(JsonElement element) {
        return Duration.ofNanos(element.getAsLong());
    }

    private static InetSocketAddress address(JsonArray array, int at) {
        return new InetSocketAddress(
                InetAddress.ofLiteral(array.get(at).getAsString()),
                array.get(at + 1).getAsInt());
    }

    private static Endpoint endpoint(JsonArray array) {
        return new Endpoint(
                InetAddress.ofLiteral(array.get(0).getAsString()),
                array.get(1).getAsInt(),
                Endpoint.Protocol.valueOf(array.get(2).getAsString()));
    }

    // ---- Listeners

    /** A message about listeners. */
    public static JsonObject listeners(String type, List<ListenerKey> keys) {
        JsonArray array = new JsonArray();
        for (ListenerKey key : keys) {
            array.add(listener(key));
        }
        JsonObject message = message(type);
        message.add("listeners", array);
        return message;
    }

    private static JsonArray listener(ListenerKey key) {
        JsonArray listener = new JsonArray();
        listener.add(key.service());
        listener.add(key.endpoint().address().getHostAddress());
        listener.add(key.endpoint().port());
        listener.add(key.endpoint().protocol().name());
        return listener;
    }

    /** The listeners of a message, in order. */
    public static List<ListenerKey> listeners(JsonObject message) {
        List<ListenerKey> keys = new ArrayList<>();
        for (JsonElement element : message.getAsJsonArray("listeners")) {
            JsonArray listener = element.getAsJsonArray();
            Endpoint endpoint = new Endpoint(
                    InetAddress.ofLiteral(listener.get(1).getAsString()),
                    listener.get(2).getAsInt(),
                    Endpoint.Protocol.valueOf(listener.get(3).getAsString()));
            keys.add(new ListenerKey(listener.get(0).getAsString(), endpoint));
        }
        return keys;
    }

    // ---- Figures

    /** A service's figures as an array. */
    public static JsonArray statistics(ServiceStatistics service) {
        JsonArray array = new JsonArray();
        array.add(service.service());
        array.add(service.connections());
        array.add(service.active());
        array.add(service.queued());
        array.add(service.refused());
        array.add(service.bytesIn());
        array.add(service.bytesOut());
        for (ServerStatistics server : service.servers()) {
            JsonArray row = new JsonArray();
            row.add(server.server());
            row.add(server.active());
            row.add(server.inactive());
            row.add(server.connections());
            row.add(server.failures());
            row.add(server.bytesIn());
            row.add(server.bytesOut());
            array.add(row);
        }
        return array;
    }

    /** The figures that {@link #statistics(ServiceStatistics)} wrote. */
    public static ServiceStatistics statistics(JsonArray array) {
        List<ServerStatistics> servers = new ArrayList<>();
        for (int i = 7; i < array.size(); i++) {
            JsonArray row = array.get(i).getAsJsonArray();
            servers.add(new ServerStatistics(
                    row.get(0).getAsString(),
                    row.get(1).getAsInt(),
                    row.get(2).getAsInt(),
                    row.get(3).getAsLong(),
                    row.get(4).getAsLong(),
                    row.get(5).getAsLong(),
                    row.get(6).getAsLong()));
        }
        return new ServiceStatistics(
                array.get(0).getAsString(),
                array.get(1).getAsLong(),
                array.get(2).getAsInt(),
                array.get(3).getAsInt(),
                array.get(4).getAsLong(),
                array.get(5).getAsLong(),
                array.get(6).getAsLong(),
                List.copyOf(servers));
    }

    // ---- Connections

    /** A question about connections. */
    public static JsonObject connections(ConnectionQuery query) {
        ConnectionFilter filter = query.filter();
        JsonObject message = message("connections");
        message.addProperty("task", query.task().name());
        message.addProperty("limit", query.limit());
        message.addProperty("service", filter.service());
        message.addProperty("server", filter.server());
        filter.clients().ifPresent(clients -> {
            JsonArray array = new JsonArray();
            array.add(clients.high());
            array.add(clients.low());
            array.add(clients.prefix());
            array.add(clients.port());
            message.add("clients", array);
        });
        filter.phase().ifPresent(phase -> message.addProperty("phase", phase.name()));
        filter.protocol().ifPresent(protocol -> message.addProperty("protocol", protocol.name()));
        return message;
    }

    /** The question that {@link #connections(ConnectionQuery)} wrote. */
    public static ConnectionQuery query(JsonObject message) {
        ConnectionFilter filter = new ConnectionFilter(
                message.get("service").getAsString(),
                Optional.ofNullable(message.getAsJsonArray("clients"))
                        .map(c -> new ConnectionFilter.Clients(
                                c.get(0).getAsLong(),
                                c.get(1).getAsLong(),
                                c.get(2).getAsInt(),
                                c.get(3).getAsInt())),
                message.get("server").getAsString(),
                Optional.ofNullable(message.get("phase"))
                        .map(phase -> ConnectionFilter.Phase.valueOf(phase.getAsString())),
                Optional.ofNullable(message.get("protocol"))
                        .map(protocol -> Endpoint.Protocol.valueOf(protocol.getAsString())));
        return new ConnectionQuery(
                filter,
                ConnectionQuery.Task.valueOf(message.get("task").getAsString()),
                message.get("limit").getAsInt());
    }

    /** Adds the answer to a message. */
    public static void report(JsonObject message, ConnectionReport report) {
        JsonArray rows = new JsonArray();
        report.connections().forEach(info -> rows.add(connection(info)));
        message.add("connections", rows);
        JsonArray counts = new JsonArray();
        for (ConnectionReport.Count count : report.counts()) {
            JsonArray row = new JsonArray();
            row.add(count.service());
            row.add(count.server());
            row.add(count.opening());
            row.add(count.established());
            row.add(count.closing());
            counts.add(row);
        }
        message.add("counts", counts);
    }

    /** The answer that {@link #report(JsonObject, ConnectionReport)} added. */
    public static ConnectionReport report(JsonObject message) {
        List<ConnectionInfo> connections = new ArrayList<>();
        for (JsonElement row : message.getAsJsonArray("connections")) {
            connections.add(connection(row.getAsJsonArray()));
        }
        List<ConnectionReport.Count> counts = new ArrayList<>();
        for (JsonElement element : message.getAsJsonArray("counts")) {
            JsonArray row = element.getAsJsonArray();
            counts.add(new ConnectionReport.Count(
                    row.get(0).getAsString(),
                    row.get(1).getAsString(),
                    row.get(2).getAsLong(),
                    row.get(3).getAsLong(),
                    row.get(4).getAsLong()));
        }
        return new ConnectionReport(List.copyOf(connections), List.copyOf(counts), List.of());
    }

    /** A connection as an array. */
    public static JsonArray connection(ConnectionInfo info) {
        JsonArray array = new JsonArray();
        array.add(info.service());
        array.add(info.protocol().toLowerCase(Locale.ROOT));
        array.add(info.client());
        array.add(info.listen());
        array.add(info.server());
        array.add(info.state());
        array.add(info.ageMillis());
        array.add(info.idleMillis());
        array.add(info.bytesIn());
        array.add(info.bytesOut());
        return array;
    }

    /** The connection that {@link #connection(ConnectionInfo)} wrote. */
    public static ConnectionInfo connection(JsonArray array) {
        return new ConnectionInfo(
                array.get(0).getAsString(),
                array.get(1).getAsString(),
                array.get(2).getAsString(),
                array.get(3).getAsString(),
                array.get(4).getAsString(),
                array.get(5).getAsString(),
                array.get(6).getAsLong(),
                array.get(7).getAsLong(),
                array.get(8).getAsLong(),
                array.get(9).getAsLong());
    }
}

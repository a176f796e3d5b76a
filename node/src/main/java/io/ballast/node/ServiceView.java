package io.ballast.node;

import com.google.gson.stream.JsonWriter;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.Forwarding;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.VirtualService;
import io.ballast.director.VirtualService.RealServer;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ServerHealth.CheckHealth;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A service as the control API shows it: a moment's picture, taken on the control loop and written elsewhere.
 *
 * @param now when it was taken
 * @param engine that serves it, or is to
 * @param whyUserspace why that is userspace where the node may choose; else empty
 * @param removed servers of the description that the operator removed at run time
 */
record ServiceView(
        ServiceTable.Now now,
        ServiceSpec spec,
        EngineKind engine,
        String whyUserspace,
        VirtualService.State state,
        boolean settled,
        List<Listening> listen,
        @Nullable ServiceStatistics counted,
        Rates.PerSecond rates,
        List<Server> servers,
        List<ServerSpec> removed) {

    /** An endpoint; {@code reason} says why it is not open. */
    record Listening(Endpoint endpoint, String state, String reason) {}

    /**
     * A server.
     *
     * @param trouble what keeps the service's packets from it although it is up; empty where nothing is known to
     */
    record Server(
            RealServer server,
            String trouble,
            List<CheckHealth> checks,
            @Nullable ServerStatistics counted,
            Rates.PerSecond rates) {}

    /** Takes the picture; on the control loop. */
    static ServiceView of(Node node, String name) throws RefusedException {
        VirtualService service = node.services().service(name);
        Traffic.OfService traffic = node.traffic().of(name);
        List<Listening> listen = new ArrayList<>();
        for (Endpoint endpoint : service.spec().listen()) {
            Optional<String> trouble = node.listening(endpoint);
            String state = trouble.isEmpty() ? "opening" : trouble.get().isEmpty() ? "listening" : "failed";
            listen.add(new Listening(endpoint, state, trouble.orElse("")));
        }
        List<Server> servers = new ArrayList<>();
        Map<String, String> troubles = node.xdp().troubles(name);
        for (RealServer server : service.servers()) {
            String serverName = server.spec().name();
            servers.add(new Server(
                    server,
                    troubles.getOrDefault(serverName, ""),
                    node.services().checks(name, serverName),
                    traffic == null ? null : traffic.server(serverName).orElse(null),
                    rates(traffic == null ? Optional.empty() : traffic.rates(serverName))));
        }
        return new ServiceView(
                node.now(),
                service.spec(),
                node.engineOf(service.spec()),
                node.whyUserspace(service.spec()).orElse(""),
                service.state(),
                service.settled(),
                listen,
                traffic == null ? null : traffic.counted(),
                rates(traffic == null ? Optional.empty() : Optional.of(traffic.rates())),
                servers,
                service.removed());
    }

    private static Rates.PerSecond rates(Optional<Rates> rates) {
        return rates.map(Rates::perSecond).orElse(Rates.PerSecond.NONE);
    }

    /** The name of a state at the control API. */
    static String word(Forwarding.ServerState state) {
        return state.name().toLowerCase(Locale.ROOT);
    }

    /** Writes the service as docs/control-api.md has it. */
    void write(JsonWriter json) throws IOException {
        json.beginObject();
        json.name("name").value(spec.name());
        json.name("listen").beginArray();
        for (Listening l : listen) {
            json.beginObject();
            json.name("endpoint").value(l.endpoint().toString());
            json.name("state").value(l.state());
            json.name("reason").value(l.reason());
            json.endObject();
        }
        json.endArray();
        json.name("scheduler").value(spec.scheduler().yamlName());
        json.name("engine").value(engine.yamlName());
        if (!whyUserspace.isEmpty()) {
            json.name("engineReason").value(whyUserspace);
        }
        json.name("forward")
                .value((engine == EngineKind.USERSPACE ? ForwardingMethod.PROXY : spec.forwarding()).yamlName());
        json.name("flags").beginArray();
        for (String flag : flags()) {
            json.value(flag);
        }
        json.endArray();
        json.name("state").value(settled ? state.name().toLowerCase(Locale.ROOT) : "starting");
        if (spec.sorry().isPresent()) {
            json.name("sorry").beginObject();
            json.name("address").value(spec.sorry().map(HostPort::toString).orElse(""));
            json.name("serving").value(settled && state == VirtualService.State.SORRY);
            json.endObject();
        }
        writeFigures(json);
        json.name("servers").beginArray();
        for (Server server : servers) {
            write(json, server, Optional.empty());
        }
        json.endArray();
        json.name("removed").beginArray();
        for (ServerSpec server : removed) {
            json.beginObject();
            json.name("name").value(server.name());
            json.name("address").value(server.address().toString());
            json.endObject();
        }
        json.endArray();
        json.endObject();
    }

    private void writeFigures(JsonWriter json) throws IOException {
        int inactive = 0;
        if (counted != null) {
            for (ServerStatistics s : counted.servers()) {
                inactive += s.inactive();
            }
        }
        json.name("active").value(counted == null ? 0 : counted.active());
        json.name("inactive").value(inactive);
        json.name("queued").value(counted == null ? 0 : counted.queued());
        json.name("connections").value(counted == null ? 0 : counted.connections());
        json.name("refused").value(counted == null ? 0 : counted.refused());
        if (counted != null && !counted.refusals().isEmpty()) {
            json.name("limited").beginObject();
            for (Map.Entry<String, Long> refusals : counted.refusals().entrySet()) {
                json.name(refusals.getKey()).value(refusals.getValue());
            }
            json.endObject();
        }
        json.name("bytesIn").value(counted == null ? 0 : counted.bytesIn());
        json.name("bytesOut").value(counted == null ? 0 : counted.bytesOut());
        writeRates(json, rates);
    }

    private List<String> flags() {
        List<String> flags = new ArrayList<>();
        spec.persistence().ifPresent(p -> {
            flags.add("persistent " + p.timeout().toSeconds());
            if (p.prefix4() != 32) {
                flags.add("netmask " + p.prefix4());
            }
            if (p.prefix6() != 128) {
                flags.add("netmask6 " + p.prefix6());
            }
        });
        return flags;
    }

    private static void writeRates(JsonWriter json, Rates.PerSecond rates) throws IOException {
        json.name("rates").beginObject();
        json.name("cps").value(tenths(rates.connections()));
        json.name("bytesIn").value(tenths(rates.bytesIn()));
        json.name("bytesOut").value(tenths(rates.bytesOut()));
        json.endObject();
    }

    private static double tenths(double value) {
        return Math.round(value * 10) / 10.0;
    }

    /** Writes one server, with a warning where there is one; {@code null} where there is no server of the name. */
    void writeServer(JsonWriter json, String name, Optional<String> warning) throws IOException {
        for (Server server : servers) {
            if (server.server().spec().name().equals(name)) {
                write(json, server, warning);
                return;
            }
        }
        json.nullValue();
    }

    private void write(JsonWriter json, Server view, Optional<String> warning) throws IOException {
        RealServer server = view.server();
        json.beginObject();
        json.name("name").value(server.spec().name());
        json.name("address").value(server.spec().address().toString());
        json.name("weight").value(server.spec().weight());
        json.name("limit").value(server.spec().limit());
        json.name("state").value(word(server.state()));
        json.name("admin").value(server.spec().state().yamlName());
        json.name("overridden").value(server.overridden());
        json.name("health").value(server.health().name().toLowerCase(Locale.ROOT));
        if (!view.trouble().isEmpty()) {
            json.name("trouble").value(view.trouble());
        }
        json.name("since").value(server.since().toString());
        json.name("checks").beginArray();
        for (CheckHealth check : view.checks()) {
            write(json, check);
        }
        json.endArray();
        ServerStatistics figures = view.counted();
        json.name("active").value(figures == null ? 0 : figures.active());
        json.name("inactive").value(figures == null ? 0 : figures.inactive());
        json.name("connections").value(figures == null ? 0 : figures.connections());
        json.name("failures").value(figures == null ? 0 : figures.failures());
        json.name("bytesIn").value(figures == null ? 0 : figures.bytesIn());
        json.name("bytesOut").value(figures == null ? 0 : figures.bytesOut());
        writeRates(json, view.rates());
        if (warning.isPresent()) {
            json.name("warning").value(warning.get());
        }
        json.endObject();
    }

    private void write(JsonWriter json, CheckHealth check) throws IOException {
        Optional<ProbeResult> last = check.last();
        json.beginObject();
        json.name("name").value(check.name());
        json.name("state").value(check.state().name().toLowerCase(Locale.ROOT));
        json.name("reason").value(last.map(ProbeResult::reason).orElse("not checked yet"));
        json.name("rttMicros").value(last.map(ProbeResult::rttMicros).orElse(0L));
        if (last.isPresent()) {
            Instant at = now.wall().minusNanos(now.nanos() - check.lastAt());
            json.name("at").value(at.toString());
        }
        json.name("perfdata").value(last.map(ProbeResult::perfdata).orElse(""));
        json.endObject();
    }
}

package io.ballast.node;

import io.ballast.core.config.Endpoint;
import io.ballast.core.event.Journal;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.VirtualService;
import io.ballast.director.sync.ConnectionSync;
import io.ballast.director.xdp.FlowPressure;
import io.ballast.director.xdp.XdpDirector;
import io.ballast.director.xdp.XdpOnDemand;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.RiseFall;
import io.ballast.health.state.ServerHealth.CheckHealth;
import io.ballast.node.http.Response;
import io.ballast.takeover.group.ResourceGroup;
import io.ballast.takeover.quorum.Quorum;
import io.ballast.takeover.track.Tracking.Standing;
import io.ballast.takeover.vrrp.Discard;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.wire.GroupCondition;
import io.ballast.takeover.wire.Jitter;
import io.ballast.takeover.wire.RouterStatus;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/** The node's figures in Prometheus' text format, version 0.0.4. */
final class Metrics {
    private static final String TYPE = "text/plain; version=0.0.4; charset=utf-8";

    /** How the workers are. */
    interface Workers {
        /** Those there are; on the control loop. */
        List<WorkerSupervisor.Status> status();

        /** How many died that should not have; on the control loop. */
        long restarts();
    }

    private final Node node;
    private final TakeoverDuty takeover;
    private final SyncDuty sync;
    private final Workers workers;
    private final Journal journal;

    Metrics(Node node, TakeoverDuty takeover, SyncDuty sync, Workers workers, Journal journal) {
        this.node = node;
        this.takeover = takeover;
        this.sync = sync;
        this.workers = workers;
        this.journal = journal;
    }

    Response answer() throws Node.BusyException, ExecutionException, InterruptedException {
        try {
            node.ask(node::sample).get(5, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            // Prometheus would rather have old figures than none.
        }
        List<ServiceView> services = new ArrayList<>();
        Map<String, ServiceTable.Results> results = new LinkedHashMap<>();
        for (String name : node.ask(() -> node.services().names())) {
            try {
                services.add(node.ask(() -> {
                    ServiceView view = ServiceView.of(node, name);
                    for (ServiceView.Server server : view.servers()) {
                        String serverName = server.server().spec().name();
                        node.services()
                                .results(name, serverName)
                                .ifPresent(r -> results.put(labels(name, serverName), r));
                    }
                    return view;
                }));
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof RefusedException)) {
                    throw e;
                }
                // It was removed a moment ago.
            }
        }
        Condition condition = node.ask(this::condition);
        List<RouterStatus> routers = takeover.status();
        Optional<ConnectionSync.Status> known = sync.status();
        Optional<Quorum.Status> majority = takeover.majority();
        List<GroupCondition.View> groups = takeover.resources().views();
        return Response.stream(200, TYPE, out -> {
            try (Writer text = new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8), 8192)) {
                writeServices(text, services);
                writeServers(text, services);
                writeChecks(text, services, results);
                writeProcess(text, condition);
                if (condition.xdp().isPresent()) {
                    writeXdp(text, condition.xdp().get());
                }
                if (!routers.isEmpty()) {
                    writeRouters(text, routers);
                }
                if (known.isPresent()) {
                    writeSync(text, known.get());
                }
                if (majority.isPresent()) {
                    writeQuorum(text, majority.get());
                }
                if (!groups.isEmpty()) {
                    writeGroups(text, groups);
                }
            }
        });
    }

    private record Condition(
            List<WorkerSupervisor.Status> workers,
            long restarts,
            double lag,
            double worstLag,
            int checks,
            int checksRunning,
            boolean pressure,
            Optional<XdpOnDemand.Condition> xdp) {}

    private Condition condition() {
        return new Condition(
                workers.status(),
                workers.restarts(),
                node.lag().toNanos() / 1e9,
                node.worstLag().toNanos() / 1e9,
                node.checks().size(),
                node.checks().running(),
                !node.pressure().isEmpty(),
                node.xdp().condition());
    }

    private static String labels(String service) {
        return "service=\"" + escape(service) + "\"";
    }

    private static String labels(String service, String server) {
        return labels(service) + ",server=\"" + escape(server) + "\"";
    }

    static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
    }

    private static void head(Writer text, String name, String type, String help) throws IOException {
        text.append("# HELP ").append(name).append(' ').append(help).append('\n');
        text.append("# TYPE ").append(name).append(' ').append(type).append('\n');
    }

    private static void line(Writer text, String name, String labels, Number value) throws IOException {
        text.append(name);
        if (!labels.isEmpty()) {
            text.append('{').append(labels).append('}');
        }
        text.append(' ').append(number(value)).append('\n');
    }

    private static String number(Number value) {
        return value instanceof Double d && d == Math.rint(d) && Math.abs(d) < 1e15
                ? Long.toString(d.longValue())
                : value.toString();
    }

    private static void ofServices(
            Writer text,
            List<ServiceView> services,
            String name,
            String type,
            String help,
            Function<ServiceView, Number> of)
            throws IOException {
        head(text, name, type, help);
        for (ServiceView service : services) {
            line(text, name, labels(service.spec().name()), of.apply(service));
        }
    }

    private static Function<ServiceView, Number> counted(Function<ServiceStatistics, Number> of) {
        return service -> {
            ServiceStatistics counted = service.counted();
            return counted == null ? 0 : of.apply(counted);
        };
    }

    private static void writeRouters(Writer text, List<RouterStatus> routers) throws IOException {
        head(text, "ballast_takeover_role", "gauge", "1 for the role that this node has in a virtual router, else 0.");
        for (RouterStatus router : routers) {
            for (Role role : Role.values()) {
                String labels = labels(router) + ",role=\"" + role.name().toLowerCase(Locale.ROOT) + "\"";
                line(text, "ballast_takeover_role", labels, router.role() == role ? 1 : 0);
            }
        }
        head(
                text,
                "ballast_takeover_holds",
                "gauge",
                "Whether this node has the addresses: a master may wait for them.");
        for (RouterStatus router : routers) {
            line(text, "ballast_takeover_holds", labels(router), router.holds() ? 1 : 0);
        }
        head(text, "ballast_takeover_priority", "gauge", "The priority of this node now.");
        for (RouterStatus router : routers) {
            line(text, "ballast_takeover_priority", labels(router), router.priority());
        }
        head(text, "ballast_takeover_tracked", "gauge", "What a thing that is tracked adds to the priority.");
        for (RouterStatus router : routers) {
            for (Standing each : router.tracked()) {
                line(text, "ballast_takeover_tracked", labels(router, each), each.adds());
            }
        }
        head(
                text,
                "ballast_takeover_tracked_fault",
                "gauge",
                "1 for a tracked thing that keeps the addresses away, else 0.");
        for (RouterStatus router : routers) {
            for (Standing each : router.tracked()) {
                line(text, "ballast_takeover_tracked_fault", labels(router, each), each.fault() ? 1 : 0);
            }
        }
        head(text, "ballast_takeover_advertisements_sent_total", "counter", "Advertisements that were sent.");
        for (RouterStatus router : routers) {
            line(text, "ballast_takeover_advertisements_sent_total", labels(router), router.sent());
        }
        head(text, "ballast_takeover_advertisements_unsent_total", "counter", "Advertisements that could not be sent.");
        for (RouterStatus router : routers) {
            line(text, "ballast_takeover_advertisements_unsent_total", labels(router), router.unsent());
        }
        head(
                text,
                "ballast_takeover_advertisements_discarded_total",
                "counter",
                "Advertisements that came and were not listened to.");
        for (RouterStatus router : routers) {
            for (Discard reason : Discard.values()) {
                line(
                        text,
                        "ballast_takeover_advertisements_discarded_total",
                        labels(router) + ",reason=\"" + reason.name().toLowerCase(Locale.ROOT) + "\"",
                        router.discarded().getOrDefault(reason, 0L));
            }
        }
        histogram(
                text,
                routers,
                "ballast_takeover_jitter_seconds",
                "How far off their time the master's advertisements arrived.",
                RouterStatus::jitter);
        histogram(
                text,
                routers,
                "ballast_takeover_silence_seconds",
                "How long nothing had been heard of a master when this node took over from it.",
                RouterStatus::silences);
    }

    private static String labels(RouterStatus router) {
        return "router=\"" + escape(router.member().name()) + "\",family=\""
                + (router.member().ipv6() ? "ipv6" : "ipv4") + "\"";
    }

    private static String labels(RouterStatus router, Standing thing) {
        return labels(router) + ",tracked=\"" + escape(thing.tracked().name()) + "\"";
    }

    private static void histogram(
            Writer text, List<RouterStatus> routers, String name, String help, Function<RouterStatus, Jitter> of)
            throws IOException {
        head(text, name, "histogram", help);
        long[] bounds = Jitter.bounds();
        for (RouterStatus router : routers) {
            Jitter jitter = of.apply(router);
            long[] counts = jitter.counts();
            long count = 0;
            for (int i = 0; i < counts.length; i++) {
                count += counts[i];
                String upTo = i < bounds.length ? number(bounds[i] / 1e6) : "+Inf";
                line(text, name + "_bucket", labels(router) + ",le=\"" + upTo + "\"", count);
            }
            line(text, name + "_sum", labels(router), jitter.sum() / 1e9);
            line(text, name + "_count", labels(router), count);
        }
    }

    private static void writeGroups(Writer text, List<GroupCondition.View> groups) throws IOException {
        head(text, "ballast_resource_group_state", "gauge", "1 for how a resource group stands on this node, else 0.");
        for (GroupCondition.View group : groups) {
            for (ResourceGroup.Phase phase : ResourceGroup.Phase.values()) {
                String labels = "group=\"" + escape(group.name()) + "\",state=\"" + ResourceDuty.word(phase) + "\"";
                line(text, "ballast_resource_group_state", labels, group.phase() == phase ? 1 : 0);
            }
        }
        head(text, "ballast_resource_group_failures", "gauge", "How often it has failed here since it was last well.");
        for (GroupCondition.View group : groups) {
            String labels = "group=\"" + escape(group.name()) + "\"";
            line(text, "ballast_resource_group_failures", labels, group.failures());
        }
    }

    private static void writeQuorum(Writer text, Quorum.Status quorum) throws IOException {
        head(text, "ballast_quorum_voter_up", "gauge", "Whether a voter answers this node.");
        for (Map.Entry<String, Boolean> voter : quorum.voters().entrySet()) {
            line(text, "ballast_quorum_voter_up", "voter=\"" + escape(voter.getKey()) + "\"", voter.getValue() ? 1 : 0);
        }
        head(
                text,
                "ballast_quorum_lease_seconds",
                "gauge",
                "For how much longer this node has what it wants; 0 without.");
        for (Map.Entry<String, Quorum.Lease> lease : quorum.leases().entrySet()) {
            String labels = "resource=\"" + escape(lease.getKey()) + "\"";
            line(text, "ballast_quorum_lease_seconds", labels, lease.getValue().left() / 1e9);
        }
        head(text, "ballast_quorum_forged_total", "counter", "Messages of voters and nodes without the secret.");
        line(text, "ballast_quorum_forged_total", "", quorum.forged());
    }

    private static void writeSync(Writer text, ConnectionSync.Status sync) throws IOException {
        String name = "ballast_connection_sync_";
        head(text, name + "told_total", "counter", "Connections that another director was told of, with every change.");
        for (ConnectionSync.State peer : sync.peers()) {
            line(text, name + "told_total", peer(peer), peer.told());
        }
        head(
                text,
                name + "taken_total",
                "counter",
                "Connections that another director told of and that are known now.");
        for (ConnectionSync.State peer : sync.peers()) {
            line(text, name + "taken_total", peer(peer), peer.taken());
        }
        head(text, name + "refused_total", "counter", "Connections that another director told of in vain, by reason.");
        for (ConnectionSync.State peer : sync.peers()) {
            for (Map.Entry<String, Long> reason : new TreeMap<>(peer.refused()).entrySet()) {
                String labels = peer(peer) + ",reason=\"" + reason.getKey() + "\"";
                line(text, name + "refused_total", labels, reason.getValue());
            }
        }
        head(text, name + "complete", "gauge", "Whether another director knows every connection that there is.");
        for (ConnectionSync.State peer : sync.peers()) {
            line(text, name + "complete", peer(peer), peer.complete() ? 1 : 0);
        }
        head(text, name + "lag_seconds", "gauge", "The age of the oldest change that another director may not know.");
        for (ConnectionSync.State peer : sync.peers()) {
            line(text, name + "lag_seconds", peer(peer), peer.lagNanos() / 1e9);
        }
        head(text, name + "forged_total", "counter", "Talks with directors that do not have the same key, or none.");
        line(text, name + "forged_total", "", sync.forged());
        head(text, name + "strangers_total", "counter", "Calls from addresses that are no other director's.");
        line(text, name + "strangers_total", "", sync.strangers());
    }

    private static String peer(ConnectionSync.State peer) {
        return "peer=\"" + escape(peer.node()) + "\"";
    }

    private static void writeXdp(Writer text, XdpOnDemand.Condition xdp) throws IOException {
        head(text, "ballast_xdp_attached", "gauge", "Whether the program of the engine xdp is on an interface.");
        for (XdpDirector.Attachment attachment : xdp.attachments()) {
            String labels = "device=\"" + escape(attachment.device()) + "\",mode=\"" + attachment.mode() + "\"";
            line(text, "ballast_xdp_attached", labels, attachment.mode().isEmpty() ? 0 : 1);
        }
        head(
                text,
                "ballast_xdp_exceptions_total",
                "counter",
                "Packets of services that did not go the usual way, and connections that were not remembered.");
        for (XdpOnDemand.Exceptional each : xdp.exceptions()) {
            String labels = labels(each.service()) + ",reason=\"" + each.reason() + "\"";
            line(text, "ballast_xdp_exceptions_total", labels, each.count());
        }
        FlowPressure.Occupancy connections = xdp.connections();
        head(text, "ballast_xdp_connection_places", "gauge", "Places for remembered connections.");
        line(text, "ballast_xdp_connection_places", "", connections.places());
        head(text, "ballast_xdp_connections", "gauge", "Places that are in use, by the state of what is remembered.");
        line(text, "ballast_xdp_connections", "state=\"opening\"", connections.opening());
        line(text, "ballast_xdp_connections", "state=\"established\"", connections.established());
        line(text, "ballast_xdp_connections", "state=\"closing\"", connections.closing());
        line(text, "ballast_xdp_connections", "state=\"other\"", connections.other());
        line(text, "ballast_xdp_connections", "state=\"expired\"", connections.expired());
        head(
                text,
                "ballast_xdp_connection_pressure",
                "gauge",
                "Whether connections are forgotten for others, or nearly.");
        line(text, "ballast_xdp_connection_pressure", "", connections.pressure().isEmpty() ? 0 : 1);
        head(text, "ballast_xdp_syn_cookies", "gauge", "Whether SYNs of a service are answered with cookies.");
        for (Map.Entry<String, Boolean> service : xdp.synCookies().entrySet()) {
            line(text, "ballast_xdp_syn_cookies", labels(service.getKey()), service.getValue() ? 1 : 0);
        }
        head(text, "ballast_xdp_unreachable_servers", "gauge", "Real servers whose next hop is not known.");
        line(text, "ballast_xdp_unreachable_servers", "", xdp.unreachable().size());
    }

    private static void writeServices(Writer text, List<ServiceView> services) throws IOException {
        ofServices(
                text,
                services,
                "ballast_service_up",
                "gauge",
                "Whether a real server takes connections.",
                s -> s.state() == VirtualService.State.UP ? 1 : 0);
        head(text, "ballast_service_engine", "gauge", "1 for the engine that serves the service, or is to.");
        for (ServiceView service : services) {
            line(
                    text,
                    "ballast_service_engine",
                    labels(service.spec().name()) + ",engine=\""
                            + service.engine().yamlName() + "\"",
                    1);
        }
        ofServices(
                text,
                services,
                "ballast_service_sorry",
                "gauge",
                "Whether the sorry server answers.",
                s -> s.settled() && s.state() == VirtualService.State.SORRY ? 1 : 0);
        ofServices(
                text,
                services,
                "ballast_service_listening",
                "gauge",
                "Endpoints that are open.",
                s -> s.listen().stream()
                        .filter(l -> l.state().equals("listening"))
                        .count());
        ofServices(
                text,
                services,
                "ballast_service_endpoints",
                "gauge",
                "Endpoints that should be open.",
                s -> s.listen().size());
        ofServices(
                text,
                services,
                "ballast_service_active_connections",
                "gauge",
                "Connections that carry bytes now.",
                counted(ServiceStatistics::active));
        ofServices(
                text,
                services,
                "ballast_service_queued_connections",
                "gauge",
                "Connections that wait for a server below its limit.",
                counted(ServiceStatistics::queued));
        ofServices(
                text,
                services,
                "ballast_service_connections_total",
                "counter",
                "Connections accepted.",
                counted(ServiceStatistics::connections));
        ofServices(
                text,
                services,
                "ballast_service_refused_total",
                "counter",
                "Connections closed because no server could take them, or not taken because of a limit.",
                counted(ServiceStatistics::refused));
        head(text, "ballast_service_limited_total", "counter", "Connections not taken because of a limit, by limit.");
        for (ServiceView service : services) {
            ServiceStatistics counted = service.counted();
            if (counted != null) {
                for (Map.Entry<String, Long> refusals : counted.refusals().entrySet()) {
                    line(
                            text,
                            "ballast_service_limited_total",
                            labels(service.spec().name()) + ",limit=\"" + refusals.getKey() + "\"",
                            refusals.getValue());
                }
            }
        }
        ofServices(
                text,
                services,
                "ballast_service_bytes_in_total",
                "counter",
                "Bytes from clients.",
                counted(ServiceStatistics::bytesIn));
        ofServices(
                text,
                services,
                "ballast_service_bytes_out_total",
                "counter",
                "Bytes to clients.",
                counted(ServiceStatistics::bytesOut));
    }

    private static void ofServers(
            Writer text,
            List<ServiceView> services,
            String name,
            String type,
            String help,
            Function<ServiceView.Server, Number> of)
            throws IOException {
        head(text, name, type, help);
        for (ServiceView service : services) {
            for (ServiceView.Server server : service.servers()) {
                line(
                        text,
                        name,
                        labels(service.spec().name(), server.server().spec().name()),
                        of.apply(server));
            }
        }
    }

    private static Function<ServiceView.Server, Number> countedServer(Function<ServerStatistics, Number> of) {
        return server -> {
            ServerStatistics counted = server.counted();
            return counted == null ? 0 : of.apply(counted);
        };
    }

    /** Only where servers are asked, by TCP and as clients' packets are sent, silence says something. */
    private static void writeTakesTraffic(Writer text, List<ServiceView> services) throws IOException {
        String name = "ballast_server_takes_traffic";
        head(
                text,
                name,
                "gauge",
                "0 where it is up, but packets of the service are not sent to it, or it does not take them.");
        for (ServiceView service : services) {
            boolean asked = service.spec().forwarding().keepsPort()
                    && service.spec().listen().stream().anyMatch(e -> e.protocol() == Endpoint.Protocol.TCP);
            for (ServiceView.Server server : service.servers()) {
                boolean trouble = !server.trouble().isEmpty();
                if (asked || trouble) {
                    String labels =
                            labels(service.spec().name(), server.server().spec().name());
                    line(text, name, labels, trouble ? 0 : 1);
                }
            }
        }
    }

    private static void writeServers(Writer text, List<ServiceView> services) throws IOException {
        ofServers(
                text,
                services,
                "ballast_server_up",
                "gauge",
                "Whether the server takes new connections.",
                s -> s.server().state() == ServerState.UP ? 1 : 0);
        writeTakesTraffic(text, services);
        head(text, "ballast_server_state", "gauge", "1 for the state that the server is in.");
        for (ServiceView service : services) {
            for (ServiceView.Server server : service.servers()) {
                for (ServerState state : ServerState.values()) {
                    line(
                            text,
                            "ballast_server_state",
                            labels(service.spec().name(), server.server().spec().name()) + ",state=\""
                                    + ServiceView.word(state) + "\"",
                            server.server().state() == state ? 1 : 0);
                }
            }
        }
        ofServers(
                text,
                services,
                "ballast_server_weight",
                "gauge",
                "Its weight.",
                s -> s.server().spec().weight());
        ofServers(
                text,
                services,
                "ballast_server_active_connections",
                "gauge",
                "Established connections with both directions open.",
                countedServer(ServerStatistics::active));
        ofServers(
                text,
                services,
                "ballast_server_inactive_connections",
                "gauge",
                "Connections with one direction closed.",
                countedServer(ServerStatistics::inactive));
        ofServers(
                text,
                services,
                "ballast_server_connections_total",
                "counter",
                "Connections that it was given.",
                countedServer(ServerStatistics::connections));
        ofServers(
                text,
                services,
                "ballast_server_failures_total",
                "counter",
                "Connection attempts that it did not accept.",
                countedServer(ServerStatistics::failures));
        ofServers(
                text,
                services,
                "ballast_server_bytes_in_total",
                "counter",
                "Bytes from clients to the server.",
                countedServer(ServerStatistics::bytesIn));
        ofServers(
                text,
                services,
                "ballast_server_bytes_out_total",
                "counter",
                "Bytes from the server to clients.",
                countedServer(ServerStatistics::bytesOut));
    }

    private static void writeChecks(Writer text, List<ServiceView> services, Map<String, ServiceTable.Results> results)
            throws IOException {
        head(text, "ballast_check_up", "gauge", "Whether the check passes.");
        eachCheck(
                services,
                (labels, check) -> line(text, "ballast_check_up", labels, check.state() == RiseFall.State.UP ? 1 : 0));
        head(text, "ballast_check_rtt_seconds", "gauge", "How long its latest probe took.");
        eachCheck(services, (labels, check) -> {
            if (check.last().isPresent()) {
                line(
                        text,
                        "ballast_check_rtt_seconds",
                        labels,
                        check.last().map(ProbeResult::rttMicros).orElse(0L) / 1e6);
            }
        });
        head(text, "ballast_server_checks_total", "counter", "Probes of the server by their outcome.");
        for (Map.Entry<String, ServiceTable.Results> entry : results.entrySet()) {
            ServiceTable.Results r = entry.getValue();
            line(text, "ballast_server_checks_total", entry.getKey() + ",outcome=\"success\"", r.successes());
            line(text, "ballast_server_checks_total", entry.getKey() + ",outcome=\"failure\"", r.failures());
            line(text, "ballast_server_checks_total", entry.getKey() + ",outcome=\"inconclusive\"", r.inconclusive());
        }
    }

    private interface EachCheck {
        void write(String labels, CheckHealth check) throws IOException;
    }

    private static void eachCheck(List<ServiceView> services, EachCheck each) throws IOException {
        for (ServiceView service : services) {
            for (ServiceView.Server server : service.servers()) {
                for (CheckHealth check : server.checks()) {
                    each.write(
                            labels(service.spec().name(), server.server().spec().name()) + ",check=\""
                                    + escape(check.name()) + "\"",
                            check);
                }
            }
        }
    }

    private void writeProcess(Writer text, Condition p) throws IOException {
        gauge(text, "ballast_checks", "Checks that are run.", p.checks());
        gauge(text, "ballast_checks_running", "Probes under way.", p.checksRunning());
        gauge(text, "ballast_engine_pressure", "Whether the engine is at a limit.", p.pressure() ? 1 : 0);
        gauge(
                text,
                "ballast_workers_serving",
                "Traffic workers that forward.",
                p.workers().stream()
                        .filter(w -> w.state() == WorkerSupervisor.State.SERVING)
                        .count());
        gauge(
                text,
                "ballast_workers_draining",
                "Traffic workers that finish their connections.",
                p.workers().stream()
                        .filter(w -> w.state() == WorkerSupervisor.State.DRAINING)
                        .count());
        head(text, "ballast_worker_restarts_total", "counter", "Traffic workers that died and were replaced.");
        line(text, "ballast_worker_restarts_total", "", p.restarts());
        gauge(
                text,
                "ballast_journal_failing",
                "Whether events cannot be written to the disk.",
                journal.failing() ? 1 : 0);
        head(text, "ballast_journal_lost_total", "counter", "Events that were never written to the disk.");
        line(text, "ballast_journal_lost_total", "", journal.lost());
        head(text, "ballast_events_total", "counter", "Events since the journal began.");
        line(text, "ballast_events_total", "", journal.last());
        gauge(text, "ballast_loop_lag_seconds", "How late the control loop was at its last tick.", p.lag());
        gauge(text, "ballast_loop_lag_worst_seconds", "How late it ever was at a tick.", p.worstLag());
        gauge(text, "process_resident_memory_bytes", "Resident memory of the node process.", residentBytes());
        gauge(text, "process_open_fds", "Descriptors that the node process has open.", openDescriptors());
        Runtime runtime = Runtime.getRuntime();
        gauge(
                text,
                "ballast_heap_used_bytes",
                "Heap in use, garbage included.",
                runtime.totalMemory() - runtime.freeMemory());
        gauge(text, "ballast_heap_max_bytes", "Heap at most.", runtime.maxMemory());
        head(text, "ballast_build_info", "gauge", "The version, as a label.");
        line(text, "ballast_build_info", "version=\"" + escape(Build.version()) + "\"", 1);
    }

    private static void gauge(Writer text, String name, String help, Number value) throws IOException {
        head(text, name, "gauge", help);
        line(text, name, "", value);
    }

    /** Resident memory of this process; 0 where /proc does not tell. */
    static long residentBytes() {
        try {
            String statm = Files.readString(Path.of("/proc/self/statm"));
            return Long.parseLong(statm.split(" ", -1)[1]) * 4096;
        } catch (IOException | NumberFormatException | ArrayIndexOutOfBoundsException e) {
            return 0;
        }
    }

    /** Open descriptors of this process; 0 where /proc does not tell. */
    static long openDescriptors() {
        try (DirectoryStream<Path> fds = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            long count = 0;
            for (Path ignored : fds) {
                count++;
            }
            return count;
        } catch (IOException e) {
            return 0;
        }
    }
}

package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.ServiceSpec.ConnectRetry;
import io.ballast.core.config.ServiceSpec.Limits;
import io.ballast.core.config.ServiceSpec.NotifySpec;
import io.ballast.core.config.ServiceSpec.OnDown;
import io.ballast.core.config.ServiceSpec.Persistence;
import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import io.ballast.core.config.ServiceSpec.Timeouts;
import io.ballast.core.yaml.Node;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The keys of a virtual service, and what must hold among them. */
final class ServiceSchema {

    private static final Key<Duration> PERSISTENCE_TIMEOUT = Key.withDefault(
            "timeout",
            Types.duration("1s", "31d"),
            "5m",
            "How long after its last connection a client is remembered; 5m as in ipvsadm.",
            "10m");
    private static final Key<Integer> NETMASK = Key.withDefault(
            "netmask",
            Types.netmask(32),
            "32",
            "What makes IPv4 clients one: 24 takes a /24 network as one client.",
            "24");
    private static final Key<Integer> NETMASK6 =
            Key.withDefault("netmask6", Types.netmask(128), "128", "The same for IPv6.", "64");
    private static final MapType<Persistence> PERSISTENCE_MAP = new MapType<>(
            "persistence",
            "A client's connections lead to one server for a time.",
            List.of(PERSISTENCE_TIMEOUT, NETMASK, NETMASK6),
            v -> new Persistence(v.get(PERSISTENCE_TIMEOUT), v.get(NETMASK), v.get(NETMASK6)));

    private static final Key<Duration> CONNECT = Key.withDefault(
            "connect", Types.duration("1ms", "10m"), "3s", "For the connection to a server, each attempt.", "500ms");
    private static final Key<Duration> IDLE = Key.withDefault(
            "idle",
            Types.duration("1ms", "31d"),
            "15m",
            "A TCP connection without a byte in either direction ends after it.",
            "1h");
    private static final Key<Duration> HALF_CLOSED = Key.withDefault(
            "half-closed", Types.duration("1ms", "31d"), "30s", "The same once one side has closed.", "1m");
    private static final Key<Duration> UDP = Key.withDefault(
            "udp", Types.duration("1ms", "31d"), "5m", "A UDP flow without a datagram ends after it.", "30s");
    private static final Key<Duration> QUEUE_TIME = Key.withDefault(
            "queue",
            Types.duration("1ms", "10m"),
            "5s",
            "How long a connection may wait for a server that is below its limit.",
            "1s");
    private static final Key<Duration> DRAIN = Key.withDefault(
            "drain",
            Types.duration("1ms", "31d"),
            "30s",
            "How long draining waits for connections to end by themselves.",
            "5m");
    private static final MapType<Timeouts> TIMEOUTS_MAP = new MapType<>(
            "timeouts",
            "How long things may take.",
            List.of(CONNECT, IDLE, HALF_CLOSED, UDP, QUEUE_TIME, DRAIN),
            v -> new Timeouts(
                    v.get(CONNECT), v.get(IDLE), v.get(HALF_CLOSED), v.get(UDP), v.get(QUEUE_TIME), v.get(DRAIN)));
    private static final Timeouts TIMEOUTS_DEFAULT = TIMEOUTS_MAP.empty();

    private static final Key<Integer> MAX_CONNECTIONS = Key.withDefault(
            "connections",
            Types.integer(0, 10_000_000),
            "0",
            "Connections at a time; 0 means no limit. More are not accepted and wait in the kernel's listen queue.",
            "10000");
    private static final Key<Integer> MAX_QUEUE = Key.withDefault(
            "queue",
            Types.integer(0, 1_000_000),
            "1000",
            "Connections that may wait while every server is at its limit; more are closed at once. 0 means no limit.",
            "100");
    private static final Key<Integer> BACKLOG = Key.withDefault(
            "backlog",
            Types.integer(0, 1_000_000),
            "0",
            "Length of the kernel's listen queue; 0 takes the system's maximum (net.core.somaxconn).",
            "4096");
    private static final MapType<Limits> LIMITS_MAP = new MapType<>(
            "limits",
            "Limits of a service.",
            List.of(MAX_CONNECTIONS, MAX_QUEUE, BACKLOG),
            v -> new Limits(v.get(MAX_CONNECTIONS), v.get(MAX_QUEUE), v.get(BACKLOG)));
    private static final Limits LIMITS_DEFAULT = LIMITS_MAP.empty();

    private static final Key<Integer> ATTEMPTS = Key.withDefault(
            "attempts",
            Types.integer(0, 100),
            "2",
            "Further servers that are tried when one does not accept; 0 means none.",
            "1");
    private static final Key<Integer> REPLAY = Key.withDefault(
            "replay",
            Types.size(16L << 20),
            "0B",
            "When a server dies after it accepted, but before its first byte, what the client has sent so far is sent"
                    + " to another server, as long as it is no more than this. Right only where asking twice does no"
                    + " harm.",
            "16KiB");
    private static final MapType<ConnectRetry> RETRY_MAP = new MapType<>(
            "connect-retry",
            "What happens when a server does not take a connection, before a byte of its answer has passed.",
            List.of(ATTEMPTS, REPLAY),
            v -> new ConnectRetry(v.get(ATTEMPTS), v.get(REPLAY)));
    private static final ConnectRetry RETRY_DEFAULT = RETRY_MAP.empty();

    private static final Key<String> SERVER_UP =
            Key.optional("server-up", Types.path(), "When a server comes up.", "/etc/ballast/server-up");
    private static final Key<String> SERVER_DOWN =
            Key.optional("server-down", Types.path(), "When a server goes down.", "/etc/ballast/server-down");
    private static final Key<String> SERVICE_UP =
            Key.optional("service-up", Types.path(), "When the service has a server again.", "/etc/ballast/service-up");
    private static final Key<String> SERVICE_DOWN = Key.optional(
            "service-down", Types.path(), "When the service has no server left.", "/etc/ballast/service-down");
    private static final MapType<NotifySpec> HOOKS_MAP = new MapType<>(
            "hooks",
            "Programs to run when something changes; they get the facts in BALLAST_* environment variables.",
            List.of(SERVER_UP, SERVER_DOWN, SERVICE_UP, SERVICE_DOWN),
            v -> new NotifySpec(v.find(SERVER_UP), v.find(SERVER_DOWN), v.find(SERVICE_UP), v.find(SERVICE_DOWN)));
    private static final NotifySpec HOOKS_DEFAULT = HOOKS_MAP.empty();

    /** A check of a list: one of its own, or the name of one. */
    private static final Type<CheckSpec> CHECK = new CheckOrName();

    private static final Key<String> SERVER_NAME = Key.optional(
            "name",
            Types.name("a server"),
            "Unique in its service. Without it, the node's name where the address is a node's (the first of several on"
                    + " one node), else the address as written.",
            "www3");
    private static final Key<Host> ADDRESS = Key.required(
            "address",
            Types.host(),
            "An address, the name of a node or a name for the resolver, and the port. The port may be left out where"
                    + " the service listens on one port only.",
            "\"10.1.0.3:80\"");
    private static final Key<Integer> WEIGHT = Key.withDefault(
            "weight",
            Types.integer(0, 65535),
            "1",
            "Its share of new connections. 0 drains: established connections go on, new ones go elsewhere.",
            "2");
    private static final Key<Integer> LIMIT = Key.withDefault(
            "limit", Types.integer(0, 10_000_000), "0", "Connections at a time; 0 means no limit.", "200");
    private static final Key<AdminState> STATE = Key.withDefault(
            "state",
            Types.choice(Types.words(AdminState.values(), AdminState::yamlName)),
            "enabled",
            "`enabled` takes connections while its checks pass; `drain` keeps those that it has; `disabled` loses them"
                    + " when the drain time-out is over.",
            "drain");
    private static final Key<List<CheckSpec>> CHECKS = Key.optional(
            "checks",
            Types.list(CHECK),
            "What a server must pass, all of them, to get connections: checks, or names of checks under the top-level"
                    + " `checks`. Without any, a server is always up.",
            "[{ type: tcp }]");
    private static final Key<List<CheckSpec>> OWN_CHECKS = Key.optional(
            "checks", Types.list(CHECK), "Take the place of the service's checks.", "[{ type: tcp, port: 8080 }]");

    /** A server as written. */
    private record Server(
            Node at,
            Optional<String> name,
            String written,
            Host host,
            int weight,
            int limit,
            AdminState state,
            Optional<List<CheckSpec>> checks) {}

    private static final MapType<Server> SERVER_MAP = new MapType<>(
            "server", "A real server.", List.of(SERVER_NAME, ADDRESS, WEIGHT, LIMIT, STATE, OWN_CHECKS), v -> {
                Node address = v.at(ADDRESS);
                return new Server(
                        address,
                        v.find(SERVER_NAME),
                        ((Node.Scalar) address).text(),
                        v.get(ADDRESS),
                        v.get(WEIGHT),
                        v.get(LIMIT),
                        v.get(STATE),
                        v.find(OWN_CHECKS).map(ServiceSchema::numbered));
            });
    private static final Type<Server> SERVER = Types.shortOr(
            Types.mapped(
                    Types.host(),
                    (host, node, scope) -> new Server(
                            node,
                            Optional.empty(),
                            ((Node.Scalar) node).text(),
                            host,
                            1,
                            0,
                            AdminState.ENABLED,
                            Optional.empty())),
            SERVER_MAP);

    /** A value and where it stands. */
    private record Located<T>(T value, Node at) {}

    private static final Key<List<Located<Endpoint>>> LISTEN = Key.required(
            "listen",
            Types.oneOrMore(Types.mapped(Types.endpoint(), (e, node, scope) -> new Located<>(e, node))),
            "Where the service answers. The protocol is tcp where none is written; an IPv6 address stands in brackets"
                    + " (and needs quotes in a list).",
            "[\"192.0.2.100:80/tcp\", \"[2001:db8::100]:80/tcp\"]");
    private static final Key<List<Located<String>>> DIRECTORS = Key.optional(
            "directors",
            Types.list(Types.mapped(Types.text("node"), (name, node, scope) -> new Located<>(name, node))),
            "The nodes that balance the service. Without it, every node that has one of the listen addresses; where no"
                    + " node has one, every node that runs the daemon.",
            "[director]");
    private static final Key<SchedulerKind> SCHEDULER = Key.withDefault(
            "scheduler",
            Types.choice(Types.words(SchedulerKind.values(), SchedulerKind::yamlName)),
            "wlc",
            "How the server of a new connection is picked; the names and meanings are those of IPVS.",
            "wrr");
    private static final Key<EngineKind> ENGINE = Key.withDefault(
            "engine",
            Types.choice(Types.words(EngineKind.values(), EngineKind::yamlName)),
            "userspace",
            "What forwards the packets.",
            "userspace");
    private static final Key<Persistence> PERSISTENCE = Key.optional(
            "persistence",
            Types.shortOr(
                    Types.mapped(Types.duration("1s", "31d"), (t, node, scope) -> new Persistence(t, 32, 128)),
                    PERSISTENCE_MAP),
            "A client's connections lead to one server for so long after the last of them.",
            "5m");
    private static final Key<Timeouts> TIMEOUTS =
            Key.optional("timeouts", TIMEOUTS_MAP, "How long things may take.", "{ connect: 500ms }");
    private static final Key<Limits> LIMITS =
            Key.optional("limits", LIMITS_MAP, "Limits of the service.", "{ connections: 10000 }");
    private static final Key<ConnectRetry> CONNECT_RETRY = Key.optional(
            "connect-retry",
            Types.shortOr(Types.mapped(Types.integer(0, 100), (n, node, scope) -> new ConnectRetry(n, 0)), RETRY_MAP),
            "Further servers that are tried when one does not accept (2 without this key).",
            "1");
    private static final Key<ProxyProtocol> PROXY_PROTOCOL = Key.withDefault(
            "proxy-protocol",
            Types.choice(Types.words(ProxyProtocol.values(), ProxyProtocol::yamlName)),
            "off",
            "The PROXY protocol toward the servers, which tells them the client's address.",
            "v2");
    private static final Key<OnDown> ON_DOWN = Key.withDefault(
            "on-down",
            Types.choice(Types.words(OnDown.values(), OnDown::yamlName)),
            "keep",
            "What happens to a server's established connections when its checks fail.",
            "reset");
    private static final Key<InetAddress> SOURCE = Key.optional(
            "source",
            Types.address(),
            "The address from which a director connects to the servers. Without it, the kernel's choice.",
            "10.1.0.254");
    private static final Key<List<Server>> SERVERS = Key.optional(
            "servers",
            Types.list(SERVER),
            "The real servers, each as `host:port` or as a map.",
            "[\"www1:80\", { address: \"www2:80\", weight: 2 }]");
    private static final Key<Located<Host>> SORRY = Key.optional(
            "sorry",
            Types.mapped(Types.host(), (h, node, scope) -> new Located<>(h, node)),
            "The server that answers while no real server is up.",
            "\"127.0.0.1:8081\"");
    private static final Key<NotifySpec> HOOKS = Key.optional(
            "hooks", HOOKS_MAP, "Programs to run when something changes.", "{ service-down: /etc/ballast/page }");

    static final MapType<ReadService> SERVICE = new MapType<>(
            "service",
            "A virtual service: one or more addresses, and the servers behind them.",
            List.of(
                    LISTEN,
                    SERVERS,
                    CHECKS,
                    SCHEDULER,
                    PERSISTENCE,
                    SORRY,
                    CONNECT_RETRY,
                    TIMEOUTS,
                    LIMITS,
                    PROXY_PROTOCOL,
                    ON_DOWN,
                    SOURCE,
                    DIRECTORS,
                    ENGINE,
                    HOOKS),
            ServiceSchema::service);

    /**
     * A service, and where its endpoints stand in the file.
     *
     * @param places of {@code spec.listen()}, in its order
     */
    record ReadService(ServiceSpec spec, List<Node> places) {}

    private ServiceSchema() {}

    private static ReadService service(Values v) {
        Scope scope = v.scope();
        List<Endpoint> listen = listen(v);
        List<String> directors = directors(v);
        List<NodeSpec> directorNodes = directorNodes(scope, listen, directors);
        int port = onePort(listen);
        List<CheckSpec> checks = v.find(CHECKS).map(ServiceSchema::numbered).orElse(List.of());
        List<ServerSpec> servers = servers(v, listen, directorNodes, port, checks);
        Optional<HostPort> sorry = sorry(v, listen, directorNodes, port, servers);
        var spec = new ServiceSpec(
                scope.lastName(),
                listen,
                directors,
                v.get(SCHEDULER),
                v.get(ENGINE),
                v.find(PERSISTENCE),
                v.find(TIMEOUTS).orElse(TIMEOUTS_DEFAULT),
                v.find(LIMITS).orElse(LIMITS_DEFAULT),
                v.find(CONNECT_RETRY).orElse(RETRY_DEFAULT),
                v.get(PROXY_PROTOCOL),
                v.get(ON_DOWN),
                v.find(SOURCE),
                servers,
                checks,
                sorry,
                v.find(HOOKS).orElse(HOOKS_DEFAULT));
        return new ReadService(spec, v.get(LISTEN).stream().map(Located::at).toList());
    }

    private static List<Endpoint> listen(Values v) {
        List<Endpoint> listen = new ArrayList<>();
        for (Located<Endpoint> endpoint : v.get(LISTEN)) {
            listen.add(endpoint.value());
        }
        return List.copyOf(listen);
    }

    private static List<String> directors(Values v) {
        List<String> names = new ArrayList<>();
        for (Located<String> name : v.find(DIRECTORS).orElse(List.of())) {
            names.add(name.value());
        }
        return List.copyOf(names);
    }

    private static List<NodeSpec> directorNodes(Scope scope, List<Endpoint> listen, List<String> directors) {
        if (!directors.isEmpty()) {
            return scope.nodes.values().stream()
                    .filter(n -> directors.contains(n.name()))
                    .toList();
        }
        return scope.nodes.values().stream()
                .filter(n -> listen.stream().anyMatch(e -> n.hasAddress(e.address())))
                .toList();
    }

    /** The port of a service that listens on one only, else 0. */
    private static int onePort(List<Endpoint> listen) {
        int port = listen.isEmpty() ? 0 : listen.getFirst().port();
        return listen.stream().allMatch(e -> e.port() == port) ? port : 0;
    }

    private static List<ServerSpec> servers(
            Values v, List<Endpoint> listen, List<NodeSpec> directors, int port, List<CheckSpec> checks) {
        Scope scope = v.scope();
        List<Server> written = v.find(SERVERS).orElse(List.of());
        List<InetAddress> taken = listen.stream().map(Endpoint::address).toList();
        List<ServerSpec> servers = new ArrayList<>(written.size());
        Set<String> names = new HashSet<>();
        scope.enter("servers");
        for (Server server : written) {
            HostPort address = address(scope, server.at(), server.host(), port, directors, taken);
            String name = server.name().orElseGet(() -> {
                boolean node = scope.nodes.containsKey(server.host().host());
                return node && !names.contains(server.host().host())
                        ? server.host().host()
                        : server.written();
            });
            if (!names.add(name)) {
                scope.error(server.at(), "a second server " + Type.quoted(name) + " in this service; give it a name");
            }
            servers.add(new ServerSpec(
                    name,
                    address,
                    server.weight(),
                    server.limit(),
                    server.state(),
                    server.checks().orElse(checks)));
        }
        scope.leave();
        return List.copyOf(servers);
    }

    private static HostPort address(
            Scope scope, Node at, Host host, int port, List<NodeSpec> directors, List<InetAddress> taken) {
        if (host.port() == 0 && port == 0) {
            scope.error(at, "the port is missing, and the service listens on several; write host:port");
        }
        return scope.resolve(at, host, host.port() == 0 ? port : host.port(), directors, taken);
    }

    private static Optional<HostPort> sorry(
            Values v, List<Endpoint> listen, List<NodeSpec> directors, int port, List<ServerSpec> servers) {
        return v.find(SORRY).map(s -> {
            v.scope().enter(SORRY.name());
            List<InetAddress> taken = listen.stream().map(Endpoint::address).toList();
            HostPort address = address(v.scope(), s.at(), s.value(), port, directors, taken);
            servers.stream()
                    .filter(server -> server.address().equals(address))
                    .findFirst()
                    .ifPresent(server -> v.scope()
                            .warning(
                                    s.at(), "is also the server " + server.name() + "; it cannot stand in for itself"));
            v.scope().leave();
            return address;
        });
    }

    /** Checks with the names of repeated types numbered: {@code http}, {@code http-2}. */
    private static List<CheckSpec> numbered(List<CheckSpec> checks) {
        Map<String, Integer> seen = new HashMap<>();
        List<CheckSpec> numbered = new ArrayList<>(checks.size());
        for (CheckSpec check : checks) {
            int n = seen.merge(check.name(), 1, Integer::sum);
            numbered.add(n == 1 ? check : renamed(check, check.name() + "-" + n));
        }
        return List.copyOf(numbered);
    }

    private static CheckSpec renamed(CheckSpec c, String name) {
        return new CheckSpec(
                name,
                c.interval(),
                c.timeout(),
                c.rise(),
                c.fall(),
                c.initial(),
                c.jitter(),
                c.backoff(),
                c.source(),
                c.bindInterface(),
                c.host(),
                c.port(),
                c.probe());
    }

    /** A check written in place, or the name of one. */
    private static final class CheckOrName extends Type<CheckSpec> {
        @Override
        @Nullable
        CheckSpec read(Node node, Scope scope) {
            if (!(node instanceof Node.Scalar scalar) || scalar.kind() == Node.Kind.NULL) {
                return CheckSchema.INLINE.read(node, scope);
            }
            CheckSpec check = scope.checks.get(scalar.text());
            if (check == null) {
                if (scope.namesComplete) {
                    boolean type = CheckSchema.INLINE.variants().containsKey(scalar.text());
                    String hint = type
                            ? "; write { type: " + scalar.text() + " }"
                            : Suggestions.didYouMean(scalar.text(), scope.checks.keySet());
                    scope.error(node, "no check of the name " + quoted(scalar.text()) + " under checks" + hint);
                } else {
                    scope.namesMissing = true;
                }
            }
            return check;
        }

        @Override
        String label() {
            return "check, or the name of one";
        }

        @Override
        com.google.gson.JsonObject jsonSchema(SchemaWriter writer) {
            return Types.anyOf(SchemaWriter.type("string"), CheckSchema.INLINE.jsonSchema(writer));
        }
    }
}

package io.ballast.core.config.reader;

import com.google.gson.JsonObject;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.ProbeSpec;
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
import io.ballast.core.config.ServiceSpec.Quic;
import io.ballast.core.config.ServiceSpec.QuicEncryption;
import io.ballast.core.config.ServiceSpec.SynCookies;
import io.ballast.core.config.ServiceSpec.Timeouts;
import io.ballast.core.quic.QuicIds;
import io.ballast.core.time.Durations;
import io.ballast.core.yaml.Node;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
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
    private static final Key<Integer> CONNECTION_RATE = Key.withDefault(
            "connection-rate",
            Types.integer(0, 10_000_000),
            "0",
            "New connections a second, of the service; 0 means no limit. More are dropped without an answer, and counted."
                    + " Of the engine xdp.",
            "20000");
    private static final Key<Integer> SOURCE_CONNECTION_RATE = Key.withDefault(
            "source-connection-rate",
            Types.integer(0, 1_000_000),
            "0",
            "The same of one client, which may also open so many at once. A client is an IPv4 address, or an IPv6"
                    + " network of 64 bits.",
            "100");
    private static final MapType<Limits> LIMITS_MAP = new MapType<>(
            "limits",
            "Limits of a service.",
            List.of(MAX_CONNECTIONS, MAX_QUEUE, BACKLOG, CONNECTION_RATE, SOURCE_CONNECTION_RATE),
            ServiceSchema::limits);
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
                    + " the service listens on one port only, and with the engine xdp where it listens on several: then the"
                    + " server is asked at the port that the client asked for.",
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
    private static final Key<Located<String>> QUIC_ID = Key.optional(
            "quic-id",
            Types.mapped(
                    Types.matching(
                            "ID of a server",
                            "two to thirty hexadecimal digits, two for each byte",
                            "(?:[0-9a-fA-F]{2}){1,15}"),
                    (id, node, scope) -> new Located<>(id.toLowerCase(Locale.ROOT), node)),
            "Its ID in the connection IDs that it makes, where the service has `quic`: hexadecimal digits, two for each"
                    + " byte of `server-id-length`, and unique in the service.",
            "\"0a01\"");
    private static final Key<List<CheckSpec>> CHECKS = Key.optional(
            "checks",
            Types.list(CHECK),
            "What a server must pass, all of them, to get connections: checks, or names of checks under the top-level"
                    + " `checks`. Without any, a server is always up.",
            "[{ type: tcp }]");
    private static final Key<List<CheckSpec>> OWN_CHECKS = Key.optional(
            "checks", Types.list(CHECK), "Take the place of the service's checks.", "[{ type: tcp, port: 8080 }]");

    /** A server as written, and its place in the list. */
    private record Server(
            int index,
            Node at,
            Optional<String> name,
            String written,
            Host host,
            int weight,
            int limit,
            AdminState state,
            Optional<List<CheckSpec>> checks,
            Optional<Located<String>> quicId) {}

    private static final MapType<Server> SERVER_MAP = new MapType<>(
            "server", "A real server.", List.of(SERVER_NAME, ADDRESS, WEIGHT, LIMIT, STATE, OWN_CHECKS, QUIC_ID), v -> {
                Node address = v.at(ADDRESS);
                return new Server(
                        v.scope().lastIndex(),
                        address,
                        v.find(SERVER_NAME),
                        ((Node.Scalar) address).text(),
                        v.get(ADDRESS),
                        v.get(WEIGHT),
                        v.get(LIMIT),
                        v.get(STATE),
                        v.find(OWN_CHECKS).map(ServiceSchema::numbered),
                        v.find(QUIC_ID));
            });
    private static final Type<Server> SERVER = Types.shortOr(
            Types.mapped(
                    Types.host(),
                    (host, node, scope) -> new Server(
                            scope.lastIndex(),
                            node,
                            Optional.empty(),
                            ((Node.Scalar) node).text(),
                            host,
                            1,
                            0,
                            AdminState.ENABLED,
                            Optional.empty(),
                            Optional.empty())),
            SERVER_MAP);

    /** A value and where it stands. */
    private record Located<T>(T value, Node at) {}

    private static final Key<List<Located<Endpoint>>> LISTEN = Key.required(
            "listen",
            Types.oneOrMore(Types.mapped(Types.endpoint(), (e, node, scope) -> new Located<>(e, node))),
            "Where the service answers. The protocol is tcp where none is written; an IPv6 address stands in brackets"
                    + " (and needs quotes in a list). With the engine xdp also a range of ports, `192.0.2.100:8000-8999/udp`,"
                    + " or every port, `192.0.2.100:*/tcp`. Ranges of one address and protocol lie apart, and are 8 at"
                    + " most; a port of its own goes before a range, and both before every port.",
            "[\"192.0.2.100:80/tcp\", \"[2001:db8::100]:80/tcp\"]");
    private static final Key<List<Located<String>>> DIRECTORS = Key.optional(
            "directors",
            Types.list(Types.mapped(Types.text("node"), (name, node, scope) -> new Located<>(name, node))),
            "The nodes that balance the service. Without it, every node that has one of the listen addresses, or takes part"
                    + " in a virtual router that has one; where there is none, every node that runs the daemon.",
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
            "What forwards the packets: `userspace` ends connections in a worker process and opens others to the servers,"
                    + " `xdp` sends each packet on in the kernel, before its network stack (needs root); with `auto` it is"
                    + " xdp where the node can have that for the service, and userspace otherwise.",
            "xdp");
    private static final Key<ForwardingMethod> FORWARDING = Key.optional(
            "forwarding",
            Types.choice(Types.words(ForwardingMethod.values(), ForwardingMethod::yamlName)),
            "How packets get to the servers; `proxy` is what the engine userspace does, and the engine xdp has `dr`"
                    + " (direct routing, its default), `tunnel` (IP in IP), `gue` (the same inside UDP), `nat` and"
                    + " `fullnat` (the default of `engine: auto`, which is a proxy where it is not xdp). With the first three, servers have the service's address themselves and answer the"
                    + " client directly. With `nat` they are asked under their own address and port, and the director"
                    + " must be their way to the clients; with `fullnat` they see the director's address as the"
                    + " client's, and may be anywhere.",
            "tunnel");
    private static final Key<Integer> QUIC_CONFIG = Key.withDefault(
            "config",
            Types.integer(0, 6),
            "0",
            "The number of the servers' configuration, which their connection IDs begin with.",
            "1");
    private static final Key<Integer> QUIC_LENGTH = Key.withDefault(
            "server-id-length",
            Types.integer(1, 15),
            "2",
            "Bytes of a server's ID. The longer, the less often the ID that a client makes up for its first packets"
                    + " names a server by chance.",
            "4");
    private static final Key<Integer> QUIC_NONCE = Key.optional(
            "nonce-length",
            Types.integer(QuicIds.MIN_NONCE, QuicIds.MAX_LENGTH - 2),
            "With `key`: bytes that follow a server's ID, as the servers have it; both together are 19 at most, and cost"
                    + " the director least where they are 16.",
            "14");
    private static final Key<String> QUIC_KEY = Key.optional(
            "key",
            Types.secret("key of AES-128", "32 hexadecimal digits", "[0-9a-fA-F]{32}"),
            "What the servers encrypt their connection IDs with; a secret, so the file should be root's alone. Without"
                    + " it anybody on the way can tell which IDs are of one server.",
            "\"8f95f09245765f80256934e50c66207f\"");
    private static final MapType<Quic> QUIC_MAP = new MapType<>(
            "quic",
            "How connection IDs of QUIC name the servers (draft-ietf-quic-load-balancers-21).",
            List.of(QUIC_CONFIG, QUIC_LENGTH, QUIC_NONCE, QUIC_KEY),
            ServiceSchema::quic);
    private static final Key<Quic> QUIC = Key.optional(
            "quic",
            QUIC_MAP,
            "A QUIC connection stays at its server when its client's address changes: the servers make connection IDs"
                    + " that name them, each with its `quic-id`. Needs the engine xdp and an endpoint of UDP.",
            "{ config: 0, server-id-length: 2 }");
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
    private static final Key<SynCookies> SYN_COOKIES = Key.optional(
            "syn-cookies",
            Types.choice(Types.words(SynCookies.values(), SynCookies::yamlName)),
            "Whether the director answers SYNs itself and leads only clients to a server that have acknowledged the"
                    + " answer, so that a flood of SYNs reaches no server and takes no memory. Of the engine xdp with"
                    + " forwarding nat or fullnat, where it is `auto` without this key: while too many connections are"
                    + " half open. Connections that come so have no window scaling, SACK or timestamps.",
            "always");
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
                    QUIC,
                    SORRY,
                    CONNECT_RETRY,
                    TIMEOUTS,
                    LIMITS,
                    SYN_COOKIES,
                    PROXY_PROTOCOL,
                    ON_DOWN,
                    SOURCE,
                    DIRECTORS,
                    ENGINE,
                    FORWARDING,
                    HOOKS),
            ServiceSchema::service);

    /**
     * A service, and where things stand in the file that are looked at again beside other services.
     *
     * @param places of {@code spec.listen()}, in its order
     * @param sourcePlace of its source, or of the service
     */
    record ReadService(ServiceSpec spec, List<Place> places, Place sourcePlace) {

        /** A service of which it does not matter where it stands. */
        static ReadService anywhere(ServiceSpec spec) {
            return new ReadService(spec, Collections.nCopies(spec.listen().size(), Place.NOWHERE), Place.NOWHERE);
        }

        /** The same, with the spec from before where that is equal: one object instead of two. */
        ReadService as(@Nullable ServiceSpec before) {
            return before != null && before.equals(spec) ? new ReadService(before, places, sourcePlace) : this;
        }
    }

    /** A place in the file; unlike a node, it keeps nothing else in memory. */
    record Place(int line, int column) {
        static final Place NOWHERE = new Place(0, 0);

        static Place of(Node node) {
            return new Place(node.line(), node.column());
        }
    }

    private ServiceSchema() {}

    private static ReadService service(Values v) {
        Scope scope = v.scope();
        List<Endpoint> listen = v.get(LISTEN).stream().map(Located::value).toList();
        listen(v);
        List<String> directors = directors(v);
        List<NodeSpec> directorNodes = directorNodes(scope, listen, directors);
        var targets = new Targets(
                listen,
                listen.stream().map(Endpoint::address).toList(),
                ServiceSpec.onePort(listen),
                v.get(ENGINE) == EngineKind.XDP,
                v.broken(LISTEN),
                directorNodes);
        List<CheckSpec> checks = v.find(CHECKS).map(ServiceSchema::numbered).orElse(List.of());
        List<ServerSpec> servers = servers(v, targets, checks);
        Optional<HostPort> sorry = sorry(v, targets, servers);
        EngineKind engine = v.get(ENGINE);
        ForwardingMethod forwarding = v.find(FORWARDING).orElse(engine.defaultMethod());
        var spec = new ServiceSpec(
                scope.lastName(),
                listen,
                directors,
                v.get(SCHEDULER),
                engine,
                forwarding,
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
                v.find(HOOKS).orElse(HOOKS_DEFAULT),
                v.find(QUIC),
                v.find(SYN_COOKIES)
                        .orElse(noCookies(engine, forwarding, listen).isEmpty() ? SynCookies.AUTO : SynCookies.OFF));
        plausible(v, spec);
        possible(v, spec);
        if (spec.forwarding() == ForwardingMethod.NAT && !v.broken(SERVERS) && !v.broken(LISTEN)) {
            behindTheDirector(v, spec);
        }
        quic(v, spec);
        synCookies(v, spec);
        List<Place> places = v.get(LISTEN).stream().map(l -> Place.of(l.at())).toList();
        return new ReadService(spec, places, Place.of(v.at(SOURCE)));
    }

    private static void listen(Values v) {
        v.scope().enter(LISTEN.name());
        for (Located<Endpoint> endpoint : v.get(LISTEN)) {
            InetAddress address = endpoint.value().address();
            if (address.isMulticastAddress() || Addresses.print(address).equals("255.255.255.255")) {
                v.scope().error(endpoint.at(), "a service cannot listen on a multicast or broadcast address");
            }
        }
        v.scope().leave();
    }

    private static List<String> directors(Values v) {
        Scope scope = v.scope();
        List<String> names = new ArrayList<>();
        scope.enter(DIRECTORS.name());
        if (v.given(DIRECTORS) && !v.broken(DIRECTORS) && v.get(DIRECTORS).isEmpty()) {
            scope.error(v.at(DIRECTORS), "the list is empty; name a node, or leave the key out");
        }
        for (Located<String> name : v.find(DIRECTORS).orElse(List.of())) {
            if (names.contains(name.value())) {
                scope.error(name.at(), "the node " + name.value() + " is here a second time");
            } else if (!scope.nodes.containsKey(name.value()) && !scope.nodeNames.contains(name.value())) {
                scope.namesMissing |= !scope.nodesKnown;
                scope.error(
                        name.at(),
                        "no node of the name " + Type.quoted(name.value()) + " under nodes"
                                + Suggestions.didYouMean(name.value(), scope.nodes.keySet()));
            }
            names.add(name.value());
        }
        scope.leave();
        return List.copyOf(names);
    }

    private static List<NodeSpec> directorNodes(Scope scope, List<Endpoint> listen, List<String> directors) {
        List<String> names =
                Description.directors(scope.nodes.values(), scope.virtualRouters.values(), directors, listen);
        return scope.nodes.values().stream()
                .filter(n -> names.contains(n.name()))
                .toList();
    }

    /**
     * What the addresses of a service's servers are read against.
     *
     * @param taken the addresses of {@code listen}
     * @param port that a server has where none is written; 0 where the service listens on several
     * @param asked whether a server may have the one of several that a client asks for, and else must have its own
     * @param listenBroken whether an endpoint could not be read, so that the port is not certain
     */
    private record Targets(
            List<Endpoint> listen,
            List<InetAddress> taken,
            int port,
            boolean asked,
            boolean listenBroken,
            List<NodeSpec> directors) {

        HostPort resolve(Scope scope, Node at, Host host) {
            if (host.port() == 0 && port == 0 && !asked && !listenBroken) {
                scope.error(at, "the port is missing, and the service listens on several; write host:port");
            }
            HostPort address = scope.resolve(at, host, host.port() == 0 ? port : host.port(), directors, taken);
            if (host.literal()) {
                literal(scope, at, host, address);
            }
            return address;
        }

        private void literal(Scope scope, Node at, Host host, HostPort address) {
            InetAddress literal = Addresses.parse(host.host()).orElseThrow();
            if (literal.isAnyLocalAddress() || literal.isMulticastAddress()) {
                scope.error(at, host.host() + " is no address that a server can have");
                return;
            }
            for (Endpoint endpoint : listen) {
                boolean there = address.port() == 0 || endpoint.has(address.port());
                if (there && endpoint.address().equals(literal)) {
                    scope.error(at, address + " is where the service itself listens; that would be a loop");
                    return;
                }
            }
        }
    }

    private static List<ServerSpec> servers(Values v, Targets targets, List<CheckSpec> checks) {
        Scope scope = v.scope();
        List<Server> written = v.find(SERVERS).orElse(List.of());
        List<ServerSpec> servers = new ArrayList<>(written.size());
        Map<String, Node> names = new HashMap<>();
        Map<HostPort, Node> addresses = new HashMap<>();
        scope.enter(SERVERS.name());
        for (Server server : written) {
            scope.enter(server.index());
            HostPort address = targets.resolve(scope, server.at(), server.host());
            String host = server.host().host();
            boolean node = scope.nodes.containsKey(host) && !names.containsKey(host);
            String name = server.name().orElse(node ? host : server.written());
            Node sameAddress = addresses.putIfAbsent(address, server.at());
            Node sameName = names.putIfAbsent(name, server.at());
            if (sameAddress != null && (address.port() != 0 || targets.asked())) {
                scope.error(
                        server.at(),
                        address + " is a server of this service already (line " + sameAddress.line() + ")");
            } else if (sameName != null) {
                scope.error(
                        server.at(),
                        "a second server named " + Type.quoted(name) + " in this service (line " + sameName.line()
                                + ")");
            }
            servers.add(new ServerSpec(
                    name,
                    address,
                    server.weight(),
                    server.limit(),
                    server.state(),
                    server.checks().orElse(checks),
                    server.quicId().map(Located::value)));
            scope.leave();
        }
        scope.leave();
        return List.copyOf(servers);
    }

    private static Optional<HostPort> sorry(Values v, Targets targets, List<ServerSpec> servers) {
        return v.find(SORRY).map(sorry -> {
            v.scope().enter(SORRY.name());
            HostPort address = targets.resolve(v.scope(), sorry.at(), sorry.value());
            servers.stream()
                    .filter(server -> server.address().equals(address))
                    .findFirst()
                    .ifPresent(server -> v.scope()
                            .warning(
                                    sorry.at(),
                                    "is also the server " + server.name() + "; it cannot stand in for itself"));
            v.scope().leave();
            return address;
        });
    }

    /** What is allowed, but hardly meant. */
    private static void plausible(Values v, ServiceSpec spec) {
        boolean udp = spec.listen().stream().anyMatch(e -> e.protocol() == Protocol.UDP);
        boolean tcp = spec.listen().stream().anyMatch(e -> e.protocol() == Protocol.TCP);
        List<ServerSpec> servers = spec.servers();
        if (servers.isEmpty() && !v.broken(SERVERS)) {
            String why = "there is no server; list one under servers, or give a sorry server";
            if (!v.given(SORRY)) {
                v.scope().error(v.at(SERVERS), why);
            }
        } else if (servers.stream().allMatch(s -> s.weight() == 0 || s.state() != AdminState.ENABLED)
                && !v.broken(SERVERS)) {
            v.warning(SERVERS, "no server takes new connections: each has weight 0 or is not enabled");
        }
        boolean unweighted = spec.scheduler() == SchedulerKind.RR || spec.scheduler() == SchedulerKind.LC;
        if (unweighted
                && servers.stream()
                                .map(ServerSpec::weight)
                                .filter(w -> w > 0)
                                .distinct()
                                .count()
                        > 1) {
            v.warning(
                    SERVERS,
                    "the scheduler " + spec.scheduler().yamlName() + " does not look at weights; w"
                            + spec.scheduler().yamlName() + " does");
        }
        if (udp && spec.persistence().isPresent()) {
            Duration remembered = spec.persistence().get().timeout();
            if (remembered.compareTo(spec.timeouts().udp()) < 0) {
                v.warning(
                        PERSISTENCE,
                        "is shorter than timeouts.udp ("
                                + Durations.print(spec.timeouts().udp()) + "), so it never matters to UDP flows");
            }
        }
        spec.persistence().ifPresent(persistence -> {
            boolean ipv4 = spec.listen().stream().anyMatch(e -> !e.ipv6());
            boolean ipv6 = spec.listen().stream().anyMatch(Endpoint::ipv6);
            if (!ipv6 && persistence.prefix6() != 128) {
                v.warning(PERSISTENCE, "netmask6 has no effect, because the service has no IPv6 address; leave it out");
            }
            if (!ipv4 && persistence.prefix4() != 32) {
                v.warning(PERSISTENCE, "netmask has no effect, because the service has no IPv4 address; leave it out");
            }
        });
        if (!tcp && spec.proxyProtocol() != ProxyProtocol.OFF) {
            v.warning(PROXY_PROTOCOL, "has no effect, because it exists for TCP only and this service is UDP");
        }
        if (!tcp && udp) {
            spec.checks().stream()
                    .filter(c -> c.probe() instanceof ProbeSpec.Tcp
                            && c.port() == 0
                            && c.host().isEmpty())
                    .findFirst()
                    .ifPresent(c -> v.warning(
                            CHECKS,
                            "the check " + c.name() + " asks by TCP at the port of a UDP service; give its port"));
        }
        boolean halfClosedGiven = !spec.timeouts().halfClosed().equals(TIMEOUTS_DEFAULT.halfClosed());
        if (halfClosedGiven
                && spec.timeouts().halfClosed().compareTo(spec.timeouts().idle()) > 0) {
            v.warning(TIMEOUTS, "half-closed is longer than idle, which ends the connection before");
        }
    }

    /** Who answers SYNs has to translate sequence numbers afterwards, so he must see both directions. */
    private static void synCookies(Values v, ServiceSpec spec) {
        if (spec.synCookies() != SynCookies.OFF) {
            noCookies(spec.engine(), spec.forwarding(), spec.listen()).ifPresent(why -> v.error(SYN_COOKIES, why));
        }
    }

    /** Why a service cannot have SYN cookies; empty where it can. */
    private static Optional<String> noCookies(EngineKind engine, ForwardingMethod method, List<Endpoint> listen) {
        if (engine == EngineKind.USERSPACE) {
            return Optional.of("with the engine userspace it is the kernel that answers SYNs, by cookies of its own in"
                    + " a flood (net.ipv4.tcp_syncookies); leave it out, or use the engine xdp");
        }
        if (method == ForwardingMethod.PROXY) {
            return Optional.of(
                    "with forwarding proxy it is the kernel that answers SYNs, by cookies of its own in a flood"
                            + " (net.ipv4.tcp_syncookies); leave it out, or use forwarding nat or fullnat");
        }
        if (method != ForwardingMethod.NAT && method != ForwardingMethod.FULLNAT) {
            return Optional.of("with forwarding " + method.yamlName() + " the servers answer clients directly, so"
                    + " cookies are theirs to send (net.ipv4.tcp_syncookies there); leave it out, or use forwarding nat"
                    + " or fullnat");
        }
        return listen.stream().noneMatch(e -> e.protocol() == Protocol.TCP)
                ? Optional.of("only TCP has SYNs, and the service listens on no TCP port; leave it out")
                : Optional.empty();
    }

    private static Limits limits(Values v) {
        int rate = v.get(CONNECTION_RATE);
        int ofSource = v.get(SOURCE_CONNECTION_RATE);
        if (rate > 0 && ofSource > rate) {
            v.warning(
                    SOURCE_CONNECTION_RATE,
                    "has no effect, because it is above connection-rate (" + rate
                            + "), which all clients have together; lower it, or raise connection-rate");
        }
        return new Limits(v.get(MAX_CONNECTIONS), v.get(MAX_QUEUE), v.get(BACKLOG), rate, ofSource);
    }

    private static Quic quic(Values v) {
        Optional<Integer> nonce = v.find(QUIC_NONCE);
        Optional<String> key = v.find(QUIC_KEY);
        int length = v.get(QUIC_LENGTH);
        int together = length + nonce.orElse(QuicIds.MIN_NONCE);
        if (v.given(QUIC_KEY) && !v.given(QUIC_NONCE)) {
            v.error(QUIC_KEY, "needs nonce-length, as the servers have it: how much is encrypted depends on it");
        } else if (v.given(QUIC_NONCE) && !v.given(QUIC_KEY)) {
            v.warning(QUIC_NONCE, "has no effect without key");
        } else if (key.isPresent() && together >= QuicIds.MAX_LENGTH) {
            v.error(
                    QUIC_NONCE,
                    "is " + together + " with server-id-length, and a connection ID has room for "
                            + (QuicIds.MAX_LENGTH - 1));
        }
        return new Quic(
                v.get(QUIC_CONFIG),
                length,
                key.map(digits ->
                        new QuicEncryption(nonce.orElse(QuicIds.MIN_NONCE), digits.toLowerCase(Locale.ROOT))));
    }

    /** Connection IDs name every server of the service, each by an ID of its own. */
    private static void quic(Values v, ServiceSpec spec) {
        if (v.broken(SERVERS) || v.broken(QUIC)) {
            return;
        }
        List<Server> written = v.find(SERVERS).orElse(List.of());
        Optional<Quic> quic = spec.quic();
        if (quic.isPresent() && spec.engine() != EngineKind.XDP) {
            v.error(QUIC, userspace(spec.engine()) + " does not look into QUIC; use the engine xdp, or leave it out");
            return;
        }
        if (quic.isPresent() && spec.listen().stream().noneMatch(e -> e.protocol() == Protocol.UDP)) {
            v.error(
                    QUIC,
                    "QUIC runs over UDP, and the service listens on no UDP port; add one to listen, like" + " \""
                            + spec.listen().getFirst().toString().replace("/tcp", "/udp") + "\"");
        }
        Map<String, Node> taken = new HashMap<>();
        v.scope().enter(SERVERS.name());
        for (Server server : written) {
            v.scope().enter(server.index());
            quicId(v.scope(), server, quic, taken);
            v.scope().leave();
        }
        v.scope().leave();
    }

    private static void quicId(Scope scope, Server server, Optional<Quic> quic, Map<String, Node> taken) {
        Located<String> id = server.quicId().orElse(null);
        if (id == null) {
            quic.ifPresent(wanted -> {
                int digits = 2 * wanted.serverIdLength();
                scope.error(
                        server.at(),
                        "the service has quic, so this server needs a quic-id of " + digits + " hexadecimal digits,"
                                + " like quic-id: \""
                                + String.format(Locale.ROOT, "%0" + digits + "x", server.index() + 1) + "\"");
            });
            return;
        }
        scope.enter(QUIC_ID.name());
        quicId(scope, id, quic, taken);
        scope.leave();
    }

    private static void quicId(Scope scope, Located<String> id, Optional<Quic> quic, Map<String, Node> taken) {
        if (quic.isEmpty()) {
            scope.warning(id.at(), "has no effect, because the service has no `quic`");
            return;
        }
        int digits = 2 * quic.get().serverIdLength();
        if (id.value().length() != digits) {
            scope.error(
                    id.at(),
                    "has " + id.value().length() + " hexadecimal digits, and server-id-length "
                            + quic.get().serverIdLength() + " needs " + digits);
        }
        Node same = taken.putIfAbsent(id.value(), id.at());
        if (same != null) {
            scope.error(id.at(), "is the quic-id of another server of this service already (line " + same.line() + ")");
        }
    }

    /** Who cannot do it, and why that matters. */
    private static String userspace(EngineKind engine) {
        return engine == EngineKind.AUTO
                ? "with engine auto the service may come to the engine userspace, which"
                : "the engine userspace";
    }

    /** What the engine cannot do. */
    private static void possible(Values v, ServiceSpec spec) {
        EngineKind engine = spec.engine();
        String name = "the engine " + engine.yamlName();
        if (!engine.has(spec.forwarding())) {
            String has = words(ForwardingMethod.values(), engine::has, ForwardingMethod::yamlName);
            String who = words(
                    EngineKind.values(), e -> e != EngineKind.AUTO && e.has(spec.forwarding()), EngineKind::yamlName);
            v.error(
                    FORWARDING,
                    name + " has only " + has
                            + (who.isEmpty()
                                    ? ""
                                    : "; the engine " + who + " has "
                                            + spec.forwarding().yamlName()));
            return;
        }
        if (!engine.has(spec.scheduler())) {
            String has = words(SchedulerKind.values(), engine::has, SchedulerKind::yamlName);
            v.error(v.given(SCHEDULER) ? SCHEDULER : ENGINE, name + " has only the schedulers " + has);
        }
        if (engine != EngineKind.XDP) {
            single(v, userspace(engine));
        }
        if (engine != EngineKind.XDP && spec.limits().limitsRates()) {
            v.error(
                    LIMITS,
                    userspace(engine) + " limits connections at a time, not a second; leave connection-rate and"
                            + " source-connection-rate out, or use the engine xdp");
        }
        if (engine == EngineKind.USERSPACE) {
            return;
        }
        if (engine == EngineKind.AUTO) {
            // What only the engine userspace can do it may ask for, and then gets that engine (EngineChoice). What is
            // written of the way to the servers has to be right for both.
            if (spec.forwarding().keepsPort() && !v.broken(SERVERS) && !v.broken(LISTEN)) {
                fit(v, spec);
            }
            return;
        }
        Timeouts timeouts = spec.timeouts();
        if (!timeouts.connect().equals(TIMEOUTS_DEFAULT.connect())
                || !timeouts.queue().equals(TIMEOUTS_DEFAULT.queue())) {
            v.warning(
                    TIMEOUTS,
                    "connect and queue have no effect with the engine xdp, which opens no connections of its own");
        }
        String userspace = name + " forwards packets and takes no part in connections, so it cannot do this; leave it"
                + " out, or use the engine userspace";
        if (spec.proxyProtocol() != ProxyProtocol.OFF) {
            v.error(PROXY_PROTOCOL, userspace);
        }
        if (v.given(CONNECT_RETRY) && !v.broken(CONNECT_RETRY)) {
            v.error(CONNECT_RETRY, userspace);
        }
        Limits rates = new Limits(
                LIMITS_DEFAULT.connections(),
                LIMITS_DEFAULT.queue(),
                LIMITS_DEFAULT.backlog(),
                spec.limits().connectionRate(),
                spec.limits().sourceConnectionRate());
        if (!spec.limits().equals(rates)) {
            v.error(
                    LIMITS,
                    name + " forwards packets and takes no part in connections, so of the limits it has only"
                            + " connection-rate and source-connection-rate; leave connections, queue and backlog out, or"
                            + " use the engine userspace");
        }
        if (!v.broken(SERVERS) && !v.broken(LISTEN)) {
            packets(v, spec);
        }
    }

    /** Sockets listen on one port each. */
    private static void single(Values v, String userspace) {
        v.scope().enter(LISTEN.name());
        for (Located<Endpoint> endpoint : v.get(LISTEN)) {
            if (!endpoint.value().single()) {
                v.scope()
                        .error(
                                endpoint.at(),
                                userspace + " listens on single ports; write each of them, or use the engine xdp,"
                                        + " which has ranges");
            }
        }
        v.scope().leave();
    }

    /** What addresses must be like for packets that are forwarded one by one. */
    private static void packets(Values v, ServiceSpec spec) {
        Scope scope = v.scope();
        for (Located<Endpoint> endpoint : v.get(LISTEN)) {
            if (endpoint.value().address().isAnyLocalAddress()) {
                scope.enter(LISTEN.name());
                scope.error(
                        endpoint.at(),
                        "the engine xdp needs one address to look for, and this is any of a node's; write those that"
                                + " clients ask");
                scope.leave();
                return;
            }
        }
        sparesTheNode(v, spec.forwarding());
        fit(v, spec);
    }

    /** The kernel's own connections come back to ports from 32768 on (net.ipv4.ip_local_port_range). */
    private static final int FIRST_PORT_OF_KERNEL = 32_768;

    /**
     * Where a node has no other address, a range takes what is sent to the node itself, the answers to checks and ssh; and
     * real servers that have the service's address too take the node for themselves, and do not answer it at all.
     */
    private static void sparesTheNode(Values v, ForwardingMethod forwarding) {
        Scope scope = v.scope();
        scope.enter(LISTEN.name());
        for (Located<Endpoint> located : v.get(LISTEN)) {
            Endpoint endpoint = located.value();
            boolean range = !endpoint.single() && endpoint.lastPort() >= FIRST_PORT_OF_KERNEL;
            if (!range && !forwarding.keepsPort()) {
                continue;
            }
            scope.nodes.values().stream()
                    .filter(node -> node.hasAddress(endpoint.address()) && !hasAnother(node, endpoint))
                    .findFirst()
                    .ifPresent(node -> scope.warning(
                            located.at(),
                            (range
                                            ? "takes what is sent to the node " + node.name()
                                                    + " itself, which has no other address: the answers to its checks"
                                                    + " never reach it"
                                            : "is the only " + (endpoint.ipv6() ? "IPv6" : "IPv4")
                                                    + " address of the node " + node.name() + ", and with forwarding "
                                                    + forwarding.yamlName() + " the servers have it too: they take the"
                                                    + " node for themselves, and do not answer it")
                                    + "; give the service an address of its own"));
        }
        scope.leave();
    }

    private static boolean hasAnother(NodeSpec node, Endpoint endpoint) {
        return node.interfaces().stream()
                .flatMap(i -> i.addresses().stream())
                .map(NodeSpec.Cidr::address)
                .anyMatch(a -> (a instanceof Inet6Address) == endpoint.ipv6() && !a.equals(endpoint.address()));
    }

    /** What addresses of servers must be like for the way to them. */
    private static void fit(Values v, ServiceSpec spec) {
        Scope scope = v.scope();
        List<Server> written = v.find(SERVERS).orElse(List.of());
        scope.enter(SERVERS.name());
        for (int i = 0; i < written.size(); i++) {
            ServerSpec server = spec.servers().get(i);
            Optional<String> wrong = unfit(spec, "the server " + server.name(), server.address());
            if (wrong.isEmpty()
                    && spec.engine() == EngineKind.XDP
                    && server.limit() > 0
                    && !spec.scheduler().comparesLoads()) {
                wrong = Optional.of("with the engine xdp, the scheduler "
                        + spec.scheduler().yamlName() + " counts no connections, so the limit of " + server.name()
                        + " would have no effect; use wlc, lc, sed or nq");
            }
            if (wrong.isEmpty()) {
                wrong = server.checks().stream()
                        .filter(check -> spec.hasNoPortToAsk(check, server.address()))
                        .findFirst()
                        .map(check -> "the check " + check.name() + " has no port to ask: " + server.name()
                                + " has none of its own, and the service listens on no single port that it could ask;"
                                + " give the check a port");
            }
            if (wrong.isPresent()) {
                scope.enter(i);
                scope.error(written.get(i).at(), wrong.get());
                scope.leave();
            }
        }
        scope.leave();
        spec.sorry().flatMap(sorry -> unfit(spec, "the sorry server", sorry)).ifPresent(wrong -> v.error(SORRY, wrong));
    }

    /** Why packets of the service would not be taken at an address. */
    private static Optional<String> unfit(ServiceSpec spec, String server, HostPort where) {
        String method = "forwarding " + spec.forwarding().yamlName();
        Optional<InetAddress> address = Addresses.parse(where.host());
        for (Endpoint endpoint : spec.listen()) {
            boolean itsPort = where.port() == 0 || (endpoint.single() && where.port() == endpoint.port());
            if (spec.forwarding().keepsPort() && !itsPort && ServiceSpec.onePort(spec.listen()) == 0) {
                return Optional.of(method + " does not change ports, and the service listens on several, so " + server
                        + " is asked at each of them; leave its port out");
            }
            if (spec.forwarding().keepsPort() && !itsPort) {
                return Optional.of(method + " does not change ports, so " + server + " must take port "
                        + endpoint.port() + " of " + endpoint + ", not " + where.port());
            }
            boolean otherFamily = address.isPresent() && (address.get() instanceof Inet6Address) != endpoint.ipv6();
            if (!mixesFamilies(spec.forwarding()) && otherFamily) {
                return Optional.of(method + " needs servers with an address of the same family as " + endpoint + "; "
                        + server + " has " + where.host() + " (a tunnel may mix them)");
            }
        }
        return Optional.empty();
    }

    /**
     * With NAT a server's answers have to come back through the director. One that is in the service's network has a way
     * of its own to the clients there, who do not know who answers them.
     */
    private static void behindTheDirector(Values v, ServiceSpec spec) {
        Scope scope = v.scope();
        List<Server> written = v.find(SERVERS).orElse(List.of());
        scope.enter(SERVERS.name());
        for (int i = 0; i < written.size(); i++) {
            InetAddress server =
                    Addresses.parse(spec.servers().get(i).address().host()).orElse(null);
            if (server == null) {
                continue;
            }
            String network = spec.listen().stream()
                    .flatMap(endpoint -> networkOf(scope, endpoint.address(), server).stream())
                    .findFirst()
                    .orElse("");
            if (!network.isEmpty()) {
                scope.enter(i);
                scope.warning(
                        written.get(i).at(),
                        "is in the service's own network (" + network + "): with forwarding nat it answers clients"
                                + " there past the director, and they take no answer from it; give the servers a network"
                                + " of their own behind the director, or use forwarding fullnat");
                scope.leave();
            }
        }
        scope.leave();
    }

    /** The interface of a node in whose network both are, where there is one. */
    private static Optional<String> networkOf(Scope scope, InetAddress one, InetAddress other) {
        for (NodeSpec node : scope.nodes.values()) {
            for (NodeSpec.InterfaceSpec device : node.interfaces()) {
                for (NodeSpec.Cidr network : device.addresses()) {
                    if (network.contains(one) && network.contains(other)) {
                        return Optional.of(network + " on " + device.name() + " of " + node.name());
                    }
                }
            }
        }
        return Optional.empty();
    }

    private static boolean mixesFamilies(ForwardingMethod method) {
        return method == ForwardingMethod.TUNNEL || method == ForwardingMethod.GUE;
    }

    private static <T> String words(T[] all, Predicate<T> which, Function<T, String> name) {
        return Stream.of(all).filter(which).map(name).collect(Collectors.joining(", "));
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
                return CheckSchema.CHECK.read(node, scope);
            }
            CheckSpec check = scope.checks.get(scalar.text());
            if (check == null && !scope.checkNames.contains(scalar.text())) {
                if (scope.checksKnown) {
                    boolean type = CheckSchema.CHECK.variants().containsKey(scalar.text());
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
        String markdown() {
            return CheckSchema.CHECK.markdown() + ", or the name of one";
        }

        @Override
        void visitMaps(MapVisitor visitor) {
            CheckSchema.CHECK.visitMaps(visitor);
        }

        @Override
        JsonObject jsonSchema(SchemaWriter writer) {
            return Types.anyOf(SchemaWriter.type("string"), CheckSchema.CHECK.jsonSchema(writer));
        }
    }
}

package io.ballast.director;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.EngineChoice;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.RefusedException.Kind;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * One virtual service: an address that clients know, in front of real servers that they do not. This class decides who
 * of them may be given connections, and nothing else; it is where three opinions about a server meet.
 *
 * <ul>
 *   <li>The <em>description</em> says which servers there are and how much each can carry.
 *   <li>The <em>checks</em> say which of them work ({@link #onHealth}).
 *   <li>The <em>operator</em> says, at run time, which of them to spare ({@link #change}, {@link #add}, {@link #remove}).
 * </ul>
 *
 * <p>The outcome is a {@link Forwarding}: the whole of what an engine is to do. It is handed out whenever it differs
 * from the last one, and only then, so nothing here knows what an engine is doing at the moment, and an engine never
 * needs the history. The rule for one server, from strongest to weakest: the operator's <em>disabled</em>, the checks'
 * <em>down</em>, <em>drain</em> or weight 0, and otherwise it is up. A server that fails its checks is thus never up,
 * whatever anybody wants.
 *
 * <p>The service itself is {@linkplain State up} while one server takes new connections, else it shows the sorry
 * server, where it has one, else it is down. Every change of a server's health and of the service's state is told once,
 * after the forwarding that goes with it, so whoever hears {@code server.down} may rely on it.
 *
 * <p>A new service knows nothing of its servers. It does not claim that they are down: until one of them is found up,
 * or all have been looked at, it stays silent and hands nothing out, so that a start does not show every client the
 * sorry page for the time of one check. A service that another process forwarded before (see {@code adopted}) starts
 * with what that one knew.
 *
 * <p>Only the control loop's thread calls it. It has no clock, no threads and no input or output of its own.
 */
public final class VirtualService {

    /** Where the decisions go. */
    public interface Output {
        /** The service is to be forwarded like this from now on. */
        void forward(Forwarding forwarding);

        /** Something happened that the journal should have; see {@link io.ballast.core.event.Event}. */
        void happened(
                Instant now, Severity severity, String type, String subject, String message, Map<String, String> data);
    }

    /** Finds the socket address of a server, as the resolver had it before it comes here. */
    @FunctionalInterface
    public interface Addresses {
        /** The address to connect to; an unresolved one where the name has none at the moment. */
        InetSocketAddress of(HostPort hostPort);

        /** Why a server cannot be used, where a name that it needs has no address. */
        default Optional<String> trouble(ServerSpec server) {
            return Optional.empty();
        }
    }

    /** What a service offers to its clients. */
    public enum State {
        /** A real server takes connections. */
        UP,
        /** No real server does; the sorry server answers. */
        SORRY,
        /** Nobody answers. */
        DOWN
    }

    /** What the checks say of a server. */
    public enum Health {
        /** No check has had its first result, and the description does not let it pass as up meanwhile. */
        UNKNOWN,
        /** All checks pass, or there are none. */
        UP,
        /** A check fails. */
        DOWN
    }

    /**
     * A real server as it is now.
     *
     * @param spec what is wanted of it: the description, changed by the operator where {@code overridden}
     * @param reason what the checks last said
     * @param state what follows from all that
     * @param since when this state began
     */
    public record RealServer(
            ServerSpec spec,
            InetSocketAddress address,
            boolean overridden,
            Health health,
            String reason,
            ServerState state,
            Instant since) {}

    private static final class Server {
        ServerSpec spec;
        InetSocketAddress address;
        Health health;
        /** The health that was last told as an event, or that nobody needs to be told. */
        Health told;

        String reason = "";
        /** Why nobody can connect to it, whatever its checks said; empty as a rule. */
        String trouble = "";

        ServerState state = ServerState.DOWN;
        Instant since;

        Server(ServerSpec spec, InetSocketAddress address, Health health, Instant since) {
            this.spec = spec;
            this.address = address;
            this.health = health;
            this.told = health;
            this.since = since;
        }

        boolean mightTakeConnections() {
            return spec.state() == AdminState.ENABLED && spec.weight() > 0;
        }

        ServerState judge() {
            if (spec.state() == AdminState.DISABLED) {
                return ServerState.DISABLED;
            }
            if (health != Health.UP || !trouble.isEmpty()) {
                return ServerState.DOWN;
            }
            return mightTakeConnections() ? ServerState.UP : ServerState.DRAINING;
        }
    }

    private final Output output;
    private ServiceSpec spec;
    private Addresses addresses;
    private final SequencedMap<String, ServerOverride> overrides = new LinkedHashMap<>();
    private SequencedMap<String, Server> servers = new LinkedHashMap<>();
    private @Nullable Forwarding handedOut;
    private @Nullable State announced;

    /**
     * Starts the service; the forwarding is handed out before this returns if anything is known of the servers.
     *
     * @param overrides what the operator wanted before; what no longer holds is dropped
     * @param adopted how another process forwarded this service until now
     */
    public VirtualService(
            Instant now,
            ServiceSpec spec,
            Addresses addresses,
            Map<String, ServerOverride> overrides,
            Optional<Forwarding> adopted,
            Output output) {
        this.output = output;
        this.spec = spec;
        this.addresses = addresses;
        this.overrides.putAll(overrides);
        rebuild(now);
        adopted.ifPresent(before -> remember(now, before));
        settle(now);
    }

    /** The service's name. */
    public String name() {
        return spec.name();
    }

    /** The description it follows. */
    public ServiceSpec spec() {
        return spec;
    }

    /** What the operator changed, by server; a copy. */
    public SequencedMap<String, ServerOverride> overrides() {
        return new LinkedHashMap<>(overrides);
    }

    /** How many servers the operator changed. */
    public int overridden() {
        return overrides.size();
    }

    /** The servers in the order of the forwarding: the description's, then those added at run time. */
    public List<RealServer> servers() {
        return servers.values().stream()
                .map(s -> new RealServer(
                        s.spec, s.address, overrides.containsKey(s.spec.name()), s.health, s.reason, s.state, s.since))
                .toList();
    }

    /** The described servers that the operator removed; to enable one brings it back. */
    public List<ServerSpec> removed() {
        return overrides.isEmpty()
                ? List.of()
                : spec.servers().stream().filter(s -> isRemoved(s.name())).toList();
    }

    private boolean isRemoved(String server) {
        ServerOverride override = overrides.get(server);
        return override != null && override.wanted().isEmpty();
    }

    /** What the service offers now. */
    public State state() {
        if (servers.values().stream().anyMatch(s -> s.state == ServerState.UP)) {
            return State.UP;
        }
        return sorry().isPresent() ? State.SORRY : State.DOWN;
    }

    private Optional<InetSocketAddress> sorry() {
        return spec.sorry().map(addresses::of).filter(a -> !a.isUnresolved());
    }

    /** Whether it has begun: a server was found up, or all have been looked at. */
    public boolean settled() {
        return announced != null;
    }

    /** What was handed out last; empty before the service has {@linkplain #settled() begun}. */
    public Optional<Forwarding> forwarding() {
        return Optional.ofNullable(handedOut);
    }

    /**
     * The description changed. Servers that keep their name and address keep their health; overrides of servers that
     * it now describes differently lapse.
     */
    public void configure(Instant now, ServiceSpec newSpec, Addresses newAddresses) {
        if (!newSpec.name().equals(spec.name())) {
            throw new IllegalArgumentException("service " + spec.name() + " cannot become " + newSpec.name());
        }
        spec = newSpec;
        addresses = newAddresses;
        rebuild(now);
        settle(now);
    }

    /**
     * The checks of a server have an opinion; a server that is no longer there is ignored, since results may be late.
     *
     * @param reason for people, for instance {@code connected in 3 ms, HTTP 503, expected 200-299}
     */
    public void onHealth(Instant now, String server, boolean up, String reason) {
        Server s = servers.get(server);
        if (s == null || s.spec.checks().isEmpty() || !s.trouble.isEmpty()) {
            return;
        }
        s.reason = reason;
        Health health = up ? Health.UP : Health.DOWN;
        if (s.health != health) {
            s.health = health;
            settle(now);
        }
    }

    /** The operator changes a server's weight or state, or both; one that was removed can only be enabled. */
    public void change(Instant now, String server, Optional<Integer> weight, Optional<AdminState> state)
            throws RefusedException {
        boolean back = isRemoved(server) && state.equals(Optional.of(AdminState.ENABLED));
        ServerOverride.Facts wanted =
                back ? described(server).orElseThrow() : ServerOverride.Facts.of(find(server).spec);
        if (weight.isEmpty() && state.isEmpty()) {
            throw new RefusedException(Kind.INVALID, "nothing to change: give a weight, a state, or both");
        }
        if (weight.isPresent()) {
            checkWeight(weight.get());
        }
        if (weight.isPresent()) {
            wanted = wanted.withWeight(weight.get());
        }
        if (state.isPresent()) {
            wanted = wanted.withState(state.get());
        }
        override(server, Optional.of(wanted));
        String subject = subject(server);
        weight.ifPresent(w -> output.happened(
                now,
                Severity.INFO,
                "admin.weight",
                subject,
                subject + " has weight " + w + " now, by the operator",
                Map.of("service", name(), "server", server, "weight", Integer.toString(w))));
        state.ifPresent(wish -> output.happened(
                now,
                Severity.INFO,
                "admin.state",
                subject,
                subject + " is " + past(wish) + " now, by the operator",
                Map.of("service", name(), "server", server, "state", wish.yamlName())));
        rebuild(now);
        settle(now);
    }

    /**
     * The operator adds a server that the description does not have; it gets the service's checks.
     *
     * @param address resolved from {@code hostPort}
     */
    public void add(Instant now, String server, HostPort hostPort, InetSocketAddress address, int weight, int limit)
            throws RefusedException {
        if (servers.containsKey(server)) {
            throw new RefusedException(Kind.CONFLICT, "service " + name() + " already has a server " + server);
        }
        for (Server other : servers.values()) {
            if (other.address.equals(address)) {
                throw new RefusedException(
                        Kind.CONFLICT, hostPort + " is already server " + other.spec.name() + " of service " + name());
            }
        }
        for (ServerSpec removed : removed()) {
            if (removed.address().equals(hostPort) && !removed.name().equals(server)) {
                throw new RefusedException(
                        Kind.CONFLICT,
                        hostPort + " is server " + removed.name() + " of the description, which was removed at run"
                                + " time; " + enable(removed.name()) + " brings it back");
            }
        }
        checkWeight(weight);
        if (limit < 0) {
            throw new RefusedException(Kind.INVALID, "limit " + limit + ": expected 0 (none) or more");
        }
        override(server, Optional.of(new ServerOverride.Facts(hostPort, weight, limit, AdminState.ENABLED)));
        Addresses before = addresses;
        addresses = new Addresses() {
            @Override
            public InetSocketAddress of(HostPort wanted) {
                return wanted.equals(hostPort) ? address : before.of(wanted);
            }

            @Override
            public Optional<String> trouble(ServerSpec other) {
                return other.name().equals(server) ? Optional.empty() : before.trouble(other);
            }
        };
        String subject = subject(server);
        output.happened(
                now,
                Severity.INFO,
                "admin.add",
                subject,
                subject + " at " + hostPort + " was added by the operator",
                Map.of(
                        "service", name(),
                        "server", server,
                        "address", hostPort.toString(),
                        "weight", Integer.toString(weight)));
        rebuild(now);
        settle(now);
    }

    /** The operator removes a server. */
    public void remove(Instant now, String server) throws RefusedException {
        find(server);
        override(server, Optional.empty());
        String subject = subject(server);
        output.happened(
                now,
                Severity.INFO,
                "admin.remove",
                subject,
                subject + " was removed by the operator",
                Map.of("service", name(), "server", server));
        rebuild(now);
        settle(now);
    }

    private Server find(String server) throws RefusedException {
        Server s = servers.get(server);
        if (s == null && isRemoved(server)) {
            throw new RefusedException(
                    Kind.NOT_FOUND,
                    subject(server) + " was removed at run time; " + enable(server) + " brings it back");
        }
        if (s == null) {
            throw new RefusedException(
                    Kind.NOT_FOUND,
                    "service " + name() + " has no server " + server
                            + (servers.isEmpty() ? "" : "; it has " + String.join(", ", servers.sequencedKeySet())));
        }
        return s;
    }

    private String enable(String server) {
        return "`ballast server enable " + name() + " " + server + "`";
    }

    private static void checkWeight(int weight) throws RefusedException {
        if (weight < 0 || weight > 65535) {
            throw new RefusedException(Kind.INVALID, "weight " + weight + ": expected 0 to 65535");
        }
    }

    private void override(String server, Optional<ServerOverride.Facts> wanted) {
        ServerOverride override = new ServerOverride(described(server), wanted);
        if (override.isNothing()) {
            overrides.remove(server);
        } else {
            overrides.put(server, override);
        }
    }

    private Optional<ServerOverride.Facts> described(String server) {
        return spec.servers().stream()
                .filter(s -> s.name().equals(server))
                .findFirst()
                .map(ServerOverride.Facts::of);
    }

    /** Brings the table of servers to what description and overrides say now, keeping what is known of each. */
    private void rebuild(Instant now) {
        dropLapsedOverrides(now);
        SequencedMap<String, Server> next = new LinkedHashMap<>();
        for (ServerSpec described : spec.servers()) {
            ServerOverride override = overrides.get(described.name());
            if (override == null) {
                next.put(described.name(), keepOrCreate(now, described));
            } else {
                override.wanted()
                        .ifPresent(w -> next.put(
                                described.name(),
                                keepOrCreate(
                                        now, wanted(described.name(), w, described.checks(), described.quicId()))));
            }
        }
        overrides.forEach((server, override) -> {
            if (override.described().isEmpty() && override.wanted().isPresent()) {
                next.put(
                        server,
                        keepOrCreate(now, wanted(server, override.wanted().get(), spec.checks(), Optional.empty())));
            }
        });
        servers = next;
    }

    private static ServerSpec wanted(
            String server, ServerOverride.Facts facts, List<CheckSpec> checks, Optional<String> quicId) {
        return new ServerSpec(server, facts.address(), facts.weight(), facts.limit(), facts.state(), checks, quicId);
    }

    private Server keepOrCreate(Instant now, ServerSpec wanted) {
        InetSocketAddress address = addresses.of(wanted.address());
        Server known = servers.get(wanted.name());
        if (known != null
                && address.isUnresolved()
                && known.spec.address().equals(wanted.address())
                && known.trouble.isEmpty()) {
            // It was added at run time, by a name that no description has.
            address = known.address;
        }
        String trouble = addresses.trouble(wanted).orElse("");
        if (!trouble.isEmpty()) {
            return known != null && known.trouble.equals(trouble)
                    ? update(known, wanted)
                    : unusable(wanted, address, trouble, now);
        }
        if (known == null || !known.address.equals(address) || !known.trouble.isEmpty()) {
            return new Server(wanted, address, initialHealth(wanted.checks()), now);
        }
        known.spec = wanted;
        if (wanted.checks().isEmpty()) {
            known.health = Health.UP;
            known.reason = "";
        }
        return known;
    }

    private static Server update(Server known, ServerSpec wanted) {
        known.spec = wanted;
        return known;
    }

    /** A server that is down for a reason no check can find. */
    private static Server unusable(ServerSpec wanted, InetSocketAddress address, String trouble, Instant now) {
        Server server = new Server(wanted, address, Health.DOWN, now);
        server.told = Health.UNKNOWN;
        server.trouble = trouble;
        server.reason = trouble;
        return server;
    }

    private static Health initialHealth(List<CheckSpec> checks) {
        return checks.stream().allMatch(c -> c.initial() == CheckSpec.InitialState.UP) ? Health.UP : Health.UNKNOWN;
    }

    private void dropLapsedOverrides(Instant now) {
        if (overrides.isEmpty()) {
            return;
        }
        Map<String, ServerOverride.Facts> described = new LinkedHashMap<>();
        spec.servers().forEach(s -> described.put(s.name(), ServerOverride.Facts.of(s)));
        overrides.entrySet().removeIf(entry -> {
            String server = entry.getKey();
            if (entry.getValue().holdsFor(Optional.ofNullable(described.get(server)))) {
                return false;
            }
            output.happened(
                    now,
                    Severity.INFO,
                    "admin.lapsed",
                    subject(server),
                    "the description of " + subject(server)
                            + " changed: what the operator wanted at run time no longer holds",
                    Map.of("service", name(), "server", server));
            return true;
        });
    }

    /** Takes over what the process before knew of servers that are still the same. */
    private void remember(Instant now, Forwarding before) {
        for (Forwarding.Server known : before.servers()) {
            Server s = servers.get(known.name());
            if (s == null
                    || !s.trouble.isEmpty()
                    || !s.address.equals(known.address())
                    || s.spec.checks().isEmpty()) {
                continue;
            }
            switch (known.state()) {
                case UP -> s.health = Health.UP;
                case DOWN -> s.health = Health.DOWN;
                // These hide what the checks said; the first result will tell.
                case DRAINING, DISABLED -> {}
            }
        }
        servers.values().stream().filter(s -> s.trouble.isEmpty()).forEach(s -> s.told = s.health);
        judge(now);
        announced = state();
    }

    /** Judges every server, hands the forwarding out if it is to change, and tells what became of it. */
    private void settle(Instant now) {
        judge(now);
        if (announced == null && state() != State.UP && mightStillComeUp()) {
            return;
        }
        Forwarding next = draw();
        if (!next.equals(handedOut)) {
            handedOut = next;
            output.forward(next);
        }
        for (Server s : servers.values()) {
            if (s.told != s.health) {
                s.told = s.health;
                tell(now, s);
            }
        }
        State state = state();
        if (state != announced) {
            announced = state;
            tell(now, state);
        }
    }

    private void judge(Instant now) {
        for (Server s : servers.values()) {
            ServerState state = s.judge();
            if (s.state != state) {
                s.state = state;
                s.since = now;
            }
        }
    }

    private boolean mightStillComeUp() {
        return servers.values().stream().anyMatch(s -> s.health == Health.UNKNOWN && s.mightTakeConnections());
    }

    private Forwarding draw() {
        List<Forwarding.Server> drawn = new ArrayList<>(servers.size());
        for (Server s : servers.values()) {
            if (s.address.isUnresolved()) {
                continue;
            }
            drawn.add(new Forwarding.Server(
                    s.spec.name(), s.address, s.spec.weight(), s.spec.limit(), s.state, s.spec.quicId()));
        }
        EngineKind engine = EngineChoice.of(spec);
        return new Forwarding(
                spec.name(),
                spec.listen(),
                spec.scheduler(),
                engine == EngineKind.USERSPACE ? ForwardingMethod.PROXY : spec.forwarding(),
                spec.persistence(),
                spec.timeouts(),
                spec.limits(),
                spec.connectRetry(),
                spec.proxyProtocol(),
                spec.onDown(),
                spec.source(),
                List.copyOf(drawn),
                sorry(),
                spec.quic(),
                engine,
                spec.synCookies());
    }

    private void tell(Instant now, Server s) {
        boolean up = s.health == Health.UP;
        String server = s.spec.name();
        String reason = s.spec.checks().isEmpty() && s.trouble.isEmpty() ? "it has no checks any more" : s.reason;
        output.happened(
                now,
                up ? Severity.INFO : Severity.WARNING,
                up ? "server.up" : "server.down",
                subject(server),
                subject(server) + (up ? " is up: " : " is down: ") + reason,
                Map.of(
                        "service",
                        name(),
                        "server",
                        server,
                        "address",
                        s.spec.address().toString(),
                        "reason",
                        reason));
    }

    private void tell(Instant now, State state) {
        long up =
                servers.values().stream().filter(s -> s.state == ServerState.UP).count();
        String servers = up + " of " + this.servers.size() + " servers take connections";
        String sorry = spec.sorry().map(HostPort::toString).orElse("");
        output.happened(
                now,
                state == State.UP ? Severity.INFO : Severity.ERROR,
                switch (state) {
                    case UP -> "service.up";
                    case SORRY -> "service.sorry";
                    case DOWN -> "service.down";
                },
                name(),
                switch (state) {
                    case UP -> name() + " is up: " + servers;
                    case SORRY -> name() + " shows the sorry server " + sorry + ": " + servers;
                    case DOWN -> name() + " is down: " + servers + ", and there is no sorry server";
                },
                Map.of(
                        "service", name(),
                        "state", state.name().toLowerCase(Locale.ROOT),
                        "up", Long.toString(up),
                        "servers", Integer.toString(this.servers.size())));
    }

    private String subject(String server) {
        return name() + "/" + server;
    }

    private static String past(AdminState state) {
        return switch (state) {
            case ENABLED -> "enabled";
            case DRAIN -> "draining";
            case DISABLED -> "disabled";
        };
    }
}

package io.ballast.node;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.sync.ConnectionSync;
import io.ballast.director.sync.ConnectionTable;
import io.ballast.director.xdp.XdpOnDemand;
import io.ballast.takeover.wire.Preparation;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * This node's part in what directors know of each other's connections, while the description has it. Of the control loop,
 * but what says otherwise.
 */
final class SyncDuty implements Preparation, AutoCloseable {
    private static final double NANOS_OF_MILLI = 1e6;

    private final EventLog events;
    private final String node;
    private final XdpOnDemand engine;
    private ConnectionSync.@Nullable Settings settings;
    private Map<InetAddress, String> ways = Map.of();
    private @Nullable ConnectionTable table;
    private Set<InetAddress> elsewhere = Set.of();
    /** Whether it is known who has which address. */
    private boolean informed;

    private volatile @Nullable ConnectionSync sync;

    SyncDuty(EventLog events, String node, XdpOnDemand engine) {
        this.events = events;
        this.node = node;
        this.engine = engine;
    }

    /** Brings it to a description. */
    void become(Description description) {
        List<ConnectionSyncSpec.Pair> pairs = ConnectionSyncSpec.pairs(description, node);
        Optional<ConnectionSyncSpec> spec = description.connectionSync().filter(each -> !pairs.isEmpty());
        ConnectionSync.Settings next = spec.flatMap(each -> secret(each)
                        .map(secret -> new ConnectionSync.Settings(
                                node,
                                pairs.stream().map(ConnectionSyncSpec.Pair::own).collect(Collectors.toSet()),
                                each.port(),
                                secret,
                                pairs.stream()
                                        .map(pair -> new ConnectionSync.Peer(pair.peer(), pair.own(), pair.address()))
                                        .toList())))
                .orElse(null);
        Map<InetAddress, String> in = next == null ? Map.of() : ways(description);
        boolean same = next == null ? settings == null : next.equals(settings);
        if (same && in.equals(ways)) {
            return;
        }
        if (!same) {
            settings = next;
            // It waits for its threads.
            ConnectionSync before = sync;
            if (before != null) {
                Thread.ofPlatform().daemon().name("connections-end").start(before::close);
            }
            sync = next == null ? null : new ConnectionSync(next, this::note);
        }
        ways = in;
        has();
        OptionalLong hash = next == null ? OptionalLong.empty() : OptionalLong.of(ConnectionSync.hashOf(next.secret()));
        engine.share(ways, hash, now -> {
            table = now.orElse(null);
            ConnectionSync running = sync;
            if (running != null) {
                running.table(table);
            }
        });
    }

    private Optional<String> secret(ConnectionSyncSpec spec) {
        Optional<String> known = Optional.ofNullable(settings).map(ConnectionSync.Settings::secret);
        return secret(spec, known, trouble -> {
            var _ = events.happened(
                    known.isEmpty() ? Severity.ERROR : Severity.WARNING, "connections.note", node, trouble, Map.of());
        });
    }

    /**
     * The secret, where it can be had. A file that cannot be read any more is no reason to end what goes well: the key of
     * before is as good as it was.
     */
    static Optional<String> secret(ConnectionSyncSpec spec, Optional<String> known, Consumer<String> troubles) {
        return RouterKeys.shared(
                spec.key(),
                spec.keyFile(),
                known,
                "directors do not tell each other of connections: ",
                "goes on with the key of connection-sync that it has: ",
                troubles);
    }

    /** The interfaces by which clients of shared addresses come in. */
    private Map<InetAddress, String> ways(Description description) {
        Map<InetAddress, String> found = new HashMap<>();
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            VirtualRouterSpec.Member member = router.nodes().get(node);
            if (member != null) {
                router.addresses().forEach(cidr -> found.put(cidr.address(), member.interfaceName()));
            }
        }
        return Map.copyOf(found);
    }

    private void note(boolean warning, String whom, String message) {
        var _ = events.happened(
                warning ? Severity.WARNING : Severity.INFO, "connections.note", whom, message, Map.of());
    }

    /** Other nodes have these addresses; the others that are shared are here. */
    void shared(Set<InetAddress> others) {
        elsewhere = Set.copyOf(others);
        informed = true;
        has();
    }

    private void has() {
        ConnectionSync running = sync;
        if (running != null) {
            Set<InetAddress> here = new HashSet<>(informed ? ways.keySet() : Set.of());
            here.removeAll(elsewhere);
            running.has(here);
        }
    }

    /** Whoever lost the others out of sight is to be told what began meanwhile. */
    @Override
    public void again() {
        ConnectionSync running = sync;
        if (running != null) {
            running.again();
        }
    }

    @Override
    public boolean isReady() {
        ConnectionSync running = sync;
        return running == null || running.isSettled();
    }

    /** How it goes, if it is described; on any thread. */
    Optional<ConnectionSync.Status> status() {
        return Optional.ofNullable(sync).map(ConnectionSync::status);
    }

    /** The same for {@code ballast status}. */
    static JsonObject json(ConnectionSync.Status status) {
        JsonObject json = new JsonObject();
        JsonArray peers = new JsonArray();
        for (ConnectionSync.State state : status.peers()) {
            JsonObject peer = new JsonObject();
            peer.addProperty("node", state.node());
            peer.addProperty("telling", state.telling());
            peer.addProperty("told", state.told());
            peer.addProperty("knowsAll", state.complete());
            peer.addProperty("lagMillis", state.lagNanos() / NANOS_OF_MILLI);
            peer.addProperty("mostLagMillis", state.mostLagNanos() / NANOS_OF_MILLI);
            peer.addProperty("hearing", state.hearing());
            peer.addProperty("heard", state.heard());
            peer.addProperty("taken", state.taken());
            JsonObject refused = new JsonObject();
            state.refused().forEach(refused::addProperty);
            peer.add("refused", refused);
            peer.addProperty("heardAll", state.informed());
            if (!state.trouble().isEmpty()) {
                peer.addProperty("trouble", state.trouble());
            }
            peers.add(peer);
        }
        json.add("peers", peers);
        json.addProperty("forged", status.forged());
        json.addProperty("strangers", status.strangers());
        return json;
    }

    /** On any thread, when nobody uses the engine any more. */
    @Override
    public void close() {
        ConnectionSync running = sync;
        if (running != null) {
            running.close();
        }
    }
}

package io.ballast.node;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.Description;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.takeover.quorum.MajorityLease;
import io.ballast.takeover.quorum.Quorum;
import io.ballast.takeover.track.Tracking.State;
import io.ballast.takeover.track.Tracking.Tracked;
import io.ballast.takeover.wire.Membership;
import io.ballast.takeover.wire.OwnershipCondition;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** This node's part in who decides about addresses: its voice, if it has one, and its leases. */
final class QuorumDuty implements AutoCloseable {
    private static final Duration ANSWER = Duration.ofSeconds(5);

    /** That it reaches most voters, as a thing that is tracked. */
    private static final Tracked REACHED = new Tracked("quorum", 0, false);

    private final EventLog events;
    private final String node;
    private final Consumer<Map<String, State>> tracked;
    /** Why the kernel of this machine does not end leases. */
    private final List<String> unguarded = LeaseGate.missing();

    private final Map<List<String>, MajorityLease> leases = new HashMap<>();
    private @Nullable QuorumSpec spec;
    private @Nullable Quorum quorum;
    /** What was read last; of who calls {@link #become}. */
    private Optional<String> secret = Optional.empty();

    /** @param tracked hears whether most voters are reached, on the thread that asks them, which must not wait for it */
    QuorumDuty(EventLog events, String node, Consumer<Map<String, State>> tracked) {
        this.events = events;
        this.node = node;
        this.tracked = tracked;
    }

    /** The settings of a node, where it is a voter or shares addresses that need a majority. */
    static Optional<Quorum.Settings> settings(Description description, String node, String secret) {
        return description.quorum().flatMap(quorum -> {
            boolean isCandidate = description.virtualRouters().values().stream()
                    .anyMatch(router -> router.nodes().containsKey(node) && quorum.covers(router.name()));
            return isCandidate || quorum.voters().containsKey(node)
                    ? Optional.of(new Quorum.Settings(
                            node,
                            quorum.voters(),
                            quorum.port(),
                            secret,
                            quorum.lease().toNanos(),
                            isCandidate))
                    : Optional.empty();
        });
    }

    /** The secret, or that of before where a file cannot be read any more; nothing where there was none. */
    static Optional<String> secret(QuorumSpec spec, Optional<String> known, Consumer<String> troubles) {
        return RouterKeys.shared(
                spec.key(),
                spec.keyFile(),
                known,
                "the voters cannot be asked: ",
                "goes on with the key of the quorum that it has: ",
                troubles);
    }

    /** One that nobody else has: who cannot ask the voters has nothing. */
    static String nobodys() {
        byte[] secret = new byte[32];
        new SecureRandom().nextBytes(secret);
        return HexFormat.of().formatHex(secret);
    }

    /** Brings it to a description; one after another. */
    void become(Description description) {
        // Before the lock, for which the thread of virtual routers may wait.
        secret = description
                .quorum()
                .filter(_ -> settings(description, node, "").isPresent())
                .flatMap(quorum -> secret(quorum, secret, trouble -> {
                    var _ = events.happened(
                            secret.isEmpty() ? Severity.ERROR : Severity.WARNING,
                            "quorum.note",
                            "quorum",
                            trouble,
                            Map.of());
                }));
        become(description, settings(description, node, secret.orElseGet(QuorumDuty::nobodys)));
    }

    private synchronized void become(Description description, Optional<Quorum.Settings> next) {
        spec = next.isEmpty() ? null : description.quorum().orElseThrow();
        Quorum running = quorum;
        if (next.isEmpty()) {
            quorum = null;
            leases.clear();
            if (running != null) {
                // It waits for its thread.
                Thread.ofPlatform().daemon().name("quorum-end").start(running::close);
            }
        } else if (running == null) {
            quorum = new Quorum(next.get(), new ToJournal());
        } else {
            running.configure(next.get());
        }
    }

    private final class ToJournal implements Quorum.Listener {
        @Override
        public void reaches(boolean most, String text) {
            tracked.accept(Map.of(REACHED.name(), most ? new State.Up() : new State.Down("too few voters: " + text)));
        }

        @Override
        public void note(boolean warning, String message) {
            var _ = events.happened(
                    warning ? Severity.WARNING : Severity.INFO, "quorum.note", "quorum", message, Map.of());
        }
    }

    /** What a virtual router tracks by this. */
    static List<Tracked> tracked(Description description, String router) {
        return description.quorum().filter(quorum -> quorum.covers(router)).isPresent() ? List.of(REACHED) : List.of();
    }

    /** Whether it is that. */
    static boolean tracks(String label) {
        return label.equals(REACHED.name());
    }

    /** What it needs to have the addresses of these, which move together. */
    synchronized List<OwnershipCondition> conditions(List<Membership> routers, Runnable changed) {
        QuorumSpec described = spec;
        Quorum running = quorum;
        if (described == null || running == null) {
            return List.of();
        }
        List<String> resources = routers.stream()
                .filter(router -> described.covers(router.name()))
                .map(router -> router.name() + (router.ipv6() ? "/6" : ""))
                .toList();
        if (resources.isEmpty()) {
            return List.of();
        }
        if (!unguarded.isEmpty()) {
            return List.of(new Unenforced(String.join("; ", unguarded)));
        }
        MajorityLease lease = leases.computeIfAbsent(resources, _ -> new MajorityLease(running, resources));
        lease.listen(changed);
        return List.of(lease);
    }

    /** Addresses that nothing takes away from a daemon that hangs or is killed are not to be had by a lease. */
    private record Unenforced(String why) implements OwnershipCondition {
        @Override
        public void wanted(String because) {}

        @Override
        public void given(String because) {}

        @Override
        public Standing standing() {
            return new Standing(
                    OwnershipCondition.State.FAILED, "nothing here ends a lease of addresses in time: " + why, false);
        }
    }

    /** As GET /v1/takeover has it; nothing where this node has no part in it. */
    Optional<JsonObject> json() throws InterruptedException {
        QuorumSpec described;
        synchronized (this) {
            described = spec;
        }
        Optional<Quorum.Status> status = status();
        return described == null ? Optional.empty() : status.map(now -> json(described, now));
    }

    /** How it stands; nothing where this node has no part in it. */
    Optional<Quorum.Status> status() throws InterruptedException {
        Quorum running;
        synchronized (this) {
            running = quorum;
        }
        if (running == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(running.status().get(ANSWER.toNanos(), TimeUnit.NANOSECONDS));
        } catch (ExecutionException | TimeoutException e) {
            throw new IllegalStateException("the thread of the voters does not answer", e);
        }
    }

    private JsonObject json(QuorumSpec described, Quorum.Status status) {
        JsonObject json = new JsonObject();
        json.addProperty("leaseMillis", described.lease().toMillis());
        JsonArray voters = new JsonArray();
        described.voters().forEach((name, address) -> {
            JsonObject voter = new JsonObject();
            voter.addProperty("name", name);
            voter.addProperty("address", Addresses.print(address));
            Optional.ofNullable(status.voters().get(name)).ifPresent(answers -> voter.addProperty("answers", answers));
            voters.add(voter);
        });
        json.add("voters", voters);
        JsonArray wanted = new JsonArray();
        status.leases().forEach((resource, lease) -> {
            JsonObject each = new JsonObject();
            each.addProperty("resource", resource);
            each.addProperty("leftMillis", lease.left() / 1_000_000);
            if (!lease.why().isEmpty()) {
                each.addProperty("why", lease.why());
            }
            wanted.add(each);
        });
        json.add("leases", wanted);
        if (described.voters().containsKey(node)) {
            JsonObject granted = new JsonObject();
            status.granted().forEach(granted::addProperty);
            json.add("granted", granted);
            json.addProperty("silent", status.silent());
        }
        json.addProperty("forged", status.forged());
        return json;
    }

    /** What has been released is told of first. */
    @Override
    public synchronized void close() {
        Quorum running = quorum;
        quorum = null;
        leases.clear();
        if (running != null) {
            running.close();
        }
    }
}

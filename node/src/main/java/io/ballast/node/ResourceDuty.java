package io.ballast.node;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.ResourcesSpec;
import io.ballast.core.config.ResourcesSpec.FencingSpec;
import io.ballast.core.config.ResourcesSpec.GroupSpec;
import io.ballast.core.config.ResourcesSpec.ResourceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.linux.Hook;
import io.ballast.takeover.group.GroupKeeper;
import io.ballast.takeover.group.Permission.Other;
import io.ballast.takeover.group.ResourceGroup.Action;
import io.ballast.takeover.group.ResourceGroup.Outcome;
import io.ballast.takeover.group.ResourceGroup.Phase;
import io.ballast.takeover.group.ResourceGroup.Resource;
import io.ballast.takeover.wire.GroupCondition;
import io.ballast.takeover.wire.Membership;
import io.ballast.takeover.wire.OwnershipCondition;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The resource groups of this node, with the programs that start and stop them, and those that fence others. Each program
 * runs on a thread of its own; nothing that decides waits for one.
 */
final class ResourceDuty implements AutoCloseable {
    private static final long LOOK_MILLIS = 20;

    private final EventLog events;
    private final String node;
    /** Told when this machine must not go on, and why. */
    private final Consumer<String> reset;

    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("resources").factory());

    // Guarded by this.
    /** Also those that are not described any more: they may still be stopping. */
    private final Map<String, GroupCondition> groups = new LinkedHashMap<>();

    private final Map<String, Described> described = new LinkedHashMap<>();

    /** What a group was made from. */
    private record Described(
            GroupSpec spec, Optional<FencingSpec> fencing, List<Other> others, Map<InetAddress, String> addresses) {}

    ResourceDuty(EventLog events, String node, Consumer<String> reset) {
        this.events = events;
        this.node = node;
        this.reset = reset;
    }

    /** Keeps this description's groups from now on. */
    synchronized void become(Description description) {
        Map<String, Described> wanted = new LinkedHashMap<>();
        ResourcesSpec resources = description.resources();
        resources.groups().forEach((name, spec) -> {
            VirtualRouterSpec router = description.virtualRouters().get(spec.router());
            VirtualRouterSpec.Member own =
                    router == null ? null : router.nodes().get(node);
            if (router != null && own != null) {
                wanted.put(name, described(description, spec, router, own));
            }
        });
        described.keySet().retainAll(wanted.keySet());
        wanted.forEach((name, next) -> {
            if (next.equals(described.put(name, next))) {
                return;
            }
            GroupCondition known = groups.get(name);
            GroupCondition.Plan plan = plan(next);
            if (known == null) {
                GroupCondition made = new GroupCondition(name, plan, System::nanoTime);
                groups.put(name, made);
                made.tick();
            } else {
                known.become(plan);
            }
        });
    }

    private Described described(
            Description description, GroupSpec spec, VirtualRouterSpec router, VirtualRouterSpec.Member own) {
        Optional<FencingSpec> fencing = spec.fenced() ? description.resources().fencing() : Optional.empty();
        Duration delay = fencing.map(FencingSpec::delay).orElse(Duration.ZERO);
        List<Other> others = new ArrayList<>();
        Map<InetAddress, String> addresses = new HashMap<>();
        router.nodes().forEach((name, member) -> {
            NodeSpec other = description.nodes().get(name);
            if (other != null && !name.equals(node)) {
                others.add(new Other(name, member.priority() > own.priority() ? delay.toNanos() : 0));
                other.interfaces().stream()
                        .flatMap(on -> on.addresses().stream())
                        .map(Cidr::address)
                        .forEach(address -> addresses.put(address, name));
            }
        });
        return new Described(spec, fencing, List.copyOf(others), Map.copyOf(addresses));
    }

    private GroupCondition.Plan plan(Described of) {
        List<Resource> resources = of.spec().resources().stream()
                .map(resource ->
                        new Resource(resource.name(), resource.interval().toNanos()))
                .toList();
        return new GroupCondition.Plan(
                new GroupKeeper.Settings(
                        resources,
                        of.spec().restarts(),
                        of.others(),
                        of.spec().fenced(),
                        of.fencing().isPresent()),
                of.addresses(),
                new Programs(of));
    }

    /** As {@link OwnershipCondition.Maker}. */
    synchronized List<OwnershipCondition> make(List<Membership> routers, Runnable changed) {
        List<OwnershipCondition> all = new ArrayList<>();
        described.forEach((name, of) -> {
            GroupCondition group = groups.get(name);
            boolean follows = routers.stream()
                    .anyMatch(member -> member.name().equals(of.spec().router()));
            if (follows && group != null) {
                group.listen(changed);
                all.add(group);
            }
        });
        return all;
    }

    /** Does what one version of a group's description says. */
    private final class Programs implements GroupCondition.Edge {
        private final Described of;
        private final AtomicReference<@Nullable ScheduledFuture<?>> next = new AtomicReference<>();
        private volatile long at = Long.MAX_VALUE;

        Programs(Described of) {
            this.of = of;
        }

        @Override
        public void run(GroupCondition group, long number, int resource, Action action) {
            ResourceSpec spec = of.spec().resources().get(resource);
            var _ = Thread.ofVirtual().name("resource " + spec.name()).start(() -> {
                try {
                    ResourceRunner.Done done = ResourceRunner.run(group.name(), spec, action);
                    tell(group.name(), spec, action, done);
                    group.ended(this, number, done.outcome(), done.how());
                } catch (InterruptedException | RuntimeException e) {
                    group.ended(this, number, Outcome.FAILED, e.toString());
                }
            });
        }

        private void tell(String group, ResourceSpec spec, Action action, ResourceRunner.Done done) {
            boolean failed = done.outcome() == Outcome.FAILED;
            if (action == Action.STATUS && !failed) {
                return; // every few seconds
            }
            String verb = action.name().toLowerCase(Locale.ROOT);
            Map<String, String> data = new LinkedHashMap<>();
            data.put("group", group);
            data.put("resource", spec.name());
            data.put("action", verb);
            data.put("millis", Long.toString(done.took().toMillis()));
            if (!done.output().isEmpty()) {
                data.put("output", done.output());
            }
            var _ = events.happened(
                    failed ? Severity.ERROR : Severity.INFO,
                    failed ? "resource.failed" : "resource.ran",
                    group,
                    group + ": " + verb + " of " + spec.name() + (failed ? ": " + done.how() : " done"),
                    data);
        }

        @Override
        public void fence(GroupCondition group, String other, String why) {
            FencingSpec fencing = of.fencing().orElseThrow();
            var _ = events.happened(
                    Severity.WARNING,
                    "fencing.begins",
                    group.name(),
                    group.name() + ": " + other + " is fenced, as " + why,
                    Map.of("node", other, "group", group.name()));
            var _ = Thread.ofVirtual().name("fence " + other).start(() -> {
                try {
                    Hook.Result result = Hook.run(
                            fencing.command(),
                            Map.of("node", other, "by", node, "group", group.name(), "why", why),
                            fencing.environment().getOrDefault(other, Map.of()),
                            fencing.timeout());
                    boolean off = result.end() == Hook.End.RAN;
                    String how = fencing.command().getFirst() + " " + result.how();
                    var _ = events.happened(
                            off ? Severity.WARNING : Severity.ERROR,
                            off ? "fencing.done" : "fencing.failed",
                            group.name(),
                            group.name() + ": " + other + (off ? " is off: " : " could not be fenced: ") + how,
                            Map.of("node", other, "group", group.name(), "output", result.output()));
                    group.fenced(other, off, how);
                } catch (InterruptedException | RuntimeException e) {
                    group.fenced(other, false, e.toString());
                }
            });
        }

        @Override
        public void note(GroupCondition group, boolean warning, String message) {
            var _ = events.happened(
                    warning ? Severity.WARNING : Severity.INFO,
                    "resources.note",
                    group.name(),
                    group.name() + ": " + message,
                    Map.of("group", group.name()));
        }

        @Override
        public void due(GroupCondition group, long when) {
            if (when == at) {
                return;
            }
            at = when;
            ScheduledFuture<?> future = when == Long.MAX_VALUE || timer.isShutdown()
                    ? null
                    : timer.schedule(
                            () -> {
                                at = Long.MAX_VALUE;
                                group.tick();
                            },
                            Math.max(0, when - System.nanoTime()),
                            TimeUnit.NANOSECONDS);
            ScheduledFuture<?> before = next.getAndSet(future);
            if (before != null) {
                before.cancel(false);
            }
        }

        @Override
        public void changed(GroupCondition group, Phase phase) {
            String word = word(phase);
            Severity severity = switch (phase) {
                case FAILED, STUCK -> Severity.ERROR;
                default -> Severity.INFO;
            };
            var _ = events.happened(
                    severity,
                    "resources." + word,
                    group.name(),
                    "the resource group " + group.name() + " is " + word,
                    Map.of("group", group.name()));
            if (phase == Phase.STUCK && of.spec().reboots()) {
                // It may wait for a thread that waits for this one.
                String why = "the resource group " + group.name() + " could not be stopped";
                var _ = Thread.ofVirtual().name("reset").start(() -> reset.accept(why));
            }
        }
    }

    static String word(Phase phase) {
        return phase.name().toLowerCase(Locale.ROOT);
    }

    /** The nodes that may be fenced. */
    synchronized Set<String> others() {
        Set<String> names = new TreeSet<>();
        described.values().forEach(of -> of.others().forEach(other -> names.add(other.name())));
        return names;
    }

    /** The operator says that a node is off. */
    void fenced(String other) {
        var _ = events.happened(
                Severity.WARNING,
                "fencing.confirmed",
                "takeover",
                "the operator says that " + other + " is off",
                Map.of("node", other));
        all().forEach(group -> group.fenced(other, true, "the operator says so"));
    }

    /** The operator has seen to what was wrong with the groups of these virtual routers. */
    void resume(Set<String> routers) {
        List<GroupCondition> those = new ArrayList<>();
        synchronized (this) {
            described.forEach((name, of) -> {
                GroupCondition group = groups.get(name);
                if (group != null && routers.contains(of.spec().router())) {
                    those.add(group);
                }
            });
        }
        those.forEach(GroupCondition::resume);
    }

    private synchronized List<GroupCondition> all() {
        return List.copyOf(groups.values());
    }

    /** How they stand. */
    synchronized List<GroupCondition.View> views() {
        return groups.values().stream()
                .filter(group -> described.containsKey(group.name()) || !group.isDown())
                .map(GroupCondition::view)
                .toList();
    }

    /** How long it may take to stop all of them. */
    synchronized Duration patience() {
        Duration longest = Duration.ZERO;
        for (Described of : described.values()) {
            Duration all =
                    of.spec().resources().stream().map(ResourceSpec::timeout).reduce(Duration.ZERO, Duration::plus);
            longest = longest.compareTo(all) > 0 ? longest : all;
        }
        return longest;
    }

    /** Stops what still runs, and waits for that. */
    void leave() throws InterruptedException {
        long end = System.nanoTime() + patience().toNanos();
        List<GroupCondition> all = all();
        all.forEach(group -> group.given("this node stops"));
        while (all.stream().anyMatch(ResourceDuty::stops) && System.nanoTime() < end) {
            Thread.sleep(LOOK_MILLIS);
        }
        List<String> left = all.stream()
                .filter(group -> !group.isDown())
                .map(GroupCondition::name)
                .toList();
        if (!left.isEmpty()) {
            var _ = events.happened(
                    Severity.ERROR,
                    "resources.left",
                    "takeover",
                    "this daemon ends, and resources still run or may run: " + String.join(", ", left),
                    Map.of("groups", String.join(" ", left)));
        }
    }

    private static boolean stops(GroupCondition group) {
        return !group.isDown() && group.view().phase() != Phase.STUCK;
    }

    @Override
    public void close() {
        timer.shutdownNow();
    }

    /** As GET /v1/takeover has them. */
    static JsonArray json(List<GroupCondition.View> views) {
        JsonArray all = new JsonArray();
        for (GroupCondition.View view : views) {
            JsonObject json = new JsonObject();
            json.addProperty("name", view.name());
            json.addProperty("state", word(view.phase()));
            json.addProperty("text", view.text());
            json.addProperty("wanted", view.wanted());
            json.addProperty("comesLast", view.comesLast());
            json.addProperty("failures", view.failures());
            JsonArray resources = new JsonArray();
            for (GroupCondition.View.Resource resource : view.resources()) {
                JsonObject each = new JsonObject();
                each.addProperty("name", resource.name());
                each.addProperty("state", resource.state());
                resources.add(each);
            }
            json.add("resources", resources);
            all.add(json);
        }
        return all;
    }
}

package io.ballast.node;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec.Kind;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.VirtualService;
import io.ballast.takeover.quorum.Quorum;
import io.ballast.takeover.track.Tracking.Standing;
import io.ballast.takeover.track.Tracking.State;
import io.ballast.takeover.track.Tracking.Tracked;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.wire.Dependence;
import io.ballast.takeover.wire.Jitter;
import io.ballast.takeover.wire.Manner;
import io.ballast.takeover.wire.Membership;
import io.ballast.takeover.wire.Ownership;
import io.ballast.takeover.wire.OwnershipCondition;
import io.ballast.takeover.wire.Preparation;
import io.ballast.takeover.wire.RouterStatus;
import io.ballast.takeover.wire.Takeover;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** This node's part in the virtual routers of the description; the thread of them begins with the first one. */
final class TakeoverDuty implements AutoCloseable {
    /** Makes what adds addresses to this machine, for who hears of it. */
    interface OwnershipMaker {
        Ownership make(Takeover.Listener listener) throws IOException;

        /** Takes away what an earlier daemon has left, where there is nothing to own. */
        void dismantle() throws IOException;
    }

    private static final Duration ANSWER = Duration.ofSeconds(5);
    private static final Duration LEAVING = Duration.ofSeconds(10);
    private static final Duration HOOKS = Duration.ofSeconds(5);

    @FunctionalInterface
    interface Sharing {
        /** Which shared addresses other nodes have now, and by which interfaces they may come to this one. */
        void shared(Set<InetAddress> elsewhere, Set<String> devices);
    }

    private final EventLog events;
    private final String node;
    private final OwnershipMaker ownership;
    private final Executor later;
    private final Sharing sharing;
    private final MannerStore store;
    private final Preparation preparation;
    private final RoleHooks hooks;
    private final ResourceDuty resources;
    private final Set<Membership.Key> here = ConcurrentHashMap.newKeySet();
    private final Map<String, Manner> manners = new LinkedHashMap<>();
    private Map<String, Set<String>> nodes = Map.of();
    private Map<String, List<String>> served = Map.of();
    private Map<String, String> unable = Map.of();
    private Map<String, Dependence> dependences = Map.of();
    /** The services that are tracked, by their labels. */
    private Map<String, TrackSpec> tracked = Map.of();
    /** How things are that are tracked, as far as it is known, by their labels. */
    private final Map<String, State> observed = new LinkedHashMap<>();

    private final TrackWatch watch;
    private final QuorumDuty quorum;
    private @Nullable Takeover takeover;
    private List<Membership> members = List.of();
    private String trouble = "";
    private boolean begun;
    private boolean ended;
    private boolean dismantled;
    private final AtomicBoolean sharingSoon = new AtomicBoolean();

    /** @param later where {@code sharing} is told, in order; the takeover thread must not wait for that */
    TakeoverDuty(
            EventLog events,
            String node,
            OwnershipMaker ownership,
            Executor later,
            Sharing sharing,
            MannerStore store,
            Preparation preparation,
            ResourceDuty resources) {
        this.store = store;
        this.resources = resources;
        this.preparation = preparation;
        this.hooks = new RoleHooks(events::happened);
        this.events = events;
        this.node = node;
        this.ownership = ownership;
        this.later = later;
        this.sharing = sharing;
        this.quorum = new QuorumDuty(events, node, states -> later.execute(() -> observe(states)));
        this.watch = new TrackWatch(new TrackWatch.Listener() {
            @Override
            public void looked(String label, State state) {
                observe(Map.of(label, state));
            }

            @Override
            public void warn(String message) {
                var _ = events.happened(Severity.WARNING, "takeover.note", "takeover", message, Map.of());
            }
        });
    }

    private final class ToJournal implements Takeover.Listener {
        @Override
        public void changed(Membership member, Role from, Role to, int priority, String why) {
            var _ = events.happened(
                    to == Role.FAULT ? Severity.ERROR : Severity.INFO,
                    "takeover." + word(to),
                    member.name(),
                    member + ": " + word(from) + " -> " + word(to) + ": " + why,
                    Map.of(
                            "router", member.name(),
                            "family", member.ipv6() ? "ipv6" : "ipv4",
                            "from", word(from),
                            "to", word(to),
                            "priority", Integer.toString(priority)));
            hooks.changed(member, from, to, priority, why);
        }

        @Override
        public void holding(Membership member, boolean holds) {
            isHere(member.key(), holds);
        }

        @Override
        public void tracked(List<String> routers, Standing thing, int before, int now) {
            String name = thing.tracked().name();
            var _ = events.happened(
                    thing.fault() || now < before ? Severity.WARNING : Severity.INFO,
                    "takeover.tracked",
                    routers.getFirst(),
                    String.join(", ", routers) + ": " + name + ": " + thing.state()
                            + (thing.fault() ? ", which is a fault" : "")
                            + (now == before ? "" : ", priority " + before + " -> " + now),
                    Map.of(
                            "routers", String.join(" ", routers),
                            "tracked", name,
                            "state", thing.state(),
                            "fault", Boolean.toString(thing.fault()),
                            "priority", Integer.toString(now)));
        }

        @Override
        public void note(boolean warning, Membership member, String message) {
            tell(warning, member.name(), member + ": " + message);
        }

        @Override
        public void note(boolean warning, String message) {
            tell(warning, "takeover", message);
        }

        private void tell(boolean warning, String subject, String message) {
            var _ = events.happened(
                    warning ? Severity.WARNING : Severity.INFO, "takeover.note", subject, message, Map.of());
        }
    }

    /** By the takeover thread, which must not wait for who holds this object's lock and writes to a disk. */
    private void isHere(Membership.Key key, boolean has) {
        if (has ? here.add(key) : here.remove(key)) {
            shareSoon();
        }
    }

    /** Once for as many changes as come until then: with a network all virtual routers change. */
    private void shareSoon() {
        if (sharingSoon.compareAndSet(false, true)) {
            later.execute(this::share);
        }
    }

    private void share() {
        sharingSoon.set(false);
        Set<InetAddress> elsewhere = new HashSet<>();
        Set<String> devices = new HashSet<>();
        synchronized (this) {
            for (Membership member : members) {
                devices.add(member.device());
                if (!here.contains(member.key())) {
                    member.addresses().forEach(cidr -> elsewhere.add(cidr.address()));
                }
            }
        }
        sharing.shared(elsewhere, devices);
    }

    static String word(Role role) {
        return role.name().toLowerCase(Locale.ROOT);
    }

    /** What this node is to do in these virtual routers. */
    static List<Membership> members(Description description, String node) {
        List<Membership> members = new ArrayList<>();
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            VirtualRouterSpec.Member own = router.nodes().get(node);
            if (own == null) {
                continue;
            }
            for (boolean ipv6 : new boolean[] {false, true}) {
                List<Cidr> addresses = router.addresses(ipv6);
                if (!addresses.isEmpty()) {
                    members.add(member(router, own, addresses, peers(description, router, node, ipv6)));
                }
            }
        }
        return members;
    }

    /** The addresses that may come to this node. */
    static Set<InetAddress> addresses(Description description, String node) {
        Set<InetAddress> addresses = new HashSet<>();
        description.virtualRouters().values().stream()
                .filter(router -> router.nodes().containsKey(node))
                .forEach(router -> router.addresses().forEach(cidr -> addresses.add(cidr.address())));
        return addresses;
    }

    private static Membership member(
            VirtualRouterSpec router, VirtualRouterSpec.Member own, List<Cidr> addresses, List<InetAddress> peers) {
        RouterKeys authentication = RouterKeys.read(router);
        return new Membership(
                router.name(),
                own.interfaceName(),
                router.version(),
                router.routerId(),
                own.priority(),
                router.interval().toNanos(),
                addresses,
                router.preempt(),
                router.preemptDelay().toNanos(),
                peers,
                router.virtualMac(),
                switch (router.checksum()) {
                    case PSEUDO_HEADER -> Checksum.PSEUDO_HEADER;
                    case RFC9568 -> Checksum.MESSAGE;
                },
                authentication.authentication(),
                authentication.refused(),
                router.lookAhead().toNanos(),
                router.announcements(),
                router.announceAgain().toNanos(),
                new Membership.Local(
                        router.accept() || own.priority() == VirtualRouterSpec.OWNER,
                        router.routes().stream()
                                .filter(route ->
                                        route.ipv6() == addresses.getFirst().address() instanceof Inet6Address)
                                .toList()));
    }

    /** The other nodes' own addresses, where advertisements go to each. */
    private static List<InetAddress> peers(
            Description description, VirtualRouterSpec router, String node, boolean ipv6) {
        List<InetAddress> peers = new ArrayList<>();
        router.nodes().forEach((name, member) -> {
            NodeSpec other = description.nodes().get(name);
            if (router.unicast() && other != null && !name.equals(node)) {
                other.interfaces().stream()
                        .filter(on -> on.name().equals(member.interfaceName()))
                        .flatMap(on -> on.addresses().stream())
                        .map(Cidr::address)
                        .filter(address -> address instanceof Inet6Address == ipv6
                                && !address.isLinkLocalAddress()
                                && !router.hasAddress(address))
                        .findFirst()
                        .ifPresent(peers::add);
            }
        });
        return peers;
    }

    /** Takes part in this description's virtual routers from now on, and not before {@link #begin}. */
    synchronized void become(Description description) {
        if (ended) {
            return;
        }
        List<Membership> known = members;
        members = members(description, node).stream()
                .map(member -> withKeys(
                        member,
                        known,
                        warning ->
                                events.happened(Severity.WARNING, "takeover.note", member.name(), warning, Map.of())))
                .toList();
        quorum.become(description);
        served = served(description);
        dependences = dependences(description, node);
        track(description);
        nodes = new LinkedHashMap<>();
        description
                .virtualRouters()
                .forEach((router, spec) -> nodes.put(router, spec.nodes().keySet()));
        resources.become(description);
        hooks.become(description.virtualRouters().values().stream()
                .filter(router -> router.nodes().containsKey(node))
                .toList());
        shareSoon();
        takePart();
    }

    /** What this node's part in its virtual routers depends on, by their names. */
    static Map<String, Dependence> dependences(Description description, String node) {
        Map<String, Dependence> all = new LinkedHashMap<>();
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            if (router.nodes().containsKey(node)) {
                List<TrackSpec> here = here(description, router, node);
                all.put(
                        router.name(),
                        new Dependence(
                                router.group().orElse(""),
                                router.group().isEmpty() ? Set.of() : others(router, node),
                                Stream.concat(
                                                here.stream()
                                                        .map(thing -> new Tracked(
                                                                thing.label(), thing.weight(), thing.reverse())),
                                                QuorumDuty.tracked(description, router.name()).stream())
                                        .toList(),
                                here.stream()
                                        .filter(thing -> thing.kind() == Kind.INTERFACE)
                                        .map(TrackSpec::name)
                                        .collect(Collectors.toSet())));
            }
        }
        return all;
    }

    private static Set<Integer> others(VirtualRouterSpec router, String node) {
        Set<Integer> others = new HashSet<>();
        router.nodes().forEach((name, member) -> {
            if (!name.equals(node)) {
                others.add(member.priority());
            }
        });
        return others;
    }

    /** What the node tracks: of network interfaces, those that it has. */
    private static List<TrackSpec> here(Description description, VirtualRouterSpec router, String node) {
        NodeSpec self = description.nodes().get(node);
        return router.track().stream()
                .filter(thing -> thing.kind() != Kind.INTERFACE
                        || (self != null && self.interfaceNamed(thing.name()).isPresent()))
                .toList();
    }

    private void track(Description description) {
        Map<String, TrackSpec> services = new LinkedHashMap<>();
        Map<String, Path> files = new LinkedHashMap<>();
        Map<String, String> programs = new LinkedHashMap<>();
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            if (!router.nodes().containsKey(node)) {
                continue;
            }
            for (TrackSpec thing : router.track()) {
                switch (thing.kind()) {
                    case INTERFACE -> {} // the takeover's thread sees them itself
                    case SERVICE -> services.put(thing.label(), thing);
                    case FILE -> files.put(thing.label(), Path.of(thing.name()));
                    case PROCESS -> programs.put(thing.label(), thing.name());
                }
            }
        }
        tracked = services;
        observed.keySet()
                .removeIf(label -> !files.containsKey(label)
                        && !programs.containsKey(label)
                        && !services.containsKey(label)
                        && !QuorumDuty.tracks(label));
        watch.become(files, programs);
    }

    private synchronized void observe(Map<String, State> states) {
        boolean changed = false;
        for (Map.Entry<String, State> each : states.entrySet()) {
            changed |= !each.getValue().equals(observed.put(each.getKey(), each.getValue()));
        }
        if (changed && takeover != null) {
            takeover.observed(observed);
        }
    }

    /**
     * A key file that cannot be read any more is no reason to give up addresses: the keys that this node has are as good as
     * they were.
     */
    static Membership withKeys(Membership member, List<Membership> known, Consumer<String> warnings) {
        if (member.refused().isEmpty()) {
            return member;
        }
        return known.stream()
                .filter(before -> before.key().equals(member.key())
                        && before.refused().isEmpty()
                        && before.authentication().hmac().isPresent())
                .findFirst()
                .map(before -> {
                    warnings.accept(member + ": goes on with the keys that it has: " + member.refused());
                    return member.with(before.authentication());
                })
                .orElse(member);
    }

    /** From now on this node is able to serve at the addresses, so it may come to have them. */
    synchronized void begin() {
        begun = true;
        takePart();
    }

    private void takePart() {
        if (!begun || ended) {
            return;
        }
        if (takeover == null) {
            if (members.isEmpty()) {
                dismantle();
                return;
            }
            try {
                ToJournal journal = new ToJournal();
                takeover = new Takeover(journal, () -> ownership.make(journal), preparation);
                trouble = "";
                remember();
                takeover.manners(manners);
                takeover.unable(unable);
                takeover.observed(observed);
            } catch (IOException e) {
                trouble = "this node takes part in no virtual router: " + e.getMessage();
                var _ = events.happened(Severity.ERROR, "takeover.failed", "takeover", trouble, Map.of());
                return;
            }
        }
        // Who has no majority starts nothing.
        takeover.conditions((routers, changed) -> {
            List<OwnershipCondition> all = new ArrayList<>(quorum.conditions(routers, changed));
            all.addAll(resources.make(routers, changed));
            return all;
        });
        takeover.become(members, dependences);
    }

    /**
     * Compares what is served: where nothing is at the addresses of a virtual router, another node is better; and services
     * may be tracked.
     *
     * @param services by name; nothing where this node does not have one
     */
    synchronized void serving(Function<String, Optional<VirtualService>> services) {
        Map<String, String> without = new LinkedHashMap<>();
        served.forEach((router, names) -> {
            List<VirtualService> here = names.stream()
                    .flatMap(name -> services.apply(name).stream())
                    .toList();
            if (!here.isEmpty() && here.stream().allMatch(TakeoverDuty::isDown)) {
                List<String> down =
                        here.stream().map(service -> service.spec().name()).toList();
                without.put(router, "no server is up of " + String.join(", ", down));
            }
        });
        if (!without.equals(unable)) {
            unable = without;
            if (takeover != null) {
                takeover.unable(without);
            }
        }
        Map<String, State> states = new LinkedHashMap<>();
        for (TrackSpec thing : tracked.values()) {
            services.apply(thing.name())
                    .filter(VirtualService::settled)
                    .ifPresent(service -> states.put(thing.label(), state(thing, service)));
        }
        observe(states);
    }

    private static boolean isDown(VirtualService service) {
        return service.settled() && service.state() == VirtualService.State.DOWN;
    }

    private static State state(TrackSpec thing, VirtualService service) {
        if (thing.perServer()) {
            return new State.Count(service.servers().stream()
                    .filter(server -> server.state() == ServerState.UP)
                    .count());
        }
        return service.state() == VirtualService.State.UP ? new State.Up() : new State.Down("no server is up");
    }

    /** The services at the addresses of each virtual router. */
    private static Map<String, List<String>> served(Description description) {
        Map<String, List<String>> served = new LinkedHashMap<>();
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            List<String> services = description.services().values().stream()
                    .filter(service ->
                            service.listen().stream().anyMatch(endpoint -> router.hasAddress(endpoint.address())))
                    .map(ServiceSpec::name)
                    .toList();
            if (!services.isEmpty()) {
                served.put(router.name(), services);
            }
        }
        return served;
    }

    /** The names of the virtual routers that this node takes part in. */
    synchronized Set<String> names() {
        Set<String> names = new LinkedHashSet<>();
        members.forEach(member -> names.add(member.name()));
        return names;
    }

    /** Why there are no virtual routers although there should be; empty where there are. */
    synchronized Optional<String> trouble() {
        String why = takeover == null ? trouble : takeover.failure();
        return why.isEmpty() ? Optional.empty() : Optional.of(why);
    }

    private void dismantle() {
        if (dismantled) {
            return;
        }
        dismantled = true;
        try {
            ownership.dismantle();
        } catch (IOException e) {
            var _ = events.happened(
                    Severity.WARNING,
                    "takeover.note",
                    "takeover",
                    "what an earlier daemon may have left of virtual routers is still there: " + e.getMessage(),
                    Map.of());
        }
    }

    /** What an earlier daemon was told. */
    private void remember() {
        try {
            manners.putAll(store.load());
        } catch (IOException e) {
            var _ = events.happened(
                    Severity.ERROR,
                    "takeover.lost",
                    "takeover",
                    "whether this node was in maintenance is not known: " + e.getMessage(),
                    Map.of());
        }
    }

    /** The nodes that take part in a virtual router. */
    synchronized Set<String> nodes(String router) {
        return nodes.getOrDefault(router, Set.of());
    }

    /** Which node this is. */
    String node() {
        return node;
    }

    /**
     * What the operator wants of virtual routers from now on.
     *
     * @return why that does not survive a restart; nothing where it does
     */
    synchronized Optional<String> manner(Set<String> names, Manner manner) {
        Set<String> all = together(names);
        all.forEach(name -> manners.put(name, manner));
        if (takeover != null) {
            takeover.manners(manners);
        }
        if (manner == Manner.NORMAL) {
            resources.resume(all);
        }
        var _ = events.happened(
                Severity.INFO,
                "takeover.operator",
                String.join(", ", all),
                String.join(", ", all) + ": the operator wants this node to be " + manner.word(),
                Map.of("operator", manner.word()));
        try {
            store.save(manners);
            return Optional.empty();
        } catch (IOException e) {
            return Optional.of("this does not survive a restart: " + e.getMessage());
        }
    }

    /** These, and what moves with them. */
    private Set<String> together(Set<String> names) {
        Set<String> all = new LinkedHashSet<>(names);
        Set<String> groups = new HashSet<>();
        names.forEach(name ->
                groups.add(dependences.getOrDefault(name, Dependence.NONE).group()));
        groups.remove("");
        dependences.forEach((name, on) -> {
            if (groups.contains(on.group())) {
                all.add(name);
            }
        });
        return all;
    }

    /** How they stand; blocks for a moment. */
    List<RouterStatus> status() throws InterruptedException {
        Takeover running;
        synchronized (this) {
            running = takeover;
        }
        if (running == null) {
            return List.of();
        }
        try {
            return running.status().get(ANSWER.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException | TimeoutException e) {
            throw new IllegalStateException("the takeover thread does not answer", e);
        }
    }

    /** How the majority stands; nothing where there is none to ask. */
    Optional<Quorum.Status> majority() throws InterruptedException {
        return quorum.status();
    }

    /** Gives all addresses to others, lets hooks hear of it, and ends. */
    void leave() throws InterruptedException {
        Takeover running = end();
        if (running != null && !running.leave(LEAVING.plus(resources.patience()))) {
            running.close();
        }
        resources.leave();
        quorum.close();
        hooks.close(HOOKS);
    }

    @Override
    public void close() {
        Takeover running = end();
        if (running != null) {
            running.close();
            try {
                hooks.close(HOOKS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        quorum.close();
        hooks.close();
        resources.close();
    }

    /** The resource groups of this node. */
    ResourceDuty resources() {
        return resources;
    }

    /** Has the thread of virtual routers run this, or, where there is none, this one. */
    void execute(Runnable task) {
        Takeover running;
        synchronized (this) {
            running = takeover;
        }
        if (running == null || !running.failure().isEmpty()) {
            task.run();
        } else {
            running.execute(task);
        }
    }

    /** Not waited for here: its thread says on its way what has become of the addresses. */
    private synchronized @Nullable Takeover end() {
        Takeover running = takeover;
        takeover = null;
        members = List.of();
        watch.close();
        ended = true;
        return running;
    }

    // ---- For the control API

    /** As GET /v1/takeover has it. */
    JsonObject json() throws InterruptedException {
        JsonArray routers = new JsonArray();
        status().forEach(status -> routers.add(json(status)));
        JsonObject json = new JsonObject();
        json.add("routers", routers);
        quorum.json().ifPresent(majority -> json.add("quorum", majority));
        json.add("resourceGroups", ResourceDuty.json(resources.views()));
        return json;
    }

    private static JsonObject json(RouterStatus status) {
        Membership member = status.member();
        JsonObject json = new JsonObject();
        json.addProperty("name", member.name());
        json.addProperty("family", member.ipv6() ? "ipv6" : "ipv4");
        json.addProperty("routerId", member.routerId());
        json.addProperty("version", member.version());
        json.addProperty("interface", member.device());
        json.addProperty("intervalMillis", member.interval() / 1_000_000);
        JsonArray addresses = new JsonArray();
        member.addresses().forEach(cidr -> addresses.add(cidr.toString()));
        json.add("addresses", addresses);
        json.addProperty("role", word(status.role()));
        json.addProperty("holds", status.holds());
        JsonArray waitsFor = new JsonArray();
        status.waitsFor().forEach(waitsFor::add);
        json.add("waitsFor", waitsFor);
        json.addProperty("since", status.since().toString());
        json.addProperty("why", status.why());
        json.addProperty("priority", status.priority());
        json.addProperty("describedPriority", status.described());
        json.addProperty("operator", status.manner().word());
        if (!status.unable().isEmpty()) {
            json.addProperty("givesWay", status.unable());
        }
        if (!status.group().isEmpty()) {
            json.addProperty("group", status.group());
        }
        JsonArray tracked = new JsonArray();
        for (Standing standing : status.tracked()) {
            JsonObject each = new JsonObject();
            each.addProperty("name", standing.tracked().name());
            each.addProperty("weight", standing.tracked().weight());
            each.addProperty("reverse", standing.tracked().reverse());
            each.addProperty("state", standing.state());
            each.addProperty("adds", standing.adds());
            each.addProperty("fault", standing.fault());
            tracked.add(each);
        }
        json.add("tracked", tracked);
        JsonArray faults = new JsonArray();
        status.faults().forEach(faults::add);
        json.add("faults", faults);
        status.master().ifPresent(master -> json.addProperty("master", Addresses.print(master)));
        JsonArray peers = new JsonArray();
        status.peers().forEach((address, peer) -> {
            JsonObject each = new JsonObject();
            each.addProperty("address", Addresses.print(address));
            each.addProperty("priority", peer.priority());
            each.addProperty("intervalMillis", peer.interval() / 1_000_000);
            each.addProperty("heard", peer.heard().toString());
            each.addProperty("advertisements", peer.count());
            peers.add(each);
        });
        json.add("peers", peers);
        json.addProperty("sent", status.sent());
        json.addProperty("unsent", status.unsent());
        JsonObject discarded = new JsonObject();
        status.discarded()
                .forEach((reason, count) -> discarded.addProperty(
                        reason.name().toLowerCase(Locale.ROOT).replace('_', '-'), count));
        json.add("discarded", discarded);
        status.strays().ifPresent(strays -> {
            JsonObject each = new JsonObject();
            each.addProperty("senders", strays.senders());
            each.addProperty("packets", strays.frames());
            each.addProperty("lastMillis", strays.last() / 1_000_000);
            json.add("misdirected", each);
        });
        JsonArray notices = new JsonArray();
        status.notices().forEach(notices::add);
        json.add("notices", notices);
        json.add("jitter", jitter(status.jitter()));
        JsonArray transitions = new JsonArray();
        for (RouterStatus.Transition transition : status.transitions()) {
            JsonObject each = new JsonObject();
            each.addProperty("time", transition.at().toString());
            each.addProperty("from", word(transition.from()));
            each.addProperty("to", word(transition.to()));
            each.addProperty("why", transition.why());
            transitions.add(each);
        }
        json.add("transitions", transitions);
        return json;
    }

    private static JsonObject jitter(Jitter jitter) {
        JsonObject json = new JsonObject();
        JsonArray buckets = new JsonArray();
        long[] bounds = Jitter.bounds();
        long[] counts = jitter.counts();
        for (int i = 0; i < counts.length; i++) {
            JsonObject bucket = new JsonObject();
            if (i < bounds.length) {
                bucket.addProperty("upToMicros", bounds[i]);
            }
            bucket.addProperty("count", counts[i]);
            buckets.add(bucket);
        }
        json.add("buckets", buckets);
        json.addProperty("worstMicros", jitter.worst() / 1000);
        return json;
    }
}

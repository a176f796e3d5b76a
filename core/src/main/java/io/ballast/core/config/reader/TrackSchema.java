package io.ballast.core.config.reader;

import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.Member;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec.Kind;
import io.ballast.core.config.reader.ServiceSchema.Place;
import io.ballast.core.yaml.Node;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The keys of what a virtual router tracks, and what must hold of it. */
final class TrackSchema {
    private static final int MOST = 253;

    private static final Key<Integer> WEIGHT = Key.withDefault(
            "weight",
            Types.integer(-MOST, MOST),
            "0",
            "Positive: added to the priority while it is up. Negative: while it is down. A number, of a file or of servers,"
                    + " is multiplied by it. 0: while it is down, or the number is not 0, the node is at fault and must not"
                    + " have the addresses.",
            "-30");
    private static final Key<Boolean> REVERSE = Key.withDefault(
            "reverse",
            Types.bool(),
            "false",
            "The other way round: what would be added is subtracted, and the fault is to be up, or that the number is 0.",
            "true");
    private static final Key<Boolean> PER_SERVER = Key.withDefault(
            "per-server",
            Types.bool(),
            "false",
            "Counts the weight once for each server of the service that is up.",
            "true");

    /** How a thing is weighed, as written. */
    private record Weighing(int weight, boolean reverse, boolean perServer) {}

    private static final Type<Weighing> WEIGHING = Types.orNothing(new MapType<>(
            "tracked",
            "How a thing that is tracked counts, as keepalived has it: between 1 and 254, the priority is that of the node"
                    + " and what everything adds.",
            List.of(WEIGHT, REVERSE),
            v -> new Weighing(v.get(WEIGHT), v.get(REVERSE), false)));
    private static final Type<Weighing> SERVICE_WEIGHING = Types.orNothing(new MapType<>(
            "tracked-service",
            "How a service that is tracked counts: up while one of its servers is.",
            List.of(WEIGHT, REVERSE, PER_SERVER),
            TrackSchema::service));

    private static final Key<SequencedMap<String, Weighing>> INTERFACES = Key.optional(
            Kind.INTERFACE.yamlName(),
            Types.named("interface names", Types.interfaceName(), WEIGHING),
            "Network interfaces, up while they are switched on and have a link. A node tracks those that it has under"
                    + " `nodes`.",
            "{ eth1: , eth2: { weight: -30 } }");
    private static final Key<SequencedMap<String, Weighing>> SERVICES = Key.optional(
            Kind.SERVICE.yamlName(),
            Types.named("service names", RootSchema.SERVICE_NAME, SERVICE_WEIGHING),
            "Services, by the node's own checks of their servers.",
            "{ web: { weight: 20 } }");
    private static final Key<SequencedMap<String, Weighing>> FILES = Key.optional(
            Kind.FILE.yamlName(),
            Types.named("paths", Types.path(), WEIGHING),
            "Files with a whole number in them, read every second; one that is not there, or has none in it, says 0.",
            "{ /run/rank: { weight: 1 } }");
    private static final Key<SequencedMap<String, Weighing>> PROCESSES = Key.optional(
            Kind.PROCESS.yamlName(),
            Types.named(
                    "names of programs",
                    Types.matching("name of a program", "the name of a program, without its folder", "[!-.0-~]{1,255}"),
                    WEIGHING),
            "Programs by the name of their file, up while a process runs; looked at every second.",
            "{ haproxy: { weight: -20 } }");

    static final MapType<List<TrackSpec>> TRACK = new MapType<>(
            "track",
            "What a virtual router depends on beside its own network.",
            List.of(INTERFACES, SERVICES, FILES, PROCESSES),
            v -> {
                List<TrackSpec> all = new ArrayList<>();
                add(all, Kind.INTERFACE, v.find(INTERFACES));
                add(all, Kind.SERVICE, v.find(SERVICES));
                add(all, Kind.FILE, v.find(FILES));
                add(all, Kind.PROCESS, v.find(PROCESSES));
                return List.copyOf(all);
            });

    private TrackSchema() {}

    private static Weighing service(Values v) {
        boolean perServer = v.get(PER_SERVER);
        if (perServer && v.get(WEIGHT) == 0 && !v.broken(WEIGHT)) {
            v.error(
                    PER_SERVER,
                    "needs a weight from -253 to 253 to be multiplied, other than 0; write one, or leave it out");
        }
        return new Weighing(v.get(WEIGHT), v.get(REVERSE), perServer);
    }

    private static void add(List<TrackSpec> to, Kind kind, Optional<SequencedMap<String, Weighing>> things) {
        things.ifPresent(map -> map.forEach(
                (name, how) -> to.add(new TrackSpec(kind, name, how.weight(), how.reverse(), how.perServer()))));
    }

    /** Where a thing stands. */
    static Node place(Node track, TrackSpec thing) {
        return NodeSchema.place(track, List.of(thing.kind().yamlName(), thing.name()), 0);
    }

    /**
     * What can be said before the services are known; those are looked at by {@link #services}.
     *
     * @param at where {@code track} stands
     */
    static void check(Scope scope, VirtualRouterSpec router, Node at) {
        scope.enter("track");
        for (TrackSpec thing : router.track()) {
            scope.enter(thing.kind().yamlName());
            scope.enter(thing.name());
            Node here = place(at, thing);
            if (thing.kind() == Kind.INTERFACE) {
                device(scope, router, thing.name(), here);
            } else if (thing.kind() == Kind.SERVICE) {
                scope.trackedServices.put(new TrackedBy(router.name(), thing.name()), Place.of(here));
            }
            weightless(scope, router, thing, here);
            scope.leave();
            scope.leave();
        }
        lonely(scope, router, at);
        scope.leave();
    }

    /** A service that a virtual router tracks. */
    record TrackedBy(String router, String service) {}

    private static void device(Scope scope, VirtualRouterSpec router, String device, Node at) {
        List<NodeSpec> nodes = nodes(scope, router);
        List<String> known = nodes.stream()
                .flatMap(node -> node.interfaces().stream())
                .map(NodeSpec.InterfaceSpec::name)
                .distinct()
                .toList();
        if (!nodes.isEmpty() && !known.contains(device)) {
            String near = Suggestions.didYouMean(device, known);
            scope.error(
                    at,
                    "no node of " + router.name() + " has an interface " + device + " under nodes"
                            + (near.isEmpty() ? "; add it there, as " + device + ": {}" : near));
        } else if (router.nodes().values().stream()
                .anyMatch(member -> member.interfaceName().equals(device))) {
            scope.warning(
                    at,
                    "without its own interface a virtual router is at fault in any case, so this has no effect"
                            + " where that is " + device + "; leave it out");
        }
    }

    private static void weightless(Scope scope, VirtualRouterSpec router, TrackSpec thing, Node at) {
        Optional<String> owner = router.nodes().entrySet().stream()
                .filter(each -> each.getValue().priority() == VirtualRouterSpec.OWNER)
                .map(Map.Entry::getKey)
                .findFirst();
        if (thing.weight() != 0 && owner.isPresent()) {
            scope.warning(
                    at,
                    "has no effect on " + owner.get() + ", whose priority of 255 nothing changes; write 254 there, or"
                            + " weight 0 here");
        }
    }

    /** Interfaces have other names elsewhere, and then each should be written. */
    private static void lonely(Scope scope, VirtualRouterSpec router, Node at) {
        List<String> devices = router.track().stream()
                .filter(thing -> thing.kind() == Kind.INTERFACE)
                .map(TrackSpec::name)
                .toList();
        List<String> without = nodes(scope, router).stream()
                .filter(node -> devices.stream()
                        .noneMatch(name -> node.interfaceNamed(name).isPresent()))
                .map(NodeSpec::name)
                .toList();
        if (!devices.isEmpty()
                && !without.isEmpty()
                && without.size() < router.nodes().size()) {
            scope.enter(INTERFACES.name());
            scope.warning(
                    NodeSchema.place(at, List.of(INTERFACES.name()), 0),
                    String.join(", ", without) + (without.size() == 1 ? " has" : " have") + " none of "
                            + String.join(", ", devices) + " under nodes, so no interface is tracked there; add it, or"
                            + " also track the one that it has instead");
            scope.leave();
        }
    }

    private static List<NodeSpec> nodes(Scope scope, VirtualRouterSpec router) {
        return router.nodes().keySet().stream()
                .flatMap(name -> Optional.ofNullable(scope.nodes.get(name)).stream())
                .toList();
    }

    /**
     * Tells of services that are tracked where nothing is known of them.
     *
     * @param services that could be read
     * @param broken the names of those that could not
     * @param places of what is tracked, as far as that matters
     */
    static void services(
            Collection<VirtualRouterSpec> routers,
            Collection<NodeSpec> nodes,
            Collection<ServiceSpec> services,
            Set<String> broken,
            Map<TrackedBy, Place> places,
            Problems problems) {
        if (routers.stream().allMatch(router -> router.track().isEmpty())) {
            return;
        }
        Map<String, ServiceSpec> byName = new LinkedHashMap<>();
        services.forEach(service -> byName.put(service.name(), service));
        for (VirtualRouterSpec router : routers) {
            for (TrackSpec thing : router.track()) {
                if (thing.kind() != Kind.SERVICE || broken.contains(thing.name())) {
                    continue;
                }
                String wrong = wrong(router, nodes, routers, byName, thing.name());
                if (!wrong.isEmpty()) {
                    Place at = places.getOrDefault(new TrackedBy(router.name(), thing.name()), Place.NOWHERE);
                    String path = String.join(
                            ".",
                            RootSchema.VIRTUAL_ROUTERS.name(),
                            router.name(),
                            "track",
                            SERVICES.name(),
                            thing.name());
                    problems.add(Severity.ERROR, at.line(), at.column(), path, wrong);
                }
            }
        }
    }

    private static String wrong(
            VirtualRouterSpec router,
            Collection<NodeSpec> nodes,
            Collection<VirtualRouterSpec> routers,
            Map<String, ServiceSpec> services,
            String name) {
        @Nullable ServiceSpec service = services.get(name);
        if (service == null) {
            return "no service of the name " + Type.quoted(name) + " under services"
                    + Suggestions.didYouMean(name, services.keySet());
        }
        List<String> directors = Description.directors(nodes, routers, service.directors(), service.listen());
        SequencedMap<String, Member> members = router.nodes();
        return members.keySet().stream()
                .filter(node -> !directors.isEmpty() && !directors.contains(node))
                .findFirst()
                .map(node -> node + " does not direct the service " + name + " and so does not check its servers"
                        + " (directed by " + String.join(", ", directors)
                        + "); name it among the service's directors, or"
                        + " track something else")
                .orElse("");
    }
}

package io.ballast.core.config.reader;

import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.Member;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec;
import io.ballast.core.time.Durations;
import io.ballast.core.yaml.Node;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What virtual routers must have in common that move together, so that no node wins one and loses another for ever. */
final class GroupChecks {
    private final Scope scope;
    private final Node at;

    private GroupChecks(Scope scope, Node at) {
        this.scope = scope;
        this.at = at;
    }

    /** Looks at all groups of these virtual routers, which stand at that place. */
    static void check(Collection<VirtualRouterSpec> routers, Node at, Scope scope) {
        Map<String, List<VirtualRouterSpec>> groups = new LinkedHashMap<>();
        routers.forEach(router -> router.group()
                .ifPresent(name ->
                        groups.computeIfAbsent(name, _ -> new ArrayList<>()).add(router)));
        GroupChecks checks = new GroupChecks(scope, at);
        groups.forEach((name, members) -> {
            members.forEach(checks::noOwner);
            members.subList(1, members.size()).forEach(member -> checks.compare(members.getFirst(), member));
            checks.trackedOnce(members);
            VirtualRouterSpec first = members.getFirst();
            boolean alone = members.size() == 1
                    && (first.addresses(true).isEmpty()
                            || first.addresses(false).isEmpty());
            if (alone) {
                String near = Suggestions.didYouMean(
                        name,
                        groups.keySet().stream()
                                .filter(other -> !other.equals(name))
                                .toList());
                checks.warning(
                        first,
                        List.of("group"),
                        "no other virtual router is of the group " + name + ", so nothing moves with this one"
                                + (near.isEmpty() ? "; give another the same, or leave it out" : near));
            }
        });
    }

    private void noOwner(VirtualRouterSpec router) {
        router.nodes().forEach((node, member) -> {
            if (member.priority() == VirtualRouterSpec.OWNER) {
                error(
                        router,
                        List.of("nodes", node, "priority"),
                        "255 is of an owner, who is master at once whatever becomes of the others of the group; write 254");
            }
        });
    }

    private void compare(VirtualRouterSpec first, VirtualRouterSpec router) {
        String of = first.name() + ", of the same group, ";
        if (!first.nodes().keySet().equals(router.nodes().keySet())) {
            error(
                    router,
                    List.of("nodes"),
                    of + "has the nodes " + String.join(", ", first.nodes().keySet())
                            + ", and this one "
                            + String.join(", ", router.nodes().keySet())
                            + "; who takes part in one of a group takes part in all");
            return;
        }
        router.nodes().forEach((node, member) -> {
            @Nullable Member there = first.nodes().get(node);
            if (there != null && there.priority() != member.priority()) {
                error(
                        router,
                        List.of("nodes", node, "priority"),
                        of + "has priority " + there.priority() + " for " + node + ", and this one " + member.priority()
                                + "; write the same in both");
            }
        });
        if (first.preempt() != router.preempt()) {
            error(
                    router,
                    List.of("preempt"),
                    of + "has preempt: " + first.preempt() + ", and this one " + router.preempt()
                            + "; write the same in both");
        }
        if (!first.preemptDelay().equals(router.preemptDelay())) {
            error(
                    router,
                    List.of("preempt-delay"),
                    of + "has preempt-delay: " + Durations.print(first.preemptDelay()) + ", and this one "
                            + Durations.print(router.preemptDelay()) + "; write the same in both");
        }
    }

    private void trackedOnce(List<VirtualRouterSpec> members) {
        Map<String, String> seen = new LinkedHashMap<>();
        for (VirtualRouterSpec router : members) {
            for (TrackSpec thing : router.track()) {
                String other = seen.putIfAbsent(thing.kind() + " " + thing.name(), router.name());
                if (other != null) {
                    error(
                            router,
                            List.of("track", thing.kind().yamlName(), thing.name()),
                            other + ", of the same group, tracks the " + thing.label()
                                    + " already, and what one tracks counts for all; leave it out here");
                }
            }
        }
    }

    private Node enter(VirtualRouterSpec router, List<String> keys) {
        scope.enter(router.name());
        keys.forEach(scope::enter);
        List<String> path = new ArrayList<>(List.of(router.name()));
        path.addAll(keys);
        return NodeSchema.place(at, path, 0);
    }

    private void leave(List<String> keys) {
        keys.forEach(_ -> scope.leave());
        scope.leave();
    }

    private void error(VirtualRouterSpec router, List<String> keys, String message) {
        scope.error(enter(router, keys), message);
        leave(keys);
    }

    private void warning(VirtualRouterSpec router, List<String> keys, String message) {
        scope.warning(enter(router, keys), message);
        leave(keys);
    }
}

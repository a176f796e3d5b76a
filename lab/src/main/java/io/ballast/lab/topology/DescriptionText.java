package io.ballast.lab.topology;

import io.ballast.core.config.ForwardingMethod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.Dump;
import org.snakeyaml.engine.v2.api.DumpSettings;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.common.FlowStyle;

/**
 * The text of a description, to be changed in places: a drill wants other check intervals, a sorry server, a weight. The
 * keys are those of {@code ballast.yaml}; the text must be one that the reader has accepted. Comments are lost.
 */
public final class DescriptionText {
    private final Map<String, @Nullable Object> root;

    private DescriptionText(Map<String, @Nullable Object> root) {
        this.root = root;
    }

    /** The text of a description that is known to be valid. */
    public static DescriptionText of(String yaml) {
        Object loaded = new Load(LoadSettings.builder().build()).loadFromString(yaml);
        return new DescriptionText(map(copy(loaded)));
    }

    /** With every check at this interval. */
    public DescriptionText withCheckInterval(Duration interval) {
        return changed(root -> checks(root).forEach(check -> {
            check.put("interval", interval.toMillis() + "ms");
            check.remove("backoff"); // it must not be shorter than the interval
        }));
    }

    /** With this time-out for every check. */
    public DescriptionText withCheckTimeout(Duration timeout) {
        return changed(root -> checks(root).forEach(check -> check.put("timeout", timeout.toMillis() + "ms")));
    }

    /** With this sorry server for a service, or with none. */
    public DescriptionText withSorry(String service, Optional<String> address) {
        return changed(root -> {
            Map<String, @Nullable Object> map = map(map(root.get("services")).get(service));
            map.remove("sorry");
            address.ifPresent(a -> map.put("sorry", a));
        });
    }

    /** With this way of forwarding for every service. */
    public DescriptionText withForwarding(ForwardingMethod method) {
        return changed(root -> map(root.get("services"))
                .values()
                .forEach(service -> map(service).put("forwarding", method.yamlName())));
    }

    /** With another weight for a service's server, by its place in the list. */
    public DescriptionText withWeight(String service, int server, int weight) {
        return changed(root -> {
            List<@Nullable Object> servers =
                    list(map(map(root.get("services")).get(service)).get("servers"));
            Object old = servers.get(server);
            Map<String, @Nullable Object> map = old instanceof Map ? map(old) : new LinkedHashMap<>();
            if (!(old instanceof Map)) {
                map.put("address", old);
            }
            map.put("weight", weight);
            servers.set(server, map);
        });
    }

    /** With another interval of a virtual router. */
    public DescriptionText withInterval(String router, Duration interval) {
        return changed(root -> router(root, router).put("interval", interval.toMillis() + "ms"));
    }

    /** With these priorities of some of a virtual router's nodes. */
    public DescriptionText withPriorities(String router, Map<String, Integer> priorities) {
        return changed(root -> {
            Map<String, @Nullable Object> nodes = map(router(root, router).get("nodes"));
            priorities.forEach((node, priority) -> {
                Map<String, @Nullable Object> member = map(nodes.get(node));
                member.put("priority", priority);
                nodes.put(node, member);
            });
        });
    }

    /** With one address more of a virtual router. */
    public DescriptionText withAddress(String router, String cidr) {
        return changed(root -> {
            Map<String, @Nullable Object> map = router(root, router);
            Object old = map.get("addresses");
            List<@Nullable Object> all =
                    old instanceof List ? list(old) : new ArrayList<>(List.of(String.valueOf(old)));
            all.add(cidr);
            map.put("addresses", all);
        });
    }

    private static Map<String, @Nullable Object> router(Map<String, @Nullable Object> root, String name) {
        return map(map(root.get("virtual-routers")).get(name));
    }

    /** A copy that {@code change} was applied to. */
    DescriptionText changed(Consumer<Map<String, @Nullable Object>> change) {
        Map<String, @Nullable Object> changed = map(copy(root));
        change.accept(changed);
        return new DescriptionText(changed);
    }

    /** Every check: the named ones, those of services and those of servers. */
    static List<Map<String, @Nullable Object>> checks(Map<String, @Nullable Object> root) {
        List<Map<String, @Nullable Object>> checks = new ArrayList<>();
        map(root.get("checks")).values().forEach(c -> checks.add(map(c)));
        for (Object service : map(root.get("services")).values()) {
            inList(map(service).get("checks"), checks);
            for (Object server : list(map(service).get("servers"))) {
                if (server instanceof Map) {
                    inList(map(server).get("checks"), checks);
                }
            }
        }
        return checks;
    }

    private static void inList(@Nullable Object value, List<Map<String, @Nullable Object>> checks) {
        for (Object check : list(value)) {
            if (check instanceof Map) { // otherwise the name of one
                checks.add(map(check));
            }
        }
    }

    /** YAML that means the same. */
    @Override
    public String toString() {
        return new Dump(DumpSettings.builder()
                        .setDefaultFlowStyle(FlowStyle.BLOCK)
                        .setWidth(110)
                        .build())
                .dumpToString(root);
    }

    /** A map of the tree; an empty one where there is nothing. */
    @SuppressWarnings("unchecked") // copy() made it, with these types
    static Map<String, @Nullable Object> map(@Nullable Object value) {
        return value == null ? new LinkedHashMap<>() : (Map<String, @Nullable Object>) value;
    }

    /** A list of the tree; an empty one where there is nothing. */
    @SuppressWarnings("unchecked") // copy() made it, with this type
    static List<@Nullable Object> list(@Nullable Object value) {
        return value == null ? new ArrayList<>() : (List<@Nullable Object>) value;
    }

    /** A tree of its own: what the text shares by aliases becomes apart. */
    private static @Nullable Object copy(@Nullable Object value) {
        return switch (value) {
            case Map<?, ?> map -> {
                Map<String, @Nullable Object> copy = new LinkedHashMap<>();
                map.forEach((key, v) -> copy.put(String.valueOf(key), copy(v)));
                yield copy;
            }
            case List<?> list -> {
                List<@Nullable Object> copy = new ArrayList<>();
                list.forEach(v -> copy.add(copy(v)));
                yield copy;
            }
            case null, default -> value;
        };
    }
}

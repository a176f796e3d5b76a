package io.ballast.core.config.reader;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.ConnectionSyncSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.ResourcesSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Entry;
import io.ballast.core.yaml.Node.Scalar;
import io.ballast.core.yaml.YamlDocument;
import io.ballast.core.yaml.YamlException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Binds one text to the records: the keys at the top, and the services one by one. */
final class Binding implements YamlDocument.Visitor {
    /** A service in the file's order; one of {@code read} and {@code pending} is there, or neither after errors. */
    private static final class Slot {
        final Scalar key;

        @Nullable
        ReadService read;

        @Nullable
        Node pending;

        Slot(Scalar key) {
            this.key = key;
        }
    }

    /** About what a service or server is written with. */
    private static final int NODES_OF_AN_ENTRY = 8;

    private final Problems problems;
    private final Scope scope;
    private final Map<String, Scalar> rootKeys = new HashMap<>();
    private final Map<String, Scalar> serviceKeys = new HashMap<>();
    private final List<Slot> services = new ArrayList<>();
    private @Nullable String name;
    private @Nullable Entry pendingRouters;
    private final Map<String, ServiceSpec> before;
    private Problems.@Nullable Mark beforeLast;
    private final DescriptionReader.Limits limits;
    private long entries;
    private long pendingNodes;
    private boolean full;
    private @Nullable ConnectionSyncSpec connectionSync;
    private @Nullable QuorumSpec quorum;
    private @Nullable SequencedMap<String, ResourcesSpec.GroupSpec> resourceGroups;
    private ResourcesSpec.@Nullable FencingSpec fencing;
    private ResourcesSpec.@Nullable WatchdogSpec watchdog;
    private boolean anchors;
    private boolean flow;
    private int lineAfterServices;

    /**
     * A binding.
     *
     * @param before what the reader read last; what is equal is taken over from it
     * @param limits beyond which nothing is read
     */
    Binding(Problems problems, Optional<Description> before, DescriptionReader.Limits limits) {
        this.limits = limits;
        this.problems = problems;
        this.scope = new Scope(problems);
        this.before = before.map(d -> (Map<String, ServiceSpec>) d.services()).orElse(Map.of());
    }

    /** Services, and where their keys stand. */
    record Services(List<ServiceSpec> specs, List<Scalar> keys) {}

    /** Reads lines that stand under {@code services:} in a text; nothing where anything is wrong with them. */
    static Optional<Services> services(
            byte[] lines, Description before, Map<String, CheckSpec> checks, DescriptionReader.Limits limits) {
        byte[] head = "services:\n".getBytes(StandardCharsets.UTF_8);
        byte[] text = Arrays.copyOf(head, head.length + lines.length);
        System.arraycopy(lines, 0, text, head.length, lines.length);
        var problems = new Problems("", text);
        var binding = new Binding(problems, Optional.of(before), limits);
        binding.scope.nodes.putAll(before.nodes());
        binding.scope.nodesKnown = true;
        binding.scope.virtualRouters.putAll(before.virtualRouters());
        binding.scope.virtualRoutersKnown = true;
        binding.scope.checks.putAll(checks);
        binding.scope.checksKnown = true;
        try {
            if (TextCheck.check(text, problems) || YamlDocument.read(text, binding) || !problems.isEmpty()) {
                return Optional.empty();
            }
        } catch (YamlException e) {
            return Optional.empty();
        }
        List<ServiceSpec> specs = new ArrayList<>();
        List<Scalar> keys = new ArrayList<>();
        for (Slot slot : binding.services) {
            if (slot.read == null) {
                return Optional.empty();
            }
            specs.add(slot.read.spec());
            keys.add(new Scalar(slot.key.line() - 1, slot.key.column(), slot.key.text(), slot.key.plain()));
        }
        return Optional.of(new Services(specs, keys));
    }

    /** What the next reading may build on; nothing where it cannot. */
    Optional<LastReading> remember(byte[] text, Description description) {
        if (anchors || flow || !problems.isEmpty()) {
            return Optional.empty();
        }
        List<Scalar> keys = services.stream().map(slot -> slot.key).toList();
        int begin = Objects.requireNonNull(rootKeys.get("services")).line();
        return LastReading.of(text, description, scope.checks, begin, keys, lineAfterServices);
    }

    Optional<Description> read(byte[] text) {
        scope.virtualRoutersKnown = !contains(text, RootSchema.VIRTUAL_ROUTERS.name());
        try {
            anchors = YamlDocument.read(text, this);
        } catch (YamlException e) {
            // What came last ends where it should not, and is hardly what was meant.
            if (beforeLast != null) {
                problems.forget(beforeLast);
            }
            problems.add(Severity.ERROR, e.line(), e.column(), "", e.text());
            return Optional.empty();
        }
        if (full || problems.stopped()) {
            return Optional.empty();
        }
        scope.nodesKnown = true;
        scope.checksKnown = true;
        if (pendingRouters != null) {
            scope.enter(pendingRouters.key().text());
            virtualRouters(pendingRouters);
            scope.leave();
        }
        scope.virtualRoutersKnown = true;
        if (connectionSync != null && scope.virtualRouters.isEmpty() && !problems.anyError()) {
            Scalar key = Objects.requireNonNull(rootKeys.get("connection-sync"));
            problems.add(
                    Severity.ERROR,
                    key.line(),
                    key.column(),
                    "connection-sync",
                    "no addresses are shared, so there is nobody to tell of connections: describe virtual-routers, or leave"
                            + " this out");
        }
        if (quorum != null && !problems.anyError()) {
            Scalar key = Objects.requireNonNull(rootKeys.get("quorum"));
            QuorumSchema.check(quorum, key, scope.nodes.values(), scope.virtualRouters.values(), problems);
        }
        if (!problems.anyError()) {
            ResourcesSchema.check(resources(), rootKeys, scope.nodes, scope.virtualRouters, problems);
        }
        scope.enter("services");
        for (Slot slot : services) {
            if (slot.pending != null) {
                if (enough()) {
                    return Optional.empty();
                }
                bind(slot, slot.pending);
            }
        }
        scope.leave();
        boolean misspelt = rootKeys.keySet().stream()
                .anyMatch(key -> Suggestions.nearest(key, List.of("services")).isPresent());
        if (!misspelt) {
            problems.add(Severity.ERROR, 1, 1, "", "\"services\" is missing; without a service there is nothing to do");
        } else if (services.isEmpty() && !problems.anyError()) {
            Scalar key = rootKeys.get("services");
            problems.add(
                    Severity.ERROR,
                    key == null ? 1 : key.line(),
                    key == null ? 1 : key.column(),
                    "services",
                    "no service; to stop them all, stop the daemon");
        }
        List<ReadService> read = services.stream()
                .flatMap(slot -> Optional.ofNullable(slot.read).stream())
                .toList();
        AcrossServices.check(read, scope.nodes.values(), scope.virtualRouters.values(), problems);
        Set<String> broken = new HashSet<>(serviceKeys.keySet());
        read.forEach(service -> broken.remove(service.spec().name()));
        TrackSchema.services(
                scope.virtualRouters.values(),
                scope.nodes.values(),
                read.stream().map(ReadService::spec).toList(),
                broken,
                scope.trackedServices,
                problems);
        return problems.anyError() ? Optional.empty() : Optional.of(description());
    }

    private ResourcesSpec resources() {
        return new ResourcesSpec(
                resourceGroups == null ? ResourcesSpec.NONE.groups() : resourceGroups,
                Optional.ofNullable(fencing),
                Optional.ofNullable(watchdog));
    }

    private Description description() {
        var byName = new LinkedHashMap<String, ServiceSpec>();
        for (Slot slot : services) {
            if (slot.read != null) {
                byName.put(slot.key.text(), slot.read.spec());
            }
        }
        return new Description(
                name == null ? "ballast" : name,
                Collections.unmodifiableSequencedMap(scope.nodes),
                Collections.unmodifiableSequencedMap(scope.virtualRouters),
                Collections.unmodifiableSequencedMap(byName),
                Optional.ofNullable(connectionSync),
                Optional.ofNullable(quorum),
                resources());
    }

    @Override
    public boolean inPieces(Scalar rootKey) {
        return rootKey.text().equals("services") && !rootKeys.containsKey("services");
    }

    @Override
    public int maxNodes() {
        return Math.min(YamlDocument.MAX_NODES, limits.entries() * NODES_OF_AN_ENTRY / 2);
    }

    @Override
    public boolean enough() {
        return full || problems.stop();
    }

    @Override
    public void begin(Scalar rootKey, boolean flow) {
        rootKeys.put(rootKey.text(), rootKey);
        this.flow = flow;
    }

    @Override
    public void piece(Entry entry) {
        beforeLast = problems.mark();
        scope.enter("services");
        var slot = new Slot(entry.key());
        scope.enter(entry.key().text());
        String service = scope.key(entry.key(), RootSchema.SERVICE_NAME, serviceKeys);
        scope.leave();
        if (service != null) {
            services.add(slot);
        }
        bind(slot, entry.value());
        scope.leave();
    }

    private void bind(Slot slot, Node value) {
        long mostNodes = (long) NODES_OF_AN_ENTRY * limits.entries();
        scope.enter(slot.key.text());
        Problems.Mark mark = problems.mark();
        scope.namesMissing = false;
        ReadService read = ServiceSchema.SERVICE.read(value, scope);
        slot.read = read == null ? null : read.as(before.get(slot.key.text()));
        slot.pending = null;
        if (scope.namesMissing) {
            problems.forget(mark);
            slot.pending = value;
            slot.read = null;
            pendingNodes += value.size();
        } else {
            entries += 1 + (slot.read == null ? 0 : slot.read.spec().servers().size());
        }
        if (entries > limits.entries() || pendingNodes > mostNodes) {
            full = true;
            scope.error(slot.key, limits.tooManyEntries());
        }
        scope.leave();
    }

    @Override
    public void entry(Entry entry) {
        beforeLast = problems.mark();
        String key = entry.key().text();
        if (rootKeys.containsKey("services") && lineAfterServices == 0) {
            lineAfterServices = entry.key().line();
        }
        scope.enter(key);
        Scalar first = rootKeys.putIfAbsent(key, entry.key());
        if (first != null) {
            scope.error(entry.key(), "the key is here a second time; the first is in line " + first.line());
        }
        switch (key) {
            case "name" -> name = RootSchema.NAME.type().read(entry.value(), scope);
            case "nodes" -> {
                SequencedMap<String, NodeSpec> nodes = RootSchema.NODES.type().read(entry.value(), scope);
                scope.nodes.putAll(nodes == null ? Map.of() : nodes);
                scope.nodeNames.addAll(keys(entry.value()));
                scope.nodesKnown = true;
            }
            case "virtual-routers" -> {
                // They name nodes, which may still follow.
                if (scope.nodesKnown) {
                    virtualRouters(entry);
                } else if (pendingRouters == null) {
                    pendingRouters = entry;
                }
            }
            case "connection-sync" ->
                connectionSync = RootSchema.CONNECTION_SYNC.type().read(entry.value(), scope);
            case "resource-groups" ->
                resourceGroups = RootSchema.RESOURCE_GROUPS.type().read(entry.value(), scope);
            case "fencing" -> fencing = RootSchema.FENCING.type().read(entry.value(), scope);
            case "watchdog" -> watchdog = RootSchema.WATCHDOG.type().read(entry.value(), scope);
            case "quorum" -> quorum = RootSchema.QUORUM.type().read(entry.value(), scope);
            case "checks" -> {
                SequencedMap<String, CheckSpec> checks =
                        RootSchema.CHECKS.type().read(entry.value(), scope);
                scope.checks.putAll(checks == null ? Map.of() : checks);
                scope.checkNames.addAll(keys(entry.value()));
                scope.checksKnown = true;
            }
            case "services" -> {
                if (first == null) {
                    scope.error(
                            entry.value(), "expected a map by service names, found " + Type.describe(entry.value()));
                }
            }
            default -> scope.error(entry.key(), RootSchema.ROOT.unknown(key));
        }
        scope.leave();
    }

    private void virtualRouters(Entry entry) {
        SequencedMap<String, VirtualRouterSpec> routers =
                RootSchema.VIRTUAL_ROUTERS.type().read(entry.value(), scope);
        scope.virtualRouters.putAll(routers == null ? Map.of() : routers);
        scope.virtualRoutersKnown = true;
    }

    /** Whether a word of ASCII is in the text, as a key or anything else. */
    private static boolean contains(byte[] text, String word) {
        byte[] wanted = word.getBytes(StandardCharsets.US_ASCII);
        for (int at = 0; at + wanted.length <= text.length; at++) {
            if (text[at] == wanted[0] && Arrays.mismatch(wanted, 0, wanted.length, text, at, at + wanted.length) < 0) {
                return true;
            }
        }
        return false;
    }

    private static List<String> keys(Node node) {
        return node instanceof Node.Mapping map
                ? map.entries().stream().map(e -> e.key().text()).toList()
                : List.of();
    }
}

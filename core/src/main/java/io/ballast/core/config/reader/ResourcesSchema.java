package io.ballast.core.config.reader;

import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ResourcesSpec;
import io.ballast.core.config.ResourcesSpec.FencingSpec;
import io.ballast.core.config.ResourcesSpec.GroupSpec;
import io.ballast.core.config.ResourcesSpec.Kind;
import io.ballast.core.config.ResourcesSpec.ResourceSpec;
import io.ballast.core.config.ResourcesSpec.WatchdogSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.yaml.Node.Scalar;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The keys of resource groups, of fencing and of the watchdog, and what they have to do with the rest. */
final class ResourcesSchema {
    private static final Key<List<String>> START = Key.required(
            "start",
            Types.command(),
            "The program that starts it, with its arguments; exit code 0 when it runs.",
            "[/etc/init.d/postgresql, start]");
    private static final Key<List<String>> STOP = Key.required(
            "stop",
            Types.command(),
            "The program that stops it, exit code 0 when it does not run any more, also where it did not.",
            "[/etc/init.d/postgresql, stop]");
    private static final Key<List<String>> STATUS = Key.required(
            "status",
            Types.command(),
            "The program that says whether it runs: exit code 0 if so, 7 (OCF) or 3 (LSB) if not, others if something is wrong"
                    + " with it.",
            "[/etc/init.d/postgresql, status]");
    private static final MapType<Kind> PROGRAM = new MapType<>(
            "resource-program",
            "Something that programs start and stop. They get BALLAST_GROUP, BALLAST_RESOURCE and BALLAST_ACTION (start, stop,"
                    + " status).",
            List.of(START, STOP, STATUS),
            v -> v.broken(START) || v.broken(STOP) || v.broken(STATUS)
                    ? null
                    : new Kind.Program(v.get(START), v.get(STOP), v.get(STATUS)));
    private static final Key<String> DEVICE = Key.required(
            "device",
            Types.line("text"),
            "What is mounted, as mount(8) has it: a device, `UUID=...`, a directory with the option bind, `tmpfs`.",
            "/dev/vg0/db");
    private static final Key<String> AT =
            Key.required("at", Types.path(), "The directory where it is mounted.", "/srv/db");
    private static final Key<String> TYPE =
            Key.optional("type", Types.line("text"), "Of the file system; without it, mount(8) finds out.", "xfs");
    private static final Key<String> OPTIONS =
            Key.optional("options", Types.line("text"), "As mount(8) has them.", "noatime,nodev");
    private static final MapType<Kind> MOUNT = new MapType<>(
            "resource-mount",
            "A file system, by mount(8) and umount(8).",
            List.of(DEVICE, AT, TYPE, OPTIONS),
            v -> v.broken(DEVICE) || v.broken(AT)
                    ? null
                    : new Kind.Mount(v.get(DEVICE), v.get(AT), v.find(TYPE), v.find(OPTIONS)));

    private static final Key<Kind> AS_PROGRAM = Key.optional(
            "program",
            PROGRAM,
            "Three programs.",
            "{ start: [/opt/db/start], stop: [/opt/db/stop], status: [/opt/db/status] }");
    private static final Key<Kind> AS_MOUNT =
            Key.optional("mount", MOUNT, "A file system.", "{ device: /dev/vg0/db, at: /srv/db, type: xfs }");
    private static final Key<String> AS_UNIT = Key.optional(
            "unit",
            Types.matching(
                    "name of a unit", "a unit of systemd, such as postgresql.service", "[A-Za-z0-9:_.@\\\\-]{1,200}"),
            "A unit of systemd, which is started and stopped by systemctl, and not enabled there.",
            "postgresql.service");
    private static final Key<String> NAME =
            Key.optional("name", Types.name("a resource"), "For people; without it, what it is and where.", "database");
    private static final Key<Duration> INTERVAL = Key.withDefault(
            "interval", Types.duration("1s", "1h"), "10s", "After which it is asked whether it runs.", "30s");
    private static final Key<Duration> TIMEOUT = Key.withDefault(
            "timeout",
            Types.duration("1s", "1h"),
            "20s",
            "Of its start, its stop, and the question: a program that takes longer is killed, and has failed.",
            "2m");
    private static final MapType<ResourceSpec> RESOURCE = new MapType<>(
            "resource",
            "One thing that is started and stopped: one of `program`, `mount` and `unit`.",
            List.of(AS_PROGRAM, AS_MOUNT, AS_UNIT, NAME, INTERVAL, TIMEOUT),
            ResourcesSchema::resource);

    private static final Key<String> ROUTER = Key.required(
            "router", Types.name("a virtual router"), "The virtual router whose addresses it goes with.", "front");
    private static final Key<List<ResourceSpec>> RESOURCES = Key.required(
            "resources",
            Types.oneOrMore(RESOURCE),
            "What is started in this order before the addresses come to a node, and stopped in reverse when they have gone.",
            "[{ mount: { device: /dev/vg0/db, at: /srv/db } }, { unit: postgresql.service }]");
    private static final Key<Integer> RESTARTS = Key.withDefault(
            "restarts",
            Types.integer(0, 100),
            "1",
            "How often what does not run any more is started again, with all that comes after it, before another node gets the"
                    + " group. Ten minutes without trouble count as a new beginning.",
            "3");

    /** Whether other nodes have to be off. */
    private enum Fence {
        NOT,
        REQUIRED;

        String word() {
            return this == NOT ? "not" : "required";
        }
    }

    private static final Key<Fence> FENCE = Key.withDefault(
            "fence",
            Types.choice(Types.words(Fence.values(), Fence::word)),
            "not",
            "`required`: nothing is started before every other node has said that it does not have the group, or has been"
                    + " fenced. For what two nodes must never have, as a disk that both can write.",
            "required");

    /** What becomes of a node that cannot stop something. */
    private enum OnStopFailure {
        KEEP,
        REBOOT;

        String word() {
            return this == KEEP ? "keep" : "reboot";
        }
    }

    private static final Key<OnStopFailure> ON_STOP_FAILURE = Key.withDefault(
            "on-stop-failure",
            Types.choice(Types.words(OnStopFailure.values(), OnStopFailure::word)),
            "keep",
            "When something cannot be stopped, this node is at fault until `ballast takeover resume`. `reboot`: it also stops"
                    + " writing to the watchdog, which resets the machine.",
            "reboot");

    private static final MapType<GroupSpec> GROUP = new MapType<>(
            "resource-group",
            "Resources that run where the addresses of a virtual router are.",
            List.of(ROUTER, RESOURCES, RESTARTS, FENCE, ON_STOP_FAILURE),
            ResourcesSchema::group);
    static final Key<SequencedMap<String, GroupSpec>> GROUPS = Key.optional(
            "resource-groups",
            Types.named("names of resource groups", Types.name("a resource group"), GROUP),
            "Programs and mounts that run where the addresses of a virtual router are.",
            "{ db: { router: front, resources: [{ unit: postgresql.service }] } }");

    private static final Key<List<String>> COMMAND = Key.required(
            "command",
            Types.command(),
            "A program that switches a node off, which BALLAST_NODE names. Exit code 0 means that it is certainly off, or was"
                    + " reset.",
            "[/usr/local/sbin/power-off]");
    private static final Key<Duration> FENCE_TIMEOUT = Key.withDefault(
            "timeout", Types.duration("1s", "1h"), "30s", "After which it is killed, and has failed.", "60s");
    private static final Key<Duration> DELAY = Key.withDefault(
            "delay",
            Types.duration("0s", "5m"),
            "2s",
            "For how long a node waits before it fences one of higher priority: where two do not hear each other, the better one"
                    + " is first.",
            "5s");
    private static final Key<SequencedMap<String, SequencedMap<String, String>>> ENVIRONMENT = Key.optional(
            "environment",
            Types.named(
                    "node names",
                    Types.name("a node"),
                    Types.named(
                            "names of variables",
                            Types.matching(
                                    "name of a variable", "letters, digits and _", "[A-Za-z_][A-Za-z0-9_]{0,99}"),
                            Types.line("text"))),
            "What the program gets when it is to fence a node, in its environment. Secrets are better in a file of root's that"
                    + " it reads.",
            "{ director1: { IPMI_HOST: 192.0.2.101 }, director2: { IPMI_HOST: 192.0.2.102 } }");
    static final Key<FencingSpec> FENCING = Key.optional(
            "fencing",
            new MapType<>(
                    "fencing",
                    "How a node is switched off that may still have what another is to start.",
                    List.of(COMMAND, FENCE_TIMEOUT, DELAY, ENVIRONMENT),
                    v -> {
                        Map<String, Map<String, String>> environment = new LinkedHashMap<>();
                        v.find(ENVIRONMENT).ifPresent(environment::putAll);
                        return v.broken(COMMAND)
                                ? null
                                : new FencingSpec(v.get(COMMAND), v.get(FENCE_TIMEOUT), v.get(DELAY), environment);
                    }),
            "How a node is switched off, for resource groups with `fence: required`. Without it the operator does, and says so:"
                    + " `ballast takeover fenced NODE`.",
            "{ command: [/usr/local/sbin/power-off] }");

    private static final Key<String> WATCHDOG_DEVICE = Key.withDefault(
            "device", Types.path(), "/dev/watchdog", "The device that is written to.", "/dev/watchdog0");
    private static final Key<Duration> WATCHDOG_TIMEOUT = Key.withDefault(
            "timeout",
            Types.duration("2s", "5m"),
            "10s",
            "In whole seconds: when nothing was written for so long, the machine is reset.",
            "30s");
    static final Key<WatchdogSpec> WATCHDOG = Key.optional(
            "watchdog",
            new MapType<>(
                    "watchdog",
                    "A device that resets the machine when the daemon is dead or hangs.",
                    List.of(WATCHDOG_DEVICE, WATCHDOG_TIMEOUT),
                    ResourcesSchema::watchdog),
            "Resets the machine when its daemon is dead or hangs, by a watchdog of the hardware or of the kernel (softdog).",
            "{ device: /dev/watchdog, timeout: 10s }");

    private ResourcesSchema() {}

    private static @Nullable ResourceSpec resource(Values v) {
        List<Key<?>> kinds = List.of(AS_PROGRAM, AS_MOUNT, AS_UNIT);
        List<Key<?>> given = kinds.stream().filter(v::given).toList();
        if (given.size() != 1) {
            v.scope()
                    .error(
                            v.at(given.isEmpty() ? NAME : given.get(1)),
                            given.isEmpty()
                                    ? "a resource is one of program, mount and unit; write which"
                                    : "a resource is one of program, mount and unit, and this one is "
                                            + given.getFirst().name() + " and "
                                            + given.get(1).name() + "; make two of it");
            return null;
        }
        Kind kind = v.find(AS_PROGRAM)
                .or(() -> v.find(AS_MOUNT))
                .or(() -> v.find(AS_UNIT).map(Kind.Unit::new))
                .orElse(null);
        if (kind == null) {
            return null;
        }
        String name = v.find(NAME).orElseGet(() -> switch (kind) {
            case Kind.Program program ->
                "program " + Path.of(program.start().getFirst()).getFileName();
            case Kind.Mount mount -> "mount " + mount.at();
            case Kind.Unit unit -> "unit " + unit.name();
        });
        return new ResourceSpec(name, kind, v.get(INTERVAL), v.get(TIMEOUT));
    }

    private static @Nullable GroupSpec group(Values v) {
        if (v.broken(RESOURCES)) {
            return null;
        }
        Set<String> names = new HashSet<>();
        Set<String> places = new HashSet<>();
        for (ResourceSpec resource : v.get(RESOURCES)) {
            if (!names.add(resource.name())) {
                v.error(RESOURCES, "two of them are " + resource.name() + "; give one of them a name of its own");
            }
            if (resource.what() instanceof Kind.Mount mount && !places.add(mount.at())) {
                v.error(RESOURCES, "two of them are mounted at " + mount.at() + "; each needs its own place");
            }
        }
        return new GroupSpec(
                v.scope().lastName(),
                v.get(ROUTER),
                List.copyOf(v.get(RESOURCES)),
                v.get(RESTARTS),
                v.get(FENCE) == Fence.REQUIRED,
                v.get(ON_STOP_FAILURE) == OnStopFailure.REBOOT);
    }

    private static WatchdogSpec watchdog(Values v) {
        Duration timeout = v.get(WATCHDOG_TIMEOUT);
        if (timeout.toMillis() % 1000 != 0) {
            v.error(WATCHDOG_TIMEOUT, "watchdogs count whole seconds; write " + Math.max(2, timeout.toSeconds()) + "s");
        }
        return new WatchdogSpec(v.get(WATCHDOG_DEVICE), timeout);
    }

    /** What they must have in common with the rest, which is known now. */
    static void check(
            ResourcesSpec resources,
            Map<String, Scalar> keys,
            Map<String, NodeSpec> nodes,
            Map<String, VirtualRouterSpec> routers,
            Problems problems) {
        Map<String, String> byRouter = new HashMap<>();
        Map<String, String> byPlace = new HashMap<>();
        for (GroupSpec group : resources.groups().values()) {
            Report report = (severity, path, text) ->
                    add(problems, keys, GROUPS.name(), severity, "." + group.name() + path, text);
            VirtualRouterSpec router = routers.get(group.router());
            if (router == null) {
                report.add(
                        Severity.ERROR,
                        ".router",
                        "there is no virtual router " + group.router()
                                + Suggestions.didYouMean(group.router(), routers.keySet())
                                + (routers.isEmpty() ? "; describe virtual-routers" : ""));
                continue;
            }
            follow(group, router, routers, byRouter, report);
            for (ResourceSpec resource : group.resources()) {
                String place = switch (resource.what()) {
                    case Kind.Mount mount -> "mount at " + mount.at();
                    case Kind.Unit unit -> "unit " + unit.name();
                    case Kind.Program _ -> "";
                };
                String other = place.isEmpty() ? null : byPlace.putIfAbsent(place, group.name());
                if (other != null && !other.equals(group.name())) {
                    report.add(
                            Severity.ERROR,
                            ".resources",
                            "the resource group " + other + " has the " + place
                                    + " already; leave it out of one of them");
                }
            }
            if (group.fenced()) {
                fenced(router, nodes, resources, report);
            }
            if (group.reboots() && resources.watchdog().isEmpty()) {
                report.add(
                        Severity.ERROR,
                        ".on-stop-failure",
                        "there is no watchdog to reset the machine; describe watchdog, or leave this out");
            }
        }
        resources.fencing().ifPresent(fencing -> {
            fencing.environment().keySet().stream()
                    .filter(node -> !nodes.containsKey(node))
                    .forEach(node -> add(
                            problems,
                            keys,
                            FENCING.name(),
                            Severity.ERROR,
                            "." + ENVIRONMENT.name() + "." + node,
                            "there is no node " + node + Suggestions.didYouMean(node, nodes.keySet())));
            if (resources.groups().values().stream().noneMatch(GroupSpec::fenced)) {
                add(
                        problems,
                        keys,
                        FENCING.name(),
                        Severity.WARNING,
                        "",
                        "has no effect, because no resource group has fence: required; write it there, or leave this out");
            }
        });
    }

    private static void follow(
            GroupSpec group,
            VirtualRouterSpec router,
            Map<String, VirtualRouterSpec> routers,
            Map<String, String> byRouter,
            Report report) {
        if (router.group().isEmpty()
                && !router.addresses(true).isEmpty()
                && !router.addresses(false).isEmpty()) {
            report.add(
                    Severity.ERROR,
                    ".router",
                    "the addresses of IPv4 and IPv6 of " + router.name()
                            + " may be on two nodes, and this on one alone; let them move together: give the virtual router"
                            + " a group");
        }
        String moves = router.group().map(name -> "group " + name).orElse(router.name());
        String other = byRouter.putIfAbsent(moves, group.name());
        if (other != null) {
            report.add(
                    Severity.ERROR,
                    ".router",
                    "the resource group " + other + " goes with " + moves
                            + " already; write the resources of both into one,"
                            + " in the order in which they are to be started");
        }
        routers.values().stream()
                .filter(each -> each.equals(router)
                        || (router.group().isPresent() && each.group().equals(router.group())))
                .flatMap(each -> each.nodes().entrySet().stream())
                .filter(member -> member.getValue().priority() == VirtualRouterSpec.OWNER)
                .findFirst()
                .ifPresent(owner -> report.add(
                        Severity.ERROR,
                        ".router",
                        owner.getKey()
                                + " owns the addresses (priority 255) and has them whatever runs there; write 254 or"
                                + " less"));
    }

    private static void fenced(
            VirtualRouterSpec router, Map<String, NodeSpec> nodes, ResourcesSpec resources, Report report) {
        if (resources.fencing().isEmpty()) {
            report.add(
                    Severity.WARNING,
                    ".fence",
                    "there is no program that fences, so the operator has to, and say so by ballast takeover fenced; or"
                            + " describe fencing");
        }
        List<String> unknown = new ArrayList<>();
        router.nodes().forEach((name, member) -> {
            NodeSpec node = nodes.get(name);
            boolean known = node != null
                    && node.interfaceNamed(member.interfaceName()).stream()
                            .flatMap(on -> on.addresses().stream())
                            .anyMatch(own -> router.addresses().stream()
                                    .anyMatch(shared -> shared.address()
                                            .getClass()
                                            .equals(own.address().getClass())));
            if (!known) {
                unknown.add(name);
            }
        });
        boolean told = !router.addresses(false).isEmpty() || router.unicast();
        if (!unknown.isEmpty() || !told) {
            report.add(
                    Severity.ERROR,
                    ".fence",
                    !told
                            ? "who advertises by IPv6 multicast cannot be told from others by its address; write unicast: true"
                                    + " at " + router.name() + ", or add an address of IPv4 there"
                            : "what " + String.join(", ", unknown)
                                    + " advertises cannot be told from others; write the address of its interface under nodes");
        }
    }

    private static void add(
            Problems problems, Map<String, Scalar> keys, String root, Severity severity, String path, String text) {
        Scalar at = keys.get(root);
        problems.add(severity, at == null ? 1 : at.line(), at == null ? 1 : at.column(), root + path, text);
    }

    @FunctionalInterface
    private interface Report {
        void add(Severity severity, String path, String text);
    }
}

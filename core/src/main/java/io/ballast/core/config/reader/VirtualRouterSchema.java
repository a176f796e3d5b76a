package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.NodeSpec.InterfaceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.Checksum;
import io.ballast.core.config.VirtualRouterSpec.HmacSpec;
import io.ballast.core.config.VirtualRouterSpec.KeySpec;
import io.ballast.core.config.VirtualRouterSpec.Member;
import io.ballast.core.config.VirtualRouterSpec.NotifySpec;
import io.ballast.core.config.VirtualRouterSpec.TrackSpec;
import io.ballast.core.time.Durations;
import io.ballast.core.yaml.Node;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The keys of a virtual router, and what must hold among them, beside the nodes, and beside other virtual routers. */
final class VirtualRouterSchema {
    private static final int FIRST_PRIORITY = 150;
    private static final int PRIORITY_STEP = 10;

    /** The number of addresses is one byte of an advertisement. */
    private static final int MOST_ADDRESSES = 255;

    private static final Key<Integer> ROUTER_ID = Key.required(
            "router-id",
            Types.integer(1, 255),
            "The number that tells virtual routers of one network apart (VRID); other routers' count as well.",
            "51");
    private static final Key<List<Cidr>> ADDRESSES = Key.required(
            "addresses",
            Types.oneOrMore(Types.cidr()),
            "What goes to whoever is master, each with the prefix length that it gets there. Addresses of IPv4 and IPv6"
                    + " make two virtual routers of the protocol, of the same number.",
            "[192.0.2.240/24, \"2001:db8::240/64\"]");
    private static final Key<String> INTERFACE = Key.optional(
            "interface",
            Types.interfaceName(),
            "Where the node advertises and gets the addresses. Without it, the one interface of the node in whose network"
                    + " the first address lies.",
            "eth0");
    private static final Key<Integer> PRIORITY = Key.optional(
            "priority",
            Types.integer(1, VirtualRouterSpec.OWNER),
            "Of the nodes that are there, the one with the highest is master. 255 is for the node whose own addresses they"
                    + " are. Without it 150 for the first node, 140 for the second, and so on.",
            "150");

    /** A node's part as written. */
    private record Part(Optional<String> device, Optional<Integer> priority) {}

    private static final MapType<Part> PART = new MapType<>(
            "member",
            "A node's part in a virtual router.",
            List.of(INTERFACE, PRIORITY),
            v -> new Part(v.find(INTERFACE), v.find(PRIORITY)));

    private static final Key<SequencedMap<String, Part>> NODES = Key.required(
            "nodes",
            Types.named("node names", Types.name("a node"), Types.orNothing(PART)),
            "The nodes that take part, in the order of preference.",
            "{ director1: { interface: eth0 }, director2: { interface: eth0 } }");
    private static final Key<Integer> VERSION = Key.withDefault(
            "version",
            Types.integer(2, 3),
            "3",
            "Of VRRP. 2 is for neighbours that know nothing else: it has no IPv6, and intervals of whole seconds.",
            "2");
    private static final Key<Duration> INTERVAL = Key.withDefault(
            "interval",
            Types.duration("10ms", "255s"),
            "1s",
            "Between advertisements: hundredths of a second up to 40950ms, with version 2 whole seconds up to 255s. A backup"
                    + " takes over after three of them, and up to one more.",
            "100ms");
    private static final Key<Boolean> PREEMPT = Key.withDefault(
            "preempt", Types.bool(), "true", "Whether a master of lower priority is replaced.", "false");
    private static final Key<Duration> PREEMPT_DELAY = Key.withDefault(
            "preempt-delay",
            Types.duration("0s", "1000s"),
            "0s",
            "For how long a node leaves a master of lower priority alone at first.",
            "30s");
    private static final Key<Boolean> UNICAST = Key.withDefault(
            "unicast",
            Types.bool(),
            "false",
            "Sends advertisements to the other nodes' own addresses, for networks that carry no multicast.",
            "true");
    private static final Key<Boolean> VIRTUAL_MAC = Key.withDefault(
            "virtual-mac",
            Types.bool(),
            "false",
            "Gives the addresses an Ethernet address of their own, which goes with them, on an interface of its own"
                    + " (macvlan): 00:00:5e:00:01 and the router-id, with IPv6 00:00:5e:00:02 (RFC 9568 section 7.3)."
                    + " Without it they are at the Ethernet address of the interface.",
            "true");
    private static final Key<Checksum> CHECKSUM = Key.withDefault(
            "checksum",
            Types.choice(Types.words(Checksum.values(), Checksum::yamlName)),
            "pseudo-header",
            "Of what is sent with version 3 over IPv4: `pseudo-header` as keepalived and FRR have it, or `rfc9568` over the"
                    + " message alone. Both are understood.",
            "rfc9568");
    private static final Key<String> PASSWORD = Key.optional(
            "password",
            Types.secret("password", "1 to 8 printable characters of ASCII", "[ -~]{1,8}"),
            "With version 2 only, and sent in clear: it keeps out mistakes, not attackers.",
            "\"mars\"");
    private static final Key<Boolean> AUTHENTICATION_HEADER = Key.withDefault(
            "authentication-header",
            Types.bool(),
            "false",
            "With version 2 only: the password is not sent, but is the key of an authentication header (AH, HMAC-MD5), as"
                    + " keepalived's `auth_type AH`. For neighbours that know nothing better; hmac is.",
            "true");
    private static final Key<Integer> KEY_ID = Key.required(
            "id", Types.integer(1, 255), "The number that says which key it is; the same on all nodes.", "1");
    private static final Key<String> KEY_FILE = Key.required(
            "file",
            Types.path(),
            "A file with the key, mode 600, on each node: 32 to 64 characters, or `hex:` and twice as many digits (`openssl"
                    + " rand -hex 32`).",
            "/etc/ballast/front.key");
    private static final MapType<KeySpec> HMAC_KEY = new MapType<>(
            "hmac-key",
            "A secret that the nodes of a virtual router share.",
            List.of(KEY_ID, KEY_FILE),
            v -> v.broken(KEY_ID) || v.broken(KEY_FILE) ? null : new KeySpec(v.get(KEY_ID), v.get(KEY_FILE)));
    private static final Key<List<KeySpec>> KEYS = Key.required(
            "keys",
            Types.list(HMAC_KEY),
            "The first one signs, all are accepted: add a new one behind the others on all nodes, then put it first on all,"
                    + " then take the old one out.",
            "[{ id: 1, file: /etc/ballast/front.key }]");
    private static final Key<HmacSpec.Mode> MODE = Key.withDefault(
            "mode",
            Types.choice(Types.words(HmacSpec.Mode.values(), HmacSpec.Mode::yamlName)),
            "enforce",
            "`enforce` accepts only what is signed. To begin without an interruption, first `receive-only` on all nodes, which"
                    + " signs nothing, then `permissive`, which signs and accepts what is not, then `enforce`.",
            "permissive");
    private static final Key<HmacSpec.Replay> REPLAY = Key.withDefault(
            "replay",
            Types.choice(Types.words(HmacSpec.Replay.values(), HmacSpec.Replay::yamlName)),
            "time",
            "What keeps old advertisements from being heard again: `time`, for which the clocks of the nodes have to agree"
                    + " within the window, or `monotonic`, by which each sender's time only has to grow.",
            "monotonic");
    private static final Key<Duration> WINDOW = Key.optional(
            "window",
            Types.duration("1s", "300s"),
            "How far the clocks may differ, in whole seconds. Without it three intervals, and 5s at least.",
            "10s");
    private static final Key<HmacSpec> HMAC = Key.optional(
            "hmac",
            new MapType<>(
                    "virtual-router-hmac",
                    "Signatures of advertisements (HMAC-SHA256), as keepalived has them from version 2.4 on as auth_hmac.",
                    List.of(KEYS, MODE, REPLAY, WINDOW),
                    VirtualRouterSchema::hmac),
            "Signs advertisements, so that nobody else can take the addresses away, nor play old ones again.",
            "{ keys: [{ id: 1, file: /etc/ballast/front.key }] }");
    private static final Key<Duration> LOOK_AHEAD = Key.withDefault(
            "look-ahead",
            Types.duration("300ms", "1s"),
            "500ms",
            "How much is queued in the kernel, which sends it in time: so long may the daemon stand still and stay master."
                    + " One that hangs for good is given up so much later.",
            "1s");
    private static final Key<Integer> REPEAT =
            Key.withDefault("repeat", Types.integer(1, 100), "5", "Announcements of each address at once.", "3");
    private static final Key<Duration> AGAIN_AFTER = Key.withDefault(
            "again-after",
            Types.duration("0s", "1h"),
            "5s",
            "When all of them are sent once more; in between each comes once after 0.5, 1, 2 and 4 seconds, and so on. 0s means"
                    + " never.",
            "1s");

    private record Announcing(int repeat, Duration again) {}

    private static final MapType<Announcing> ANNOUNCING = new MapType<>(
            "gratuitous-arp",
            "How neighbours are told that an address has come to another node.",
            List.of(REPEAT, AGAIN_AFTER),
            v -> new Announcing(v.get(REPEAT), v.get(AGAIN_AFTER)));
    private static final Key<Announcing> GRATUITOUS_ARP = Key.optional(
            "gratuitous-arp",
            ANNOUNCING,
            "How neighbours are told that the addresses have come to another node: gratuitous ARP, and unsolicited"
                    + " neighbour advertisements for IPv6.",
            "{ repeat: 5, again-after: 5s }");
    private static final Announcing ANNOUNCING_DEFAULT = ANNOUNCING.empty();

    private static final Key<String> MASTER =
            Key.optional("master", Types.path(), "When the node gets the addresses.", "/etc/ballast/on-master");
    private static final Key<String> BACKUP = Key.optional(
            "backup", Types.path(), "When another node has them, or is about to.", "/etc/ballast/on-backup");
    private static final Key<String> FAULT = Key.optional(
            "fault",
            Types.path(),
            "When the node must not have them, as something is missing.",
            "/etc/ballast/on-fault");
    private static final Key<String> STOP =
            Key.optional("stop", Types.path(), "When the node takes no part any more.", "/etc/ballast/on-stop");
    private static final Key<String> FIFO = Key.optional(
            "fifo",
            Types.path(),
            "A named pipe that gets every change as a line, as keepalived's: `INSTANCE \"front\" MASTER 150`. It is made"
                    + " where there is none; nobody has to read it.",
            "/run/ballast/notify");
    private static final MapType<NotifySpec> HOOKS_MAP = new MapType<>(
            "virtual-router-hooks",
            "Programs to run when a node becomes another to a virtual router, one after another in the order of what"
                    + " happened, for addresses of IPv4 and IPv6 each; they get the facts in BALLAST_* environment variables.",
            List.of(MASTER, BACKUP, FAULT, STOP, FIFO),
            v -> new NotifySpec(v.find(MASTER), v.find(BACKUP), v.find(FAULT), v.find(STOP), v.find(FIFO)));
    private static final NotifySpec HOOKS_DEFAULT = HOOKS_MAP.empty();
    private static final Key<NotifySpec> HOOKS = Key.optional(
            "hooks",
            HOOKS_MAP,
            "Programs to run when the node's role changes.",
            "{ master: /etc/ballast/on-master, stop: /etc/ballast/on-stop }");
    private static final Key<List<TrackSpec>> TRACK = Key.optional(
            "track",
            TrackSchema.TRACK,
            "What each node looks at beside the network that it advertises on, to have more or less priority by it, or no"
                    + " addresses at all. Of a group, what one tracks counts for all.",
            "{ interfaces: { eth1: , eth2: { weight: -30 } }, services: { web: { weight: 20 } } }");
    private static final Key<String> GROUP = Key.optional(
            "group",
            Types.name("a group"),
            "Virtual routers of the same group move together: a node is master of all, or of none. They have the same"
                    + " nodes, and each node one priority of its own in all of them.",
            "gateway");

    private static final Key<Boolean> ACCEPT = Key.withDefault(
            "accept",
            Types.bool(),
            "true",
            "Whether the master's own programs get what is sent to the addresses (Accept_Mode of RFC 9568). With false it answers"
                    + " ARP and neighbour discovery, and the engine xdp forwards, but nobody reaches it there, not by ping"
                    + " either. The addresses' owner (priority 255) always accepts.",
            "false");

    static final MapType<VirtualRouterSpec> VIRTUAL_ROUTER = new MapType<>(
            "virtual-router",
            "Addresses that one of several nodes has, and another takes over when it fails (VRRP, RFC 9568 and RFC 3768).",
            List.of(
                    ROUTER_ID,
                    ADDRESSES,
                    NODES,
                    VERSION,
                    INTERVAL,
                    PREEMPT,
                    PREEMPT_DELAY,
                    UNICAST,
                    VIRTUAL_MAC,
                    CHECKSUM,
                    PASSWORD,
                    AUTHENTICATION_HEADER,
                    HMAC,
                    LOOK_AHEAD,
                    GRATUITOUS_ARP,
                    HOOKS,
                    TRACK,
                    GROUP,
                    ACCEPT,
                    RoutesSchema.ROUTES),
            VirtualRouterSchema::virtualRouter);

    private VirtualRouterSchema() {}

    private static @Nullable VirtualRouterSpec virtualRouter(Values v) {
        Problems.Mark mark = v.scope().problems().mark();
        List<Cidr> addresses = List.copyOf(v.get(ADDRESSES));
        if (!v.broken(ADDRESSES)) {
            addresses(v, addresses);
        }
        Announcing announcing = v.find(GRATUITOUS_ARP).orElse(ANNOUNCING_DEFAULT);
        var spec = new VirtualRouterSpec(
                v.scope().lastName(),
                v.get(ROUTER_ID),
                addresses,
                members(v, addresses),
                v.get(VERSION),
                v.get(INTERVAL),
                v.get(PREEMPT),
                v.get(PREEMPT_DELAY),
                v.get(UNICAST),
                v.get(VIRTUAL_MAC),
                v.get(CHECKSUM),
                v.find(PASSWORD),
                v.get(AUTHENTICATION_HEADER),
                v.find(HMAC),
                v.get(LOOK_AHEAD),
                announcing.repeat(),
                announcing.again(),
                v.find(HOOKS).orElse(HOOKS_DEFAULT),
                v.find(TRACK).orElse(List.of()),
                v.find(GROUP),
                v.get(ACCEPT),
                List.copyOf(v.find(RoutesSchema.ROUTES).orElse(List.of())));
        protocol(v, spec);
        nodes(v, spec);
        if (!v.broken(ADDRESSES) && !v.broken(NODES)) {
            onTheirInterfaces(v, spec);
            TrackSchema.check(v.scope(), spec, v.at(TRACK));
            RoutesSchema.check(v, addresses);
            if (!v.scope().problems().anyErrorSince(mark)) {
                hardlyMeant(v, spec);
            }
        }
        return v.broken(ADDRESSES) || v.broken(NODES) ? null : spec;
    }

    private static HmacSpec hmac(Values v) {
        List<KeySpec> keys = v.broken(KEYS) ? List.of() : v.get(KEYS);
        if (!v.broken(KEYS) && keys.isEmpty()) {
            v.error(KEYS, "the list is empty; name a key, for instance { id: 1, file: /etc/ballast/front.key }");
        }
        if (keys.stream().map(KeySpec::id).distinct().count() < keys.size()) {
            v.error(KEYS, "two keys have the same id; give each its own");
        }
        Optional<Duration> window = v.find(WINDOW);
        if (window.isPresent() && window.get().toMillis() % 1000 != 0) {
            v.error(
                    WINDOW,
                    "the window has whole seconds; write "
                            + Durations.print(
                                    Duration.ofSeconds(Math.max(1, window.get().toSeconds()))));
        }
        if (window.isPresent() && v.get(REPLAY) == HmacSpec.Replay.MONOTONIC) {
            v.warning(WINDOW, "has no effect, because replay is monotonic; leave one of them out");
        }
        return new HmacSpec(List.copyOf(keys), v.get(MODE), v.get(REPLAY), window);
    }

    private static Node item(Values v, int address) {
        return v.at(ADDRESSES) instanceof Node.Sequence list ? list.items().get(address) : v.at(ADDRESSES);
    }

    private static void addresses(Values v, List<Cidr> addresses) {
        Scope scope = v.scope();
        scope.enter(ADDRESSES.name());
        for (int i = 0; i < addresses.size(); i++) {
            InetAddress address = addresses.get(i).address();
            if (address.isLoopbackAddress()) {
                scope.error(
                        item(v, i),
                        Addresses.print(address) + " is a loopback address, which every node has for itself; write one"
                                + " that others can ask");
            } else {
                NodeSchema.usable(scope, addresses, i, item(v, i));
            }
        }
        for (boolean ipv6 : new boolean[] {false, true}) {
            long count = addresses.stream().filter(c -> isIpv6(c) == ipv6).count();
            if (count > MOST_ADDRESSES) {
                scope.error(
                        v.at(ADDRESSES),
                        count + " addresses of " + family(ipv6) + ", and an advertisement has room for "
                                + MOST_ADDRESSES + "; share them among several virtual routers");
            }
        }
        scope.leave();
    }

    /** The members whose node and interface are known; the rest is told of. */
    private static SequencedMap<String, Member> members(Values v, List<Cidr> addresses) {
        Scope scope = v.scope();
        SequencedMap<String, Member> members = new LinkedHashMap<>();
        scope.enter(NODES.name());
        int priority = FIRST_PRIORITY;
        for (Map.Entry<String, Part> entry : v.get(NODES).entrySet()) {
            String name = entry.getKey();
            Part part = entry.getValue();
            scope.enter(name);
            NodeSpec node = scope.nodes.get(name);
            if (node != null) {
                String device = part.device().orElse(null);
                if (device == null) {
                    device = v.broken(ADDRESSES) ? null : onlyInterface(scope, node, addresses, place(v, name, ""));
                } else if (!isInterface(scope, node, device, place(v, name, INTERFACE.name()))) {
                    device = null;
                }
                if (device != null) {
                    members.put(name, new Member(device, part.priority().orElse(Math.max(1, priority))));
                }
            } else if (!scope.nodeNames.contains(name)) {
                scope.error(
                        place(v, name, ""),
                        "no node of the name " + Type.quoted(name) + " under nodes"
                                + Suggestions.didYouMean(name, scope.nodes.keySet()));
            }
            priority -= PRIORITY_STEP;
            scope.leave();
        }
        scope.leave();
        return Collections.unmodifiableSequencedMap(members);
    }

    /** Where a node's part, or a key of it, stands. */
    private static Node place(Values v, String node, String key) {
        return NodeSchema.place(v.at(NODES), key.isEmpty() ? List.of(node) : List.of(node, key), 0);
    }

    private static boolean isInterface(Scope scope, NodeSpec node, String device, Node at) {
        scope.enter(INTERFACE.name());
        boolean known = node.interfaceNamed(device).isPresent();
        String near = Suggestions.didYouMean(
                device, node.interfaces().stream().map(InterfaceSpec::name).toList());
        if (device.equals("lo")) {
            scope.error(at, "nobody else is on lo; name the interface that leads to the other nodes");
        } else if (!known) {
            scope.error(
                    at,
                    "the node " + node.name() + " has no interface " + device + " under nodes"
                            + (near.isEmpty() ? "; add it there, with the node's own address" : near));
        }
        scope.leave();
        return known && !device.equals("lo");
    }

    /** The one interface in whose network the first address of each family lies. */
    private static @Nullable String onlyInterface(Scope scope, NodeSpec node, List<Cidr> addresses, Node at) {
        List<Cidr> firsts = Stream.of(false, true)
                .flatMap(ipv6 ->
                        addresses.stream().filter(c -> isIpv6(c) == ipv6).limit(1))
                .toList();
        List<String> found = node.interfaces().stream()
                .filter(i -> !i.name().equals("lo"))
                .filter(i -> firsts.stream()
                        .anyMatch(first -> i.addresses().stream().anyMatch(own -> own.contains(first.address()))))
                .map(InterfaceSpec::name)
                .toList();
        if (found.size() == 1) {
            return found.getFirst();
        }
        String what = firsts.stream().map(c -> Addresses.print(c.address())).collect(Collectors.joining(" and "));
        scope.error(
                at,
                (found.isEmpty()
                                ? "no interface of " + node.name() + " is in the network of " + what
                                : "more than one interface of " + node.name() + " (" + String.join(", ", found)
                                        + ") is in a network of " + what)
                        + "; write which one it is, for instance interface: "
                        + found.stream().findFirst().orElse("eth0"));
        return null;
    }

    /** What the version of the protocol does not have. */
    private static void protocol(Values v, VirtualRouterSpec spec) {
        Duration interval = spec.interval();
        boolean ipv4 = !spec.addresses(false).isEmpty();
        if (spec.authenticationHeader() && spec.version() != 2) {
            v.error(
                    AUTHENTICATION_HEADER,
                    "version 3 has no authentication header (RFC 9568 section 8); write hmac, or use version 2");
        } else if (spec.authenticationHeader() && !v.given(PASSWORD)) {
            v.error(AUTHENTICATION_HEADER, "the password is the key of it, and there is none; add one");
        }
        if (v.given(HMAC) && v.given(PASSWORD)) {
            v.error(
                    PASSWORD,
                    "hmac says who sends what, and the password would be for all to read; leave one of them out");
        }
        if (spec.version() == 2) {
            if (interval.toMillis() % 1000 != 0) {
                v.error(
                        INTERVAL,
                        "version 2 has intervals of whole seconds, from 1s to 255s; write "
                                + Durations.print(Duration.ofSeconds(Math.max(1, interval.toSeconds())))
                                + ", or use version 3");
            }
            if (!spec.addresses(true).isEmpty() && !v.broken(ADDRESSES)) {
                int first = spec.addresses().indexOf(spec.addresses(true).getFirst());
                v.scope().enter(ADDRESSES.name());
                v.scope().error(item(v, first), "version 2 has no IPv6; leave the address out, or use version 3");
                v.scope().leave();
            }
            if (v.given(CHECKSUM)) {
                v.error(CHECKSUM, "version 2 has only one kind of checksum; leave it out, or use version 3");
            }
            return;
        }
        if (interval.toMillis() % 10 != 0 || interval.toMillis() > 40_950) {
            long near = Math.min(40_950, Math.max(10, interval.toMillis() / 10 * 10));
            v.error(
                    INTERVAL,
                    "version 3 has intervals of whole hundredths of a second, from 10ms to 40950ms; write "
                            + Durations.print(Duration.ofMillis(near)));
        }
        if (v.given(PASSWORD)) {
            v.error(PASSWORD, "version 3 has no passwords (RFC 9568 section 8); leave it out, or use version 2");
        }
        if (v.given(CHECKSUM) && !ipv4 && !v.broken(ADDRESSES)) {
            v.warning(CHECKSUM, "has no effect, because there is only one kind with IPv6; leave it out");
        }
    }

    /** Who takes part, and who comes first. */
    private static void nodes(Values v, VirtualRouterSpec spec) {
        Scope scope = v.scope();
        if (v.given(PREEMPT_DELAY) && !spec.preempt() && !spec.preemptDelay().isZero()) {
            v.warning(PREEMPT_DELAY, "has no effect, because preempt is false; leave one of them out");
        }
        if (v.broken(NODES)) {
            return;
        }
        int written = v.get(NODES).size();
        if (written == 0) {
            v.error(NODES, "the map is empty; name the nodes that take part");
        } else if (written == 1) {
            String only = v.get(NODES).firstEntry().getKey();
            v.warning(NODES, "only " + only + " takes part, so nobody can take over from it; add another node");
            if (spec.unicast()) {
                v.warning(UNICAST, "has no effect, because there is no other node to send to");
            }
        }
        scope.enter(NODES.name());
        Map<Integer, String> byPriority = new LinkedHashMap<>();
        spec.nodes().forEach((name, member) -> {
            if (spec.virtualMac() && member.priority() == VirtualRouterSpec.OWNER) {
                scope.enter(name);
                scope.error(
                        place(v, name, PRIORITY.name()),
                        "255 is for the node whose own addresses they are, at the Ethernet address of "
                                + member.interfaceName() + " and not at a virtual one; write 254 or less, or leave"
                                + " virtual-mac out");
                scope.leave();
            }
            String other = byPriority.putIfAbsent(member.priority(), name);
            if (other == null) {
                return;
            }
            scope.enter(name);
            Node at = place(v, name, PRIORITY.name());
            if (member.priority() == VirtualRouterSpec.OWNER) {
                scope.error(
                        at,
                        other + " has priority 255 already, which is the addresses' one owner's; write 254 or less");
            } else if (spec.group().isPresent()) {
                scope.error(
                        at,
                        "has priority " + member.priority() + " like " + other
                                + ", and in a group each node needs its own: where the higher address decides, it may be"
                                + " another node's in another network, and then none is master; give it another");
            } else {
                scope.warning(
                        at,
                        "has priority " + member.priority() + " like " + other
                                + ", so the higher of their own addresses decides; give it another");
            }
            scope.leave();
        });
        scope.leave();
    }

    /** What the nodes must have of their own, and what not. */
    private static void onTheirInterfaces(Values v, VirtualRouterSpec spec) {
        Scope scope = v.scope();
        scope.enter(NODES.name());
        devices(scope, spec).forEach((name, device) -> {
            scope.enter(name);
            sender(v, spec, name, device);
            scope.leave();
        });
        scope.leave();
        scope.enter(ADDRESSES.name());
        for (int i = 0; i < spec.addresses().size(); i++) {
            scope.enter(i);
            taken(scope, spec, spec.addresses().get(i).address(), item(v, i));
            scope.leave();
        }
        scope.leave();
    }

    /** What is allowed, but hardly meant. */
    private static void hardlyMeant(Values v, VirtualRouterSpec spec) {
        Scope scope = v.scope();
        scope.enter(NODES.name());
        devices(scope, spec).forEach((name, device) -> {
            scope.enter(name);
            owner(v, spec, name, device);
            together(v, spec, name);
            scope.leave();
        });
        scope.leave();
        scope.enter(ADDRESSES.name());
        List<Cidr> outside = spec.addresses().stream()
                .filter(cidr -> network(scope, spec, cidr).isPresent())
                .toList();
        if (!outside.isEmpty()) {
            int first = spec.addresses().indexOf(outside.getFirst());
            scope.enter(first);
            scope.warning(
                    item(v, first),
                    network(scope, spec, outside.getFirst()).orElseThrow()
                            + (outside.size() == 1 ? "" : "; and to " + (outside.size() - 1) + " more of these"));
            scope.leave();
        }
        scope.leave();
    }

    /** The members' interfaces by their nodes. */
    private static SequencedMap<String, InterfaceSpec> devices(Scope scope, VirtualRouterSpec spec) {
        SequencedMap<String, InterfaceSpec> devices = new LinkedHashMap<>();
        spec.nodes()
                .forEach((name, member) -> Optional.ofNullable(scope.nodes.get(name))
                        .flatMap(node -> node.interfaceNamed(member.interfaceName()))
                        .ifPresent(device -> devices.put(name, device)));
        return devices;
    }

    /** Advertisements come from an address of the node's own; for IPv6 every interface has a link-local one. */
    private static void sender(Values v, VirtualRouterSpec spec, String node, InterfaceSpec device) {
        for (boolean ipv6 : new boolean[] {false, true}) {
            boolean needed = !spec.addresses(ipv6).isEmpty() && (!ipv6 || spec.unicast());
            if (needed && device.addresses().stream().noneMatch(c -> isIpv6(c) == ipv6)) {
                v.scope()
                        .error(
                                place(v, node, INTERFACE.name()),
                                device.name() + " of " + node + " has no " + family(ipv6) + " address of its own under"
                                        + " nodes, "
                                        + (ipv6
                                                ? "which the other nodes are to send to; add one"
                                                : "which advertisements come from; add one"));
            }
        }
    }

    private static void owner(Values v, VirtualRouterSpec spec, String node, InterfaceSpec device) {
        Member member = spec.nodes().get(node);
        if (member == null || member.priority() != VirtualRouterSpec.OWNER) {
            return;
        }
        v.scope().enter(PRIORITY.name());
        spec.addresses().stream()
                .filter(c -> device.addresses().stream()
                        .noneMatch(own -> own.address().equals(c.address())))
                .findFirst()
                .ifPresent(c -> v.scope()
                        .warning(
                                place(v, node, PRIORITY.name()),
                                "255 is for the node whose own addresses they are, and " + device.name() + " of " + node
                                        + " has no " + Addresses.print(c.address())
                                        + "; write 254, unless it is to be master whatever preempt says"));
        v.scope().leave();
    }

    /** Tells of a node that has the address for itself. What others have on lo is theirs: so real servers do. */
    private static void taken(Scope scope, VirtualRouterSpec spec, InetAddress address, Node at) {
        for (NodeSpec node : scope.nodes.values()) {
            Member member = spec.nodes().get(node.name());
            for (InterfaceSpec device : node.interfaces()) {
                boolean has =
                        device.addresses().stream().anyMatch(c -> c.address().equals(address));
                boolean here = member != null && member.interfaceName().equals(device.name());
                boolean owner = here && member != null && member.priority() == VirtualRouterSpec.OWNER;
                boolean elsewhere = member == null ? device.name().equals("lo") : !here && address.isLinkLocalAddress();
                if (has && !owner && !elsewhere && (member != null || !address.isLinkLocalAddress())) {
                    scope.error(
                            at,
                            Addresses.print(address) + " is an address of " + device.name() + " of " + node.name()
                                    + ", which then has it whoever is master; remove it there"
                                    + (here ? ", or give " + node.name() + " priority 255 as its owner" : ""));
                    return;
                }
            }
        }
    }

    /** Why an address is not next to where it is to be. */
    private static Optional<String> network(Scope scope, VirtualRouterSpec spec, Cidr cidr) {
        for (Map.Entry<String, InterfaceSpec> device : devices(scope, spec).entrySet()) {
            List<Cidr> networks = networks(device.getValue()).stream()
                    .filter(own -> isIpv6(own) == isIpv6(cidr))
                    .toList();
            if (!cidr.address().isLinkLocalAddress()
                    && !networks.isEmpty()
                    && networks.stream().noneMatch(n -> n.contains(cidr.address()))) {
                return Optional.of(Addresses.print(cidr.address()) + " is in no network of "
                        + device.getValue().name() + " of " + device.getKey() + " (" + networks.getFirst()
                        + "), so clients and routers there need a route to it");
            }
        }
        return Optional.empty();
    }

    /** Multicast goes no farther than the network. */
    private static void together(Values v, VirtualRouterSpec spec, String node) {
        SequencedMap<String, InterfaceSpec> devices = devices(v.scope(), spec);
        Map.Entry<String, InterfaceSpec> first = devices.firstEntry();
        InterfaceSpec device = devices.get(node);
        if (spec.unicast() || first == null || device == null) {
            return;
        }
        List<Cidr> around = networks(first.getValue());
        List<Cidr> its = networks(device);
        if (!around.isEmpty()
                && !its.isEmpty()
                && its.stream().noneMatch(own -> around.stream().anyMatch(net -> net.contains(own.address())))) {
            v.scope()
                    .warning(
                            place(v, node, INTERFACE.name()),
                            device.name() + " of " + node + " (" + its.getFirst() + ") is in no network of "
                                    + first.getValue().name() + " of " + first.getKey() + " (" + around.getFirst()
                                    + "), so they may not hear each other, and then both have the addresses; name"
                                    + " interfaces of one network, or set unicast: true");
        }
    }

    /** What virtual routers must not have in common. */
    static SequencedMap<String, VirtualRouterSpec> apart(
            SequencedMap<String, VirtualRouterSpec> routers, Node at, Scope scope) {
        List<VirtualRouterSpec> before = new ArrayList<>();
        for (VirtualRouterSpec router : routers.values()) {
            for (VirtualRouterSpec other : before) {
                apart(scope, other, router, at);
            }
            before.add(router);
        }
        GroupChecks.check(routers.values(), at, scope);
        return routers;
    }

    private static void apart(Scope scope, VirtualRouterSpec first, VirtualRouterSpec second, Node at) {
        String where = meeting(scope, first, second);
        scope.enter(second.name());
        scope.enter(ADDRESSES.name());
        for (int i = 0; i < second.addresses().size(); i++) {
            InetAddress address = second.addresses().get(i).address();
            if (first.hasAddress(address) && (!address.isLinkLocalAddress() || !where.isEmpty())) {
                scope.error(
                        NodeSchema.place(at, List.of(second.name(), ADDRESSES.name()), i),
                        "the virtual router " + first.name() + " has the address " + Addresses.print(address)
                                + " already");
            }
        }
        scope.leave();
        boolean sameFamily = Stream.of(false, true)
                .anyMatch(ipv6 -> !first.addresses(ipv6).isEmpty()
                        && !second.addresses(ipv6).isEmpty());
        if (first.routerId() == second.routerId() && sameFamily && !where.isEmpty()) {
            scope.enter(ROUTER_ID.name());
            scope.error(
                    NodeSchema.place(at, List.of(second.name(), ROUTER_ID.name()), 0),
                    "the virtual router " + first.name() + " has the number " + first.routerId() + " already, and both"
                            + " are " + where + "; give this one another");
            scope.leave();
        }
        scope.leave();
    }

    /** Where two virtual routers hear each other; empty where they do not. */
    private static String meeting(Scope scope, VirtualRouterSpec first, VirtualRouterSpec second) {
        for (Map.Entry<String, Member> one : first.nodes().entrySet()) {
            String device = one.getValue().interfaceName();
            Member same = second.nodes().get(one.getKey());
            if (same != null && same.interfaceName().equals(device)) {
                return "on " + device + " of " + one.getKey();
            }
        }
        if (first.unicast() || second.unicast()) {
            return "";
        }
        for (Cidr network : networks(scope, first)) {
            if (networks(scope, second).stream().anyMatch(other -> other.contains(network.address()))) {
                return "in the network of " + network;
            }
        }
        return "";
    }

    /** Addresses that tell networks apart. */
    private static List<Cidr> networks(InterfaceSpec device) {
        return device.addresses().stream()
                .filter(cidr -> !cidr.address().isLinkLocalAddress())
                .toList();
    }

    private static List<Cidr> networks(Scope scope, VirtualRouterSpec router) {
        return devices(scope, router).values().stream()
                .flatMap(device -> networks(device).stream())
                .toList();
    }

    private static boolean isIpv6(Cidr cidr) {
        return cidr.address() instanceof Inet6Address;
    }

    private static String family(boolean ipv6) {
        return ipv6 ? "IPv6" : "IPv4";
    }
}

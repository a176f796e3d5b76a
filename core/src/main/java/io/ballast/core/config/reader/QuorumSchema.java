package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.QuorumSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.yaml.Node.Scalar;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/** The keys of {@code quorum}, and what they have to do with nodes and virtual routers. */
final class QuorumSchema {
    private static final int FEWEST = 3;

    private static final Key<SequencedMap<String, InetAddress>> VOTERS = Key.required(
            "voters",
            Types.named("names of voters", Types.name("a voter"), Types.address()),
            "Who has a voice, by name, and the address where it is asked; the same on all. Nodes of this description are voters"
                    + " by running the daemon; others run `ballast witness`. At least three, and more than half have to be"
                    + " there.",
            "{ director1: 192.168.6.2, director2: 192.168.6.3, witness: 192.168.6.9 }");
    private static final Key<String> KEY = Key.optional(
            "key",
            Types.secret("secret", "16 to 128 printable characters of ASCII", "[ -~]{16,128}"),
            "The secret by which voters and nodes know each other, the same on all; so the file should be root's alone.",
            "correct-horse-battery-staple");
    private static final Key<String> KEY_FILE = Key.optional(
            "key-file",
            Types.path(),
            "In the place of `key`, a file with it, mode 600, on each of them: 32 to 64 characters, or `hex:` and twice as many"
                    + " digits (`openssl rand -hex 32`). It is read again by `ballast reload`.",
            "/etc/ballast/quorum.key");
    private static final Key<Integer> PORT = Key.withDefault(
            "port", Types.integer(1, 65_535), "8849", "The port of UDP where each voter is asked.", "8849");
    private static final Key<Duration> LEASE = Key.withDefault(
            "lease",
            Types.duration("200ms", "60s"),
            "1s",
            "For how long a node has addresses without asking again, so how long they are nobody's after it has died or was cut"
                    + " off, and how long it may stand still. Where it gives them up by itself, nobody waits for that.",
            "500ms");
    private static final Key<List<String>> VIRTUAL_ROUTERS = Key.optional(
            "virtual-routers",
            Types.oneOrMore(Types.name("a virtual router")),
            "Whose addresses need a majority. Those of others have two owners where two nodes do not hear each other. Without"
                    + " this all do.",
            "[database]");

    static final MapType<QuorumSpec> QUORUM = new MapType<>(
            "quorum",
            "A node has the addresses of virtual routers only while most of the voters say so: never two nodes, however the"
                    + " network is divided.",
            List.of(VOTERS, KEY, KEY_FILE, PORT, LEASE, VIRTUAL_ROUTERS),
            QuorumSchema::quorum);

    private QuorumSchema() {}

    private static @Nullable QuorumSpec quorum(Values v) {
        if (v.given(KEY) == v.given(KEY_FILE)) {
            v.error(
                    KEY_FILE,
                    v.given(KEY)
                            ? "the key is written beside it; leave one of them out"
                            : "voters and nodes need a common secret: write key-file, with the path of a file, or key");
        }
        if (v.broken(VOTERS)) {
            return null;
        }
        SequencedMap<String, InetAddress> voters = v.get(VOTERS);
        if (voters.size() < FEWEST) {
            v.error(
                    VOTERS,
                    (voters.isEmpty() ? "the map is empty" : "of " + voters.size() + " voters all have to be there")
                            + ", so nothing may fail; name three, for example both directors and a machine beside them that"
                            + " runs `ballast witness`");
        }
        if (voters.size() > FEWEST && voters.size() % 2 == 0) {
            v.warning(
                    VOTERS,
                    "of " + voters.size() + " voters no more may fail than of " + (voters.size() - 1)
                            + "; leave one out, or add one");
        }
        Map<InetAddress, String> seen = new HashMap<>();
        voters.forEach((name, address) -> {
            String other = seen.putIfAbsent(address, name);
            if (other != null) {
                v.error(
                        VOTERS,
                        name + " has the address of " + other
                                + ", and a machine has one voice: give it its own, or leave it" + " out");
            } else if (address.isAnyLocalAddress()
                    || address.isMulticastAddress()
                    || address.isLoopbackAddress()
                    || address.isLinkLocalAddress()
                    || Addresses.print(address).equals("255.255.255.255")) {
                v.error(
                        VOTERS,
                        Addresses.print(address) + " of " + name
                                + " is no address of one machine that all others reach");
            }
        });
        return new QuorumSpec(
                voters, v.find(KEY), v.find(KEY_FILE), v.get(PORT), v.get(LEASE), v.find(VIRTUAL_ROUTERS));
    }

    /** What it must have in common with the rest, which is known now. */
    static void check(
            QuorumSpec quorum,
            Scalar at,
            Collection<NodeSpec> nodes,
            Collection<VirtualRouterSpec> routers,
            Problems problems) {
        Reporter report =
                (severity, path, text) -> problems.add(severity, at.line(), at.column(), "quorum" + path, text);
        if (routers.isEmpty()) {
            report.add(
                    Severity.ERROR,
                    "",
                    "no addresses are shared, so there is nothing to decide: describe virtual-routers, or leave this out");
            return;
        }
        Map<String, VirtualRouterSpec> byName = new LinkedHashMap<>();
        routers.forEach(router -> byName.put(router.name(), router));
        for (String name : quorum.virtualRouters().orElse(List.of())) {
            if (!byName.containsKey(name)) {
                report.add(
                        Severity.ERROR,
                        ".virtual-routers",
                        "there is no virtual router " + name + Suggestions.didYouMean(name, byName.keySet()));
            }
        }
        for (VirtualRouterSpec router : routers) {
            Optional<VirtualRouterSpec> other = router.group().isEmpty() || !quorum.covers(router.name())
                    ? Optional.empty()
                    : routers.stream()
                            .filter(each -> each.group().equals(router.group()) && !quorum.covers(each.name()))
                            .findFirst();
            other.ifPresent(left -> report.add(
                    Severity.ERROR,
                    ".virtual-routers",
                    "has " + router.name() + " and not " + left.name() + ", and both move together in the group "
                            + router.group().orElseThrow() + ": name all of a group, or none"));
        }
        quorum.voters().forEach((name, address) -> {
            nodes.stream()
                    .filter(node -> node.name().equals(name))
                    .filter(node -> node.interfaces().stream()
                            .flatMap(each -> each.addresses().stream())
                            .map(Cidr::address)
                            .noneMatch(address::equals))
                    .findFirst()
                    .ifPresent(node -> report.add(
                            Severity.ERROR,
                            ".voters." + name,
                            Addresses.print(address) + " is no address of the node " + name
                                    + ": write one that stands at its interfaces"));
            nodes.stream()
                    .filter(node -> !node.name().equals(name) && node.hasAddress(address))
                    .findFirst()
                    .ifPresent(node -> report.add(
                            Severity.ERROR,
                            ".voters." + name,
                            Addresses.print(address) + " is an address of the node " + node.name()
                                    + ": call the voter so, as it is that node's daemon that votes"));
            routers.stream()
                    .filter(router -> router.hasAddress(address))
                    .findFirst()
                    .ifPresent(router -> report.add(
                            Severity.ERROR,
                            ".voters." + name,
                            Addresses.print(address) + " goes from node to node with the virtual router "
                                    + router.name() + ", and a voter stays where it is"));
        });
    }

    @FunctionalInterface
    private interface Reporter {
        void add(Severity severity, String path, String text);
    }
}

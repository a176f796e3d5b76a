package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.NodeSpec.InterfaceSpec;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Mapping;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;

/** The keys of a node and its interfaces. */
final class NodeSchema {
    private static final Key<List<Cidr>> ADDRESSES = Key.optional(
            "addresses",
            Types.oneOrMore(Types.cidr()),
            "The addresses of the interface, each with the length of its network prefix.",
            "[192.0.2.1/24, \"2001:db8::1/64\"]");
    private static final MapType<InterfaceSpec> INTERFACE = new MapType<>(
            "interface", "A network interface of a node.", List.of(ADDRESSES), NodeSchema::networkInterface);
    private static final Key<SequencedMap<String, InterfaceSpec>> INTERFACES = Key.optional(
            "interfaces",
            Types.named("interface names", Types.interfaceName(), INTERFACE),
            "The node's network interfaces by name. Only those that matter to a service need to be here.",
            "{ eth0: { addresses: [192.0.2.1/24] } }");
    private static final MapType<NodeSpec> NODE =
            new MapType<>("node", "A machine.", List.of(INTERFACES), NodeSchema::node);

    /** A node, of which only the name may be given. */
    static final Type<NodeSpec> NODE_OR_NOTHING = Types.orNothing(NODE);

    private NodeSchema() {}

    private static InterfaceSpec networkInterface(Values v) {
        String name = v.scope().lastName();
        List<Cidr> addresses = List.copyOf(v.find(ADDRESSES).orElse(List.of()));
        List<Node> places = v.at(ADDRESSES) instanceof Node.Sequence s ? s.items() : List.of(v.at(ADDRESSES));
        if (!v.broken(ADDRESSES)) {
            v.scope().enter(ADDRESSES.name());
            for (int i = 0; i < addresses.size(); i++) {
                address(v.scope(), name, addresses, i, places.get(i));
            }
            v.scope().leave();
        }
        return new InterfaceSpec(name, addresses);
    }

    private static void address(Scope scope, String name, List<Cidr> addresses, int at, Node place) {
        Cidr cidr = addresses.get(at);
        InetAddress address = cidr.address();
        byte[] bytes = address.getAddress();
        int bits = bytes.length * 8;
        usable(scope, addresses, at, place);
        List<Cidr> networks = addresses.stream()
                .filter(c -> c.prefixLength() < bits && c.address().getAddress().length == bytes.length)
                .toList();
        boolean alone = cidr.prefixLength() == bits && !name.equals("lo");
        if (alone && !networks.isEmpty() && networks.stream().noneMatch(n -> n.contains(address))) {
            scope.warning(
                    place,
                    Addresses.print(address) + " is in no network of " + name + " (" + networks.getFirst()
                            + "), so its neighbours will not look for it there");
        }
    }

    /** Tells of an address that no machine can have, or that stands in the list already. */
    static void usable(Scope scope, List<Cidr> addresses, int at, Node place) {
        Cidr cidr = addresses.get(at);
        InetAddress address = cidr.address();
        byte[] bytes = address.getAddress();
        boolean network = bytes.length == 4 && cidr.prefixLength() < 31;
        if (address.isAnyLocalAddress() || address.isMulticastAddress()) {
            scope.error(place, Addresses.print(address) + " is no address that a machine can have");
        } else if (addresses.subList(0, at).stream().anyMatch(c -> c.address().equals(address))) {
            scope.error(place, Addresses.print(address) + " is here a second time");
        } else if (network && hostBits(bytes, cidr.prefixLength(), 0)) {
            scope.error(place, cidr + " is the network itself; write the machine's address in it");
        } else if (network && hostBits(bytes, cidr.prefixLength(), 1)) {
            scope.error(place, cidr + " is the broadcast address of its network");
        }
    }

    /** Whether all bits after the prefix have that value. */
    private static boolean hostBits(byte[] address, int prefix, int value) {
        for (int bit = prefix; bit < address.length * 8; bit++) {
            if (((address[bit >> 3] >> (7 - (bit & 7))) & 1) != value) {
                return false;
            }
        }
        return true;
    }

    /**
     * Tells of addresses that two nodes have. What is the same everywhere is none of them: loopback and link-local
     * addresses, and whatever a node keeps to itself on lo.
     *
     * @param at where the nodes stand
     */
    static SequencedMap<String, NodeSpec> withoutSharedAddresses(
            SequencedMap<String, NodeSpec> nodes, Node at, Scope scope) {
        Map<InetAddress, String> owners = new HashMap<>();
        for (NodeSpec node : nodes.values()) {
            for (InterfaceSpec on : node.interfaces()) {
                for (int i = 0; i < on.addresses().size(); i++) {
                    InetAddress address = on.addresses().get(i).address();
                    if (on.name().equals("lo") || address.isLoopbackAddress() || address.isLinkLocalAddress()) {
                        continue;
                    }
                    String owner = owners.putIfAbsent(address, node.name());
                    if (owner != null && !owner.equals(node.name())) {
                        List<String> path = List.of(node.name(), INTERFACES.name(), on.name(), ADDRESSES.name());
                        path.forEach(scope::enter);
                        scope.error(
                                place(at, path, i),
                                "the node " + owner + " has the address " + Addresses.print(address) + " already");
                        path.forEach(_ -> scope.leave());
                    }
                }
            }
        }
        return nodes;
    }

    /** Where an item of a list stands that keys lead to, or as near to it as they lead. */
    static Node place(Node from, List<String> keys, int item) {
        Node at = from;
        for (String key : keys) {
            if (!(at instanceof Mapping map)) {
                return at;
            }
            Node here = at;
            at = map.entries().stream()
                    .filter(e -> e.key().text().equals(key))
                    .findFirst()
                    .map(Node.Entry::value)
                    .orElse(here);
        }
        return at instanceof Node.Sequence list && item < list.items().size()
                ? list.items().get(item)
                : at;
    }

    private static NodeSpec node(Values v) {
        List<InterfaceSpec> interfaces =
                List.copyOf(v.find(INTERFACES).orElse(new LinkedHashMap<>()).values());
        Map<InetAddress, String> seen = new HashMap<>();
        for (InterfaceSpec spec : interfaces) {
            for (Cidr cidr : spec.addresses()) {
                String other = seen.putIfAbsent(cidr.address(), spec.name());
                if (other != null && !other.equals(spec.name())) {
                    v.error(
                            INTERFACES,
                            other + " and " + spec.name() + " both have the address "
                                    + Addresses.print(cidr.address()));
                }
            }
        }
        return new NodeSpec(v.scope().lastName(), interfaces);
    }
}

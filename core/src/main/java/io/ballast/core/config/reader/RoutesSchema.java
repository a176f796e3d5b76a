package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.VirtualRouterSpec.RouteSpec;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The keys of routes that go with the addresses of a virtual router. */
final class RoutesSchema {
    private static final Key<Cidr> TO = Key.required(
            "to", Types.cidr(), "Where the route leads: a network, of everything 0.0.0.0/0 or ::/0.", "10.0.0.0/8");
    private static final Key<InetAddress> VIA = Key.optional(
            "via",
            Types.address(),
            "The next router on the way; without it the network is on the interface.",
            "192.0.2.1");
    private static final Key<String> INTERFACE =
            Key.optional("interface", Types.interfaceName(), "Without it, the one that the addresses are on.", "eth1");
    private static final Key<Integer> TABLE = Key.withDefault(
            "table",
            Types.integer(1, Integer.MAX_VALUE),
            "254",
            "The number of its table; 254 is the main one.",
            "100");
    private static final Key<Integer> METRIC = Key.withDefault(
            "metric",
            Types.integer(0, Integer.MAX_VALUE),
            "0",
            "Of routes to the same network the one with the lowest is taken; with IPv6 0 stands for 1024.",
            "10");
    private static final Key<InetAddress> SOURCE = Key.optional(
            "source", Types.address(), "What the node's own packets come from that go this way.", "192.0.2.240");

    static final Key<List<RouteSpec>> ROUTES = Key.optional(
            "routes",
            Types.list(new MapType<>(
                    "virtual-route",
                    "A route that the master has, and no other node.",
                    List.of(TO, VIA, INTERFACE, TABLE, METRIC, SOURCE),
                    RoutesSchema::route)),
            "Routes that go with the addresses, as keepalived's `virtual_routes`.",
            "[{ to: 0.0.0.0/0, via: 192.0.2.1, source: 192.0.2.240 }]");

    private RoutesSchema() {}

    private static @Nullable RouteSpec route(Values v) {
        if (v.broken(TO)) {
            return null;
        }
        Cidr to = v.get(TO);
        boolean ipv6 = to.address() instanceof Inet6Address;
        InetAddress network = to.network();
        if (!network.equals(to.address())) {
            v.error(
                    TO,
                    to + " is an address within a network; write " + Addresses.print(network) + "/" + to.prefixLength()
                            + ", or /" + network.getAddress().length * 8 + " for that alone");
        }
        for (Key<InetAddress> key : List.of(VIA, SOURCE)) {
            Optional<InetAddress> address = v.find(key);
            if (address.isPresent() && address.get() instanceof Inet6Address != ipv6) {
                v.error(key, Addresses.print(address.get()) + " is of another family than " + to);
            }
        }
        return new RouteSpec(to, v.find(VIA), v.find(INTERFACE), v.get(TABLE), v.get(METRIC), v.find(SOURCE));
    }

    /** Those of a family need an address of that. */
    static void check(Values v, List<Cidr> addresses) {
        List<Boolean> families = addresses.stream()
                .map(cidr -> cidr.address() instanceof Inet6Address)
                .distinct()
                .toList();
        Stream<RouteSpec> routes = v.find(ROUTES).stream().flatMap(List::stream);
        routes.filter(route -> !families.contains(route.ipv6()))
                .findFirst()
                .ifPresent(route -> v.error(
                        ROUTES,
                        "the route to " + route.to()
                                + " goes with no address: the virtual router has none of its family"));
    }
}

package io.ballast.lab.topology;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.lab.topology.Topology.Link;
import io.ballast.lab.topology.Topology.Node;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Moves a description onto the loopback interface, where everybody may bind: each IPv4 address becomes one of
 * 127.A.B.0/24, a privileged port becomes 8000 more, and since IPv6 has only one loopback address, each IPv6 address and
 * port becomes {@code ::1} and a port of its own. The same address always becomes the same one, so that whoever asks
 * for the place of a server gets what the changed description says.
 */
public final class Loopback {
    private static final int PRIVILEGED = 1024;
    private static final int ADDED = 8000;

    private final int second;
    private final int third;
    private final Optional<IntSupplier> ports6;
    private final Map<InetAddress, InetAddress> addresses = new LinkedHashMap<>();
    private final Map<InetSocketAddress, Integer> sockets6 = new LinkedHashMap<>();

    /**
     * @param second the second byte of the addresses, 0 to 255
     * @param third the third byte
     * @param ports6 free ports of {@code ::1}; empty where there is no IPv6
     */
    public Loopback(int second, int third, Optional<IntSupplier> ports6) {
        this.second = second;
        this.third = third;
        this.ports6 = ports6;
    }

    /** What did not come along, for people. */
    public List<String> notes() {
        List<String> notes = new ArrayList<>();
        notes.add("every node has an address of 127." + second + "." + third
                + ".0/24 instead of its own, and ports below 1024 are 8000 higher");
        if (ports6.isEmpty()) {
            notes.add("this machine has no IPv6: the IPv6 addresses were left out");
        } else if (!sockets6.isEmpty()) {
            notes.add("each IPv6 address and port is a port of ::1");
        }
        return notes;
    }

    /**
     * The place of an address; empty for an IPv6 one without IPv6.
     *
     * @throws IllegalStateException when there are more than 254 IPv4 addresses
     */
    public Optional<InetSocketAddress> place(InetSocketAddress address) {
        return address.getAddress() instanceof Inet4Address
                ? Optional.of(new InetSocketAddress(place4(address.getAddress()), port(address.getPort())))
                : place6(address).stream()
                        .mapToObj(port -> new InetSocketAddress(InetAddress.ofLiteral("::1"), port))
                        .findFirst();
    }

    /** The topology with its web servers and nodes where this puts them. */
    public Topology apply(Topology topology) {
        List<Site> sites = topology.sites().stream()
                .map(s -> new Site(
                        s.name(),
                        s.node(),
                        s.listen().stream()
                                .flatMap(a -> place(a).stream())
                                .distinct()
                                .toList(),
                        Set.of(),
                        s.pages()))
                .toList();
        List<Echo> echoes = topology.echoes().stream()
                .map(e -> new Echo(
                        e.name(),
                        e.node(),
                        e.listen().stream()
                                .flatMap(a -> place(a).stream())
                                .distinct()
                                .toList()))
                .toList();
        List<Node> nodes = topology.nodes().stream()
                .map(n -> new Node(
                        n.name(),
                        n.links().stream().map(this::apply).toList(),
                        n.directs(),
                        List.of(),
                        false,
                        List.of()))
                .toList();
        List<String> notes = new ArrayList<>(topology.notes());
        notes.addAll(notes());
        if (topology.directors().size() > 1) {
            notes.add("only " + topology.directors().getFirst().name()
                    + " directs the services: without network namespaces, directors cannot share an address");
        }
        return new Topology(topology.name(), nodes, List.of(), sites, echoes, Set.of(), List.copyOf(notes));
    }

    private Link apply(Link link) {
        return new Link(
                "lo",
                -1,
                link.addresses().stream()
                        .filter(c -> c.address() instanceof Inet4Address)
                        .map(c -> new Cidr(place4(c.address()), 8))
                        .toList());
    }

    /**
     * The description with its addresses where this puts them.
     *
     * @param topology of the same description
     */
    public DescriptionText apply(DescriptionText text, Topology topology) {
        return text.changed(root -> {
            for (Object node : DescriptionText.map(root.get("nodes")).values()) {
                for (Object device : DescriptionText.map(
                                DescriptionText.map(node).get("interfaces"))
                        .values()) {
                    DescriptionText.map(device).computeIfPresent("addresses", (_, v) -> each(v, this::cidr));
                }
            }
            // Two directors of one address would be two listeners on it, and neither would have to take it over.
            root.remove("virtual-routers");
            List<Node> directors = topology.directors();
            for (Object service : DescriptionText.map(root.get("services")).values()) {
                Map<String, @Nullable Object> map = DescriptionText.map(service);
                map.computeIfPresent("listen", (_, v) -> each(v, this::endpoint));
                map.computeIfPresent("sorry", (_, v) -> hostPort(v.toString(), topology));
                map.computeIfPresent("source", (_, v) -> source(v.toString()));
                if (directors.size() > 1) {
                    map.put(
                            "directors",
                            new ArrayList<>(List.of(directors.getFirst().name())));
                }
                List<@Nullable Object> servers = DescriptionText.list(map.get("servers"));
                servers.replaceAll(server -> server(server, topology));
            }
            for (Map<String, @Nullable Object> check : DescriptionText.checks(root)) {
                check.computeIfPresent("host", (_, v) -> hostPort(v.toString(), topology));
                check.computeIfPresent("source", (_, v) -> source(v.toString()));
                check.computeIfPresent("port", (_, v) -> v instanceof Integer port ? port(port) : v);
                check.remove("bind-interface");
            }
        });
    }

    private @Nullable Object server(@Nullable Object server, Topology topology) {
        if (server instanceof Map) {
            Map<String, @Nullable Object> map = DescriptionText.map(server);
            map.computeIfPresent("address", (_, v) -> hostPort(v.toString(), topology));
            return map;
        }
        return server == null ? null : hostPort(server.toString(), topology);
    }

    /** A scalar, or each scalar of a list; what becomes nothing leaves the list, and an empty list is left out. */
    private static @Nullable Object each(Object value, Change change) {
        List<@Nullable Object> values = value instanceof List ? DescriptionText.list(value) : List.of(value);
        List<@Nullable Object> changed = new ArrayList<>();
        for (Object one : values) {
            change.apply(String.valueOf(one)).ifPresent(changed::add);
        }
        return changed.isEmpty() ? null : changed;
    }

    private interface Change {
        Optional<String> apply(String value);
    }

    private Optional<String> cidr(String text) {
        return Addresses.parse(text.split("/", 2)[0])
                .filter(Inet4Address.class::isInstance)
                .map(a -> place4(a).getHostAddress() + "/8");
    }

    private Optional<String> endpoint(String text) {
        String[] parts = text.split("/", 2);
        String protocol = parts.length > 1 ? "/" + parts[1] : "";
        return split(parts[0])
                .flatMap(h -> Addresses.parse(h.host()).map(a -> new InetSocketAddress(a, h.port())))
                .flatMap(this::place)
                .map(a -> HostPort.join(Addresses.print(a.getAddress()), a.getPort()) + protocol);
    }

    /** A server, with or without a port; a node's name stays while the node has an IPv4 address. */
    private String hostPort(String text, Topology topology) {
        HostPort written = split(text).orElse(new HostPort(text, 0));
        Optional<InetAddress> address = Addresses.parse(written.host());
        Optional<Node> node = topology.node(written.host());
        if (address.isEmpty() && node.flatMap(n -> n.address(false)).isEmpty()) {
            address = node.flatMap(n -> n.address(true));
        }
        if (address.isPresent() && !(address.get() instanceof Inet4Address)) {
            return place(new InetSocketAddress(address.get(), written.port()))
                    .map(a -> HostPort.join(Addresses.print(a.getAddress()), a.getPort()))
                    .orElse("127.0.0.1:1"); // nobody is there, as is true without IPv6
        }
        String host = address.map(a -> place4(a).getHostAddress()).orElse(written.host());
        return written.port() == 0 ? host : HostPort.join(host, port(written.port()));
    }

    private @Nullable String source(String text) {
        return Addresses.parse(text)
                .filter(Inet4Address.class::isInstance)
                .map(a -> place4(a).getHostAddress())
                .orElse(null);
    }

    /** {@code host:port} or {@code [address]:port}. */
    private static Optional<HostPort> split(String text) {
        int colon = text.lastIndexOf(':');
        if (colon < 0 || text.endsWith("]") || Addresses.parse(text).isPresent()) {
            return Optional.empty();
        }
        String host = text.substring(0, colon);
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        try {
            return Optional.of(new HostPort(host, Integer.parseInt(text.substring(colon + 1))));
        } catch (NumberFormatException e) {
            return Optional.empty();
        }
    }

    private InetAddress place4(InetAddress address) {
        return addresses.computeIfAbsent(address, _ -> {
            int last = addresses.size() + 1;
            if (last > 254) {
                throw new IllegalStateException("more than 254 addresses do not fit on the loopback farm");
            }
            try {
                return InetAddress.getByAddress(new byte[] {127, (byte) second, (byte) third, (byte) last});
            } catch (UnknownHostException e) {
                throw new IllegalStateException(e); // only for a wrong length
            }
        });
    }

    private OptionalInt place6(InetSocketAddress address) {
        return ports6.isEmpty()
                ? OptionalInt.empty()
                : OptionalInt.of(
                        sockets6.computeIfAbsent(address, _ -> ports6.get().getAsInt()));
    }

    private static int port(int port) {
        return port > 0 && port < PRIVILEGED ? port + ADDED : port;
    }
}

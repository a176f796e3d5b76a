package io.ballast.lab.topology;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.NodeSpec.InterfaceSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The network and the servers that a description asks for, found without any key that only a lab would need.
 *
 * <ul>
 *   <li>Each node becomes a namespace with the interfaces and addresses that the description gives it.
 *   <li>Interfaces that share a network are on one segment: a bridge. An interface with networks of both address
 *       families joins them into one segment, as a cable would.
 *   <li>A node directs a service when the service names it, or has one of its addresses; it runs the daemon.
 *   <li>A node whose address a real server has runs a web server there, with pages that satisfy the checks. A sorry
 *       server gets one too. The real servers of UDP services send back what they get.
 *   <li>Where packets reach a real server still addressed to the service (direct routing, tunnels), the node runs the
 *       daemon as well, which takes them in; and its web server answers at every address.
 *   <li>A node that does neither and is a voter of the quorum votes, and does nothing else ({@code ballast witness}).
 *   <li>The other nodes are clients.
 *   <li>A node that does not direct has its default route through a director on a segment with it. There is no route to
 *       anywhere else.
 * </ul>
 *
 * <p>What the lab cannot stand in for (a check that wants a digest, a server that no node has) is said in the notes.
 *
 * @param name the description's
 * @param segments the bridges
 * @param echoes the servers of UDP services
 * @param witnesses the nodes that only vote
 * @param notes what the lab does not do, for people
 */
public record Topology(
        String name,
        List<Node> nodes,
        List<Segment> segments,
        List<Site> sites,
        List<Echo> echoes,
        Set<String> witnesses,
        List<String> notes) {

    /**
     * One node.
     *
     * @param directs the services that it directs
     * @param receives the services whose packets reach it as a real server still addressed to the service
     * @param xdp whether programs in the kernel may handle its packets
     * @param gateways its default routes, at most one of each address family
     */
    public record Node(
            String name,
            List<Link> links,
            List<String> directs,
            List<String> receives,
            boolean xdp,
            List<InetAddress> gateways) {
        /** Whether it balances a service. */
        public boolean director() {
            return !directs.isEmpty();
        }

        /** Whether it runs the daemon. */
        public boolean daemon() {
            return director() || !receives.isEmpty();
        }

        /** Its first address, in the wanted address family. */
        public Optional<InetAddress> address(boolean ipv6) {
            return links.stream()
                    .flatMap(l -> l.addresses().stream())
                    .map(Cidr::address)
                    .filter(a -> a instanceof Inet6Address == ipv6)
                    .findFirst();
        }
    }

    /**
     * One interface.
     *
     * @param device its name in the node
     * @param segment index of its segment; -1 for the loopback interface, which has none
     */
    public record Link(String device, int segment, List<Cidr> addresses) {}

    /**
     * One bridge.
     *
     * @param networks what it carries, for people
     */
    public record Segment(List<String> networks) {}

    /** The node of this name. */
    public Optional<Node> node(String node) {
        return nodes.stream().filter(n -> n.name().equals(node)).findFirst();
    }

    /** The nodes that run the daemon. */
    public List<Node> daemons() {
        return nodes.stream().filter(Node::daemon).toList();
    }

    /** The nodes that balance services. */
    public List<Node> directors() {
        return nodes.stream().filter(Node::director).toList();
    }

    /** The nodes that neither direct nor serve, nor vote. */
    public List<Node> clients() {
        return nodes.stream()
                .filter(n -> !n.director() && !serves(n.name()) && !witnesses.contains(n.name()))
                .toList();
    }

    /** Whether a server of the lab runs on the node. */
    public boolean serves(String node) {
        return sites.stream().anyMatch(s -> s.node().equals(node))
                || echoes.stream().anyMatch(e -> e.node().equals(node));
    }

    /** The site of a real server, by its address. */
    public Optional<Site> site(InetSocketAddress address) {
        return sites.stream().filter(s -> s.listen().contains(address)).findFirst();
    }

    /** What this description asks for. */
    public static Topology of(Description description) {
        return new Derivation(description).derive();
    }

    /** How many ports of a wide range something answers at, beside the last. */
    private static final int FEW = 8;

    private static final int HTTP = 80;

    /** The port of an endpoint that is tried: of a range, that at which a page is looked for, else the first. */
    public static int port(Endpoint endpoint) {
        return endpoint.protocol() == Endpoint.Protocol.TCP
                        && endpoint.firstPort() <= HTTP
                        && HTTP <= endpoint.lastPort()
                ? HTTP
                : endpoint.firstPort();
    }

    /** The steps of {@link #of}, which share what they have found. */
    private static final class Derivation {
        private final Description description;
        private final Set<String> notes = new LinkedHashSet<>();

        Derivation(Description description) {
            this.description = description;
        }

        Topology derive() {
            List<List<Cidr>> networks = new ArrayList<>();
            List<Node> bare = new ArrayList<>();
            SequencedMap<String, List<String>> directs = directs();
            mergeNetworks(networks);
            for (NodeSpec node : description.nodes().values()) {
                List<String> services = directs.getOrDefault(node.name(), List.of());
                List<String> receives = receives(node, services);
                boolean xdp = !receives.isEmpty()
                        || services.stream().anyMatch(s -> service(s).engine() != EngineKind.USERSPACE);
                bare.add(new Node(node.name(), links(node, services, networks), services, receives, xdp, List.of()));
            }
            List<Node> nodes = bare.stream().map(n -> withGateways(n, bare)).toList();
            List<Segment> segments = networks.stream()
                    .map(n -> new Segment(
                            n.stream().map(Derivation::network).distinct().toList()))
                    .toList();
            return new Topology(
                    description.name(),
                    nodes,
                    segments,
                    sites(nodes),
                    echoes(nodes),
                    witnesses(nodes),
                    List.copyOf(notes));
        }

        private Set<String> witnesses(List<Node> nodes) {
            Set<String> voters = description
                    .quorum()
                    .map(quorum -> Set.copyOf(quorum.voters().keySet()))
                    .orElse(Set.of());
            return nodes.stream()
                    .filter(node -> !node.daemon() && voters.contains(node.name()))
                    .map(Node::name)
                    .collect(Collectors.toUnmodifiableSet());
        }

        /** The services that each node directs. */
        private SequencedMap<String, List<String>> directs() {
            SequencedMap<String, List<String>> directs = new LinkedHashMap<>();
            for (ServiceSpec service : description.services().values()) {
                for (String node : directors(service)) {
                    directs.computeIfAbsent(node, _ -> new ArrayList<>()).add(service.name());
                }
            }
            return directs;
        }

        /** The services that reach a node by direct routing or a tunnel. */
        private List<String> receives(NodeSpec node, List<String> directs) {
            return description.services().values().stream()
                    .filter(s -> s.forwarding().keepsPort() && !directs.contains(s.name()))
                    .filter(s -> s.servers().stream().anyMatch(server -> isAt(server, node)))
                    .map(ServiceSpec::name)
                    .toList();
        }

        private static boolean isAt(ServerSpec server, NodeSpec node) {
            return literal(server.address().host()).map(node::hasAddress).orElse(false);
        }

        private List<String> directors(ServiceSpec service) {
            List<String> own = description.directors(service);
            if (!own.isEmpty()) {
                return own;
            }
            // Nobody has the address (it may be a wildcard): then every node that runs the daemon directs the service.
            List<String> daemons = description.services().values().stream()
                    .flatMap(s -> description.directors(s).stream())
                    .distinct()
                    .toList();
            return daemons.isEmpty()
                    ? nodesThat(Predicate.not(this::serves)).stream().limit(1).toList()
                    : daemons;
        }

        private boolean serves(NodeSpec node) {
            return description.services().values().stream()
                    .flatMap(s -> s.servers().stream())
                    .anyMatch(s -> isAt(s, node));
        }

        private List<String> nodesThat(Predicate<NodeSpec> wanted) {
            return description.nodes().values().stream()
                    .filter(wanted)
                    .map(NodeSpec::name)
                    .toList();
        }

        /** Puts the networks of each interface together, and with those of every interface that shares one. */
        private void mergeNetworks(List<List<Cidr>> segments) {
            for (NodeSpec node : description.nodes().values()) {
                for (InterfaceSpec device : node.interfaces()) {
                    if (device.name().equals("lo")) {
                        continue;
                    }
                    List<List<Cidr>> shared = segments.stream()
                            .filter(segment -> shareNetwork(segment, device.addresses()))
                            .toList();
                    if (shared.isEmpty()) {
                        if (!device.addresses().isEmpty()) {
                            segments.add(new ArrayList<>(device.addresses()));
                        }
                        continue;
                    }
                    List<Cidr> joined = shared.getFirst();
                    joined.addAll(device.addresses());
                    for (List<Cidr> further : shared.subList(1, shared.size())) {
                        joined.addAll(further);
                        segments.remove(further);
                    }
                }
            }
        }

        private static boolean shareNetwork(List<Cidr> some, List<Cidr> others) {
            return some.stream().anyMatch(a -> others.stream().anyMatch(b -> sameNetwork(a, b)));
        }

        private List<Link> links(NodeSpec node, List<String> directs, List<List<Cidr>> networks) {
            List<Link> links = new ArrayList<>();
            for (InterfaceSpec device : node.interfaces()) {
                links.add(new Link(device.name(), segment(device, networks), device.addresses()));
            }
            // A virtual address that no node has, nor comes to have: the director answers for it where its network is.
            for (String name : directs) {
                for (Endpoint endpoint : service(name).listen()) {
                    if (!endpoint.address().isAnyLocalAddress()
                            && !endpoint.address().isLoopbackAddress()
                            && nodesThat(n -> n.hasAddress(endpoint.address())).isEmpty()
                            && description.virtualRouters().values().stream()
                                    .noneMatch(router -> router.hasAddress(endpoint.address()))) {
                        addAddress(links, endpoint.address());
                    }
                }
            }
            return List.copyOf(links);
        }

        private static void addAddress(List<Link> links, InetAddress address) {
            int length = address.getAddress().length * 8;
            for (int i = 0; i < links.size(); i++) {
                Link link = links.get(i);
                Optional<Cidr> around = link.addresses().stream()
                        .filter(c -> c.contains(address))
                        .findFirst();
                if (around.isPresent()) {
                    if (link.addresses().stream().noneMatch(c -> c.address().equals(address))) {
                        links.set(i, with(link, new Cidr(address, around.get().prefixLength())));
                    }
                    return;
                }
            }
            links.add(new Link("lo", -1, List.of(new Cidr(address, length))));
        }

        private static Link with(Link link, Cidr more) {
            List<Cidr> addresses = new ArrayList<>(link.addresses());
            addresses.add(more);
            return new Link(link.device(), link.segment(), List.copyOf(addresses));
        }

        private static int segment(InterfaceSpec device, List<List<Cidr>> networks) {
            for (int i = 0; i < networks.size(); i++) {
                for (Cidr network : networks.get(i)) {
                    if (device.addresses().contains(network)) {
                        return i;
                    }
                }
            }
            return -1;
        }

        private Node withGateways(Node node, List<Node> nodes) {
            if (node.director()) {
                return node;
            }
            List<InetAddress> gateways = new ArrayList<>();
            for (boolean ipv6 : new boolean[] {false, true}) {
                gateway(node, nodes, ipv6).ifPresent(gateways::add);
            }
            return new Node(
                    node.name(), node.links(), node.directs(), node.receives(), node.xdp(), List.copyOf(gateways));
        }

        /** The first address in a network of the node that directors share, or else that one director has. */
        private Optional<InetAddress> gateway(Node node, List<Node> nodes, boolean ipv6) {
            List<Cidr> mine =
                    node.links().stream().flatMap(l -> l.addresses().stream()).toList();
            Stream<Cidr> shared =
                    description.virtualRouters().values().stream().flatMap(router -> router.addresses().stream());
            Stream<Cidr> own = nodes.stream()
                    .filter(Node::director)
                    .flatMap(d -> d.links().stream())
                    .flatMap(l -> l.addresses().stream());
            return Stream.concat(shared, own)
                    .map(Cidr::address)
                    .filter(a -> a instanceof Inet6Address == ipv6)
                    .filter(a -> mine.stream().anyMatch(c -> c.contains(a)))
                    .findFirst();
        }

        private List<Echo> echoes(List<Node> nodes) {
            SequencedMap<String, Set<InetSocketAddress>> listen = new LinkedHashMap<>();
            for (ServiceSpec service : description.services().values()) {
                for (ServerSpec server : service.servers()) {
                    if (speaks(service, Endpoint.Protocol.UDP)) {
                        nodeAt(nodes, service, server.address()).ifPresent(node -> {
                            Set<InetSocketAddress> there = listen.computeIfAbsent(node, _ -> new LinkedHashSet<>());
                            there.addAll(places(service, server.address(), Endpoint.Protocol.UDP));
                            if (service.forwarding().keepsPort()) {
                                service.listen().stream()
                                        .filter(e -> e.protocol() == Endpoint.Protocol.UDP)
                                        .forEach(e -> ports(e).forEach(
                                                        port -> there.add(new InetSocketAddress(e.address(), port))));
                            }
                        });
                    }
                }
            }
            return listen.entrySet().stream()
                    .map(e -> new Echo(e.getKey(), e.getKey(), List.copyOf(e.getValue())))
                    .toList();
        }

        /** Where a server answers: at its own port, else at those of the service. */
        private static Set<InetSocketAddress> places(ServiceSpec service, HostPort server, Endpoint.Protocol protocol) {
            if (server.port() != 0) {
                return Set.of(socketAddress(server));
            }
            Set<InetSocketAddress> places = new LinkedHashSet<>();
            service.listen().stream()
                    .filter(e -> e.protocol() == protocol)
                    .flatMap(e -> ports(e).stream())
                    .forEach(port -> places.add(socketAddress(new HostPort(server.host(), port))));
            return places;
        }

        /** Those that something answers at: of a range the one that is tried, the first few and the last. */
        private static Set<Integer> ports(Endpoint endpoint) {
            Set<Integer> ports = new LinkedHashSet<>(Set.of(port(endpoint)));
            for (int port = endpoint.firstPort(); port < endpoint.lastPort() && ports.size() < FEW; port++) {
                ports.add(port);
            }
            ports.add(endpoint.lastPort());
            return ports;
        }

        private static boolean speaks(ServiceSpec service, Endpoint.Protocol protocol) {
            return service.listen().stream().anyMatch(e -> e.protocol() == protocol);
        }

        private List<Site> sites(List<Node> nodes) {
            SequencedMap<String, SiteBuilder> sites = new LinkedHashMap<>();
            for (ServiceSpec service : description.services().values()) {
                for (ServerSpec server : service.servers()) {
                    serve(sites, nodes, service, server);
                }
                service.sorry().ifPresent(sorry -> sorry(sites, service, sorry));
            }
            return sites.values().stream().map(SiteBuilder::build).toList();
        }

        private void serve(
                SequencedMap<String, SiteBuilder> sites, List<Node> nodes, ServiceSpec service, ServerSpec server) {
            boolean tcp = speaks(service, Endpoint.Protocol.TCP);
            if (nodeAt(nodes, service, server.address()).isEmpty()) {
                notes.add("no node has the address of " + service.name() + "/" + server.name() + " (" + server.address()
                        + "): nothing answers there");
                return;
            }
            if (tcp) {
                siteAt(sites, nodes, service, server.address()).ifPresent(site -> {
                    for (InetSocketAddress place : places(service, server.address(), Endpoint.Protocol.TCP)) {
                        site.listen.add(place);
                        if (service.forwarding().keepsPort()) {
                            site.everywhere.add(place.getPort());
                        }
                    }
                });
            }
            List<CheckSpec> checks = server.checks().isEmpty() ? service.checks() : server.checks();
            for (CheckSpec check : checks) {
                // A check may ask another port of the server, where something must answer as well.
                String host =
                        check.host().map(HostPort::host).orElse(server.address().host());
                int port = check.port() != 0
                        ? check.port()
                        : check.host()
                                .map(HostPort::port)
                                .filter(p -> p != 0)
                                .orElse(
                                        server.address().port() != 0
                                                ? server.address().port()
                                                : service.portToAsk(check.probe()));
                if (check.probe() instanceof ProbeSpec.Udp udp && speaks(service, Endpoint.Protocol.UDP)) {
                    satisfy(udp, service.name(), check);
                    continue;
                }
                HostPort asked = new HostPort(host, port);
                if (!tcp && asked.equals(server.address()) && !asksTcp(check.probe())) {
                    continue;
                }
                siteAt(sites, nodes, service, asked).ifPresent(s -> {
                    if (asked.port() != 0) {
                        s.listen.add(socketAddress(asked));
                    }
                    satisfy(s, service.name(), check);
                });
            }
        }

        private static boolean asksTcp(ProbeSpec probe) {
            return !(probe instanceof ProbeSpec.Icmp
                    || probe instanceof ProbeSpec.Exec
                    || probe instanceof ProbeSpec.File);
        }

        /** An echo has in its answer what it was sent. */
        private void satisfy(ProbeSpec.Udp udp, String service, CheckSpec check) {
            if (udp.expect()
                    .map(e -> e.regex() || !udp.send().contains(e.text()))
                    .orElse(false)) {
                notes.add("check " + check.name() + " of " + service
                        + " wants another answer than what it sends: the lab's server sends just that back");
            }
        }

        private void satisfy(SiteBuilder site, String service, CheckSpec check) {
            String what = "check " + check.name() + " of " + service;
            switch (check.probe()) {
                case ProbeSpec.Http http
                when http.tls().isPresent() ->
                    notes.add(what + " wants TLS: the lab's servers speak plain HTTP, so it fails here");
                case ProbeSpec.Http http -> {
                    if (http.digest().isPresent()) {
                        notes.add(what + " wants a page of one digest, which the lab does not have, so it fails here");
                    }
                    int status = http.statuses().isEmpty()
                                    || http.statuses().stream().anyMatch(s -> s.low() <= 200 && 200 <= s.high())
                            ? 200
                            : http.statuses().getFirst().low();
                    // A regular expression is shown to itself, which satisfies the simple ones.
                    http.body().ifPresent(body -> {
                        site.texts.add(body.text());
                        if (body.regex() && !matchesItself(body.text())) {
                            notes.add(what + " wants a text like /" + body.text()
                                    + "/, which the lab does not know how to write, so it fails here");
                        }
                    });
                    String path = http.path().split("[?#]", 2)[0];
                    site.statuses.merge(path, status, (a, _) -> a);
                }
                case ProbeSpec.Tcp tcp
                when tcp.tls().isPresent() ->
                    notes.add(what + " wants TLS: the lab's servers speak plain HTTP, so it fails here");
                case ProbeSpec.Tcp _, ProbeSpec.Icmp _, ProbeSpec.Exec _, ProbeSpec.File _ -> {}
                default ->
                    notes.add(what + " speaks " + check.probe().yamlName()
                            + ": the lab's servers speak HTTP, so it fails here");
            }
        }

        private static boolean matchesItself(String regex) {
            try {
                return Pattern.compile(regex).matcher(regex).find();
            } catch (PatternSyntaxException e) {
                return false;
            }
        }

        private void sorry(SequencedMap<String, SiteBuilder> sites, ServiceSpec service, HostPort sorry) {
            Optional<InetAddress> address = literal(sorry.host());
            List<String> places = address.map(InetAddress::isLoopbackAddress).orElse(false)
                    ? directors(service)
                    : nodesThat(n -> address.map(n::hasAddress).orElse(false));
            if (places.isEmpty()) {
                notes.add("no node has the address of the sorry server of " + service.name() + " (" + sorry
                        + "): nothing answers there");
            }
            for (String node : places) {
                SiteBuilder site =
                        sites.computeIfAbsent(Site.SORRY + "@" + node, _ -> new SiteBuilder(Site.SORRY, node));
                site.listen.addAll(places(service, sorry, Endpoint.Protocol.TCP));
            }
        }

        /** The site on the node that has this address; made where there is none yet. */
        private Optional<SiteBuilder> siteAt(
                SequencedMap<String, SiteBuilder> sites, List<Node> nodes, ServiceSpec service, HostPort address) {
            return nodeAt(nodes, service, address)
                    .map(node -> sites.computeIfAbsent(node, _ -> new SiteBuilder(node, node)));
        }

        /** The node that has this address: the director where it is one of the loopback interface. */
        private Optional<String> nodeAt(List<Node> nodes, ServiceSpec service, HostPort address) {
            Optional<InetAddress> literal = literal(address.host());
            if (literal.isEmpty()) {
                return Optional.empty();
            }
            if (literal.get().isLoopbackAddress()) {
                return directors(service).stream().findFirst();
            }
            return nodes.stream()
                    .filter(n -> n.links().stream()
                            .flatMap(l -> l.addresses().stream())
                            .anyMatch(c -> c.address().equals(literal.get())))
                    .findFirst()
                    .map(Node::name);
        }

        private ServiceSpec service(String name) {
            return Objects.requireNonNull(description.services().get(name));
        }

        private static InetSocketAddress socketAddress(HostPort address) {
            return new InetSocketAddress(InetAddress.ofLiteral(address.host()), address.port());
        }

        private static Optional<InetAddress> literal(String host) {
            try {
                return Optional.of(InetAddress.ofLiteral(host));
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }

        private static boolean sameNetwork(Cidr a, Cidr b) {
            return a.prefixLength() == b.prefixLength()
                    ? a.contains(b.address())
                    : a.contains(b.address()) && b.contains(a.address());
        }

        private static String network(Cidr cidr) {
            byte[] bytes = cidr.address().getAddress();
            for (int bit = cidr.prefixLength(); bit < bytes.length * 8; bit++) {
                bytes[bit >> 3] &= (byte) ~(0x80 >>> (bit & 7));
            }
            try {
                return new Cidr(InetAddress.getByAddress(bytes), cidr.prefixLength()).toString();
            } catch (UnknownHostException e) {
                throw new IllegalStateException(e); // only for a wrong length, and this one came from an address
            }
        }
    }

    /** A site while it grows. */
    private static final class SiteBuilder {
        private final String name;
        private final String node;
        private final Set<InetSocketAddress> listen = new LinkedHashSet<>();
        private final Set<Integer> everywhere = new TreeSet<>();
        private final Set<String> texts = new TreeSet<>();
        private final SequencedMap<String, Integer> statuses = new LinkedHashMap<>();

        SiteBuilder(String name, String node) {
            this.name = name;
            this.node = node;
        }

        Site build() {
            boolean sorry = name.equals(Site.SORRY);
            String text = sorry
                    ? "sorry: every server is out of order, please come back in a moment"
                    : name + ": " + (texts.isEmpty() ? "Test Page" : String.join(" ", texts));
            SequencedMap<String, Site.Page> pages = new LinkedHashMap<>();
            pages.put("/", new Site.Page(sorry ? 503 : 200, text + "\n"));
            statuses.forEach((path, status) -> pages.put(path, new Site.Page(status, text + "\n")));
            return new Site(
                    name,
                    node,
                    List.copyOf(listen),
                    Set.copyOf(everywhere),
                    Collections.unmodifiableSequencedMap(pages));
        }
    }
}

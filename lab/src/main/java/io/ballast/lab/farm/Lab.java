package io.ballast.lab.farm;

import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.lab.farm.LabRecord.Kind;
import io.ballast.lab.farm.LabRecord.Leader;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.lab.topology.Echo;
import io.ballast.lab.topology.Loopback;
import io.ballast.lab.topology.Site;
import io.ballast.lab.topology.Topology;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.IntSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A service of many machines, brought up on this one from its own description: the same file that would go to the real
 * nodes, with nothing in it for the lab.
 *
 * <p>As root each node is a network namespace with the interfaces and addresses of the description, cabled through
 * bridges ({@link Network}); for everybody else each node has an address of 127.0.0.0/8 of its own ({@link Loopback}).
 * On the nodes runs the real thing: the daemon as {@code ballast run} starts it, and web servers whose pages satisfy the
 * description's checks ({@link WebServer}).
 *
 * <p>Whatever the lab makes is written to its record first ({@link LabRecord}), and every process that it starts leads a
 * session of its own and carries the lab's directory in its environment ({@link OwnProcesses}). That is how {@link
 * LabStore#down} finds all of it, and nothing else, no matter how the lab ended.
 */
public final class Lab implements AutoCloseable {
    /** How long a service may take until it answers. */
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private static final Duration SHORT_WHILE = Duration.ofSeconds(3);

    private static final int ANSWER_MILLIS = 200;
    /** So many connections in a row have to get to servers: more than there are in any example. */
    private static final int ANSWERS = 16;

    private final String name;
    private final Path directory;
    private final Kind kind;
    private final Topology topology;
    private final @Nullable Network network;
    private final Map<String, WebServer> webServers = new LinkedHashMap<>();
    private final List<DatagramServer> datagramServers = new ArrayList<>();
    private final Map<String, Daemon> daemons = new LinkedHashMap<>();
    private final Path file;
    private Optional<InetSocketAddress> silent = Optional.empty();
    private LabRecord record;
    private DescriptionText text;
    private Description description;

    /** How a lab is to be. */
    public record Plan(String name, Path source, DescriptionText text, boolean namespaces, boolean owned) {}

    Lab(Plan plan, Path directory) throws IOException {
        this.name = plan.name();
        this.directory = directory;
        this.kind = plan.namespaces() ? Kind.NAMESPACES : Kind.LOOPBACK;
        this.file = directory.resolve("ballast.yaml");
        this.text = plan.text();
        this.description = read(text);
        Topology described = Topology.of(description);
        if (!plan.namespaces()) {
            refusePackets(description);
        }
        Optional<ProcessId> owner = plan.owned() ? Optional.of(ProcessId.self()) : Optional.empty();
        if (plan.namespaces()) {
            this.topology = described;
            this.network = new Network(name, topology);
            this.record = LabRecord.of(kind, plan.source().toString(), owner, LabRecord.namespaces(name, topology));
        } else {
            Loopback loopback = loopback(described);
            this.text = loopback.apply(text, described);
            this.description = read(text);
            this.topology = loopback.apply(described);
            this.network = null;
            this.record = LabRecord.of(kind, plan.source().toString(), owner, List.of());
        }
        record.write(directory);
    }

    /** Starts everything and waits until it serves; what was made stays when this fails, and the caller takes it down. */
    void start(Consumer<String> progress) throws IOException, InterruptedException {
        if (network != null) {
            for (String namespace : record.namespaces()) {
                if (Network.exists(namespace)) {
                    throw new IOException("the network namespace " + namespace + " exists already, and no lab of "
                            + directory.getParent() + " made it; if nothing uses it, end it with: ip netns delete "
                            + namespace);
                }
            }
            LabStore.make(directory, network::create);
            progress.accept(topology.nodes().size() + " network namespaces on "
                    + plural(topology.segments().size(), "bridge"));
        }
        LabStore.make(directory, () -> Files.writeString(file, text.toString()));
        Optional<String> nginx = Programs.find("nginx");
        for (Site site : topology.sites()) {
            Path home = nodeDirectory(site.node()).resolve("web-" + site.name());
            WebServer server = new WebServer(site, home, this::startProcess, nginx);
            LabStore.make(directory, () -> {
                Files.createDirectories(home);
                server.start();
            });
            webServers.put(site.name() + "@" + site.node(), server);
        }
        for (WebServer server : webServers.values()) {
            server.awaitListening();
        }
        if (!webServers.isEmpty()) {
            progress.accept(plural(webServers.size(), "web server") + " ("
                    + webServers.values().iterator().next().program() + ")");
        }
        for (Echo echo : topology.echoes()) {
            DatagramServer server = new DatagramServer(echo, this::startProcess);
            LabStore.make(directory, server::start);
            datagramServers.add(server);
        }
        if (!topology.echoes().isEmpty()) {
            progress.accept(plural(topology.echoes().size(), "UDP server"));
        }
        for (String witness : topology.witnesses()) {
            startProcess(witness, "witness", Jvm.ballast(List.of("witness", file.toString(), "--node", witness)));
            progress.accept("the witness on " + witness);
        }
        for (Node node : runningDaemons()) {
            if (node.xdp()) {
                LabStore.make(directory, () -> Pins.mount(nodeDirectory(node.name())));
            }
            Daemon daemon = new Daemon(node.name(), nodeDirectory(node.name()), file, this::startProcess);
            LabStore.make(directory, () -> daemon.start(List.of()));
            daemons.put(node.name(), daemon);
        }
        for (Daemon daemon : daemons.values()) {
            daemon.awaitReady();
            progress.accept("the daemon on " + daemon.node() + " (pid " + daemon.pid() + ")");
        }
        awaitMasters(progress);
        silent = awaitAnswers(progress);
        record = record.withReady();
        record.write(directory);
    }

    /** Waits until each virtual router has one master; where that takes too long, the lab is up as it is. */
    private void awaitMasters(Consumer<String> progress) throws InterruptedException {
        if (network == null || description.virtualRouters().isEmpty()) {
            return;
        }
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (!allSettled() && System.nanoTime() < until) {
            Thread.sleep(20);
        }
        RouterRole.lines(roles()).forEach(line -> progress.accept("the virtual router " + line));
    }

    private boolean allSettled() {
        return description.virtualRouters().values().stream()
                .allMatch(router -> router.addresses().stream().allMatch(cidr -> settled(router, cidr.address())));
    }

    /** Whether all nodes of a virtual router take part, and its address is where it belongs. */
    public boolean settled(VirtualRouterSpec router, InetAddress address) {
        List<RouterRole> roles = roles().stream()
                .filter(role -> role.addresses().contains(address))
                .toList();
        List<RouterRole> masters = roles.stream().filter(RouterRole::master).toList();
        Optional<String> first = router.nodes().entrySet().stream()
                .max(Comparator.comparingInt(node -> node.getValue().priority()))
                .map(Map.Entry::getKey);
        return roles.size() == router.nodes().size()
                && masters.size() == 1
                && roles.stream().allMatch(role -> role.master() || role.role().equals("backup"))
                && (!router.preempt()
                        || first.filter(masters.getFirst().node()::equals).isPresent());
    }

    /** What the nodes are in virtual routers, those that run and answer. */
    public List<RouterRole> roles() {
        return description.virtualRouters().isEmpty()
                ? List.of()
                : daemons.values().stream()
                        .flatMap(daemon -> daemon.roles().stream())
                        .toList();
    }

    /** The virtual router whose address it is, if it is one's; without namespaces there are none. */
    public Optional<VirtualRouterSpec> virtualRouter(InetAddress address) {
        return description.virtualRouters().values().stream()
                .filter(router -> router.hasAddress(address))
                .findFirst();
    }

    /** Those that direct come first. On loopback two of them would want the same addresses. */
    private List<Node> runningDaemons() {
        List<Node> all = new ArrayList<>(topology.directors());
        if (kind == Kind.LOOPBACK) {
            return all.subList(0, Math.min(1, all.size()));
        }
        topology.daemons().stream().filter(n -> !n.director()).forEach(all::add);
        return all;
    }

    private static void refusePackets(Description description) throws IOException {
        for (ServiceSpec service : description.services().values()) {
            if (service.engine() == EngineKind.XDP) {
                throw new IOException("the service " + service.name() + " has the engine xdp, which handles packets in"
                        + " the kernel: its lab is made of network namespaces, which need root");
            }
        }
    }

    /**
     * Waits until a client gets to the servers of services whose packets the kernel forwards, or whose address is a
     * virtual router's: addresses have to be known all around first, which no daemon sees as a whole. Where that takes too long, the lab is up as it is.
     *
     * @return where no client got through
     */
    private Optional<InetSocketAddress> awaitAnswers(Consumer<String> progress)
            throws IOException, InterruptedException {
        List<Endpoint> asked = description.services().values().stream()
                .flatMap(s -> s.listen().stream()
                        .filter(e -> s.engine() != EngineKind.USERSPACE
                                || virtualRouter(e.address()).isPresent()))
                .toList();
        if (network == null) {
            return Optional.empty();
        }
        try (NetworkNamespace client = NetworkNamespace.named(LabRecord.namespace(name, client().name()))) {
            long start = System.nanoTime();
            boolean told = false;
            for (Endpoint endpoint : asked) {
                for (int answered = 0; answered < ANSWERS; ) {
                    Duration waited = Duration.ofNanos(System.nanoTime() - start);
                    if (waited.compareTo(PATIENCE) > 0) {
                        return Optional.of(address(endpoint));
                    }
                    if (!told && waited.compareTo(SHORT_WHILE) > 0) {
                        told = true;
                        progress.accept("waiting until a client gets through to " + endpoint + ", "
                                + PATIENCE.toSeconds() + " s at most");
                    }
                    if (client.call(() -> answers(endpoint))) {
                        answered++;
                    } else {
                        answered = 0;
                        Thread.sleep(20);
                    }
                }
            }
            return Optional.empty();
        }
    }

    private static InetSocketAddress address(Endpoint endpoint) {
        return new InetSocketAddress(endpoint.address(), Topology.port(endpoint));
    }

    private static boolean answers(Endpoint endpoint) {
        InetSocketAddress address = address(endpoint);
        if (endpoint.protocol() == Endpoint.Protocol.UDP) {
            return ask(address).isPresent();
        }
        try (Socket socket = new Socket()) {
            socket.connect(address, ANSWER_MILLIS);
            return true;
        } catch (IOException e) {
            return false; // which is what is waited for
        }
    }

    /** What comes back to a datagram that is sent from the calling thread's network, if anything does. */
    static Optional<String> ask(InetSocketAddress address) {
        byte[] question = "hello".getBytes(StandardCharsets.US_ASCII);
        try (DatagramSocket socket = new DatagramSocket()) {
            socket.setSoTimeout(ANSWER_MILLIS);
            socket.connect(address); // nobody else's answer counts
            socket.send(new DatagramPacket(question, question.length));
            DatagramPacket answer = new DatagramPacket(new byte[100], 100);
            socket.receive(answer);
            return Optional.of(new String(answer.getData(), 0, answer.getLength(), StandardCharsets.US_ASCII));
        } catch (IOException e) {
            return Optional.empty(); // which is the question
        }
    }

    /** Takes everything away. */
    @Override
    public void close() throws IOException {
        LabStore.remove(directory);
    }

    /** The lab's name. */
    public String name() {
        return name;
    }

    /** Where its files are. */
    public Path directory() {
        return directory;
    }

    /** Whether its nodes are network namespaces; otherwise they are loopback addresses. */
    public boolean namespaces() {
        return kind == Kind.NAMESPACES;
    }

    /**
     * Where no client got through to a server when the lab came up, of services whose packets the kernel forwards; empty
     * where all were well.
     */
    public Optional<InetSocketAddress> silent() {
        return silent;
    }

    /** What it is made of. */
    public Topology topology() {
        return topology;
    }

    /** What its daemons run, with the addresses that they have here. */
    public Description description() {
        return description;
    }

    /** The same as text. */
    public DescriptionText text() {
        return text;
    }

    /** The file that its daemons read. */
    public Path file() {
        return file;
    }

    /** Writes another description to the file; the daemons take it when they are told to. */
    public void describe(DescriptionText changed) throws IOException, InterruptedException {
        description = read(changed);
        text = changed;
        LabStore.make(directory, () -> Files.writeString(file, changed.toString()));
    }

    /** The daemons by node. */
    public List<Daemon> daemons() {
        return List.copyOf(daemons.values());
    }

    /** The web servers. */
    public List<WebServer> webServers() {
        return List.copyOf(webServers.values());
    }

    /** The web server that answers at a real server's address. */
    public Optional<WebServer> webServer(InetSocketAddress address) {
        return webServers.values().stream()
                .filter(w -> w.site().listen().contains(address))
                .findFirst();
    }

    /** The server that answers datagrams at a real server's address. */
    public Optional<DatagramServer> datagramServer(InetSocketAddress address) {
        return datagramServers.stream()
                .filter(server -> server.listen().contains(address))
                .findFirst();
    }

    /** Pulls a node's cables, or plugs them in; only with namespaces. */
    public void plug(String node, boolean in) throws IOException, InterruptedException {
        network().plug(node, in);
    }

    /** Lets a node's cables carry only this from now on; only with namespaces. */
    public void cable(String node, Cable what) throws IOException, InterruptedException {
        network().cable(node, what);
    }

    /** Switches a node's interfaces off, or on again; only with namespaces. */
    public void interfaces(String node, boolean on) throws IOException, InterruptedException {
        network().interfaces(node, on);
    }

    /** Takes a node's interfaces away; what puts them back; only with namespaces. */
    public Restoring removeInterfaces(String node) throws IOException, InterruptedException {
        return network().removeInterfaces(node);
    }

    /** Loses so many of a hundred advertisements that these nodes send, by chance; only with namespaces. */
    public Restoring loseAdvertisements(Collection<String> nodes, int percent)
            throws IOException, InterruptedException {
        return network().lose(nodes, percent);
    }

    /** Lets each advertisement of these nodes reach the others of them twice; only with namespaces. */
    public Restoring doubleAdvertisements(Collection<String> nodes) throws IOException, InterruptedException {
        return network().duplicate(nodes);
    }

    /** Swaps each advertisement of these nodes with the next one, on its way to the others; only with namespaces. */
    public Restoring swapAdvertisements(Collection<String> nodes) throws IOException, InterruptedException {
        return network().swap(nodes);
    }

    /**
     * Advertises a virtual router that has this one's number and another address, with priority 254, from another node of
     * its network.
     */
    public Restoring foreignRouter(VirtualRouterSpec router, InetAddress address) throws IOException {
        Neighbour from = neighbour(router, address);
        return ForeignRouter.start(
                LabRecord.namespace(name, from.node()),
                from.device(),
                from.address(),
                (Inet4Address) freeAddress(address).address(),
                router);
    }

    /** The Ethernet address of a virtual router's node, where it advertises; only with namespaces. */
    public MacAddress mac(VirtualRouterSpec router, String node) throws IOException {
        return network()
                .mac(node, Objects.requireNonNull(router.nodes().get(node)).interfaceName());
    }

    /**
     * Makes the client believe that an address in its network is at this Ethernet address; another node where the client
     * is not in that network.
     */
    public void mislead(VirtualRouterSpec router, InetAddress address, MacAddress mac)
            throws IOException, InterruptedException {
        Neighbour client = neighbour(router, address);
        network()
                .neighbour(
                        client.node(),
                        "neigh replace " + address.getHostAddress() + " lladdr " + mac + " dev " + client.device()
                                + " nud reachable");
    }

    /** An address next to this one, with its network, that nobody in the description has. */
    public Cidr freeAddress(InetAddress address) throws IOException {
        Cidr shared = description.virtualRouters().values().stream()
                .flatMap(router -> router.addresses().stream())
                .filter(cidr -> cidr.address().equals(address))
                .findFirst()
                .orElseThrow(() -> new IOException(address.getHostAddress() + " is no virtual router's address"));
        byte[] bytes = address.getAddress();
        for (int last = 254; last > 0; last--) {
            bytes[bytes.length - 1] = (byte) last;
            InetAddress other = InetAddress.getByAddress(bytes);
            if (shared.contains(other)
                    && virtualRouter(other).isEmpty()
                    && topology.nodes().stream()
                            .flatMap(node -> node.links().stream())
                            .flatMap(link -> link.addresses().stream())
                            .noneMatch(cidr -> cidr.address().equals(other))) {
                return new Cidr(other, shared.prefixLength());
            }
        }
        throw new IOException("no address beside " + address.getHostAddress() + " is free");
    }

    /** A node that is in a network and no director. */
    private record Neighbour(String node, String device, Inet4Address address) {}

    /** Who is in a virtual router's network and no part of it, the client first. */
    private Neighbour neighbour(VirtualRouterSpec router, InetAddress address) throws IOException {
        if (!(address instanceof Inet4Address)) {
            throw new IOException("the drill has this for IPv4 only, and " + address.getHostAddress() + " is IPv6");
        }
        return Stream.concat(Stream.of(client()), topology.nodes().stream())
                .filter(node -> !router.nodes().containsKey(node.name()))
                .flatMap(node -> node.links().stream()
                        .filter(link -> link.segment() >= 0)
                        .flatMap(link -> link.addresses().stream()
                                .filter(cidr -> cidr.contains(address))
                                .map(cidr -> new Neighbour(node.name(), link.device(), (Inet4Address) cidr.address()))))
                .findFirst()
                .orElseThrow(() -> new IOException("no other node is in the network of " + address.getHostAddress()));
    }

    private Network network() {
        if (network == null) {
            throw new IllegalStateException("a node on a loopback address has no cable");
        }
        return network;
    }

    /**
     * Who asks all the time which of a virtual router's nodes has its address. Nobody where it is one of IPv6, or where
     * no other node is in its network.
     */
    public Optional<Witness> witness(VirtualRouterSpec router, InetAddress address) throws IOException {
        if (network == null || !(address instanceof Inet4Address asked)) {
            return Optional.empty();
        }
        Map<MacAddress, String> nodes = new HashMap<>();
        for (Map.Entry<String, VirtualRouterSpec.Member> member : router.nodes().entrySet()) {
            nodes.put(network.mac(member.getKey(), member.getValue().interfaceName()), member.getKey());
        }
        for (Node node : topology.nodes()) {
            for (Topology.Link link : node.links()) {
                if (!router.nodes().containsKey(node.name())
                        && link.segment() >= 0
                        && link.addresses().stream().anyMatch(cidr -> cidr.contains(address))) {
                    return Optional.of(
                            Witness.start(LabRecord.namespace(name, node.name()), link.device(), asked, nodes));
                }
            }
        }
        return Optional.empty();
    }

    /** The node that asks: the first client, or the first director's neighbour where there is none. */
    public Node client() {
        return topology.clients().stream()
                .findFirst()
                .or(() -> topology.nodes().stream().filter(n -> !n.director()).findFirst())
                .orElseGet(() -> topology.nodes().getFirst());
    }

    /** Where a service answers on TCP, the IPv4 addresses first; of a range of ports, {@link Topology#port}. */
    public List<InetSocketAddress> addresses(ServiceSpec service) {
        return addresses(service, Endpoint.Protocol.TCP);
    }

    /** The same by either protocol. */
    public List<InetSocketAddress> addresses(ServiceSpec service, Endpoint.Protocol protocol) {
        return service.listen().stream()
                .filter(e -> e.protocol() == protocol)
                .map(e -> new InetSocketAddress(
                        e.address().isAnyLocalAddress() ? directorAddress(e.ipv6()) : e.address(), Topology.port(e)))
                .sorted((a, b) -> Integer.compare(
                        a.getAddress().getAddress().length, b.getAddress().getAddress().length))
                .toList();
    }

    private InetAddress directorAddress(boolean ipv6) {
        return topology.directors().stream()
                .flatMap(d -> d.address(ipv6).stream())
                .findFirst()
                .orElse(InetAddress.getLoopbackAddress());
    }

    /** The network namespace of a node, to be closed; only with namespaces. */
    public NetworkNamespace namespace(String node) throws IOException {
        return NetworkNamespace.named(LabRecord.namespace(name, node));
    }

    /** A program on a node, ready to start; it belongs to the lab, and ends with it. */
    public ProcessBuilder at(String node, List<String> command) throws IOException {
        return LabStore.at(directory, record, name, node, command);
    }

    /** The load generator on the client, ready to start. */
    public ProcessBuilder loadGenerator() throws IOException {
        Path log = Files.createDirectories(nodeDirectory(client().name())).resolve("load.log");
        return at(client().name(), Jvm.java("io.ballast.lab.load.LoadMain", List.of("-Xmx128m", "-Xms64m")))
                .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()));
    }

    private Path nodeDirectory(String node) {
        return directory.resolve(node);
    }

    /** Starts a program that goes on by itself. */
    private ProcessId startProcess(String node, String role, List<String> command)
            throws IOException, InterruptedException {
        List<String> words = new ArrayList<>(List.of(Programs.require("setsid", "util-linux")));
        words.addAll(command);
        Path log = nodeDirectory(node).resolve(role + ".log");
        LabStore.make(directory, () -> {
            Files.createDirectories(nodeDirectory(node));
            Process process = at(node, words)
                    .redirectInput(
                            ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                    .start();
            ProcessId id = ProcessId.of(process.pid())
                    .orElseThrow(() -> new IOException(role + " on " + node + " ended at once; see " + log));
            record = record.with(new Leader(node, role, id));
            record.write(directory);
        });
        return record.leaders().getLast().id();
    }

    private static Description read(DescriptionText text) throws IOException {
        ReadResult result = new DescriptionReader().read("ballast.yaml", text.toString());
        return result.description()
                .orElseThrow(() -> new IOException("the lab's own changes made the description wrong: "
                        + result.errors().getFirst()));
    }

    /** A place on the loopback interface where everything is free. */
    private static Loopback loopback(Topology topology) throws IOException {
        Optional<IntSupplier> ports6 = canBind(new InetSocketAddress(InetAddress.ofLiteral("::1"), 0))
                ? Optional.of(Lab::freePort6)
                : Optional.empty();
        int start = (int) (ProcessHandle.current().pid() % 250);
        for (int i = 0; i < 250; i++) {
            Loopback loopback = new Loopback(77, 1 + (start + i) % 250, ports6);
            boolean free = loopback.apply(topology).sites().stream()
                    .flatMap(s -> s.listen().stream())
                    .allMatch(Lab::canBind);
            if (free) {
                return loopback;
            }
        }
        throw new IOException("no part of 127.77.0.0/16 has the farm's ports free");
    }

    private static boolean canBind(InetSocketAddress address) {
        try (ServerSocket socket = new ServerSocket()) {
            socket.bind(address);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static int freePort6() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.ofLiteral("::1"))) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new IllegalStateException("no free port on ::1: " + e.getMessage(), e);
        }
    }

    static String plural(int n, String thing) {
        return n + " " + thing + (n == 1 ? "" : "s");
    }
}

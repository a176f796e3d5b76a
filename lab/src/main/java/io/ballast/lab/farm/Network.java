package io.ballast.lab.farm;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.lab.topology.Topology;
import io.ballast.lab.topology.Topology.Link;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Offload;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The network of a lab: a namespace per node, and one more that holds the bridges, which is the switch that all cables
 * lead to. Nothing of it appears in the machine's own network, and nothing leads out of it. A cable is a veth pair: its
 * one end is the node's interface, with the name that the description gives it, and its other end is a port of a
 * bridge.
 *
 * <p>Where programs in the kernel handle a node's packets, its cable is made to carry them ({@link #carryFrames}).
 *
 * <p>Made by {@code ip -batch}, one process per namespace, so that a lab of five nodes is up in a tenth of a second.
 */
final class Network {
    private static final Path NAMED = Path.of("/run/netns");

    // What tc says of a queueing discipline, and of a filter's actions.
    private static final Pattern DROPS = Pattern.compile("\"drops\": *([0-9]+)");
    private static final Pattern PACKETS = Pattern.compile("\"packets\": *([0-9]+)");

    // linux/pkt_cls.h: a verdict to drop, one to go on, and the class that a filter without a verdict finds.
    private static final long TC_ACT_SHOT = 2;
    private static final long TC_ACT_UNSPEC = 0xffff_ffffL;
    private static final long MATCH = 0xffff_ffffL;

    private static final int EVERY_TYPE = 0x0003; // ETH_P_ALL

    private final String ip;
    private final String lab;
    private final Topology topology;

    Network(String lab, Topology topology) throws IOException {
        this.ip = Programs.require("ip", "iproute2");
        this.lab = lab;
        this.topology = topology;
    }

    /** Makes it all. */
    void create() throws IOException, InterruptedException {
        String bridges = LabRecord.switchNamespace(lab);
        List<String> outside = new ArrayList<>();
        List<String> inside = new ArrayList<>();
        LabRecord.namespaces(lab, topology).forEach(n -> outside.add("netns add " + n));
        for (int i = 0; i < topology.segments().size(); i++) {
            // Without snooping, neighbour discovery reaches everybody at once, as on a plain switch.
            inside.add("link add name br" + i + " type bridge forward_delay 0 mcast_snooping 0");
            inside.add("link set dev br" + i + " addrgenmode none up");
        }
        List<String> programmed = new ArrayList<>();
        for (Port port : ports()) {
            if (port.node().xdp()) {
                programmed.add(port.name());
            }
            outside.add(cable(port, ""));
            inside.addAll(plugged(port));
        }
        batch(List.of(), outside);
        batch(List.of("-n", bridges), inside);
        carry(programmed);
        int index = 0;
        for (Node node : topology.nodes()) {
            batch(List.of("-n", LabRecord.namespace(lab, node.name())), configuration(node, ++index));
        }
    }

    /** One end of a cable, at the switch. */
    private record Port(String name, Node node, Link link) {}

    private List<Port> ports() {
        List<Port> ports = new ArrayList<>();
        for (Node node : topology.nodes()) {
            for (Link link : node.links()) {
                if (!link.device().equals("lo")) {
                    ports.add(new Port("p" + ports.size(), node, link));
                }
            }
        }
        return ports;
    }

    private List<Port> ports(String node) {
        return ports().stream().filter(p -> p.node().name().equals(node)).toList();
    }

    private String cable(Port port, String options) {
        return "link add name " + port.link().device() + " netns "
                + LabRecord.namespace(lab, port.node().name()) + options + " type veth peer name " + port.name()
                + " netns " + LabRecord.switchNamespace(lab);
    }

    private static List<String> plugged(Port port) {
        List<String> lines = new ArrayList<>(List.of("link set dev " + port.name() + " addrgenmode none"));
        if (port.link().segment() >= 0) {
            lines.add("link set dev " + port.name() + " master br" + port.link().segment());
            if (port.node().director() && port.node().xdp()) {
                // An Ethernet card takes only what is meant for it; a veth takes all that a switch sends to everybody
                // because it knows no better, and the program at a director's would send it on.
                lines.add("link set dev " + port.name() + " type bridge_slave flood off");
            }
        }
        lines.add("link set dev " + port.name() + " up");
        return lines;
    }

    private void carry(List<String> programmed) throws IOException {
        if (!programmed.isEmpty()) {
            try (NetworkNamespace there = NetworkNamespace.named(LabRecord.switchNamespace(lab))) {
                there.call(() -> {
                    carryFrames(programmed);
                    return true;
                });
            }
        }
    }

    /**
     * Makes the switch's ends of cables fit for nodes with XDP programs. What such a program transmits (XDP_TX), a veth
     * takes in at its other end only where there is a program too, and loses silently otherwise: so one that lets all
     * pass is put there. And a veth leaves checksums out, which a program that sends a packet on does not notice: so
     * here they are written.
     */
    private static void carryFrames(List<String> ports) throws IOException {
        program(ports, false);
        for (String port : ports) {
            Offload.TRANSMIT_CHECKSUM.set(port, false);
        }
    }

    private static void program(List<String> ports, boolean dropping) throws IOException {
        try (BpfProgram program = dropping ? BpfProgram.dropping() : BpfProgram.passing();
                RouteNetlink netlink = RouteNetlink.open()) {
            for (String port : ports) {
                netlink.setXdp(
                        netlink.link(port)
                                .orElseThrow(() -> new IOException("no " + port))
                                .index(),
                        program.fd());
            }
        }
    }

    private List<String> configuration(Node node, int index) {
        List<String> lines = new ArrayList<>(List.of("link set dev lo up"));
        int device = 0;
        for (Link link : node.links()) {
            boolean ipv6 = link.addresses().stream().anyMatch(c -> c.address() instanceof Inet6Address);
            lines.add("link set dev " + link.device() + " addrgenmode none up");
            for (Cidr address : link.addresses()) {
                lines.add("addr replace " + address + " dev " + link.device()
                        // Duplicate address detection would hold the address back for a second or two.
                        + (address.address() instanceof Inet6Address ? " nodad" : ""));
            }
            if (ipv6 && !link.device().equals("lo")) {
                lines.add("addr replace fe80::" + Integer.toHexString(index) + ":" + Integer.toHexString(++device)
                        + "/64 dev " + link.device() + " nodad");
            }
        }
        for (InetAddress gateway : node.gateways()) {
            lines.add("route replace default via " + gateway.getHostAddress());
        }
        return lines;
    }

    /** Takes away these namespaces and what is in them; the ones that are not there do not matter. */
    static void remove(List<String> namespaces) throws IOException, InterruptedException {
        List<String> lines = namespaces.stream()
                .filter(Network::exists)
                .map(n -> "netns delete " + n)
                .toList();
        if (!lines.isEmpty()) {
            Programs.run(
                    List.of(Programs.require("ip", "iproute2"), "-force", "-batch", "-"),
                    String.join("\n", lines) + "\n");
        }
    }

    /** Whether a namespace of this name exists. */
    static boolean exists(String namespace) {
        return Files.exists(file(namespace));
    }

    /** The file that holds a namespace by its name. */
    static Path file(String namespace) {
        return NAMED.resolve(namespace);
    }

    /** Pulls a node's cables out of the switch, or plugs them in again. */
    void plug(String node, boolean in) throws IOException, InterruptedException {
        atSwitch(ports(node).stream()
                .map(port -> "link set dev " + port.name() + (in ? " up" : " down"))
                .toList());
    }

    /**
     * Lets a node's cables carry only this from now on. The switch goes on knowing where the node is; otherwise it would
     * send what is meant for it to all the others.
     */
    void cable(String node, Cable what) throws IOException, InterruptedException {
        List<Port> ports = ports(node);
        try (NetworkNamespace there = NetworkNamespace.named(LabRecord.switchNamespace(lab))) {
            there.call(() -> {
                program(ports.stream().map(Port::name).toList(), what == Cable.MUTE);
                return true;
            });
        }
        List<String> queues = ports.stream()
                .map(port -> "qdisc replace dev " + port.name() + " root "
                        // No packet fits in, so every one is dropped; the other is what a veth has.
                        + (what == Cable.DEAF ? "pfifo limit 0" : "noqueue"))
                .toList();
        tc(List.of("-batch", "-"), queues);
        atSwitch(ports.stream()
                .filter(port -> port.link().segment() >= 0)
                .map(port -> "link set dev " + port.name() + " type bridge_slave isolated "
                        + (what == Cable.APART ? "on" : "off"))
                .toList());
    }

    /**
     * Loses so many of a hundred advertisements (IP protocol 112) that these nodes send, each by chance, where they come to
     * the switch; what ends it fails where none was lost, since then nothing was tried.
     */
    Restoring lose(Collection<String> nodes, int percent) throws IOException, InterruptedException {
        List<String> lines = new ArrayList<>();
        for (String port : switchPorts(nodes)) {
            lines.add("qdisc add dev " + port + " clsact");
            lines.add("filter add dev " + port + " ingress bpf bytecode \""
                    + advertisements(percent, TC_ACT_SHOT, TC_ACT_UNSPEC) + "\" direct-action");
        }
        return filter(switchPorts(nodes), lines, List.of("qdisc", "show"), DROPS);
    }

    /** Sends each advertisement of these nodes to each other one of them twice; what ends it is as with {@link #lose}. */
    Restoring duplicate(Collection<String> nodes) throws IOException, InterruptedException {
        List<String> lines = new ArrayList<>();
        for (String port : switchPorts(nodes)) {
            String others = switchPorts(nodes).stream()
                    .filter(other -> !other.equals(port))
                    .map(other -> " action mirred egress mirror dev " + other)
                    .collect(Collectors.joining());
            lines.add("qdisc add dev " + port + " clsact");
            lines.add("filter add dev " + port + " ingress bpf bytecode \"" + advertisements(100, MATCH, 0) + "\""
                    + others);
        }
        return filter(switchPorts(nodes), lines, List.of("filter", "show", "ingress"), PACKETS);
    }

    /**
     * Swaps each advertisement of these nodes with the next one, on its way to the others of them; what ends it is as with
     * {@link #lose}. They leave the switch by a veth pair, at whose other end they are read and sent on.
     */
    Restoring swap(Collection<String> nodes) throws IOException, InterruptedException {
        List<Port> ports = connected(nodes);
        List<String> pairs = new ArrayList<>();
        List<String> filters = new ArrayList<>();
        for (Port port : ports) {
            String pair = "s" + port.name();
            pairs.add("link add name " + pair + " type veth peer name t" + port.name());
            pairs.add("link set dev " + pair + " addrgenmode none up");
            pairs.add("link set dev t" + port.name() + " addrgenmode none up");
            filters.add("qdisc add dev " + port.name() + " clsact");
            filters.add("filter add dev " + port.name() + " ingress bpf bytecode \"" + advertisements(100, MATCH, 0)
                    + "\" action mirred egress redirect dev " + pair);
        }
        atSwitch(pairs);
        List<Swap> swaps = new ArrayList<>();
        try (NetworkNamespace there = NetworkNamespace.named(LabRecord.switchNamespace(lab))) {
            for (Port port : ports) {
                swaps.add(there.call(() -> {
                    List<NativeSocket> others = new ArrayList<>();
                    for (Port other : ports) {
                        if (!other.equals(port)
                                && other.link().segment() == port.link().segment()) {
                            others.add(NativeSocket.packet(index(other.name()), 0));
                        }
                    }
                    return Swap.start(NativeSocket.packet(index("t" + port.name()), EVERY_TYPE), others);
                }));
            }
        }
        Restoring filtered = filter(switchPorts(nodes), filters, List.of("filter", "show", "ingress"), PACKETS);
        return () -> {
            try {
                filtered.restore();
            } finally {
                swaps.forEach(Swap::close);
                atSwitch(ports.stream()
                        .map(port -> "link delete dev s" + port.name())
                        .toList());
            }
        };
    }

    private static int index(String device) throws IOException {
        try (RouteNetlink netlink = RouteNetlink.open()) {
            return netlink.link(device)
                    .orElseThrow(() -> new IOException("no " + device))
                    .index();
        }
    }

    private List<Port> connected(Collection<String> nodes) {
        return nodes.stream()
                .flatMap(node -> ports(node).stream())
                .filter(port -> port.link().segment() >= 0)
                .toList();
    }

    private List<String> switchPorts(Collection<String> nodes) {
        return connected(nodes).stream().map(Port::name).toList();
    }

    /** Puts filters at ports of the switch; what takes them away fails where they have not seen anything. */
    private Restoring filter(List<String> ports, List<String> lines, List<String> question, Pattern figure)
            throws IOException, InterruptedException {
        tc(List.of("-batch", "-"), lines);
        return () -> {
            long seen = 0;
            for (String port : ports) {
                List<String> options = new ArrayList<>(List.of("-s", "-j"));
                options.addAll(question);
                options.addAll(List.of("dev", port));
                seen += figure.matcher(tc(options, List.of()))
                        .results()
                        .mapToLong(found -> Long.parseLong(found.group(1)))
                        .sum();
            }
            tc(
                    List.of("-batch", "-"),
                    ports.stream()
                            .map(port -> "qdisc del dev " + port + " clsact")
                            .toList());
            if (seen == 0) {
                throw new IOException("no advertisement passed the switch meanwhile, so nothing befell any");
            }
        };
    }

    private String tc(List<String> options, List<String> lines) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(Programs.require("tc", "iproute2")));
        command.addAll(List.of("-n", LabRecord.switchNamespace(lab)));
        command.addAll(options);
        return Programs.run(command, String.join("\n", lines) + "\n");
    }

    /**
     * A classic BPF program (linux/filter.h), which every kernel takes without a verifier's word, in the form of tc-bpf(8).
     *
     * @param hit what it returns for so many of a hundred advertisements
     * @param miss what for everything else
     */
    static String advertisements(int percent, long hit, long miss) {
        long chance = (1L << 32) * percent / 100 - (percent == 100 ? 1 : 0);
        List<String> program = List.of(
                "40 0 0 12", // the Ethernet type
                "21 0 2 2048", // IPv4, or
                "48 0 0 23", // its protocol
                "5 0 0 2",
                "21 0 5 34525", // IPv6
                "48 0 0 20", // its next header
                "21 0 3 112", // VRRP
                "32 0 0 4294963256", // by chance: SKF_AD_OFF + SKF_AD_RANDOM
                "37 1 0 " + chance,
                "6 0 0 " + hit,
                "6 0 0 " + miss);
        return program.size() + "," + String.join(",", program);
    }

    /** Switches a node's interfaces off, or on again as they were. */
    void interfaces(String node, boolean on) throws IOException, InterruptedException {
        if (on) {
            configure(node);
            return;
        }
        batch(
                List.of("-n", LabRecord.namespace(lab, node)),
                ports(node).stream()
                        .map(port -> "link set dev " + port.link().device() + " down")
                        .toList());
    }

    /** Takes a node's interfaces away with their cables; what puts them back as they were. */
    Restoring removeInterfaces(String node) throws IOException, InterruptedException {
        List<Port> gone = ports(node);
        List<String> again = new ArrayList<>();
        try (NetworkNamespace there = NetworkNamespace.named(LabRecord.namespace(lab, node))) {
            for (Port port : gone) {
                again.add(cable(port, " address " + mac(there, port.link().device())));
            }
        }
        batch(
                List.of("-n", LabRecord.namespace(lab, node)),
                gone.stream()
                        .map(port -> "link delete dev " + port.link().device())
                        .toList());
        return () -> {
            batch(List.of(), again);
            atSwitch(gone.stream().flatMap(port -> plugged(port).stream()).toList());
            carry(gone.stream()
                    .filter(port -> port.node().xdp())
                    .map(Port::name)
                    .toList());
            configure(node);
        };
    }

    /** The Ethernet address of a node's interface. */
    MacAddress mac(String node, String device) throws IOException {
        try (NetworkNamespace there = NetworkNamespace.named(LabRecord.namespace(lab, node))) {
            return mac(there, device);
        }
    }

    private static MacAddress mac(NetworkNamespace there, String device) throws IOException {
        return there.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return netlink.link(device)
                        .map(io.ballast.linux.netlink.Link::address)
                        .orElseThrow(() -> new IOException("no Ethernet interface " + device));
            }
        });
    }

    /** Changes a node's table of neighbours, by {@code ip neigh}. */
    void neighbour(String node, String line) throws IOException, InterruptedException {
        batch(List.of("-n", LabRecord.namespace(lab, node)), List.of(line));
    }

    private void configure(String node) throws IOException, InterruptedException {
        for (int i = 0; i < topology.nodes().size(); i++) {
            Node each = topology.nodes().get(i);
            if (each.name().equals(node)) {
                batch(List.of("-n", LabRecord.namespace(lab, node)), configuration(each, i + 1));
            }
        }
    }

    private void atSwitch(List<String> lines) throws IOException, InterruptedException {
        batch(List.of("-n", LabRecord.switchNamespace(lab)), lines);
    }

    private void batch(List<String> options, List<String> lines) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(ip));
        command.addAll(options);
        command.addAll(List.of("-batch", "-"));
        Programs.run(command, String.join("\n", lines) + "\n");
    }
}

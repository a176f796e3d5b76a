package io.ballast.lab.farm;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.lab.topology.Topology;
import io.ballast.lab.topology.Topology.Link;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Offload;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

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
        int port = 0;
        for (Node node : topology.nodes()) {
            for (Link link : node.links()) {
                if (link.device().equals("lo")) {
                    continue;
                }
                if (node.xdp()) {
                    programmed.add("p" + port);
                }
                outside.add("link add name " + link.device() + " netns " + LabRecord.namespace(lab, node.name())
                        + " type veth peer name p" + port + " netns " + bridges);
                inside.add("link set dev p" + port + " addrgenmode none"
                        + (link.segment() < 0 ? "" : " master br" + link.segment()) + " up");
                port++;
            }
        }
        batch(List.of(), outside);
        batch(List.of("-n", bridges), inside);
        if (!programmed.isEmpty()) {
            try (NetworkNamespace there = NetworkNamespace.named(bridges)) {
                there.call(() -> {
                    carryFrames(programmed);
                    return true;
                });
            }
        }
        int index = 0;
        for (Node node : topology.nodes()) {
            batch(List.of("-n", LabRecord.namespace(lab, node.name())), configuration(node, ++index));
        }
    }

    /**
     * Makes the switch's ends of cables fit for nodes with XDP programs. What such a program transmits (XDP_TX), a veth
     * takes in at its other end only where there is a program too, and loses silently otherwise: so one that lets all
     * pass is put there. And a veth leaves checksums out, which a program that sends a packet on does not notice: so
     * here they are written.
     */
    private static void carryFrames(List<String> ports) throws IOException {
        try (BpfProgram passing = BpfProgram.passing();
                RouteNetlink netlink = RouteNetlink.open()) {
            for (String port : ports) {
                netlink.setXdp(
                        netlink.link(port)
                                .orElseThrow(() -> new IOException("no " + port))
                                .index(),
                        passing.fd());
                Offload.TRANSMIT_CHECKSUM.set(port, false);
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
                lines.add("addr add " + address + " dev " + link.device()
                        // Duplicate address detection would hold the address back for a second or two.
                        + (address.address() instanceof Inet6Address ? " nodad" : ""));
            }
            if (ipv6 && !link.device().equals("lo")) {
                lines.add("addr add fe80::" + Integer.toHexString(index) + ":" + Integer.toHexString(++device)
                        + "/64 dev " + link.device() + " nodad");
            }
        }
        for (InetAddress gateway : node.gateways()) {
            lines.add("route add default via " + gateway.getHostAddress());
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
        List<String> lines = new ArrayList<>();
        int port = 0;
        for (Node each : topology.nodes()) {
            for (Link link : each.links()) {
                if (!link.device().equals("lo")) {
                    if (each.name().equals(node)) {
                        lines.add("link set dev p" + port + (in ? " up" : " down"));
                    }
                    port++;
                }
            }
        }
        batch(List.of("-n", LabRecord.switchNamespace(lab)), lines);
    }

    private void batch(List<String> options, List<String> lines) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(ip));
        command.addAll(options);
        command.addAll(List.of("-batch", "-"));
        Programs.run(command, String.join("\n", lines) + "\n");
    }
}

package io.ballast.lab.farm;

import io.ballast.linux.NativeSocket;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.neighbour.ArpProbe;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet4Address;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Asks a network again and again, by ARP, who has an address, and remembers who answered when. So it sees what a client
 * would meet, whatever the nodes say of themselves: nobody, one, or two. Its questions name no sender, so they change
 * nobody's tables.
 */
public final class Witness implements AutoCloseable {
    /** How often it asks. */
    public static final Duration EVERY = Duration.ofMillis(5);

    /** One answer. */
    public record Answer(Instant at, String node) {}

    private final NativeSocket socket;
    private final Map<MacAddress, String> nodes;
    private final List<Answer> answers = new ArrayList<>();

    private Witness(NativeSocket socket, Map<MacAddress, String> nodes) {
        this.socket = socket;
        this.nodes = Map.copyOf(nodes);
    }

    static Witness start(String namespace, String device, Inet4Address address, Map<MacAddress, String> nodes)
            throws IOException {
        try (NetworkNamespace there = NetworkNamespace.named(namespace)) {
            return there.call(() -> {
                Link link;
                try (RouteNetlink netlink = RouteNetlink.open()) {
                    link = netlink.link(device).orElseThrow(() -> new IOException("no interface " + device));
                }
                Witness witness = new Witness(ArpProbe.open(link), nodes);
                Thread.ofPlatform()
                        .name("witness of " + address.getHostAddress())
                        .daemon()
                        .start(() -> ArpProbe.repeat(witness.socket, link, address, EVERY, witness::answered));
                return witness;
            });
        }
    }

    private synchronized void answered(MacAddress mac) {
        answers.add(new Answer(Instant.now(), nodes.getOrDefault(mac, mac.toString())));
    }

    /** All answers so far, in their order. */
    public synchronized List<Answer> answers() {
        return List.copyOf(answers);
    }

    /** When a node answered last, between two moments; empty where it never did. */
    public Optional<Instant> last(String node, Instant from, Instant to) {
        return answers().stream()
                .filter(a -> a.node().equals(node) && !a.at().isBefore(from) && a.at().isBefore(to))
                .map(Answer::at)
                .reduce((_, later) -> later);
    }

    @Override
    public void close() {
        socket.close();
    }
}

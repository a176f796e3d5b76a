package io.ballast.core.config;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * That directors which share addresses know each other's connections.
 *
 * @param key the secret that all nodes have, where it is written there
 * @param keyFile where it is, mode 600, on each node; one of both is there
 * @param port of TCP, where each of them listens
 */
public record ConnectionSyncSpec(Optional<String> key, Optional<String> keyFile, int port) {

    /**
     * Two nodes that share addresses, and where they talk.
     *
     * @param own an address of this one
     * @param peer the name of the other one
     * @param address an address of that
     */
    public record Pair(InetAddress own, String peer, InetAddress address) {}

    /**
     * With whom a node shares addresses of virtual routers, each other node once: in the first network in which both have
     * an address at their interfaces of a common virtual router.
     */
    public static List<Pair> pairs(Description description, String node) {
        List<Pair> pairs = new ArrayList<>();
        Set<String> seen = new HashSet<>(Set.of(node));
        for (VirtualRouterSpec router : description.virtualRouters().values()) {
            for (String peer : router.nodes().containsKey(node) ? router.nodes().keySet() : Set.<String>of()) {
                Optional<Pair> pair = seen.contains(peer) ? Optional.empty() : pair(description, router, node, peer);
                pair.ifPresent(found -> {
                    seen.add(peer);
                    pairs.add(found);
                });
            }
        }
        return List.copyOf(pairs);
    }

    private static Optional<Pair> pair(Description description, VirtualRouterSpec router, String node, String peer) {
        List<NodeSpec.Cidr> theirs = addresses(description, router, peer);
        return addresses(description, router, node).stream()
                .flatMap(own -> theirs.stream()
                        .filter(other -> own.contains(other.address()))
                        .map(other -> new Pair(own.address(), peer, other.address())))
                .findFirst();
    }

    private static List<NodeSpec.Cidr> addresses(Description description, VirtualRouterSpec router, String node) {
        NodeSpec spec = description.nodes().get(node);
        VirtualRouterSpec.Member member = router.nodes().get(node);
        if (spec == null || member == null) {
            return List.of();
        }
        return spec.interfaces().stream()
                .filter(each -> each.name().equals(member.interfaceName()))
                .flatMap(each -> each.addresses().stream())
                .toList();
    }

    /** Without the key. */
    @Override
    public String toString() {
        return "ConnectionSyncSpec[key=" + keyFile.orElse("...") + ", port=" + port + "]";
    }
}

package io.ballast.core.config;

import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;

/**
 * The whole service as {@code ballast.yaml} describes it; the same on every node. Immutable, and valid: whatever the
 * reader hands out has passed every check that can be made without touching the machine.
 *
 * @param name the name of the whole, for people
 * @param nodes the machines by name, in the file's order
 * @param virtualRouters the virtual routers by name, in the file's order
 * @param services the virtual services by name, in the file's order
 * @param connectionSync whether and how directors know each other's connections
 * @param quorum who decides which node has addresses, where one alone must not
 * @param resources what goes with addresses beside services
 */
public record Description(
        String name,
        SequencedMap<String, NodeSpec> nodes,
        SequencedMap<String, VirtualRouterSpec> virtualRouters,
        SequencedMap<String, ServiceSpec> services,
        Optional<ConnectionSyncSpec> connectionSync,
        Optional<QuorumSpec> quorum,
        ResourcesSpec resources) {

    /** Without virtual routers. */
    public Description(String name, SequencedMap<String, NodeSpec> nodes, SequencedMap<String, ServiceSpec> services) {
        this(
                name,
                nodes,
                Collections.unmodifiableSequencedMap(new LinkedHashMap<>()),
                services,
                Optional.empty(),
                Optional.empty(),
                ResourcesSpec.NONE);
    }

    /**
     * The nodes that direct a service, in the file's order: those that it names, else those that have one of its addresses
     * or may come to have it as part of a virtual router. Empty where there is none; then every node that runs the daemon
     * directs it.
     */
    public List<String> directors(ServiceSpec service) {
        return directors(nodes.values(), virtualRouters.values(), service.directors(), service.listen());
    }

    /** Whether the node is one of {@link #directors(ServiceSpec)}. */
    public boolean directs(String node, ServiceSpec service) {
        NodeSpec spec = nodes.get(node);
        return service.directors().isEmpty()
                ? spec != null && mayHave(spec, virtualRouters.values(), service.listen())
                : service.directors().contains(node);
    }

    /** {@link #directors(ServiceSpec)} of a service that is still being read. */
    public static List<String> directors(
            Collection<NodeSpec> nodes,
            Collection<VirtualRouterSpec> virtualRouters,
            List<String> named,
            List<Endpoint> listen) {
        return named.isEmpty()
                ? nodes.stream()
                        .filter(node -> mayHave(node, virtualRouters, listen))
                        .map(NodeSpec::name)
                        .toList()
                : named;
    }

    private static boolean mayHave(NodeSpec node, Collection<VirtualRouterSpec> virtualRouters, List<Endpoint> listen) {
        return listen.stream()
                .map(Endpoint::address)
                .anyMatch(address -> node.hasAddress(address)
                        || virtualRouters.stream()
                                .anyMatch(router ->
                                        router.nodes().containsKey(node.name()) && router.hasAddress(address)));
    }
}

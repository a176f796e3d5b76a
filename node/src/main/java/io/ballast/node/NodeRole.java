package io.ballast.node;

import io.ballast.core.config.Description;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.ServiceSpec;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Which node of a description this machine is, and what that node has to do. */
public final class NodeRole {
    private NodeRole() {}

    /** This machine cannot be told from the description; the message says what to do. */
    static final class UnknownNodeException extends Exception {
        private static final long serialVersionUID = 1L;

        UnknownNodeException(String message) {
            super(message);
        }
    }

    /**
     * The name of this node: the one asked for, else the host's where the description has a node of that name (with or
     * without its domain), else the only node that balances anything. A description without nodes runs anywhere.
     */
    static String choose(Description description, Optional<String> asked, String host) throws UnknownNodeException {
        Set<String> nodes = description.nodes().keySet();
        if (asked.isPresent()) {
            if (nodes.isEmpty() || nodes.contains(asked.get())) {
                return asked.get();
            }
            throw new UnknownNodeException(
                    "--node " + asked.get() + ": the description has no such node; it has " + String.join(", ", nodes));
        }
        Optional<String> named = byName(description, host);
        if (named.isPresent()) {
            return named.get();
        }
        List<String> directors = directors(description);
        if (directors.size() == 1) {
            return directors.getFirst();
        }
        throw new UnknownNodeException("which node is this? The description has no node " + host + ", and "
                + (directors.isEmpty() ? "no node" : "more than one node (" + String.join(", ", directors) + ")")
                + " has services to balance: name this one with --node; there are " + String.join(", ", nodes));
    }

    /** The node that a host is by its name, with or without its domain; any host is one of a description without nodes. */
    public static Optional<String> byName(Description description, String host) {
        Set<String> nodes = description.nodes().keySet();
        String shortHost = host.indexOf('.') < 0 ? host : host.substring(0, host.indexOf('.'));
        if (nodes.isEmpty() || nodes.contains(host)) {
            return Optional.of(host);
        }
        return nodes.contains(shortHost) ? Optional.of(shortHost) : Optional.empty();
    }

    /** The nodes that direct some service of their own accord, in the file's order. */
    private static List<String> directors(Description description) {
        Set<String> found = new HashSet<>();
        description.services().values().forEach(service -> found.addAll(description.directors(service)));
        return description.nodes().keySet().stream().filter(found::contains).toList();
    }

    /** The nodes that balance a service. */
    static List<NodeSpec> directors(Description description, ServiceSpec service) {
        return description.nodes().values().stream()
                .filter(node -> balances(description, node.name(), service))
                .toList();
    }

    /** The services that this node balances, in the file's order. */
    public static List<ServiceSpec> services(Description description, String node) {
        return description.services().values().stream()
                .filter(s -> balances(description, node, s))
                .toList();
    }

    /** Whether this node balances the service. */
    static boolean balances(Description description, String node, ServiceSpec service) {
        return description.directs(node, service)
                || description.directors(service).isEmpty();
    }
}

package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.yaml.Node;
import io.ballast.core.yaml.Node.Scalar;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Where the reading stands: the path to the value at hand, the names known so far, and the problems found. */
final class Scope {
    private final Problems problems;
    private final List<Object> path = new ArrayList<>();

    final SequencedMap<String, NodeSpec> nodes = new LinkedHashMap<>();
    final SequencedMap<String, VirtualRouterSpec> virtualRouters = new LinkedHashMap<>();
    final Map<String, CheckSpec> checks = new HashMap<>();
    /** Names that the file gives to nodes and checks, also those with errors in them. */
    final Set<String> nodeNames = new HashSet<>();

    final Set<String> checkNames = new HashSet<>();
    /** What virtual routers track that may still follow. */
    final Map<TrackSchema.TrackedBy, ServiceSchema.Place> trackedServices = new HashMap<>();
    /** Whether the nodes have been read, or there will be none. */
    boolean nodesKnown;
    /** The same for the virtual routers. */
    boolean virtualRoutersKnown;
    /** The same for the checks. */
    boolean checksKnown;
    /** Whether a name was looked up that may still come; what looked it up is to be read again then. */
    boolean namesMissing;

    Scope(Problems problems) {
        this.problems = problems;
    }

    Problems problems() {
        return problems;
    }

    void enter(String key) {
        path.add(key);
    }

    void enter(int index) {
        path.add(index);
    }

    void leave() {
        path.removeLast();
    }

    void error(Node at, String message) {
        problems.add(Severity.ERROR, at.line(), at.column(), path(), message);
    }

    void warning(Node at, String message) {
        problems.add(Severity.WARNING, at.line(), at.column(), path(), message);
    }

    /** The name at hand: the last step of the path. */
    String lastName() {
        return String.valueOf(path.getLast());
    }

    /** Whether the value at hand stands under a name, and not in a list. */
    boolean atName() {
        return path.getLast() instanceof String;
    }

    /** The index at hand: the last step of the path where that is one, else 0. */
    int lastIndex() {
        return path.getLast() instanceof Integer index ? index : 0;
    }

    /**
     * The key of a map by name, or null where it cannot be one; a repeated key is reported.
     *
     * @param seen the keys of the map so far
     */
    @Nullable
    String key(Scalar key, Type<String> type, Map<String, Scalar> seen) {
        Scalar first = seen.putIfAbsent(key.text(), key);
        if (first != null) {
            error(key, "the key is here a second time; the first is in line " + first.line());
        }
        return type.read(new Scalar(key.line(), key.column(), key.text(), false), this);
    }

    /** The host with the name of a node replaced by the node's first address. */
    HostPort resolve(Node at, Host host, int port) {
        return resolve(at, host, port, List.of(), List.of());
    }

    /**
     * The host with the name of a node replaced by the node's address: the first that lies in a network of one of
     * the directors, else the first.
     *
     * @param taken addresses that are no answer, because the service listens there
     */
    HostPort resolve(Node at, Host host, int port, List<NodeSpec> directors, List<InetAddress> taken) {
        if (host.literal()) {
            return new HostPort(host.host(), port);
        }
        NodeSpec node = nodes.get(host.host());
        if (node == null) {
            namesMissing |= !nodesKnown;
            if (nodesKnown && !nodeNames.contains(host.host()) && host.host().indexOf('.') < 0) {
                Suggestions.nearest(host.host(), nodes.keySet())
                        .ifPresent(near -> warning(
                                at,
                                Type.quoted(host.host()) + " is no node of this description, so the resolver will be"
                                        + " asked for it; did you mean \"" + near + "\"?"));
            }
            return new HostPort(host.host(), port);
        }
        // Which of several is right depends on the directors, and so on the virtual routers.
        namesMissing |=
                !virtualRoutersKnown && node.addresses().skip(1).findAny().isPresent();
        Optional<InetAddress> address = node.addressFor(directors, taken);
        if (address.isEmpty()) {
            error(at, "the node " + host.host() + " has no address to take; give it one, or write the address here");
        }
        return new HostPort(address.map(Addresses::print).orElse(host.host()), port);
    }

    String path() {
        var text = new StringBuilder();
        for (Object step : path) {
            if (step instanceof Integer) {
                text.append('[').append(step).append(']');
            } else {
                text.append(text.isEmpty() ? "" : ".").append(Type.shown(step.toString()));
            }
        }
        return text.toString();
    }
}

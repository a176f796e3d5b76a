package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import io.ballast.core.yaml.Node;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What must hold among services, and between services and nodes. The cost grows with the services, not their pairs. */
final class AcrossServices {
    private final Problems problems;
    private final Collection<NodeSpec> nodes;
    private final Map<InetAddress, List<String>> owners = new HashMap<>();

    private AcrossServices(Collection<NodeSpec> nodes, Problems problems) {
        this.problems = problems;
        this.nodes = nodes;
        for (NodeSpec node : nodes) {
            node.interfaces().stream()
                    .flatMap(i -> i.addresses().stream())
                    .forEach(c -> owners.computeIfAbsent(c.address(), a -> new ArrayList<>())
                            .add(node.name()));
        }
    }

    static void check(List<ReadService> services, Collection<NodeSpec> nodes, Problems problems) {
        var check = new AcrossServices(nodes, problems);
        check.endpoints(services);
        check.loops(services);
        if (!check.owners.isEmpty() && !problems.anyErrorSince(0)) {
            services.forEach(check::addresses);
        }
    }

    private void add(Severity severity, Node at, String service, String key, String message) {
        problems.add(severity, at.line(), at.column(), "services." + service + "." + key, message);
    }

    private record Place(ReadService service, int index) {
        Node at() {
            return service.places().get(index);
        }

        Endpoint endpoint() {
            return service.spec().listen().get(index);
        }
    }

    /** Two services may answer at one endpoint only where no node balances both. */
    private void endpoints(List<ReadService> services) {
        Map<Endpoint, Place> exact = new HashMap<>(services.size() * 2);
        List<Place> wildcards = new ArrayList<>();
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Place(service, i);
                Place other = exact.putIfAbsent(place.endpoint(), place);
                if (other != null && !apart(other, place)) {
                    clash(other, place);
                }
                if (place.endpoint().address().isAnyLocalAddress()) {
                    wildcards.add(place);
                }
            }
        }
        if (wildcards.isEmpty()) {
            return;
        }
        Map<String, Place> everywhere = new HashMap<>();
        wildcards.forEach(w -> everywhere.putIfAbsent(socket(w.endpoint()), w));
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Place(service, i);
                Place other = everywhere.get(socket(place.endpoint()));
                if (other != null && !other.endpoint().equals(place.endpoint()) && !apart(other, place)) {
                    clash(other, place);
                }
            }
        }
    }

    private static String socket(Endpoint endpoint) {
        return (endpoint.ipv6() ? "6 " : "4 ") + endpoint.port() + endpoint.protocol();
    }

    private static boolean apart(Place a, Place b) {
        List<String> mine = a.service().spec().directors();
        List<String> its = b.service().spec().directors();
        boolean same = a.service().spec().name().equals(b.service().spec().name());
        return !same && !mine.isEmpty() && !its.isEmpty() && mine.stream().noneMatch(its::contains);
    }

    private void clash(Place first, Place second) {
        String name = second.service().spec().name();
        String owner = first.service().spec().name();
        add(
                Severity.ERROR,
                second.at(),
                name,
                "listen",
                (owner.equals(name) ? "this service" : "the service " + owner) + " listens on " + first.endpoint()
                        + " already (line " + first.at().line() + ")");
    }

    /** Traffic that a service sends to a service that sends it back would never end. */
    private void loops(List<ReadService> services) {
        Map<HostPort, ReadService> at = new HashMap<>(services.size() * 2);
        for (ReadService service : services) {
            for (Endpoint e : service.spec().listen()) {
                at.put(new HostPort(Addresses.print(e.address()), e.port()), service);
            }
        }
        Map<ReadService, Set<ReadService>> leadsTo = new LinkedHashMap<>();
        for (ReadService service : services) {
            for (ServerSpec server : service.spec().servers()) {
                ReadService next = at.get(server.address());
                if (next != null && !next.spec().name().equals(service.spec().name())) {
                    leadsTo.computeIfAbsent(service, s -> new HashSet<>()).add(next);
                }
            }
        }
        Set<ReadService> done = new HashSet<>();
        for (ReadService start : leadsTo.keySet()) {
            List<ReadService> path = new ArrayList<>();
            path.add(start);
            follow(path, leadsTo, done);
        }
    }

    private void follow(List<ReadService> path, Map<ReadService, Set<ReadService>> leadsTo, Set<ReadService> done) {
        ReadService here = path.getLast();
        for (ReadService next : leadsTo.getOrDefault(here, Set.of())) {
            int back = path.indexOf(next);
            if (back >= 0) {
                String way = String.join(
                        " -> ",
                        path.subList(back, path.size()).stream()
                                .map(s -> s.spec().name())
                                .toList());
                add(
                        Severity.ERROR,
                        here.places().getFirst(),
                        here.spec().name(),
                        "servers",
                        "services that lead to each other make a loop: " + way + " -> "
                                + next.spec().name());
            } else if (!done.contains(next) && path.size() < 64) {
                path.add(next);
                follow(path, leadsTo, done);
                path.removeLast();
            }
        }
        done.add(here);
    }

    /** The addresses of a service should be some node's, where nodes have addresses at all. */
    private void addresses(ReadService service) {
        ServiceSpec spec = service.spec();
        for (int i = 0; i < spec.listen().size(); i++) {
            InetAddress address = spec.listen().get(i).address();
            if (!address.isAnyLocalAddress() && !address.isLoopbackAddress()) {
                address(service, service.places().get(i), "listen", address);
            }
        }
        spec.source().ifPresent(source -> address(service, service.sourcePlace(), "source", source));
    }

    private void address(ReadService service, Node at, String key, InetAddress address) {
        List<String> owner = owners.getOrDefault(address, List.of());
        List<String> directors = service.spec().directors();
        String text = Addresses.print(address);
        if (owner.isEmpty()) {
            add(
                    Severity.WARNING,
                    at,
                    service.spec().name(),
                    key,
                    text + " is on no interface of any node" + network(address));
        } else if (!directors.isEmpty() && owner.stream().noneMatch(directors::contains)) {
            add(
                    Severity.WARNING,
                    at,
                    service.spec().name(),
                    key,
                    text + " is an address of " + String.join(", ", owner) + ", which is none of the directors "
                            + String.join(", ", directors));
        }
    }

    private String network(InetAddress address) {
        for (NodeSpec node : nodes) {
            for (NodeSpec.InterfaceSpec i : node.interfaces()) {
                for (Cidr cidr : i.addresses()) {
                    if (cidr.contains(address)) {
                        return "; " + i.name() + " of " + node.name() + " is in its network, add "
                                + new Cidr(address, cidr.prefixLength()) + " there";
                    }
                }
            }
        }
        return ", nor in a network of one";
    }
}

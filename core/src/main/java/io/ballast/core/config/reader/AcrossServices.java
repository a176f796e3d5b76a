package io.ballast.core.config.reader;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.reader.ServiceSchema.Place;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What must hold among services, and between services and nodes. The cost grows with the services, not their pairs. */
final class AcrossServices {
    /** Services in a loop that is looked for. */
    private static final int MAX_LOOP = 64;

    /** Of one address and protocol, as many as the engine xdp looks at. */
    private static final int MAX_RANGES = 8;

    private static final int GUE_PORT = 6080;

    private final Problems problems;
    private final Collection<NodeSpec> nodes;
    private final Collection<VirtualRouterSpec> virtualRouters;
    private final Map<InetAddress, List<String>> owners = new HashMap<>();

    private AcrossServices(
            Collection<NodeSpec> nodes, Collection<VirtualRouterSpec> virtualRouters, Problems problems) {
        this.problems = problems;
        this.virtualRouters = virtualRouters;
        this.nodes = nodes;
        for (NodeSpec node : nodes) {
            node.interfaces().stream()
                    .flatMap(i -> i.addresses().stream())
                    .forEach(c -> owners.computeIfAbsent(c.address(), a -> new ArrayList<>())
                            .add(node.name()));
        }
    }

    static void check(
            List<ReadService> services,
            Collection<NodeSpec> nodes,
            Collection<VirtualRouterSpec> virtualRouters,
            Problems problems) {
        var check = new AcrossServices(nodes, virtualRouters, problems);
        check.endpoints(services);
        check.loops(services);
        check.tunnelEnds(services);
        if ((!check.owners.isEmpty() || !virtualRouters.isEmpty()) && !problems.anyError()) {
            services.forEach(check::addresses);
        }
    }

    /**
     * Whether {@link #check} would find anything.
     *
     * @param around what the services stand in, but for its own
     */
    static boolean anyProblem(List<ServiceSpec> services, Description around) {
        var problems = new Problems("", new byte[0]);
        check(
                services.stream().map(ReadService::anywhere).toList(),
                around.nodes().values(),
                around.virtualRouters().values(),
                problems);
        TrackSchema.services(
                around.virtualRouters().values(), around.nodes().values(), services, Set.of(), Map.of(), problems);
        return !problems.isEmpty();
    }

    /**
     * The same where some services take the place of others, and there was no problem before; unlike {@link
     * #anyProblem}, it costs no more than those.
     *
     * @param listening of all services before
     */
    static boolean surelyNoProblem(List<ServiceSpec> before, List<ServiceSpec> after, Listening listening) {
        for (int i = 0; i < after.size(); i++) {
            if (i >= before.size() || !sameFace(before.get(i), after.get(i))) {
                return false;
            }
        }
        return before.size() == after.size()
                && after.stream()
                        .flatMap(s -> s.servers().stream())
                        .noneMatch(server -> listening.perhapsAt(server.address()))
                && after.stream()
                        .filter(s -> s.forwarding() == ForwardingMethod.GUE)
                        .flatMap(s -> s.servers().stream())
                        .noneMatch(server -> listening.perhapsAt(
                                new HostPort(server.address().host(), GUE_PORT)));
    }

    /** Whether all is equal that matters to others, but for servers that lead to another service. */
    private static boolean sameFace(ServiceSpec a, ServiceSpec b) {
        return a.name().equals(b.name())
                && a.listen().equals(b.listen())
                && a.engine() == b.engine()
                && a.directors().equals(b.directors())
                && a.source().equals(b.source());
    }

    /**
     * Where services answer, as servers are addressed.
     *
     * @param ports single ones
     * @param hosts of all
     * @param ranges hosts of those that have ranges of ports
     */
    record Listening(Set<HostPort> ports, Set<String> hosts, Set<String> ranges) {
        static Listening of(Collection<ServiceSpec> services) {
            var all = new Listening(new HashSet<>(services.size() * 2), new HashSet<>(), new HashSet<>());
            for (ServiceSpec service : services) {
                for (Endpoint e : service.listen()) {
                    String host = Addresses.print(e.address());
                    all.hosts.add(host);
                    if (e.single()) {
                        all.ports.add(new HostPort(host, e.port()));
                    } else {
                        all.ranges.add(host);
                    }
                }
            }
            return all;
        }

        /** Whether a service may answer where the server is. */
        boolean perhapsAt(HostPort server) {
            return ports.contains(server) || (server.port() == 0 ? hosts : ranges).contains(server.host());
        }
    }

    private void add(Severity severity, Place at, String service, String key, String message) {
        problems.add(severity, at.line(), at.column(), "services." + service + "." + key, message);
    }

    private record Listener(ReadService service, int index) {
        Place at() {
            return service.places().get(index);
        }

        Endpoint endpoint() {
            return service.spec().listen().get(index);
        }
    }

    /** Two services may answer at one endpoint only where no node balances both. */
    private void endpoints(List<ReadService> services) {
        Map<Endpoint, Listener> exact = new HashMap<>(services.size() * 2);
        List<Listener> wildcards = new ArrayList<>();
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Listener(service, i);
                Listener other = exact.putIfAbsent(place.endpoint(), place);
                if (other != null && !apart(other, place)) {
                    clash(other, place);
                }
                if (place.endpoint().address().isAnyLocalAddress()) {
                    wildcards.add(place);
                }
            }
        }
        ranges(services);
        if (wildcards.isEmpty()) {
            return;
        }
        Map<String, Listener> everywhere = new HashMap<>();
        wildcards.forEach(w -> everywhere.putIfAbsent(socket(w.endpoint()), w));
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Listener(service, i);
                Listener other = everywhere.get(socket(place.endpoint()));
                if (other != null && !other.endpoint().equals(place.endpoint()) && !apart(other, place)) {
                    clash(other, place);
                }
            }
        }
    }

    private static String socket(Endpoint endpoint) {
        return family(endpoint) + endpoint.firstPort() + "-" + endpoint.lastPort();
    }

    private static String family(Endpoint endpoint) {
        return (endpoint.ipv6() ? "6 " : "4 ") + endpoint.protocol() + " ";
    }

    /** Ranges of ports of one address and protocol. */
    private static String row(Endpoint endpoint) {
        return family(endpoint) + Addresses.print(endpoint.address());
    }

    /** Of a packet it must be clear whose it is: ranges lie apart, and sockets hear nothing from inside of one. */
    private void ranges(List<ReadService> services) {
        Map<String, List<Listener>> rows = new LinkedHashMap<>();
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Listener(service, i);
                if (!place.endpoint().single()) {
                    rows.computeIfAbsent(row(place.endpoint()), r -> new ArrayList<>())
                            .add(place);
                }
            }
        }
        if (rows.isEmpty()) {
            return;
        }
        rows.values().forEach(this::row);
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size() && service.spec().engine() != EngineKind.XDP; i++) {
                unheard(new Listener(service, i), rows);
            }
        }
    }

    private void row(List<Listener> row) {
        for (int i = 1; i < row.size(); i++) {
            Listener second = row.get(i);
            List<Listener> beside = row.subList(0, i).stream()
                    .filter(first -> !apart(first, second))
                    .toList();
            for (Listener first : beside) {
                if (!first.endpoint().everyPort()
                        && !second.endpoint().everyPort()
                        && !first.endpoint().equals(second.endpoint())
                        && first.endpoint().overlaps(second.endpoint())) {
                    problem(
                            second,
                            whose(first, second) + " listens on " + first.endpoint() + " (line "
                                    + first.at().line()
                                    + "), and has ports in common with this; ranges of ports must lie apart");
                }
            }
            if (beside.size() >= MAX_RANGES) {
                problem(
                        second,
                        "there are " + beside.size() + " ranges of ports of this address and protocol already (the"
                                + " first in line " + beside.getFirst().at().line()
                                + "), which is as many as there can be; use another address, or fewer and wider ranges");
            }
        }
    }

    /** What the engine xdp takes does not get to a socket. */
    private void unheard(Listener socket, Map<String, List<Listener>> rows) {
        Endpoint endpoint = socket.endpoint();
        boolean anywhere = endpoint.address().isAnyLocalAddress();
        List<Listener> candidates = anywhere
                ? rows.values().stream().flatMap(List::stream).toList()
                : rows.getOrDefault(row(endpoint), List.of());
        for (Listener range : candidates) {
            Endpoint taken = range.endpoint();
            boolean inside = family(taken).equals(family(endpoint))
                    && taken.firstPort() <= endpoint.lastPort()
                    && endpoint.firstPort() <= taken.lastPort();
            if (inside && range.service().spec().engine() == EngineKind.XDP && !apart(range, socket)) {
                problem(
                        socket,
                        whose(range, socket) + " takes all packets for " + taken + " (line "
                                + range.at().line()
                                + ") before a socket of the engine userspace could hear them; use the engine xdp here as"
                                + " well, or an address or port of its own");
                return;
            }
        }
    }

    private static boolean apart(Listener a, Listener b) {
        List<String> mine = a.service().spec().directors();
        List<String> its = b.service().spec().directors();
        boolean same = a.service().spec().name().equals(b.service().spec().name());
        return !same && !mine.isEmpty() && !its.isEmpty() && mine.stream().noneMatch(its::contains);
    }

    private void clash(Listener first, Listener second) {
        problem(
                second,
                whose(first, second) + " listens on " + first.endpoint() + " already (line "
                        + first.at().line() + ")");
    }

    private static String whose(Listener first, Listener second) {
        String owner = first.service().spec().name();
        return owner.equals(second.service().spec().name()) ? "this service" : "the service " + owner;
    }

    private void problem(Listener place, String message) {
        add(Severity.ERROR, place.at(), place.service().spec().name(), "listen", message);
    }

    /** What arrives at a server in a GUE tunnel is no service's, so none can listen there. */
    private void tunnelEnds(List<ReadService> services) {
        Map<Endpoint, String> ends = new HashMap<>();
        for (ReadService service : services) {
            ServiceSpec spec = service.spec();
            for (ServerSpec server :
                    spec.forwarding() == ForwardingMethod.GUE ? spec.servers() : List.<ServerSpec>of()) {
                Addresses.parse(server.address().host())
                        .ifPresent(address -> ends.put(
                                new Endpoint(address, GUE_PORT, Endpoint.Protocol.UDP),
                                server.name() + " of the service " + spec.name()));
            }
        }
        for (ReadService service : ends.isEmpty() ? List.<ReadService>of() : services) {
            for (int i = 0; i < service.places().size(); i++) {
                var place = new Listener(service, i);
                String server = place.endpoint().single()
                        ? ends.get(place.endpoint())
                        : ends.entrySet().stream()
                                .filter(end -> end.getKey().overlaps(place.endpoint()))
                                .map(Map.Entry::getValue)
                                .findFirst()
                                .orElse(null);
                if (server != null) {
                    add(
                            Severity.ERROR,
                            place.at(),
                            service.spec().name(),
                            "listen",
                            "packets in GUE tunnels arrive at " + place.endpoint() + ", for the server " + server
                                    + "; listen on another port or address");
                }
            }
        }
    }

    /** Traffic that a service sends to a service that sends it back would never end. */
    private void loops(List<ReadService> services) {
        Map<HostPort, ReadService> at = new HashMap<>(services.size() * 2);
        Set<String> hosts = new HashSet<>();
        List<Listener> ranges = new ArrayList<>();
        for (ReadService service : services) {
            for (int i = 0; i < service.spec().listen().size(); i++) {
                Endpoint e = service.spec().listen().get(i);
                String host = Addresses.print(e.address());
                hosts.add(host);
                if (e.single()) {
                    at.put(new HostPort(host, e.port()), service);
                } else {
                    ranges.add(new Listener(service, i));
                }
            }
        }
        Map<String, ReadService> byName = new LinkedHashMap<>();
        Map<String, Set<String>> leadsTo = new LinkedHashMap<>();
        for (ReadService service : services) {
            String name = service.spec().name();
            for (ServerSpec server : service.spec().servers()) {
                HostPort address = server.address();
                ReadService next = at.get(address);
                if (address.port() == 0 && hosts.contains(address.host())) {
                    next = answering(address, service, services);
                } else if (next == null && !ranges.isEmpty()) {
                    next = ranges.stream()
                            .filter(r -> r.endpoint().has(address.port())
                                    && Addresses.print(r.endpoint().address()).equals(address.host()))
                            .map(Listener::service)
                            .findFirst()
                            .orElse(null);
                }
                if (next != null && !next.spec().name().equals(name)) {
                    byName.put(name, service);
                    leadsTo.computeIfAbsent(name, s -> new LinkedHashSet<>())
                            .add(next.spec().name());
                }
            }
        }
        Set<String> done = new HashSet<>();
        for (String start : leadsTo.keySet()) {
            List<String> path = new ArrayList<>();
            path.add(start);
            follow(path, leadsTo, done, byName);
        }
    }

    /** The service that answers at a server without a port, which is asked at those of its own service. */
    private static @Nullable ReadService answering(HostPort server, ReadService asking, List<ReadService> services) {
        for (ReadService other : services) {
            for (Endpoint e : other.spec().listen()) {
                boolean asked = asking.spec().listen().stream()
                        .anyMatch(mine -> mine.firstPort() <= e.lastPort() && e.firstPort() <= mine.lastPort());
                if (asked
                        && !other.equals(asking)
                        && Addresses.print(e.address()).equals(server.host())) {
                    return other;
                }
            }
        }
        return null;
    }

    private void follow(
            List<String> path, Map<String, Set<String>> leadsTo, Set<String> done, Map<String, ReadService> byName) {
        String here = path.getLast();
        for (String next : leadsTo.getOrDefault(here, Set.of())) {
            int back = path.indexOf(next);
            ReadService service = byName.get(here);
            if (back >= 0 && service != null) {
                String way = String.join(" -> ", path.subList(back, path.size())) + " -> " + next;
                add(
                        Severity.ERROR,
                        service.places().getFirst(),
                        here,
                        "servers",
                        "services that lead to each other make a loop: " + way);
            } else if (back < 0 && !done.contains(next) && path.size() < MAX_LOOP) {
                path.add(next);
                follow(path, leadsTo, done, byName);
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

    private void address(ReadService service, Place at, String key, InetAddress address) {
        Optional<VirtualRouterSpec> router =
                virtualRouters.stream().filter(r -> r.hasAddress(address)).findFirst();
        if (router.isPresent()) {
            shared(service, at, key, address, router.get());
            return;
        }
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

    /** An address of a virtual router is that of its master, which may be any of its nodes. */
    private void shared(ReadService service, Place at, String key, InetAddress address, VirtualRouterSpec router) {
        String name = service.spec().name();
        List<String> directors = service.spec().directors();
        String text = Addresses.print(address);
        if (key.equals("source")) {
            add(
                    Severity.WARNING,
                    at,
                    name,
                    key,
                    text + " is an address of the virtual router " + router.name()
                            + ", which only its master has: another director cannot connect from it; leave it out");
            return;
        }
        if (!router.accept() && service.spec().engine() != EngineKind.XDP) {
            add(
                    Severity.ERROR,
                    at,
                    name,
                    key,
                    text + " is an address of the virtual router " + router.name()
                            + ", whose nodes accept nothing there (accept: false), and the engine "
                            + service.spec().engine().yamlName()
                            + " answers clients itself; write engine: xdp, or leave accept out");
        }
        List<String> missing = router.nodes().keySet().stream()
                .filter(node -> !directors.contains(node))
                .toList();
        List<String> never = directors.stream()
                .filter(node -> !router.nodes().containsKey(node))
                .toList();
        if (!directors.isEmpty() && !missing.isEmpty()) {
            add(
                    Severity.WARNING,
                    at,
                    name,
                    key,
                    text + " is an address of the virtual router " + router.name() + ", and " + either(missing)
                            + " can come to have it, but directs nothing of this service; add it to directors, or leave"
                            + " directors out");
        }
        if (!never.isEmpty()) {
            add(
                    Severity.WARNING,
                    at,
                    name,
                    key,
                    text + " is an address of the virtual router " + router.name() + ", which " + either(never)
                            + " takes no part in; add it to the virtual router's nodes, or remove it from directors");
        }
    }

    private static String either(List<String> names) {
        return String.join(" or ", names);
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

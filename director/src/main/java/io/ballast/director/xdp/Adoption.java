package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.util.BitSet;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Takes over what an earlier process left in the tables: numbers, tables, next hops, and drains that are under way.
 * Nothing that a packet sees changes, but for what that process was in the middle of.
 *
 * <p>The notes say which services there are and where their parts lie, the endpoints which of them packets find. One
 * without an endpoint was being made or taken away, and goes. Two of one name were to replace each other: the later one
 * has the endpoints that were written, and the earlier serves the others until it has them all.
 */
final class Adoption {
    private final DataPlane plane;
    private final Endpoints endpoints;
    private final Numbers numbers;
    private final Ways ways;
    private final ServiceTables tables;

    Adoption(DataPlane plane, Endpoints endpoints, Numbers numbers, Ways ways, ServiceTables tables) {
        this.plane = plane;
        this.endpoints = endpoints;
        this.numbers = numbers;
        this.ways = ways;
        this.tables = tables;
    }

    /** What is in the tables cannot have been written by an engine. */
    static final class DamagedException extends IOException {
        private static final long serialVersionUID = 1L;

        private DamagedException(String message) {
            super(message);
        }
    }

    /** The services that there are by their names; to be called before anything else. */
    Map<String, Installed> services() throws IOException {
        try {
            return readServices();
        } catch (IndexOutOfBoundsException e) {
            throw new DamagedException("the tables that were found are damaged: a number lies beyond them");
        } catch (IllegalArgumentException e) {
            throw new DamagedException("the tables that were found are damaged: " + e.getMessage());
        }
    }

    private Map<String, Installed> readServices() throws IOException {
        plane.trace(1, 0);
        Map<Integer, Installed> byNumber = new LinkedHashMap<>();
        for (Notes.OfService note : plane.notes().services()) {
            byNumber.put(note.number(), service(note));
        }
        for (DataPlane.Listening found : endpoints.adopt()) {
            adopt(found.endpoint(), found.vip(), byNumber);
        }
        adoptNames(byNumber);
        // An endpoint that is gone may still be named by a connection.
        BitSet remembered = new BitSet();
        plane.count(remembered, new BitSet());
        numbers.endpointWas(remembered.length());
        Map<String, Installed> byName = new LinkedHashMap<>();
        for (Installed installed : byNumber.values()) {
            if (!installed.endpoints.isEmpty()) {
                byName.merge(installed.service.name, installed, this::succeed);
            }
        }
        for (Installed installed : byNumber.values()) {
            if (installed.endpoints.isEmpty()) {
                // Another may have taken its place, but not yet its connections.
                Installed successor = byName.get(installed.service.name);
                if (successor != null) {
                    tables.follow(installed, successor);
                }
                tables.give(installed);
            }
        }
        return byName;
    }

    private Installed service(Notes.OfService note) throws IOException {
        Installed installed = new Installed(
                new InstalledService(note, plane.notes().servers(note)),
                note.firstServer(),
                Math.max(-1, note.tree()),
                note.kind());
        installed.changed = note.changed();
        numbers.claim(note);
        if (note.slotCount() > 0) {
            installed.lines = note.slots();
            installed.lineCount = Numbers.lines(note.slotCount());
            installed.table = plane.slots(installed.lines, note.slotCount());
        }
        for (Placed placed : installed.service.everybody()) {
            plane.untrace(installed.numberOf(placed));
            ways.adopt(installed, placed);
        }
        ways.watch(installed);
        return installed;
    }

    private void adopt(Endpoint endpoint, Vip found, Map<Integer, Installed> byNumber) throws IOException {
        Vip vip = found;
        Installed installed = byNumber.get(vip.service());
        String service = installed == null ? "" : installed.service.name;
        endpoints.belongs(endpoint, service);
        numbers.endpointWas(vip.id());
        if (installed == null) {
            endpoints.remove(service, endpoint);
            return;
        }
        if ((vip.flags() & Layout.FLAG_TRACE) != 0) {
            // Whoever looked on is gone.
            vip = vip.withFlags(vip.flags() & ~Layout.FLAG_TRACE);
            endpoints.put(service, endpoint, vip, Set.of());
        }
        installed.endpoints.put(endpoint, vip.id());
        installed.lingering |= (vip.flags() & Layout.FLAG_LOOKUP) != 0;
        installed.persists |= (vip.flags() & Layout.FLAG_PERSIST) != 0;
        installed.cookies |= (vip.flags() & Layout.FLAG_COOKIES) != 0;
        installed.greets = installed.cookies && plane.cookies(installed.service.number);
        installed.translation = vip.flags() & (Layout.FLAG_NAT | Layout.FLAG_FULL_NAT);
        if (installed.table != null && vip.slots() != installed.lines) {
            endpoints.put(service, endpoint, vip.withTable(installed.lines, installed.table.length()), Set.of());
        }
    }

    /** Names of nobody are of a process that ended while it made or took away a service. */
    private void adoptNames(Map<Integer, Installed> byNumber) throws IOException {
        for (Map.Entry<QuicName, Integer> entry : plane.quicIds().entrySet()) {
            Installed installed = byNumber.get(entry.getKey().service());
            int server = entry.getValue();
            if (installed != null
                    && installed.service.everybody().stream()
                            .anyMatch(placed -> installed.numberOf(placed) == server)) {
                installed.quicIds.put(entry.getKey(), server);
            } else {
                plane.removeQuicId(entry.getKey());
            }
        }
    }

    /**
     * One of two services of a name was to replace the other: that whose endpoints have the higher ids, or where they
     * have the same, because connections go on, that with more numbers. Either would do then.
     */
    private Installed succeed(Installed one, Installed other) {
        Comparator<Installed> age = Comparator.comparingInt(
                        (Installed each) -> Collections.max(each.endpoints.values()))
                .thenComparingInt(each -> each.service.capacity());
        boolean later = age.compare(one, other) > 0;
        Installed successor = later ? one : other;
        Installed predecessor = later ? other : one;
        successor.predecessor = predecessor;
        boolean follows = successor.translation == predecessor.translation;
        predecessor.endpoints.forEach((endpoint, id) ->
                successor.endpoints.computeIfAbsent(endpoint, unwritten -> follows ? id : numbers.nextEndpoint()));
        return successor;
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.xdp.DataPlane.Reason;
import io.ballast.director.xdp.DataPlane.Traffic;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;

/** What the data plane has counted and remembers, by the names of services and servers. */
final class Readings {
    /** How many services a sentence names. */
    private static final int NAMED = 5;

    private final DataPlane plane;
    private final Collection<Installed> services;

    /**
     * @param services those that there are, as they come and go
     */
    Readings(DataPlane plane, Collection<Installed> services) {
        this.plane = plane;
        this.services = services;
    }

    List<ServiceStatistics> statistics() throws IOException {
        List<ServiceStatistics> all = new ArrayList<>();
        for (Installed installed : services) {
            all.add(statistics(installed, plane.reasons(installed.service.number)));
        }
        return all;
    }

    private ServiceStatistics statistics(Installed installed, Map<Reason, Long> reasons) throws IOException {
        List<ServerStatistics> servers = new ArrayList<>();
        Traffic left = plane.traffic(installed.numberOfThoseWhoLeft());
        long connections = left.connections();
        long bytes = left.bytes();
        long bytesBack = left.bytesBack();
        int active = 0;
        for (Placed placed : installed.service.everybody()) {
            Load load = plane.load(installed.numberOf(placed));
            Traffic traffic = plane.traffic(installed.numberOf(placed));
            connections += traffic.connections();
            bytes += traffic.bytes();
            bytesBack += traffic.bytesBack();
            active += load.active();
            servers.add(new ServerStatistics(
                    placed.shown(),
                    load.active(),
                    load.inactive(),
                    traffic.connections(),
                    0,
                    traffic.bytes(),
                    traffic.bytesBack()));
        }
        Map<String, Long> refusals = new LinkedHashMap<>();
        refusals.put("rate", reasons.getOrDefault(Reason.DROP_RATE, 0L));
        refusals.put("source_rate", reasons.getOrDefault(Reason.DROP_SOURCE_RATE, 0L));
        refusals.put("unlearned", reasons.getOrDefault(Reason.FLOW_UNLEARNED, 0L));
        return new ServiceStatistics(
                installed.service.name,
                connections,
                active,
                0,
                refusals.values().stream().mapToLong(Long::longValue).sum(),
                bytes,
                bytesBack,
                servers,
                refusals);
    }

    /** What did not go the usual way, without zeros, by the name of the service; what is no service's under "". */
    Map<String, Map<Reason, Long>> reasons() throws IOException {
        Map<Integer, Map<Reason, Long>> rows = plane.reasonsByService();
        Map<String, Map<Reason, Long>> named = new TreeMap<>();
        named.put("", rows.getOrDefault(DataPlane.NO_SERVICE, Map.of()));
        for (Installed installed : services) {
            Map<Reason, Long> row = rows.get(installed.service.number);
            if (row != null) {
                named.put(installed.service.name, row);
            }
        }
        return named;
    }

    /** Whether SYNs are answered with cookies now, of the services that may do so. */
    Map<String, Boolean> synCookies() {
        Map<String, Boolean> named = new TreeMap<>();
        for (Installed installed : services) {
            if (installed.greets || installed.cookieSwitch != null) {
                named.put(installed.service.name, installed.greets);
            }
        }
        return named;
    }

    /**
     * Beside the control loop, which a walk over a million connections would hold up for half a second.
     *
     * @param lowered told, on another thread, which servers have fewer connections now
     */
    CompletionStage<ConnectionReport> connections(ConnectionQuery query, Consumer<BitSet> lowered) {
        ConnectionWalk walk = new ConnectionWalk(plane, query);
        List<Installed> forgetful = new ArrayList<>();
        for (Installed installed : services) {
            if (query.filter().service().isEmpty()
                    || installed.service.name.equals(query.filter().service())) {
                installed.withPredecessors().forEach(each -> meet(walk, each));
                if (!installed.remembersAll()) {
                    forgetful.add(installed);
                }
            }
        }
        List<String> notes = forgetful.isEmpty() ? List.of() : List.of(forgets(forgetful));
        return walk.start(notes, lowered);
    }

    private static void meet(ConnectionWalk walk, Installed installed) {
        Map<Integer, String> names = new HashMap<>();
        for (Placed placed : installed.service.everybody()) {
            names.put(installed.numberOf(placed), placed.shown());
        }
        for (Map.Entry<Endpoint, Integer> endpoint : installed.endpoints.entrySet()) {
            int idle = installed.idleTicks(endpoint.getKey());
            walk.meet(installed.service.name, endpoint.getKey(), endpoint.getValue(), idle, names);
        }
    }

    /** Why connections of these services are not to be seen. */
    private static String forgets(List<Installed> forgetful) {
        List<String> some = forgetful.stream()
                .limit(NAMED)
                .map(installed -> installed.service.name)
                .toList();
        String names = String.join(", ", some)
                + (forgetful.size() > NAMED ? " and " + (forgetful.size() - NAMED) + " more" : "");
        boolean any = forgetful.stream().anyMatch(installed -> installed.lingering);
        return "the engine xdp finds the servers of " + names + " by a hash of the client and remembers "
                + (any
                        ? "only connections in slots that a change of the servers has moved: there may be many more"
                        : "no connections while the servers stay as they are: there may be any number of them")
                + "; `ballast list --stats` counts them as they come";
    }
}

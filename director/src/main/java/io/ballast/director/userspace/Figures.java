package io.ballast.director.userspace;

import io.ballast.director.Forwarding;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Adds up what several workers, one after another or at once, have counted for one service. */
final class Figures {

    private Figures() {}

    /** What remains of a worker's figures when it is gone: what it counted, but none of what was open. */
    static ServiceStatistics ended(ServiceStatistics last) {
        List<ServerStatistics> servers = last.servers().stream()
                .map(s -> new ServerStatistics(
                        s.server(), 0, 0, s.connections(), s.failures(), s.bytesIn(), s.bytesOut()))
                .toList();
        return new ServiceStatistics(
                last.service(), last.connections(), 0, 0, last.refused(), last.bytesIn(), last.bytesOut(), servers);
    }

    /** Both together; a server that only one knows is there as well. */
    static ServiceStatistics sum(ServiceStatistics a, ServiceStatistics b) {
        Map<String, ServerStatistics> servers = new LinkedHashMap<>();
        a.servers().forEach(server -> servers.put(server.server(), server));
        b.servers().forEach(server -> servers.merge(server.server(), server, Figures::sum));
        return new ServiceStatistics(
                a.service(),
                a.connections() + b.connections(),
                a.active() + b.active(),
                a.queued() + b.queued(),
                a.refused() + b.refused(),
                a.bytesIn() + b.bytesIn(),
                a.bytesOut() + b.bytesOut(),
                List.copyOf(servers.values()));
    }

    private static ServerStatistics sum(ServerStatistics a, ServerStatistics b) {
        return new ServerStatistics(
                a.server(),
                a.active() + b.active(),
                a.inactive() + b.inactive(),
                a.connections() + b.connections(),
                a.failures() + b.failures(),
                a.bytesIn() + b.bytesIn(),
                a.bytesOut() + b.bytesOut());
    }

    /** A row for every server of the service, in its order, with zeros where nothing is known, and the sorry server's. */
    static ServiceStatistics complete(Forwarding service, @Nullable ServiceStatistics figures) {
        Map<String, ServerStatistics> known = new LinkedHashMap<>();
        if (figures != null) {
            figures.servers().forEach(server -> known.put(server.server(), server));
        }
        List<ServerStatistics> servers = new ArrayList<>();
        for (Forwarding.Server server : service.servers()) {
            servers.add(known.getOrDefault(server.name(), none(server.name())));
        }
        if (service.sorry().isPresent()) {
            servers.add(known.getOrDefault("sorry", none("sorry")));
        }
        return figures == null
                ? new ServiceStatistics(service.service(), 0, 0, 0, 0, 0, 0, servers)
                : new ServiceStatistics(
                        service.service(),
                        figures.connections(),
                        figures.active(),
                        figures.queued(),
                        figures.refused(),
                        figures.bytesIn(),
                        figures.bytesOut(),
                        servers);
    }

    private static ServerStatistics none(String server) {
        return new ServerStatistics(server, 0, 0, 0, 0, 0, 0);
    }
}

package io.ballast.node;

import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the engine counted last, and how fast that grew. Samples are taken every two seconds, more seldom where there are
 * very many servers, and once more when somebody asks. Only the control loop's thread calls it.
 */
final class Traffic {

    /** Figures of one service. */
    static final class OfService {
        private ServiceStatistics counted;
        private final Rates rates = new Rates();
        private final Map<String, Rates> servers = new HashMap<>();
        private final Map<String, ServerStatistics> byServer = new HashMap<>();

        private OfService(ServiceStatistics counted) {
            this.counted = counted;
        }

        /** The counters. */
        ServiceStatistics counted() {
            return counted;
        }

        /** How fast they grow. */
        Rates rates() {
            return rates;
        }

        /** The counters of a server; {@code sorry} for the sorry server. */
        Optional<ServerStatistics> server(String name) {
            return Optional.ofNullable(byServer.get(name));
        }

        /** How fast those grow; empty for a server that never had a connection. */
        Optional<Rates> rates(String server) {
            return Optional.ofNullable(servers.get(server));
        }

        /**
         * Takes a sample.
         *
         * @param before when the one before was taken; at this moment a server that has connections now had none
         */
        private void sample(ServiceStatistics now, long nanos, @Nullable Long before) {
            counted = now;
            rates.sample(now.connections(), now.bytesIn(), now.bytesOut(), nanos);
            byServer.clear();
            for (ServerStatistics server : now.servers()) {
                byServer.put(server.server(), server);
                if (server.connections() > 0) {
                    servers.computeIfAbsent(server.server(), name -> {
                                Rates fresh = new Rates();
                                if (before != null) {
                                    fresh.sample(0, 0, 0, before);
                                }
                                return fresh;
                            })
                            .sample(server.connections(), server.bytesIn(), server.bytesOut(), nanos);
                }
            }
            servers.keySet().retainAll(byServer.keySet());
        }
    }

    private final Map<String, OfService> services = new HashMap<>();
    private long sampledAt;
    private boolean sampled;

    /** Takes what the engine counted. */
    void sample(List<ServiceStatistics> all, long nanos) {
        Map<String, OfService> next = new HashMap<>();
        for (ServiceStatistics service : all) {
            OfService known = services.get(service.service());
            OfService figures = known == null ? new OfService(service) : known;
            figures.sample(service, nanos, known == null ? null : sampledAt);
            next.put(service.service(), figures);
        }
        services.clear();
        services.putAll(next);
        sampledAt = nanos;
        sampled = true;
    }

    /** Whether there is a sample no older than so many nanoseconds. */
    boolean isFresh(long nanos, long atMost) {
        return sampled && nanos - sampledAt <= atMost;
    }

    /** The figures of a service; null before the engine was asked for the first time. */
    @Nullable
    OfService of(String service) {
        return services.get(service);
    }
}

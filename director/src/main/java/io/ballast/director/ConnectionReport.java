package io.ballast.director;

import io.ballast.director.ConnectionFilter.Phase;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/**
 * The answer to a {@link ConnectionQuery}.
 *
 * @param connections where they were to be listed
 * @param counts where they were to be counted or ended
 * @param notes what the figures do not say, as sentences for people: connections that an engine cannot know
 */
public record ConnectionReport(List<ConnectionInfo> connections, List<Count> counts, List<String> notes) {
    /** Nothing. */
    public static final ConnectionReport EMPTY = new ConnectionReport(List.of(), List.of(), List.of());

    /**
     * Connections of a server.
     *
     * @param server its name; empty for those that have none yet
     */
    public record Count(String service, String server, long opening, long established, long closing) {
        /** In whatever phase. */
        public long total() {
            return opening + established + closing;
        }

        private Count plus(Count other) {
            return new Count(
                    service, server, opening + other.opening, established + other.established, closing + other.closing);
        }
    }

    /** How many were counted or ended. */
    public long total() {
        return counts.stream().mapToLong(Count::total).sum();
    }

    /** Several answers to one query as one. */
    public static ConnectionReport merge(List<ConnectionReport> reports, int limit) {
        List<ConnectionInfo> connections = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        Map<List<String>, Count> counts = new LinkedHashMap<>();
        for (ConnectionReport report : reports) {
            connections.addAll(report.connections);
            notes.addAll(report.notes);
            for (Count count : report.counts) {
                counts.merge(List.of(count.service, count.server), count, Count::plus);
            }
        }
        return new ConnectionReport(
                List.copyOf(connections.subList(0, Math.min(limit, connections.size()))),
                List.copyOf(counts.values()),
                List.copyOf(notes));
    }

    /** A report while it is made, by one thread after the other. */
    public static final class Draft {
        private final ConnectionQuery query;
        private final List<ConnectionInfo> connections = new ArrayList<>();
        private final Map<String, Map<String, long[]>> counts = new LinkedHashMap<>();

        /** Nothing found yet. */
        public Draft(ConnectionQuery query) {
            this.query = query;
        }

        /** What is asked. */
        public ConnectionQuery query() {
            return query;
        }

        /** Whether nothing more is wanted. */
        public boolean full() {
            return query.task() == ConnectionQuery.Task.LIST && connections.size() >= query.limit();
        }

        /** Adds a connection that is meant. */
        public void add(String service, String server, Phase phase, Supplier<ConnectionInfo> info) {
            if (query.task() == ConnectionQuery.Task.LIST) {
                if (!full()) {
                    connections.add(info.get());
                }
                return;
            }
            long[] count = counts.computeIfAbsent(service, name -> new LinkedHashMap<>())
                    .computeIfAbsent(server, name -> new long[Phase.values().length]);
            count[
                    switch (phase) {
                        case OPENING -> 0;
                        case ESTABLISHED -> 1;
                        case CLOSING -> 2;
                    }]++;
        }

        /** What was found. */
        public ConnectionReport report(List<String> notes) {
            List<Count> all = new ArrayList<>();
            counts.forEach((service, servers) -> servers.forEach(
                    (server, count) -> all.add(new Count(service, server, count[0], count[1], count[2]))));
            return new ConnectionReport(List.copyOf(connections), List.copyOf(all), List.copyOf(notes));
        }
    }
}

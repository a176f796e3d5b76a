package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionFilter.Phase;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import java.io.IOException;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * One look at every remembered connection, on a thread of its own: a million of them take half a second, for which the
 * control loop has no time. What the numbers in the table stand for is collected on the loop first; packets, the sweep
 * and this may all be at one place at a time, and what is read is copied out before it is looked at.
 */
final class ConnectionWalk {
    /** What the id of an endpoint stands for. */
    private record Met(String service, Endpoint endpoint, int idleTicks, Map<Integer, String> servers) {}

    private final DataPlane plane;
    private final ConnectionQuery query;
    private final Map<Integer, Met> byVip = new HashMap<>();
    private final BitSet changed = new BitSet();

    ConnectionWalk(DataPlane plane, ConnectionQuery query) {
        this.plane = plane;
        this.query = query;
    }

    /**
     * Has connections of an endpoint looked at, as far as the filter means them.
     *
     * @param id of the endpoint
     * @param idleTicks how long one may be idle
     * @param servers names by number
     */
    void meet(String service, Endpoint endpoint, int id, int idleTicks, Map<Integer, String> servers) {
        if (query.filter().hasProtocol(endpoint.protocol())) {
            byVip.put(id, new Met(service, endpoint, idleTicks, servers));
        }
    }

    /**
     * Begins.
     *
     * @param notes for the report
     * @param lowered told, on the other thread, which servers have fewer connections now
     * @return completed on another thread
     */
    CompletableFuture<ConnectionReport> start(List<String> notes, Consumer<BitSet> lowered) {
        CompletableFuture<ConnectionReport> result = new CompletableFuture<>();
        FlowTable flows = plane.flowsForAnotherThread();
        // Virtual threads would share with it what they run on, and checks are among them.
        Thread.ofPlatform().daemon().name("xdp-connections").start(() -> {
            try {
                result.complete(walk(flows, notes, lowered));
            } catch (IllegalStateException e) {
                result.completeExceptionally(new IOException("the engine xdp was closed meanwhile", e));
            } catch (RuntimeException e) {
                result.completeExceptionally(e);
            }
        });
        return result;
    }

    private ConnectionReport walk(FlowTable flows, List<String> notes, Consumer<BitSet> lowered) {
        ConnectionReport.Draft draft = new ConnectionReport.Draft(query);
        if (byVip.isEmpty()) {
            return draft.report(notes);
        }
        int now = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
        flows.visit(place -> {
            Met met = byVip.get(place.vip());
            if (met != null && place.expires() - now >= 0) {
                look(draft, place, met, now);
            }
            return !draft.full();
        });
        if (!changed.isEmpty()) {
            lowered.accept(changed);
        }
        return draft.report(notes);
    }

    private void look(ConnectionReport.Draft draft, FlowTable.Place place, Met met, int now) {
        Phase phase = phase(place.state());
        ConnectionFilter filter = query.filter();
        String server = met.servers.getOrDefault(place.server(), "");
        if (phase == null
                || !filter.hasPhase(phase)
                || !filter.hasServer(server)
                || !filter.hasClient(place.clientHigh(), place.clientLow(), place.clientPort())) {
            return;
        }
        if (query.task() == ConnectionQuery.Task.KILL) {
            int was = place.kill(now + met.idleTicks);
            if (was != 0 && plane.countOut(place.server(), was)) {
                changed.set(place.server());
            }
            phase = phase(was);
        }
        Phase shown = phase;
        if (shown != null) {
            draft.add(
                    met.service, server, shown, () -> place.flow().describe(met.service, met.endpoint, server, shown));
        }
    }

    /** Null for what is in the table and is no connection. */
    private static @Nullable Phase phase(int state) {
        return switch (state) {
            case Layout.OPENING, Layout.COOKIE -> Phase.OPENING;
            case Layout.ESTABLISHED -> Phase.ESTABLISHED;
            case Layout.CLOSING -> Phase.CLOSING;
            default -> null;
        };
    }
}

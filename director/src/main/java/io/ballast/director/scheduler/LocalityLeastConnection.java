package io.ballast.director.scheduler;

import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * {@code lblc}: connections to one destination address go to one server (whose cache then holds what is there), chosen
 * by weighted least connection, until it is {@linkplain Locality overloaded} or gone; then another is chosen the same
 * way. Unlike in IPVS, a server at its limit counts as gone too, because a limit is never exceeded here.
 *
 * <p>A destination that is not yet remembered costs one small object.
 */
final class LocalityLeastConnection extends Locality {

    private static final class Destination extends AddressTable.Entry {

        private Member server;
        private long lastUse;

        Destination(FlowKey flow, Member server, long now) {
            super(flow.destinationHigh(), flow.destinationLow());
            this.server = server;
            this.lastUse = now;
        }
    }

    private final AddressTable<Destination> destinations = new AddressTable<>(0);

    @Override
    public @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        Destination destination = destinations.get(flow.destinationHigh(), flow.destinationLow());
        if (destination != null) {
            destination.lastUse = now;
            Member server = destination.server;
            if (server.available() && !overloaded(server) && !excluded.test(server)) {
                return server;
            }
        }
        Member server = heap.first(excluded);
        if (server == null) {
            return null;
        }
        if (destination != null) {
            destination.server = server;
        } else if (destinations.size() < MOST) {
            destinations.put(new Destination(flow, server, now));
        }
        return server;
    }

    @Override
    public void expire(long nowNanos) {
        startForgetting(nowNanos, destinations.size());
        destinations.removeIf(destination -> old(destination.lastUse));
    }

    /** How many destinations are remembered. */
    int destinations() {
        return destinations.size();
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.ForwardingMethod;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.xdp.InstalledService.Placed;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * The way to each server: what is known of it, and with that what the table of servers says. A change of the way is
 * written at once. A server that can be sent to for the first time is to have connections besides, which is for the
 * service's other tables; since many come at a time, that is asked for once for all of them.
 */
final class Ways {
    private static final int GUE_PORT = 6080;

    private final DataPlane plane;
    private final Hops hops;
    private final Consumer<Installed> rewrite;
    private final Map<InetAddress, Hop> known = new HashMap<>();
    /** Those with servers that can be sent to since a moment ago. */
    private final Set<Installed> reached = new HashSet<>();

    /**
     * @param rewrite told of services with servers that can be sent to from now on
     */
    Ways(DataPlane plane, Hops hops, Consumer<Installed> rewrite) {
        this.plane = plane;
        this.hops = hops;
        this.rewrite = rewrite;
    }

    /** Follows the ways to the servers that the service has now. */
    void watch(Installed installed) {
        Set<InetAddress> wanted = new HashSet<>();
        installed
                .service
                .everybody()
                .forEach(placed -> wanted.add(placed.described.address().getAddress()));
        for (InetAddress address : List.copyOf(installed.watched.keySet())) {
            if (!wanted.contains(address)) {
                hops.forget(address, Objects.requireNonNull(installed.watched.remove(address)));
            }
        }
        for (InetAddress address : wanted) {
            if (!installed.watched.containsKey(address)) {
                Hops.Listener listener = (server, hop) -> hop(installed, server, hop);
                installed.watched.put(address, listener);
                hops.watch(address, listener);
            }
        }
        for (Placed placed : installed.service.everybody()) {
            placed.reached |= known.containsKey(placed.described.address().getAddress());
        }
    }

    /** Follows none of them any more. */
    void forget(Installed installed) {
        installed.watched.forEach(hops::forget);
        installed.watched.clear();
    }

    /** The way that an earlier process has written. */
    void adopt(Installed installed, Placed placed) {
        placed.source = plane.source(installed.numberOf(placed)).orElse(null);
        plane.hop(installed.numberOf(placed)).ifPresent(hop -> {
            known.put(placed.described.address().getAddress(), hop);
            placed.reached = true;
        });
    }

    private void hop(Installed installed, InetAddress server, Optional<Hop> hop) {
        if (hop.isPresent()) {
            known.put(server, hop.get());
        } else {
            known.remove(server);
        }
        if (installed.writing) {
            return;
        }
        for (Placed placed : installed.service.everybody()) {
            if (!placed.described.address().getAddress().equals(server)) {
                continue;
            }
            int number = installed.numberOf(placed);
            if (!installed.service.isKnown()) {
                plane.hop(number, placed.cut ? Optional.empty() : hop.filter(way -> !way.isHere()));
                continue;
            }
            plane.server(number, target(installed, placed));
            if (hop.isPresent() && !placed.reached) {
                rewriteSoon(installed);
            }
        }
    }

    private void rewriteSoon(Installed installed) {
        boolean first = reached.isEmpty();
        reached.add(installed);
        if (first) {
            hops.soon(() -> {
                Set<Installed> due = Set.copyOf(reached);
                reached.clear();
                due.forEach(rewrite);
            });
        }
    }

    /** Whether its tables will be written again in a moment. */
    boolean willRewrite(Installed installed) {
        return reached.contains(installed);
    }

    /** Writes a service's servers. */
    void write(Installed installed) {
        for (Placed placed : installed.service.everybody()) {
            Target target = target(installed, placed);
            plane.server(installed.numberOf(placed), target);
            if (installed.trace != null) {
                installed.trace.server(installed.numberOf(placed), placed.shown(), target);
            }
        }
    }

    private Target target(Installed installed, Placed placed) {
        InetAddress address = placed.described.address().getAddress();
        Optional<Hop> hop = Optional.ofNullable(known.get(address)).filter(way -> !way.isHere());
        int flags = 0;
        if (hop.isPresent() && !placed.cut) {
            flags |= Layout.READY;
        }
        if (installed.trace != null) {
            flags |= Layout.TRACED;
        }
        if (placed.takesNew() && installed.service.isEligible(placed)) {
            flags |= Layout.NEW;
        }
        if (placed.described.state() == ServerState.DOWN) {
            flags |= Layout.DOWN;
        }
        ForwardingMethod method = installed.service.forwarding().method();
        int port = 0;
        switch (method) {
            case DR, PROXY -> {}
            case TUNNEL -> flags |= tunnel(address);
            case GUE -> {
                flags |= tunnel(address) | Layout.GUE;
                port = GUE_PORT;
            }
            case NAT, FULLNAT -> {
                flags |= Layout.NAT | (method == ForwardingMethod.FULLNAT ? Layout.FULL_NAT : 0);
                port = placed.described.address().getPort();
            }
        }
        InetAddress source = source(installed, placed, address);
        if (method == ForwardingMethod.FULLNAT && source.equals(address)) {
            // There is no address yet under which the server could answer.
            flags &= ~Layout.READY;
        }
        return new Target(installed.service.number, placed.member, flags, address, source, port, hop);
    }

    private static int tunnel(InetAddress address) {
        return address instanceof Inet4Address ? Layout.TUNNEL4 : Layout.TUNNEL6;
    }

    /** Connections of full NAT end where the director's address changes, so that it stays as long as the server's does. */
    private InetAddress source(Installed installed, Placed placed, InetAddress address) {
        InetAddress source = installed
                .service
                .forwarding()
                .source()
                .filter(given -> given.getClass().equals(address.getClass()))
                .or(() -> Optional.ofNullable(placed.source))
                .or(() -> hops.sourceFor(address))
                .orElse(address);
        if (!source.equals(address)) {
            placed.source = source;
        }
        return source;
    }
}

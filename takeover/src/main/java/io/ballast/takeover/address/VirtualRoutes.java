package io.ballast.takeover.address;

import io.ballast.core.config.VirtualRouterSpec.RouteSpec;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet6Address;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Routes that go with the addresses of virtual routers. They bear a protocol number of their own ({@code ip route show proto
 * 112}), by which those that a killed daemon has left are known; nobody else's are ever changed. Not thread-safe.
 */
public final class VirtualRoutes implements AutoCloseable {
    /** VRRP's among the protocols of IP, as addresses have it ({@link AddressKeeper#PROTOCOL}). */
    public static final int PROTOCOL = AddressKeeper.PROTOCOL;

    private static final int USUAL_METRIC = 1024;

    private final RouteNetlink netlink;
    private final Map<String, List<Route>> all = new HashMap<>();

    private VirtualRoutes(RouteNetlink netlink) {
        this.netlink = netlink;
    }

    /** In the network namespace of the calling thread; what an earlier daemon has left there is removed. */
    public static VirtualRoutes open() throws IOException {
        RouteNetlink netlink = RouteNetlink.open();
        try {
            for (Route left : netlink.routes()) {
                if (left.protocol() == PROTOCOL) {
                    remove(netlink, left);
                }
            }
            return new VirtualRoutes(netlink);
        } catch (IOException | RuntimeException e) {
            netlink.close();
            throw e;
        }
    }

    /**
     * Has these for a virtual router from now on, and no others.
     *
     * @param router tells virtual routers apart
     * @param carrier the interface of those that name none
     * @return what is wrong, for people
     */
    public List<String> become(String router, List<RouteSpec> specs, Link carrier) {
        List<String> problems = new ArrayList<>();
        List<Route> wanted = new ArrayList<>();
        for (RouteSpec spec : specs) {
            try {
                wanted.add(route(spec, carrier));
            } catch (IOException e) {
                problems.add("the route " + spec + " cannot be had: " + e.getMessage());
            }
        }
        List<Route> had = all.getOrDefault(router, List.of());
        for (Route route : had) {
            if (!wanted.contains(route)) {
                try {
                    remove(netlink, route);
                } catch (IOException e) {
                    problems.add("a route stays: " + e.getMessage());
                }
            }
        }
        List<Route> has = new ArrayList<>();
        for (Route route : wanted) {
            try {
                add(route);
                has.add(route);
            } catch (IOException e) {
                problems.add("a route cannot be added: " + e.getMessage());
            }
        }
        if (has.isEmpty()) {
            all.remove(router);
        } else {
            all.put(router, has);
        }
        return problems;
    }

    private Route route(RouteSpec spec, Link carrier) throws IOException {
        int link = carrier.index();
        if (spec.device().isPresent()) {
            Optional<Link> named = netlink.link(spec.device().get());
            link = named.orElseThrow(() -> new IOException(
                            "there is no interface " + spec.device().get()))
                    .index();
        }
        Route route = Route.to(
                        new Prefix(spec.to().address(), spec.to().prefixLength()),
                        link,
                        spec.via().orElse(null))
                .withTable(spec.table())
                .withMetric(spec.metric())
                .withProtocol(PROTOCOL);
        return spec.source().isPresent() ? route.withSource(spec.source().get()) : route;
    }

    private void add(Route route) throws IOException {
        try {
            netlink.add(route);
        } catch (LinuxException e) {
            if (e.errno() != Errno.EEXIST) {
                throw e;
            }
            boolean ours = netlink.routes().stream()
                    .anyMatch(known -> known.protocol() == PROTOCOL
                            && known.table() == route.table()
                            && known.metric() == metric(route)
                            && known.destination().equals(route.destination()));
            if (!ours) {
                throw new IOException(
                        route.destination()
                                + " has a route of somebody else's of the same metric: give this one another",
                        e);
            }
            netlink.replace(route);
        }
    }

    /** IPv6 knows none of metric 0. */
    private static int metric(Route route) {
        return route.metric() == 0 && route.destination().address() instanceof Inet6Address
                ? USUAL_METRIC
                : route.metric();
    }

    /** One that is gone already, as with its interface or its source, is no matter. */
    private static void remove(RouteNetlink netlink, Route route) throws IOException {
        try {
            netlink.remove(route);
        } catch (LinuxException e) {
            if (e.errno() != Errno.ESRCH && e.errno() != Errno.ENODEV) {
                throw e;
            }
        }
    }

    /** Removes those that are left. */
    @Override
    public void close() throws IOException {
        try (netlink) {
            for (List<Route> routes : all.values()) {
                for (Route route : routes) {
                    remove(netlink, route);
                }
            }
        }
    }
}

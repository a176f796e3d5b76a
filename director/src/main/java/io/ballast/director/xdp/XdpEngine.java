package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.Trace;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The engine {@code xdp}: translates what services should be into the tables of the program in the kernel.
 *
 * <p><b>A service in the data plane</b> ({@link Installed}) is a run of numbers for its servers, a schedule (a table of
 * slots for mh, sh, dh, rr and wrr; a tree for lc, wlc, sed and nq), and an endpoint for each address that it listens on,
 * which points to both. Servers and schedule are written first and the endpoint last, so that no packet finds half a
 * service ({@link ServiceTables}); later changes are each a single word, or replace the endpoint as a whole. The way to
 * each server is a matter of its own ({@link Ways}).
 *
 * <p><b>Connections</b> of hash services are not remembered while nothing changes ({@link SlotTable}); those of the
 * others always are. What time brings about (a base that settles, a drain that ends, a number that is free again)
 * happens in {@link #tick} ({@link Upkeep}).
 *
 * <p><b>Here</b> is which services there are: what can be taken on, what is refused and why, what is tried again, what an
 * earlier process left ({@link Adoption}), and who looks on.
 */
final class XdpEngine implements ForwardingEngine {
    private final DataPlane plane;
    private final Hops hops;
    private final EngineEvents events;
    private final LongSupplier clock;
    private final Map<String, Installed> services = new LinkedHashMap<>();
    private final Numbers numbers;
    private final Ways ways;
    private final ServiceTables tables;
    private final Upkeep upkeep;
    private final Readings readings;
    private final Adoption adoption;
    /** What could not be done, to be tried again, and why what is refused is so. */
    private final Map<String, Forwarding> failed = new LinkedHashMap<>();

    private final Map<String, String> refused = new HashMap<>();
    /** Endpoints that are said to be listening. */
    private final Map<String, Set<Endpoint>> told = new HashMap<>();

    private @Nullable SharedFlows shared;
    private Map<InetAddress, SharedFlows.WayIn> waysIn = Map.of();
    private boolean willTellNumbers;

    private @Nullable XdpTrace trace;
    /** The service that it is of; empty while there is none. */
    private String traced = "";

    /**
     * @param clock nanoseconds of a monotonic clock
     */
    XdpEngine(DataPlane plane, Hops hops, EngineEvents events, LongSupplier clock) {
        this.plane = plane;
        this.hops = hops;
        this.events = events;
        this.clock = clock;
        Endpoints endpoints = new Endpoints(plane);
        numbers = new Numbers(plane.sizes(), Upkeep.SWEEP_PARTS);
        ways = new Ways(plane, hops, this::rewrite);
        tables = new ServiceTables(plane, endpoints, numbers, ways);
        upkeep = new Upkeep(plane, services.values(), numbers, tables, events);
        readings = new Readings(plane, services.values());
        adoption = new Adoption(plane, endpoints, numbers, ways, tables);
    }

    @Override
    public String name() {
        return "xdp";
    }

    // ---- Services

    @Override
    public void put(Forwarding next) {
        take(next);
        tellNumbersSoon();
    }

    private void take(Forwarding next) {
        Installed installed = services.get(next.service());
        boolean again = failed.remove(next.service()) != null;
        if (installed != null && installed.service.is(next) && !again) {
            return;
        }
        if (!EngineKind.XDP.has(next.method())) {
            refuse(next, "the engine xdp has no forwarding " + next.method().yamlName());
            return;
        }
        if (next.servers().size() > InstalledService.MOST_SERVERS) {
            refuse(
                    next,
                    "the engine xdp has at most " + InstalledService.MOST_SERVERS + " servers in a service, not "
                            + next.servers().size());
            return;
        }
        if (translation(next.method()) != 0 && mixes(next)) {
            refuse(
                    next,
                    "forwarding " + next.method().yamlName()
                            + " translates no IPv4 into IPv6: servers must have addresses of the service's family");
            return;
        }
        Vip.Kind kind = InstalledService.kind(next.scheduler());
        if (kind == null) {
            refuse(
                    next,
                    "the engine xdp has no scheduler " + next.scheduler().yamlName()
                            + ": it has mh, rr, wrr, lc, wlc, sh, dh, sed and nq");
            return;
        }
        try {
            // Another kind of schedule or way to the servers, or more servers than numbers, is another service to the
            // data plane.
            if (installed == null
                    || installed.kind != kind
                    || installed.translation != translation(next.method())
                    || !installed.service.update(next, clock.getAsLong())) {
                installed = install(next, kind, installed);
            }
            if (installed == null) {
                refuse(next, "the engine xdp has no room for another service: " + plane.sizes());
            } else if (write(installed)) {
                refused.remove(next.service());
                return;
            }
        } catch (IOException e) {
            refuse(next, String.valueOf(e.getMessage()));
        }
        failed.put(next.service(), next);
    }

    private static int translation(ForwardingMethod method) {
        return switch (method) {
            case PROXY, DR, TUNNEL, GUE -> 0;
            case NAT -> Layout.FLAG_NAT;
            case FULLNAT -> Layout.FLAG_NAT | Layout.FLAG_FULL_NAT;
        };
    }

    private static boolean mixes(Forwarding forwarding) {
        Set<Boolean> families = new HashSet<>();
        forwarding.listen().forEach(endpoint -> families.add(endpoint.ipv6()));
        Stream.concat(forwarding.servers().stream().map(Forwarding.Server::address), forwarding.sorry().stream())
                .forEach(address -> families.add(!(address.getAddress() instanceof Inet4Address)));
        return families.size() > 1;
    }

    /** Says so once for each reason. */
    private void refuse(Forwarding forwarding, String reason) {
        if (!reason.equals(refused.put(forwarding.service(), reason))) {
            for (Endpoint endpoint : forwarding.listen()) {
                events.notListening(forwarding.service(), endpoint, reason);
            }
        }
    }

    /** Takes numbers; null where there are not enough. */
    private @Nullable Installed install(Forwarding first, Vip.Kind kind, @Nullable Installed predecessor)
            throws IOException {
        // What the servers know of their connections has to stay true for the connections to go on.
        Installed followed =
                predecessor != null && predecessor.translation == translation(first.method()) ? predecessor : null;
        int capacity =
                followed == null ? InstalledService.capacityFor(first) : followed.service.capacityToFollow(first);
        Numbers.Taken taken = numbers.take(capacity, kind.byLoad());
        if (taken == null && numbers.areWaiting()) {
            upkeep.sweep(Upkeep.SWEEP_PARTS);
            taken = numbers.take(capacity, kind.byLoad());
        }
        if (taken == null) {
            return null;
        }
        Installed installed = new Installed(
                followed == null
                        ? new InstalledService(taken.service(), capacity, first.service())
                        : new InstalledService(taken.service(), capacity, followed.service),
                taken.firstServer(),
                taken.tree(),
                kind);
        installed.translation = translation(first.method());
        installed.trace = first.service().equals(traced) ? trace : null;
        installed.predecessor = predecessor;
        if (predecessor != null) {
            installed.greets = predecessor.greets;
            installed.counts = false;
            if (followed != null) {
                installed.follow(followed);
            } else {
                // With other ids: nobody may find what is remembered, since it is nobody's any more.
                predecessor
                        .endpoints
                        .keySet()
                        .forEach(endpoint -> installed.endpoints.put(endpoint, numbers.nextEndpoint()));
            }
            warnOfConnections(installed, predecessor, followed != null);
        }
        installed.service.update(first, clock.getAsLong());
        tables.clear(installed);
        services.put(first.service(), installed);
        return installed;
    }

    /** @param follows whether remembered connections go on */
    private void warnOfConnections(Installed installed, Installed predecessor, boolean follows) {
        String service = installed.service.name;
        if (!follows) {
            events.note(
                    true,
                    service,
                    "its connections end, since servers know them by other addresses with another forwarding; clients have to"
                            + " open them again");
        } else if (!predecessor.remembersAll() && predecessor.kind != installed.kind) {
            events.note(
                    true,
                    service,
                    "connections that were opened before may go to another server, since the scheduler until now did not"
                            + " have them remembered and the new one cannot tell where they were");
        }
    }

    /** Writes the service's tables; false, with the reason told, where there is no room. */
    private boolean write(Installed installed) throws IOException {
        Forwarding forwarding = installed.service.forwarding();
        if (!tables.write(installed, clock.getAsLong())) {
            refuse(forwarding, "the engine xdp has no room for another table: " + plane.sizes());
            return false;
        }
        Set<Endpoint> now = Set.copyOf(forwarding.listen());
        Set<Endpoint> before = told.put(forwarding.service(), now);
        for (Endpoint endpoint : forwarding.listen()) {
            if (before == null || !before.contains(endpoint) || refused.containsKey(forwarding.service())) {
                events.listening(forwarding.service(), endpoint);
            }
        }
        return true;
    }

    private void rewrite(Installed installed) {
        if (!installed.equals(services.get(installed.service.name))) {
            return;
        }
        Forwarding forwarding = installed.service.forwarding();
        try {
            if (write(installed)) {
                return;
            }
        } catch (IOException e) {
            refuse(forwarding, String.valueOf(e.getMessage()));
        }
        failed.put(forwarding.service(), forwarding);
    }

    @Override
    public void remove(String service) {
        failed.remove(service);
        refused.remove(service);
        told.remove(service);
        Installed installed = services.remove(service);
        if (installed != null) {
            try {
                tables.remove(installed);
            } catch (IOException e) {
                events.note(true, service, String.valueOf(e.getMessage()));
            }
        }
        tellNumbersSoon();
    }

    /** Takes over what an earlier process left in the tables; to be called before anything else. */
    void adopt() throws IOException {
        services.putAll(adoption.services());
        upkeep.sweep(Upkeep.SWEEP_PARTS);
    }

    /** Removes what was adopted and is not wanted any more. */
    void retain(Set<String> wanted) {
        for (String service : Set.copyOf(services.keySet())) {
            if (!wanted.contains(service)) {
                remove(service);
            }
        }
    }

    /** The services that are in the tables. */
    Set<String> services() {
        return Set.copyOf(services.keySet());
    }

    /** Whether the service is in the tables as the last {@link #put} has it. */
    boolean serves(String service) {
        Installed installed = services.get(service);
        return installed != null
                && installed.service.isKnown()
                && !failed.containsKey(service)
                && !ways.willRewrite(installed);
    }

    // ---- Time

    /** Does what has become due; to be called about every second. */
    void tick() {
        List.copyOf(failed.values()).forEach(this::put);
        upkeep.step(clock.getAsLong());
        tellNumbers();
    }

    /** Sets each server's load to what is remembered: for tables that were copied while connections came and went. */
    void recount() {
        plane.recount();
        services.values().stream().filter(installed -> installed.tree >= 0).forEach(tables::rank);
    }

    // ---- Reading

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        try {
            return CompletableFuture.completedFuture(readings.statistics());
        } catch (IOException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    /** What did not go the usual way, without zeros, by the name of the service; what is no service's under "". */
    Map<String, Map<DataPlane.Reason, Long>> reasons() throws IOException {
        return readings.reasons();
    }

    /** Whether SYNs are answered with cookies now, of the services that may do so. */
    Map<String, Boolean> synCookies() {
        return readings.synCookies();
    }

    /** How the table of remembered connections is used. */
    FlowPressure.Occupancy occupancy() {
        return upkeep.occupancy();
    }

    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        return readings.connections(query, lowered -> hops.soon(() -> upkeep.rank(lowered)));
    }

    // ---- Other directors

    /**
     * The remembered connections for other directors; one view of them is enough for all.
     *
     * @param seed what the program's hash begins with
     */
    SharedFlows share(long seed) {
        SharedFlows flows = new SharedFlows(plane, seed, changed -> hops.soon(() -> upkeep.rank(changed)));
        shared = flows;
        tellNumbers();
        return flows;
    }

    /** Where clients of shared addresses come in. */
    void waysIn(Map<InetAddress, SharedFlows.WayIn> ways) {
        if (!ways.equals(waysIn)) {
            waysIn = Map.copyOf(ways);
            tellNumbersSoon();
        }
    }

    /** Of many services that change at a time, the numbers are collected once. */
    private void tellNumbersSoon() {
        if (shared != null && !willTellNumbers) {
            willTellNumbers = true;
            hops.soon(() -> {
                willTellNumbers = false;
                tellNumbers();
            });
        }
    }

    private void tellNumbers() {
        if (shared != null) {
            shared.know(SharedFlows.Known.of(services.values(), waysIn));
        }
    }

    // ---- Traces

    /**
     * Begins to look at packets of a service; of one service at a time.
     *
     * @param every of so many packets one is told of
     * @param limit so many are told of at most
     * @param interfaces the name of an interface by its number
     */
    Trace trace(String service, int every, int limit, IntFunction<String> interfaces)
            throws RefusedException, IOException {
        if (trace != null) {
            throw new RefusedException(
                    RefusedException.Kind.CONFLICT,
                    "a trace of " + traced + " is running already: wait for its end, or end it");
        }
        Installed installed = services.get(service);
        if (installed == null || !serves(service)) {
            throw new RefusedException(
                    RefusedException.Kind.CONFLICT,
                    "the engine xdp does not forward " + service + " at the moment; `ballast status` says why");
        }
        XdpTrace begun = new XdpTrace(plane, interfaces, this::endTrace);
        trace = begun;
        traced = service;
        plane.trace(every, limit);
        installed.trace = begun;
        tables.writeTrace(installed);
        return begun;
    }

    private void endTrace() {
        Installed installed = services.get(traced);
        plane.trace(1, 0);
        trace = null;
        traced = "";
        if (installed != null && installed.service.isKnown()) {
            installed.trace = null;
            try {
                tables.writeTrace(installed);
            } catch (IOException e) {
                events.note(true, installed.service.name, "its trace does not end: " + e.getMessage());
            }
        }
    }

    /** The program and its tables stay as they are: packets go on. */
    @Override
    public void close() {
        XdpTrace running = trace;
        if (running != null) {
            running.end();
            endTrace();
        }
        services.values().forEach(ways::forget);
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.scheduler.HashOptions;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.director.xdp.DataPlane.Traffic;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The engine {@code xdp}: translates what services should be into the tables of the program in the kernel.
 *
 * <p><b>A service in the data plane</b> is a run of numbers for its servers, a schedule (a table of slots for mh, sh, dh,
 * rr and wrr; a tree for lc, wlc, sed and nq), and an endpoint for each address that it listens on, which points to both.
 * Servers and schedule are written first and the endpoint last, so that no packet finds half a service; later changes are
 * each a single word, or replace the endpoint as a whole.
 *
 * <p><b>Connections</b> of hash services are not remembered while nothing changes ({@link SlotTable}); those of the
 * others always are. What time brings about (a base that settles, a drain that ends, a number that is free again)
 * happens in {@link #tick}.
 */
final class XdpEngine implements ForwardingEngine {
    /** How long a connection may be half open, as IPVS has it. */
    private static final long OPENING_NANOS = 60_000_000_000L;

    private static final int GUE_PORT = 6080;

    /** What a service has taken of the data plane. */
    private static final class Installed {
        final InstalledService service;
        final int firstServer;
        final Vip.Kind kind;
        final Map<Endpoint, Integer> endpoints = new LinkedHashMap<>();
        final Map<InetAddress, Hops.Listener> watched = new HashMap<>();
        int tree = -1;
        int lines = -1;
        int lineCount;

        @Nullable
        SlotTable table;

        long changed;
        boolean lingering;

        Installed(InstalledService service, int firstServer, Vip.Kind kind) {
            this.service = service;
            this.firstServer = firstServer;
            this.kind = kind;
        }
    }

    private final DataPlane plane;
    private final Hops hops;
    private final EngineEvents events;
    private final LongSupplier clock;
    private final Map<String, Installed> services = new LinkedHashMap<>();
    private final Map<InetAddress, Hop> known = new HashMap<>();
    private final Extents serverNumbers;
    private final Extents slotLines;
    private final Extents nodeLines;
    private final BitSet serviceNumbers = new BitSet();
    /** The last id given. None is given twice: a remembered connection names its endpoint's. */
    private int lastEndpoint;

    /**
     * @param clock nanoseconds of a monotonic clock
     */
    XdpEngine(DataPlane plane, Hops hops, EngineEvents events, LongSupplier clock) {
        this.plane = plane;
        this.hops = hops;
        this.events = events;
        this.clock = clock;
        serverNumbers = new Extents(0, plane.sizes().servers());
        slotLines = new Extents(0, plane.sizes().slotLines());
        nodeLines = new Extents(0, plane.sizes().nodeLines());
    }

    @Override
    public String name() {
        return "xdp";
    }

    @Override
    public void put(Forwarding next) {
        Installed installed = services.get(next.service());
        if (installed != null && installed.service.forwarding().equals(next)) {
            return;
        }
        if (!EngineKind.XDP.has(next.method())) {
            refuse(next, "the engine xdp has no forwarding " + next.method().yamlName());
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
            if (installed != null && installed.kind != kind) {
                // Another kind of schedule is another service to the data plane; endpoints are replaced one by one.
                installed = replace(installed, next, kind);
            } else if (installed == null) {
                installed = install(next, kind);
            } else if (!installed.service.update(next, clock.getAsLong())) {
                installed = replace(installed, next, kind);
            }
            if (installed != null) {
                write(installed);
            }
        } catch (IOException e) {
            refuse(next, String.valueOf(e.getMessage()));
        }
    }

    private void refuse(Forwarding forwarding, String reason) {
        for (Endpoint endpoint : forwarding.listen()) {
            events.notListening(forwarding.service(), endpoint, reason);
        }
    }

    private @Nullable Installed install(Forwarding first, Vip.Kind kind) throws IOException {
        int capacity = InstalledService.capacityFor(first);
        int number = serviceNumbers.nextClearBit(0);
        int servers = serverNumbers.take(capacity);
        if (number >= plane.sizes().services() || servers < 0) {
            if (servers >= 0) {
                serverNumbers.give(servers, capacity);
            }
            refuse(first, "the engine xdp has no room for another service: " + plane.sizes());
            return null;
        }
        InstalledService service = new InstalledService(number, capacity, first);
        Installed installed = new Installed(service, servers, kind);
        if (kind.byLoad()) {
            installed.tree = nodeLines.take(lines(capacity));
            if (installed.tree < 0) {
                serverNumbers.give(servers, capacity);
                refuse(first, "the engine xdp has no room for another order by load: " + plane.sizes());
                return null;
            }
        }
        serviceNumbers.set(number);
        for (int i = 0; i < capacity; i++) {
            plane.clear(servers + i);
        }
        service.update(first, clock.getAsLong());
        services.put(first.service(), installed);
        return installed;
    }

    private static int lines(int count) {
        return Math.ceilDiv(count, Layout.LINE);
    }

    private @Nullable Installed replace(Installed old, Forwarding next, Vip.Kind kind) throws IOException {
        Installed installed = install(next, kind);
        if (installed != null) {
            // With other ids: what is remembered names servers by numbers that are given back here.
            old.endpoints.keySet().forEach(endpoint -> installed.endpoints.put(endpoint, ++lastEndpoint));
            old.endpoints.clear();
            uninstall(old);
        }
        return installed;
    }

    // ---- Writing

    private void write(Installed installed) throws IOException {
        InstalledService service = installed.service;
        watch(installed);
        writeServers(installed);
        if (installed.kind.byLoad()) {
            writeOrder(installed);
        } else if (!writeTable(installed)) {
            refuse(service.forwarding(), "the engine xdp has no room for another table: " + plane.sizes());
            return;
        }
        writeEndpoints(installed);
    }

    private void watch(Installed installed) {
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
    }

    private void hop(Installed installed, InetAddress server, Optional<Hop> hop) {
        if (hop.isPresent()) {
            known.put(server, hop.get());
        } else {
            known.remove(server);
        }
        if (services.containsValue(installed)) {
            writeServers(installed);
        }
    }

    private void writeServers(Installed installed) {
        for (Placed placed : installed.service.everybody()) {
            plane.server(installed.firstServer + placed.member, target(installed, placed));
        }
    }

    private Target target(Installed installed, Placed placed) {
        InetAddress address = placed.described.address().getAddress();
        Optional<Hop> hop = Optional.ofNullable(known.get(address));
        int flags = 0;
        if (hop.isPresent() && !placed.cut) {
            flags |= Layout.READY;
        }
        if (placed.takesNew()) {
            flags |= Layout.NEW;
        }
        if (placed.described.state() == ServerState.DOWN) {
            flags |= Layout.DOWN;
        }
        ForwardingMethod method = installed.service.forwarding().method();
        if (method != ForwardingMethod.DR) {
            flags |= address instanceof Inet4Address ? Layout.TUNNEL4 : Layout.TUNNEL6;
        }
        if (method == ForwardingMethod.GUE) {
            flags |= Layout.GUE;
        }
        InetAddress source = installed
                .service
                .forwarding()
                .source()
                .or(() -> hops.sourceFor(address))
                .orElse(address);
        return new Target(
                installed.service.number,
                placed.member,
                flags,
                address,
                source,
                method == ForwardingMethod.GUE ? GUE_PORT : 0,
                hop);
    }

    private void writeOrder(Installed installed) {
        Map<Integer, Integer> weights = installed.service.weights();
        for (Placed placed : installed.service.everybody()) {
            plane.allow(
                    installed.firstServer + placed.member,
                    Objects.requireNonNull(weights.get(placed.member)),
                    placed.described.limit());
        }
        plane.service(
                installed.service.number,
                installed.firstServer,
                installed.tree,
                installed.service.capacity(),
                installed.kind.number);
        rank(installed);
    }

    /** Twice: a packet may have moved a server in the half that was decided already, and by the second time it shows. */
    private void rank(Installed installed) {
        LoadTree order = new LoadTree(installed.kind, plane::load);
        for (int pass = 0; pass < 2; pass++) {
            order.build(
                    installed.firstServer,
                    installed.service.capacity(),
                    (node, server) -> plane.node(installed.tree, node, server));
        }
    }

    private boolean writeTable(Installed installed) {
        InstalledService service = installed.service;
        SchedulerKind scheduler = service.forwarding().scheduler();
        List<ScheduleTable.Server> order = service.eligible();
        int[] members = service.members(order);
        char[] picks = ScheduleTable.of(scheduler, HashOptions.DEFAULT, order);
        for (int slot = 0; slot < picks.length; slot++) {
            if (picks[slot] != ScheduleTable.NONE) {
                picks[slot] = (char) members[picks[slot]];
            }
        }
        plane.service(service.number, installed.firstServer, 0, 0, installed.kind.number);
        SlotTable table = installed.table;
        if (table == null || table.length() != picks.length) {
            int lines = lines(picks.length);
            int at = slotLines.take(lines);
            if (at < 0) {
                return false;
            }
            if (installed.lines >= 0) {
                slotLines.give(installed.lines, installed.lineCount);
            }
            installed.lines = at;
            installed.lineCount = lines;
            table = new SlotTable(picks);
            installed.table = table;
        } else {
            Set<Integer> cut = new HashSet<>();
            service.everybody().stream().filter(placed -> placed.cut).forEach(placed -> cut.add(placed.member));
            table.update(picks, member -> !cut.contains(member));
        }
        if (table.moved() > 0) {
            installed.lingering = true;
            installed.changed = clock.getAsLong();
        }
        plane.slots(installed.lines, table);
        return true;
    }

    private void writeEndpoints(Installed installed) throws IOException {
        Forwarding forwarding = installed.service.forwarding();
        for (Endpoint endpoint : InstalledService.gone(Set.copyOf(installed.endpoints.keySet()), forwarding)) {
            plane.removeEndpoint(endpoint.address(), endpoint.port(), endpoint.protocol());
            installed.endpoints.remove(endpoint);
        }
        for (Endpoint endpoint : forwarding.listen()) {
            Integer id = installed.endpoints.get(endpoint);
            boolean fresh = id == null;
            if (id == null) {
                id = ++lastEndpoint;
                installed.endpoints.put(endpoint, id);
            }
            plane.endpoint(endpoint.address(), endpoint.port(), endpoint.protocol(), vip(installed, endpoint, id));
            if (fresh) {
                events.listening(forwarding.service(), endpoint);
            }
        }
    }

    private static Vip vip(Installed installed, Endpoint endpoint, int id) {
        ServiceSpec.Timeouts timeouts = installed.service.forwarding().timeouts();
        boolean tcp = endpoint.protocol() == Endpoint.Protocol.TCP;
        int slots = installed.table == null ? 0 : installed.table.length();
        int flags = 0;
        if (installed.kind.byLoad() || installed.kind == Vip.Kind.IN_TURN) {
            flags = Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER;
        } else if (installed.lingering) {
            flags = Layout.FLAG_LOOKUP;
        }
        return new Vip(
                id,
                installed.service.number,
                installed.firstServer,
                Math.max(0, installed.lines),
                slots,
                slots == 0 ? 0 : Integer.numberOfTrailingZeros(Integer.highestOneBit(slots)),
                installed.kind,
                flags,
                ticks(OPENING_NANOS),
                ticks((tcp ? timeouts.idle() : timeouts.udp()).toNanos()),
                ticks(timeouts.halfClosed().toNanos()));
    }

    private static int ticks(long nanos) {
        return Math.clamp(nanos >>> Layout.TICK_SHIFT, 1, 0x3fff_ffff);
    }

    // ---- Time

    /** Does what has become due; to be called about every second. */
    void tick() {
        long now = clock.getAsLong();
        for (Installed installed : List.copyOf(services.values())) {
            try {
                tick(installed, now);
            } catch (IOException e) {
                events.note(true, installed.service.name, String.valueOf(e.getMessage()));
            }
        }
    }

    private void tick(Installed installed, long now) throws IOException {
        List<Placed> cut = installed.service.cutOff(now);
        if (!cut.isEmpty()) {
            write(installed);
            for (Placed placed : cut) {
                events.drained(installed.service.name, placed.name, flowsOf(installed.firstServer + placed.member));
            }
        }
        SlotTable table = installed.table;
        if (table == null || !installed.lingering) {
            release(installed, now);
            return;
        }
        long patience = installed.service.forwarding().timeouts().idle().toNanos();
        if (now - installed.changed < patience) {
            return;
        }
        if (table.moved() > 0) {
            table.settle();
            plane.slots(installed.lines, table);
            installed.changed = now;
        } else if (!hasFlows(installed)) {
            installed.lingering = false;
            writeEndpoints(installed);
        }
    }

    /** Numbers of servers that left and were cut off are free once no connection and no slot names them. */
    private void release(Installed installed, long now) {
        for (Placed placed : installed.service.everybody()) {
            SlotTable table = installed.table;
            boolean due = placed.gone && placed.cut && placed.cutAt + OPENING_NANOS < now;
            if (due
                    && (table == null || !table.names(placed.member))
                    && flowsOf(installed.firstServer + placed.member) == 0) {
                installed.service.release(placed);
            }
        }
    }

    private int flowsOf(int server) {
        int[] count = {0};
        plane.flows(flow -> {
            if (flow.server() == server) {
                count[0]++;
            }
        });
        return count[0];
    }

    private boolean hasFlows(Installed installed) {
        boolean[] any = {false};
        plane.flows(flow -> any[0] |= installed.endpoints.containsValue(flow.vip()));
        return any[0];
    }

    // ---- Leaving

    @Override
    public void remove(String service) {
        Installed installed = services.remove(service);
        if (installed != null) {
            try {
                uninstall(installed);
            } catch (IOException e) {
                events.note(true, service, String.valueOf(e.getMessage()));
            }
        }
    }

    private void uninstall(Installed installed) throws IOException {
        for (Endpoint where : installed.endpoints.keySet()) {
            plane.removeEndpoint(where.address(), where.port(), where.protocol());
        }
        installed.watched.forEach(hops::forget);
        serverNumbers.give(installed.firstServer, installed.service.capacity());
        if (installed.lines >= 0) {
            slotLines.give(installed.lines, installed.lineCount);
        }
        if (installed.tree >= 0) {
            nodeLines.give(installed.tree, lines(installed.service.capacity()));
        }
        serviceNumbers.clear(installed.service.number);
    }

    // ---- Reading

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        List<ServiceStatistics> all = new ArrayList<>();
        try {
            for (Installed installed : services.values()) {
                all.add(statistics(installed));
            }
            return CompletableFuture.completedFuture(all);
        } catch (IOException e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private ServiceStatistics statistics(Installed installed) throws IOException {
        List<ServerStatistics> servers = new ArrayList<>();
        long connections = 0;
        long bytes = 0;
        int active = 0;
        for (Placed placed : installed.service.everybody()) {
            Load load = plane.load(installed.firstServer + placed.member);
            Traffic traffic = plane.traffic(installed.firstServer + placed.member);
            connections += traffic.connections();
            bytes += traffic.bytes();
            active += load.active();
            servers.add(new ServerStatistics(
                    placed.name.equals(InstalledService.SORRY) ? "sorry" : placed.name,
                    load.active(),
                    load.inactive(),
                    traffic.connections(),
                    0,
                    traffic.bytes(),
                    0));
        }
        return new ServiceStatistics(installed.service.name, connections, active, 0, 0, bytes, 0, servers);
    }

    @Override
    public CompletionStage<List<ConnectionInfo>> connections(String service, int limit) {
        Map<Integer, Installed> byVip = new HashMap<>();
        Map<Integer, Endpoint> endpoints = new HashMap<>();
        services.values().stream()
                .filter(installed -> service.isEmpty() || installed.service.name.equals(service))
                .forEach(installed -> installed.endpoints.forEach((endpoint, id) -> {
                    byVip.put(id, installed);
                    endpoints.put(id, endpoint);
                }));
        List<ConnectionInfo> list = new ArrayList<>();
        plane.flows(flow -> {
            Installed installed = byVip.get(flow.vip());
            Endpoint endpoint = endpoints.get(flow.vip());
            if (installed != null && endpoint != null && list.size() < limit) {
                list.add(flow.describe(installed.service.name, endpoint, nameOf(installed, flow.server())));
            }
        });
        return CompletableFuture.completedFuture(list);
    }

    private static String nameOf(Installed installed, int server) {
        return installed.service.everybody().stream()
                .filter(placed -> installed.firstServer + placed.member == server)
                .map(placed -> placed.name)
                .findFirst()
                .orElse("");
    }

    /** The program and its tables stay as they are: packets go on. */
    @Override
    public void close() {
        services.values().forEach(installed -> installed.watched.forEach(hops::forget));
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.Trace;
import io.ballast.director.scheduler.HashOptions;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.director.xdp.DataPlane.Traffic;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
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

    /** How long a connection may be idle while the description of its service is not known yet. */
    private static final long ADOPTED_IDLE_NANOS = 900_000_000_000L;

    /** How many services a sentence names. */
    private static final int NAMED = 5;

    /** In so many ticks every connection is looked at once, and then what can be given back. */
    private static final int SWEEP_PARTS = 8;

    /** What a service has taken of the data plane. */
    private static final class Installed {
        final InstalledService service;
        final int firstServer;
        final Vip.Kind kind;
        /** The flags of its endpoints that say how addresses are translated. */
        int translation;

        final Map<Endpoint, Integer> endpoints = new LinkedHashMap<>();
        final Map<InetAddress, Hops.Listener> watched = new HashMap<>();
        /** Whom connection IDs name in the tables. */
        final Map<QuicName, Integer> quicIds = new HashMap<>();

        int tree = -1;
        int lines = -1;
        int lineCount;

        @Nullable
        SlotTable table;

        long changed;
        boolean lingering;

        /** Clients stay at their server. */
        boolean persists;

        /** Connections may have come by a SYN cookie. */
        boolean cookies;

        /** Its tables are being written. */
        boolean writing;

        /** How far the sweep was when no endpoint led here any more. */
        long emptiedAt;

        /** What serves its endpoints until this one's are written. */
        @Nullable
        Installed predecessor;

        Installed(InstalledService service, int firstServer, Vip.Kind kind) {
            this.service = service;
            this.firstServer = firstServer;
            this.kind = kind;
        }
    }

    private final DataPlane plane;
    private final Endpoints endpoints;
    private final Hops hops;
    private final EngineEvents events;
    private final LongSupplier clock;
    private final Map<String, Installed> services = new LinkedHashMap<>();
    private final Map<InetAddress, Hop> known = new HashMap<>();
    private final Extents serverNumbers;
    private final Extents slotLines;
    private final Extents nodeLines;
    private final BitSet serviceNumbers = new BitSet();
    /** What could not be done, to be tried again, and why what is refused is so. */
    private final Map<String, Forwarding> failed = new LinkedHashMap<>();

    private final Map<String, String> refused = new HashMap<>();
    /** Endpoints that are said to be listening. */
    private final Map<String, Set<Endpoint>> told = new HashMap<>();

    /** Numbers of servers that are given back once no connection names them. */
    private final Deque<Installed> emptied = new ArrayDeque<>();

    private @Nullable XdpTrace trace;
    /** The service that it is of; empty while there is none. */
    private String traced = "";

    /** How many parts of the table have been swept, over and over. */
    private long swept;

    /** Those with servers that can be sent to since a moment ago. */
    private final Set<Installed> reached = new HashSet<>();

    private final FlowPressure pressure;
    private int ticks;
    /** The last id given. None is given twice: a remembered connection names its endpoint's. */
    private int lastEndpoint;

    /**
     * @param clock nanoseconds of a monotonic clock
     */
    XdpEngine(DataPlane plane, Hops hops, EngineEvents events, LongSupplier clock) {
        this.plane = plane;
        endpoints = new Endpoints(plane);
        this.hops = hops;
        this.events = events;
        this.clock = clock;
        pressure = new FlowPressure((long) plane.buckets() * Layout.WAYS, SWEEP_PARTS);
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
            } else if (!write(installed)) {
                refuse(next, "the engine xdp has no room for another table: " + plane.sizes());
            } else {
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
        int capacity = InstalledService.capacityFor(first);
        int number = serviceNumbers.nextClearBit(0);
        int servers = serverNumbers.take(capacity);
        if ((servers < 0 || number >= plane.sizes().services()) && !emptied.isEmpty()) {
            sweep(SWEEP_PARTS);
            number = serviceNumbers.nextClearBit(0);
            servers = servers < 0 ? serverNumbers.take(capacity) : servers;
        }
        int tree = kind.byLoad() && servers >= 0 ? nodeLines.take(lines(capacity)) : -1;
        if (number >= plane.sizes().services() || servers < 0 || (kind.byLoad() && tree < 0)) {
            if (servers >= 0) {
                serverNumbers.give(servers, capacity);
            }
            if (tree >= 0) {
                nodeLines.give(tree, lines(capacity));
            }
            return null;
        }
        serviceNumbers.set(number);
        plane.clearReasons(number);
        Installed installed = new Installed(new InstalledService(number, capacity, first.service()), servers, kind);
        installed.tree = tree;
        installed.translation = translation(first.method());
        installed.predecessor = predecessor;
        if (predecessor != null) {
            // With other ids: what is remembered names servers by the predecessor's numbers, which will be given back.
            predecessor.endpoints.keySet().forEach(endpoint -> installed.endpoints.put(endpoint, ++lastEndpoint));
        }
        plane.clearService(number);
        for (int i = 0; i < capacity; i++) {
            plane.clear(servers + i);
        }
        installed.service.update(first, clock.getAsLong());
        installed.service.everybody().forEach(placed -> placed.fresh = false);
        services.put(first.service(), installed);
        return installed;
    }

    private static int lines(int count) {
        return Math.ceilDiv(count, Layout.LINE);
    }

    // ---- Writing

    /** Brings the tables to what the service should be; false where there is no room. */
    private boolean write(Installed installed) throws IOException {
        installed.writing = true;
        try {
            return writeAll(installed);
        } finally {
            installed.writing = false;
        }
    }

    private boolean writeAll(Installed installed) throws IOException {
        watch(installed);
        markReached(installed);
        note(installed);
        writeServers(installed);
        writePersistence(installed);
        writeCookies(installed);
        Map<QuicName, Integer> named = named(installed);
        nameServers(installed, named);
        ServiceSpec.Limits limits = installed.service.forwarding().limits();
        plane.rates(installed.service.number, limits.connectionRate(), limits.sourceConnectionRate());
        if (installed.kind.byLoad()) {
            writeOrder(installed);
        } else if (!writeTable(installed)) {
            return false;
        }
        writeEndpoints(installed);
        forgetNames(installed, named.keySet());
        retire(installed);
        return true;
    }

    private void writePersistence(Installed installed) {
        Optional<ServiceSpec.Persistence> wanted =
                installed.service.forwarding().persistence();
        plane.persistence(
                installed.service.number,
                wanted.map(persistence -> ticks(persistence.timeout().toNanos()))
                        .orElse(0),
                wanted.map(ServiceSpec.Persistence::prefix4).orElse(0),
                wanted.map(ServiceSpec.Persistence::prefix6).orElse(0));
        installed.persists = wanted.isPresent();
        // Connections are where their client's first one went, whatever the table says: when this ends they go on being
        // looked for until the last of them has ended.
        installed.lingering |= installed.persists;
    }

    private void writeCookies(Installed installed) {
        boolean wanted = installed.service.forwarding().synCookies() != ServiceSpec.SynCookies.OFF;
        plane.cookies(installed.service.number, wanted);
        // Sequence numbers of connections that came by one differ until they end.
        installed.cookies |= wanted && installed.translation != 0;
    }

    /** Tells a later process what is about to be in the tables. */
    private void note(Installed installed) throws IOException {
        for (Placed placed : installed.service.everybody()) {
            int number = installed.firstServer + placed.member;
            if (placed.fresh) {
                plane.clear(number);
                placed.fresh = false;
            }
            plane.notes()
                    .write(new Notes.OfServer(
                            number,
                            installed.service.number,
                            placed.name,
                            placed.described.address(),
                            placed.lastWeight,
                            placed.gone,
                            placed.cut,
                            placed.cutAt));
        }
        noteService(installed);
    }

    private void noteService(Installed installed) {
        SlotTable table = installed.table;
        plane.notes()
                .write(new Notes.OfService(
                        installed.service.number,
                        installed.service.name,
                        installed.kind,
                        installed.firstServer,
                        installed.service.capacity(),
                        installed.lines,
                        table == null ? 0 : table.length(),
                        installed.tree,
                        installed.changed));
    }

    /** Gives back what the service before took, whose endpoints are this one's now. */
    private void retire(Installed installed) throws IOException {
        Installed old = installed.predecessor;
        installed.predecessor = null;
        while (old != null) {
            give(old);
            old = old.predecessor;
        }
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
        if (installed.writing) {
            return;
        }
        for (Placed placed : installed.service.everybody()) {
            int number = installed.firstServer + placed.member;
            if (!placed.described.address().getAddress().equals(server)) {
                continue;
            }
            if (!installed.service.isKnown()) {
                plane.hop(number, placed.cut ? Optional.empty() : hop.filter(way -> !way.isHere()));
                continue;
            }
            plane.server(number, target(installed, placed));
            if (hop.isPresent() && !placed.reached) {
                writeSoon(installed);
            }
        }
    }

    private void markReached(Installed installed) {
        for (Placed placed : installed.service.everybody()) {
            placed.reached |= known.containsKey(placed.described.address().getAddress());
        }
    }

    /** Servers that can be sent to from now on are to have connections; many come at a time. */
    private void writeSoon(Installed installed) {
        boolean first = reached.isEmpty();
        reached.add(installed);
        if (first) {
            hops.soon(() -> {
                Set<Installed> due = Set.copyOf(reached);
                reached.clear();
                due.stream()
                        .filter(each -> each.equals(services.get(each.service.name)))
                        .forEach(this::rewrite);
            });
        }
    }

    private void rewrite(Installed installed) {
        Forwarding forwarding = installed.service.forwarding();
        try {
            if (write(installed)) {
                return;
            }
            refuse(forwarding, "the engine xdp has no room for another table: " + plane.sizes());
        } catch (IOException e) {
            refuse(forwarding, String.valueOf(e.getMessage()));
        }
        failed.put(forwarding.service(), forwarding);
    }

    private void writeServers(Installed installed) {
        for (Placed placed : installed.service.everybody()) {
            int number = installed.firstServer + placed.member;
            Target target = target(installed, placed);
            plane.server(number, target);
            if (trace != null && isTraced(installed)) {
                trace.server(number, shown(placed), target);
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
        if (isTraced(installed)) {
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

    private boolean writeTable(Installed installed) throws IOException {
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
            SlotTable other = new SlotTable(picks);
            if (installed.lingering) {
                other.doubt();
            }
            return writeOtherTable(installed, other);
        }
        Set<Integer> cut = new HashSet<>();
        service.everybody().stream().filter(placed -> placed.cut).forEach(placed -> cut.add(placed.member));
        table.update(picks, member -> !cut.contains(member));
        if (installed.persists) {
            table.doubt();
        }
        if (table.moved() > 0) {
            installed.changed = clock.getAsLong();
            noteService(installed);
            if (!installed.lingering) {
                // Connections in moved slots must be remembered from the first one on.
                installed.lingering = true;
                rewriteEndpoints(installed);
            }
        }
        plane.slots(installed.lines, table);
        return true;
    }

    /** Whom connection IDs are to name: who drains goes on to be, until it is cut off or another has its ID. */
    private static Map<QuicName, Integer> named(Installed installed) {
        Map<QuicName, Integer> named = new HashMap<>();
        ServiceSpec.Quic quic = installed.service.forwarding().quic().orElse(null);
        if (quic == null) {
            return named;
        }
        for (Placed placed : installed.service.servers()) {
            placed.described
                    .quicId()
                    .ifPresent(id -> named.put(
                            new QuicName(installed.service.number, quic.config(), id),
                            installed.firstServer + placed.member));
        }
        Set<Integer> leaving = new HashSet<>();
        installed.service.everybody().stream()
                .filter(placed -> placed.gone && !placed.cut)
                .forEach(placed -> leaving.add(installed.firstServer + placed.member));
        installed.quicIds.forEach((name, server) -> {
            if (leaving.contains(server)) {
                named.putIfAbsent(name, server);
            }
        });
        return named;
    }

    /** Before endpoints ask for it. */
    private void nameServers(Installed installed, Map<QuicName, Integer> named) throws IOException {
        for (Map.Entry<QuicName, Integer> entry : named.entrySet()) {
            if (!entry.getValue().equals(installed.quicIds.get(entry.getKey()))) {
                plane.quicId(entry.getKey(), entry.getValue());
                installed.quicIds.put(entry.getKey(), entry.getValue());
            }
        }
        installed.service.forwarding().quic().ifPresent(quic -> plane.quic(installed.service.number, quic));
    }

    private void forgetNames(Installed installed, Set<QuicName> wanted) throws IOException {
        for (QuicName name : Set.copyOf(installed.quicIds.keySet())) {
            if (!wanted.contains(name)) {
                plane.removeQuicId(name);
                installed.quicIds.remove(name);
            }
        }
    }

    /** A table of another length is another table: packets go by the old one until the endpoints name the new one. */
    private boolean writeOtherTable(Installed installed, SlotTable table) throws IOException {
        int count = lines(table.length());
        int at = slotLines.take(count);
        if (at < 0) {
            return false;
        }
        int oldLines = installed.lines;
        int oldCount = installed.lineCount;
        plane.slots(at, table);
        installed.table = table;
        installed.lines = at;
        installed.lineCount = count;
        noteService(installed);
        rewriteEndpoints(installed);
        if (oldLines >= 0) {
            slotLines.give(oldLines, oldCount);
        }
        return true;
    }

    /** Those that are in the table already, and are to stay. */
    private void rewriteEndpoints(Installed installed) throws IOException {
        for (Endpoint endpoint : installed.service.forwarding().listen()) {
            Integer id = installed.endpoints.get(endpoint);
            if (id != null && installed.predecessor == null) {
                endpoints.put(installed.service.name, endpoint, vip(installed, endpoint, id), Set.of());
            }
        }
    }

    private void writeEndpoints(Installed installed) throws IOException {
        Forwarding forwarding = installed.service.forwarding();
        Set<Endpoint> gone = InstalledService.gone(Set.copyOf(installed.endpoints.keySet()), forwarding);
        for (Endpoint endpoint : gone) {
            if (forwarding.listen().stream().noneMatch(endpoint::overlaps)) {
                removeEndpoint(installed, endpoint);
            }
        }
        for (Endpoint endpoint : forwarding.listen()) {
            Integer id = installed.endpoints.get(endpoint);
            if (id == null) {
                id = idFor(installed, endpoint, gone);
                installed.endpoints.put(endpoint, id);
            }
            endpoints.put(installed.service.name, endpoint, vip(installed, endpoint, id), gone);
        }
        // Their other ports are those of endpoints that are there by now, so that no packet for one is missed.
        for (Endpoint endpoint : gone) {
            if (installed.endpoints.containsKey(endpoint)) {
                removeEndpoint(installed, endpoint);
            }
        }
        tellListening(forwarding);
    }

    /**
     * Endpoints of a service that have ports in common have one id, so that connections are known under it when one of
     * them comes or goes. Best is that of one that goes; where there is none, a new one.
     */
    private int idFor(Installed installed, Endpoint endpoint, Set<Endpoint> gone) {
        return installed.endpoints.entrySet().stream()
                .filter(other -> other.getKey().overlaps(endpoint))
                .min(Comparator.comparing(other -> !gone.contains(other.getKey())))
                .map(Map.Entry::getValue)
                .orElseGet(() -> ++lastEndpoint);
    }

    private void removeEndpoint(Installed installed, Endpoint endpoint) throws IOException {
        endpoints.remove(installed.service.name, endpoint);
        installed.endpoints.remove(endpoint);
    }

    private void tellListening(Forwarding forwarding) {
        Set<Endpoint> now = Set.copyOf(forwarding.listen());
        Set<Endpoint> before = told.put(forwarding.service(), now);
        for (Endpoint endpoint : forwarding.listen()) {
            if (before == null || !before.contains(endpoint) || refused.containsKey(forwarding.service())) {
                events.listening(forwarding.service(), endpoint);
            }
        }
    }

    private Vip vip(Installed installed, Endpoint endpoint, int id) {
        ServiceSpec.Timeouts timeouts = installed.service.forwarding().timeouts();
        boolean tcp = endpoint.protocol() == Endpoint.Protocol.TCP;
        int slots = installed.table == null ? 0 : installed.table.length();
        boolean named = !tcp && installed.service.forwarding().quic().isPresent();
        int flags = flags(installed);
        if (installed.service.forwarding().limits().limitsRates()) {
            // Which datagram is a new flow's is known only where flows are remembered.
            flags |= Layout.FLAG_LIMIT | (tcp ? 0 : Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER);
        }
        if (tcp && installed.cookies) {
            flags |= Layout.FLAG_COOKIES;
        }
        return new Vip(
                id,
                installed.service.number,
                installed.firstServer,
                Math.max(0, installed.lines),
                slots,
                Vip.bits(slots),
                installed.kind,
                flags | (named ? Layout.FLAG_QUIC : 0),
                ticks(OPENING_NANOS),
                ticks((tcp ? timeouts.idle() : timeouts.udp()).toNanos()),
                ticks(timeouts.halfClosed().toNanos()));
    }

    private int flags(Installed installed) {
        return memoryFlags(installed) | (isTraced(installed) ? Layout.FLAG_TRACE : 0);
    }

    private static int memoryFlags(Installed installed) {
        int more = installed.translation | (installed.persists ? Layout.FLAG_PERSIST : 0);
        if (more != 0 || installed.kind.byLoad() || installed.kind == Vip.Kind.IN_TURN) {
            return Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER | more;
        }
        return installed.lingering ? Layout.FLAG_LOOKUP : 0;
    }

    private static int idleTicks(Installed installed, Endpoint endpoint) {
        if (!installed.service.isKnown()) {
            return ticks(ADOPTED_IDLE_NANOS);
        }
        ServiceSpec.Timeouts timeouts = installed.service.forwarding().timeouts();
        boolean tcp = endpoint.protocol() == Endpoint.Protocol.TCP;
        return ticks((tcp ? timeouts.idle() : timeouts.udp()).toNanos());
    }

    private static int ticks(long nanos) {
        return Math.clamp(nanos >>> Layout.TICK_SHIFT, 1, 0x3fff_ffff);
    }

    // ---- Time

    /** Does what has become due; to be called about every second. */
    void tick() {
        long now = clock.getAsLong();
        List.copyOf(failed.values()).forEach(this::put);
        Census census = new Census();
        boolean sweep = ++ticks % SWEEP_PARTS == 0;
        sweep(1);
        if (sweep) {
            judgePressure(now);
        }
        for (Installed installed : List.copyOf(services.values())) {
            if (!installed.service.isKnown()) {
                continue;
            }
            try {
                cut(installed, now, census);
                settle(installed, now, census, sweep);
                if (sweep) {
                    release(installed, now, census);
                }
            } catch (IOException e) {
                events.note(true, installed.service.name, String.valueOf(e.getMessage()));
            }
        }
    }

    private void judgePressure(long now) {
        try {
            Map<DataPlane.Reason, Long> counts = plane.reasons();
            pressure.step(
                            now,
                            counts.getOrDefault(DataPlane.Reason.FLOW_EVICTED, 0L),
                            counts.getOrDefault(DataPlane.Reason.FLOW_TABLE_FULL, 0L))
                    .ifPresent(news -> events.note(pressure.isOn(), "xdp", news));
        } catch (IOException e) {
            events.note(true, "xdp", "the counters cannot be read: " + e.getMessage());
        }
    }

    /** How the table of remembered connections is used. */
    FlowPressure.Occupancy occupancy() {
        return pressure.occupancy();
    }

    /**
     * Forgets connections that are over, so that loads are what they should be and numbers can be given again; a part of
     * the table at a time, since a whole one takes tens of milliseconds.
     */
    private void sweep(int parts) {
        BitSet living = new BitSet();
        BitSet gone = new BitSet();
        for (Installed installed : services.values()) {
            for (Installed each = installed; each != null; each = each.predecessor) {
                each.endpoints.values().forEach(living::set);
                for (Placed placed : each.service.everybody()) {
                    gone.set(each.firstServer + placed.member, placed.gone && placed.cut);
                }
            }
        }
        int part = Math.ceilDiv(plane.buckets(), SWEEP_PARTS);
        BitSet changed = new BitSet();
        for (int i = 0; i < parts; i++) {
            int from = (int) (swept++ % SWEEP_PARTS) * part;
            FlowPressure.Tally found = new FlowPressure.Tally();
            changed.or(plane.sweep(
                    from, Math.min(from + part, plane.buckets()), id -> id > 0 && living.get(id), gone, found));
            pressure.part(from / Math.max(1, part), found);
        }
        while (!emptied.isEmpty() && swept - emptied.getFirst().emptiedAt >= SWEEP_PARTS) {
            Installed old = emptied.removeFirst();
            serverNumbers.give(old.firstServer, old.service.capacity());
            serviceNumbers.clear(old.service.number);
        }
        rank(changed);
    }

    /** Brings orders by load up to date after the loads of servers changed. */
    private void rank(BitSet changed) {
        for (Installed installed : services.values()) {
            int next = changed.nextSetBit(installed.firstServer);
            boolean mine = next >= 0 && next < installed.firstServer + installed.service.capacity();
            if (mine && installed.tree >= 0 && installed.service.isKnown()) {
                rank(installed);
            }
        }
    }

    /** Sets each server's load to what is remembered: for tables that were copied while connections came and went. */
    void recount() {
        plane.recount();
        services.values().stream().filter(installed -> installed.tree >= 0).forEach(this::rank);
    }

    /** How many connections are remembered, counted once a tick and only if somebody asks. */
    private final class Census {
        private int @Nullable [] ofServers;
        private final BitSet endpoints = new BitSet();
        private final BitSet withClients = new BitSet();

        int ofServer(int server) {
            return count()[server];
        }

        /** Whether a connection names the server, or a client belongs to it. */
        boolean names(int server) {
            return count()[server] > 0 || withClients.get(server);
        }

        boolean hasAny(Installed installed) {
            count();
            return installed.endpoints.values().stream().anyMatch(endpoints::get);
        }

        private int[] count() {
            int[] counted = ofServers;
            if (counted == null) {
                counted = plane.count(endpoints, withClients);
                ofServers = counted;
            }
            return counted;
        }
    }

    private void cut(Installed installed, long now, Census census) throws IOException {
        List<Placed> cut = installed.service.cutOff(now);
        if (!cut.isEmpty()) {
            write(installed);
            for (Placed placed : cut) {
                events.drained(
                        installed.service.name, placed.name, census.ofServer(installed.firstServer + placed.member));
            }
        }
    }

    private void settle(Installed installed, long now, Census census, boolean sweep) throws IOException {
        SlotTable table = installed.table;
        long patience = installed.service.forwarding().timeouts().idle().toNanos();
        if (table == null || !installed.lingering || now - installed.changed < patience) {
            return;
        }
        if (table.moved() > 0) {
            table.settle();
            installed.changed = now;
            noteService(installed);
            plane.slots(installed.lines, table);
        } else if (sweep && !installed.persists && !census.hasAny(installed)) {
            installed.lingering = false;
            writeEndpoints(installed);
            if (table.trust()) {
                plane.slots(installed.lines, table);
            }
        }
    }

    /** Numbers of servers that left and were cut off are free once no connection, no client and no slot names them. */
    private void release(Installed installed, long now, Census census) {
        for (Placed placed : installed.service.everybody()) {
            SlotTable table = installed.table;
            int number = installed.firstServer + placed.member;
            boolean due = placed.gone && placed.cut && placed.cutAt + OPENING_NANOS < now;
            if (due && (table == null || !table.names(placed.member)) && !census.names(number)) {
                plane.notes().eraseServer(number);
                installed.service.release(placed);
            }
        }
    }

    // ---- Leaving

    @Override
    public void remove(String service) {
        failed.remove(service);
        refused.remove(service);
        told.remove(service);
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
        Set<Endpoint> all = new HashSet<>();
        for (Installed each = installed; each != null; each = each.predecessor) {
            all.addAll(each.endpoints.keySet());
        }
        for (Endpoint where : all) {
            endpoints.remove(installed.service.name, where);
        }
        retire(installed);
        give(installed);
    }

    /** Gives back its numbers, which no endpoint leads to any more. */
    private void give(Installed installed) throws IOException {
        plane.persistence(installed.service.number, 0, 0, 0);
        installed.watched.forEach(hops::forget);
        installed.watched.clear();
        forgetNames(installed, Set.of());
        installed
                .service
                .everybody()
                .forEach(placed -> plane.notes().eraseServer(installed.firstServer + placed.member));
        plane.notes().eraseService(installed.service.number);
        installed.emptiedAt = swept;
        emptied.add(installed);
        if (installed.lines >= 0) {
            slotLines.give(installed.lines, installed.lineCount);
        }
        if (installed.tree >= 0) {
            nodeLines.give(installed.tree, lines(installed.service.capacity()));
        }
    }

    // ---- Adopting

    /**
     * Takes over what an earlier process left in the tables: numbers, tables, next hops and drains that are under way.
     * Nothing that a packet sees changes, but for what that process was in the middle of. To be called before anything
     * else.
     */
    void adopt() throws IOException {
        try {
            adoptAll();
        } catch (IndexOutOfBoundsException e) {
            throw new DamagedException("the tables that were found are damaged: a number lies beyond them");
        } catch (IllegalArgumentException e) {
            throw new DamagedException("the tables that were found are damaged: " + e.getMessage());
        }
    }

    /** What is in the tables cannot have been written by an engine. */
    static final class DamagedException extends IOException {
        private static final long serialVersionUID = 1L;

        private DamagedException(String message) {
            super(message);
        }
    }

    private void adoptAll() throws IOException {
        plane.trace(1, 0);
        Map<Integer, Installed> byNumber = new LinkedHashMap<>();
        for (Notes.OfService note : plane.notes().services()) {
            byNumber.put(note.number(), adopt(note));
        }
        for (DataPlane.Listening found : endpoints.adopt()) {
            Endpoint endpoint = found.endpoint();
            Vip vip = found.vip();
            Installed installed = byNumber.get(vip.service());
            String service = installed == null ? "" : installed.service.name;
            endpoints.belongs(endpoint, service);
            lastEndpoint = Math.max(lastEndpoint, vip.id());
            if (installed == null) {
                endpoints.remove(service, endpoint);
                continue;
            }
            if ((vip.flags() & Layout.FLAG_TRACE) != 0) {
                // Whoever looked on is gone.
                vip = vip.withFlags(vip.flags() & ~Layout.FLAG_TRACE);
                endpoints.put(service, endpoint, vip, Set.of());
            }
            installed.endpoints.put(endpoint, vip.id());
            installed.lingering |= (vip.flags() & Layout.FLAG_LOOKUP) != 0;
            installed.persists |= (vip.flags() & Layout.FLAG_PERSIST) != 0;
            installed.cookies |= (vip.flags() & Layout.FLAG_COOKIES) != 0;
            installed.translation = vip.flags() & (Layout.FLAG_NAT | Layout.FLAG_FULL_NAT);
            if (installed.table != null && vip.slots() != installed.lines) {
                endpoints.put(service, endpoint, vip.withTable(installed.lines, installed.table.length()), Set.of());
            }
        }
        adoptNames(byNumber);
        // An endpoint that is gone may still be named by a connection.
        BitSet remembered = new BitSet();
        plane.count(remembered, new BitSet());
        lastEndpoint = Math.max(lastEndpoint, remembered.length());
        for (Installed installed : byNumber.values()) {
            if (installed.endpoints.isEmpty()) {
                give(installed);
            } else {
                services.merge(installed.service.name, installed, this::succeed);
            }
        }
        sweep(SWEEP_PARTS);
    }

    /** Names of nobody are of a process that ended while it made or took away a service. */
    private void adoptNames(Map<Integer, Installed> byNumber) throws IOException {
        for (Map.Entry<QuicName, Integer> entry : plane.quicIds().entrySet()) {
            Installed installed = byNumber.get(entry.getKey().service());
            int server = entry.getValue();
            if (installed != null
                    && installed.service.everybody().stream()
                            .anyMatch(placed -> installed.firstServer + placed.member == server)) {
                installed.quicIds.put(entry.getKey(), server);
            } else {
                plane.removeQuicId(entry.getKey());
            }
        }
    }

    private Installed adopt(Notes.OfService note) throws IOException {
        Installed installed =
                new Installed(new InstalledService(note, plane.notes().servers(note)), note.firstServer(), note.kind());
        installed.changed = note.changed();
        serviceNumbers.set(note.number());
        boolean free = serverNumbers.claim(note.firstServer(), note.capacity());
        if (note.slotCount() > 0) {
            installed.lines = note.slots();
            installed.lineCount = lines(note.slotCount());
            free &= slotLines.claim(installed.lines, installed.lineCount);
        }
        if (note.tree() >= 0) {
            installed.tree = note.tree();
            free &= nodeLines.claim(installed.tree, lines(note.capacity()));
        }
        if (!free) {
            throw new IllegalArgumentException("service " + note.name() + " lies across another");
        }
        if (note.slotCount() > 0) {
            installed.table = plane.slots(installed.lines, note.slotCount());
        }
        for (Placed placed : installed.service.everybody()) {
            plane.untrace(installed.firstServer + placed.member);
            placed.source = plane.source(installed.firstServer + placed.member).orElse(null);
            plane.hop(installed.firstServer + placed.member).ifPresent(hop -> {
                known.put(placed.described.address().getAddress(), hop);
                placed.reached = true;
            });
        }
        watch(installed);
        return installed;
    }

    /** One of two services of a name was to replace the other: that whose endpoints have the higher ids. */
    private Installed succeed(Installed one, Installed other) {
        boolean later = Collections.max(one.endpoints.values()) > Collections.max(other.endpoints.values());
        Installed successor = later ? one : other;
        Installed predecessor = later ? other : one;
        successor.predecessor = predecessor;
        predecessor
                .endpoints
                .keySet()
                .forEach(endpoint -> successor.endpoints.computeIfAbsent(endpoint, unwritten -> ++lastEndpoint));
        return successor;
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
                && !reached.contains(installed);
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

    /** What did not go the usual way, without zeros, by the name of the service; what is no service's under "". */
    Map<String, Map<DataPlane.Reason, Long>> reasons() throws IOException {
        Map<Integer, Map<DataPlane.Reason, Long>> rows = plane.reasonsByService();
        Map<String, Map<DataPlane.Reason, Long>> named = new TreeMap<>();
        named.put("", rows.getOrDefault(DataPlane.NO_SERVICE, Map.of()));
        for (Installed installed : services.values()) {
            Map<DataPlane.Reason, Long> row = rows.get(installed.service.number);
            if (row != null) {
                named.put(installed.service.name, row);
            }
        }
        return named;
    }

    private ServiceStatistics statistics(Installed installed) throws IOException {
        List<ServerStatistics> servers = new ArrayList<>();
        long connections = 0;
        long bytes = 0;
        long bytesBack = 0;
        int active = 0;
        for (Placed placed : installed.service.everybody()) {
            Load load = plane.load(installed.firstServer + placed.member);
            Traffic traffic = plane.traffic(installed.firstServer + placed.member);
            connections += traffic.connections();
            bytes += traffic.bytes();
            bytesBack += traffic.bytesBack();
            active += load.active();
            servers.add(new ServerStatistics(
                    shown(placed),
                    load.active(),
                    load.inactive(),
                    traffic.connections(),
                    0,
                    traffic.bytes(),
                    traffic.bytesBack()));
        }
        DataPlane.Refusals refused = plane.refusals(installed.service.number);
        Map<String, Long> byReason = new LinkedHashMap<>();
        byReason.put("rate", refused.rate());
        byReason.put("source_rate", refused.sourceRate());
        byReason.put("unlearned", refused.unlearned());
        return new ServiceStatistics(
                installed.service.name,
                connections,
                active,
                0,
                refused.rate() + refused.sourceRate() + refused.unlearned(),
                bytes,
                bytesBack,
                servers,
                byReason);
    }

    /** Beside the control loop, which a walk over a million connections would hold up for half a second. */
    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        ConnectionWalk walk = new ConnectionWalk(plane, query);
        List<Installed> forgetful = new ArrayList<>();
        for (Installed installed : services.values()) {
            if (query.filter().service().isEmpty()
                    || installed.service.name.equals(query.filter().service())) {
                for (Installed each = installed; each != null; each = each.predecessor) {
                    Map<Integer, String> names = names(each);
                    for (Map.Entry<Endpoint, Integer> endpoint : each.endpoints.entrySet()) {
                        int idle = idleTicks(each, endpoint.getKey());
                        walk.meet(each.service.name, endpoint.getKey(), endpoint.getValue(), idle, names);
                    }
                }
                if ((memoryFlags(installed) & Layout.FLAG_REMEMBER) == 0) {
                    forgetful.add(installed);
                }
            }
        }
        List<String> notes = forgetful.isEmpty() ? List.of() : List.of(forgets(forgetful));
        return walk.start(notes, lowered -> hops.soon(() -> rank(lowered)));
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
        rewriteTraced(installed);
        return begun;
    }

    private boolean isTraced(Installed installed) {
        return installed.service.name.equals(traced);
    }

    private void endTrace() {
        Installed installed = services.get(traced);
        plane.trace(1, 0);
        trace = null;
        traced = "";
        if (installed != null && installed.service.isKnown()) {
            try {
                rewriteTraced(installed);
            } catch (IOException e) {
                events.note(true, installed.service.name, "its trace does not end: " + e.getMessage());
            }
        }
    }

    private void rewriteTraced(Installed installed) throws IOException {
        writeServers(installed);
        rewriteEndpoints(installed);
    }

    private static Map<Integer, String> names(Installed installed) {
        Map<Integer, String> names = new HashMap<>();
        for (Placed placed : installed.service.everybody()) {
            names.put(installed.firstServer + placed.member, shown(placed));
        }
        return names;
    }

    private static String shown(Placed placed) {
        return placed.name.equals(InstalledService.SORRY) ? "sorry" : placed.name;
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

    /** The program and its tables stay as they are: packets go on. */
    @Override
    public void close() {
        XdpTrace running = trace;
        if (running != null) {
            endTrace();
            running.end();
        }
        services.values().forEach(installed -> installed.watched.forEach(hops::forget));
    }
}

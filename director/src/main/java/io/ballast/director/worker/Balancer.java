package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.ServiceSpec.OnDown;
import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.ServiceStatistics.ServerStatistics;
import io.ballast.director.scheduler.FlowKey;
import io.ballast.director.scheduler.Member;
import io.ballast.director.scheduler.PersistenceTable;
import io.ballast.director.scheduler.Scheduler;
import io.ballast.director.scheduler.Schedulers;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One virtual service in the worker: it owns the scheduler, the servers with their counters, the queue and the listeners,
 * and decides about every connection who gets it. All of that belongs to one event loop, its {@link #owner}, so limits
 * are exact and the schedulers' order is kept, however many loops carry the bytes: a connection is accepted and placed
 * here, and carried on the loop that it was dealt to. With one loop nothing ever changes threads.
 */
final class Balancer {
    /** Clients that persistence remembers for a service at most; about 100 bytes each. */
    private static final int REMEMBERED_CLIENTS = 1_000_000;

    /** How far the queue is searched for a connection that a free server can be given. */
    private static final int QUEUE_SEARCH = 32;

    final String name;
    final TrafficWorker worker;
    final Loop owner;
    private final Map<String, RealServer> servers = new LinkedHashMap<>();
    private final Map<Member, RealServer> byMember = new HashMap<>();
    private final Set<RealServer> leaving = new LinkedHashSet<>();
    private final Map<Endpoint, Listener> listeners = new LinkedHashMap<>();
    private final LinkedHashSet<Connection> queue = new LinkedHashSet<>();
    private Scheduler scheduler;
    private @Nullable PersistenceTable persistence;
    private @Nullable RealServer sorry;
    private int live;
    private boolean crowded;
    private long connections;
    private long goneBytesIn;
    private long goneBytesOut;
    long refused;

    /** Read by every loop; replaced, never changed. */
    private volatile Table table;

    /** What the loops need to know of the description, in their units: nanoseconds and bytes. */
    record Table(
            Forwarding forwarding,
            long connectTimeout,
            long idleTimeout,
            long halfClosedTimeout,
            long udpTimeout,
            long queueTimeout,
            ProxyProtocol proxyProtocol,
            @Nullable InetSocketAddress source,
            int replayBytes) {

        static Table of(Forwarding forwarding) {
            ServiceSpec.Timeouts timeouts = forwarding.timeouts();
            return new Table(
                    forwarding,
                    timeouts.connect().toNanos(),
                    timeouts.idle().toNanos(),
                    timeouts.halfClosed().toNanos(),
                    timeouts.udp().toNanos(),
                    timeouts.queue().toNanos(),
                    forwarding.proxyProtocol(),
                    forwarding
                            .source()
                            .map(address -> new InetSocketAddress(address, 0))
                            .orElse(null),
                    forwarding.connectRetry().replayBytes());
        }
    }

    Balancer(TrafficWorker worker, Loop owner, Forwarding forwarding) {
        this.worker = worker;
        this.owner = owner;
        this.name = forwarding.service();
        this.table = Table.of(forwarding);
        this.scheduler = newScheduler(forwarding);
    }

    private static Scheduler newScheduler(Forwarding forwarding) {
        Scheduler scheduler = Schedulers.create(forwarding.scheduler());
        scheduler.expire(System.nanoTime());
        return scheduler;
    }

    /** The description as it is now, for every loop. */
    Table table() {
        return table;
    }

    /** Runs the task on the owner's thread. */
    void run(Runnable task) {
        owner.run(task);
    }

    void note(boolean warning, String message) {
        worker.note(warning, name, message);
    }

    // ---- The table

    /** Brings the service to what is described. */
    void apply(Forwarding next) {
        Forwarding before = table.forwarding;
        table = Table.of(next);
        owner.owned.add(this);
        if (next.scheduler() != before.scheduler()) {
            List<Member> members = scheduler.members();
            members.forEach(scheduler::remove);
            scheduler = newScheduler(next);
            members.forEach(scheduler::add);
        }
        applyPersistence(before, next);
        applyServers(next);
        applySorry(next);
        serveQueue();
        listeners.values().forEach(Listener::resume);
    }

    private void applyPersistence(Forwarding before, Forwarding next) {
        if (next.persistence().isEmpty()) {
            persistence = null;
        } else {
            ServiceSpec.Persistence now = next.persistence().get();
            ServiceSpec.Persistence old = before.persistence().orElse(null);
            if (persistence != null
                    && old != null
                    && old.prefix4() == now.prefix4()
                    && old.prefix6() == now.prefix6()) {
                persistence.setTimeout(now.timeout().toNanos());
            } else {
                persistence = new PersistenceTable(
                        now.timeout().toNanos(), now.prefix4(), now.prefix6(), REMEMBERED_CLIENTS, worker.seed());
            }
        }
    }

    private void applyServers(Forwarding next) {
        Map<String, Forwarding.Server> wanted = new LinkedHashMap<>();
        next.servers().forEach(server -> wanted.put(server.name(), server));
        for (Iterator<RealServer> all = servers.values().iterator(); all.hasNext(); ) {
            RealServer server = all.next();
            if (!wanted.containsKey(server.name())) {
                all.remove();
                retire(server, next);
            }
        }
        for (Forwarding.Server server : wanted.values()) {
            RealServer old = servers.get(server.name());
            if (old == null) {
                add(server, next);
            } else {
                change(old, server, next);
            }
        }
        order(List.copyOf(wanted.keySet()));
    }

    private void add(Forwarding.Server described, Forwarding next) {
        RealServer server = comingBack(described.name());
        if (server == null) {
            server = RealServer.of(described, worker.loopCount());
            byMember.put(server.member, server);
            servers.put(server.name(), server);
            scheduler.add(server.member);
        } else {
            server.retired = false;
            servers.put(server.name(), server);
            scheduler.add(server.member);
            change(server, described, next);
        }
    }

    /** A server that was taken out, and is back before its last connection ended, keeps its counters. */
    private @Nullable RealServer comingBack(String serverName) {
        for (RealServer server : leaving) {
            if (server.name().equals(serverName) && !server.sorry) {
                leaving.remove(server);
                return server;
            }
        }
        return null;
    }

    private void change(RealServer server, Forwarding.Server described, Forwarding next) {
        boolean wasDraining = server.draining();
        boolean wasDown = server.state == ServerState.DOWN;
        server.state = described.state();
        if (!server.address.equals(described.address())) {
            server.address = described.address();
        }
        scheduler.update(server.member, described.weight(), described.limit(), described.state() == ServerState.UP);
        if (server.state == ServerState.DOWN && !wasDown && next.onDown() == OnDown.RESET) {
            closeConnections(server);
        }
        if (server.draining() && !wasDraining) {
            server.drainPending = true;
        } else if (!server.draining()) {
            server.drainPending = false;
        }
        boolean limited = server.state == ServerState.DISABLED;
        if (limited && server.drainTimer == null) {
            startDrainTimer(server, next);
        } else if (!limited) {
            stopDrainTimer(server);
        }
        checkDrained(server, 0);
    }

    private void retire(RealServer server, Forwarding next) {
        scheduler.remove(server.member);
        server.retired = true;
        // Of one that had no connection there is nothing to tell.
        server.drainPending |= !server.idle();
        leaving.add(server);
        if (server.drainTimer == null) {
            startDrainTimer(server, next);
        }
        checkDrained(server, 0);
    }

    private void startDrainTimer(RealServer server, Forwarding next) {
        server.drainTimer =
                owner.timer(() -> drainTimeout(server), next.timeouts().drain().toNanos());
    }

    private static void stopDrainTimer(RealServer server) {
        if (server.drainTimer != null) {
            server.drainTimer.cancel(false);
            server.drainTimer = null;
        }
    }

    private void drainTimeout(RealServer server) {
        server.drainTimer = null;
        if (server.idle()) {
            return;
        }
        // The end is told here, with the number, and not by the last connection.
        server.drainPending = false;
        int closed = closeConnections(server);
        server.drainPending = true;
        checkDrained(server, closed);
    }

    private int closeConnections(RealServer server) {
        int closed = 0;
        for (Exchange exchange = server.first; exchange != null; ) {
            Exchange next = exchange.nextOfServer;
            Exchange doomed = exchange;
            doomed.loop.run(() -> doomed.end(true));
            closed++;
            exchange = next;
        }
        return closed;
    }

    private void checkDrained(RealServer server, int closed) {
        if (server.idle() || closed > 0) {
            if (server.drainPending) {
                server.drainPending = false;
                worker.drained(name, server.name(), closed);
            }
            if (server.idle() && server.retired) {
                stopDrainTimer(server);
                leaving.remove(server);
                byMember.remove(server.member);
                ServerStatistics last = server.statistics();
                goneBytesIn += last.bytesIn();
                goneBytesOut += last.bytesOut();
            }
        }
    }

    /** Puts the scheduler's members into the description's order, by which some schedulers break ties. */
    private void order(List<String> names) {
        List<Member> members = scheduler.members();
        int same = 0;
        while (same < members.size() && members.get(same).name().equals(names.get(same))) {
            same++;
        }
        if (same < members.size()) {
            members.subList(same, members.size()).forEach(scheduler::remove);
            for (String serverName : names.subList(same, names.size())) {
                RealServer server = servers.get(serverName);
                if (server != null) {
                    scheduler.add(server.member);
                }
            }
        }
    }

    private void applySorry(Forwarding next) {
        InetSocketAddress address = next.sorry().orElse(null);
        if (address == null) {
            RealServer old = sorry;
            sorry = null;
            if (old != null) {
                old.retired = true;
                leaving.add(old);
                startDrainTimer(old, next);
                checkDrained(old, 0);
            }
        } else if (sorry == null) {
            sorry = RealServer.sorry(address, worker.loopCount());
        } else {
            sorry.address = address;
        }
    }

    /** Ends the service: no more is accepted, and what is left has the drain time-out to end. */
    void remove() {
        owner.owned.remove(this);
        List.copyOf(listeners.keySet()).forEach(this::unlisten);
        for (Connection connection : List.copyOf(queue)) {
            refuse(connection);
        }
        for (RealServer server : List.copyOf(servers.values())) {
            retire(server, table.forwarding);
        }
        servers.clear();
        RealServer answering = sorry;
        if (answering != null && !answering.idle()) {
            startDrainTimer(answering, table.forwarding);
        }
    }

    /** Whether it ever had a connection; may be asked on any thread, and is then right a moment later at the latest. */
    boolean wasUsed() {
        return connections > 0;
    }

    /** Connections and flows that are left. */
    int live() {
        return live;
    }

    // ---- Listeners

    /** Serves a socket that the node process has opened; the descriptor is the worker's from now on. */
    void listen(Endpoint endpoint, int fd) throws IOException {
        unlisten(endpoint);
        Listener listener = endpoint.protocol() == Endpoint.Protocol.TCP
                ? new TcpListener(this, endpoint, fd)
                : new UdpListener(this, endpoint, fd);
        listeners.put(endpoint, listener);
        listener.start();
    }

    void unlisten(Endpoint endpoint) {
        Listener listener = listeners.remove(endpoint);
        if (listener != null) {
            listener.close();
        }
    }

    /** Whether the service is below its limit of connections. */
    boolean mayAccept() {
        int limit = table.forwarding.limits().connections();
        return limit == 0 || live < limit;
    }

    // ---- Connections

    /** A client's connection was accepted. */
    void accepted(TcpListener listener, Socket socket, FlowKey flow) {
        Connection connection = new Connection(this, worker.deal(owner), listener, socket, flow);
        connections++;
        if (++live == 1) {
            owner.active.add(this);
        }
        connection.loop.run(connection::begin);
        if (!connection.gone) {
            place(connection);
        }
    }

    /** Finds a server for the connection, or a place in the queue, or the sorry server; or ends it. */
    private void place(Connection connection) {
        RealServer server = choose(connection);
        if (server != null) {
            assign(connection, server);
            return;
        }
        boolean full = false;
        for (RealServer other : servers.values()) {
            full |= other.member.full() && wanted(connection, other.member);
        }
        if (full && queue.size() < table.forwarding.limits().queue()) {
            connection.queued = true;
            queue.add(connection);
        } else if (sorry != null && sorryAnswers(connection)) {
            assign(connection, sorry);
        } else {
            refuse(connection);
        }
    }

    /** Whether the exchange could be given to the server, were that not full. */
    private static boolean wanted(Exchange exchange, Member member) {
        return member.eligible() && member.weight() > 0 && !exchange.tried.contains(member);
    }

    /** Whether no server is left to wait for or to try. */
    private boolean sorryAnswers(Exchange exchange) {
        for (RealServer server : servers.values()) {
            if (wanted(exchange, server.member)) {
                return false;
            }
        }
        return true;
    }

    /** A UDP flow has begun. */
    void begun(Flow flow) {
        connections++;
        if (++live == 1) {
            owner.active.add(this);
        }
    }

    /** Finds a server for the flow and counts it there; null where there is none. */
    @Nullable
    RealServer place(Flow flow) {
        RealServer server = choose(flow);
        if (server == null && sorry != null && sorryAnswers(flow)) {
            server = sorry;
        }
        if (server != null) {
            count(flow, server);
        }
        return server;
    }

    /** Says, once in a while, that flows have to make place for others. */
    void tellOfCrowding() {
        if (!crowded) {
            crowded = true;
            note(
                    true,
                    "UDP flows are at their limit (" + live + " of this service are open, "
                            + worker.descriptors.open() + " of " + worker.descriptors.limit()
                            + " descriptors in use): new ones take the place of the longest silent");
        }
    }

    private @Nullable RealServer choose(Exchange connection) {
        PersistenceTable clients = persistence;
        if (clients == null) {
            return pick(connection);
        }
        long now = owner.now();
        PersistenceTable.Entry entry = clients.find(connection.flow, now);
        if (entry != null && !connection.tried.contains(entry.server())) {
            if (!entry.server().full()) {
                return open(connection, entry, now);
            }
            if (queue.size() < table.forwarding.limits().queue()) {
                return null;
            }
        }
        RealServer picked = pick(connection);
        if (picked != null) {
            entry = clients.assign(connection.flow, picked.member, now);
            return entry == null ? picked : open(connection, entry, now);
        }
        return null;
    }

    private @Nullable RealServer open(Exchange connection, PersistenceTable.Entry entry, long now) {
        PersistenceTable clients = persistence;
        if (clients != null) {
            clients.opened(entry, now);
            connection.remembered = entry;
        }
        return byMember.get(entry.server());
    }

    private @Nullable RealServer pick(Exchange connection) {
        List<Member> tried = connection.tried;
        Member member =
                tried.isEmpty() ? scheduler.pick(connection.flow) : scheduler.pick(connection.flow, tried::contains);
        return member == null ? null : byMember.get(member);
    }

    private void count(Exchange exchange, RealServer server) {
        exchange.assigned = server;
        exchange.countedInactive = false;
        server.link(exchange);
        server.connections++;
        scheduler.opened(server.member);
    }

    private void assign(Connection connection, RealServer server) {
        count(connection, server);
        if (connection.loop == owner) {
            connection.connect(server);
        } else {
            connection.loop.execute(() -> connection.connect(server));
        }
    }

    private void refuse(Connection connection) {
        connection.loop.run(connection::refuse);
    }

    /** The server did not take the connection: another is tried, as often as the service allows. */
    void failed(Connection connection, RealServer server) {
        server.failures++;
        release(connection);
        if (connection.gone) {
            return;
        }
        connection.tried.add(server.member);
        if (connection.tried.size() > table.forwarding.connectRetry().attempts() || server.sorry) {
            refuse(connection);
        } else {
            place(connection);
        }
        serveQueue();
    }

    /** One direction of an established connection has ended. */
    void halfClosed(Connection connection) {
        RealServer server = connection.assigned;
        if (server != null && !connection.countedInactive) {
            connection.countedInactive = true;
            scheduler.deactivated(server.member);
        }
    }

    /** It is over. */
    void ended(Exchange exchange) {
        exchange.gone = true;
        live--;
        if (exchange instanceof Connection connection && connection.queued) {
            connection.queued = false;
            queue.remove(connection);
        }
        release(exchange);
        serveQueue();
        int limit = table.forwarding.limits().connections();
        if (limit > 0 && live == limit - 1) {
            listeners.values().forEach(Listener::resume);
        }
    }

    /** Takes it out of its server's account. */
    void release(Exchange exchange) {
        RealServer server = exchange.assigned;
        if (server == null) {
            return;
        }
        exchange.assigned = null;
        server.unlink(exchange);
        if (exchange.countedInactive) {
            scheduler.closedInactive(server.member);
        } else {
            scheduler.closed(server.member);
        }
        PersistenceTable.Entry entry = exchange.remembered;
        if (entry != null) {
            exchange.remembered = null;
            if (persistence != null) {
                persistence.closed(entry, owner.now());
            }
        }
        if (server.drainPending || server.retired) {
            checkDrained(server, 0);
        }
    }

    private void serveQueue() {
        int searched = 0;
        for (Iterator<Connection> waiting = queue.iterator(); waiting.hasNext() && searched < QUEUE_SEARCH; ) {
            Connection connection = waiting.next();
            RealServer server = choose(connection);
            if (server == null) {
                searched++;
                continue;
            }
            connection.queued = false;
            queue.remove(connection);
            assign(connection, server);
            // The queue may have changed meanwhile.
            waiting = queue.iterator();
            searched = 0;
        }
    }

    /** About every ten seconds. */
    void housekeeping(long now) {
        crowded = false;
        scheduler.expire(now);
        if (persistence != null) {
            persistence.expire(now);
        }
    }

    // ---- For people

    ServiceStatistics statistics() {
        List<ServerStatistics> rows = new ArrayList<>(servers.size() + 1);
        for (RealServer server : servers.values()) {
            rows.add(server.statistics());
        }
        if (sorry != null) {
            rows.add(sorry.statistics());
        }
        long in = goneBytesIn;
        long out = goneBytesOut;
        for (ServerStatistics row : rows) {
            in += row.bytesIn();
            out += row.bytesOut();
        }
        for (RealServer server : leaving) {
            ServerStatistics row = server.statistics();
            in += row.bytesIn();
            out += row.bytesOut();
        }
        return new ServiceStatistics(
                name, connections, live - queue.size(), queue.size(), refused, in, out, List.copyOf(rows));
    }

    /** Adds connections that are meant, and ends them where that is asked. */
    void connections(ConnectionReport.Draft draft) {
        List<Exchange> doomed = new ArrayList<>();
        long now = System.nanoTime();
        for (Connection connection : queue) {
            add(draft, connection, "", now, doomed);
        }
        List<RealServer> all = new ArrayList<>(servers.values());
        all.addAll(leaving);
        if (sorry != null) {
            all.add(sorry);
        }
        for (RealServer server : all) {
            if (draft.query().filter().hasServer(server.name())) {
                for (Exchange exchange = server.first;
                        exchange != null && !draft.full();
                        exchange = exchange.nextOfServer) {
                    add(draft, exchange, server.name(), now, doomed);
                }
            }
        }
        doomed.forEach(each -> each.loop.run(() -> each.end(true)));
    }

    private void add(ConnectionReport.Draft draft, Exchange exchange, String server, long now, List<Exchange> doomed) {
        ConnectionFilter filter = draft.query().filter();
        FlowKey flow = exchange.flow;
        ConnectionFilter.Phase phase = exchange.phase();
        if (filter.hasServer(server)
                && filter.hasClient(flow.sourceHigh(), flow.sourceLow(), flow.sourcePort())
                && filter.hasPhase(phase)
                && filter.hasProtocol(exchange.protocol())) {
            draft.add(name, server, phase, () -> exchange.info(server, now));
            if (draft.query().task() == ConnectionQuery.Task.KILL) {
                doomed.add(exchange);
            }
        }
    }
}

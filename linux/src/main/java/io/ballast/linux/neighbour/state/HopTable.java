package io.ballast.linux.neighbour.state;

import io.ballast.core.config.Addresses;
import io.ballast.linux.neighbour.state.Resolution.Reason;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteEvent;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Knows for each tracked server the interface and the Ethernet address that its packets leave with, and decides what to
 * ask the kernel so that this stays true.
 *
 * <p>The answer has two parts with different lives. Which interface and which next hop is a question of routes; the
 * kernel is asked for each server, and again when a route, address, rule or link that may matter has changed. The next
 * hop's Ethernet address is a question of the neighbour table, which the kernel maintains and tells every change of; but
 * it only does so for addresses that it sends packets to itself, and the packets of an XDP program pass it by. So each
 * next hop is made a managed neighbour, which the kernel keeps fresh on its own (5.16); on older kernels an entry that
 * turns stale is asked for again here. One that fails is asked for at growing intervals.
 *
 * <p>Two rules keep the table calm without making it wrong. An Ethernet address is believed until the kernel says that
 * the neighbour failed or the link went down: an entry that merely vanished (somebody flushed the table) is asked for
 * again, and its address used meanwhile. And only one look at all routes runs at a time, a little after the first of a
 * burst of changes.
 *
 * <p>Order matters where a full listing meets events: the events that arrive while one is awaited may be newer than it,
 * so they are put off and applied behind it.
 *
 * <p>Time is a parameter, by a clock of which only differences mean something. Everything is O(1) per event apart from
 * changes of routes and links, which look at all servers.
 */
public final class HopTable {
    /** What the table asks for, and tells. Each request but {@code release} and {@code probe} is answered by a call. */
    public interface Output {
        /** Find the route to a server: {@link HopTable#onRoute} or {@link HopTable#onNoRoute}. */
        void lookUp(InetAddress server);

        /** List links and neighbours: {@link HopTable#onDump} or {@link HopTable#onDumpFailed}. */
        void dump();

        /** Have the kernel resolve a neighbour and keep it fresh; on failure {@link HopTable#onKeepFailed}. */
        void keep(int link, InetAddress nextHop);

        /** The kernel need not keep it any longer. */
        void release(int link, InetAddress nextHop);

        /** Have the kernel ask a known neighbour right now. */
        void probe(int link, InetAddress nextHop);

        /** A server's resolution is now another. */
        void changed(InetAddress server, Resolution resolution);
    }

    /** After the first change of a burst, before routes are looked at. */
    static final long SETTLE = TimeUnit.MILLISECONDS.toNanos(20);

    /** Between two looks at all routes, at least. */
    static final long GAP = TimeUnit.MILLISECONDS.toNanos(500);

    /** All routes are looked at so often without cause: not every change is told (path MTU, some of IPv4's routes). */
    static final long REFRESH = TimeUnit.SECONDS.toNanos(60);

    /** Between two requests for one neighbour, at least; doubled up to the other for one that fails. */
    static final long PACE = TimeUnit.SECONDS.toNanos(1);

    static final long SLOWEST = TimeUnit.SECONDS.toNanos(32);

    private static final Resolution.Unresolved RESOLVING =
            new Resolution.Unresolved(Reason.RESOLVING, "waiting for the kernel's answer");

    private record Key(int link, InetAddress nextHop) {}

    private record Retry(long at, Entry entry) {}

    /** A next hop. */
    private static final class Entry {
        final Key key;
        final Set<Server> users = new LinkedHashSet<>();

        /** Believed; null where unknown. */
        @Nullable
        MacAddress mac;

        /** Has not answered since it was last known. */
        boolean failed;

        @Nullable
        String refusal;

        /** When last asked for. */
        @Nullable
        Long askedAt;

        /** When to ask again, if nothing happens before. */
        @Nullable
        Long retryAt;

        int failures;

        Entry(Key key) {
            this.key = key;
        }
    }

    private static final class Server {
        final InetAddress address;

        @Nullable
        Route route;

        @Nullable
        String noRoute;

        @Nullable
        Entry entry;

        /** A look at its route is under way. */
        boolean asked;

        Resolution told = RESOLVING;

        Server(InetAddress address) {
            this.address = address;
        }
    }

    private final Output output;
    private final Map<InetAddress, Server> servers = new LinkedHashMap<>();
    private final Map<Key, Entry> entries = new LinkedHashMap<>();
    private final Map<Integer, Link> links = new HashMap<>();
    private final Map<Key, Neighbour> neighbours = new HashMap<>();

    /** Whether this kernel has been seen to manage neighbours. */
    private boolean managing;

    /** Servers whose resolution may have changed in the call at hand. */
    private final Set<Server> touched = new LinkedHashSet<>();

    /** Servers whose route has to be looked at, and when. */
    private final Set<Server> doubtful = new LinkedHashSet<>();

    private @Nullable Long roundAt;
    private @Nullable Long lastRound;
    private @Nullable Long refreshAt;

    private boolean dumping;

    /** Whether links and neighbours are known at all. */
    private boolean listed;

    /** What to say of a server before that. */
    private Resolution resolving = RESOLVING;

    private @Nullable Long dumpAt;
    private final List<RouteEvent> putOff = new ArrayList<>();
    private final PriorityQueue<Retry> retries =
            new PriorityQueue<>((one, other) -> Long.signum(one.at() - other.at()));

    public HopTable(Output output) {
        this.output = output;
    }

    /** Begins with a listing; events have to be followed from before this on. */
    public void start(long now) {
        refreshAt = now + REFRESH;
        dump();
    }

    /** The servers that matter from now on. A new one is unresolved until something else is told. */
    public void track(long now, Set<InetAddress> wanted) {
        for (Server server : List.copyOf(servers.values())) {
            if (!wanted.contains(server.address)) {
                servers.remove(server.address);
                doubtful.remove(server);
                attach(now, server, null);
            }
        }
        for (InetAddress address : wanted) {
            if (!servers.containsKey(address)) {
                Server server = new Server(address);
                servers.put(address, server);
                lookUp(server);
            }
        }
        finish();
    }

    /** Has the kernel make sure at once that the server's next hop still is there: for when its checks fail. */
    public void verify(long now, InetAddress address) {
        Server server = servers.get(address);
        Entry entry = server == null ? null : server.entry;
        if (entry != null && entry.mac != null && !isFixed(neighbours.get(entry.key)) && paced(now, entry)) {
            entry.askedAt = now;
            output.probe(entry.key.link(), entry.key.nextHop());
        }
    }

    /** What was last told about a server; null for one that is not tracked. */
    public @Nullable Resolution resolution(InetAddress address) {
        Server server = servers.get(address);
        return server == null ? null : server.told;
    }

    // What the kernel tells.

    /** A change. */
    public void onEvent(long now, RouteEvent event) {
        if (dumping) {
            putOff.add(event);
            return;
        }
        apply(now, event);
        finish();
    }

    private void apply(long now, RouteEvent event) {
        switch (event) {
            case RouteEvent.LinkChanged changed -> link(now, changed.link());
            case RouteEvent.LinkRemoved removed -> linkGone(now, removed.link().index());
            case RouteEvent.NeighbourChanged changed -> neighbour(now, changed.neighbour());
            case RouteEvent.NeighbourRemoved removed ->
                neighbourGone(
                        now,
                        new Key(removed.neighbour().link(), removed.neighbour().address()));
            case RouteEvent.RouteChanged changed -> doubt(now, changed.route().destination());
            case RouteEvent.RouteRemoved removed -> doubt(now, removed.route().destination());
            // Source addresses change, and IPv4 removes routes along with an address without a word.
            case RouteEvent.AddressChanged changed -> doubtAll(now);
            case RouteEvent.AddressRemoved removed -> doubtAll(now);
            case RouteEvent.RulesChanged changed -> doubtAll(now);
            case RouteEvent.Lost lost -> {
                dump();
                doubtAll(now);
            }
        }
    }

    /** The listing of all links and neighbours. */
    public void onDump(long now, List<Link> allLinks, List<Neighbour> allNeighbours) {
        listed = true;
        resolving = RESOLVING;
        // All neighbours before any link, because a link that turns out to run has those asked for that are unknown.
        Set<Key> keysLeft = new LinkedHashSet<>(neighbours.keySet());
        for (Neighbour neighbour : allNeighbours) {
            Key key = new Key(neighbour.link(), neighbour.address());
            keysLeft.remove(key);
            neighbours.put(key, neighbour);
        }
        Set<Integer> linksLeft = new LinkedHashSet<>(links.keySet());
        for (Link link : allLinks) {
            linksLeft.remove(link.index());
            link(now, link);
        }
        allNeighbours.forEach(neighbour -> neighbour(now, neighbour));
        keysLeft.forEach(key -> neighbourGone(now, key));
        linksLeft.forEach(index -> linkGone(now, index));
        touched.addAll(servers.values());
        dumped(now);
    }

    /** No listing; it is asked for again a little later. */
    public void onDumpFailed(long now, String why) {
        dumpAt = now + PACE;
        if (!listed) {
            resolving = new Resolution.Unresolved(Reason.RESOLVING, why);
            touched.addAll(servers.values());
        }
        dumped(now);
    }

    private void dumped(long now) {
        dumping = false;
        List<RouteEvent> events = List.copyOf(putOff);
        putOff.clear();
        for (RouteEvent event : events) {
            if (dumping) {
                putOff.add(event);
            } else {
                apply(now, event);
            }
        }
        finish();
    }

    /** The route to a server. */
    public void onRoute(long now, InetAddress address, Route route) {
        Server server = answered(address);
        if (server == null) {
            return;
        }
        server.route = route;
        server.noRoute = null;
        boolean usable = route.type() == Route.Type.UNICAST && !route.hops().isEmpty();
        if (usable) {
            Route.Hop hop = route.hops().getFirst();
            attach(now, server, new Key(hop.link(), hop.gateway() == null ? address : hop.gateway()));
        } else {
            attach(now, server, null);
        }
        touched.add(server);
        finish();
    }

    /** There is no route to a server. */
    public void onNoRoute(long now, InetAddress address, String why) {
        Server server = answered(address);
        if (server == null) {
            return;
        }
        server.route = null;
        server.noRoute = why;
        attach(now, server, null);
        touched.add(server);
        finish();
    }

    private @Nullable Server answered(InetAddress address) {
        Server server = servers.get(address);
        if (server != null) {
            server.asked = false;
        }
        return server;
    }

    /** The kernel does not look after a neighbour. */
    public void onKeepFailed(long now, int link, InetAddress nextHop, String why) {
        Entry entry = entries.get(new Key(link, nextHop));
        if (entry != null) {
            entry.refusal = why;
            retryLater(now, entry);
            touched.addAll(entry.users);
            finish();
        }
    }

    /** The time of {@link #nextTime} has come. */
    public void onTime(long now) {
        if (dumpAt != null && now - dumpAt >= 0 && !dumping) {
            dump();
        }
        if (refreshAt != null && now - refreshAt >= 0) {
            refreshAt = now + REFRESH;
            doubtAll(now);
        }
        if (roundAt != null && now - roundAt >= 0) {
            round(now);
        }
        for (Retry retry = retries.peek(); retry != null && now - retry.at() >= 0; retry = retries.peek()) {
            retries.remove();
            Entry entry = retry.entry();
            if (entry.retryAt != null && entry.retryAt == retry.at() && entries.get(entry.key) == entry) {
                entry.retryAt = null;
                keep(now, entry);
            }
        }
        finish();
    }

    /** When {@link #onTime} is to be called. */
    public OptionalLong nextTime() {
        Long next = dumping ? null : dumpAt;
        next = earlier(next, refreshAt);
        next = earlier(next, roundAt);
        Retry retry = retries.peek();
        next = earlier(next, retry == null ? null : retry.at());
        return next == null ? OptionalLong.empty() : OptionalLong.of(next);
    }

    private static @Nullable Long earlier(@Nullable Long one, @Nullable Long other) {
        if (one == null || other == null) {
            return one == null ? other : one;
        }
        return one - other <= 0 ? one : other;
    }

    private void dump() {
        dumping = true;
        dumpAt = null;
        output.dump();
    }

    // Routes.

    private void lookUp(Server server) {
        server.asked = true;
        output.lookUp(server.address);
    }

    private void doubt(long now, Prefix destination) {
        for (Server server : servers.values()) {
            if (destination.contains(server.address)) {
                doubt(now, server);
            }
        }
    }

    private void doubtAll(long now) {
        servers.values().forEach(server -> doubt(now, server));
    }

    private void doubt(long now, Server server) {
        doubtful.add(server);
        if (roundAt == null) {
            long soonest = now + SETTLE;
            roundAt = lastRound == null || lastRound + GAP - soonest <= 0 ? soonest : lastRound + GAP;
        }
    }

    private void round(long now) {
        lastRound = now;
        roundAt = null;
        List<Server> due = List.copyOf(doubtful);
        doubtful.clear();
        for (Server server : due) {
            if (server.asked) {
                doubt(now, server); // that answer may be from before the change
            } else {
                lookUp(server);
            }
        }
    }

    private void attach(long now, Server server, @Nullable Key key) {
        Entry old = server.entry;
        if (old != null && old.key.equals(key)) {
            return;
        }
        server.entry = key == null ? null : entries.computeIfAbsent(key, Entry::new);
        Entry entry = server.entry;
        if (entry != null) {
            boolean first = entry.users.isEmpty();
            entry.users.add(server);
            if (first) {
                begin(now, entry);
            }
        }
        if (old != null) {
            old.users.remove(server);
            if (old.users.isEmpty()) {
                entries.remove(old.key);
                Neighbour known = neighbours.get(old.key);
                // What was asked for may not have been told yet.
                boolean kept = old.askedAt != null || (known != null && known.managed());
                if (kept && !isFixed(known)) {
                    output.release(old.key.link(), old.key.nextHop());
                }
            }
        }
    }

    // Links.

    private void link(long now, Link link) {
        Link before = links.put(link.index(), link);
        if (link.equals(before)) {
            return;
        }
        boolean was = before != null && before.running();
        if (was != link.running()) {
            doubtAll(now);
        }
        for (Entry entry : entries.values()) {
            if (entry.key.link() == link.index()) {
                touched.addAll(entry.users);
                if (was && !link.running()) {
                    forget(entry);
                } else if (!was && link.running()) {
                    begin(now, entry);
                }
            }
        }
    }

    private void linkGone(long now, int index) {
        if (links.remove(index) == null) {
            return;
        }
        doubtAll(now);
        for (Entry entry : entries.values()) {
            if (entry.key.link() == index) {
                touched.addAll(entry.users);
                forget(entry);
            }
        }
    }

    // Neighbours.

    /** Believes what is known already, and asks for the rest. */
    private void begin(long now, Entry entry) {
        Neighbour known = neighbours.get(entry.key);
        if (known != null) {
            learn(now, entry, known);
        }
        boolean kept = known != null
                && (isFixed(known) || (known.managed() && known.state().isValid()));
        if (!kept) {
            keep(now, entry);
        }
    }

    private static void forget(Entry entry) {
        entry.mac = null;
        entry.failed = false;
        entry.failures = 0;
        entry.refusal = null;
        entry.retryAt = null;
    }

    /** An administrator's entry: nothing is to be asked, and asking would spoil it. */
    private static boolean isFixed(@Nullable Neighbour neighbour) {
        return neighbour != null
                && (neighbour.state() == Neighbour.State.PERMANENT || neighbour.state() == Neighbour.State.NOARP);
    }

    private void neighbour(long now, Neighbour neighbour) {
        Key key = new Key(neighbour.link(), neighbour.address());
        neighbours.put(key, neighbour);
        Entry entry = entries.get(key);
        if (entry != null) {
            learn(now, entry, neighbour);
            touched.addAll(entry.users);
        }
    }

    private void learn(long now, Entry entry, Neighbour neighbour) {
        managing |= neighbour.managed();
        entry.refusal = null;
        if (neighbour.state().isValid()) {
            forget(entry);
            entry.mac = neighbour.mac();
            boolean neglected = managing ? !neighbour.managed() : neighbour.state() == Neighbour.State.STALE;
            if (neglected && !isFixed(neighbour)) {
                keepSoon(now, entry);
            }
        } else if (neighbour.state() == Neighbour.State.FAILED) {
            entry.mac = null;
            entry.failed = true;
            retryLater(now, entry);
        } else if (managing && !neighbour.managed()) {
            keepSoon(now, entry);
        }
    }

    private void neighbourGone(long now, Key key) {
        neighbours.remove(key);
        Entry entry = entries.get(key);
        if (entry != null) {
            keepSoon(now, entry);
        }
    }

    private boolean paced(long now, Entry entry) {
        return entry.askedAt == null || now - entry.askedAt >= PACE;
    }

    private void keepSoon(long now, Entry entry) {
        if (paced(now, entry)) {
            keep(now, entry);
        } else if (entry.askedAt != null) {
            retryAt(entry, entry.askedAt + PACE);
        }
    }

    private void retryLater(long now, Entry entry) {
        long delay = Math.min(SLOWEST, PACE << Math.min(entry.failures, 10));
        entry.failures++;
        retryAt(entry, now + delay);
    }

    private void retryAt(Entry entry, long at) {
        if (entry.retryAt == null || at - entry.retryAt < 0) {
            entry.retryAt = at;
            retries.add(new Retry(at, entry));
        }
    }

    private void keep(long now, Entry entry) {
        Link link = links.get(entry.key.link());
        // What is asked for on a dead link fails; its return asks again.
        if (link != null && link.running() && link.isEthernet() && !isFixed(neighbours.get(entry.key))) {
            entry.askedAt = now;
            output.keep(entry.key.link(), entry.key.nextHop());
        }
    }

    // What to tell.

    /** Tells what has changed, once all that arrived together is applied. */
    private void finish() {
        for (Server server : touched) {
            Resolution resolution = resolve(server);
            if (servers.get(server.address) == server && !resolution.equals(server.told)) {
                server.told = resolution;
                output.changed(server.address, resolution);
            }
        }
        touched.clear();
    }

    private Resolution resolve(Server server) {
        if (server.noRoute != null) {
            return new Resolution.Unresolved(Reason.NO_ROUTE, server.noRoute);
        }
        Route route = server.route;
        if (route == null || !listed) {
            return resolving;
        }
        Entry entry = server.entry;
        if (entry == null) {
            return route.type() == Route.Type.LOCAL
                    ? new Resolution.Unresolved(Reason.OWN_ADDRESS, "an address of this host")
                    : new Resolution.Unresolved(Reason.NO_ROUTE, "the route to it is of type " + route.type());
        }
        Link link = links.get(entry.key.link());
        if (link == null) {
            return new Resolution.Unresolved(Reason.LINK_DOWN, "interface " + entry.key.link() + " is gone");
        }
        if (!link.running()) {
            return new Resolution.Unresolved(
                    Reason.LINK_DOWN, link.name() + (link.up() ? " has no carrier" : " is switched off"));
        }
        if (!link.isEthernet() || link.address() == null) {
            return new Resolution.Unresolved(Reason.NO_ETHERNET, link.name() + " carries no Ethernet frames");
        }
        if (entry.mac != null) {
            int mtu = route.mtu() == 0 ? link.mtu() : Math.min(route.mtu(), link.mtu());
            return new Resolution.Hop(
                    link.index(), link.name(), link.address(), entry.mac, mtu, route.source(), entry.key.nextHop());
        }
        if (entry.refusal != null) {
            return new Resolution.Unresolved(Reason.REFUSED, entry.refusal);
        }
        if (entry.failed) {
            InetAddress nextHop = entry.key.nextHop();
            String protocol = nextHop instanceof Inet4Address ? "ARP" : "neighbour discovery";
            return new Resolution.Unresolved(
                    Reason.NO_ANSWER, Addresses.print(nextHop) + " does not answer " + protocol + " on " + link.name());
        }
        return resolving;
    }
}

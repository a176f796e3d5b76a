package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.xdp.InstalledService.Placed;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A service with what it has taken of the data plane: the numbers that are its own, its table, its endpoints, and what of
 * the past its endpoints have to say. {@link InstalledService} knows which servers it has, {@link ServiceTables} writes it.
 */
final class Installed {
    /** How long a connection may be half open, as IPVS has it. */
    static final long OPENING_NANOS = 60_000_000_000L;

    /** How long a connection may be idle while the description of its service is not known yet. */
    private static final long ADOPTED_IDLE_NANOS = 900_000_000_000L;

    final InstalledService service;
    final int firstServer;
    final Vip.Kind kind;
    /** First line of its tree; -1 where it compares no loads. */
    final int tree;
    /** The flags of its endpoints that say how addresses are translated. */
    int translation;

    /** Its endpoints in the tables, or about to be, with their ids. */
    final Map<Endpoint, Integer> endpoints = new LinkedHashMap<>();

    final Map<InetAddress, Hops.Listener> watched = new HashMap<>();
    /** Whom connection IDs name in the tables. */
    final Map<QuicName, Integer> quicIds = new HashMap<>();

    /** First line of its slots; -1 while it has none. */
    int lines = -1;

    int lineCount;

    @Nullable
    SlotTable table;

    /** When the table changed last. */
    long changed;

    /** Connections may be remembered that its table does not lead to. */
    boolean lingering;

    /** Clients stay at their server. */
    boolean persists;

    /** Connections may have come by a SYN cookie. */
    boolean cookies;

    /** SYNs are answered with cookies now. */
    boolean greets;

    /** When a connection that came by a cookie was seen last, or could still come: the time, and the upkeep's step. */
    long cookieAt;

    int cookieStep;

    /** What decides that, where it is not decided already. */
    @Nullable
    CookieSwitch cookieSwitch;

    /** Its tables are being written. */
    boolean writing;

    /** Who looks on at its packets. */
    @Nullable
    XdpTrace trace;

    /** Its counters begin where those of its predecessor ended. */
    boolean counts = true;

    /** What serves its endpoints until this one's are written. */
    @Nullable
    Installed predecessor;

    Installed(InstalledService service, int firstServer, int tree, Vip.Kind kind) {
        this.service = service;
        this.firstServer = firstServer;
        this.tree = tree;
        this.kind = kind;
    }

    /** Takes the connections of the one before: they are remembered under the same endpoints, of the same members. */
    void follow(Installed before) {
        endpoints.putAll(before.endpoints);
        lingering = before.lingering || before.remembersAll();
        cookies = before.cookies;
        changed = before.changed;
        if (kind == before.kind && kind != Vip.Kind.IN_TURN) {
            table = before.table;
        }
    }

    int numberOf(Placed placed) {
        return firstServer + placed.member;
    }

    /** The number under which the traffic of servers that left is counted. */
    int numberOfThoseWhoLeft() {
        return firstServer + service.capacity() - 1;
    }

    /** This one and those whose endpoints are not yet this one's. */
    List<Installed> withPredecessors() {
        List<Installed> all = new ArrayList<>();
        for (Installed each = this; each != null; each = each.predecessor) {
            all.add(each);
        }
        return all;
    }

    /** Whether every connection is remembered, whatever the table says. */
    boolean remembersAll() {
        return (memoryFlags() & Layout.FLAG_REMEMBER) != 0;
    }

    private int memoryFlags() {
        int more = translation | (persists ? Layout.FLAG_PERSIST : 0);
        if (more != 0 || kind.byLoad() || kind == Vip.Kind.IN_TURN) {
            return Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER | more;
        }
        return lingering ? Layout.FLAG_LOOKUP : 0;
    }

    /** An endpoint as it should be in the tables. */
    Vip vip(Endpoint endpoint, int id) {
        ServiceSpec.Timeouts timeouts = service.forwarding().timeouts();
        boolean tcp = endpoint.protocol() == Endpoint.Protocol.TCP;
        int slots = table == null ? 0 : table.length();
        return new Vip(
                id,
                service.number,
                firstServer,
                Math.max(0, lines),
                slots,
                Vip.bits(slots),
                kind,
                flags(tcp),
                ticks(OPENING_NANOS),
                idleTicks(endpoint),
                ticks(timeouts.halfClosed().toNanos()));
    }

    private int flags(boolean tcp) {
        int flags = memoryFlags() | (trace == null ? 0 : Layout.FLAG_TRACE);
        if (service.forwarding().limits().limitsRates()) {
            // Which datagram is a new flow's is known only where flows are remembered.
            flags |= Layout.FLAG_LIMIT | (tcp ? 0 : Layout.FLAG_LOOKUP | Layout.FLAG_REMEMBER);
        }
        if (tcp && cookies) {
            flags |= Layout.FLAG_COOKIES;
        }
        if (!tcp && service.forwarding().quic().isPresent()) {
            flags |= Layout.FLAG_QUIC;
        }
        return flags;
    }

    /** How long a connection to the endpoint may be idle. */
    int idleTicks(Endpoint endpoint) {
        if (!service.isKnown()) {
            return ticks(ADOPTED_IDLE_NANOS);
        }
        ServiceSpec.Timeouts timeouts = service.forwarding().timeouts();
        boolean tcp = endpoint.protocol() == Endpoint.Protocol.TCP;
        return ticks((tcp ? timeouts.idle() : timeouts.udp()).toNanos());
    }

    /** A time as the data plane measures it. */
    static int ticks(long nanos) {
        return Math.clamp(nanos >>> Layout.TICK_SHIFT, 1, 0x3fff_ffff);
    }
}

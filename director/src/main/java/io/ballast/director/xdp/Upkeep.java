package io.ballast.director.xdp;

import io.ballast.director.EngineEvents;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What time brings about, about once a second: connections that are over are swept out, drains end, a table's base
 * follows, numbers are free again, and a crowded table is told of.
 *
 * <p>A whole table takes tens of milliseconds, so each step sweeps a part of it; what has to be true of all connections
 * is asked when the last part has been swept. Whether one names a certain server is asked of the table itself, since
 * packets may have moved what the loads say.
 */
final class Upkeep {
    /** In so many steps every connection is looked at once, and then what can be given back. */
    static final int SWEEP_PARTS = 8;

    private final DataPlane plane;
    private final Collection<Installed> services;
    private final Numbers numbers;
    private final ServiceTables tables;
    private final EngineEvents events;
    private final FlowPressure pressure;
    /** How many parts of the table have been swept, over and over. */
    private long swept;

    private int steps;
    /** How many connections the last sweep found half open, by the number of the server. */
    private final int[] halfOpen;
    /** In so many parts. */
    private int sweptLast;
    /** To which servers it found connections that came by a SYN cookie. */
    private final BitSet byCookie = new BitSet();

    /**
     * @param services those that there are, as they come and go
     */
    Upkeep(
            DataPlane plane,
            Collection<Installed> services,
            Numbers numbers,
            ServiceTables tables,
            EngineEvents events) {
        this.plane = plane;
        this.services = services;
        this.numbers = numbers;
        this.tables = tables;
        this.events = events;
        halfOpen = new int[plane.sizes().servers()];
        pressure = new FlowPressure((long) plane.buckets() * Layout.WAYS, SWEEP_PARTS);
    }

    /** Does what has become due. */
    void step(long now) {
        Census census = new Census();
        boolean sweptAll = ++steps % SWEEP_PARTS == 0;
        sweep(1);
        if (sweptAll) {
            judgePressure(now);
        }
        for (Installed installed : List.copyOf(services)) {
            if (!installed.service.isKnown()) {
                continue;
            }
            try {
                forgetCookies(installed, now);
                decideCookies(installed, now);
                cut(installed, now, census);
                settle(installed, now, census, sweptAll);
                if (sweptAll) {
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
            Optional<String> news = pressure.step(
                    now,
                    counts.getOrDefault(DataPlane.Reason.FLOW_EVICTED, 0L),
                    counts.getOrDefault(DataPlane.Reason.FLOW_TABLE_FULL, 0L));
            news.ifPresent(words -> events.note(pressure.isOn(), "xdp", words));
        } catch (IOException e) {
            events.note(true, "xdp", "the counters cannot be read: " + e.getMessage());
        }
    }

    /** How the table of remembered connections is used. */
    FlowPressure.Occupancy occupancy() {
        return pressure.occupancy();
    }

    /** Forgets connections that are over, so that loads are what they should be and numbers can be given again. */
    void sweep(int parts) {
        BitSet living = new BitSet();
        BitSet gone = new BitSet();
        BitSet greeted = new BitSet();
        for (Installed installed : services) {
            for (Installed each : installed.withPredecessors()) {
                each.endpoints.values().forEach(living::set);
                greeted.set(each.firstServer, each.firstServer + (each.cookies ? each.service.capacity() : 0));
                for (Placed placed : each.service.everybody()) {
                    gone.set(each.numberOf(placed), placed.gone && placed.cut);
                }
            }
        }
        BitSet given = numbers.given();
        Arrays.fill(halfOpen, 0);
        byCookie.clear();
        sweptLast = parts;
        int part = Math.ceilDiv(plane.buckets(), SWEEP_PARTS);
        BitSet changed = new BitSet();
        for (int i = 0; i < parts; i++) {
            int number = (int) (swept++ % SWEEP_PARTS);
            int from = Math.min(number * part, plane.buckets());
            int to = Math.min(from + part, plane.buckets());
            FlowPressure.Tally found = new FlowPressure.Tally();
            changed.or(plane.sweep(from, to, id -> id > 0 && living.get(id), gone, given, (place, isExpired) -> {
                found.count(place.state(), isExpired);
                int server = place.server();
                if (server >= 0 && server < halfOpen.length && Layout.isConnection(place.state())) {
                    halfOpen[server] += place.state() == Layout.OPENING && !isExpired ? 1 : 0;
                    if (greeted.get(server) && plane.cameByCookie(place)) {
                        byCookie.set(server);
                    }
                }
            }));
            pressure.part(number, found);
            numbers.sweptPart();
        }
        rank(changed);
    }

    /** Brings orders by load up to date after the loads of servers changed. */
    void rank(BitSet changed) {
        for (Installed installed : services) {
            int next = changed.nextSetBit(installed.firstServer);
            boolean mine = next >= 0 && next < installed.firstServer + installed.service.capacity();
            if (mine && installed.tree >= 0 && installed.service.isKnown()) {
                tables.rank(installed);
            }
        }
    }

    /**
     * A hash spreads connections over the table, so that the part that was swept now says how many there are in all: a
     * flood is seen after a second, and not after all parts.
     */
    private void decideCookies(Installed installed, long now) throws IOException {
        CookieSwitch cookieSwitch = installed.cookieSwitch;
        if (cookieSwitch == null) {
            return;
        }
        long opening = 0;
        long established = 0;
        long takeNew = 0;
        for (Placed placed : installed.service.everybody()) {
            opening += halfOpen[installed.numberOf(placed)];
            established += plane.load(installed.numberOf(placed)).active();
            takeNew += placed.takesNew() ? 1 : 0;
        }
        boolean full = (installed.translation & Layout.FLAG_FULL_NAT) != 0;
        Map<DataPlane.Reason, Long> counts = cookieSwitch.isOn() ? plane.reasons(installed.service.number) : Map.of();
        Optional<String> news = cookieSwitch.step(
                now,
                CookieSwitch.bound(
                        (long) plane.buckets() * Layout.WAYS,
                        established,
                        full ? takeNew * Layout.NAT_PORTS : Long.MAX_VALUE),
                opening * SWEEP_PARTS / sweptLast,
                counts.getOrDefault(DataPlane.Reason.SYN_GREETED, 0L)
                        - counts.getOrDefault(DataPlane.Reason.SYN_PROVEN, 0L));
        if (news.isPresent()) {
            tables.greet(installed, cookieSwitch.isOn());
            events.note(cookieSwitch.isOn(), installed.service.name, news.get());
        }
    }

    /**
     * What came by a cookie has its sequence numbers translated, for which its endpoint has packets looked at. That costs
     * known connections a fifth where there are many, and ends with the last of them, once no cookie is good any more.
     */
    private void forgetCookies(Installed installed, long now) throws IOException {
        if (!installed.cookies) {
            return;
        }
        int end = installed.firstServer + installed.service.capacity();
        int next = byCookie.nextSetBit(installed.firstServer);
        if (installed.greets || installed.cookieStep == 0 || (next >= 0 && next < end)) {
            installed.cookieAt = now;
            installed.cookieStep = steps;
        } else if (now - installed.cookieAt > Layout.COOKIE_NANOS && steps - installed.cookieStep > SWEEP_PARTS) {
            installed.cookieStep = 0;
            tables.endCookies(installed);
        }
    }

    private void cut(Installed installed, long now, Census census) throws IOException {
        List<Placed> cut = installed.service.cutOff(now);
        if (!cut.isEmpty()) {
            tables.write(installed, now);
            for (Placed placed : cut) {
                events.drained(installed.service.name, placed.name, census.ofServer(installed.numberOf(placed)));
            }
        }
    }

    private void settle(Installed installed, long now, Census census, boolean sweptAll) throws IOException {
        SlotTable table = installed.table;
        long patience = installed.service.forwarding().timeouts().idle().toNanos();
        if (table == null || !installed.lingering || now - installed.changed < patience) {
            return;
        }
        if (table.moved() > 0) {
            tables.settle(installed, table, now);
        } else if (sweptAll && !installed.persists && !census.hasAny(installed)) {
            tables.trust(installed, table);
        }
    }

    /** Numbers of servers that left and were cut off are free once no connection, no client and no slot names them. */
    private void release(Installed installed, long now, Census census) throws IOException {
        for (Placed placed : installed.service.everybody()) {
            SlotTable table = installed.table;
            int number = installed.numberOf(placed);
            boolean due = placed.gone && placed.cut && placed.cutAt + Installed.OPENING_NANOS < now;
            if (due && (table == null || !table.names(placed.member)) && !census.names(number)) {
                tables.release(installed, placed);
            }
        }
    }

    /** How many connections are remembered, counted once a step and only if somebody asks. */
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
}

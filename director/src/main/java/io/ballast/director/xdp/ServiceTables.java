package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.Forwarding;
import io.ballast.director.scheduler.HashOptions;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.director.xdp.InstalledService.Placed;
import java.io.IOException;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/**
 * Brings the tables of one service to what it should be.
 *
 * <p>Packets read them at any moment, and the process may end between any two writes, so the order is all: notes of what
 * is about to be come first; servers and schedule next, which no packet finds yet where they are new; endpoints after
 * them, each replaced as a whole; and what nothing leads to any more is taken away last.
 */
final class ServiceTables {
    private final DataPlane plane;
    private final Endpoints endpoints;
    private final Numbers numbers;
    private final Ways ways;

    ServiceTables(DataPlane plane, Endpoints endpoints, Numbers numbers, Ways ways) {
        this.plane = plane;
        this.endpoints = endpoints;
        this.numbers = numbers;
        this.ways = ways;
    }

    /** Makes numbers that were in use before those of a new service. */
    void clear(Installed installed) throws IOException {
        plane.clearService(installed.service.number);
        for (int i = 0; i < installed.service.capacity(); i++) {
            plane.clear(installed.firstServer + i);
        }
        installed.service.everybody().forEach(placed -> placed.fresh = false);
    }

    /**
     * Brings the tables to what the service should be.
     *
     * @return false where there is no room
     */
    boolean write(Installed installed, long now) throws IOException {
        installed.writing = true;
        try {
            return writeAll(installed, now);
        } finally {
            installed.writing = false;
        }
    }

    private boolean writeAll(Installed installed, long now) throws IOException {
        ways.watch(installed);
        note(installed);
        ways.write(installed);
        writePersistence(installed);
        writeCookies(installed);
        Map<QuicName, Integer> named = named(installed);
        nameServers(installed, named);
        ServiceSpec.Limits limits = installed.service.forwarding().limits();
        plane.rates(installed.service.number, limits.connectionRate(), limits.sourceConnectionRate());
        if (installed.kind.byLoad()) {
            writeOrder(installed);
        } else if (!writeTable(installed, now)) {
            return false;
        }
        goOnCounting(installed);
        writeEndpoints(installed);
        forgetNames(installed, named.keySet());
        retire(installed);
        return true;
    }

    /** Shows packets whether somebody looks on. */
    void writeTrace(Installed installed) throws IOException {
        ways.write(installed);
        rewriteEndpoints(installed);
    }

    private void writePersistence(Installed installed) {
        Optional<ServiceSpec.Persistence> wanted =
                installed.service.forwarding().persistence();
        plane.persistence(
                installed.service.number,
                wanted.map(persistence -> Installed.ticks(persistence.timeout().toNanos()))
                        .orElse(0),
                wanted.map(ServiceSpec.Persistence::prefix4).orElse(0),
                wanted.map(ServiceSpec.Persistence::prefix6).orElse(0));
        installed.persists = wanted.isPresent();
        // Connections are where their client's first one went, whatever the table says: when this ends they go on being
        // looked for until the last of them has ended.
        installed.lingering |= installed.persists;
    }

    private void writeCookies(Installed installed) {
        ServiceSpec.SynCookies wanted = installed.translation == 0
                ? ServiceSpec.SynCookies.OFF
                : installed.service.forwarding().synCookies();
        switch (wanted) {
            case OFF -> installed.greets = false;
            case ALWAYS -> installed.greets = true;
            case AUTO -> {
                if (installed.cookieSwitch == null) {
                    // Where it is on already, by an earlier process or description, it goes off by itself.
                    installed.cookieSwitch = new CookieSwitch(installed.greets);
                }
            }
        }
        if (wanted != ServiceSpec.SynCookies.AUTO) {
            installed.cookieSwitch = null;
        }
        plane.cookies(installed.service.number, installed.greets);
        // Sequence numbers of connections that came by one differ until they end.
        installed.cookies |= installed.greets;
    }

    /** Begins or ends to answer SYNs with cookies. */
    void greet(Installed installed, boolean greets) throws IOException {
        installed.greets = greets;
        plane.cookies(installed.service.number, greets);
        if (greets && !installed.cookies) {
            installed.cookies = true;
            rewriteEndpoints(installed);
        }
    }

    /** Has packets no longer looked at for what cookies make different, since no connection is left that came by one. */
    void endCookies(Installed installed) throws IOException {
        installed.cookies = false;
        rewriteEndpoints(installed);
    }

    // ---- Notes

    /** Tells a later process what is about to be in the tables. */
    private void note(Installed installed) throws IOException {
        for (Placed placed : installed.service.everybody()) {
            int number = installed.numberOf(placed);
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
        // One that was the predecessor's has no place yet.
        SlotTable table = installed.lines < 0 ? null : installed.table;
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

    // ---- Schedules

    private void writeOrder(Installed installed) {
        Map<Integer, Integer> weights = installed.service.weights();
        for (Placed placed : installed.service.everybody()) {
            plane.allow(
                    installed.numberOf(placed),
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

    /**
     * Brings an order by load up to date. Twice: a packet may have moved a server in the half that was decided already,
     * and by the second time it shows.
     */
    void rank(Installed installed) {
        LoadTree order = new LoadTree(installed.kind, plane::load);
        for (int pass = 0; pass < 2; pass++) {
            order.build(
                    installed.firstServer,
                    installed.service.capacity(),
                    (node, server) -> plane.node(installed.tree, node, server));
        }
    }

    private boolean writeTable(Installed installed, long now) throws IOException {
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
                installed.changed = now;
            }
            return writeOtherTable(installed, other);
        }
        Set<Integer> cut = new HashSet<>();
        service.everybody().stream().filter(placed -> placed.cut).forEach(placed -> cut.add(placed.member));
        table.update(picks, member -> !cut.contains(member));
        if (installed.persists) {
            table.doubt();
        }
        if (installed.lines < 0) {
            // It was the predecessor's; its endpoints are written when all else is.
            installed.lingering |= table.moved() > 0;
            installed.changed = now;
            return writeOtherTable(installed, table);
        }
        if (table.moved() > 0) {
            installed.changed = now;
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

    /** A table of another length is another table: packets go by the old one until the endpoints name the new one. */
    private boolean writeOtherTable(Installed installed, SlotTable table) throws IOException {
        int count = Numbers.lines(table.length());
        int at = numbers.takeSlots(count);
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
            numbers.giveSlots(oldLines, oldCount);
        }
        return true;
    }

    /** Has the base of a table follow, since every connection that goes another way is remembered by now. */
    void settle(Installed installed, SlotTable table, long now) {
        table.settle();
        installed.changed = now;
        noteService(installed);
        plane.slots(installed.lines, table);
    }

    /** Has a table say all there is to know, since no connection is remembered. */
    void trust(Installed installed, SlotTable table) throws IOException {
        installed.lingering = false;
        writeEndpoints(installed);
        if (table.trust()) {
            plane.slots(installed.lines, table);
        }
    }

    // ---- Connection IDs of QUIC

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
                            new QuicName(installed.service.number, quic.config(), id), installed.numberOf(placed)));
        }
        Set<Integer> leaving = new HashSet<>();
        installed.service.everybody().stream()
                .filter(placed -> placed.gone && !placed.cut)
                .forEach(placed -> leaving.add(installed.numberOf(placed)));
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

    // ---- Endpoints

    /** Those that are in the table already, and are to stay. */
    private void rewriteEndpoints(Installed installed) throws IOException {
        for (Endpoint endpoint : installed.service.forwarding().listen()) {
            Integer id = installed.endpoints.get(endpoint);
            if (id != null && installed.predecessor == null) {
                endpoints.put(installed.service.name, endpoint, installed.vip(endpoint, id), Set.of());
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
            endpoints.put(installed.service.name, endpoint, installed.vip(endpoint, id), gone);
        }
        // Their other ports are those of endpoints that are there by now, so that no packet for one is missed.
        for (Endpoint endpoint : gone) {
            if (installed.endpoints.containsKey(endpoint)) {
                removeEndpoint(installed, endpoint);
            }
        }
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
                .orElseGet(numbers::nextEndpoint);
    }

    private void removeEndpoint(Installed installed, Endpoint endpoint) throws IOException {
        endpoints.remove(installed.service.name, endpoint);
        installed.endpoints.remove(endpoint);
    }

    // ---- Counters

    /**
     * Has the counters of a service that replaces another begin where that one's are, before packets find it. What is
     * counted there until they do is lost: some packets of a thousandth of a second.
     */
    private void goOnCounting(Installed installed) throws IOException {
        Installed old = installed.predecessor;
        while (old != null && !old.counts) {
            old = old.predecessor;
        }
        if (old == null || installed.counts) {
            return;
        }
        installed.counts = true;
        plane.copyReasons(old.service.number, installed.service.number);
        plane.addTraffic(old.numberOfThoseWhoLeft(), installed.numberOfThoseWhoLeft());
        for (Placed before : old.service.everybody()) {
            int to = installed.service.servers().stream()
                    .filter(now -> now.name.equals(before.name)
                            && now.described.address().equals(before.described.address()))
                    .findFirst()
                    .map(installed::numberOf)
                    .orElse(installed.numberOfThoseWhoLeft());
            plane.addTraffic(old.numberOf(before), to);
        }
    }

    // ---- Leaving

    /** Frees the number of a server that left, which nothing names any more. */
    void release(Installed installed, Placed placed) throws IOException {
        int number = installed.numberOf(placed);
        plane.addTraffic(number, installed.numberOfThoseWhoLeft());
        plane.notes().eraseServer(number);
        installed.service.release(placed);
    }

    /** Takes a service away, with what it was to replace. */
    void remove(Installed installed) throws IOException {
        Set<Endpoint> all = new HashSet<>();
        installed.withPredecessors().forEach(each -> all.addAll(each.endpoints.keySet()));
        for (Endpoint where : all) {
            endpoints.remove(installed.service.name, where);
        }
        retire(installed);
        give(installed);
    }

    /** Gives back what the service before took, whose endpoints are this one's now. */
    private void retire(Installed installed) throws IOException {
        List<Installed> all = installed.withPredecessors();
        installed.predecessor = null;
        for (Installed old : all.subList(1, all.size())) {
            if (!Collections.disjoint(old.endpoints.values(), installed.endpoints.values())) {
                follow(old, installed);
            }
            give(old);
        }
    }

    /** Has connections be those of the service that took another's place: the same servers have other numbers there. */
    void follow(Installed before, Installed after) {
        Map<Integer, Integer> renamed = new HashMap<>();
        for (Placed now : after.service.everybody()) {
            before.service.everybody().stream()
                    .filter(then -> then.name.equals(now.name)
                            && then.described.address().equals(now.described.address()))
                    .forEach(then -> renamed.put(before.numberOf(then), after.numberOf(now)));
        }
        plane.rename(renamed);
        if (after.tree >= 0) {
            rank(after);
        }
    }

    /** Gives back the numbers of a service that no endpoint leads to any more. */
    void give(Installed installed) throws IOException {
        plane.persistence(installed.service.number, 0, 0, 0);
        ways.forget(installed);
        forgetNames(installed, Set.of());
        installed.service.everybody().forEach(placed -> plane.notes().eraseServer(installed.numberOf(placed)));
        plane.notes().eraseService(installed.service.number);
        numbers.give(installed);
    }
}

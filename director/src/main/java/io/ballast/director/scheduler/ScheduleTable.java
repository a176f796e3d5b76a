package io.ballast.director.scheduler;

import io.ballast.core.config.SchedulerKind;
import java.util.List;

/**
 * Schedules written out as tables, for data planes that look up instead of deciding: a client's hash leads to a slot
 * (mh, sh, dh), or connections take the slots in turn (rr, wrr). The reference schedulers themselves write them, so a
 * table means what they mean.
 */
public final class ScheduleTable {

    /** In a slot: no server can take a connection that comes here. */
    public static final char NONE = 0xffff;

    /**
     * The longest cycle that wrr writes out. With a larger sum of weights, after division by their greatest common
     * divisor, weights are scaled down to it, and rounded.
     */
    public static final int LONGEST_CYCLE = 1 << 16;

    private ScheduleTable() {}

    /**
     * One real server.
     *
     * @param name decides its slots in mh
     * @param weight 0 drains: it keeps its slots of mh, sh and dh, but others take its place there
     * @param lastWeight the last weight that was not 0, which keeps the table of mh as it was
     * @param eligible whether it may have new connections
     */
    public record Server(String name, int weight, int lastWeight, boolean eligible) {}

    /** Whether the kind is a table at all; the others decide by the servers' loads. */
    public static boolean describes(SchedulerKind kind) {
        return switch (kind) {
            case MH, SH, DH, RR, WRR -> true;
            case LC, WLC, SED, NQ, FO, OVF, LBLC, LBLCR -> false;
        };
    }

    /**
     * The schedule of the servers: for each slot the place of its server in the list, or {@link #NONE}.
     *
     * @throws IllegalArgumentException the kind is none that {@link #describes} names, or there are too many servers
     */
    public static char[] of(SchedulerKind kind, HashOptions options, List<Server> servers) {
        if (!describes(kind)) {
            throw new IllegalArgumentException(kind.yamlName() + " decides by the servers' loads");
        }
        if (servers.size() >= NONE) {
            throw new IllegalArgumentException(servers.size() + " servers; a table has room for " + (NONE - 1));
        }
        return switch (Schedulers.create(kind, options)) {
            case Maglev maglev -> {
                addAll(maglev, servers, 1);
                yield maglev.picks();
            }
            case SlotHash hash -> {
                addAll(hash, servers, 1);
                yield hash.picks();
            }
            case Scheduler turns -> cycle(turns, kind, servers);
        };
    }

    private static void addAll(Scheduler scheduler, List<Server> servers, double scale) {
        for (Server server : servers) {
            Member member = new Member(server.name(), scaled(server.lastWeight(), scale), 0, server.eligible());
            scheduler.add(member);
            if (server.weight() != server.lastWeight()) {
                scheduler.update(member, scaled(server.weight(), scale), 0, server.eligible());
            }
        }
    }

    private static int scaled(int weight, double scale) {
        return weight == 0 ? 0 : (int) Math.max(1, Math.round(weight * scale));
    }

    private static char[] cycle(Scheduler turns, SchedulerKind kind, List<Server> servers) {
        long sum = 0;
        int divisor = 0;
        for (Server server : servers) {
            if (server.eligible()) {
                int weight = kind == SchedulerKind.RR ? Math.min(1, server.weight()) : server.weight();
                sum += weight;
                divisor = gcd(weight, divisor);
            }
        }
        if (sum == 0) {
            return new char[] {NONE};
        }
        double scale = sum / divisor <= LONGEST_CYCLE ? 1.0 / divisor : (double) (LONGEST_CYCLE / 2) / sum;
        addAll(turns, servers, scale);
        long length = 0;
        for (Member member : turns.members()) {
            if (member.available()) {
                length += kind == SchedulerKind.RR ? 1 : member.weight();
            }
        }
        char[] cycle = new char[Math.toIntExact(length)];
        FlowKey anybody = new FlowKey(0, 0, 0, 0, 0);
        for (int turn = 0; turn < cycle.length; turn++) {
            Member member = turns.pick(anybody);
            cycle[turn] = member == null ? NONE : (char) member.index;
        }
        return cycle;
    }

    private static int gcd(int a, int b) {
        return b == 0 ? a : gcd(b, a % b);
    }
}

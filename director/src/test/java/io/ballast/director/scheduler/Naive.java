package io.ballast.director.scheduler;

import io.ballast.core.config.SchedulerKind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BinaryOperator;
import java.util.function.ToDoubleBiFunction;
import org.jspecify.annotations.Nullable;

/**
 * The schedulers once more, as plainly as their meaning can be written: every decision looks at every server. The
 * property tests compare the real ones with it.
 */
final class Naive {

    /** A real server as the model sees it. */
    static final class Server {
        final String name;
        int weight;
        int lastWeight;
        int limit;
        boolean eligible;
        int active;
        int inactive;
        long turn;

        Server(String name, int weight, int limit, boolean eligible) {
            this.name = name;
            set(weight, limit, eligible);
        }

        void set(int newWeight, int newLimit, boolean nowEligible) {
            weight = newWeight;
            lastWeight = newWeight == 0 ? lastWeight : newWeight;
            limit = newLimit;
            eligible = nowEligible;
        }

        long overhead() {
            return active * 256L + inactive;
        }
    }

    private static final long HOUR = 3_600_000_000_000L;

    final List<Server> list = new ArrayList<>();
    private final SchedulerKind kind;
    private final HashOptions options;
    private Set<String> excluded = Set.of();
    private int last = -1;
    private int bar;
    private long now;
    private final Map<Long, Server> cached = new HashMap<>();
    private final Map<Long, List<Server>> sets = new HashMap<>();
    private final Map<Long, Long> lastUse = new HashMap<>();
    private final Map<Long, Long> lastChange = new HashMap<>();

    Naive(SchedulerKind kind, HashOptions options) {
        this.kind = kind;
        this.options = options;
    }

    void remove(Server server) {
        if (list.indexOf(server) <= last) {
            last--;
        }
        list.remove(server);
        sets.forEach((destination, set) -> {
            if (set.remove(server)) {
                lastChange.put(destination, now);
            }
        });
    }

    void reorder(List<Server> order) {
        Server turn = last < 0 ? null : list.get(last);
        list.clear();
        list.addAll(order);
        last = turn == null ? -1 : list.indexOf(turn);
    }

    void expire(long time) {
        now = time;
        lastUse.entrySet().removeIf(use -> {
            boolean old = time - use.getValue() >= 24 * HOUR;
            if (old) {
                cached.remove(use.getKey());
                sets.remove(use.getKey());
            }
            return old;
        });
    }

    boolean available(Server server) {
        return list.contains(server)
                && server.eligible
                && server.weight > 0
                && (server.limit == 0 || server.active + server.inactive < server.limit);
    }

    private boolean usable(Server server) {
        return available(server) && !excluded.contains(server.name);
    }

    @Nullable
    Server pick(FlowKey flow, Set<String> without) {
        excluded = without;
        return switch (kind) {
            case RR -> roundRobin();
            case WRR -> weightedRoundRobin();
            case LC -> least(list, (a, b) -> a.overhead());
            case WLC -> least(list, (a, b) -> a.overhead() * (double) b.weight);
            case SED -> least(list, (a, b) -> (a.active + 1) * (double) b.weight);
            case NQ -> neverQueue();
            case FO -> least(list, (a, b) -> -a.weight, true);
            case OVF -> least(list.stream().filter(s -> s.active <= s.weight).toList(), (a, b) -> -a.weight, true);
            case SH -> slotHash(flow.sourceHigh(), flow.sourceLow(), flow.sourcePort());
            case DH -> slotHash(flow.destinationHigh(), flow.destinationLow(), 0);
            case MH -> maglev(flow);
            case LBLC -> localityLeastConnection(flow.destinationLow());
            case LBLCR -> localityReplication(flow.destinationLow());
        };
    }

    private @Nullable Server roundRobin() {
        for (int i = 1; i <= list.size(); i++) {
            int at = (last + i) % list.size();
            if (usable(list.get(at))) {
                last = at;
                return list.get(at);
            }
        }
        return null;
    }

    private @Nullable Server weightedRoundRobin() {
        int step = 0;
        int highest = 0;
        for (Server server : list) {
            if (server.eligible && server.weight > 0) {
                step = gcd(server.weight, step);
                highest = Math.max(highest, server.weight);
            }
        }
        if (list.stream().noneMatch(this::usable)) {
            // The bar follows a change of weights even when nobody can be picked.
            if (highest > 0) {
                int top = highest - (step - 1);
                bar = bar <= 0 || bar > top ? top : (bar - 1) / step * step + 1;
            } else {
                bar = 0;
            }
            return null;
        }
        int top = highest - (step - 1);
        bar = bar <= 0 || bar > top ? top : (bar - 1) / step * step + 1;
        for (int at = last + 1; ; at++) {
            if (at >= list.size()) {
                at = 0;
                bar -= step;
                if (bar <= 0) {
                    bar = top;
                }
            }
            if (usable(list.get(at)) && list.get(at).weight >= bar) {
                last = at;
                return list.get(at);
            }
        }
    }

    private static int gcd(int a, int b) {
        return b == 0 ? a : gcd(b, a % b);
    }

    /** The first of the usable with the least load; {@code cost(a, b) < cost(b, a)} means that a has less than b. */
    private @Nullable Server least(List<Server> among, ToDoubleBiFunction<Server, Server> cost) {
        return least(among, cost, false);
    }

    private @Nullable Server least(List<Server> among, ToDoubleBiFunction<Server, Server> cost, boolean byWeight) {
        return best(among, (a, b) -> {
            double difference = cost.applyAsDouble(b, a) - cost.applyAsDouble(a, b);
            boolean turn = !byWeight && b.turn < a.turn;
            return difference < 0 || (difference == 0 && turn) ? b : a;
        });
    }

    private @Nullable Server best(List<Server> among, BinaryOperator<Server> better) {
        return among.stream().filter(this::usable).reduce(better).orElse(null);
    }

    private @Nullable Server neverQueue() {
        Server idle = least(list.stream().filter(s -> s.active == 0).toList(), (a, b) -> 0);
        return idle != null ? idle : least(list, (a, b) -> (a.active + 1) * (double) b.weight);
    }

    private @Nullable Server slotHash(long high, long low, int port) {
        if (list.isEmpty()) {
            return null;
        }
        int size = options.slots() == 0 ? 256 : options.slots();
        List<Server> table = new ArrayList<>();
        while (table.size() < size) {
            for (Server server : list) {
                for (int i = 0; i < (kind == SchedulerKind.DH ? 1 : Math.max(1, server.lastWeight)); i++) {
                    table.add(server);
                }
            }
        }
        int address = high == 0 && low >>> 32 == 0xffff
                ? (int) low
                : (int) (high >>> 32) ^ (int) high ^ (int) (low >>> 32) ^ (int) low;
        long product = (address + (options.port() ? port : 0)) * 0x61C88647L & 0xffff_ffffL;
        int slot = (int) (product / (0x1_0000_0000L / size));
        if (usable(table.get(slot))) {
            return table.get(slot);
        }
        if (!options.fallback()) {
            return null;
        }
        for (int i = 0; i < size; i++) {
            Server server = table.get((slot + slot + i) % size);
            if (usable(server)) {
                return server;
            }
        }
        return list.stream().filter(this::usable).findFirst().orElse(null);
    }

    private @Nullable Server maglev(FlowKey flow) {
        List<Server> servers = list.stream()
                .filter(server -> server.lastWeight > 0)
                .sorted(Comparator.comparing(server -> server.name))
                .toList();
        if (servers.isEmpty()) {
            return null;
        }
        int size = options.slots() == 0 ? 65_537 : options.slots();
        @Nullable Server[] table = maglevTable(servers, size);
        long hash = FlowKey.mix(flow.sourceHigh(), flow.sourceLow(), options.port() ? flow.sourcePort() : 0);
        int slot = Maglev.scale(hash, size);
        Server server = table[slot];
        if (server != null && usable(server)) {
            return server;
        }
        if (!options.fallback()) {
            return null;
        }
        for (int i = 1; i <= Maglev.PROBES; i++) {
            server = table[Maglev.scale(FlowKey.mix(slot + i * Maglev.GOLDEN_RATIO), size)];
            if (server != null && usable(server)) {
                return server;
            }
        }
        for (int i = 0; i < servers.size(); i++) {
            server = servers.get((slot + i) % servers.size());
            if (usable(server)) {
                return server;
            }
        }
        return null;
    }

    private static @Nullable Server[] maglevTable(List<Server> servers, int size) {
        @Nullable Server[] table = new @Nullable Server[size];
        int heaviest =
                servers.stream().mapToInt(server -> server.lastWeight).max().orElseThrow();
        int[] claimed = new int[servers.size()];
        int[] step = new int[servers.size()];
        for (int round = 0, filled = 0; ; round++) {
            for (int i = 0; i < servers.size(); i++) {
                Server server = servers.get(i);
                if (claimed[i] * (long) heaviest / server.lastWeight > round) {
                    continue;
                }
                claimed[i]++;
                long start = Long.remainderUnsigned(Maglev.hash(server.name, Maglev.START_SEED), size);
                long stride = Long.remainderUnsigned(Maglev.hash(server.name, Maglev.STRIDE_SEED), size - 1) + 1;
                int slot;
                do {
                    slot = (int) ((start + step[i]++ * stride) % size);
                } while (table[slot] != null);
                table[slot] = server;
                if (++filled == size) {
                    return table;
                }
            }
        }
    }

    private boolean overloaded(Server server) {
        return server.active > server.weight && list.stream().anyMatch(s -> s.eligible && s.active * 2 < s.weight);
    }

    private @Nullable Server localityLeastConnection(long destination) {
        lastUse.computeIfPresent(destination, (key, use) -> now);
        Server server = cached.get(destination);
        if (server != null && usable(server) && !overloaded(server)) {
            return server;
        }
        server = least(list, (a, b) -> a.overhead() * (double) b.weight);
        if (server != null) {
            cached.put(destination, server);
            lastUse.put(destination, now);
        }
        return server;
    }

    private @Nullable Server localityReplication(long destination) {
        lastUse.computeIfPresent(destination, (key, use) -> now);
        List<Server> set = sets.get(destination);
        if (set != null) {
            set.sort(Comparator.comparingInt(list::indexOf));
            Server server = least(set, (a, b) -> a.overhead() * (double) b.weight);
            if (set.size() > 1 && now - lastChange.getOrDefault(destination, 0L) > 24 * HOUR) {
                set.stream()
                        .filter(s -> s.weight > 0)
                        .reduce((a, b) -> b.overhead() * a.weight > a.overhead() * b.weight ? b : a)
                        .ifPresent(most -> {
                            set.remove(most);
                            lastChange.put(destination, now);
                        });
            }
            if (server != null && !overloaded(server)) {
                return server;
            }
        }
        Server server = least(list, (a, b) -> a.overhead() * (double) b.weight);
        if (server == null) {
            return null;
        }
        List<Server> joined = sets.computeIfAbsent(destination, key -> new ArrayList<>());
        lastUse.put(destination, now);
        if (!joined.contains(server)) {
            joined.add(server);
            lastChange.put(destination, now);
        }
        return server;
    }

    @Override
    public String toString() {
        return Arrays.toString(list.stream()
                .map(s -> s.name + " w" + s.weight + " a" + s.active + " i" + s.inactive + (s.eligible ? "" : " down"))
                .toArray());
    }

    static long hours(int count) {
        return count * HOUR;
    }
}

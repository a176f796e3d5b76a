package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.scheduler.ScheduleTable;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One service as it stands in the data plane: which number each of its servers has there, and what becomes of the number
 * of one that left. Pure: it decides, {@link ServiceTables} writes.
 *
 * <p>A server keeps its number for life, since remembered connections name it. When it leaves the description its
 * connections may go on until the drain time-out; then it is cut off, and its number is free for another once nothing
 * names it any more. The last of the service's numbers is nobody's: under it is counted what those who left had.
 */
final class InstalledService {
    /** The name of the sorry server among the members; no server of a description can have it. */
    static final String SORRY = "(sorry)";

    /** A server with its number. */
    static final class Placed {
        final int member;
        final String name;
        Forwarding.Server described;
        /** The last weight that was not 0: it keeps the server's slots while it drains. */
        int lastWeight;
        /** When it is cut off, in nanoseconds; {@link Long#MAX_VALUE} where it is not to be. */
        long cutAt = Long.MAX_VALUE;

        /** The director's address toward it, once there is one. */
        @Nullable
        InetAddress source;

        boolean gone;
        boolean cut;
        /** The way to it was known once: until then it gets no connections, which would only be refused. */
        boolean reached;
        /** Nothing of it is in the data plane yet. */
        boolean fresh = true;

        Placed(int member, Forwarding.Server described) {
            this.member = member;
            this.name = described.name();
            this.described = described;
            this.lastWeight = described.weight();
        }

        private Placed(Placed before) {
            this(before.member, before.described);
            lastWeight = before.lastWeight;
            cutAt = before.cutAt;
            gone = before.gone;
            cut = before.cut;
            reached = before.reached;
        }

        /** As an earlier process left it; its weight and state will be told. */
        private Placed(Notes.OfServer note, int firstServer) {
            this(
                    note.number() - firstServer,
                    new Forwarding.Server(note.name(), note.address(), note.lastWeight(), 0, ServerState.UP));
            gone = note.gone();
            cut = note.cut();
            cutAt = note.cutAt();
            fresh = false;
        }

        /** Its name for people. */
        String shown() {
            return name.equals(SORRY) ? "sorry" : name;
        }

        /** Whether it may have new connections. */
        boolean takesNew() {
            return !gone && !cut && reached && described.state() == ServerState.UP && described.weight() > 0;
        }
    }

    final int number;
    final String name;
    private final int capacity;
    private final Map<String, Placed> servers = new LinkedHashMap<>();
    private final List<Placed> leaving = new ArrayList<>();
    private final BitSet taken = new BitSet();
    private @Nullable Forwarding forwarding;

    /**
     * A service without servers, to be {@link #update}d.
     *
     * @param number of the service
     * @param capacity how many servers it has numbers for
     */
    InstalledService(int number, int capacity, String name) {
        this.number = number;
        this.name = name;
        this.capacity = capacity;
    }

    /** The same servers under the same member numbers, in a service that has more of them or chooses in another way. */
    InstalledService(int number, int capacity, InstalledService before) {
        this(number, capacity, before.name);
        before.servers.forEach((key, placed) -> servers.put(key, new Placed(placed)));
        before.leaving.forEach(placed -> leaving.add(new Placed(placed)));
        taken.or(before.taken);
    }

    /** A service as an earlier process left it. */
    InstalledService(Notes.OfService service, List<Notes.OfServer> notes) {
        this(service.number(), service.capacity(), service.name());
        for (Notes.OfServer note : notes) {
            Placed placed = new Placed(note, service.firstServer());
            taken.set(placed.member);
            if (placed.gone) {
                leaving.add(placed);
            } else {
                servers.put(placed.name, placed);
            }
        }
    }

    /** So many servers a service can have at most: a slot names one in 15 bits, and a few that left have numbers too. */
    static final int MOST_SERVERS = 16_000;

    /** How many numbers a service needs that may double its servers before it is installed anew; a power of two. */
    static int capacityFor(Forwarding forwarding) {
        int servers = forwarding.servers().size() + 1;
        return Math.max(8, Integer.highestOneBit(2 * servers - 1) * 2);
    }

    /** How many numbers a service needs that takes the place of this one, and its connections. */
    int capacityToFollow(Forwarding next) {
        int numbers = taken.cardinality() + next.servers().size() + 1;
        return Math.max(Math.max(capacity, capacityFor(next)), Integer.highestOneBit(2 * numbers - 1));
    }

    /** What it should be. */
    Forwarding forwarding() {
        return Objects.requireNonNull(forwarding, name);
    }

    /** Whether this is what it should be already; never of one that was adopted and not yet updated. */
    boolean is(Forwarding other) {
        return other.equals(forwarding);
    }

    /** Whether it is known what it should be. */
    boolean isKnown() {
        return forwarding != null;
    }

    int capacity() {
        return capacity;
    }

    /** Servers of the description, and the sorry server last. */
    List<Placed> servers() {
        return List.copyOf(servers.values());
    }

    /** All that have a number. */
    List<Placed> everybody() {
        List<Placed> all = new ArrayList<>(servers.values());
        all.addAll(leaving);
        return all;
    }

    /**
     * Brings the servers to the description's.
     *
     * @return false, with nothing changed, where there are not numbers enough
     */
    boolean update(Forwarding next, long nowNanos) {
        List<Forwarding.Server> wanted = new ArrayList<>(next.servers());
        next.sorry().ifPresent(address -> wanted.add(new Forwarding.Server(SORRY, address, 1, 0, ServerState.UP)));
        Set<String> names = new HashSet<>();
        wanted.forEach(server -> names.add(server.name()));
        long coming = wanted.stream().filter(server -> !keepsNumber(server)).count();
        if (taken.cardinality() + coming > Math.min(capacity - 1, Layout.NO_SERVER)) {
            return false;
        }
        long drain = next.timeouts().drain().toNanos();
        for (Placed placed : List.copyOf(servers.values())) {
            if (!names.contains(placed.name)) {
                leave(placed, nowNanos + drain);
            }
        }
        Map<String, Placed> ordered = new LinkedHashMap<>();
        for (Forwarding.Server server : wanted) {
            Placed placed = servers.get(server.name());
            if (placed != null && !placed.described.address().equals(server.address())) {
                leave(placed, nowNanos + drain);
                placed = null;
            }
            if (placed == null) {
                placed = comingBack(server);
            }
            if (placed == null) {
                placed = new Placed(taken.nextClearBit(0), server);
                taken.set(placed.member);
            }
            change(placed, server, nowNanos + drain, next);
            ordered.put(server.name(), placed);
        }
        servers.clear();
        servers.putAll(ordered);
        forwarding = next;
        return true;
    }

    private boolean keepsNumber(Forwarding.Server server) {
        Placed placed = servers.get(server.name());
        return (placed != null && placed.described.address().equals(server.address()))
                || leaving.stream().anyMatch(old -> isBack(old, server));
    }

    private static boolean isBack(Placed old, Forwarding.Server server) {
        return !old.cut
                && old.name.equals(server.name())
                && old.described.address().equals(server.address());
    }

    private @Nullable Placed comingBack(Forwarding.Server server) {
        for (Placed old : leaving) {
            if (isBack(old, server)) {
                leaving.remove(old);
                old.gone = false;
                old.cutAt = Long.MAX_VALUE;
                return old;
            }
        }
        return null;
    }

    private void leave(Placed placed, long cutAt) {
        servers.remove(placed.name);
        placed.gone = true;
        placed.cutAt = Math.min(placed.cutAt, cutAt);
        leaving.add(placed);
    }

    private static void change(Placed placed, Forwarding.Server server, long cutAt, Forwarding next) {
        boolean disabled = server.state() == ServerState.DISABLED;
        boolean reset =
                server.state() == ServerState.DOWN && next.onDown() == io.ballast.core.config.ServiceSpec.OnDown.RESET;
        placed.described = server;
        if (server.weight() > 0) {
            placed.lastWeight = server.weight();
        }
        if (disabled) {
            placed.cutAt = Math.min(placed.cutAt, cutAt);
        } else {
            placed.cutAt = Long.MAX_VALUE;
        }
        placed.cut = reset || (disabled && placed.cut);
    }

    /** Cuts off whoever's time to drain is over, and says who that is. */
    List<Placed> cutOff(long nowNanos) {
        List<Placed> cut = new ArrayList<>();
        for (Placed placed : everybody()) {
            if (!placed.cut && placed.cutAt <= nowNanos) {
                placed.cut = true;
                cut.add(placed);
            }
        }
        return cut;
    }

    /** Frees the number of a server that left, once nothing names it. */
    void release(Placed placed) {
        leaving.remove(placed);
        taken.clear(placed.member);
    }

    /** Whether it is the sorry server's turn, or not the sorry server. */
    boolean isEligible(Placed placed) {
        return !placed.name.equals(SORRY) || !somebodyTakesNew();
    }

    private boolean somebodyTakesNew() {
        return servers.values().stream().anyMatch(placed -> !placed.name.equals(SORRY) && placed.takesNew());
    }

    /** The members to be given connections, in the description's order: the sorry server only where no other can be. */
    List<ScheduleTable.Server> eligible() {
        boolean somebody = somebodyTakesNew();
        List<ScheduleTable.Server> list = new ArrayList<>();
        for (Placed placed : servers.values()) {
            boolean sorry = placed.name.equals(SORRY);
            if (!sorry || !somebody) {
                list.add(new ScheduleTable.Server(
                        placed.name, placed.described.weight(), placed.lastWeight, placed.takesNew()));
            }
        }
        return list;
    }

    /** Numbers of the servers in the order of {@link #eligible}. */
    int[] members(List<ScheduleTable.Server> order) {
        return order.stream()
                .mapToInt(server -> Objects.requireNonNull(servers.get(server.name())).member)
                .toArray();
    }

    /** How many may be given connections now, by member number: 0 keeps it from all. */
    Map<Integer, Integer> weights() {
        Map<Integer, Integer> weights = new HashMap<>();
        everybody().forEach(placed -> weights.put(placed.member, 0));
        for (ScheduleTable.Server server : eligible()) {
            Placed placed = Objects.requireNonNull(servers.get(server.name()));
            weights.put(placed.member, placed.takesNew() ? placed.described.weight() : 0);
        }
        return weights;
    }

    /** The kind of the data plane for the scheduler; null where it has none. */
    static Vip.@Nullable Kind kind(SchedulerKind kind) {
        return switch (kind) {
            case MH -> Vip.Kind.BY_SLOT_OF_HASH;
            case SH -> Vip.Kind.BY_SLOT_OF_SOURCE;
            case DH -> Vip.Kind.BY_SLOT_OF_DESTINATION;
            case RR, WRR -> Vip.Kind.IN_TURN;
            case LC -> Vip.Kind.LEAST_CONNECTION;
            case WLC -> Vip.Kind.WEIGHTED_LEAST_CONNECTION;
            case SED -> Vip.Kind.SHORTEST_EXPECTED_DELAY;
            case NQ -> Vip.Kind.NEVER_QUEUE;
            case FO, OVF, LBLC, LBLCR -> null;
        };
    }

    /** Endpoints that were there before and are not in the description any more. */
    static Set<Endpoint> gone(Set<Endpoint> before, Forwarding next) {
        Set<Endpoint> gone = new HashSet<>(before);
        gone.removeAll(next.listen());
        return gone;
    }
}

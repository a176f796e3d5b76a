package io.ballast.director.scheduler;

import java.util.Arrays;
import java.util.Comparator;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * {@code mh}: Maglev hashing (Eisenbud and others, NSDI 2016, section 3.4). A client's address leads to a slot of a
 * large table and the slot to a server. The servers' shares of the table are even to within a slot or so, and when one
 * comes or goes, little else moves.
 *
 * <p><b>Filling.</b> Each server walks over all slots in an order of its own, which follows from its name (a start and a
 * stride; the number of slots is prime, so the stride reaches all), and in each round claims the next slot on its way
 * that is still free. Names decide everything: any director that knows the same servers and weights has the same table,
 * in whatever order it came to know them.
 *
 * <p><b>Weights.</b> The heaviest server claims a slot in every round, one with half its weight in every other one, and
 * so on: server i claims for the k-th time in round k * heaviest / weight(i). So everybody gets the share of the weight,
 * spread over the rounds, and at least one slot. (IPVS lets a server claim several slots in a row instead, which is
 * uneven when the table is full after a part of the last round.)
 *
 * <p><b>Who keeps slots.</b> As in IPVS a drained server (weight 0) keeps them, and here one that is down as well: with
 * {@linkplain HashOptions#fallback the fallback} only its own clients move, spread over the others, and they come back
 * with it. Only adding, removing or another weight makes a new table. It is filled at the first pick after any number
 * of changes, in some milliseconds; until then nobody needs it.
 *
 * <p><b>Fallback.</b> A slot whose server cannot be picked is hashed again, up to {@value #PROBES} times, which finds
 * another server unless nearly all are unavailable; then the servers are asked one after the other. What takes its place
 * follows from the slot alone, so that the whole schedule can be written out as a table.
 */
final class Maglev extends AbstractScheduler {

    static final int DEFAULT_SLOTS = 65_537;
    static final int PROBES = 64;

    /** Those that a slot can tell apart; further ones, the last by name, have no slots. */
    private static final int MAX_SERVERS = 1 << Character.SIZE;

    static final long START_SEED = 0x6261_6c6c_6173_7431L;
    static final long STRIDE_SEED = 0x6d61_676c_6576_6d68L;
    static final long GOLDEN_RATIO = 0x9e37_79b9_7f4a_7c15L;

    private final HashOptions options;

    /** For each slot the number of its server in {@link #servers}. */
    private final char[] slots;

    /** The servers that have slots, by name. */
    private Member[] servers = {};

    private boolean stale;

    Maglev(HashOptions options) {
        int count = options.slots() == 0 ? DEFAULT_SLOTS : options.slots();
        if (!isPrime(count)) {
            throw new IllegalArgumentException("a Maglev table of " + count + " slots: the number must be prime");
        }
        this.options = options;
        this.slots = new char[count];
    }

    @Override
    public @Nullable Member pick(FlowKey flow, Predicate<? super Member> excluded) {
        refresh();
        if (servers.length == 0) {
            return null;
        }
        long hash = FlowKey.mix(flow.sourceHigh(), flow.sourceLow(), options.port() ? flow.sourcePort() : 0);
        return at(scale(hash, slots.length), excluded);
    }

    private @Nullable Member at(int slot, Predicate<? super Member> excluded) {
        Member server = servers[slots[slot]];
        if (usable(server, excluded)) {
            return server;
        }
        return options.fallback() ? another(slot, excluded) : null;
    }

    /** For each slot the place of the member that a client led there gets now; {@link ScheduleTable#NONE} for none. */
    char[] picks() {
        refresh();
        char[] picks = new char[slots.length];
        for (int slot = 0; slot < picks.length; slot++) {
            Member server = servers.length == 0 ? null : at(slot, Exclusion.NONE);
            picks[slot] = server == null ? ScheduleTable.NONE : (char) server.index;
        }
        return picks;
    }

    private void refresh() {
        if (stale) {
            servers = serversWithSlots();
            fill(servers, slots);
            stale = false;
        }
    }

    /** For each slot the name of its server, for tests. */
    String[] table() {
        refresh();
        String[] table = new String[slots.length];
        Arrays.setAll(table, slot -> servers[slots[slot]].name());
        return table;
    }

    private @Nullable Member another(int slot, Predicate<? super Member> excluded) {
        for (int i = 1; i <= PROBES; i++) {
            Member server = servers[slots[scale(FlowKey.mix(slot + i * GOLDEN_RATIO), slots.length)]];
            if (usable(server, excluded)) {
                return server;
            }
        }
        for (int i = 0; i < servers.length; i++) {
            Member server = servers[(slot + i) % servers.length];
            if (usable(server, excluded)) {
                return server;
            }
        }
        return null;
    }

    private static boolean usable(Member server, Predicate<? super Member> excluded) {
        return server.available() && !excluded.test(server);
    }

    /** A number below {@code range} from the upper half of the hash, without a division. */
    static int scale(long hash, int range) {
        return (int) (((hash >>> 32) * range) >>> 32);
    }

    private Member[] serversWithSlots() {
        Member[] found = new Member[size];
        int count = 0;
        for (int i = 0; i < size; i++) {
            members[i].tableWeight = members[i].lastWeight();
            if (members[i].tableWeight > 0) {
                found[count++] = members[i];
            }
        }
        Arrays.sort(found, 0, count, Comparator.comparing(Member::name));
        return Arrays.copyOf(found, Math.min(count, MAX_SERVERS));
    }

    static void fill(Member[] servers, char[] slots) {
        if (servers.length == 0) {
            return;
        }
        int[] next = new int[servers.length];
        int[] stride = new int[servers.length];
        for (int i = 0; i < servers.length; i++) {
            next[i] = (int) Long.remainderUnsigned(hash(servers[i].name(), START_SEED), slots.length);
            stride[i] = 1 + (int) Long.remainderUnsigned(hash(servers[i].name(), STRIDE_SEED), slots.length - 1);
        }
        char[] claims = claims(servers, slots.length);
        long[] taken = new long[(slots.length + 63) >>> 6];
        for (int claim = 0; claim < slots.length; claim++) {
            int server = claims[claim];
            int slot = next[server];
            int by = stride[server];
            while ((taken[slot >>> 6] & 1L << slot) != 0) {
                slot += by;
                if (slot >= slots.length) {
                    slot -= slots.length;
                }
            }
            taken[slot >>> 6] |= 1L << slot;
            slots[slot] = (char) server;
            next[server] = slot;
        }
    }

    /** Who claims a slot, claim by claim, round by round and within a round by name: at least {@code count} claims. */
    private static char[] claims(Member[] servers, int count) {
        long sum = 0;
        int heaviest = 0;
        for (Member server : servers) {
            sum += server.tableWeight;
            heaviest = Math.max(heaviest, server.tableWeight);
        }
        int rounds = (int) ((long) count * heaviest / sum) + 1;
        // Counting sort by round: how many claims lie before each round, then each claim to its place.
        int[] places = new int[rounds + 1];
        for (Member server : servers) {
            for (int k = 0, round = 0; round < rounds; round = round(++k, heaviest, server)) {
                places[round + 1]++;
            }
        }
        for (int round = 0; round < rounds; round++) {
            places[round + 1] += places[round];
        }
        char[] claims = new char[places[rounds]];
        for (int i = 0; i < servers.length; i++) {
            for (int k = 0, round = 0; round < rounds; round = round(++k, heaviest, servers[i])) {
                claims[places[round]++] = (char) i;
            }
        }
        return claims;
    }

    private static int round(int k, int heaviest, Member server) {
        return (int) ((long) k * heaviest / server.tableWeight);
    }

    static long hash(String name, long seed) {
        long hash = seed;
        for (int i = 0; i < name.length(); i++) {
            hash = FlowKey.mix(hash ^ name.charAt(i) * GOLDEN_RATIO);
        }
        return hash;
    }

    private static boolean isPrime(int number) {
        if (number < 3 || number % 2 == 0) {
            return false; // 2 is left out: a stride needs two slots to choose from
        }
        for (int factor = 3; factor <= number / factor; factor += 2) {
            if (number % factor == 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    void added(Member member) {
        stale = true;
    }

    @Override
    void removed(Member member, int index) {
        stale = true;
    }

    @Override
    void reordered(Member[] before) {}

    @Override
    void changed(Member member, boolean described) {
        stale |= described && member.lastWeight() != member.tableWeight;
    }
}

package io.ballast.director.scheduler;

import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Which server each client of one virtual service belongs to, so that its next connections go there as well. A client
 * is an address or, by prefix length, a network.
 *
 * <p><b>How it is used.</b> For a new connection {@link #find} the client's entry. Without one, or where its server is
 * {@linkplain Member#full full} and the caller does not queue, let the scheduler pick, and {@link #assign} the client
 * to that server if it is to stay there. Report the connection's beginning and end with {@link #opened} and
 * {@link #closed}.
 *
 * <p><b>How long an entry lives,</b> as in IPVS: each connection's beginning grants it the time-out again, and it does
 * not end while a connection exists. When its time ends then, it is granted another minute, and so on until a minute
 * ends without one. (IPVS grants every later connection only that minute as well; here it is always the time-out.)
 * Time is judged when somebody asks; {@link #expire} only returns memory.
 *
 * <p><b>A server that is no longer there,</b> not eligible or of weight 0 loses its clients when they next ask. IPVS
 * keeps those of weight 0 unless {@code expire_quiescent_template} is set; here weight 0 drains. A server at its limit
 * keeps them.
 *
 * <p><b>Bound.</b> At {@code capacity} entries, the one that has been without a connection for longest makes place. When
 * all have connections, a new client is not remembered, and {@link #refused} counts it.
 *
 * <p>It belongs to one thread, as schedulers do. A new entry is one small object; nothing else allocates.
 */
public final class PersistenceTable {

    /** What an entry with connections is granted when its time ends. */
    static final long GRACE = TimeUnit.SECONDS.toNanos(60);

    /** A client and its server. */
    public static final class Entry extends AddressTable.Entry {

        private final Member server;
        private int connections;
        private long deadline;
        /** The table that has it; null once that has forgotten it. */
        private @Nullable PersistenceTable table;

        private @Nullable Entry older;
        private @Nullable Entry newer;

        private Entry(long high, long low, Member server, PersistenceTable table) {
            super(high, low);
            this.table = table;
            this.server = server;
        }

        /** The client's server. */
        public Member server() {
            return server;
        }

        /** The client's connections at present that were opened under this entry. */
        public int connections() {
            return connections;
        }
    }

    private final AddressTable<Entry> entries;
    private final long mask4;
    private final long mask6High;
    private final long mask6Low;
    private final int capacity;
    private long timeout;
    private long evicted;
    private long refused;

    /** The entries without connections, in the order in which they came to have none. */
    private @Nullable Entry oldest;

    private @Nullable Entry newest;

    /**
     * An empty table.
     *
     * @param timeoutNanos how long a client is remembered, above 0
     * @param prefix4 IPv4 prefix length, 1 to 32
     * @param prefix6 IPv6 prefix length, 1 to 128
     * @param capacity entries at most, above 0
     * @param seed an unpredictable number, so that clients cannot choose addresses that make the table slow
     */
    public PersistenceTable(long timeoutNanos, int prefix4, int prefix6, int capacity, long seed) {
        require(prefix4 >= 1 && prefix4 <= 32, "IPv4 prefix length", prefix4, "1 to 32");
        require(prefix6 >= 1 && prefix6 <= 128, "IPv6 prefix length", prefix6, "1 to 128");
        require(capacity > 0, "capacity", capacity, "above 0");
        entries = new AddressTable<>(seed);
        mask4 = -1L << (32 - prefix4);
        mask6High = prefix6 >= 64 ? -1L : -1L << (64 - prefix6);
        mask6Low = prefix6 <= 64 ? 0 : -1L << (128 - prefix6);
        this.capacity = capacity;
        setTimeout(timeoutNanos);
    }

    /** Changes the time-out; what is remembered keeps what it was granted until its next connection. */
    public void setTimeout(long timeoutNanos) {
        require(timeoutNanos > 0, "time-out", timeoutNanos, "above 0");
        timeout = timeoutNanos;
    }

    /**
     * The entry of the flow's client, whose server takes new connections unless it is {@linkplain Member#full full};
     * null where the client is free to go anywhere.
     */
    public @Nullable Entry find(FlowKey flow, long nowNanos) {
        Entry entry = entries.get(high(flow), low(flow));
        if (entry == null) {
            return null;
        }
        Member server = entry.server;
        boolean gone = server.owner == null || !server.eligible() || server.weight() == 0;
        if (gone || ended(entry, nowNanos)) {
            forget(entry);
            return null;
        }
        return entry;
    }

    /**
     * Makes the flow's client one of the server's, for the time-out at least; its connections elsewhere go on.
     *
     * @return null where the table is full of clients with connections
     */
    public @Nullable Entry assign(FlowKey flow, Member server, long nowNanos) {
        Entry before = entries.get(high(flow), low(flow));
        if (before != null) {
            forget(before);
        }
        if (entries.size() >= capacity) {
            if (oldest == null) {
                refused++;
                return null;
            }
            evicted += ended(oldest, nowNanos) ? 0 : 1;
            forget(oldest);
        }
        Entry entry = new Entry(high(flow), low(flow), server, this);
        entry.deadline = nowNanos + timeout;
        entries.put(entry);
        append(entry);
        return entry;
    }

    /** A connection of the entry's client to its server is established. */
    public void opened(Entry entry, long nowNanos) {
        if (has(entry) && entry.connections == 0) {
            unlink(entry);
        }
        entry.connections++;
        entry.deadline = nowNanos + timeout;
    }

    /** A connection of this entry ended, whether the table still has the entry, has forgotten it, or never had it. */
    public void closed(Entry entry, long nowNanos) {
        if (entry.connections == 0) {
            throw new IllegalStateException(
                    "persistence for server " + entry.server.name() + ": a connection was closed that was not open");
        }
        entry.connections--;
        if (entry.connections > 0) {
            return;
        }
        long past = nowNanos - entry.deadline;
        if (past >= 0) {
            entry.deadline += (past / GRACE + 1) * GRACE;
        }
        if (has(entry)) {
            append(entry);
        }
    }

    @SuppressWarnings("ReferenceEquality") // identity is meant
    private boolean has(Entry entry) {
        return entry.table == this;
    }

    /**
     * Returns the memory of entries whose time has ended. It stops at the first, by the time since when they have no
     * connection, that lives on; call it every few seconds.
     *
     * @return how many there were
     */
    public int expire(long nowNanos) {
        int count = 0;
        while (oldest != null && ended(oldest, nowNanos)) {
            forget(oldest);
            count++;
        }
        return count;
    }

    /** Entries in memory. */
    public int size() {
        return entries.size();
    }

    /** Entries that made place for others before their time. */
    public long evicted() {
        return evicted;
    }

    /** Clients that could not be remembered. */
    public long refused() {
        return refused;
    }

    private static boolean ended(Entry entry, long now) {
        return entry.connections == 0 && now - entry.deadline >= 0;
    }

    private long high(FlowKey flow) {
        return flow.sourceIsIpv4() ? flow.sourceHigh() : flow.sourceHigh() & mask6High;
    }

    private long low(FlowKey flow) {
        return flow.sourceLow() & (flow.sourceIsIpv4() ? mask4 : mask6Low);
    }

    private void forget(Entry entry) {
        entries.remove(entry);
        entry.table = null;
        if (entry.connections == 0) {
            unlink(entry);
        }
    }

    private void append(Entry entry) {
        entry.older = newest;
        if (newest == null) {
            oldest = entry;
        } else {
            newest.newer = entry;
        }
        newest = entry;
    }

    private void unlink(Entry entry) {
        Entry older = entry.older;
        Entry newer = entry.newer;
        entry.older = null;
        entry.newer = null;
        if (older == null) {
            oldest = newer;
        } else {
            older.newer = newer;
        }
        if (newer == null) {
            newest = older;
        } else {
            newer.older = older;
        }
    }

    private static void require(boolean holds, String what, long value, String range) {
        if (!holds) {
            throw new IllegalArgumentException("persistence: " + what + " " + value + " is not " + range);
        }
    }
}

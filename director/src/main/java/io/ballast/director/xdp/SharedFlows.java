package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.director.scheduler.FlowKey;
import io.ballast.director.sync.ConnectionTable;
import io.ballast.director.sync.Entry;
import io.ballast.director.sync.Names;
import io.ballast.director.xdp.InstalledService.Placed;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The table of remembered connections as other directors see it: what changes in it is told, and what they tell is
 * written into it, beside the packets and the control loop.
 *
 * <p><b>Finding changes.</b> The program sets one of 65,536 bytes when a connection in one of its buckets is established
 * or closed; these bytes are read and cleared often, which costs microseconds and can lose nothing. What is in the buckets
 * is compared with what the other side was told, a word for each place: a hash of the connection and its state, and until
 * when it was said to be remembered. So a connection is told once, again when its state changes, and again when it has
 * been used so long that what the other side knows would end before it.
 *
 * <p><b>Writing.</b> A place is claimed by its tag, filled, and published, as the program does it (flows.h). Numbers,
 * hashes and ports' owners are this director's own, so nothing is copied but what both mean the same by.
 */
final class SharedFlows implements ConnectionTable {
    /** The tag of a place that is being filled. */
    private static final int BEING_WRITTEN = 1;

    /** What is looked at once more at a time. */
    private static final int SOME = Layout.TOUCHED / 12 + 1;

    /** Tries to claim a place that packets change at the same time. */
    private static final int TRIES = 4;

    private static final VarHandle WORD = ValueLayout.JAVA_INT.varHandle();
    private static final VarHandle LONG_WORD = ValueLayout.JAVA_LONG.varHandle();
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final ValueLayout.OfShort BE_SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfInt BE_INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfLong BE_LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    /**
     * Where clients of an address come in.
     *
     * @param mac the director's
     */
    record WayIn(int interfaceIndex, long mac, int mtu) {}

    /**
     * An endpoint here.
     *
     * @param way where its clients come in; null where nobody knows
     * @param persists number of the service + 1 where it keeps clients at their server, else 0
     */
    record Here(Vip vip, @Nullable WayIn way, int persists) {}

    /** What numbers mean here, at a time. */
    record Known(Names names, Map<Integer, Here> endpoints) {
        static final Known NOTHING = new Known(Names.NONE, Map.of());

        /**
         * Of services as they are installed now. What still has a number of before is not told of until it has its new
         * one, which is a matter of a second.
         */
        static Known of(Collection<Installed> services, Map<InetAddress, WayIn> ways) {
            Map<Integer, Names.Where> names = new HashMap<>();
            Map<Integer, Names.Server> servers = new HashMap<>();
            Map<Integer, Here> here = new HashMap<>();
            for (Installed installed : services) {
                if (installed.service.isKnown()) {
                    endpoints(installed, ways, names, here);
                    servers(installed, servers);
                }
            }
            return new Known(new Names(names, servers), Map.copyOf(here));
        }

        private static void endpoints(
                Installed installed,
                Map<InetAddress, WayIn> ways,
                Map<Integer, Names.Where> names,
                Map<Integer, Here> here) {
            String service = installed.service.name;
            Names.Translation translation = (installed.translation & Layout.FLAG_FULL_NAT) != 0
                    ? Names.Translation.FULL_NAT
                    : (installed.translation & Layout.FLAG_NAT) != 0 ? Names.Translation.NAT : Names.Translation.NONE;
            int persists = installed.persists ? installed.service.number + 1 : 0;
            installed.endpoints.forEach((endpoint, id) -> {
                names.put(id, new Names.Where(service, Optional.of(endpoint), translation));
                here.put(id, new Here(installed.vip(endpoint, id), ways.get(endpoint.address()), persists));
            });
            if (installed.persists) {
                names.put(
                        installed.service.number | Layout.TEMPLATE_OF,
                        new Names.Where(service, Optional.empty(), translation));
            }
        }

        private static void servers(Installed installed, Map<Integer, Names.Server> servers) {
            Map<InetSocketAddress, Placed> byAddress = new HashMap<>();
            for (Placed placed : installed.service.everybody()) {
                // One that left and came back has two numbers, and connections go on under both; told of is the later.
                byAddress.merge(
                        placed.described.address(),
                        placed,
                        (one, other) -> one.gone ? other : other.gone ? one : other);
            }
            byAddress.forEach((address, placed) ->
                    servers.put(installed.numberOf(placed), new Names.Server(installed.service.name, address)));
        }
    }

    private final DataPlane plane;
    private final DataPlane.Memory memory;
    private final long seed;
    private final int buckets;
    private final boolean nat;
    private final Consumer<BitSet> changedLoads;
    private final List<Looking> lookers = new CopyOnWriteArrayList<>();
    /** What the program has marked, copied out, since reading single words of the kernel's memory costs ten times as much. */
    private final long[] marked = new long[Layout.TOUCHED / Long.BYTES];

    private long collected = System.nanoTime();
    private volatile Known known = Known.NOTHING;

    /**
     * @param seed what the program's hash begins with
     * @param changedLoads told, on the thread of {@link #put}, which servers have more or fewer connections now
     */
    SharedFlows(DataPlane plane, long seed, Consumer<BitSet> changedLoads) {
        this.plane = plane;
        this.seed = seed;
        this.changedLoads = changedLoads;
        memory = plane.forAnotherThread();
        buckets = plane.buckets();
        nat = plane.sizes().nat();
    }

    /** What numbers mean from now on. */
    void know(Known now) {
        if (!now.equals(known)) {
            known = now;
        }
    }

    @Override
    public Names names() {
        return known.names();
    }

    // ---- Finding changes

    @Override
    public Changes changes() {
        Looking looking = new Looking();
        lookers.add(looking);
        return looking;
    }

    /** Gives what the program has marked to all that look. */
    private synchronized void collect() {
        long before = collected;
        collected = System.nanoTime();
        MemorySegment.copy(memory.touched(), ValueLayout.JAVA_LONG, 0, marked, 0, marked.length);
        for (int word = 0; word < marked.length; word++) {
            if (marked[word] == 0) {
                continue;
            }
            long at = (long) word * Long.BYTES;
            long marks = (long) LONG_WORD.getAndSet(memory.touched(), at, 0L);
            for (int i = 0; i < Long.BYTES; i++) {
                // In the order in which the bytes lie in memory.
                int shift = 8 * (ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? i : 7 - i);
                if ((marks >>> shift & 0xff) != 0) {
                    for (Looking each : lookers) {
                        each.mark(word * Long.BYTES + i, before);
                    }
                }
            }
        }
    }

    private static Entry.@Nullable State stateOf(FlowTable.Place place) {
        return switch (place.state()) {
            case Layout.ESTABLISHED -> Entry.State.ESTABLISHED;
            case Layout.CLOSING -> Entry.State.CLOSING;
            case Layout.KILLED -> Entry.State.KILLED;
            case Layout.TEMPLATE -> Entry.State.CLIENT;
            default -> null;
        };
    }

    private static int layoutOf(Entry.State state) {
        return switch (state) {
            case ESTABLISHED -> Layout.ESTABLISHED;
            case CLOSING -> Layout.CLOSING;
            case KILLED -> Layout.KILLED;
            case CLIENT -> Layout.TEMPLATE;
        };
    }

    /** What one other director knows. */
    private final class Looking implements Changes {
        private final Arena arena = Arena.ofShared();
        /** For each place the hash of what was told, and until when that is. */
        private final MemorySegment told = arena.allocate((long) buckets * Layout.WAYS * Long.BYTES, Long.BYTES);

        private final FlowTable flows = plane.flowsForAnotherThread();
        private final BitSet due = new BitSet(Layout.TOUCHED);
        private long since;
        private int somewhere;

        Looking() {
            lookEverywhere();
        }

        private synchronized void mark(int index, long when) {
            if (due.isEmpty()) {
                since = when;
            }
            due.set(index);
        }

        /** The next one from a number on; -1 where there is none. */
        private synchronized int take(int from) {
            int next = due.nextSetBit(from);
            if (next >= 0) {
                due.clear(next);
            }
            return next;
        }

        @Override
        public Look next(Predicate<Names.Where> wanted, int most) {
            collect();
            Known now = known;
            long oldest;
            synchronized (this) {
                oldest = due.isEmpty() ? System.nanoTime() : since;
            }
            List<Entry> found = new ArrayList<>();
            int tick = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
            int at = take(0);
            while (at >= 0) {
                for (int bucket = at; bucket < buckets; bucket += Layout.TOUCHED) {
                    flows.visit(bucket, bucket + 1, place -> {
                        Entry entry = look(place, now, wanted, tick);
                        if (entry != null) {
                            found.add(entry);
                        }
                        return true;
                    });
                }
                if (found.size() >= most) {
                    break;
                }
                at = take(at + 1);
            }
            synchronized (this) {
                return new Look(found, !due.isEmpty(), oldest);
            }
        }

        private @Nullable Entry look(FlowTable.Place place, Known now, Predicate<Names.Where> wanted, int tick) {
            Entry.State state = stateOf(place);
            Names.Where where = now.names().endpoints().get(place.vip());
            int left = place.expires() - tick;
            if (state == null
                    || left < 0
                    || where == null
                    || !now.names().servers().containsKey(place.server())
                    || !wanted.test(where)
                    || plane.cameByCookie(place)) {
                return null;
            }
            long at = (long) place.number() * Long.BYTES;
            long before = told.get(ValueLayout.JAVA_LONG, at);
            int hash = hash(place, place.state());
            if (before != 0 && (int) (before >>> 32) == hash && (place.expires() - (int) before) <= left / 4) {
                return null;
            }
            told.set(ValueLayout.JAVA_LONG, at, (long) hash << 32 | Integer.toUnsignedLong(place.expires()));
            return entry(place, state, where, left);
        }

        private Entry entry(FlowTable.Place place, Entry.State state, Names.Where where, int left) {
            long router = 0;
            long tags = 0;
            int header = 0;
            if (nat && where.translation() != Names.Translation.NONE && state != Entry.State.CLIENT) {
                MemorySegment back =
                        memory.waysBack().asSlice((long) place.number() * Layout.WAY_BACK, Layout.WAY_BACK);
                if (back.get(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.WAY_BACK_MTU) != 0) {
                    router = mac(back, Layout.WAY_BACK_TO);
                    tags = back.get(BE_LONG, Layout.WAY_BACK_TAGS);
                    header = back.get(ValueLayout.JAVA_BYTE, Layout.WAY_BACK_HEADER);
                }
            }
            return new Entry(
                    place.vip(),
                    place.server(),
                    place.clientHigh(),
                    place.clientLow(),
                    place.clientPort(),
                    place.port(),
                    state,
                    Math.min(left, 0x3fff_ffff),
                    place.isTemplate() ? 0 : place.natPort(),
                    router,
                    tags,
                    header);
        }

        /** Who has told it knows it. */
        private void knows(int place, int hash, int expires) {
            told.set(
                    ValueLayout.JAVA_LONG,
                    (long) place * Long.BYTES,
                    (long) hash << 32 | Integer.toUnsignedLong(expires));
        }

        @Override
        public synchronized void lookEverywhere() {
            if (due.isEmpty()) {
                since = System.nanoTime();
            }
            due.set(0, Layout.TOUCHED);
        }

        @Override
        public synchronized void lookSomewhere() {
            if (due.isEmpty()) {
                since = System.nanoTime();
            }
            due.set(somewhere, Math.min(somewhere + SOME, Layout.TOUCHED));
            somewhere = somewhere + SOME < Layout.TOUCHED ? somewhere + SOME : 0;
        }

        @Override
        public void forget() {
            told.fill((byte) 0);
            lookEverywhere();
        }

        @Override
        public void close() {
            lookers.remove(this);
            arena.close();
        }
    }

    private static long mac(MemorySegment in, long at) {
        return Short.toUnsignedLong(in.get(BE_SHORT, at)) << 32 | Integer.toUnsignedLong(in.get(BE_INT, at + 2));
    }

    private static void mac(MemorySegment to, long at, long mac) {
        to.set(BE_SHORT, at, (short) (mac >>> 32));
        to.set(BE_INT, at + 2, (int) mac);
    }

    /** Tells one connection in one state from others; never 0. */
    private static int hash(FlowTable.Place place, int state) {
        return hash(
                place.clientHigh(),
                place.clientLow(),
                (long) place.vip() << 32 | (long) place.clientPort() << 16 | place.port(),
                (long) place.server() << 32 | (long) (place.isTemplate() ? 0 : place.natPort()) << 8 | state);
    }

    private static int hash(Entry entry) {
        return hash(
                entry.high(),
                entry.low(),
                (long) entry.endpoint() << 32 | (long) entry.clientPort() << 16 | entry.port(),
                (long) entry.server() << 32 | (long) entry.natPort() << 8 | layoutOf(entry.state()));
    }

    private static int hash(long high, long low, long who, long what) {
        return (int) (FlowKey.mix(FlowKey.mix(high, low, who), what, 0) >>> 32) | 1;
    }

    // ---- Writing

    @Override
    public List<Outcome> put(List<Entry> entries, Predicate<Names.Where> ours, @Nullable Changes teller) {
        Known now = known;
        BitSet loads = new BitSet();
        List<Outcome> outcomes = new ArrayList<>(entries.size());
        int tick = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
        for (Entry entry : entries) {
            Names.Where where = now.names().endpoints().get(entry.endpoint());
            outcomes.add(
                    where == null || !isPossible(entry, where, now)
                            ? Outcome.TAKEN
                            : put(entry, where, now, ours.test(where), tick, loads, teller));
        }
        if (!loads.isEmpty()) {
            changedLoads.accept(loads);
        }
        return outcomes;
    }

    private static boolean isPossible(Entry entry, Names.Where where, Known now) {
        boolean isClient = entry.state() == Entry.State.CLIENT;
        return now.names().servers().containsKey(entry.server())
                && where.endpoint().isEmpty() == isClient
                && (isClient || where.translation() != Names.Translation.FULL_NAT || isPort(entry.natPort()));
    }

    private static boolean isPort(int port) {
        return port >= Layout.NAT_FIRST_PORT && port < Layout.NAT_FIRST_PORT + Layout.NAT_PORTS;
    }

    private Outcome put(
            Entry entry,
            Names.Where where,
            Known now,
            boolean isOurs,
            int tick,
            BitSet loads,
            @Nullable Changes teller) {
        boolean translated = nat && where.endpoint().isPresent() && where.translation() != Names.Translation.NONE;
        long hash = translated && where.translation() == Names.Translation.NAT
                ? FlowKey.mix(
                        entry.high(),
                        entry.low() ^ seed,
                        (long) protocol(where.endpoint().orElseThrow()) << 16 | entry.clientPort())
                : flowHash(entry);
        int bucket = (int) (hash & (buckets - 1));
        int tag = (int) (hash >>> 32) | 2;
        for (int tries = 0; tries < TRIES; tries++) {
            int way = find(bucket, tag, entry);
            if (way >= 0) {
                long live = live(bucket, way);
                boolean over = (int) WORD.getVolatile(memory.flows(), live + Layout.FLOW_EXPIRES) - tick < 0;
                boolean same = memory.flows().get(INT, live + Layout.FLOW_SERVER) == entry.server()
                        && (where.translation() != Names.Translation.FULL_NAT
                                || where.endpoint().isEmpty()
                                || Short.toUnsignedInt(memory.flows().get(BE_SHORT, live + Layout.FLOW_NAT_PORT))
                                        == entry.natPort());
                if (!over && isOurs) {
                    return same ? Outcome.KNOWN : Outcome.TAKEN;
                }
                if (!over && same) {
                    if (turn(live, entry, loads)) {
                        WORD.setVolatile(memory.flows(), live + Layout.FLOW_EXPIRES, tick + entry.ticks());
                        if (translated && entry.router() != 0) {
                            wayBack(place(bucket, way), entry, where, now);
                        }
                        tell(teller, place(bucket, way), entry, tick);
                        return Outcome.CHANGED;
                    }
                    continue;
                }
            } else {
                way = room(bucket, tick);
                if (way < 0) {
                    return Outcome.FULL;
                }
            }
            if (claim(bucket, way, loads)) {
                Outcome outcome = write(bucket, way, tag, entry, where, now, translated, tick);
                if (outcome == Outcome.NEW) {
                    if (plane.countIn(entry.server(), layoutOf(entry.state()))) {
                        loads.set(entry.server());
                    }
                    tell(teller, place(bucket, way), entry, tick);
                }
                return outcome;
            }
        }
        return Outcome.FULL;
    }

    private void tell(@Nullable Changes teller, int place, Entry entry, int tick) {
        if (teller instanceof Looking looking && lookers.contains(looking)) {
            try {
                looking.knows(place, hash(entry), tick + entry.ticks());
            } catch (IllegalStateException e) {
                // It has just been closed: nobody looks there any more.
                lookers.remove(looking);
            }
        }
    }

    private static int protocol(Endpoint endpoint) {
        return endpoint.protocol() == Endpoint.Protocol.TCP ? 6 : 17;
    }

    private long flowHash(Entry entry) {
        long rest = (long) entry.endpoint() << 32 | (long) entry.clientPort() << 16 | entry.port();
        return FlowKey.mix(entry.high(), entry.low() ^ seed, rest);
    }

    private static int place(int bucket, int way) {
        return bucket * Layout.WAYS + way;
    }

    private static long tagAt(int bucket, int way) {
        return (long) bucket * Layout.BUCKET + 4L * way;
    }

    private static long live(int bucket, int way) {
        return (long) bucket * Layout.BUCKET + Layout.BUCKET_FLOWS + (long) way * Layout.FLOW;
    }

    private int find(int bucket, int tag, Entry entry) {
        for (int way = 0; way < Layout.WAYS; way++) {
            long live = live(bucket, way);
            if ((int) WORD.getVolatile(memory.flows(), tagAt(bucket, way)) == tag
                    && memory.flows().get(LONG, live) == entry.high()
                    && memory.flows().get(LONG, live + Long.BYTES) == entry.low()
                    && memory.flows().get(INT, live + Layout.FLOW_VIP) == entry.endpoint()
                    && shortAt(live + Layout.FLOW_CLIENT_PORT) == entry.clientPort()
                    && shortAt(live + Layout.FLOW_PORT) == entry.port()) {
                return way;
            }
        }
        return -1;
    }

    private int shortAt(long at) {
        return Short.toUnsignedInt(memory.flows().get(ValueLayout.JAVA_SHORT_UNALIGNED, at));
    }

    /** A free place, else one that has expired, else one that is only being opened or closed; -1 where there is none. */
    private int room(int bucket, int tick) {
        int best = -1;
        boolean bestIsOver = false;
        for (int way = 0; way < Layout.WAYS; way++) {
            int tag = (int) WORD.getVolatile(memory.flows(), tagAt(bucket, way));
            if (tag == 0) {
                return way;
            }
            long live = live(bucket, way);
            boolean over = memory.flows().get(INT, live + Layout.FLOW_EXPIRES) - tick < 0;
            int state = Layout.stateOf(memory.flows().get(INT, live + Layout.FLOW_STATE));
            boolean yields = state == Layout.OPENING || state == Layout.CLOSING || state == Layout.TEMPLATE_OPENING;
            if (tag != BEING_WRITTEN && !bestIsOver && (over || (yields && best < 0))) {
                best = way;
                bestIsOver = over;
            }
        }
        return best;
    }

    /** Takes a place for oneself, and counts out what was in it. */
    private boolean claim(int bucket, int way, BitSet loads) {
        MemorySegment flows = memory.flows();
        int tag = (int) WORD.getVolatile(flows, tagAt(bucket, way));
        if (tag == BEING_WRITTEN || !WORD.compareAndSet(flows, tagAt(bucket, way), tag, BEING_WRITTEN)) {
            return false;
        }
        if (tag != 0) {
            long live = live(bucket, way);
            int server = flows.get(INT, live + Layout.FLOW_SERVER);
            int word = (int) WORD.getAndSet(flows, live + Layout.FLOW_STATE, 0);
            if (plane.countOut(server, Layout.stateOf(word))) {
                loads.set(server);
            }
            int owner = flows.get(INT, live + Layout.FLOW_CLAIM);
            if (owner > 0 && owner <= memory.ports().byteSize() / Integer.BYTES) {
                var _ = WORD.compareAndSet(memory.ports(), (owner - 1L) * Integer.BYTES, place(bucket, way) + 1, 0);
            }
        }
        return true;
    }

    /** Another state of a connection that is here already, and the load that goes with it. */
    private boolean turn(long live, Entry entry, BitSet loads) {
        int word = (int) WORD.getVolatile(memory.flows(), live + Layout.FLOW_STATE);
        int before = Layout.stateOf(word);
        int after = layoutOf(entry.state());
        if (before == after) {
            return true;
        }
        if (before == 0
                || !WORD.compareAndSet(memory.flows(), live + Layout.FLOW_STATE, word, Layout.withState(word, after))) {
            return false;
        }
        boolean fewer = plane.countOut(entry.server(), before);
        if (plane.countIn(entry.server(), after) || fewer) {
            loads.set(entry.server());
        }
        return true;
    }

    private Outcome write(
            int bucket, int way, int tag, Entry entry, Names.Where where, Known now, boolean translated, int tick) {
        MemorySegment flows = memory.flows();
        long live = live(bucket, way);
        int owner = 0;
        if (translated && where.translation() == Names.Translation.FULL_NAT) {
            owner = port(place(bucket, way), entry, where.endpoint().orElseThrow(), tick);
            if (owner == 0) {
                WORD.setVolatile(flows, tagAt(bucket, way), 0);
                return Outcome.TAKEN;
            }
        }
        flows.set(LONG, live, entry.high());
        flows.set(LONG, live + Long.BYTES, entry.low());
        flows.set(INT, live + Layout.FLOW_VIP, entry.endpoint());
        flows.set(ValueLayout.JAVA_SHORT_UNALIGNED, live + Layout.FLOW_CLIENT_PORT, (short) entry.clientPort());
        flows.set(ValueLayout.JAVA_SHORT_UNALIGNED, live + Layout.FLOW_PORT, (short) entry.port());
        flows.set(INT, live + Layout.FLOW_SERVER, entry.server());
        flows.set(INT, live + Layout.FLOW_EXPIRES, tick + entry.ticks());
        flows.set(ValueLayout.JAVA_BYTE, live + Layout.FLOW_STATE, (byte) layoutOf(entry.state()));
        int protocol = where.endpoint().map(SharedFlows::protocol).orElse(0);
        flows.set(ValueLayout.JAVA_BYTE, live + Layout.FLOW_PROTO, (byte) protocol);
        flows.set(BE_SHORT, live + Layout.FLOW_NAT_PORT, (short) entry.natPort());
        flows.set(INT, live + Layout.FLOW_CLAIM, owner);
        if (translated) {
            wayBack(place(bucket, way), entry, where, now);
        }
        WORD.setVolatile(flows, tagAt(bucket, way), tag);
        return Outcome.NEW;
    }

    /** How answers get to the client: by its router, which both directors share a network with, from here. */
    private void wayBack(int place, Entry entry, Names.Where where, Known now) {
        Here here = now.endpoints().get(entry.endpoint());
        MemorySegment back = memory.waysBack().asSlice((long) place * Layout.WAY_BACK, Layout.WAY_BACK);
        back.fill((byte) 0);
        if (here == null || where.endpoint().isEmpty()) {
            return;
        }
        byte[] vip = where.endpoint().get().address().getAddress();
        MemorySegment.copy(vip, 0, back, ValueLayout.JAVA_BYTE, 0, vip.length);
        back.set(INT, Layout.WAY_BACK_OPEN_TICKS, here.vip().openTicks());
        back.set(INT, Layout.WAY_BACK_IDLE_TICKS, here.vip().idleTicks());
        back.set(INT, Layout.WAY_BACK_CLOSING_TICKS, here.vip().closingTicks());
        back.set(INT, Layout.WAY_BACK_PERSISTS, here.persists());
        WayIn way = here.way();
        if (way != null && entry.router() != 0) {
            mac(back, Layout.WAY_BACK_TO, entry.router());
            mac(back, Layout.WAY_BACK_FROM, way.mac());
            back.set(INT, Layout.WAY_BACK_INTERFACE, way.interfaceIndex());
            back.set(BE_LONG, Layout.WAY_BACK_TAGS, entry.tags());
            back.set(ValueLayout.JAVA_BYTE, Layout.WAY_BACK_HEADER, (byte) entry.header());
            // Where this is 0 the program knows that it knows no way.
            back.set(ValueLayout.JAVA_SHORT_UNALIGNED, Layout.WAY_BACK_MTU, (short) Math.min(way.mtu(), 0xffff));
        }
    }

    /** Takes the connection's port; 0 where it is another's, else what the flow is to say of it. */
    private int port(int place, Entry entry, Endpoint endpoint, int tick) {
        MemorySegment server = memory.servers().asSlice((long) entry.server() * Layout.SERVER, Layout.SERVER);
        boolean ipv4 = endpoint.address() instanceof Inet4Address;
        long high = ipv4 ? 0 : server.get(BE_LONG, Layout.SERVER_ADDRESS6);
        long low = ipv4
                ? 0xffff_0000_0000L | Integer.toUnsignedLong(server.get(BE_INT, Layout.SERVER_ADDRESS))
                : server.get(BE_LONG, Layout.SERVER_ADDRESS6 + Long.BYTES);
        int own = Short.toUnsignedInt(server.get(BE_SHORT, Layout.SERVER_PORT));
        long rest = (long) protocol(endpoint) << 32 | (own == 0 ? (long) entry.port() : own) << 16 | entry.natPort();
        int number =
                (int) (FlowKey.mix(high, low ^ seed, rest) & (memory.ports().byteSize() / Integer.BYTES - 1));
        long at = (long) number * Integer.BYTES;
        int before = (int) WORD.getVolatile(memory.ports(), at);
        if (before != 0 && before != place + 1 && keeps(before - 1, number, tick)) {
            return 0;
        }
        return WORD.compareAndSet(memory.ports(), at, before, place + 1) ? number + 1 : 0;
    }

    private boolean keeps(int place, int number, int tick) {
        int bucket = place / Layout.WAYS;
        int way = place % Layout.WAYS;
        if (place < 0 || bucket >= buckets) {
            return false;
        }
        int tag = (int) WORD.getVolatile(memory.flows(), tagAt(bucket, way));
        long live = live(bucket, way);
        return tag == BEING_WRITTEN
                || (tag != 0
                        && memory.flows().get(INT, live + Layout.FLOW_CLAIM) == number + 1
                        && memory.flows().get(INT, live + Layout.FLOW_EXPIRES) - (tick - Layout.SETTLED_TICKS) >= 0);
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.scheduler.ScheduleTable;
import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.RingBuffer;
import io.ballast.linux.netlink.MacAddress;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.VarHandle;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.function.Predicate;

/**
 * The program in the kernel and its tables, as layout.h describes them: typed writing and reading, nothing decided.
 *
 * <p>Tables that packets read by number are written through shared memory, without a system call; a packet may see a
 * record half written, so what must change at once changes in one place: an endpoint, which is replaced as a whole.
 */
class DataPlane implements AutoCloseable {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.nativeOrder());
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.nativeOrder());
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.nativeOrder());

    /**
     * How much there is room for.
     *
     * @param endpoints addresses with protocol and port, of each family
     * @param services numbers from 0
     * @param servers numbers from 0, over all services
     * @param slotLines lines of {@value Layout#LINE} slots
     * @param nodeLines lines of {@value Layout#LINE} nodes
     * @param buckets of {@value Layout#WAYS} remembered connections; a power of two
     * @param nat whether addresses can be translated, which takes another {@value #NAT_BYTES} bytes for each connection
     */
    record Sizes(int endpoints, int services, int servers, int slotLines, int nodeLines, int buckets, boolean nat) {
        Sizes(int endpoints, int services, int servers, int slotLines, int nodeLines, int buckets) {
            this(endpoints, services, servers, slotLines, nodeLines, buckets, true);
        }
    }

    /**
     * What the program does beside the usual, set as constants before it is loaded: what is off costs nothing.
     *
     * @param ranges endpoints of many ports
     */
    record Features(boolean ranges) {
        /** Only the usual. */
        static final Features NONE = new Features(false);

        static final Features ALL = new Features(true);

        /** Tells programs from one object apart. */
        byte[] bytes() {
            return new byte[] {(byte) (ranges ? 1 : 0)};
        }

        private void setConstants(BpfObject object) {
            object.set("has_ranges", ranges ? 1 : 0);
        }
    }

    /**
     * Traffic of one server since it has its number.
     *
     * @param packetsBack to clients: those that were translated, the others do not pass here
     */
    record Traffic(long packets, long bytes, long connections, long packetsBack, long bytesBack) {}

    /** Why packets went another way than to a server, or a connection was not remembered: layout.h's reasons, in order. */
    enum Reason {
        PASS_NO_SERVER,
        PASS_NO_NEXT_HOP,
        PASS_FRAGMENT,
        DROP_TOO_BIG,
        DROP_HEADROOM,
        FLOW_TABLE_FULL,
        FLOW_EVICTED,
        PASS_NO_FLOW,
        PASS_NO_PORT,
        PASS_TTL,
        PASS_KILLED,
        DROP_RATE,
        DROP_SOURCE_RATE,
        FLOW_UNLEARNED,
        SYN_GREETED,
        SYN_PROVEN
    }

    private static final Map<Reason, String> WORDS = Map.ofEntries(
            Map.entry(Reason.PASS_NO_SERVER, "packets that no server could take (passed to the kernel)"),
            Map.entry(Reason.PASS_NO_NEXT_HOP, "packets for a server to which no way was known (passed to the kernel)"),
            Map.entry(Reason.PASS_FRAGMENT, "fragments whose beginning was not seen (passed to the kernel)"),
            Map.entry(
                    Reason.DROP_TOO_BIG,
                    "packets too long for the way to the server (answered with the length that fits)"),
            Map.entry(Reason.DROP_HEADROOM, "packets without room for another header (dropped)"),
            Map.entry(Reason.FLOW_TABLE_FULL, "connections that could not be remembered"),
            Map.entry(Reason.FLOW_EVICTED, "connections forgotten to make room for others"),
            Map.entry(Reason.PASS_NO_FLOW, "packets of connections that nobody remembers (passed to the kernel)"),
            Map.entry(Reason.PASS_NO_PORT, "connections for which no port was free (passed to the kernel)"),
            Map.entry(Reason.PASS_TTL, "packets that have travelled too far (passed to the kernel)"),
            Map.entry(Reason.PASS_KILLED, "packets of connections that were ended here (passed to the kernel)"),
            Map.entry(Reason.DROP_RATE, "new connections above the service's rate (dropped)"),
            Map.entry(Reason.DROP_SOURCE_RATE, "new connections above a client's rate (dropped)"),
            Map.entry(Reason.FLOW_UNLEARNED, "connections not remembered, because too many came at once"),
            Map.entry(Reason.SYN_GREETED, "SYNs answered with a cookie"),
            Map.entry(Reason.SYN_PROVEN, "connections opened by the acknowledgement of a cookie"));

    /** What is counted by a reason, for people. */
    static String words(Reason reason) {
        return WORDS.getOrDefault(reason, reason.name().toLowerCase(Locale.ROOT).replace('_', ' '));
    }

    /** Instead of a service's number: none. */
    static final int NO_SERVICE = -1;

    /** Words that the data plane changes as well. */
    private static final VarHandle COUNTER = ValueLayout.JAVA_INT.varHandle();

    /** For each connection: enough that of the ports that are tried one is free; makes a line for each bucket. */
    private static final int PORT_OWNERS = 2;

    static final int NAT_BYTES = Layout.WAY_BACK + PORT_OWNERS * 4;

    /** Where the program and its tables are. */
    private interface Source extends AutoCloseable {
        /** The names of the tables. */
        List<String> maps() throws IOException;

        BpfMap map(String name) throws IOException;

        BpfProgram program(String name) throws IOException;

        @Override
        void close();
    }

    private final Source source;
    private final Arena arena = Arena.ofShared();
    private final Sizes sizes;
    private final BpfMap vips4;
    private final BpfMap vips6;
    private final BpfMap traffic;
    private final BpfMap reasons;
    private final BpfMap quicIds;
    private final MemorySegment quicKeys;
    private final BpfMap traces;
    private final MemorySegment tracing;
    private final MemorySegment slots;
    private final MemorySegment nodes;
    private final MemorySegment servers;
    private final MemorySegment loads;
    private final MemorySegment services;
    private final FlowTable flows;
    private final MemorySegment ports;
    private final MemorySegment waysBack;
    private final MemorySegment touched;
    private final Notes notes;

    /** The tables that are pinned in a folder, each under its name, with the program {@code director}. */
    DataPlane(Path folder) throws IOException {
        this(new Pinned(folder));
    }

    private DataPlane(Source source) throws IOException {
        this.source = source;
        vips4 = source.map("vips4");
        vips6 = source.map("vips6");
        traffic = source.map("traffic");
        reasons = source.map("reasons");
        quicIds = source.map("quic_ids");
        traces = source.map("traces");
        tracing = memory("tracing_now");
        slots = memory("slots");
        nodes = memory("tree_nodes");
        servers = memory("servers");
        loads = memory("loads");
        services = memory("services");
        quicKeys = memory("quic_keys");
        notes = new Notes(memory("service_notes"), memory("server_notes"));
        ports = memory("ports");
        waysBack = memory("ways_back");
        touched = memory("touched");
        flows = new FlowTable(memory("flows"), ports);
        sizes = new Sizes(
                vips4.info().shape().maxEntries(),
                (int) (services.byteSize() / Layout.SERVICE),
                (int) (servers.byteSize() / Layout.SERVER),
                (int) (slots.byteSize() / Layout.LINE_BYTES),
                (int) (nodes.byteSize() / Layout.LINE_BYTES),
                flows.buckets(),
                waysBack.byteSize() > Layout.WAY_BACK);
    }

    /** The memory of a table. */
    MemorySegment memory(String map) throws IOException {
        try (BpfMap opened = source.map(map)) {
            return opened.mmap(arena);
        }
    }

    /**
     * Loads an object of {@code src/main/bpf} with empty tables.
     *
     * @param name director or bench
     * @param flowSeed a secret that keeps clients from choosing buckets
     * @throws FileNotFoundException this build has no such object, since clang was absent
     * @throws IOException the kernel refuses it; the message says why
     */
    static DataPlane load(String name, Sizes sizes, Features features, long flowSeed) throws IOException {
        return load(name, sizes, features, flowSeed, 0);
    }

    /** The same, where each processor begins to remember only so many connections a second; 0 for any number. */
    static DataPlane load(String name, Sizes sizes, Features features, long flowSeed, int learnedPerSecond)
            throws IOException {
        BpfObject object = BpfObject.open(name, object(name));
        try {
            configure(object, sizes, features, flowSeed);
            object.set("learn_interval", interval(learnedPerSecond));
            object.load();
            return new DataPlane(new Loaded(object));
        } catch (IOException | RuntimeException e) {
            object.close();
            throw e;
        }
    }

    /** An object of {@code src/main/bpf} as it was compiled. */
    static byte[] object(String name) throws IOException {
        try (InputStream in = DataPlane.class.getResourceAsStream(name + ".bpf.o")) {
            if (in == null) {
                throw new FileNotFoundException(
                        "this build has no engine xdp, because clang or the headers of libbpf were"
                                + " absent when it was made: install the packages clang and libbpf-dev and build again");
            }
            return in.readAllBytes();
        }
    }

    /** Sets the sizes of the tables and the constants, before loading. */
    static void configure(BpfObject object, Sizes sizes, Features features, long flowSeed) throws IOException {
        if (Integer.bitCount(sizes.buckets()) != 1) {
            throw new IllegalArgumentException(sizes.buckets() + " buckets: the number must be a power of two");
        }
        object.resize("vips4", sizes.endpoints());
        object.resize("vips6", sizes.endpoints());
        object.resize("services", sizes.services());
        object.resize("service_notes", sizes.services());
        object.resize("reasons", sizes.services() + 1);
        object.resize("quic_keys", sizes.services());
        object.resize("servers", sizes.servers());
        object.resize("server_notes", sizes.servers());
        object.resize("loads", sizes.servers());
        object.resize("traffic", sizes.servers());
        object.resize("quic_ids", sizes.servers());
        object.resize("slots", sizes.slotLines());
        object.resize("tree_nodes", sizes.nodeLines());
        object.resize("flows", sizes.buckets());
        if (sizes.nat()) {
            // What is more than a number can say is more than the kernel gives.
            object.resize("ways_back", Math.clamp((long) sizes.buckets() * Layout.WAYS, 1, Integer.MAX_VALUE));
            object.resize("ports", sizes.buckets());
        }
        setConstants(object, sizes.buckets(), sizes.nat(), features, flowSeed);
    }

    /**
     * Bounds how many connections each processor begins to remember a second: no more than would fill the table twice,
     * so that the beginning of a connection is remembered for half a second even where all of it is flooded, which is
     * long enough for its handshake; and no more than {@value #LEARNED_MOST}, which takes a tenth of the processor with
     * direct routing, a sixth with NAT and two fifths with full NAT.
     */
    static void boundLearning(BpfObject object, int buckets) {
        long each = 2L * buckets * Layout.WAYS / BpfMap.possibleCpus();
        object.set("learn_interval", interval(Math.clamp(each, LEARNED_LEAST, LEARNED_MOST)));
    }

    private static final int LEARNED_LEAST = 50_000;
    private static final int LEARNED_MOST = 250_000;

    /** Sets the constants for tables of these sizes, before loading. */
    static void setConstants(BpfObject object, int buckets, boolean nat, Features features, long flowSeed) {
        features.setConstants(object);
        object.set("bucket_mask", buckets - 1);
        object.set("flow_seed", flowSeed);
        object.set("port_mask", nat ? (long) buckets * Layout.LINE - 1 : 0);
        object.set("nat_ports", Layout.NAT_PORTS);
        object.set("has_nat", nat ? 1 : 0);
        object.set("has_full_nat", nat ? 1 : 0);
        object.set("has_cookies", nat ? 1 : 0);
        byte[] key = cookieKey(flowSeed);
        object.set("cookie_key0", MemorySegment.ofArray(key).get(LONG, 0));
        object.set("cookie_key1", MemorySegment.ofArray(key).get(LONG, 8));
    }

    /**
     * The secret of the cookies: as lasting as the hash's, so that another program still knows those of before, and
     * telling nothing of it.
     */
    private static byte[] cookieKey(long flowSeed) {
        byte[] seed = new byte[Long.BYTES];
        MemorySegment.ofArray(seed).set(LONG, 0, flowSeed);
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update("SYN cookies".getBytes(StandardCharsets.US_ASCII));
            return digest.digest(seed);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private record Loaded(BpfObject object) implements Source {
        @Override
        public List<String> maps() {
            return object.maps();
        }

        @Override
        public BpfMap map(String name) throws IOException {
            return object.map(name);
        }

        @Override
        public BpfProgram program(String name) throws IOException {
            return object.program(name);
        }

        @Override
        public void close() {
            object.close();
        }
    }

    private record Pinned(Path folder) implements Source {
        @Override
        public List<String> maps() throws IOException {
            List<String> names = new ArrayList<>();
            try (DirectoryStream<Path> pins = Files.newDirectoryStream(
                    folder, pin -> !pin.getFileName().toString().startsWith("director"))) {
                pins.forEach(pin -> names.add(pin.getFileName().toString()));
            }
            return names;
        }

        @Override
        public BpfMap map(String name) throws IOException {
            return BpfMap.openPinned(folder.resolve(name));
        }

        @Override
        public BpfProgram program(String name) throws IOException {
            return BpfProgram.openPinned(folder.resolve(name));
        }

        @Override
        public void close() {
            // Pins need no process that holds them.
        }
    }

    Sizes sizes() {
        return sizes;
    }

    /** A program of the object, for the caller to close. */
    BpfProgram program(String name) throws IOException {
        return source.program(name);
    }

    /** Whose the numbers are. */
    Notes notes() {
        return notes;
    }

    /** The program's own variables, in the order of their declaration, where they began as zero. */
    MemorySegment variables() throws IOException {
        return memory(".bss");
    }

    /** Bytes of kernel memory that the tables take. */
    long memory() throws IOException {
        long sum = 0;
        for (String name : source.maps()) {
            try (BpfMap map = source.map(name)) {
                // The only place where the kernel says it: bpf_map_show_fdinfo.
                sum += Files.readAllLines(Path.of("/proc/self/fdinfo/" + map.fd())).stream()
                        .filter(line -> line.startsWith("memlock:"))
                        .mapToLong(line -> Long.parseLong(
                                line.substring("memlock:".length()).strip()))
                        .sum();
            }
        }
        return sum;
    }

    // ---- Writing

    /**
     * Installs an endpoint, or replaces what has its place; {@link Endpoints} knows what is where.
     *
     * @param range 0 for a single port; for several, the number of the range from 1 on among those of its address and
     *     protocol: packets look from 1 on until there is none
     */
    void endpoint(Endpoint where, int range, Vip vip) throws IOException {
        byte[] value = vip.bytes();
        MemorySegment record = MemorySegment.ofArray(value);
        record.set(SHORT, Layout.VIP_FIRST_PORT, (short) where.firstPort());
        record.set(SHORT, Layout.VIP_LAST_PORT, (short) where.lastPort());
        vips(where.address()).update(key(where, range), value);
    }

    /** Removes what has the place. */
    void removeEndpoint(Endpoint where, int range) throws IOException {
        vips(where.address()).delete(key(where, range));
    }

    private BpfMap vips(InetAddress address) {
        return address instanceof Inet4Address ? vips4 : vips6;
    }

    private static byte[] key(Endpoint where, int range) {
        if (where.single() != (range == 0)) {
            throw new IllegalArgumentException(where + " has no place as range " + range);
        }
        byte[] address = where.address().getAddress();
        byte[] key = new byte[address.length + 4];
        System.arraycopy(address, 0, key, 0, address.length);
        if (range == 0) {
            key[address.length] = (byte) (where.port() >> 8);
            key[address.length + 1] = (byte) where.port();
        }
        key[address.length + 2] = (byte) (where.protocol() == Endpoint.Protocol.TCP ? 6 : 17);
        key[address.length + 3] = (byte) range;
        return key;
    }

    /** Writes a table from its first line on. */
    void slots(int line, SlotTable table) {
        long at = (long) line * Layout.LINE_BYTES;
        for (int slot = 0; slot < table.length(); slot++) {
            int base = member(table.base(slot)) | (table.isDoubtful(slot) ? Layout.SLOT_DOUBTFUL : 0);
            slots.set(INT, at + 4L * slot, member(table.current(slot)) | (base << 16));
        }
    }

    private static int member(char named) {
        return named == ScheduleTable.NONE ? Layout.NO_SERVER : named;
    }

    private static char named(int member) {
        return member == Layout.NO_SERVER ? ScheduleTable.NONE : (char) member;
    }

    /** Reads a table from its first line on. */
    SlotTable slots(int line, int count) {
        char[] current = new char[count];
        char[] base = new char[count];
        BitSet doubtful = new BitSet(count);
        long at = (long) line * Layout.LINE_BYTES;
        for (int slot = 0; slot < count; slot++) {
            int both = slots.get(INT, at + 4L * slot);
            current[slot] = named(both & 0xffff);
            base[slot] = named((both >>> 16) & ~Layout.SLOT_DOUBTFUL);
            doubtful.set(slot, both < 0);
        }
        return new SlotTable(current, base, doubtful);
    }

    void server(int number, Target target) {
        MemorySegment record = servers.asSlice((long) number * Layout.SERVER, Layout.SERVER);
        target.hop().ifPresent(hop -> write(record, hop));
        boolean ipv4 = target.address() instanceof Inet4Address;
        byte[] address = target.address().getAddress();
        byte[] source = target.source().getAddress();
        MemorySegment.copy(
                address,
                0,
                record,
                ValueLayout.JAVA_BYTE,
                ipv4 ? Layout.SERVER_ADDRESS : Layout.SERVER_ADDRESS6,
                address.length);
        MemorySegment.copy(
                source,
                0,
                record,
                ValueLayout.JAVA_BYTE,
                ipv4 ? Layout.SERVER_SOURCE : Layout.SERVER_SOURCE6,
                source.length);
        record.set(INT, Layout.SERVER_HEADER_SUM, target.headerSum());
        record.set(INT, Layout.SERVER_SERVICE, target.service());
        record.set(SHORT, Layout.SERVER_MEMBER, (short) target.member());
        record.set(SHORT, Layout.SERVER_PORT, Short.reverseBytes((short) target.port()));
        record.set(SHORT, Layout.SERVER_FLAGS, (short) target.flags());
    }

    /** The address of the next hop goes in one piece, so that no packet is sent to half of each of two. */
    private static void write(MemorySegment record, Hop hop) {
        byte[] both = new byte[2 * MacAddress.LENGTH];
        System.arraycopy(hop.to().bytes(), 0, both, Layout.SERVER_TO, MacAddress.LENGTH);
        System.arraycopy(hop.from().bytes(), 0, both, Layout.SERVER_FROM, MacAddress.LENGTH);
        MemorySegment words = MemorySegment.ofArray(both);
        record.set(LONG, 0, words.get(LONG, 0));
        record.set(INT, 8, words.get(INT, 8));
        record.set(INT, Layout.SERVER_INTERFACE, hop.interfaceIndex());
        record.set(INT, Layout.SERVER_MTU, hop.mtu());
    }

    /** Changes the next hop of a server and nothing else; empty where packets for it are the kernel's. */
    void hop(int number, Optional<Hop> hop) {
        MemorySegment record = servers.asSlice((long) number * Layout.SERVER, Layout.SERVER);
        hop.ifPresent(way -> write(record, way));
        int flags = record.get(SHORT, Layout.SERVER_FLAGS);
        record.set(
                SHORT, Layout.SERVER_FLAGS, (short) (hop.isPresent() ? flags | Layout.READY : flags & ~Layout.READY));
    }

    /** The next hop of a server as it is in the table; empty where packets for it are the kernel's. */
    Optional<Hop> hop(int number) {
        MemorySegment record = servers.asSlice((long) number * Layout.SERVER, Layout.SERVER);
        if ((record.get(SHORT, Layout.SERVER_FLAGS) & Layout.READY) == 0) {
            return Optional.empty();
        }
        return Optional.of(new Hop(
                MacAddress.of(
                        record.asSlice(Layout.SERVER_TO, MacAddress.LENGTH).toArray(ValueLayout.JAVA_BYTE)),
                MacAddress.of(
                        record.asSlice(Layout.SERVER_FROM, MacAddress.LENGTH).toArray(ValueLayout.JAVA_BYTE)),
                record.get(INT, Layout.SERVER_INTERFACE),
                record.get(INT, Layout.SERVER_MTU)));
    }

    /** What a scheduler by load may give the server. */
    void allow(int number, int weight, int limit) {
        long at = (long) number * Layout.LOAD;
        loads.set(INT, at + Layout.LOAD_LIMIT, limit);
        loads.set(INT, at + Layout.LOAD_WEIGHT, weight);
    }

    /** Makes a number that was in use before that of a new server. */
    void clear(int number) throws IOException {
        servers.asSlice((long) number * Layout.SERVER, Layout.SERVER).fill((byte) 0);
        loads.asSlice((long) number * Layout.LOAD, Layout.LOAD).fill((byte) 0);
        traffic.update(intKey(number), new byte[(int) traffic.valueBytes()]);
    }

    /** Where a service's servers and tree are; {@code leaves} 0 where it compares no loads. */
    void service(int number, int firstServer, int tree, int leaves, int scheduler) {
        long at = (long) number * Layout.SERVICE;
        services.set(INT, at + Layout.SERVICE_SERVERS, firstServer);
        services.set(INT, at + Layout.SERVICE_TREE, tree);
        services.set(INT, at + Layout.SERVICE_SCHEDULER, scheduler);
        services.set(INT, at + Layout.SERVICE_LEAVES, leaves);
    }

    /** How connection IDs of QUIC name servers of a service; only those of endpoints with {@link Layout#FLAG_QUIC} do. */
    void quic(int service, ServiceSpec.Quic quic) {
        ServiceSpec.QuicEncryption encryption = quic.encryption().orElse(null);
        int nonce = 0;
        if (encryption != null) {
            nonce = encryption.nonceLength();
            byte[] words = AesKey.expand(HexFormat.of().parseHex(encryption.key()));
            MemorySegment.copy(
                    words, 0, quicKeys, ValueLayout.JAVA_BYTE, (long) service * Layout.AES_KEY, words.length);
        }
        services.set(SHORT, (long) service * Layout.SERVICE + Layout.SERVICE_QUIC, (short)
                (quic.config() | (nonce << Layout.QUIC_NONCE_SHIFT) | (quic.serverIdLength() << 8)));
    }

    /** Has an ID name a server. */
    void quicId(QuicName name, int server) throws IOException {
        quicIds.update(name.bytes(), intKey(server));
    }

    /** Has an ID name nobody. */
    void removeQuicId(QuicName name) throws IOException {
        quicIds.delete(name.bytes());
    }

    /** Who is named, by the server's number. */
    Map<QuicName, Integer> quicIds() throws IOException {
        Map<QuicName, Integer> all = new HashMap<>();
        quicIds.forEach((key, value) -> all.put(QuicName.of(key), value.get(INT, 0)));
        return all;
    }

    /** How many new connections a second a service may have, of all clients and of one; 0 for any number. */
    void rates(int service, int perSecond, int perSecondOfSource) {
        long at = (long) service * Layout.SERVICE;
        services.set(INT, at + Layout.SERVICE_NEW_INTERVAL, interval(perSecond));
        services.set(INT, at + Layout.SERVICE_SOURCE_INTERVAL, interval(perSecondOfSource));
    }

    /** Whether SYNs of a service are answered with cookies, at endpoints with {@link Layout#FLAG_COOKIES}. */
    void cookies(int service, boolean wanted) {
        services.set(INT, (long) service * Layout.SERVICE + Layout.SERVICE_COOKIES, wanted ? 0 : 1);
    }

    /** What {@link #cookies(int, boolean)} said last. */
    boolean cookies(int service) {
        return services.get(INT, (long) service * Layout.SERVICE + Layout.SERVICE_COOKIES) == 0;
    }

    /** Nanoseconds between events that come so often; 0 of 0. */
    private static int interval(int perSecond) {
        return perSecond == 0 ? 0 : 1_000_000_000 / perSecond;
    }

    /** Makes a service's number that was in use before that of a new service. */
    void clearService(int service) throws IOException {
        reasons.update(intKey(service + 1), new byte[(int) reasons.valueBytes()]);
    }

    /** How a service keeps clients at their server: for so many ticks, 0 for not at all. */
    void persistence(int number, int ticks, int prefix4, int prefix6) {
        long at = (long) number * Layout.SERVICE;
        services.set(ValueLayout.JAVA_BYTE, at + Layout.SERVICE_PERSIST_MASK4, (byte) prefix4);
        services.set(ValueLayout.JAVA_BYTE, at + Layout.SERVICE_PERSIST_MASK6, (byte) prefix6);
        services.set(INT, at + Layout.SERVICE_PERSIST_TICKS, ticks);
    }

    private boolean persists(int service) {
        return service < sizes.services()
                && services.get(INT, (long) service * Layout.SERVICE + Layout.SERVICE_PERSIST_TICKS) != 0;
    }

    /** The next connection in turn gets the first turn of the cycle. */
    void resetTurns(int service) {
        services.set(LONG, (long) service * Layout.SERVICE + Layout.SERVICE_GIVEN, 0);
    }

    /** Node of a tree; number 1 is the top. */
    void node(int tree, int number, int server) {
        nodes.set(INT, (long) tree * Layout.LINE_BYTES + 4L * number, server);
    }

    int node(int tree, int number) {
        return nodes.get(INT, (long) tree * Layout.LINE_BYTES + 4L * number);
    }

    // ---- Reading

    /**
     * An endpoint that is installed.
     *
     * @param range its place: 0 for a single port, else the number of the range
     */
    record Listening(Endpoint endpoint, int range, Vip vip) {}

    /** Every endpoint that is installed. */
    List<Listening> endpoints() throws IOException {
        List<Listening> all = new ArrayList<>();
        vips4.forEach((key, value) -> all.add(listening(key, value, 4)));
        vips6.forEach((key, value) -> all.add(listening(key, value, 16)));
        return all;
    }

    private static Listening listening(MemorySegment key, MemorySegment value, int length) {
        InetAddress address = Notes.addressOf(key.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE));
        Endpoint.Protocol protocol =
                key.get(ValueLayout.JAVA_BYTE, length + 2) == 6 ? Endpoint.Protocol.TCP : Endpoint.Protocol.UDP;
        int range = key.get(ValueLayout.JAVA_BYTE, length + 3);
        Endpoint endpoint = range == 0
                ? new Endpoint(address, port(Short.reverseBytes(key.get(SHORT, length))), protocol)
                : new Endpoint(
                        address,
                        port(value.get(SHORT, Layout.VIP_FIRST_PORT)),
                        port(value.get(SHORT, Layout.VIP_LAST_PORT)),
                        protocol);
        return new Listening(endpoint, range, Vip.of(value));
    }

    private static int port(short value) {
        return Short.toUnsignedInt(value);
    }

    /** What a server has now, for the comparison that the data plane makes as well. */
    Load load(int number) {
        long at = (long) number * Layout.LOAD;
        return new Load(
                loads.get(INT, at + Layout.LOAD_ACTIVE),
                loads.get(INT, at + Layout.LOAD_INACTIVE),
                loads.get(INT, at + Layout.LOAD_WEIGHT),
                loads.get(INT, at + Layout.LOAD_LIMIT),
                loads.get(LONG, at + Layout.LOAD_TURN));
    }

    /** The counters of a server, of all processors together. */
    Traffic traffic(int number) throws IOException {
        byte[] values = traffic.lookup(intKey(number));
        long packets = 0;
        long bytes = 0;
        long connections = 0;
        long packetsBack = 0;
        long bytesBack = 0;
        if (values != null) {
            MemorySegment perCpu = MemorySegment.ofArray(values);
            for (long at = 0; at + Layout.TRAFFIC <= values.length; at += Layout.TRAFFIC) {
                packets += perCpu.get(LONG, at);
                bytes += perCpu.get(LONG, at + 8);
                connections += perCpu.get(LONG, at + 16);
                packetsBack += perCpu.get(LONG, at + 24);
                bytesBack += perCpu.get(LONG, at + 32);
            }
        }
        return new Traffic(packets, bytes, connections, packetsBack, bytesBack);
    }

    /** Adds a server's counters to those of a number that no packet counts under. */
    void addTraffic(int from, int to) throws IOException {
        byte[] more = traffic.lookup(intKey(from));
        byte[] sums = traffic.lookup(intKey(to));
        if (more != null && sums != null) {
            for (int at = 0; at < sums.length; at += Long.BYTES) {
                long sum = MemorySegment.ofArray(sums).get(LONG, at)
                        + MemorySegment.ofArray(more).get(LONG, at);
                MemorySegment.ofArray(sums).set(LONG, at, sum);
            }
            traffic.update(intKey(to), sums);
        }
    }

    /** Has a service's counters by reason be what another's are. */
    void copyReasons(int from, int to) throws IOException {
        byte[] row = reasons.lookup(intKey(from + 1));
        if (row != null) {
            reasons.update(intKey(to + 1), row);
        }
    }

    /** Counters by reason, of everything. */
    Map<Reason, Long> reasons() throws IOException {
        Map<Reason, Long> sums = new EnumMap<>(Reason.class);
        for (Reason reason : Reason.values()) {
            sums.put(reason, 0L);
        }
        reasonsByService()
                .values()
                .forEach(row -> row.forEach((reason, count) -> sums.merge(reason, count, Long::sum)));
        return sums;
    }

    /**
     * Counters by reason, without zeros, by the number of the service; what is no service's is under {@link
     * #NO_SERVICE}.
     */
    Map<Integer, Map<Reason, Long>> reasonsByService() throws IOException {
        Map<Integer, Map<Reason, Long>> rows = new HashMap<>();
        reasons.forEach((key, values) -> {
            Map<Reason, Long> row = sums(values);
            if (!row.isEmpty()) {
                rows.put(key.get(INT, 0) - 1, row);
            }
        });
        return rows;
    }

    /** Counters of a service by reason, without zeros. */
    Map<Reason, Long> reasons(int service) throws IOException {
        byte[] values = reasons.lookup(intKey(service + 1));
        return values == null ? Map.of() : sums(MemorySegment.ofArray(values));
    }

    /** Of all processors together. */
    private static Map<Reason, Long> sums(MemorySegment row) {
        Map<Reason, Long> sums = new EnumMap<>(Reason.class);
        Reason[] all = Reason.values();
        int stride = all.length * Long.BYTES;
        for (long at = 0; at + stride <= row.byteSize(); at += stride) {
            for (int number = 0; number < all.length; number++) {
                long count = row.get(LONG, at + (long) number * Long.BYTES);
                if (count != 0) {
                    sums.merge(all[number], count, Long::sum);
                }
            }
        }
        return sums;
    }

    // ---- Traces

    /**
     * Begins to count packets of traced services and to tell of them.
     *
     * @param every of so many packets one is told of
     * @param left so many yet; 0 ends it
     */
    void trace(int every, int left) {
        tracing.set(INT, Layout.TRACING_LEFT, 0);
        tracing.set(LONG, Layout.TRACING_SEEN, 0);
        tracing.set(LONG, Layout.TRACING_LOST, 0);
        tracing.set(INT, Layout.TRACING_EVERY, every);
        tracing.set(INT, Layout.TRACING_LEFT, left);
    }

    /** Packets of traced services since it began. */
    long traceSeen() {
        return tracing.get(LONG, Layout.TRACING_SEEN);
    }

    /** Records for which there was no room. */
    long traceLost() {
        return tracing.get(LONG, Layout.TRACING_LOST);
    }

    /** So many records yet. */
    int traceLeft() {
        return tracing.get(INT, Layout.TRACING_LEFT);
    }

    /** Where records are, for the caller to close. */
    RingBuffer traces() throws IOException {
        return new RingBuffer(traces);
    }

    /** Nobody looks at the server's service any more. */
    void untrace(int server) {
        long at = (long) server * Layout.SERVER + Layout.SERVER_FLAGS;
        servers.set(SHORT, at, (short) (servers.get(SHORT, at) & ~Layout.TRACED));
    }

    /**
     * Visits connections that are remembered and not expired.
     *
     * @param endpoints whether those of an endpoint's id are wanted
     * @param visitor returns whether it wants more
     */
    void flows(IntPredicate endpoints, Predicate<RememberedFlow> visitor) {
        int now = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
        flows.visit(place -> place.expires() - now < 0
                || place.isTemplate()
                || !endpoints.test(place.vip())
                || visitor.test(place.flow()));
    }

    /** The remembered connections, to be read beside the control loop; fails with an exception once this is closed. */
    FlowTable flowsForAnotherThread() {
        return flows.forAnotherThread();
    }

    /**
     * The tables in which connections are remembered and changes marked, for what may be done beside the control loop.
     *
     * @param ports full NAT's owners
     * @param servers their records
     */
    record Memory(
            MemorySegment flows,
            MemorySegment ports,
            MemorySegment waysBack,
            MemorySegment touched,
            MemorySegment servers) {}

    /** The memory itself; using it fails once this is closed. */
    Memory forAnotherThread() {
        return new Memory(flows.memory(), ports, waysBack, touched, servers);
    }

    /** Whether a connection's sequence numbers are translated, because it came by a SYN cookie. */
    boolean cameByCookie(FlowTable.Place place) {
        long at = (long) place.number() * Layout.WAY_BACK + Layout.WAY_BACK_COOKIE;
        return at < waysBack.byteSize() && waysBack.get(ValueLayout.JAVA_BYTE, at) != 0;
    }

    /** How many buckets there are for {@link #sweep}. */
    int buckets() {
        return flows.buckets();
    }

    /** Is told of the places that a sweep leaves as they are. */
    interface Stays {
        /**
         * One place.
         *
         * @param place good for the time of the call
         * @param isExpired it is forgotten when it is needed, or by the next sweep
         */
        void at(FlowTable.Place place, boolean isExpired);
    }

    /**
     * Forgets connections and counts them out of their servers' loads: those that have expired, and those of endpoints
     * that are no more. The data plane does so itself only when it needs their place. Clients of services that keep none
     * any more, and of servers that are gone, are forgotten as well.
     *
     * @param from the first bucket that is looked at
     * @param to the one behind the last
     * @param endpoints whether there is an endpoint of an id
     * @param gone numbers of servers that will have no connection again
     * @param stays told of what stays
     * @return the numbers of the servers whose load changed
     */
    BitSet sweep(int from, int to, IntPredicate endpoints, BitSet gone, BitSet given, Stays stays) {
        int now = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
        int longAgo = now - Layout.SETTLED_TICKS;
        Predicate<FlowTable.Place> over = place -> place.expires() - longAgo < 0
                || (place.isTemplate()
                        ? !persists(place.service()) || !isServer(place.server()) || gone.get(place.server())
                        : !endpoints.test(place.vip()) || (place.server() >= 0 && given.get(place.server())));
        BitSet changed = new BitSet();
        flows.visit(from, to, place -> {
            if (!over.test(place)) {
                stays.at(place, place.expires() - now < 0);
            } else if (countOut(place.server(), place.forget(over))) {
                changed.set(place.server());
            }
            return true;
        });
        return changed;
    }

    /**
     * Counts a connection out of its server's load; on any thread.
     *
     * @param state in which it was counted
     * @return whether the load changed
     */
    boolean countOut(int server, int state) {
        if (!Layout.isConnection(state) || !isServer(server)) {
            return false;
        }
        long counter = counter(server, state);
        if (loads.get(INT, counter) <= 0) {
            return false;
        }
        var _ = (int) COUNTER.getAndAdd(loads, counter, -1);
        return true;
    }

    /** The opposite of {@link #countOut}; on any thread. */
    boolean countIn(int server, int state) {
        if (!Layout.isConnection(state) || !isServer(server)) {
            return false;
        }
        var _ = (int) COUNTER.getAndAdd(loads, counter(server, state), 1);
        return true;
    }

    private static long counter(int server, int state) {
        return (long) server * Layout.LOAD + (state == Layout.ESTABLISHED ? Layout.LOAD_ACTIVE : Layout.LOAD_INACTIVE);
    }

    /**
     * Names the servers of connections by other numbers, and counts them there. Twice: a packet may have begun to
     * remember one while the first look was on its way.
     *
     * @param numbers by the number until now
     */
    void rename(Map<Integer, Integer> numbers) {
        for (int look = 0; look < 2; look++) {
            flows.visit(place -> {
                Integer after = place.isTemplate() ? null : numbers.get(place.server());
                if (after != null && place.rename(place.server(), after)) {
                    int state = place.state();
                    if (countOut(place.server(), state)) {
                        var _ = (int) COUNTER.getAndAdd(loads, counter(after, state), 1);
                    }
                }
                return true;
            });
        }
    }

    private boolean isServer(int number) {
        return number >= 0 && number < sizes.servers();
    }

    /** Sets each server's load to the connections that are remembered. */
    void recount() {
        int[] active = new int[sizes.servers()];
        int[] inactive = new int[sizes.servers()];
        flows.visit(place -> {
            if (isServer(place.server()) && Layout.isConnection(place.state())) {
                (place.isEstablished() ? active : inactive)[place.server()]++;
            }
            return true;
        });
        for (int server = 0; server < sizes.servers(); server++) {
            loads.set(INT, (long) server * Layout.LOAD + Layout.LOAD_ACTIVE, active[server]);
            loads.set(INT, (long) server * Layout.LOAD + Layout.LOAD_INACTIVE, inactive[server]);
        }
    }

    /**
     * Counts the connections that are remembered and not expired: of each server, and which endpoints have any.
     *
     * @param withClients the servers that clients belong to, with connections or without
     */
    int[] count(BitSet endpoints, BitSet withClients) {
        int now = (int) (System.nanoTime() >>> Layout.TICK_SHIFT);
        int[] counts = new int[sizes.servers()];
        flows.visit(place -> {
            if (place.expires() - now >= 0 && isServer(place.server())) {
                if (place.isTemplate()) {
                    withClients.set(place.server());
                } else if (place.vip() > 0) {
                    counts[place.server()]++;
                    endpoints.set(place.vip());
                }
            }
            return true;
        });
        return counts;
    }

    /** How many ports connections of full NAT have. */
    long portsTaken() {
        long taken = 0;
        for (long at = 0; at < ports.byteSize(); at += 4) {
            taken += ports.get(INT, at) == 0 ? 0 : 1;
        }
        return taken;
    }

    /** The director's address toward a server of full NAT. */
    Optional<InetAddress> source(int number) {
        MemorySegment record = servers.asSlice((long) number * Layout.SERVER, Layout.SERVER);
        if ((record.get(SHORT, Layout.SERVER_FLAGS) & Layout.FULL_NAT) == 0) {
            return Optional.empty();
        }
        boolean ipv4 = record.get(INT, Layout.SERVER_ADDRESS) != 0;
        MemorySegment source =
                ipv4 ? record.asSlice(Layout.SERVER_SOURCE, 4) : record.asSlice(Layout.SERVER_SOURCE6, 16);
        return Optional.of(Notes.addressOf(source.toArray(ValueLayout.JAVA_BYTE)));
    }

    private static byte[] intKey(int number) {
        byte[] key = new byte[4];
        MemorySegment.ofArray(key).set(INT, 0, number);
        return key;
    }

    @Override
    public void close() {
        vips4.close();
        vips6.close();
        traffic.close();
        reasons.close();
        quicIds.close();
        traces.close();
        arena.close();
        source.close();
    }
}

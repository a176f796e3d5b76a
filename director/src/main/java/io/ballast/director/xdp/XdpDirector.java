package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.Trace;
import io.ballast.director.sync.ConnectionTable;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.BpfFs;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.Scope;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.CompletionStage;
import org.jspecify.annotations.Nullable;

/**
 * The engine {@code xdp} on a machine: the program on the interfaces, its tables pinned in a bpffs, and the way to each
 * server followed.
 *
 * <p><b>What outlives the daemon.</b> Tables, program and links are pinned below {@code BPFFS/ballast/INSTANCE}: packets
 * go on when this is closed or its process dies at any moment, and the next process finds there what it needs to carry
 * on where the last step was ({@link Notes}). {@link #dismantle} is what ends it.
 *
 * <p><b>Another version.</b> A program that differs from the pinned one, over tables of the same layout, takes its place
 * between two packets, and nothing else changes. Where the layout differs, new tables are made beside the old ones and
 * filled first, which is when every service that {@link #retain} named was put and the way to its servers is known; only
 * then does the new program take over, and the old tables go. Connections that were remembered in those are lost then,
 * which the journal says; those of hash services that nothing was changing are not remembered and so go on.
 *
 * <p>All methods but {@link #open} and the static ones are called on the control loop.
 */
public final class XdpDirector implements XdpOnDemand.Opened {
    private static final Duration TICK = Duration.ofSeconds(1);
    private static final Duration SOON = Duration.ofMillis(50);

    /** Every so many ticks the interfaces are looked at without cause. */
    private static final int LOOK_TICKS = 10;

    /** So long old tables go on at most while new ones are filled. */
    private static final long FILLING_NANOS = 10_000_000_000L;

    private static final String LINKS = "links";
    private static final String TABLES = "tables_";

    /**
     * How much there is room for. The kernel gives the memory when the tables are made: about 256 KiB for each table,
     * 120 bytes for each connection and 500 for each server.
     *
     * @param services at most, each with four endpoints
     * @param servers at most, over all services; each service takes the next power of two above twice its servers
     * @param tables services with scheduler mh, whose table has 65,537 slots, or wrr; others need little of it
     * @param connections that can be remembered
     * @param ranges services with a range of ports; where there is none, the program does not look for any
     */
    public record Capacity(int services, int servers, int tables, int connections, int ranges) {
        private static final int ENDPOINTS_OF_SERVICE = 4;

        /** Without ranges of ports. */
        public Capacity(int services, int servers, int tables, int connections) {
            this(services, servers, tables, connections, 0);
        }

        /** A fifth of a gigabyte: a million connections, 1,000 services, 200 of them with mh. */
        public static final Capacity DEFAULT = new Capacity(1_000, 16_384, 200, 1_000_000);

        /** What a service takes, without its connections. */
        static Capacity of(Forwarding service) {
            boolean table = service.scheduler() == SchedulerKind.MH || service.scheduler() == SchedulerKind.WRR;
            return new Capacity(
                    Math.ceilDiv(service.listen().size(), ENDPOINTS_OF_SERVICE),
                    InstalledService.capacityFor(service),
                    table ? 1 : 0,
                    0,
                    service.listen().stream().allMatch(Endpoint::single) ? 0 : 1);
        }

        Capacity plus(Capacity more) {
            return new Capacity(
                    services + more.services,
                    servers + more.servers,
                    tables + more.tables,
                    connections + more.connections,
                    ranges + more.ranges);
        }

        Capacity minus(Capacity less) {
            return new Capacity(
                    services - less.services,
                    servers - less.servers,
                    tables - less.tables,
                    connections - less.connections,
                    ranges - less.ranges);
        }

        /** This where there is room for so much, else room for half as much again. */
        Capacity atLeast(Capacity need) {
            return new Capacity(
                    atLeast(services, need.services),
                    atLeast(servers, need.servers),
                    atLeast(tables, need.tables),
                    atLeast(connections, need.connections),
                    ranges > 0 ? ranges : need.ranges);
        }

        private static int atLeast(int has, int need) {
            return has >= need ? has : need + need / 2;
        }

        DataPlane.Features features() {
            return new DataPlane.Features(ranges > 0);
        }

        DataPlane.Sizes sizes() {
            int slotLines = Math.multiplyExact(tables + 2, 65_552 / Layout.LINE);
            int buckets = Integer.highestOneBit(Math.max(1, connections / Layout.WAYS - 1)) * 2;
            return new DataPlane.Sizes(
                    ENDPOINTS_OF_SERVICE * services, 2 * services, servers, slotLines, servers / 8, buckets);
        }
    }

    /**
     * An interface that packets of services arrive on.
     *
     * @param mode {@code native} or {@code generic}; empty where the program is not on it
     * @param trouble why it is not, for people
     */
    public record Attachment(String device, String mode, String trouble) {}

    private final Loop loop;
    private final Gate gate;
    private final Path home;
    private final Interfaces interfaces;
    private final KernelHops hops;
    /** The addresses that the services' servers have, by service. */
    private final Map<String, Set<InetAddress>> servers = new HashMap<>();

    private final DataPlane plane;
    private final XdpEngine engine;
    private final Generation generation;
    private final SharedFlows connections;
    private final long opened;
    /** Of other layouts, which serve while this one's tables are filled. */
    private List<Generation> before;

    private @Nullable Set<String> retained;
    private List<Interfaces.State> states = List.of();
    private final Map<String, String> noted = new HashMap<>();
    private @Nullable Timer timer;
    private int ticks;
    private boolean closed;
    /** The interfaces by which clients of shared addresses come in, by name. */
    private Map<InetAddress, String> waysIn = Map.of();

    private XdpDirector(
            Loop loop,
            EngineEvents events,
            Path home,
            List<String> devices,
            Generation generation,
            List<Generation> before,
            boolean adopt)
            throws IOException {
        this.loop = loop;
        this.home = home;
        this.generation = generation;
        this.before = before;
        gate = new Gate(events);
        opened = loop.now();
        List<AutoCloseable> parts = new ArrayList<>();
        try {
            plane = generation.open();
            parts.add(plane);
            interfaces = new Interfaces(
                    home.resolve(LINKS), devices, found -> loop.execute(() -> attachmentsAre(found, true)));
            parts.add(interfaces);
            List<Interfaces.State> found = interfaces.adopt();
            hops = new KernelHops(
                    loop,
                    gate,
                    interfaces::link,
                    server -> servers.values().stream().anyMatch(each -> each.contains(server)));
            parts.add(hops);
            engine = new XdpEngine(plane, hops, gate, System::nanoTime);
            if (adopt) {
                engine.adopt();
            }
            connections = engine.share(generation.origin().orElseThrow().flowSeed());
            if (before.isEmpty()) {
                found = interfaces.await(() -> interfaces.use(generation.program()));
            }
            attachmentsAre(found, false);
        } catch (IOException | RuntimeException e) {
            for (AutoCloseable part : parts.reversed()) {
                closeQuietly(part, e);
            }
            throw e;
        }
    }

    private static void closeQuietly(AutoCloseable part, Exception cause) {
        try {
            part.close();
        } catch (Exception e) {
            cause.addSuppressed(e);
        }
    }

    /**
     * Opens the engine in the network namespace of the calling thread: takes over what an earlier process left, or
     * begins. Takes some tenths of a second, and must be neither on the control loop nor beside another process with
     * the same instance.
     *
     * @param events told on the loop; a service is listening while the program is on an interface at least
     * @param bpffs where a bpffs is, or is to be mounted; {@link BpfFs#DEFAULT} where one is there
     * @param instance the name of this director among others of the machine
     * @param devices the interfaces that packets of services arrive on ({@link #devicesOf})
     * @param capacity at least; tables that are found grow to it, but the room for remembered connections stays as it
     *     was made until {@link #dismantle}
     * @throws IOException why it cannot be had on this machine, for people; nothing is left behind then
     */
    public static XdpDirector open(
            Loop loop, EngineEvents events, Path bpffs, String instance, List<String> devices, Capacity capacity)
            throws IOException {
        return open(loop, events, bpffs, instance, devices, capacity, OptionalLong.empty());
    }

    /**
     * The same with the hash of directors that know each other's connections: where it is the same, the ports that one
     * gives to connections of full NAT are free at the other. Tables that are there already keep theirs.
     */
    static XdpDirector open(
            Loop loop,
            EngineEvents events,
            Path bpffs,
            String instance,
            List<String> devices,
            Capacity capacity,
            OptionalLong seed)
            throws IOException {
        List<String> missing = XdpSupport.missing();
        if (!missing.isEmpty()) {
            throw new IOException("the engine xdp cannot be had here: " + String.join("; ", missing));
        }
        Path home = home(BpfFs.ensure(bpffs), instance);
        Files.createDirectories(home.resolve(LINKS));
        try {
            return open(loop, events, home, devices, capacity, seed);
        } catch (IOException e) {
            if (generations(home).isEmpty()) {
                dismantle(home);
            }
            throw e;
        }
    }

    private static XdpDirector open(
            Loop loop, EngineEvents events, Path home, List<String> devices, Capacity capacity, OptionalLong seed)
            throws IOException {
        List<Generation> others = new ArrayList<>();
        Generation mine = null;
        int last = 0;
        String how = "";
        for (int number : generations(home).reversed()) {
            last = Math.max(last, number);
            Generation found = generation(home, number);
            Optional<Generation.Origin> origin = found.origin();
            if (origin.isEmpty()) {
                found.remove();
            } else if (mine == null && found.isOfThisBuild(origin.get())) {
                mine = found;
                String program = found.renewProgram(origin.get(), capacity.features());
                how = program.isEmpty() ? "" : "; between two packets its program was replaced by " + program;
            } else {
                others.add(found);
            }
        }
        if (mine != null) {
            try {
                return adopt(loop, events, home, devices, mine, generation(home, last + 1), others, capacity, how);
            } catch (Adoption.DamagedException e) {
                how = String.valueOf(e.getMessage());
                others.add(mine);
            }
        }
        Generation made = generation(home, last + 1);
        made.create(capacity.sizes(), capacity.features(), seed.orElseGet(() -> new SecureRandom().nextLong()));
        XdpDirector director = new XdpDirector(loop, events, home, devices, made, List.copyOf(others), false);
        director.begin(how);
        return director;
    }

    private static XdpDirector adopt(
            Loop loop,
            EngineEvents events,
            Path home,
            List<String> devices,
            Generation found,
            Generation next,
            List<Generation> others,
            Capacity capacity,
            String how)
            throws IOException {
        DataPlane.Sizes sizes = capacity.sizes();
        boolean grow = found.isSmallerThan(sizes);
        String trouble = "";
        if (grow) {
            try {
                next.createFrom(found, sizes, capacity.features());
            } catch (IOException e) {
                grow = false;
                trouble = "; these cannot be made larger: " + e.getMessage();
            }
        }
        Generation mine = grow ? next : found;
        XdpDirector director;
        try {
            director = new XdpDirector(loop, events, home, devices, mine, List.copyOf(others), true);
        } catch (Adoption.DamagedException e) {
            if (grow) {
                next.remove();
            }
            throw e;
        }
        if (grow) {
            found.remove();
            director.engine.recount();
        }
        int services = director.engine.services().size();
        director.begin("the engine xdp goes on with its tables in the kernel, which have "
                + (services == 1 ? "1 service" : services + " services") + how
                + (grow ? "; the tables were made larger" : trouble));
        return director;
    }

    private void begin(String how) {
        boolean filling = !before.isEmpty();
        loop.execute(() -> {
            if (!how.isEmpty()) {
                gate.note(false, "xdp", how);
            }
            if (filling) {
                gate.note(false, "xdp", "the tables of another version serve until this version's are filled");
            }
            hops.start();
            interfaces.follow();
            tick();
        });
    }

    private static Path home(Path bpffs, String instance) {
        // A bpffs takes no dots in names.
        return bpffs.resolve("ballast").resolve(instance.replace('.', '_'));
    }

    private static Generation generation(Path home, int number) {
        return new Generation(home.resolve(TABLES + number));
    }

    private static SortedSet<Integer> generations(Path home) throws IOException {
        SortedSet<Integer> numbers = new TreeSet<>();
        try (DirectoryStream<Path> found = Files.newDirectoryStream(home, TABLES + "*")) {
            for (Path folder : found) {
                numbers.add(Integer.parseInt(folder.getFileName().toString().substring(TABLES.length())));
            }
        }
        return numbers;
    }

    /**
     * The interfaces that carry the addresses, or where none does, all that carry any that others can reach; of a VLAN
     * or macvlan the interface below, where its packets arrive first. For the network namespace of the calling thread.
     */
    public static List<String> devicesOf(Set<InetAddress> addresses) throws IOException {
        try (RouteNetlink netlink = RouteNetlink.open()) {
            Map<Integer, Link> links = new LinkedHashMap<>();
            netlink.links().forEach(link -> links.put(link.index(), link));
            List<Address> all = netlink.addresses();
            Set<String> devices = new LinkedHashSet<>();
            for (Address address : all) {
                if (addresses.contains(address.address())) {
                    deviceOf(links, address.link()).ifPresent(devices::add);
                }
            }
            for (Address address : devices.isEmpty() ? all : List.<Address>of()) {
                if (address.scope().equals(Scope.UNIVERSE)) {
                    deviceOf(links, address.link()).ifPresent(devices::add);
                }
            }
            return List.copyOf(devices);
        }
    }

    /** The interfaces by which packets to these hosts leave, where there is a way; for the namespace of the calling thread. */
    public static List<String> devicesToward(Set<InetAddress> hosts) throws IOException {
        try (RouteNetlink netlink = RouteNetlink.open()) {
            Map<Integer, Link> links = new LinkedHashMap<>();
            netlink.links().forEach(link -> links.put(link.index(), link));
            Set<String> devices = new LinkedHashSet<>();
            for (InetAddress host : hosts) {
                wayTo(netlink, host).forEach(hop -> deviceOf(links, hop.link()).ifPresent(devices::add));
            }
            return List.copyOf(devices);
        }
    }

    /** Nothing where there is no way at the moment, as the trouble of the next hop says. */
    private static List<Route.Hop> wayTo(RouteNetlink netlink, InetAddress host) throws IOException {
        try {
            return netlink.route(host).hops();
        } catch (LinuxException e) {
            return List.of();
        }
    }

    private static Optional<String> deviceOf(Map<Integer, Link> links, int index) {
        Link link = Interfaces.below(links, index);
        return link != null && link.isEthernet() ? Optional.of(link.name()) : Optional.empty();
    }

    // ---- Services

    @Override
    public String name() {
        return engine.name();
    }

    @Override
    public void put(Forwarding service) {
        Set<InetAddress> addresses = new HashSet<>();
        service.servers().forEach(server -> addresses.add(server.address().getAddress()));
        service.sorry().ifPresent(sorry -> addresses.add(sorry.getAddress()));
        servers.put(service.service(), addresses);
        engine.put(service);
    }

    @Override
    public void remove(String service) {
        servers.remove(service);
        engine.remove(service);
        gate.forget(service);
    }

    /**
     * Removes every service but these: those of an earlier process that the description does not have any more. To be
     * called once after opening, when the description is known, and may be at any time.
     */
    @Override
    public void retain(Set<String> services) {
        retained = Set.copyOf(services);
        engine.retain(services);
    }

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        return engine.statistics();
    }

    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        return engine.connections(query);
    }

    @Override
    public Trace trace(String service, int every, int limit) throws RefusedException, IOException {
        return engine.trace(service, every, limit, this::nameOf);
    }

    private String nameOf(int index) {
        Link link = interfaces.link(index);
        return link == null ? "interface " + index : link.name();
    }

    @Override
    public List<Attachment> attachments() {
        return states.stream()
                .map(state -> new Attachment(
                        state.device(),
                        Optional.ofNullable(state.mode())
                                .map(XdpLink.Mode::toString)
                                .orElse(""),
                        state.trouble()))
                .toList();
    }

    @Override
    public Map<InetAddress, String> unreachable() {
        return hops.troubles();
    }

    @Override
    public Map<InetAddress, Resolution.Hop> ways() {
        return hops.ways();
    }

    @Override
    public XdpOnDemand.Condition condition() {
        List<XdpOnDemand.Exceptional> exceptions = new ArrayList<>();
        try {
            engine.reasons()
                    .forEach((service, row) ->
                            row.forEach((reason, count) -> exceptions.add(new XdpOnDemand.Exceptional(
                                    service, reason.name().toLowerCase(Locale.ROOT), DataPlane.words(reason), count))));
        } catch (IOException e) {
            gate.note(true, "xdp", "the counters cannot be read: " + e.getMessage());
        }
        return new XdpOnDemand.Condition(
                attachments(), unreachable(), List.copyOf(exceptions), engine.occupancy(), engine.synCookies());
    }

    // ---- Other directors

    @Override
    public ConnectionTable share(Map<InetAddress, String> ways) {
        waysIn = Map.copyOf(ways);
        tellWaysIn();
        return connections;
    }

    private void tellWaysIn() {
        Map<InetAddress, SharedFlows.WayIn> found = new HashMap<>();
        waysIn.forEach((address, device) -> {
            Link link = interfaces.below(device);
            MacAddress mac = link == null ? null : link.address();
            if (link != null && mac != null) {
                found.put(address, new SharedFlows.WayIn(link.index(), mac.bits(), link.mtu()));
            }
        });
        engine.waysIn(found);
    }

    // ---- Time and interfaces

    private void tick() {
        if (closed) {
            return;
        }
        tellWaysIn();
        engine.tick();
        // What is not told of: that somebody else's program is gone, or somebody took ours off.
        if (states.stream().anyMatch(state -> state.mode() == null) || ++ticks % LOOK_TICKS == 0) {
            interfaces.look();
        }
        if (!before.isEmpty() && (isReady() || loop.now() - opened > FILLING_NANOS)) {
            takeOver();
        }
        timer = loop.schedule(before.isEmpty() ? TICK : SOON, this::tick);
    }

    /**
     * Whether every service that is to be here is so, and the way to its servers known: whatever was there before may
     * go.
     */
    public boolean isReady() {
        Set<String> wanted = retained;
        return wanted != null && wanted.stream().allMatch(engine::serves) && hops.knowsAll();
    }

    /** Has this version's program take the place of the other's, which then goes with its tables. */
    private void takeOver() {
        List<Generation> old = before;
        before = List.of();
        interfaces.execute(() -> {
            try {
                List<Interfaces.State> now = interfaces.use(generation.program());
                for (Generation each : old) {
                    each.remove();
                }
                loop.execute(() -> {
                    attachmentsAre(now, true);
                    gate.note(
                            true,
                            "xdp",
                            "this version's tables serve now; connections that the other version remembered are"
                                    + " forgotten, since it laid them out otherwise");
                });
            } catch (IOException e) {
                loop.execute(() -> {
                    before = old;
                    gate.note(true, "xdp", String.valueOf(e.getMessage()));
                });
            }
        });
    }

    private void attachmentsAre(List<Interfaces.State> now, boolean tell) {
        states = now;
        List<Interfaces.State> serving =
                now.stream().filter(state -> state.mode() != null).toList();
        String reason = now.isEmpty()
                ? "the engine xdp has no interface to be on"
                : String.join("; ", now.stream().map(Interfaces.State::trouble).toList());
        if (tell) {
            now.forEach(this::note);
        } else {
            loop.execute(() -> now.forEach(this::note));
        }
        gate.open(!serving.isEmpty(), reason);
    }

    /** Tells the journal what is new of an interface. */
    private void note(Interfaces.State state) {
        String what = state.mode() == XdpLink.Mode.GENERIC
                ? "the driver of " + state.device()
                        + " has no native XDP: packets take the generic way, which is several"
                        + " times slower and stalls with offloads on (`ethtool -K " + state.device()
                        + " gro off lro off`)"
                : state.trouble();
        String before = noted.put(state.device(), what);
        if (!what.isEmpty() && !what.equals(before)) {
            gate.note(true, state.device(), what);
        } else if (what.isEmpty() && before != null && !before.isEmpty()) {
            gate.note(false, state.device(), "the program of the engine xdp is on " + state.device() + " again");
        }
    }

    /** Passes events on; a service is listening only while packets come to the program. */
    private static final class Gate implements EngineEvents {
        private final EngineEvents events;
        private final Map<String, Set<Endpoint>> ready = new LinkedHashMap<>();
        private boolean open;
        private String reason = "";

        Gate(EngineEvents events) {
            this.events = events;
        }

        void open(boolean nowOpen, String nowReason) {
            boolean changed = nowOpen != open || (!nowOpen && !nowReason.equals(reason));
            open = nowOpen;
            reason = nowReason;
            if (changed) {
                ready.forEach((service, endpoints) -> endpoints.forEach(endpoint -> tell(service, endpoint)));
            }
        }

        private void tell(String service, Endpoint endpoint) {
            if (open) {
                events.listening(service, endpoint);
            } else {
                events.notListening(service, endpoint, reason);
            }
        }

        void forget(String service) {
            ready.remove(service);
        }

        @Override
        public void listening(String service, Endpoint endpoint) {
            ready.computeIfAbsent(service, unknown -> new HashSet<>()).add(endpoint);
            tell(service, endpoint);
        }

        @Override
        public void notListening(String service, Endpoint endpoint, String why) {
            ready.getOrDefault(service, new HashSet<>()).remove(endpoint);
            events.notListening(service, endpoint, why);
        }

        @Override
        public void drained(String service, String server, int closed) {
            events.drained(service, server, closed);
        }

        @Override
        public void pressure(boolean on, String why) {
            events.pressure(on, why);
        }

        @Override
        public void note(boolean warning, String subject, String message) {
            events.note(warning, subject, message);
        }
    }

    // ---- Leaving

    /** Lets go; packets go on. */
    @Override
    public void close() {
        if (!closed) {
            hops.close();
            end();
        }
    }

    /** Ends it: takes the program off the interfaces and leaves nothing. */
    public void dismantle() throws IOException {
        if (!closed) {
            hops.release();
            end();
            dismantle(home);
        }
    }

    private void end() {
        closed = true;
        if (timer != null) {
            timer.cancel();
        }
        interfaces.close();
        engine.close();
        plane.close();
    }

    /**
     * Removes what an instance left, without opening it: for when no service uses the engine any more. Does nothing
     * where nothing is.
     *
     * @return whether there was something
     */
    public static boolean dismantle(Path bpffs, String instance) throws IOException {
        boolean any = false;
        for (Path root : new LinkedHashSet<>(List.of(bpffs, BpfFs.DEFAULT))) {
            Path home = home(root, instance);
            if (BpfFs.isMounted(root) && Files.isDirectory(home)) {
                dismantle(home);
                any = true;
            }
        }
        return any;
    }

    private static void dismantle(Path home) throws IOException {
        Path links = home.resolve(LINKS);
        if (Files.isDirectory(links)) {
            try (DirectoryStream<Path> pins = Files.newDirectoryStream(links)) {
                for (Path pin : pins) {
                    try (XdpLink link = XdpLink.openPinned(pin)) {
                        link.detach();
                    }
                    Files.delete(pin);
                }
            }
        }
        for (int number : generations(home)) {
            generation(home, number).remove();
        }
        Generation.removeAll(home);
    }
}

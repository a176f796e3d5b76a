package io.ballast.takeover.wire;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.VirtualRouterSpec.RouteSpec;
import io.ballast.linux.Descriptor;
import io.ballast.linux.LinuxException;
import io.ballast.linux.RealTime;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.takeover.address.AddressKeeper;
import io.ballast.takeover.address.Announcements;
import io.ballast.takeover.address.Announcer;
import io.ballast.takeover.address.Duplicates;
import io.ballast.takeover.address.VirtualLinks;
import io.ballast.takeover.address.VirtualRoutes;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.takeover.lease.LeaseGate.Guarded;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The addresses of this machine: those of virtual routers that it is master of are on its interfaces, announced to the
 * network, and let through by the {@link LeaseGate}.
 *
 * <p>The gate opens and closes at once, on the takeover thread. Adding an address has to wait its turn among all changes of
 * the machine's network, which may be long; so that, and the announcements that come after it, are a thread's of its own.
 */
public final class LocalAddresses implements Ownership {
    private static final int PRIORITY = 40;
    private static final long NEVER = Long.MAX_VALUE;
    private static final long LOOK = TimeUnit.SECONDS.toNanos(10);

    /** Between two looks at who sends here what should go elsewhere. */
    private static final long ASTRAY = TimeUnit.MILLISECONDS.toNanos(100);

    /**
     * What a membership is to this machine.
     *
     * @param link leads to the other nodes
     * @param carrier has the addresses
     */
    private record Place(Link link, Link carrier, Set<Guarded> guarded) {}

    private interface Task {
        void run() throws IOException;
    }

    private final Takeover.Listener listener;
    private final @Nullable LeaseGate gate;
    private final String instance;
    private final Map<Membership.Key, Place> places = new HashMap<>();
    /** The numbers of interfaces with virtual Ethernet addresses. */
    private final Map<Membership.Key, Integer> carriers = new ConcurrentHashMap<>();
    /** Why there is none; empty while one is being made. */
    private final Map<Membership.Key, String> making = new ConcurrentHashMap<>();
    /** The addresses that nobody else is to have. */
    private final Set<InetAddress> alone = ConcurrentHashMap.newKeySet();

    /** Held while it is decided what is guarded, which takes no longer than a change of a table. */
    private final Object guarding = new Object();

    private final LinkedBlockingQueue<Task> tasks = new LinkedBlockingQueue<>();
    private final Thread thread;

    // Of its thread.
    private final Map<Integer, Announcer> announcers = new HashMap<>();
    private final Map<Integer, MacAddress> ownMacs = new HashMap<>();
    private final Map<Ear, Duplicates> duplicates = new HashMap<>();
    private final Map<Ear, Set<InetAddress>> held = new HashMap<>();
    private final Set<String> told = new HashSet<>();
    private @Nullable AddressKeeper keeper;
    private @Nullable VirtualLinks virtual;
    private @Nullable VirtualRoutes routes;
    /** Where those are whose addresses, and so routes, are here. */
    private final Map<Membership.Key, Link> carried = new HashMap<>();

    private final Misled misled = new Misled();
    private long look;
    private long astray;
    private long misdirected;
    private boolean ended;

    /**
     * For the network namespace of the calling thread.
     *
     * @param instance the name of this node among others on the machine
     */
    public static LocalAddresses open(Takeover.Listener listener, String instance) {
        LeaseGate gate = null;
        try {
            gate = LeaseGate.open(instance, LeaseGate.LEASE);
        } catch (IOException e) {
            listener.note(
                    true,
                    "where this daemon is killed or hangs, its addresses stay for up to "
                            + AddressKeeper.LIFETIME.toSeconds()
                            + " s and two nodes may have them: there is no lease, as "
                            + e.getMessage());
        }
        return new LocalAddresses(listener, gate, instance);
    }

    /**
     * Takes away what an earlier daemon that was killed has left, where this one has no virtual routers: interfaces,
     * addresses, and the gate that keeps them shut.
     */
    public static void dismantle(String instance) throws IOException {
        VirtualLinks.open(instance).close();
        VirtualRoutes.open().close();
        Set<Integer> left = LeaseGate.left(instance);
        if (!left.isEmpty()) {
            try (AddressKeeper keeper = AddressKeeper.open()) {
                for (int link : left) {
                    keeper.removeLeftovers(link);
                }
            }
            LeaseGate.dismantle(instance);
        }
    }

    private LocalAddresses(Takeover.Listener listener, @Nullable LeaseGate gate, String instance) {
        this.listener = listener;
        this.gate = gate;
        this.instance = instance;
        this.look = System.nanoTime() + LOOK;
        this.thread = Thread.ofPlatform().name("addresses").daemon().unstarted(this::run);
        tasks.add(this::virtual); // removes what an earlier daemon has left
        tasks.add(this::routes);
        thread.start();
    }

    // ---- On the takeover thread

    private Place place(Membership member) {
        return Objects.requireNonNull(places.get(member.key()), member::toString);
    }

    @Override
    public Carrier carrier(Membership member, Link parent, Collection<Link> links) {
        Membership.Key key = member.key();
        Integer index = carriers.get(key);
        Optional<Link> ready = links.stream()
                .filter(link -> index != null && link.index() == index && link.up() && link.peer() == parent.index())
                .findFirst();
        if (ready.isPresent()) {
            return new Carrier.Ready(ready.get());
        }
        String before = making.getOrDefault(key, "none so far");
        if (before.isEmpty()) {
            return new Carrier.Awaited();
        }
        boolean refused = making.put(key, "") != null;
        tasks.add(() -> {
            try {
                carriers.put(
                        key,
                        virtual().make(member.ipv6(), member.routerId(), parent).index());
                making.remove(key);
            } catch (IOException e) {
                making.put(key, e.getMessage() == null ? e.toString() : e.getMessage());
            }
        });
        return refused ? new Carrier.Refused(before) : new Carrier.Awaited();
    }

    @Override
    public void enter(Membership member, Link link, Link carrier) {
        Set<Guarded> guarded = new HashSet<>();
        member.addresses().forEach(cidr -> guarded.add(new Guarded(cidr.address(), link.index())));
        member.mac().ifPresent(mac -> guarded.add(Guarded.of(mac, link.index())));
        LeaseGate lease = gate;
        if (lease == null && !member.local().accepts()) {
            tell(member + ": what is sent to its addresses is accepted nevertheless, as there is no lease");
        }
        synchronized (guarding) {
            places.put(member.key(), new Place(link, carrier, guarded));
            if (lease != null) {
                try {
                    lease.protect(guarded);
                    lease.accept(guarded, member.local().accepts());
                } catch (IOException e) {
                    tell(member + ": its addresses have no lease: " + e.getMessage());
                }
            }
        }
        tasks.add(() -> {
            List<Cidr> left = keeper().removeLeftovers(link.index());
            if (!left.isEmpty()) {
                listener.note(
                        false, member, "what an earlier daemon had left on " + link.name() + " is removed: " + left);
            }
            if (lease != null) {
                lease.guard(link.index());
            }
            // So that a takeover starts nothing that takes time when it is first done.
            announcer(link);
            duplicates(link, member.ipv6());
            report(member, keeper().acquire(carrier, List.of(), System.nanoTime()));
            misled.released(member.key(), member.toString(), addresses(member), System.nanoTime());
        });
    }

    @Override
    public void configure(Membership member) {
        tasks.add(() -> {
            route(member, member.local().routes());
        });
        if (gate != null) {
            gate.accept(place(member).guarded(), member.local().accepts());
        }
    }

    @Override
    public void leave(Membership member) {
        Place place = place(member);
        synchronized (guarding) {
            places.remove(member.key());
        }
        boolean last = places.values().stream()
                .noneMatch(other -> other.link().index() == place.link().index());
        Integer carrier = carriers.remove(member.key());
        tasks.add(() -> {
            misled.forget(member.key());
            if (carrier != null) {
                virtual().remove(carrier);
            }
            if (last) {
                Announcer announcer = announcers.remove(place.link().index());
                if (announcer != null) {
                    announcer.close();
                }
                for (boolean ipv6 : new boolean[] {false, true}) {
                    Ear ear = new Ear(place.link().index(), ipv6);
                    Duplicates heard = duplicates.remove(ear);
                    if (heard != null) {
                        heard.close();
                    }
                    held.remove(ear);
                }
            }
            if (gate != null) {
                if (last) {
                    gate.unguard(place.link().index());
                }
                synchronized (guarding) {
                    // A virtual router that has come again meanwhile, with another description, has most of them.
                    Set<Guarded> gone = new HashSet<>(place.guarded());
                    places.values().forEach(other -> gone.removeAll(other.guarded()));
                    gate.forget(gone);
                }
            }
        });
    }

    @Override
    public void until(Membership member, long time) {
        if (gate != null) {
            gate.until(place(member).guarded(), time);
        }
    }

    @Override
    public void abandon(Membership member) {
        Membership.Key key = member.key();
        tasks.add(
                () -> { // after what is being made
                    Integer carrier = carriers.remove(key);
                    making.remove(key);
                    if (carrier != null) {
                        virtual().remove(carrier);
                    }
                });
    }

    @Override
    public void acquire(Membership member, long now) {
        Place place = place(member);
        if (gate != null) {
            gate.hold(place.guarded());
        }
        Link link = place.link();
        Link carrier = place.carrier();
        tasks.add(() -> {
            misled.forget(member.key());
            report(member, keeper().acquire(carrier, member.addresses(), System.nanoTime()));
            carried.put(member.key(), carrier);
            route(member, member.local().routes());
            if (carrier.address() != null) {
                announcer(link)
                        .announce(
                                member.key().toString(),
                                carrier.address(),
                                addresses(member),
                                new Announcer.Settings(member.announcements(), member.announceAgain(), 0, false),
                                System.nanoTime());
            }
        });
        // When everybody has been told.
        tasks.add(() -> {
            Set<InetAddress> listening =
                    held.computeIfAbsent(new Ear(link.index(), member.ipv6()), _ -> new HashSet<>());
            listening.addAll(addresses(member));
            duplicates(link, member.ipv6()).holds(listening);
        });
    }

    private static List<InetAddress> addresses(Membership member) {
        return member.addresses().stream().map(Cidr::address).toList();
    }

    @Override
    public void handOver(Membership member) {
        Place place = place(member);
        if (gate != null) {
            gate.handOver(place.guarded());
        }
        tasks.add(() -> silence(member, place));
    }

    private void silence(Membership member, Place place) {
        Announcer announcer = announcers.get(place.link().index());
        if (announcer != null) {
            announcer.stop(member.key().toString());
        }
    }

    @Override
    public void release(Membership member, long now) {
        Place place = place(member);
        if (gate != null) {
            gate.release(place.guarded());
        }
        int link = place.link().index();
        tasks.add(() -> {
            misled.released(member.key(), member.toString(), addresses(member), now);
            silence(member, place);
            route(member, List.of());
            carried.remove(member.key());
            report(member, keeper().release(place.carrier().index(), member.addresses()));
            Ear ear = new Ear(link, member.ipv6());
            Set<InetAddress> listening = held.get(ear);
            Duplicates heard = duplicates.get(ear);
            if (listening != null && heard != null) {
                addresses(member).forEach(listening::remove);
                heard.holds(listening);
            }
        });
    }

    @Override
    public void alone(Membership member, boolean isAlone) {
        if (isAlone) {
            alone.addAll(addresses(member));
        } else {
            addresses(member).forEach(alone::remove);
        }
    }

    @Override
    public void announce(Membership member, long now) {
        int link = place(member).link().index();
        tasks.add(() -> {
            Announcer announcer = announcers.get(link);
            if (announcer != null) {
                announcer.again(member.key().toString(), System.nanoTime());
            }
        });
    }

    @Override
    public Optional<Strays> strays(Membership member) {
        return Optional.ofNullable(misled.strays().get(member.key()));
    }

    @Override
    public Optional<Descriptor> lifeline() {
        return Optional.ofNullable(gate).map(LeaseGate::ticks);
    }

    @Override
    public long lease() {
        return gate == null ? 0 : LeaseGate.LEASE.toNanos();
    }

    @Override
    public long aliveUntil() {
        return gate == null ? NEVER : gate.aliveUntil();
    }

    @Override
    public void live() {
        if (gate != null) {
            gate.begin();
        }
    }

    // ---- On its own thread

    private AddressKeeper keeper() throws IOException {
        AddressKeeper open = keeper;
        if (open == null) {
            open = AddressKeeper.open();
            keeper = open;
        }
        return open;
    }

    private VirtualLinks virtual() throws IOException {
        VirtualLinks open = virtual;
        if (open == null) {
            open = VirtualLinks.open(instance);
            virtual = open;
        }
        return open;
    }

    private VirtualRoutes routes() throws IOException {
        VirtualRoutes open = routes;
        if (open == null) {
            open = VirtualRoutes.open();
            routes = open;
        }
        return open;
    }

    private void route(Membership member, List<RouteSpec> specs) throws IOException {
        Link carrier = carried.get(member.key());
        if (carrier != null) {
            routes().become(member.key().toString(), specs, carrier)
                    .forEach(problem -> listener.note(true, member, problem));
        }
    }

    private Announcer announcer(Link link) throws IOException {
        Announcer open = announcers.get(link.index());
        if (open == null) {
            open = Announcer.open(link, this::tell);
            announcers.put(link.index(), open);
            if (link.address() != null) {
                ownMacs.put(link.index(), link.address());
            }
        }
        return open;
    }

    /** Where others are heard to have an address. */
    private record Ear(int link, boolean ipv6) {}

    private Duplicates duplicates(Link link, boolean ipv6) throws IOException {
        Ear ear = new Ear(link.index(), ipv6);
        Duplicates open = duplicates.get(ear);
        if (open == null) {
            Set<MacAddress> own = link.address() == null ? Set.of() : Set.of(link.address());
            open = Duplicates.start(link, ipv6, own, other -> {
                if (alone.contains(other.address())) {
                    tell(other.mac() + " has the address " + Addresses.print(other.address()) + " as well, on "
                            + link.name() + ": two machines have it, and clients get to either");
                }
            });
            duplicates.put(ear, open);
        }
        return open;
    }

    private void report(Membership member, List<AddressKeeper.Problem> problems) {
        problems.forEach(problem -> listener.note(true, member, problem.text()));
    }

    private void tell(String message) {
        listener.note(true, message);
    }

    /** Says a thing that may be so for long only once. */
    private void tellOnce(String message) {
        if (told.add(message)) {
            tell(message);
        }
    }

    private void run() {
        try {
            RealTime.fifo(PRIORITY);
        } catch (LinuxException e) {
            // The takeover thread has said so.
        }
        while (!ended) {
            try {
                Task task = tasks.poll(Math.max(0, due() - System.nanoTime()), TimeUnit.NANOSECONDS);
                if (task != null) {
                    task.run();
                }
                work(System.nanoTime());
            } catch (IOException | RuntimeException e) {
                tellOnce("addresses: " + (e.getMessage() == null ? e : e.getMessage()));
            } catch (InterruptedException e) {
                return; // nobody does that
            }
        }
    }

    private long due() {
        long due = Math.min(look, keeper == null ? NEVER : keeper.due());
        for (Announcer announcer : announcers.values()) {
            due = Math.min(due, announcer.due());
        }
        return gate != null && misled.isWatching() ? Math.min(due, astray) : due;
    }

    private void work(long now) throws IOException {
        announcers.values().forEach(announcer -> announcer.tick(now));
        if (keeper != null) {
            keeper.renew(now).forEach(problem -> tellOnce(problem.text()));
        }
        if (gate != null && misled.isWatching() && now >= astray) {
            astray = now + ASTRAY;
            lookAstray(gate, now);
        }
        if (now >= look) {
            look = now + LOOK;
            if (gate != null) {
                gate.check().forEach(this::tellOnce);
                for (int link : gate.left()) {
                    // An earlier daemon's, on an interface that is none of ours any more.
                    keeper().removeLeftovers(link);
                    gate.unguard(link);
                }
            }
        }
    }

    /** Whoever sends here although another node has the address is to hear from that one. */
    private void lookAstray(LeaseGate from, long now) throws IOException {
        long frames = from.misdirected();
        if (frames != misdirected) {
            misdirected = frames;
            for (LeaseGate.Sender sender : misled.see(from.senders(), now)) {
                Announcer by = announcers.get(sender.link());
                MacAddress own = ownMacs.get(sender.link());
                if (by != null && own != null) {
                    by.once(
                            sender.address() instanceof Inet6Address ipv6
                                    ? Announcements.neighbourProbe(own, ipv6)
                                    : Announcements.arpProbe(own, sender.mac(), (Inet4Address) sender.address()));
                }
            }
        }
        for (String news : misled.news(now)) {
            boolean warning = news.startsWith("!");
            listener.note(warning, warning ? news.substring(1) : news);
        }
    }

    @Override
    public void close() {
        tasks.add(() -> {
            ended = true;
            announcers.values().forEach(Announcer::close);
            duplicates.values().forEach(Duplicates::close);
            try (var _ = gate;
                    var _ = virtual;
                    var _ = routes) {
                if (keeper != null) {
                    keeper.close();
                }
            }
        });
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}

package io.ballast.takeover.wire;

import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.PollSet;
import io.ballast.linux.ProtocolSocket;
import io.ballast.linux.RealTime;
import io.ballast.linux.TimedSends;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteEvent;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.RouteWatch;
import io.ballast.takeover.address.AddressKeeper;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.AuthenticationHeader;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * All virtual routers of this node, on a thread of their own.
 *
 * <p>That thread never waits for anything but packets and time, and has a real-time priority where it may. Still nothing
 * that must be on time hangs on it: advertisements are queued in the kernel ahead of time ({@link TimedSends}), what
 * arrives bears the kernel's time of arrival, and before anything is decided about a silent master everything that
 * arrived is read. So the process may stand still for the look-ahead, and nobody notices.
 *
 * <p>Whoever stands still for longer, or is dead, must lose the addresses for certain. They are a lease: the kernel lets
 * packets of theirs pass only while signs of life come ({@link Ownership#lifeline}), which are queued like the
 * advertisements, and end before those do.
 */
public final class Takeover implements AutoCloseable {
    /** On advertisements, so that the lease's program in the kernel knows them: "vrrp". */
    public static final int MARK = 0x76727270;

    private static final InetAddress GROUP = InetAddress.ofLiteral("224.0.0.18");
    private static final InetAddress GROUP6 = InetAddress.ofLiteral("ff02::12");
    private static final InetAddress NOBODY = InetAddress.ofLiteral("0.0.0.0");
    private static final InetAddress NOBODY6 = InetAddress.ofLiteral("::");

    private static final int PRIORITY = 50;
    private static final long SIGN_OF_LIFE = 25_000_000;
    private static final long LONGEST_LOOK_AHEAD = 1_000_000_000;
    private static final byte[] ALIVE = {1};
    private static final long LOOK_AGAIN = 1_000_000_000;
    private static final long LOOK_SOON = 50_000_000;
    private static final int PACKETS_AT_ONCE = 1000;
    private static final long NEVER = Long.MAX_VALUE;

    /** Hears what becomes of the virtual routers; on their thread, so it should only hand it on. */
    public interface Listener {
        /** A role is another. */
        void changed(Membership member, Role from, Role to, int priority, String why);

        /**
         * It has the addresses now, or has them no more: a master may have to wait for what they depend on, and lose them
         * with that.
         */
        default void holding(Membership member, boolean holds) {}

        /**
         * A thing that is tracked is another.
         *
         * @param routers the names of those that depend on it
         * @param before the priority that all things made before, and now; what was said beside them is left out
         */
        void tracked(List<String> routers, Tracking.Standing thing, int before, int now);

        /** Something worth the journal, about one of them. */
        void note(boolean warning, Membership member, String message);

        /** Something worth the journal, about all of them. */
        void note(boolean warning, String message);
    }

    /** Makes what deals with addresses, on the thread that will use it. */
    @FunctionalInterface
    public interface OwnershipMaker {
        Ownership make() throws IOException;
    }

    /** Where packets are heard. */
    private record Place(int link, boolean ipv6, int protocol) {
        /** The one of those who authenticate themselves by another kind of header. */
        Place other() {
            return new Place(
                    link,
                    ipv6,
                    protocol == AuthenticationHeader.PROTOCOL
                            ? AdvertisementCodec.PROTOCOL
                            : AuthenticationHeader.PROTOCOL);
        }

        static Place of(Link link, Membership member) {
            boolean headed = member.authentication().header();
            return new Place(
                    link.index(), member.ipv6(), headed ? AuthenticationHeader.PROTOCOL : AdvertisementCodec.PROTOCOL);
        }
    }

    private final Listener listener;
    private final OwnershipMaker maker;
    private final Preparation preparation;
    private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private final PollSet poll;
    private final CountDownLatch over = new CountDownLatch(1);
    private volatile String failure = "";
    private final Thread thread;

    // Of the thread.
    /** By their groups, or the keys of those that are alone. */
    private final Map<String, Party> parties = new LinkedHashMap<>();

    private final List<Party> retiring = new ArrayList<>();
    /** Both of these. */
    private List<Party> allParties = List.of();
    /** What they consist of. */
    private List<Instance> all = List.of();
    /** What is to come in the place of those that retire. */
    private final Map<String, List<Membership>> successors = new LinkedHashMap<>();

    private final Map<Place, Ear> ears = new HashMap<>();
    private final Set<Place> deaf = new HashSet<>();
    private Map<String, Manner> manners = Map.of();
    private Map<String, String> unable = Map.of();
    private Map<String, Dependence> dependences = Map.of();
    private Map<String, Tracking.State> observed = Map.of();
    private OwnershipCondition.Maker conditions = OwnershipCondition.NONE;
    private @Nullable TimedSends sends;
    private @Nullable Ownership ownership;
    private @Nullable RouteNetlink netlink;
    private TimedSends.@Nullable Stream life;
    private long nextSign;
    private boolean holds;
    private boolean prepares;
    private long lookAt = NEVER;
    private boolean ending;
    private boolean ended;

    /** Without virtual routers so far; in the network namespace of the calling thread. */
    public Takeover(Listener listener, OwnershipMaker maker) throws IOException {
        this(listener, maker, Preparation.NONE);
    }

    /** The same, which leaves other nodes the addresses until this one is prepared for them. */
    public Takeover(Listener listener, OwnershipMaker maker, Preparation preparation) throws IOException {
        this.preparation = preparation;
        this.listener = listener;
        this.maker = maker;
        this.poll = PollSet.open();
        this.thread = Thread.ofPlatform().name("takeover").daemon().unstarted(this::run);
        thread.start();
    }

    static InetAddress group(boolean ipv6) {
        return ipv6 ? GROUP6 : GROUP;
    }

    /** Takes part in these virtual routers from now on, and in no others; each moves alone. */
    public void become(List<Membership> members) {
        become(members, Map.of());
    }

    /**
     * Takes part in these virtual routers from now on, and in no others.
     *
     * @param on what they depend on, by their names; those of one group have one priority
     */
    public void become(List<Membership> members, Map<String, Dependence> on) {
        List<Membership> wanted = List.copyOf(members);
        Map<String, Dependence> all = Map.copyOf(on);
        submit(() -> {
            dependences = all;
            becomeNow(wanted);
        });
    }

    /** How they stand; none when this is closed, or could not go on. */
    public CompletableFuture<List<RouterStatus>> status() {
        CompletableFuture<List<RouterStatus>> answer = new CompletableFuture<>();
        submit(() -> answer.complete(active().map(Instance::status).toList()));
        return over.getCount() == 0 ? CompletableFuture.completedFuture(List.of()) : answer;
    }

    /** What the operator wants of virtual routers from now on, by name; of others, what the description says. */
    public void manners(Map<String, Manner> wanted) {
        Map<String, Manner> all = Map.copyOf(wanted);
        submit(() -> {
            manners = all;
            long now = System.nanoTime();
            parties.values().forEach(party -> party.manner(all, now));
        });
    }

    /**
     * Why this node has nothing to serve at the addresses of virtual routers, by name: it lets every other node have them,
     * and has them where there is none.
     */
    public void unable(Map<String, String> reasons) {
        Map<String, String> all = Map.copyOf(reasons);
        submit(() -> {
            unable = all;
            long now = System.nanoTime();
            parties.values().forEach(party -> party.unable(all, now));
        });
    }

    /** How the things are that virtual routers track, by their names, but for network interfaces. */
    public void observed(Map<String, Tracking.State> states) {
        Map<String, Tracking.State> all = Map.copyOf(states);
        submit(() -> {
            observed = all;
            long now = System.nanoTime();
            parties.values().forEach(party -> party.observed(all, now));
        });
    }

    /**
     * On what it depends, beside the role, whether this node has the addresses of virtual routers. To be given again when it
     * has other ones to give.
     */
    public void conditions(OwnershipCondition.Maker maker) {
        submit(() -> {
            conditions = maker;
            parties.values().forEach(this::bind);
        });
    }

    private void bind(Party party) {
        party.bind(
                conditions.make(party.memberships(), () -> submit(() -> party.conditionsChanged(System.nanoTime()))),
                System.nanoTime());
    }

    /** Has the thread of virtual routers run this, in its turn; where there is none any more, nobody does. */
    public void execute(Runnable task) {
        submit(task);
    }

    /** Why there are no virtual routers any more; empty while there are. */
    public String failure() {
        return failure;
    }

    /**
     * Gives all addresses to others, and ends; where nobody takes them, when everybody has had the time.
     *
     * @param patience at most
     * @return whether it was done by then
     */
    public boolean leave(Duration patience) throws InterruptedException {
        submit(() -> {
            ending = true;
            becomeNow(List.of());
        });
        return over.await(patience.toNanos(), TimeUnit.NANOSECONDS);
    }

    /** Ends at once: addresses that are still this node's are released. */
    @Override
    public void close() {
        submit(() -> {
            ending = true;
            becomeNow(List.of());
            retiring.forEach(party -> party.stop("this node stops", System.nanoTime()));
        });
        boolean interrupted = false;
        while (true) {
            try {
                over.await();
                break;
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void submit(Runnable task) {
        tasks.add(task);
        if (over.getCount() > 0) {
            poll.wake();
        }
    }

    // ---- The thread

    private void run() {
        try (TimedSends opened = TimedSends.open();
                Ownership made = maker.make();
                RouteNetlink route = RouteNetlink.open();
                RouteWatch watch = RouteWatch.start(
                        Set.of(RouteWatch.Topic.LINKS, RouteWatch.Topic.ADDRESSES), this::routeChanged)) {
            Objects.requireNonNull(watch);
            sends = opened;
            ownership = made;
            netlink = route;
            made.lifeline()
                    .ifPresent(line ->
                            life = opened.stream(line, (int) (LONGEST_LOOK_AHEAD / SIGN_OF_LIFE) + 4, ALIVE.length));
            try {
                RealTime.fifo(PRIORITY);
            } catch (LinuxException e) {
                listener.note(
                        true,
                        "without a real-time priority, on a busy machine a takeover may be late: " + e.getMessage());
            }
            try {
                while (!ended) {
                    step();
                }
            } finally {
                // None, if all went well.
                allParties.forEach(party -> party.stop("virtual routers cannot go on", System.nanoTime()));
            }
        } catch (IOException | RuntimeException | Error e) {
            // Also of an Error: nobody else would tell, and the addresses are over with this thread.
            failure = "virtual routers cannot go on: " + (e.getMessage() == null ? e : e.getMessage());
            listener.note(true, failure);
        } finally {
            ears.values().forEach(Ear::close);
            over.countDown();
            poll.close();
        }
    }

    private void step() throws IOException {
        poll.await(due());
        prepares = false;
        hold();
        long since = stoodStillSince(System.nanoTime());
        read();
        long now = System.nanoTime();
        if (since != NEVER) {
            all.forEach(instance -> instance.lapsed(since, now));
            nextSign = now;
            if (all.stream().anyMatch(Instance::elected)) {
                ownership().live();
            }
        }
        for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
            task.run();
        }
        if (now >= lookAt) {
            try {
                look();
            } catch (LinuxException e) {
                if (e.errno() != Errno.EAGAIN) {
                    throw e;
                }
                lookAt = now + LOOK_SOON; // so much changes there now that nobody can say what there is
            }
        }
        allParties.forEach(party -> party.tick(now));
        all.forEach(instance -> instance.tick(now));
        retire();
        live(System.nanoTime()); // later than now, where many became master
        sends().flush();
        ended = ending && retiring.isEmpty() && parties.isEmpty();
    }

    /** Whether others are left what they have. */
    private void hold() {
        boolean unprepared = !preparation.isReady();
        if (unprepared != holds) {
            holds = unprepared;
            allParties.forEach(party -> party.hold(unprepared));
        }
    }

    private void retire() {
        if (retiring.isEmpty()) {
            return;
        }
        for (Party party : List.copyOf(retiring)) {
            if (party.gone()) {
                party.close();
                retiring.remove(party);
            }
        }
        for (Map.Entry<String, List<Membership>> next : List.copyOf(successors.entrySet())) {
            if (!ending && !isRetiring(next.getValue())) {
                successors.remove(next.getKey());
                parties.put(next.getKey(), party(next.getValue()));
                lookAt = 0;
            }
        }
        count();
    }

    /** Whether one that retires is in the way of one of these. */
    private boolean isRetiring(List<Membership> members) {
        Set<Membership.Key> keys = new HashSet<>();
        members.forEach(member -> keys.add(member.key()));
        return retiring.stream()
                .flatMap(party -> party.members().stream())
                .anyMatch(instance -> keys.contains(instance.member().key()));
    }

    private Party party(List<Membership> members) {
        Party party = new Party(
                members,
                dependences(members),
                listener,
                (member, of) -> new Instance(member, of, member.ipv6() ? NOBODY6 : NOBODY, new Shared()));
        bind(party);
        long now = System.nanoTime();
        party.manner(manners, now);
        party.unable(unable, now);
        party.observed(observed, now);
        party.hold(holds);
        return party;
    }

    private Map<String, Dependence> dependences(List<Membership> members) {
        Map<String, Dependence> all = new LinkedHashMap<>();
        members.forEach(member -> all.put(member.name(), dependences.getOrDefault(member.name(), Dependence.NONE)));
        return all;
    }

    private Stream<Instance> active() {
        return parties.values().stream().flatMap(party -> party.members().stream());
    }

    private void count() {
        allParties = Stream.concat(parties.values().stream(), retiring.stream()).toList();
        all = allParties.stream().flatMap(party -> party.members().stream()).toList();
    }

    private TimedSends sends() {
        return Objects.requireNonNull(sends);
    }

    private Ownership ownership() {
        return Objects.requireNonNull(ownership);
    }

    private long due() {
        long due = lookAt;
        boolean owning = false;
        for (Party party : allParties) {
            due = Math.min(due, party.due());
        }
        for (Instance instance : all) {
            due = Math.min(due, instance.due());
            owning |= instance.elected();
        }
        if (owning && life != null) {
            due = Math.min(due, nextSign - signsAhead() * 3 / 4);
        }
        long atLatest = System.nanoTime() + (retiring.isEmpty() && !holds ? LOOK_AGAIN : SIGN_OF_LIFE);
        return tasks.isEmpty() ? Math.min(due, atLatest) : 0;
    }

    // ---- Signs of life

    /** How far ahead signs of life are queued: so that the lease is over when the advertisements are. */
    private long signsAhead() {
        long shortest = LONGEST_LOOK_AHEAD;
        for (Instance instance : all) {
            shortest = Math.min(shortest, instance.member().lookAhead());
        }
        return Math.max(0, shortest - ownership().lease());
    }

    private void live(long now) throws IOException {
        if (life == null) {
            return;
        }
        if (all.stream().noneMatch(Instance::elected)) {
            life.cancel();
            nextSign = now;
            return;
        }
        if (nextSign < now - SIGN_OF_LIFE) {
            nextSign = now;
        }
        while (nextSign <= now + signsAhead()) {
            life.add(nextSign, ALIVE);
            nextSign += SIGN_OF_LIFE;
        }
    }

    /** Since when, at the latest, this process has been away for longer than what was queued for it; else NEVER. */
    private long stoodStillSince(long now) {
        List<Instance> owners = all.stream().filter(Instance::elected).toList();
        if (owners.isEmpty()) {
            return NEVER;
        }
        long until = ownership().aliveUntil();
        if (life != null) {
            return now < until ? NEVER : until - ownership().lease();
        }
        long queued = owners.stream().mapToLong(Instance::lastQueued).min().orElse(now);
        boolean late = owners.stream()
                .anyMatch(instance ->
                        now - instance.lastQueued() > instance.member().interval());
        return late ? queued : NEVER;
    }

    // ---- What is heard

    private void read() throws IOException {
        for (Map.Entry<Place, Ear> each : ears.entrySet()) {
            for (int i = 0; i < PACKETS_AT_ONCE; i++) {
                ProtocolSocket.Packet packet;
                try {
                    packet = each.getValue().receive();
                } catch (LinuxException e) {
                    // The interface went down, or away; the kernel says that as well to who asks about interfaces.
                    lookAt = 0;
                    break;
                }
                if (packet == null) {
                    break;
                }
                hear(each.getKey(), packet);
            }
        }
    }

    private void hear(Place place, ProtocolSocket.Packet packet) {
        boolean headed = place.protocol() == AuthenticationHeader.PROTOCOL;
        byte[] message = headed ? AuthenticationHeader.message(packet.payload()) : packet.payload();
        if (message.length < 2) {
            return;
        }
        int routerId = message[1] & 0xff;
        for (Instance instance : all) {
            if (instance.hears(place.link(), place.ipv6(), routerId)) {
                instance.heard(packet, headed, System.nanoTime());
            }
        }
    }

    // ---- The network

    private void routeChanged(RouteEvent event) {
        boolean ours = switch (event) {
            case RouteEvent.LinkChanged _, RouteEvent.LinkRemoved _, RouteEvent.Lost _ -> true;
            // Those put there because of a virtual router are never advertised from, and may be thousands.
            case RouteEvent.AddressChanged(Address address) -> address.protocol() != AddressKeeper.PROTOCOL;
            case RouteEvent.AddressRemoved(Address address) -> address.protocol() != AddressKeeper.PROTOCOL;
            default -> false;
        };
        if (ours) {
            submit(() -> lookAt = 0);
        }
    }

    private void becomeNow(List<Membership> members) {
        long now = System.nanoTime();
        Map<String, List<Membership>> wanted = new LinkedHashMap<>();
        for (Membership member : members) {
            String group =
                    dependences.getOrDefault(member.name(), Dependence.NONE).group();
            String name = group.isEmpty() ? member.key().toString() : "group " + group;
            wanted.computeIfAbsent(name, _ -> new ArrayList<>()).add(member);
        }
        successors.keySet().retainAll(wanted.keySet());
        for (String name : List.copyOf(parties.keySet())) {
            if (!wanted.containsKey(name)) {
                Party party = Objects.requireNonNull(parties.remove(name));
                party.retire(ending ? "this node stops" : "it is not described any more", now);
                retiring.add(party);
            }
        }
        wanted.forEach((name, of) -> {
            Party known = parties.get(name);
            if (known != null && known.canBecome(of)) {
                known.configure(of, dependences(of), observed, now);
            } else if (known != null) {
                // Its packets look different: the others see it leave, and come.
                parties.remove(name);
                known.replace("its description is another", now);
                retiring.add(known);
                successors.put(name, of);
            } else if (isRetiring(of)) {
                successors.put(name, of);
            } else {
                parties.put(name, party(of));
            }
        });
        count();
        lookAt = 0;
    }

    private final class Shared implements Instance.Wires {
        @Override
        public TimedSends sends() {
            return Takeover.this.sends();
        }

        @Override
        public Ownership ownership() {
            return Takeover.this.ownership();
        }

        @Override
        public Listener listener() {
            return listener;
        }

        @Override
        public @Nullable Ear ear(Link link, Membership member) {
            return ears.get(Place.of(link, member));
        }

        @Override
        public long now() {
            return System.nanoTime();
        }

        @Override
        public void wasAway() {
            if (!prepares) {
                prepares = true; // a network that is back brings all its virtual routers
                preparation.again();
                hold();
            }
        }
    }

    /** Looks at interfaces and their addresses. */
    private void look() throws IOException {
        RouteNetlink route = Objects.requireNonNull(netlink);
        Map<String, Link> links = new HashMap<>();
        route.links().forEach(link -> links.put(link.name(), link));
        List<Address> addresses = route.addresses();
        listen(links);
        long now = System.nanoTime();
        parties.values().forEach(party -> party.links(links, now));
        boolean trouble = false;
        for (Instance instance : active().toList()) {
            Membership member = instance.member();
            Link link = links.get(member.device());
            String why = "";
            InetAddress own = null;
            if (!member.refused().isEmpty()) {
                why = member.refused();
            } else if (link == null) {
                why = "there is no interface " + member.device();
            } else if (!link.up()) {
                why = member.device() + " is switched off";
            } else if (!link.running()) {
                why = member.device() + " has no link";
            } else {
                own = own(link, member, addresses).orElse(null);
                why = own == null
                        ? member.device() + " has no "
                                + (!member.ipv6() ? "IPv4" : member.peers().isEmpty() ? "link-local IPv6" : "IPv6")
                                + " address to advertise from"
                        : "";
            }
            if (own != null && !ears.containsKey(Place.of(Objects.requireNonNull(link), member))) {
                own = null;
                why = "advertisements on " + member.device() + " cannot be heard";
            }
            Link carrier = link;
            if (own != null && link != null && member.virtualMac()) {
                carrier = null;
                switch (ownership().carrier(member, link, links.values())) {
                    case Ownership.Carrier.Ready(Link ready) -> carrier = ready;
                    case Ownership.Carrier.Refused(String refused) -> why = refused;
                    case Ownership.Carrier.Awaited() -> {
                        trouble = true;
                        if (!instance.isConnected()) {
                            continue;
                        }
                        why = "its interface with the virtual MAC on " + member.device() + " is gone";
                    }
                }
            }
            instance.network(own == null ? null : link, carrier, own, why, now);
            trouble |= !instance.trouble().isEmpty();
        }
        lookAt = trouble ? now + LOOK_AGAIN : NEVER;
    }

    /** The address that advertisements come from: the first one that is not shared (RFC 9568 section 1.7). */
    private static Optional<InetAddress> own(Link link, Membership member, List<Address> addresses) {
        return addresses.stream()
                .filter(address -> address.link() == link.index()
                        && address.address() instanceof Inet6Address == member.ipv6()
                        && !address.flags().contains(Address.Flag.TENTATIVE)
                        && !address.flags().contains(Address.Flag.DADFAILED)
                        && (!member.ipv6()
                                || address.address().isLinkLocalAddress()
                                        == member.peers().isEmpty())
                        && (member.priority() == 255
                                || member.addresses().stream()
                                        .noneMatch(shared -> shared.address().equals(address.address()))))
                .map(Address::address)
                .findFirst();
    }

    /** Listens on the interfaces that there are. */
    private void listen(Map<String, Link> links) throws IOException {
        Map<Place, List<Membership>> wanted = new HashMap<>();
        for (Instance instance : all) {
            Link link = links.get(instance.member().device());
            if (link != null) {
                Place place = Place.of(link, instance.member());
                wanted.computeIfAbsent(place, _ -> new ArrayList<>()).add(instance.member());
                if (instance.member().version() == 2) {
                    // To say why those are not listened to that advertise there.
                    wanted.computeIfAbsent(place.other(), _ -> new ArrayList<>())
                            .add(instance.member());
                }
            }
        }
        ears.entrySet().removeIf(each -> {
            boolean away = !wanted.containsKey(each.getKey());
            if (away) {
                each.getValue().close();
            }
            return away;
        });
        for (Place place : wanted.keySet()) {
            if (!ears.containsKey(place)) {
                links.values().stream()
                        .filter(link -> link.index() == place.link())
                        .findFirst()
                        .ifPresent(link -> listen(place, link));
            }
        }
        for (Map.Entry<Place, Ear> each : ears.entrySet()) {
            each.getValue().admit(Objects.requireNonNull(wanted.get(each.getKey())));
        }
        List<Descriptor> descriptors =
                ears.values().stream().map(Ear::descriptor).toList();
        poll.watch(descriptors);
    }

    private void listen(Place place, Link link) {
        try {
            Ear ear = Ear.open(
                    place.protocol(), new ProtocolSocket.Interface(link.index(), link.name()), group(place.ipv6()));
            ears.put(place, ear);
            if (!ear.trouble().isEmpty()) {
                listener.note(
                        true, "a flood of advertisements on " + link.name() + " is borne badly: " + ear.trouble());
            }
            deaf.remove(place);
        } catch (IOException e) {
            if (deaf.add(place)) {
                listener.note(true, "advertisements on " + link.name() + " are not heard: " + e.getMessage());
            }
        }
    }
}

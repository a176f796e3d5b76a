package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Forwarding;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.RefusedException;
import io.ballast.director.ServiceStatistics;
import io.ballast.director.Trace;
import io.ballast.director.sync.ConnectionTable;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.neighbour.ArpProbe;
import io.ballast.linux.neighbour.SourceChoice;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The engine {@code xdp}, there while a service wants it: opened for the first, dismantled after the last, opened again
 * for other interfaces or more room where a change of the services needs that, and tried again while it cannot be had. Opening waits
 * for the kernel and so happens beside the control loop; what is put meanwhile waits for it.
 */
public final class XdpOnDemand implements ForwardingEngine {
    private static final XdpDirector.Capacity NOTHING = new XdpDirector.Capacity(0, 0, 0, 0);
    private static final Duration AGAIN = Duration.ofSeconds(10);
    private static final Duration ASKING_WHO_ELSE = Duration.ofSeconds(30);
    private static final Duration ANSWERING = Duration.ofMillis(500);

    private static final Duration ASKING_SERVERS = Duration.ofMillis(900);

    /** The ways to the servers are mostly known by then. */
    private static final Duration FIRST_ASKING = Duration.ofSeconds(1);

    /** What was found once is asked again so soon. */
    private static final Duration DOUBTING = Duration.ofSeconds(5);

    /** So many are asked at once; more would make others wait that ask the kernel. */
    private static final int ASKED_AT_ONCE = 256;

    /** What opening gives. */
    public interface Opened extends ForwardingEngine {
        /** Removes every service but these. */
        void retain(Set<String> services);

        /** How it is, for people. */
        Condition condition();

        /** As {@link XdpOnDemand#trace}. */
        Trace trace(String service, int every, int limit) throws RefusedException, IOException;

        /**
         * Its table of connections, for other directors.
         *
         * @param ways the interfaces by which clients of shared addresses come in
         */
        ConnectionTable share(Map<InetAddress, String> ways);

        /** The ways that packets to servers take, by their addresses. */
        Map<InetAddress, Resolution.Hop> ways();

        /** Why packets cannot be sent to a server, by its address; without those that they can be sent to. */
        Map<InetAddress, String> unreachable();

        /** The interfaces and how the program is on each. */
        List<XdpDirector.Attachment> attachments();
    }

    /**
     * How the engine is.
     *
     * @param attachments the interfaces that the program is on, or should be
     * @param unreachable why packets cannot be sent to a real server, by its address
     * @param exceptions what did not go the usual way, since its service is in the tables; without zeros
     * @param connections how the table of remembered connections is used
     * @param synCookies whether SYNs are answered with cookies now, of the services that may do so
     */
    public record Condition(
            List<XdpDirector.Attachment> attachments,
            Map<InetAddress, String> unreachable,
            List<Exceptional> exceptions,
            FlowPressure.Occupancy connections,
            Map<String, Boolean> synCookies) {}

    /**
     * What did not go the usual way for one reason.
     *
     * @param service empty for what is no service's
     * @param reason the data plane's, in lower case
     * @param words what is counted, for people
     */
    public record Exceptional(String service, String reason, String words, long count) {}

    /**
     * A server of a service and an endpoint, whose packets it is to take.
     *
     * @param server the address that packets are sent to
     * @param way of packets to it
     */
    record Asked(
            Acceptance.Member member,
            Endpoint endpoint,
            ForwardingMethod method,
            InetAddress server,
            Resolution.Hop way) {}

    /**
     * What servers said.
     *
     * @param unasked those that cannot be asked, each with the reason and what to do
     */
    record Heard(Map<Asked, PathProbe.Answer> answers, Map<Asked, String> unasked) {
        static Heard nothing() {
            return new Heard(new LinkedHashMap<>(), new LinkedHashMap<>());
        }
    }

    /** How it comes and goes; called beside the loop, one call at a time. */
    interface Kernel {
        /**
         * The interfaces that packets arrive on.
         *
         * @param services addresses of services
         * @param translated servers whose answers come back through here
         */
        List<String> devices(Set<InetAddress> services, Set<InetAddress> translated) throws IOException;

        /**
         * Opens it on these, or takes over what is there, with room for so much at least.
         *
         * @param seed of the hash of tables that are made; empty for any
         */
        Opened open(List<String> devices, XdpDirector.Capacity capacity, OptionalLong seed) throws IOException;

        /**
         * Who else on these networks answers ARP for the addresses.
         *
         * @return by address, for people; without those that nobody answers for
         */
        Map<InetAddress, String> impostors(List<String> devices, Set<Inet4Address> addresses) throws IOException;

        /**
         * How servers answer who comes to them as clients do.
         *
         * @param services addresses of services
         */
        Heard answers(List<Asked> paths, Set<InetAddress> services) throws IOException;

        /** Takes away whatever is there, open nowhere. */
        void dismantle() throws IOException;
    }

    private final Loop loop;
    private final EngineEvents events;
    private final Kernel kernel;
    private final Executor beside;

    // Of the loop.
    private final Map<String, Forwarding> wanted = new LinkedHashMap<>();
    /** Which of them an open engine was given. */
    private final Set<String> given = new HashSet<>();

    private @Nullable Opened opened;
    private List<String> devices = List.of();
    /** Whether {@link #devices} are right for these. */
    private Set<InetAddress> looked = Set.of();

    private Set<InetAddress> elsewhere = Set.of();
    private Set<String> coming = Set.of();

    /** What the services take, and what there is room for. */
    private XdpDirector.Capacity need = NOTHING;

    private XdpDirector.Capacity capacity = XdpDirector.Capacity.DEFAULT;

    private String trouble = "";
    private @Nullable Timer retry;
    private @Nullable Timer asking;
    private Map<InetAddress, String> impostors = Map.of();
    private final Acceptance acceptance = new Acceptance(new ToJournal());
    /** Why nobody knows whether a service's servers take its traffic, by the service. */
    private final Map<String, String> unwatched = new LinkedHashMap<>();
    /** Whether nothing of it is in the kernel, as far as is known. */
    private boolean gone;

    private boolean busy;
    private boolean again;
    private boolean closed;
    private final List<CompletableFuture<Void>> awaited = new ArrayList<>();
    private @Nullable Consumer<Optional<ConnectionTable>> sharing;
    private Map<InetAddress, String> waysIn = Map.of();
    private OptionalLong seed = OptionalLong.empty();

    /** @param beside runs what waits for the kernel; one at a time is asked of it */
    XdpOnDemand(Loop loop, EngineEvents events, Kernel kernel, Executor beside) {
        this.loop = loop;
        this.events = events;
        this.kernel = kernel;
        this.beside = beside;
    }

    @Override
    public String name() {
        return EngineKind.XDP.yamlName();
    }

    @Override
    public void put(Forwarding service) {
        Forwarding before = wanted.put(service.service(), service);
        need = need.plus(XdpDirector.Capacity.of(service)).minus(takenBy(before));
        boolean fits = capacity.equals(capacity.atLeast(need))
                && looked.containsAll(addresses(service))
                && looked.containsAll(translated(service));
        Opened engine = opened;
        if (engine != null && (fits || !isOnTrial(service))) {
            give(engine, service);
        } else if (engine == null && !trouble.isEmpty()) {
            refuse(service, trouble);
        }
        if (engine == null || !fits) {
            var _ = settle();
        }
    }

    @Override
    public void remove(String service) {
        Forwarding before = wanted.remove(service);
        if (before == null) {
            return;
        }
        need = need.minus(takenBy(before));
        given.remove(service);
        if (opened != null) {
            opened.remove(service);
        }
        if (wanted.isEmpty()) {
            var _ = settle();
        }
    }

    private static Set<InetAddress> addresses(Forwarding service) {
        Set<InetAddress> addresses = new HashSet<>();
        service.listen().forEach(endpoint -> addresses.add(endpoint.address()));
        return addresses;
    }

    private static Set<InetAddress> translated(Forwarding service) {
        Set<InetAddress> servers = new HashSet<>();
        if (!service.method().keepsPort()) {
            service.servers().forEach(server -> servers.add(server.address().getAddress()));
            service.sorry().ifPresent(sorry -> servers.add(sorry.getAddress()));
        }
        return servers;
    }

    private static XdpDirector.Capacity takenBy(@Nullable Forwarding service) {
        return service == null ? NOTHING : XdpDirector.Capacity.of(service);
    }

    private void refuse(Forwarding service, String reason) {
        for (Endpoint endpoint : service.listen()) {
            events.notListening(service.service(), endpoint, reason);
        }
    }

    /** Whether another engine may have it where this one cannot have it fully. */
    private boolean isOnTrial(Forwarding service) {
        return service.engine() == EngineKind.AUTO && !given.contains(service.service());
    }

    /** One that another engine may have is taken only where the program is at its best on every interface. */
    private void give(Opened engine, Forwarding service) {
        Optional<String> poor = isOnTrial(service) ? poor(engine.attachments()) : Optional.empty();
        if (poor.isPresent()) {
            refuse(service, poor.get());
        } else {
            given.add(service.service());
            engine.put(service);
        }
    }

    private static Optional<String> poor(List<XdpDirector.Attachment> attachments) {
        if (attachments.isEmpty()) {
            return Optional.of("the engine xdp has no interface to be on");
        }
        for (XdpDirector.Attachment each : attachments) {
            if (!each.trouble().isEmpty()) {
                return Optional.of(each.device() + ": " + each.trouble());
            }
            if (!each.mode().equals(XdpLink.Mode.NATIVE.toString())) {
                return Optional.of(
                        "the driver of " + each.device() + " has no native XDP, and the generic way is several"
                                + " times slower (`engine: xdp` takes it nonetheless)");
            }
        }
        return Optional.empty();
    }

    /**
     * Brings the kernel to what is wanted: also takes away what an earlier process left, where nothing is. Needed once
     * after the first services were put, or none; from then on it happens by itself.
     *
     * @return done when nothing is left to do at the moment, whether or not it could be had
     */
    public CompletionStage<Void> settle() {
        CompletableFuture<Void> done = new CompletableFuture<>();
        awaited.add(done);
        if (busy) {
            again = true;
        } else {
            // After what else is put in this step of the loop.
            busy = true;
            loop.execute(this::step);
        }
        return done;
    }

    private void step() {
        again = false;
        if (closed) {
            finish();
        } else if (wanted.isEmpty()) {
            leave();
        } else {
            look();
        }
    }

    private void finish() {
        if (again) {
            step();
            return;
        }
        busy = false;
        List<CompletableFuture<Void>> done = List.copyOf(awaited);
        awaited.clear();
        done.forEach(future -> future.complete(null));
    }

    private void leave() {
        letGo();
        trouble = "";
        capacity = XdpDirector.Capacity.DEFAULT;
        if (gone) {
            finish();
            return;
        }
        run(
                () -> {
                    kernel.dismantle();
                    return true;
                },
                dismantled -> {
                    gone = dismantled;
                    finish();
                });
    }

    private void letGo() {
        if (opened != null) {
            if (sharing != null) {
                sharing.accept(Optional.empty());
            }
            opened.close();
            opened = null;
        }
        if (asking != null) {
            asking.cancel();
            asking = null;
        }
        impostors = Map.of();
        acceptance.clear();
        unwatched.clear();
        looked = Set.of();
    }

    /**
     * A real server that has the service's address and answers ARP for it takes clients' packets past the director, until
     * the next ARP answer gives them back: the classic mistake with direct routing, and hard to see from any one machine.
     */
    private void askWhoElse() {
        Set<Inet4Address> asked = new HashSet<>();
        for (Forwarding service : wanted.values()) {
            for (InetAddress address : service.method().keepsPort() ? addresses(service) : Set.<InetAddress>of()) {
                if (address instanceof Inet4Address ipv4 && !elsewhere.contains(address)) {
                    asked.add(ipv4);
                }
            }
        }
        List<String> where = devices;
        ask(() -> impostors(where, asked), Map.<InetAddress, String>of(), heard -> {
            tell(heard);
            askServers();
        });
    }

    private Map<InetAddress, String> impostors(List<String> where, Set<Inet4Address> asked) throws IOException {
        return asked.isEmpty() ? Map.of() : kernel.impostors(where, asked);
    }

    /** Asks something beside the loop; where it is not open any more by then, nobody is to hear of it. */
    private <T> void ask(Wait<T> question, T unknown, Consumer<T> then) {
        Opened asking = opened;
        beside.execute(() -> {
            T answer;
            try {
                answer = question.call();
            } catch (IOException | RuntimeException e) {
                // No network at the moment, or no permission: then nothing is known, which is no finding.
                answer = unknown;
            }
            T heard = answer;
            loop.execute(() -> {
                if (opened != null && opened.equals(asking)) {
                    then.accept(heard);
                }
            });
        });
    }

    /** That servers are well where their checks ask them does not say that they take what clients send. */
    private void askServers() {
        Set<InetAddress> services = new HashSet<>();
        wanted.values().forEach(service -> services.addAll(addresses(service)));
        List<List<Asked>> runs = PathProbe.inRuns(paths(), ASKED_AT_ONCE);
        askServers(runs, services, Heard.nothing());
    }

    private void askServers(List<List<Asked>> left, Set<InetAddress> services, Heard all) {
        if (!left.isEmpty()) {
            ask(() -> kernel.answers(left.getFirst(), services), Heard.nothing(), heard -> {
                all.answers().putAll(heard.answers());
                all.unasked().putAll(heard.unasked());
                askServers(left.subList(1, left.size()), services, all);
            });
            return;
        }
        Set<Acceptance.Member> asked = new HashSet<>();
        Map<Acceptance.Member, Acceptance.Finding> found = new LinkedHashMap<>();
        // A service may have changed its ways meanwhile, or its checks found the server down.
        Set<Asked> still = new HashSet<>(paths());
        all.answers().forEach((path, answer) -> {
            asked.add(path.member());
            // Of a range, somebody need not listen at every port: that the packet is taken is enough.
            boolean accepts = answer == PathProbe.Answer.ACCEPTS
                    || (answer == PathProbe.Answer.REFUSES && !path.endpoint().single());
            if (!accepts && still.contains(path)) {
                found.putIfAbsent(
                        path.member(), new Acceptance.Finding(path.endpoint(), path.method(), path.server(), answer));
            }
        });
        acceptance.heard(asked, found);
        Map<String, String> why = new LinkedHashMap<>();
        all.unasked().forEach((path, reason) -> {
            if (still.contains(path)) {
                why.putIfAbsent(path.member().service(), reason);
            }
        });
        tellUnwatched(why, asked);
        askLater(acceptance.inDoubt() ? DOUBTING : ASKING_WHO_ELSE);
    }

    /** What is not watched must not look well. */
    private void tellUnwatched(Map<String, String> why, Set<Acceptance.Member> asked) {
        unwatched.keySet().retainAll(wanted.keySet());
        why.forEach((service, reason) -> {
            if (!reason.equals(unwatched.put(service, reason))) {
                events.note(true, service, unwatched(service, reason));
            }
        });
        for (Acceptance.Member member : asked) {
            if (!why.containsKey(member.service()) && unwatched.remove(member.service()) != null) {
                events.note(
                        false,
                        member.service(),
                        member.service() + ": whether its servers take its traffic is watched again");
            }
        }
    }

    private static String unwatched(String service, String reason) {
        return service + ": whether its servers take its traffic is not watched, because " + reason;
    }

    private void askLater(Duration delay) {
        if (asking != null) {
            asking.cancel();
        }
        asking = loop.schedule(delay, () -> {
            // Also whether packets take other interfaces now.
            var _ = settle();
            askWhoElse();
        });
    }

    /** Who is to take packets of services for their own addresses, and can be asked: by TCP, at a port that is to answer. */
    private List<Asked> paths() {
        Map<InetAddress, Resolution.Hop> ways = opened == null ? Map.of() : opened.ways();
        List<Asked> paths = new ArrayList<>();
        for (Forwarding service : wanted.values()) {
            for (Forwarding.Server server : takers(service)) {
                InetAddress address = server.address().getAddress();
                Resolution.Hop way = ways.get(address);
                if (way == null) {
                    continue;
                }
                Acceptance.Member member = new Acceptance.Member(service.service(), server.name());
                for (Endpoint endpoint : service.listen()) {
                    if (endpoint.protocol() == Endpoint.Protocol.TCP && endpoint.single()) {
                        paths.add(new Asked(member, endpoint, service.method(), address, way));
                    }
                }
            }
        }
        return paths;
    }

    private static List<Forwarding.Server> takers(Forwarding service) {
        return service.method().keepsPort()
                ? service.servers().stream()
                        .filter(server -> server.state() == Forwarding.ServerState.UP)
                        .toList()
                : List.of();
    }

    /** Whether a server that was asked is still one of its service, and up. */
    private boolean isTaker(Acceptance.Member member) {
        Forwarding service = wanted.get(member.service());
        return service != null
                && takers(service).stream().anyMatch(server -> server.name().equals(member.server()));
    }

    private final class ToJournal implements Acceptance.Listener {
        @Override
        public void begins(Acceptance.Member member, Acceptance.Finding finding) {
            String subject = member.service() + "/" + member.server();
            events.note(true, subject, subject + " is up, but " + finding.shortly() + ": " + finding.remedy());
        }

        @Override
        public void ends(Acceptance.Member member, Acceptance.Finding finding) {
            String subject = member.service() + "/" + member.server();
            events.note(false, subject, subject + " takes the service's traffic at " + finding.endpoint() + " again");
        }
    }

    private void tell(Map<InetAddress, String> answering) {
        Map<InetAddress, String> heard = new LinkedHashMap<>(answering);
        heard.keySet().removeAll(elsewhere);
        heard.forEach((address, who) -> {
            if (!who.equals(impostors.get(address))) {
                events.note(true, Addresses.print(address), impostor(address, who));
            }
        });
        impostors.forEach((address, who) -> {
            if (!heard.containsKey(address)) {
                events.note(
                        false,
                        Addresses.print(address),
                        "nobody else answers ARP for " + Addresses.print(address) + " any more");
            }
        });
        impostors = heard;
    }

    private static String impostor(InetAddress address, String who) {
        return who + " answers ARP for " + Addresses.print(address)
                + ", so clients may send to it past this director: if it is another director, both have the address (`ballast"
                + " takeover status` there says why); on a real server set net.ipv4.conf.all.arp_ignore=1 and"
                + " net.ipv4.conf.all.arp_announce=2 (`ballast run` does there)";
    }

    private List<String> devices(Set<InetAddress> addresses, Set<InetAddress> servers, Set<String> also)
            throws IOException {
        Set<String> found = new LinkedHashSet<>(kernel.devices(addresses, servers));
        found.addAll(also);
        return List.copyOf(found);
    }

    /**
     * Which addresses move between nodes: others may answer for those that they have, and packets for those that come to
     * this node are to be met at once.
     *
     * @param others addresses that other nodes have now
     * @param interfaces where addresses may come
     */
    public void shared(Set<InetAddress> others, Set<String> interfaces) {
        elsewhere = Set.copyOf(others);
        if (!interfaces.equals(coming)) {
            coming = Set.copyOf(interfaces);
            looked = Set.of();
            if (!wanted.isEmpty()) {
                var _ = settle();
            }
        }
    }

    private void look() {
        Set<InetAddress> addresses = new HashSet<>();
        Set<InetAddress> servers = new HashSet<>();
        wanted.values().forEach(service -> {
            addresses.addAll(addresses(service));
            servers.addAll(translated(service));
        });
        Set<InetAddress> all = new HashSet<>(addresses);
        all.addAll(servers);
        Set<String> also = coming;
        run(() -> devices(addresses, servers, also), found -> {
            XdpDirector.Capacity room = capacity.atLeast(need);
            if (opened != null && found.equals(devices) && room.equals(capacity)) {
                looked = all;
                Opened engine = opened;
                wanted.values().stream().filter(this::isOnTrial).toList().forEach(each -> give(engine, each));
                finish();
                return;
            }
            letGo();
            gone = false;
            OptionalLong hash = seed;
            run(() -> kernel.open(found, room, hash), engine -> {
                capacity = room;
                opened = engine;
                devices = found;
                looked = all;
                trouble = "";
                if (closed) {
                    letGo();
                } else {
                    List.copyOf(wanted.values()).forEach(each -> give(engine, each));
                    engine.retain(
                            wanted.keySet().stream().filter(given::contains).collect(Collectors.toSet()));
                    if (sharing != null) {
                        sharing.accept(Optional.of(engine.share(waysIn)));
                    }
                    askLater(FIRST_ASKING);
                }
                finish();
            });
        });
    }

    /** Something that waits for the kernel. */
    @FunctionalInterface
    private interface Wait<T> {
        T call() throws IOException;
    }

    private <T> void run(Wait<T> wait, Consumer<T> then) {
        beside.execute(() -> {
            try {
                T result = wait.call();
                loop.execute(() -> then.accept(result));
            } catch (IOException | RuntimeException e) {
                loop.execute(() -> failed(e.getMessage() == null ? e.toString() : e.getMessage()));
            }
        });
    }

    private void failed(String reason) {
        boolean news = !reason.equals(trouble);
        trouble = reason;
        if (news && wanted.isEmpty()) {
            events.note(true, name(), reason);
        } else if (news) {
            List.copyOf(wanted.values()).forEach(each -> refuse(each, reason));
        }
        if (retry != null) {
            retry.cancel();
        }
        retry = loop.schedule(AGAIN, () -> {
            var _ = settle();
        });
        finish();
    }

    /**
     * Has other directors know of its connections.
     *
     * @param ways the interfaces by which clients of shared addresses come in
     * @param hash what the hash of tables that are made from now on begins with; the same at all of them
     * @param now told on the loop which table of connections there is, at once and whenever there is another, or none
     */
    public void share(Map<InetAddress, String> ways, OptionalLong hash, Consumer<Optional<ConnectionTable>> now) {
        seed = hash;
        waysIn = Map.copyOf(ways);
        sharing = now;
        now.accept(Optional.ofNullable(opened).map(engine -> engine.share(waysIn)));
    }

    /** What is wrong around it, for people. */
    public List<String> warnings() {
        List<String> warnings = new ArrayList<>();
        if (!trouble.isEmpty()) {
            warnings.add(trouble);
        }
        impostors.forEach((address, who) -> warnings.add(impostor(address, who)));
        acceptance.troubles().entrySet().stream()
                .filter(each -> isTaker(each.getKey()))
                .limit(20)
                .forEach(each -> warnings.add(each.getKey().service() + "/"
                        + each.getKey().server() + " is up, but "
                        + each.getValue().shortly() + ": " + each.getValue().remedy()));
        unwatched.entrySet().stream()
                .limit(20)
                .forEach(each -> warnings.add(unwatched(each.getKey(), each.getValue())));
        return warnings;
    }

    /**
     * What keeps the packets of a service from servers that are up by their checks.
     *
     * @return by the server's name, for a line in a list; without those where nothing is known to
     */
    public Map<String, String> troubles(String service) {
        Forwarding forwarding = wanted.get(service);
        Map<InetAddress, String> unreachable = opened == null ? Map.of() : opened.unreachable();
        Map<Acceptance.Member, Acceptance.Finding> refusing = acceptance.troubles();
        Map<String, String> troubles = new LinkedHashMap<>();
        if (forwarding == null || (unreachable.isEmpty() && refusing.isEmpty())) {
            return troubles;
        }
        for (Forwarding.Server server : forwarding.servers()) {
            if (server.state() != Forwarding.ServerState.UP) {
                continue;
            }
            String way = unreachable.get(server.address().getAddress());
            Acceptance.Finding finding = refusing.get(new Acceptance.Member(service, server.name()));
            if (way != null) {
                troubles.put(server.name(), "is not sent to: " + way);
            } else if (finding != null) {
                troubles.put(server.name(), finding.shortly());
            }
        }
        return troubles;
    }

    /**
     * Begins to look at packets of a service, until that is closed; of one service at a time.
     *
     * @param every of so many packets one is told of
     * @param limit so many are told of at most
     */
    public Trace trace(String service, int every, int limit) throws RefusedException, IOException {
        if (opened == null) {
            throw new RefusedException(
                    RefusedException.Kind.CONFLICT,
                    "the engine xdp is not open" + (trouble.isEmpty() ? "" : ": " + trouble));
        }
        return opened.trace(service, every, limit);
    }

    /** How the engine is; empty where nobody wants it, or it cannot be had. */
    public Optional<Condition> condition() {
        return Optional.ofNullable(opened).map(Opened::condition);
    }

    @Override
    public CompletionStage<List<ServiceStatistics>> statistics() {
        return opened == null ? CompletableFuture.completedFuture(List.of()) : opened.statistics();
    }

    @Override
    public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
        return opened == null ? CompletableFuture.completedFuture(ConnectionReport.EMPTY) : opened.connections(query);
    }

    /** The hosts of these MAC addresses, by their IP addresses where this machine knows them. */
    private static String names(RouteNetlink netlink, Set<MacAddress> macs) {
        List<Neighbour> neighbours;
        try {
            neighbours = netlink.neighbours();
        } catch (IOException e) {
            neighbours = List.of();
        }
        List<String> names = new ArrayList<>();
        for (MacAddress mac : macs) {
            String known = neighbours.stream()
                    .filter(n -> mac.equals(n.mac()) && n.address() instanceof Inet4Address)
                    .map(n -> Addresses.print(n.address()))
                    .distinct()
                    .sorted()
                    .collect(Collectors.joining(", "));
            names.add(known.isEmpty() ? "the host " + mac : known + " (" + mac + ")");
        }
        return String.join(" and ", names);
    }

    private static Heard answers(List<Asked> paths, Set<InetAddress> services) throws IOException {
        Map<PathProbe.Question, Asked> questions = new LinkedHashMap<>();
        Heard heard = Heard.nothing();
        List<Address> own;
        try (RouteNetlink netlink = RouteNetlink.open()) {
            own = netlink.addresses();
        }
        for (Asked path : paths) {
            Optional<InetAddress> source = SourceChoice.any(
                    path.way().sourceAddress(),
                    path.server(),
                    path.way().link(),
                    path.endpoint().ipv6(),
                    own,
                    services);
            if (source.isPresent()) {
                questions.put(
                        new PathProbe.Question(path.endpoint(), path.method(), path.server(), path.way(), source.get()),
                        path);
            } else {
                heard.unasked()
                        .put(
                                path,
                                "this machine has no " + (path.endpoint().ipv6() ? "IPv6" : "IPv4")
                                        + " address but those of services, at which it would not hear the answers:"
                                        + " give the interface toward the servers an address of its own");
            }
        }
        try {
            PathProbe.ask(List.copyOf(questions.keySet()), ASKING_SERVERS)
                    .forEach((question, answer) ->
                            heard.answers().put(Objects.requireNonNull(questions.get(question)), answer));
        } catch (LinuxException e) {
            if (e.errno() != Errno.EPERM) {
                throw e;
            }
            questions.values().forEach(path -> heard.unasked().put(path, "that needs CAP_NET_RAW"));
        }
        return heard;
    }

    /**
     * On this machine, for the network namespace of the calling thread.
     *
     * @param bpffs where a bpffs is to be mounted where the machine has none
     * @param instance the name of this director among others of the machine
     */
    public static XdpOnDemand onThisMachine(Loop loop, EngineEvents events, Path bpffs, String instance) {
        ThreadPoolExecutor thread = new ThreadPoolExecutor(
                1,
                1,
                0,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().name("xdp").daemon().factory());
        // It is of this namespace because it is made by a thread of it.
        thread.prestartCoreThread();
        return new XdpOnDemand(
                loop,
                events,
                new Kernel() {
                    @Override
                    public List<String> devices(Set<InetAddress> services, Set<InetAddress> translated)
                            throws IOException {
                        Set<String> devices = new LinkedHashSet<>(XdpDirector.devicesOf(services));
                        devices.addAll(XdpDirector.devicesToward(translated));
                        return List.copyOf(devices);
                    }

                    @Override
                    public Opened open(List<String> devices, XdpDirector.Capacity capacity, OptionalLong seed)
                            throws IOException {
                        return XdpDirector.open(loop, events, bpffs, instance, devices, capacity, seed);
                    }

                    @Override
                    public Map<InetAddress, String> impostors(List<String> devices, Set<Inet4Address> addresses)
                            throws IOException {
                        Map<InetAddress, String> all = new LinkedHashMap<>();
                        try (RouteNetlink netlink = RouteNetlink.open()) {
                            Set<MacAddress> own = new HashSet<>();
                            netlink.links().forEach(link -> own.add(link.address()));
                            for (String device : devices) {
                                Optional<Link> link = netlink.link(device).filter(Link::up);
                                if (link.isEmpty()) {
                                    continue;
                                }
                                ArpProbe.whoElseHas(link.get(), addresses, ANSWERING)
                                        .forEach((address, macs) -> {
                                            macs.removeAll(own); // another interface on the same network
                                            if (!macs.isEmpty()) {
                                                all.put(address, names(netlink, macs));
                                            }
                                        });
                            }
                        }
                        return all;
                    }

                    @Override
                    public Heard answers(List<Asked> paths, Set<InetAddress> services) throws IOException {
                        return XdpOnDemand.answers(paths, services);
                    }

                    @Override
                    public void dismantle() throws IOException {
                        var _ = XdpDirector.dismantle(bpffs, instance);
                    }
                },
                thread);
    }

    /** Takes everything away: nothing is forwarded from then on. */
    public CompletionStage<Void> dismantle() {
        wanted.clear();
        given.clear();
        need = NOTHING;
        return settle();
    }

    /** Lets go; packets go on. */
    @Override
    public void close() {
        closed = true;
        letGo();
    }
}

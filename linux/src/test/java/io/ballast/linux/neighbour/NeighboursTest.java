package io.ballast.linux.neighbour;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.loop.ControlLoop;
import io.ballast.linux.Capability;
import io.ballast.linux.Host;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.neighbour.state.Resolution.Reason;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A director and a server, each in a namespace without a name, on one wire. */
@Timeout(120)
class NeighboursTest {
    private static final InetAddress DIRECTOR = InetAddress.ofLiteral("192.0.2.1");
    private static final InetAddress SERVER = InetAddress.ofLiteral("192.0.2.2");
    private static final InetAddress SERVER6 = InetAddress.ofLiteral("2001:db8::2");
    private static final InetAddress NOBODY = InetAddress.ofLiteral("192.0.2.3");
    private static final InetAddress FAR = InetAddress.ofLiteral("198.51.100.9");

    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private final List<Throwable> failures = new CopyOnWriteArrayList<>();
    private final Map<InetAddress, Resolution> told = new ConcurrentHashMap<>();
    private NetworkNamespace here;
    private RouteNetlink mine;
    private RouteNetlink theirs;
    private ControlLoop loop;
    private int wire;
    private int serverLink;

    private <T extends AutoCloseable> T open(T resource) {
        opened.push(resource);
        return resource;
    }

    @BeforeEach
    void wired() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        here = open(NetworkNamespace.create());
        NetworkNamespace there = open(NetworkNamespace.create());
        mine = open(here.call(RouteNetlink::open));
        theirs = open(there.call(RouteNetlink::open));
        mine.create(new NewLink.Veth("eth0", "eth0", there));
        wire = mine.link("eth0").orElseThrow().index();
        serverLink = theirs.link("eth0").orElseThrow().index();
        mine.setUp(wire, true);
        theirs.setUp(serverLink, true);
        mine.add(Address.of(wire, DIRECTOR, 24));
        theirs.add(Address.of(serverLink, SERVER, 24));
        Set<Address.Flag> nodad = Set.of(Address.Flag.NODAD);
        mine.add(Address.of(wire, InetAddress.ofLiteral("2001:db8::1"), 64).withFlags(nodad));
        theirs.add(Address.of(serverLink, SERVER6, 64).withFlags(nodad));
        loop = open(new ControlLoop("test loop", Duration.ofSeconds(30), new ControlLoop.Observer() {
            @Override
            public void failed(Runnable task, Throwable error) {
                failures.add(error);
            }

            @Override
            public void stalled(Runnable task, Duration soFar, List<StackTraceElement> where) {}
        }));
    }

    @AfterEach
    void close() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
        assertThat(failures).isEmpty();
    }

    private Neighbours start() throws Exception {
        return open(here.call(() -> Neighbours.start(loop, told::put)));
    }

    private boolean leadsTo(InetAddress server, MacAddress mac) {
        return told.get(server) instanceof Resolution.Hop hop
                && hop.destination().equals(mac);
    }

    private boolean isUnresolved(InetAddress server, Reason reason) {
        return told.get(server) instanceof Resolution.Unresolved unresolved && unresolved.reason() == reason;
    }

    private static MacAddress mac(RouteNetlink netlink, int link) throws Exception {
        Link found = netlink.link(link).orElseThrow();
        MacAddress mac = found.address();
        assertThat(mac).isNotNull();
        return mac;
    }

    @Test
    void serversAreResolvedFollowedAndReleased() throws Exception {
        MacAddress own = mac(mine, wire);
        MacAddress first = mac(theirs, serverLink);
        Neighbours neighbours = start();
        neighbours.track(Set.of(SERVER, SERVER6, NOBODY, FAR, DIRECTOR));
        Host.await("both families", () -> leadsTo(SERVER, first) && leadsTo(SERVER6, first));
        assertThat(told.get(SERVER)).isEqualTo(new Resolution.Hop(wire, "eth0", own, first, 1500, DIRECTOR, SERVER));
        Host.await("own address", () -> isUnresolved(DIRECTOR, Reason.OWN_ADDRESS));
        Host.await("no route", () -> isUnresolved(FAR, Reason.NO_ROUTE));
        assertThat(told.get(FAR))
                .isEqualTo(new Resolution.Unresolved(Reason.NO_ROUTE, "ENETUNREACH: network is unreachable"));

        // A route that comes.
        mine.add(Route.to(new Prefix(InetAddress.ofLiteral("198.51.100.0"), 24), wire, SERVER)
                .withLimits(1400, 0));
        Host.await("way through the router", () -> leadsTo(FAR, first));
        assertThat(told.get(FAR)).isEqualTo(new Resolution.Hop(wire, "eth0", own, first, 1400, DIRECTOR, SERVER));

        // A link that gets smaller.
        mine.setMtu(wire, 1300);
        Host.await("MTU", () -> told.get(SERVER) instanceof Resolution.Hop hop && hop.mtu() == 1300);

        // Another Ethernet address, as of a spare server, that makes itself heard.
        MacAddress second = MacAddress.parse("02:00:00:00:00:02");
        theirs.setAddress(serverLink, second);
        theirs.keepNeighbour(serverLink, DIRECTOR);
        Host.await("new Ethernet address", () -> leadsTo(SERVER, second));

        Host.await("nobody there", () -> isUnresolved(NOBODY, Reason.NO_ANSWER));
        assertThat(told.get(NOBODY))
                .isEqualTo(new Resolution.Unresolved(Reason.NO_ANSWER, "192.0.2.3 does not answer ARP on eth0"));
        theirs.add(Address.of(serverLink, NOBODY, 24));
        Host.await("somebody there", () -> leadsTo(NOBODY, second));

        // A cable that is pulled and plugged in again.
        theirs.setUp(serverLink, false);
        Host.await("no carrier", () -> isUnresolved(SERVER, Reason.LINK_DOWN));
        theirs.setUp(serverLink, true);
        Host.await("carrier again", () -> leadsTo(SERVER, second));

        boolean managed = mine.neighbour(wire, SERVER).map(Neighbour::managed).orElse(false);
        neighbours.track(Set.of());
        if (managed) { // kernel 5.16
            Host.await("release", () -> {
                try {
                    return mine.neighbours().stream().noneMatch(Neighbour::managed);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }

    @Test
    void silentChangeIsFoundByVerifying() throws Exception {
        MacAddress first = mac(theirs, serverLink);
        Neighbours neighbours = start();
        neighbours.track(Set.of(SERVER));
        Host.await("resolved", () -> leadsTo(SERVER, first));
        MacAddress second = MacAddress.parse("02:00:00:00:00:02");
        theirs.setAddress(serverLink, second);
        // Once a second at most; the first may come too early.
        Host.await("new Ethernet address", () -> {
            neighbours.verify(SERVER);
            return leadsTo(SERVER, second);
        });
    }

    @Test
    void missingPermissionIsTheReason() throws Exception {
        open(here.call(() -> Host.withoutCapabilities(() -> {
            Neighbours neighbours = Neighbours.start(loop, told::put);
            neighbours.track(Set.of(SERVER));
            return neighbours;
        })));
        Host.await("refusal", () -> isUnresolved(SERVER, Reason.REFUSED));
        assertThat(told.get(SERVER))
                .isEqualTo(new Resolution.Unresolved(
                        Reason.REFUSED,
                        "RTM_NEWNEIGH keep 192.0.2.2 on eth0: EPERM: operation not permitted (needs CAP_NET_ADMIN)"));
    }

    @Test
    void closingEndsItsThreads() throws Exception {
        Neighbours neighbours = start();
        neighbours.track(Set.of(SERVER));
        Host.await("resolved", () -> told.get(SERVER) instanceof Resolution.Hop);
        neighbours.close();
        neighbours.track(Set.of(FAR));
        neighbours.close();
        Host.await(
                "no request thread",
                () -> Thread.getAllStackTraces().keySet().stream()
                        .noneMatch(thread -> thread.getName().equals("netlink requests")));
        assertThat(told).doesNotContainKey(FAR);
    }
}

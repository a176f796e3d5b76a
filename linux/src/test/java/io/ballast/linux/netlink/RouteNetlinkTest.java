package io.ballast.linux.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Capability;
import io.ballast.linux.Errno;
import io.ballast.linux.Host;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetworkNamespace;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Against the kernel, in namespaces without a name, which are gone with the last descriptor of theirs. */
@Timeout(60)
class RouteNetlinkTest {
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();
    private NetworkNamespace here;
    private NetworkNamespace there;
    private RouteNetlink mine;
    private RouteNetlink theirs;

    private static InetAddress ip(String text) {
        return InetAddress.ofLiteral(text);
    }

    private <T extends AutoCloseable> T open(T resource) {
        opened.push(resource);
        return resource;
    }

    @BeforeEach
    void twoHosts() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        here = open(NetworkNamespace.create());
        there = open(NetworkNamespace.create());
        mine = open(here.call(RouteNetlink::open));
        theirs = open(there.call(RouteNetlink::open));
    }

    @AfterEach
    void close() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
    }

    /** A wire between the hosts, up at both ends. */
    private Link wire() throws Exception {
        mine.create(new NewLink.Veth("a0", "b0", there));
        theirs.setUp(link(theirs, "b0").index(), true);
        mine.setUp(link(mine, "a0").index(), true);
        Host.await("a0 running", () -> link(mine, "a0").running());
        return link(mine, "a0");
    }

    private static Link link(RouteNetlink netlink, String name) {
        try {
            return netlink.link(name).orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void linksAreListedAndFound() throws Exception {
        Link wire = wire();
        assertThat(mine.links()).extracting(Link::name).containsExactlyInAnyOrder("lo", "a0");
        Link lo = link(mine, "lo");
        assertThat(lo.isEthernet()).isFalse();
        assertThat(lo.up()).isTrue();
        assertThat(lo.mtu()).isEqualTo(65_536);
        assertThat(wire.kind()).isEqualTo("veth");
        assertThat(wire.isEthernet()).isTrue();
        assertThat(wire.address()).isNotNull();
        assertThat(wire.xdp()).isNull();
        assertThat(wire.peer()).isEqualTo(link(theirs, "b0").index());
        assertThat(wire.peerElsewhere()).isTrue();
        assertThat(mine.link(wire.index())).contains(wire);
        assertThat(mine.link("nosuch")).isEmpty();
        assertThat(mine.link(4711)).isEmpty();
        assertThat(mine.link(0)).isEmpty();
    }

    @Test
    void linksAreChangedAndDeleted() throws Exception {
        int wire = wire().index();
        mine.setMtu(wire, 1400);
        MacAddress mac = MacAddress.parse("02:00:5e:10:00:01");
        mine.setAddress(wire, mac);
        assertThat(link(mine, "a0").mtu()).isEqualTo(1400);
        assertThat(link(mine, "a0").address()).isEqualTo(mac);
        mine.setUp(wire, false);
        assertThat(link(mine, "a0").up()).isFalse();
        assertThat(link(theirs, "b0").running()).isFalse();
        assertThat(link(theirs, "b0").up()).isTrue();
        mine.deleteLink(wire);
        assertThat(mine.link(wire)).isEmpty();
        assertThat(theirs.link("b0")).describedAs("the other end").isEmpty();
    }

    @Test
    void macvlanHasItsOwnAddressOnItsParent() throws Exception {
        int wire = wire().index();
        MacAddress mac = MacAddress.parse("00:00:5e:00:01:4d");
        createOrSkip(new NewLink.Macvlan("vrrp77", wire, NewLink.Macvlan.Mode.PRIVATE, mac));
        Link macvlan = link(mine, "vrrp77");
        assertThat(macvlan.kind()).isEqualTo("macvlan");
        assertThat(macvlan.peer()).isEqualTo(wire);
        assertThat(macvlan.peerElsewhere()).isFalse();
        assertThat(macvlan.address()).isEqualTo(mac);
        assertThat(macvlan.alias()).isEmpty();
        mine.setAlias(macvlan.index(), "ballast front");
        assertThat(link(mine, "vrrp77").alias()).isEqualTo("ballast front");
    }

    @Test
    void tunnelsAreMade() throws Exception {
        createOrSkip(new NewLink.Tunnel("tun4", NewLink.Tunnel.Kind.IPIP, null, null, true));
        createOrSkip(new NewLink.Tunnel("tun6", NewLink.Tunnel.Kind.IP6TNL, null, null, true));
        createOrSkip(new NewLink.Tunnel("tunp", NewLink.Tunnel.Kind.IPIP, ip("192.0.2.1"), ip("192.0.2.2"), false));
        assertThat(link(mine, "tun4").kind()).isEqualTo("ipip");
        assertThat(link(mine, "tun6").kind()).isEqualTo("ip6tnl");
    }

    @Test
    void dummyIsMade() throws Exception {
        createOrSkip(new NewLink.Dummy("vips"));
        assertThat(link(mine, "vips").kind()).isEqualTo("dummy");
    }

    private void createOrSkip(NewLink link) throws Exception {
        try {
            mine.create(link);
        } catch (LinuxException e) {
            Assumptions.assumeTrue(e.errno() != Errno.EOPNOTSUPP, "this kernel lacks the driver: " + e.getMessage());
            throw e;
        }
    }

    @Test
    void manyAddressesAreChangedAtOnceAndRefusalsSayWhy() throws Exception {
        int wire = wire().index();
        List<Address> many = IntStream.range(0, 200)
                .mapToObj(i -> Address.of(wire, ip("198.51.100." + (1 + i)), 24).withProtocol(112))
                .toList();
        List<Address> there = List.of(many.get(0), many.get(63), many.get(64), many.get(199));
        assertThat(mine.addAll(there)).isEmpty();
        Map<Address, LinuxException> refused = mine.addAll(many);
        assertThat(refused.keySet()).containsExactlyElementsOf(there);
        assertThat(refused.get(many.get(64)))
                .hasMessageStartingWith("RTM_NEWADDR 198.51.100.65/24 on a0: EEXIST: file exists");
        assertThat(mine.addresses(wire).stream().filter(address -> address.protocol() == 112))
                .hasSameSizeAs(many);
        assertThat(mine.replaceAll(many)).isEmpty();
        assertThat(mine.removeAll(many.reversed())).isEmpty();
        assertThat(mine.removeAll(List.of(many.get(7))).values())
                .extracting(LinuxException::errno)
                .containsExactly(Errno.EADDRNOTAVAIL);
        assertThat(mine.addAll(List.of())).isEmpty();
        assertThatThrownBy(() -> mine.addresses(4711)).hasMessageContaining("ENODEV");
    }

    @Test
    void addressesComeAndGo() throws Exception {
        int wire = wire().index();
        Address four = Address.of(wire, ip("192.0.2.6"), 25);
        mine.add(four);
        Address six = Address.of(wire, ip("2001:db8::6"), 128)
                .withFlags(Set.of(Address.Flag.NODAD))
                .withLifetime(Duration.ZERO, Duration.ofSeconds(1000));
        mine.add(six);
        Address lo = Address.of(1, ip("192.0.2.7"), 32).withScope(Scope.LINK);
        mine.add(lo);
        assertThat(mine.addresses())
                .contains(four.withFlags(Set.of(Address.Flag.PERMANENT)), lo.withFlags(Set.of(Address.Flag.PERMANENT)));
        Address found = mine.addresses().stream()
                .filter(address -> address.address().equals(six.address()))
                .findFirst()
                .orElseThrow();
        assertThat(found.flags()).contains(Address.Flag.NODAD, Address.Flag.DEPRECATED);
        assertThat(found.flags()).doesNotContain(Address.Flag.TENTATIVE, Address.Flag.PERMANENT);
        assertThat(found.preferred()).isEqualTo(Duration.ZERO);
        assertThat(found.valid()).isBetween(Duration.ofSeconds(900), Duration.ofSeconds(1000));

        assertThatThrownBy(() -> mine.add(four))
                .hasMessageStartingWith("RTM_NEWADDR 192.0.2.6/25 on a0: EEXIST: file exists");
        mine.replace(six.withLifetime(null, null));
        mine.remove(four);
        assertThatThrownBy(() -> mine.remove(four))
                .hasMessageStartingWith(
                        "RTM_DELADDR 192.0.2.6/25 on a0: EADDRNOTAVAIL: cannot assign requested address");
        assertThat(mine.addresses()).extracting(Address::address).doesNotContain(four.address());
        assertThat(mine.addresses()).anySatisfy(address -> {
            assertThat(address.address()).isEqualTo(six.address());
            assertThat(address.valid()).isNull();
        });
    }

    @Test
    void routesComeAndGoAndAnswer() throws Exception {
        int wire = wire().index();
        mine.add(Address.of(wire, ip("192.0.2.1"), 24));
        mine.add(Address.of(wire, ip("2001:db8::1"), 64).withFlags(Set.of(Address.Flag.NODAD)));
        Route four = Route.to(new Prefix(ip("198.51.100.0"), 24), wire, ip("192.0.2.254"))
                .withMetric(50)
                .withLimits(1400, 1360);
        Route six = Route.to(new Prefix(ip("2001:db8:1::"), 48), wire, ip("2001:db8::fe"))
                .withMetric(60);
        Route elsewhere =
                Route.to(new Prefix(ip("0.0.0.0"), 0), wire, ip("192.0.2.253")).withTable(1000);
        mine.add(four);
        mine.add(six);
        mine.add(elsewhere);
        assertThat(mine.routes()).contains(four, six, elsewhere);

        Route answer = mine.route(ip("198.51.100.9"));
        assertThat(answer.type()).isEqualTo(Route.Type.UNICAST);
        assertThat(answer.hops()).containsExactly(new Route.Hop(wire, ip("192.0.2.254")));
        assertThat(answer.source()).isEqualTo(ip("192.0.2.1"));
        assertThat(answer.mtu()).isEqualTo(1400);
        assertThat(mine.route(ip("192.0.2.77")).hops()).containsExactly(new Route.Hop(wire, null));
        assertThat(mine.route(ip("192.0.2.1")).type()).isEqualTo(Route.Type.LOCAL);
        Route answer6 = mine.route(ip("2001:db8:1::9"));
        assertThat(answer6.hops()).containsExactly(new Route.Hop(wire, ip("2001:db8::fe")));
        assertThat(answer6.source()).isEqualTo(ip("2001:db8::1"));

        assertThatThrownBy(() -> mine.route(ip("203.0.113.1")))
                .hasMessage("RTM_GETROUTE 203.0.113.1: ENETUNREACH: network is unreachable");
        assertThatThrownBy(() -> mine.route(ip("2001:db8:2::1")))
                .hasMessage("RTM_GETROUTE 2001:db8:2::1: ENETUNREACH: network is unreachable");
        assertThatThrownBy(() -> mine.add(four))
                .hasMessage("RTM_NEWROUTE 198.51.100.0/24 via 192.0.2.254 on a0: EEXIST: file exists");
        assertThatThrownBy(() -> mine.add(Route.to(new Prefix(ip("203.0.113.0"), 24), wire, ip("203.0.113.1"))))
                .hasMessageStartingWith("RTM_NEWROUTE 203.0.113.0/24 via 203.0.113.1 on a0: ENETUNREACH: ")
                .hasMessageContaining("Nexthop has invalid gateway");
        mine.replace(four.withLimits(1300, 0));
        assertThat(mine.route(ip("198.51.100.9")).mtu()).isEqualTo(1300);
        mine.remove(four.withLimits(0, 0));
        assertThatThrownBy(() -> mine.remove(four)).hasMessageContaining("ESRCH");
    }

    @Test
    void gatewayMayBeOfTheOtherFamily() throws Exception {
        int wire = wire().index();
        mine.add(Address.of(wire, ip("2001:db8::1"), 64).withFlags(Set.of(Address.Flag.NODAD)));
        mine.add(Address.of(1, ip("192.0.2.1"), 32));
        Route route = Route.to(new Prefix(ip("198.51.100.0"), 24), wire, ip("2001:db8::fe"));
        mine.add(route);
        assertThat(mine.routes()).contains(route);
        assertThat(mine.route(ip("198.51.100.9")).hops()).containsExactly(new Route.Hop(wire, ip("2001:db8::fe")));
    }

    @Test
    void neighbourIsResolvedKeptProbedReleasedAndRemoved() throws Exception {
        int wire = wire().index();
        mine.add(Address.of(wire, ip("192.0.2.1"), 24));
        theirs.add(Address.of(link(theirs, "b0").index(), ip("192.0.2.2"), 24));
        MacAddress mac = link(theirs, "b0").address();
        assertThat(mac).isNotNull();
        InetAddress server = ip("192.0.2.2");
        assertThat(mine.neighbour(wire, server)).isEmpty();

        mine.keepNeighbour(wire, server);
        Host.await("resolved", () -> state(wire, server) == Neighbour.State.REACHABLE);
        Neighbour kept = mine.neighbour(wire, server).orElseThrow();
        Assumptions.assumeTrue(kept.managed(), "needs kernel 5.16 for managed neighbours");
        assertThat(kept).isEqualTo(new Neighbour(wire, server, Neighbour.State.REACHABLE, mac, true));
        assertThat(mine.neighbours()).contains(kept);

        mine.releaseNeighbour(wire, server);
        assertThat(mine.neighbour(wire, server).orElseThrow().managed()).isFalse();
        mine.probeNeighbour(wire, server);
        Host.await("confirmed", () -> state(wire, server) == Neighbour.State.REACHABLE);

        mine.keepNeighbour(wire, ip("192.0.2.3"));
        assertThat(mine.neighbour(wire, ip("192.0.2.3")).orElseThrow().state()).isEqualTo(Neighbour.State.INCOMPLETE);
        assertThatThrownBy(() -> mine.probeNeighbour(wire, ip("192.0.2.3")))
                .hasMessageStartingWith("RTM_NEWNEIGH probe 192.0.2.3 on a0: EINVAL: invalid argument");
        assertThatThrownBy(() -> mine.releaseNeighbour(wire, ip("192.0.2.4")))
                .hasMessageStartingWith("RTM_NEWNEIGH release 192.0.2.4 on a0: ENOENT");

        mine.setNeighbour(wire, ip("192.0.2.3"), mac);
        assertThat(mine.neighbour(wire, ip("192.0.2.3")).orElseThrow().state()).isEqualTo(Neighbour.State.PERMANENT);
        mine.removeNeighbour(wire, server);
        assertThat(mine.neighbour(wire, server).map(Neighbour::state))
                .isNotEqualTo(Optional.of(Neighbour.State.REACHABLE));
    }

    private Neighbour.State state(int link, InetAddress address) {
        try {
            return mine.neighbour(link, address).map(Neighbour::state).orElse(Neighbour.State.NONE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void changesAreFollowed() throws Exception {
        List<RouteEvent> events = new CopyOnWriteArrayList<>();
        open(here.call(() -> RouteWatch.start(EnumSet.allOf(RouteWatch.Topic.class), events::add)));
        int wire = wire().index();
        Address address = Address.of(wire, ip("192.0.2.1"), 24);
        mine.add(address);
        Route route = Route.to(new Prefix(ip("198.51.100.0"), 24), wire, ip("192.0.2.254"));
        mine.add(route);
        mine.setNeighbour(wire, ip("192.0.2.2"), MacAddress.parse("02:00:00:00:00:02"));
        mine.removeNeighbour(wire, ip("192.0.2.2"));
        mine.remove(route);
        mine.remove(address);
        mine.deleteLink(wire);
        Host.await(
                "the last event",
                () -> events.stream()
                        .anyMatch(event -> event instanceof RouteEvent.LinkRemoved removed
                                && removed.link().index() == wire));
        Address added = address.withFlags(Set.of(Address.Flag.PERMANENT));
        assertThat(events)
                .contains(
                        new RouteEvent.AddressChanged(added),
                        new RouteEvent.AddressRemoved(added),
                        new RouteEvent.RouteChanged(route),
                        new RouteEvent.RouteRemoved(route),
                        new RouteEvent.NeighbourChanged(new Neighbour(
                                wire,
                                ip("192.0.2.2"),
                                Neighbour.State.PERMANENT,
                                MacAddress.parse("02:00:00:00:00:02"),
                                false)))
                .anySatisfy(event -> assertThat(event).isInstanceOf(RouteEvent.NeighbourRemoved.class))
                .anySatisfy(event -> assertThat(event)
                        .isInstanceOfSatisfying(
                                RouteEvent.LinkChanged.class,
                                changed -> assertThat(changed.link().running()).isTrue()));
    }

    @Test
    void tooManyChangesAreALossAndThenGoOn() throws Exception {
        List<RouteEvent> events = new CopyOnWriteArrayList<>();
        CountDownLatch go = new CountDownLatch(1);
        open(here.call(() -> RouteWatch.start(EnumSet.of(RouteWatch.Topic.LINKS), event -> {
            try {
                go.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            events.add(event);
        })));
        for (int i = 0; i < 6_000; i++) {
            mine.setMtu(1, 60_000 + i % 2);
        }
        go.countDown();
        Host.await("a loss", () -> events.stream().anyMatch(RouteEvent.Lost.class::isInstance));
        mine.setMtu(1, 50_000);
        Host.await(
                "later changes",
                () -> events.stream()
                        .anyMatch(event -> event instanceof RouteEvent.LinkChanged changed
                                && changed.link().mtu() == 50_000));
        assertThat(events)
                .filteredOn(RouteEvent.Lost.class::isInstance)
                .contains(new RouteEvent.Lost("ENOBUFS: no buffer space available"));
    }

    @Test
    void closedWatchEndsItsThread() throws Exception {
        AtomicReference<Thread> thread = new AtomicReference<>();
        RouteWatch watch = here.call(() ->
                RouteWatch.start(EnumSet.of(RouteWatch.Topic.LINKS), event -> thread.set(Thread.currentThread())));
        mine.setMtu(1, 50_000);
        Host.await("an event", () -> thread.get() != null);
        watch.close();
        Thread ended = thread.get();
        assertThat(ended).isNotNull();
        assertThat(ended.join(Duration.ofSeconds(30))).isTrue();
    }

    @Test
    void withoutPermissionTheCapabilityIsNamed() throws Exception {
        int wire = wire().index();
        assertThatThrownBy(() -> here.call(() -> Host.withoutCapabilities(() -> {
                    try (RouteNetlink netlink = RouteNetlink.open()) {
                        assertThat(netlink.links()).hasSize(2);
                        netlink.setUp(wire, false);
                        return 0;
                    }
                })))
                .hasMessage("RTM_NEWLINK a0 down: EPERM: operation not permitted (needs CAP_NET_ADMIN)");
    }

    @Test
    void closingTwiceIsHarmless() throws Exception {
        RouteNetlink netlink = here.call(RouteNetlink::open);
        netlink.close();
        netlink.close();
        assertThatThrownBy(netlink::links).hasMessage("netlink ROUTE: closed");
    }
}

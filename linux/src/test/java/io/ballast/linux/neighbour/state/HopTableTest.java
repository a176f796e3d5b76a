package io.ballast.linux.neighbour.state;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.neighbour.state.Resolution.Reason;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteEvent;
import io.ballast.linux.netlink.Scope;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class HopTableTest {
    private static final int ETH0 = 2;
    private static final int ETH1 = 3;
    private static final InetAddress SERVER = InetAddress.ofLiteral("192.0.2.10");
    private static final InetAddress FAR = InetAddress.ofLiteral("198.51.100.10");
    private static final InetAddress ROUTER = InetAddress.ofLiteral("192.0.2.254");
    private static final InetAddress OWN = InetAddress.ofLiteral("192.0.2.1");
    private static final MacAddress MINE = MacAddress.parse("02:00:00:00:00:01");
    private static final MacAddress MAC = MacAddress.parse("02:00:00:00:00:10");
    private static final MacAddress OTHER = MacAddress.parse("02:00:00:00:00:11");

    /** Writes down what the table wants. */
    private static final class Wishes implements HopTable.Output {
        final List<String> said = new ArrayList<>();

        @Override
        public void lookUp(InetAddress server) {
            said.add("look up " + server.getHostAddress());
        }

        @Override
        public void dump() {
            said.add("dump");
        }

        @Override
        public void keep(int link, InetAddress nextHop) {
            said.add("keep " + link + " " + nextHop.getHostAddress());
        }

        @Override
        public void release(int link, InetAddress nextHop) {
            said.add("release " + link + " " + nextHop.getHostAddress());
        }

        @Override
        public void probe(int link, InetAddress nextHop) {
            said.add("probe " + link + " " + nextHop.getHostAddress());
        }

        @Override
        public void changed(InetAddress server, Resolution resolution) {
            String text = switch (resolution) {
                case Resolution.Hop hop -> hop.destination() + " on " + hop.device() + " mtu " + hop.mtu();
                case Resolution.Unresolved unresolved -> unresolved.reason() + ": " + unresolved.detail();
            };
            said.add(server.getHostAddress() + " = " + text);
        }
    }

    private final Wishes wishes = new Wishes();
    private final HopTable table = new HopTable(wishes);
    private long now = -5; // a clock's zero means nothing

    private List<String> said() {
        List<String> said = List.copyOf(wishes.said);
        wishes.said.clear();
        return said;
    }

    /** Lets time pass, with every wake-up that the table asks for. */
    private void pass(long nanos) {
        long end = now + nanos;
        while (table.nextTime().isPresent() && table.nextTime().getAsLong() - end <= 0) {
            now = Math.max(now, table.nextTime().getAsLong());
            table.onTime(now);
        }
        now = end;
    }

    private static long millis(long millis) {
        return TimeUnit.MILLISECONDS.toNanos(millis);
    }

    private static Link link(int index, boolean up, boolean running, int mtu) {
        return new Link(index, "eth" + (index - 2), 1, MINE, mtu, up, running, true, "", "", 0, 0, false, null);
    }

    private static Neighbour neighbour(InetAddress address, Neighbour.State state, MacAddress mac) {
        return new Neighbour(ETH0, address, state, state.isValid() ? mac : null, true);
    }

    private static Neighbour unmanaged(InetAddress address, Neighbour.State state) {
        return new Neighbour(ETH0, address, state, state.isValid() ? MAC : null, false);
    }

    private static Route onLink(InetAddress destination, int link) {
        return Route.to(Prefix.host(destination), link, null).withSource(OWN);
    }

    private void event(Neighbour neighbour) {
        table.onEvent(now, new RouteEvent.NeighbourChanged(neighbour));
    }

    private void event(Link link) {
        table.onEvent(now, new RouteEvent.LinkChanged(link));
    }

    /** Started, with both links up and these neighbours known. */
    private void started(Neighbour... neighbours) {
        table.start(now);
        table.onDump(now, List.of(link(ETH0, true, true, 1500), link(ETH1, true, true, 9000)), List.of(neighbours));
        assertThat(said()).containsExactly("dump");
    }

    private void resolved() {
        started();
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        event(neighbour(SERVER, Neighbour.State.REACHABLE, MAC));
        said();
    }

    @Test
    void serverIsLookedUpKeptAndTold() {
        started();
        table.track(now, Set.of(SERVER));
        assertThat(said()).containsExactly("look up 192.0.2.10");
        assertThat(table.resolution(SERVER))
                .isEqualTo(new Resolution.Unresolved(Reason.RESOLVING, "waiting for the kernel's answer"));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        event(neighbour(SERVER, Neighbour.State.INCOMPLETE, MAC));
        assertThat(said()).isEmpty();
        event(neighbour(SERVER, Neighbour.State.REACHABLE, MAC));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
        assertThat(table.resolution(SERVER)).isEqualTo(new Resolution.Hop(ETH0, "eth0", MINE, MAC, 1500, OWN, SERVER));
        for (Neighbour.State state : List.of(
                Neighbour.State.STALE, Neighbour.State.DELAY, Neighbour.State.PROBE, Neighbour.State.REACHABLE)) {
            event(neighbour(SERVER, state, MAC));
        }
        assertThat(said()).describedAs("a managed neighbour needs nothing").isEmpty();
    }

    @Test
    void knownManagedNeighbourIsAdopted() {
        started(neighbour(SERVER, Neighbour.State.STALE, MAC));
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        assertThat(said()).containsExactly("look up 192.0.2.10", "192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
    }

    @Test
    void neighbourOfAnAdministratorIsUsedAndLeftAlone() {
        started(unmanaged(SERVER, Neighbour.State.PERMANENT));
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        assertThat(said()).containsExactly("look up 192.0.2.10", "192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
        table.verify(now, SERVER);
        pass(millis(50_000));
        assertThat(said()).isEmpty();
        table.onEvent(now, new RouteEvent.NeighbourRemoved(unmanaged(SERVER, Neighbour.State.PERMANENT)));
        assertThat(said()).describedAs("once it is taken away").containsExactly("keep 2 192.0.2.10");
    }

    @Test
    void neighbourOfAnAdministratorIsLeftAloneAlsoWhereTheRouteIsKnownFirst() {
        table.start(now);
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        assertThat(said()).containsExactly("dump", "look up 192.0.2.10");
        table.onDump(now, List.of(link(ETH0, true, true, 1500)), List.of(unmanaged(SERVER, Neighbour.State.PERMANENT)));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
    }

    @Test
    void serversBehindARouterShareItsEntry() {
        started();
        table.track(now, Set.of(FAR));
        table.onRoute(now, FAR, Route.to(Prefix.host(FAR), ETH0, ROUTER).withLimits(1400, 0));
        assertThat(said()).containsExactly("look up 198.51.100.10", "keep 2 192.0.2.254");
        InetAddress farther = InetAddress.ofLiteral("198.51.100.11");
        table.track(now, Set.of(FAR, farther));
        table.onRoute(now, farther, Route.to(Prefix.host(farther), ETH0, ROUTER));
        assertThat(said()).containsExactly("look up 198.51.100.11");
        event(neighbour(ROUTER, Neighbour.State.REACHABLE, MAC));
        assertThat(said())
                .containsExactlyInAnyOrder(
                        "198.51.100.10 = 02:00:00:00:00:10 on eth0 mtu 1400",
                        "198.51.100.11 = 02:00:00:00:00:10 on eth0 mtu 1500");
        table.track(now, Set.of(farther));
        assertThat(said()).isEmpty();
        table.track(now, Set.of());
        assertThat(said()).describedAs("with its last user").containsExactly("release 2 192.0.2.254");
        assertThat(table.resolution(FAR)).isNull();
    }

    @Test
    void newEthernetAddressIsTold() {
        resolved();
        event(neighbour(SERVER, Neighbour.State.STALE, OTHER));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:11 on eth0 mtu 1500");
    }

    @Test
    void silentNeighbourIsToldOnceAndAskedForAtGrowingIntervals() {
        resolved();
        event(neighbour(SERVER, Neighbour.State.FAILED, MAC));
        assertThat(said()).containsExactly("192.0.2.10 = NO_ANSWER: 192.0.2.10 does not answer ARP on eth0");
        List<Long> gaps = new ArrayList<>();
        long since = now;
        for (int tenths = 0; tenths < 3_000 && gaps.size() < 8; tenths++) {
            pass(millis(100));
            if (said().contains("keep 2 192.0.2.10")) {
                gaps.add(TimeUnit.NANOSECONDS.toSeconds(now - since));
                event(neighbour(SERVER, Neighbour.State.INCOMPLETE, MAC));
                event(neighbour(SERVER, Neighbour.State.FAILED, MAC));
                assertThat(said()).isEmpty();
                since = now;
            }
        }
        assertThat(gaps).containsExactly(1L, 2L, 4L, 8L, 16L, 32L, 32L, 32L);
        event(neighbour(SERVER, Neighbour.State.STALE, OTHER));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:11 on eth0 mtu 1500");
        event(neighbour(SERVER, Neighbour.State.FAILED, MAC));
        said();
        pass(millis(1001));
        assertThat(said()).describedAs("quick again").contains("keep 2 192.0.2.10");
    }

    @Test
    void flushedEntryIsAskedForAgainAndBelievedMeanwhile() {
        resolved();
        pass(millis(2000));
        table.onEvent(now, new RouteEvent.NeighbourRemoved(neighbour(SERVER, Neighbour.State.REACHABLE, MAC)));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        event(neighbour(SERVER, Neighbour.State.INCOMPLETE, MAC));
        // At once again: not more often than the pace.
        table.onEvent(now, new RouteEvent.NeighbourRemoved(neighbour(SERVER, Neighbour.State.INCOMPLETE, MAC)));
        assertThat(said()).isEmpty();
        pass(millis(1001));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        event(neighbour(SERVER, Neighbour.State.REACHABLE, MAC));
        assertThat(said()).describedAs("nothing has changed").isEmpty();
    }

    @Test
    void entryThatLostItsKeeperGetsItBack() {
        resolved();
        pass(millis(2000));
        event(unmanaged(SERVER, Neighbour.State.REACHABLE));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
    }

    @Test
    void onOldKernelsAStaleEntryIsAskedForAgain() {
        started();
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        event(unmanaged(SERVER, Neighbour.State.REACHABLE));
        said();
        pass(millis(30_000));
        assertThat(said()).isEmpty();
        event(unmanaged(SERVER, Neighbour.State.STALE));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        event(unmanaged(SERVER, Neighbour.State.DELAY));
        event(unmanaged(SERVER, Neighbour.State.PROBE));
        event(unmanaged(SERVER, Neighbour.State.REACHABLE));
        assertThat(said()).isEmpty();
    }

    @Test
    void verifyingProbesAKnownNeighbourAtTheMostOnceASecond() {
        resolved();
        pass(millis(2000));
        table.verify(now, SERVER);
        table.verify(now, SERVER);
        table.verify(now, FAR);
        assertThat(said()).containsExactly("probe 2 192.0.2.10");
        event(unmanaged(SERVER, Neighbour.State.PROBE)); // probing takes the keeper away
        assertThat(said()).isEmpty();
        pass(millis(1001));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
    }

    @Test
    void linkWithoutCarrierResolvesNothingUntilItReturns() {
        resolved();
        event(link(ETH0, true, false, 1500));
        assertThat(said()).containsExactly("192.0.2.10 = LINK_DOWN: eth0 has no carrier");
        table.onEvent(now, new RouteEvent.NeighbourRemoved(neighbour(SERVER, Neighbour.State.REACHABLE, MAC)));
        pass(millis(1500));
        assertThat(said()).describedAs("routes may have changed").containsExactly("look up 192.0.2.10");
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        event(link(ETH0, false, false, 1500));
        assertThat(said()).containsExactly("192.0.2.10 = LINK_DOWN: eth0 is switched off");
        event(link(ETH0, true, true, 1500));
        assertThat(said())
                .containsExactly("keep 2 192.0.2.10", "192.0.2.10 = RESOLVING: waiting for the kernel's answer");
        event(neighbour(SERVER, Neighbour.State.REACHABLE, MAC));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
        table.onEvent(now, new RouteEvent.LinkRemoved(link(ETH0, true, true, 1500)));
        assertThat(said()).containsExactly("192.0.2.10 = LINK_DOWN: interface 2 is gone");
    }

    @Test
    void mtuAndAddressOfTheLinkAreTold() {
        resolved();
        event(link(ETH0, true, true, 1400));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1400");
    }

    @Test
    void whereNoEthernetLeadsIsSaid() {
        started();
        event(new Link(7, "tun0", 65534, null, 1500, true, true, false, "tun", "", 0, 0, false, null));
        table.track(now, Set.of(SERVER, OWN, FAR, ROUTER));
        said();
        table.onRoute(now, SERVER, onLink(SERVER, 7));
        table.onRoute(
                now,
                OWN,
                new Route(
                        Prefix.host(OWN),
                        Route.Type.LOCAL,
                        255,
                        2,
                        Scope.HOST,
                        0,
                        List.of(new Route.Hop(1, null)),
                        OWN,
                        0,
                        0));
        table.onRoute(
                now,
                ROUTER,
                new Route(Prefix.host(ROUTER), Route.Type.BLACKHOLE, 254, 2, Scope.UNIVERSE, 0, List.of(), null, 0, 0));
        table.onNoRoute(now, FAR, "ENETUNREACH: network is unreachable");
        assertThat(said())
                .containsExactly(
                        "192.0.2.10 = NO_ETHERNET: tun0 carries no Ethernet frames",
                        "192.0.2.1 = OWN_ADDRESS: an address of this host",
                        "192.0.2.254 = NO_ROUTE: the route to it is of type BLACKHOLE",
                        "198.51.100.10 = NO_ROUTE: ENETUNREACH: network is unreachable");
    }

    @Test
    void refusalOfTheKernelIsToldAndTriedAgain() {
        started();
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        said();
        table.onKeepFailed(now, ETH0, SERVER, "ENOBUFS: table full");
        assertThat(said()).containsExactly("192.0.2.10 = REFUSED: ENOBUFS: table full");
        pass(millis(1001));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        table.onKeepFailed(now, ETH0, SERVER, "ENOBUFS: table full");
        pass(millis(1001));
        assertThat(said()).describedAs("later and later").isEmpty();
        pass(millis(1001));
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        event(neighbour(SERVER, Neighbour.State.REACHABLE, MAC));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
    }

    @Test
    void burstOfChangedRoutesIsOneLook() {
        resolved();
        Route near = Route.to(new Prefix(InetAddress.ofLiteral("192.0.2.0"), 24), ETH1, null);
        Route far = Route.to(new Prefix(InetAddress.ofLiteral("203.0.113.0"), 24), ETH1, null);
        table.onEvent(now, new RouteEvent.RouteChanged(far));
        pass(millis(600));
        assertThat(said()).describedAs("leads elsewhere").isEmpty();
        for (int i = 0; i < 5; i++) {
            table.onEvent(now, new RouteEvent.RouteChanged(near));
            table.onEvent(now, new RouteEvent.RouteRemoved(near));
        }
        pass(HopTable.SETTLE);
        assertThat(said()).containsExactly("look up 192.0.2.10");
        // While that is under way, more: it may have been answered before.
        table.onEvent(now, new RouteEvent.RulesChanged());
        pass(millis(2000));
        assertThat(said()).isEmpty();
        table.onRoute(now, SERVER, onLink(SERVER, ETH1));
        assertThat(said())
                .containsExactly(
                        "keep 3 192.0.2.10",
                        "release 2 192.0.2.10",
                        "192.0.2.10 = RESOLVING: waiting for the kernel's answer");
        pass(HopTable.GAP);
        assertThat(said()).contains("look up 192.0.2.10");
        table.onRoute(now, SERVER, onLink(SERVER, ETH1));
        table.onEvent(now, new RouteEvent.AddressRemoved(Address.of(ETH1, OWN, 24)));
        pass(millis(1));
        assertThat(said()).isEmpty();
        pass(HopTable.GAP);
        assertThat(said()).containsExactly("look up 192.0.2.10");
    }

    @Test
    void routesAreLookedAtEveryMinute() {
        resolved();
        pass(HopTable.REFRESH + HopTable.SETTLE);
        assertThat(said()).containsExactly("look up 192.0.2.10");
    }

    @Test
    void eventsThatMeetAListingAreAppliedBehindIt() {
        resolved();
        table.onEvent(now, new RouteEvent.Lost("ENOBUFS"));
        event(neighbour(SERVER, Neighbour.State.STALE, OTHER));
        assertThat(said()).containsExactly("dump");
        // The listing was made before that event.
        table.onDump(
                now, List.of(link(ETH0, true, true, 1500)), List.of(neighbour(SERVER, Neighbour.State.REACHABLE, MAC)));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:11 on eth0 mtu 1500");
        pass(millis(30));
        assertThat(said()).containsExactly("look up 192.0.2.10");
    }

    @Test
    void listingThatLacksSomethingRemovesIt() {
        resolved();
        pass(millis(2000));
        table.onEvent(now, new RouteEvent.Lost("ENOBUFS"));
        said();
        table.onDump(now, List.of(link(ETH0, true, true, 1500)), List.of());
        assertThat(said()).containsExactly("keep 2 192.0.2.10");
        table.onEvent(now, new RouteEvent.Lost("ENOBUFS"));
        table.onEvent(now, new RouteEvent.Lost("ENOBUFS"));
        table.onDump(now, List.of(), List.of());
        assertThat(said())
                .describedAs("another listing, because one more loss came meanwhile")
                .containsExactly("dump", "dump", "192.0.2.10 = LINK_DOWN: interface 2 is gone");
    }

    @Test
    void failedListingIsRepeatedAndToldWhereItIsTheFirst() {
        table.start(now);
        table.track(now, Set.of(SERVER));
        table.onRoute(now, SERVER, onLink(SERVER, ETH0));
        said();
        table.onDumpFailed(now, "EMFILE");
        assertThat(said()).containsExactly("192.0.2.10 = RESOLVING: EMFILE");
        pass(millis(1001));
        assertThat(said()).containsExactly("dump");
        table.onDump(
                now, List.of(link(ETH0, true, true, 1500)), List.of(neighbour(SERVER, Neighbour.State.REACHABLE, MAC)));
        assertThat(said()).containsExactly("192.0.2.10 = 02:00:00:00:00:10 on eth0 mtu 1500");
    }
}

package io.ballast.takeover.address;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Address.Flag;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteEvent;
import io.ballast.linux.netlink.RouteWatch;
import io.ballast.takeover.address.AddressKeeper.Kind;
import io.ballast.takeover.address.AddressKeeper.Problem;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class AddressKeeperTest {
    private static final InetAddress OWN = InetAddress.ofLiteral("192.0.2.1");
    private static final InetAddress OWN6 = InetAddress.ofLiteral("2001:db8::1");
    private static final String PROMOTE = "net.ipv4.conf.eth0.promote_secondaries";

    private static final Cidr VIP = cidr("192.0.2.100", 24);
    private static final Cidr VIP6 = cidr("2001:db8::100", 64);
    /** Of networks that nothing else is in. */
    private static final Cidr ALONE = cidr("198.51.100.1", 24);

    private static final Cidr ALONE6 = cidr("2001:db8:1::1", 64);
    private static final Cidr SINGLE = cidr("203.0.113.7", 32);
    private static final List<Cidr> ALL = List.of(VIP, VIP6, ALONE, ALONE6, SINGLE);

    private Segment segment;
    private AddressKeeper keeper;

    private static Cidr cidr(String address, int length) {
        return new Cidr(InetAddress.ofLiteral(address), length);
    }

    private static Prefix prefix(String address, int length) {
        return new Prefix(InetAddress.ofLiteral(address), length);
    }

    @BeforeEach
    void open() throws Exception {
        segment = Segment.open();
        keeper = segment.here.call(AddressKeeper::open);
        segment.here.call(() -> Sysctl.write(PROMOTE, "0"));
    }

    @AfterEach
    void close() throws Exception {
        if (segment != null) {
            close(keeper);
            segment.close();
        }
    }

    private void close(AddressKeeper one) throws IOException {
        segment.here.call(() -> {
            one.close();
            return 0;
        });
    }

    /** The node's own addresses, and routes that need them. */
    private void ownAddresses() throws Exception {
        int link = segment.near().index();
        segment.mine.add(Address.of(link, OWN, 24));
        segment.mine.add(Address.of(link, OWN6, 64).withFlags(Set.of(Flag.NODAD)));
        segment.settle();
        for (String[] route : new String[][] {{"0.0.0.0", "192.0.2.254"}, {"::", "2001:db8::254"}}) {
            segment.mine.add(Route.to(prefix(route[0], 0), link, InetAddress.ofLiteral(route[1])));
        }
        segment.mine.add(Route.to(prefix("203.0.113.128", 25), link, InetAddress.ofLiteral("192.0.2.253"))
                .withSource(OWN));
    }

    private List<Problem> acquire(AddressKeeper by, List<Cidr> addresses) throws IOException {
        return segment.here.call(() -> by.acquire(segment.near(), addresses, 0));
    }

    private List<Problem> release(List<Cidr> addresses) throws IOException {
        return keeper.release(segment.near().index(), addresses);
    }

    private List<Address> addresses() throws IOException {
        return segment.mine.addresses(segment.near().index());
    }

    private List<Cidr> marked() throws IOException {
        return addresses().stream()
                .filter(address -> address.protocol() == AddressKeeper.PROTOCOL)
                .map(address -> new Cidr(address.address(), address.prefixLength()))
                .toList();
    }

    private Address address(InetAddress wanted) {
        return find(wanted).orElseThrow();
    }

    private Optional<Address> find(InetAddress wanted) {
        return Segment.get(this::addresses).stream()
                .filter(address -> address.address().equals(wanted))
                .findFirst();
    }

    @Test
    void afterAcquireAndReleaseEverythingIsAsBefore() throws Exception {
        ownAddresses();
        List<Address> addresses = addresses();
        List<Route> routes = segment.mine.routes();
        assertThat(acquire(keeper, ALL)).isEmpty();
        assertThat(marked()).containsExactlyInAnyOrderElementsOf(ALL);
        segment.settle();
        assertThat(segment.mine.routes()).containsAll(routes);
        assertThat(addresses()).containsAll(addresses);
        assertThat(segment.mine.route(InetAddress.ofLiteral("192.0.2.9")).source())
                .isEqualTo(OWN);
        assertThat(segment.mine.route(InetAddress.ofLiteral("2001:db8::9")).source())
                .isEqualTo(OWN6);
        assertThat(segment.mine.route(InetAddress.ofLiteral("198.51.100.9")).source())
                .isEqualTo(ALONE.address());
        assertThat(segment.here.call(() -> keeper.renew(keeper.due()))).isEmpty();

        assertThat(release(ALL)).isEmpty();
        assertThat(addresses()).isEqualTo(addresses);
        assertThat(segment.mine.routes()).containsExactlyInAnyOrderElementsOf(routes);
        assertThat(keeper.due()).isEqualTo(Long.MAX_VALUE);
        close(keeper);
        assertThat(segment.here.call(() -> Sysctl.read(PROMOTE))).isEqualTo("0");
    }

    @Test
    void theirFlagsAreThoseThatMakeThemUsableAtOnceAndAlone() throws Exception {
        ownAddresses();
        acquire(keeper, ALL);
        assertThat(address(VIP.address()).flags()).containsExactlyInAnyOrder(Flag.SECONDARY);
        assertThat(address(ALONE.address()).flags()).isEmpty();
        assertThat(address(VIP6.address()).flags())
                .containsExactlyInAnyOrder(Flag.NODAD, Flag.DEPRECATED, Flag.NOPREFIXROUTE);
        assertThat(address(ALONE6.address()).flags()).containsExactlyInAnyOrder(Flag.NODAD, Flag.DEPRECATED);
        assertThat(address(VIP6.address()).valid()).isBetween(Duration.ofSeconds(8), AddressKeeper.LIFETIME);
    }

    /** As after a kill: nobody renews them. */
    @Test
    void theyEndByThemselvesAndNothingElseWithThem() throws Exception {
        ownAddresses();
        List<Address> addresses = addresses();
        List<Route> routes = segment.mine.routes();
        AddressKeeper brief = segment.here.call(() -> AddressKeeper.open(Duration.ofSeconds(1)));
        assertThat(acquire(brief, ALL)).isEmpty();
        assertThat(segment.here.call(() -> brief.renew(brief.due()))).isEmpty();
        Segment.await("their end", () -> Segment.get(this::marked).isEmpty());
        assertThat(addresses()).isEqualTo(addresses);
        assertThat(segment.mine.routes()).containsAll(routes);
        // The kernel lists a route that has ended for half a minute more.
        InetAddress beyond = InetAddress.ofLiteral("2001:db8:1::9");
        Segment.await(
                "the end of its route",
                () -> Segment.get(() -> segment.mine.route(beyond))
                        .hops()
                        .contains(new Route.Hop(segment.near().index(), InetAddress.ofLiteral("2001:db8::254"))));
        assertThat(segment.mine.route(InetAddress.ofLiteral("2001:db8::9")).hops())
                .containsExactly(new Route.Hop(segment.near().index(), null));
        close(brief);
    }

    @Test
    void anOwnAddressThatCameLaterStaysWithItsRoute() throws Exception {
        acquire(keeper, ALL);
        int link = segment.near().index();
        segment.mine.add(Address.of(link, OWN, 24));
        segment.mine.add(Address.of(link, OWN6, 64).withFlags(Set.of(Flag.NODAD)));
        assertThat(segment.here.call(() -> keeper.renew(keeper.due()))).isEmpty();
        assertThat(address(VIP6.address()).flags()).contains(Flag.NOPREFIXROUTE);
        release(ALL);
        assertThat(addresses())
                .extracting(Address::address)
                .contains(OWN, OWN6)
                .doesNotContain(VIP.address(), VIP6.address());
        assertThat(segment.mine.routes())
                .extracting(Route::destination)
                .contains(prefix("192.0.2.0", 24), prefix("2001:db8::", 64))
                .doesNotContain(prefix("198.51.100.0", 24), prefix("2001:db8:1::", 64));
    }

    @Test
    void oneOfTwoVirtualAddressesThatAreAloneInTheirNetworkStays() throws Exception {
        Cidr second = cidr("198.51.100.2", 24);
        acquire(keeper, List.of(ALONE));
        acquire(keeper, List.of(second));
        release(List.of(ALONE));
        assertThat(marked()).containsExactly(second);
        assertThat(segment.mine.routes()).extracting(Route::destination).contains(prefix("198.51.100.0", 24));
    }

    @Test
    void whatSomebodyElsePutThereIsToldAndStays() throws Exception {
        int link = segment.near().index();
        segment.mine.add(Address.of(link, VIP.address(), 25));
        segment.mine.add(Address.of(link, VIP6.address(), 64));
        List<Problem> problems = acquire(keeper, ALL);
        assertThat(problems).extracting(Problem::kind).containsExactly(Kind.FOREIGN, Kind.FOREIGN);
        assertThat(problems.getFirst().text())
                .isEqualTo("192.0.2.100 is on eth0 already, put there by somebody else, and stays there when another"
                        + " node is to have it: ip address del 192.0.2.100/24 dev eth0");
        assertThat(marked()).containsExactlyInAnyOrder(ALONE, ALONE6, SINGLE);
        release(ALL);
        assertThat(marked()).isEmpty();
        assertThat(find(VIP.address())).isPresent();
        assertThat(find(VIP6.address())).isPresent();

        segment.mine.remove(address(VIP.address()));
        segment.mine.remove(address(VIP6.address()));
        assertThat(acquire(keeper, ALL)).describedAs("once it is gone").isEmpty();
    }

    /** It was not there when the keeper looked. */
    @Test
    void whatSomebodyElsePutThereMeanwhileIsToldAndStays() throws Exception {
        acquire(keeper, List.of(ALONE));
        segment.mine.add(Address.of(segment.near().index(), VIP.address(), 24));
        assertThat(acquire(keeper, List.of(VIP, VIP6)))
                .extracting(Problem::kind, Problem::address)
                .containsExactly(tuple(Kind.FOREIGN, VIP));
        release(List.of(VIP, VIP6));
        assertThat(find(VIP.address())).isPresent();
        assertThat(find(VIP6.address())).isEmpty();
    }

    @Test
    void whatAnEarlierDaemonLeftIsRemovedAndNothingElse() throws Exception {
        ownAddresses();
        List<Address> before = addresses();
        acquire(keeper, ALL);
        close(keeper); // as by a kill: nothing was released
        keeper = segment.here.call(AddressKeeper::open);
        acquire(keeper, List.of(cidr("192.0.2.101", 24)));
        assertThat(keeper.removeLeftovers(segment.near().index())).containsExactlyInAnyOrderElementsOf(ALL);
        assertThat(marked()).containsExactly(cidr("192.0.2.101", 24));
        assertThat(addresses()).containsAll(before);
        assertThat(keeper.removeLeftovers(segment.near().index())).isEmpty();
    }

    @Test
    void whatAnEarlierDaemonLeftIsGoneOnWith() throws Exception {
        ownAddresses();
        acquire(keeper, ALL);
        close(keeper);
        keeper = segment.here.call(AddressKeeper::open);
        assertThat(acquire(keeper, ALL)).isEmpty();
        assertThat(keeper.removeLeftovers(segment.near().index())).isEmpty();
        assertThat(marked()).containsExactlyInAnyOrderElementsOf(ALL);
        release(ALL);
        assertThat(marked()).isEmpty();
    }

    @Test
    void renewingChangesLifetimesAndNothingElse() throws Exception {
        ownAddresses();
        acquire(keeper, ALL);
        segment.settle();
        Duration enough = AddressKeeper.LIFETIME.minusSeconds(1);
        // Until a second of it is over.
        Segment.await("time to pass", () -> enough.compareTo(valid(VIP)) >= 0 && enough.compareTo(valid(VIP6)) >= 0);
        List<RouteEvent> events = new CopyOnWriteArrayList<>();
        Set<RouteWatch.Topic> topics = Set.of(RouteWatch.Topic.ADDRESSES, RouteWatch.Topic.ROUTES);
        RouteWatch watch = segment.here.call(() -> RouteWatch.start(topics, events::add));
        try (watch) {
            long due = keeper.due();
            assertThat(due).isBetween(TimeUnit.SECONDS.toNanos(3), TimeUnit.SECONDS.toNanos(4));
            assertThat(keeper.renew(due - 1)).isEmpty();
            assertThat(keeper.renew(due)).isEmpty();
            assertThat(keeper.due()).isEqualTo(2 * due);
            segment.mine.add(Address.of(1, SINGLE.address(), 32)); // whose news are the last
            Segment.await("all events", () -> events.stream().anyMatch(this::isOfLoopback));
        }
        List<RouteEvent> ofWire =
                events.stream().takeWhile(event -> !isOfLoopback(event)).toList();
        assertThat(ofWire)
                .hasSize(ALL.size())
                .allSatisfy(event -> assertThat(event).isInstanceOf(RouteEvent.AddressChanged.class));
        for (Cidr each : ALL) {
            assertThat(valid(each)).isEqualTo(AddressKeeper.LIFETIME);
        }
    }

    private boolean isOfLoopback(RouteEvent event) {
        return switch (event) {
            case RouteEvent.AddressChanged changed -> changed.address().link() == 1;
            case RouteEvent.RouteChanged changed ->
                changed.route().hops().stream().anyMatch(hop -> hop.link() == 1);
            default -> false;
        };
    }

    private Duration valid(Cidr of) {
        return Optional.ofNullable(address(of.address()).valid()).orElseThrow();
    }

    @Test
    void whatSomebodyElseRemovesIsPutBack() throws Exception {
        ownAddresses();
        acquire(keeper, ALL);
        segment.mine.remove(address(VIP.address()));
        assertThat(keeper.renew(keeper.due()))
                .extracting(Problem::text)
                .containsExactly("192.0.2.100/24 was removed by somebody else and is put back");
        assertThat(marked()).containsExactlyInAnyOrderElementsOf(ALL);
        segment.mine.remove(address(VIP.address()));
        assertThat(release(ALL)).describedAs("gone is gone").isEmpty();
    }

    @Test
    void anInterfaceMayVanishAndReturn() throws Exception {
        acquire(keeper, ALL);
        var gone = segment.near();
        segment.mine.deleteLink(gone.index());
        List<Problem> problems = keeper.renew(keeper.due());
        assertThat(problems).hasSameSizeAs(ALL);
        assertThat(problems).extracting(Problem::kind).containsOnly(Kind.ABSENT);
        assertThat(problems.getFirst().text()).contains("ENODEV");
        assertThat(keeper.due()).isEqualTo(Long.MAX_VALUE);
        assertThat(segment.here.call(() -> keeper.acquire(gone, ALL, 0)))
                .extracting(Problem::kind)
                .containsOnly(Kind.ABSENT);
        assertThat(keeper.release(gone.index(), ALL)).isEmpty();
        segment.connect();
        assertThat(acquire(keeper, ALL)).isEmpty();
        assertThat(marked()).containsExactlyInAnyOrderElementsOf(ALL);
    }

    @Test
    void whatTheKernelRefusesIsAbsentAndTheOthersAreThere() throws Exception {
        segment.here.call(() -> Sysctl.write("net.ipv6.conf.eth0.disable_ipv6", "1"));
        List<Problem> problems = acquire(keeper, ALL);
        assertThat(problems)
                .extracting(Problem::kind, Problem::address)
                .containsExactly(tuple(Kind.ABSENT, VIP6), tuple(Kind.ABSENT, ALONE6));
        assertThat(problems.getFirst().text()).startsWith("RTM_NEWADDR 2001:db8::100/64 on eth0: ");
        assertThat(marked()).containsExactlyInAnyOrder(VIP, ALONE, SINGLE);
    }

    @Test
    void aRenewalThatFailsIsTriedAgainALittleLater() throws Exception {
        acquire(keeper, ALL);
        long due = keeper.due();
        close(keeper); // so that the kernel cannot be asked
        assertThatThrownBy(() -> keeper.renew(due)).isInstanceOf(IOException.class);
        assertThat(keeper.due()).isEqualTo(due + AddressKeeper.LIFETIME.toNanos() / 10);
    }

    @Test
    void manyAreAddedAndRemoved() throws Exception {
        List<Cidr> many = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            many.add(cidr("198.51." + (100 + i / 200) + "." + (1 + i % 200), 16));
            many.add(cidr("2001:db8::1:" + Integer.toHexString(i), 64));
        }
        assertThat(acquire(keeper, many)).isEmpty();
        assertThat(marked()).containsExactlyInAnyOrderElementsOf(many);
        assertThat(segment.here.call(() -> keeper.renew(keeper.due()))).isEmpty();
        assertThat(release(many)).isEmpty();
        assertThat(marked()).isEmpty();
    }
}

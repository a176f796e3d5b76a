package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.track.Tracking.State;
import io.ballast.takeover.track.Tracking.Tracked;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two nodes that are on two networks together, each in a network namespace of its own, and each with an uplink. */
@Timeout(60)
class PartyTest {
    private static final long MS = 1_000_000;
    private static final String UPLINK = Dependence.device("up0");
    private static final String FILE = "file /run/rank";

    private Wire wire;
    private RememberingNode high;
    private RememberingNode low;
    private final List<RememberingNode> nodes = new ArrayList<>();

    @BeforeEach
    void plug() throws Exception {
        wire = Wire.open();
        networks(wire.ofLeft, 1);
        networks(wire.ofRight, 2);
        for (String name : List.of("eth1", "up0")) {
            await("the link of " + name, () -> running(wire.ofLeft, name) && running(wire.ofRight, name));
        }
        high = node(wire.left);
        low = node(wire.right);
    }

    private RememberingNode node(NetworkNamespace in) throws IOException {
        RememberingNode node = new RememberingNode(in);
        nodes.add(node);
        return node;
    }

    private static void networks(RouteNetlink netlink, int host) throws IOException {
        int below = index(netlink, "eth0");
        // By the same wire, and still one node alone can lose it.
        netlink.create(new NewLink.Macvlan("eth1", below, NewLink.Macvlan.Mode.BRIDGE, null));
        netlink.create(new NewLink.Macvlan("up0", below, NewLink.Macvlan.Mode.BRIDGE, null));
        netlink.setUp(index(netlink, "eth1"), true);
        netlink.setUp(index(netlink, "up0"), true);
        netlink.add(Address.of(index(netlink, "eth1"), InetAddress.ofLiteral("198.51.100." + host), 24));
    }

    private static int index(RouteNetlink netlink, String name) throws IOException {
        return netlink.link(name).orElseThrow().index();
    }

    private static boolean running(RouteNetlink netlink, String name) throws IOException {
        return netlink.link(name).orElseThrow().running();
    }

    private static void set(NetworkNamespace in, String name, boolean up) throws Exception {
        try (RouteNetlink netlink = in.call(RouteNetlink::open)) {
            netlink.setUp(index(netlink, name), up);
            if (up && name.equals("eth1")) {
                await("its link", () -> running(netlink, name));
            }
        }
    }

    @AfterEach
    void unplug() {
        nodes.forEach(node -> node.takeover.close());
        if (wire != null) {
            wire.close();
        }
    }

    private static Membership member(String name, String device, String address, int routerId, int priority) {
        return new Membership(
                name,
                device,
                3,
                routerId,
                priority,
                20 * MS,
                List.of(new Cidr(InetAddress.ofLiteral(address), 24)),
                true,
                0,
                List.of(),
                false,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                1000 * MS,
                5,
                0);
    }

    private static Membership front(int priority) {
        return member("front", "eth0", "192.0.2.100", 51, priority);
    }

    private static Membership inside(int priority) {
        return member("inside", "eth1", "198.51.100.100", 52, priority);
    }

    /** The first becomes master, and the second hears it. */
    private void begin(Dependence on) throws Exception {
        Map<String, Dependence> all = Map.of("front", on);
        high.takeover.become(List.of(front(150)), all);
        low.takeover.become(List.of(front(100)), all);
        await(
                "the higher one is master",
                () -> high.owns && low.status().master().isPresent());
    }

    private static Dependence on(Tracked thing) {
        return new Dependence("", Set.of(), List.of(thing), Set.of("up0"));
    }

    @Test
    void aTrackedInterfaceThatGoesDownMovesTheAddresses() throws Exception {
        begin(on(new Tracked(UPLINK, 0, false)));
        set(wire.left, "up0", false);
        await("the other has them", () -> low.owns && !high.owns);
        assertThat(high.status().role()).isEqualTo(Role.FAULT);
        assertThat(high.status().why()).isEqualTo("interface up0 is down: switched off");
        assertThat(high.status().faults()).containsExactly("interface up0 is down: switched off");
        assertThat(high.tracked)
                .containsExactly(
                        "front: interface up0 up, 150 -> 150",
                        "front: interface up0 down: switched off, 150 -> 150, a fault");
        set(wire.left, "up0", true);
        await("it takes them back", () -> high.owns && !low.owns);
        assertThat(high.status().faults()).isEmpty();

        // One that is not there is down as well.
        try (RouteNetlink netlink = wire.left.call(RouteNetlink::open)) {
            netlink.deleteLink(index(netlink, "up0"));
        }
        await("the other has them again", () -> low.owns && !high.owns);
        assertThat(high.status().faults()).containsExactly("interface up0 is down: there is none of that name");
    }

    @Test
    void aTrackedInterfaceWithAWeightMakesTheOtherNodeMaster() throws Exception {
        begin(on(new Tracked(UPLINK, -60, false)));
        set(wire.left, "up0", false);
        await("the other is better", () -> low.owns && !high.owns);
        assertThat(high.status().role()).isEqualTo(Role.BACKUP);
        assertThat(high.status().priority()).isEqualTo(90);
        assertThat(high.status().described()).isEqualTo(150);
        assertThat(high.status().tracked())
                .containsExactly(
                        new Tracking.Standing(new Tracked(UPLINK, -60, false), "down: switched off", -60, false));
        // Who is worth less has them where nobody else is.
        low.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("nobody else is there", () -> high.owns && !low.owns);
        low.takeover.manners(Map.of());
        await("the other is there again", () -> low.owns && !high.owns);
        set(wire.left, "up0", true);
        await("it is better again", () -> high.owns && !low.owns);
    }

    @Test
    void aNumberIsAddedToThePriority() throws Exception {
        begin(new Dependence("", Set.of(), List.of(new Tracked(FILE, 1, false)), Set.of()));
        low.takeover.observed(Map.of(FILE, new State.Count(70)));
        await("the other is better", () -> low.owns && !high.owns);
        assertThat(low.status().priority()).isEqualTo(170);
        low.takeover.observed(Map.of(FILE, new State.Count(-300)));
        await("no more", () -> high.owns && !low.owns);
        assertThat(low.status().faults())
                .containsExactly("file /run/rank says -300, which by its weight of 1 is below -253");
    }

    @Test
    void noPartIsTakenBeforeWhatMayBeAFaultIsKnown() throws Exception {
        Dependence process = new Dependence("", Set.of(), List.of(new Tracked("process haproxy", 0, false)), Set.of());
        high.takeover.become(List.of(front(150)), Map.of("front", process));
        low.takeover.become(List.of(front(100)));
        await("the lower one is master", () -> low.owns);
        assertThat(high.status().role()).isEqualTo(Role.STOPPED);
        assertThat(high.notes).containsExactly("takes part as soon as this is known: process haproxy");
        high.takeover.observed(Map.of("process haproxy", new State.Up()));
        await("it takes part", () -> high.owns && !low.owns);

        // What is new costs nobody the addresses before it is known to be at fault.
        Dependence file = new Dependence("", Set.of(), List.of(new Tracked(FILE, 0, false)), Set.of());
        high.takeover.become(List.of(front(150)), Map.of("front", file));
        await(
                "it is described",
                () -> high.status().tracked().getFirst().tracked().name().equals(FILE));
        high.takeover.observed(Map.of(FILE, new State.Count(0)));
        await("it is known", () -> high.status().tracked().getFirst().state().equals("0"));
        assertThat(high.roles).containsExactly(Role.BACKUP, Role.MASTER);
        high.takeover.observed(Map.of(FILE, new State.Count(1)));
        await("the other has them", () -> low.owns && !high.owns);
        assertThat(high.status().why()).isEqualTo("file /run/rank says 1, and must be 0");
        high.takeover.become(List.of(front(150)));
        await("nothing is tracked any more", () -> high.owns && !low.owns);
    }

    @Test
    void theOperatorComesFirstThenWhatIsServedThenWhatIsTracked() throws Exception {
        begin(on(new Tracked(UPLINK, 20, false)));
        assertThat(high.status().priority()).isEqualTo(170);
        high.takeover.unable(Map.of("front", "no server is up of web"));
        await("it gives way", () -> low.owns && high.status().priority() == 1);
        high.takeover.manners(Map.of("front", Manner.PREFERRED));
        await("the operator wants it", () -> high.owns && high.status().priority() == 254);
        set(wire.left, "up0", false);
        await("what is tracked", () -> high.status().tracked().getFirst().adds() == 0);
        assertThat(high.status().priority()).isEqualTo(254);
        high.takeover.manners(Map.of());
        high.takeover.unable(Map.of());
        await("as described", () -> high.owns && high.status().priority() == 150);
    }

    private static Map<String, Dependence> gateway(int other) {
        Tracked uplink = new Tracked(UPLINK, -60, false);
        return Map.of(
                "front", new Dependence("gateway", Set.of(other), List.of(uplink), Set.of("up0")),
                "inside", new Dependence("gateway", Set.of(other), List.of(), Set.of()));
    }

    private void describeGroup() {
        high.takeover.become(List.of(front(150), inside(150)), gateway(100));
        low.takeover.become(List.of(front(100), inside(100)), gateway(150));
    }

    private void beginGroup() throws Exception {
        describeGroup();
        await("the higher one is master of both", () -> hasAll(high) && heard(low));
    }

    private static boolean heard(RememberingNode node) throws Exception {
        return node.all().stream().allMatch(status -> status.master().isPresent());
    }

    private boolean hasAll(RememberingNode node) {
        RememberingNode other = node == high ? low : high;
        return node.owned.equals(Set.of("front", "inside")) && other.owned.isEmpty();
    }

    private static List<Role> roles(RememberingNode node) throws Exception {
        return node.all().stream().map(RouterStatus::role).toList();
    }

    @Test
    void whereOneLinkIsCutTheWholeGroupMoves() throws Exception {
        beginGroup();
        set(wire.left, "eth1", false);
        await("the other has both", () -> hasAll(low));
        assertThat(roles(high)).containsOnly(Role.FAULT);
        assertThat(high.all().getFirst().why()).isEqualTo("another of its group is at fault: eth1 is switched off");
        assertThat(high.all().getFirst().faults()).containsExactly("inside: eth1 is switched off");
        assertThat(high.all()).extracting(RouterStatus::group).containsOnly("gateway");
        set(wire.left, "eth1", true);
        await("it takes both back", () -> hasAll(high));
        assertThat(roles(low)).containsOnly(Role.BACKUP);
    }

    @Test
    void whatOneOfAGroupTracksCountsForAll() throws Exception {
        beginGroup();
        set(wire.left, "up0", false);
        await("the other has both", () -> hasAll(low));
        assertThat(high.all()).extracting(RouterStatus::priority).containsOnly(90);
        set(wire.left, "up0", true);
        await("it takes both back", () -> hasAll(high));
    }

    @Test
    void equalNodesOfAGroupStayApart() throws Exception {
        // On the one network the first one's address is higher, on the other the second one's.
        int link = index(wire.ofLeft, "eth1");
        wire.ofLeft.remove(Address.of(link, InetAddress.ofLiteral("198.51.100.1"), 24));
        wire.ofLeft.add(Address.of(link, InetAddress.ofLiteral("198.51.100.9"), 24));
        beginGroup();
        Map<String, String> nothing = Map.of("front", "no server is up of web");
        high.takeover.unable(nothing);
        await("the other is better", () -> hasAll(low));
        low.takeover.unable(nothing);
        await("the described priority decides", () -> hasAll(high));
        assertThat(high.all()).extracting(RouterStatus::priority).containsOnly(2);
        assertThat(low.all()).extracting(RouterStatus::priority).containsOnly(1);
    }

    @Test
    void theOperatorMovesAGroup() throws Exception {
        beginGroup();
        high.takeover.manners(Map.of("inside", Manner.YIELDING));
        await("the other has both", () -> hasAll(low));
        await("it stands by", () -> roles(high).equals(List.of(Role.BACKUP, Role.BACKUP)));
        assertThat(high.all()).extracting(RouterStatus::manner).containsOnly(Manner.YIELDING);
        low.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("who gave way has to do after all", () -> hasAll(high));
        high.takeover.manners(Map.of("front", Manner.YIELDING));
        assertThat(high.all()).hasSize(2);
        low.takeover.manners(Map.of());
        await("the other is there again", () -> hasAll(low));
        high.takeover.manners(Map.of());
        await("as described", () -> hasAll(high));

        assertThat(high.takeover.leave(Duration.ofSeconds(20))).isTrue();
        assertThat(hasAll(low)).isTrue();
    }

    @Test
    void aGroupIsFormedAndDissolvedWhileItRuns() throws Exception {
        high.takeover.become(List.of(front(150), inside(150)));
        low.takeover.become(List.of(front(100), inside(100)));
        await("the higher one is master of both", () -> hasAll(high) && heard(low));
        set(wire.left, "eth1", false);
        await("each alone", () -> high.owned.equals(Set.of("front")) && low.owned.equals(Set.of("inside")));

        describeGroup();
        await("both together", () -> hasAll(low));
        set(wire.left, "eth1", true);
        await("at the higher one", () -> hasAll(high));

        high.takeover.become(List.of(front(150)), gateway(100));
        low.takeover.become(List.of(front(100)), gateway(150));
        await("without one", () -> high.owned.equals(Set.of("front")) && low.owned.isEmpty());
    }
}

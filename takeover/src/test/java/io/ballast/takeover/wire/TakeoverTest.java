package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.NewLink;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.Discard;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Two nodes on a wire, each in a network namespace of its own. */
@Timeout(60)
class TakeoverTest {
    private static final long MS = 1_000_000;

    /** The ways in which the nodes may talk. */
    enum Way {
        V3,
        V3_STRICT,
        V3_UNICAST,
        V2,
        V2_PASSWORD,
        V2_SIGNED,
        V2_HEADER,
        IPV6,
        IPV6_SIGNED;

        boolean isIpv6() {
            return this == IPV6 || this == IPV6_SIGNED;
        }
    }

    private static Authentication signed(int... keys) {
        List<Authentication.Key> all = new ArrayList<>();
        for (int key : keys) {
            byte[] secret = new byte[32];
            Arrays.fill(secret, (byte) key);
            all.add(new Authentication.Key(key, secret));
        }
        return Authentication.of(new Authentication.Hmac(all, Authentication.Mode.ENFORCE, true, 5));
    }

    private Wire wire;
    private final List<RememberingNode> nodes = new ArrayList<>();

    @BeforeEach
    void plug() throws Exception {
        wire = Wire.open();
    }

    private RememberingNode node(NetworkNamespace in) throws IOException {
        RememberingNode node = new RememberingNode(in);
        nodes.add(node);
        return node;
    }

    @AfterEach
    void unplug() {
        nodes.forEach(node -> node.takeover.close());
        if (wire != null) {
            wire.close();
        }
    }

    private static Membership member(Way way, int priority, InetAddress peer) {
        boolean v2 = way.name().startsWith("V2");
        String address = way.isIpv6() ? "2001:db8::100" : "192.0.2.100";
        return new Membership(
                "front",
                "eth0",
                v2 ? 2 : 3,
                51,
                priority,
                v2 ? 1000 * MS : 20 * MS,
                List.of(new Cidr(InetAddress.ofLiteral(address), way.isIpv6() ? 64 : 24)),
                true,
                0,
                way == Way.V3_UNICAST ? List.of(peer) : List.of(),
                false,
                way == Way.V3_STRICT ? Checksum.MESSAGE : Checksum.PSEUDO_HEADER,
                switch (way) {
                    case V2_PASSWORD -> Authentication.password("secret");
                    case V2_SIGNED, IPV6_SIGNED -> signed(1);
                    case V2_HEADER -> Authentication.header("secret");
                    default -> Authentication.NONE;
                },
                "",
                1000 * MS,
                5,
                0);
    }

    private static Membership leftMember(Way way, int priority) {
        return member(way, priority, InetAddress.ofLiteral("192.0.2.2"));
    }

    private static Membership rightMember(Way way, int priority) {
        return member(way, priority, InetAddress.ofLiteral("192.0.2.1"));
    }

    /** The first becomes master, and the second hears it. */
    private static void begin(RememberingNode high, RememberingNode low) throws Exception {
        high.takeover.become(List.of(leftMember(Way.V3, 150)));
        low.takeover.become(List.of(rightMember(Way.V3, 100)));
        await(
                "the higher one is master",
                () -> high.owns && low.status().master().isPresent());
    }

    @ParameterizedTest
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "V2")
    void theHigherPriorityHasTheAddressesAndTheOtherTakesThemOver(Way way) throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        high.takeover.become(List.of(leftMember(way, 150)));
        low.takeover.become(List.of(rightMember(way, 100)));
        await("the higher one is master", () -> high.owns && !low.owns);
        await("and heard", () -> low.status().master().isPresent());
        assertThat(high.status().role()).isEqualTo(Role.MASTER);
        assertThat(low.status().role()).isEqualTo(Role.BACKUP);
        assertThat(low.status().discarded()).isEmpty();

        // It keeps them until the other has them.
        assertThat(high.takeover.leave(Duration.ofSeconds(20))).isTrue();
        assertThat(low.owns).isTrue();
        assertThat(high.owns).isFalse();
        assertThat(high.roles).endsWith(Role.LEAVING, Role.STOPPED);
        assertThat(high.overlapped).as("for a moment both have them").isTrue();
        assertThat(low.notes).isEmpty();

        RememberingNode again = node(wire.left);
        again.takeover.become(List.of(leftMember(way, 150)));
        await("it takes them back", () -> again.owns && !low.owns);
        assertThat(low.overlapped).isTrue();
    }

    @Test
    void aCutWireMakesTwoMastersAndItsEndOne() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        begin(high, low);
        int link = Wire.link(wire.ofRight).index();
        wire.ofRight.setUp(link, false);
        // Both ends of a veth lose their link.
        await("nobody is master", () -> !high.owns && !low.owns);
        assertThat(high.status().role()).isEqualTo(Role.FAULT);
        assertThat(high.status().why()).isEqualTo("eth0 has no link");
        assertThat(low.status().why()).isEqualTo("eth0 is switched off");
        wire.ofRight.setUp(link, true);
        await("the higher one is master again", () -> high.owns && !low.owns);
    }

    /** Is prepared until it is asked to be so again. */
    private static final class Learner implements Preparation {
        final AtomicInteger asked = new AtomicInteger();
        volatile boolean ready = true;

        @Override
        public void again() {
            ready = false;
            asked.incrementAndGet();
        }

        @Override
        public boolean isReady() {
            return ready;
        }
    }

    @Test
    void whoWasAwayLeavesTheAddressesUntilItIsPrepared() throws Exception {
        Learner learner = new Learner();
        RememberingNode high = new RememberingNode(wire.left, learner);
        nodes.add(high);
        RememberingNode low = node(wire.right);
        begin(high, low);
        assertThat(learner.asked).hasValue(0);
        int address = Wire.link(wire.ofLeft).index();
        wire.ofLeft.remove(Address.of(address, InetAddress.ofLiteral("192.0.2.1"), 24));
        await("the other has them", () -> low.owns && !high.owns);
        wire.ofLeft.add(Address.of(address, InetAddress.ofLiteral("192.0.2.1"), 24));
        await("it is back", () -> high.status().role() == Role.BACKUP);
        long heard = heard(high);
        await("it has heard the other for long", () -> heard(high) > heard + 20);
        assertThat(low.roles).endsWith(Role.MASTER);
        assertThat(learner.asked).hasValue(1);
        learner.ready = true;
        await("it knows what it needs", () -> high.owns && !low.owns);

        wire.ofLeft.remove(Address.of(address, InetAddress.ofLiteral("192.0.2.1"), 24));
        await("the other has them again", () -> low.owns && !high.owns);
        low.takeover.close();
        wire.ofLeft.add(Address.of(address, InetAddress.ofLiteral("192.0.2.1"), 24));
        await("nobody else is there", () -> high.owns);
        assertThat(learner.ready).isFalse();
    }

    private static long heard(RememberingNode node) throws Exception {
        return node.status().peers().values().stream()
                .mapToLong(RouterStatus.Peer::count)
                .sum();
    }

    @Test
    void anInterfaceMayComeLaterAndBeAnotherOne() throws Exception {
        int link = Wire.link(wire.ofLeft).index();
        wire.ofLeft.deleteLink(link);
        RememberingNode node = node(wire.left);
        node.takeover.become(List.of(leftMember(Way.V3, 150)));
        await("it knows", () -> node.status().why().equals("there is no interface eth0"));
        for (int i = 0; i < 2; i++) {
            wire.ofLeft.create(new NewLink.Veth("eth0", "eth0", wire.right));
            wire.ofRight.setUp(Wire.link(wire.ofRight).index(), true);
            Wire.up(wire.ofLeft, Wire.LEFT);
            await("it is master", () -> node.owns);
            wire.ofLeft.deleteLink(Wire.link(wire.ofLeft).index());
            await("it has lost them", () -> !node.owns);
        }
    }

    @Test
    void whatCannotBeRightIsSaidOnce() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        high.takeover.become(List.of(leftMember(Way.V2, 150)));
        low.takeover.become(List.of(rightMember(Way.V2_PASSWORD, 100)));
        await("both are master", () -> high.owns && low.owns);
        await("it is counted", () -> low.status().discarded().getOrDefault(Discard.AUTHENTICATION_TYPE, 0L) > 1);
        assertThat(low.notes)
                .containsExactly("what 192.0.2.1 advertises is not listened to: its authentication is of another kind");
        assertThat(low.status().notices()).isEqualTo(low.notes);
    }

    @Test
    void whoHasAnAuthenticationHeaderAloneIsToldOf() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        high.takeover.become(List.of(leftMember(Way.V2_HEADER, 150)));
        low.takeover.become(List.of(rightMember(Way.V2, 100)));
        await("both are master", () -> high.owns && low.owns);
        await(
                "both know why",
                () -> !high.status().notices().isEmpty()
                        && !low.status().notices().isEmpty());
        assertThat(low.status().notices())
                .containsExactly(
                        "what 192.0.2.1 advertises is not listened to: it has an authentication header (AH), and"
                                + " this node has none; authentication-header must be the same on all nodes");
        assertThat(high.status().notices())
                .containsExactly(
                        "what 192.0.2.2 advertises is not listened to: it has no authentication header (AH), and"
                                + " this node has one; authentication-header must be the same on all nodes");
        low.takeover.become(List.of(rightMember(Way.V2_HEADER, 100)));
        await("they hear each other", () -> high.owns && !low.owns);
    }

    private static Membership with(Membership was, Authentication authentication, String refused) {
        return new Membership(
                was.name(),
                was.device(),
                was.version(),
                was.routerId(),
                was.priority(),
                was.interval(),
                was.addresses(),
                was.preempt(),
                was.preemptDelay(),
                was.peers(),
                was.virtualMac(),
                was.checksum(),
                authentication,
                refused,
                was.lookAhead(),
                was.announcements(),
                was.announceAgain());
    }

    @Test
    void keysChangeUnderWayAndWhatIsNotSignedIsNotHeard() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        Membership left = leftMember(Way.V3, 150);
        Membership right = rightMember(Way.V3, 100);
        high.takeover.become(List.of(with(left, signed(1), "")));
        await("the higher one is master", () -> high.owns);
        low.takeover.become(List.of(with(right, signed(1, 2), "")));
        await("it is heard", () -> !low.status().peers().isEmpty());
        high.takeover.become(List.of(with(left, signed(2, 1), "")));
        low.takeover.become(List.of(with(right, signed(2), "")));
        high.takeover.become(List.of(with(left, signed(2), "")));
        long heard = low.status().peers().values().iterator().next().count();
        await(
                "it is heard with the new key",
                () -> low.status().peers().values().iterator().next().count() > heard + 20);
        assertThat(low.status().discarded()).isEmpty();
        assertThat(low.roles).doesNotContain(Role.MASTER);

        high.takeover.become(List.of(with(left, signed(3), "")));
        await("its key is unknown", () -> low.owns);
        high.takeover.become(List.of(with(left, Authentication.NONE, "")));
        await("it is not signed", () -> low.status().discarded().getOrDefault(Discard.UNSIGNED, 0L) > 1);
        assertThat(low.status().discarded().keySet()).containsExactlyInAnyOrder(Discard.UNKNOWN_KEY, Discard.UNSIGNED);
        assertThat(high.status().discarded().keySet()).contains(Discard.AUTHENTICATION_TYPE);
        assertThat(low.notes)
                .contains("what 192.0.2.1 advertises is not listened to: it is signed with a key whose number is not"
                        + " known here");
    }

    @Test
    void whoIsRefusedIsFaultyUntilHeIsNot() throws Exception {
        RememberingNode node = node(wire.left);
        Membership member = leftMember(Way.V3, 150);
        node.takeover.become(List.of(with(member, Authentication.NONE, "there is no key file /k")));
        await("it is faulty", () -> node.status().role() == Role.FAULT);
        assertThat(node.status().why()).isEqualTo("there is no key file /k");
        node.takeover.become(List.of(with(member, signed(1), "")));
        await("it is master", () -> node.owns);
        node.takeover.become(List.of(with(member, Authentication.NONE, "there is no key file /k")));
        await("it has lost them", () -> !node.owns && node.status().role() == Role.FAULT);
    }

    @Test
    void otherSettingsAreTakenUpWithoutGivingUpTheRole() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        begin(high, low);
        Membership was = leftMember(Way.V3, 150);
        high.takeover.become(List.of(new Membership(
                was.name(),
                was.device(),
                was.version(),
                was.routerId(),
                120,
                50 * MS,
                was.addresses(),
                was.preempt(),
                was.preemptDelay(),
                was.peers(),
                was.virtualMac(),
                was.checksum(),
                was.authentication(),
                was.refused(),
                was.lookAhead(),
                was.announcements(),
                was.announceAgain())));
        await(
                "the other hears of it",
                () -> low.status().peers().values().stream()
                        .anyMatch(peer -> peer.priority() == 120 && peer.interval() == 50 * MS));
        assertThat(high.roles).containsExactly(Role.BACKUP, Role.MASTER);
        assertThat(low.notes)
                .containsExactly("192.0.2.1 advertises every 50 ms, this node every 20 ms: the master's holds");

        low.takeover.become(List.of(rightMember(Way.V3, 200)));
        await("the other is better now", () -> low.owns && !high.owns);
    }

    @Test
    void theOperatorMovesAddresses() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        begin(high, low);

        high.takeover.manners(Map.of("front", Manner.YIELDING));
        await("the other has them", () -> low.owns && !high.owns);
        await("it stands by", () -> high.status().role() == Role.BACKUP);
        assertThat(high.status().priority()).isEqualTo(1);
        assertThat(high.status().manner()).isEqualTo(Manner.YIELDING);

        low.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("who gave way has to do after all", () -> high.owns && !low.owns);
        await("the other is out", () -> low.status().role() == Role.STOPPED);

        high.takeover.manners(Map.of("front", Manner.YIELDING));
        await("nobody else is there", () -> high.roles.getLast() == Role.MASTER && high.roles.contains(Role.LEAVING));
        assertThat(high.owns).isTrue();

        low.takeover.manners(Map.of("front", Manner.NORMAL));
        await("the other has them again", () -> low.owns && !high.owns);
        high.takeover.manners(Map.of("front", Manner.NORMAL));
        await("as described", () -> high.owns && !low.owns);

        low.takeover.manners(Map.of("front", Manner.PREFERRED));
        await("the lower one is wanted", () -> low.owns && !high.owns);
    }

    @Test
    void whoHasNothingToServeIsMasterOnlyAlone() throws Exception {
        RememberingNode high = node(wire.left);
        RememberingNode low = node(wire.right);
        begin(high, low);
        high.takeover.unable(Map.of("front", "no server is up of web"));
        await("the other is better", () -> low.owns && !high.owns);
        assertThat(high.notes).contains("gives way to every other node, as no server is up of web");

        low.takeover.manners(Map.of("front", Manner.WITHDRAWN));
        await("nobody else is there", () -> high.owns && !low.owns);
        low.takeover.manners(Map.of());
        await("the other is there again", () -> low.owns && !high.owns);
        high.takeover.unable(Map.of());
        await("it has something to serve", () -> high.owns && !low.owns);
    }
}

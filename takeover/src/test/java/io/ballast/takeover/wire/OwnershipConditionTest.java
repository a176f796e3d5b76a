package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.Capability;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.wire.OwnershipCondition.Standing;
import io.ballast.takeover.wire.OwnershipCondition.State;
import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two nodes on one network, the better one of which needs something before it has the address. */
@Timeout(60)
class OwnershipConditionTest {
    private static final long MS = 1_000_000;
    private static final long PATIENCE = 20_000 * MS;

    private NetworkNamespace left;
    private NetworkNamespace right;
    private RememberingNode high;
    private RememberingNode low;
    private final Needed needed = new Needed();
    private final List<RememberingNode> nodes = new ArrayList<>();

    /** Something that a test gives and takes. */
    private final class Needed implements OwnershipCondition {
        final List<String> asked = new CopyOnWriteArrayList<>();
        private volatile Standing standing = new Standing(State.FREE, "nothing", false);
        private volatile Runnable changed = () -> {};

        void be(State state, String text) {
            standing = new Standing(state, text, false);
            changed.run();
        }

        @Override
        public void wanted(String why) {
            asked.add("wanted");
            standing = new Standing(State.AWAITED, "the test", false);
        }

        @Override
        public void given(String why) {
            assertThat(high.owns).isFalse();
            if (standing.state() == State.FREE) {
                return; // said of one that was not wanted
            }
            asked.add("given");
            if (!standing.state().isFault()) {
                standing = new Standing(State.GIVEN_BACK, "the test takes it back", false);
            }
        }

        @Override
        public Standing standing() {
            return standing;
        }

        List<OwnershipCondition> make(List<Membership> routers, Runnable listener) {
            assertThat(routers).extracting(Membership::name).containsExactly("front");
            changed = listener;
            return List.of(this);
        }
    }

    @BeforeEach
    void wire() throws Exception {
        Assumptions.assumeTrue(Capability.SYS_ADMIN.isEffective(), "needs CAP_SYS_ADMIN (run the tests as root)");
        left = NetworkNamespace.create();
        right = NetworkNamespace.create();
        try (RouteNetlink mine = left.call(RouteNetlink::open);
                RouteNetlink theirs = right.call(RouteNetlink::open)) {
            mine.create(new NewLink.Veth("eth0", "eth0", right));
            for (RouteNetlink each : List.of(mine, theirs)) {
                int link = each.link("eth0").orElseThrow().index();
                each.setUp(link, true);
                each.add(Address.of(link, InetAddress.ofLiteral("192.0.2." + (each == mine ? 1 : 2)), 24));
            }
            await(
                    "the link",
                    () -> mine.link("eth0").orElseThrow().running()
                            && theirs.link("eth0").orElseThrow().running());
        }
        high = node(left);
        low = node(right);
    }

    private RememberingNode node(NetworkNamespace in) throws IOException {
        RememberingNode node = new RememberingNode(in);
        nodes.add(node);
        return node;
    }

    @AfterEach
    void unplug() {
        nodes.forEach(node -> node.takeover.close());
        if (right != null) {
            left.close();
            right.close();
        }
    }

    private static void await(String what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + PATIENCE;
        while (!condition.call()) {
            assertThat(System.nanoTime()).as("deadline of: " + what).isLessThan(until);
            Thread.sleep(2);
        }
    }

    private static Membership front(int priority) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                priority,
                20 * MS,
                List.of(new Cidr(InetAddress.ofLiteral("192.0.2.100"), 24)),
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

    /** The better one is elected. */
    private void begin() throws Exception {
        high.takeover.conditions(needed::make);
        high.takeover.become(List.of(front(150)));
        low.takeover.become(List.of(front(100)));
        await("it is asked for", () -> needed.asked.contains("wanted"));
        await(
                "the other hears it",
                () -> low.status().role() == Role.BACKUP
                        && low.status().master().isPresent());
        low.roles.clear();
    }

    @Test
    void aMasterHasNoAddressesBeforeEverythingIsThere() throws Exception {
        begin();
        assertThat(high.status().role()).isEqualTo(Role.MASTER);
        assertThat(high.status().holds()).isFalse();
        assertThat(high.status().waitsFor()).containsExactly("the test");
        assertThat(high.owns).isFalse();
        needed.be(State.GRANTED, "");
        await("it has the address", () -> high.owns);
        assertThat(high.status().holds()).isTrue();
        assertThat(high.status().waitsFor()).isEmpty();

        needed.be(State.AWAITED, "it went away");
        await("it has it no more", () -> !high.owns);
        assertThat(high.status().role()).isEqualTo(Role.MASTER);
        needed.be(State.GRANTED, "");
        await("it has it again", () -> high.owns);
        assertThat(needed.asked).containsExactly("wanted");
        assertThat(low.roles).isEmpty();
    }

    @Test
    void nobodyIsToldThatAMasterLeavesBeforeEverythingIsGivenBack() throws Exception {
        begin();
        needed.be(State.GRANTED, "");
        await("it has the address", () -> high.owns);
        high.takeover.manners(Map.of("front", Manner.YIELDING));
        await("it is to be given back", () -> needed.asked.contains("given"));
        assertThat(high.owns).isFalse();
        assertThat(high.status().role()).isEqualTo(Role.MASTER);
        assertThat(low.status().role()).isEqualTo(Role.BACKUP);
        needed.be(State.FREE, "");
        await("the other has the address", () -> low.owns);
        await("this one stands by", () -> high.status().role() == Role.BACKUP);

        // A better one comes back: the lower one needs nothing, so it gives way at once.
        high.takeover.manners(Map.of());
        await("it is asked for again", () -> needed.asked.size() == 3);
        needed.be(State.GRANTED, "");
        await("it has the address again", () -> high.owns && !low.owns);
        // And is replaced, which it says when it has given everything back.
        low.takeover.manners(Map.of("front", Manner.PREFERRED));
        await("it is given back again", () -> needed.asked.size() == 4);
        assertThat(high.status().role()).isEqualTo(Role.MASTER);
        needed.be(State.FREE, "");
        await("it follows the other one", () -> high.status().role() == Role.BACKUP);
        await("the other one has it", () -> low.owns && !high.owns);
    }

    @Test
    void whoCannotHaveWhatItNeedsLetsTheOtherOneTry() throws Exception {
        begin();
        needed.be(State.FAILED, "db: start failed");
        await("the other has the address", () -> low.owns);
        assertThat(high.status().role()).isEqualTo(Role.FAULT);
        assertThat(high.status().faults()).containsExactly("db: start failed");
        needed.be(State.FREE, "");
        await(
                "it tries again",
                () -> needed.asked.contains("given") && needed.asked.getLast().equals("wanted"));
        needed.be(State.GRANTED, "");
        await("it has the address", () -> high.owns && !low.owns);
    }
}

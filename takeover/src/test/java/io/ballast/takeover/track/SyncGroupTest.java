package io.ballast.takeover.track;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.vrrp.VirtualRouter.Settings;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class SyncGroupTest {
    private static final long INTERVAL = 100_000_000;
    private static final long LATER = 10 * INTERVAL;

    private final List<String> did = new ArrayList<>();
    private final VirtualRouter outside = router("outside", 1);
    private final VirtualRouter inside = router("inside", 2);
    private final SyncGroup group = new SyncGroup(List.of(outside, inside));

    private VirtualRouter router(String name, int network) {
        return new VirtualRouter(
                new Settings(3, 77, 100, INTERVAL, List.of(address(network, 100)), true, 0, address(network, 1)),
                new VirtualRouter.Output() {
                    @Override
                    public void advertise(Advertisement advertisement) {
                        did.add(name + " advertises " + advertisement.priority());
                    }

                    @Override
                    public void farewell(Advertisement advertisement) {
                        did.add(name + " says farewell");
                    }

                    @Override
                    public void silence() {
                        did.add(name + " is silent");
                    }

                    @Override
                    public void acquire() {
                        did.add(name + " acquires");
                    }

                    @Override
                    public void release() {
                        did.add(name + " releases");
                    }

                    @Override
                    public void handOver() {
                        did.add(name + " hands over");
                    }

                    @Override
                    public void contested(InetAddress by) {}

                    @Override
                    public void changed(Role from, Role to, String why) {}
                },
                0);
    }

    private static InetAddress address(int network, int host) {
        return InetAddress.ofLiteral("10.77." + network + "." + host);
    }

    private void hear(VirtualRouter member, int priority, long now) {
        int network = member == outside ? 1 : 2;
        Advertisement ad = new Advertisement(3, 77, priority, INTERVAL, List.of(address(network, 100)));
        group.heard(member, ad, address(network, 2), now, now);
    }

    private void assertRoles(Role role) {
        assertThat(List.of(outside.role(), inside.role())).containsOnly(role);
    }

    private void becomeMaster() {
        group.start(0);
        group.tick(group.due());
        assertRoles(Role.MASTER);
        did.clear();
    }

    @Test
    void allBecomeMasterTogetherWhenTheLastMayBe() {
        group.start(0);
        hear(inside, 200, INTERVAL);
        assertThat(group.due()).isEqualTo(inside.due()).isGreaterThan(outside.due());
        group.tick(group.due() - 1);
        assertRoles(Role.BACKUP);
        assertThat(did).isEmpty();
        group.tick(group.due());
        assertRoles(Role.MASTER);
        assertThat(did).contains("outside acquires", "inside acquires");
        assertThat(group.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void oneThatHearsItsMasterKeepsTheOthersBack() {
        group.start(0);
        for (long now = 0; now < LATER; now += INTERVAL) {
            hear(inside, 200, now);
            group.tick(now);
        }
        assertThat(outside.due()).isLessThan(LATER);
        assertRoles(Role.BACKUP);
    }

    @Test
    void whereOneHasLostTheOthersStepDown() {
        becomeMaster();
        hear(outside, 200, LATER);
        assertRoles(Role.BACKUP);
        assertThat(did)
                .containsExactly("outside is silent", "outside hands over", "inside says farewell", "inside releases");
        assertThat(inside.why()).isEqualTo("another of its group: 10.77.1.2 advertises priority 200, this node 100");
    }

    @Test
    void whereOneIsAtFaultAllAreUntilNoneIs() {
        becomeMaster();
        group.fault(outside, "no carrier", LATER);
        assertRoles(Role.FAULT);
        assertThat(did)
                .contains("outside releases", "inside releases", "outside says farewell", "inside says farewell");
        assertThat(inside.why()).isEqualTo("another of its group is at fault: no carrier");
        assertThat(group.faults()).containsExactly("no carrier");
        group.fault(inside, "no address", LATER);
        group.whole(outside, LATER);
        group.start(LATER);
        assertRoles(Role.FAULT);
        group.whole(outside, LATER);
        assertRoles(Role.FAULT);
        group.whole(inside, LATER);
        assertRoles(Role.BACKUP);
        assertThat(group.faults()).isEmpty();
    }

    @Test
    void whatIsAtFaultBeforeItStartsWaits() {
        group.fault(inside, "no carrier", 0);
        assertRoles(Role.STOPPED);
        group.start(0);
        assertRoles(Role.FAULT);
        assertThat(inside.why()).isEqualTo("no carrier");
        assertThat(outside.why()).isEqualTo("another of its group is at fault: no carrier");
        group.whole(inside, LATER);
        assertRoles(Role.BACKUP);
    }

    @Test
    void whatAllHaveInCommonIsTheFaultOfEach() {
        becomeMaster();
        group.fault("interface eth9 is down", LATER);
        assertRoles(Role.FAULT);
        assertThat(inside.why()).isEqualTo("interface eth9 is down");
        assertThat(did).contains("outside says farewell", "inside says farewell");
        group.fault(outside, "no carrier", LATER);
        group.whole(LATER);
        assertRoles(Role.FAULT);
        group.fault("interface eth9 is down again", LATER);
        group.whole(outside, LATER);
        assertRoles(Role.FAULT);
        group.whole(LATER);
        assertRoles(Role.BACKUP);
    }

    @Test
    void whoWasToldToLeaveDoesNotReturnWhenAFaultIsOver() {
        becomeMaster();
        group.leave("maintenance", LATER);
        assertRoles(Role.LEAVING);
        group.fault(outside, "no carrier", LATER);
        group.whole(outside, LATER);
        assertRoles(Role.STOPPED);
        assertThat(did).contains("outside releases", "inside releases");
    }

    @Test
    void whoLeavesStaysWhereNobodyHasTakenAnything() {
        becomeMaster();
        group.leave("maintenance", LATER);
        assertThat(group.due()).isEqualTo(outside.due());
        group.start(LATER);
        assertRoles(Role.MASTER);
        assertThat(did).doesNotContain("outside releases", "inside releases");
    }

    @Test
    void whoLeavesHasNothingMoreWhereOneHasBeenTaken() {
        becomeMaster();
        group.leave("maintenance", LATER);
        hear(outside, 50, LATER);
        assertThat(outside.role()).isEqualTo(Role.STOPPED);
        assertThat(inside.role()).isEqualTo(Role.LEAVING);
        group.start(LATER);
        assertRoles(Role.BACKUP);
        assertThat(did).contains("inside releases");
    }

    @Test
    void leavingEndsByItselfInTheEnd() {
        becomeMaster();
        group.leave("maintenance", LATER);
        inside.stepDown("it is leaving already", LATER);
        assertRoles(Role.LEAVING);
        group.tick(group.due());
        assertRoles(Role.STOPPED);
        group.stop("again", LATER);
        assertRoles(Role.STOPPED);
    }

    @Test
    void whoStoodStillHasNothingAnyMore() {
        becomeMaster();
        group.lapsed(LATER);
        assertRoles(Role.BACKUP);
        assertThat(did).contains("outside releases", "inside releases");
    }

    @Test
    void noTwoNodesCanComeToHaveOnePriority() {
        Random random = new Random(7);
        for (int round = 0; round < 300; round++) {
            Set<Integer> described = new TreeSet<>();
            int nodes = random.nextInt(2, 7);
            while (described.size() < nodes) {
                described.add(random.nextInt(1, 255));
            }
            Map<Integer, Integer> holders = new HashMap<>();
            for (int own : described) {
                Set<Integer> others = new TreeSet<>(described);
                others.remove(own);
                assertThat(SyncGroup.distinct(own, own, others)).isEqualTo(own);
                for (int wanted = 1; wanted < 255; wanted++) {
                    int priority = SyncGroup.distinct(wanted, own, others);
                    assertThat(priority).isBetween(1, 254);
                    assertThat(Math.abs(priority - wanted)).as("how far off").isLessThan(nodes * (nodes + 1));
                    assertThat(holders.merge(priority, own, (one, two) -> one.equals(two) ? one : -1))
                            .as("%d of %d, beside %s", priority, own, others)
                            .isEqualTo(own);
                }
            }
        }
        assertThat(SyncGroup.distinct(1, 100, Set.of(150))).isEqualTo(1);
        assertThat(SyncGroup.distinct(1, 150, Set.of(100))).isEqualTo(2);
        assertThat(SyncGroup.distinct(100, 150, Set.of(100))).isEqualTo(102);
    }

    @Test
    void aGroupHasMembersAndKnowsThem() {
        assertThatThrownBy(() -> new SyncGroup(List.of())).hasMessage("a group of none");
        assertThatThrownBy(() -> group.fault(router("stranger", 3), "x", 0)).hasMessage("of another group");
    }
}

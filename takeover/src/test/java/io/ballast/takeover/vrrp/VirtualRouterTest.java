package io.ballast.takeover.vrrp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.vrrp.VirtualRouter.Settings;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VirtualRouterTest {
    private static final long MS = 1_000_000;
    private static final long INTERVAL = 10 * MS;
    private static final InetAddress OWN = InetAddress.ofLiteral("10.77.0.12");
    private static final InetAddress BELOW = InetAddress.ofLiteral("10.77.0.11");
    private static final InetAddress ABOVE = InetAddress.ofLiteral("10.77.0.200");
    private static final List<InetAddress> VIP = List.of(InetAddress.ofLiteral("10.77.0.100"));

    private final List<String> done = new ArrayList<>();
    private VirtualRouter router = router(100, true, 0);

    private VirtualRouter router(int priority, boolean preempt, long delay) {
        return new VirtualRouter(new Settings(3, 77, priority, INTERVAL, VIP, preempt, delay, OWN), new Recorded(), 0);
    }

    private final class Recorded implements VirtualRouter.Output {
        @Override
        public void advertise(Advertisement advertisement) {
            done.add("advertise " + advertisement.priority());
        }

        @Override
        public void farewell(Advertisement advertisement) {
            done.add("farewell " + advertisement.priority());
        }

        @Override
        public void silence() {
            done.add("silence");
        }

        @Override
        public void acquire() {
            done.add("acquire");
        }

        @Override
        public void release() {
            done.add("release");
        }

        @Override
        public void handOver() {
            done.add("hand over");
        }

        @Override
        public void contested(InetAddress by) {
            done.add("contested by " + by.getHostAddress());
        }

        @Override
        public void changed(Role from, Role to, String why) {
            done.add(from + " -> " + to + ": " + why);
        }
    }

    private static Advertisement ad(int priority) {
        return new Advertisement(3, 77, priority, INTERVAL, VIP);
    }

    private void heard(int priority, InetAddress from, long at) {
        router.heard(ad(priority), from, at, at);
    }

    /** Starts it, and lets it be master. */
    private void master() {
        router.start(0);
        router.tick(router.due());
        assertThat(router.role()).isEqualTo(Role.MASTER);
        done.clear();
    }

    @Test
    void aBackupTakesOverAfterThreeIntervalsAndItsSkew() {
        router.start(0);
        assertThat(done).containsExactly("STOPPED -> BACKUP: started");
        heard(150, BELOW, 5 * MS);
        // 156/256 of 10 ms, to the nanosecond.
        assertThat(router.due()).isEqualTo(5 * MS + 36_093_750);
        router.tick(router.due() - 1);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        router.tick(router.due());
        assertThat(done)
                .containsExactly(
                        "STOPPED -> BACKUP: started",
                        "advertise 100",
                        "acquire",
                        "BACKUP -> MASTER: nothing was heard of 10.77.0.11 for 36 ms");
        assertThat(router.due()).isEqualTo(Long.MAX_VALUE);
        assertThat(router.master()).isEmpty();
    }

    @Test
    void whoIsHeldLeavesALowerMasterAloneAndReplacesASilentOne() {
        router.hold(true);
        router.start(0);
        for (int at = 0; at < 200; at += 10) {
            heard(50, BELOW, at * MS);
            router.tick(at * MS);
        }
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        router.hold(false);
        heard(50, BELOW, 200 * MS);
        router.tick(router.due());
        assertThat(router.why()).isEqualTo("the master's priority was lower");

        router = router(100, true, 0);
        router.hold(true);
        router.start(0);
        heard(50, BELOW, 5 * MS);
        router.tick(router.due());
        assertThat(router.why()).isEqualTo("nothing was heard of 10.77.0.11 for 36 ms");
    }

    @Test
    void anOwnerThatIsHeldWaitsAsABackup() {
        router = router(255, false, 0);
        router.hold(true);
        router.start(0);
        heard(50, BELOW, 5 * MS);
        router.tick(20 * MS);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        router.hold(false);
        heard(50, BELOW, 15 * MS);
        router.tick(router.due());
        assertThat(router.role()).isEqualTo(Role.MASTER);
    }

    @Test
    void theHigherThePriorityTheShorterTheSkew() {
        router = router(254, true, 0);
        router.start(0);
        assertThat(router.due()).isEqualTo(30 * MS + 78_125);
    }

    @Test
    void anOwnerIsMasterAtOnceAndPreemptsWhateverIsConfigured() {
        router = router(255, false, 0);
        router.start(0);
        assertThat(done)
                .containsExactly("advertise 255", "acquire", "STOPPED -> MASTER: started as the addresses' owner");
        heard(254, ABOVE, MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
        router.fault("eth0 is down", 2 * MS);
        router.whole(3 * MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
    }

    /** Erratum 8298: two owners are a mistake, but not one that may leave two masters. */
    @Test
    void ofTwoOwnersTheOneWithTheHigherAddressStays() {
        router = router(255, true, 0);
        router.start(0);
        heard(255, BELOW, MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
        heard(255, ABOVE, 2 * MS);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
    }

    @Test
    void theMastersIntervalCountsAndNotTheBackupsOwn() {
        router.start(0);
        router.heard(new Advertisement(3, 77, 150, 1000 * MS, VIP), BELOW, 0, 0);
        assertThat(router.due()).isEqualTo(3_609_375_000L);
        router.tick(router.due());
        assertThat(done).contains("advertise 100");
    }

    @Test
    void version2IgnoresAMasterOfAnotherIntervalAndReckonsItsSkewInSeconds() {
        router = new VirtualRouter(
                new Settings(2, 77, 100, 2 * Advertisement.SECOND, VIP, true, 0, OWN), new Recorded(), 0);
        router.start(0);
        assertThat(router.due()).isEqualTo(6_609_375_000L);
        router.heard(new Advertisement(2, 77, 150, Advertisement.SECOND, VIP), BELOW, 5000 * MS, 5000 * MS);
        assertThat(router.due()).isEqualTo(6_609_375_000L);
        router.heard(new Advertisement(2, 77, 150, 2 * Advertisement.SECOND, VIP), BELOW, 5000 * MS, 5000 * MS);
        assertThat(router.due()).isEqualTo(11_609_375_000L);
    }

    @Test
    void whatWasHeardCountsFromWhenItArrived() {
        router.start(0);
        router.heard(ad(150), BELOW, 20 * MS, 90 * MS);
        assertThat(router.due()).isEqualTo(20 * MS + 36_093_750);
        // Late, and told of out of order: nothing is forgotten.
        router.heard(ad(150), BELOW, 10 * MS, 91 * MS);
        assertThat(router.due()).isEqualTo(20 * MS + 36_093_750);
    }

    @Test
    void aMasterThatLeavesIsFollowedAfterTheSkewAlone() {
        router.start(0);
        heard(150, BELOW, 0);
        heard(0, BELOW, 5 * MS);
        assertThat(router.due()).isEqualTo(5 * MS + 6_093_750);
        heard(0, BELOW, 8 * MS);
        assertThat(router.due()).isEqualTo(5 * MS + 6_093_750);
    }

    @Test
    void somebodyElseWhoLeavesIsNotTheMaster() {
        router.start(0);
        heard(150, BELOW, 0);
        heard(0, ABOVE, 5 * MS);
        assertThat(router.due()).isEqualTo(36_093_750);
    }

    @ParameterizedTest
    @CsvSource({"true, 99, false", "true, 100, true", "true, 150, true", "false, 99, true", "false, 1, true"})
    void aBackupFollowsWhomItWouldNotReplace(boolean preempt, int priority, boolean follows) {
        router = router(100, preempt, 0);
        router.start(0);
        heard(priority, BELOW, 20 * MS);
        assertThat(router.due()).isEqualTo((follows ? 20 * MS : 0) + 36_093_750);
    }

    @Test
    void preemptionWaitsForItsDelayAndNotForADeadMaster() {
        router = router(100, true, 500 * MS);
        router.start(0);
        for (long at = 0; at < 500 * MS; at += INTERVAL) {
            heard(50, BELOW, at);
            router.tick(at);
        }
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        for (long at = 500 * MS; at < 540 * MS; at += INTERVAL) {
            heard(50, BELOW, at);
            router.tick(at);
        }
        assertThat(router.role()).isEqualTo(Role.MASTER);
        assertThat(router.why()).isEqualTo("the master's priority was lower");

        router = router(100, true, 500 * MS);
        router.start(0);
        heard(50, BELOW, 0);
        router.tick(37 * MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
    }

    @Test
    void aMasterYieldsToAHigherPriorityAndToAHigherAddressOfTheSame() {
        master();
        heard(100, BELOW, 40 * MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
        done.clear();
        heard(100, ABOVE, 50 * MS);
        assertThat(done)
                .containsExactly(
                        "silence", "hand over", "MASTER -> BACKUP: 10.77.0.200 advertises priority 100, this node 100");
        assertThat(router.master()).contains(ABOVE);
        assertThat(router.due()).isEqualTo(50 * MS + 36_093_750);
    }

    /** As numbers without a sign: 200 is more than 100. */
    @Test
    void addressesAreComparedWithoutSign() {
        router = new VirtualRouter(
                new Settings(3, 77, 100, INTERVAL, VIP, true, 0, InetAddress.ofLiteral("10.77.0.100")),
                new Recorded(),
                0);
        master();
        heard(100, ABOVE, 40 * MS);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
    }

    @Test
    void aMasterAnswersALowerOneAtOnceButNotAFlood() {
        master();
        for (int i = 0; i < 1000; i++) {
            heard(50, BELOW, 40 * MS + i * 10_000L);
        }
        assertThat(done.stream().filter(each -> each.equals("advertise 100")).count())
                .isEqualTo(4);
        assertThat(done).contains("contested by 10.77.0.11");
        assertThat(router.role()).isEqualTo(Role.MASTER);
    }

    @Test
    void aMasterAnswersOneThatLeaves() {
        master();
        heard(0, BELOW, 40 * MS);
        assertThat(done).containsExactly("advertise 100");
    }

    @Test
    void whoeverLeavesKeepsTheAddressesUntilAnotherHasThem() {
        master();
        router.leave("maintenance", 40 * MS);
        assertThat(done).containsExactly("advertise 0", "MASTER -> LEAVING: maintenance");
        done.clear();
        heard(0, ABOVE, 41 * MS);
        assertThat(done).isEmpty();
        heard(50, BELOW, 46 * MS);
        assertThat(done).containsExactly("silence", "hand over", "LEAVING -> STOPPED: 10.77.0.11 has taken over");
        assertThat(router.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void whoeverLeavesMayChangeItsMind() {
        master();
        router.leave("maintenance", 40 * MS);
        done.clear();
        router.start(41 * MS);
        assertThat(done).containsExactly("advertise 100", "LEAVING -> MASTER: stays");
        router.tick(4000 * MS);
        assertThat(router.role()).isEqualTo(Role.MASTER);
    }

    @Test
    void whoeverLeavesAloneEndsInTheEnd() {
        master();
        router.leave("maintenance", 40 * MS);
        assertThat(router.due()).isEqualTo(40 * MS + 36_093_750);
        done.clear();
        router.tick(router.due());
        assertThat(done).containsExactly("farewell 0", "release", "LEAVING -> STOPPED: nobody has taken over");
    }

    @Test
    void faultsTakeTheAddressesAtOnceAndTheirEndGivesThemNot() {
        master();
        router.fault("eth0 is down", 40 * MS);
        assertThat(done).containsExactly("farewell 0", "release", "MASTER -> FAULT: eth0 is down");
        heard(50, BELOW, 41 * MS);
        router.tick(400 * MS);
        assertThat(router.role()).isEqualTo(Role.FAULT);
        router.whole(500 * MS);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        assertThat(router.due()).isEqualTo(500 * MS + 36_093_750);
    }

    @Test
    void aMasterThatStoodStillIsNoneAnyMore() {
        master();
        router.lapsed(900 * MS);
        assertThat(done).containsExactly("silence", "release", "MASTER -> BACKUP: this node stood still for too long");
        assertThat(router.due()).isEqualTo(900 * MS + 16_093_750);
    }

    @Test
    void anotherPriorityIsAdvertisedAtOnce() {
        master();
        router.configure(new Settings(3, 77, 40, INTERVAL, VIP, true, 0, OWN), 40 * MS);
        assertThat(done).containsExactly("advertise 40");
        heard(50, BELOW, 41 * MS);
        assertThat(router.role()).isEqualTo(Role.BACKUP);
        router.configure(new Settings(3, 77, 200, INTERVAL, VIP, true, 0, OWN), 42 * MS);
        assertThat(router.due()).isEqualTo(41 * MS + 32_187_500);
    }

    @Test
    void otherSettingsLeaveTheRole() {
        master();
        router.configure(new Settings(3, 77, 90, 2 * INTERVAL, VIP, true, 0, OWN), 40 * MS);
        assertThat(done).containsExactly("advertise 90");
        assertThatThrownBy(() -> router.configure(new Settings(3, 78, 90, INTERVAL, VIP, true, 0, OWN), 0))
                .hasMessage("virtual router 77 of version 3 cannot become 78 of 3");
    }

    @Test
    void whatIsStoppedHearsNothing() {
        heard(150, BELOW, 0);
        router.tick(1000 * MS);
        assertThat(done).isEmpty();
        master();
        router.stop("stopped", 40 * MS);
        assertThat(done).containsExactly("farewell 0", "release", "MASTER -> STOPPED: stopped");
        router.stop("again", 41 * MS);
        assertThat(done).hasSize(3);
    }
}

package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** {@code lblc} and {@code lblcr}. */
class LocalityTest {

    private final LocalityLeastConnection lblc = new LocalityLeastConnection();
    private final LocalityReplication lblcr = new LocalityReplication();

    @BeforeEach
    void addServers() {
        for (int i = 0; i < 3; i++) {
            lblc.add(new Member("s" + i, 4, 0, true));
            lblcr.add(new Member("s" + i, 4, 0, true));
        }
    }

    private static String connect(Scheduler scheduler, int destination) {
        Member member = Objects.requireNonNull(scheduler.pick(Flows.to(destination)));
        scheduler.opened(member);
        return member.name();
    }

    @Test
    void aDestinationStaysWithItsServerWhileOthersAreSpread() {
        assertThat(connect(lblc, 0)).isEqualTo("s0");
        assertThat(connect(lblc, 1)).isEqualTo("s1");
        assertThat(connect(lblc, 2)).isEqualTo("s2");
        assertThat(connect(lblc, 0)).isEqualTo("s0");
        assertThat(connect(lblc, 0)).isEqualTo("s0");
        assertThat(connect(lblc, 1)).isEqualTo("s1");
    }

    @Test
    void anOverloadedServerIsGivenUpOnlyWhileAnotherHasRoomToSpare() {
        for (int i = 0; i < 5; i++) {
            assertThat(connect(lblc, 0)).isEqualTo("s0"); // five exceed the weight of 4
        }
        assertThat(connect(lblc, 0)).isEqualTo("s1");
        Member s1 = lblc.members().get(1);
        Member s2 = lblc.members().get(2);
        for (int i = 0; i < 2; i++) {
            lblc.opened(s2); // half the weight: no longer room to spare
        }
        for (int i = 0; i < 10; i++) {
            assertThat(connect(lblc, 0)).isEqualTo("s1");
        }
        assertThat(s1.connections()).isEqualTo(11);
        lblc.closed(s2);
        assertThat(connect(lblc, 0)).isEqualTo("s2");
    }

    @Test
    void aFailedServersDestinationsMoveAndStayWhereTheyWent() {
        assertThat(connect(lblc, 0)).isEqualTo("s0");
        Member s0 = lblc.members().get(0);
        lblc.update(s0, 4, 0, false);
        assertThat(connect(lblc, 0)).isEqualTo("s1");
        lblc.update(s0, 4, 0, true);
        assertThat(connect(lblc, 0)).isEqualTo("s1");
    }

    @Test
    void aDestinationIsForgottenAfterADayWithoutAConnection() {
        lblc.expire(0);
        connect(lblc, 0);
        lblc.expire(Locality.DAY - 1);
        connect(lblc, 1);
        assertThat(lblc.destinations()).isEqualTo(2);
        lblc.expire(Locality.DAY);
        assertThat(lblc.destinations()).isEqualTo(1);
        lblc.expire(2 * Locality.DAY - 1);
        assertThat(lblc.destinations()).isZero();
    }

    @Test
    void aDestinationThatIsAskedForIsNotForgotten() {
        for (Scheduler scheduler : new Scheduler[] {lblc, lblcr}) {
            scheduler.expire(0);
            for (int half = 0; half < 10; half++) {
                scheduler.expire(half * (Locality.DAY / 2));
                connect(scheduler, 0);
                assertThat(destinations(scheduler)).isEqualTo(1);
            }
        }
    }

    @Test
    void forgettingSomeDestinationsKeepsTheOthers() {
        lblc.expire(0);
        for (int i = 0; i < 1000; i++) {
            lblc.pick(Flows.to(i));
        }
        lblc.expire(Locality.DAY / 2);
        for (int i = 0; i < 1000; i += 2) {
            lblc.pick(Flows.to(i));
        }
        lblc.expire(Locality.DAY);
        assertThat(lblc.destinations()).isEqualTo(500);
        for (int i = 0; i < 1000; i += 2) {
            lblc.pick(Flows.to(i));
        }
        assertThat(lblc.destinations())
                .as("none of them had to be remembered anew")
                .isEqualTo(500);
    }

    @Test
    void tooManyDestinationsAreForgottenSoonerAndNeverExceedTheBound() {
        for (Scheduler scheduler : new Scheduler[] {lblc, lblcr}) {
            scheduler.expire(0);
            for (int i = 0; i < Locality.MOST + 1000; i++) {
                assertThat(scheduler.pick(Flows.to(i))).isNotNull();
            }
            assertThat(destinations(scheduler)).isEqualTo(Locality.MOST);
            scheduler.expire(Locality.SHORT - 1);
            assertThat(destinations(scheduler)).isEqualTo(Locality.MOST);
            scheduler.expire(Locality.SHORT);
            assertThat(destinations(scheduler)).isEqualTo(Locality.MOST - Locality.MANY / 2);
            for (int i = 0; i < 20; i++) {
                scheduler.expire(Locality.SHORT);
            }
            assertThat(destinations(scheduler)).isEqualTo(Locality.MANY);
        }
    }

    private int destinations(Scheduler scheduler) {
        return scheduler.equals(lblc) ? lblc.destinations() : lblcr.destinations();
    }

    @Test
    void replicationAddsAServerUnderLoadAndDropsTheMostLoadedAfterADay() {
        lblcr.expire(0);
        for (int i = 0; i < 5; i++) {
            assertThat(connect(lblcr, 0)).isEqualTo("s0");
        }
        assertThat(connect(lblcr, 0)).isEqualTo("s1");
        Member s0 = lblcr.members().get(0);
        for (int i = 0; i < 5; i++) {
            lblcr.closed(s0);
        }
        assertThat(connect(lblcr, 0)).as("both are in the set, and s0 is idle").isEqualTo("s0");
        lblcr.expire(Locality.DAY / 2);
        assertThat(connect(lblcr, 0))
                .as("a tie of one connection each, and s1's is the older")
                .isEqualTo("s1");
        lblcr.expire(Locality.DAY);
        assertThat(connect(lblcr, 0)).isEqualTo("s0");
        lblcr.expire(Locality.DAY + 1);
        assertThat(connect(lblcr, 0)).as("a tie again; and s0 leaves the set").isEqualTo("s1");
        for (int i = 0; i < 2; i++) {
            lblcr.closed(s0);
        }
        assertThat(connect(lblcr, 0)).as("s0 is idle but no longer in the set").isEqualTo("s1");
    }

    @Test
    void aHotDestinationsSetGrowsToAllServersAndKeepsTheLeastLoadedInFront() {
        LocalityReplication scheduler = new LocalityReplication();
        for (int i = 0; i < 200; i++) {
            scheduler.add(new Member("s" + i, 1, 0, true));
        }
        Set<String> used = new HashSet<>();
        for (int i = 0; i < 400; i++) {
            used.add(connect(scheduler, 0));
        }
        assertThat(used).hasSize(200);
        assertThat(scheduler.members())
                .allSatisfy(member -> assertThat(member.connections()).isEqualTo(2));
        for (int index : new int[] {17, 170, 71}) {
            scheduler.closed(scheduler.members().get(index));
            assertThat(connect(scheduler, 0)).isEqualTo("s" + index);
        }
    }

    @Test
    void heapsOfForgottenSetsAreGivenToOthers() {
        LocalityReplication scheduler = new LocalityReplication();
        for (int i = 0; i < 2 * LocalityReplication.LARGE; i++) {
            scheduler.add(new Member("s" + i, 1, 0, true));
        }
        for (int round = 0; round < 3 * LocalityReplication.INDEXED; round++) {
            scheduler.expire(round * Locality.DAY);
            assertThat(scheduler.destinations()).isZero();
            assertThat(scheduler.setsWithAHeap()).isZero();
            for (int i = 0; i < 6 * LocalityReplication.LARGE; i++) {
                connect(scheduler, round);
            }
            assertThat(scheduler.members())
                    .allSatisfy(member -> assertThat(member.connections()).isEqualTo(3));
            for (Member member : scheduler.members()) {
                for (int i = 0; i < 3; i++) {
                    scheduler.closed(member);
                }
            }
        }
    }
}

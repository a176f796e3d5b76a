package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.ballast.core.config.SchedulerKind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** What each kind means, in examples, and what all of them promise. */
class SchedulerTest {

    private static final FlowKey FLOW = Flows.from(1);

    /** A scheduler with servers a, b, c and so on of these weights. */
    private static Scheduler of(SchedulerKind kind, int... weights) {
        Scheduler scheduler = Schedulers.create(kind);
        for (int i = 0; i < weights.length; i++) {
            scheduler.add(new Member(String.valueOf((char) ('a' + i)), weights[i], 0, true));
        }
        return scheduler;
    }

    private static Member member(Scheduler scheduler, int index) {
        return scheduler.members().get(index);
    }

    private static String name(@Nullable Member member) {
        return member == null ? "-" : member.name();
    }

    /** The names of the next picks, each of which becomes a connection. */
    private static String next(Scheduler scheduler, int count) {
        StringBuilder names = new StringBuilder();
        for (int i = 0; i < count; i++) {
            Member member = scheduler.pick(FLOW);
            names.append(name(member));
            if (member != null) {
                scheduler.opened(member);
            }
        }
        return names.toString();
    }

    private static void open(Scheduler scheduler, int index, int connections) {
        for (int i = 0; i < connections; i++) {
            scheduler.opened(member(scheduler, index));
        }
    }

    private static void weigh(Scheduler scheduler, int index, int weight) {
        scheduler.update(member(scheduler, index), weight, 0, true);
    }

    // ---- round robin

    @Test
    void roundRobinTakesEachInTurnWhateverItsWeight() {
        assertThat(next(of(SchedulerKind.RR, 1, 7, 3), 7)).isEqualTo("abcabca");
    }

    @Test
    void roundRobinKeepsItsTurnWhenServersComeAndGo() {
        Scheduler scheduler = of(SchedulerKind.RR, 1, 1, 1, 1);
        assertThat(next(scheduler, 2)).isEqualTo("ab");
        scheduler.remove(member(scheduler, 0));
        assertThat(next(scheduler, 2)).isEqualTo("cd");
        scheduler.add(new Member("e", 1, 0, true));
        assertThat(next(scheduler, 4)).isEqualTo("ebcd");
        scheduler.remove(member(scheduler, 2));
        assertThat(next(scheduler, 3)).isEqualTo("ebc");
    }

    // ---- weighted round robin

    @Test
    void weights4And3And2Give4And3And2InEveryNineInterleaved() {
        Scheduler scheduler = of(SchedulerKind.WRR, 4, 3, 2);
        assertThat(next(scheduler, 27)).isEqualTo("aababcabc".repeat(3));
    }

    @Test
    void weightedRoundRobinIsExactInEveryCycleFromAnywhere() {
        Seeds.forEach(50, random -> {
            int[] weights = random.ints(1 + random.nextInt(6), 1, 40).toArray();
            Scheduler scheduler = of(SchedulerKind.WRR, weights);
            next(scheduler, random.nextInt(100));
            int divisor = Arrays.stream(weights).reduce(0, SchedulerTest::gcd);
            int cycle = Arrays.stream(weights).sum() / divisor;
            String picks = next(scheduler, cycle);
            for (int i = 0; i < weights.length; i++) {
                char name = (char) ('a' + i);
                assertThat(picks.chars().filter(c -> c == name).count()).isEqualTo(weights[i] / divisor);
            }
        });
    }

    private static int gcd(int a, int b) {
        return b == 0 ? a : gcd(b, a % b);
    }

    @Test
    void weightedRoundRobinWithoutTheDivisorIsAsSmoothAsWithIt() {
        assertThat(next(of(SchedulerKind.WRR, 400, 300, 200), 18)).isEqualTo("aababcabc".repeat(2));
    }

    @Test
    void weightedRoundRobinIsExactAgainAfterAChangeInTheMiddleOfACycle() {
        Scheduler scheduler = of(SchedulerKind.WRR, 4, 3, 2);
        next(scheduler, 4);
        weigh(scheduler, 2, 5);
        next(scheduler, 12); // what is left of the cycle, and one more
        String picks = next(scheduler, 12 * 5);
        assertThat(picks.chars().filter(c -> c == 'a').count()).isEqualTo(4 * 5);
        assertThat(picks.chars().filter(c -> c == 'b').count()).isEqualTo(3 * 5);
        assertThat(picks.chars().filter(c -> c == 'c').count()).isEqualTo(5 * 5);
    }

    @Test
    void weightedRoundRobinFavoursNobodyWhenAnotherServerFlapsAtEveryPick() {
        Scheduler scheduler = of(SchedulerKind.WRR, 2, 2, 2, 2);
        Map<String, Integer> counts = new HashMap<>();
        for (int i = 0; i < 3000; i++) {
            scheduler.update(member(scheduler, 3), 2, 0, i % 2 == 0);
            counts.merge(next(scheduler, 1), 1, Integer::sum);
        }
        // With its turn started again at each change, a would have them all.
        assertThat(counts.get("a")).isBetween(700, 1100);
        assertThat(counts.get("b")).isBetween(700, 1100);
        assertThat(counts.get("c")).isBetween(700, 1100);
    }

    @Test
    void weightedRoundRobinPassesOverAServerAtItsLimitAndTakesUpItsShareLater() {
        Scheduler scheduler = of(SchedulerKind.WRR, 4, 3, 2);
        scheduler.update(member(scheduler, 0), 4, 2, true);
        assertThat(next(scheduler, 7)).isEqualTo("aabbcbc");
        scheduler.closed(member(scheduler, 0));
        assertThat(next(scheduler, 3)).contains("a");
    }

    // ---- the least loaded

    @Test
    void leastConnectionTakesTheLeastLoadedAndEqualsInTurn() {
        Scheduler scheduler = of(SchedulerKind.LC, 1, 9, 1);
        assertThat(next(scheduler, 7)).isEqualTo("abcabca");
        scheduler.closed(member(scheduler, 2));
        assertThat(next(scheduler, 1)).isEqualTo("c");
    }

    @Test
    void aThousandEqualServersAreTakenInTheOrderOfAddition() {
        Scheduler scheduler = Schedulers.create(SchedulerKind.WLC);
        for (int i = 0; i < 1000; i++) {
            scheduler.add(new Member("s" + i, 10, 0, true));
        }
        for (int i = 0; i < 3000; i++) {
            assertThat(next(scheduler, 1)).isEqualTo("s" + i % 1000);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"LC", "WLC", "SED", "NQ"})
    void serversThatAreIdleAgainAtEachConnectionTakeTurns(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 2, 2, 2);
        StringBuilder taken = new StringBuilder();
        for (int i = 0; i < 6; i++) {
            Member member = java.util.Objects.requireNonNull(scheduler.pick(FLOW));
            taken.append(member.name());
            scheduler.opened(member);
            scheduler.closed(member);
        }
        assertThat(taken).hasToString("abcabc");
    }

    @Test
    void leastConnectionCountsAnInactiveConnectionAsOneIn256() {
        Scheduler scheduler = of(SchedulerKind.LC, 1, 1);
        open(scheduler, 0, 256);
        for (int i = 0; i < 255; i++) {
            scheduler.deactivated(member(scheduler, 0));
        }
        open(scheduler, 1, 2); // 512 against 256 + 255
        assertThat(name(scheduler.pick(FLOW))).isEqualTo("a");
        scheduler.deactivated(member(scheduler, 0));
        open(scheduler, 0, 1);
        scheduler.opened(member(scheduler, 0)); // 2 * 256 + 256 against 512
        assertThat(name(scheduler.pick(FLOW))).isEqualTo("b");
    }

    @Test
    void weightedLeastConnectionFillsInProportionToTheWeights() {
        Scheduler scheduler = of(SchedulerKind.WLC, 4, 3, 2);
        next(scheduler, 900);
        assertThat(scheduler.members()).extracting(Member::connections).containsExactly(400, 300, 200);
    }

    @Test
    void shortestExpectedDelayCountsTheNewConnection() {
        // wlc takes the idle b; for sed a fast server with one connection still is the faster.
        Scheduler sed = of(SchedulerKind.SED, 3, 1);
        Scheduler wlc = of(SchedulerKind.WLC, 3, 1);
        assertThat(next(sed, 5)).isEqualTo("aabaa");
        assertThat(next(wlc, 6)).isEqualTo("abaaab");
    }

    @Test
    void neverQueueTakesAnIdleServerFirst() {
        assertThat(next(of(SchedulerKind.NQ, 3, 1, 2), 6)).isEqualTo("abcaca");
    }

    // ---- by weight alone

    @Test
    void failoverTakesTheHighestWeightUntilItIsGone() {
        Scheduler scheduler = of(SchedulerKind.FO, 1, 9, 5, 9);
        assertThat(next(scheduler, 3)).isEqualTo("bbb");
        scheduler.update(member(scheduler, 1), 9, 0, false);
        assertThat(next(scheduler, 2)).isEqualTo("dd");
        weigh(scheduler, 3, 2);
        assertThat(next(scheduler, 2)).isEqualTo("cc");
        scheduler.update(member(scheduler, 1), 9, 0, true);
        assertThat(next(scheduler, 1)).isEqualTo("b");
    }

    @Test
    void overflowFillsTheHighestWeightAndThenTheNext() {
        Scheduler scheduler = of(SchedulerKind.OVF, 1, 3, 2);
        // One more than the weight, because IPVS skips a server only when it exceeds it.
        assertThat(next(scheduler, 11)).isEqualTo("bbbbcccaa--");
        scheduler.closed(member(scheduler, 2));
        assertThat(next(scheduler, 2)).isEqualTo("c-");
    }

    // ---- what all promise

    @ParameterizedTest
    @EnumSource
    void noServersMeansNobody(SchedulerKind kind) {
        assertThat(Schedulers.create(kind).pick(FLOW)).isNull();
    }

    @ParameterizedTest
    @EnumSource
    void weight0TakesNoNewConnectionsAndKeepsTheOldOnes(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 3, 3);
        open(scheduler, 0, 1);
        weigh(scheduler, 0, 0);
        assertThat(next(scheduler, 4)).isEqualTo("bbbb");
        assertThat(member(scheduler, 0).connections()).isEqualTo(1);
        weigh(scheduler, 1, 0);
        assertThat(scheduler.pick(FLOW)).isNull();
        scheduler.closed(member(scheduler, 0));
        weigh(scheduler, 0, 3);
        assertThat(next(scheduler, 1)).isEqualTo("a");
    }

    @ParameterizedTest
    @EnumSource
    void aServerThatIsDownIsNotPickedUntilItIsUp(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 1, 1);
        scheduler.update(member(scheduler, 1), 1, 0, false);
        assertThat(next(scheduler, 2)).isEqualTo("aa");
        scheduler.update(member(scheduler, 0), 1, 0, false);
        assertThat(scheduler.pick(FLOW)).isNull();
        scheduler.update(member(scheduler, 1), 1, 0, true);
        assertThat(name(scheduler.pick(FLOW))).isEqualTo("b");
    }

    @ParameterizedTest
    @EnumSource
    void aServerAtItsLimitIsNotPickedUntilAConnectionCloses(SchedulerKind kind) {
        Scheduler scheduler = Schedulers.create(kind);
        Member only = new Member("a", 9, 2, true);
        scheduler.add(only);
        assertThat(next(scheduler, 3)).isEqualTo("aa-");
        scheduler.deactivated(only); // still a connection
        assertThat(next(scheduler, 1)).isEqualTo("-");
        scheduler.closedInactive(only);
        assertThat(next(scheduler, 2)).isEqualTo("a-");
        scheduler.update(only, 9, 3, true);
        assertThat(next(scheduler, 2)).isEqualTo("a-");
        scheduler.update(only, 9, 0, true);
        assertThat(next(scheduler, 3)).isEqualTo("aaa");
    }

    @ParameterizedTest
    @EnumSource
    void retriesGoToServersThatWereNotTried(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 1, 5, 3, 2);
        List<Member> tried = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Member member = scheduler.pick(FLOW, tried::contains);
            assertThat(member).isNotNull().isNotIn(tried);
            tried.add(member);
        }
        assertThat(scheduler.pick(FLOW, tried::contains)).isNull();
        assertThat(scheduler.pick(FLOW)).isNotNull();
    }

    @ParameterizedTest
    @EnumSource
    void aRemovedServersConnectionsAreCountedToTheirEnd(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 2, 2);
        Member leaving = member(scheduler, 0);
        open(scheduler, 0, 3);
        scheduler.remove(leaving);
        assertThat(leaving.available()).isFalse();
        assertThat(next(scheduler, 2)).isEqualTo("bb");
        scheduler.deactivated(leaving);
        scheduler.closedInactive(leaving);
        scheduler.closed(leaving);
        assertThat(leaving.connections()).isEqualTo(1);
        assertThat(leaving.inactive()).isZero();
        scheduler.update(leaving, 2, 1, true);
        scheduler.add(leaving);
        assertThat(leaving.available())
                .as("it came back with a connection, which is its limit")
                .isFalse();
        scheduler.closed(leaving);
        assertThat(leaving.available()).isTrue();
    }

    @ParameterizedTest
    @EnumSource(
            mode = Mode.EXCLUDE,
            names = {"RR", "WRR"})
    void aPickAloneChangesNothing(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 4, 3, 2);
        Member first = scheduler.pick(FLOW);
        for (int i = 0; i < 10; i++) {
            assertThat(scheduler.pick(FLOW)).isSameAs(first);
        }
    }

    @ParameterizedTest
    @EnumSource
    void misuseIsRefusedAndNamesTheServer(SchedulerKind kind) {
        Scheduler scheduler = of(kind, 1);
        Member member = member(scheduler, 0);
        Scheduler other = of(kind, 1);
        assertThatIllegalStateException()
                .isThrownBy(() -> scheduler.add(member))
                .withMessageContaining("server a");
        assertThatIllegalStateException().isThrownBy(() -> other.opened(member)).withMessageContaining("server a");
        assertThatIllegalStateException().isThrownBy(() -> other.remove(member)).withMessageContaining("server a");
        assertThatIllegalStateException()
                .isThrownBy(() -> scheduler.closed(member))
                .withMessageContaining("server a");
        assertThatIllegalStateException()
                .isThrownBy(() -> scheduler.closedInactive(member))
                .withMessageContaining("server a");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> scheduler.update(member, 65_536, 0, true))
                .withMessageContaining("server a: weight 65536");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> scheduler.update(member, -1, 0, true))
                .withMessageContaining("weight -1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> scheduler.update(member, 1, -1, true))
                .withMessageContaining("limit -1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> scheduler.reorder(List.of()))
                .withMessageContaining("a[weight 1");
        for (Member foreign : List.of(member(other, 0), new Member("b", 1, 0, true))) {
            assertThatIllegalArgumentException().isThrownBy(() -> scheduler.reorder(List.of(foreign)));
        }
        assertThat(next(scheduler, 1)).isEqualTo("a");
    }

    @Test
    void anotherOrderBreaksTiesAnotherWayAndKeepsTheTurn() {
        Scheduler wlc = of(SchedulerKind.WLC, 1, 1, 1);
        wlc.reorder(List.of(member(wlc, 2), member(wlc, 0), member(wlc, 1)));
        assertThat(next(wlc, 4)).isEqualTo("cabc");
        Scheduler rr = of(SchedulerKind.RR, 1, 1, 1, 1);
        assertThat(next(rr, 2)).isEqualTo("ab");
        rr.reorder(List.of(member(rr, 3), member(rr, 1), member(rr, 0), member(rr, 2)));
        assertThat(next(rr, 4)).isEqualTo("acdb");
    }

    @ParameterizedTest
    @EnumSource(names = {"WLC", "SED", "NQ"})
    void ratiosOfLargeNumbersAreComparedExactly(SchedulerKind kind) {
        int weight = Member.MAX_WEIGHT;
        Scheduler scheduler = of(kind, weight, weight - 1);
        // n / 65535 against n / 65534: the first has less, until it has one more.
        open(scheduler, 0, 60_000);
        open(scheduler, 1, 60_000);
        assertThat(next(scheduler, 2)).isEqualTo("ab");
        open(scheduler, 0, 1);
        assertThat(next(scheduler, 1)).isEqualTo("b");
        // The products of the comparison pass 2^31 and 2^32 many times on the way.
        for (int i = 0; i < 100; i++) {
            open(scheduler, 0, 500);
            assertThat(name(scheduler.pick(FLOW))).isEqualTo("b");
            open(scheduler, 1, 1000);
            assertThat(name(scheduler.pick(FLOW))).isEqualTo("a");
            open(scheduler, 0, 500);
        }
    }

    @ParameterizedTest
    @EnumSource
    void theHeaviestWeightsDoNotOverflow(SchedulerKind kind) {
        Scheduler scheduler = of(kind, Member.MAX_WEIGHT, Member.MAX_WEIGHT - 1, 1);
        Set<String> names = Set.of("a", "b", "c");
        for (int i = 0; i < 1000; i++) {
            assertThat(names).contains(next(scheduler, 1));
        }
    }
}

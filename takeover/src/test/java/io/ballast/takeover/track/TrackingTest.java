package io.ballast.takeover.track;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.ballast.takeover.track.Tracking.Standing;
import io.ballast.takeover.track.Tracking.State;
import io.ballast.takeover.track.Tracking.Tracked;
import io.ballast.takeover.track.Tracking.Verdict;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrackingTest {
    private static final String IT = "interface eth1";

    private static Tracking of(int weight, boolean reverse) {
        return new Tracking(100, List.of(new Tracked(IT, weight, reverse)));
    }

    private static Verdict priority(int priority) {
        return new Verdict(priority, List.of(), List.of());
    }

    private static Verdict fault(String why) {
        return new Verdict(100, List.of(IT + " " + why), List.of());
    }

    @ParameterizedTest
    @CsvSource({
        "20, false, 120, 100",
        "-20, false, 100, 80",
        "20, true, 80, 100",
        "-20, true, 100, 120",
        "253, false, 254, 100",
        "-253, false, 100, 1",
        "253, true, 1, 100",
    })
    void aWeightIsAddedWhereItIsDue(int weight, boolean reverse, int up, int down) {
        Tracking tracking = of(weight, reverse);
        assertThat(tracking.verdict()).isEqualTo(priority(100)); // not known yet
        for (int i = 0; i < 2; i++) {
            tracking.put(IT, new State.Up());
            assertThat(tracking.verdict()).isEqualTo(priority(up));
            tracking.put(IT, new State.Down("no carrier"));
            assertThat(tracking.verdict()).isEqualTo(priority(down));
        }
    }

    @Test
    void withoutAWeightItIsAFault() {
        Tracking tracking = of(0, false);
        assertThat(tracking.verdict()).isEqualTo(new Verdict(100, List.of(), List.of(IT)));
        tracking.put(IT, new State.Up());
        assertThat(tracking.verdict()).isEqualTo(priority(100));
        tracking.put(IT, new State.Down("no carrier"));
        assertThat(tracking.verdict()).isEqualTo(fault("is down: no carrier"));
    }

    @Test
    void reversedTheFaultIsToBeUp() {
        Tracking tracking = of(0, true);
        assertThat(tracking.verdict()).isEqualTo(new Verdict(100, List.of(), List.of(IT)));
        tracking.put(IT, new State.Up());
        assertThat(tracking.verdict()).isEqualTo(fault("is up, and must not be"));
        tracking.put(IT, new State.Down("no carrier"));
        assertThat(tracking.verdict()).isEqualTo(priority(100));
    }

    @ParameterizedTest
    @CsvSource({
        "1, false, 5, 105",
        "1, false, -5, 95",
        "1, true, 5, 95",
        "-2, false, 5, 90",
        "-2, true, 5, 110",
        "1, false, 0, 100",
        "1, false, -253, 1",
        "1, false, 9223372036854775807, 254",
        "253, true, -9223372036854775808, 254",
    })
    void aNumberIsMultiplied(int weight, boolean reverse, long value, int expected) {
        Tracking tracking = of(weight, reverse);
        tracking.put(IT, new State.Count(value));
        assertThat(tracking.verdict()).isEqualTo(priority(expected));
    }

    @Test
    void aNumberCanBeAFault() {
        Tracking tracking = of(0, false);
        tracking.put(IT, new State.Count(0));
        assertThat(tracking.verdict()).isEqualTo(priority(100));
        tracking.put(IT, new State.Count(-3));
        assertThat(tracking.verdict()).isEqualTo(fault("says -3, and must be 0"));
        Tracking reversed = of(0, true);
        reversed.put(IT, new State.Count(1));
        assertThat(reversed.verdict()).isEqualTo(priority(100));
        reversed.put(IT, new State.Count(0));
        assertThat(reversed.verdict()).isEqualTo(fault("says 0, and must not be 0"));
        Tracking low = of(2, false);
        low.put(IT, new State.Count(-127));
        assertThat(low.verdict())
                .isEqualTo(
                        new Verdict(1, List.of(IT + " says -127, which by its weight of 2 is below -253"), List.of()));
        Tracking lowReversed = of(1, true);
        lowReversed.put(IT, new State.Count(254));
        assertThat(lowReversed.verdict().faults()).hasSize(1);
        lowReversed.put(IT, new State.Count(253));
        assertThat(lowReversed.verdict()).isEqualTo(priority(1));
    }

    @Test
    void oneThingDoesNotOutweighAllOthers() {
        Tracking tracking = new Tracking(10, List.of(new Tracked("file", 1, false), new Tracked("b", -200, false)));
        tracking.put("file", new State.Count(1000));
        assertThat(tracking.verdict()).isEqualTo(priority(254));
        tracking.put("b", new State.Down(""));
        assertThat(tracking.verdict()).isEqualTo(priority(10 + 253 - 200));
    }

    @Test
    void anOwnerHasItsPriorityAndFaultsLikeOthers() {
        Tracking tracking = new Tracking(255, List.of(new Tracked("a", -50, false), new Tracked("b", 0, false)));
        tracking.put("a", new State.Down(""));
        tracking.put("b", new State.Up());
        assertThat(tracking.verdict()).isEqualTo(priority(255));
        tracking.put("b", new State.Down("gone"));
        assertThat(tracking.verdict()).isEqualTo(new Verdict(255, List.of("b is down: gone"), List.of()));
    }

    @Test
    void whatItKnewStaysWithNewSettings() {
        Tracking tracking = new Tracking(100, List.of(new Tracked("a", 10, false), new Tracked("b", 20, false)));
        tracking.put("a", new State.Up());
        tracking.put("b", new State.Up());
        tracking.put("of another", new State.Up());
        tracking.configure(50, List.of(new Tracked("b", 5, false), new Tracked("of another", 3, false)));
        assertThat(tracking.verdict()).isEqualTo(priority(55));
        tracking.configure(50, List.of(new Tracked("a", 10, false), new Tracked("b", 5, false)));
        assertThat(tracking.verdict()).isEqualTo(priority(55));
    }

    @Test
    void whatComesOfEachIsTold() {
        Tracking tracking = new Tracking(
                100,
                List.of(
                        new Tracked("a", -10, false),
                        new Tracked("b", 0, false),
                        new Tracked("c", 2, true),
                        new Tracked("d", 5, false)));
        assertThat(tracking.put("a", new State.Down("no carrier"))).isTrue();
        assertThat(tracking.put("a", new State.Down("no carrier"))).isFalse();
        assertThat(tracking.put("e", new State.Up())).isFalse();
        tracking.put("b", new State.Count(3));
        tracking.put("c", new State.Count(200));
        assertThat(tracking.standings())
                .extracting(Standing::state, Standing::adds, Standing::fault)
                .containsExactly(
                        tuple("down: no carrier", -10, false),
                        tuple("3", 0, true),
                        tuple("200", -253, true),
                        tuple("not known yet", 0, false));
        assertThat(tracking.standing("a")).map(Standing::adds).contains(-10);
        assertThat(tracking.standing("e")).isEmpty();
    }

    @Test
    void whatMakesNoSenseIsRefused() {
        assertThatThrownBy(() -> new Tracked("a", 254, false)).hasMessage("weight 254 of a: from -253 to 253");
        assertThatThrownBy(() -> new Tracked("a", -254, false)).hasMessageContaining("from -253 to 253");
        assertThatThrownBy(() -> new Tracking(0, List.of())).hasMessage("priority 0: from 1 to 255");
        assertThatThrownBy(() -> new Tracking(256, List.of())).hasMessage("priority 256: from 1 to 255");
        assertThatThrownBy(() -> new Tracking(1, List.of(new Tracked("a", 1, false), new Tracked("a", 2, false))))
                .hasMessage("a is tracked twice");
    }

    /** Whatever happened before, only what was told last of each counts; and the sum is that of the parts. */
    @Test
    void theVerdictIsTheSumOfWhatWasToldLast() {
        Random random = new Random(5);
        for (int round = 0; round < 2_000; round++) {
            List<Tracked> all = new ArrayList<>();
            for (int i = random.nextInt(6); i >= 0; i--) {
                int weight = random.nextInt(3) == 0 ? 0 : random.nextInt(-253, 254);
                all.add(new Tracked("t" + i, weight, random.nextBoolean()));
            }
            int base = random.nextInt(1, 255);
            Tracking tracking = new Tracking(base, all);
            Map<String, Boolean> last = new HashMap<>();
            for (int i = random.nextInt(20); i >= 0; i--) {
                Tracked some = all.get(random.nextInt(all.size()));
                boolean up = random.nextBoolean();
                last.put(some.name(), up);
                if (up) {
                    tracking.put(some.name(), new State.Up());
                } else {
                    tracking.put(some.name(), new State.Down("told"));
                }
            }
            int sum = base;
            int faults = 0;
            int awaited = 0;
            for (Tracked each : all) {
                Boolean up = last.get(each.name());
                if (each.weight() == 0) {
                    faults += up != null && up == each.reverse() ? 1 : 0;
                    awaited += up == null ? 1 : 0;
                } else if (up != null && up == (each.weight() > 0)) {
                    sum += each.reverse() ? -each.weight() : each.weight();
                }
            }
            assertThat(tracking.verdict().priority()).isEqualTo(Math.clamp(sum, 1, 254));
            assertThat(tracking.verdict().faults()).hasSize(faults);
            assertThat(tracking.verdict().awaited()).hasSize(awaited);
            assertThat(tracking.standings().stream().mapToInt(Standing::adds).sum())
                    .isEqualTo(sum - base);
            assertThat(tracking.standings().stream().filter(Standing::fault)).hasSize(faults);
        }
    }
}

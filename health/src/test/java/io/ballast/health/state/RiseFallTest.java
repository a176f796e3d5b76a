package io.ballast.health.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.health.state.ProbeResult.Outcome;
import io.ballast.health.state.RiseFall.Change;
import io.ballast.health.state.RiseFall.State;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class RiseFallTest {

    @Test
    void goesDownAfterFallFailuresInARowAndUpAfterRiseSuccesses() {
        RiseFall check = new RiseFall(2, 3, InitialState.UP, 0);
        assertThat(check.onResult(Outcome.FAILURE, 1)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.FAILURE, 2)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.SUCCESS, 3)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.FAILURE, 4)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.FAILURE, 5)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.FAILURE, 6)).isEqualTo(Change.WENT_DOWN);
        assertThat(check.since()).isEqualTo(6);
        assertThat(check.onResult(Outcome.SUCCESS, 7)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.FAILURE, 8)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.SUCCESS, 9)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.SUCCESS, 10)).isEqualTo(Change.WENT_UP);
        assertThat(check.since()).isEqualTo(10);
    }

    @Test
    void oneSuccessIsEnoughForAServerThatWasNeverUp() {
        RiseFall check = new RiseFall(5, 3, InitialState.DOWN, 0);
        assertThat(check.onResult(Outcome.FAILURE, 1)).isEqualTo(Change.NONE);
        assertThat(check.onResult(Outcome.SUCCESS, 2)).isEqualTo(Change.WENT_UP);
        for (int i = 0; i < 3; i++) {
            check.onResult(Outcome.FAILURE, 3);
        }
        assertThat(check.state()).isEqualTo(State.DOWN);
        assertThat(check.onResult(Outcome.SUCCESS, 4))
                .as("the second time it takes rise")
                .isEqualTo(Change.NONE);
    }

    @Test
    void aResultThatSaysNothingCountsNeitherWay() {
        RiseFall check = new RiseFall(1, 2, InitialState.UP, 0);
        check.onResult(Outcome.FAILURE, 1);
        assertThat(check.onResult(Outcome.INCONCLUSIVE, 2)).isEqualTo(Change.NONE);
        assertThat(check.streak()).isEqualTo(1);
        assertThat(check.onResult(Outcome.FAILURE, 3)).isEqualTo(Change.WENT_DOWN);
    }

    @Test
    void newCountsKeepWhatIsBelieved() {
        RiseFall check = new RiseFall(1, 5, InitialState.UP, 0);
        check.onResult(Outcome.FAILURE, 1);
        check.onResult(Outcome.FAILURE, 2);
        check.configure(1, 2);
        assertThat(check.up()).isTrue();
        assertThat(check.onResult(Outcome.FAILURE, 3)).isEqualTo(Change.WENT_DOWN);
        assertThatThrownBy(() -> check.configure(0, 1)).hasMessageContaining("rise 0");
    }

    /** Against the definition itself: the last results alone decide, whatever came before. */
    @Test
    void agreesWithItsDefinitionForAnySequenceOfResults() {
        for (int seed = 1; seed <= Seeds.runs(300); seed++) {
            long named = Seeds.seed(seed);
            Random random = new Random(named);
            int rise = 1 + random.nextInt(4);
            int fall = 1 + random.nextInt(4);
            double sick = random.nextDouble();
            boolean initiallyUp = random.nextBoolean();
            RiseFall check = new RiseFall(rise, fall, initiallyUp ? InitialState.UP : InitialState.DOWN, 0);
            boolean up = initiallyUp;
            boolean beenUp = initiallyUp;
            List<Boolean> counted = new ArrayList<>();
            for (int step = 1; step <= 200; step++) {
                Outcome outcome = random.nextInt(10) == 0
                        ? Outcome.INCONCLUSIVE
                        : random.nextDouble() < sick ? Outcome.FAILURE : Outcome.SUCCESS;
                Change change = check.onResult(outcome, step);
                boolean before = up;
                if (outcome != Outcome.INCONCLUSIVE) {
                    counted.add(outcome == Outcome.SUCCESS);
                    if (up && last(counted, fall, false)) {
                        up = false;
                        counted.clear();
                    } else if (!up && last(counted, beenUp ? rise : 1, true)) {
                        up = true;
                        beenUp = true;
                        counted.clear();
                    }
                }
                assertThat(check.up()).as("seed %d step %d", named, step).isEqualTo(up);
                assertThat(change)
                        .as("seed %d step %d", named, step)
                        .isEqualTo(before == up ? Change.NONE : up ? Change.WENT_UP : Change.WENT_DOWN);
                assertThat(check.streak()).isLessThan(Math.max(rise, fall));
                sick = Math.clamp(sick + (random.nextDouble() - 0.5) / 4, 0, 1);
            }
        }
    }

    private static boolean last(List<Boolean> results, int count, boolean value) {
        return results.size() >= count
                && results.subList(results.size() - count, results.size()).stream()
                        .allMatch(r -> r == value);
    }
}

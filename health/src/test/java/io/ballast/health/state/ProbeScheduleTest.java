package io.ballast.health.state;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.health.state.ProbeResult.Outcome;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ProbeScheduleTest {

    private static final long MS = 1_000_000;

    private static CheckSpec spec(long intervalMs, int fall, double jitter, long backoffMs) {
        return Specs.check(
                "c",
                Duration.ofMillis(intervalMs),
                Duration.ofSeconds(1),
                2,
                fall,
                InitialState.UP,
                jitter,
                Duration.ofMillis(backoffMs));
    }

    @Test
    void startsStandOnAGridHoweverLongProbesTake() {
        ProbeSchedule schedule = new ProbeSchedule(spec(1000, 2, 0, 1000), 0);
        schedule.onResult(Outcome.SUCCESS, 300 * MS);
        assertThat(schedule.nextStart(300 * MS, 0.5)).isEqualTo(1000 * MS);
        assertThat(schedule.nextStart(1999 * MS, 0.5)).isEqualTo(2000 * MS);
    }

    @Test
    void aProbeLongerThanItsIntervalDelaysTheNextAndMissedStartsAreDropped() {
        ProbeSchedule schedule = new ProbeSchedule(spec(100, 2, 0, 100), 0);
        assertThat(schedule.nextStart(730 * MS, 0)).isEqualTo(730 * MS);
        assertThat(schedule.nextStart(731 * MS, 0)).as("no burst").isEqualTo(830 * MS);
    }

    @Test
    void jitterMovesAStartButNotTheGrid() {
        ProbeSchedule schedule = new ProbeSchedule(spec(1000, 2, 0.5, 1000), 0);
        assertThat(schedule.nextStart(1 * MS, 1.0)).isEqualTo(1500 * MS);
        assertThat(schedule.nextStart(1501 * MS, 0)).isEqualTo(2000 * MS);
    }

    @Test
    void pausesDoubleWhileDownAndTheFirstSuccessEndsThat() {
        ProbeSchedule schedule = new ProbeSchedule(spec(1000, 2, 0, 5000), 0);
        List<Long> pauses = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            schedule.onResult(Outcome.FAILURE, i);
            pauses.add(schedule.pause() / MS);
        }
        assertThat(pauses).containsExactly(1000L, 1000L, 2000L, 4000L, 5000L, 5000L);
        schedule.onResult(Outcome.INCONCLUSIVE, 10);
        assertThat(schedule.pause()).isEqualTo(5000 * MS);
        schedule.onResult(Outcome.SUCCESS, 11);
        assertThat(schedule.pause()).isEqualTo(1000 * MS);
        schedule.onResult(Outcome.FAILURE, 12);
        assertThat(schedule.pause()).as("it is still down: rise is 2").isEqualTo(2000 * MS);
    }

    @Test
    void aNewDescriptionKeepsThePauseWithinItsBounds() {
        ProbeSchedule schedule = new ProbeSchedule(spec(1000, 1, 0, 60_000), 0);
        for (int i = 0; i < 10; i++) {
            schedule.onResult(Outcome.FAILURE, i);
        }
        assertThat(schedule.pause()).isEqualTo(60_000 * MS);
        schedule.configure(spec(100, 1, 0, 200));
        assertThat(schedule.pause()).isEqualTo(200 * MS);
    }

    /** A server that comes, goes, answers slowly or not at all, and a director that is paused now and then. */
    @Test
    void keepsItsPromisesUnderFaults() {
        for (int n = 1; n <= Seeds.runs(300); n++) {
            long seed = Seeds.seed(n);
            assertThat(simulate(seed))
                    .as("seed %d gives the same trace again", seed)
                    .isEqualTo(simulate(seed));
        }
    }

    private static List<Long> simulate(long seed) {
        Random random = new Random(seed);
        long interval = 1L + random.nextInt(2000);
        long backoff = interval * (1L + random.nextInt(8));
        long timeout = 1L + random.nextInt(4000);
        double jitter = random.nextBoolean() ? 0 : random.nextDouble();
        ProbeSchedule schedule = new ProbeSchedule(spec(interval, 1 + random.nextInt(3), jitter, backoff), 0);
        List<Long> starts = new ArrayList<>();
        long base = random.nextBoolean() ? 0 : Long.MAX_VALUE - 100_000 * MS; // a nanosecond clock may overflow
        schedule.restart(base);
        long start = base;
        long recent = 0;
        boolean healthy = true;
        for (int i = 0; i < 300; i++) {
            starts.add(start - base);
            if (random.nextInt(20) == 0) {
                healthy = !healthy;
            }
            long took = healthy ? random.nextLong(timeout * MS) / 10 : timeout * MS;
            long now = start + took + (random.nextInt(50) == 0 ? random.nextLong(20_000 * MS) : 0);
            schedule.onResult(
                    random.nextInt(30) == 0 ? Outcome.INCONCLUSIVE : healthy ? Outcome.SUCCESS : Outcome.FAILURE, now);
            long next = schedule.nextStart(now, random.nextDouble());
            String where = "seed " + seed + " probe " + i;
            assertThat(next - now).as("%s: never in the past", where).isNotNegative();
            assertThat(schedule.pause()).as("%s: pause", where).isBetween(interval * MS, backoff * MS);
            assertThat(next - Math.max(now - start, 0) - start)
                    .as("%s: never later than one pause and the jitter after the last start", where)
                    .isLessThanOrEqualTo(schedule.pause() + (long) (jitter * interval * MS) + 1);
            // Any two pauses hold at most three starts: nothing is made up for.
            recent = next - start < schedule.pause() / 2 ? recent + 1 : 0;
            if (jitter == 0) {
                assertThat(recent)
                        .as("%s: starts closer than half a pause", where)
                        .isLessThanOrEqualTo(1);
            }
            start = next;
        }
        return starts;
    }
}

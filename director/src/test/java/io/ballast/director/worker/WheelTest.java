package io.ballast.director.worker;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class WheelTest {
    private long now = 5_000_000_000L;
    private final Wheel wheel = new Wheel(() -> now);

    private final class Timer extends Wheel.Entry {
        long due;
        long expired = -1;

        Timer(long due) {
            this.due = due;
        }

        @Override
        long due() {
            return due;
        }

        @Override
        void expire() {
            expired = now;
        }
    }

    private void passUntil(long end) {
        while (now < end) {
            now += Wheel.TICK_NANOS;
            wheel.tick();
        }
    }

    @Test
    void entriesExpireWithinATickOfTheirTimeHoweverFarOff() {
        Random random = new Random(1);
        List<Timer> timers = new ArrayList<>();
        for (int i = 0; i < 2000; i++) {
            Timer timer = new Timer(now + random.nextLong(120_000_000_000L));
            timers.add(timer);
            wheel.place(timer);
        }
        assertThat(wheel.entries()).containsExactlyInAnyOrderElementsOf(timers);
        passUntil(now + 121_000_000_000L);
        for (Timer timer : timers) {
            assertThat(timer.expired - timer.due).isBetween(0L, 2 * Wheel.TICK_NANOS);
        }
        assertThat(wheel.size()).isZero();
    }

    @Test
    void anEntryThatWasUsedMeanwhileLivesOn() {
        Timer timer = new Timer(now + 1_000_000_000L);
        wheel.place(timer);
        passUntil(now + 900_000_000L);
        timer.due = now + 5_000_000_000L;
        passUntil(now + 4_900_000_000L);
        assertThat(timer.expired).isEqualTo(-1);
        passUntil(now + 300_000_000L);
        assertThat(timer.expired).isPositive();
    }

    @Test
    void anEntryWhoseTimeCameNearerIsMoved() {
        Timer timer = new Timer(now + 60_000_000_000L);
        wheel.place(timer);
        timer.due = now + 200_000_000L;
        wheel.place(timer);
        assertThat(wheel.size()).isEqualTo(1);
        passUntil(now + 400_000_000L);
        assertThat(timer.expired).isPositive();
    }

    @Test
    void aLongPauseExpiresAllThatIsDueAtOnce() {
        Timer soon = new Timer(now + 1_000_000_000L);
        Timer late = new Timer(now + 3_600_000_000_000L);
        wheel.place(soon);
        wheel.place(late);
        now += 60_000_000_000L;
        wheel.tick();
        assertThat(soon.expired).isEqualTo(now);
        assertThat(late.expired).isEqualTo(-1);
        assertThat(wheel.size()).isEqualTo(1);
    }

    @Test
    void aRemovedEntryDoesNotExpire() {
        Timer timer = new Timer(now + 100_000_000L);
        wheel.place(timer);
        wheel.remove(timer);
        wheel.remove(timer);
        passUntil(now + 1_000_000_000L);
        assertThat(timer.expired).isEqualTo(-1);
    }
}

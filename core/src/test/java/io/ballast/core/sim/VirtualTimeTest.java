package io.ballast.core.sim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.loop.Timer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VirtualTimeTest {
    private final VirtualTime time = new VirtualTime();
    private final SimulatedLoop loop = time.newLoop("a");
    private final List<String> seen = new ArrayList<>();

    @Test
    void theClockJumpsFromEventToEvent() {
        loop.schedule(Duration.ofHours(2), () -> seen.add("late at " + time.now()));
        loop.schedule(Duration.ofHours(1), () -> seen.add("early at " + time.now()));
        time.runFor(Duration.ofHours(3));
        assertThat(seen).containsExactly("early at 3600000000000", "late at 7200000000000");
        assertThat(time.now()).isEqualTo(Duration.ofHours(3).toNanos());
    }

    @Test
    void whatIsDueAtOneTimeRunsInTheOrderOfScheduling() {
        SimulatedLoop other = time.newLoop("b");
        loop.scheduleAt(5, () -> {
            seen.add("1");
            loop.execute(() -> seen.add("4"));
        });
        other.scheduleAt(5, () -> seen.add("2"));
        loop.scheduleAt(5, () -> seen.add("3"));
        time.runUntil(5);
        assertThat(seen).containsExactly("1", "2", "3", "4");
    }

    @Test
    void aCancelledTimerDoesNotRun() {
        Timer timer = loop.scheduleAt(5, () -> seen.add("cancelled"));
        loop.scheduleAt(4, timer::cancel);
        time.runUntil(10);
        assertThat(seen).isEmpty();
    }

    @Test
    void aCrashedNodeDoesNothingMore() {
        SimulatedLoop other = time.newLoop("b");
        loop.scheduleAt(5, () -> seen.add("dead"));
        other.scheduleAt(5, () -> seen.add("alive"));
        loop.crash();
        time.runUntil(10);
        assertThat(seen).containsExactly("alive");
    }

    @Test
    void aTaskThatFailsEndsTheRun() {
        loop.execute(() -> {
            throw new IllegalStateException("found");
        });
        assertThatThrownBy(time::settle).hasMessage("found");
    }

    @Test
    void theSameSeedGivesTheSameRun() {
        assertThat(trace(7)).isEqualTo(trace(7)).isNotEqualTo(trace(8));
    }

    private static String trace(long seed) {
        var random = new Random(seed);
        var time = new VirtualTime();
        var trace = new StringBuilder();
        for (int i = 0; i < 5; i++) {
            SimulatedLoop loop = time.newLoop("n" + i);
            Runnable[] tick = new Runnable[1];
            tick[0] = () -> {
                trace.append(loop).append('@').append(time.now()).append(' ');
                loop.schedule(Duration.ofMillis(random.nextInt(100)), tick[0]);
            };
            loop.execute(tick[0]);
        }
        time.runFor(Duration.ofSeconds(2));
        return trace.append(time.steps()).toString();
    }
}

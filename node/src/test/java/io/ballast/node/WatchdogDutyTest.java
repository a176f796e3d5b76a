package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.ResourcesSpec.WatchdogSpec;
import io.ballast.core.event.Event.Severity;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A watchdog that only counts what is written to it. */
@Timeout(60)
class WatchdogDutyTest {
    private static final WatchdogSpec SPEC = new WatchdogSpec("/dev/watchdog", Duration.ofSeconds(2));

    private final AtomicInteger fed = new AtomicInteger();
    private final AtomicInteger ended = new AtomicInteger();
    private final AtomicInteger opened = new AtomicInteger();
    private final List<String> told = new CopyOnWriteArrayList<>();

    private WatchdogDuty duty(Executor thread, boolean works) {
        return new WatchdogDuty(
                (severity, type, message) -> {
                    assertThat(severity).isIn(Severity.INFO, Severity.ERROR);
                    told.add(type);
                },
                Map.of("control loop", thread),
                _ -> {
                    if (!works) {
                        throw new IOException("EBUSY");
                    }
                    opened.incrementAndGet();
                    return new WatchdogDuty.Device() {
                        @Override
                        public void feed() {
                            fed.incrementAndGet();
                        }

                        @Override
                        public void end() {
                            ended.incrementAndGet();
                        }
                    };
                });
    }

    private static void await(AtomicInteger count, int least) throws InterruptedException {
        while (count.get() < least) {
            Thread.sleep(10);
        }
    }

    @Test
    void whatIsNotDescribedIsNeverOpened() {
        WatchdogDuty duty = duty(Runnable::run, true);
        duty.become(Optional.empty());
        duty.close();
        assertThat(opened).hasValue(0);
    }

    @Test
    void itIsWrittenToWhileThreadsAnswerAndClosedForGoodAtTheEnd() throws InterruptedException {
        WatchdogDuty duty = duty(Runnable::run, true);
        duty.become(Optional.of(SPEC));
        duty.become(Optional.of(SPEC));
        await(fed, 3);
        duty.close();
        assertThat(opened).hasValue(1);
        assertThat(ended).hasValue(1);
        assertThat(told).containsExactly("watchdog.opened");
    }

    @Test
    void itStarvesWhereAThreadHangs() throws InterruptedException {
        WatchdogDuty duty = duty(_ -> {}, true);
        duty.become(Optional.of(SPEC));
        for (long end = System.nanoTime() + 30_000_000_000L; !told.contains("watchdog.starving"); Thread.sleep(10)) {
            assertThat(System.nanoTime() - end).as("that it is told").isNegative();
        }
        int before = fed.get();
        Thread.sleep(700); // more than one turn
        assertThat(fed).hasValue(before);
        duty.close();
    }

    @Test
    void aMachineThatMustNotGoOnIsResetAlsoWhereTheDaemonEnds() throws InterruptedException {
        WatchdogDuty duty = duty(Runnable::run, true);
        duty.become(Optional.of(SPEC));
        await(fed, 1);
        duty.reset("a disk could not be let go");
        duty.close();
        assertThat(ended).hasValue(0);
        assertThat(told).contains("watchdog.starved");
    }

    @Test
    void oneThatCannotBeHadIsTold() {
        WatchdogDuty duty = duty(Runnable::run, false);
        duty.become(Optional.of(SPEC));
        duty.close();
        assertThat(told).containsExactly("watchdog.failed");
    }
}

package io.ballast.core.loop;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class ControlLoopTest {
    private final LinkedBlockingQueue<String> reports = new LinkedBlockingQueue<>();
    private final ControlLoop.Observer observer = new ControlLoop.Observer() {
        @Override
        public void failed(Runnable task, Throwable error) {
            reports.add("failed " + error.getMessage());
        }

        @Override
        public void stalled(Runnable task, Duration soFar, List<StackTraceElement> where) {
            boolean shown = where.stream().anyMatch(e -> e.getMethodName().contains("standStill"));
            reports.add("stalled " + (where.isEmpty() ? "after" : shown ? "in standStill" : "elsewhere"));
        }
    };
    private final ControlLoop loop = new ControlLoop("test-loop", Duration.ofMillis(200), observer);

    @AfterEach
    void end() {
        loop.close();
    }

    private <T> T inLoop(java.util.concurrent.Callable<T> task) throws Exception {
        var result = new CompletableFuture<T>();
        loop.execute(() -> {
            try {
                result.complete(task.call());
            } catch (Exception e) {
                result.completeExceptionally(e);
            }
        });
        return result.get();
    }

    @Test
    void tasksRunInTheOrderInWhichTheyCame() throws Exception {
        List<Integer> seen = Collections.synchronizedList(new ArrayList<>());
        for (int i = 0; i < 1000; i++) {
            int n = i;
            loop.execute(() -> seen.add(n));
        }
        assertThat(inLoop(() -> List.copyOf(seen))).hasSize(1000).isSorted();
    }

    @Test
    void tasksOfManyThreadsNeverRunAtTheSameTime() throws Exception {
        int[] counter = {0};
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
            threads.add(Thread.startVirtualThread(() -> {
                for (int i = 0; i < 5000; i++) {
                    loop.execute(() -> counter[0]++);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(inLoop(() -> counter[0])).isEqualTo(40_000);
    }

    @Test
    void timersRunInTheOrderOfTheirTimesAndNeverEarly() throws Exception {
        List<Integer> seen = new ArrayList<>();
        List<Long> early = new ArrayList<>();
        var done = new CountDownLatch(4);
        int[] delays = {3, 1, 2, 1};
        loop.execute(() -> {
            long base = loop.now();
            for (int i = 0; i < delays.length; i++) {
                int n = i;
                long at = base + delays[i] * 1_000_000L;
                loop.scheduleAt(at, () -> {
                    seen.add(n);
                    if (loop.now() < at) {
                        early.add(at);
                    }
                    done.countDown();
                });
            }
        });
        done.await();
        assertThat(inLoop(() -> seen)).containsExactly(1, 3, 2, 0);
        assertThat(early).isEmpty();
    }

    @Test
    void aCancelledTimerDoesNotRunEvenWhenItWasDueInTheSameTurn() throws Exception {
        List<String> seen = new ArrayList<>();
        var gate = new CountDownLatch(1);
        loop.execute(() -> await(gate));
        long past = loop.now() - 1;
        Timer[] second = new Timer[1];
        loop.scheduleAt(past, () -> {
            seen.add("first");
            second[0].cancel();
        });
        second[0] = loop.scheduleAt(past + 1, () -> seen.add("second"));
        gate.countDown();
        inLoop(() -> null);
        assertThat(inLoop(() -> seen)).containsExactly("first");
    }

    @Test
    void aTimerThatPlansItselfAgainDoesNotStarveTasks() throws Exception {
        boolean[] stop = {false};
        Runnable[] again = new Runnable[1];
        again[0] = () -> {
            if (!stop[0]) {
                loop.scheduleAt(loop.now(), again[0]);
            }
        };
        loop.execute(again[0]);
        assertThat(inLoop(() -> "served")).isEqualTo("served");
        inLoop(() -> stop[0] = true);
    }

    @Test
    void aTaskThatFailsIsReportedAndTheLoopGoesOn() throws Exception {
        loop.execute(() -> {
            throw new IllegalStateException("broken");
        });
        loop.execute(() -> {
            throw new StackOverflowError("deep");
        });
        assertThat(inLoop(() -> "alive")).isEqualTo("alive");
        assertThat(reports).containsExactly("failed broken", "failed deep");
    }

    @Test
    void aTaskThatStandsStillIsReportedOnceWithItsPlaceWhileItRuns() throws Exception {
        var gate = new CountDownLatch(1);
        loop.execute(() -> standStill(gate));
        assertThat(reports.poll(20, TimeUnit.SECONDS)).isEqualTo("stalled in standStill");
        gate.countDown();
        inLoop(() -> null);
        assertThat(reports).isEmpty();
    }

    @Test
    void theEndWaitsForWhatWasGivenAndDropsTheRest() {
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        loop.schedule(Duration.ofHours(1), () -> seen.add("timer"));
        loop.execute(() -> seen.add("task"));
        assertThat(loop.end(Duration.ofSeconds(20))).isTrue();
        loop.execute(() -> seen.add("late"));
        assertThat(seen).containsExactly("task");
    }

    @Test
    void theEndDoesNotWaitForeverForATaskThatHangs() throws Exception {
        var interrupted = new CountDownLatch(1);
        loop.execute(() -> {
            try {
                new CountDownLatch(1).await();
            } catch (InterruptedException e) {
                interrupted.countDown();
            }
        });
        assertThat(loop.end(Duration.ofMillis(50))).isFalse();
        interrupted.await();
        assertThat(loop.end(Duration.ofSeconds(20))).isTrue();
    }

    @Test
    void aTaskMayEndItsOwnLoop() {
        loop.execute(() -> loop.end(Duration.ofSeconds(20)));
        assertThat(loop.end(Duration.ofSeconds(20))).isTrue();
    }

    private static void standStill(CountDownLatch gate) {
        await(gate);
    }

    private static void await(CountDownLatch gate) {
        try {
            gate.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}

package io.ballast.health;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.health.state.ProbeResult;
import io.ballast.health.state.ProbeResult.Outcome;
import io.ballast.health.state.Specs;
import java.net.InetAddress;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class CheckRunnerTest {

    private static final ProbeTarget HERE = ProbeTarget.of(InetAddress.getLoopbackAddress(), 80);
    private static final ProbeResult GOOD = ProbeResult.success("fine", 1);

    private record Seen(CheckId id, ProbeResult result) {}

    private final BlockingQueue<Seen> seen = new LinkedBlockingQueue<>();

    private static CheckId id(String server) {
        return new CheckId("web", server, "c");
    }

    private static CheckSpec every(long millis, long timeoutMillis) {
        return Specs.check(
                "c",
                Duration.ofMillis(millis),
                Duration.ofMillis(timeoutMillis),
                1,
                1,
                InitialState.UP,
                0,
                Duration.ofMillis(millis));
    }

    private CheckRunner runner(int maxRunning, Probe probe) {
        return new CheckRunner(spec -> probe, maxRunning, (id, result) -> seen.add(new Seen(id, result)));
    }

    private Seen next() throws InterruptedException {
        Seen result = seen.poll(30, TimeUnit.SECONDS);
        assertThat(result).as("a result within 30 s").isNotNull();
        return result;
    }

    private static void awaitUntil(java.util.function.BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime() - end).as("within 30 s").isNegative();
            Thread.sleep(1);
        }
    }

    @Test
    void asksAgainAndAgain() throws InterruptedException {
        try (CheckRunner runner = runner(10, (target, deadline) -> GOOD)) {
            runner.put(id("www1"), every(5, 1000), HERE);
            for (int i = 0; i < 5; i++) {
                assertThat(next().result().ok()).isTrue();
            }
            assertThat(runner.startDelays().count()).isGreaterThanOrEqualTo(5);
        }
    }

    @Test
    void aCheckThatHangsDelaysNoOtherAndIsReported() throws InterruptedException {
        CountDownLatch release = new CountDownLatch(1);
        CountDownLatch interrupted = new CountDownLatch(1);
        AtomicInteger hanging = new AtomicInteger();
        Probe probe = (target, deadline) -> {
            if (target.port() == 1) {
                hanging.incrementAndGet();
                while (true) { // deaf to its deadline and to interruption
                    try {
                        release.await();
                        break;
                    } catch (InterruptedException e) {
                        interrupted.countDown();
                    }
                }
                return ProbeResult.success(hanging.get() == 1 ? "late" : "fine again", 1);
            }
            return GOOD;
        };
        try (CheckRunner runner = runner(1000, probe)) {
            runner.put(id("stuck"), every(10, 20), ProbeTarget.of(HERE.address(), 1));
            runner.put(id("fine"), every(10, 20), HERE);
            int fine = 0;
            int reported = 0;
            while (reported < 2) {
                Seen result = next();
                if (result.id().server().equals("fine")) {
                    assertThat(result.result().ok()).isTrue();
                    fine++;
                } else {
                    assertThat(result.result().reason())
                            .contains("still no end of the probe")
                            .endsWith("of 20ms");
                    assertThat(result.result().outcome()).isEqualTo(Outcome.FAILURE);
                    reported++;
                }
            }
            assertThat(fine).isGreaterThan(10);
            assertThat(interrupted.await(30, TimeUnit.SECONDS)).isTrue();
            assertThat(hanging).as("no second probe beside the one that hangs").hasValue(1);
            release.countDown();
            while (true) {
                Seen result = next();
                if (result.id().server().equals("stuck") && result.result().ok()) {
                    assertThat(result.result().reason())
                            .as("what came too late is not delivered")
                            .isEqualTo("fine again");
                    break;
                }
            }
        } finally {
            release.countDown();
        }
    }

    @Test
    void aRemovedCheckIsInterruptedAndGivesNoResult() throws InterruptedException {
        CountDownLatch started = new CountDownLatch(1);
        CountDownLatch interrupted = new CountDownLatch(1);
        Probe probe = (target, deadline) -> {
            started.countDown();
            try {
                new CountDownLatch(1).await();
            } catch (InterruptedException e) {
                interrupted.countDown();
                throw e;
            }
            return GOOD;
        };
        try (CheckRunner runner = runner(10, probe)) {
            runner.put(id("www1"), every(5, 60_000), HERE);
            assertThat(started.await(30, TimeUnit.SECONDS)).isTrue();
            runner.remove(id("www1"));
            assertThat(interrupted.await(30, TimeUnit.SECONDS)).isTrue();
            awaitUntil(() -> runner.running() == 0);
            assertThat(seen).isEmpty();
            assertThat(runner.size()).isZero();
        }
    }

    @Test
    void aChangedCheckIsAskedAtOnceAndItsOldRunGivesNoResult() throws InterruptedException {
        CountDownLatch started = new CountDownLatch(1);
        Probe probe = (target, deadline) -> {
            if (target.port() == 80) {
                started.countDown();
                new CountDownLatch(1).await();
            }
            return ProbeResult.success("port " + target.port(), 1);
        };
        try (CheckRunner runner = runner(10, probe)) {
            CheckSpec hourly = every(3_600_000, 3_600_000);
            runner.put(id("www1"), hourly, HERE);
            assertThat(started.await(30, TimeUnit.SECONDS)).isTrue();
            runner.put(id("www1"), hourly, ProbeTarget.of(HERE.address(), 81));
            assertThat(next().result().reason()).isEqualTo("port 81");
            runner.put(id("www1"), hourly, ProbeTarget.of(HERE.address(), 81));
            awaitUntil(() -> runner.running() == 0);
            assertThat(seen).as("put again as it was").isEmpty();
        }
    }

    @Test
    void beyondTheLimitAProbeIsInconclusiveInsteadOfWaiting() throws InterruptedException {
        CountDownLatch release = new CountDownLatch(1);
        Probe probe = (target, deadline) -> {
            release.await();
            return GOOD;
        };
        try (CheckRunner runner = runner(2, probe)) {
            for (int i = 0; i < 3; i++) {
                runner.put(id("www" + i), every(10_000, 60_000), HERE);
            }
            Seen result = next();
            assertThat(result.result().outcome()).isEqualTo(Outcome.INCONCLUSIVE);
            assertThat(result.result().reason()).startsWith("not started: 2 other probes");
            release.countDown();
            assertThat(next().result().ok()).isTrue();
            assertThat(next().result().ok()).isTrue();
        } finally {
            release.countDown();
        }
    }

    @Test
    void aProbeThatBreaksIsAFailureAndTheCheckGoesOn() throws InterruptedException {
        Probe probe = (target, deadline) -> {
            throw new IllegalStateException("bug");
        };
        try (CheckRunner runner = runner(2, probe)) {
            runner.put(id("www1"), every(5, 1000), HERE);
            assertThat(next().result().reason())
                    .contains("the probe itself broke")
                    .contains("bug");
            assertThat(next().result().outcome()).isEqualTo(Outcome.FAILURE);
        }
    }

    @Test
    void manyChecksAllRun() throws InterruptedException {
        try (CheckRunner runner = runner(10_000, (target, deadline) -> GOOD)) {
            int checks = 2000;
            for (int i = 0; i < checks; i++) {
                runner.put(id("www" + i), every(100_000, 1000), HERE);
            }
            java.util.Set<CheckId> ids = new java.util.HashSet<>();
            while (ids.size() < checks) {
                assertThat(ids.add(next().id())).isTrue();
            }
            awaitUntil(() -> runner.running() == 0);
        }
    }
}

package io.ballast.health;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.health.state.ProbeResult.Outcome;
import io.ballast.linux.Processes;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/**
 * The program of {@link OutOfDescriptorsTest}: more checks than there are descriptors, all waiting for an answer that
 * does not come, in a process of its own, since the limit is a process's.
 */
public final class OutOfDescriptors {

    private OutOfDescriptors() {}

    public static void main(String[] arguments) throws Exception {
        int silent = Integer.parseInt(arguments[0]);
        int good = Integer.parseInt(arguments[1]);
        ProbeTarget answering = ProbeTarget.of(InetAddress.getLoopbackAddress(), good);
        ProbeSpec connect = new ProbeSpec.Tcp(Optional.empty(), Optional.empty(), Optional.empty());
        Probes probes = new Probes();
        probes.warmUp();
        System.out.println("before " + probes.of(connect).run(answering, Deadline.after(Duration.ofSeconds(30))));
        Processes.FileLimit before = Processes.fileLimit();
        Map<Outcome, LongAdder> counts = new ConcurrentHashMap<>();
        Map<String, Boolean> reasons = new ConcurrentHashMap<>();
        int checks = 300;
        Duration hour = Duration.ofHours(1);
        CheckSpec spec = new CheckSpec(
                "c",
                hour,
                hour,
                1,
                1,
                InitialState.UP,
                0,
                hour,
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                new ProbeSpec.Tcp(Optional.of("x"), Optional.of(new TextMatch("y", false)), Optional.empty()));
        Processes.setFileLimit(new Processes.FileLimit(100, before.hard()));
        try (CheckRunner runner = new CheckRunner(probes::of, checks, (id, result) -> {
            counts.computeIfAbsent(result.outcome(), outcome -> new LongAdder()).increment();
            reasons.put(result.outcome() + " " + result.reason().replaceAll("[0-9.]+", "N"), true);
        })) {
            for (int i = 0; i < checks; i++) {
                runner.put(
                        new CheckId("s", "r" + i, "c"), spec, ProbeTarget.of(InetAddress.getLoopbackAddress(), silent));
            }
            // Some hold all descriptors, the others have ended.
            while (runner.startDelays().count() < checks || runner.running() > 100) {
                Thread.sleep(5);
            }
            System.out.println("counts " + counts);
            reasons.keySet().forEach(reason -> System.out.println("reason " + reason));
        }
        Thread.sleep(1);
        while (true) {
            var after = probes.of(connect).run(answering, Deadline.after(Duration.ofSeconds(30)));
            if (after.outcome() != Outcome.INCONCLUSIVE) {
                System.out.println("after " + after);
                return;
            }
            Thread.sleep(5);
        }
    }
}

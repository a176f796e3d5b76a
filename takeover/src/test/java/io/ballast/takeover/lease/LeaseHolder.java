package io.ballast.takeover.lease;

import io.ballast.linux.TimedSends;
import io.ballast.takeover.lease.LeaseGate.Guarded;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/** A daemon that holds addresses until it is killed: what a test starts as a process of its own. */
final class LeaseHolder {
    private static final long BETWEEN = Duration.ofMillis(10).toNanos();
    private static final long AHEAD = Duration.ofMillis(400).toNanos();

    private LeaseHolder() {}

    /**
     * Guards and holds.
     *
     * @param args name, number of the interface, addresses
     */
    public static void main(String[] args) throws IOException {
        Thread.ofPlatform().daemon().start(LeaseHolder::endWithParent);
        List<Guarded> addresses = new ArrayList<>();
        for (String address : List.of(args).subList(2, args.length)) {
            addresses.add(new Guarded(Frames.address(address), 0));
        }
        LeaseGate gate = LeaseGate.open(args[0], LeaseGate.LEASE);
        gate.protect(addresses);
        gate.guard(Integer.parseInt(args[1]));
        gate.hold(addresses);
        try (TimedSends sends = TimedSends.open();
                TimedSends.Stream ticks = sends.stream(gate.ticks(), 100, 1)) {
            long next = System.nanoTime();
            while (true) {
                long now = System.nanoTime();
                if (!gate.isAlive()) {
                    gate.begin();
                }
                for (next = Math.max(next, now); next < now + AHEAD && ticks.pending() < 100; next += BETWEEN) {
                    ticks.add(next, new byte[] {1});
                }
                sends.flush();
                LockSupport.parkNanos(BETWEEN);
            }
        }
    }

    private static void endWithParent() {
        try {
            while (System.in.read() >= 0) {}
        } catch (IOException e) {
            // as good as its end
        }
        Runtime.getRuntime().halt(1);
    }
}

package io.ballast.takeover.wire;

import io.ballast.linux.NetworkNamespace;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A process that is master of a virtual router and whose garbage collector then stops all of its Java threads, for longer
 * than the others bear silence. Started by {@link PauseTest} in a network namespace of its own.
 */
final class PausingNode {
    private static final long LONG_ENOUGH_MILLIS = 450;
    private static final int MOST_LIVING = 40_000_000;

    private PausingNode() {}

    /** What lives, so that the collector has something to do. */
    private record Living(@Nullable Living next, long number) {}

    public static void main(String[] args) throws Exception {
        RememberingNode node = new RememberingNode(NetworkNamespace.current());
        node.takeover.become(List.of(PauseTest.member(150)));
        while (!node.owns) {
            if (!node.takeover.failure().isEmpty()) {
                throw new IllegalStateException(node.takeover.failure());
            }
            Thread.sleep(5);
        }
        System.out.println("master");
        System.in.read();
        @Nullable Living all = null;
        for (int living = 0; living < MOST_LIVING; ) {
            for (int i = 0; i < 4_000_000; i++, living++) {
                all = new Living(all, i);
            }
            long before = collected();
            System.gc();
            long stopped = collected() - before;
            if (stopped >= LONG_ENOUGH_MILLIS) {
                System.out.println("stopped " + stopped + " " + node.roles + " " + (all == null));
                break;
            }
        }
        System.in.read();
        node.takeover.leave(Duration.ofSeconds(10));
    }

    /** Time that Java threads stood still for the collector, in milliseconds. */
    private static long collected() {
        return ManagementFactory.getGarbageCollectorMXBeans().stream()
                .mapToLong(GarbageCollectorMXBean::getCollectionTime)
                .sum();
    }
}

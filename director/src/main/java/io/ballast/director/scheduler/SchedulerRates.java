package io.ballast.director.scheduler;

import io.ballast.core.config.SchedulerKind;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.function.Predicate;

/**
 * Measures how many decisions a second a scheduler makes, for benchmarks. A decision is what one connection costs: the
 * pick, its opening, and the end of the connection that has been open longest.
 *
 * <p>The servers have weights 1 to 10 and four connections each when the measurement begins. Clients come in an
 * unordered sequence that repeats after 65,536; so do the destinations, of which there are as many as asked for.
 */
public final class SchedulerRates {

    private static final int FLOWS = 1 << 16;
    private static final int CONNECTIONS_PER_SERVER = 4;
    private static final int BETWEEN_LOOKS_AT_THE_CLOCK = 1024;

    private final Scheduler scheduler;
    private final FlowKey[] flows = new FlowKey[FLOWS];
    private final Member[] connections;
    private int next;
    private long decisions;

    private SchedulerRates(Scheduler scheduler, int servers, int destinations) {
        this.scheduler = scheduler;
        connections = new Member[servers * CONNECTIONS_PER_SERVER];
        for (int i = 0; i < servers; i++) {
            scheduler.add(new Member("server-" + i, 1 + i % 10, 0, true));
        }
        for (int i = 0; i < FLOWS; i++) {
            long random = FlowKey.mix(i);
            long client = 0xffff_0000_0000L | (random >>> 32);
            long destination = 0xffff_c000_0200L + Long.remainderUnsigned(FlowKey.mix(random), destinations);
            flows[i] = new FlowKey(0, client, 1024 + i % 60_000, 0, destination);
        }
        List<Member> members = scheduler.members();
        for (int i = 0; i < connections.length; i++) {
            connections[i] = members.get(i / CONNECTIONS_PER_SERVER);
            scheduler.opened(connections[i]);
        }
    }

    /**
     * Decisions a second of one thread.
     *
     * @param servers in the scheduler, at least 1
     * @param destinations addresses that clients ask for; only {@code dh}, {@code lblc} and {@code lblcr} care
     * @param warmUpNanos how long to run before measuring
     * @param nanos how long to measure
     * @param clock a monotonic clock in nanoseconds
     */
    public static double measure(
            SchedulerKind kind, int servers, int destinations, long warmUpNanos, long nanos, LongSupplier clock) {
        return measure(Schedulers.create(kind), servers, destinations, warmUpNanos, nanos, clock);
    }

    /** The same of an empty decision: always the first server, counted and otherwise forgotten. */
    public static double floor(int servers, long warmUpNanos, long nanos, LongSupplier clock) {
        return measure(new AlwaysTheFirst(), servers, 1, warmUpNanos, nanos, clock);
    }

    private static double measure(
            Scheduler scheduler, int servers, int destinations, long warmUpNanos, long nanos, LongSupplier clock) {
        SchedulerRates run = new SchedulerRates(scheduler, servers, destinations);
        run.run(warmUpNanos, clock);
        long before = run.decisions;
        long took = run.run(nanos, clock);
        return (run.decisions - before) * 1e9 / took;
    }

    private long run(long nanos, LongSupplier clock) {
        long start = clock.getAsLong();
        long now = start;
        while (now - start < nanos) {
            for (int i = 0; i < BETWEEN_LOOKS_AT_THE_CLOCK; i++) {
                decide();
            }
            now = clock.getAsLong();
        }
        return now - start;
    }

    private void decide() {
        Member server = scheduler.pick(flows[(int) decisions & (FLOWS - 1)]);
        decisions++;
        if (server == null) {
            return; // ovf, while all have more connections than their weight
        }
        scheduler.opened(server);
        scheduler.closed(connections[next]);
        connections[next] = server;
        next = next + 1 == connections.length ? 0 : next + 1;
    }

    private static final class AlwaysTheFirst extends AbstractScheduler {
        @Override
        public Member pick(FlowKey flow, Predicate<? super Member> excluded) {
            return members[0];
        }

        @Override
        void added(Member member) {}

        @Override
        void removed(Member member, int index) {}

        @Override
        void changed(Member member, boolean described) {}

        @Override
        void reordered(Member[] before) {}
    }
}

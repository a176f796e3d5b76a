package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.ballast.core.config.SchedulerKind;
import java.lang.management.ManagementFactory;
import java.util.Objects;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Decisions leave nothing for the collector. */
class AllocationTest {

    private static final int DECISIONS = 20_000;

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private final FlowKey[] flows = new FlowKey[256];

    AllocationTest() {
        for (int i = 0; i < flows.length; i++) {
            flows[i] = Flows.of(i, 1024 + i, i % 32);
        }
    }

    @ParameterizedTest
    @EnumSource
    void decidingAllocatesNothing(SchedulerKind kind) {
        Scheduler scheduler = Schedulers.create(kind);
        for (int i = 0; i < 100; i++) {
            scheduler.add(new Member("s" + i, 1 + i % 7, 5, true));
        }
        Member tried = scheduler.members().get(0);
        Predicate<Member> excluded = member -> member == tried;
        decide(scheduler, excluded); // tables are filled, sets and heaps grow to their size
        assertThat(allocated(() -> decide(scheduler, excluded))).isLessThan(DECISIONS / 10);
    }

    @Test
    void aKnownClientCostsNoAllocation() {
        Member server = new Member("a", 1, 0, true);
        Schedulers.create(SchedulerKind.RR).add(server);
        PersistenceTable table = new PersistenceTable(1_000_000, 32, 128, 1000, 1);
        for (FlowKey flow : flows) {
            table.assign(flow, server, 0);
        }
        Runnable connections = () -> {
            for (int i = 0; i < DECISIONS; i++) {
                PersistenceTable.Entry entry = Objects.requireNonNull(table.find(flows[i % flows.length], i));
                table.opened(entry, i);
                table.closed(entry, i + 1);
            }
        };
        connections.run();
        assertThat(allocated(connections)).isLessThan(DECISIONS / 10);
    }

    private void decide(Scheduler scheduler, Predicate<Member> excluded) {
        for (int i = 0; i < DECISIONS; i++) {
            FlowKey flow = flows[i % flows.length];
            Member member = i % 3 == 0 ? scheduler.pick(flow, excluded) : scheduler.pick(flow);
            if (member != null) {
                scheduler.opened(member);
                scheduler.deactivated(member);
                scheduler.closedInactive(member);
            }
        }
    }

    /** Bytes; some may be the measurement's or the compiler's own. */
    private long allocated(Runnable work) {
        long before = threads.getCurrentThreadAllocatedBytes();
        work.run();
        return threads.getCurrentThreadAllocatedBytes() - before;
    }
}

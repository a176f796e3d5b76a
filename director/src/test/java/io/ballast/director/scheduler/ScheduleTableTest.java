package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.SchedulerKind;
import io.ballast.director.scheduler.ScheduleTable.Server;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A table leads every client where its scheduler would. */
final class ScheduleTableTest {

    private static List<Server> servers(Random random, int count) {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            int last = 1 + random.nextInt(20);
            servers.add(new Server("s" + i, random.nextInt(5) == 0 ? 0 : last, last, random.nextInt(5) != 0));
        }
        return servers;
    }

    private static Scheduler scheduler(SchedulerKind kind, List<Server> servers) {
        Scheduler scheduler = Schedulers.create(kind);
        for (Server server : servers) {
            Member member = new Member(server.name(), server.lastWeight(), 0, server.eligible());
            scheduler.add(member);
            scheduler.update(member, server.weight(), 0, server.eligible());
        }
        return scheduler;
    }

    @ParameterizedTest
    @EnumSource(names = {"RR", "WRR"})
    void turnsAreThoseOfTheScheduler(SchedulerKind kind) {
        Random random = Seeds.random(1);
        for (int round = 0; round < 200; round++) {
            List<Server> servers = servers(random, 1 + random.nextInt(12));
            char[] cycle = ScheduleTable.of(kind, HashOptions.DEFAULT, servers);
            Scheduler reference = scheduler(kind, servers);
            for (int turn = 0; turn < 3 * cycle.length; turn++) {
                Member expected = reference.pick(new FlowKey(0, turn, 0, 0, 0));
                assertThat((int) cycle[turn % cycle.length])
                        .isEqualTo(expected == null ? ScheduleTable.NONE : expected.index);
            }
        }
    }

    @Test
    void aMaglevTableLeadsEveryClientWhereTheSchedulerDoes() {
        Random random = Seeds.random(2);
        for (int round = 0; round < 20; round++) {
            List<Server> servers = servers(random, random.nextInt(30));
            char[] table = ScheduleTable.of(SchedulerKind.MH, HashOptions.DEFAULT, servers);
            Scheduler reference = scheduler(SchedulerKind.MH, servers);
            for (int i = 0; i < 500; i++) {
                FlowKey flow = new FlowKey(random.nextLong(), random.nextLong(), 0, 0, 1);
                Member expected = reference.pick(flow);
                int slot = Maglev.scale(FlowKey.mix(flow.sourceHigh(), flow.sourceLow(), 0), table.length);
                assertThat((int) table[slot]).isEqualTo(expected == null ? ScheduleTable.NONE : expected.index);
            }
        }
    }

    @Test
    void whatTakesTheSlotsOfAServerThatIsDownIsSpreadOverAll() {
        List<Server> servers = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            servers.add(new Server("s" + i, 1, 1, i != 3));
        }
        char[] table = ScheduleTable.of(SchedulerKind.MH, HashOptions.DEFAULT, servers);
        int[] count = new int[10];
        for (char server : table) {
            count[server]++;
        }
        assertThat(count[3]).isZero();
        assertThat(Arrays.stream(count).filter(n -> n > 0).min().orElseThrow())
                .isGreaterThan(table.length / 9 * 9 / 10);
        assertThat(Arrays.stream(count).max().orElseThrow()).isLessThan(table.length / 9 * 11 / 10);
    }

    @Test
    void largeWeightsAreScaledDownToACycleThatCanBeWritten() {
        List<Server> servers = List.of(
                new Server("a", 65_535, 65_535, true),
                new Server("b", 32_768, 32_768, true),
                new Server("c", 1, 1, true));
        char[] cycle = ScheduleTable.of(SchedulerKind.WRR, HashOptions.DEFAULT, servers);
        int[] count = new int[3];
        for (char server : cycle) {
            count[server]++;
        }
        assertThat(cycle.length).isLessThanOrEqualTo(ScheduleTable.LONGEST_CYCLE);
        assertThat((double) count[0] / count[1]).isBetween(1.99, 2.01);
        assertThat(count[2]).isEqualTo(1);
    }

    @Test
    void whatIsNoTableIsRefused() {
        assertThatThrownBy(() -> ScheduleTable.of(SchedulerKind.WLC, HashOptions.DEFAULT, List.of()))
                .hasMessage("wlc decides by the servers' loads");
    }
}

package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.ballast.core.config.SchedulerKind;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** {@code sh} and {@code dh}. */
class SlotHashTest {

    private static Scheduler of(SchedulerKind kind, HashOptions options, int... weights) {
        Scheduler scheduler = Schedulers.create(kind, options);
        for (int i = 0; i < weights.length; i++) {
            scheduler.add(new Member("s" + i, weights[i], 0, true));
        }
        return scheduler;
    }

    private static String pick(Scheduler scheduler, FlowKey flow) {
        Member member = scheduler.pick(flow);
        return member == null ? "-" : member.name();
    }

    /**
     * The kernel's hash_32(address, 8), worked out by hand: (address * 0x61C88647 mod 2^32) >> 24. With 256 servers of
     * weight 1 the slot's number is the server's.
     */
    @Test
    void hashesAsTheKernelDoes() {
        int[] ones = new int[256];
        Arrays.fill(ones, 1);
        Scheduler sh = of(SchedulerKind.SH, HashOptions.DEFAULT, ones);
        Scheduler dh = of(SchedulerKind.DH, HashOptions.DEFAULT, ones);
        Scheduler ports = of(SchedulerKind.SH, new HashOptions(true, true, 0), ones);
        assertThat(pick(sh, Flows.from("10.0.0.1"))).isEqualTo("s39");
        assertThat(pick(sh, Flows.from("192.0.2.77"))).isEqualTo("s58");
        assertThat(pick(sh, Flows.from("2001:db8::1"))).isEqualTo("s63");
        assertThat(pick(ports, Flows.from("10.0.0.1"))).isEqualTo("s203");
        assertThat(pick(dh, Flows.to(0))).isEqualTo("s50");
    }

    @Test
    void sourceHashingKeepsAClientAndIgnoresItsPort() {
        Scheduler scheduler = of(SchedulerKind.SH, HashOptions.DEFAULT, 1, 1, 1, 1, 1);
        for (int client = 0; client < 100; client++) {
            String server = pick(scheduler, Flows.of(client, 1, 0));
            assertThat(pick(scheduler, Flows.of(client, 2, 7))).isEqualTo(server);
        }
    }

    @Test
    void sourceHashingWithPortsSpreadsOneClient() {
        Scheduler scheduler = of(SchedulerKind.SH, new HashOptions(true, true, 0), 1, 1, 1, 1, 1);
        long servers = IntStream.range(1024, 1124)
                .mapToObj(port -> pick(scheduler, Flows.of(1, port, 0)))
                .distinct()
                .count();
        assertThat(servers).isEqualTo(5);
    }

    @Test
    void destinationHashingKeepsADestinationWhoeverAsks() {
        Scheduler scheduler = of(SchedulerKind.DH, HashOptions.DEFAULT, 1, 1, 1, 1, 1);
        for (int destination = 0; destination < 100; destination++) {
            String server = pick(scheduler, Flows.of(1, 1, destination));
            assertThat(pick(scheduler, Flows.of(2, 2, destination))).isEqualTo(server);
        }
    }

    @Test
    void weightsDivideTheSlotsOfShAndNotOfDh() {
        assertThat(share(of(SchedulerKind.SH, HashOptions.DEFAULT, 48, 16), Flows::from))
                .isBetween(0.70, 0.80);
        assertThat(share(of(SchedulerKind.DH, HashOptions.DEFAULT, 48, 16), Flows::to))
                .isBetween(0.45, 0.55);
    }

    private static double share(Scheduler scheduler, IntFunction<FlowKey> flows) {
        int first = 0;
        for (int i = 0; i < 10_000; i++) {
            first += pick(scheduler, flows.apply(i)).equals("s0") ? 1 : 0;
        }
        return first / 10_000.0;
    }

    @Test
    void aServersFailureMovesItsOwnClientsOnlyAndTheyComeBack() {
        Scheduler scheduler = of(SchedulerKind.SH, HashOptions.DEFAULT, 1, 1, 1, 1, 1);
        List<String> before = clients(scheduler);
        Member failed = scheduler.members().get(2);
        for (boolean drained : new boolean[] {false, true}) {
            scheduler.update(failed, drained ? 0 : 1, 0, drained);
            List<String> during = clients(scheduler);
            for (int i = 0; i < before.size(); i++) {
                if (before.get(i).equals("s2")) {
                    assertThat(during.get(i)).isNotIn("s2", "-");
                } else {
                    assertThat(during.get(i)).isEqualTo(before.get(i));
                }
            }
            scheduler.update(failed, 1, 0, true);
            assertThat(clients(scheduler)).isEqualTo(before);
        }
    }

    @Test
    void withoutTheFallbackAFailedServersClientsAreRefused() {
        Scheduler scheduler = of(SchedulerKind.SH, new HashOptions(false, false, 0), 1, 1, 1, 1, 1);
        List<String> before = clients(scheduler);
        scheduler.update(scheduler.members().get(2), 1, 0, false);
        List<String> during = clients(scheduler);
        for (int i = 0; i < before.size(); i++) {
            assertThat(during.get(i)).isEqualTo(before.get(i).equals("s2") ? "-" : before.get(i));
        }
    }

    @Test
    void aServerWithoutASlotHelpsOutWhenNobodyElseCan() {
        Scheduler scheduler = of(SchedulerKind.SH, new HashOptions(false, true, 2), 1, 1, 1);
        scheduler.update(scheduler.members().get(0), 1, 0, false);
        scheduler.update(scheduler.members().get(1), 1, 0, false);
        assertThat(pick(scheduler, Flows.from(1))).isEqualTo("s2");
    }

    @Test
    void aTableOfAnotherThanAPowerOfTwoIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> of(SchedulerKind.SH, new HashOptions(false, true, 100)))
                .withMessageContaining("100 slots");
    }

    private static List<String> clients(Scheduler scheduler) {
        return IntStream.range(0, 500)
                .mapToObj(client -> pick(scheduler, Flows.from(client)))
                .toList();
    }
}

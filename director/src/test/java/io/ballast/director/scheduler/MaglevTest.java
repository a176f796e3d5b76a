package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.ballast.core.config.SchedulerKind;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code mh}. */
class MaglevTest {

    private static final int CLIENTS = 20_000;

    private static List<Member> servers(int count, int... weights) {
        List<Member> servers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            servers.add(new Member("s" + i, weights.length == 0 ? 1 : weights[i % weights.length], 0, true));
        }
        return servers;
    }

    private static Scheduler of(List<Member> servers) {
        Scheduler scheduler = Schedulers.create(SchedulerKind.MH);
        servers.forEach(scheduler::add);
        return scheduler;
    }

    /** The table: for each slot the name of its server. */
    private static String[] table(List<Member> servers) {
        Maglev maglev = new Maglev(HashOptions.DEFAULT);
        servers.forEach(maglev::add);
        String[] table = maglev.table();
        servers.forEach(maglev::remove);
        return table;
    }

    private static List<String> clients(Scheduler scheduler) {
        List<String> servers = new ArrayList<>();
        for (int client = 0; client < CLIENTS; client++) {
            Member member = scheduler.pick(Flows.from(client));
            servers.add(member == null ? "-" : member.name());
        }
        return servers;
    }

    private static int count(String[] table, Member server) {
        int count = 0;
        for (String name : table) {
            count += name.equals(server.name()) ? 1 : 0;
        }
        return count;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 10, 100, 1000})
    void sharesOfEqualServersDifferByOneSlotAtMost(int count) {
        List<Member> servers = servers(count);
        String[] table = table(servers);
        for (Member server : servers) {
            assertThat(count(table, server)).isBetween(65_537 / count, 65_537 / count + 1);
        }
    }

    @Test
    void sharesFollowTheWeightsToWithinASlot() {
        List<Member> servers = servers(3, 4, 3, 2);
        String[] table = table(servers);
        assertThat(count(table, servers.get(0))).isBetween(29_126, 29_129);
        assertThat(count(table, servers.get(1))).isBetween(21_844, 21_847);
        assertThat(count(table, servers.get(2))).isBetween(14_562, 14_565);
    }

    @Test
    void theLightestServerHasASlotBesideTheHeaviest() {
        List<Member> servers = servers(100, 65_535, 1, 1, 1);
        String[] table = table(servers);
        for (Member server : servers) {
            assertThat(count(table, server)).isPositive();
        }
    }

    /**
     * One of N leaves, and of the slots of the others this share changes hands: 0.26, 0.57 and 0.57 % on average, where
     * 0.26, 0.58 and 0.61 % is what other implementations of the same table size reach.
     */
    @ParameterizedTest
    @CsvSource({"10, 0.30, 0.40", "100, 0.61, 0.70", "1000, 0.61, 0.70"})
    void whenOneLeavesHardlyAnyOtherSlotChangesHands(int count, double average, double worst) {
        List<Member> servers = servers(count);
        String[] before = table(servers);
        double sum = 0;
        for (int trial = 0; trial < 10; trial++) {
            Member leaving = servers.get(trial * (count / 10));
            List<Member> rest = new ArrayList<>(servers);
            rest.remove(leaving);
            String[] after = table(rest);
            int survived = 0;
            int moved = 0;
            for (int slot = 0; slot < before.length; slot++) {
                if (!before[slot].equals(leaving.name())) {
                    survived++;
                    moved += before[slot].equals(after[slot]) ? 0 : 1;
                }
            }
            double percent = 100.0 * moved / survived;
            assertThat(percent).isLessThan(worst);
            sum += percent;
        }
        assertThat(sum / 10).isLessThan(average);
    }

    @Test
    void directorsAgreeInWhateverOrderTheyCameToKnowTheServers() {
        List<String> expected = clients(of(servers(50, 1, 2, 3, 4, 5)));
        Seeds.forEach(5, random -> {
            List<Member> servers = servers(50, 1, 2, 3, 4, 5);
            Collections.shuffle(servers, random);
            Scheduler scheduler = of(servers);
            assertThat(clients(scheduler)).isEqualTo(expected);
            // Nor does it matter what was there before.
            Member other = new Member("other", 7, 0, true);
            scheduler.add(other);
            clients(scheduler);
            scheduler.remove(other);
            assertThat(clients(scheduler)).isEqualTo(expected);
        });
    }

    @Test
    void aFailureMovesTheFailedServersClientsOnlyEvenlyAndTheyComeBack() {
        Scheduler scheduler = of(servers(10));
        List<String> before = clients(scheduler);
        Member failed = scheduler.members().get(4);
        scheduler.update(failed, 1, 0, false);
        List<String> during = clients(scheduler);
        int[] taken = new int[10];
        int moved = 0;
        for (int i = 0; i < CLIENTS; i++) {
            if (before.get(i).equals(failed.name())) {
                taken[Integer.parseInt(during.get(i).substring(1))]++;
                moved++;
            } else {
                assertThat(during.get(i)).isEqualTo(before.get(i));
            }
        }
        assertThat(taken[4]).isZero();
        for (int i = 0; i < 10; i++) {
            if (i != 4) {
                assertThat(taken[i]).isBetween(moved / 9 * 7 / 10, moved / 9 * 13 / 10);
            }
        }
        scheduler.update(failed, 1, 0, true);
        assertThat(clients(scheduler)).isEqualTo(before);
    }

    @Test
    void withoutTheFallbackAFailedServersClientsAreRefused() {
        Scheduler scheduler = Schedulers.create(SchedulerKind.MH, new HashOptions(false, false, 0));
        servers(10).forEach(scheduler::add);
        List<String> before = clients(scheduler);
        scheduler.update(scheduler.members().get(4), 0, 0, true);
        List<String> during = clients(scheduler);
        for (int i = 0; i < CLIENTS; i++) {
            assertThat(during.get(i)).isEqualTo(before.get(i).equals("s4") ? "-" : before.get(i));
        }
    }

    @Test
    void theLastOfManyServersIsFound() {
        Scheduler scheduler = of(servers(1000));
        Member last = scheduler.members().get(new Random(1).nextInt(1000));
        for (Member member : scheduler.members()) {
            scheduler.update(member, 1, 0, member.name().equals(last.name()));
        }
        for (int client = 0; client < 100; client++) {
            assertThat(scheduler.pick(Flows.from(client))).isSameAs(last);
        }
        scheduler.update(last, 1, 0, false);
        assertThat(scheduler.pick(Flows.from(1))).isNull();
    }

    @Test
    void aTableOfAnotherThanAPrimeNumberOfSlotsIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Schedulers.create(SchedulerKind.MH, new HashOptions(false, true, 65_536)))
                .withMessageContaining("65536 slots");
    }
}

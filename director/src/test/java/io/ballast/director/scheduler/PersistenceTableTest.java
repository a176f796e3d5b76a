package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.ballast.core.config.SchedulerKind;
import io.ballast.director.scheduler.PersistenceTable.Entry;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PersistenceTableTest {

    private static final long TIMEOUT = 100;
    private static final long GRACE = PersistenceTable.GRACE;

    private final Scheduler scheduler = Schedulers.create(SchedulerKind.RR);
    private final Member a = new Member("a", 1, 0, true);
    private final Member b = new Member("b", 1, 0, true);

    @BeforeEach
    void addServers() {
        scheduler.add(a);
        scheduler.add(b);
    }

    private static PersistenceTable table(int prefix4, int prefix6, int capacity) {
        return new PersistenceTable(TIMEOUT, prefix4, prefix6, capacity, 42);
    }

    private static @Nullable Member server(PersistenceTable table, String client, long now) {
        Entry entry = table.find(Flows.from(client), now);
        return entry == null ? null : entry.server();
    }

    private static Entry assign(PersistenceTable table, String client, Member server, long now) {
        return Objects.requireNonNull(table.assign(Flows.from(client), server, now));
    }

    @Test
    void aClientKeepsItsServerUntilTheTimeOut() {
        PersistenceTable table = table(32, 128, 10);
        assign(table, "198.51.100.7", b, 1000);
        assertThat(server(table, "198.51.100.7", 1000 + TIMEOUT - 1)).isSameAs(b);
        assertThat(server(table, "198.51.100.8", 1000)).isNull();
        assertThat(server(table, "198.51.100.7", 1000 + TIMEOUT)).isNull();
        assertThat(table.size()).isZero();
    }

    @Test
    void aNetworkIsOneClient() {
        PersistenceTable table = table(24, 56, 10);
        assign(table, "198.51.100.7", a, 0);
        assign(table, "2001:db8:0:1200::1", b, 0);
        assertThat(server(table, "198.51.100.255", 1)).isSameAs(a);
        assertThat(server(table, "198.51.101.7", 1)).isNull();
        assertThat(server(table, "2001:db8:0:12ff:ffff::2", 1)).isSameAs(b);
        assertThat(server(table, "2001:db8:0:1300::1", 1)).isNull();
        PersistenceTable fine = table(32, 68, 10);
        assign(fine, "2001:db8::1", a, 0);
        assertThat(server(fine, "2001:db8::fff:ffff:ffff:ffff", 1)).isSameAs(a);
        assertThat(server(fine, "2001:db8:0:0:1000::1", 1)).isNull();
    }

    @Test
    void networksWithTheSameHostsAreToldApart() {
        PersistenceTable table = table(32, 128, 5000);
        for (int i = 0; i < 2000; i++) {
            assign(table, "2001:db8:" + Integer.toHexString(i) + "::1", i % 2 == 0 ? a : b, 0);
        }
        for (int i = 0; i < 2000; i++) {
            assertThat(server(table, "2001:db8:" + Integer.toHexString(i) + "::1", 1))
                    .isSameAs(i % 2 == 0 ? a : b);
        }
        assertThat(table.size()).isEqualTo(2000);
    }

    @Test
    void eachConnectionGrantsTheTimeOutAgain() {
        PersistenceTable table = table(32, 128, 10);
        Entry entry = assign(table, "198.51.100.7", a, 0);
        table.opened(entry, 60);
        table.closed(entry, 70);
        assertThat(server(table, "198.51.100.7", 60 + TIMEOUT - 1)).isSameAs(a);
        assertThat(server(table, "198.51.100.7", 60 + TIMEOUT)).isNull();
    }

    @Test
    void anEntryOutlivesItsTimeWhileItHasAConnectionAndEndsWithTheMinuteAfterIt() {
        PersistenceTable table = table(32, 128, 10);
        Entry entry = assign(table, "198.51.100.7", a, 0);
        table.opened(entry, 0);
        table.expire(5 * GRACE);
        assertThat(server(table, "198.51.100.7", 5 * GRACE)).isSameAs(a);
        table.closed(entry, 5 * GRACE);
        // Time ended at TIMEOUT, and a minute later, and so on; the connection was there at 4 minutes after it.
        assertThat(server(table, "198.51.100.7", TIMEOUT + 5 * GRACE - 1)).isSameAs(a);
        assertThat(server(table, "198.51.100.7", TIMEOUT + 5 * GRACE)).isNull();
    }

    @Test
    void aServerThatTakesNoNewConnectionsLosesItsClients() {
        PersistenceTable table = table(32, 128, 10);
        for (boolean down : new boolean[] {true, false}) {
            assign(table, "198.51.100.7", a, 0);
            scheduler.update(a, down ? 1 : 0, 0, !down);
            assertThat(server(table, "198.51.100.7", 1)).isNull();
            scheduler.update(a, 1, 0, true);
            assertThat(server(table, "198.51.100.7", 1))
                    .as("it is free to go anywhere")
                    .isNull();
        }
        assign(table, "198.51.100.7", a, 0);
        scheduler.remove(a);
        assertThat(server(table, "198.51.100.7", 1)).isNull();
        assertThat(table.size()).isZero();
    }

    @Test
    void aServerAtItsLimitKeepsItsClients() {
        PersistenceTable table = table(32, 128, 10);
        assign(table, "198.51.100.7", a, 0);
        scheduler.update(a, 1, 1, true);
        scheduler.opened(a);
        assertThat(server(table, "198.51.100.7", 1)).isSameAs(a);
        assertThat(a.full()).isTrue();
    }

    @Test
    void aReassignedClientsOldConnectionsEndWithoutEffect() {
        PersistenceTable table = table(32, 128, 10);
        Entry old = assign(table, "198.51.100.7", a, 0);
        table.opened(old, 0);
        Entry now = assign(table, "198.51.100.7", b, 10);
        table.closed(old, 20);
        assertThat(server(table, "198.51.100.7", 20)).isSameAs(b);
        assertThat(now.connections()).isZero();
        assertThat(table.size()).isEqualTo(1);
        assertThat(table.expire(10 + TIMEOUT)).isEqualTo(1);
        assertThat(table.size()).isZero();
    }

    @Test
    void anEntryOfAnotherTableEndsWithoutEffect() {
        PersistenceTable before = table(24, 128, 2);
        Entry old = assign(before, "198.51.100.7", a, 0);
        before.opened(old, 0);
        PersistenceTable table = table(32, 128, 2);
        assign(table, "198.51.100.1", a, 1);
        table.closed(old, 2);
        assign(table, "198.51.100.2", a, 3);
        assign(table, "198.51.100.3", a, 4);
        assertThat(table.size()).isEqualTo(2);
        assertThat(server(table, "198.51.100.1", 5)).isNull();
        assertThat(server(table, "198.51.100.2", 5)).isSameAs(a);
        assertThat(table.expire(4 + TIMEOUT)).isEqualTo(2);
    }

    @Test
    void aFullTableForgetsWhoHasBeenWithoutAConnectionLongest() {
        PersistenceTable table = table(32, 128, 3);
        Entry first = assign(table, "198.51.100.1", a, 0);
        assign(table, "198.51.100.2", a, 1);
        assign(table, "198.51.100.3", a, 2);
        table.opened(first, 3);
        assign(table, "198.51.100.4", a, 4);
        assertThat(server(table, "198.51.100.2", 5)).isNull();
        assertThat(server(table, "198.51.100.1", 5)).isSameAs(a);
        table.closed(first, 6);
        assign(table, "198.51.100.5", a, 7);
        assertThat(server(table, "198.51.100.3", 8)).isNull();
        assertThat(server(table, "198.51.100.1", 8)).isSameAs(a);
        assertThat(table.size()).isEqualTo(3);
        assertThat(table.evicted()).isEqualTo(2);
    }

    @Test
    void aTableFullOfClientsWithConnectionsRefusesFurtherOnes() {
        PersistenceTable table = table(32, 128, 2);
        Entry entry = assign(table, "198.51.100.1", a, 0);
        table.opened(entry, 0);
        table.opened(assign(table, "198.51.100.2", a, 0), 0);
        assertThat(table.assign(Flows.from("198.51.100.3"), b, 1)).isNull();
        assertThat(table.refused()).isEqualTo(1);
        table.closed(entry, 2);
        assertThat(table.assign(Flows.from("198.51.100.3"), b, 3)).isNotNull();
        assertThat(table.size()).isEqualTo(2);
    }

    @Test
    void aNewTimeOutHoldsFromTheNextConnectionOn() {
        PersistenceTable table = table(32, 128, 10);
        Entry entry = assign(table, "198.51.100.7", a, 0);
        table.setTimeout(1000);
        assertThat(server(table, "198.51.100.7", TIMEOUT - 1)).isSameAs(a);
        table.opened(entry, TIMEOUT - 1);
        table.closed(entry, TIMEOUT - 1);
        assertThat(server(table, "198.51.100.7", TIMEOUT + 998)).isSameAs(a);
        assertThat(server(table, "198.51.100.7", TIMEOUT + 999)).isNull();
    }

    @Test
    void theClockMayWrapAround() {
        PersistenceTable table = table(32, 128, 10);
        assign(table, "198.51.100.7", a, Long.MAX_VALUE - 10);
        assertThat(server(table, "198.51.100.7", Long.MAX_VALUE)).isSameAs(a);
        assertThat(server(table, "198.51.100.7", Long.MIN_VALUE + 50)).isSameAs(a);
        assertThat(server(table, "198.51.100.7", Long.MIN_VALUE + 100)).isNull();
    }

    @Test
    void nonsenseIsRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> table(0, 128, 1)).withMessageContaining("IPv4 prefix");
        assertThatIllegalArgumentException().isThrownBy(() -> table(32, 129, 1)).withMessageContaining("IPv6 prefix");
        assertThatIllegalArgumentException().isThrownBy(() -> table(32, 128, 0)).withMessageContaining("capacity");
        PersistenceTable table = table(32, 128, 1);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> table.setTimeout(0))
                .withMessageContaining("time-out");
        Entry entry = assign(table, "198.51.100.7", a, 0);
        assertThatIllegalStateException()
                .isThrownBy(() -> table.closed(entry, 1))
                .withMessageContaining("server a");
    }

    /** What the table should remember, each client by itself. */
    private static final class Client {
        Entry entry;
        int connections;
        long deadline;

        Client(Entry entry, long deadline) {
            this.entry = entry;
            this.deadline = deadline;
        }

        boolean ended(long now) {
            // Granted another minute whenever time ended while a connection existed; closing is told at the time.
            return connections == 0 && now >= deadline;
        }
    }

    @Test
    void remembersWhatAModelRemembersOverRandomHistories() {
        Seeds.forEach(200, random -> {
            int capacity = random.nextBoolean() ? 1000 : 1 + random.nextInt(10);
            PersistenceTable table = table(32, 128, capacity);
            Map<Integer, Client> model = new HashMap<>();
            List<Client> open = new ArrayList<>();
            long now = 0;
            for (int step = 0; step < 500; step++) {
                now += random.nextInt(20) == 0 ? random.nextLong(3 * GRACE) : random.nextInt(30);
                int number = random.nextInt(20);
                FlowKey flow = Flows.from(number);
                switch (random.nextInt(4)) {
                    case 0 -> {
                        if (!open.isEmpty()) {
                            Client client = open.remove(random.nextInt(open.size()));
                            table.closed(client.entry, now);
                            client.connections--;
                            while (client.connections == 0 && client.deadline <= now) {
                                client.deadline += GRACE;
                            }
                        }
                    }
                    case 1 -> {
                        long time = now;
                        table.expire(now);
                        long alive = model.values().stream()
                                .filter(client -> !client.ended(time))
                                .count();
                        assertThat((long) table.size()).isLessThanOrEqualTo(model.size());
                        if (capacity == 1000) {
                            assertThat((long) table.size()).isGreaterThanOrEqualTo(alive);
                        }
                    }
                    default -> {
                        Entry found = table.find(flow, now);
                        Client client = model.get(number);
                        if (client != null && client.ended(now)) {
                            model.remove(number);
                            client = null;
                        }
                        if (capacity == 1000 || found != null) {
                            assertThat(found).isSameAs(client == null ? null : client.entry);
                        } else if (client != null) {
                            assertThat(client.connections)
                                    .as("only a client without a connection makes place")
                                    .isZero();
                        }
                        if (found == null) {
                            found = table.assign(flow, random.nextBoolean() ? a : b, now);
                            model.remove(number);
                        }
                        assertThat(table.size()).isLessThanOrEqualTo(capacity);
                        if (found == null) {
                            continue;
                        }
                        Entry entry = found;
                        long time = now;
                        Client current = model.computeIfAbsent(number, key -> new Client(entry, time + TIMEOUT));
                        if (random.nextBoolean()) {
                            table.opened(entry, now);
                            current.connections++;
                            current.deadline = now + TIMEOUT;
                            open.add(current);
                        }
                    }
                }
            }
            for (Client client : open) {
                table.closed(client.entry, now);
            }
            table.expire(now + 2 * GRACE + TIMEOUT);
            assertThat(table.size()).isZero();
        });
    }
}

package io.ballast.director.sync;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Directors that know no connections, and each other. */
@Timeout(60)
class ConnectionSyncPeersTest {
    private static final InetAddress FIRST = InetAddress.ofLiteral("127.71.0.1");
    private static final InetAddress SECOND = InetAddress.ofLiteral("127.71.0.2");

    private final List<String> notes = new CopyOnWriteArrayList<>();
    private final List<ConnectionSync> open = new ArrayList<>();
    private final int port = 20_000 + (int) (ProcessHandle.current().pid() % 10_000);

    @AfterEach
    void end() {
        open.forEach(ConnectionSync::close);
    }

    /** Has nothing, and says so only when it may. */
    private static final class Empty implements ConnectionTable {
        volatile boolean finds = true;

        @Override
        public Names names() {
            return Names.NONE;
        }

        @Override
        public Changes changes() {
            return new Changes() {
                @Override
                public Look next(Predicate<Names.Where> wanted, int most) {
                    return new Look(List.of(), !finds, System.nanoTime());
                }

                @Override
                public void lookEverywhere() {}

                @Override
                public void lookSomewhere() {}

                @Override
                public void forget() {}

                @Override
                public void close() {}
            };
        }

        @Override
        public List<Outcome> put(List<Entry> entries, Predicate<Names.Where> ours, @Nullable Changes teller) {
            return entries.stream().map(_ -> Outcome.NEW).toList();
        }
    }

    private ConnectionSync director(
            String node, InetAddress own, String peer, InetAddress other, ConnectionTable table) {
        ConnectionSync sync = new ConnectionSync(
                new ConnectionSync.Settings(
                        node,
                        Set.of(own),
                        port,
                        "known-to-both-of-them",
                        List.of(new ConnectionSync.Peer(peer, own, other))),
                (_, whom, message) -> notes.add(whom + ": " + message));
        open.add(sync);
        sync.table(table);
        return sync;
    }

    private static ConnectionSync.State state(ConnectionSync sync) {
        return sync.status().peers().getFirst();
    }

    private static void await(String what, Callable<Boolean> condition) throws Exception {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.call()) {
            assertThat(System.nanoTime()).as("deadline of: " + what).isLessThan(until);
            Thread.sleep(2);
        }
    }

    @Test
    void whoWasAwayIsNotSettledUntilItHasBeenToldEverythingOnceMore() throws Exception {
        Empty table = new Empty();
        ConnectionSync first = director("first", FIRST, "second", SECOND, new Empty());
        director("second", SECOND, "first", FIRST, table);
        await("it knows all", () -> state(first).informed() && state(first).complete());
        table.finds = false;
        first.again();
        assertThat(state(first).informed()).isFalse();
        assertThat(first.isSettled()).isFalse();
        await("the other one calls again", () -> state(first).hearing());
        assertThat(state(first).informed()).isFalse();
        table.finds = true;
        await("it has been told", () -> state(first).informed());
        assertThat(first.isSettled()).isTrue();
        await("and tells", () -> state(first).complete());
        assertThat(notes).isEmpty();
    }

    @Test
    void strangersAreTurnedAwayAndTakeNobodysPlace() throws Exception {
        List<Socket> strangers = new ArrayList<>();
        ConnectionSync first = director("first", FIRST, "second", SECOND, new Empty());
        try {
            for (int i = 0; i < 20; i++) {
                strangers.add(call());
            }
            await("they are counted", () -> first.status().strangers() == 20);
            for (Socket stranger : strangers) {
                assertThat(stranger.getInputStream().read()).isEqualTo(-1);
            }
            director("second", SECOND, "first", FIRST, new Empty());
            await("it knows all", () -> state(first).informed() && state(first).complete());
        } finally {
            for (Socket stranger : strangers) {
                stranger.close();
            }
        }
        assertThat(notes).singleElement().asString().startsWith("127.71.0.9: it calls where directors tell");
        assertThat(first.status().forged()).isZero();
    }

    private Socket call() throws Exception {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (true) {
            Socket socket = new Socket();
            socket.setSoTimeout(30_000);
            try {
                socket.bind(new InetSocketAddress(InetAddress.ofLiteral("127.71.0.9"), 0));
                socket.connect(new InetSocketAddress(FIRST, port));
                return socket;
            } catch (ConnectException e) {
                socket.close(); // it does not listen yet
                assertThat(System.nanoTime()).isLessThan(until);
                Thread.sleep(2);
            }
        }
    }

    @Test
    void whoIsNotThereIsNotWaitedFor() throws Exception {
        ConnectionSync first = director("first", FIRST, "second", SECOND, new Empty());
        ConnectionSync second = director("second", SECOND, "first", FIRST, new Empty());
        await("it knows all", () -> state(first).informed());
        second.close();
        first.again();
        await("nobody is there", first::isSettled);
        assertThat(state(first).informed()).isFalse();
    }
}

package io.ballast.takeover.quorum;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.takeover.wire.OwnershipCondition;
import io.ballast.takeover.wire.OwnershipCondition.State;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Three voters at addresses of the loopback network: two candidates, and a witness. */
class QuorumTest {
    private static final String SECRET = "correct-horse-battery-staple";
    private static final long LEASE = 1_000_000_000;

    private final SequencedMap<String, InetAddress> voters = new LinkedHashMap<>();
    private final List<Quorum> open = new ArrayList<>();
    private int port;

    @BeforeEach
    void addresses() throws Exception {
        voters.put("d1", InetAddress.ofLiteral("127.0.77.1"));
        voters.put("d2", InetAddress.ofLiteral("127.0.77.2"));
        voters.put("witness", InetAddress.ofLiteral("127.0.77.3"));
        try (DatagramSocket free = new DatagramSocket()) {
            port = free.getLocalPort();
        }
    }

    @AfterEach
    void close() {
        open.forEach(Quorum::close);
    }

    /** One of them, and what it has said. */
    private final class Member implements Quorum.Listener {
        final BlockingQueue<Boolean> reached = new LinkedBlockingQueue<>();
        final List<String> notes = new CopyOnWriteArrayList<>();
        final Quorum quorum;

        Member(String name, String secret, boolean isCandidate) throws Exception {
            quorum = new Quorum(settings(name, secret, isCandidate), this);
            open.add(quorum);
        }

        @Override
        public void reaches(boolean most, String text) {
            reached.add(most);
        }

        @Override
        public void note(boolean warning, String message) {
            notes.add(message);
        }

        OwnershipCondition lease() {
            return new MajorityLease(quorum, List.of("front", "front/6"));
        }

        Quorum.Status status() throws Exception {
            return quorum.status().get(30, TimeUnit.SECONDS);
        }

        void awaitReaching(boolean most) throws Exception {
            assertThat(reached.poll(30, TimeUnit.SECONDS))
                    .as("whether it reaches most voters")
                    .isEqualTo(most);
        }

        void end() {
            quorum.close();
            open.remove(quorum);
        }
    }

    private Quorum.Settings settings(String name, String secret, boolean isCandidate) {
        return new Quorum.Settings(name, voters, port, secret, LEASE, isCandidate);
    }

    private Member director(String name) throws Exception {
        return new Member(name, SECRET, true);
    }

    private Member witness() throws Exception {
        return new Member("witness", SECRET, false);
    }

    private static void await(String what, Callable<Boolean> condition) throws Exception {
        for (long end = System.nanoTime() + 30_000_000_000L; !condition.call(); Thread.sleep(5)) {
            assertThat(System.nanoTime()).as(what).isLessThan(end);
        }
    }

    private static boolean isGranted(OwnershipCondition lease) {
        return lease.standing().state() == State.GRANTED;
    }

    @Test
    void oneHasItUntilItIsReleased() throws Exception {
        Member d1 = director("d1");
        Member d2 = director("d2");
        Member witness = witness();
        d1.awaitReaching(true);
        OwnershipCondition first = d1.lease();
        OwnershipCondition second = d2.lease();
        assertThat(first.standing().state()).isEqualTo(State.FREE);
        first.wanted("elected");
        await("d1 has it", () -> isGranted(first));
        assertThat(first.until() - System.nanoTime()).isLessThan(LEASE);
        second.wanted("elected");
        await("d2 knows who has it", () -> second.standing().text().contains("d1 has it"));
        long until = first.until();
        await("d1 asks again before that is over", () -> first.until() > until);
        assertThat(second.standing().state()).isEqualTo(State.AWAITED);
        assertThat(witness.status().granted()).containsEntry("front", "d1").containsEntry("front/6", "d1");
        assertThat(d1.status().voters()).containsEntry("witness", true);
        first.given("released");
        assertThat(first.standing().state()).isEqualTo(State.FREE);
        await("d2 has it", () -> isGranted(second));
        assertThat(Objects.requireNonNull(d2.status().leases().get("front")).left())
                .isPositive();
    }

    @Test
    void whoReachesNotMostHasNothing() throws Exception {
        Member d1 = director("d1");
        Member witness = witness();
        d1.awaitReaching(true);
        OwnershipCondition lease = d1.lease();
        lease.wanted("elected");
        await("the two of them are enough", () -> isGranted(lease));
        witness.end();
        d1.awaitReaching(false);
        await("it is over", () -> !isGranted(lease));
        await("why", () -> lease.standing().text().contains("no answer from d2, witness"));
        witness();
        d1.awaitReaching(true);
        await("it has it again", () -> isGranted(lease));
    }

    @Test
    void whoHasAnotherSecretIsNobody() throws Exception {
        Member d1 = new Member("d1", "another-secret-of-theirs", true);
        Member d2 = director("d2");
        Member witness = witness();
        d2.awaitReaching(true);
        d1.awaitReaching(false);
        await("what it says is counted", () -> witness.status().forged() > 0);
        try (DatagramSocket stranger = new DatagramSocket()) {
            for (int length : new int[] {0, 1, 16, 17, 100, 1500, 60_000}) {
                stranger.send(new DatagramPacket(new byte[length], length, voters.get("witness"), port));
            }
        }
        OwnershipCondition lease = d2.lease();
        lease.wanted("elected");
        await("the others go on", () -> isGranted(lease));
    }

    @Test
    void anotherVoterCountsWhenTheOthersKnowOfIt() throws Exception {
        Member d1 = director("d1");
        Member d2 = director("d2");
        Member witness = witness();
        OwnershipCondition lease = d1.lease();
        lease.wanted("elected");
        await("d1 has it", () -> isGranted(lease));
        voters.put("fourth", InetAddress.ofLiteral("127.0.77.4"));
        d1.quorum.configure(settings("d1", SECRET, true));
        await("d1 alone knows of it", () -> lease.standing().text().contains("other voters in the description"));
        d2.quorum.configure(settings("d2", SECRET, true));
        witness.quorum.configure(settings("witness", SECRET, false));
        await("three of four know of it", () -> isGranted(lease));
    }

    @Test
    void aPortThatIsTakenIsSaidAndTriedAgain() throws Exception {
        Member d1;
        try (DatagramSocket other = new DatagramSocket(port, voters.get("d1"))) {
            d1 = director("d1");
            await("it says so", () -> d1.notes.stream().anyMatch(note -> note.contains("UDP port " + port)));
            assertThat(other.isBound()).isTrue();
        }
        witness();
        await("it has it then", () -> d1.reached.contains(true));
    }

    @Test
    void aHundredAreAskedForTogether() throws Exception {
        Member d1 = director("d1");
        witness();
        List<String> names = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            names.add("a-virtual-router-with-a-name-that-is-as-long-as-one-may-be-" + (1000 + i));
        }
        OwnershipCondition lease = new MajorityLease(d1.quorum, names);
        lease.wanted("elected");
        await("it has all of them", () -> isGranted(lease));
        long until = lease.until();
        await("and keeps them", () -> lease.until() > until);
    }
}

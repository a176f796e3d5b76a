package io.ballast.takeover.quorum;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.loop.Timer;
import io.ballast.core.sim.SimulatedLoop;
import io.ballast.core.sim.VirtualTime;
import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Request;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Two to seven nodes and three to seven voters, some of them the same, on a network that loses, delays, doubles, records and
 * divides; processes stand still and begin anew, and no two clocks run alike. At no instant has a thing two owners, each
 * reckoned by its own clock; and when the network is whole, whoever is alone in wanting it soon has it.
 *
 * <p>{@code -Dballast.simulate.days=1000} goes on with fresh seeds until they have lived for so long together.
 */
class QuorumSimulationTest {
    private static final long MS = 1_000_000;
    private static final int SEEDS = 1_000;
    private static final long DAY = 86_400_000 * MS;
    private static final String THING = "front";

    @Test
    void neverHaveTwoTheSame() {
        String only = System.getProperty("ballast.seed", "");
        if (!only.isEmpty()) {
            new World(Long.parseLong(only)).run();
            return;
        }
        long days = Long.getLong("ballast.simulate.days", 0);
        boolean fresh = days > 0 || !System.getProperty("ballast.simulate", "").isEmpty();
        long first = fresh ? System.nanoTime() : 1;
        long lived = 0;
        long owned = 0;
        for (long seed = first; seed < first + (fresh ? 20L : 1L) * SEEDS || lived < days * DAY; seed++) {
            try {
                World world = new World(seed);
                world.run();
                lived += world.time.now();
                owned += world.changes;
            } catch (AssertionError | RuntimeException e) {
                throw new AssertionError("seed " + seed + " (repeat with -Dballast.seed=" + seed + "): " + e, e);
            }
        }
        assertThat(owned).as("how often somebody had it").isGreaterThan(2L * SEEDS);
    }

    private static final class World {
        final VirtualTime time = new VirtualTime();
        final SimulatedLoop network = time.newLoop("network");
        final Random random;
        final long lease;
        final Set<String> electorate = new TreeSet<>();
        final List<Node> nodes = new ArrayList<>();
        /** Until when somebody has it, in true time. */
        final List<Owner> owners = new ArrayList<>();

        final List<String> trace = new ArrayList<>();
        /** What somebody has recorded, to send it again. */
        final List<Runnable> recorded = new ArrayList<>();

        boolean whole;
        double loss;
        int changes;

        World(long seed) {
            random = new Random(seed * 0x9e3779b97f4a7c15L);
            lease = List.of(200 * MS, 1000 * MS, 5000 * MS).get(random.nextInt(3));
            int voters = random.nextInt(3, 8);
            int candidates = random.nextInt(2, 8);
            for (int i = 0; i < voters; i++) {
                electorate.add("n" + i);
            }
            for (int i = 0; i < Math.max(voters, candidates); i++) {
                nodes.add(new Node("n" + i, i < candidates, i < voters));
            }
        }

        void run() {
            loss = random.nextInt(3) * 0.2;
            nodes.forEach(Node::begin);
            long end = (5 + random.nextInt(20)) * lease;
            int events = random.nextInt(60);
            for (int i = 0; i < events; i++) {
                network.scheduleAt(random.nextLong(end), this::happen);
            }
            time.runUntil(end);
            whole = true;
            loss = 0;
            nodes.forEach(Node::heal);
            nodes.forEach(node -> node.become(lease));
            List<Node> candidates =
                    nodes.stream().filter(node -> node.candidates).toList();
            Node one = candidates.get(random.nextInt(candidates.size()));
            nodes.forEach(node -> node.want(node == one));
            // What others have is over, voters that began anew may speak, and the next attempt succeeds.
            time.runFor(Duration.ofNanos(3 * lease));
            assertThat(one.has())
                    .as("whether the only one who wants it has it\n" + String.join("\n", trace))
                    .isTrue();
            int before = trace.size();
            time.runFor(Duration.ofNanos(5 * lease));
            assertThat(one.has()).isTrue();
            assertThat(trace.subList(before, trace.size()))
                    .as("changes without a cause")
                    .isEmpty();
        }

        private void happen() {
            Node node = nodes.get(random.nextInt(nodes.size()));
            switch (random.nextInt(9)) {
                case 0 -> node.beginAnew();
                case 1 -> node.standStill(random.nextLong(2 * lease));
                case 2 -> nodes.forEach(each -> each.island = random.nextInt(2));
                case 3 -> nodes.forEach(each -> each.island = 0);
                case 4 -> node.want(false);
                case 5 -> {
                    if (!recorded.isEmpty()) {
                        recorded.get(random.nextInt(recorded.size())).run();
                    }
                }
                case 6 -> node.become(node.lease == lease ? lease / 4 : lease);
                default -> node.want(true);
            }
        }

        void send(Node from, Node to, Runnable arrives) {
            recorded.add(() -> to.process(arrives));
            if (recorded.size() > 2000) {
                recorded.removeFirst();
            }
            if (from == to) {
                network.scheduleAt(time.now(), () -> to.process(arrives));
                return;
            }
            if (!whole && from.island != to.island) {
                return;
            }
            for (int copy = !whole && random.nextInt(10) == 0 ? 2 : 1; copy > 0; copy--) {
                if (random.nextDouble() >= loss) {
                    long delay = whole ? MS / 2 : random.nextLong(random.nextInt(10) == 0 ? lease : MS);
                    network.scheduleAt(time.now() + delay, () -> to.process(arrives));
                }
            }
        }

        void owns(Node node, long until) {
            for (Owner other : owners) {
                if (other.until > time.now() && !(other.node == node && other.life == node.life)) {
                    throw new AssertionError(node.name + " has it, and " + other.node.name + " until "
                            + (other.until - time.now()) + " ns later\n" + String.join("\n", trace));
                }
            }
            owners.removeIf(owner -> owner.until <= time.now() || owner.node == node);
            owners.add(new Owner(node, node.life, until));
        }

        private record Owner(Node node, int life, long until) {}

        /** A process that may be candidate, voter or both. */
        private final class Node implements Candidate.Output {
            final String name;
            final boolean candidates;
            final boolean votes;
            final double clock;
            final List<Runnable> unread = new ArrayList<>();
            int island;
            int life;
            boolean wants;
            boolean still;
            /** By its description now. */
            long lease = World.this.lease;

            @Nullable
            Voter voter;

            @Nullable
            Candidate candidate;

            @Nullable
            Timer due;

            Node(String name, boolean candidates, boolean votes) {
                this.name = name;
                this.candidates = candidates;
                this.votes = votes;
                this.clock = 1 + (random.nextDouble() - 0.5) / 75; // of two, at most one part in 75 apart
            }

            long now() {
                return (long) (time.now() * clock) + 1_000_000;
            }

            void begin() {
                if (votes) {
                    voter = new Voter(new Voter.Settings(name, lease, 7), random, now());
                }
                if (candidates) {
                    candidate = new Candidate(new Candidate.Settings(name, electorate, lease, 7), this, random, now());
                    plan();
                }
            }

            /** What it had, nobody takes away from its data path. */
            void beginAnew() {
                life++;
                still = false;
                wants = false;
                unread.clear();
                lease = World.this.lease; // the longer one: with the shorter one it would not wait for what it said
                trace.add(time.now() / MS + " " + name + " begins anew");
                begin();
            }

            /** Reads another description. */
            void become(long other) {
                if (still) {
                    return;
                }
                lease = other;
                trace.add(time.now() / MS + " " + name + " has leases of " + lease / MS + " ms now");
                if (voter != null) {
                    voter.configure(new Voter.Settings(name, lease, 7), now());
                }
                if (candidate != null) {
                    candidate.configure(new Candidate.Settings(name, electorate, lease, 7), now());
                    plan();
                }
            }

            void want(boolean wanted) {
                Candidate mine = candidate;
                if (mine == null || still || wants == wanted) {
                    return;
                }
                wants = wanted;
                trace.add(time.now() / MS + " " + name + (wanted ? " wants it" : " gives it up"));
                if (wanted) {
                    mine.want(THING, now());
                } else {
                    owners.removeIf(owner -> owner.node == this && owner.life == life);
                    mine.release(THING, now());
                }
                plan();
            }

            void standStill(long howLong) {
                if (still) {
                    return;
                }
                still = true;
                int of = life;
                network.scheduleAt(time.now() + howLong, () -> {
                    if (life == of) {
                        goOn();
                    }
                });
            }

            void goOn() {
                if (still) {
                    still = false;
                    List<Runnable> all = List.copyOf(unread);
                    unread.clear();
                    all.forEach(Runnable::run);
                    tick();
                }
            }

            void heal() {
                island = 0;
                goOn();
            }

            void process(Runnable arrived) {
                if (still) {
                    unread.add(arrived);
                } else {
                    arrived.run();
                    plan();
                }
            }

            void tick() {
                Candidate mine = candidate;
                if (mine != null && !still) {
                    mine.tick(now());
                    plan();
                }
            }

            void plan() {
                if (due != null) {
                    due.cancel();
                }
                Candidate mine = candidate;
                if (mine == null) {
                    return;
                }
                int of = life;
                long when = time.now() + Math.max(0, (long) ((mine.due() - now()) / clock) + 1);
                due = network.scheduleAt(when, () -> {
                    if (life == of) {
                        tick();
                    }
                });
            }

            boolean has() {
                return owners.stream().anyMatch(owner -> owner.node == this && owner.until > time.now());
            }

            @Override
            public void send(String to, Request request) {
                Node other = nodes.stream()
                        .filter(node -> node.name.equals(to))
                        .findFirst()
                        .orElseThrow();
                World.this.send(this, other, () -> other.asked(this, request));
            }

            void asked(Node by, Request request) {
                Voter mine = voter;
                if (mine != null) {
                    mine.heard(request, now())
                            .ifPresent(answer -> World.this.send(this, by, () -> by.answered(answer)));
                }
            }

            void answered(Answer answer) {
                Candidate mine = candidate;
                if (mine != null) {
                    mine.heard(answer, now());
                }
            }

            @Override
            public void held(String resource, long until) {
                boolean had = has();
                // Rounded up, in its disfavour.
                owns(this, (long) ((until - 1_000_000) / clock) + 2);
                if (!had) {
                    changes++;
                    trace.add(time.now() / MS + " " + name + " has it");
                }
            }

            @Override
            public void lost(String resource, String why) {
                owners.removeIf(owner -> owner.node == this && owner.life == life);
                trace.add(time.now() / MS + " " + name + " has lost it: " + why);
            }
        }
    }
}

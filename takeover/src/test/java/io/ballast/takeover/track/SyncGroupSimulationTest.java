package io.ballast.takeover.track;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.loop.Timer;
import io.ballast.core.sim.SimulatedLoop;
import io.ballast.core.sim.VirtualTime;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.vrrp.VirtualRouter.Settings;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Two to four nodes on two or three networks, each of which loses, delays and divides by itself, with links that fail. A
 * node is master on all of them or on none, at every moment; when everything is whole, one is.
 */
class SyncGroupSimulationTest {
    private static final long MS = 1_000_000;
    private static final int SEEDS = 2_000;

    @Test
    void aNodeIsMasterOfAllOrNothingAndOneNodeIsInTheEnd() {
        String only = System.getProperty("ballast.seed", "");
        if (!only.isEmpty()) {
            new World(Long.parseLong(only)).run();
            return;
        }
        boolean fresh = !System.getProperty("ballast.simulate", "").isEmpty();
        long first = fresh ? System.nanoTime() : 1;
        for (long seed = first; seed < first + (fresh ? 20L : 1L) * SEEDS; seed++) {
            try {
                new World(seed).run();
            } catch (AssertionError | RuntimeException e) {
                throw new AssertionError("seed " + seed + " (repeat with -Dballast.seed=" + seed + "): " + e, e);
            }
        }
    }

    @Test
    void theSameSeedIsTheSameLife() {
        List<String> once = new World(42).run();
        assertThat(once).isNotEmpty();
        assertThat(new World(42).run()).isEqualTo(once);
        assertThat(new World(43).run()).isNotEqualTo(once);
    }

    private static final class World {
        final VirtualTime time = new VirtualTime();
        final SimulatedLoop loop = time.newLoop("world");
        final Random random;
        final List<Node> nodes = new ArrayList<>();
        final List<String> trace = new ArrayList<>();
        final long interval = 100 * MS;
        final long hop = interval / 20;
        final int networks;
        double loss;
        boolean whole;

        World(long seed) {
            random = new Random(seed * 0x9e3779b97f4a7c15L);
            networks = random.nextInt(2, 4);
            List<Integer> priorities = new ArrayList<>(List.of(50, 100, 150, 200));
            Collections.shuffle(priorities, random);
            boolean preempt = random.nextInt(3) > 0;
            List<Integer> described = priorities.subList(0, random.nextInt(2, 5));
            int tracked = random.nextInt(1, 255);
            for (int i = described.size(); i > 0; i--) {
                int own = described.get(i - 1);
                Set<Integer> others = new HashSet<>(described);
                others.remove(own);
                // Where what they track made them equal, none would be master for ever.
                int wanted = random.nextInt(3) == 0 ? own : tracked;
                nodes.add(new Node(i, SyncGroup.distinct(wanted, own, others), preempt));
            }
        }

        List<String> run() {
            loss = random.nextInt(3) * 0.15;
            nodes.forEach(node -> loop.scheduleAt(random.nextLong(4 * interval), node::begin));
            long end = (20 + random.nextInt(60)) * interval;
            for (int i = random.nextInt(14); i > 0; i--) {
                loop.scheduleAt(random.nextLong(end), this::harm);
            }
            time.runUntil(end);
            whole = true;
            loss = 0;
            nodes.forEach(Node::heal);
            time.runFor(Duration.ofNanos(4 * interval + 4 * hop));
            Node master = master();
            int changes = trace.size();
            time.runFor(Duration.ofNanos(10 * interval));
            assertThat(master()).isSameAs(master);
            assertThat(trace.subList(changes, trace.size()))
                    .as("changes without a cause")
                    .isEmpty();
            if (nodes.getFirst().preempt) {
                assertThat(nodes).allMatch(node -> node.priority <= master.priority);
            }
            return trace;
        }

        private Node master() {
            List<Node> masters = nodes.stream().filter(Node::isMaster).toList();
            assertThat(masters).as("masters\n" + String.join("\n", trace)).hasSize(1);
            return masters.getFirst();
        }

        private void harm() {
            Node node = nodes.get(random.nextInt(nodes.size()));
            int network = random.nextInt(networks);
            switch (random.nextInt(7)) {
                case 0 -> node.crash();
                case 1 -> node.begin();
                case 2 -> node.leave();
                case 3 -> node.cut(network);
                case 4 -> node.mend(network);
                case 5 -> node.deaf[network] = !node.deaf[network];
                default -> nodes.forEach(each -> each.island[network] = random.nextInt(2));
            }
            nodes.forEach(Node::check);
        }

        void send(Member from, Advertisement ad) {
            for (Node node : nodes) {
                int on = from.network;
                boolean apart =
                        from.node.cut[on] || node.cut[on] || node.deaf[on] || node.island[on] != from.node.island[on];
                if (node != from.node && (whole || !apart) && random.nextDouble() >= loss) {
                    long delay = whole ? hop : random.nextLong(random.nextInt(10) == 0 ? interval : hop + 1);
                    loop.scheduleAt(time.now() + delay, () -> node.arrives(on, ad, from.address));
                }
            }
        }

        private final class Node {
            final String name;
            final int number;
            final int priority;
            final boolean preempt;
            final boolean[] cut = new boolean[networks];
            final boolean[] deaf = new boolean[networks];
            final int[] island = new int[networks];
            List<Member> members = List.of();

            @Nullable
            SyncGroup group;

            @Nullable
            Timer due;

            Node(int number, int priority, boolean preempt) {
                this.name = "n" + number;
                this.number = number;
                this.priority = priority;
                this.preempt = preempt;
            }

            boolean isMaster() {
                return !members.isEmpty() && members.stream().allMatch(member -> member.owns);
            }

            void check() {
                long masters = members.stream()
                        .filter(member -> member.router.role() == Role.MASTER)
                        .count();
                if (masters != 0 && masters != members.size()) {
                    throw new AssertionError(name + " is master of " + masters + " of " + members.size() + "\n"
                            + String.join("\n", trace));
                }
                for (Member member : members) {
                    Role role = member.router.role();
                    assertThat(member.owns).isEqualTo(role == Role.MASTER || role == Role.LEAVING);
                    assertThat(cut[member.network] && member.owns)
                            .as(name + " owns what it is cut off from")
                            .isFalse();
                }
                plan();
            }

            void begin() {
                SyncGroup of = group;
                if (of == null) {
                    List<Member> made = new ArrayList<>();
                    for (int network = 0; network < networks; network++) {
                        made.add(new Member(this, network));
                    }
                    members = made;
                    of = new SyncGroup(
                            made.stream().map(member -> member.router).toList());
                    group = of;
                    for (int network = 0; network < networks; network++) {
                        if (cut[network]) {
                            of.fault(made.get(network).router, "cut", time.now());
                        }
                    }
                }
                of.start(time.now());
                check();
            }

            void crash() {
                members.forEach(Member::stopSending);
                members = List.of();
                group = null;
                say("crashed");
            }

            void leave() {
                if (group != null) {
                    group.leave("told to", time.now());
                    check();
                }
            }

            void cut(int network) {
                boolean was = cut[network];
                cut[network] = true;
                if (group != null && !was) {
                    group.fault(members.get(network).router, "cut", time.now());
                    check();
                }
            }

            void mend(int network) {
                boolean was = cut[network];
                cut[network] = false;
                if (group != null && was) {
                    group.whole(members.get(network).router, time.now());
                    check();
                }
            }

            void heal() {
                for (int network = 0; network < networks; network++) {
                    island[network] = 0;
                    deaf[network] = false;
                    mend(network);
                }
                begin();
            }

            void arrives(int network, Advertisement ad, InetAddress from) {
                if (group != null && (whole || !cut[network])) {
                    group.heard(members.get(network).router, ad, from, time.now(), time.now());
                    check();
                    group.tick(time.now()); // as one does who is awake
                    check();
                }
            }

            void plan() {
                if (due != null) {
                    due.cancel();
                }
                SyncGroup of = group;
                if (of != null && of.due() != Long.MAX_VALUE) {
                    due = loop.scheduleAt(Math.max(of.due(), time.now()), () -> {
                        if (group == of) {
                            of.tick(time.now());
                            assertThat(of.due()).as("nothing is left to do").isGreaterThan(time.now());
                            check();
                        }
                    });
                }
            }

            void say(String what) {
                trace.add(time.now() / 1000 + " us " + name + " (" + priority + "): " + what);
            }
        }

        /** A node's part on one network. */
        private final class Member implements VirtualRouter.Output {
            final Node node;
            final int network;
            final InetAddress address;
            final VirtualRouter router;
            boolean owns;

            @Nullable
            Timer next;

            Member(Node node, int network) {
                this.node = node;
                this.network = network;
                // On one network the lower nodes' addresses are higher.
                int host = network == 0 ? node.number : 9 - node.number;
                address = InetAddress.ofLiteral("10.77." + network + "." + host);
                List<InetAddress> vip = List.of(InetAddress.ofLiteral("10.77." + network + ".100"));
                router = new VirtualRouter(
                        new Settings(3, 77, node.priority, interval, vip, node.preempt, 0, address), this, time.now());
            }

            @Override
            public void advertise(Advertisement ad) {
                stopSending();
                send(this, ad);
                next = loop.scheduleAt(time.now() + ad.interval(), () -> advertise(ad));
            }

            @Override
            public void farewell(Advertisement ad) {
                stopSending();
                send(this, ad);
            }

            @Override
            public void silence() {
                stopSending();
            }

            void stopSending() {
                if (next != null) {
                    next.cancel();
                    next = null;
                }
            }

            @Override
            public void acquire() {
                assertThat(owns).as(node.name + " acquires what it has").isFalse();
                owns = true;
            }

            @Override
            public void release() {
                assertThat(owns).as(node.name + " releases what it has not").isTrue();
                owns = false;
            }

            @Override
            public void handOver() {
                release();
            }

            @Override
            public void contested(InetAddress by) {}

            @Override
            public void changed(Role from, Role to, String why) {
                node.say(network + ": " + from + " -> " + to + ": " + why);
            }
        }
    }
}

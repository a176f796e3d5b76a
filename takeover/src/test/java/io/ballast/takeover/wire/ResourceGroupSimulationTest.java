package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.loop.Timer;
import io.ballast.core.sim.SimulatedLoop;
import io.ballast.core.sim.VirtualTime;
import io.ballast.takeover.group.GroupKeeper;
import io.ballast.takeover.group.Permission.Other;
import io.ballast.takeover.group.ResourceGroup.Action;
import io.ballast.takeover.group.ResourceGroup.Outcome;
import io.ballast.takeover.group.ResourceGroup.Phase;
import io.ballast.takeover.group.ResourceGroup.Resource;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import io.ballast.takeover.vrrp.VirtualRouter.Settings;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * Two or three nodes that share a virtual router and a group of three resources, whose daemons are killed, whose power goes,
 * whose network is divided, and whose programs fail and hang. What a node makes of its conditions is here as {@link Party} has
 * it.
 */
class ResourceGroupSimulationTest {
    private static final long MS = 1_000_000;
    private static final long S = 1000 * MS;
    private static final int SEEDS = 300;

    @Test
    void whatOnlyOneNodeMayHaveRunsOnOneNodeInOrderAndInTheEndItDoes() {
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
        List<String> once = new World(7).run();
        assertThat(once).isNotEmpty();
        assertThat(new World(7).run()).isEqualTo(once);
        assertThat(new World(8).run()).isNotEqualTo(once);
    }

    private static final class World {
        final VirtualTime time = new VirtualTime();
        final SimulatedLoop loop = time.newLoop("world");
        final Random random;
        final List<Node> nodes = new ArrayList<>();
        final List<String> trace = new ArrayList<>();
        final long interval = 200 * MS;
        final boolean fenced;
        final boolean dying;
        boolean whole;

        World(long seed) {
            random = new Random(seed * 0x9e3779b97f4a7c15L);
            fenced = random.nextInt(3) > 0;
            dying = random.nextInt(3) == 0;
            boolean preempt = random.nextBoolean();
            int count = random.nextInt(2, 4);
            for (int i = 1; i <= count; i++) {
                nodes.add(new Node(i, 50 * i, preempt));
            }
            time.runFor(Duration.ofSeconds(1000));
        }

        List<String> run() {
            nodes.forEach(node -> loop.scheduleAt(time.now() + random.nextLong(2 * S), node::begin));
            long end = time.now() + 60 * S;
            for (int i = random.nextInt(10); i > 0; i--) {
                loop.scheduleAt(time.now() + random.nextLong(60 * S), this::harm);
            }
            time.runUntil(end);
            whole = true;
            nodes.forEach(node -> {
                node.island = 0;
                node.startFails = false;
                node.stopFails = false;
                node.begin();
            });
            time.runFor(Duration.ofSeconds(40)); // so long what was under way may still fail
            for (Node node : nodes) {
                if (node.condition != null && node.condition.view().phase() == Phase.STUCK) {
                    node.condition.resume(); // the operator has seen to it
                }
            }
            time.runFor(Duration.ofMinutes(8));
            List<Node> up = nodes.stream().filter(node -> node.holds).toList();
            assertThat(up)
                    .as("nodes with the address\n" + String.join("\n", trace))
                    .hasSize(1);
            for (Node node : nodes) {
                boolean[] all = node.holds ? new boolean[] {true, true, true} : new boolean[3];
                assertThat(node.runs)
                        .as("what runs on " + node.name + "\n" + String.join("\n", trace))
                        .isEqualTo(all);
            }
            int changes = trace.size();
            time.runFor(Duration.ofMinutes(2));
            assertThat(trace.subList(changes, trace.size()))
                    .as("changes without a cause")
                    .isEmpty();
            return trace;
        }

        private void harm() {
            Node node = nodes.get(random.nextInt(nodes.size()));
            switch (random.nextInt(11)) {
                case 0 -> node.killDaemon();
                case 1 -> node.powerOff();
                case 2, 3 -> node.begin();
                case 4 -> nodes.forEach(each -> each.island = random.nextInt(2));
                case 5 -> nodes.forEach(each -> each.island = 0);
                case 6 -> node.startFails = !node.startFails;
                case 7 -> node.leave(true);
                case 8 -> node.fault(!node.faulty);
                case 9 -> node.stopFails = random.nextInt(3) == 0;
                default -> {
                    if (dying) {
                        node.runs[random.nextInt(3)] = false;
                    }
                }
            }
            nodes.forEach(Node::check);
        }

        /** What holds at every moment. */
        void check() {
            assertThat(nodes.stream().filter(node -> node.holds).filter(node -> !dying && !node.allRun()))
                    .as("an address without what goes with it")
                    .isEmpty();
            if (!fenced) {
                return;
            }
            for (int i = 0; i < 3; i++) {
                int resource = i;
                List<String> on = nodes.stream()
                        .filter(node -> node.runs[resource])
                        .map(node -> node.name)
                        .toList();
                if (on.size() > 1) {
                    throw new AssertionError("resource " + i + " runs on " + on + "\n" + String.join("\n", trace));
                }
            }
        }

        void send(Node from, Advertisement ad) {
            for (Node node : nodes) {
                if (node != from && (whole || (node.island == from.island && random.nextInt(20) > 0))) {
                    long delay = random.nextLong(random.nextInt(10) == 0 ? 60 * MS : 3 * MS);
                    loop.scheduleAt(time.now() + delay, () -> node.arrives(ad, from.address));
                }
            }
        }

        private final class Node implements VirtualRouter.Output, GroupCondition.Edge {
            final String name;
            final int priority;
            final boolean preempt;
            final InetAddress address;
            final boolean[] runs = new boolean[3];
            int island;
            boolean startFails;
            boolean stopFails;
            boolean faulty;
            /** Which life of its daemon and of its machine this is. */
            int life;

            int boot;

            @Nullable
            VirtualRouter router;

            @Nullable
            GroupCondition condition;

            Claims claims = new Claims();
            boolean elected;
            boolean holds;
            boolean last;

            @Nullable
            LongConsumer withdrawal;

            @Nullable
            Timer sending;

            @Nullable
            Timer ticking;

            @Nullable
            Timer groupTicking;

            final Map<InetAddress, Boolean> masters = new HashMap<>();

            Node(int number, int priority, boolean preempt) {
                this.name = "n" + number;
                this.priority = priority;
                this.preempt = preempt;
                this.address = InetAddress.ofLiteral("10.77.0." + number);
            }

            boolean allRun() {
                return runs[0] && runs[1] && runs[2];
            }

            void say(String what) {
                trace.add(time.now() / MS + " ms " + name + ": " + what);
            }

            // ---- Its lives

            void begin() {
                if (router != null) {
                    if (router.role() == Role.STOPPED && withdrawal == null) {
                        router.start(time.now());
                    }
                    fault(false);
                    return;
                }
                say("begins");
                life++;
                int mine = life;
                Map<InetAddress, String> names = new HashMap<>();
                List<Other> others = new ArrayList<>();
                for (Node other : nodes) {
                    if (other != this) {
                        names.put(other.address, other.name);
                        others.add(new Other(other.name, other.priority > priority ? 2 * S : 0));
                    }
                }
                List<Resource> resources = List.of(
                        new Resource("disk", 10 * S), new Resource("mount", 10 * S), new Resource("program", 10 * S));
                claims = new Claims();
                last = false;
                faulty = false;
                withdrawal = null;
                masters.clear();
                router = new VirtualRouter(settings(), this, time.now());
                var made = new GroupCondition(
                        "db",
                        new GroupCondition.Plan(
                                new GroupKeeper.Settings(resources, 1, others, fenced, true), names, this),
                        time::now);
                condition = made;
                made.listen(() -> loop.scheduleAt(time.now(), () -> {
                    if (life == mine) {
                        conditionsChanged();
                    }
                }));
                claims.become(List.of(made));
                made.tick();
                router.start(time.now());
                word(mine);
                check();
            }

            private Settings settings() {
                List<InetAddress> vip = List.of(InetAddress.ofLiteral("10.77.0.100"));
                return new Settings(3, 77, last ? 1 : priority, interval, vip, preempt, 0, address);
            }

            void killDaemon() {
                life++;
                router = null;
                condition = null;
                claims = new Claims();
                elected = false;
                holds = false; // by the lease
                silence();
                cancel(ticking);
                cancel(groupTicking);
                say("daemon killed");
            }

            void powerOff() {
                killDaemon();
                boot++;
                for (int i = 0; i < 3; i++) {
                    runs[i] = false;
                }
                say("off");
            }

            private void cancel(@Nullable Timer timer) {
                if (timer != null) {
                    timer.cancel();
                }
            }

            // ---- As Party has it

            private void word(int mine) {
                VirtualRouter of = router;
                if (life != mine || of == null) {
                    return;
                }
                boolean tells =
                        !claims.isWanted() && claims.isFree() && of.role() != Role.MASTER && of.role() != Role.LEAVING;
                if (tells) {
                    send(this, nothing());
                    claims.said(time.now());
                }
                loop.scheduleAt(time.now() + S, () -> word(mine));
            }

            private Advertisement nothing() {
                return new Advertisement(3, 77, 0, interval, List.of(InetAddress.ofLiteral("10.77.0.100")));
            }

            void leave(boolean back) {
                VirtualRouter of = router;
                if (of != null) {
                    int mine = life;
                    withdraw("told to", now -> of.leave("told to", now));
                    check();
                    if (back) {
                        loop.scheduleAt(time.now() + 2 * S, () -> {
                            if (life == mine && of.role() == Role.STOPPED) {
                                of.start(time.now());
                                check();
                            }
                        });
                    }
                }
            }

            void fault(boolean is) {
                VirtualRouter of = router;
                if (of == null || is == faulty) {
                    return;
                }
                faulty = is;
                judge(of);
                check();
            }

            private void judge(VirtualRouter of) {
                if (faulty || claims.fault().isPresent()) {
                    withdraw("fault", now -> of.fault("fault", now));
                } else {
                    of.whole(time.now());
                }
            }

            private void withdraw(String why, LongConsumer then) {
                drop();
                claims.give(why);
                if (elected && !claims.isFree() && !claims.isStuck()) {
                    withdrawal = then;
                    return;
                }
                withdrawal = null;
                then.accept(time.now());
            }

            private void conditionsChanged() {
                VirtualRouter of = router;
                if (of == null) {
                    return;
                }
                claims.advance();
                LongConsumer then = withdrawal;
                if (then != null && (claims.isFree() || claims.isStuck())) {
                    withdrawal = null;
                    then.accept(time.now());
                }
                if (last != claims.last().isPresent()) {
                    last = claims.last().isPresent();
                    of.configure(settings(), time.now());
                }
                if (of.role() == Role.FAULT || claims.fault().isPresent()) {
                    judge(of);
                }
                holdOrDrop();
                check();
            }

            private void holdOrDrop() {
                if (withdrawal == null && claims.isGranted() && elected) {
                    if (!holds) {
                        say("has the address");
                    }
                    holds = true;
                } else {
                    drop();
                }
            }

            private void drop() {
                if (holds) {
                    say("drops the address");
                }
                holds = false;
            }

            void arrives(Advertisement ad, InetAddress from) {
                VirtualRouter of = router;
                if (of == null) {
                    return;
                }
                long now = time.now();
                boolean has = ad.priority() != 0;
                claims.heard(from, has, now, now + 4 * interval);
                if (!has) {
                    if (masters.remove(from) != null) {
                        of.heard(ad, from, now, now);
                    }
                } else {
                    masters.put(from, true);
                    if (of.role() == Role.MASTER && of.isBetter(ad, from)) {
                        if (withdrawal == null) {
                            withdraw("a better one", then -> of.stepDown("a better one", then));
                        }
                        if (withdrawal != null) {
                            check();
                            return;
                        }
                    }
                    if (of.role() == Role.BACKUP && !claims.isWanted()) {
                        claims.give("another is master");
                    }
                    of.heard(ad, from, now, now);
                }
                check();
            }

            void check() {
                World.this.check();
                VirtualRouter of = router;
                cancel(ticking);
                if (of != null && of.due() != Long.MAX_VALUE) {
                    int mine = life;
                    ticking = loop.scheduleAt(Math.max(of.due(), time.now()), () -> {
                        if (life == mine) {
                            of.tick(time.now());
                            check();
                        }
                    });
                }
            }

            // ---- As Instance has it

            private boolean surrender() {
                drop();
                claims.give("another's");
                return claims.isFree();
            }

            @Override
            public void advertise(Advertisement ad) {
                if (ad.priority() == 0 && !surrender()) {
                    silence();
                    return;
                }
                repeat(ad);
            }

            private void repeat(Advertisement ad) {
                silence();
                send(this, ad);
                if (ad.priority() == 0) {
                    claims.said(time.now());
                }
                sending = loop.scheduleAt(time.now() + ad.interval(), () -> repeat(ad));
            }

            @Override
            public void farewell(Advertisement ad) {
                silence();
                if (surrender()) {
                    tell();
                }
            }

            private void tell() {
                int mine = life;
                claims.said(time.now() + 240 * MS);
                for (int i = 0; i < 3; i++) {
                    loop.scheduleAt(time.now() + i * 120L * MS, () -> {
                        if (life == mine && !elected) {
                            send(this, nothing());
                        }
                    });
                }
            }

            @Override
            public void silence() {
                cancel(sending);
            }

            @Override
            public void acquire() {
                elected = true;
                claims.want("elected");
                holdOrDrop();
            }

            @Override
            public void release() {
                elected = false;
                drop();
                claims.give("released");
            }

            @Override
            public void handOver() {
                if (router != null && router.role() == Role.LEAVING) {
                    elected = false;
                    tell();
                }
                release();
            }

            @Override
            public void contested(InetAddress by) {}

            @Override
            public void changed(Role from, Role to, String why) {
                say(from + " -> " + to + ": " + why);
                if (from == Role.LEAVING) {
                    claims.said(time.now());
                }
                if (to == Role.MASTER && withdrawal == null && !holds) {
                    claims.want("elected");
                    holdOrDrop();
                }
            }

            // ---- Its programs

            @Override
            public void run(GroupCondition group, long number, int resource, Action action) {
                int mine = life;
                int machine = boot;
                boolean hangs = !whole && random.nextInt(20) == 0;
                boolean fails = switch (action) {
                    case START -> startFails || hangs;
                    case STOP -> stopFails;
                    case STATUS -> hangs;
                };
                if (action != Action.STATUS) {
                    say(action + " " + resource);
                }
                if (action == Action.START && !dying) {
                    for (int i = 0; i < 3; i++) {
                        assertThat(runs[i]).as(name + " starts " + resource).isEqualTo(i < resource);
                    }
                    runs[resource] = true; // whatever becomes of it
                } else if (action == Action.START) {
                    runs[resource] = true;
                } else if (action == Action.STOP && !dying) {
                    for (int i = resource + 1; i < 3; i++) {
                        assertThat(runs[i]).as(name + " stops " + resource).isFalse();
                    }
                }
                World.this.check();
                long takes = hangs ? 20 * S : random.nextLong(50 * MS, 2 * S);
                loop.scheduleAt(time.now() + takes, () -> {
                    if (boot != machine) {
                        return;
                    }
                    if (action == Action.STOP && !fails) {
                        runs[resource] = false; // also where the daemon was killed meanwhile
                    }
                    if (life == mine) {
                        Outcome outcome = fails
                                ? Outcome.FAILED
                                : action == Action.STATUS && !runs[resource] ? Outcome.NOT_RUNNING : Outcome.DONE;
                        group.ended(this, number, outcome, fails ? "failed" : "");
                        check();
                    }
                });
            }

            @Override
            public void fence(GroupCondition group, String node, String why) {
                say("fences " + node + ": " + why);
                int mine = life;
                boolean works = whole || random.nextInt(4) > 0;
                loop.scheduleAt(time.now() + random.nextLong(S, 5 * S), () -> {
                    if (life != mine) {
                        return;
                    }
                    Node other = nodes.stream()
                            .filter(each -> each.name.equals(node))
                            .findFirst()
                            .orElseThrow();
                    if (works) {
                        other.powerOff();
                        loop.scheduleAt(time.now() + 30 * S, other::begin);
                    }
                    group.fenced(node, works, works ? "off" : "no answer");
                    check();
                });
            }

            @Override
            public void note(GroupCondition group, boolean warning, String message) {
                say(message);
            }

            @Override
            public void due(GroupCondition group, long at) {
                cancel(groupTicking);
                int mine = life;
                if (at != Long.MAX_VALUE) {
                    groupTicking = loop.scheduleAt(Math.max(at, time.now() + 1), () -> {
                        if (life == mine) {
                            group.tick();
                            check();
                        }
                    });
                }
            }

            @Override
            public void changed(GroupCondition group, Phase phase) {
                say("resources: " + phase);
            }
        }
    }
}

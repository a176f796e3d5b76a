package io.ballast.director.scheduler;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.SchedulerKind;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Random histories of servers and connections, in which every decision must be the one that {@link Naive} makes. */
class SchedulerModelTest {

    private static final int STEPS = 600;

    @ParameterizedTest
    @EnumSource
    void decidesAsTheModelDoes(SchedulerKind kind) {
        Seeds.forEach(80, random -> new History(kind, random).run());
    }

    @ParameterizedTest
    @EnumSource
    void repeatsItselfWithTheSameSeed(SchedulerKind kind) {
        String trace = new History(kind, Seeds.random(7)).run();
        assertThat(new History(kind, Seeds.random(7)).run()).isEqualTo(trace);
        assertThat(new History(kind, Seeds.random(8)).run()).isNotEqualTo(trace);
    }

    @Test
    void historiesContainWhatTheyAreMeantToContain() {
        int picks = 0;
        int misses = 0;
        int largeSets = 0;
        for (int seed = 1; seed <= 20; seed++) {
            History history = new History(SchedulerKind.LBLCR, Seeds.random(seed));
            history.run();
            picks += history.picks;
            misses += history.misses;
            largeSets += history.largeSets;
        }
        assertThat(picks).isGreaterThan(6000);
        assertThat(misses).isBetween(picks / 20, picks / 2);
        assertThat(largeSets).isGreaterThan(1);
    }

    /** One history. */
    private static final class History {

        private final Random random;
        private final Scheduler scheduler;
        private final Naive model;
        private final HashOptions options;
        private final SchedulerKind kind;
        private final int most;
        private final boolean light;
        private final int destinations;
        private final Map<Member, Naive.Server> servers = new HashMap<>();
        private final List<Member> inside = new ArrayList<>();
        private final List<Member> outside = new ArrayList<>();
        private final List<Member> connections = new ArrayList<>();
        private final List<Member> halves = new ArrayList<>();
        private long turn;
        private final StringBuilder trace = new StringBuilder();
        private long now;
        private int names;
        private int picks;
        private int misses;
        private int largeSets;

        History(SchedulerKind kind, Random random) {
            this.kind = kind;
            this.random = random;
            // Few servers meet every corner; many of them make large sets and deep heaps.
            this.most = random.nextInt(4) == 0 ? 48 : 1 + random.nextInt(12);
            // Light servers are soon overloaded, and one destination soon has a set of many.
            this.light = random.nextBoolean();
            this.destinations = random.nextBoolean() ? 12 : 1 + random.nextInt(2);
            int[] sizes = kind == SchedulerKind.MH ? new int[] {251, 509, 1021} : new int[] {0, 16, 64};
            this.options = new HashOptions(random.nextBoolean(), random.nextInt(4) > 0, sizes[random.nextInt(3)]);
            this.scheduler = Schedulers.create(kind, options);
            this.model = new Naive(kind, options);
        }

        String run() {
            for (int i = 0; i < most * 3 / 4; i++) {
                add();
            }
            for (int step = 0; step < STEPS; step++) {
                switch (random.nextInt(40)) {
                    case 0 -> add();
                    case 1 -> remove();
                    case 2, 3 -> update();
                    case 4 -> expireOrReorder();
                    case 5, 6, 7, 8, 9, 10 -> close();
                    case 11, 12 -> deactivate();
                    default -> pick();
                }
            }
            assertThat(scheduler.members()).isEqualTo(inside);
            return trace.toString();
        }

        private void add() {
            if (inside.size() == most) {
                return;
            }
            Member member;
            if (!outside.isEmpty() && random.nextBoolean()) {
                member = outside.remove(random.nextInt(outside.size()));
            } else {
                int weight = weight();
                int limit = limit();
                member = new Member("s" + names++, weight, limit, true);
                servers.put(member, new Naive.Server(member.name(), weight, limit, true));
            }
            scheduler.add(member);
            inside.add(member);
            model.list.add(server(member));
        }

        private void remove() {
            if (inside.isEmpty()) {
                return;
            }
            Member member = inside.remove(random.nextInt(inside.size()));
            scheduler.remove(member);
            model.remove(server(member));
            outside.add(member);
        }

        private void update() {
            List<Member> among = outside.isEmpty() || random.nextInt(8) > 0 ? inside : outside;
            if (among.isEmpty()) {
                return;
            }
            Member member = among.get(random.nextInt(among.size()));
            int weight = random.nextBoolean() ? member.weight() : weight();
            int limit = random.nextBoolean() ? member.limit() : limit();
            boolean eligible = random.nextInt(4) > 0;
            scheduler.update(member, weight, limit, eligible);
            server(member).set(weight, limit, eligible);
        }

        private void expireOrReorder() {
            if (random.nextBoolean()) {
                expire();
                return;
            }
            Collections.shuffle(inside, random);
            scheduler.reorder(inside);
            model.reorder(inside.stream().map(this::server).toList());
        }

        private void expire() {
            int[] hours = {1, 1, 5, 13, 25};
            now += Naive.hours(hours[random.nextInt(hours.length)]);
            scheduler.expire(now);
            model.expire(now);
        }

        private void close() {
            if (!halves.isEmpty() && random.nextInt(3) == 0) {
                Member member = halves.remove(random.nextInt(halves.size()));
                scheduler.closedInactive(member);
                server(member).inactive--;
            } else if (!connections.isEmpty()) {
                Member member = connections.remove(random.nextInt(connections.size()));
                scheduler.closed(member);
                server(member).active--;
            }
        }

        private void deactivate() {
            if (!connections.isEmpty()) {
                Member member = connections.remove(random.nextInt(connections.size()));
                scheduler.deactivated(member);
                halves.add(member);
                server(member).active--;
                server(member).inactive++;
            }
        }

        private void pick() {
            Set<Member> excluded = new HashSet<>();
            Set<String> names = new HashSet<>();
            if (random.nextInt(5) == 0) {
                for (int i = random.nextInt(4); i > 0 && !inside.isEmpty(); i--) {
                    Member member = inside.get(random.nextInt(inside.size()));
                    excluded.add(member);
                    names.add(member.name());
                }
            }
            FlowKey flow = Flows.of(random.nextInt(500), 1024 + random.nextInt(100), random.nextInt(destinations));
            String before = model.toString();
            Naive.Server expected = model.pick(flow, names);
            Member picked = excluded.isEmpty() && random.nextBoolean()
                    ? scheduler.pick(flow)
                    : scheduler.pick(flow, excluded::contains);
            picks++;
            if (scheduler instanceof LocalityReplication replication) {
                largeSets = Math.max(largeSets, replication.setsWithAHeap());
            }
            assertThat(picked == null ? "nobody" : picked.name())
                    .as("pick %d of %s by %s, without %s", picks, before, kind, names)
                    .isEqualTo(expected == null ? "nobody" : expected.name);
            trace.append(expected == null ? "-" : expected.name);
            if (picked == null) {
                misses++;
                boolean someone = inside.stream().anyMatch(member -> member.available() && !excluded.contains(member));
                boolean mayRefuse = kind == SchedulerKind.OVF || !options.fallback();
                assertThat(someone && !mayRefuse)
                        .as("nobody picked, though somebody could be")
                        .isFalse();
                return;
            }
            assertThat(picked.available()).isTrue();
            assertThat(excluded).doesNotContain(picked);
            if (random.nextInt(8) > 0) {
                scheduler.opened(picked);
                connections.add(picked);
                server(picked).active++;
                Naive.Server given = server(picked);
                turn = Math.max(turn, given.turn);
                given.turn = turn + (1 << 20) / Math.max(1, kind == SchedulerKind.LC ? 1 : given.weight);
            }
        }

        private int weight() {
            if (light) {
                return random.nextInt(8) == 0 ? 0 : 1 + random.nextInt(2);
            }
            return switch (random.nextInt(6)) {
                case 0 -> 0;
                case 1 -> 1;
                case 2 -> 1 + random.nextInt(100);
                case 3 -> 6 * (1 + random.nextInt(3));
                default -> 1 + random.nextInt(5);
            };
        }

        private int limit() {
            return random.nextInt(5) == 0 ? 1 + random.nextInt(6) : 0;
        }

        private Naive.Server server(@Nullable Member member) {
            return Objects.requireNonNull(servers.get(member));
        }
    }
}

package io.ballast.linux.neighbour.state;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.sim.SimulatedLoop;
import io.ballast.core.sim.VirtualTime;
import io.ballast.linux.neighbour.state.Resolution.Reason;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.Neighbour.State;
import io.ballast.linux.netlink.Prefix;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteEvent;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * The table against a kernel in virtual time, whose hosts die, return and change their Ethernet addresses with and
 * without telling, whose links flap and routes move, whose tables are flushed, and whose events come late or are lost.
 * Once all that ends, the table has to say what is so.
 */
class HopTableSimulationTest {
    private static final int RUNS = 150;
    private static final Duration CHAOS = Duration.ofMinutes(2);

    /** For all that is under way to arrive, and too short for the next look at all routes. */
    private static final Duration QUIET = Duration.ofSeconds(20);

    /** Reachable time, the delay before probing, three unanswered probes, and the slowest retry. */
    private static final Duration CALM = Duration.ofMinutes(3);

    private record Key(int link, InetAddress address) {}

    private record Way(int link, @Nullable InetAddress gateway) {}

    private static final class Entry {
        State state = State.NONE;

        @Nullable
        MacAddress mac;

        boolean managed;
        /** Of the last change of state; what was begun before does not count any more. */
        int epoch;

        long changedAt;
    }

    /** A kernel, the hosts around it, and the threads that carry messages between it and the table. */
    private static final class World implements HopTable.Output {
        final Random random;
        final VirtualTime time = new VirtualTime();
        final SimulatedLoop loop = time.newLoop("node");
        final HopTable table = new HopTable(this);
        final boolean manages;
        final StringBuilder trace = new StringBuilder();
        final Set<InetAddress> servers = new LinkedHashSet<>();
        final List<InetAddress> hosts = new ArrayList<>();
        final Map<Integer, Link> links = new LinkedHashMap<>();
        final Map<InetAddress, MacAddress> macs = new LinkedHashMap<>();
        final Set<InetAddress> dead = new LinkedHashSet<>();
        final Map<InetAddress, Way> ways = new LinkedHashMap<>();
        final Map<Key, Entry> entries = new LinkedHashMap<>();
        long eventsBusyUntil;
        long requestsBusyUntil;
        boolean losing;
        long wakeAt = Long.MIN_VALUE;
        int requests;

        World(long seed) {
            random = new Random(seed);
            manages = random.nextInt(4) != 0;
            for (int i = 1; i <= 3; i++) {
                links.put(i, link(i, true, 1500));
            }
            for (int i = 0; i < 8; i++) {
                InetAddress host = InetAddress.ofLiteral((i % 2 == 0 ? "192.0.2." : "2001:db8::") + (10 + i));
                hosts.add(host);
                macs.put(host, new MacAddress(0x020000000000L + i));
                if (i < 6) {
                    servers.add(host);
                    move(host);
                }
            }
            in(0, 0, () -> {
                table.start(loop.now());
                table.track(loop.now(), servers);
            });
            if (manages) {
                in(5_000, 0, this::manage);
            }
        }

        private static Link link(int index, boolean running, int mtu) {
            return new Link(
                    index,
                    "eth" + index,
                    1,
                    new MacAddress(0x0a0000000000L + index),
                    mtu,
                    true,
                    running,
                    true,
                    "",
                    "",
                    0,
                    0,
                    false,
                    null);
        }

        /** Runs something in so many to so many milliseconds. */
        void in(int millis, int more, Runnable task) {
            long delay = millis * 1_000_000L + (more == 0 ? 0 : random.nextInt(more * 1_000_000));
            loop.scheduleAt(time.now() + delay, task);
        }

        /** As in {@code Neighbours}: every call of the table is followed by a look at its next time. */
        void call(Runnable task) {
            task.run();
            OptionalLong next = table.nextTime();
            if (next.isPresent() && next.getAsLong() != wakeAt) {
                long at = next.getAsLong();
                wakeAt = at;
                loop.scheduleAt(at, () -> {
                    if (wakeAt == at) {
                        wakeAt = Long.MIN_VALUE;
                        call(() -> table.onTime(loop.now()));
                    }
                });
            }
        }

        // What comes and goes between kernel and table.

        void tell(RouteEvent event) {
            if (losing) {
                return;
            }
            eventsBusyUntil = Math.max(eventsBusyUntil, time.now()) + random.nextInt(2_000_000);
            loop.scheduleAt(eventsBusyUntil, () -> call(() -> table.onEvent(loop.now(), event)));
        }

        /** In the order of asking; the answer travels on its own. */
        private void request(Runnable task) {
            requests++;
            requestsBusyUntil = Math.max(requestsBusyUntil, time.now()) + random.nextInt(3_000_000);
            loop.scheduleAt(requestsBusyUntil, task);
        }

        private void answer(Runnable task) {
            in(0, 3, () -> call(task));
        }

        @Override
        public void lookUp(InetAddress server) {
            request(() -> {
                Way way = ways.get(server);
                if (way == null) {
                    answer(() -> table.onNoRoute(loop.now(), server, "no route"));
                } else {
                    Route route = Route.to(Prefix.host(server), way.link(), way.gateway());
                    answer(() -> table.onRoute(loop.now(), server, route));
                }
            });
        }

        @Override
        public void dump() {
            request(() -> {
                if (random.nextInt(10) == 0) {
                    answer(() -> table.onDumpFailed(loop.now(), "no luck"));
                    return;
                }
                List<Link> allLinks = List.copyOf(links.values());
                List<Neighbour> all = new ArrayList<>();
                entries.forEach((key, entry) -> all.add(neighbour(key, entry)));
                answer(() -> table.onDump(loop.now(), allLinks, all));
            });
        }

        @Override
        public void keep(int link, InetAddress nextHop) {
            request(() -> {
                if (random.nextInt(20) == 0) {
                    answer(() -> table.onKeepFailed(loop.now(), link, nextHop, "no luck"));
                    return;
                }
                Key key = new Key(link, nextHop);
                Entry entry = entries.computeIfAbsent(key, k -> new Entry());
                boolean newly = manages && !entry.managed;
                entry.managed |= manages;
                use(key, entry);
                if (newly) {
                    tell(key, entry);
                }
            });
        }

        @Override
        public void release(int link, InetAddress nextHop) {
            request(() -> {
                Key key = new Key(link, nextHop);
                Entry entry = entries.get(key);
                if (entry != null) {
                    entry.managed = false;
                    tell(key, entry);
                }
            });
        }

        @Override
        public void probe(int link, InetAddress nextHop) {
            request(() -> {
                Key key = new Key(link, nextHop);
                Entry entry = entries.get(key);
                if (entry != null && entry.state.isValid()) {
                    entry.managed = false;
                    becomes(key, entry, State.PROBE);
                    ask(key, entry);
                }
            });
        }

        @Override
        public void changed(InetAddress server, Resolution resolution) {
            trace.append(time.now())
                    .append(' ')
                    .append(server)
                    .append(' ')
                    .append(resolution)
                    .append('\n');
        }

        // The kernel's neighbour table (net/core/neighbour.c).

        private static Neighbour neighbour(Key key, Entry entry) {
            return new Neighbour(
                    key.link(), key.address(), entry.state, entry.state.isValid() ? entry.mac : null, entry.managed);
        }

        private void tell(Key key, Entry entry) {
            tell(new RouteEvent.NeighbourChanged(neighbour(key, entry)));
        }

        private void becomes(Key key, Entry entry, State state) {
            entry.state = state;
            entry.epoch++;
            entry.changedAt = time.now();
            if (state == State.REACHABLE) {
                later(key, entry, 15_000, 30_000, () -> becomes(key, entry, State.STALE));
            }
            if (state != State.INCOMPLETE && state != State.DELAY) {
                tell(key, entry);
            }
        }

        /** Something that happens unless the entry changes before. */
        private void later(Key key, Entry entry, int millis, int more, Runnable task) {
            int epoch = entry.epoch;
            long delay = millis * 1_000_000L + random.nextInt(more) * 1_000_000L;
            loop.scheduleAt(time.now() + delay, () -> {
                if (entries.get(key) == entry && entry.epoch == epoch) {
                    task.run();
                }
            });
        }

        private void use(Key key, Entry entry) {
            switch (entry.state) {
                case NONE, FAILED -> {
                    becomes(key, entry, State.INCOMPLETE);
                    ask(key, entry);
                }
                case STALE -> {
                    becomes(key, entry, State.DELAY);
                    later(key, entry, 5_000, 10, () -> {
                        becomes(key, entry, State.PROBE);
                        ask(key, entry);
                    });
                }
                default -> {
                    // under way or fresh
                }
            }
        }

        private void ask(Key key, Entry entry) {
            later(key, entry, 0, 3, () -> {
                MacAddress mac = macs.get(key.address());
                Link link = links.get(key.link());
                boolean known = entry.state == State.PROBE; // asked directly: another address does not answer
                boolean heard = link != null && link.running() && !dead.contains(key.address());
                if (mac != null && heard && (!known || mac.equals(entry.mac))) {
                    entry.mac = mac;
                    becomes(key, entry, State.REACHABLE);
                } else {
                    later(key, entry, 3_000, 10, () -> becomes(key, entry, State.FAILED));
                }
            });
        }

        private void manage() {
            List.copyOf(entries.entrySet()).forEach(each -> {
                if (each.getValue().managed) {
                    use(each.getKey(), each.getValue());
                }
            });
            in(5_000, 0, this::manage);
        }

        private void flush(Key key) {
            Entry entry = entries.remove(key);
            if (entry != null) {
                tell(new RouteEvent.NeighbourRemoved(neighbour(key, entry)));
            }
        }

        // What happens to it.

        private <T> T any(List<T> of) {
            return of.get(random.nextInt(of.size()));
        }

        private void move(InetAddress server) {
            int link = 1 + random.nextInt(3);
            InetAddress gateway = hosts.size() > 1 && random.nextBoolean() ? any(hosts) : null;
            boolean sameFamily = gateway != null && gateway.getAddress().length == server.getAddress().length;
            ways.put(server, new Way(link, sameFamily ? gateway : null));
        }

        private void misfortune() {
            InetAddress host = any(hosts);
            InetAddress server = any(List.copyOf(servers));
            switch (random.nextInt(10)) {
                case 0 -> dead.add(host);
                case 1 -> dead.remove(host);
                case 2 -> {
                    MacAddress mac = new MacAddress(0x020000000000L + random.nextInt(1 << 16));
                    macs.put(host, mac);
                    if (random.nextBoolean()) {
                        entries.forEach((key, entry) -> {
                            if (key.address().equals(host)) {
                                entry.mac = mac;
                                becomes(key, entry, State.STALE);
                            }
                        });
                    }
                }
                case 3, 4 -> {
                    move(server);
                    tell(new RouteEvent.RouteChanged(Route.to(Prefix.host(server), 1, null)));
                }
                case 5 -> {
                    ways.remove(server);
                    tell(new RouteEvent.RouteRemoved(Route.to(Prefix.host(server), 1, null)));
                }
                case 6 -> {
                    int index = 1 + random.nextInt(3);
                    Link link = link(index, random.nextBoolean(), 1400 + random.nextInt(2) * 100);
                    links.put(index, link);
                    if (!link.running()) {
                        List.copyOf(entries.keySet()).stream()
                                .filter(key -> key.link() == index)
                                .forEach(this::flush);
                    }
                    tell(new RouteEvent.LinkChanged(link));
                }
                case 7 -> List.copyOf(entries.keySet()).forEach(this::flush);
                case 8 -> {
                    if (!losing) {
                        losing = true;
                        in(0, 200, () -> {
                            losing = false;
                            tell(new RouteEvent.Lost("overrun"));
                        });
                    }
                }
                default ->
                    entries.forEach((key, entry) -> {
                        if (entry.managed && random.nextBoolean()) {
                            entry.managed = false;
                            tell(key, entry);
                        }
                    });
            }
        }

        void run() {
            long end = time.now() + CHAOS.toNanos();
            while (time.now() < end) {
                time.runFor(Duration.ofMillis(random.nextInt(random.nextBoolean() ? 50 : 4_000)));
                misfortune();
            }
        }

        /** Whether the table says what the kernel's tables say, leaving out what is changing just now. */
        void agrees(InetAddress server, String run) {
            Resolution said = table.resolution(server);
            Way way = ways.get(server);
            Link link = way == null ? null : links.get(way.link());
            if (way == null || link == null || !link.running()) {
                assertThat(Optional.ofNullable(said)).describedAs(run).isEqualTo(truth(server));
                return;
            }
            InetAddress nextHop = way.gateway() == null ? server : way.gateway();
            Entry entry = entries.get(new Key(way.link(), nextHop));
            if (entry == null || time.now() - entry.changedAt < 1_000_000_000L) {
                return;
            }
            if (entry.state.isValid()) {
                assertThat(said).describedAs(run).isInstanceOfSatisfying(Resolution.Hop.class, hop -> {
                    assertThat(hop.link()).isEqualTo(way.link());
                    assertThat(hop.nextHop()).isEqualTo(nextHop);
                    assertThat(hop.destination()).isEqualTo(entry.mac);
                });
            } else if (entry.state == State.FAILED) {
                assertThat(said).describedAs(run).isInstanceOf(Resolution.Unresolved.class);
            }
        }

        /** What the table should say; empty where it cannot be told in this state. */
        Optional<Resolution> truth(InetAddress server) {
            Way way = ways.get(server);
            if (way == null) {
                return Optional.of(new Resolution.Unresolved(Reason.NO_ROUTE, "no route"));
            }
            Link link = links.get(way.link());
            assertThat(link).isNotNull();
            if (!link.running()) {
                return Optional.of(new Resolution.Unresolved(Reason.LINK_DOWN, link.name() + " has no carrier"));
            }
            InetAddress nextHop = way.gateway() == null ? server : way.gateway();
            MacAddress mac = macs.get(nextHop);
            if (dead.contains(nextHop) || mac == null) {
                return Optional.empty();
            }
            MacAddress own = link.address();
            assertThat(own).isNotNull();
            return Optional.of(new Resolution.Hop(link.index(), link.name(), own, mac, link.mtu(), null, nextHop));
        }
    }

    @Test
    void tableSaysWhatIsSoOnceTheNetworkIsCalm() {
        for (long seed = 1; seed <= RUNS; seed++) {
            World world = new World(seed);
            world.run();
            world.time.runFor(QUIET);
            for (InetAddress server : world.servers) {
                world.agrees(server, "seed " + seed + ", server " + server + "\n" + world.trace);
            }
            world.time.runFor(CALM);
            for (InetAddress server : world.servers) {
                Resolution said = world.table.resolution(server);
                String run = "seed " + seed + ", server " + server + "\n" + world.trace;
                world.truth(server)
                        .ifPresentOrElse(
                                truth -> assertThat(said).describedAs(run).isEqualTo(truth),
                                () -> assertThat(said)
                                        .describedAs(run)
                                        .isInstanceOfSatisfying(
                                                Resolution.Unresolved.class,
                                                unresolved -> assertThat(unresolved.reason())
                                                        .isIn(Reason.NO_ANSWER, Reason.REFUSED)));
            }
            world.in(0, 0, () -> world.call(() -> world.table.track(world.loop.now(), Set.of())));
            world.time.runFor(Duration.ofSeconds(1));
            assertThat(world.entries.values()).describedAs("seed " + seed).noneMatch(entry -> entry.managed);
            // Six servers for 300 s: a request per server, neighbour and second would be 3,600.
            assertThat(world.requests).describedAs("seed " + seed).isLessThan(2_500);
        }
    }

    @Test
    void sameSeedGivesTheSameRun() {
        World one = new World(4711);
        one.run();
        World two = new World(4711);
        two.run();
        assertThat(two.trace).hasToString(one.trace.toString());
        assertThat(two.time.steps()).isEqualTo(one.time.steps());
        assertThat(one.trace.toString().lines().count()).isGreaterThan(20);
    }
}

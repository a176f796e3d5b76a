package io.ballast.lab.drill;

import io.ballast.cli.Failure;
import io.ballast.cli.Json;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.lab.farm.Cable;
import io.ballast.lab.farm.Daemon;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.Restoring;
import io.ballast.lab.farm.RouterRole;
import io.ballast.lab.farm.Witness;
import io.ballast.lab.topology.DescriptionText;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The address of a service that several nodes share: whose it is, the faults that move it, and what became of it.
 *
 * <p>Who was master when is taken from the journals of the nodes' daemons. Who answered for the address is asked of the
 * network itself ({@link Witness}), since a node that is dead, or stands still, says nothing.
 */
final class Moving {
    /** Of a pause that is meant to be short. */
    static final Duration PAUSE = Duration.ofMillis(300);

    /** Of a pause that nobody bears. */
    static final Duration FREEZE = Duration.ofSeconds(5);

    /** For how long advertisements are lost, doubled or swapped, at least: a hundred of them where they come every 100 ms. */
    static final Duration LOSS = Duration.ofSeconds(10);

    /** From the takeover until the client is misled: the announcements at once are over. */
    static final Duration MISLED_AFTER = Duration.ofSeconds(1);

    /** Between a change on one node and the same on the next, and between two changes. */
    private static final Duration STEP = Duration.ofMillis(300);

    /** What three changes on two nodes take, and as much for a busy machine. */
    static final Duration CHANGE = Duration.ofSeconds(6);

    /** What a journal says of a foreign virtual router. */
    static final String OTHERS = "advertises other addresses";

    private static final Set<String> ROLES = Set.of("stopped", "backup", "master", "leaving", "fault");

    private final Lab lab;
    private final VirtualRouterSpec router;
    private final InetAddress address;
    private final List<Daemon> daemons;

    Moving(Lab lab, VirtualRouterSpec router, InetAddress address) {
        this.lab = lab;
        this.router = router;
        this.address = address;
        this.daemons = lab.daemons().stream()
                .filter(daemon -> router.nodes().containsKey(daemon.node()))
                .toList();
    }

    VirtualRouterSpec router() {
        return router;
    }

    /** The daemons of the nodes that share it. */
    List<Daemon> daemons() {
        return daemons;
    }

    private boolean master(Daemon daemon) {
        return role(daemon).map(RouterRole::master).orElse(false);
    }

    private Optional<RouterRole> role(Daemon daemon) {
        return daemon.roles().stream()
                .filter(role -> role.addresses().contains(address))
                .findFirst();
    }

    /** Who has it; the first, where several believe to. */
    Optional<Daemon> master() {
        return daemons.stream().filter(this::master).findFirst();
    }

    private List<String> masters() {
        return daemons.stream().filter(this::master).map(Daemon::node).toList();
    }

    /** Whether another than this one has it. */
    boolean takenFrom(Daemon old) {
        return daemons.stream().anyMatch(daemon -> daemon != old && master(daemon));
    }

    /** Whether all are there, and it is where it belongs. */
    boolean settled() {
        return lab.settled(router, address);
    }

    Optional<Witness> witness() throws IOException {
        return lab.witness(router, address);
    }

    /**
     * A fault.
     *
     * @param at when it began
     * @param end what ends it
     */
    record Fault(Instant at, Restoring end) {}

    /** Lets a fault befall who has the address. */
    Fault inject(Scenario scenario, Daemon master) throws IOException, InterruptedException {
        String node = master.node();
        Instant now = Instant.now();
        return switch (scenario) {
            case MASTER_STOPPED -> {
                master.askToStop(); // and the other one takes over before it has ended
                yield new Fault(now, () -> start(List.of(master)));
            }
            case MASTER_KILLED -> new Fault(master.killAll(), () -> start(List.of(master)));
            case MASTER_REMOVED -> {
                Restoring interfaces = lab.removeInterfaces(node);
                master.killAll();
                yield new Fault(now, () -> {
                    interfaces.restore();
                    start(List.of(master));
                });
            }
            case MASTER_LINK_DOWN -> {
                lab.interfaces(node, false);
                yield new Fault(now, () -> lab.interfaces(node, true));
            }
            case MASTER_CABLE_CUT -> {
                lab.plug(node, false);
                yield new Fault(now, () -> lab.plug(node, true));
            }
            case MASTER_MUTE -> new Fault(now, carry(List.of(master), Cable.MUTE));
            case MASTER_DEAF -> new Fault(now, carry(List.of(master), Cable.DEAF));
            case DIRECTORS_APART -> new Fault(now, carry(daemons, Cable.APART));
            case MASTER_PAUSED -> {
                Instant at = master.freeze();
                Thread.sleep(PAUSE);
                master.thaw();
                yield new Fault(at, () -> {});
            }
            case MASTER_FROZEN -> new Fault(master.freeze(), master::thaw);
            case DIRECTORS_RESTARTED -> {
                for (Daemon daemon : daemons) {
                    daemon.askToStop();
                }
                start(daemons);
                yield new Fault(now, () -> {});
            }
            case ADVERTS_LOST_10 -> new Fault(now, lab.loseAdvertisements(nodes(), 10));
            case ADVERTS_LOST_30 -> new Fault(now, lab.loseAdvertisements(nodes(), 30));
            case ADVERTS_DOUBLED -> new Fault(now, lab.doubleAdvertisements(nodes()));
            case ADVERTS_REORDERED -> new Fault(now, lab.swapAdvertisements(nodes()));
            case FOREIGN_ROUTER -> new Fault(now, lab.foreignRouter(router, address));
            case CLIENT_MISLED -> {
                MacAddress mac = lab.mac(router, node);
                Fault removed = inject(Scenario.MASTER_REMOVED, master);
                try {
                    for (int i = 0; i < 500 && !takenFrom(master); i++) {
                        Thread.sleep(10);
                    }
                    Thread.sleep(MISLED_AFTER);
                    lab.mislead(router, address, mac);
                } catch (IOException | InterruptedException e) {
                    removed.end().restore();
                    throw e;
                }
                yield removed;
            }
            case ROUTER_CHANGED -> {
                Restoring back = () -> apply(lab.text());
                try {
                    change();
                } catch (IOException | InterruptedException e) {
                    back.restore();
                    throw e;
                }
                yield new Fault(now, back);
            }
            default -> throw new IllegalArgumentException(scenario + " moves no address");
        };
    }

    /** How long a fault lasts from now on. */
    Duration hold(Scenario scenario, Instant injected, Duration usual) {
        return switch (scenario) {
            case MASTER_FROZEN -> FREEZE.minus(Duration.between(injected, Instant.now()));
            case ADVERTS_LOST_10, ADVERTS_LOST_30, ADVERTS_DOUBLED, ADVERTS_REORDERED -> longer(usual, LOSS);
            case FOREIGN_ROUTER -> longer(usual, router.interval().multipliedBy(10));
            case CLIENT_MISLED -> longer(usual, router.announceAgain().plusSeconds(1));
            default -> usual;
        };
    }

    private static Duration longer(Duration one, Duration other) {
        return one.compareTo(other) > 0 ? one : other;
    }

    private Set<String> nodes() {
        return router.nodes().keySet();
    }

    /** Everything about it that can change while it goes on, on one node after another; the priorities are turned round. */
    private void change() throws IOException, InterruptedException {
        String name = router.name();
        List<String> ranked = router.nodes().entrySet().stream()
                .sorted(Comparator.comparingInt(node -> node.getValue().priority()))
                .map(Map.Entry::getKey)
                .toList();
        Map<String, Integer> turned = new LinkedHashMap<>();
        for (int i = 0; i < ranked.size(); i++) {
            turned.put(
                    ranked.get(i),
                    Objects.requireNonNull(router.nodes().get(ranked.get(ranked.size() - 1 - i)))
                            .priority());
        }
        DescriptionText text = lab.text().withInterval(name, router.interval().multipliedBy(2));
        apply(text);
        text = text.withPriorities(name, turned);
        apply(text);
        apply(text.withAddress(name, lab.freeAddress(address).toString()));
    }

    private void apply(DescriptionText text) throws IOException, InterruptedException {
        for (Daemon daemon : daemons) {
            try {
                daemon.control()
                        .describe(
                                "/v1/apply",
                                lab.file().toString(),
                                text.toString().getBytes(StandardCharsets.UTF_8))
                        .successful();
            } catch (Failure e) {
                throw new IOException("apply on " + daemon.node() + ": " + e.getMessage(), e);
            }
            Thread.sleep(STEP);
        }
    }

    private Restoring carry(List<Daemon> some, Cable what) throws IOException, InterruptedException {
        for (Daemon daemon : some) {
            lab.cable(daemon.node(), what);
        }
        return () -> {
            for (Daemon daemon : some) {
                lab.cable(daemon.node(), Cable.WHOLE);
            }
        };
    }

    /** Starts those that have ended, or are about to. */
    private static void start(List<Daemon> ended) throws IOException, InterruptedException {
        for (Daemon daemon : ended) {
            daemon.awaitEnd();
            daemon.start(List.of());
        }
        for (Daemon daemon : ended) {
            daemon.awaitAnswer();
        }
    }

    // ---- What became of it

    /** A node's change of its role, or what it noted. */
    record Change(Instant at, String node, String to, String text) {
        boolean role() {
            return ROLES.contains(to);
        }

        String since(Instant begin) {
            return millis(Duration.between(begin, at)) + " " + node + ": " + text;
        }
    }

    /** The first other node that became master since then, by the others' journals; the old one may not be there to ask. */
    Optional<Change> taker(Daemon old, Instant since) throws Failure {
        return changes(since, daemons.stream().filter(daemon -> daemon != old).toList()).stream()
                .filter(change -> change.to().equals("master"))
                .findFirst();
    }

    /** What became of it since then. */
    Handover seen(Daemon old, Optional<Witness> witness, Instant begun, Instant injected, Instant healed)
            throws Failure {
        List<Change> changes = changes(begun, daemons);
        Optional<Change> taken = changes.stream()
                .filter(c -> c.to().equals("master") && !c.node().equals(old.node()))
                .filter(c -> !c.at().isBefore(injected) && c.at().isBefore(healed))
                .findFirst();
        List<String> masters = masters();
        Optional<Duration> settled = Optional.empty();
        if (masters.size() == 1) {
            Instant last = changes.stream()
                    .filter(Change::role)
                    .map(Change::at)
                    .filter(healed::isBefore)
                    .reduce(healed, (_, later) -> later);
            Instant others = witness.stream()
                    .flatMap(w -> w.answers().stream())
                    .filter(a -> !a.node().equals(masters.getFirst()) && a.at().isAfter(healed))
                    .map(Witness.Answer::at)
                    .reduce(healed, (_, later) -> later);
            settled = Optional.of(Duration.between(healed, last.isAfter(others) ? last : others));
        }
        return new Handover(
                old.node(),
                taken.map(Change::node).orElse(""),
                String.join(
                        ", ",
                        owners(witness, healed)
                                .orElseGet(
                                        () -> taken.map(c -> List.of(c.node())).orElse(List.of()))),
                String.join(", ", masters),
                taken.map(c -> Duration.between(injected, c.at())),
                witness.flatMap(w -> w.last(old.node(), injected, healed).map(at -> Duration.between(injected, at))),
                settled,
                changes.stream().map(c -> c.since(injected)).toList(),
                changes.stream()
                        .filter(c -> c.role() && !c.at().isBefore(injected) && c.at().isBefore(healed))
                        .map(c -> c.since(injected))
                        .toList());
    }

    /** Who answered in the last moment before. */
    private static Optional<List<String>> owners(Optional<Witness> witness, Instant healed) {
        return witness.map(w -> List.copyOf(w.answers().stream()
                .filter(a -> a.at().isBefore(healed) && a.at().isAfter(healed.minus(PAUSE)))
                .map(Witness.Answer::node)
                .collect(Collectors.toCollection(TreeSet::new))));
    }

    private static String millis(Duration duration) {
        return (duration.isNegative() ? "" : "+") + duration.toMillis() + " ms";
    }

    private List<Change> changes(Instant from, List<Daemon> asked) throws Failure {
        List<Change> changes = new ArrayList<>();
        for (Daemon daemon : asked) {
            daemon.control().lines("/v1/events?limit=10000", event -> {
                String type = Json.text(event, "type");
                Instant at = Instant.parse(Json.text(event, "time"));
                if (type.startsWith("takeover.")
                        && Json.text(event, "subject").equals(router.name())
                        && !at.isBefore(from)) {
                    changes.add(new Change(
                            at, daemon.node(), type.substring("takeover.".length()), Json.text(event, "message")));
                }
            });
        }
        changes.removeIf(change -> !change.role() && !change.to().equals("note"));
        changes.sort(Comparator.comparing(Change::at));
        return changes;
    }
}

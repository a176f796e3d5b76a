package io.ballast.bench;

import io.ballast.bench.ArpWatch.Claim;
import io.ballast.bench.ArpWatch.Heard;
import io.ballast.bench.Wiring.Place;
import io.ballast.cli.Failure;
import io.ballast.linux.Capability;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * For how long an address that two directors share does not answer when something happens to the one that has it, for
 * Ballast's daemons and for keepalived with the same settings. Each event comes at a random moment between two
 * advertisements.
 */
final class TakeoverArea implements Area {
    private static final long MS = 1_000_000;
    private static final InetAddress ADDRESS = InetAddress.ofLiteral("192.0.2.100");
    private static final Directors.Priorities USUAL = new Directors.Priorities(150, 100);
    private static final Directors.Priorities HIGHEST = new Directors.Priorities(255, 254);

    /** So many answers of one director in a row mean that it has the address. */
    private static final int STEADY = 60;

    private static final long SETTLE = 300 * MS;
    private static final long PATIENCE = 30_000 * MS;
    private static final long DEAD = 100 * MS;
    private static final long WATCHED = 3 * DEAD;

    private static final long SETTLE_MANY = 2_000 * MS;
    private static final int MANY = 255;
    private static final int EACH = 20;
    private static final int MOST_ROUNDS_OF_MANY = 3;
    private static final Duration OF_MANY = Duration.ofMillis(100);
    private static final long BOUND_OF_MANY = 20_000 * MS;

    private static final Duration WARM = Duration.ofSeconds(40);
    private static final int IDLE_SECONDS = 10;

    /** What happens to the director that has the address. */
    enum Event {
        NODE_DIES("node dies"),
        LINK_DOWN("link down"),
        KILL("kill -9 of the daemon"),
        STOP("orderly stop");

        private final String text;

        Event(String text) {
            this.text = text;
        }
    }

    /**
     * What came of it in one round.
     *
     * @param lost how many probes
     * @param gone after how many nanoseconds the dead director answered ARP for the last time
     */
    record Reading(long outage, int lost, long gone) {}

    @Override
    public String name() {
        return "takeover";
    }

    @Override
    public String summary() {
        return "how long an address is away when one of two directors fails, beside keepalived";
    }

    @Override
    public int rounds() {
        return 10;
    }

    @Override
    public void run(Effort effort, Sheet sheet) throws IOException, Failure, InterruptedException {
        if (!Capability.SYS_ADMIN.isEffective()) {
            throw Failure.notPermitted("this is measured in network namespaces: run it as root");
        }
        boolean peer = Programs.find("keepalived").isPresent();
        Duration interval = effort.interval();
        String at = interval.toMillis() >= 1000 ? interval.toMillis() / 1000.0 + " s" : interval.toMillis() + " ms";
        at = at.replace(".0 s", " s");
        measure(sheet, List.of(Event.values()), interval, USUAL, at + ", 150/100", effort.rounds(), peer);
        measure(sheet, List.of(Event.NODE_DIES), interval, HIGHEST, at + ", 255/254", effort.rounds(), peer);
        many(sheet, Math.min(effort.rounds(), MOST_ROUNDS_OF_MANY));
        EstablishedConnections.measure(sheet);
        sheet.measure("flood", "% of a core", () -> AdvertisementFlood.measure(sheet, ADDRESS, USUAL, OF_MANY));
        sheet.measure("idle pair", "", () -> idle(sheet));
        sheet.note("An outage is from the first probe without an answer to the next one with an answer, a probe every"
                + " millisecond. Node dies: its cable and interface vanish at once.");
        if (peer) {
            sheet.note("After a kill -9 of keepalived its address stays where it was and answers until somebody removes"
                    + " it; here that was watched for " + WATCHED / MS + " ms.");
        } else {
            sheet.note("keepalived is not installed (apt install keepalived), so there is nothing to compare with.");
        }
    }

    // ---- One address

    static void measure(
            Sheet sheet,
            List<Event> events,
            Duration interval,
            Directors.Priorities priorities,
            String settings,
            int rounds,
            boolean peer)
            throws InterruptedException {
        var plan = new Directors.Plan(List.of(List.of(ADDRESS)), priorities, interval);
        for (Event event : events) {
            String name = event.text + ", " + settings;
            sheet.measure(name, "ms", () -> {
                List<Reading> ours = series(plan, event, rounds, false);
                List<Reading> theirs = peer ? series(plan, event, rounds, true) : null;
                rows(sheet, event, name, plan, ours, theirs);
                sheet.progress(name + ": " + Sample.of(millis(ours)).text()
                        + (theirs == null
                                ? ""
                                : ", keepalived " + Sample.of(millis(theirs)).text()));
            });
        }
    }

    /** One event, again and again, each time when everything is as it was. */
    private static List<Reading> series(Directors.Plan plan, Event event, int rounds, boolean keepalived)
            throws IOException, Failure, InterruptedException {
        List<Reading> readings = new ArrayList<>();
        try (Programs programs = new Programs();
                Wiring wiring = Wiring.open(programs);
                Probes probes = Probes.start(wiring, ADDRESS);
                ArpWatch arp = ArpWatch.start(wiring)) {
            Directors directors = keepalived
                    ? new Directors.Keepalived(programs, wiring, plan)
                    : new Directors.Ballast(programs, wiring, plan);
            directors.start(Place.A);
            directors.start(Place.B);
            for (int i = 0; i < rounds; i++) {
                readings.add(round(directors, wiring, probes, arp, event, plan.interval()));
            }
            return readings;
        }
    }

    private static Reading round(
            Directors directors, Wiring wiring, Probes probes, ArpWatch arp, Event event, Duration interval)
            throws IOException, Failure, InterruptedException {
        long began = System.nanoTime();
        if (!probes.await(Place.A, STEADY, began, PATIENCE)) {
            throw Failure.failed("director a does not get the address");
        }
        awaitBackup(directors);
        long wait = Math.max(SETTLE, interval.toNanos() * 3 / 2);
        TimeUnit.NANOSECONDS.sleep(wait + ThreadLocalRandom.current().nextLong(interval.toNanos()));
        if (!probes.await(Place.A, STEADY, began, PATIENCE)) {
            throw Failure.failed("director a does not keep the address");
        }
        arp.forget();
        long begin = System.nanoTime();
        switch (event) {
            case NODE_DIES -> wiring.unplug(Place.A);
            case LINK_DOWN -> wiring.switchLink(Place.A, false);
            case KILL -> {
                directors.kill(Place.A);
                arp.ask(Place.A.mac(), ADDRESS, WATCHED);
            }
            case STOP -> directors.stop(Place.A);
        }
        if (!probes.await(Place.B, STEADY, begin, PATIENCE + 4 * interval.toNanos())) {
            throw Failure.failed("director b does not take the address over: " + event.text);
        }
        Train train = probes.since(begin);
        Heard heard = arp.heard().get(new Claim(ADDRESS, Place.A.mac()));
        long gone = heard == null ? 0 : Math.max(0, heard.last() - begin);
        switch (event) {
            case NODE_DIES -> wiring.plug(Place.A);
            case LINK_DOWN -> wiring.switchLink(Place.A, true);
            case KILL, STOP -> {
                directors.awaitEnd(Place.A);
                directors.start(Place.A);
            }
        }
        return new Reading(train.outage(), train.lost(), gone);
    }

    static void awaitBackup(Directors directors) throws IOException, Failure, InterruptedException {
        long until = System.nanoTime() + PATIENCE;
        while (!directors.stands(Place.B)) {
            if (System.nanoTime() > until) {
                throw Failure.failed("director b does not become backup");
            }
            Thread.sleep(5);
        }
    }

    private static double[] millis(List<Reading> readings) {
        return readings.stream().mapToDouble(r -> r.outage() / 1e6).toArray();
    }

    private static double @Nullable [] of(@Nullable List<Reading> readings, ToDoubleFunction<Reading> what) {
        return readings == null ? null : readings.stream().mapToDouble(what).toArray();
    }

    private static void rows(
            Sheet sheet,
            Event event,
            String name,
            Directors.Plan plan,
            List<Reading> ours,
            @Nullable List<Reading> theirs) {
        double[] mine = millis(ours);
        double @Nullable [] others = of(theirs, r -> r.outage() / 1e6);
        long interval = plan.interval().toMillis();
        boolean usual = plan.priorities().equals(USUAL);
        String source = "no more than keepalived on the reference machine";
        double median = interval == 10 ? (usual ? 36.0 : 30.5) : interval == 1000 && usual ? 3404 : 0;
        double greatest = interval == 10 ? (usual ? 41.5 : 35.4) : interval == 1000 && usual ? 3569 : 0;
        switch (event) {
            case NODE_DIES, LINK_DOWN, KILL -> {
                sheet.add(Row.beside(name, "ms", mine, others, median == 0 ? null : Row.Target.atMost(median, source)));
                sheet.add(Row.beside(
                        name + ", greatest",
                        "ms",
                        new double[] {Sample.of(mine).max()},
                        others == null ? null : new double[] {Sample.of(others).max()},
                        greatest == 0 ? null : Row.Target.atMost(greatest, source)));
            }
            case STOP -> {
                sheet.add(Row.beside(name, "ms", mine, others, null));
                sheet.add(Row.beside(
                        name + ", probes lost in all",
                        "probes",
                        new double[] {ours.stream().mapToInt(Reading::lost).sum()},
                        theirs == null
                                ? null
                                : new double[] {
                                    theirs.stream().mapToInt(Reading::lost).sum()
                                },
                        Row.Target.atMost(0, "an orderly hand-over loses nothing")));
            }
        }
        if (event == Event.KILL) {
            double[] gone = ours.stream().mapToDouble(r -> r.gone() / 1e6).toArray();
            double @Nullable [] theirGone = of(theirs, r -> r.gone() / 1e6);
            sheet.add(Row.beside(
                    name + ", dead node answers ARP for at most",
                    "ms",
                    new double[] {Sample.of(gone).max()},
                    theirGone == null
                            ? null
                            : new double[] {Sample.of(theirGone).max()},
                    Row.Target.atMost(DEAD / MS, "the address is gone within 100 ms of a kill -9")));
        }
    }

    // ---- Many addresses

    private static void many(Sheet sheet, int rounds) throws InterruptedException {
        String name = MANY + " virtual routers x " + EACH + " addresses";
        sheet.measure(name, "ms", () -> {
            List<List<InetAddress>> routers = new ArrayList<>();
            for (int i = 1; i <= MANY; i++) {
                List<InetAddress> addresses = new ArrayList<>();
                for (int j = 1; j <= EACH; j++) {
                    addresses.add(InetAddress.ofLiteral("198.18." + i + "." + j));
                }
                routers.add(addresses);
            }
            double[] move = new double[rounds];
            double[] all = new double[rounds];
            try (Programs programs = new Programs();
                    Wiring wiring = Wiring.open(programs);
                    ArpWatch arp = ArpWatch.start(wiring)) {
                var directors = new Directors.Ballast(programs, wiring, new Directors.Plan(routers, USUAL, OF_MANY));
                for (int i = 0; i < rounds; i++) {
                    directors.start(Place.A);
                    awaitAll(arp, Place.A, 0);
                    if (i == 0) {
                        directors.start(Place.B);
                    }
                    awaitBackup(directors);
                    TimeUnit.NANOSECONDS.sleep(SETTLE_MANY);
                    arp.forget();
                    long begin = System.nanoTime();
                    directors.stop(Place.A);
                    long[] times = awaitAll(arp, Place.B, begin);
                    move[i] = (times[1] - times[0]) / 1e6;
                    all[i] = (times[1] - begin) / 1e6;
                    directors.awaitEnd(Place.A);
                }
            }
            sheet.add(Row.own(
                    name + ", first to last announced",
                    "ms",
                    Sample.of(move),
                    Row.Target.atMost(1_000, "255 x 20 addresses move in under 1 s")));
            sheet.add(Row.info(name + ", orderly stop to last announced", "ms", Sample.of(all)));
        });
    }

    /** When a director announced the first and the last of many addresses. */
    private static long[] awaitAll(ArpWatch arp, Place director, long begin)
            throws IOException, Failure, InterruptedException {
        long until = System.nanoTime() + BOUND_OF_MANY;
        while (true) {
            Map<Claim, Heard> heard = arp.heard();
            long[] times = heard.entrySet().stream()
                    .filter(each -> each.getKey().mac().equals(director.mac())
                            && each.getKey().address().getAddress()[0] == (byte) 198)
                    .mapToLong(each -> each.getValue().first())
                    .sorted()
                    .toArray();
            if (times.length == MANY * EACH) {
                return new long[] {Math.max(begin, times[0]), times[times.length - 1]};
            }
            if (System.nanoTime() > until) {
                throw Failure.failed("director " + director.word() + " has announced " + times.length + " of "
                        + MANY * EACH + " addresses within " + BOUND_OF_MANY / MS / 1000 + " s");
            }
            Thread.sleep(20);
        }
    }

    // ---- Nothing happens

    private static void idle(Sheet sheet) throws IOException, Failure, InterruptedException {
        try (Programs programs = new Programs();
                Wiring wiring = Wiring.open(programs)) {
            var directors = new Directors.Ballast(
                    programs, wiring, new Directors.Plan(List.of(List.of(ADDRESS)), USUAL, OF_MANY));
            directors.start(Place.A);
            directors.start(Place.B);
            // What a start costs is another thing; what runs ten times a second is compiled after some 200 times.
            Thread.sleep(WARM);
            Map<Place, Double> before = new EnumMap<>(Place.class);
            for (Place director : Wiring.DIRECTORS) {
                before.put(
                        director, Programs.cpuSeconds(directors.daemon(director).pid()));
            }
            TimeUnit.SECONDS.sleep(IDLE_SECONDS);
            for (Map.Entry<Place, Double> each : before.entrySet()) {
                Place director = each.getKey();
                long pid = directors.daemon(director).pid();
                double cpu = (Programs.cpuSeconds(pid) - each.getValue()) / IDLE_SECONDS * 100;
                String what = "idle pair at 100 ms, " + (director == Place.A ? "master" : "backup");
                sheet.add(Row.own(
                        what,
                        "% of a core",
                        Sample.of(cpu),
                        Row.Target.atMost(1, "an idle pair takes under 1 % of a core")));
                sheet.add(Row.own(
                        what,
                        "MiB RSS",
                        Sample.of(Programs.residentMiB(pid)),
                        Row.Target.atMost(120, "an idle pair takes under 120 MiB each")));
            }
        }
    }
}

package io.ballast.bench;

import com.google.gson.JsonArray;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** {@code ballast bench}: measures Ballast beside its peers, on this machine, in one run. */
public final class BenchVerb implements Verb {
    private static final List<Area> AREAS = List.of(
            new SchedulerArea(),
            new DirectorArea(),
            new XdpArea(),
            new HealthArea(),
            new DescriptionArea(),
            new DaemonArea(),
            new TakeoverArea());
    private static final Duration SHORTEST = Duration.ofMillis(10);
    private static final Duration LONGEST = Duration.ofSeconds(40);
    private static final String DEFAULT_ENGINE = "userspace";

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("bench", "Measure Ballast beside its peers on this machine")
                .describe("Areas: "
                        + AREAS.stream()
                                .map(a -> title(a) + " (" + a.summary() + ")")
                                .collect(Collectors.joining("; "))
                        + ". Without an area, all of them. Figures are medians of several readings with the least and the "
                        + "greatest, ours, the peer's and the floor's taken in turn; a ratio is taken round by round. Machines "
                        + "drift, so compare ratios rather than single numbers. Exit code 1 when something could not be "
                        + "measured; the rest is printed all the same.")
                .parameter(Parameter.optional("area", ValueKind.TEXT, "what to measure"))
                .option(Option.choice(
                        "--engine",
                        "ENGINE",
                        "the engine that area director measures (default userspace; both where no area is named)",
                        "userspace",
                        "xdp"))
                .option(Option.value(
                        "--rounds", ValueKind.NUMBER, "N", "readings of each figure (default 5; area takeover 10)"))
                .option(Option.value("--seconds", ValueKind.NUMBER, "S", "length of one reading (default 5)"))
                .option(Option.value(
                        "--interval",
                        ValueKind.DURATION,
                        "TIME",
                        "between advertisements, for area takeover; 10ms and 1s have targets (default 10ms)"))
                .option(Option.value("--only", ValueKind.TEXT, "TEXT", "measure only what has this in its name"))
                .option(Option.flag("--assert", "exit with 1 also when a target is missed, naming it"))
                .example("ballast bench director --engine userspace", "the userspace director against HAProxy")
                .example("ballast bench director --engine xdp", "the fast path, packet by packet in the kernel")
                .example("ballast bench takeover --rounds 3", "two directors beside two of keepalived's")
                .example("ballast bench takeover --only idle", "one figure of an area")
                .example("ballast bench schedulers --rounds 3 --seconds 1", "a quick look at the schedulers");
    }

    @Override
    public int run(Invocation call) throws Exception {
        int seconds = bounded(call, "--seconds", 5, 1, 600);
        Duration interval = call.duration("--interval", SHORTEST);
        if (interval.compareTo(SHORTEST) < 0 || interval.compareTo(LONGEST) > 0) {
            throw Failure.usage("--interval " + interval.toMillis() + "ms is not within 10ms to 40s");
        }
        List<Area> chosen = choose(call);
        PrintStream err = call.terminal().err();
        Consumer<String> progress = line -> err.println("  " + line);
        String only = call.value("--only").orElse("");
        List<String> passedOver = new ArrayList<>();
        List<Results> all = new ArrayList<>();
        for (Area area : chosen) {
            int rounds = bounded(call, "--rounds", area.rounds(), 1, 99);
            err.println("bench " + title(area) + ": " + area.summary());
            Sheet sheet = new Sheet(only, progress);
            sheet.attempt(title(area), "", () -> area.run(new Area.Effort(rounds, seconds, interval), sheet));
            Results results = sheet.results(title(area));
            passedOver.addAll(sheet.passedOver());
            all.add(results);
            if (!call.json() && !results.rows().isEmpty()) {
                call.terminal().out().println(results.table());
                results.notes().forEach(note -> call.terminal().out().println(note));
                call.terminal().out().println();
                call.terminal().flush();
            }
        }
        if (all.stream().allMatch(results -> results.rows().isEmpty())) {
            throw Failure.usage(
                    "nothing that is measured has \"" + only + "\" in its name: " + String.join("; ", passedOver));
        }
        if (call.json()) {
            JsonArray array = new JsonArray();
            all.forEach(results -> array.add(results.json()));
            call.terminal().json(array.size() == 1 ? array.get(0) : array);
        }
        List<Row> failed = all.stream().flatMap(r -> r.failed().stream()).toList();
        List<Row> missed = all.stream().flatMap(r -> r.missed().stream()).toList();
        failed.forEach(row -> err.println("failed: " + row.complaint()));
        missed.forEach(row -> err.println("missed: " + row.complaint()));
        return failed.isEmpty() && (missed.isEmpty() || !call.flag("--assert")) ? Exit.DONE : Exit.FAILED;
    }

    private static int bounded(Invocation call, String option, int otherwise, int low, int high) throws Failure {
        long value = call.number(option, otherwise);
        if (value < low || value > high) {
            throw Failure.usage(option + " " + value + " is not within " + low + " to " + high);
        }
        return (int) value;
    }

    private static List<Area> choose(Invocation call) throws Failure {
        if (call.optionalParameter("area").isEmpty()) {
            return AREAS;
        }
        String name = call.optionalParameter("area").get();
        String engine = call.value("--engine").orElse(DEFAULT_ENGINE);
        List<Area> chosen = AREAS.stream()
                .filter(area -> area.name().equals(name))
                .filter(area -> area.engine().isEmpty() || area.engine().equals(engine))
                .toList();
        if (!chosen.isEmpty()) {
            return chosen;
        }
        throw Failure.usage("no area \"" + name + "\"; there are "
                + AREAS.stream().map(Area::name).distinct().collect(Collectors.joining(", ")));
    }

    /** The area's name, and the engine's where it is not the default. */
    private static String title(Area area) {
        return area.engine().isEmpty() || area.engine().equals(DEFAULT_ENGINE)
                ? area.name()
                : area.name() + " --engine " + area.engine();
    }
}

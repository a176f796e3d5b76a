package io.ballast.lab.drill;

import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.LabVerb;
import io.ballast.lab.Source;
import io.ballast.lab.Texts;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.topology.DescriptionText;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** {@code ballast drill}: faults under load, and what the clients saw. */
public final class DrillVerb implements Verb {
    /** Where the drill's sorry server listens, on the director. */
    private static final String SORRY = "127.0.0.1:8081";

    @Override
    public VerbSpec spec() {
        VerbSpec spec = VerbSpec.of("drill", "Inject faults into a lab under load and show what the clients saw")
                .describe("Brings the description up as a lab of its own, asks it at a constant rate, and injects one"
                        + " fault after another: servers stopped, killed, frozen, answering wrongly or slowly, cables"
                        + " pulled, the daemon reloaded, restarted and killed. For each it prints what the clients saw,"
                        + " and the availability class that so many such faults a year would leave. Exit code 1 when a"
                        + " limit was exceeded.")
                .parameter(Parameter.required("file", ValueKind.FILE, "the description of the service"))
                .option(Option.choice(
                                "--scenario",
                                "NAME",
                                "only this one; may be repeated",
                                Arrays.stream(Scenario.values())
                                        .map(Scenario::label)
                                        .toArray(String[]::new))
                        .repeated())
                .option(Option.value("--service", ValueKind.SERVICE, "NAME", "which service (default: the first)"))
                .option(Option.value("--rate", ValueKind.NUMBER, "N", "requests a second (default: 1000)"))
                .option(Option.value(
                        "--timeout",
                        ValueKind.DURATION,
                        "DURATION",
                        "how long the client waits for an answer (default: 2s)"))
                .option(Option.flag("--keep-alive", "use connections again (default: one for each request)"))
                .option(Option.value(
                        "--check-interval",
                        ValueKind.DURATION,
                        "DURATION",
                        "instead of the description's, for every check"))
                .option(Option.value(
                        "--check-timeout",
                        ValueKind.DURATION,
                        "DURATION",
                        "instead of the description's, for every check"))
                .option(Option.value(
                        "--faults-per-year", ValueKind.NUMBER, "N", "for the availability class (default: 12)"))
                .option(Option.flag("--assert", "exit code 1 also when a scenario could not be run here"))
                .option(LabVerb.LOOPBACK);
        return spec.example("ballast drill examples/farm.yaml --check-interval 100ms", "every fault, quick checks")
                .example(
                        "ballast drill examples/farm.yaml --scenario killed --scenario frozen --rate 2000",
                        "two of them, at 2,000 requests a second");
    }

    @Override
    public int run(Invocation call) throws Exception {
        return LabStore.untilInterrupted(() -> drill(call));
    }

    private static int drill(Invocation call) throws Exception {
        Terminal terminal = call.terminal();
        Source source = Source.file(Path.of(call.parameter("file")), terminal);
        long rate = rate(call);
        Duration timeout = call.duration("--timeout", Duration.ofSeconds(2));
        if (!timeout.isPositive()) {
            throw Failure.usage("--timeout " + call.value("--timeout").orElse("")
                    + ": no answer comes in no time; give 1ms or more (default: 2s)");
        }
        List<Scenario> scenarios = call.values("--scenario").stream()
                .flatMap(n -> Scenario.of(n).stream())
                .toList();
        DescriptionText text = source.text();
        if (call.value("--check-interval").isPresent()) {
            text = text.withCheckInterval(call.duration("--check-interval", Duration.ZERO));
        }
        if (call.value("--check-timeout").isPresent()) {
            text = text.withCheckTimeout(call.duration("--check-timeout", Duration.ZERO));
        }
        Source.check(text);
        String service = service(call, source);
        ServiceSpec drilled = source.description().services().get(service);
        boolean udp = drilled != null && Drill.udp(drilled);
        if (udp && call.flag("--keep-alive")) {
            throw Failure.usage("--keep-alive: the service " + service + " is UDP and has no connections to keep");
        }
        boolean packets = drilled != null && drilled.engine() != EngineKind.USERSPACE;
        boolean hasSorry = source.description().services().values().stream()
                .anyMatch(s -> s.name().equals(service) && s.sorry().isPresent());
        // The lab is made with a sorry server, so that one runs; the daemon is told of it for one scenario only.
        Lab.Plan plan = new Lab.Plan(
                "drill-" + ProcessHandle.current().pid(),
                Path.of(source.name()).toAbsolutePath(),
                hasSorry || packets || udp ? text : text.withSorry(service, Optional.of(SORRY)),
                LabVerb.namespaces(call),
                true);
        try (Lab lab = LabVerb.store(call).up(plan, step -> progress(terminal, "lab: " + step))) {
            DescriptionText withSorry = lab.text();
            DescriptionText base = hasSorry ? withSorry : withSorry.withSorry(service, Optional.empty());
            Report report = drill(call, lab, service, base, withSorry, rate, timeout, scenarios);
            if (call.json()) {
                terminal.json(report.toJson());
            } else {
                lab.topology().notes().forEach(n -> terminal.out().println("note: " + n));
                show(report, terminal);
            }
            boolean all = !call.flag("--assert") || report.rows().stream().noneMatch(Row::skipped);
            return report.kept() && all ? Exit.DONE : Exit.FAILED;
        }
    }

    /** The requests a second that are asked for. */
    public static long rate(Invocation call) throws Failure {
        long rate = call.number("--rate", 1000);
        if (rate < 1 || rate > 100_000) {
            throw Failure.usage("--rate " + rate + ": use 1 to 100000 requests a second");
        }
        return rate;
    }

    private static Report drill(
            Invocation call,
            Lab lab,
            String service,
            DescriptionText base,
            DescriptionText withSorry,
            long rate,
            Duration timeout,
            List<Scenario> asked)
            throws Exception {
        Terminal terminal = call.terminal();
        Drill.Watcher watcher = new Drill.Watcher() {
            @Override
            public void step(String what) {
                progress(terminal, "  " + what);
            }

            @Override
            public void left(String server, Duration after) {
                progress(terminal, "  " + server + " out after " + Report.time(after));
            }

            @Override
            public void back(String server, Duration after) {
                progress(terminal, "  " + server + " in again after " + Report.time(after));
            }
        };
        progress(terminal, "load: " + rate + " requests a second, warming up");
        Drill.Settings settings = new Drill.Settings(rate, timeout, call.flag("--keep-alive"), Drill.Timing.BRISK);
        try (Drill drill = new Drill(lab, service, base, withSorry, settings, watcher)) {
            List<Row> rows = new ArrayList<>();
            List<Scenario> all = Arrays.stream(Scenario.values())
                    .filter(scenario -> drill.moves() || !scenario.movesAddress())
                    .toList();
            for (Scenario scenario : asked.isEmpty() ? all : asked) {
                progress(terminal, scenario.label());
                Row row = drill.run(scenario);
                rows.add(row);
                progress(terminal, "  " + row.summary());
            }
            return new Report(
                    title(call, lab, drill),
                    drill.plan(),
                    call.number("--faults-per-year", 12),
                    List.copyOf(rows),
                    Limit.note(drill.service()));
        }
    }

    private static String title(Invocation call, Lab lab, Drill drill) {
        ServiceSpec service = drill.service();
        CheckSpec check = service.checks().stream().findFirst().orElse(null);
        return String.format(
                Locale.ROOT,
                "Drill of %s: %s%d servers, %s, %,.0f requests a second (%s), %s%s, %s",
                service.name(),
                Texts.engine(service).isEmpty() ? "" : Texts.engine(service) + ", ",
                service.servers().size(),
                service.scheduler().yamlName(),
                drill.plan().rate(),
                drill.plan().udp()
                        ? "a datagram each"
                        : call.flag("--keep-alive") ? "kept connections" : "a connection each",
                check == null
                        ? "no checks"
                        : check.probe().yamlName() + " check every "
                                + check.interval().toMillis() + " ms, time-out "
                                + check.timeout().toMillis() + " ms, fall " + check.fall(),
                !Limit.asksAgain(service)
                        ? ", no retry"
                        : ", retry " + service.connectRetry().attempts()
                                + (service.connectRetry().replayBytes() > 0 ? " with replay" : ""),
                lab.namespaces() ? "network namespaces" : "loopback addresses");
    }

    private static String service(Invocation call, Source source) throws Failure {
        Optional<String> named = call.value("--service");
        if (named.isPresent()) {
            if (!source.description().services().containsKey(named.get())) {
                throw Failure.usage("--service " + named.get() + ": the description has no such service; it has "
                        + String.join(", ", source.description().services().keySet()));
            }
            return named.get();
        }
        return source.description().services().firstEntry().getKey();
    }

    private static void show(Report report, Terminal terminal) {
        boolean first = true;
        for (String line : report.lines()) {
            if (first) {
                terminal.out().println(terminal.style(Style.BOLD, line));
            } else if (line.contains("EXCEEDED") || line.contains("FAILED")) {
                terminal.out().println(line.startsWith("SCENARIO") ? line : terminal.style(Style.RED, line));
            } else {
                terminal.out().println(line);
            }
            first = false;
        }
    }

    private static void progress(Terminal terminal, String line) {
        if (!LabStore.ending()) {
            terminal.err().println(line);
        }
    }
}

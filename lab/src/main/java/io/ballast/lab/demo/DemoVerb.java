package io.ballast.lab.demo;

import io.ballast.cli.Exit;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Terminal;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.time.Durations;
import io.ballast.lab.LabVerb;
import io.ballast.lab.Source;
import io.ballast.lab.Texts;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.DrillVerb;
import io.ballast.lab.drill.Report;
import io.ballast.lab.drill.Row;
import io.ballast.lab.drill.Scenario;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.Privileges;
import io.ballast.lab.farm.WebServer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** {@code ballast demo}: a web farm loses a server under load, told line by line. */
public final class DemoVerb implements Verb {
    private static final Drill.Timing UNHURRIED =
            new Drill.Timing(Duration.ofSeconds(3), Duration.ofSeconds(4), Duration.ofSeconds(3));

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("demo", "Watch a web farm lose a server and go on without it")
                .describe(
                        "Brings up a director, three web servers and a client on this machine (in network namespaces"
                                + " as root, on loopback addresses otherwise), with the engine xdp where it works here and the"
                                + " engine userspace where not, asks 1,000 times a second, kills a web server and starts it again. Takes half a minute and leaves nothing behind.")
                .option(Option.value("--rate", ValueKind.NUMBER, "N", "requests a second (default: 1000)"))
                .option(LabVerb.LOOPBACK)
                .example("ballast demo", "the whole product in half a minute");
    }

    @Override
    public int run(Invocation call) throws Exception {
        return LabStore.untilInterrupted(() -> show(call));
    }

    private static int show(Invocation call) throws Exception {
        // With --json the story goes to the error stream, and only the result to the output.
        long rate = DrillVerb.rate(call);
        Terminal terminal = call.terminal();
        Screen screen = new Screen(
                call.json() ? new Terminal(terminal.err(), terminal.err(), "", call.environment()) : terminal);
        screen.say("A web farm on this machine: one address, three web servers behind it, and a client in front.");
        Report report;
        EngineKind engine;
        try (Lab lab = lab(call, screen)) {
            ServiceSpec service = lab.description().services().firstEntry().getValue();
            engine = service.engine();
            picture(lab, service).forEach(screen::say);
            screen.say(explanation(service));
            Watch watch = new Watch(lab, service, screen, terminal);
            screen.say(String.format(Locale.ROOT, "The client warms up to %,d requests a second ...", rate));
            try (Drill drill = new Drill(lab, service.name(), rate, UNHURRIED, watch)) {
                watch.begin(drill.daemon());
                Row row = drill.run(Scenario.KILLED);
                watch.end();
                report = new Report("What the client saw of it all:", drill.plan(), 12, List.of(row), Optional.empty());
            }
        }
        screen.say("");
        report.lines().forEach(screen::say);
        screen.say("");
        screen.say(verdict(report, engine));
        screen.say("Everything was taken away again: processes, network and files. More of this: ballast drill --help");
        if (call.json()) {
            terminal.json(report.toJson());
        }
        return report.kept() ? Exit.DONE : Exit.FAILED;
    }

    /** The farm with the engine xdp where that works here, and with the engine userspace where not. */
    private static Lab lab(Invocation call, Screen screen) throws Exception {
        boolean namespaces = LabVerb.namespaces(call);
        Optional<String> missing = call.flag(LabVerb.LOOPBACK.name())
                ? Optional.of("on loopback addresses there are no packets to forward")
                : Privileges.missingForXdp();
        if (missing.isEmpty()) {
            screen.say(
                    "Engine: xdp. The kernel sends each packet on to a server, which answers the client itself (direct"
                            + " routing).");
            Lab lab = up("xdp.yaml", namespaces, call, screen);
            if (lab.silent().isEmpty()) {
                return lab;
            }
            lab.close();
            missing = Optional.of("it forwards nothing on this machine");
        }
        screen.say("Engine: userspace, a process that passes on what clients and servers say. Not xdp: " + missing.get()
                + ".");
        return up("farm.yaml", namespaces, call, screen);
    }

    private static Lab up(String example, boolean namespaces, Invocation call, Screen screen) throws Exception {
        Source source = Source.example(example, call.terminal());
        Lab.Plan plan = new Lab.Plan(
                "demo-" + ProcessHandle.current().pid(), Path.of(source.name()), source.text(), namespaces, true);
        return LabVerb.store(call).up(plan, step -> screen.say("  " + step));
    }

    private static List<String> picture(Lab lab, ServiceSpec service) {
        List<String> servers = new ArrayList<>();
        for (ServerSpec server : service.servers()) {
            String program = lab.webServers().stream()
                    .filter(w -> w.site().name().equals(server.name()))
                    .findFirst()
                    .map(WebServer::program)
                    .orElse("");
            servers.add(server.name() + "  " + server.address() + (program.isEmpty() ? "" : "  " + program)
                    + (server.weight() == 1 ? "" : "  weight " + server.weight()));
        }
        String vip = lab.addresses(service).stream().map(Texts::url).collect(Collectors.joining(" and "));
        String head = "  " + lab.client().name() + " ---> " + vip + " ---> "
                + lab.daemons().getFirst().node() + " ---+--- ";
        List<String> lines = new ArrayList<>();
        lines.add("");
        lines.add(head + servers.getFirst());
        for (String server : servers.subList(1, servers.size())) {
            lines.add(" ".repeat(head.length() - 5) + "+--- " + server);
        }
        lines.add("");
        return lines;
    }

    private static String explanation(ServiceSpec service) {
        CheckSpec check = service.checks().getFirst();
        String what = check.probe() instanceof ProbeSpec.Http http
                ? "asks each server for " + http.path()
                        + http.body()
                                .map(b -> " and looks for \"" + b.text() + "\"")
                                .orElse("")
                : "checks each server";
        return "Every " + Durations.print(check.interval()) + " the director " + what + "; "
                + check.fall() + " failures in a row take a server out, "
                + (check.rise() == 1 ? "one success brings" : check.rise() + " successes bring") + " it back.";
    }

    private static String verdict(Report report, EngineKind engine) {
        Optional<Long> failures =
                report.rows().getFirst().seen().map(s -> s.load().failures());
        long requests =
                report.rows().getFirst().seen().map(s -> s.load().requests()).orElse(0L);
        if (failures.isEmpty()) {
            return "The demo did not work: " + report.rows().getFirst().reason();
        }
        return failures.get() == 0
                ? String.format(
                        Locale.ROOT,
                        "A web server died in the middle of %,d requests, and no client noticed.",
                        requests)
                : String.format(
                        Locale.ROOT,
                        "A web server died, and %,d of %,d requests failed%s.",
                        failures.get(),
                        requests,
                        engine == EngineKind.USERSPACE
                                ? ""
                                : ": its share, until the checks had it out. The engine " + engine.yamlName()
                                        + " sends packets on and asks nobody again");
    }
}

package io.ballast.lab.demo;

import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.time.Durations;
import io.ballast.lab.Source;
import io.ballast.lab.Texts;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.Report;
import io.ballast.lab.drill.Row;
import io.ballast.lab.drill.Scenario;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.WebServer;
import io.ballast.lab.topology.Topology;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What the demo shows: a farm of two directors that share an address, which loses a web server, and then the director that has
 * the address. Where there cannot be two, a farm of one director, which loses a web server.
 */
final class Show {
    private final Terminal terminal;
    private final LabStore store;
    private final Drill.Settings settings;
    private final Screen screen;

    /**
     * A show that has not begun.
     *
     * @param terminal where it is told
     * @param store where its lab is kept
     */
    Show(Terminal terminal, LabStore store, Drill.Settings settings) {
        this.terminal = terminal;
        this.store = store;
        this.settings = settings;
        this.screen = new Screen(terminal);
    }

    /**
     * Runs it to its end, and takes everything away.
     *
     * @param namespaces whether nodes are network namespaces; otherwise they are loopback addresses
     * @param noPackets why the engine xdp cannot be used; empty where it can, as far as is known
     */
    Report run(boolean namespaces, Optional<String> noPackets) throws Exception {
        screen.say("A web farm on this machine: one address, web servers behind it, and a client in front.");
        Report report;
        EngineKind engine;
        try (Lab lab = lab(namespaces, noPackets)) {
            ServiceSpec service = lab.description().services().firstEntry().getValue();
            engine = service.engine();
            picture(lab, service).forEach(screen::say);
            screen.say(explanation(service));
            screen.say(
                    String.format(Locale.ROOT, "The client warms up to %,.0f requests a second ...", settings.rate()));
            Watch watch = new Watch(lab, service, screen, terminal);
            try (Drill drill = new Drill(lab, service.name(), lab.text(), lab.text(), settings, watch)) {
                List<Row> rows = new ArrayList<>();
                begin("1. A web server dies.");
                rows.add(act(Scenario.KILLED, drill, watch));
                if (drill.moves()) {
                    begin("2. The director that has the address is stopped.");
                    screen.say(shared(lab));
                    rows.add(act(Scenario.MASTER_STOPPED, drill, watch));
                }
                report = new Report(
                        "What the client saw of it all:", drill.plan(), 12, List.copyOf(rows), Optional.empty());
            }
        }
        screen.say("");
        report.lines().forEach(screen::say);
        screen.say("");
        verdicts(report, engine).forEach(screen::say);
        screen.say("Everything was taken away again: processes, network and files. More of this: ballast drill --help");
        return report;
    }

    private void begin(String act) {
        screen.say("");
        screen.say(terminal.style(Style.BOLD, act));
    }

    private static Row act(Scenario scenario, Drill drill, Watch watch) throws InterruptedException {
        watch.begin(drill.daemon());
        Row row = drill.run(scenario);
        watch.end();
        return row;
    }

    /** Two directors with the engine xdp where that works here, and one with the engine userspace where not. */
    private Lab lab(boolean namespaces, Optional<String> noPackets) throws Exception {
        Optional<String> missing = noPackets;
        if (missing.isEmpty()) {
            screen.say(
                    "Two directors, so that one can fail. The kernel of the one that has the address sends each packet"
                            + " on to a server, which answers the client itself (engine xdp, direct routing).");
            Lab lab = up("ultramonkey.yaml", namespaces);
            if (lab.silent().isEmpty()) {
                return lab;
            }
            lab.close();
            missing = Optional.of("that forwards nothing on this machine");
        }
        screen.say(
                "One director with the engine userspace, a process that passes on what clients and servers say. Not two"
                        + " with the engine xdp, of which the first is stopped: " + missing.get() + ".");
        return up("farm.yaml", namespaces);
    }

    private Lab up(String example, boolean namespaces) throws Exception {
        Source source = Source.example(example, terminal);
        Lab.Plan plan = new Lab.Plan(
                "demo-" + ProcessHandle.current().pid(), Path.of(source.name()), source.text(), namespaces, true);
        return store.up(plan, step -> screen.say("  " + step));
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
        List<String> directors =
                lab.topology().directors().stream().map(Topology.Node::name).toList();
        String head = "  " + lab.client().name() + " ---> " + vip + " ---> ";
        int width = directors.stream().mapToInt(String::length).max().orElse(0);
        List<String> lines = new ArrayList<>();
        lines.add("");
        for (int i = 0; i < Math.max(directors.size(), servers.size()); i++) {
            String director = i < directors.size() ? directors.get(i) : "";
            lines.add((i == 0 ? head : " ".repeat(head.length()))
                    + director
                    + (director.isEmpty() ? " ".repeat(width + 4) : " " + "-".repeat(width - director.length() + 3))
                    + "+--- "
                    + (i < servers.size() ? servers.get(i) : ""));
        }
        lines.add("");
        return lines;
    }

    /** How directors share an address. */
    private static String shared(Lab lab) {
        VirtualRouterSpec router =
                lab.description().virtualRouters().firstEntry().getValue();
        return String.join(" and ", router.nodes().keySet()) + " have agreed which of them that is: it says so every "
                + Durations.print(router.interval()) + ", and says when it leaves; the other one listens.";
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

    private static List<String> verdicts(Report report, EngineKind engine) {
        return report.rows().stream()
                .map(row -> row.seen()
                        .map(seen -> verdict(
                                row.scenario(),
                                seen.load().requests(),
                                seen.load().failures(),
                                engine))
                        .orElse("The demo did not work: " + row.reason()))
                .toList();
    }

    private static String verdict(Scenario scenario, long requests, long failures, EngineKind engine) {
        boolean director = scenario == Scenario.MASTER_STOPPED;
        String what = director ? "The director was stopped and started again" : "A web server died";
        if (failures == 0) {
            return String.format(
                    Locale.ROOT, "%s in the middle of %,d requests, and no client noticed.", what, requests);
        }
        return String.format(
                Locale.ROOT,
                "%s, and %,d of %,d requests failed%s.",
                what,
                failures,
                requests,
                director || engine == EngineKind.USERSPACE
                        ? ""
                        : ": its share, until the checks had it out. The engine " + engine.yamlName()
                                + " sends packets on and asks nobody again");
    }
}

package io.ballast.lab.demo;

import io.ballast.cli.Exit;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Terminal;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.lab.LabVerb;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.DrillVerb;
import io.ballast.lab.drill.Report;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.Privileges;
import java.time.Duration;
import java.util.Optional;

/** {@code ballast demo}: a web farm loses a server under load, and then its director, told line by line. */
public final class DemoVerb implements Verb {
    /** Long enough to be followed by eye. */
    private static final Drill.Timing UNHURRIED =
            new Drill.Timing(Duration.ofSeconds(2), Duration.ofSeconds(3), Duration.ofSeconds(2));

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("demo", "Watch a web farm lose a server, then its director, and go on without them")
                .describe(
                        "Brings up two directors that share one address, two web servers and a client on this machine, in"
                                + " network namespaces and with the engine xdp, and asks 1,000 times a second. Kills a web"
                                + " server and starts it again; then stops the director that has the address, so that the"
                                + " other one takes it over, and starts it again. Where that is not possible (without root"
                                + " the nodes are loopback addresses, and some kernels lack what the engine xdp needs) it is"
                                + " one director with the engine userspace and three web servers, one of which is killed."
                                + " Takes half a minute and leaves nothing behind.")
                .option(Option.value("--rate", ValueKind.NUMBER, "N", "requests a second (default: 1000)"))
                .option(LabVerb.LOOPBACK)
                .example("ballast demo", "the whole product in half a minute");
    }

    @Override
    public int run(Invocation call) throws Exception {
        return LabStore.untilInterrupted(() -> show(call));
    }

    private static int show(Invocation call) throws Exception {
        long rate = DrillVerb.rate(call);
        Terminal terminal = call.terminal();
        boolean namespaces = LabVerb.namespaces(call);
        Optional<String> noPackets = call.flag(LabVerb.LOOPBACK.name())
                ? Optional.of("on loopback addresses there are no packets to forward")
                : Privileges.missingForXdp();
        // With --json the story goes to the error stream, and only the result to the output.
        Show show = new Show(
                call.json() ? new Terminal(terminal.err(), terminal.err(), "", call.environment()) : terminal,
                LabVerb.store(call),
                new Drill.Settings(rate, Duration.ofSeconds(2), false, UNHURRIED));
        Report report = show.run(namespaces, noPackets);
        if (call.json()) {
            terminal.json(report.toJson());
        }
        return report.kept() ? Exit.DONE : Exit.FAILED;
    }
}

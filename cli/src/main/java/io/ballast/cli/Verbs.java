package io.ballast.cli;

import io.ballast.cli.control.ChangeVerb;
import io.ballast.cli.control.CompleteVerb;
import io.ballast.cli.control.ConnectionsVerb;
import io.ballast.cli.control.EventsVerb;
import io.ballast.cli.control.ListVerb;
import io.ballast.cli.control.RunVerb;
import io.ballast.cli.control.ServerVerb;
import io.ballast.cli.control.StatusVerb;
import io.ballast.cli.control.StopVerb;
import io.ballast.cli.control.TakeoverVerb;
import io.ballast.cli.control.TraceVerb;
import io.ballast.cli.control.WitnessVerb;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;

/** Every verb there is: those of this room by name, those of the rooms above through {@link ServiceLoader}. */
final class Verbs {
    /** The verbs of this room, in the order of the help; {@link #builtIn} makes each. */
    private static final List<String> NAMES = List.of(
            "check",
            "plan",
            "apply",
            "reload",
            "schema",
            "run",
            "witness",
            "stop",
            "status",
            "list",
            "server",
            "connections",
            "trace",
            "takeover",
            "events",
            "doctor",
            "completion",
            "manpage",
            "version");

    private Verbs() {}

    /** The verb of this name. Those of the rooms above are only looked for where no built-in one has it. */
    static Optional<Verb> find(String name) {
        if (NAMES.contains(name)) {
            return Optional.of(builtIn(name));
        }
        if (name.equals("complete")) {
            return Optional.of(new CompleteVerb());
        }
        for (Verb verb : above()) {
            if (verb.spec().name().equals(name)) {
                return Optional.of(verb);
            }
        }
        return Optional.empty();
    }

    /** All of them: this room's first, then the others by name. */
    static List<Verb> all() {
        List<Verb> verbs = new ArrayList<>();
        NAMES.forEach(name -> verbs.add(builtIn(name)));
        verbs.addAll(above());
        return verbs;
    }

    private static Verb builtIn(String name) {
        return switch (name) {
            case "check" -> new CheckVerb();
            case "plan" -> ChangeVerb.plan();
            case "apply" -> ChangeVerb.apply();
            case "reload" -> ChangeVerb.reload();
            case "schema" -> new SchemaVerb();
            case "run" -> new RunVerb();
            case "witness" -> new WitnessVerb();
            case "stop" -> new StopVerb();
            case "status" -> new StatusVerb();
            case "list" -> new ListVerb();
            case "server" -> new ServerVerb();
            case "connections" -> new ConnectionsVerb();
            case "trace" -> new TraceVerb();
            case "takeover" -> new TakeoverVerb();
            case "events" -> new EventsVerb();
            case "doctor" -> new DoctorVerb();
            case "completion" -> new CompletionVerb();
            case "manpage" -> new ManPageVerb();
            case "version" -> new VersionVerb();
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static List<Verb> above() {
        List<Verb> verbs = new ArrayList<>();
        ServiceLoader.load(Verb.class).forEach(verbs::add);
        verbs.sort((a, b) -> a.spec().name().compareTo(b.spec().name()));
        return verbs;
    }
}

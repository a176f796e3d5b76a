package io.ballast.cli.control;

import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.cli.control.ChangeVerb.DescriptionFile;
import io.ballast.node.Daemon;
import io.ballast.node.Directories;

/** {@code ballast run}: becomes the node process. */
public final class RunVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("run", "Run the daemon of this node in the foreground")
                .describe(
                        "SIGHUP reads the description again, SIGTERM stops after established connections ended (twice: "
                                + "at once). Exit code 2 means that the description is wrong, 3 that something is not permitted.")
                .parameter(DescriptionFile.PARAMETER)
                .option(Option.value(
                        "--node",
                        ValueKind.TEXT,
                        "NAME",
                        "this node's name in it (default: the host's, else the only director)"))
                .option(Option.value(
                        "--run-dir", ValueKind.DIRECTORY, "DIR", "for sockets and the lock (default /run/ballast)"))
                .option(Option.value(
                        "--state-dir", ValueKind.DIRECTORY, "DIR", "for the journal (default /var/lib/ballast)"))
                .option(Option.flag(
                        "--replace", "take over from a daemon that runs already, without losing a connection"))
                .example("ballast run ballast.yaml", "try a description")
                .example("ballast run ballast.yaml --replace", "bring in a new version while traffic flows");
    }

    @Override
    public int run(Invocation call) throws Failure, InterruptedException {
        if (call.json()) {
            throw Failure.usage("ballast run has no --json; its log is for people, ballast events --json for programs");
        }
        Daemon.Options options = new Daemon.Options(
                DescriptionFile.of(call),
                call.value("--node"),
                Directories.of(call.environment(), call.path("--run-dir"), call.path("--state-dir")),
                call.flag("--replace"));
        return Daemon.run(options, call.environment(), call.terminal().err());
    }
}

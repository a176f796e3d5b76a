package io.ballast.cli.control;

import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.cli.control.ChangeVerb.DescriptionFile;
import io.ballast.node.Witness;

/** {@code ballast witness}: a voice, on a machine that does nothing else here. */
public final class WitnessVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("witness", "Vote who has addresses, on a machine that has none itself")
                .describe(
                        "A small process in the foreground, for a third machine: with it two directors are a majority of three."
                                + " It writes nothing to disk and needs no privileges. SIGHUP reads the description again, SIGTERM ends"
                                + " it. A node that runs the daemon votes by that, if it is a voter.")
                .parameter(DescriptionFile.PARAMETER)
                .option(Option.value(
                        "--node",
                        ValueKind.TEXT,
                        "NAME",
                        "which voter it is (default: the host's name, else the only one that is no node)"))
                .example("ballast witness /etc/ballast/ballast.yaml --node witness", "the third voice");
    }

    @Override
    public int run(Invocation call) throws Failure, InterruptedException {
        if (call.json()) {
            throw Failure.usage("ballast witness has no --json; its few lines are for people");
        }
        try {
            Witness.run(
                    DescriptionFile.of(call),
                    call.value("--node"),
                    call.environment(),
                    call.terminal().err());
        } catch (Witness.RefusedException e) {
            throw Failure.usage(String.valueOf(e.getMessage()));
        }
        return Exit.DONE;
    }
}

package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import java.util.Optional;

/** {@code ballast stop}. */
public final class StopVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("stop", "Stop the daemon; established connections end first")
                .option(Option.flag("--now", "do not wait for established connections"))
                .option(Option.flag(
                        "--keep-worker", "end the node process only; traffic flows on until the next one adopts it"))
                .option(ControlClient.SOCKET)
                .example("ballast stop", "for good")
                .example("ballast stop --keep-worker", "before an upgrade: the next `ballast run` takes over");
    }

    @Override
    public int run(Invocation call) throws Failure {
        if (call.flag("--now") && call.flag("--keep-worker")) {
            throw Failure.usage("ballast stop: --keep-worker leaves connections alone, so --now says nothing");
        }
        JsonObject body = new JsonObject();
        body.addProperty("drain", !call.flag("--now"));
        body.addProperty("keepWorker", call.flag("--keep-worker"));
        JsonObject answer = ControlClient.of(call).call("POST", "/v1/stop", Optional.of(body));
        if (call.json()) {
            call.terminal().json(answer);
        } else {
            call.terminal()
                    .out()
                    .println(
                            call.flag("--keep-worker")
                                    ? "the node process ends; traffic flows on"
                                    : "the daemon stops");
        }
        return Exit.DONE;
    }
}

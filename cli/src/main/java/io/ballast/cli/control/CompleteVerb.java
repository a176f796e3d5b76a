package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Parameter;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;

/** {@code ballast complete}: the names that a completion script asks for; no verb for people, so help has it not. */
public final class CompleteVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("complete", "Print names for completion scripts, one a line")
                .parameter(Parameter.choice("what", "which names", "services", "servers"))
                .option(ControlClient.SOCKET);
    }

    @Override
    public int run(Invocation call) throws Failure {
        for (JsonObject service : Json.objects(ControlClient.of(call).get("/v1/services"), "services")) {
            if (call.parameter("what").equals("services")) {
                call.terminal().out().println(Json.text(service, "name"));
            } else {
                Json.objects(service, "servers")
                        .forEach(s -> call.terminal().out().println(Json.text(s, "name")));
            }
        }
        return Exit.DONE;
    }
}

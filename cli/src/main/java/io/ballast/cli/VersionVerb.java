package io.ballast.cli;

import com.google.gson.JsonObject;

/** {@code ballast version}. */
final class VersionVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("version", "Print the version of ballast and of the Java that runs it")
                .example("ballast version", "what is installed here");
    }

    @Override
    public int run(Invocation call) {
        String java = Runtime.version().toString();
        if (call.json()) {
            JsonObject json = new JsonObject();
            json.addProperty("version", version());
            json.addProperty("java", java);
            call.terminal().json(json);
        } else {
            call.terminal().out().println("ballast " + version() + " (Java " + java + ")");
        }
        return Exit.DONE;
    }

    /** The version in this room's jar; {@code development} where classes run without one. */
    static String version() {
        String version = VersionVerb.class.getPackage().getImplementationVersion();
        return version == null ? "development" : version;
    }
}

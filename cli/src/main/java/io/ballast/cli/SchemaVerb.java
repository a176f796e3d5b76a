package io.ballast.cli;

import io.ballast.core.config.reader.DescriptionSchema;

/** {@code ballast schema}. */
final class SchemaVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("schema", "Print the JSON Schema of ballast.yaml, for editors and other programs")
                .describe("An editor that knows the YAML language server offers every key with its meaning when the"
                        + " first line of the description is:"
                        + " # yaml-language-server: $schema=ballast.schema.json")
                .option(Option.flag(
                        "--markdown", "the reference of all keys instead (docs/reference/configuration.md)"))
                .example("ballast schema > ballast.schema.json", "beside the description, for your editor");
    }

    @Override
    public int run(Invocation call) {
        if (call.flag("--markdown")) {
            call.terminal().out().print(DescriptionSchema.markdown());
        } else {
            call.terminal().out().println(DescriptionSchema.jsonSchemaText().stripTrailing());
        }
        return Exit.DONE;
    }
}

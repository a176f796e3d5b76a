package io.ballast.lab;

import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Terminal;
import io.ballast.cli.control.ChangeVerb.DescriptionFile;
import io.ballast.cli.control.Problems;
import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.lab.topology.DescriptionText;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;

/** A description that a lab is to be made from. */
public record Source(String name, DescriptionText text, Description description) {

    /** An example that comes with the program, so that the demo runs anywhere, as {@code farm.yaml}. */
    public static Source example(String name, Terminal terminal) throws IOException, Failure {
        String resource = "examples/" + name;
        try (InputStream in = Source.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("the program was built without " + resource);
            }
            return read(resource, in.readAllBytes(), terminal);
        }
    }

    /** A file of the user's; what is wrong in it is shown. */
    public static Source file(Path file, Terminal terminal) throws IOException, Failure {
        return read(file.toString(), DescriptionFile.bytes(DescriptionFile.readable(file)), terminal);
    }

    /** Refuses a text that options have made wrong. */
    public static void check(DescriptionText text) throws Failure {
        List<Problem> errors = new DescriptionReader()
                .read("with these options", text.toString())
                .errors();
        if (!errors.isEmpty()) {
            throw Failure.usage(
                    errors.getFirst().path() + ": " + errors.getFirst().message());
        }
    }

    private static Source read(String name, byte[] bytes, Terminal terminal) throws Failure {
        ReadResult result = new DescriptionReader().read(name, bytes);
        result.problems().forEach(p -> terminal.err().println(Problems.text(Problems.json(p), terminal)));
        Description description = result.description()
                .orElseThrow(() -> new Failure(Exit.USAGE, name + " is wrong, see above; nothing was made"));
        if (description.nodes().isEmpty()) {
            throw Failure.usage(name + " describes no nodes, so there is nothing to make a lab of; "
                    + "name them and their addresses under `nodes`, as examples/farm.yaml does");
        }
        return new Source(name, DescriptionText.of(new String(bytes, StandardCharsets.UTF_8)), description);
    }
}

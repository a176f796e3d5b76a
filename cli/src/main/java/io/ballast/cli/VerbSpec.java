package io.ballast.cli;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/**
 * What a verb is called and takes. Built up by the methods, each of which returns a new one:
 *
 * <pre>{@code
 * VerbSpec.of("drain", "Give a server no new connections")
 *         .parameter(Parameter.required("service", ValueKind.SERVICE, "the virtual service"))
 *         .option(Option.value("--deadline", ValueKind.DURATION, "DURATION", "close what is left after it"))
 *         .example("ballast drain web www1", "before maintenance of www1");
 * }</pre>
 *
 * @param summary one line, beginning with a capital, without a full stop
 * @param description further paragraphs, each one string; may be empty
 * @param options beside {@code --help} and {@code --json}, which every verb has
 */
public record VerbSpec(
        String name,
        String summary,
        List<String> description,
        List<Parameter> parameters,
        List<Option> options,
        List<Example> examples) {

    /** A command line and what it is good for. */
    public record Example(String command, String purpose) {}

    /** A verb with a name and a summary, and nothing else yet. */
    public static VerbSpec of(String name, String summary) {
        return new VerbSpec(name, summary, List.of(), List.of(), List.of(), List.of());
    }

    /** With a further paragraph. */
    public VerbSpec describe(String paragraph) {
        return new VerbSpec(name, summary, plus(description, paragraph), parameters, options, examples);
    }

    /** With a further parameter, the last one so far. */
    public VerbSpec parameter(Parameter parameter) {
        return new VerbSpec(name, summary, description, plus(parameters, parameter), options, examples);
    }

    /** With a further option. */
    public VerbSpec option(Option option) {
        return new VerbSpec(name, summary, description, parameters, plus(options, option), examples);
    }

    /** With further options. */
    public VerbSpec options(Collection<Option> more) {
        List<Option> all = new ArrayList<>(options);
        all.addAll(more);
        return new VerbSpec(name, summary, description, parameters, List.copyOf(all), examples);
    }

    /** With a further example; every verb has one. */
    public VerbSpec example(String command, String purpose) {
        return new VerbSpec(
                name, summary, description, parameters, options, plus(examples, new Example(command, purpose)));
    }

    private static <T> List<T> plus(List<T> list, T last) {
        List<T> all = new ArrayList<>(list);
        all.add(last);
        return List.copyOf(all);
    }
}

package io.ballast.cli;

import io.ballast.core.time.Durations;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * One call of a verb: what was given on the command line, already checked against the verb's {@link VerbSpec}, and
 * where to write.
 */
public final class Invocation {
    private final Map<String, List<String>> parameters;
    private final Map<String, List<String>> options;
    private final Terminal terminal;
    private final Map<String, String> environment;

    Invocation(
            Map<String, List<String>> parameters,
            Map<String, List<String>> options,
            Terminal terminal,
            Map<String, String> environment) {
        this.parameters = parameters;
        this.options = options;
        this.terminal = terminal;
        this.environment = environment;
    }

    /** Where to write. */
    public Terminal terminal() {
        return terminal;
    }

    /** The environment variables. */
    public Map<String, String> environment() {
        return environment;
    }

    /** Whether {@code --json} was given. */
    public boolean json() {
        return flag("--json");
    }

    /** A parameter that must be there, so it is. */
    public String parameter(String name) {
        List<String> values = parameters(name);
        if (values.isEmpty()) {
            throw new IllegalArgumentException("parameter " + name + " is not a required one");
        }
        return values.getFirst();
    }

    /** A parameter that may have been left out. */
    public Optional<String> optionalParameter(String name) {
        return parameters(name).stream().findFirst();
    }

    /** All words of a parameter that takes many. */
    public List<String> parameters(String name) {
        return parameters.getOrDefault(name, List.of());
    }

    /** Whether the option was given. */
    public boolean flag(String option) {
        return options.containsKey(option);
    }

    /** The option's value (the last one). */
    public Optional<String> value(String option) {
        List<String> values = values(option);
        return values.isEmpty() ? Optional.empty() : Optional.of(values.getLast());
    }

    /** All values of an option that may be repeated. */
    public List<String> values(String option) {
        return options.getOrDefault(option, List.of());
    }

    /** The value of an option of kind {@link ValueKind#NUMBER}. */
    public long number(String option, long otherwise) {
        return value(option).map(Long::parseLong).orElse(otherwise);
    }

    /** The value of an option of kind {@link ValueKind#DURATION}. */
    public Duration duration(String option, Duration otherwise) {
        return value(option).flatMap(Durations::parse).orElse(otherwise);
    }

    /** The value of an option of kind {@link ValueKind#FILE} or {@link ValueKind#DIRECTORY}. */
    public Optional<Path> path(String option) {
        return value(option).map(Path::of);
    }
}

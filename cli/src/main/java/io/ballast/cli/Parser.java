package io.ballast.cli;

import io.ballast.core.time.Durations;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The words after a verb, read as its {@link VerbSpec} says: {@code --name value}, {@code --name=value}, {@code -n
 * value}, {@code -abc} for flags, and {@code --} after which nothing is an option.
 */
final class Parser {
    /** Every verb has these. */
    static final List<Option> COMMON = List.of(
            Option.flag("--help", "show this help").letter('h'), Option.flag("--json", "answer in JSON, for programs"));

    private static final Pattern NEGATIVE = Pattern.compile("-[0-9]+");

    private final String command;
    private final VerbSpec spec;
    private final Map<String, List<String>> options = new LinkedHashMap<>();
    private final List<String> words = new ArrayList<>();

    /** @param command how the verb is called, for messages: {@code ballast server add} */
    Parser(String command, VerbSpec spec) {
        this.command = command;
        this.spec = spec;
    }

    /**
     * Reads the words.
     *
     * @throws Failure with {@link Exit#USAGE}; not for a missing or wrong parameter where {@code --help} was given
     */
    Invocation parse(List<String> args, Terminal terminal, Map<String, String> environment) throws Failure {
        int at = 0;
        while (at < args.size()) {
            String word = args.get(at);
            if (commandBegins(word)) {
                words.addAll(args.subList(word.equals("--") ? at + 1 : at, args.size()));
                break;
            }
            if (word.equals("--")) {
                words.addAll(args.subList(at + 1, args.size()));
                break;
            }
            if (word.startsWith("--")) {
                at = longOption(args, at);
            } else if (word.startsWith("-") && word.length() > 1 && !negativeNumber(word)) {
                at = letters(args, at);
            } else {
                words.add(word);
                at++;
            }
        }
        Map<String, List<String>> parameters = options.containsKey("--help") ? Map.of() : parameters();
        return new Invocation(parameters, options, terminal, environment);
    }

    /** Whether a program's command line begins at this word; its options are not ours. */
    private boolean commandBegins(String word) {
        int index = words.size();
        return index < spec.parameters().size()
                && spec.parameters().get(index).kind() == ValueKind.COMMAND
                && (index > 0 || !word.startsWith("-") || word.equals("--"));
    }

    /** Of use nowhere, but better told as what it is than as an option that does not exist. */
    private boolean negativeNumber(String word) {
        return NEGATIVE.matcher(word).matches() && find(word.substring(0, 2)).isEmpty();
    }

    private int longOption(List<String> args, int at) throws Failure {
        String word = args.get(at);
        int equals = word.indexOf('=');
        String name = equals < 0 ? word : word.substring(0, equals);
        Option option = find(name).orElseThrow(() -> unknown(name));
        if (option.isFlag()) {
            if (equals >= 0) {
                throw usage(name + " takes no value, but was given " + quote(word.substring(equals + 1)));
            }
            set(option, "");
            return at + 1;
        }
        if (equals >= 0) {
            set(option, word.substring(equals + 1));
            return at + 1;
        }
        return valueAfter(option, name, args, at);
    }

    private int letters(List<String> args, int at) throws Failure {
        String word = args.get(at);
        for (int i = 1; i < word.length(); i++) {
            String letter = "-" + word.charAt(i);
            Option option = find(letter).orElseThrow(() -> unknown(letter));
            if (!option.isFlag()) {
                if (i + 1 < word.length()) {
                    set(option, word.substring(i + 1));
                    return at + 1;
                }
                return valueAfter(option, letter, args, at);
            }
            set(option, "");
        }
        return at + 1;
    }

    private int valueAfter(Option option, String name, List<String> args, int at) throws Failure {
        if (at + 1 >= args.size()) {
            throw usage(name + " needs a value: " + name + " " + option.value());
        }
        set(option, args.get(at + 1));
        return at + 2;
    }

    private void set(Option option, String value) throws Failure {
        if (option.kind().isPresent()) {
            checkValue(option.name(), option.kind().get(), option.choices(), value);
        }
        List<String> values = options.computeIfAbsent(option.name(), n -> new ArrayList<>());
        if (!values.isEmpty() && !option.isFlag() && !option.repeatable()) {
            throw usage(option.name() + " was given twice: " + quote(values.getFirst()) + " and " + quote(value));
        }
        values.add(value);
    }

    private Optional<Option> find(String name) {
        for (List<Option> list : List.of(spec.options(), COMMON)) {
            for (Option option : list) {
                if (option.name().equals(name) || option.letter().equals(Optional.of(name))) {
                    return Optional.of(option);
                }
            }
        }
        return Optional.empty();
    }

    private Failure unknown(String name) {
        List<String> names = new ArrayList<>();
        spec.options().forEach(o -> names.add(o.name()));
        COMMON.forEach(o -> names.add(o.name()));
        String meant = Suggestions.nearest(name, names)
                .map(n -> "; did you mean " + n + "?")
                .orElse("");
        return usage("unknown option " + name + meant);
    }

    private Map<String, List<String>> parameters() throws Failure {
        Map<String, List<String>> found = new LinkedHashMap<>();
        int at = 0;
        for (Parameter parameter : spec.parameters()) {
            int end = parameter.many() ? words.size() : Math.min(at + 1, words.size());
            List<String> values = List.copyOf(words.subList(at, end));
            if (values.isEmpty() && parameter.required()) {
                throw usage("needs " + parameter.name().toUpperCase(Locale.ROOT) + ", " + parameter.help());
            }
            for (String value : values) {
                checkValue(parameter.name().toUpperCase(Locale.ROOT), parameter.kind(), parameter.choices(), value);
            }
            found.put(parameter.name(), values);
            at = end;
        }
        if (at < words.size()) {
            throw usage("does not know what to do with " + quote(words.get(at)));
        }
        return found;
    }

    private void checkValue(String name, ValueKind kind, List<String> choices, String value) throws Failure {
        switch (kind) {
            case NUMBER -> {
                if (NEGATIVE.matcher(value).matches()) {
                    throw usage(name + ": " + value + " is below zero");
                }
                if (value.isEmpty() || value.length() > 18 || !value.chars().allMatch(c -> c >= '0' && c <= '9')) {
                    throw usage(name + ": " + quote(value) + " is not a whole number");
                }
            }
            case DURATION -> {
                if (Durations.parse(value).isEmpty()) {
                    throw usage(name + ": " + quote(value)
                            + " is not a duration; give a number and its unit, for instance 100ms, 30s, 5m or 1h");
                }
            }
            case CHOICE -> {
                if (!choices.contains(value)) {
                    String meant = Suggestions.nearest(value, choices)
                            .map(n -> "; did you mean " + n + "?")
                            .orElse("");
                    throw usage(name + ": " + quote(value) + " is none of " + String.join(", ", choices) + meant);
                }
            }
            case TEXT, FILE, DIRECTORY, SERVICE, SERVER, COMMAND -> {
                if (value.isEmpty() && kind != ValueKind.TEXT && kind != ValueKind.COMMAND) {
                    throw usage(name + " is empty");
                }
            }
        }
    }

    private Failure usage(String message) {
        return Failure.usage(command + ": " + message + "\nTry: " + command + " --help");
    }

    private static String quote(String value) {
        return "\"" + value + "\"";
    }
}

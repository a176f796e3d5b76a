package io.ballast.cli;

import io.ballast.cli.Terminal.Style;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;

/** Help texts, from the verbs' metadata. */
final class Help {
    private static final int WIDTH = 96;

    private Help() {}

    /** The help of {@code ballast} itself. */
    static void overview(List<Verb> verbs, Terminal terminal) {
        PrintStream out = terminal.out();
        out.println("ballast: high availability and load balancing from one description of the service");
        out.println();
        out.println(terminal.style(Style.BOLD, "Usage:") + " ballast VERB [OPTIONS] [ARGUMENTS]");
        out.println();
        out.println(terminal.style(Style.BOLD, "Verbs:"));
        verbs.forEach(verb -> item(out, verb.spec().name(), verb.spec().summary()));
        ofCheckout().forEach((name, summary) -> item(out, name, summary));
        out.println();
        out.println("ballast VERB --help shows a verb's options and an example; --json makes any verb answer in JSON.");
        out.println("Exit codes: 0 done, 1 false or failed, 2 wrong usage or description, 3 not permitted.");
    }

    /** What the launcher of a checkout does itself, before there is a program; nothing elsewhere. */
    static SequencedMap<String, String> ofCheckout() {
        SequencedMap<String, String> verbs = new LinkedHashMap<>();
        if (Boolean.getBoolean("ballast.checkout")) {
            verbs.put("test", "Build and run every test");
            verbs.put("package", "Make a Debian package with its own Java run-time image");
        }
        return verbs;
    }

    /** The help of one verb. */
    static void of(String command, Verb verb, Terminal terminal) {
        VerbSpec spec = verb.spec();
        PrintStream out = terminal.out();
        out.println(command + ": " + spec.summary());
        out.println();
        out.println(terminal.style(Style.BOLD, "Usage:") + " " + usage(command, verb));
        for (String paragraph : spec.description()) {
            out.println();
            wrap(paragraph, WIDTH).forEach(out::println);
        }
        if (!verb.verbs().isEmpty()) {
            out.println();
            out.println(terminal.style(Style.BOLD, "Verbs:"));
            verb.verbs().forEach(v -> item(out, v.spec().name(), v.spec().summary()));
        }
        if (!spec.parameters().isEmpty()) {
            out.println();
            out.println(terminal.style(Style.BOLD, "Arguments:"));
            spec.parameters()
                    .forEach(p -> item(out, p.name().toUpperCase(Locale.ROOT), withChoices(p.help(), p.choices())));
        }
        out.println();
        out.println(terminal.style(Style.BOLD, "Options:"));
        options(spec).forEach(o -> item(out, synopsis(o), withChoices(o.help(), o.choices())));
        List<VerbSpec.Example> examples = examples(verb);
        if (!examples.isEmpty()) {
            out.println();
            out.println(terminal.style(Style.BOLD, examples.size() == 1 ? "Example:" : "Examples:"));
            for (VerbSpec.Example example : examples) {
                out.println("  " + example.command());
                out.println("      " + example.purpose());
            }
        }
    }

    /** {@code ballast drain SERVICE SERVER [OPTIONS]}. */
    static String usage(String command, Verb verb) {
        StringBuilder text = new StringBuilder(command);
        if (!verb.runsItself()) {
            text.append(" VERB");
        }
        text.append(" [OPTIONS]");
        for (Parameter parameter : verb.spec().parameters()) {
            String name = parameter.name().toUpperCase(Locale.ROOT) + (parameter.many() ? "..." : "");
            text.append(' ').append(parameter.required() ? name : "[" + name + "]");
        }
        return text.toString();
    }

    /** The verb's options, and those that every verb has. */
    static List<Option> options(VerbSpec spec) {
        List<Option> options = new ArrayList<>(spec.options());
        options.addAll(Parser.COMMON);
        return options;
    }

    /** The verb's examples, or those of the verbs below it. */
    static List<VerbSpec.Example> examples(Verb verb) {
        List<VerbSpec.Example> examples = new ArrayList<>(verb.spec().examples());
        if (examples.isEmpty()) {
            verb.verbs().forEach(v -> examples.addAll(v.spec().examples()));
        }
        return examples;
    }

    /** {@code -f, --follow} or {@code --since TIME}. */
    static String synopsis(Option option) {
        return option.letter().map(l -> l + ", ").orElse("")
                + option.name()
                + (option.isFlag() ? "" : " " + option.value());
    }

    /** The help text, and the words to choose from. */
    static String withChoices(String help, List<String> choices) {
        return choices.isEmpty() ? help : help + " (" + String.join(", ", choices) + ")";
    }

    private static void item(PrintStream out, String name, String help) {
        int indent = 24;
        List<String> lines = wrap(help, WIDTH - indent);
        String head = "  " + name;
        if (head.length() > indent - 2) {
            out.println(head);
            head = "";
        }
        for (String line : lines) {
            out.println(head + " ".repeat(indent - head.length()) + line);
            head = "";
        }
    }

    /** The text in lines of at most {@code width}. */
    static List<String> wrap(String text, int width) {
        List<String> lines = new ArrayList<>();
        StringBuilder line = new StringBuilder();
        for (String word : text.split(" ", -1)) {
            if (!line.isEmpty() && line.length() + 1 + word.length() > width) {
                lines.add(line.toString());
                line.setLength(0);
            }
            if (!line.isEmpty()) {
                line.append(' ');
            }
            line.append(word);
        }
        lines.add(line.toString());
        return lines;
    }
}

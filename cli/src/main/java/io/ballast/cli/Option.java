package io.ballast.cli;

import java.util.List;
import java.util.Optional;

/**
 * An option of a verb.
 *
 * @param name with its dashes: {@code --since}
 * @param letter with its dash: {@code -f}
 * @param kind empty where the option is a flag and takes no value
 * @param value what the value is called in help
 * @param choices the words allowed where the kind is {@link ValueKind#CHOICE}
 * @param repeatable whether it may be given more than once
 */
public record Option(
        String name,
        Optional<String> letter,
        Optional<ValueKind> kind,
        String value,
        String help,
        List<String> choices,
        boolean repeatable) {

    /** An option without a value. */
    public static Option flag(String name, String help) {
        return new Option(name, Optional.empty(), Optional.empty(), "", help, List.of(), false);
    }

    /** An option with a value. */
    public static Option value(String name, ValueKind kind, String value, String help) {
        return new Option(name, Optional.empty(), Optional.of(kind), value, help, List.of(), false);
    }

    /** An option whose value is one of a few words. */
    public static Option choice(String name, String value, String help, String... choices) {
        return new Option(name, Optional.empty(), Optional.of(ValueKind.CHOICE), value, help, List.of(choices), false);
    }

    /** With a letter as its short form. */
    public Option letter(char c) {
        return new Option(name, Optional.of("-" + c), kind, value, help, choices, repeatable);
    }

    /** That may be given more than once. */
    public Option repeated() {
        return new Option(name, letter, kind, value, help, choices, true);
    }

    /** Whether it takes no value. */
    public boolean isFlag() {
        return kind.isEmpty();
    }
}

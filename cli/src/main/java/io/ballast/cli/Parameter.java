package io.ballast.cli;

import java.util.List;

/**
 * A word of the command line that is told by its place.
 *
 * @param name in lower case; shown in capitals
 * @param many whether it takes all further words; only for the last one
 * @param choices the words allowed where the kind is {@link ValueKind#CHOICE}
 */
public record Parameter(
        String name, ValueKind kind, String help, boolean required, boolean many, List<String> choices) {

    /** One word that must be there. */
    public static Parameter required(String name, ValueKind kind, String help) {
        return new Parameter(name, kind, help, true, false, List.of());
    }

    /** One word that may be left out. */
    public static Parameter optional(String name, ValueKind kind, String help) {
        return new Parameter(name, kind, help, false, false, List.of());
    }

    /** One of a few words, which must be there. */
    public static Parameter choice(String name, String help, String... choices) {
        return new Parameter(name, ValueKind.CHOICE, help, true, false, List.of(choices));
    }

    /** All further words; at least one where {@code required}. */
    public static Parameter many(String name, ValueKind kind, String help, boolean required) {
        return new Parameter(name, kind, help, required, true, List.of());
    }
}

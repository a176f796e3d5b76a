package io.ballast.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;

/** Every verb there is: those of this room by name, those of the rooms above through {@link ServiceLoader}. */
final class Verbs {
    /** The verbs of this room, in the order of the help; {@link #builtIn} makes each. */
    private static final List<String> NAMES = List.of("version");

    private Verbs() {}

    /** The verb of this name. Those of the rooms above are only looked for where no built-in one has it. */
    static Optional<Verb> find(String name) {
        if (NAMES.contains(name)) {
            return Optional.of(builtIn(name));
        }
        for (Verb verb : above()) {
            if (verb.spec().name().equals(name)) {
                return Optional.of(verb);
            }
        }
        return Optional.empty();
    }

    /** All of them: this room's first, then the others by name. */
    static List<Verb> all() {
        List<Verb> verbs = new ArrayList<>();
        NAMES.forEach(name -> verbs.add(builtIn(name)));
        verbs.addAll(above());
        return verbs;
    }

    private static Verb builtIn(String name) {
        return switch (name) {
            case "version" -> new VersionVerb();
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static List<Verb> above() {
        List<Verb> verbs = new ArrayList<>();
        ServiceLoader.load(Verb.class).forEach(verbs::add);
        verbs.sort((a, b) -> a.spec().name().compareTo(b.spec().name()));
        return verbs;
    }
}

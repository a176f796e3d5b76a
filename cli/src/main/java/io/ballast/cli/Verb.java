package io.ballast.cli;

import java.util.List;

/**
 * One verb of {@code ballast}: what it is called and takes, and what it does.
 *
 * <p>The verbs of this room are found by name without loading the others. A room above adds its own by naming them in
 * {@code META-INF/services/io.ballast.cli.Verb}; such a class is public and has a public constructor without
 * parameters, and nothing expensive happens before {@link #run}.
 */
public interface Verb {

    /** Name, help, parameters and options; help, completion, man page and parsing all come from it. */
    VerbSpec spec();

    /** The verbs below this one ({@code ballast server add}). */
    default List<Verb> verbs() {
        return List.of();
    }

    /** Whether it is run itself where no verb below it is named; else one must be. */
    default boolean runsItself() {
        return verbs().isEmpty();
    }

    /**
     * Does it.
     *
     * @return the exit code, see {@link Exit}
     * @throws Failure what the user is told, and the exit code
     * @throws Exception anything else is told in one line too, and ends with {@link Exit#FAILED}
     */
    int run(Invocation call) throws Exception;
}

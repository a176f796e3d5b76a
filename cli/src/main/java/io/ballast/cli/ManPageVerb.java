package io.ballast.cli;

import java.util.List;

/** {@code ballast manpage}. */
final class ManPageVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of("manpage", "Print the man page, made from the verbs as they are")
                .option(Option.flag("--markdown", "the same as a page of Markdown (docs/reference/cli.md)"))
                .example("ballast manpage | man -l -", "read it here");
    }

    @Override
    public int run(Invocation call) {
        List<Verb> verbs = Verbs.all();
        call.terminal().out().print(call.flag("--markdown") ? Reference.markdown(verbs) : Reference.manPage(verbs));
        return Exit.DONE;
    }
}

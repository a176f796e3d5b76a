package io.ballast.cli;

import java.util.List;
import java.util.Locale;

/** The verbs' metadata as documents: the man page (roff) and the reference in the manual (Markdown). */
final class Reference {
    private Reference() {}

    /** What both say beside the verbs: file or variable, and its meaning. */
    private static final List<String[]> FILES = List.of(
            new String[] {"/etc/ballast/ballast.yaml", "the description that the service of the package runs"},
            new String[] {"RUNDIR/control.sock", "the control socket of the daemon, for its user only"},
            new String[] {"/var/lib/ballast", "journal and overrides; ~/.local/state/ballast for an ordinary user"});

    private static final List<String[]> ENVIRONMENT = List.of(
            new String[] {
                "BALLAST_RUN_DIR",
                "RUNDIR; without it /run/ballast for root, $XDG_RUNTIME_DIR/ballast or /tmp/ballast-UID for others"
            },
            new String[] {"BALLAST_STATE_DIR", "where journal and overrides are kept"},
            new String[] {"BALLAST_JAVA_HOME", "the JDK that a checkout uses; a package brings its own"},
            new String[] {"BALLAST_JAVA_OPTS", "further options for every JVM that is started"},
            new String[] {"BALLAST_WORKER_JAVA_OPTS", "further options for the JVM of the worker"},
            new String[] {"NO_COLOR", "when set to anything, no colours"});

    private static final List<String[]> EXITS = List.of(
            new String[] {"0", "done, or what was asked about is true"},
            new String[] {"1", "it failed, or what was asked about is false"},
            new String[] {"2", "wrong usage or a wrong description"},
            new String[] {"3", "not permitted"});

    /** {@code ballast.1}, in the man macros. */
    static String manPage(List<Verb> verbs) {
        StringBuilder page = new StringBuilder();
        page.append(".\\\" Made by: ballast manpage\n");
        page.append(".TH BALLAST 1 \"\" \"ballast\" \"User Commands\"\n");
        page.append(".SH NAME\nballast \\- high availability and load balancing from one description of the service\n");
        page.append(".SH SYNOPSIS\n.B ballast\n.I VERB\n[OPTIONS] [ARGUMENTS]\n");
        page.append(".SH DESCRIPTION\n");
        page.append(roff("One program runs on every node of a service and plays the parts that ballast.yaml, the same"
                + " file on every node, gives that node. The first word is a verb. Every verb takes --help and"
                + " --json.\n"));
        page.append(".SH VERBS\n");
        verbs.forEach(verb -> manVerb(page, "ballast", verb));
        manTable(page, "EXIT STATUS", EXITS);
        manTable(page, "FILES", FILES);
        manTable(page, "ENVIRONMENT", ENVIRONMENT);
        return page.toString();
    }

    private static void manVerb(StringBuilder page, String prefix, Verb verb) {
        VerbSpec spec = verb.spec();
        String command = prefix + " " + spec.name();
        if (verb.runsItself()) {
            page.append(".SS \"" + roff(Help.usage(command, verb)) + "\"\n" + roff(spec.summary()) + ".\n");
        } else {
            page.append(".SS \"" + roff(command) + "\"\n" + roff(spec.summary()) + ".\n");
        }
        spec.description().forEach(p -> page.append(".PP\n" + roff(p) + "\n"));
        for (Parameter p : spec.parameters()) {
            page.append(".TP\n.I " + roff(p.name().toUpperCase(Locale.ROOT)) + "\n"
                    + roff(Help.withChoices(p.help(), p.choices())) + "\n");
        }
        for (Option o : spec.options()) {
            page.append(
                    ".TP\n.B " + roff(Help.synopsis(o)) + "\n" + roff(Help.withChoices(o.help(), o.choices())) + "\n");
        }
        for (VerbSpec.Example example : spec.examples()) {
            page.append(".PP\n" + roff(sentence(example.purpose())) + ":\n.PP\n.RS\n.nf\n" + roff(example.command())
                    + "\n.fi\n.RE\n");
        }
        verb.verbs().forEach(v -> manVerb(page, command, v));
    }

    private static void manTable(StringBuilder page, String title, List<String[]> rows) {
        page.append(".SH " + title + "\n");
        rows.forEach(row -> page.append(".TP\n.B " + roff(row[0]) + "\n" + roff(row[1]) + "\n"));
    }

    /** Text that roff shows as it is (groff_char(7), groff(7)). */
    private static String roff(String text) {
        String escaped = text.replace("\\", "\\e")
                .replace("-", "\\-")
                .replace("\"", "\\(dq")
                .replace("~", "\\(ti");
        escaped = escaped.replace("^", "\\(ha").replace("`", "\\(ga");
        return escaped.startsWith(".") || escaped.startsWith("'") ? "\\&" + escaped : escaped;
    }

    /** {@code docs/reference/cli.md}. */
    static String markdown(List<Verb> verbs) {
        StringBuilder page = new StringBuilder();
        page.append(
                "<!-- Made by: ballast manpage --markdown. A test compares; do not edit. -->\n\n# The verbs of ballast\n\n");
        page.append("`ballast VERB [OPTIONS] [ARGUMENTS]`. Every verb takes `--help` and `--json`.\n\n");
        page.append("| verb | what it does |\n|---|---|\n");
        verbs.forEach(verb -> page.append("| [" + verb.spec().name() + "](#ballast-"
                + verb.spec().name() + ") | " + verb.spec().summary() + " |\n"));
        verbs.forEach(verb -> markdownVerb(page, "ballast", "##", verb));
        markdownTable(page, "Exit status", EXITS);
        markdownTable(page, "Files", FILES);
        markdownTable(page, "Environment", ENVIRONMENT);
        return page.toString();
    }

    private static void markdownVerb(StringBuilder page, String prefix, String level, Verb verb) {
        VerbSpec spec = verb.spec();
        String command = prefix + " " + spec.name();
        page.append("\n" + level + " " + command + "\n\n" + spec.summary() + ".\n");
        if (verb.runsItself()) {
            page.append("\n```\n" + Help.usage(command, verb) + "\n```\n");
        }
        spec.description().forEach(p -> page.append("\n" + p + "\n"));
        if (!spec.parameters().isEmpty() || !spec.options().isEmpty()) {
            page.append("\n| | |\n|---|---|\n");
        }
        for (Parameter p : spec.parameters()) {
            page.append("| `" + p.name().toUpperCase(Locale.ROOT) + "` | " + Help.withChoices(p.help(), p.choices())
                    + " |\n");
        }
        for (Option o : spec.options()) {
            page.append("| `" + Help.synopsis(o) + "` | " + Help.withChoices(o.help(), o.choices()) + " |\n");
        }
        for (VerbSpec.Example example : spec.examples()) {
            page.append("\n" + sentence(example.purpose()) + ":\n\n```\n" + example.command() + "\n```\n");
        }
        verb.verbs().forEach(v -> markdownVerb(page, command, level + "#", v));
    }

    private static String sentence(String text) {
        return text.substring(0, 1).toUpperCase(Locale.ROOT) + text.substring(1);
    }

    private static void markdownTable(StringBuilder page, String title, List<String[]> rows) {
        page.append("\n## " + title + "\n\n| | |\n|---|---|\n");
        rows.forEach(row -> page.append("| `" + row[0] + "` | " + row[1] + " |\n"));
    }
}

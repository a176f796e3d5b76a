package io.ballast.core.yaml;

import java.util.Optional;

/** The parser's messages in words that say what to do. */
final class SyntaxMessages {
    static final String SECOND_DOCUMENT = "a second document begins here; a description is one document";

    private SyntaxMessages() {}

    /**
     * What to say at the beginning of a list or map in brackets that does not end; nothing where something else is wrong.
     *
     * @param later whether the parser noticed in a later line, where it says what it expected
     */
    static Optional<String> unclosed(String problem, boolean map, boolean later, int line, int column) {
        boolean separator = problem.startsWith("expected ',' or");
        if (!separator && !problem.startsWith("expected the node content")) {
            return Optional.empty();
        }
        String bracket = map ? "'{'" : "'['";
        if (problem.contains("<stream end>")) {
            return Optional.of("this " + bracket + " is never closed");
        }
        boolean other = problem.endsWith("but got }") || problem.endsWith("but got ]");
        return separator && (later || other)
                ? Optional.of("this " + bracket + " is not closed; line " + line + ", column " + column
                        + " should be ',' or '" + (map ? '}' : ']') + "'")
                : Optional.empty();
    }

    static String friendly(String context, String problem, String since) {
        if (problem.startsWith("mapping values are not allowed")) {
            return "a ':' makes a key here, where none can stand; indent the line as its neighbours, give the line"
                    + " before it its ':', or quote a text that contains ': '";
        }
        if (problem.startsWith("could not find expected ':'")) {
            return "expected a ':' after this key" + since;
        }
        if (problem.startsWith("found character '\\t")) {
            return "a tab; YAML is indented with spaces";
        }
        if (problem.startsWith("found character")) {
            return problem.substring("found ".length(), problem.indexOf(" that")) + " cannot begin a text; quote it";
        }
        if (problem.startsWith("found unexpected end of stream")
                || problem.startsWith("found unexpected document separator")) {
            return "this quote is never closed";
        }
        if (problem.startsWith("expected '<document start>'")) {
            return SECOND_DOCUMENT;
        }
        if (problem.contains("expected <block end>")) {
            return "this line does not fit the block" + since
                    + "; indent it as its neighbours (list items begin with '- ', keys end with ':')";
        }
        if (problem.contains("expected ',' or '}'") || problem.contains("expected ',' or ']'")) {
            char close = problem.contains("'}'") ? '}' : ']';
            return "expected ',' or '" + close + "'" + (close == '}' ? " in the map" : " in the list") + since;
        }
        if (problem.startsWith("found unknown escape character")) {
            String letter = problem.substring(problem.indexOf("character") + 10, problem.indexOf('('));
            return "\\" + letter + " is no escape; write \\\\ for a backslash, or use single quotes";
        }
        if (problem.startsWith("sequence entries are not allowed")) {
            return "a list item ('- ') cannot stand here; put it on its own line, indented below its key";
        }
        if (problem.startsWith("mapping keys are not allowed")) {
            return "a key cannot stand here; indent the line as its neighbours";
        }
        String text = context.isEmpty() ? problem : problem + " (" + context + since + ")";
        return text.replace("<stream end>", "the end of the file").replace("<document start>", "'---'");
    }
}

package io.ballast.core.config;

/**
 * One thing that is wrong, or doubtful, in a description.
 *
 * @param file the file as the user named it
 * @param line from 1; 0 where the problem has no place
 * @param column from 1
 * @param path where in the document, for instance {@code services.web.servers[0].weight}
 * @param message what is wrong, and what would be right
 * @param excerpt the line and a caret under the column; empty where there is none
 */
public record Problem(
        Severity severity, String file, int line, int column, String path, String message, String excerpt) {

    /** How much a problem matters. */
    public enum Severity {
        /** The description cannot be used. */
        ERROR,
        /** It can, but probably not as meant. */
        WARNING
    }

    /** {@code file:line:column: error: path: message}, and the excerpt below it. */
    @Override
    public String toString() {
        String where = line > 0 ? file + ":" + line + ":" + column : file;
        String head = where + ": " + severity.name().toLowerCase(java.util.Locale.ROOT) + ": "
                + (path.isEmpty() ? "" : path + ": ") + message;
        return excerpt.isEmpty() ? head : head + "\n" + excerpt;
    }
}

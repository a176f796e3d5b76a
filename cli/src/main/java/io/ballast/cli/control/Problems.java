package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Json;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.core.config.Problem;
import java.util.Locale;

/** What is wrong in a description, as it is shown and as it is told to programs. */
public final class Problems {
    private Problems() {}

    /** For programs; the same form as the control API's. */
    public static JsonObject json(Problem problem) {
        JsonObject json = new JsonObject();
        json.addProperty("severity", problem.severity().name().toLowerCase(Locale.ROOT));
        json.addProperty("file", problem.file());
        json.addProperty("line", problem.line());
        json.addProperty("column", problem.column());
        json.addProperty("path", problem.path());
        json.addProperty("message", problem.message());
        json.addProperty("excerpt", problem.excerpt());
        return json;
    }

    /** For people, on the error stream: {@code file:line:column: error: path: message}, and the excerpt. */
    public static String text(JsonObject problem, Terminal terminal) {
        boolean error = !Json.text(problem, "severity").equalsIgnoreCase("warning");
        long line = Json.number(problem, "line");
        String where = Json.text(problem, "file") + (line > 0 ? ":" + line + ":" + Json.number(problem, "column") : "");
        String path = Json.text(problem, "path");
        String excerpt = Json.text(problem, "excerpt");
        return terminal.errorStyle(Style.BOLD, where + ":") + " "
                + terminal.errorStyle(error ? Style.RED : Style.YELLOW, error ? "error:" : "warning:") + " "
                + (path.isEmpty() ? "" : path + ": ")
                + Json.text(problem, "message")
                + (excerpt.isEmpty() ? "" : "\n" + excerpt);
    }
}

package io.ballast.bench;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What an area's run found.
 *
 * @param notes versions, what saturated, what was left out and why
 */
record Results(String area, List<Row> rows, List<String> notes) {

    /** What was measured and misses its target. */
    List<Row> missed() {
        return rows.stream().filter(row -> !row.met() && row.failure() == null).toList();
    }

    /** What could not be measured. */
    List<Row> failed() {
        return rows.stream().filter(row -> row.failure() != null).toList();
    }

    JsonObject json() {
        JsonObject json = new JsonObject();
        json.addProperty("area", area);
        JsonArray array = new JsonArray();
        rows.forEach(row -> array.add(row.json()));
        json.add("rows", array);
        JsonArray remarks = new JsonArray();
        notes.forEach(remarks::add);
        json.add("notes", remarks);
        return json;
    }

    /** As a table of Markdown, whose columns also line up as plain text. */
    String table() {
        List<List<String>> cells = new ArrayList<>();
        cells.add(List.of("figure", "unit", "ours", "peer", "floor", "ratio", "to floor", "target", ""));
        for (Row row : rows) {
            cells.add(List.of(
                    row.name(),
                    row.unit(),
                    text(row.ours()),
                    text(row.peer()),
                    text(row.floor()),
                    text(row.ratio()),
                    text(row.toFloor()),
                    row.target() == null ? "" : row.target().text(),
                    verdict(row)));
        }
        int columns = cells.getFirst().size();
        int[] width = new int[columns];
        for (List<String> line : cells) {
            for (int i = 0; i < columns; i++) {
                width[i] = Math.max(width[i], line.get(i).length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (int l = 0; l < cells.size(); l++) {
            for (int i = 0; i < columns; i++) {
                String cell = cells.get(l).get(i);
                text.append("| ").append(cell).append(" ".repeat(width[i] - cell.length() + 1));
            }
            text.append("|\n");
            if (l == 0) {
                for (int i = 0; i < columns; i++) {
                    text.append("|").append("-".repeat(width[i] + 2));
                }
                text.append("|\n");
            }
        }
        return text.toString();
    }

    private static String verdict(Row row) {
        if (row.failure() != null) {
            return "FAILED";
        }
        return row.target() == null ? "" : row.met() ? "met" : "MISSED";
    }

    private static String text(@Nullable Sample sample) {
        return sample == null ? "" : sample.text();
    }
}

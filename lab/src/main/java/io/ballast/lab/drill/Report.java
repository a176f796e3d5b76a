package io.ballast.lab.drill;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.cli.Table;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.load.Outcome;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A drill's report: the table, and what is to be read under it.
 *
 * @param note what is to be known about the limits
 */
public record Report(String title, LoadPlan plan, long faultsPerYear, List<Row> rows, Optional<String> note) {

    /** Whether no limit was exceeded. */
    public boolean kept() {
        return rows.stream().allMatch(r -> r.exceeded().isEmpty());
    }

    /** The table for people. */
    public List<String> lines() {
        Table table = new Table(
                "SCENARIO",
                ">REQUESTS",
                ">FAILED",
                ">GAP",
                ">P50",
                ">P99",
                ">MAX",
                ">LEFT",
                ">BACK",
                "SORRY",
                ">DOWN",
                ">CLASS",
                "LIMITS");
        for (Row row : rows) {
            if (row.seen().isEmpty()) {
                String name = row.scenario().label();
                table.row(
                        name,
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        "-",
                        row.skipped() ? "not run" : "FAILED");
                continue;
            }
            Observation seen = row.seen().get();
            LoadResult load = seen.load();
            Duration yearly = Availability.yearly(load.downtime(), faultsPerYear);
            table.row(
                    row.scenario().label(),
                    Long.toString(load.requests()),
                    Long.toString(load.failures()),
                    time(load.longestGap()),
                    time(load.p50()),
                    time(load.p99()),
                    time(load.max()),
                    optional(seen.left()),
                    optional(seen.back()),
                    load.count(Outcome.SORRY) > 0 ? load.count(Outcome.SORRY) + "x" : "-",
                    time(load.downtime()),
                    Availability.label(Availability.classOf(yearly)),
                    row.exceeded().isEmpty() ? "kept" : "EXCEEDED");
        }
        List<String> lines = new ArrayList<>();
        lines.add(title);
        lines.addAll(table.lines());
        for (Row row : rows) {
            if (!row.kinds().isEmpty()) {
                lines.add(row.scenario().label() + ": failures were " + row.kinds());
            }
            if (row.skipped()) {
                lines.add(row.scenario().label() + ": not run: " + row.reason());
            }
            row.seen()
                    .flatMap(Observation::handover)
                    .ifPresent(h -> lines.add(row.scenario().label() + ": " + h.sentence()));
            row.exceeded().forEach(e -> lines.add(row.scenario().label() + ": EXCEEDED: " + e));
        }
        note.ifPresent(lines::add);
        lines.add("GAP: longest time without a right answer. P50, P99, MAX: latency from the moment a request was due."
                + " LEFT, BACK: until the server was out of the table, and in it again.");
        if (rows.stream().anyMatch(row -> row.scenario().movesAddress())) {
            lines.add(
                    "LEFT, BACK where it is about the master: from the fault until another node was master, and from its"
                            + " end until one node alone was, for good.");
        }
        lines.add(
                "DOWN: time in which requests failed or got only the sorry page, in steps of 100 ms. CLASS: availability"
                        + " class with " + faultsPerYear + " such faults a year (5 = 99.999 %, 5 minutes a year).");
        return lines;
    }

    /** For programs. */
    public JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("title", title);
        json.addProperty("rate", plan.rate());
        json.addProperty("faultsPerYear", faultsPerYear);
        json.addProperty("kept", kept());
        note.ifPresent(n -> json.addProperty("note", n));
        JsonArray array = new JsonArray();
        rows.forEach(r -> array.add(r.toJson(faultsPerYear)));
        json.add("rows", array);
        return json;
    }

    private static String optional(Optional<Duration> duration) {
        return duration.map(Report::time).orElse("-");
    }

    /** {@code 850us}, {@code 4.2ms}, {@code 312ms}, {@code 2.10s}, and {@code 0} for nothing. */
    public static String time(Duration duration) {
        double micros = duration.toNanos() / 1000.0;
        if (micros <= 0) {
            return "0";
        }
        if (micros < 999.5) {
            return String.format(Locale.ROOT, "%.0fus", micros);
        }
        if (micros < 9_950) {
            return String.format(Locale.ROOT, "%.1fms", micros / 1000);
        }
        if (micros < 999_500) {
            return String.format(Locale.ROOT, "%.0fms", micros / 1000);
        }
        return String.format(Locale.ROOT, "%.2fs", micros / 1_000_000);
    }
}

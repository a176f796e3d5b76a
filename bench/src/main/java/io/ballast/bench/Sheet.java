package io.ballast.bench;

import io.ballast.cli.Failure;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** Collects what an area measures, so that what cannot be measured takes nothing else with it. */
final class Sheet {
    private final List<Row> rows = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private final List<String> passedOver = new ArrayList<>();
    private final String only;
    private final Consumer<String> progress;

    /** Measures something and puts one or several rows on the sheet. */
    interface Measurement {
        void take() throws IOException, Failure, InterruptedException;
    }

    /** @param only what is measured has this in its name; empty for everything */
    Sheet(String only, Consumer<String> progress) {
        this.only = only;
        this.progress = progress;
    }

    /** Says what is being done. */
    void progress(String line) {
        progress.accept(line);
    }

    void add(Row row) {
        rows.add(row);
    }

    void note(String text) {
        notes.add(text);
    }

    /** What was not measured, as its name has not what was asked for. */
    List<String> passedOver() {
        return List.copyOf(passedOver);
    }

    /** Measures; where that fails, a row under this name says why, and the next measurement may be taken. */
    void measure(String name, String unit, Measurement measurement) throws InterruptedException {
        if (!name.contains(only)) {
            passedOver.add(name);
            return;
        }
        attempt(name, unit, measurement);
    }

    /** Likewise, whatever its name. */
    void attempt(String name, String unit, Measurement measurement) throws InterruptedException {
        try {
            measurement.take();
        } catch (IOException | Failure e) {
            String reason = e.getMessage() == null ? e.toString() : e.getMessage();
            progress.accept(name + ": failed: " + reason);
            rows.add(Row.failed(name, unit, reason.strip().replaceAll("\\s*\\n\\s*", " / ")));
        }
    }

    Results results(String area) {
        return new Results(area, List.copyOf(rows), List.copyOf(notes));
    }
}

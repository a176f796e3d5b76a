package io.ballast.lab.drill;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.lab.load.Outcome;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * One line of a drill's report.
 *
 * @param seen what was seen; empty where the scenario was not run
 * @param reason why it was not run, or what went wrong in it; empty otherwise
 * @param exceeded the limits that were exceeded
 */
public record Row(Scenario scenario, Optional<Observation> seen, String reason, List<String> exceeded) {

    static Row skipped(Scenario scenario, String reason) {
        return new Row(scenario, Optional.empty(), reason, List.of());
    }

    static Row failed(Scenario scenario, String reason) {
        return new Row(scenario, Optional.empty(), reason, List.of(reason));
    }

    static Row of(Scenario scenario, Observation seen, List<Limit> limits) {
        List<String> exceeded =
                limits.stream().flatMap(l -> l.exceeded(seen).stream()).toList();
        return new Row(scenario, Optional.of(seen), "", exceeded);
    }

    /** Whether it was not run, without anything having gone wrong. */
    boolean skipped() {
        return seen.isEmpty() && exceeded.isEmpty();
    }

    /** The row in a few words, for progress. */
    String summary() {
        return seen.map(s -> s.load().failures() + " of " + s.load().requests() + " requests failed"
                        + (exceeded.isEmpty() ? "" : "; a limit was exceeded"))
                .orElse("not run: " + reason);
    }

    /** What the failures were: {@code 3 reset, 1 timeout}. */
    String kinds() {
        return seen.map(s -> s.load().outcomes().entrySet().stream()
                        .filter(e -> e.getKey().failed() && e.getValue() > 0)
                        .sorted((a, b) -> Long.compare(b.getValue(), a.getValue()))
                        .map(e -> e.getValue() + " " + e.getKey().label())
                        .collect(Collectors.joining(", ")))
                .orElse("");
    }

    JsonObject toJson(long faultsPerYear) {
        JsonObject json = new JsonObject();
        json.addProperty("scenario", scenario.label());
        json.addProperty("title", scenario.title());
        json.addProperty("run", seen.isPresent());
        if (!reason.isEmpty()) {
            json.addProperty("reason", reason);
        }
        seen.ifPresent(s -> {
            Duration downtime = s.load().downtime();
            Duration yearly = Availability.yearly(downtime, faultsPerYear);
            s.left().ifPresent(d -> json.addProperty("leftMicros", d.toNanos() / 1000));
            s.back().ifPresent(d -> json.addProperty("backMicros", d.toNanos() / 1000));
            json.addProperty("sorryShown", s.load().count(Outcome.SORRY) > 0);
            json.addProperty("downtimeMillis", downtime.toMillis());
            json.addProperty("yearlyDowntimeMillis", yearly.toMillis());
            json.addProperty("availabilityClass", Availability.classOf(yearly));
            s.handover().ifPresent(h -> json.add("takeover", h.toJson()));
            json.add("load", s.load().toJson());
        });
        JsonArray limits = new JsonArray();
        exceeded.forEach(limits::add);
        json.add("exceeded", limits);
        return json;
    }
}

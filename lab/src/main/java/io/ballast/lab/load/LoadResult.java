package io.ballast.lab.load;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a run of load saw.
 *
 * @param started when the first request was due
 * @param duration from the first request's intended start to the end of sending
 * @param outcomes how many requests ended how; the ones that never occurred are left out
 * @param servers right answers by the server that gave them
 * @param longestGap the longest time without a right answer, the run's start and end taken as right answers
 * @param p50 median time from the intended start to the whole answer, over all right answers and sorry pages
 * @param p99 99th percentile of the same
 * @param max the longest of the same
 * @param cpu what the generator itself used, user and system
 * @param timeline the run in slices of {@link Tally#SLICE}, by intended start
 */
public record LoadResult(
        Instant started,
        Duration duration,
        Map<Outcome, Long> outcomes,
        Map<String, Long> servers,
        Duration longestGap,
        Duration p50,
        Duration p99,
        Duration max,
        Duration cpu,
        List<Slice> timeline) {

    /**
     * One slice of the run: the requests that were due in it.
     *
     * @param servers right answers by server
     */
    public record Slice(long ok, long sorry, long failed, Map<String, Long> servers) {}

    /** How many requests ended so. */
    public long count(Outcome outcome) {
        return outcomes.getOrDefault(outcome, 0L);
    }

    /** All requests that were due. */
    public long requests() {
        return outcomes.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Requests that got neither their page nor the sorry page. */
    public long failures() {
        return outcomes.entrySet().stream()
                .filter(e -> e.getKey().failed())
                .mapToLong(Map.Entry::getValue)
                .sum();
    }

    /**
     * The time in which the service was not there: the slices in which a request that was due failed or got only the
     * sorry page.
     */
    public Duration downtime() {
        long down = timeline.stream().filter(s -> s.failed() + s.sorry() > 0).count();
        return Tally.SLICE.multipliedBy(down);
    }

    /** Failures of requests that were due at or after {@code time}, to the next full slice. */
    public long failuresSince(Instant time) {
        long sliceNanos = Tally.SLICE.toNanos();
        long first = Math.max(0, Math.ceilDiv(Duration.between(started, time).toNanos(), sliceNanos));
        return timeline.stream().skip(first).mapToLong(Slice::failed).sum();
    }

    /** The slices in which requests were due that failed, by their beginning. */
    public Map<Instant, Slice> failing() {
        TreeMap<Instant, Slice> failing = new TreeMap<>();
        for (int i = 0; i < timeline.size(); i++) {
            if (timeline.get(i).failed() > 0) {
                failing.put(started.plus(Tally.SLICE.multipliedBy(i)), timeline.get(i));
            }
        }
        return failing;
    }

    /** For the process that asked, and for {@code --json}. */
    public JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("started", started.toString());
        json.addProperty("durationMicros", micros(duration));
        json.addProperty("requests", requests());
        json.addProperty("failures", failures());
        JsonObject kinds = new JsonObject();
        outcomes.forEach((kind, n) -> kinds.addProperty(kind.name(), n));
        json.add("outcomes", kinds);
        json.add("servers", counts(servers));
        json.addProperty("longestGapMicros", micros(longestGap));
        json.addProperty("p50Micros", micros(p50));
        json.addProperty("p99Micros", micros(p99));
        json.addProperty("maxMicros", micros(max));
        json.addProperty("generatorCpuMicros", micros(cpu));
        JsonArray slices = new JsonArray();
        for (Slice slice : timeline) {
            JsonArray row = new JsonArray();
            row.add(slice.ok());
            row.add(slice.sorry());
            row.add(slice.failed());
            row.add(counts(slice.servers()));
            slices.add(row);
        }
        json.add("timeline", slices);
        return json;
    }

    static LoadResult fromJson(JsonObject json) {
        EnumMap<Outcome, Long> outcomes = new EnumMap<>(Outcome.class);
        json.getAsJsonObject("outcomes")
                .asMap()
                .forEach((kind, n) -> outcomes.put(Outcome.valueOf(kind), n.getAsLong()));
        List<Slice> timeline = new ArrayList<>();
        for (JsonElement element : json.getAsJsonArray("timeline")) {
            JsonArray row = element.getAsJsonArray();
            timeline.add(new Slice(
                    row.get(0).getAsLong(),
                    row.get(1).getAsLong(),
                    row.get(2).getAsLong(),
                    counts(row.get(3).getAsJsonObject())));
        }
        return new LoadResult(
                Instant.parse(json.get("started").getAsString()),
                duration(json, "durationMicros"),
                Map.copyOf(outcomes),
                counts(json.getAsJsonObject("servers")),
                duration(json, "longestGapMicros"),
                duration(json, "p50Micros"),
                duration(json, "p99Micros"),
                duration(json, "maxMicros"),
                duration(json, "generatorCpuMicros"),
                List.copyOf(timeline));
    }

    static JsonObject counts(Map<String, Long> counts) {
        JsonObject json = new JsonObject();
        counts.forEach(json::addProperty);
        return json;
    }

    static Map<String, Long> counts(JsonObject json) {
        Map<String, Long> counts = new TreeMap<>();
        json.asMap().forEach((name, n) -> counts.put(name, n.getAsLong()));
        return counts;
    }

    private static long micros(Duration duration) {
        return duration.toNanos() / 1000;
    }

    private static Duration duration(JsonObject json, String name) {
        return Duration.ofNanos(json.get(name).getAsLong() * 1000);
    }
}

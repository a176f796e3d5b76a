package io.ballast.lab.load;

import com.google.gson.JsonObject;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;

/**
 * What ended since the sample before.
 *
 * @param at when the sample was taken
 * @param sent requests that were due
 * @param servers right answers by server
 * @param max the slowest answer
 */
public record Sample(Instant at, long sent, long ok, long sorry, long failed, Map<String, Long> servers, Duration max) {

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("at", at.toString());
        json.addProperty("sent", sent);
        json.addProperty("ok", ok);
        json.addProperty("sorry", sorry);
        json.addProperty("failed", failed);
        json.add("servers", LoadResult.counts(servers));
        json.addProperty("maxMicros", max.toNanos() / 1000);
        return json;
    }

    static Sample fromJson(JsonObject json) {
        return new Sample(
                Instant.parse(json.get("at").getAsString()),
                json.get("sent").getAsLong(),
                json.get("ok").getAsLong(),
                json.get("sorry").getAsLong(),
                json.get("failed").getAsLong(),
                LoadResult.counts(json.getAsJsonObject("servers")),
                Duration.ofNanos(json.get("maxMicros").getAsLong() * 1000));
    }
}

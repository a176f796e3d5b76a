package io.ballast.lab.drill;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What became of a service's address that several nodes share.
 *
 * @param from who had it before the fault
 * @param taker the first other node that became master during the fault; empty where none did
 * @param to who had it at the end of the fault, as the network saw it or, where nobody could ask that, as the nodes said;
 *     with commas where there were several
 * @param last who had it in the end; with commas where there were several, empty where nobody had it
 * @param taken from the beginning of the fault until another node was master; empty where none was
 * @param silent from the beginning of the fault until the one before answered for the address for the last time, before
 *     the fault ended; empty where nobody could ask
 * @param settled from the end of the fault until one node alone was master for good; empty where that was not reached
 * @param story the changes of roles and what the nodes noted, as the journals have it
 * @param moves the changes of roles between the beginning and the end of the fault
 */
public record Handover(
        String from,
        String taker,
        String to,
        String last,
        Optional<Duration> taken,
        Optional<Duration> silent,
        Optional<Duration> settled,
        List<String> story,
        List<String> moves) {

    /** In a sentence. */
    String sentence() {
        List<String> words = new ArrayList<>();
        taken.ifPresentOrElse(
                after -> words.add(taker + " was master after " + Report.time(after)),
                () -> words.add("no other node took over from " + from));
        if (taken.isPresent() && !to.equals(taker)) {
            words.add("at the end of the fault " + (to.isEmpty() ? "nobody" : to) + " answered for the address");
        } else if (taken.isPresent()) {
            silent.ifPresent(after -> words.add(from + " answered for the address until " + Report.time(after)));
        }
        settled.ifPresentOrElse(
                after -> words.add("in the end " + last + " alone"
                        + (after.isZero() ? "" : ", for good " + Report.time(after) + " after the end of the fault")),
                () -> words.add("in the end not one alone: " + (last.isEmpty() ? "nobody" : last)));
        return String.join("; ", words);
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("from", from);
        json.addProperty("taker", taker);
        json.addProperty("to", to);
        json.addProperty("last", last);
        taken.ifPresent(d -> json.addProperty("takenMicros", d.toNanos() / 1000));
        silent.ifPresent(d -> json.addProperty("silentMicros", d.toNanos() / 1000));
        settled.ifPresent(d -> json.addProperty("settledMicros", d.toNanos() / 1000));
        JsonArray array = new JsonArray();
        story.forEach(array::add);
        json.add("story", array);
        return json;
    }
}

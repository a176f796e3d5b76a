package io.ballast.bench;

import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import org.jspecify.annotations.Nullable;

/**
 * One line of a benchmark's table.
 *
 * @param name what was measured, with its size
 * @param peer the same of the peer in the same run, readings taken in turn; null where there is none
 * @param floor what the work costs at least, in the same run; null where there is none
 * @param ratio ours to the peer's, the median of the ratios of neighbouring readings; null without a peer
 * @param target null where the row only informs
 */
public record Row(
        String name,
        String unit,
        Sample ours,
        @Nullable Sample peer,
        @Nullable Sample floor,
        @Nullable Sample ratio,
        @Nullable Target target) {

    /**
     * What a row must reach.
     *
     * @param ofRatio whether the bound is on the ratio to the peer, or on our own figure
     * @param atMost whether the bound is an upper one
     * @param source where the target comes from
     */
    public record Target(boolean ofRatio, boolean atMost, double bound, String source) {

        /** Our figure must not be more than this. */
        public static Target atMost(double bound, String source) {
            return new Target(false, true, bound, source);
        }

        /** Our figure must be this or more. */
        public static Target atLeast(double bound, String source) {
            return new Target(false, false, bound, source);
        }

        /** Our figure divided by the peer's must not be more than this. */
        public static Target ratioAtMost(double bound, String source) {
            return new Target(true, true, bound, source);
        }

        String text() {
            return (ofRatio ? "ratio " : "") + (atMost ? "<= " : ">= ") + Sample.number(bound);
        }
    }

    /** A row that only informs. */
    public static Row info(String name, String unit, Sample ours) {
        return new Row(name, unit, ours, null, null, null, null);
    }

    /** A row of our own figure against a bound. */
    public static Row own(String name, String unit, Sample ours, Target target) {
        return new Row(name, unit, ours, null, null, null, target);
    }

    /** Readings taken in turn, ours and the peer's: the ratio is taken pair by pair. */
    public static Row paired(String name, String unit, double[] ours, double[] peer, @Nullable Target target) {
        double[] ratios = new double[ours.length];
        for (int i = 0; i < ours.length; i++) {
            ratios[i] = ours[i] / peer[i];
        }
        return new Row(name, unit, Sample.of(ours), Sample.of(peer), null, Sample.of(ratios), target);
    }

    /** Whether the target is reached; true where there is none. */
    public boolean met() {
        if (target == null) {
            return true;
        }
        Sample judged = target.ofRatio() ? ratio : ours;
        if (judged == null) {
            return false;
        }
        return target.atMost() ? judged.median() <= target.bound() : judged.median() >= target.bound();
    }

    JsonObject json() {
        JsonObject json = new JsonObject();
        json.addProperty("name", name);
        json.addProperty("unit", unit);
        json.add("ours", ours.json());
        json.add("peer", peer == null ? JsonNull.INSTANCE : peer.json());
        json.add("floor", floor == null ? JsonNull.INSTANCE : floor.json());
        if (ratio == null) {
            json.add("ratio", JsonNull.INSTANCE);
        } else {
            json.addProperty("ratio", ratio.median());
        }
        if (target == null) {
            json.add("target", JsonNull.INSTANCE);
        } else {
            json.addProperty("target", target.text());
            json.addProperty("targetSource", target.source());
        }
        json.addProperty("met", met());
        return json;
    }
}

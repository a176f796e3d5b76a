package io.ballast.bench;

import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import org.jspecify.annotations.Nullable;

/**
 * One line of a benchmark's table.
 *
 * @param name what was measured, with its size
 * @param ours null only where measuring failed
 * @param peer the same of the peer in the same run, readings taken in turn; null where there is none
 * @param floor what the work costs at least, in the same run; null where there is none
 * @param ratio ours to the peer's, the median of the ratios of neighbouring readings; null without a peer
 * @param toFloor ours to the floor's, likewise; null without a floor
 * @param target null where the row only informs
 * @param failure why there is no figure; null where there is one
 */
public record Row(
        String name,
        String unit,
        @Nullable Sample ours,
        @Nullable Sample peer,
        @Nullable Sample floor,
        @Nullable Sample ratio,
        @Nullable Sample toFloor,
        @Nullable Target target,
        @Nullable String failure) {

    /**
     * What a row must reach.
     *
     * @param of what the bound is on
     * @param atMost whether the bound is an upper one
     * @param source where the target comes from
     */
    public record Target(Of of, boolean atMost, double bound, String source) {

        /** What a bound is on, and the word before it. */
        public enum Of {
            /** Our own figure. */
            OURS(""),
            /** Our figure divided by the peer's. */
            RATIO("ratio "),
            /** Our figure divided by the floor's, for a bound that was named beside a floor. */
            TO_FLOOR("to floor ");

            private final String word;

            Of(String word) {
                this.word = word;
            }
        }

        /** Our figure must not be more than this. */
        public static Target atMost(double bound, String source) {
            return new Target(Of.OURS, true, bound, source);
        }

        /** Our figure must be this or more. */
        public static Target atLeast(double bound, String source) {
            return new Target(Of.OURS, false, bound, source);
        }

        /** Our figure divided by the peer's must not be more than this. */
        public static Target ratioAtMost(double bound, String source) {
            return new Target(Of.RATIO, true, bound, source);
        }

        /** Our figure divided by the peer's must be this or more. */
        public static Target ratioAtLeast(double bound, String source) {
            return new Target(Of.RATIO, false, bound, source);
        }

        /** Our figure divided by the floor's must not be more than this. */
        public static Target toFloorAtMost(double bound, String source) {
            return new Target(Of.TO_FLOOR, true, bound, source);
        }

        String text() {
            return of.word + (atMost ? "<= " : ">= ") + Sample.number(bound);
        }
    }

    /** A row that only informs. */
    public static Row info(String name, String unit, Sample ours) {
        return new Row(name, unit, ours, null, null, null, null, null, null);
    }

    /** A row of our own figure against a bound. */
    public static Row own(String name, String unit, Sample ours, Target target) {
        return new Row(name, unit, ours, null, null, null, null, target, null);
    }

    /** Readings taken in turn, ours, the peer's and the floor's: each ratio is taken round by round. */
    public static Row paired(
            String name,
            String unit,
            double[] ours,
            double @Nullable [] peer,
            double @Nullable [] floor,
            @Nullable Target target) {
        return new Row(
                name,
                unit,
                Sample.of(ours),
                peer == null ? null : Sample.of(peer),
                floor == null ? null : Sample.of(floor),
                peer == null ? null : ratios(ours, peer),
                floor == null ? null : ratios(ours, floor),
                target,
                null);
    }

    /** Ours beside the peer's without a ratio, where a figure may be 0 or readings were not taken in turn. */
    public static Row beside(
            String name, String unit, double[] ours, double @Nullable [] peer, @Nullable Target target) {
        return new Row(
                name, unit, Sample.of(ours), peer == null ? null : Sample.of(peer), null, null, null, target, null);
    }

    /** A row that could not be measured, and why. */
    public static Row failed(String name, String unit, String reason) {
        return new Row(name, unit, null, null, null, null, null, null, reason);
    }

    private static Sample ratios(double[] ours, double[] others) {
        double[] ratios = new double[ours.length];
        for (int i = 0; i < ours.length; i++) {
            ratios[i] = ours[i] / others[i];
        }
        return Sample.of(ratios);
    }

    /** Whether the target is reached; true where there is none, false where measuring failed. */
    public boolean met() {
        if (failure != null) {
            return false;
        }
        if (target == null) {
            return true;
        }
        Sample judged = judged(target);
        if (judged == null) {
            return false;
        }
        return target.atMost() ? judged.median() <= target.bound() : judged.median() >= target.bound();
    }

    private @Nullable Sample judged(Target target) {
        return switch (target.of()) {
            case OURS -> ours;
            case RATIO -> ratio;
            case TO_FLOOR -> toFloor;
        };
    }

    /** What is wrong with it, in a line. */
    String complaint() {
        if (failure != null || target == null) {
            return name + ": " + failure;
        }
        Sample figure = judged(target);
        return name + ": " + target.of().word + (figure == null ? "unknown" : figure.text())
                + (target.of() == Target.Of.OURS ? " " + unit : "") + ", target " + target.text();
    }

    JsonObject json() {
        JsonObject json = new JsonObject();
        json.addProperty("name", name);
        json.addProperty("unit", unit);
        json.add("ours", json(ours));
        json.add("peer", json(peer));
        json.add("floor", json(floor));
        json.addProperty("ratio", ratio == null ? null : ratio.median());
        json.addProperty("toFloor", toFloor == null ? null : toFloor.median());
        json.addProperty("target", target == null ? null : target.text());
        if (target != null) {
            json.addProperty("targetSource", target.source());
        }
        json.addProperty("met", met());
        if (failure != null) {
            json.addProperty("failure", failure);
        }
        return json;
    }

    private static JsonElement json(@Nullable Sample sample) {
        return sample == null ? JsonNull.INSTANCE : sample.json();
    }
}

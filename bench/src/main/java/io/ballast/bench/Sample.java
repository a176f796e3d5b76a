package io.ballast.bench;

import com.google.gson.JsonObject;
import java.util.Arrays;
import java.util.Locale;

/**
 * Several readings of one figure: what is quoted is the median, with the smallest and the largest beside it, because
 * machines drift.
 */
public record Sample(double median, double min, double max) {

    /**
     * Of these readings.
     *
     * @throws IllegalArgumentException there is none
     */
    public static Sample of(double... readings) {
        if (readings.length == 0) {
            throw new IllegalArgumentException("no reading");
        }
        double[] sorted = readings.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        double median = sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
        return new Sample(median, sorted[0], sorted[sorted.length - 1]);
    }

    /** {@code median (min-max)}, with as many digits as mean something. */
    String text() {
        return min == max ? number(median) : number(median) + " (" + number(min) + "-" + number(max) + ")";
    }

    static String number(double value) {
        double size = Math.abs(value);
        if (size >= 1000 || value == Math.rint(value)) {
            return String.format(Locale.ROOT, "%,.0f", value);
        }
        return String.format(Locale.ROOT, size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : "%.2f", value);
    }

    JsonObject json() {
        JsonObject json = new JsonObject();
        json.addProperty("median", median);
        json.addProperty("min", min);
        json.addProperty("max", max);
        return json;
    }
}

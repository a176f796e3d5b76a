package io.ballast.health;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StartDelaysTest {

    @Test
    void percentilesAreAtMostAnEighthTooHighAndNeverTooLow() {
        Random random = new Random(7);
        long[] values = new long[10_000];
        DelayHistogram delays = new DelayHistogram();
        for (int i = 0; i < values.length; i++) {
            values[i] = (long) Math.exp(random.nextDouble() * 40);
            delays.record(values[i]);
        }
        Arrays.sort(values);
        for (double part : new double[] {0.01, 0.5, 0.9, 0.99, 0.999, 1}) {
            long exact = values[(int) Math.ceil(part * values.length) - 1];
            assertThat(delays.nanosAt(part)).isBetween(exact, exact + exact / 8 + 1);
        }
        assertThat(delays.maxNanos()).isEqualTo(values[values.length - 1]);
        assertThat(delays.count()).isEqualTo(values.length);
        delays.reset();
        assertThat(delays.nanosAt(0.99)).isZero();
    }

    @Test
    void theLongestAndTheShortestFit() {
        DelayHistogram delays = new DelayHistogram();
        delays.record(Long.MAX_VALUE);
        assertThat(delays.nanosAt(0.5)).isEqualTo(Long.MAX_VALUE);
        delays.reset();
        delays.record(-5);
        assertThat(delays.nanosAt(1)).isZero();
    }
}

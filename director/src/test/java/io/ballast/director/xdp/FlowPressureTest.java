package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class FlowPressureTest {
    private static final long SECOND = 1_000_000_000L;

    private final FlowPressure pressure = new FlowPressure(8_000, 8);
    private long now = 5 * SECOND;
    private long evicted = 70;

    /** Each of the eight parts has so many. */
    private void holds(int opening, int established, int expired) {
        for (int part = 0; part < 8; part++) {
            FlowPressure.Tally tally = new FlowPressure.Tally();
            for (int i = 0; i < opening; i++) {
                tally.count(Layout.OPENING, false);
            }
            for (int i = 0; i < established; i++) {
                tally.count(Layout.ESTABLISHED, false);
            }
            for (int i = 0; i < expired; i++) {
                tally.count(Layout.CLOSING, true);
            }
            pressure.part(part, tally);
        }
    }

    private String step(int evictions) {
        now += SECOND;
        evicted += evictions;
        return pressure.step(now, evicted, 0).orElse("");
    }

    @Test
    void anEmptyTableSaysNothingEvenWhereSomethingWasForgottenLongAgo() {
        assertThat(step(0)).isEmpty();
        assertThat(step(3)).isEmpty();
        assertThat(pressure.occupancy().pressure()).isEmpty();
    }

    @Test
    void itBeginsAtThreeQuartersAndEndsBelowTwoThirds() {
        step(0);
        holds(100, 640, 0);
        assertThat(step(0)).isEmpty();
        holds(100, 640, 10);
        assertThat(step(0))
                .contains("75 % of 8,000", "800 connections being opened, 5,120 established", "timeouts.idle");
        assertThat(pressure.isOn()).isTrue();
        assertThat(step(0)).isEmpty();
        holds(100, 550, 0);
        assertThat(step(0)).isEmpty();
        holds(99, 550, 0);
        assertThat(step(0)).contains("has room again: 64 %");
        assertThat(pressure.isOn()).isFalse();
        assertThat(pressure.occupancy().pressure()).isEmpty();
    }

    @Test
    void whereConnectionsAreForgottenItBeginsAtOnceAndEndsAfterAMinuteWithout() {
        step(0);
        holds(300, 100, 0);
        assertThat(step(500)).contains("500 a second are forgotten", "flood of SYNs", "connection-rate");
        assertThat(pressure.occupancy().evictedPerSecond()).isEqualTo(500);
        for (int second = 0; second < 59; second++) {
            assertThat(step(0)).isEmpty();
        }
        assertThat(pressure.isOn()).isTrue();
        assertThat(step(0)).contains("has room again: 40 %");
    }

    @Test
    void whatIsInTheTableIsCountedByState() {
        holds(3, 2, 1);
        assertThat(pressure.occupancy()).isEqualTo(new FlowPressure.Occupancy(8_000, 48, 24, 16, 0, 0, 8, 0, 0, ""));
    }
}

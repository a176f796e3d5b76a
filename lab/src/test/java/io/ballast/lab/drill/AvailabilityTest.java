package io.ballast.lab.drill;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AvailabilityTest {

    /** A year has 31,536,000 seconds. */
    @ParameterizedTest
    @CsvSource({
        "PT4000H, 0",
        "PT876H, 1", // 10 % of a year
        "PT876H0.001S, 0",
        "P3DT15H36M, 2", // 1 %
        "PT9H, 2",
        "PT8H45M36S, 3",
        "PT52M33S, 4",
        "PT5M15S, 5",
        "PT5M16S, 4",
        "PT31S, 6",
        "PT3.153S, 7",
        "PT1.2S, 7",
        "PT0.3S, 8",
        "PT0S, 8"
    })
    void theClassIsTheNumberOfNines(Duration yearlyDowntime, int expected) {
        assertThat(Availability.classOf(yearlyDowntime)).isEqualTo(expected);
    }

    @Test
    void aYearsDowntimeIsThatOfItsFaults() {
        assertThat(Availability.yearly(Duration.ofMillis(300), 12)).isEqualTo(Duration.ofMillis(3600));
    }

    @Test
    void whatADrillCannotTellIsNotClaimed() {
        assertThat(Availability.label(7)).isEqualTo("7");
        assertThat(Availability.label(Availability.BEYOND)).isEqualTo(">7");
    }
}

package io.ballast.health;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextsTest {
    @ParameterizedTest
    @CsvSource({
        "-5, 0.00 ms",
        "94999, 0.09 ms",
        "100000, 0.1 ms",
        "459999, 0.4 ms",
        "999999, 0.9 ms",
        "3000000, 3 ms",
        "1250000000, 1.2 s",
        "9990000000, 9.9 s",
        "61000000000, 61 s"
    })
    void aTimeHasTheDigitsThatMatter(long nanos, String text) {
        assertThat(Texts.took(nanos)).isEqualTo(text);
    }
}

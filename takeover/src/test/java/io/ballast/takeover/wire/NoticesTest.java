package io.ballast.takeover.wire;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class NoticesTest {
    private static final long SECOND = 1_000_000_000;

    private final Notices notices = new Notices();

    @Test
    void whatIsNotFoundAnyMoreIsOver() {
        assertThat(notices.found("a", 0)).isTrue();
        assertThat(notices.found("b", SECOND)).isTrue();
        assertThat(notices.found("a", 3 * SECOND)).isFalse();
        assertThat(notices.over(7 * SECOND, 5 * SECOND)).containsExactly("b");
        assertThat(notices.all()).containsExactly("a");
        assertThat(notices.over(7 * SECOND, 5 * SECOND)).isEmpty();
        assertThat(notices.found("b", 8 * SECOND)).as("it is so again").isTrue();
    }

    @Test
    void whoeverCausesManyFillsNoJournal() {
        int told = 0;
        for (int i = 0; i < 1000; i++) {
            told += notices.found("by " + i, i * SECOND / 10) ? 1 : 0;
            notices.over(i * SECOND / 10, SECOND);
        }
        assertThat(told).isEqualTo(16);
        assertThat(notices.all()).hasSizeLessThanOrEqualTo(16);
        assertThat(notices.found("later", 800 * SECOND)).isTrue();
    }
}

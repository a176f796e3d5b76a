package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class RateTest {
    private static final long SECOND = 1_000_000_000L;

    @Test
    void isRightAtOnceForAnEvenCounter() {
        Rate rate = new Rate();
        rate.sample(1000, 5 * SECOND);
        assertThat(rate.perSecond()).isZero();
        rate.sample(1100, 6 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100);
        rate.sample(1300, 8 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100);
    }

    @Test
    void theNewestTwoSecondsMakeUpAQuarter() {
        Rate rate = new Rate();
        rate.sample(0, 0);
        rate.sample(0, 2 * SECOND);
        rate.sample(800, 4 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100, within(1e-9));
    }

    @Test
    void aStepIsFollowedAlikeHoweverOftenItIsSampled() {
        Rate often = new Rate();
        Rate seldom = new Rate();
        often.sample(0, 0);
        seldom.sample(0, 0);
        often.sample(0, SECOND);
        seldom.sample(0, SECOND);
        for (int i = 1; i <= 16; i++) {
            often.sample(i * 10L, (1 + i) * SECOND);
        }
        for (int i = 4; i <= 16; i += 4) {
            seldom.sample(i * 10L, (1 + i) * SECOND);
        }
        assertThat(often.perSecond()).isEqualTo(seldom.perSecond(), within(1e-9));
        assertThat(often.perSecond()).isEqualTo(9, within(0.1));
    }

    @Test
    void aCounterThatBeganAnewIsNoNegativeRate() {
        Rate rate = new Rate();
        rate.sample(1000, 0);
        rate.sample(1100, SECOND);
        rate.sample(5, 2 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100);
        rate.sample(105, 3 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100, within(1e-9));
        rate.sample(105, 3 * SECOND);
        assertThat(rate.perSecond()).isEqualTo(100, within(1e-9));
    }
}

package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class RatesTest {
    private static final long SECOND = 1_000_000_000L;

    private static void sample(Rates rates, long count, long nanos) {
        rates.sample(count, 10 * count, 100 * count, nanos);
    }

    @Test
    void isRightAtOnceForAnEvenCounter() {
        Rates rates = new Rates();
        sample(rates, 1000, 5 * SECOND);
        assertThat(rates.perSecond().connections()).isZero();
        sample(rates, 1100, 6 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100);
        sample(rates, 1300, 8 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100);
        assertThat(rates.perSecond().bytesIn()).isEqualTo(1000);
        assertThat(rates.perSecond().bytesOut()).isEqualTo(10_000);
    }

    @Test
    void theNewestTwoSecondsMakeUpAQuarter() {
        Rates rates = new Rates();
        sample(rates, 0, 0);
        sample(rates, 0, 2 * SECOND);
        sample(rates, 800, 4 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100, within(1e-9));
    }

    @Test
    void aStepIsFollowedAlikeHoweverOftenItIsSampled() {
        Rates often = new Rates();
        Rates seldom = new Rates();
        sample(often, 0, 0);
        sample(seldom, 0, 0);
        sample(often, 0, SECOND);
        sample(seldom, 0, SECOND);
        for (long i = 1; i <= 16; i++) {
            sample(often, i * 10, (1 + i) * SECOND);
        }
        for (long i = 4; i <= 16; i += 4) {
            sample(seldom, i * 10, (1 + i) * SECOND);
        }
        assertThat(often.perSecond().connections()).isEqualTo(seldom.perSecond().connections(), within(1e-9));
        assertThat(often.perSecond().connections()).isEqualTo(9, within(0.1));
    }

    @Test
    void aCounterThatBeganAnewIsNoNegativeRate() {
        Rates rates = new Rates();
        sample(rates, 1000, 0);
        sample(rates, 1100, SECOND);
        sample(rates, 5, 2 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100);
        sample(rates, 105, 3 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100, within(1e-9));
        sample(rates, 105, 3 * SECOND);
        assertThat(rates.perSecond().connections()).isEqualTo(100, within(1e-9));
    }
}

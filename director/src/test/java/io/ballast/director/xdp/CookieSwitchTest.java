package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;

final class CookieSwitchTest {
    private static final long SECOND = 1_000_000_000L;
    private static final int BOUND = 8192;
    /** So long a half-open connection is remembered. */
    private static final int LIFE = 60;

    private final CookieSwitch cookies = new CookieSwitch(false);
    private long second;
    private long unanswered;

    private String step(long halfOpen) {
        second++;
        return cookies.step(second * SECOND, BOUND, halfOpen, unanswered).orElse("");
    }

    @Test
    void theBoundIsAShareOfTheTableOrOfWhatIsEstablished() {
        assertThat(CookieSwitch.bound(1 << 20, 0, Long.MAX_VALUE)).isEqualTo(8192);
        assertThat(CookieSwitch.bound(1 << 20, 400_000, Long.MAX_VALUE)).isEqualTo(50_000);
        assertThat(CookieSwitch.bound(1 << 12, 0, Long.MAX_VALUE)).isEqualTo(1024);
    }

    @Test
    void theBoundIsNoMoreThanAShareOfThePortsThatThereAre() {
        assertThat(CookieSwitch.bound(1 << 20, 0, Layout.NAT_PORTS)).isEqualTo(3968);
        assertThat(CookieSwitch.bound(1 << 20, 31_000, Layout.NAT_PORTS)).isEqualTo(3968);
        assertThat(CookieSwitch.bound(1 << 20, 0, 100L * Layout.NAT_PORTS)).isEqualTo(8192);
        // A service without servers has no connections either.
        assertThat(CookieSwitch.bound(1 << 20, 0, 0)).isEqualTo(1024);
    }

    @Test
    void itGoesOnAboveTheBoundAndSaysWhy() {
        assertThat(step(BOUND)).isEmpty();
        assertThat(cookies.isOn()).isFalse();
        assertThat(step(BOUND + 1)).contains("about 8,193 connections are half open, more than 8,192");
        assertThat(cookies.isOn()).isTrue();
        assertThat(step(BOUND + 1)).isEmpty();
    }

    @Test
    void itGoesOffAfterAMinuteBelowHalfOfTheBound() {
        step(BOUND + 1);
        for (int i = 0; i < 100; i++) {
            assertThat(step(BOUND / 2)).isEmpty();
        }
        // The minute begins with what was too much last.
        for (int i = 0; i < 59; i++) {
            assertThat(step(BOUND / 2 - 1)).as("after %d s", i + 1).isEmpty();
        }
        assertThat(step(BOUND / 2 - 1)).contains("fewer than 4,096 clients");
        assertThat(cookies.isOn()).isFalse();
    }

    @Test
    void cookiesThatNobodyAcknowledgesKeepItOn() {
        step(BOUND + 1);
        for (int i = 0; i < 600; i++) {
            unanswered += BOUND / 2 / LIFE + 1;
            assertThat(step(0)).isEmpty();
        }
        for (int i = 0; i <= 60; i++) {
            unanswered += BOUND / 2 / LIFE - 1;
            step(0);
        }
        assertThat(cookies.isOn()).isFalse();
    }

    @Test
    void anotherProcessGoesOnWhereItIsOn() {
        CookieSwitch adopted = new CookieSwitch(true);
        // Counters are of all time: what others have seen says nothing.
        for (int i = 0; i <= 60; i++) {
            assertThat(adopted.isOn()).as("after %d s", i).isTrue();
            adopted.step(i * SECOND, BOUND, 0, 5_000_000);
        }
        assertThat(adopted.isOn()).isFalse();
    }

    /** A flood of ten minutes, over a service that has clients of its own. */
    @Test
    void aFloodIsAnsweredFromTheFirstSecondToItsEndWithoutFlapping() {
        List<Long> changes = new ArrayList<>();
        Deque<Long> lives = new ArrayDeque<>();
        long halfOpen = 0;
        for (int i = 0; i < 1200; i++) {
            boolean flood = i >= 100 && i < 700;
            long made = flood ? 100_020 : 20;
            boolean greets = cookies.isOn();
            unanswered += greets ? made : 0;
            lives.add(greets ? 0 : made);
            halfOpen += lives.getLast();
            if (lives.size() > LIFE) {
                halfOpen -= lives.removeFirst();
            }
            // Those that are being opened just now.
            if (!step(halfOpen + 500).isEmpty()) {
                changes.add(second);
            }
        }
        assertThat(changes).hasSize(2);
        assertThat(changes.getFirst()).isEqualTo(101);
        assertThat(changes.getLast()).isBetween(700L + LIFE, 700L + 2 * LIFE);
    }
}

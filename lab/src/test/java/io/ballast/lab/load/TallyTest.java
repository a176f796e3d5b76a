package io.ballast.lab.load;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonParser;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TallyTest {
    private static final long MS = 1_000_000;
    private static final long START = 77_000 * MS;
    private static final Instant STARTED = Instant.parse("2026-01-01T00:00:00Z");

    private final Tally tally = new Tally(START, STARTED);

    private void request(long dueMillis, long endMillis, Outcome outcome, String server) {
        tally.due();
        tally.ended(START + dueMillis * MS, START + endMillis * MS, outcome, server);
    }

    private LoadResult resultAt(long millis) {
        return tally.result(START + millis * MS, Duration.ofMillis(3));
    }

    @Test
    void countsOutcomesAndWhoAnswered() {
        request(0, 1, Outcome.OK, "www1");
        request(10, 12, Outcome.OK, "www2");
        request(20, 22, Outcome.OK, "www1");
        request(30, 31, Outcome.REFUSED, "");
        request(40, 42, Outcome.SORRY, "sorry");
        LoadResult result = resultAt(50);
        assertThat(result.requests()).isEqualTo(5);
        assertThat(result.failures()).isEqualTo(1);
        assertThat(result.count(Outcome.SORRY)).isEqualTo(1);
        assertThat(result.count(Outcome.RESET)).isZero();
        assertThat(result.servers()).isEqualTo(Map.of("www1", 2L, "www2", 1L));
    }

    @Test
    void longestGapIsBetweenRightAnswersOnly() {
        request(0, 5, Outcome.OK, "www1");
        request(100, 105, Outcome.RESET, "");
        request(200, 205, Outcome.SORRY, "sorry");
        request(300, 305, Outcome.OK, "www1");
        assertThat(resultAt(400).longestGap()).isEqualTo(Duration.ofMillis(300));
    }

    @Test
    void longestGapReachesFromTheStartAndToTheEnd() {
        assertThat(resultAt(900).longestGap()).isEqualTo(Duration.ofMillis(900));
        request(300, 305, Outcome.OK, "www1");
        assertThat(resultAt(400).longestGap()).isEqualTo(Duration.ofMillis(305));
        assertThat(resultAt(905).longestGap()).isEqualTo(Duration.ofMillis(600));
    }

    @Test
    void latencyCountsFromTheIntendedStartAndOverAnswersOnly() {
        for (int i = 0; i < 98; i++) {
            request(i, i + 2, Outcome.OK, "www1");
        }
        request(98, 598, Outcome.OK, "www1");
        request(99, 799, Outcome.SORRY, "sorry");
        request(100, 5_000, Outcome.TIMEOUT, "");
        LoadResult result = resultAt(101);
        assertThat(result.p50()).isBetween(Duration.ofMillis(2), Duration.ofNanos(2_010_000));
        assertThat(result.p99()).isBetween(Duration.ofMillis(500), Duration.ofMillis(501));
        assertThat(result.max()).isBetween(Duration.ofMillis(700), Duration.ofMillis(701));
    }

    @Test
    void downtimeIsTheSlicesInWhichRequestsWereDueInVain() {
        request(50, 51, Outcome.OK, "www1");
        request(150, 900, Outcome.TIMEOUT, "");
        request(160, 161, Outcome.OK, "www2");
        request(250, 251, Outcome.OK, "www1");
        request(350, 351, Outcome.SORRY, "sorry");
        LoadResult result = resultAt(400);
        assertThat(result.downtime()).isEqualTo(Duration.ofMillis(200));
        assertThat(result.failuresSince(STARTED.plusMillis(100))).isEqualTo(1);
        assertThat(result.failuresSince(STARTED.plusMillis(120)))
                .as("a slice that began before does not count")
                .isZero();
        assertThat(result.failuresSince(STARTED.minusMillis(120))).isEqualTo(1);
    }

    @Test
    void samplesTellWhatEndedSinceTheOneBefore() {
        request(0, 5, Outcome.OK, "www1");
        request(1, 3, Outcome.REFUSED, "");
        assertThat(tally.sample(STARTED))
                .isEqualTo(new Sample(STARTED, 2, 1, 0, 1, Map.of("www1", 1L), Duration.ofMillis(5)));
        assertThat(tally.sample(STARTED)).isEqualTo(new Sample(STARTED, 0, 0, 0, 0, Map.of(), Duration.ZERO));
    }

    @Test
    void resultsAndSamplesSurviveTheWayThroughJson() {
        request(0, 5, Outcome.OK, "www1");
        request(101, 103, Outcome.BODY, "");
        request(202, 203, Outcome.SORRY, "sorry");
        LoadResult result = resultAt(300);
        String text = result.toJson().toString();
        assertThat(LoadResult.fromJson(JsonParser.parseString(text).getAsJsonObject()))
                .isEqualTo(result);
        Sample sample = tally.sample(STARTED);
        assertThat(Sample.fromJson(sample.toJson())).isEqualTo(sample);
    }
}

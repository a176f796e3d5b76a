package io.ballast.lab.drill;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.lab.load.LoadPlan;
import io.ballast.lab.load.LoadResult;
import io.ballast.lab.load.LoadResult.Slice;
import io.ballast.lab.load.Outcome;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ReportTest {
    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
    private static final Instant INJECTED = START.plusMillis(500);
    private static final Instant HEALED = START.plusMillis(3000);

    /** Four seconds at 100 requests a second, in which the given slices had failures or sorry pages. */
    private static LoadResult load(Map<Integer, Long> failures, Map<Integer, Long> sorry, Outcome kind) {
        List<Slice> slices = new ArrayList<>();
        long failed = failures.values().stream().mapToLong(Long::longValue).sum();
        long sorries = sorry.values().stream().mapToLong(Long::longValue).sum();
        for (int i = 0; i < 40; i++) {
            long bad = failures.getOrDefault(i, 0L) + sorry.getOrDefault(i, 0L);
            slices.add(new Slice(10 - bad, sorry.getOrDefault(i, 0L), failures.getOrDefault(i, 0L), Map.of()));
        }
        return new LoadResult(
                START,
                Duration.ofSeconds(4),
                Map.of(Outcome.OK, 400 - failed - sorries, kind, failed, Outcome.SORRY, sorries),
                Map.of("www1", 100L, "www2", 300 - failed - sorries),
                Duration.ofMillis(120),
                Duration.ofNanos(850_000),
                Duration.ofNanos(4_200_000),
                Duration.ofMillis(312),
                Duration.ofMillis(90),
                slices);
    }

    private static Observation seen(LoadResult load, int leftMillis, int backMillis) {
        return new Observation(
                load,
                INJECTED,
                HEALED,
                leftMillis < 0 ? Optional.empty() : Optional.of(Duration.ofMillis(leftMillis)),
                backMillis < 0 ? Optional.empty() : Optional.of(Duration.ofMillis(backMillis)));
    }

    /** Checks every 100 ms, time-out 200 ms, fall 2: out after 600 ms, and half a second of slack. */
    private static ServiceSpec service(String retry) {
        return described("connect-retry: " + retry);
    }

    private static ServiceSpec described(String key) {
        String text = """
                services:
                  web:
                    listen: "192.0.2.1:80"
                    %s
                    servers: ["192.0.2.2:80"]
                    checks: [{ type: tcp, interval: 100ms, timeout: 200ms, fall: 2 }]
                """.formatted(key);
        return new DescriptionReader()
                .read("test.yaml", text)
                .description()
                .orElseThrow()
                .services()
                .firstEntry()
                .getValue();
    }

    private static List<String> exceeded(Scenario scenario, String retry, Observation seen) {
        return Row.of(scenario, seen, Limit.of(scenario, service(retry))).exceeded();
    }

    @Test
    void aKilledServerCostsNothingWhereRequestsAreReplayed() {
        Observation none = seen(load(Map.of(), Map.of(), Outcome.RESET), 300, 100);
        Observation one = seen(load(Map.of(5, 1L), Map.of(), Outcome.RESET), 300, 100);
        assertThat(exceeded(Scenario.KILLED, "{ attempts: 2, replay: 16KiB }", none))
                .isEmpty();
        assertThat(exceeded(Scenario.KILLED, "{ attempts: 2, replay: 16KiB }", one))
                .containsExactly("1 requests failed, at most 0 may");
        assertThat(exceeded(Scenario.KILLED, "2", one))
                .as("without replay what was under way may fail")
                .isEmpty();
        assertThat(exceeded(
                        Scenario.KILLED,
                        "2",
                        seen(load(Map.of(5, 1L, 6, 1L, 7, 1L), Map.of(), Outcome.RESET), 300, 100)))
                .containsExactly("requests failed for 300 ms, at most for 200 ms");
    }

    @Test
    void anEngineThatForwardsPacketsPromisesNothingBeforeTheChecksHaveSeenIt() {
        ServiceSpec service = described("engine: xdp");
        assertThat(service.connectRetry().attempts()).as("by default").isPositive();
        List<Limit> limits = Limit.of(Scenario.KILLED, service);
        Map<Integer, Long> eleven = new HashMap<>();
        for (int slice = 5; slice < 16; slice++) {
            eleven.put(slice, 1L);
        }
        Observation before = seen(load(eleven, Map.of(), Outcome.REFUSED), 1100, 100);
        assertThat(Row.of(Scenario.KILLED, before, limits).exceeded()).isEmpty();
        Observation after = seen(load(Map.of(5, 3L, 9, 1L), Map.of(), Outcome.REFUSED), 300, 100);
        assertThat(Row.of(Scenario.KILLED, after, limits).exceeded())
                .containsExactly("1 requests failed that were due after the server was out");
        Observation late = seen(load(Map.of(5, 3L), Map.of(), Outcome.REFUSED), 1101, 100);
        assertThat(Row.of(Scenario.KILLED, late, limits).exceeded())
                .containsExactly("the server was out after 1101 ms, at most after 1100 ms");
        assertThat(Limit.note(service))
                .hasValueSatisfying(note -> assertThat(note).contains("asks nobody again"));
        assertThat(Limit.note(service("2"))).isEmpty();
    }

    @Test
    void aServerMustLeaveInTimeAndComeBackAndNobodyFailsInBetween() {
        LoadResult clean = load(Map.of(), Map.of(), Outcome.TIMEOUT);
        assertThat(exceeded(Scenario.FROZEN, "2", seen(clean, 1100, 50))).isEmpty();
        assertThat(exceeded(Scenario.FROZEN, "2", seen(clean, 1101, 50)))
                .containsExactly("the server was out after 1101 ms, at most after 1100 ms");
        assertThat(exceeded(Scenario.FROZEN, "2", seen(clean, -1, -1)))
                .containsExactly("the server was not taken out, at most after 1100 ms");
        assertThat(exceeded(Scenario.FROZEN, "2", seen(clean, 600, -1)))
                .containsExactly("the server was not let in again");
        // Out at 1100 ms after the start: a failure in slice 12 was due afterwards, one in slice 10 was not.
        assertThat(exceeded(Scenario.FROZEN, "2", seen(load(Map.of(10, 1L), Map.of(), Outcome.TIMEOUT), 600, 50)))
                .isEmpty();
        assertThat(exceeded(Scenario.FROZEN, "2", seen(load(Map.of(12, 1L), Map.of(), Outcome.TIMEOUT), 600, 50)))
                .containsExactly("1 requests failed that were due after the server was out");
    }

    @Test
    void withoutServersOnlyTheTimeAfterwardsIsPromised() {
        Observation down = seen(load(Map.of(8, 10L, 20, 10L), Map.of(), Outcome.RESET), 300, 100);
        assertThat(exceeded(Scenario.ALL_DOWN, "2", down)).isEmpty();
        Observation late = seen(load(Map.of(33, 1L), Map.of(), Outcome.RESET), 300, 100);
        assertThat(exceeded(Scenario.ALL_DOWN, "2", late))
                .containsExactly("1 requests failed that were due after the servers were back");
    }

    @Test
    void theSorryPageMustBeSeenAndCountsAsDowntime() {
        Observation without = seen(load(Map.of(), Map.of(), Outcome.RESET), 300, 100);
        assertThat(exceeded(Scenario.ALL_DOWN_SORRY, "2", without)).containsExactly("the sorry page was never seen");
        Observation with = seen(load(Map.of(), Map.of(10, 10L, 11, 10L), Outcome.RESET), 300, 100);
        assertThat(exceeded(Scenario.ALL_DOWN_SORRY, "2", with)).isEmpty();
        assertThat(with.load().downtime()).isEqualTo(Duration.ofMillis(200));
    }

    @Test
    void aReloadMayCostNothing() {
        Observation one = seen(load(Map.of(5, 1L), Map.of(), Outcome.RESET), -1, -1);
        assertThat(exceeded(Scenario.RELOAD, "0", one)).containsExactly("1 requests failed, at most 0 may");
    }

    @Test
    void aKilledWorkerRefusesNobody() {
        Observation refused = seen(load(Map.of(5, 3L), Map.of(), Outcome.REFUSED), -1, -1);
        assertThat(exceeded(Scenario.WORKER_KILLED, "2", refused))
                .containsExactly("3 connections were refused, at most 0 may be");
    }

    private static Report report(Row... rows) {
        LoadPlan plan = new LoadPlan(
                new InetSocketAddress(InetAddress.ofLiteral("192.0.2.1"), 80),
                "/",
                1000,
                Duration.ofSeconds(2),
                false,
                200,
                "");
        return new Report("Drill of web", plan, 12, List.of(rows), Optional.empty());
    }

    @Test
    void theTableSaysWhatWasSeen() {
        Row row = Row.of(
                Scenario.KILLED,
                seen(load(Map.of(5, 2L), Map.of(), Outcome.RESET), 312, 80),
                List.of(Limit.failures(5)));
        List<String> lines = report(row).lines();
        assertThat(lines.get(1)).startsWith("SCENARIO  REQUESTS  FAILED    GAP    P50    P99    MAX   LEFT  BACK");
        // 12 faults of 100 ms are 1.2 s a year: class 7.
        assertThat(lines.get(2)).matches("killed +400 +2 +120ms +850us +4.2ms +312ms +312ms +80ms +- +100ms +7 +kept");
        assertThat(lines).contains("killed: failures were 2 reset");
        assertThat(report(row).kept()).isTrue();
    }

    @Test
    void exceededLimitsAndScenariosNotRunAreNamed() {
        Row bad = Row.of(
                Scenario.KILLED,
                seen(load(Map.of(5, 2L), Map.of(), Outcome.RESET), 312, 80),
                List.of(Limit.failures(0)));
        Row skipped = Row.skipped(Scenario.LINK_CUT, "needs root");
        Report report = report(bad, skipped, Row.failed(Scenario.RELOAD, "the daemon has gone"));
        assertThat(report.kept()).isFalse();
        assertThat(report.lines())
                .contains("killed: EXCEEDED: 2 requests failed, at most 0 may")
                .contains("link-cut: not run: needs root")
                .contains("reload: EXCEEDED: the daemon has gone")
                .anyMatch(l -> l.matches("link-cut .* not run"))
                .anyMatch(l -> l.matches("reload .* FAILED"));
        assertThat(report(skipped).kept()).as("not run is not exceeded").isTrue();
    }

    @Test
    void programsGetTheSameInJson() {
        Row row = Row.of(
                Scenario.KILLED,
                seen(load(Map.of(5, 2L), Map.of(), Outcome.RESET), 312, 80),
                List.of(Limit.failures(0)));
        JsonObject json = report(row).toJson();
        assertThat(json.get("kept").getAsBoolean()).isFalse();
        JsonObject first = json.getAsJsonArray("rows").get(0).getAsJsonObject();
        assertThat(first.get("scenario").getAsString()).isEqualTo("killed");
        assertThat(first.get("leftMicros").getAsLong()).isEqualTo(312_000);
        assertThat(first.get("yearlyDowntimeMillis").getAsLong()).isEqualTo(1200);
        assertThat(first.get("availabilityClass").getAsInt()).isEqualTo(7);
        assertThat(first.getAsJsonObject("load").get("failures").getAsLong()).isEqualTo(2);
        assertThat(first.getAsJsonArray("exceeded").get(0).getAsString()).contains("2 requests failed");
    }
}

package io.ballast.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import io.ballast.bench.Row.Target;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReportTest {
    @Test
    void quotesTheMedianAndTheEnds() {
        assertThat(Sample.of(3, 1, 2)).isEqualTo(new Sample(2, 1, 3));
        assertThat(Sample.of(4, 1, 2, 3)).isEqualTo(new Sample(2.5, 1, 4));
        assertThatThrownBy(Sample::of).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void printsAsManyDigitsAsMeanSomething() {
        assertThat(Sample.number(1234567.8)).isEqualTo("1,234,568");
        assertThat(Sample.number(123.45)).isEqualTo("123");
        assertThat(Sample.number(12.345)).isEqualTo("12.3");
        assertThat(Sample.number(0.126)).isEqualTo("0.13");
        assertThat(Sample.number(10)).isEqualTo("10");
    }

    @Test
    void takesTheRatioPairByPairSoThatDriftCancels() {
        Row row = Row.paired(
                "x", "us", new double[] {10, 20, 40}, new double[] {20, 40, 80}, new double[] {5, 10, 20}, null);
        assertThat(row.toFloor()).isEqualTo(new Sample(2, 2, 2));
        assertThat(row.ratio()).isEqualTo(new Sample(0.5, 0.5, 0.5));
    }

    @Test
    void judgesARowByItsTarget() {
        assertThat(Row.own("x", "MiB", Sample.of(199), Target.atMost(200, "s")).met())
                .isTrue();
        assertThat(Row.own("x", "MiB", Sample.of(201), Target.atMost(200, "s")).met())
                .isFalse();
        assertThat(Row.own("x", "1/s", Sample.of(9), Target.atLeast(10, "s")).met())
                .isFalse();
        double[] twice = {2};
        double[] once = {1};
        assertThat(Row.paired("x", "us", twice, once, null, Target.ratioAtMost(1, "s"))
                        .met())
                .isFalse();
        assertThat(Row.paired("x", "us", once, twice, null, Target.ratioAtMost(1, "s"))
                        .met())
                .isTrue();
        Target beside = Target.toFloorAtMost(3, "s");
        assertThat(Row.paired("x", "ns", new double[] {80}, null, new double[] {27}, beside)
                        .met())
                .isTrue();
        Row slow = Row.paired("x", "ns", new double[] {80}, null, new double[] {20}, beside);
        assertThat(slow.met()).isFalse();
        assertThat(slow.complaint()).isEqualTo("x: to floor 4, target to floor <= 3");
        assertThat(Row.info("x", "us", Sample.of(1)).met()).isTrue();
    }

    @Test
    void namesWhatMissesInJsonAndInTheTable() {
        Row missed = Row.own("slow", "us", Sample.of(2), Target.atMost(1, "us"));
        Results results = new Results("area", List.of(missed, Row.info("seen", "s", Sample.of(1))), List.of("note"));
        assertThat(results.missed()).containsExactly(missed);
        assertThat(results.table()).contains("| slow ", "| MISSED |").doesNotContain("| met ");
        JsonObject json = results.json().getAsJsonArray("rows").get(0).getAsJsonObject();
        assertThat(json.keySet()).contains("name", "unit", "ours", "peer", "floor", "ratio", "target", "met");
        assertThat(json.get("met").getAsBoolean()).isFalse();
        assertThat(json.get("peer")).isEqualTo(JsonNull.INSTANCE);
    }

    @Test
    void aMeasurementThatFailsLeavesTheOthersAndSaysWhy() throws Exception {
        Sheet sheet = new Sheet("", line -> {});
        sheet.measure("first", "us", () -> {
            throw new IOException("wrk:\nno answer");
        });
        sheet.measure("second", "us", () -> sheet.add(Row.info("second", "us", Sample.of(1))));
        Results results = sheet.results("area");
        assertThat(results.failed()).extracting(Row::name).containsExactly("first");
        assertThat(results.failed().getFirst().complaint()).isEqualTo("first: wrk: / no answer");
        assertThat(results.missed()).isEmpty();
        assertThat(results.table()).contains("| first ", "| FAILED |", "| second ");
        JsonObject json = results.json().getAsJsonArray("rows").get(0).getAsJsonObject();
        assertThat(json.get("ours")).isEqualTo(JsonNull.INSTANCE);
        assertThat(json.get("failure").getAsString()).isEqualTo("wrk: / no answer");
        assertThat(json.get("met").getAsBoolean()).isFalse();
    }

    @Test
    void measuresOnlyWhatIsAskedForByItsName() throws Exception {
        Sheet sheet = new Sheet("pair", _ -> {});
        sheet.measure("idle pair", "%", () -> sheet.add(Row.info("idle", "%", Sample.of(1))));
        sheet.measure("link down", "ms", () -> sheet.add(Row.info("down", "ms", Sample.of(1))));
        assertThat(sheet.results("area").rows()).extracting(Row::name).containsExactly("idle");
        assertThat(sheet.passedOver()).containsExactly("link down");
    }

    @Test
    void saysThatAMeasuredProcessHasEnded() throws Exception {
        Process process = new ProcessBuilder("true").start();
        process.waitFor();
        assertThatThrownBy(() -> Programs.cpuSecondsOfTree(process.pid())).hasMessageContaining("has ended");
        assertThatThrownBy(() -> Programs.residentMiB(process.pid())).hasMessageContaining("has ended");
    }
}

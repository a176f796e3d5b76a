package io.ballast.lab.demo;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.cli.Terminal;
import io.ballast.lab.drill.Drill;
import io.ballast.lab.drill.Observation;
import io.ballast.lab.drill.Report;
import io.ballast.lab.drill.Scenario;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.Privileges;
import io.ballast.lab.farm.ShortDirectory;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opentest4j.TestAbortedException;

/** The demo, in a hurry. */
class ShowTest {
    private static final Duration BRIEF = Duration.ofMillis(300);
    private static final Drill.Settings SETTINGS = new Drill.Settings(
            100, Duration.ofSeconds(10), false, new Drill.Timing(BRIEF, BRIEF, BRIEF), Duration.ofMillis(200));

    @TempDir(factory = ShortDirectory.class)
    Path run;

    private final ByteArrayOutputStream told = new ByteArrayOutputStream();

    private Report show(boolean namespaces, Optional<String> noPackets) throws Exception {
        PrintStream out = new PrintStream(told, true, StandardCharsets.UTF_8);
        LabStore store = new LabStore(run);
        Report report = new Show(new Terminal(out, out, "", Map.of()), store, SETTINGS).run(namespaces, noPackets);
        assertThat(store.names()).as("labs that are left").isEmpty();
        return report;
    }

    private Observation seen(Report report, int row) {
        return report.rows()
                .get(row)
                .seen()
                .orElseThrow(() -> new AssertionError(told.toString(StandardCharsets.UTF_8)));
    }

    @Test
    void aServerDiesAndThenADirectorIsStopped() throws Exception {
        Privileges.missingForXdp().ifPresent(reason -> {
            throw new TestAbortedException("no engine xdp: " + reason);
        });

        Report report = show(true, Optional.empty());

        assertThat(report.rows())
                .extracting(row -> row.scenario())
                .containsExactly(Scenario.KILLED, Scenario.MASTER_STOPPED);
        assertThat(seen(report, 0).left()).as("the server is out").isPresent();
        assertThat(seen(report, 1).load().failures())
                .as("requests that the stop cost")
                .isZero();
        assertThat(told.toString(StandardCharsets.UTF_8))
                .containsSubsequence(
                        "client ---> http://192.168.6.240 ---> director1 ---+--- www1",
                        "director2 ---+--- www2",
                        "1. A web server dies.",
                        "www1: server killed",
                        "www1 is out",
                        "www1 is in again",
                        "2. The director that has the address is stopped.\ndirector1 and director2 have agreed",
                        "director1 is master; master's daemon stopped",
                        "director2 has the address ",
                        "director1: started again",
                        "director1 has the address again ",
                        "killed",
                        "master-stopped",
                        "The director was stopped and started again in the middle of",
                        "no client noticed",
                        "Everything was taken away again");
    }

    @Test
    void whereNoPacketsAreForwardedOnlyAServerDies() throws Exception {
        Report report = show(false, Optional.of("this is a test"));

        assertThat(report.rows()).extracting(row -> row.scenario()).containsExactly(Scenario.KILLED);
        assertThat(seen(report, 0).left()).as("the server is out").isPresent();
        assertThat(told.toString(StandardCharsets.UTF_8))
                .containsSubsequence(
                        "Not two with the engine xdp, of which the first is stopped: this is a test.", "www1 is out")
                .doesNotContain("2. ");
    }
}

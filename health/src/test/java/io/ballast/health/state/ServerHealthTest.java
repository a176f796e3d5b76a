package io.ballast.health.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.health.state.RiseFall.Change;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ServerHealthTest {

    private static final ProbeResult GOOD = ProbeResult.success("connected in 3 ms", 3000);
    private static final ProbeResult BAD = ProbeResult.failure("connection refused by 10.1.0.1:80", 200);

    private static CheckSpec spec(String name, InitialState initial) {
        return Specs.check(name, Duration.ofSeconds(1), 1, 2, initial);
    }

    @Test
    void isUpOnlyWhileEveryCheckIs() {
        ServerHealth server =
                new ServerHealth(List.of(spec("icmp", InitialState.UP), spec("http", InitialState.UP)), 0);
        assertThat(server.up()).isTrue();
        assertThat(server.onResult("http", BAD, 1)).isEqualTo(Change.NONE);
        assertThat(server.onResult("http", BAD, 2)).isEqualTo(Change.WENT_DOWN);
        assertThat(server.since()).isEqualTo(2);
        assertThat(server.reason()).isEqualTo("http: connection refused by 10.1.0.1:80");
        server.onResult("icmp", BAD, 3);
        assertThat(server.onResult("icmp", BAD, 4)).as("it is down already").isEqualTo(Change.NONE);
        assertThat(server.onResult("http", GOOD, 5)).as("icmp is still down").isEqualTo(Change.NONE);
        assertThat(server.onResult("icmp", GOOD, 6)).isEqualTo(Change.WENT_UP);
    }

    @Test
    void aServerWithoutChecksIsAlwaysUp() {
        ServerHealth server = new ServerHealth(List.of(), 0);
        assertThat(server.up()).isTrue();
        assertThat(server.reason()).isEqualTo("no checks");
    }

    @Test
    void resultsOfAnUnknownCheckAreIgnored() {
        ServerHealth server = new ServerHealth(List.of(spec("http", InitialState.UP)), 0);
        assertThat(server.onResult("gone", BAD, 1)).isEqualTo(Change.NONE);
        assertThat(server.up()).isTrue();
    }

    @Test
    void aReloadKeepsWhatIsBelievedOfChecksThatStay() {
        ServerHealth server = new ServerHealth(List.of(spec("http", InitialState.UP)), 0);
        server.onResult("http", BAD, 1);
        server.onResult("http", BAD, 2);
        assertThat(server.configure(List.of(spec("http", InitialState.UP), spec("tcp", InitialState.UP)), 3))
                .isEqualTo(Change.NONE);
        assertThat(server.up()).isFalse();
        assertThat(server.configure(List.of(spec("tcp", InitialState.UP)), 4)).isEqualTo(Change.WENT_UP);
        assertThat(server.configure(List.of(spec("tcp", InitialState.UP), spec("dns", InitialState.DOWN)), 5))
                .isEqualTo(Change.WENT_DOWN);
    }

    @Test
    void twoChecksOfOneNameAreRefused() {
        assertThatThrownBy(() ->
                        new ServerHealth(List.of(spec("http", InitialState.UP), spec("http", InitialState.DOWN)), 0))
                .hasMessageContaining("two checks are named http");
    }

    @Test
    void changesAlternateAndMatchTheChecksForAnySequence() {
        for (int n = 1; n <= Seeds.runs(200); n++) {
            long seed = Seeds.seed(n);
            Random random = new Random(seed);
            List<CheckSpec> specs = List.of(
                    spec("a", random.nextBoolean() ? InitialState.UP : InitialState.DOWN),
                    spec("b", InitialState.UP),
                    spec("c", InitialState.UP));
            ServerHealth server = new ServerHealth(specs, 0);
            boolean up = server.up();
            for (int step = 1; step <= 300; step++) {
                String check = specs.get(random.nextInt(specs.size())).name();
                Change change = server.onResult(check, random.nextInt(3) == 0 ? BAD : GOOD, step);
                boolean expected = server.checks().stream().allMatch(c -> c.state() == RiseFall.State.UP);
                assertThat(server.up()).as("seed %d step %d", seed, step).isEqualTo(expected);
                assertThat(change)
                        .as("seed %d step %d", seed, step)
                        .isEqualTo(up == expected ? Change.NONE : expected ? Change.WENT_UP : Change.WENT_DOWN);
                up = expected;
            }
        }
    }
}

package io.ballast.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.bench.TakeoverArea.Event;
import io.ballast.linux.Capability;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class TakeoverAreaTest {
    private static final InetAddress ADDRESS = InetAddress.ofLiteral("192.0.2.100");

    /** Questions every millisecond: who answered each, as a digit, 0 for nobody. */
    private static Train train(String answers) {
        int count = answers.length();
        Train train = new Train(new long[count], new long[count], new byte[count]);
        for (int i = 0; i < count; i++) {
            train.sent()[i] = (i + 1) * 1_000_000L;
            train.by()[i] = (byte) (answers.charAt(i) - '0');
            train.answered()[i] = train.by()[i] == 0 ? 0 : train.sent()[i] + 100_000;
        }
        return train;
    }

    @Test
    void theOutageIsTheLongestTimeWithoutAnswers() {
        assertThat(train("1111").outage()).isZero();
        assertThat(train("").outage()).isZero();
        assertThat(train("110222").outage()).isEqualTo(1_000_000);
        assertThat(train("1011000022").outage()).isEqualTo(4_000_000);
        assertThat(train("1000220").outage()).isEqualTo(3_000_000);
        assertThat(train("22000").outage()).as("not over yet").isEqualTo(2_000_000);
        assertThat(train("1011000022").lost()).isEqualTo(5);
    }

    @Test
    void aDirectorHasTheAddressWhenTheLastAnswersAreAllIts() {
        assertThat(train("112222").endsWith(4, 2)).isTrue();
        assertThat(train("112222").endsWith(5, 2)).isFalse();
        assertThat(train("222202").endsWith(2, 2)).isFalse();
        assertThat(train("2").endsWith(2, 2)).as("too few").isFalse();
    }

    @Test
    void bothProgramsAreToldTheSame() {
        var plan = new Directors.Plan(
                List.of(List.of(ADDRESS)), new Directors.Priorities(150, 100), Duration.ofMillis(10));
        assertThat(Directors.Ballast.description(plan))
                .contains("addresses: [192.0.2.100/32]", "interval: 10ms", "a: { interface: eth0, priority: 150 }");
        assertThat(Directors.Keepalived.configuration(plan, Wiring.Place.B))
                .contains("192.0.2.100/32", "advert_int 0.01\n", "priority 100\n", "virtual_router_id 1\n");
    }

    @Test
    void measuresOneRound() throws Exception {
        Assumptions.assumeTrue(Capability.SYS_ADMIN.isEffective(), "needs CAP_SYS_ADMIN (run the tests as root)");
        Assumptions.assumeTrue(Programs.find("ip").isPresent(), "ip is not installed");
        Sheet sheet = new Sheet("", _ -> {});
        TakeoverArea.measure(
                sheet,
                List.of(Event.NODE_DIES),
                Duration.ofMillis(100),
                new Directors.Priorities(150, 100),
                "100 ms",
                1,
                false);
        Results results = sheet.results("takeover");
        assertThat(results.failed()).isEmpty();
        assertThat(results.rows()).hasSize(2);
        // Three advertisements of 100 ms must be missing.
        assertThat(Objects.requireNonNull(results.rows().getFirst().ours()).min())
                .isGreaterThan(200);
    }
}

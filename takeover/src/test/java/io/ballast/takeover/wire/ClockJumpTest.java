package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * The time of day is set, by an hour, while two nodes share addresses: nothing that they do goes by it, though the kernel's times of
 * arrival are times of day. Only ever in a guest, whose clock is its own: {@link OlderKernelTest} runs it.
 */
@Timeout(120)
class ClockJumpTest {
    private static final long MS = 1_000_000;
    private static final Duration HOUR = Duration.ofHours(1);

    private static Membership member(int priority) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                priority,
                200 * MS,
                List.of(new Cidr(InetAddress.ofLiteral("192.0.2.100"), 24)),
                true,
                0,
                List.of(),
                false,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                1000 * MS,
                1,
                0);
    }

    /** Sets this machine's clock, and says whether it is set. */
    private static boolean set(Instant to) throws IOException, InterruptedException {
        assertIsGuest();
        Process date = new ProcessBuilder("date", "-s", "@" + to.getEpochSecond())
                .redirectErrorStream(true)
                .start();
        String said = new String(date.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(date.waitFor()).as(said).isZero();
        return Duration.between(to, Instant.now()).abs().compareTo(HOUR.dividedBy(2)) < 0;
    }

    private static void assertIsGuest() throws IOException {
        Assumptions.assumeTrue(
                Files.readString(Path.of("/proc/cpuinfo")).contains("User Mode Linux"),
                "sets the clock, and does that in a guest only");
    }

    @Test
    void aClockThatJumpsMovesNothing() throws Exception {
        assertIsGuest();
        try (Wire wire = Wire.open()) {
            RememberingNode high = new RememberingNode(wire.right);
            RememberingNode low = new RememberingNode(wire.left);
            try {
                high.takeover.become(List.of(member(150)));
                low.takeover.become(List.of(member(100)));
                await(
                        "the higher one is master",
                        () -> high.owns && low.status().peers().containsKey(Wire.RIGHT));
                List<Role> ofHigh = List.copyOf(high.roles);
                List<Role> ofLow = List.copyOf(low.roles);
                for (Duration jump : List.of(HOUR, HOUR.negated())) {
                    long heard = heard(low);
                    assertThat(set(Instant.now().plus(jump))).isTrue();
                    await("the master is heard for two seconds", () -> heard(low) > heard + 10);
                    assertThat(high.roles).isEqualTo(ofHigh);
                    assertThat(low.roles).isEqualTo(ofLow);
                }
                assertThat(low.status().role()).isEqualTo(Role.BACKUP);
            } finally {
                high.takeover.close();
                low.takeover.close();
            }
        }
    }

    private static long heard(RememberingNode node) throws Exception {
        return Objects.requireNonNull(node.status().peers().get(Wire.RIGHT)).count();
    }
}

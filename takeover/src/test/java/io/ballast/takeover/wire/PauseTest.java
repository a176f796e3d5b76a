package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** All Java threads of a master stand still for longer than its advertisements may be missing, and nobody notices. */
@Timeout(120)
class PauseTest {
    private static final long MS = 1_000_000;

    static Membership member(int priority) {
        return new Membership(
                "front",
                "eth0",
                3,
                51,
                priority,
                100 * MS,
                List.of(new Cidr(InetAddress.ofLiteral("192.0.2.100"), 24)),
                true,
                0,
                List.of(),
                false,
                Checksum.PSEUDO_HEADER,
                Authentication.NONE,
                "",
                1000 * MS,
                5,
                0);
    }

    @Test
    void aStopOfAllJavaThreadsChangesNoRole() throws Exception {
        try (Wire wire = Wire.open()) {
            Process pausing = wire.right.call(() -> new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-XX:+UseSerialGC",
                            "-Xms2g",
                            "-Xmx2g",
                            "--enable-native-access=ALL-UNNAMED",
                            "-cp",
                            System.getProperty("java.class.path"),
                            PausingNode.class.getName())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start());
            RememberingNode low = new RememberingNode(wire.left);
            try (BufferedReader said = pausing.inputReader()) {
                assertThat(said.readLine()).isEqualTo("master");
                low.takeover.become(List.of(member(100)));
                await("the master is heard", () -> low.status().master().isPresent());
                int before = low.roles.size();
                next(pausing);
                // It stood still for longer than this node bears silence: three intervals and its skew, 361 ms.
                assertThat(said.readLine()).matches("stopped [0-9]+ \\[BACKUP, MASTER] false");
                assertThat(low.status().role()).isEqualTo(Role.BACKUP);
                assertThat(low.roles).hasSize(before);
                next(pausing);
                assertThat(pausing.waitFor(20, TimeUnit.SECONDS)).isTrue();
            } finally {
                pausing.destroyForcibly().waitFor();
                low.takeover.close();
            }
        }
    }

    private static void next(Process process) throws IOException {
        process.getOutputStream().write('\n');
        process.getOutputStream().flush();
    }
}

package io.ballast.health;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class OutOfDescriptorsTest {

    @Test
    void aDirectorOutOfDescriptorsBlamesNoServerAndRecovers() throws Exception {
        try (ServerSocket silent = new ServerSocket(0, 1000, InetAddress.getLoopbackAddress());
                LoopbackServer good = new LoopbackServer()) {
            Process process = new ProcessBuilder(List.of(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "--enable-native-access=ALL-UNNAMED",
                            "-XX:+UseSerialGC",
                            "-cp",
                            System.getProperty("java.class.path"),
                            OutOfDescriptors.class.getName(),
                            Integer.toString(silent.getLocalPort()),
                            Integer.toString(good.address().getPort())))
                    .redirectErrorStream(true)
                    .start();
            try {
                String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                assertThat(process.waitFor()).as(said).isZero();
                assertThat(said)
                        .contains("before ProbeResult[outcome=SUCCESS")
                        .contains("after ProbeResult[outcome=SUCCESS")
                        .contains("INCONCLUSIVE")
                        .contains("EMFILE")
                        .doesNotContain("FAILURE");
            } finally {
                process.destroyForcibly();
            }
        }
    }
}

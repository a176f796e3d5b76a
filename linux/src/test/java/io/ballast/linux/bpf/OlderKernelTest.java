package io.ballast.linux.bpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** The tests of this package once more, in a guest with the kernel of user-mode Linux: 6.1 on Debian 12. */
@Timeout(400)
class OlderKernelTest {
    private static final List<Class<?>> CLASSES =
            List.of(BpfMapTest.class, BpfObjectTest.class, RingBufferTest.class, XdpLinkTest.class);

    @Test
    void everythingHoldsOnAnOlderKernelToo() throws Exception {
        assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/linux.uml")),
                "needs user-mode Linux (apt-get install user-mode-linux)");
        Fixture.object("count"); // compiled here, since the guest cannot write
        List<String> command = new ArrayList<>(List.of(
                "../packaging/in-uml.sh",
                Path.of(System.getProperty("java.home", ""), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xmx256m",
                "-cp",
                System.getProperty("java.class.path", ""),
                OlderKernelTest.class.getName()));
        CLASSES.forEach(each -> command.add(each.getName()));
        Process guest = new ProcessBuilder(command).redirectErrorStream(true).start();
        try {
            String said = new String(guest.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(guest.waitFor()).as(said).isZero();
            assertThat(said)
                    .containsPattern("[1-9]\\d* tests successful")
                    .contains("0 tests skipped", "0 tests failed");
        } finally {
            guest.destroy();
        }
    }

    /** In the guest: runs the classes that are named, and ends with 1 when a test fails. */
    public static void main(String[] names) {
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request();
        for (String name : names) {
            request.selectors(DiscoverySelectors.selectClass(name));
        }
        LauncherDiscoveryRequest built = request.build();
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LauncherFactory.create().execute(built, listener);
        TestExecutionSummary summary = listener.getSummary();
        PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
        summary.printFailuresTo(out, 10);
        summary.printTo(out);
        System.exit(summary.getTotalFailureCount() == 0 ? 0 : 1);
    }
}

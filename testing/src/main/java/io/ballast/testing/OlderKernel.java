package io.ballast.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Test classes once more, in a guest with the kernel of user-mode Linux: 6.1 on Debian 12. The guest is root, sees this
 * machine's files and cannot write them ({@code packaging/in-uml.sh}).
 */
public final class OlderKernel {
    private static final String FAILED = "failed in the guest: ";

    private OlderKernel() {}

    /**
     * Runs them, and fails unless every one of their tests succeeds and none is skipped. Skips the calling test, with the
     * reason, where user-mode Linux is not installed. The working directory is that of a module.
     *
     * @param options of the guest's Java: properties that make long tests short, since programs are interpreted there
     */
    public static void run(List<String> options, List<Class<?>> classes) throws IOException, InterruptedException {
        assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/linux.uml")),
                "needs user-mode Linux (apt-get install user-mode-linux)");
        List<String> command = new ArrayList<>(List.of(
                "../packaging/in-uml.sh",
                Path.of(System.getProperty("java.home", ""), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xmx256m",
                "-cp",
                System.getProperty("java.class.path", "")));
        command.addAll(options);
        command.add(OlderKernel.class.getName());
        classes.forEach(each -> command.add(each.getName()));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("UML_TIMEOUT", "900");
        builder.environment()
                .put("UML_MODULES", "crc-ccitt ipv6 veth sch_ingress cls_bpf"); // Debian's has these as modules
        Process guest = builder.start();
        try {
            String said = new String(guest.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = guest.waitFor();
            // The first line is all that the summary of a build shows.
            String failed = said.lines().filter(line -> line.startsWith(FAILED)).collect(Collectors.joining("; "));
            assertThat(code)
                    .as("the guest's tests (exit code %d: %s)\n%s", code, failed.isEmpty() ? "no result" : failed, said)
                    .isZero();
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
        summary.getFailures()
                .forEach(each -> out.println(FAILED
                        + each.getTestIdentifier().getUniqueId().replaceAll("\\[engine:[^]]*]/", "")
                        + ": "
                        + String.valueOf(each.getException().getMessage())
                                .strip()
                                .lines()
                                .findFirst()
                                .orElse("")));
        System.exit(summary.getTotalFailureCount() == 0 ? 0 : 1);
    }
}

package io.ballast.health;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * Runs {@link CheckBench} against a server in another process. Not a test; run its main:
 *
 * <pre>java --enable-native-access=ALL-UNNAMED -cp ... io.ballast.health.CheckRate tcp|http [rate] [seconds]</pre>
 */
public final class CheckRate {

    private CheckRate() {}

    public static void main(String[] arguments) throws Exception {
        CheckBench.Kind kind = CheckBench.Kind.valueOf(arguments[0].toUpperCase(Locale.ROOT));
        int rate = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 10_000;
        int seconds = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 10;
        Process server = new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:+UseSerialGC",
                        "-cp",
                        System.getProperty("java.class.path"),
                        LoopbackServer.class.getName()))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader out =
                new BufferedReader(new InputStreamReader(server.getInputStream(), StandardCharsets.UTF_8))) {
            InetSocketAddress address =
                    new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(out.readLine()));
            System.out.println(CheckBench.run(
                    kind, rate, Duration.ofSeconds(5), Duration.ofSeconds(seconds), address, Optional.empty()));
        } finally {
            server.destroy();
        }
    }
}

package io.ballast.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The real daemon as a child of a benchmark, started as {@code ballast run} starts it. */
final class OurDaemon {
    private OurDaemon() {}

    /** Starts a daemon for this description, with run and state directories of its own. */
    static Process start(Programs programs, String processors, String yaml) throws IOException {
        Path file = programs.file("ballast.yaml", yaml);
        Path run = Files.createDirectories(programs.directory().resolve("run"));
        Path state = Files.createDirectories(programs.directory().resolve("state"));
        List<String> command = new ArrayList<>();
        command.add(ProcessHandle.current().info().command().orElse("java"));
        command.addAll(List.of(
                "-Xmx64m",
                "-XX:+UseSerialGC",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                "io.ballast.cli.Main",
                "run",
                file.toString(),
                "--run-dir",
                run.toString(),
                "--state-dir",
                state.toString()));
        return programs.start("ballast", processors, command);
    }

    /** The process id of the daemon's traffic worker. */
    static long worker(Process daemon) throws IOException {
        return daemon.descendants()
                .filter(p -> p.info()
                        .arguments()
                        .map(a -> String.join(" ", a))
                        .orElse("")
                        .contains("TrafficWorker"))
                .map(ProcessHandle::pid)
                .findFirst()
                .orElseThrow(() -> new IOException("the daemon has no traffic worker"));
    }
}

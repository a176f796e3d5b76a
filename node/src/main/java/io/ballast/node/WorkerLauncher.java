package io.ballast.node;

import io.ballast.director.worker.TrafficWorker;
import io.ballast.linux.Capability;
import io.ballast.linux.Processes;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Starts traffic workers. */
@FunctionalInterface
interface WorkerLauncher {

    /** Starts one that will listen on the socket. */
    Process start(Path socket) throws IOException, InterruptedException;

    /**
     * Starts a worker as this process was started: the same Java, the same class path. Its JVM options are those in the
     * property {@code ballast.worker.jvm.args}, split at blanks, which the launcher script sets.
     *
     * @param build what the worker is to call its build
     */
    static WorkerLauncher likeThisProcess(String build) {
        return socket -> {
            List<String> command = new ArrayList<>();
            command.add(ProcessHandle.current()
                    .info()
                    .command()
                    .orElseGet(() -> Path.of(System.getProperty("java.home", ""), "bin", "java")
                            .toString()));
            String options = System.getProperty("ballast.worker.jvm.args", DEFAULT_OPTIONS);
            for (String option : options.strip().split("\\s+", -1)) {
                if (!option.isEmpty()) {
                    command.add(option);
                }
            }
            command.add("-cp");
            command.add(System.getProperty("java.class.path", ""));
            command.add(TrafficWorker.class.getName());
            command.addAll(List.of("--socket", socket.toString(), "--build", build));
            // Its output goes where ours does, and it may well outlive us.
            ProcessBuilder worker = new ProcessBuilder(command)
                    .redirectInput(new File("/dev/null"))
                    .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                    .redirectError(ProcessBuilder.Redirect.INHERIT);
            return Processes.withoutCapabilities(needed(socket), worker::start);
        };
    }

    /**
     * What a worker needs capabilities for. It carries the bytes of strangers on sockets that are handed to it, so: for
     * nothing. Only root that runs a program of somebody else's, out of a home directory that is closed to others, reads
     * it by CAP_DAC_OVERRIDE alone.
     */
    private static Set<Capability> needed(Path socket) throws IOException, InterruptedException {
        if (!Capability.DAC_OVERRIDE.isEffective()) {
            return Set.of();
        }
        List<Path> read = new ArrayList<>();
        read.add(Path.of(System.getProperty("java.home", "/"), "lib"));
        for (String entry : System.getProperty("java.class.path", "").split(File.pathSeparator, -1)) {
            read.add(Path.of(entry));
        }
        return Processes.withoutCapabilities(Set.of(), () -> {
            try {
                for (Path entry : read) {
                    if (Files.isDirectory(entry)) {
                        try (DirectoryStream<Path> _ = Files.newDirectoryStream(entry)) {
                            continue;
                        }
                    }
                    if (Files.exists(entry)) {
                        try (InputStream _ = Files.newInputStream(entry)) {
                            continue;
                        }
                    }
                    if (!Files.notExists(entry)) {
                        return Set.of(Capability.DAC_OVERRIDE);
                    }
                }
                Files.delete(Files.createTempFile(socket.toAbsolutePath().getParent(), ".w", ""));
                return Set.of();
            } catch (AccessDeniedException e) {
                return Set.of(Capability.DAC_OVERRIDE);
            } catch (IOException e) {
                // No matter of permission; where it matters, the start will tell.
                return Set.of();
            }
        });
    }

    /** JVM options of a worker where nobody gave any. */
    String DEFAULT_OPTIONS = "-XX:+UseSerialGC -XX:-UsePerfData -Xms32m -Xmx256m -XX:+ExitOnOutOfMemoryError"
            + " --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow";
}

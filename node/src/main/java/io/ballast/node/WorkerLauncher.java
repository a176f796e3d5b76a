package io.ballast.node;

import io.ballast.director.worker.TrafficWorker;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Starts traffic workers. */
@FunctionalInterface
interface WorkerLauncher {

    /** Starts one that will listen on the socket. */
    Process start(Path socket) throws IOException;

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
            return new ProcessBuilder(command)
                    .redirectInput(new File("/dev/null"))
                    .redirectOutput(ProcessBuilder.Redirect.INHERIT)
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
        };
    }

    /** JVM options of a worker where nobody gave any. */
    String DEFAULT_OPTIONS = "-XX:+UseSerialGC -XX:-UsePerfData -Xms32m -Xmx256m -XX:+ExitOnOutOfMemoryError"
            + " --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow";
}

package io.ballast.lab.farm;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** How further programs of ballast are started: by the launcher that started this one, or as this JVM was. */
final class Jvm {
    private Jvm() {}

    /** A verb of ballast. */
    static List<String> ballast(List<String> words) {
        String launcher = System.getProperty("ballast.launcher", "");
        List<String> command = new ArrayList<>();
        if (launcher.isEmpty()) {
            command.addAll(java("io.ballast.cli.Main", List.of("-Xmx64m")));
        } else {
            command.add(launcher);
        }
        command.addAll(words);
        return command;
    }

    /** A main class on this program's class path. */
    static List<String> java(String mainClass, List<String> options) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of(
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow"));
        command.addAll(options);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), mainClass));
        return command;
    }
}

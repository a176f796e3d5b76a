package io.ballast.lab.farm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Programs of the system, and running one to its end. */
final class Programs {
    private Programs() {}

    /** Where the program is: in PATH, or where an ordinary user's PATH does not lead. */
    static Optional<String> find(String name) {
        String path = System.getenv().getOrDefault("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin";
        for (String directory : path.split(":", -1)) {
            Path file = Path.of(directory.isEmpty() ? "." : directory, name);
            if (Files.isExecutable(file) && !Files.isDirectory(file)) {
                return Optional.of(file.toString());
            }
        }
        return Optional.empty();
    }

    /** The same for one that must be there. */
    static String require(String name, String debianPackage) throws IOException {
        return find(name)
                .orElseThrow(() ->
                        new IOException(name + " is missing; install it with: apt-get install -y " + debianPackage));
    }

    /**
     * Runs a program, gives it {@code input} and waits for its end.
     *
     * @return what it said on its standard output
     * @throws IOException when it fails, with what it said
     */
    static String run(List<String> command, String input) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try (var in = process.outputWriter(StandardCharsets.UTF_8)) {
            in.write(input);
        }
        String output;
        try (var out = process.getInputStream()) {
            output = new String(out.readAllBytes(), StandardCharsets.UTF_8);
        }
        int code = process.waitFor();
        if (code != 0) {
            throw new IOException(String.join(" ", command) + ": exit code " + code
                    + (output.isBlank() ? "" : ": " + output.strip()));
        }
        return output;
    }
}

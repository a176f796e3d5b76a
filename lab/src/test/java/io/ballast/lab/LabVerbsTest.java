package io.ballast.lab;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.cli.Exit;
import io.ballast.cli.Main;
import io.ballast.cli.Terminal;
import io.ballast.lab.farm.LabStore;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the lab's verbs say of wrong words, without a lab. */
class LabVerbsTest {
    @TempDir
    Path directory;

    private record Said(int code, String out, String err) {}

    private Said run(String... words) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Map<String, String> environment = Map.of("BALLAST_RUN_DIR", directory.toString());
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                "",
                environment);
        int code = new Main(terminal, environment).run(List.of(words));
        return new Said(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }

    @Test
    void aDirectoryIsNoDescription() {
        assertThat(run("lab", "up", directory.toString()))
                .isEqualTo(new Said(
                        Exit.USAGE, "", "error: " + directory + " is a directory; name the description in it\n"));
    }

    @Test
    void aDemoNeedsRequests() {
        assertThat(run("demo", "--rate", "0").err()).contains("--rate 0: use 1 to 100000 requests a second");
    }

    @Test
    void aDrillWaitsForAnswers() {
        Said said = run("drill", "../examples/farm.yaml", "--timeout", "0s");
        assertThat(said.code()).isEqualTo(Exit.USAGE);
        assertThat(said.err()).contains("--timeout 0s: no answer comes in no time");
    }

    @Test
    void aLabThatIsNotThereIsNotTakenDownBesideOthers() throws IOException {
        assertThat(run("lab", "down", "nope").code()).isEqualTo(Exit.DONE);
        Files.createDirectories(directory.resolve("lab/farm"));

        Said said = run("lab", "down", "nope");

        assertThat(said.code()).isEqualTo(Exit.FAILED);
        assertThat(said.err()).isEqualTo("error: there is no lab nope; there is farm\n");
        assertThat(directory.resolve("lab/farm")).isDirectory();
    }

    @Test
    void whichLabIsMeantIsSaidByName() throws IOException {
        Files.createDirectories(directory.resolve("lab/farm"));
        Files.createDirectories(directory.resolve("lab/farm2"));

        assertThat(run("lab", "exec", "client", "true").err())
                .contains("there are several labs: farm, farm2; say which, for instance: -n farm");
    }

    @Test
    void programsAreFoundInTheLabsPath() throws IOException {
        Path first = Files.createDirectory(directory.resolve("first"));
        Path second = Files.createDirectory(directory.resolve("second"));
        Files.createFile(first.resolve("ballast"));
        Path program = Files.createFile(
                second.resolve("ballast"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));

        assertThat(LabStore.program("ballast", first + ":" + second)).isEqualTo(program);
        assertThat(LabStore.program("nothing", first + ":" + second)).isEqualTo(Path.of("nothing"));
        assertThat(LabStore.program("./nothing", second.toString())).isEqualTo(Path.of("./nothing"));
    }
}

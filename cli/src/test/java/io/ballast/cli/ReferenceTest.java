package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is made from the verbs for other programs: those programs read it. */
class ReferenceTest {
    @TempDir
    Path directory;

    @Test
    void bashOffersVerbsOptionsFilesAndChoices() throws Exception {
        Path script = Files.writeString(
                directory.resolve("completion"),
                Console.run("completion", "bash").out());

        assertThat(complete(script, "ballast ")).contains("list", "check", "server");
        assertThat(complete(script, "ballast ev")).containsExactly("events");
        assertThat(complete(script, "ballast server dr")).containsExactly("drain");
        assertThat(complete(script, "ballast list --st")).containsExactly("--stats");
        assertThat(complete(script, "ballast completion ")).containsExactly("bash", "zsh", "fish");
        assertThat(complete(script, "ballast check compl")).containsExactly("completion");
        assertThat(complete(script, "ballast list --socket comp")).containsExactly("completion");
    }

    @Test
    void bashOffersServersWithColonsInTheirNames() throws Exception {
        Path script = Files.writeString(
                directory.resolve("completion"),
                Console.run("completion", "bash").out());
        Path program = Files.writeString(
                directory.resolve("ballast"),
                "[ \"$2\" = services ] && echo web || printf '10.1.0.1:80\\n10.1.0.1:81\\n10.1.0.2:80\\n'");

        String ballast = "bash " + program;
        assertThat(complete(script, "ballast server drain ", ballast)).containsExactly("web");
        assertThat(complete(script, "ballast server drain web 10.1.0.1:", ballast))
                .containsExactly("80", "81");
        assertThat(complete(script, "ballast server drain web 10.1.0.2", ballast))
                .containsExactly("10.1.0.2:80");
    }

    @Test
    void theManPageHasNoWarnings() throws Exception {
        assumeTrue(run("command -v groff").code() == 0, "needs groff (apt-get install groff-base)");
        Path page = Files.writeString(
                directory.resolve("ballast.1"), Console.run("manpage").out());

        Result result = run("groff -man -Tutf8 -ww " + page);

        assertThat(result.err()).isEmpty();
        assertThat(result.out()).contains("ballast server drain web www1 --wait");
    }

    @Test
    void shellcheckHasNothingToSayAboutTheScripts() throws Exception {
        assumeTrue(run("command -v shellcheck").code() == 0, "needs shellcheck (apt-get install shellcheck)");
        Path completion = Files.writeString(
                directory.resolve("completion"),
                Console.run("completion", "bash").out());

        Result result = run("cd .. && shellcheck -x ballast .ci/run packaging/*.sh packaging/debian/*.sh"
                + " packaging/debian/p* && shellcheck -s bash " + completion);

        assertThat(result.out()).isEmpty();
        assertThat(result.code()).isEqualTo(0);
    }

    private List<String> complete(Path script, String line) throws Exception {
        return complete(script, line, "false");
    }

    /** What bash offers at the end of the line, where {@code ballast} is the given command. */
    private List<String> complete(Path script, String line, String ballast) throws Exception {
        Result result = run("ballast() { " + ballast + " \"$@\"; }; . " + script + "; cd " + directory
                + ";"
                + " COMP_LINE='" + line + "'; COMP_POINT=" + line.length() + "; _ballast;"
                + " printf '%s\\n' \"${COMPREPLY[@]}\"");
        assertThat(result.err()).isEmpty();
        return result.out().lines().filter(l -> !l.isEmpty()).toList();
    }

    private record Result(int code, String out, String err) {}

    private Result run(String script) throws IOException, InterruptedException {
        Path out = directory.resolve("out");
        Path err = directory.resolve("err");
        int code = new ProcessBuilder("bash", "-c", script)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start()
                .waitFor();
        return new Result(
                code, Files.readString(out, StandardCharsets.UTF_8), Files.readString(err, StandardCharsets.UTF_8));
    }
}

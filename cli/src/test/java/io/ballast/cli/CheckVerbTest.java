package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckVerbTest {
    @TempDir
    Path directory;

    @Test
    void theExampleIsRight() {
        Console console = Console.run("check", "../examples/farm.yaml");

        assertThat(console.err()).isEmpty();
        assertThat(console.code()).isEqualTo(Exit.DONE);
        assertThat(console.out()).isEqualTo("../examples/farm.yaml: ok: 1 service, 3 real servers, 5 nodes\n");
        assertThat(Console.run("check", "../examples/ultramonkey.yaml").out())
                .isEqualTo("../examples/ultramonkey.yaml: ok: 1 service, 2 real servers, 5 nodes, 1 virtual router\n");
    }

    @Test
    void everyMistakeIsShownWithItsPlace() throws IOException {
        Path file = write("services:\n  web:\n    lisen: [\"192.0.2.1:80/tcp\"]\n    servers: [\"192.0.2.2:80\"]\n");
        Console console = Console.run("check", file.toString());

        assertThat(console.code()).isEqualTo(Exit.USAGE);
        assertThat(console.out()).isEmpty();
        assertThat(console.err())
                .contains(file + ":3:5: error: services.web.lisen: unknown key \"lisen\"; did you mean \"listen\"?")
                .contains("the description cannot be used");
    }

    @Test
    void jsonListsTheProblems() throws IOException {
        Console console = Console.run("check", write("services: 5\n").toString(), "--json");

        assertThat(console.code()).isEqualTo(Exit.USAGE);
        JsonObject json = JsonParser.parseString(console.out()).getAsJsonObject();
        assertThat(json.get("usable").getAsBoolean()).isFalse();
        JsonObject problem = json.getAsJsonArray("problems").get(0).getAsJsonObject();
        assertThat(problem.get("line").getAsInt()).isEqualTo(1);
        assertThat(problem.get("severity").getAsString()).isEqualTo("error");
    }

    @Test
    void whatIsNoDescriptionIsWrongUsage() {
        assertThat(Console.run("check", directory.toString()).err()).contains("is a directory");
        assertThat(Console.run("check", directory.resolve("none").toString()).err())
                .contains("no such file");
        assertThat(Console.run("check", "a", "b").err()).contains("does not know what to do with \"b\"");
    }

    @Test
    void filesOfChecksAreLookedAtWhereTheChecksRun() throws IOException {
        Path plain = Files.writeString(directory.resolve("plain"), "");
        Files.setPosixFilePermissions(plain, PosixFilePermissions.fromString("rw-------"));
        Path open = Files.writeString(directory.resolve("open"), "");
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rw-r--r--"));
        String services = """
            services:
              web:
                listen: 127.0.0.1:80
                servers: [10.0.0.2:80]
                checks:
                  - { type: exec, command: [%1$s/none] }
                  - { type: exec, command: [%1$s/plain] }
                  - { type: exec, command: [%1$s] }
                  - { type: exec, command: [/bin/true] }
                  - { type: redis, password-file: %1$s/open }
                  - { type: redis, password-file: %1$s/plain }
            """.formatted(directory);
        Console here = Console.run("check", write(services).toString());
        Console elsewhere = Console.run(
                "check",
                write("nodes: { not-this-machine: , nor-this: }\n" + services).toString());

        assertThat(here.code()).isEqualTo(Exit.DONE);
        assertThat(here.out()).contains("; 4 warnings");
        assertThat(here.err())
                .contains("ballast.yaml:6:33: warning: services.web.checks: the check exec: " + directory
                        + "/none is not on this machine\n  6 |       - { type: exec")
                .contains("plain is not executable: chmod +x it")
                .contains(":8:33: warning: services.web.checks: the check exec-3: " + directory + " is a directory")
                .contains("open holds a password and can be read by everybody on this machine: chmod 600 it");
        assertThat(elsewhere.out()).contains("ok").doesNotContain("warning");
    }

    @Test
    void aNameThatHasNoAddressIsAWarning() throws IOException {
        Console console = Console.run(
                "check",
                write("services: { web: { listen: \"127.0.0.1:80\", servers: [\"no-such-host.invalid:80\"] } }\n")
                        .toString());
        assertThat(console.code()).isEqualTo(Exit.DONE);
        assertThat(console.out()).contains("; 1 warning");
        assertThat(console.err())
                .contains("warning: services.web.servers[0].address: the name no-such-host.invalid has no address");
    }

    @Test
    void aPipeIsReadUnlessNobodyWritesToIt() throws Exception {
        Path pipe = directory.resolve("pipe");
        assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor())
                .isZero();
        Console silent = Console.run("check", pipe.toString());
        assertThat(silent.err()).isEqualTo("error: " + pipe + " is a pipe, and nobody writes to it\n");
        assertThat(silent.code()).isEqualTo(Exit.USAGE);

        Path other = directory.resolve("other");
        assertThat(new ProcessBuilder("mkfifo", other.toString()).start().waitFor())
                .isZero();
        Thread.ofVirtual().start(() -> {
            try {
                Files.writeString(
                        other, "services: { web: { listen: \"127.0.0.1:80\", servers: [\"10.0.0.2:80\"] } }\n");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        assertThat(Console.run("check", other.toString()).out()).contains("ok: 1 service");
    }

    private Path write(String yaml) throws IOException {
        return Files.writeString(directory.resolve("ballast.yaml"), yaml);
    }
}

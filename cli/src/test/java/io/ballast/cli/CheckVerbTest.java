package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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

    private Path write(String yaml) throws IOException {
        return Files.writeString(directory.resolve("ballast.yaml"), yaml);
    }
}

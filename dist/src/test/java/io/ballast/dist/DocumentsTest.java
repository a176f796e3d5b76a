package io.ballast.dist;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.ballast.cli.Exit;
import io.ballast.cli.Main;
import io.ballast.cli.Terminal;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The documents say what the program does. */
class DocumentsTest {
    private static final Path ROOT = Path.of("..");
    private static final Pattern YAML = Pattern.compile("^```yaml\n(.*?)^```", Pattern.MULTILINE | Pattern.DOTALL);
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)#:]+)(#[^)]*)?\\)");

    @TempDir
    Path directory;

    @Test
    void theReferenceOfTheVerbsIsCurrent() throws IOException {
        assertThat(Files.readString(ROOT.resolve("docs/reference/cli.md")))
                .as("make it again: ./ballast manpage --markdown > docs/reference/cli.md")
                .isEqualTo(ballast("manpage", "--markdown").out());
    }

    @Test
    void everyDescriptionInThemIsRight() throws IOException {
        int found = 0;
        for (Path page : pages()) {
            Matcher yaml = YAML.matcher(Files.readString(page));
            while (yaml.find()) {
                if (yaml.group(1).contains("services:")) {
                    found++;
                    Path file = Files.writeString(directory.resolve("ballast.yaml"), yaml.group(1));
                    // Some have a key, which is not for everybody to read.
                    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
                    Result result = ballast("check", file.toString());
                    assertThat(result.err()).as("%s", page).isEmpty();
                    assertThat(result.code()).as("%s", page).isEqualTo(Exit.DONE);
                }
            }
        }
        assertThat(found).isGreaterThanOrEqualTo(2);
        for (Path example : List.of(
                ROOT.resolve("packaging/debian/ballast.yaml"),
                ROOT.resolve("examples/farm.yaml"),
                ROOT.resolve("examples/nat-pair.yaml"),
                ROOT.resolve("examples/ultramonkey.yaml"),
                ROOT.resolve("examples/xdp.yaml"))) {
            assertThat(ballast("check", example.toString()).err()).isEmpty();
        }
    }

    @Test
    void everyMemberOfTheControlApiIsNamed() throws IOException {
        String page = Files.readString(ROOT.resolve("docs/control-api.md"));
        JsonObject api = JsonParser.parseString(
                        Files.readString(ROOT.resolve("node/src/main/resources/io/ballast/node/openapi.json")))
                .getAsJsonObject();
        Set<String> members = new TreeSet<>();
        collect(api.getAsJsonObject("components").get("schemas"), members);
        assertThat(members)
                .contains("limited", "exceptions", "engines", "outFrom")
                .allSatisfy(member -> assertThat(page)
                        .as("docs/control-api.md says nothing of \"%s\"", member)
                        .containsPattern("[\"`]" + member + "[\"`]"));
    }

    /** The names of every schema's properties. */
    private static void collect(JsonElement schema, Set<String> members) {
        if (schema instanceof JsonObject object) {
            if (object.get("properties") instanceof JsonObject properties) {
                members.addAll(properties.keySet());
            }
            object.asMap().values().forEach(each -> collect(each, members));
        }
    }

    @Test
    void everyLinkLeadsSomewhere() throws IOException {
        for (Path page : pages()) {
            Matcher link = LINK.matcher(Files.readString(page));
            while (link.find()) {
                assertThat(page.resolveSibling(link.group(1)))
                        .as("link in %s", page)
                        .exists();
            }
        }
    }

    private static List<Path> pages() throws IOException {
        List<Path> pages = new ArrayList<>();
        for (Path folder : List.of(ROOT, ROOT.resolve("docs"), ROOT.resolve("docs/how-to"))) {
            try (Stream<Path> files = Files.list(folder)) {
                files.filter(f -> f.toString().endsWith(".md")).sorted().forEach(pages::add);
            }
        }
        return pages;
    }

    private record Result(int code, String out, String err) {}

    private static Result ballast(String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                "",
                Map.of());
        int code = new Main(terminal, Map.of()).run(List.of(args));
        return new Result(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}

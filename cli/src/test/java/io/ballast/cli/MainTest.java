package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

class MainTest {
    @Test
    void withoutAVerbTheOverviewIsShownAsWrongUsage() {
        Console console = Console.run();

        assertThat(console.code()).isEqualTo(Exit.USAGE);
        assertThat(console.out()).contains("Usage: ballast VERB").contains("  list ");
    }

    @Test
    void aVerbThatIsNearlyRightIsGuessed() {
        assertThat(Console.run("evnts").err()).contains("unknown verb \"evnts\"; did you mean events?");
        assertThat(Console.run("server", "drian").err()).contains("did you mean drain?");
        assertThat(Console.run("frobnicate").err()).contains("there are ");
        assertThat(Console.run("--frobnicate", "list").err()).contains("the verb comes first");
    }

    @Test
    void anUnknownVerbIsToldOfThoseOfTheCheckoutToo() {
        System.setProperty("ballast.checkout", "true");
        try {
            assertThat(Console.run("frobnicate").err()).contains(", test, package");
            assertThat(Console.run("packge").err()).contains("did you mean package?");
        } finally {
            System.clearProperty("ballast.checkout");
        }
    }

    @Test
    void anOutputThatCannotBeWrittenIsAFailure() {
        assertThat(writingFails("No space left on device"))
                .isEqualTo("1 error: the output could not be written: No space left on device\n");
    }

    @Test
    void aReaderWhoHasSeenEnoughIsNone() {
        assertThat(writingFails("Broken pipe")).isEqualTo("0 ");
    }

    private static String writingFails(String why) {
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        OutputStream full = new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException(why);
            }
        };
        Main program = new Main(Terminal.of(full, err, "", Map.of()), Map.of());
        int code = program.written(program.run(List.of("schema")));
        return code + " " + err.toString(StandardCharsets.UTF_8);
    }

    @Test
    void everyVerbHasHelpWithAnExampleAndDistinctOptions() {
        for (List<String> verb : everyVerb(List.of(), Verbs.all())) {
            List<String> args = new ArrayList<>(verb);
            args.add("--help");
            Console console = Console.run(args.toArray(String[]::new));
            String name = "ballast " + String.join(" ", verb);

            assertThat(console.code()).as(name).isEqualTo(Exit.DONE);
            assertThat(console.out())
                    .as(name)
                    .contains("Usage: " + name)
                    .contains("Example")
                    .contains("--json");
            assertThat(console.err()).as(name).isEmpty();
        }
        for (Verb verb : Verbs.all()) {
            Set<String> names = new HashSet<>();
            for (Option option : Help.options(verb.spec())) {
                assertThat(names.add(option.name())).as(option.name()).isTrue();
                option.letter().ifPresent(l -> assertThat(names.add(l)).as(l).isTrue());
            }
        }
    }

    @Test
    void helpComesInEachOfItsForms() {
        String help = Console.run("server", "drain", "--help").out();

        assertThat(Console.run("help", "server", "drain").out()).isEqualTo(help);
        assertThat(Console.run("server", "drain", "web", "-h").out()).isEqualTo(help);
        assertThat(Console.run("--help").code()).isEqualTo(Exit.DONE);
        assertThat(Console.run("server").code()).isEqualTo(Exit.USAGE);
        assertThat(Console.run("server", "--json").err()).contains("its own verb comes first");
    }

    @Test
    void jsonIsAskedForOnceAndErrorsComeInIt() {
        Console console = Console.run("list", "--socket", "/nonexistent/control.sock", "--json");

        assertThat(console.code()).isEqualTo(Exit.FAILED);
        var error = JsonParser.parseString(console.out()).getAsJsonObject().getAsJsonObject("error");
        assertThat(error.get("code").getAsString()).isEqualTo("failed");
        assertThat(error.get("message").getAsString()).contains("/nonexistent/control.sock");
    }

    @Test
    void coloursOnlyOnATerminalThatWantsThem() {
        assertThat(Console.run("out,err", Map.of("TERM", "xterm"), "x").err()).contains("\033[31merror: \033[0m");
        assertThat(Console.run("out", Map.of("TERM", "xterm"), "x").err()).doesNotContain("\033");
        assertThat(Console.run("out,err", Map.of("TERM", "xterm", "NO_COLOR", "1"), "x")
                        .err())
                .doesNotContain("\033");
        assertThat(Console.run("out,err", Map.of("TERM", "dumb"), "x").err()).doesNotContain("\033");
    }

    @Test
    void versionNamesItselfAndJava() {
        assertThat(Console.run("version").out()).matches("ballast \\S+ \\(Java 2[5-9].*\\)\n");
        assertThat(Console.run("--version").out())
                .isEqualTo(Console.run("version").out());
    }

    @Test
    void schemaIsJson() {
        JsonObject schema = JsonParser.parseString(Console.run("schema").out()).getAsJsonObject();

        assertThat(schema.getAsJsonObject("properties").keySet()).contains("nodes", "services");
        assertThat(Console.run("schema", "--markdown").out()).contains("scheduler");
    }

    @Test
    void doctorLooksAtThisMachine() {
        Console console = Console.run("doctor", "--json");

        assertThat(console.code()).isEqualTo(Exit.DONE);
        assertThat(console.out()).contains("\"java\"").contains("\"kernel\"").contains("\"CAP_NET_ADMIN\"");
    }

    private static List<List<String>> everyVerb(List<String> above, List<Verb> verbs) {
        List<List<String>> all = new ArrayList<>();
        for (Verb verb : verbs) {
            List<String> name = new ArrayList<>(above);
            name.add(verb.spec().name());
            all.add(name);
            all.addAll(everyVerb(name, verb.verbs()));
        }
        return all;
    }
}

package io.ballast.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ParserTest {
    private static final VerbSpec SPEC = VerbSpec.of("try", "Try")
            .parameter(Parameter.required("service", ValueKind.SERVICE, "the virtual service"))
            .parameter(Parameter.many("servers", ValueKind.SERVER, "its servers", false))
            .option(Option.flag("--follow", "wait for more").letter('f'))
            .option(Option.flag("--rate", "per second").letter('r'))
            .option(Option.value("--limit", ValueKind.NUMBER, "N", "at most").letter('n'))
            .option(Option.value("--interval", ValueKind.DURATION, "DURATION", "how often"))
            .option(Option.choice("--colour", "WHEN", "when", "always", "never"))
            .option(Option.value("--set", ValueKind.TEXT, "TEXT", "many times").repeated());

    @Test
    void readsOptionsInEachOfTheirForms() throws Exception {
        Invocation call =
                parse(SPEC, "-fr", "web", "-n5", "--interval=90s", "a", "--set", "x", "--set=y", "--json", "b");

        assertThat(call.flag("--follow")).isTrue();
        assertThat(call.flag("--rate")).isTrue();
        assertThat(call.json()).isTrue();
        assertThat(call.number("--limit", 0)).isEqualTo(5);
        assertThat(call.duration("--interval", Duration.ZERO)).isEqualTo(Duration.ofSeconds(90));
        assertThat(call.values("--set")).containsExactly("x", "y");
        assertThat(call.parameter("service")).isEqualTo("web");
        assertThat(call.parameters("servers")).containsExactly("a", "b");
    }

    @Test
    void afterTwoDashesNothingIsAnOption() throws Exception {
        assertThat(parse(SPEC, "web", "--", "-n", "--json").parameters("servers"))
                .containsExactly("-n", "--json");
    }

    @Test
    void aProgramsCommandLineIsTakenAsItIs() throws Exception {
        VerbSpec exec = VerbSpec.of("exec", "Run")
                .parameter(Parameter.required("node", ValueKind.TEXT, "where"))
                .parameter(Parameter.many("command", ValueKind.COMMAND, "what", true));

        assertThat(parse(exec, "www1", "ip", "-4", "--json").parameters("command"))
                .containsExactly("ip", "-4", "--json");
        assertThat(parse(exec, "www1", "--", "ip", "--", "x").parameters("command"))
                .containsExactly("ip", "--", "x");
    }

    @Test
    void helpNeedsNoParameters() throws Exception {
        assertThat(parse(SPEC, "--help").flag("--help")).isTrue();
    }

    @Test
    void saysWhatIsWrong() {
        wrong("unknown option --folow; did you mean --follow?", "--folow", "web");
        wrong("unknown option -x", "-x", "web");
        wrong("needs SERVICE, the virtual service");
        wrong("--limit: \"many\" is not a whole number", "web", "--limit", "many");
        wrong("--limit: -1 is below zero", "web", "--limit", "-1");
        wrong("--limit needs a value: --limit N", "web", "--limit");
        wrong("--limit was given twice: \"1\" and \"2\"", "web", "-n", "1", "-n", "2");
        wrong("--interval: \"10\" is not a duration", "web", "--interval", "10");
        wrong("--colour: \"alway\" is none of always, never; did you mean always?", "web", "--colour", "alway");
        wrong("--follow takes no value, but was given \"yes\"", "web", "--follow=yes");
        wrong("SERVICE is empty", "");
    }

    @Test
    void aNumberBelowZeroIsNoUnknownOption() {
        VerbSpec weight =
                VerbSpec.of("weight", "Weigh").parameter(Parameter.required("weight", ValueKind.NUMBER, "how much"));
        assertThatThrownBy(() -> parse(weight, "-1")).hasMessageContaining("WEIGHT: -1 is below zero");
        assertThatThrownBy(() -> parse(weight, "-x")).hasMessageContaining("unknown option -x");
    }

    @Test
    void wordsTooManyAreNamed() {
        VerbSpec none = VerbSpec.of("none", "None");
        assertThatThrownBy(() -> parse(none, "extra")).hasMessageContaining("does not know what to do with \"extra\"");
    }

    private static void wrong(String message, String... args) {
        assertThatThrownBy(() -> parse(SPEC, args))
                .isInstanceOfSatisfying(Failure.class, f -> assertThat(f.code()).isEqualTo(Exit.USAGE))
                .hasMessageContaining(message)
                .hasMessageContaining("Try: ballast try --help");
    }

    private static Invocation parse(VerbSpec spec, String... args) throws Failure {
        PrintStream none = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        return new Parser("ballast try", spec).parse(List.of(args), new Terminal(none, none, "", Map.of()), Map.of());
    }
}

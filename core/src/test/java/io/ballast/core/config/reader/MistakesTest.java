package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Problem;
import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MistakesTest {

    static List<Mistakes.Case> cases() throws IOException {
        return Mistakes.all();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void everyMistakeIsNamedWithItsPlaceAndWhatWouldBeRight(Mistakes.Case mistake) {
        ReadResult result = new DescriptionReader().read("t.yaml", mistake.bytes());
        assertThat(result.problems().stream().map(Mistakes::line)).containsExactlyElementsOf(mistake.expected());
        assertThat(result.description().isPresent()).isEqualTo(result.errors().isEmpty());
    }

    @Test
    void thereAreManyKindsOfMistakes() throws IOException {
        assertThat(cases())
                .hasSizeGreaterThan(60)
                .allSatisfy(c -> assertThat(c.expected()).as(c.title()).isNotEmpty());
    }

    @Test
    void noProblemShowsASecretOrItsLine() {
        String text = """
                services:
                  web:
                    listen: 10.0.0.1:80/udp
                    engine: xdp
                    quic: { config: 9, nonce-length: 14, key: "0123456789abcdef" }
                    servers: [a:80]
                """;
        assertThat(new DescriptionReader().read("farm.yaml", text).problems())
                .hasSizeGreaterThan(1)
                .noneMatch(problem -> problem.toString().contains("0123456789abcdef"));
    }

    @Test
    void aSecretInTheWrongPlaceIsNotShownEither() {
        String text = """
                nodes:
                  d1: { interfaces: { eth0: { addresses: 192.0.2.1/24 } } }
                virtual-routers:
                  front:
                    router-id: 1
                    addresses: 192.0.2.240/24
                    nodes: { d1: }
                    hmac: { keys: [{ id: 1, secret: 0123456789abcdef }] }
                """;
        assertThat(new DescriptionReader().read("farm.yaml", text).problems())
                .anyMatch(problem -> problem.toString().contains("unknown key \"secret\""))
                .noneMatch(problem -> problem.toString().contains("0123456789abcdef"));
    }

    @Test
    void aProblemShowsTheLineAndACaretUnderTheColumn() {
        String text =
                "services:\n  web:\n    listen: 10.0.0.1:80\n    servers: [a:80] # \u00fc\u2603 \n    schedular: rr # \u00fc\u2603\n";
        Problem problem =
                new DescriptionReader().read("farm.yaml", text).problems().getFirst();
        assertThat(problem).hasToString("""
                        farm.yaml:5:5: error: services.web.schedular: unknown key "schedular"; did you mean "scheduler"?
                          5 |     schedular: rr # \u00fc\u2603
                            |     ^""");
    }

    @Test
    void theCaretStandsUnderTheCharacterInALongLineToo() {
        String listen = IntStream.range(1000, 1300)
                .mapToObj(p -> "\"10.0.0.1:" + p + "\", ")
                .collect(Collectors.joining());
        String text = "services: { web: { listen: [" + listen + "\"10.0.0.1:xx\"] } }\n";
        Problem last = new DescriptionReader()
                .read("t.yaml", text).errors().stream()
                        .filter(p -> p.message().contains("xx"))
                        .findFirst()
                        .orElseThrow();
        List<String> lines = last.excerpt().lines().toList();
        int caret = lines.get(1).indexOf('^');
        assertThat(lines.get(0).substring(caret)).startsWith("\"10.0.0.1:xx\"");
        assertThat(lines.get(0)).hasSizeLessThan(130);
    }

    @Test
    void aFileFullOfMistakesDoesNotFloodTheScreen() {
        var text = new StringBuilder("services:\n  web:\n    listen: 10.0.0.1:80\n    servers:\n");
        for (int i = 0; i < 5000; i++) {
            text.append("      - { address: \"10.0.0.2:80\", wieght: 1 }\n");
        }
        List<Problem> problems =
                new DescriptionReader().read("t.yaml", text.toString()).problems();
        assertThat(problems).hasSize(Problems.MAX_SHOWN + 1);
        assertThat(problems.getLast().message()).matches("and 9[0-9]{3} more problems like these");
    }
}

package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Description;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LastReadingTest {
    private static final String TEXT = """
            name: farm
            nodes: # machines
              www1: { interfaces: { eth0: { addresses: [10.1.0.1/24] } } }
            checks:
              page: { type: http }
            services:
              # the first
              a:
                listen: 127.0.0.1:1
                servers: [www1:80, "10.1.0.2:80"]
              b:
                listen:
                  - 127.0.0.1:2
                  - 127.0.0.1:3
                servers:
                  - { address: "10.1.0.1:80",
                name: x, weight: 2 }
                checks: [page]

              # the third
              c: { listen: "127.0.0.1:4", servers: ["10.1.0.1:80"] }
              "d":
                checks:
                  - type: tcp
                    send: |
                      hello
                        world
                listen: 127.0.0.1:5
                servers: [
                  "10.1.0.1:80"
                ]
            """;

    private static ReadResult fresh(String text) {
        return new DescriptionReader().read("t", text);
    }

    private static int wholeReadings(String from, String to) {
        var reader = new DescriptionReader();
        assertThat(reader.read("t", from).problems()).isEmpty();
        assertThat(reader.read("t", to)).isEqualTo(fresh(to));
        return reader.wholeReadings();
    }

    private static String edit(String what, String with) {
        assertThat(TEXT).contains(what);
        return TEXT.replace(what, with);
    }

    @Test
    void onlyWhatChangedIsReadAgain() {
        List<String> edits = List.of(
                TEXT,
                edit("127.0.0.1:1\n", "127.0.0.1:9\n"),
                edit("weight: 2", "weight: 3"),
                edit("checks: [page]\n", ""),
                edit("checks: [page]\n", "checks: [page]\n    scheduler: rr\n"),
                edit("      - 127.0.0.1:3\n", ""),
                edit("      - 127.0.0.1:3\n", "      - 127.0.0.1:3\n      - 127.0.0.1:6\n"),
                edit("  b:\n", "  e:\n    listen: 127.0.0.1:7\n    servers: [a:1]\n  b:\n"),
                edit("  # the first\n", "  first: { listen: \"127.0.0.1:8\", servers: [\"a:1\"] }\n  # the first\n"),
                edit("    ]\n", "    ]\n  last: { listen: \"127.0.0.1:8\", servers: [\"a:1\"] }\n"),
                edit("    ]\n", "    ]\n    on-down: reset\n"),
                edit("  c: { listen: \"127.0.0.1:4\", servers: [\"10.1.0.1:80\"] }\n", ""),
                edit("  c:", "  f:"),
                edit("  # the third\n", ""),
                edit("  # the first\n", "# the first\n"),
                edit("hello", "hello\n\n          # no comment"),
                TEXT + "  # the end\n\n",
                TEXT + "\n  z: { listen: \"127.0.0.1:8\", servers: [\"a:1\"] }");
        for (String edit : edits) {
            assertThat(wholeReadings(TEXT, edit)).as(edit).isEqualTo(1);
        }
    }

    @Test
    void theWholeIsReadWhereThatIsNotSure() {
        List<String> edits = List.of(
                edit("name: farm", "name: farms"),
                edit("10.1.0.1/24", "10.1.0.9/24"),
                edit("type: http", "type: icmp"),
                edit("    listen: 127.0.0.1:1\n", "    listen: 127.0.0.1:2\n"),
                edit("    listen: 127.0.0.1:1\n", "    lisen: 127.0.0.1:1\n"),
                edit("  c:", "  a:"),
                edit("  c:", "c:"),
                edit("  c:", "   c:"),
                edit("[\"10.1.0.1:80\"] }\n", "[\"10.1.0.1:80\"]\n"),
                edit("\"10.1.0.2:80\"]", "\"10.1.0.2:80]"),
                edit("servers: [www1:80, \"10.1.0.2:80\"]", "servers: &s [www1:80, \"10.1.0.2:80\"]"),
                edit("weight: 2", "weight: 0"),
                TEXT + "zone: x\n",
                TEXT + "---\n",
                TEXT.substring(0, TEXT.indexOf("  a:")));
        for (String edit : edits) {
            assertThat(wholeReadings(TEXT, edit)).as(edit).isEqualTo(2);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "services: { a: { listen: \"127.0.0.1:1\", servers: [\"x:1\"] },\n  b: { listen: \"127.0.0.1:2\","
                        + " servers: [\"x:1\"] } }\n",
                "services:\n  ? a\n  : { listen: \"127.0.0.1:1\", servers: [\"x:1\"] }\n"
            })
    void servicesThatAreNotWrittenInLinesAreReadAsAWhole(String text) {
        assertThat(wholeReadings(text, text.replace("127.0.0.1:1", "127.0.0.1:9")))
                .isEqualTo(2);
    }

    @Test
    void aServerThatLeadsToAnotherServiceMayCloseALoop() {
        String toC = edit("\"10.1.0.2:80\"]", "\"127.0.0.1:4\"]");
        String loop = toC.replace(
                "\"127.0.0.1:4\", servers: [\"10.1.0.1:80\"]", "\"127.0.0.1:4\", servers: [\"127.0.0.1:1\"]");
        assertThat(fresh(loop).problems()).hasSize(1);
        assertThat(wholeReadings(TEXT, toC)).isEqualTo(1);
        assertThat(wholeReadings(toC, loop)).isEqualTo(2);
        assertThat(wholeReadings(toC, TEXT)).isEqualTo(1);
    }

    @Test
    void servicesThatAreAsTheyWereAreTheSameObjects() {
        var reader = new DescriptionReader();
        Description one = reader.read("t", TEXT).description().orElseThrow();
        Description two =
                reader.read("t", edit("weight: 2", "weight: 3")).description().orElseThrow();
        assertThat(two.services().get("a")).isSameAs(one.services().get("a"));
        assertThat(two.services().get("b")).isNotEqualTo(one.services().get("b"));
        Description three = reader.read("t", edit("name: farm", "name: other"))
                .description()
                .orElseThrow();
        assertThat(three.services().get("d")).isSameAs(one.services().get("d"));
    }

    @Test
    void aBadTextBetweenTwoGoodOnesLeavesNoTrace() {
        var reader = new DescriptionReader();
        ReadResult good = reader.read("t", TEXT);
        assertThat(reader.read("t", edit("weight: 2", "weight: two")).description())
                .isEmpty();
        assertThat(reader.read("t", TEXT)).isEqualTo(good);
    }

    @Test
    void aChangeInALargeTextIsFoundByItsOwnLines() {
        String text = DescriptionGenerator.text(2000, 5, true);
        assertThat(wholeReadings(text, text.replaceFirst("weight: 3", "weight: 7")))
                .isEqualTo(1);
    }

    /** Whatever is edited, one reader that has seen many versions answers as a fresh one does. */
    @Test
    void randomEditsNeverMakeADifference() {
        List<String> lines = TEXT.lines().toList();
        int whole = 0;
        int good = 0;
        for (long seed = 0; seed < 60; seed++) {
            var random = new Random(seed);
            var reader = new DescriptionReader();
            List<String> now = new ArrayList<>(lines);
            for (int step = 0; step < 20; step++) {
                List<String> before = List.copyOf(now);
                edit(now, lines, random);
                String text = String.join("\n", now) + (random.nextInt(5) == 0 ? "" : "\n");
                ReadResult expected = fresh(text);
                assertThat(reader.read("t", text))
                        .as("seed %s, step %s:\n%s", seed, step, text)
                        .isEqualTo(expected);
                if (expected.description().isPresent()) {
                    good++;
                } else {
                    now = new ArrayList<>(before);
                }
            }
            whole += reader.wholeReadings();
        }
        assertThat(good).isGreaterThan(200);
        assertThat(whole).isLessThan(60 * 20 - good / 2);
    }

    private static void edit(List<String> now, List<String> lines, Random random) {
        int at = random.nextInt(now.size());
        switch (random.nextInt(7)) {
            case 0 -> now.remove(at);
            case 1 -> now.add(at, lines.get(random.nextInt(lines.size())));
            case 2 -> now.add(at, now.get(random.nextInt(now.size())));
            case 3 -> now.set(at, now.get(at).replaceFirst("[0-9]", Integer.toString(random.nextInt(10))));
            case 4 -> now.set(at, " ".repeat(random.nextInt(7)) + now.get(at).strip());
            case 5 -> {
                String line = now.get(at);
                int cut = line.isEmpty() ? 0 : random.nextInt(line.length());
                String noise =
                        List.of("\"", "[", "}", "#", ":", " ", "|", "'", "-").get(random.nextInt(9));
                now.set(at, line.substring(0, cut) + noise + line.substring(cut));
            }
            default -> {
                int port = 10 + random.nextInt(90);
                now.add(
                        at,
                        "  n%d: { listen: \"127.0.0.1:%d\", servers: [\"10.1.0.%d:80\"] }".formatted(port, port, port));
            }
        }
        if (now.isEmpty()) {
            now.add("");
        }
    }
}

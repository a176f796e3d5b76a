package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Problem;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

/**
 * Random edits of good and bad descriptions. Whatever the text: the reader answers with a description or an error,
 * never both, never neither, every place lies in the text, and the same text gets the same answer.
 *
 * <p>{@code -Dballast.simulate=10m} goes on for longer with fresh seeds, {@code -Dballast.seed=N} repeats one.
 */
class FuzzTest {
    private static final int RUNS = 1_500;
    private static final List<String> PIECES = List.of(
            ":",
            ": ",
            " ",
            "  ",
            "\n",
            "\t",
            "- ",
            "-",
            "[",
            "]",
            "{",
            "}",
            ",",
            "#",
            "&a ",
            "*a",
            "!x ",
            "|\n",
            ">\n",
            "'",
            "\"",
            "\\",
            "? ",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "~",
            "null",
            "yes",
            "0",
            "-1",
            "1e9",
            "3s",
            "64KiB",
            "<<: *a",
            "\0",
            "\u0085",
            "\uFEFF",
            "\u2028",
            "\uD83D\uDE00",
            "\r",
            "@",
            "`",
            "services:\n",
            "listen: ",
            "10.0.0.1:80",
            "[::]:80",
            "/udp");

    @Test
    void noTextConfusesTheReader() throws IOException {
        List<byte[]> corpus = new ArrayList<>();
        corpus.add(Files.readAllBytes(Path.of("../examples/farm.yaml")));
        corpus.add(Files.readAllBytes(Path.of("../examples/ultramonkey.yaml")));
        Mistakes.all().forEach(c -> corpus.add(c.bytes()));
        String fixed = System.getProperty("ballast.seed", "");
        String longer = System.getProperty("ballast.simulate", "");
        if (!fixed.isEmpty()) {
            one(corpus, Long.parseLong(fixed));
            return;
        }
        for (long seed = 0; seed < RUNS; seed++) {
            one(corpus, seed);
        }
        if (!longer.isEmpty()) {
            long end = System.nanoTime()
                    + io.ballast.core.time.Durations.parse(longer).orElseThrow().toNanos();
            for (long seed = new Random().nextLong(); System.nanoTime() < end; seed++) {
                one(corpus, seed);
            }
        }
    }

    private static void one(List<byte[]> corpus, long seed) {
        var random = new Random(seed);
        byte[] text = corpus.get(random.nextInt(3) == 0 ? random.nextInt(corpus.size()) : 0);
        for (int edits = 1 + random.nextInt(8); edits > 0; edits--) {
            text = edit(text, corpus, random);
        }
        byte[] mutated = text;
        try {
            ReadResult result = Assertions.assertTimeoutPreemptively(
                    Duration.ofSeconds(60), () -> new DescriptionReader().read("fuzz", mutated));
            assertThat(result.description().isPresent())
                    .isEqualTo(result.errors().isEmpty());
            List<String> lines = Arrays.asList(new String(mutated, StandardCharsets.UTF_8).split("\r\n|\r|\n", -1));
            for (Problem p : result.problems()) {
                assertThat(p.line()).as("%s", p).isBetween(0, lines.size() + 1);
                assertThat(p.message()).isNotBlank().doesNotContain("\n", "Exception");
            }
            assertThat(new DescriptionReader().read("fuzz", mutated)).isEqualTo(result);
        } catch (RuntimeException | Error e) {
            throw new AssertionError("seed " + seed + ", text:\n" + new String(mutated, StandardCharsets.UTF_8), e);
        }
    }

    private static byte[] edit(byte[] text, List<byte[]> corpus, Random random) {
        int from = random.nextInt(text.length + 1);
        int to = Math.min(text.length, from + random.nextInt(12));
        byte[] middle = switch (random.nextInt(6)) {
            case 0 -> new byte[0];
            case 1 -> new byte[] {(byte) random.nextInt(256)};
            case 2, 3 -> PIECES.get(random.nextInt(PIECES.size())).getBytes(StandardCharsets.UTF_8);
            case 4 -> {
                byte[] other = corpus.get(random.nextInt(corpus.size()));
                int start = random.nextInt(other.length + 1);
                yield Arrays.copyOfRange(other, start, Math.min(other.length, start + random.nextInt(200)));
            }
            default -> {
                int start = random.nextInt(text.length + 1);
                yield Arrays.copyOfRange(text, start, Math.min(text.length, start + random.nextInt(100)));
            }
        };
        if (random.nextBoolean()) {
            to = from;
        }
        byte[] edited = Arrays.copyOf(text, text.length - (to - from) + middle.length);
        System.arraycopy(middle, 0, edited, from, middle.length);
        System.arraycopy(text, to, edited, from + middle.length, text.length - to);
        return edited;
    }
}

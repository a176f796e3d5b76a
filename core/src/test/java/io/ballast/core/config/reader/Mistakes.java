package io.ballast.core.config.reader;

import io.ballast.core.config.Problem;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The texts of mistakes.txt and what the reader says of each. After {@code === title} comes the text, in which
 * {@code {{C0AF}}} stands for bytes, and then each problem in a line that begins with {@code >>>}.
 */
final class Mistakes {
    static final Path FILE = Path.of("src/test/resources/io/ballast/core/config/reader/mistakes.txt");
    private static final Pattern BYTES = Pattern.compile("\\{\\{([0-9A-F]+)}}");

    record Case(String title, String text, List<String> expected) {
        byte[] bytes() {
            var out = new ByteArrayOutputStream();
            Matcher m = BYTES.matcher(text);
            int at = 0;
            while (m.find()) {
                out.writeBytes(text.substring(at, m.start()).getBytes(StandardCharsets.UTF_8));
                out.writeBytes(HexFormat.of().parseHex(m.group(1)));
                at = m.end();
            }
            out.writeBytes(text.substring(at).getBytes(StandardCharsets.UTF_8));
            return out.toByteArray();
        }

        @Override
        public String toString() {
            return title;
        }
    }

    private Mistakes() {}

    static List<Case> all() throws IOException {
        List<Case> cases = new ArrayList<>();
        for (String part : Pattern.compile("(?m)^=== ")
                .splitAsStream(Files.readString(FILE))
                .toList()) {
            if (part.isEmpty()) {
                continue;
            }
            int end = part.indexOf('\n');
            var text = new StringBuilder();
            List<String> expected = new ArrayList<>();
            for (String line : part.substring(end + 1).lines().toList()) {
                if (line.startsWith(">>> ")) {
                    expected.add(line.substring(4));
                } else {
                    text.append(line).append('\n');
                }
            }
            cases.add(new Case(part.substring(0, end), text.toString(), expected));
        }
        return cases;
    }

    /** A problem as the file has it. */
    static String line(Problem p) {
        return p.line() + ":" + p.column() + ": " + p.severity().name().toLowerCase(Locale.ROOT) + ": "
                + (p.path().isEmpty() ? "" : p.path() + ": ") + p.message();
    }

    /** Writes the file anew with what the reader says now; for the author, who then reads every line of it. */
    public static void main(String[] args) throws IOException {
        var text = new StringBuilder();
        for (Case c : all()) {
            text.append("=== ").append(c.title()).append('\n').append(c.text());
            for (Problem p : new DescriptionReader().read("t.yaml", c.bytes()).problems()) {
                text.append(">>> ").append(line(p)).append('\n');
            }
        }
        Files.writeString(FILE, text);
    }
}

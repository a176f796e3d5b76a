package io.ballast.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** What a call of the program left behind: its exit code and what it wrote. */
record Console(int code, String out, String err) {

    static Console run(String... args) {
        return run(Map.of(), args);
    }

    static Console run(Map<String, String> environment, String... args) {
        return run("", environment, args);
    }

    /** With {@code tty} naming the streams that are terminals. */
    static Console run(String tty, Map<String, String> environment, String... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                tty,
                environment);
        int code = new Main(terminal, environment).run(List.of(args));
        return new Console(code, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}

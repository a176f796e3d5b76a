package io.ballast.cli;

import com.google.gson.JsonObject;
import io.ballast.cli.Terminal.Style;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The program {@code ballast}: finds the verb, reads what follows it, runs it, and turns whatever goes wrong into one
 * message and an exit code.
 *
 * <p>A user waits for every millisecond between the key and the answer, so a verb costs what it needs: the arguments
 * are parsed by hand, a built-in verb is made by name without the others being loaded, and the verbs of the rooms above
 * are looked for only where no built-in one has the name. What each verb takes stands once, in its {@link VerbSpec};
 * parsing, help, completion and the man page all read it there.
 */
public final class Main {
    private final Terminal terminal;
    private final Map<String, String> environment;

    /** The program, with somewhere to write and the environment variables. */
    public Main(Terminal terminal, Map<String, String> environment) {
        this.terminal = terminal;
        this.environment = environment;
    }

    /** Runs the verb in {@code args} and ends the process with its exit code. */
    public static void main(String[] args) {
        Terminal terminal = Terminal.ofProcess();
        Main program = new Main(terminal, System.getenv());
        int code = program.written(program.run(List.of(args)));
        // A verb may leave threads behind (a daemon's, a client's); its answer is given, so the process ends here.
        System.exit(code);
    }

    /** Runs the verb in {@code args} and answers with its exit code, see {@link Exit}; never throws. */
    public int run(List<String> args) {
        try {
            return dispatch(args);
        } catch (Failure e) {
            return tell(args, e);
        } catch (Exception e) {
            return tell(args, fromException(e));
        } catch (StackOverflowError | OutOfMemoryError e) {
            return tell(args, Failure.failed("out of memory: " + e.getMessage()));
        }
    }

    /**
     * Writes what is buffered, and answers with the exit code: a result that could not be written is none. Whoever reads
     * only the beginning of it, as {@code head} does, has what they wanted.
     */
    int written(int code) {
        terminal.flush();
        Optional<IOException> lost = terminal.lost();
        if (lost.isEmpty() || String.valueOf(lost.get().getMessage()).contains("Broken pipe")) {
            return code;
        }
        terminal.err()
                .println(terminal.errorStyle(Style.RED, "error: ") + "the output could not be written: "
                        + lost.get().getMessage());
        return code == Exit.DONE ? Exit.FAILED : code;
    }

    private int dispatch(List<String> args) throws Exception {
        if (args.isEmpty()) {
            Help.overview(Verbs.all(), terminal);
            return Exit.USAGE;
        }
        String name = args.getFirst();
        switch (name) {
            case "--help", "-h" -> {
                Help.overview(Verbs.all(), terminal);
                return Exit.DONE;
            }
            case "help" -> {
                List<String> rest = new ArrayList<>(args.subList(1, args.size()));
                rest.add("--help");
                return dispatch(rest);
            }
            case "--version", "-V" -> {
                return new VersionVerb().run(new Invocation(Map.of(), Map.of(), terminal, environment));
            }
            default -> {}
        }
        if (name.startsWith("-")) {
            throw Failure.usage(
                    "ballast: the verb comes first, then its options; got " + name + "\nTry: ballast --help");
        }
        Verb verb = Verbs.find(name).orElseThrow(() -> {
            List<String> names = new ArrayList<>(names(Verbs.all()));
            names.addAll(Help.ofCheckout().keySet());
            return unknownVerb("ballast", name, names);
        });
        return run("ballast " + name, verb, args.subList(1, args.size()));
    }

    private int run(String command, Verb verb, List<String> args) throws Exception {
        if (!verb.verbs().isEmpty()) {
            if (args.isEmpty() && !verb.runsItself()) {
                Help.of(command, verb, terminal);
                return Exit.USAGE;
            }
            String name = args.isEmpty() ? "" : args.getFirst();
            Optional<Verb> below = verb.verbs().stream()
                    .filter(v -> v.spec().name().equals(name))
                    .findFirst();
            if (below.isPresent()) {
                return run(command + " " + name, below.get(), args.subList(1, args.size()));
            }
            if (!name.startsWith("-") && !verb.runsItself()) {
                throw unknownVerb(command, name, names(verb.verbs()));
            }
        }
        Invocation call = new Parser(command, verb.spec()).parse(args, terminal, environment);
        if (call.flag("--help")) {
            Help.of(command, verb, terminal);
            return Exit.DONE;
        }
        if (!verb.runsItself()) {
            throw Failure.usage(command + ": its own verb comes first, then options\nTry: " + command + " --help");
        }
        return verb.run(call);
    }

    private static List<String> names(List<Verb> verbs) {
        return verbs.stream().map(v -> v.spec().name()).toList();
    }

    private static Failure unknownVerb(String command, String name, List<String> names) {
        Optional<String> meant = Suggestions.nearest(name, names);
        return Failure.usage(command + ": unknown verb \"" + name + "\""
                + meant.map(n -> "; did you mean " + n + "?").orElse("; there are " + String.join(", ", names))
                + "\nTry: " + command + " --help");
    }

    /** What a user can make of an exception that no verb expected. */
    private static Failure fromException(Exception e) {
        return switch (e) {
            case AccessDeniedException denied -> Failure.notPermitted(denied.getFile() + ": permission denied");
            case NoSuchFileException missing -> Failure.usage(missing.getFile() + ": no such file");
            case FileSystemException file ->
                Failure.failed(file.getMessage() == null ? file.toString() : file.getMessage());
            // What these say is written for programmers; their name helps in a report.
            case RuntimeException internal -> Failure.failed("internal error: " + internal);
            default -> Failure.failed(e.getMessage() == null ? e.toString() : e.getMessage());
        };
    }

    private int tell(List<String> args, Failure failure) {
        String message = failure.getMessage() == null ? "failed" : failure.getMessage();
        if (args.contains("--json")) {
            JsonObject error = new JsonObject();
            error.addProperty("code", failure.codeName());
            error.addProperty("message", message);
            JsonObject json = new JsonObject();
            json.add("error", error);
            terminal.json(json);
        }
        terminal.out().flush();
        terminal.err().println(terminal.errorStyle(Style.RED, "error: ") + message);
        return failure.code();
    }
}

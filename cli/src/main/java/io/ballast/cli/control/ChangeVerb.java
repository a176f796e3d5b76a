package io.ballast.cli.control;

import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Json;
import io.ballast.cli.Parameter;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.core.config.reader.DescriptionReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** {@code ballast plan}, {@code apply} and {@code reload}: from one description to the next. */
public final class ChangeVerb implements Verb {
    /** Endpoints that are named. */
    private static final int MOST_CLOSED = 20;

    private final VerbSpec spec;

    private ChangeVerb(VerbSpec spec) {
        this.spec = spec;
    }

    /** {@code ballast plan}. */
    public static Verb plan() {
        return new ChangeVerb(VerbSpec.of("plan", "Show what a description would change, and change nothing")
                .describe("Exits with 0 when the description is right, whether or not anything would change.")
                .parameter(DescriptionFile.PARAMETER)
                .option(ControlClient.SOCKET)
                .example("ballast plan ballast.yaml", "read it before `ballast apply`"));
    }

    /** {@code ballast apply}. */
    public static Verb apply() {
        return new ChangeVerb(
                VerbSpec.of("apply", "Bring the running daemon to a description, without losing a connection")
                        .describe("Only the difference is touched. A wrong description changes nothing.")
                        .parameter(DescriptionFile.PARAMETER)
                        .option(ControlClient.SOCKET)
                        .example("ballast apply ballast.yaml", "after `ballast plan` showed what is meant"));
    }

    /** {@code ballast reload}. */
    public static Verb reload() {
        return new ChangeVerb(VerbSpec.of("reload", "Make the daemon read its own description again, as SIGHUP does")
                .option(ControlClient.SOCKET)
                .example("ballast reload", "after an edit of /etc/ballast/ballast.yaml"));
    }

    @Override
    public VerbSpec spec() {
        return spec;
    }

    @Override
    public int run(Invocation call) throws Failure, IOException {
        ControlClient client = ControlClient.of(call);
        String verb = spec.name();
        ControlClient.Answer answer;
        if (verb.equals("reload")) {
            answer = client.describe("/v1/reload", "", new byte[0]);
        } else {
            Path file = DescriptionFile.of(call);
            answer = client.describe(
                    "/v1/" + verb, file.toAbsolutePath().normalize().toString(), text(file));
        }
        List<JsonObject> problems = Json.objects(answer.json(), "problems");
        if (call.json() && (answer.status() < 300 || !problems.isEmpty())) {
            call.terminal().json(answer.json());
            return answer.status() < 300 ? Exit.DONE : Exit.USAGE;
        }
        problems.forEach(p -> call.terminal().err().println(Problems.text(p, call.terminal())));
        if (answer.status() >= 300 && !problems.isEmpty()) {
            throw Failure.usage("the description is wrong; nothing was changed");
        }
        changes(answer.successful(), call.terminal(), verb);
        closed(Json.objects(answer.json(), "closed"), call.terminal());
        return Exit.DONE;
    }

    private static byte[] text(Path file) throws Failure, IOException {
        byte[] text = DescriptionFile.bytes(file);
        if (text.length > DescriptionReader.MAX_BYTES) {
            throw Failure.usage(file + ": is larger than " + (DescriptionReader.MAX_BYTES >> 20)
                    + " MiB and cannot be a description; nothing was changed");
        }
        return text;
    }

    private static void changes(JsonObject answer, Terminal terminal, String verb) {
        List<JsonObject> changes = Json.objects(answer, "changes");
        for (JsonObject change : changes) {
            String action = Json.text(change, "action");
            String sign = switch (action) {
                case "add" -> terminal.style(Style.GREEN, "+");
                case "remove" -> terminal.style(Style.RED, "-");
                default -> terminal.style(Style.YELLOW, "~");
            };
            terminal.out()
                    .println((sign + " " + Json.text(change, "subject") + "  " + Json.text(change, "detail")).strip());
        }
        String count = changes.size() == 1 ? "1 change" : changes.size() + " changes";
        if (verb.equals("plan")) {
            terminal.out().println(changes.isEmpty() ? "nothing would change" : count + " to make");
        } else {
            Optional<String> millis = Optional.of(Json.text(answer, "millis")).filter(m -> !m.isEmpty());
            terminal.out()
                    .println((changes.isEmpty() ? "nothing to change" : count + " made")
                            + millis.map(m -> " in " + m + " ms").orElse(""));
        }
    }

    /** What was applied, and yet takes no connections. */
    private static void closed(List<JsonObject> closed, Terminal terminal) {
        closed.stream()
                .limit(MOST_CLOSED)
                .forEach(c -> terminal.err()
                        .println(terminal.errorStyle(Style.YELLOW, "warning:") + " " + Json.text(c, "service")
                                + " cannot listen on " + Json.text(c, "endpoint") + ": " + Json.text(c, "reason")));
        if (closed.size() > MOST_CLOSED) {
            terminal.err().println("and " + (closed.size() - MOST_CLOSED) + " further endpoints are not open");
        }
        if (!closed.isEmpty()) {
            terminal.err().println("the daemon tries again every second; ballast status shows what is missing");
        }
    }

    /** The description that a verb is about. */
    public static final class DescriptionFile {
        /** The parameter, which may be left out. */
        public static final Parameter PARAMETER = Parameter.optional(
                "file", ValueKind.FILE, "the description (default: ballast.yaml here, else /etc/ballast/ballast.yaml)");

        private static final Duration PIPE_PATIENCE = Duration.ofSeconds(3);

        private DescriptionFile() {}

        /** The file that was named, or the default one that exists. */
        public static Path of(Invocation call) throws Failure {
            Optional<String> named = call.optionalParameter(PARAMETER.name());
            if (named.isPresent()) {
                return readable(Path.of(named.get()));
            }
            for (Path path : List.of(Path.of("ballast.yaml"), Path.of("/etc/ballast/ballast.yaml"))) {
                if (Files.exists(path)) {
                    return readable(path);
                }
            }
            throw Failure.usage("no description was named, and there is neither ballast.yaml here nor"
                    + " /etc/ballast/ballast.yaml\nName one, for instance: examples/farm.yaml");
        }

        /**
         * What is in it, as far as a description may be long. A pipe is read as well, unless nobody writes to it.
         */
        public static byte[] bytes(Path file) throws Failure, IOException {
            if (Files.isRegularFile(file)) {
                try (InputStream in = Files.newInputStream(file)) {
                    return in.readNBytes(DescriptionReader.MAX_BYTES + 1);
                }
            }
            // Opening a pipe waits for somebody who writes to it, for ever if need be.
            CompletableFuture<InputStream> opened = new CompletableFuture<>();
            Thread.ofPlatform().daemon().name("open").start(() -> {
                try {
                    opened.complete(Files.newInputStream(file));
                } catch (IOException e) {
                    opened.completeExceptionally(e);
                }
            });
            try (InputStream in = opened.get(PIPE_PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
                return in.readNBytes(DescriptionReader.MAX_BYTES + 1);
            } catch (TimeoutException e) {
                throw Failure.usage(file + " is a pipe, and nobody writes to it");
            } catch (ExecutionException e) {
                throw e.getCause() instanceof IOException cause ? cause : new IOException(e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while opening " + file);
            }
        }

        /** The file, if it is one that can be read. */
        public static Path readable(Path file) throws Failure {
            if (Files.isDirectory(file)) {
                throw Failure.usage(file + " is a directory; name the description in it");
            }
            if (!Files.exists(file)) {
                throw Failure.usage(file + ": no such file");
            }
            if (!Files.isReadable(file)) {
                throw Failure.notPermitted(file + ": permission denied");
            }
            return file;
        }
    }
}

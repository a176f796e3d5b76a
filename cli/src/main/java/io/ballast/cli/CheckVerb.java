package io.ballast.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.cli.control.ChangeVerb.DescriptionFile;
import io.ballast.cli.control.Problems;
import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.node.Names;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** {@code ballast check}: every mistake in a description. */
final class CheckVerb implements Verb {
    @Override
    public VerbSpec spec() {
        return VerbSpec.of(
                        "check", "Explain every mistake in a description, each with its line and what would be right")
                .describe(
                        "Needs no daemon and touches nothing. Exits with 0 when the description can be used, also with"
                                + " warnings, and with 2 when it cannot.")
                .parameter(DescriptionFile.PARAMETER)
                .example("ballast check ballast.yaml", "before `ballast apply`, or in a commit hook");
    }

    @Override
    public int run(Invocation call) throws Failure, InterruptedException {
        Path file = DescriptionFile.of(call);
        ReadResult result = read(file);
        if (call.json()) {
            call.terminal().json(json(file, result));
        } else {
            Terminal terminal = call.terminal();
            result.problems().forEach(p -> terminal.err().println(Problems.text(Problems.json(p), terminal)));
            if (result.description().isPresent()) {
                terminal.out().println(summary(file, result));
            } else {
                terminal.err().println(count(result.errors().size(), "error") + "; the description cannot be used");
            }
        }
        return result.description().isPresent() ? Exit.DONE : Exit.USAGE;
    }

    private static ReadResult read(Path file) throws Failure, InterruptedException {
        byte[] text;
        try {
            text = DescriptionFile.bytes(file);
        } catch (IOException e) {
            // The reader has the words for it.
            return new DescriptionReader().read(file);
        }
        ReadResult result = new DescriptionReader().read(file.toString(), text);
        if (result.description().isEmpty()) {
            return result;
        }
        List<Problem> problems = new ArrayList<>(result.problems());
        DescriptionReader.exposed(file, result.description().get()).ifPresent(problems::add);
        problems.addAll(
                NamedFiles.warnings(file.toString(), text, result.description().get(), hostName()));
        problems.addAll(Names.warnings(file.toString(), result.description().get(), hostName()));
        return new ReadResult(result.description(), List.copyOf(problems));
    }

    private static String hostName() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
        } catch (IOException e) {
            return "localhost";
        }
    }

    private static String summary(Path file, ReadResult result) {
        Description description = result.description().orElseThrow();
        int servers = description.services().values().stream()
                .mapToInt(s -> s.servers().size())
                .sum();
        int routers = description.virtualRouters().size();
        int warnings = result.problems().size();
        return file + ": ok: " + count(description.services().size(), "service") + ", "
                + count(servers, "real server") + ", "
                + count(description.nodes().size(), "node")
                + (routers == 0 ? "" : ", " + count(routers, "virtual router"))
                + (warnings == 0 ? "" : "; " + count(warnings, "warning"));
    }

    private static String count(int n, String thing) {
        return n + " " + thing + (n == 1 ? "" : "s");
    }

    private static JsonObject json(Path file, ReadResult result) {
        JsonObject json = new JsonObject();
        json.addProperty("file", file.toString());
        json.addProperty("usable", result.description().isPresent());
        JsonArray problems = new JsonArray();
        for (Problem problem : result.problems()) {
            problems.add(Problems.json(problem));
        }
        json.add("problems", problems);
        return json;
    }
}

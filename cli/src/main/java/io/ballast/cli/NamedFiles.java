package io.ballast.cli;

import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.Description;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.Problem;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.ServiceSpec;
import io.ballast.node.NodeRole;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The files that checks need on the node that runs them: programs and passwords. They can only be looked at where that
 * node is, so a description that is checked elsewhere, or by somebody who may not look, gets no warnings about them.
 */
final class NamedFiles {
    private static final Set<PosixFilePermission> EXECUTE = Set.of(
            PosixFilePermission.OWNER_EXECUTE, PosixFilePermission.GROUP_EXECUTE, PosixFilePermission.OTHERS_EXECUTE);

    private final String name;
    private final List<String> lines;
    private final List<Problem> found = new ArrayList<>();
    private final Set<String> seen = new HashSet<>();

    private NamedFiles(String name, byte[] text) {
        this.name = name;
        this.lines = new String(text, StandardCharsets.UTF_8).lines().toList();
    }

    /**
     * What is doubtful about them, if this machine runs checks of the description.
     *
     * @param name of the description's file
     * @param host this machine's name
     */
    static List<Problem> warnings(String name, byte[] text, Description description, String host) {
        var files = new NamedFiles(name, text);
        NodeRole.byName(description, host).ifPresent(node -> {
            for (ServiceSpec service : NodeRole.services(description, node)) {
                Stream.concat(
                                service.checks().stream(),
                                service.servers().stream().flatMap(s -> s.checks().stream()))
                        .forEach(check -> files.look(service, check));
            }
        });
        return List.copyOf(files.found);
    }

    private void look(ServiceSpec service, CheckSpec check) {
        switch (check.probe()) {
            case ProbeSpec.Exec exec -> look(service, check, exec.command().getFirst(), NamedFiles::program);
            case ProbeSpec.Mysql mysql -> secret(service, check, mysql.passwordFile());
            case ProbeSpec.Redis redis -> secret(service, check, redis.passwordFile());
            case ProbeSpec.Ldap ldap -> secret(service, check, ldap.passwordFile());
            default -> {}
        }
    }

    private interface Question {
        Optional<String> trouble(PosixFileAttributes file);
    }

    private void secret(ServiceSpec service, CheckSpec check, Optional<String> file) {
        file.ifPresent(path -> look(service, check, path, NamedFiles::secret));
    }

    private static Optional<String> program(PosixFileAttributes file) {
        if (file.isDirectory()) {
            return Optional.of("is a directory and no program");
        }
        return file.permissions().stream().noneMatch(EXECUTE::contains)
                ? Optional.of("is not executable: chmod +x it")
                : Optional.empty();
    }

    private static Optional<String> secret(PosixFileAttributes file) {
        return file.permissions().contains(PosixFilePermission.OTHERS_READ)
                ? Optional.of("holds a password and can be read by everybody on this machine: chmod 600 it")
                : Optional.empty();
    }

    private void look(ServiceSpec service, CheckSpec check, String path, Question question) {
        if (!seen.add(path) || path.contains("${")) {
            return;
        }
        Optional<String> trouble;
        try {
            trouble = question.trouble(Files.readAttributes(Path.of(path), PosixFileAttributes.class));
        } catch (NoSuchFileException e) {
            trouble = Optional.of("is not on this machine");
        } catch (IOException e) {
            return; // who checks may see less than who runs the check
        }
        trouble.ifPresent(what -> warn(
                "services." + service.name() + ".checks",
                "the check " + check.name() + ": " + path + " " + what,
                path));
    }

    /** Warns where the path stands in the text; a description that was read no longer knows that itself. */
    private void warn(String path, String message, String written) {
        // As a whole: it may be the beginning of another path.
        Pattern whole = Pattern.compile("(?<![^\\s,\\[\"'])" + Pattern.quote(written) + "(?![^\\s,\\]}\"'])");
        int line = 0;
        while (line < lines.size() && !whole.matcher(lines.get(line)).find()) {
            line++;
        }
        if (line == lines.size()) {
            found.add(new Problem(Severity.WARNING, name, 0, 0, path, message, ""));
            return;
        }
        String text = lines.get(line);
        Matcher place = whole.matcher(text);
        int at = place.find() ? place.start() : 0;
        String number = Integer.toString(line + 1);
        String blank = " ".repeat(number.length());
        String excerpt = at > 80 ? "" : "  " + number + " | " + text + "\n  " + blank + " | " + " ".repeat(at) + "^";
        found.add(
                new Problem(Severity.WARNING, name, line + 1, text.codePointCount(0, at) + 1, path, message, excerpt));
    }
}

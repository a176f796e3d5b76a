package io.ballast.node;

import io.ballast.core.config.ResourcesSpec.Kind;
import io.ballast.core.config.ResourcesSpec.ResourceSpec;
import io.ballast.linux.Hook;
import io.ballast.takeover.group.ResourceGroup.Action;
import io.ballast.takeover.group.ResourceGroup.Outcome;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Starts, stops and asks for one resource, and waits for that. */
final class ResourceRunner {
    private static final Path MOUNTS = Path.of("/proc/self/mountinfo");
    private static final int MOUNT_POINT = 4;

    /** One upon the other at the same place: more than anybody means. */
    private static final int MOST_MOUNTS = 8;

    /** Exit codes of who does not run: OCF's, and LSB's, which systemctl has as well. */
    private static final List<Integer> NOT_RUNNING = List.of(7, 3);

    private ResourceRunner() {}

    /**
     * What was done.
     *
     * @param how for people, where it failed
     * @param output what programs printed
     */
    record Done(Outcome outcome, String how, String output, Duration took) {}

    static Done run(String group, ResourceSpec resource, Action action) throws InterruptedException {
        return switch (resource.what()) {
            case Kind.Program program ->
                run(
                        group,
                        resource,
                        action,
                        switch (action) {
                            case START -> program.start();
                            case STOP -> program.stop();
                            case STATUS -> program.status();
                        });
            case Kind.Unit unit ->
                run(
                        group,
                        resource,
                        action,
                        switch (action) {
                            case START -> List.of(program("systemctl"), "start", "--", unit.name());
                            case STOP -> List.of(program("systemctl"), "stop", "--", unit.name());
                            case STATUS -> List.of(program("systemctl"), "is-active", "--quiet", "--", unit.name());
                        });
            case Kind.Mount mount -> mount(group, resource, mount, action);
        };
    }

    private static Done run(String group, ResourceSpec resource, Action action, List<String> command)
            throws InterruptedException {
        Map<String, String> facts = Map.of(
                "group",
                group,
                "resource",
                resource.name(),
                "action",
                action.name().toLowerCase(Locale.ROOT));
        Hook.Result result = Hook.run(command, facts, resource.timeout());
        boolean ran = result.end() == Hook.End.RAN;
        boolean not = action == Action.STATUS && NOT_RUNNING.contains(result.code());
        Outcome outcome = ran ? Outcome.DONE : not ? Outcome.NOT_RUNNING : Outcome.FAILED;
        return new Done(outcome, String.join(" ", command) + " " + result.how(), result.output(), result.took());
    }

    private static String program(String name) {
        for (String folder : List.of("/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/")) {
            if (Files.isExecutable(Path.of(folder + name))) {
                return folder + name;
            }
        }
        return "/usr/bin/" + name;
    }

    private static Done mount(String group, ResourceSpec resource, Kind.Mount mount, Action action)
            throws InterruptedException {
        long begun = System.nanoTime();
        try {
            if (action == Action.STATUS) {
                return new Done(isMounted(mount.at()) ? Outcome.DONE : Outcome.NOT_RUNNING, "", "", took(begun));
            }
            if (action == Action.START) {
                if (isMounted(mount.at())) {
                    return new Done(Outcome.DONE, "", "", took(begun));
                }
                List<String> command = new ArrayList<>(List.of(program("mount")));
                mount.type().ifPresent(type -> command.addAll(List.of("-t", type)));
                mount.options().ifPresent(options -> command.addAll(List.of("-o", options)));
                command.addAll(List.of("--", mount.device(), mount.at()));
                return run(group, resource, action, command);
            }
            Done done = new Done(Outcome.DONE, "", "", took(begun));
            for (int i = 0; i < MOST_MOUNTS && isMounted(mount.at()); i++) {
                done = run(group, resource, action, List.of(program("umount"), "--", mount.at()));
                if (done.outcome() == Outcome.FAILED) {
                    return done;
                }
            }
            return isMounted(mount.at())
                    ? new Done(Outcome.FAILED, "something is still mounted at " + mount.at(), "", took(begun))
                    : done;
        } catch (IOException e) {
            return new Done(Outcome.FAILED, "what is mounted is not known: " + e.getMessage(), "", took(begun));
        }
    }

    private static Duration took(long begun) {
        return Duration.ofNanos(System.nanoTime() - begun);
    }

    /** Whether something is mounted there; asks the kernel's list and not the file system, which may hang. */
    static boolean isMounted(String at) throws IOException {
        String place = Path.of(at).normalize().toString();
        for (String line : Files.readAllLines(MOUNTS, StandardCharsets.ISO_8859_1)) {
            String[] fields = line.split(" ", MOUNT_POINT + 2);
            if (fields.length > MOUNT_POINT && unescaped(fields[MOUNT_POINT]).equals(place)) {
                return true;
            }
        }
        return false;
    }

    /** Blanks and the like are three octal digits behind a backslash (proc(5)). */
    private static String unescaped(String field) {
        StringBuilder bytes = new StringBuilder();
        for (int i = 0; i < field.length(); i++) {
            char c = field.charAt(i);
            if (c == '\\' && i + 3 < field.length()) {
                bytes.append((char) Integer.parseInt(field.substring(i + 1, i + 4), 8));
                i += 3;
            } else {
                bytes.append(c);
            }
        }
        return new String(bytes.toString().getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8);
    }
}

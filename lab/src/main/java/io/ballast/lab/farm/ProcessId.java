package io.ballast.lab.farm;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A process that cannot be mistaken for a later one of the same number.
 *
 * @param start when it started, in clock ticks since boot (proc(5), /proc/PID/stat, field 22)
 */
public record ProcessId(long pid, long start) {

    /**
     * What the kernel tells of a process.
     *
     * @param session the session's leader, the process that last called setsid(2)
     */
    record Stat(ProcessId id, char state, long parent, long session) {
        /** Whether it has ended, and only its parent has not yet asked how. */
        boolean zombie() {
            return state == 'Z' || state == 'X';
        }
    }

    /** This process. */
    static ProcessId self() {
        return of(ProcessHandle.current().pid())
                .orElseThrow(() -> new IllegalStateException("cannot read /proc/self/stat: /proc is not mounted"));
    }

    /** The process that has this number now. */
    public static Optional<ProcessId> of(long pid) {
        return stat(pid).map(Stat::id);
    }

    /** Whether this very process runs. */
    boolean alive() {
        return stat(pid).filter(s -> s.id().equals(this) && !s.zombie()).isPresent();
    }

    /** All processes that can be seen. */
    static List<Stat> all() throws IOException {
        List<Stat> all = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path entry : entries) {
                stat(Long.parseLong(String.valueOf(entry.getFileName()))).ifPresent(all::add);
            }
        }
        return all;
    }

    static Optional<Stat> stat(long pid) {
        try {
            return Optional.of(parse(pid, Files.readString(Path.of("/proc", Long.toString(pid), "stat"))));
        } catch (IOException e) {
            return Optional.empty(); // it has ended
        }
    }

    /** The command in parentheses may hold anything, parentheses and blanks too; the last one ends it. */
    static Stat parse(long pid, String stat) {
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return new Stat(
                new ProcessId(pid, Long.parseLong(fields[19])),
                fields[0].charAt(0),
                Long.parseLong(fields[1]),
                Long.parseLong(fields[3]));
    }
}

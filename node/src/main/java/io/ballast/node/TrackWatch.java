package io.ballast.node;

import io.ballast.takeover.track.Tracking.State;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Looks, every second, at the files and programs that virtual routers track: each on a thread of its own, so that a file
 * that hangs holds up no other, and none of them the takeover.
 */
final class TrackWatch implements AutoCloseable {
    private static final Duration EVERY = Duration.ofSeconds(1);
    private static final Pattern NUMBER = Pattern.compile("[+-]?\\d{1,18}");

    /** Longer than any number; the rest is not read. */
    private static final int MOST_BYTES = 64;

    /** What the kernel keeps of a program's name (TASK_COMM_LEN). */
    private static final int COMM = 15;

    /** Hears of what is watched, on the threads that look at it. */
    interface Listener {
        /** It is so now; said once for as long as it stays. */
        void looked(String label, State state);

        /** Something is wrong with it. */
        void warn(String message);
    }

    private final Path proc;
    private final Listener listener;
    private final Duration every;
    /** By the labels of what they look at. */
    private final Map<String, Thread> threads = new HashMap<>();

    TrackWatch(Listener listener) {
        this(Path.of("/proc"), listener, EVERY);
    }

    TrackWatch(Path proc, Listener listener, Duration every) {
        this.proc = proc;
        this.listener = listener;
        this.every = every;
    }

    /**
     * Looks at these from now on, and at nothing else.
     *
     * @param files by their labels
     * @param programs names of programs by their labels
     */
    synchronized void become(Map<String, Path> files, Map<String, String> programs) {
        threads.entrySet().removeIf(each -> {
            boolean gone = !files.containsKey(each.getKey()) && !programs.containsKey(each.getKey());
            if (gone) {
                each.getValue().interrupt();
            }
            return gone;
        });
        files.forEach((label, file) -> {
            Reading reading = new Reading(file);
            threads.computeIfAbsent(label, _ -> start(label, reading::look));
        });
        programs.forEach((label, name) -> {
            Search search = new Search(name);
            threads.computeIfAbsent(label, _ -> start(label, search::look));
        });
    }

    private Thread start(String label, Supplier<State> look) {
        return Thread.ofVirtual().name("track " + label).start(() -> {
            @Nullable State last = null;
            try {
                while (true) {
                    State state = look.get();
                    if (!state.equals(last)) {
                        listener.looked(label, state);
                        last = state;
                    }
                    Thread.sleep(every);
                }
            } catch (InterruptedException e) {
                // It is tracked no more.
            }
        });
    }

    @Override
    public synchronized void close() {
        become(Map.of(), Map.of());
    }

    /** A file with a number in it, as keepalived's track_file: what is none counts as 0. */
    private final class Reading {
        private final Path file;
        private String told = "";

        Reading(Path file) {
            this.file = file;
        }

        State look() {
            String text;
            try (InputStream in = Files.newInputStream(file)) {
                text = new String(in.readNBytes(MOST_BYTES), StandardCharsets.UTF_8).strip();
            } catch (NoSuchFileException e) {
                return new State.Count(0);
            } catch (IOException e) {
                return none("it cannot be read: " + e.getMessage());
            }
            String line = text.lines().findFirst().orElse("").strip();
            if (line.isEmpty()) {
                return new State.Count(0);
            }
            if (!NUMBER.matcher(line).matches()) {
                return none("it begins with \"" + line.replaceAll("\\p{Cntrl}", "?") + "\"");
            }
            told = "";
            return new State.Count(Long.parseLong(line));
        }

        private State none(String why) {
            if (!why.equals(told)) {
                told = why;
                listener.warn("the file " + file + " has no whole number in it and counts as 0: " + why);
            }
            return new State.Count(0);
        }
    }

    /** A program that runs. */
    private final class Search {
        private final String name;
        /** The process that was found last. */
        private @Nullable Path found;

        private String told = "";

        Search(String name) {
            this.name = name;
        }

        State look() {
            Path last = found;
            if (last == null || !runs(last)) {
                found = find().orElse(null);
            }
            return found == null ? new State.Down("no process of that name") : new State.Up();
        }

        private Optional<Path> find() {
            try (DirectoryStream<Path> all = Files.newDirectoryStream(proc, TrackWatch::isProcess)) {
                for (Path process : all) {
                    if (runs(process)) {
                        return Optional.of(process);
                    }
                }
                told = "";
            } catch (IOException | DirectoryIteratorException e) {
                String why = "processes cannot be looked for, so " + name + " counts as down: " + e.getMessage();
                if (!why.equals(told)) {
                    told = why;
                    listener.warn(why);
                }
            }
            return Optional.empty();
        }

        /** By what it was called with, or what the kernel calls it: scripts have their name only there. */
        private boolean runs(Path process) {
            try {
                String called = Files.readString(process.resolve("cmdline"), StandardCharsets.ISO_8859_1);
                if (called.isEmpty()) {
                    return false; // a thread of the kernel, or one that has ended and waits for its parent
                }
                String file = called.substring(0, called.indexOf('\0') < 0 ? called.length() : called.indexOf('\0'));
                if (file.substring(file.lastIndexOf('/') + 1).equals(name)) {
                    return true;
                }
                String shortened = name.length() > COMM ? name.substring(0, COMM) : name;
                return Files.readString(process.resolve("comm"), StandardCharsets.ISO_8859_1)
                        .strip()
                        .equals(shortened);
            } catch (IOException e) {
                return false; // it has ended meanwhile
            }
        }
    }

    private static boolean isProcess(Path path) {
        return Character.isDigit(path.getFileName().toString().charAt(0));
    }
}

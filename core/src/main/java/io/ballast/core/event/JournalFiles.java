package io.ballast.core.event;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/** The files of a journal: {@code events-FIRST.jsonl}, where FIRST is the sequence number of its first event. */
final class JournalFiles {
    private static final String PREFIX = "events-";
    private static final String SUFFIX = ".jsonl";
    private static final int MAX_LINE = 1 << 20;

    private JournalFiles() {}

    static Path name(Path directory, long first) {
        return directory.resolve(String.format(Locale.ROOT, "%s%019d%s", PREFIX, first, SUFFIX));
    }

    /** The first sequence number of a file of the journal. */
    static long first(Path file) {
        String name = file.getFileName().toString();
        return Long.parseLong(name.substring(PREFIX.length(), name.length() - SUFFIX.length()));
    }

    /** The files by their first sequence number; none where the directory does not exist. */
    static NavigableMap<Long, Path> list(Path directory) throws IOException {
        var files = new TreeMap<Long, Path>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory, PREFIX + "*" + SUFFIX)) {
            for (Path file : entries) {
                String name = file.getFileName().toString();
                String digits = name.substring(PREFIX.length(), name.length() - SUFFIX.length());
                if (digits.length() == 19 && digits.chars().allMatch(c -> c >= '0' && c <= '9')) {
                    files.put(first(file), file);
                }
            }
        } catch (NoSuchFileException | NotDirectoryException e) {
            if (Files.exists(directory)) {
                throw e;
            }
        }
        return files;
    }

    /** Cuts off a last line that has no end: the write of a process or machine that died. */
    static void repair(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            long end = channel.size();
            var block = ByteBuffer.allocate(8192);
            for (long to = end; to > 0; to -= block.capacity()) {
                long from = Math.max(0, to - block.capacity());
                block.clear().limit((int) (to - from));
                while (block.hasRemaining() && channel.read(block, from + block.position()) >= 0) {
                    // read() moves the position
                }
                for (int i = block.position() - 1; i >= 0; i--) {
                    if (block.get(i) == '\n') {
                        if (from + i + 1 < end) {
                            channel.truncate(from + i + 1);
                        }
                        return;
                    }
                }
            }
            if (end > 0) {
                channel.truncate(0);
            }
        }
    }

    /** The last sequence number in the file, or nothing where it holds no event. */
    static Optional<Long> last(Path file) throws IOException {
        List<Event> all = new ArrayList<>();
        read(file, event -> {
            all.clear();
            all.add(event);
            return true;
        });
        return all.stream().map(Event::sequence).findFirst();
    }

    /** Takes events one by one. */
    interface Sink {
        /** Whether to go on. */
        boolean take(Event event);
    }

    /** Reads the events; lines that are none are passed over. A file that is gone has no events. */
    static void read(Path file, Sink sink) throws IOException {
        try (var in = new BufferedReader(
                new InputStreamReader(Files.newInputStream(file), StandardCharsets.UTF_8), 16 * 1024)) {
            var line = new StringBuilder();
            for (int c = in.read(); c >= 0; c = in.read()) {
                if (c != '\n') {
                    if (line.length() < MAX_LINE) {
                        line.append((char) c);
                    }
                    continue;
                }
                Optional<Event> event = EventJson.parse(line.toString());
                line.setLength(0);
                if (event.isPresent() && !sink.take(event.get())) {
                    return;
                }
            }
        } catch (NoSuchFileException e) {
            // Rotated away since it was listed; its events were too old to keep.
        }
    }
}

package io.ballast.core.event;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What happened, numbered without gaps and kept over restarts.
 *
 * <p>The control loop appends, and must never wait for a disk. So an event is numbered and put in a ring in memory at
 * once, and one thread of the journal's own writes what is new to the file, as JSON, a line each. Readers get the latest
 * from the ring and what is older from the files.
 *
 * <p>A disk may be full, or fail, for hours. The journal then says so once, keeps what its ring holds, tries again
 * every now and then, and writes what it still has when the disk is back. What no longer fitted is counted and told.
 * After a crash the last line may be torn: it is cut off when the journal is opened, and lines that make no sense are
 * passed over. Nothing waits for the disk to have an event: a machine that loses power may lose the last seconds, and
 * the numbers of events that were never written are given again after a restart.
 *
 * <p>Files have a size limit, and only the latest few are kept. All methods may be called from any thread.
 */
public final class Journal implements AutoCloseable {

    /** Hears how the journal itself is. Called on the journal's thread; it may append. */
    public interface Observer {

        /** Events cannot be written; they stay in memory, as far as there is room. Told once until it is over. */
        void failing(IOException why);

        /** Events are written again. */
        void recovered(long lost);
    }

    /**
     * How much is kept.
     *
     * @param fileBytes a file that is longer is followed by a new one
     * @param files that are kept
     * @param ring events in memory
     * @param retry pause after a failure
     */
    public record Limits(long fileBytes, int files, int ring, Duration retry) {
        /** 8 files of 4 MiB, 4,000 events in memory. */
        public static final Limits STANDARD = new Limits(4 << 20, 8, 4_000, Duration.ofSeconds(1));
    }

    private static final Duration CLOSE_LIMIT = Duration.ofSeconds(2);
    private static final int BATCH = 500;

    private final Path directory;
    private final Limits limits;
    private final Observer observer;
    private final Segment.Opener opener;
    private final Thread writer;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition appended = lock.newCondition();
    private final Condition written = lock.newCondition();
    private final ArrayDeque<Event> ring = new ArrayDeque<>();
    private final NavigableMap<Long, Path> files;
    private long last;
    private long lastWritten;
    private long lost;
    private boolean failing;
    private boolean closing;

    private Journal(Path directory, Limits limits, Observer observer, Segment.Opener opener) throws IOException {
        this.directory = directory;
        this.limits = limits;
        this.observer = observer;
        this.opener = opener;
        this.files = JournalFiles.list(directory);
        if (!files.isEmpty()) {
            Path latest = files.lastEntry().getValue();
            JournalFiles.repair(latest);
            last = JournalFiles.last(latest).orElse(files.lastKey() - 1);
        }
        lastWritten = last;
        writer = Thread.ofPlatform().name("journal").daemon(true).unstarted(this::write);
    }

    /**
     * Opens the journal in a directory, which is made where it does not exist. Only what is already there must be
     * readable; a disk that cannot be written makes no difference here.
     *
     * @throws IOException when the directory or its latest file cannot be read
     */
    public static Journal open(Path directory, Limits limits, Observer observer) throws IOException {
        return open(directory, limits, observer, Segment::open);
    }

    static Journal open(Path directory, Limits limits, Observer observer, Segment.Opener opener) throws IOException {
        var journal = new Journal(directory, limits, observer, opener);
        journal.writer.start();
        return journal;
    }

    /**
     * Adds an event.
     *
     * @param event its sequence number does not matter
     * @return the event with its number
     */
    public Event append(Event event) {
        lock.lock();
        try {
            var numbered = new Event(
                    ++last,
                    event.time(),
                    event.node(),
                    event.severity(),
                    event.type(),
                    event.subject(),
                    event.message(),
                    event.data());
            ring.add(numbered);
            if (ring.size() > limits.ring()) {
                Event dropped = ring.remove();
                if (dropped.sequence() > lastWritten) {
                    lastWritten = dropped.sequence();
                    lost++;
                }
            }
            appended.signalAll();
            return numbered;
        } finally {
            lock.unlock();
        }
    }

    /** The number of the latest event; 0 where there is none. */
    public long last() {
        lock.lock();
        try {
            return last;
        } finally {
            lock.unlock();
        }
    }

    /** Events that were never written, because the disk failed for too long. */
    public long lost() {
        lock.lock();
        try {
            return lost;
        } finally {
            lock.unlock();
        }
    }

    /** Whether events cannot be written at the moment. */
    public boolean failing() {
        lock.lock();
        try {
            return failing;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Events after a number, oldest first, as far as they are kept. Older ones come from the disk, so the control loop
     * should not ask.
     *
     * @param sequence 0 for all
     * @param limit at most so many
     * @throws IOException when a file cannot be read
     */
    public List<Event> since(long sequence, int limit) throws IOException {
        List<Event> recent;
        List<Path> older = new ArrayList<>();
        lock.lock();
        try {
            recent = recent(sequence, limit);
            long ringFirst = ring.isEmpty() ? last + 1 : ring.getFirst().sequence();
            if (sequence + 1 < ringFirst && !files.isEmpty()) {
                Long from = files.floorKey(sequence + 1);
                older.addAll(
                        files.tailMap(from == null ? files.firstKey() : from).values());
            }
        } finally {
            lock.unlock();
        }
        if (older.isEmpty()) {
            return recent;
        }
        long end = recent.isEmpty() ? Long.MAX_VALUE : recent.getFirst().sequence();
        List<Event> events = new ArrayList<>();
        for (Path file : older) {
            JournalFiles.read(file, event -> {
                if (event.sequence() > sequence && event.sequence() < end && events.size() < limit) {
                    events.add(event);
                }
                return event.sequence() < end && events.size() < limit;
            });
        }
        recent.stream().limit(limit - events.size()).forEach(events::add);
        return events;
    }

    /**
     * Events after a number, waiting for the first where there is none yet: how one follows the journal, at one's own
     * pace and without missing any.
     *
     * @param wait at most so long
     * @return empty when none came in time, or the journal was closed
     * @throws IOException when a file cannot be read
     */
    public List<Event> next(long sequence, int limit, Duration wait) throws IOException, InterruptedException {
        long left = wait.toNanos();
        lock.lock();
        try {
            while (last <= sequence && !closing && left > 0) {
                left = appended.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
        return since(sequence, limit);
    }

    private List<Event> recent(long sequence, int limit) {
        List<Event> events = new ArrayList<>();
        for (Event event : ring) {
            if (event.sequence() > sequence) {
                if (events.size() == limit) {
                    break;
                }
                events.add(event);
            }
        }
        return events;
    }

    /**
     * Waits until what was appended so far is written.
     *
     * @return false when that takes longer than the limit, for instance because the disk fails
     */
    public boolean flush(Duration limit) {
        long left = limit.toNanos();
        lock.lock();
        try {
            long until = last;
            while (lastWritten < until && writer.isAlive()) {
                if (left <= 0) {
                    return false;
                }
                left = written.awaitNanos(left);
            }
            return lastWritten >= until;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        } finally {
            lock.unlock();
        }
    }

    /** Writes what is left, for two seconds at most, and closes the file. */
    @Override
    public void close() {
        flush(CLOSE_LIMIT);
        lock.lock();
        try {
            closing = true;
            appended.signalAll();
        } finally {
            lock.unlock();
        }
        try {
            if (!writer.join(CLOSE_LIMIT)) {
                writer.interrupt();
            }
        } catch (InterruptedException e) {
            writer.interrupt();
            Thread.currentThread().interrupt();
        }
    }

    private void write() {
        var file = new Writer();
        try {
            for (List<Event> batch = await(); batch != null; batch = await()) {
                try {
                    file.write(batch);
                    succeeded(batch.getLast().sequence());
                } catch (IOException e) {
                    failed(e);
                }
            }
        } finally {
            file.close();
        }
    }

    /** Waits for events that are not written; null when the journal is closed. */
    private @Nullable List<Event> await() {
        lock.lock();
        try {
            long pause = failing ? limits.retry().toNanos() : 0;
            while (!closing && (lastWritten == last || pause > 0)) {
                if (pause > 0) {
                    pause = appended.awaitNanos(pause);
                } else {
                    appended.await();
                }
            }
            return closing ? null : recent(lastWritten, BATCH);
        } catch (InterruptedException e) {
            return null;
        } finally {
            lock.unlock();
        }
    }

    private void succeeded(long sequence) {
        boolean over;
        long gone;
        lock.lock();
        try {
            lastWritten = Math.max(lastWritten, sequence);
            over = failing;
            gone = lost;
            failing = false;
            written.signalAll();
        } finally {
            lock.unlock();
        }
        if (over) {
            observer.recovered(gone);
        }
    }

    private void failed(IOException e) {
        boolean first;
        lock.lock();
        try {
            first = !failing;
            failing = true;
        } finally {
            lock.unlock();
        }
        if (first) {
            observer.failing(e);
        }
    }

    /** The file at hand; only the journal's thread has to do with it. */
    private final class Writer {
        private @Nullable Segment segment;
        private long size;

        void write(List<Event> events) throws IOException {
            long known = segment == null ? open(events.getFirst().sequence()) : 0;
            var text = new StringBuilder();
            for (Event event : events) {
                if (event.sequence() > known) {
                    text.append(EventJson.object(event)).append('\n');
                }
            }
            byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
            if (size > 0 && size + bytes.length > limits.fileBytes()) {
                close();
                open(JournalFiles.name(directory, events.getFirst().sequence()));
                removeOld();
            }
            Segment target = Objects.requireNonNull(segment);
            try {
                target.append(ByteBuffer.wrap(bytes));
                size += bytes.length;
            } catch (IOException e) {
                cutBack(target, e);
                throw e;
            }
        }

        /** Opens the latest file, or the first one; answers with the last number that is in it already. */
        private long open(long first) throws IOException {
            Path latest;
            lock.lock();
            try {
                latest = files.isEmpty() ? null : files.lastEntry().getValue();
            } finally {
                lock.unlock();
            }
            if (latest == null || !Files.exists(latest)) {
                Files.createDirectories(directory);
                open(JournalFiles.name(directory, first));
                return 0;
            }
            JournalFiles.repair(latest);
            open(latest);
            return JournalFiles.last(latest).orElse(0L);
        }

        private void open(Path file) throws IOException {
            Segment opened = opener.open(file);
            segment = opened;
            size = opened.size();
            lock.lock();
            try {
                files.put(JournalFiles.first(file), file);
            } finally {
                lock.unlock();
            }
        }

        /** Takes back what a failed write left; where that fails too, the file is opened anew, and repaired, next time. */
        private void cutBack(Segment target, IOException because) {
            try {
                target.truncate(size);
            } catch (IOException e) {
                because.addSuppressed(e);
                close();
            }
        }

        private void removeOld() throws IOException {
            while (true) {
                Path oldest;
                lock.lock();
                try {
                    if (files.size() <= limits.files()) {
                        return;
                    }
                    oldest = files.pollFirstEntry().getValue();
                } finally {
                    lock.unlock();
                }
                Files.deleteIfExists(oldest);
            }
        }

        void close() {
            Segment current = segment;
            segment = null;
            if (current != null) {
                try (current) {
                    current.force();
                } catch (IOException e) {
                    failed(e);
                }
            }
        }
    }
}

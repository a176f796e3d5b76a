package io.ballast.core.event;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ballast.core.event.Event.Severity;
import io.ballast.core.event.Journal.Limits;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class JournalTest {
    private static final Limits SMALL = new Limits(2_000, 3, 20, Duration.ofMillis(10));
    private static final Limits ROOMY = new Limits(1 << 20, 8, 1_000, Duration.ofMillis(10));
    private static final Duration LONG = Duration.ofSeconds(20);

    @TempDir
    Path directory;

    private final LinkedBlockingQueue<String> told = new LinkedBlockingQueue<>();
    private final Journal.Observer observer = new Journal.Observer() {
        @Override
        public void failing(IOException why) {
            told.add("failing: " + why.getMessage());
        }

        @Override
        public void recovered(long lost) {
            told.add("recovered, lost " + lost);
        }
    };

    private static Event event(String subject) {
        return new Event(
                0,
                Instant.parse("2026-01-02T03:04:05.678Z"),
                "n1",
                Severity.WARNING,
                "server.down",
                subject,
                "it said \"no\"\n\u00fc\u2603",
                Map.of("reason", "connection refused"));
    }

    private static List<Long> numbers(List<Event> events) {
        return events.stream().map(Event::sequence).toList();
    }

    private static List<Long> range(long from, long to) {
        return LongStream.rangeClosed(from, to).boxed().toList();
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.sorted().toList();
        }
    }

    private Journal open(Limits limits) throws IOException {
        return Journal.open(directory, limits, observer);
    }

    @Test
    void anEventSurvivesARestartAndNumbersGoOn() throws Exception {
        Event first;
        try (Journal journal = open(ROOMY)) {
            first = journal.append(event("web/www1"));
            assertThat(first.sequence()).isEqualTo(1);
        }
        try (Journal journal = open(ROOMY)) {
            assertThat(journal.since(0, 10)).containsExactly(first);
            assertThat(journal.append(event("web/www2")).sequence()).isEqualTo(2);
            assertThat(numbers(journal.since(0, 10))).containsExactly(1L, 2L);
            assertThat(numbers(journal.since(1, 10))).containsExactly(2L);
            assertThat(journal.since(2, 10)).isEmpty();
        }
        assertThat(told).isEmpty();
    }

    @Test
    void whatLeftTheRingComesFromTheFiles() throws Exception {
        var limits = new Limits(1 << 20, 8, 10, Duration.ofMillis(10));
        try (Journal journal = open(limits)) {
            for (int i = 0; i < 100; i++) {
                journal.append(event("s" + i));
                assertThat(journal.flush(LONG)).isTrue();
            }
            assertThat(numbers(journal.since(0, 1000))).isEqualTo(range(1, 100));
            assertThat(numbers(journal.since(50, 45))).isEqualTo(range(51, 95));
            assertThat(numbers(journal.since(95, 3))).isEqualTo(range(96, 98));
            assertThat(journal.lost()).isZero();
        }
    }

    @Test
    void filesAreRotatedAndOnlyTheLatestAreKept() throws Exception {
        try (Journal journal = open(SMALL)) {
            for (int i = 0; i < 200; i++) {
                journal.append(event("s" + i));
                assertThat(journal.flush(LONG)).isTrue();
            }
            assertThat(files())
                    .hasSize(3)
                    .allSatisfy(f -> assertThat(Files.size(f)).isLessThanOrEqualTo(2_000));
            List<Long> kept = numbers(journal.since(0, 1000));
            assertThat(kept).isEqualTo(range(kept.getFirst(), 200));
            assertThat(kept).hasSizeBetween(20, 40);
        }
        try (Journal journal = open(SMALL)) {
            assertThat(journal.append(event("next")).sequence()).isEqualTo(201);
        }
    }

    @Test
    void aTornLastLineIsCutOffWhereverTheTearIs() throws Exception {
        try (Journal journal = open(ROOMY)) {
            journal.append(event("one"));
            journal.append(event("two"));
        }
        Path file = files().getFirst();
        byte[] whole = Files.readAllBytes(file);
        int firstLine = new String(whole, StandardCharsets.ISO_8859_1).indexOf('\n') + 1;
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, java.util.Arrays.copyOf(whole, length));
            try (Journal journal = open(ROOMY)) {
                long next = length >= firstLine ? 2 : 1;
                assertThat(journal.append(event("again")).sequence())
                        .as("cut at %s", length)
                        .isEqualTo(next);
                assertThat(journal.flush(LONG)).isTrue();
            }
            try (Journal journal = open(ROOMY)) {
                assertThat(numbers(journal.since(0, 10))).isEqualTo(range(1, length >= firstLine ? 2 : 1));
            }
        }
    }

    @Test
    void linesThatMakeNoSenseArePassedOver() throws Exception {
        try (Journal journal = open(ROOMY)) {
            journal.append(event("one"));
        }
        Path file = files().getFirst();
        Files.write(file, new byte[5000], StandardOpenOption.APPEND);
        Files.writeString(file, "\nnull\n{\n[]\n{\"sequence\":true}\n{\"sequence\":-1}\n", StandardOpenOption.APPEND);
        try (Journal journal = open(ROOMY)) {
            assertThat(journal.append(event("two")).sequence()).isEqualTo(2);
        }
        try (Journal journal = open(ROOMY)) {
            assertThat(numbers(journal.since(0, 10))).containsExactly(1L, 2L);
        }
    }

    @Test
    void aFollowerGetsEveryEventInOrderWhileManyAreWritten() throws Exception {
        try (Journal journal = open(SMALL)) {
            List<Long> got = Collections.synchronizedList(new ArrayList<>());
            Thread follower = Thread.startVirtualThread(() -> {
                try {
                    while (got.size() < 300) {
                        long since = got.isEmpty() ? 0 : got.getLast();
                        got.addAll(numbers(journal.next(since, 7, LONG)));
                    }
                } catch (IOException | InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            for (int i = 0; i < 300; i++) {
                journal.append(event("s" + i));
                // The ring holds 20, the files more; the follower must not fall behind what is kept.
                while (follower.isAlive() && i - got.size() > 15) {
                    LockSupport.parkNanos(100_000);
                }
            }
            follower.join();
            assertThat(got).isEqualTo(range(1, 300));
        }
    }

    @Test
    void nextReturnsEmptyHandedAfterItsTimeAndWhenTheJournalCloses() throws Exception {
        Journal journal = open(ROOMY);
        assertThat(journal.next(0, 1, Duration.ofMillis(1))).isEmpty();
        Thread closer = Thread.startVirtualThread(journal::close);
        assertThat(journal.next(0, 1, LONG)).isEmpty();
        closer.join();
    }

    /** A disk that takes so many bytes more, and then fails, perhaps in the middle of a write. */
    private static final class FailingDisk implements Segment.Opener {
        private long room = Long.MAX_VALUE;
        private boolean truncates = true;

        synchronized void room(long bytes) {
            room = bytes;
        }

        private synchronized int take(int wanted) {
            int taken = (int) Math.min(room, wanted);
            room -= taken;
            return taken;
        }

        @Override
        public Segment open(Path file) throws IOException {
            Segment real = Segment.open(file);
            return new Segment() {
                @Override
                public long size() throws IOException {
                    return real.size();
                }

                @Override
                public void append(ByteBuffer bytes) throws IOException {
                    int taken = take(bytes.remaining());
                    ByteBuffer part = bytes.duplicate().limit(bytes.position() + taken);
                    real.append(part);
                    if (taken < bytes.remaining()) {
                        throw new IOException("No space left on device");
                    }
                }

                @Override
                public void truncate(long size) throws IOException {
                    if (!truncates) {
                        throw new IOException("Input/output error");
                    }
                    real.truncate(size);
                }

                @Override
                public void force() throws IOException {
                    real.force();
                }

                @Override
                public void close() throws IOException {
                    real.close();
                }
            };
        }
    }

    @Test
    void aFullDiskIsToldOnceAndEventsAreWrittenWhenItHasRoomAgain() throws Exception {
        for (int room = 0; room < 700; room += 23) {
            for (boolean truncates : new boolean[] {true, false}) {
                try (Stream<Path> files = Files.list(directory)) {
                    for (Path file : files.toList()) {
                        Files.delete(file);
                    }
                }
                told.clear();
                var disk = new FailingDisk();
                disk.truncates = truncates;
                try (Journal journal = Journal.open(directory, ROOMY, observer, disk)) {
                    journal.append(event("before"));
                    assertThat(journal.flush(LONG)).isTrue();
                    disk.room(room);
                    for (int i = 0; i < 10; i++) {
                        journal.append(event("during" + i));
                    }
                    assertThat(told.poll(20, TimeUnit.SECONDS)).isEqualTo("failing: No space left on device");
                    assertThat(numbers(journal.since(0, 100))).isEqualTo(range(1, 11));
                    disk.room(Long.MAX_VALUE);
                    assertThat(told.poll(20, TimeUnit.SECONDS)).isEqualTo("recovered, lost 0");
                    assertThat(journal.flush(LONG)).isTrue();
                    assertThat(told).isEmpty();
                }
                try (Journal journal = open(ROOMY)) {
                    assertThat(numbers(journal.since(0, 100)))
                            .as("room %s, truncates %s", room, truncates)
                            .isEqualTo(range(1, 11));
                }
            }
        }
    }

    @Test
    void whatNoLongerFitsInMemoryIsCountedAsLost() throws Exception {
        var disk = new FailingDisk();
        disk.room(0);
        try (Journal journal = Journal.open(directory, SMALL, observer, disk)) {
            for (int i = 0; i < 50; i++) {
                journal.append(event("s" + i));
            }
            assertThat(told.poll(20, TimeUnit.SECONDS)).startsWith("failing");
            assertThat(journal.lost()).isEqualTo(30);
            assertThat(numbers(journal.since(0, 100))).isEqualTo(range(31, 50));
            disk.room(Long.MAX_VALUE);
            assertThat(told.poll(20, TimeUnit.SECONDS)).isEqualTo("recovered, lost 30");
        }
        try (Journal journal = open(SMALL)) {
            assertThat(journal.append(event("next")).sequence()).isEqualTo(51);
        }
    }

    @Test
    void aDirectoryThatCannotBeMadeIsTriedAgain() throws Exception {
        Path parent = directory.resolve("not-yet");
        Files.writeString(parent, "in the way");
        try (Journal journal = Journal.open(parent.resolve("journal"), ROOMY, observer)) {
            journal.append(event("one"));
            assertThat(told.poll(20, TimeUnit.SECONDS)).startsWith("failing");
            Files.delete(parent);
            assertThat(told.poll(20, TimeUnit.SECONDS)).isEqualTo("recovered, lost 0");
            assertThat(journal.flush(LONG)).isTrue();
        }
    }

    @Test
    void aDiskThatIsReallyFullIsSurvived() throws Exception {
        Path mount = directory.resolve("mnt");
        Files.createDirectory(mount);
        Process mounting = new ProcessBuilder(
                        "mount", "-t", "tmpfs", "-o", "size=64k", "ballast-test", mount.toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(mounting.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        boolean mounted = mounting.waitFor() == 0;
        if (!mounted) {
            System.out.println("not run: mounting a small tmpfs needs root: " + output.strip());
        }
        assumeTrue(mounted, "mounting a small tmpfs needs root");
        try {
            Path filler = mount.resolve("filler");
            try (Journal journal = Journal.open(mount.resolve("journal"), ROOMY, observer)) {
                journal.append(event("before"));
                assertThat(journal.flush(LONG)).isTrue();
                fill(filler);
                for (int i = 0; i < 40; i++) {
                    journal.append(event("during" + i));
                }
                assertThat(told.poll(20, TimeUnit.SECONDS)).startsWith("failing: ");
                Files.delete(filler);
                assertThat(told.poll(20, TimeUnit.SECONDS)).isEqualTo("recovered, lost 0");
                assertThat(journal.flush(LONG)).isTrue();
            }
            try (Journal journal = Journal.open(mount.resolve("journal"), ROOMY, observer)) {
                assertThat(numbers(journal.since(0, 100))).isEqualTo(range(1, 41));
            }
        } finally {
            new ProcessBuilder("umount", mount.toString()).start().waitFor();
        }
    }

    private static void fill(Path file) throws IOException {
        byte[] block = new byte[1024];
        try {
            while (true) {
                Files.write(file, block, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            }
        } catch (IOException e) {
            assertThat(e.getMessage()).contains("No space");
        }
    }
}

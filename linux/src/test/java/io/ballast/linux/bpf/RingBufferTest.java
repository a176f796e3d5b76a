package io.ballast.linux.bpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class RingBufferTest {
    /** 4096 bytes hold so many records of 16 bytes with their headers of 8. */
    private static final int FULL = 4096 / 24;

    private static void write(BpfProgram count, Arena arena, int records) throws Exception {
        MemorySegment frame = arena.allocate(60);
        for (int i = 0; i < records; i++) {
            count.testRun(TestRun.of(frame).from(1, 0)); // lo
        }
    }

    private static BpfObject writing(boolean discardOdd) throws Exception {
        BpfObject object = Fixture.open();
        object.set("flag", discardOdd ? 1 : 0);
        object.load();
        try (Arena arena = Arena.ofConfined();
                BpfMap settings = object.map("settings")) {
            settings.mmap(arena).set(ValueLayout.JAVA_LONG, settings.stride(), 1);
        }
        return object;
    }

    @Test
    void recordsArriveInOrderAcrossTheEndOfTheBuffer() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfObject object = writing(false);
                BpfProgram count = object.program("count");
                BpfMap events = object.map("events");
                RingBuffer ring = new RingBuffer(events)) {
            List<Long> numbers = new ArrayList<>();
            assertThat(ring.poll(0, record -> {})).isZero();
            for (int round = 0; round < 5; round++) {
                write(count, arena, 100);
                assertThat(ring.pending()).isEqualTo(2400);
                assertThat(ring.poll(30_000, record -> {
                            assertThat(record.byteSize()).isEqualTo(16);
                            numbers.add(record.get(ValueLayout.JAVA_LONG, 0));
                            assertThat(record.get(ValueLayout.JAVA_INT, 8)).isEqualTo(1);
                            assertThat(record.get(ValueLayout.JAVA_INT, 12)).isEqualTo(60);
                        }))
                        .isEqualTo(100);
            }
            for (int i = 0; i < 500; i++) {
                assertThat(numbers.get(i)).isEqualTo(i);
            }
            assertThat(ring.pending()).isZero();
            assertThat(ring.poll(1, record -> {})).isZero();
        }
    }

    @Test
    void fullBufferLosesTheNewestAndGoesOn() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfObject object = writing(false);
                BpfProgram count = object.program("count");
                BpfMap events = object.map("events");
                RingBuffer ring = new RingBuffer(events)) {
            write(count, arena, FULL + 50);
            assertThat(ring.drain(record -> {})).isEqualTo(FULL);
            write(count, arena, 1);
            List<Long> numbers = new ArrayList<>();
            ring.drain(record -> numbers.add(record.get(ValueLayout.JAVA_LONG, 0)));
            assertThat(numbers).containsExactly((long) FULL + 50);
        }
    }

    @Test
    void discardedRecordsAreSkippedAndAFailingReaderLosesOnlyItsRecord() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfObject object = writing(true);
                BpfProgram count = object.program("count");
                BpfMap events = object.map("events");
                RingBuffer ring = new RingBuffer(events)) {
            write(count, arena, 10);
            assertThatThrownBy(() -> ring.drain(record -> {
                        throw new IllegalStateException("cannot");
                    }))
                    .hasMessage("cannot");
            List<Long> numbers = new ArrayList<>();
            assertThat(ring.drain(record -> numbers.add(record.get(ValueLayout.JAVA_LONG, 0))))
                    .isEqualTo(4);
            assertThat(numbers).containsExactly(2L, 4L, 6L, 8L);
        }
    }

    @Test
    void waitingReaderIsWokenByAWriter() throws Exception {
        try (Arena arena = Arena.ofShared();
                BpfObject object = writing(false);
                BpfProgram count = object.program("count");
                BpfMap events = object.map("events");
                RingBuffer ring = new RingBuffer(events)) {
            List<Long> numbers = new ArrayList<>();
            Thread reader = Thread.ofPlatform().start(() -> {
                try {
                    while (numbers.isEmpty()) {
                        ring.poll(30_000, record -> numbers.add(record.get(ValueLayout.JAVA_LONG, 0)));
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            write(count, arena, 1);
            reader.join();
            assertThat(numbers).containsExactly(0L);
        }
    }

    @Test
    void mapOfAnotherKindIsRefused() throws Exception {
        Fixture.assumeLoading();
        try (BpfMap map = BpfMap.create("array", new MapShape(MapType.ARRAY, 4, 4, 1, 0))) {
            assertThatThrownBy(() -> new RingBuffer(map)).hasMessageEndingWith("is no ring buffer");
        }
    }
}

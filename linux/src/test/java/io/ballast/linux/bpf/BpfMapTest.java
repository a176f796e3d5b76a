package io.ballast.linux.bpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class BpfMapTest {
    private static final MapShape HASH = new MapShape(MapType.HASH, 8, 12, 1000, 0);

    @BeforeEach
    void assumeLoading() throws Exception {
        Fixture.assumeLoading();
    }

    private static MemorySegment key(Arena arena, long key) {
        return arena.allocateFrom(ValueLayout.JAVA_LONG, key);
    }

    @Test
    void entriesAreWrittenReadAndRemoved() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("table", HASH)) {
            assertThat(map.info().shape()).isEqualTo(HASH);
            assertThat(map.info().name()).isEqualTo("table");
            MemorySegment one = key(arena, 1);
            MemorySegment value = arena.allocate(12);
            assertThat(map.lookup(one, value)).isFalse();
            assertThat(map.update(one, value, BpfMap.Existing.REQUIRED)).isFalse();
            value.fill((byte) 7);
            assertThat(map.update(one, value, BpfMap.Existing.NONE)).isTrue();
            assertThat(map.update(one, value, BpfMap.Existing.NONE)).isFalse();
            value.fill((byte) 8);
            assertThat(map.update(one, value, BpfMap.Existing.REQUIRED)).isTrue();
            value.fill((byte) 0);
            assertThat(map.lookup(one, value)).isTrue();
            assertThat(value.get(ValueLayout.JAVA_BYTE, 11)).isEqualTo((byte) 8);
            assertThat(map.delete(one)).isTrue();
            assertThat(map.delete(one)).isFalse();
            assertThat(map.lookup(new byte[8])).isNull();
        }
    }

    @Test
    void nextKeyWalksOverAllEntries() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("table", HASH)) {
            MemorySegment next = arena.allocate(8);
            assertThat(map.nextKey(null, next)).isFalse();
            long expected = 0;
            for (long i = 1; i <= 20; i++) {
                map.update(key(arena, i), arena.allocate(12));
                expected += i;
            }
            long sum = 0;
            MemorySegment previous = null;
            while (map.nextKey(previous, next)) {
                sum += next.get(ValueLayout.JAVA_LONG, 0);
                previous = next;
            }
            assertThat(sum).isEqualTo(expected);
        }
    }

    @Test
    void batchesWriteReadAndRemoveAllEntries() throws Exception {
        int count = 10_000; // more than one batch
        MapShape shape = new MapShape(MapType.HASH, 8, 8, count, 0);
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("table", shape)) {
            MemorySegment keys = arena.allocate(8L * count, 8);
            MemorySegment values = arena.allocate(8L * count, 8);
            for (int i = 0; i < count; i++) {
                keys.setAtIndex(ValueLayout.JAVA_LONG, i, i * 0x9E3779B97F4A7C15L);
                values.setAtIndex(ValueLayout.JAVA_LONG, i, i);
            }
            assertThat(map.forEach((key, value) -> {})).isZero();
            map.updateBatch(keys, values, count);
            Map<Long, Long> seen = new HashMap<>();
            assertThat(map.forEach((key, value) ->
                            seen.put(key.get(ValueLayout.JAVA_LONG, 0), value.get(ValueLayout.JAVA_LONG, 0))))
                    .isEqualTo(count);
            assertThat(seen).hasSize(count);
            seen.forEach((key, value) -> assertThat(key).isEqualTo(value * 0x9E3779B97F4A7C15L));

            MemorySegment more = arena.allocate(16, 8);
            more.setAtIndex(ValueLayout.JAVA_LONG, 0, 1);
            more.setAtIndex(ValueLayout.JAVA_LONG, 1, 2);
            assertThatThrownBy(() -> map.updateBatch(more, values, 2))
                    .hasMessage("update batch, 0 of 2 done, table: E2BIG: argument list too long"
                            + " (it holds at most 10000 entries)");
            assertThat(map.deleteBatch(keys, count - 1)).isEqualTo(count - 1);
            assertThat(map.deleteBatch(keys, 2)).isZero();
            assertThat(map.forEach((key, value) -> {})).isEqualTo(1);
        }
    }

    @Test
    void smallMapWhoseEntriesShareBucketsIsReadWhole() throws Exception {
        for (int size = 1; size <= 9; size++) {
            try (Arena arena = Arena.ofConfined();
                    BpfMap map = BpfMap.create("small", new MapShape(MapType.HASH, 8, 8, size, 0))) {
                for (long i = 0; i < size; i++) {
                    map.update(key(arena, i), key(arena, i));
                }
                assertThat(map.forEach((key, value) -> {})).isEqualTo(size);
            }
        }
    }

    @Test
    void everyProcessorHasItsValue() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("totals", new MapShape(MapType.PERCPU_ARRAY, 4, 12, 3, 0))) {
            assertThat(map.stride()).isEqualTo(16);
            assertThat(map.valueBytes()).isEqualTo(16L * BpfMap.possibleCpus());
            MemorySegment one = arena.allocateFrom(ValueLayout.JAVA_INT, 1);
            MemorySegment value = arena.allocate(map.valueBytes(), 8);
            for (int cpu = 0; cpu < BpfMap.possibleCpus(); cpu++) {
                value.set(ValueLayout.JAVA_LONG, cpu * map.stride(), cpu + 10);
            }
            map.update(one, value);
            MemorySegment read = arena.allocate(map.valueBytes(), 8);
            assertThat(map.lookup(one, read)).isTrue();
            assertThat(read.mismatch(value)).isEqualTo(-1);
            long[] sum = new long[1];
            assertThat(map.forEach((key, each) -> sum[0] += each.get(ValueLayout.JAVA_LONG, 0)))
                    .isEqualTo(3);
            assertThat(sum[0]).isEqualTo(10);
            MemorySegment tooSmall = arena.allocate(12, 8);
            assertThatThrownBy(() -> map.lookup(one, tooSmall))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("totals: value: has 12 bytes of " + map.valueBytes());
        }
    }

    @Test
    void arrayInMemoryIsTheMap() throws Exception {
        MapShape shape = new MapShape(MapType.ARRAY, 4, 12, 1000, MapShape.MMAPABLE);
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("slots", shape)) {
            MemorySegment memory = map.mmap(arena);
            assertThat(memory.byteSize()).isEqualTo(16_000);
            memory.set(ValueLayout.JAVA_INT, 999 * map.stride() + 8, 42);
            byte[] value = map.lookup(new byte[] {(byte) 0xE7, 3, 0, 0});
            assertThat(value).containsExactly(0, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0);
            MemorySegment view = map.mmapReadOnly(arena);
            assertThat(view.get(ValueLayout.JAVA_INT, 999 * map.stride() + 8)).isEqualTo(42);
            memory.set(ValueLayout.JAVA_INT, 0, 1);
            assertThat(view.get(ValueLayout.JAVA_INT, 0)).isEqualTo(1);
        }
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("plain", new MapShape(MapType.ARRAY, 4, 8, 10, 0))) {
            assertThatThrownBy(() -> map.mmap(arena))
                    .isInstanceOf(LinuxException.class)
                    .hasMessageEndingWith("(the map was not made with BPF_F_MMAPABLE)");
        }
    }

    @Test
    void mapOfMapsTakesOthersByDescriptorAndGivesNumbers() throws Exception {
        MapShape inner = new MapShape(MapType.ARRAY, 4, 4, 10, MapShape.INNER_MAP);
        MapShape larger = new MapShape(MapType.ARRAY, 4, 4, 20, MapShape.INNER_MAP);
        try (Arena arena = Arena.ofConfined();
                BpfMap template = BpfMap.create("template", inner);
                BpfMap other = BpfMap.create("other", larger);
                BpfMap outer = BpfMap.create("outer", new MapShape(MapType.ARRAY_OF_MAPS, 4, 4, 2, 0), template)) {
            MemorySegment zero = arena.allocateFrom(ValueLayout.JAVA_INT, 0);
            outer.update(zero, arena.allocateFrom(ValueLayout.JAVA_INT, other.fd()));
            MemorySegment id = arena.allocate(4, 4);
            assertThat(outer.lookup(zero, id)).isTrue();
            try (BpfMap found = BpfMap.byId(id.get(ValueLayout.JAVA_INT, 0))) {
                assertThat(found.info()).isEqualTo(other.info());
            }
            assertThat(outer.lookup(arena.allocateFrom(ValueLayout.JAVA_INT, 1), id))
                    .isFalse();
        }
    }

    @Test
    void memoryThatTheKernelRefusesIsNamed() throws Exception {
        MapShape tebibyte = new MapShape(MapType.ARRAY, 4, 1 << 20, 1 << 20, 0);
        assertThatThrownBy(() -> BpfMap.create("huge", tebibyte))
                .hasMessageStartingWith(
                        "create map huge (array of 1048576 entries, key 4 B, value 1048576 B, flags 0x0):"
                                + " ENOMEM: cannot allocate memory");
        try (Arena arena = Arena.ofConfined();
                BpfMap map = BpfMap.create("table", new MapShape(MapType.HASH, 8, 8, 1, 0))) {
            map.update(key(arena, 1), key(arena, 1));
            MemorySegment two = key(arena, 2);
            assertThatThrownBy(() -> map.update(two, two))
                    .hasMessage("update table: E2BIG: argument list too long (it holds at most 1 entries)");
            assertThatThrownBy(() -> map.update(MemorySegment.ofArray(new long[1]), two))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("table: key: must be native memory");
        }
    }

    @Test
    void numberOfNoMapIsRefused() {
        assertThatThrownBy(() -> BpfMap.byId(Integer.MAX_VALUE))
                .isInstanceOfSatisfying(
                        LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOENT))
                .hasMessage("open map 2147483647: ENOENT: no such file or directory");
    }
}

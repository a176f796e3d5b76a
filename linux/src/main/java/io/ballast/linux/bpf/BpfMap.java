package io.ballast.linux.bpf;

import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A map: a table that programs in the kernel and this process share (bpf(2)).
 *
 * <p>Keys and values are bytes in the layout of the program's structures, in native memory, padding zeroed: a key whose
 * padding differs is another key. A value of a per-CPU map is one copy for each processor that could exist, each
 * {@link #stride()} bytes from the next, {@link #valueBytes()} in all.
 *
 * <p>One call takes about a microsecond. Many entries go by batches, and arrays that the program declared
 * {@code BPF_F_MMAPABLE} through {@link #mmap}: then a write is visible to programs at once, without a call, and with
 * the ordering and tearing of ordinary memory.
 *
 * <p>Calls are safe from several threads, closing while another thread calls is not (see {@link Descriptor}).
 */
public final class BpfMap implements AutoCloseable {
    private static final int INFO_SIZE = 88; // struct bpf_map_info
    private static final int PROT_READ = 1;
    private static final int PROT_WRITE = 2;
    private static final int MAP_SHARED = 1;
    private static final int FIRST_BATCH = 4096;

    private final Descriptor descriptor;
    private final Info info;

    /**
     * What the kernel says about a map.
     *
     * @param id its number in this kernel
     * @param name the first 15 characters of its name
     */
    public record Info(int id, String name, MapShape shape) {}

    /** Whether an entry may, must not or must exist already (BPF_ANY, BPF_NOEXIST, BPF_EXIST). */
    public enum Existing {
        ANY(0),
        NONE(1),
        REQUIRED(2);

        private final long flag;

        Existing(long flag) {
            this.flag = flag;
        }
    }

    /** Takes entries; the segments are overwritten by the next ones. */
    @FunctionalInterface
    public interface EntryConsumer {
        /** One entry; both segments end with the call. */
        void accept(MemorySegment key, MemorySegment value);
    }

    private BpfMap(Descriptor descriptor, Info info) {
        this.descriptor = descriptor;
        this.info = info;
    }

    /** Takes ownership; on failure the descriptor is closed. */
    static BpfMap of(Descriptor descriptor) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment raw = kernel.allocate(INFO_SIZE, 8);
            Bpf.requireKind(descriptor, "bpf-map");
            Bpf.info(kernel, descriptor, raw);
            MapShape shape = new MapShape(
                    MapType.of(raw.get(ValueLayout.JAVA_INT, 0)),
                    raw.get(ValueLayout.JAVA_INT, 8),
                    raw.get(ValueLayout.JAVA_INT, 12),
                    raw.get(ValueLayout.JAVA_INT, 16),
                    raw.get(ValueLayout.JAVA_INT, 20));
            return new BpfMap(descriptor, new Info(raw.get(ValueLayout.JAVA_INT, 4), Bpf.name(raw, 24), shape));
        } catch (IOException | RuntimeException e) {
            descriptor.close();
            throw e;
        }
    }

    /** Makes a map that no object declares. */
    public static BpfMap create(String name, MapShape shape) throws IOException {
        return create(name, shape, null);
    }

    /**
     * Makes a map of maps.
     *
     * @param template a map of the shape that every inner map must have; null for maps of plain values
     */
    public static BpfMap create(String name, MapShape shape, @Nullable BpfMap template) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, shape.type().number());
            attributes.set(ValueLayout.JAVA_INT, 4, shape.keySize());
            attributes.set(ValueLayout.JAVA_INT, 8, shape.valueSize());
            attributes.set(ValueLayout.JAVA_INT, 12, shape.maxEntries());
            attributes.set(ValueLayout.JAVA_INT, 16, shape.flags());
            attributes.set(ValueLayout.JAVA_INT, 20, template == null ? 0 : template.fd());
            Bpf.setName(attributes, 28, name);
            int fd = Bpf.check(kernel.bpf(Bpf.MAP_CREATE, attributes), "create map", name + " (" + shape + ")");
            return of(Descriptor.own(fd, name));
        }
    }

    /** The map pinned at a path, whatever it is. */
    public static BpfMap openPinned(Path path) throws IOException {
        return of(Bpf.openPinned(path));
    }

    /**
     * The map pinned at a path.
     *
     * @throws WrongPinException when something else is pinned there: a leftover of another version or description
     */
    public static BpfMap openPinned(Path path, MapShape expected) throws IOException {
        BpfMap map = openPinned(path);
        if (!map.info.shape().equals(expected)) {
            map.close();
            throw new WrongPinException(path, map.info.shape().toString(), expected.toString());
        }
        return map;
    }

    /** The map with a number in this kernel, for instance out of a map of maps. Needs CAP_SYS_ADMIN. */
    public static BpfMap byId(int id) throws IOException {
        return of(Bpf.openById(Bpf.MAP_GET_FD_BY_ID, id, "map " + id));
    }

    /** What it is; as it was when this was opened, which never changes. */
    public Info info() {
        return info;
    }

    /** Its name or path, for messages. */
    public String label() {
        return descriptor.label();
    }

    /** The descriptor's number, still owned here: the value under which a map of maps takes this one. */
    public int fd() {
        return descriptor.fd();
    }

    /** Bytes from one value to the next, of an array in memory or of the copies of a per-CPU value. */
    public long stride() {
        return (info.shape().valueSize() + 7L) & -8;
    }

    /** Bytes of a value as it is read and written here: for a per-CPU map all copies. */
    public long valueBytes() {
        return info.shape().type().isPerCpu()
                ? stride() * possibleCpus()
                : info.shape().valueSize();
    }

    /**
     * Reads the value under a key.
     *
     * @param value where it goes, at least {@link #valueBytes()}
     * @return false when there is none
     */
    public boolean lookup(MemorySegment key, MemorySegment value) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            return found(element(kernel, Bpf.MAP_LOOKUP_ELEM, key, value, valueBytes(), 0), "look up in");
        }
    }

    /** The value under a key, or null. */
    public byte @Nullable [] lookup(byte[] key) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(valueBytes(), 8);
            return lookup(arena.allocateFrom(ValueLayout.JAVA_BYTE, key), value)
                    ? value.toArray(ValueLayout.JAVA_BYTE)
                    : null;
        }
    }

    /** Writes the value under a key, whether or not there was one. */
    public void update(MemorySegment key, MemorySegment value) throws IOException {
        update(key, value, Existing.ANY);
    }

    /**
     * Writes the value under a key.
     *
     * @return false when there is one already ({@link Existing#NONE}), or none ({@link Existing#REQUIRED})
     * @throws LinuxException E2BIG when the map is full
     */
    public boolean update(MemorySegment key, MemorySegment value, Existing existing) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int result = element(kernel, Bpf.MAP_UPDATE_ELEM, key, value, valueBytes(), existing.flag);
            if ((existing == Existing.NONE && result == -Errno.EEXIST.number())
                    || (existing == Existing.REQUIRED && result == -Errno.ENOENT.number())) {
                return false;
            }
            checkFull(result, "update");
            return true;
        }
    }

    /** As {@link #update(MemorySegment, MemorySegment)}. */
    public void update(byte[] key, byte[] value) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            update(arena.allocateFrom(ValueLayout.JAVA_BYTE, key), arena.allocateFrom(ValueLayout.JAVA_BYTE, value));
        }
    }

    /** Removes an entry; false when there was none. */
    public boolean delete(MemorySegment key) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            return found(element(kernel, Bpf.MAP_DELETE_ELEM, key, MemorySegment.NULL, 0, 0), "delete from");
        }
    }

    /** As {@link #delete(MemorySegment)}. */
    public boolean delete(byte[] key) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            return delete(arena.allocateFrom(ValueLayout.JAVA_BYTE, key));
        }
    }

    /**
     * Finds the key after another, in the map's own order.
     *
     * @param key null for the first; one that is no longer there begins again
     * @param next where it goes
     * @return false after the last
     */
    public boolean nextKey(@Nullable MemorySegment key, MemorySegment next) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int keySize = info.shape().keySize();
            MemorySegment attributes = Bpf.attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, fd());
            attributes.set(ValueLayout.JAVA_LONG, 8, key == null ? 0 : Bpf.address(key, keySize, label() + ": key"));
            attributes.set(ValueLayout.JAVA_LONG, 16, Bpf.address(next, keySize, label() + ": next key"));
            return found(kernel.bpf(Bpf.MAP_GET_NEXT_KEY, attributes), "next key of");
        }
    }

    private int element(
            Kernel kernel, int command, MemorySegment key, MemorySegment value, long valueSize, long flags) {
        MemorySegment attributes = Bpf.attributes(kernel);
        attributes.set(ValueLayout.JAVA_INT, 0, fd());
        attributes.set(ValueLayout.JAVA_LONG, 8, Bpf.address(key, info.shape().keySize(), label() + ": key"));
        attributes.set(ValueLayout.JAVA_LONG, 16, Bpf.address(value, valueSize, label() + ": value"));
        attributes.set(ValueLayout.JAVA_LONG, 24, flags);
        return kernel.bpf(command, attributes);
    }

    private boolean found(int result, String call) throws LinuxException {
        if (result == -Errno.ENOENT.number()) {
            return false;
        }
        Bpf.check(result, call, label());
        return true;
    }

    private void checkFull(int result, String call) throws LinuxException {
        if (result == -Errno.E2BIG.number()) {
            throw new LinuxException(
                    -result, call, label(), "it holds at most " + info.shape().maxEntries() + " entries");
        }
        Bpf.check(result, call, label());
    }

    /**
     * Hands over every entry, by batches (kernel 5.6 and newer; hashes, arrays and tries). Entries that come or go
     * meanwhile may be seen or not; one that stays is seen, in a hash under growth perhaps twice.
     *
     * @return how many were handed over
     * @throws LinuxException ENOTSUPP for a kind of map that has no batches: use {@link #nextKey}
     */
    public long forEach(EntryConsumer consumer) throws IOException {
        long keySize = info.shape().keySize();
        long valueSize = valueBytes();
        long total = 0;
        try (Kernel kernel = Kernel.open()) {
            // The place where the last batch ended, in the kernel's terms: a key or a number.
            MemorySegment place = kernel.allocate(Math.max(keySize, 8), 8);
            boolean first = true;
            int batch = (int)
                    Math.min(FIRST_BATCH, Integer.toUnsignedLong(info.shape().maxEntries()));
            MemorySegment keys = kernel.allocate(batch * keySize, 8);
            MemorySegment values = kernel.allocate(batch * valueSize, 8);
            while (true) {
                MemorySegment attributes = batch(kernel, keys, values, batch);
                attributes.set(ValueLayout.JAVA_LONG, 0, first ? 0 : place.address());
                attributes.set(ValueLayout.JAVA_LONG, 8, place.address());
                int result = kernel.bpf(Bpf.MAP_LOOKUP_BATCH, attributes);
                if (result == -Errno.ENOSPC.number()) {
                    // More entries share one bucket of the hash than a batch takes.
                    batch = Math.multiplyExact(batch, 2);
                    keys = kernel.allocate(batch * keySize, 8);
                    values = kernel.allocate(batch * valueSize, 8);
                    continue;
                }
                if (result != -Errno.ENOENT.number()) {
                    Bpf.check(result, "look up batch", label());
                }
                int count = attributes.get(ValueLayout.JAVA_INT, 32);
                for (int i = 0; i < count; i++) {
                    consumer.accept(keys.asSlice(i * keySize, keySize), values.asSlice(i * valueSize, valueSize));
                }
                total += count;
                first = false;
                if (result < 0) {
                    return total;
                }
            }
        }
    }

    /**
     * Writes many entries with one call.
     *
     * @param keys one after the other
     * @param values one after the other, each of {@link #valueBytes()}
     * @throws LinuxException after the entry that failed; those before it are written
     */
    public void updateBatch(MemorySegment keys, MemorySegment values, int count) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = batch(kernel, keys, values, count);
            int result = kernel.bpf(Bpf.MAP_UPDATE_BATCH, attributes);
            checkFull(result, "update batch, " + attributes.get(ValueLayout.JAVA_INT, 32) + " of " + count + " done,");
        }
    }

    /**
     * Removes many entries with one call; all of them must be there.
     *
     * @return how many were removed: fewer than asked when one was not there, which ended the call
     */
    public int deleteBatch(MemorySegment keys, int count) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = batch(kernel, keys, MemorySegment.NULL, count);
            found(kernel.bpf(Bpf.MAP_DELETE_BATCH, attributes), "delete batch from");
            return attributes.get(ValueLayout.JAVA_INT, 32);
        }
    }

    private MemorySegment batch(Kernel kernel, MemorySegment keys, MemorySegment values, int count) {
        MemorySegment attributes = Bpf.attributes(kernel);
        long valueSize = values.equals(MemorySegment.NULL) ? 0 : valueBytes();
        attributes.set(
                ValueLayout.JAVA_LONG,
                16,
                Bpf.address(keys, (long) info.shape().keySize() * count, label() + ": keys"));
        attributes.set(ValueLayout.JAVA_LONG, 24, Bpf.address(values, valueSize * count, label() + ": values"));
        attributes.set(ValueLayout.JAVA_INT, 32, count);
        attributes.set(ValueLayout.JAVA_INT, 36, fd());
        return attributes;
    }

    /**
     * An array's values as memory of this process: element i is at {@code i * stride()}. Only for an array made with
     * {@link MapShape#MMAPABLE}.
     *
     * @param arena closing it ends the mapping; a shared or automatic one for use by several threads
     */
    public MemorySegment mmap(Arena arena) throws IOException {
        long length = stride() * Integer.toUnsignedLong(info.shape().maxEntries());
        return map(length, 0, PROT_READ | PROT_WRITE, arena);
    }

    /** As {@link #mmap(Arena)}, but a write ends the JVM: for a map that is frozen, such as {@code .rodata}. */
    public MemorySegment mmapReadOnly(Arena arena) throws IOException {
        long length = stride() * Integer.toUnsignedLong(info.shape().maxEntries());
        return map(length, 0, PROT_READ, arena).asReadOnly();
    }

    MemorySegment map(long length, long offset, int protection, Arena arena) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            long address = kernel.mmap(length, protection, MAP_SHARED, fd(), offset);
            if (address < 0) {
                String hint = null;
                if (address == -Errno.EPERM.number() && (protection & PROT_WRITE) != 0) {
                    hint = "the map is frozen: read-only";
                } else if (info.shape().type() != MapType.RINGBUF
                        && (info.shape().flags() & MapShape.MMAPABLE) == 0) {
                    hint = "the map was not made with BPF_F_MMAPABLE";
                }
                throw new LinuxException((int) -address, "mmap", label(), hint);
            }
            return MemorySegment.ofAddress(address).reinterpret(length, arena, BpfMap::unmap);
        }
    }

    private static void unmap(MemorySegment mapping) {
        try (Kernel kernel = Kernel.open()) {
            kernel.munmap(mapping);
        }
    }

    /** Makes it findable at a path in a bpffs, where it outlives this process; EEXIST when the path is taken. */
    public void pin(Path path) throws IOException {
        Bpf.pin(descriptor, path);
    }

    /** Closes the descriptor; the map stays as long as a program, a pin or another descriptor holds it. */
    @Override
    public void close() {
        descriptor.close();
    }

    @Override
    public String toString() {
        return label() + ": map " + info.id() + ", " + info.shape();
    }

    private static final class Cpus {
        static final int POSSIBLE = possible();

        private static int possible() {
            try {
                // "0-3", or with holes "0,2-3"; programs index by number, so what counts is the last.
                String list = Files.readAllLines(Path.of("/sys/devices/system/cpu/possible"))
                        .getFirst();
                return 1 + Integer.parseInt(list.substring(1 + Math.max(list.lastIndexOf('-'), list.lastIndexOf(','))));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    /**
     * How many copies a per-CPU value has: one for each processor that the kernel could take up, online or not
     * ({@code /sys/devices/system/cpu/possible}).
     */
    public static int possibleCpus() {
        return Cpus.POSSIBLE;
    }
}

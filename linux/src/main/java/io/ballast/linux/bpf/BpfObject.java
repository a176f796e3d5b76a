package io.ballast.linux.bpf;

import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * A compiled eBPF object file on its way into the kernel: open it, set its constants and the sizes of its maps, name the
 * maps that exist already, load it, and take programs and maps out of it.
 *
 * <pre>{@code
 * try (BpfObject object = BpfObject.open("director", bytes)) {
 *     object.set("vip_mtu", 1500);
 *     object.resize("slots", 65_537);
 *     object.reuse("flows", pinnedFlows);
 *     object.load();
 *     program = object.program("director");
 *     slots = object.map("slots");
 * }
 * }</pre>
 *
 * <p>What was taken out owns its descriptor: it stays when this is closed, and has to be closed itself. Constants are
 * variables that the program declares {@code const volatile}: the verifier knows their values and removes what they
 * switch off, so a feature that is off costs nothing.
 *
 * <p>For one thread. Needs libbpf1, and CAP_BPF and CAP_NET_ADMIN to load (see {@link BpfSupport}).
 */
public final class BpfObject implements AutoCloseable {
    /**
     * BPF_F_ANY_ALIGNMENT: headers in a packet are where they are. The machines that Ballast runs on read them there at
     * no cost, and take this for granted; only user-mode Linux does not know it of its own machine.
     */
    private static final int ANY_ALIGNMENT = 1 << 1;

    private static final int OPTIONS_SIZE = 16; // struct bpf_object_open_opts up to object_name

    private final Libbpf libbpf;
    private final String name;
    private final ElfSymbols symbols;
    /** {@code struct bpf_object *}; 0 once closed. */
    private long object;

    private BpfObject(Libbpf libbpf, String name, ElfSymbols symbols, long object) {
        this.libbpf = libbpf;
        this.name = name;
        this.symbols = symbols;
        this.object = object;
    }

    /**
     * Reads an object file.
     *
     * @param name what it is called in messages and in the kernel
     * @throws BpfException when the file is not a sound object
     * @throws IOException when libbpf1 is not installed
     */
    public static BpfObject open(String name, byte[] elf) throws IOException {
        Libbpf libbpf = Libbpf.get();
        try (Arena arena = Arena.ofConfined()) {
            // The file's content is needed while it is opened only.
            MemorySegment bytes = arena.allocateFrom(ValueLayout.JAVA_BYTE, elf);
            MemorySegment options = arena.allocate(OPTIONS_SIZE, 8);
            options.set(ValueLayout.JAVA_LONG, 0, OPTIONS_SIZE);
            options.set(ValueLayout.JAVA_LONG, 8, arena.allocateFrom(name).address());
            Libbpf.Outcome opened =
                    libbpf.listen("bpf_object__open_mem", bytes.address(), elf.length, options.address());
            if (opened.result() == 0) {
                throw new BpfException(opened.errno(), "open", name, opened.log());
            }
            try {
                return new BpfObject(libbpf, name, new ElfSymbols(elf), opened.result());
            } catch (IndexOutOfBoundsException | ArithmeticException e) {
                libbpf.call("bpf_object__close", opened.result(), 0, 0);
                throw new BpfException(Errno.EINVAL.number(), "open", name, "unsound section table: " + e);
            }
        }
    }

    /** The names of the maps that the program declares, without those that hold its variables. */
    public List<String> maps() {
        List<String> names = new ArrayList<>();
        for (long map = next("bpf_object__next_map", 0); map != 0; map = next("bpf_object__next_map", map)) {
            if ((libbpf.call("bpf_map__is_internal", map, 0, 0) & 0xff) == 0) {
                names.add(libbpf.string("bpf_map__name", map));
            }
        }
        return names;
    }

    /** The names of the programs. */
    public List<String> programs() {
        List<String> names = new ArrayList<>();
        for (long each = next("bpf_object__next_program", 0);
                each != 0;
                each = next("bpf_object__next_program", each)) {
            names.add(libbpf.string("bpf_program__name", each));
        }
        return names;
    }

    private long next(String function, long previous) {
        return libbpf.call(function, object(), previous, 0);
    }

    /**
     * Sets a variable before loading: a constant ({@code const volatile}, section .rodata) or the start value of
     * another. The variable has 1, 2, 4 or 8 bytes.
     *
     * @throws IllegalArgumentException when there is no such variable, or the value does not fit, neither signed nor
     *     unsigned
     */
    public void set(String variable, long value) {
        MemorySegment memory = variable(variable);
        int bits = (int) memory.byteSize() * 8;
        if (bits < 64 && value >>> bits != 0 && value >> (bits - 1) != -1) {
            throw new IllegalArgumentException(
                    name + ": " + value + " does not fit " + variable + " of " + bits + " bits");
        }
        switch (bits) {
            case 8 -> memory.set(ValueLayout.JAVA_BYTE, 0, (byte) value);
            case 16 -> memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, 0, (short) value);
            case 32 -> memory.set(ValueLayout.JAVA_INT_UNALIGNED, 0, (int) value);
            case 64 -> memory.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, value);
            default ->
                throw new IllegalArgumentException(
                        name + ": " + variable + " is no number, but " + memory.byteSize() + " bytes");
        }
    }

    /** Sets a variable of any kind before loading, all of its bytes. */
    public void set(String variable, byte[] value) {
        MemorySegment memory = variable(variable);
        if (memory.byteSize() != value.length) {
            throw new IllegalArgumentException(
                    name + ": " + variable + " has " + memory.byteSize() + " bytes, not " + value.length);
        }
        memory.copyFrom(MemorySegment.ofArray(value));
    }

    private MemorySegment variable(String variable) {
        ElfSymbols.Variable found = symbols.find(variable);
        long map = found == null ? 0 : findMap(found.section());
        if (found == null || map == 0) {
            throw new IllegalArgumentException(name + ": has no variable " + variable);
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment size = arena.allocate(ValueLayout.JAVA_LONG);
            long start = libbpf.call("bpf_map__initial_value", map, size.address(), 0);
            if (start == 0) {
                throw new IllegalStateException(name + ": " + found.section() + " has no memory");
            }
            return MemorySegment.ofAddress(start)
                    .reinterpret(size.get(ValueLayout.JAVA_LONG, 0))
                    .asSlice(found.offset(), found.size());
        }
    }

    /** What a map is, or will be when it is loaded now. */
    public MapShape shape(String map) {
        long found = requireMap(map);
        return new MapShape(
                MapType.of((int) libbpf.call("bpf_map__type", found, 0, 0)),
                (int) libbpf.call("bpf_map__key_size", found, 0, 0),
                (int) libbpf.call("bpf_map__value_size", found, 0, 0),
                (int) libbpf.call("bpf_map__max_entries", found, 0, 0),
                (int) libbpf.call("bpf_map__map_flags", found, 0, 0));
    }

    /** Sets how many entries a map will have, before loading. */
    public void resize(String map, int maxEntries) throws IOException {
        check("resize to " + maxEntries, map, "bpf_map__set_max_entries", requireMap(map), maxEntries);
    }

    /** Sets how many entries the inner maps of a map of maps have at loading; the rest is their maker's affair. */
    public void resizeInner(String map, int maxEntries) throws IOException {
        long inner = libbpf.call("bpf_map__inner_map", requireMap(map), 0, 0);
        if (inner == 0) {
            throw new IllegalArgumentException(name + ": " + map + " is no map of maps");
        }
        check("resize inner to " + maxEntries, map, "bpf_map__set_max_entries", inner, maxEntries);
    }

    /**
     * Uses an existing map in place of one that the program declares, before loading. libbpf takes its type and sizes as
     * they are, so compare {@link #shape} first ({@link BpfMap#openPinned(java.nio.file.Path, MapShape)} does).
     */
    public void reuse(String map, BpfMap existing) throws IOException {
        check("reuse " + existing.label() + " for", map, "bpf_map__reuse_fd", requireMap(map), existing.fd());
    }

    /** Leaves a program out of loading, or takes it in again. */
    public void autoload(String program, boolean load) throws IOException {
        check("autoload", program, "bpf_program__set_autoload", requireProgram(program), load ? 1 : 0);
    }

    private void check(String operation, String target, String function, long a, long b) throws BpfException {
        Libbpf.Outcome outcome = libbpf.listen(function, a, b, 0);
        if (outcome.number() < 0) {
            throw new BpfException(-outcome.number(), operation, name + " " + target, outcome.log());
        }
    }

    /**
     * Makes the maps and loads the programs.
     *
     * @throws BpfException with what the verifier or the kernel refused
     */
    public void load() throws IOException {
        for (long each = next("bpf_object__next_program", 0);
                each != 0;
                each = next("bpf_object__next_program", each)) {
            long flags = libbpf.call("bpf_program__flags", each, 0, 0);
            libbpf.call("bpf_program__set_flags", each, flags | ANY_ALIGNMENT, 0);
        }
        check("load", "into the kernel", "bpf_object__load", object(), 0);
    }

    /**
     * A map of the loaded object.
     *
     * @param map its name; {@code .rodata}, {@code .data} or {@code .bss} for those that hold variables
     */
    public BpfMap map(String map) throws IOException {
        int fd = (int) libbpf.call("bpf_map__fd", requireMap(map), 0, 0);
        return BpfMap.of(duplicate(fd, map));
    }

    /** An array of the loaded object as memory, as {@link BpfMap#mmap}, without a descriptor to close. */
    public MemorySegment mmap(String map, Arena arena) throws IOException {
        try (BpfMap mapped = map(map)) {
            return mapped.mmap(arena);
        }
    }

    /** A program of the loaded object. */
    public BpfProgram program(String program) throws IOException {
        int fd = (int) libbpf.call("bpf_program__fd", requireProgram(program), 0, 0);
        return BpfProgram.of(duplicate(fd, program));
    }

    private Descriptor duplicate(int fd, String label) throws IOException {
        if (fd < 0) {
            throw new IllegalStateException(name + ": " + label + " is not loaded");
        }
        return Bpf.duplicate(fd, label);
    }

    private long requireMap(String map) {
        long found = findMap(map);
        if (found == 0) {
            throw new IllegalArgumentException(name + ": has no map " + map + "; it has " + maps());
        }
        return found;
    }

    private long findMap(String map) {
        return find("bpf_object__find_map_by_name", map);
    }

    private long requireProgram(String program) {
        long found = find("bpf_object__find_program_by_name", program);
        if (found == 0) {
            throw new IllegalArgumentException(name + ": has no program " + program + "; it has " + programs());
        }
        return found;
    }

    private long find(String function, String key) {
        try (Arena arena = Arena.ofConfined()) {
            return libbpf.call(function, object(), arena.allocateFrom(key).address(), 0);
        }
    }

    private long object() {
        if (object == 0) {
            throw new IllegalStateException(name + ": closed");
        }
        return object;
    }

    /** Lets go of what nobody took out. Idempotent. */
    @Override
    public void close() {
        if (object != 0) {
            libbpf.call("bpf_object__close", object, 0, 0);
            object = 0;
        }
    }
}

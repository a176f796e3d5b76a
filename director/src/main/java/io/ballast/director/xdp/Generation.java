package io.ballast.director.xdp;

import io.ballast.linux.Errno;
import io.ballast.linux.bpf.BpfException;
import io.ballast.linux.bpf.BpfMap;
import io.ballast.linux.bpf.BpfObject;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.MapShape;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One set of tables with its program, pinned in a folder of a bpffs, where it outlives the daemon. What else was pinned
 * there by a version with another layout is another generation, and stays until this one serves in its place.
 *
 * <p>The word that makes a generation count is written when all of it is there: one without is half a beginning.
 */
final class Generation {
    private static final String PROGRAM = "director";
    private static final String NEW_PROGRAM = "director_new";
    private static final String ORIGIN = "origin";
    private static final String WAYS_BACK = "ways_back";
    /** What is remembered of connections; these tables belong together, and are never copied. */
    private static final String FLOWS = "flows";

    private static final Set<String> CONNECTIONS = Set.of(FLOWS, WAYS_BACK, "ports");

    /**
     * Whose tables they are.
     *
     * @param layout digest of what the layout is described by; 0 for half a beginning
     * @param program digest of the object that the program is from, and its features
     * @param flowSeed what the program's hash begins with
     */
    record Origin(long layout, long program, long flowSeed) {}

    private final Path folder;

    Generation(Path folder) {
        this.folder = folder;
    }

    Path folder() {
        return folder;
    }

    /** Whose it is; empty where it is not whole. */
    Optional<Origin> origin() throws IOException {
        Path path = folder.resolve(ORIGIN);
        if (!Files.exists(path)) {
            return Optional.empty();
        }
        try (BpfMap map = BpfMap.openPinned(path)) {
            byte[] bytes = map.lookup(new byte[Integer.BYTES]);
            if (bytes == null || bytes.length < Layout.ORIGIN) {
                return Optional.empty();
            }
            MemorySegment record = MemorySegment.ofArray(bytes);
            Origin origin = new Origin(
                    record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_LAYOUT),
                    record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_PROGRAM),
                    record.get(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_FLOW_SEED));
            return origin.layout() == 0 ? Optional.empty() : Optional.of(origin);
        }
    }

    private void write(Origin origin) throws IOException {
        byte[] bytes = new byte[Layout.ORIGIN];
        MemorySegment record = MemorySegment.ofArray(bytes);
        record.set(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_LAYOUT, origin.layout());
        record.set(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_PROGRAM, origin.program());
        record.set(ValueLayout.JAVA_LONG_UNALIGNED, Layout.ORIGIN_FLOW_SEED, origin.flowSeed());
        try (BpfMap map = BpfMap.openPinned(folder.resolve(ORIGIN))) {
            map.update(new byte[Integer.BYTES], bytes);
        }
    }

    /** Makes empty tables and this build's program; on failure nothing is left. */
    void create(DataPlane.Sizes sizes, DataPlane.Features features, long flowSeed) throws IOException {
        create(sizes, features, flowSeed, null);
    }

    /**
     * Makes tables of at least these sizes with what is in others of this build, and this build's program. Tables that
     * are large enough are shared, and so is the one of remembered connections, whatever its size. On failure nothing
     * is left.
     */
    void createFrom(Generation smaller, DataPlane.Sizes sizes, DataPlane.Features features) throws IOException {
        Origin origin = smaller.origin().orElseThrow(() -> new IOException(smaller.folder + " is not whole"));
        create(sizes, features, origin.flowSeed(), smaller);
    }

    private void create(DataPlane.Sizes sizes, DataPlane.Features features, long flowSeed, @Nullable Generation smaller)
            throws IOException {
        byte[] elf = DataPlane.object(PROGRAM);
        Files.createDirectories(folder);
        try (BpfObject object = BpfObject.open(PROGRAM, elf)) {
            DataPlane.configure(object, sizes, features, flowSeed);
            DataPlane.boundLearning(object, sizes.buckets());
            Set<String> copied = Set.of();
            if (smaller != null) {
                copied = share(object, smaller);
                smaller.setConstants(object, features, flowSeed);
            }
            object.load();
            for (String name : object.maps()) {
                try (BpfMap map = object.map(name)) {
                    if (smaller != null && copied.contains(name)) {
                        copy(smaller.folder.resolve(name), map);
                    }
                    map.pin(folder.resolve(name));
                }
            }
            try (BpfProgram program = object.program(PROGRAM)) {
                program.pin(folder.resolve(PROGRAM));
            }
            write(new Origin(layoutOfThisBuild(), digest(elf, features), flowSeed));
        } catch (BpfException e) {
            remove();
            throw e.errno() == Errno.ENOMEM || e.errno() == Errno.E2BIG
                    ? new IOException(
                            "the kernel refuses the memory for the tables of the engine xdp, " + sizes
                                    + ": free memory, or allow fewer connections and services: " + e.getMessage(),
                            e)
                    : e;
        } catch (IOException | RuntimeException e) {
            remove();
            throw e;
        }
    }

    /** Has an object use the tables of another generation that are large enough; the names of those that are not. */
    private static Set<String> share(BpfObject object, Generation smaller) throws IOException {
        Set<String> tooSmall = new HashSet<>();
        for (String name : object.maps()) {
            try (BpfMap map = BpfMap.openPinned(smaller.folder.resolve(name))) {
                int has = map.info().shape().maxEntries();
                // Whose tables they are is of each generation its own.
                if (name.equals(ORIGIN) || (has < object.shape(name).maxEntries() && !CONNECTIONS.contains(name))) {
                    tooSmall.add(name);
                } else {
                    object.reuse(name, map);
                }
            }
        }
        tooSmall.remove(ORIGIN);
        return tooSmall;
    }

    /** Sets the constants that follow from the tables of connections. */
    private void setConstants(BpfObject object, DataPlane.Features features, long flowSeed) throws IOException {
        try (BpfMap flows = BpfMap.openPinned(folder.resolve(FLOWS));
                BpfMap waysBack = BpfMap.openPinned(folder.resolve(WAYS_BACK))) {
            int buckets = flows.info().shape().maxEntries();
            boolean nat = waysBack.info().shape().maxEntries() > 1;
            DataPlane.setConstants(object, buckets, nat, features, flowSeed);
            DataPlane.boundLearning(object, buckets);
        }
    }

    private static void copy(Path from, BpfMap to) throws IOException {
        List<IOException> failures = new ArrayList<>();
        try (BpfMap map = BpfMap.openPinned(from)) {
            map.forEach((key, value) -> {
                try {
                    to.update(key, value);
                } catch (IOException e) {
                    failures.add(e);
                }
            });
        }
        if (!failures.isEmpty()) {
            throw failures.getFirst();
        }
    }

    /** Whether there is room for less than this. */
    boolean isSmallerThan(DataPlane.Sizes sizes) throws IOException {
        try (DataPlane plane = open()) {
            DataPlane.Sizes has = plane.sizes();
            return has.endpoints() < sizes.endpoints()
                    || has.services() < sizes.services()
                    || has.servers() < sizes.servers()
                    || has.slotLines() < sizes.slotLines()
                    || has.nodeLines() < sizes.nodeLines();
        }
    }

    /**
     * Makes this build's program with these features the one of these tables, where it is another.
     *
     * @return which program it has now instead of its own, for people; empty where that was the one already
     */
    String renewProgram(Origin origin, DataPlane.Features features) throws IOException {
        byte[] elf = DataPlane.object(PROGRAM);
        long digest = digest(elf, features);
        Files.deleteIfExists(folder.resolve(NEW_PROGRAM));
        if (origin.program() == digest) {
            return "";
        }
        try (BpfObject object = BpfObject.open(PROGRAM, elf)) {
            for (String name : object.maps()) {
                try (BpfMap map = BpfMap.openPinned(folder.resolve(name))) {
                    object.reuse(name, map);
                }
            }
            setConstants(object, features, origin.flowSeed());
            object.load();
            try (BpfProgram program = object.program(PROGRAM)) {
                program.pin(folder.resolve(NEW_PROGRAM));
            }
        }
        Files.move(folder.resolve(NEW_PROGRAM), folder.resolve(PROGRAM), StandardCopyOption.ATOMIC_MOVE);
        write(new Origin(origin.layout(), digest, origin.flowSeed()));
        boolean sameBuild = origin.program() == digest(elf, new DataPlane.Features(!features.ranges()));
        return !sameBuild
                ? "this version's"
                : features.ranges()
                        ? "one that also looks for ranges of ports"
                        : "one that does not look for ranges of ports";
    }

    /** Whether this build can go on with the tables: their layout is its own, and none is missing. */
    boolean isOfThisBuild(Origin origin) throws IOException {
        if (origin.layout() != layoutOfThisBuild()) {
            return false;
        }
        try (BpfObject object = BpfObject.open(PROGRAM, DataPlane.object(PROGRAM))) {
            for (String name : object.maps()) {
                Path path = folder.resolve(name);
                if (!Files.exists(path)) {
                    return false;
                }
                try (BpfMap map = BpfMap.openPinned(path)) {
                    MapShape found = map.info().shape();
                    MapShape wanted = object.shape(name);
                    if (found.type() != wanted.type()
                            || found.keySize() != wanted.keySize()
                            || found.valueSize() != wanted.valueSize()
                            || found.flags() != wanted.flags()) {
                        return false;
                    }
                }
            }
        }
        return true;
    }

    DataPlane open() throws IOException {
        return new DataPlane(folder);
    }

    BpfProgram program() throws IOException {
        return BpfProgram.openPinned(folder.resolve(PROGRAM));
    }

    /** Takes the names away; the kernel frees what nothing else holds. */
    void remove() throws IOException {
        removeAll(folder);
    }

    /** Removes a folder of pins. */
    static void removeAll(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return;
        }
        try (DirectoryStream<Path> pins = Files.newDirectoryStream(folder)) {
            for (Path pin : pins) {
                if (Files.isDirectory(pin)) {
                    removeAll(pin);
                } else {
                    Files.delete(pin);
                }
            }
        }
        Files.delete(folder);
    }

    private static @Nullable Long layout;

    /** The digest of what describes the tables, without comments and blanks. */
    static synchronized long layoutOfThisBuild() throws IOException {
        Long known = layout;
        if (known == null) {
            StringBuilder text = new StringBuilder();
            for (String header : new String[] {"layout.h", "hash.h"}) {
                try (InputStream in = Generation.class.getResourceAsStream(header)) {
                    if (in == null) {
                        throw new IOException("this build lacks " + header);
                    }
                    text.append(new String(in.readAllBytes(), StandardCharsets.UTF_8));
                }
            }
            known = digest(withoutComments(text.toString()).getBytes(StandardCharsets.UTF_8));
            layout = known;
        }
        return known;
    }

    static String withoutComments(String text) {
        return text.replaceAll("(?s)/\\*.*?\\*/", " ").replaceAll("\\s+", " ");
    }

    private static long digest(byte[] elf, DataPlane.Features features) {
        byte[] constants = features.bytes();
        byte[] all = Arrays.copyOf(elf, elf.length + constants.length);
        System.arraycopy(constants, 0, all, elf.length, constants.length);
        return digest(all);
    }

    private static long digest(byte[] bytes) {
        try {
            long digest = MemorySegment.ofArray(
                            MessageDigest.getInstance("SHA-256").digest(bytes))
                    .get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
            return digest == 0 ? 1 : digest;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}

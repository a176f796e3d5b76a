package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * bpf(2) as linux/bpf.h has it: the numbers of the commands, and what several kinds of object share. Each command takes
 * a part of {@code union bpf_attr}; the kernel accepts a longer one whose rest is zero, whatever its own version.
 */
final class Bpf {
    static final int MAP_CREATE = 0;
    static final int MAP_LOOKUP_ELEM = 1;
    static final int MAP_UPDATE_ELEM = 2;
    static final int MAP_DELETE_ELEM = 3;
    static final int MAP_GET_NEXT_KEY = 4;
    static final int PROG_LOAD = 5;
    static final int OBJ_PIN = 6;
    static final int OBJ_GET = 7;
    static final int PROG_TEST_RUN = 10;
    static final int PROG_GET_FD_BY_ID = 13;
    static final int MAP_GET_FD_BY_ID = 14;
    static final int OBJ_GET_INFO_BY_FD = 15;
    static final int MAP_LOOKUP_BATCH = 24;
    static final int MAP_UPDATE_BATCH = 26;
    static final int MAP_DELETE_BATCH = 27;
    static final int LINK_CREATE = 28;
    static final int LINK_UPDATE = 29;
    static final int LINK_DETACH = 34;

    private static final int ATTRIBUTES_SIZE = 128;
    private static final int NAME_LENGTH = 16; // BPF_OBJ_NAME_LEN

    private Bpf() {}

    /** Room for the attributes of a command, all zero. */
    static MemorySegment attributes(Kernel kernel) {
        return kernel.allocate(ATTRIBUTES_SIZE, 8);
    }

    /**
     * The address of memory that the kernel reads or writes.
     *
     * @throws IllegalArgumentException when it is on the heap, which has no address, or smaller than what the kernel
     *     takes
     */
    static long address(MemorySegment memory, long size, String what) {
        if (!memory.isNative()) {
            throw new IllegalArgumentException(what + ": must be native memory");
        }
        if (memory.byteSize() < size) {
            throw new IllegalArgumentException(what + ": has " + memory.byteSize() + " bytes of " + size);
        }
        return memory.address();
    }

    /** Passes a result through or throws, with what helps against the errors that bpf(2) gives for common reasons. */
    static int check(int result, String call, String object) throws LinuxException {
        if (result < 0) {
            throw new LinuxException(-result, call, object, hint(-result));
        }
        return result;
    }

    static @Nullable String hint(int number) {
        return switch (Errno.of(number)) {
            case EPERM -> "needs " + Capability.BPF.kernelName() + " and " + Capability.NET_ADMIN.kernelName();
            case ENOSYS -> "this kernel was built without bpf(2)";
            default -> null;
        };
    }

    static void pin(Descriptor descriptor, Path path) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = attributes(kernel);
            attributes.set(
                    ValueLayout.JAVA_LONG, 0, kernel.string(path.toString()).address());
            attributes.set(ValueLayout.JAVA_INT, 8, descriptor.fd());
            int result = kernel.bpf(OBJ_PIN, attributes);
            String object = descriptor.label() + " at " + path;
            // The kernel's way to say that the directory is on another file system; it has no word for that.
            Path directory = path.toAbsolutePath().getParent();
            if (result == -Errno.EPERM.number() && directory != null && !BpfFs.isMounted(directory)) {
                throw new LinuxException(-result, "pin", object, directory + " is not in a bpffs");
            }
            check(result, "pin", object);
        }
    }

    static Descriptor openPinned(Path path) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = attributes(kernel);
            attributes.set(
                    ValueLayout.JAVA_LONG, 0, kernel.string(path.toString()).address());
            return Descriptor.own(
                    check(kernel.bpf(OBJ_GET, attributes), "open pinned", path.toString()), path.toString());
        }
    }

    /** A descriptor of our own for one that libbpf will close. */
    static Descriptor duplicate(int fd, String label) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int copy = LinuxException.check(kernel.duplicate(fd), "fcntl F_DUPFD_CLOEXEC", label);
            return Descriptor.own(copy, label);
        }
    }

    /** The object of a kind that has the number in this kernel; needs CAP_SYS_ADMIN. */
    static Descriptor openById(int command, int id, String label) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment attributes = attributes(kernel);
            attributes.set(ValueLayout.JAVA_INT, 0, id);
            return Descriptor.own(
                    LinuxException.check(kernel.bpf(command, attributes), "open", label, Capability.SYS_ADMIN), label);
        }
    }

    /** Fills in what the kernel tells of an object; a kernel that knows less leaves the rest zero. */
    static void info(Kernel kernel, Descriptor object, MemorySegment info) throws IOException {
        MemorySegment attributes = attributes(kernel);
        attributes.set(ValueLayout.JAVA_INT, 0, object.fd());
        attributes.set(ValueLayout.JAVA_INT, 4, (int) info.byteSize());
        attributes.set(ValueLayout.JAVA_LONG, 8, info.address());
        check(kernel.bpf(OBJ_GET_INFO_BY_FD, attributes), "info", object.label());
    }

    /**
     * Refuses an object of another kind than expected, of which the kernel would tell something else.
     *
     * @param kinds names that kernels give to the file of such an object
     */
    static void requireKind(Descriptor object, String... kinds) throws IOException {
        String kind = Files.readSymbolicLink(Path.of("/proc/self/fd/" + object.fd()))
                .toString()
                .replace("anon_inode:", "")
                .replaceAll("[\\[\\]]", "");
        if (!List.of(kinds).contains(kind)) {
            throw new WrongPinException(Path.of(object.label()), kind, kinds[0]);
        }
    }

    /** A name as the kernel keeps it: 15 characters, of letters, digits, underscore and dot. */
    static void setName(MemorySegment attributes, long offset, String name) {
        byte[] bytes = name.replaceAll("[^A-Za-z0-9_.]", "_").getBytes(StandardCharsets.US_ASCII);
        int length = Math.min(bytes.length, NAME_LENGTH - 1);
        MemorySegment.copy(bytes, 0, attributes, ValueLayout.JAVA_BYTE, offset, length);
    }

    static String name(MemorySegment info, long offset) {
        return info.asSlice(offset, NAME_LENGTH).getString(0, StandardCharsets.US_ASCII);
    }
}

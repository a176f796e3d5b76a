package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Errno;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The file system in which maps, programs and links have names and outlive the processes that made them. Its content
 * lives in the kernel's memory, to the next boot or unmount.
 */
public final class BpfFs {
    /** Where systemd mounts it. */
    public static final Path DEFAULT = Path.of("/sys/fs/bpf");

    private static final long BPF_FS_MAGIC = 0xcafe4a11L; // linux/magic.h
    private static final int STATFS_SIZE = 120;
    private static final long NOSUID_NODEV_NOEXEC = 2 | 4 | 8;

    private static final int MNT_DETACH = 2;

    private BpfFs() {}

    /** True when a directory is there and is in a bpffs. */
    public static boolean isMounted(Path directory) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment statfs = kernel.allocate(STATFS_SIZE, 8);
            int result = kernel.statfs(directory.toString(), statfs);
            if (result == -Errno.ENOENT.number() || result == -Errno.ENOTDIR.number()) {
                return false;
            }
            LinuxException.check(result, "statfs", directory.toString());
            return statfs.get(ValueLayout.JAVA_LONG, 0) == BPF_FS_MAGIC;
        }
    }

    /**
     * Finds a bpffs, or makes one: the given directory when that is one already, else {@link #DEFAULT} when that is
     * one, else a new one mounted at the given directory, which is made where needed.
     *
     * <p>A mount is seen in the mount namespace where it was made. One that a service makes in a namespace of its own
     * (systemd's {@code ProtectSystem=}, {@code ip netns exec}) is not found again by its successor, so such a service
     * depends on {@link #DEFAULT}.
     *
     * @return the root of it
     * @throws LinuxException EPERM without CAP_SYS_ADMIN when it has to be mounted
     */
    public static Path ensure(Path directory) throws IOException {
        if (isMounted(directory)) {
            return directory;
        }
        if (isMounted(DEFAULT)) {
            return DEFAULT;
        }
        mount(directory);
        return directory;
    }

    /** Mounts a new one at a directory, which is made where needed. Needs CAP_SYS_ADMIN. */
    public static void mount(Path directory) throws IOException {
        Files.createDirectories(directory);
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(
                    kernel.mount("bpf", directory.toString(), "bpf", NOSUID_NODEV_NOEXEC, "mode=0700"),
                    "mount bpffs",
                    directory.toString(),
                    Capability.SYS_ADMIN);
        }
    }

    /** Unmounts the one at a directory; what is pinned there goes with its last mount. Needs CAP_SYS_ADMIN. */
    public static void unmount(Path directory) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(
                    kernel.umount(directory.toString(), MNT_DETACH),
                    "umount",
                    directory.toString(),
                    Capability.SYS_ADMIN);
        }
    }
}

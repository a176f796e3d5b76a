package io.ballast.lab.farm;

import io.ballast.linux.Capability;
import io.ballast.linux.Kernel;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.BpfFs;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the programs of a node's daemon stay in the kernel: a bpffs of the node's own, in the daemon's run directory. The
 * daemon itself would make it in the mount namespace that {@code ip netns exec} gives it, where the next one would not
 * find it.
 */
final class Pins {
    private static final int MNT_DETACH = 2;

    private Pins() {}

    private static Path of(Path node) {
        return node.resolve("run").resolve("bpf");
    }

    static void mount(Path node) throws IOException {
        Path pins = of(node);
        Files.createDirectories(pins);
        try (Kernel kernel = Kernel.open()) {
            LinuxException.check(
                    kernel.mount("bpf", pins.toString(), "bpf", 0, "mode=0700"),
                    "mount bpffs",
                    pins.toString(),
                    Capability.SYS_ADMIN);
        }
    }

    /** Takes all those of a lab away, and with them the programs. */
    static void unmount(Path lab) throws IOException {
        try (DirectoryStream<Path> nodes = Files.newDirectoryStream(lab, Files::isDirectory);
                Kernel kernel = Kernel.open()) {
            for (Path node : nodes) {
                if (BpfFs.isMounted(of(node))) {
                    LinuxException.check(
                            kernel.umount(of(node).toString(), MNT_DETACH),
                            "umount",
                            of(node).toString(),
                            Capability.SYS_ADMIN);
                }
            }
        }
    }
}

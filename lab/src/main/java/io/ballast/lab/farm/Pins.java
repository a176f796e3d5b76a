package io.ballast.lab.farm;

import io.ballast.linux.bpf.BpfFs;
import io.ballast.node.Directories;
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
    private Pins() {}

    private static Path of(Path node) {
        return new Directories(node.resolve("run"), node.resolve("state")).bpf();
    }

    static void mount(Path node) throws IOException {
        BpfFs.mount(of(node));
    }

    /** Takes all those of a lab away, and with them the programs. */
    static void unmount(Path lab) throws IOException {
        try (DirectoryStream<Path> nodes = Files.newDirectoryStream(lab, Files::isDirectory)) {
            for (Path node : nodes) {
                if (BpfFs.isMounted(of(node))) {
                    BpfFs.unmount(of(node));
                }
            }
        }
    }
}

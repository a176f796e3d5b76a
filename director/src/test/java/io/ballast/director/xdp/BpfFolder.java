package io.ballast.director.xdp;

import io.ballast.linux.Kernel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A bpffs of its own, which goes with what is pinned in it. */
final class BpfFolder implements AutoCloseable {
    private static final int MNT_DETACH = 2;

    final Path path;

    BpfFolder() throws IOException {
        path = Files.createTempDirectory("ballast-bpf");
        try (Kernel kernel = Kernel.open()) {
            int result = kernel.mount("bpf", path.toString(), "bpf", 0, "");
            if (result < 0) {
                Files.delete(path);
                throw new IOException("mount " + path + ": " + result);
            }
        }
    }

    @Override
    public void close() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            kernel.umount(path.toString(), MNT_DETACH);
        }
        Files.delete(path);
    }
}

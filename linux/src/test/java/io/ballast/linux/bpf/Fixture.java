package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Host;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;

/** The programs of src/test/bpf, compiled once for all tests, and what tests of eBPF ask of the machine. */
final class Fixture {
    private static @Nullable Path objects;

    private Fixture() {}

    /** Skips the test, with the reason, where programs cannot be loaded. */
    static void assumeLoading() throws IOException {
        Host.assumeCapability(Capability.BPF);
        Host.assumeCapability(Capability.NET_ADMIN);
        try {
            Libbpf.get();
        } catch (IOException e) {
            Assumptions.abort(String.valueOf(e.getMessage()));
        }
    }

    /** A compiled object; skips the test, with the reason, where none can be compiled. */
    static synchronized byte[] object(String name) throws IOException, InterruptedException {
        if (objects == null) {
            Path made = Path.of("target/test-bpf");
            Process compiler = new ProcessBuilder("../packaging/compile-bpf.sh", "src/test/bpf", made.toString())
                    .redirectErrorStream(true)
                    .start();
            String said = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (compiler.waitFor() != 0) {
                throw new IOException(said);
            }
            Assumptions.assumeTrue(said.isEmpty(), said);
            objects = made;
        }
        return Files.readAllBytes(objects.resolve(name + ".bpf.o"));
    }

    /** The counting program, opened and not loaded. */
    static BpfObject open() throws IOException, InterruptedException {
        assumeLoading();
        return BpfObject.open("count", object("count"));
    }
}

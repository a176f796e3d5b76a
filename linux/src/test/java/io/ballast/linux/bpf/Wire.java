package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Host;
import io.ballast.linux.Kernel;
import io.ballast.linux.NetworkNamespace;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/**
 * A network namespace with two ends of a wire, {@code left} and {@code right}, and a bpffs of its own; all of it goes when this
 * is closed, or at the latest with the process.
 */
final class Wire implements AutoCloseable {
    private static final int MNT_DETACH = 2;

    private final NetworkNamespace namespace;
    private final Path directory;
    final Path pins;

    private Wire(NetworkNamespace namespace, Path directory) {
        this.namespace = namespace;
        this.directory = directory;
        this.pins = directory.resolve("bpf");
    }

    static Wire make() throws Exception {
        Fixture.assumeLoading();
        Host.assumeCapability(Capability.SYS_ADMIN);
        Wire wire = new Wire(NetworkNamespace.create(), Files.createTempDirectory("ballast-bpf"));
        try {
            wire.ip("link add name left address 02:00:00:00:00:0a type veth peer name right address 02:00:00:00:00:0b");
            wire.ip("link set left up");
            wire.ip("link set right up");
            Files.createDirectory(wire.pins);
            try (Kernel kernel = Kernel.open()) {
                int result = kernel.mount("bpf", wire.pins.toString(), "bpf", 0, "");
                if (result < 0) {
                    throw new IOException("mount: " + result);
                }
            }
        } catch (Exception e) {
            wire.close();
            throw e;
        }
        return wire;
    }

    /** Runs ip(8) inside. */
    void ip(String arguments) throws Exception {
        call(() -> {
            Process ip = new ProcessBuilder(("ip " + arguments).split(" ", -1))
                    .redirectErrorStream(true)
                    .start();
            String said = new String(ip.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (ip.waitFor() != 0) {
                throw new IOException("ip " + arguments + ": " + said);
            }
            return said;
        });
    }

    <T> T call(Callable<T> task) throws Exception {
        return namespace.call(task);
    }

    int ifindex(String device) throws Exception {
        return call(() -> {
            Process ip = new ProcessBuilder("ip", "-o", "link", "show", "dev", device).start();
            String said = new String(ip.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return Integer.parseInt(said.substring(0, said.indexOf(':')));
        });
    }

    /** Packets that an interface has received. */
    long received(String device) throws Exception {
        return call(() -> Files.readAllLines(Path.of("/proc/thread-self/net/dev")).stream()
                .map(String::strip)
                .filter(line -> line.startsWith(device + ":"))
                .mapToLong(line -> Long.parseLong(line.split("\\s+", -1)[2]))
                .findFirst()
                .orElseThrow());
    }

    @Override
    public void close() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            kernel.umount(pins.toString(), MNT_DETACH); // fails when it was not mounted
        }
        Files.deleteIfExists(pins);
        Files.delete(directory);
        namespace.close();
    }
}

package io.ballast.linux.bpf;

import io.ballast.linux.Capability;
import io.ballast.linux.Host;
import io.ballast.linux.Kernel;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
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
            wire.change(netlink -> netlink.create(new NewLink.Veth("left", "right", null)));
            for (String device : List.of("left", "right")) {
                int ifindex = wire.ifindex(device);
                wire.change(netlink -> netlink.setUp(ifindex, true));
            }
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

    /** What is done to interfaces. */
    interface Change {
        void to(RouteNetlink netlink) throws IOException;
    }

    void change(Change change) throws Exception {
        call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                change.to(netlink);
            }
            return true;
        });
    }

    <T> T call(Callable<T> task) throws Exception {
        return namespace.call(task);
    }

    int ifindex(String device) throws Exception {
        return call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return netlink.link(device).orElseThrow().index();
            }
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

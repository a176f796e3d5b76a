package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * A network namespace (network_namespaces(7)) to run code in. The kernel ties a namespace to a thread, and a virtual
 * thread has none of its own, so each task runs on a fresh platform thread that enters the namespace and ends with the
 * task. A socket opened there stays there whichever thread uses it later; child threads and processes started there
 * inherit it.
 */
public final class NetworkNamespace implements AutoCloseable {
    private static final Path NAMED = Path.of("/var/run/netns");

    private final Descriptor descriptor;

    private NetworkNamespace(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** The namespace that {@code ip netns} knows by this name. */
    public static NetworkNamespace named(String name) throws IOException {
        return open(NAMED.resolve(name));
    }

    /** The namespace that a process is in. */
    public static NetworkNamespace ofProcess(long pid) throws IOException {
        return open(Path.of("/proc/" + pid + "/ns/net"));
    }

    /** The calling thread's namespace. */
    public static NetworkNamespace current() throws IOException {
        return open(Path.of("/proc/thread-self/ns/net"));
    }

    private static NetworkNamespace open(Path path) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = LinuxException.check(kernel.open(path.toString(), Constants.O_CLOEXEC), "open", path.toString());
            return new NetworkNamespace(Descriptor.own(fd, path.toString()));
        }
    }

    /**
     * Makes a namespace without a name, with its loopback interface up. It lives until this is closed and the last
     * thread, process and socket in it is gone. Needs CAP_SYS_ADMIN.
     */
    public static NetworkNamespace create() throws IOException {
        return onOwnThread("new network namespace", () -> {
            try (Kernel kernel = Kernel.open()) {
                LinuxException.check(
                        kernel.unshare(Constants.CLONE_NEWNET), "unshare", "CLONE_NEWNET", Capability.SYS_ADMIN);
            }
            setUp("lo");
            return current();
        });
    }

    /** Brings an interface of the calling thread's namespace up (SIOCSIFFLAGS). */
    static void setUp(String device) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = LinuxException.check(
                    kernel.socket(Constants.AF_INET, Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC, 0),
                    "socket",
                    "udp");
            try {
                MemorySegment request = kernel.allocate(40, 8); // struct ifreq: char name[16]; short flags; ...
                request.setString(0, device);
                LinuxException.check(kernel.ioctl(fd, Constants.SIOCGIFFLAGS, request), "ioctl SIOCGIFFLAGS", device);
                short flags = request.get(ValueLayout.JAVA_SHORT, 16);
                request.set(ValueLayout.JAVA_SHORT, 16, (short) (flags | Constants.IFF_UP));
                LinuxException.check(
                        kernel.ioctl(fd, Constants.SIOCSIFFLAGS, request),
                        "ioctl SIOCSIFFLAGS",
                        device,
                        Capability.NET_ADMIN);
            } finally {
                kernel.close(fd);
            }
        }
    }

    /**
     * Runs a task inside and waits for its result. Needs CAP_SYS_ADMIN.
     *
     * @throws IOException when the namespace cannot be entered, or from the task; other exceptions of the task likewise
     *     come through as they are, checked ones wrapped in an IOException
     */
    public <T> T call(Callable<T> task) throws IOException {
        return onOwnThread("in " + descriptor.label(), () -> {
            try (Kernel kernel = Kernel.open()) {
                LinuxException.check(
                        kernel.setns(descriptor.fd(), Constants.CLONE_NEWNET),
                        "setns",
                        descriptor.label(),
                        Capability.SYS_ADMIN);
            }
            return task.call();
        });
    }

    /** The number of the descriptor that names it, still owned here: for requests that speak of another namespace. */
    public int fd() {
        return descriptor.fd();
    }

    private static <T> T onOwnThread(String name, Callable<T> task) throws IOException {
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread.ofPlatform().name(name).daemon().start(() -> {
            try {
                result.complete(task.call());
            } catch (Throwable t) {
                result.completeExceptionally(t);
            }
        });
        try {
            return result.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(name + ": interrupted while waiting for the task", e);
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException cause -> throw cause;
                case RuntimeException cause -> throw cause;
                case Error cause -> throw cause;
                case null, default -> throw new IOException(name + ": " + e.getCause(), e.getCause());
            }
        }
    }

    /** Lets go of the namespace; what runs in it goes on. */
    @Override
    public void close() {
        descriptor.close();
    }
}

package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Assumptions;

/** What tests ask of the machine that they run on. */
public final class Host {
    private Host() {}

    /** Skips the test, with the reason, without the capability. */
    public static void assumeCapability(Capability capability) throws IOException {
        Assumptions.assumeTrue(
                capability.isEffective(), "needs " + capability.kernelName() + " (run the tests as root)");
    }

    /** Skips the test, with the reason, where anybody may bind the port. */
    static void assumePrivilegedPort(int port) throws IOException {
        // Not readString: it reads a file of size 0 byte by byte, and the kernel gives a number of /proc/sys only
        // whole.
        String start = Files.readAllLines(Path.of("/proc/sys/net/ipv4/ip_unprivileged_port_start"))
                .getFirst();
        Assumptions.assumeTrue(
                port < Integer.parseInt(start),
                "needs net.ipv4.ip_unprivileged_port_start above " + port + ", and it is " + start);
    }

    /** Runs a task on a thread that has given up every capability, which also works as an ordinary user. */
    public static <T> T withoutCapabilities(Callable<T> task) throws Exception {
        return withCapabilities(Set.of(), task);
    }

    /** Runs a task on a thread that has given up every capability but these. */
    public static <T> T withCapabilities(Set<Capability> kept, Callable<T> task) throws Exception {
        FutureTask<T> future = new FutureTask<>(() -> {
            try (Arena arena = Arena.ofConfined()) {
                Linker linker = Linker.nativeLinker();
                MemorySegment header =
                        arena.allocateFrom(ValueLayout.JAVA_INT, 0x20080522, 0); // version 3, this thread
                long bits = kept.stream().mapToLong(each -> 1L << each.bit()).sum();
                int low = (int) bits;
                int high = (int) (bits >>> 32);
                MemorySegment sets = arena.allocateFrom(ValueLayout.JAVA_INT, low, low, 0, high, high, 0);
                int result = (int) linker.downcallHandle(
                                linker.defaultLookup().findOrThrow("capset"),
                                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS))
                        .invokeExact(header, sets);
                if (result != 0) {
                    throw new IllegalStateException("capset failed");
                }
            } catch (Exception | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new IllegalStateException(e);
            }
            return task.call();
        });
        Thread thread = Thread.ofPlatform().start(future);
        thread.join();
        try {
            return future.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw e;
        }
    }

    /** How many descriptors of this process are sockets. */
    static int openSockets() throws IOException {
        int count = 0;
        try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors) {
                try {
                    if (Files.readSymbolicLink(descriptor).toString().startsWith("socket:")) {
                        count++;
                    }
                } catch (NoSuchFileException e) {
                    // closed since it was listed
                }
            }
        }
        return count;
    }

    /** Waits for something that another thread or process brings about, for at most half a minute. */
    public static void await(String what, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("did not happen in 30 s: " + what);
            }
            Thread.sleep(1);
        }
    }

    /** True when the thread is parked or waits. */
    static boolean isWaiting(Thread thread) {
        return switch (thread.getState()) {
            case WAITING, TIMED_WAITING -> true;
            default -> false;
        };
    }
}

package io.ballast.linux;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * What a TCP check costs: opens and closes connections at a constant rate, each on its own virtual thread, toward a server
 * in another process, with {@link NativeSocket} and with {@link Socket} in turn. Not a test; run its main:
 *
 * <pre>java --enable-native-access=ALL-UNNAMED -cp ... io.ballast.linux.ConnectRate [rate] [seconds] [rounds]</pre>
 *
 * <p>CPU is this process's user and system time, which includes the kernel's work for both ends of a loopback connection.
 */
public final class ConnectRate {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

    private interface Probe {
        void run(InetSocketAddress server) throws IOException;
    }

    private ConnectRate() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("server")) {
            serve();
            return;
        }
        int rate = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 10_000;
        int seconds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 8;
        int rounds = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 2;
        Process server = new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        ConnectRate.class.getName(),
                        "server"))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader out =
                new BufferedReader(new InputStreamReader(server.getInputStream(), StandardCharsets.UTF_8))) {
            InetSocketAddress address = new InetSocketAddress(LOOPBACK, Integer.parseInt(out.readLine()));
            measure("warm-up, native", rate, 3, address, ConnectRate::nativeSocket);
            measure("warm-up, java.net", rate, 3, address, ConnectRate::javaSocket);
            for (int i = 0; i < rounds; i++) {
                measure("native", rate, seconds, address, ConnectRate::nativeSocket);
                measure("java.net", rate, seconds, address, ConnectRate::javaSocket);
            }
        } finally {
            server.destroy();
        }
    }

    private static void serve() throws IOException {
        try (Descriptor listening = Sockets.listenTcp(new InetSocketAddress(LOOPBACK, 0), Sockets.Options.DEFAULT);
                Kernel kernel = Kernel.open()) {
            System.out.println(Sockets.localAddress(listening).getPort());
            kernel.fcntl(listening.fd(), Constants.F_SETFL, 0); // blocking
            while (true) {
                Descriptor.closeNumber(
                        LinuxException.check(kernel.accept4(listening.fd(), Constants.SOCK_CLOEXEC), "accept", ""));
            }
        }
    }

    private static void nativeSocket(InetSocketAddress server) throws IOException {
        try (NativeSocket socket = NativeSocket.tcp(server.getAddress())) {
            socket.abortOnClose();
            socket.connect(server, NativeSocket.deadlineIn(1_000_000_000));
        }
    }

    private static void javaSocket(InetSocketAddress server) throws IOException {
        try (Socket socket = new Socket()) {
            socket.setSoLinger(true, 0);
            socket.connect(server, 1_000);
        }
    }

    private static void measure(String name, int rate, int seconds, InetSocketAddress server, Probe probe)
            throws IOException, InterruptedException {
        int total = rate * seconds;
        long[] took = new long[total];
        long[] late = new long[total];
        AtomicInteger failures = new AtomicInteger();
        AtomicInteger done = new AtomicInteger();
        long cpu = cpuTicks();
        long begin = System.nanoTime();
        for (int i = 0; i < total; i++) {
            long due = begin + i * 1_000_000_000L / rate;
            while (due - System.nanoTime() > 0) {
                LockSupport.parkNanos(due - System.nanoTime());
            }
            int index = i;
            Thread.ofVirtual().start(() -> {
                long start = System.nanoTime();
                late[index] = start - due;
                try {
                    probe.run(server);
                } catch (IOException e) {
                    if (failures.getAndIncrement() == 0) {
                        System.out.println("first failure: " + e);
                    }
                }
                took[index] = System.nanoTime() - start;
                done.incrementAndGet();
            });
        }
        while (done.get() < total) {
            Thread.sleep(1);
        }
        double elapsed = (System.nanoTime() - begin) / 1e9;
        double cores = (cpuTicks() - cpu) / 100.0 / elapsed;
        Arrays.sort(took);
        Arrays.sort(late);
        System.out.printf(
                "%-18s %,8.0f/s  cores %.2f (%.1f us each)  took us p50 %d p99 %d max %d"
                        + "  start delay us p50 %d p99 %d max %d  failed %d%n",
                name,
                total / elapsed,
                cores,
                cores * elapsed / total * 1e6,
                took[total / 2] / 1_000,
                took[(int) (total * 0.99)] / 1_000,
                took[total - 1] / 1_000,
                late[total / 2] / 1_000,
                late[(int) (total * 0.99)] / 1_000,
                late[total - 1] / 1_000,
                failures.get());
    }

    /** User and system time of this process in hundredths of a second (proc(5), fields 14 and 15). */
    private static long cpuTicks() throws IOException {
        String stat = Files.readString(Path.of("/proc/self/stat"));
        List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1));
        return Long.parseLong(fields.get(11)) + Long.parseLong(fields.get(12));
    }
}

package io.ballast.bench;

import io.ballast.cli.Failure;
import io.ballast.lab.farm.Daemon;
import io.ballast.lab.farm.ProcessId;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * The programs of one benchmark: started with a processor of their own, ended together, their files removed. What they
 * cost is read from the kernel's own accounting.
 */
final class Programs implements AutoCloseable {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");

    /** Ticks per second of the times in /proc/PID/stat: USER_HZ, 100 on every Linux architecture. */
    private static final double USER_HZ = 100;

    private final Path directory;
    private final List<Process> started = new ArrayList<>();
    private final Thread atExit = new Thread(this::stop, "bench-clean-up");

    Programs() throws IOException {
        directory = Files.createTempDirectory("ballast-bench-");
        // nginx started by root reads its files as another user.
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        Runtime.getRuntime().addShutdownHook(atExit);
    }

    /** Where these programs may keep files; removed at the end. */
    Path directory() {
        return directory;
    }

    /** Writes a file of the benchmark. */
    Path file(String name, String text) throws IOException {
        return Files.writeString(directory.resolve(name), text);
    }

    /** The program on the PATH (or in the sbin directories, which an ordinary user's PATH lacks). */
    static Optional<Path> find(String program) {
        String path = Optional.ofNullable(System.getenv("PATH")).orElse("") + ":/usr/sbin:/usr/local/sbin:/sbin";
        return Stream.of(path.split(":", -1))
                .filter(dir -> !dir.isEmpty())
                .map(dir -> Path.of(dir, program))
                .filter(Files::isExecutable)
                .findFirst();
    }

    /** The program, or a message that says what to install. */
    static Path need(String program, String debianPackage) throws Failure {
        return find(program)
                .orElseThrow(() -> Failure.failed(program + " is not installed: apt install " + debianPackage));
    }

    /** All processors, as {@link #start} wants them. */
    static String everyProcessor() {
        return "0-" + (Runtime.getRuntime().availableProcessors() - 1);
    }

    /** Starts a program on these processors ({@code 0} or {@code 0,1}); its output goes to a file named after it. */
    Process start(String name, String processors, List<String> command) throws IOException {
        return start(directory.resolve(name + ".log"), processors, command);
    }

    /** Likewise, with its output in this file. */
    Process start(Path log, String processors, List<String> command) throws IOException {
        List<String> pinned = new ArrayList<>(List.of("taskset", "-c", processors));
        pinned.addAll(command);
        Process process = new ProcessBuilder(pinned)
                .directory(directory.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .start();
        synchronized (started) {
            started.add(process);
        }
        return process;
    }

    /** Runs a program to its end and returns what it printed. */
    String run(String processors, int seconds, List<String> command) throws IOException, InterruptedException, Failure {
        Process process = start("run", processors, command);
        if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw Failure.failed(String.join(" ", command) + ": no end within " + seconds + " s");
        }
        String output = Files.readString(directory.resolve("run.log"), StandardCharsets.UTF_8);
        if (process.exitValue() != 0) {
            throw Failure.failed(String.join(" ", command) + ": exit " + process.exitValue() + ": " + output.strip());
        }
        return output;
    }

    /** What a started program has printed so far. */
    String log(String name) throws IOException {
        return Files.readString(directory.resolve(name + ".log"), StandardCharsets.UTF_8);
    }

    /** User and system time of a process since its start, in seconds; its children that were waited for count too. */
    static double cpuSeconds(long pid) throws IOException {
        String stat = read(pid, "stat");
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        long ticks = 0;
        for (int field = 11; field <= 14; field++) {
            ticks += Long.parseLong(fields[field]);
        }
        return ticks / USER_HZ;
    }

    /** Resident memory of a process in MiB. */
    static double residentMiB(long pid) throws IOException {
        for (String line : read(pid, "status").lines().toList()) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
            }
        }
        throw new IOException("/proc/" + pid + "/status has no VmRSS");
    }

    /** User and system time of a process and all below it. */
    static double cpuSecondsOfTree(long pid) throws IOException {
        double sum = cpuSeconds(pid);
        for (ProcessHandle below : handle(pid).descendants().toList()) {
            sum += cpuSeconds(below.pid());
        }
        return sum;
    }

    private static String read(long pid, String file) throws IOException {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), file));
        } catch (NoSuchFileException e) {
            throw new IOException(ended(pid), e);
        }
    }

    private static String ended(long pid) {
        return "process " + pid + ", which was being measured, has ended";
    }

    private static ProcessHandle handle(long pid) throws IOException {
        return ProcessHandle.of(pid).orElseThrow(() -> new IOException(ended(pid)));
    }

    /**
     * Starts nginx as a server of a benchmark: it shows the files of the benchmark's directory. Returns when it answers.
     *
     * @param name of the process and its files, for several in one benchmark
     */
    Process startNginx(String name, String processor, int port) throws IOException, Failure, InterruptedException {
        Path file = file(
                name + ".conf",
                resource("nginx.conf")
                        .replace("@DIR@", directory.toString())
                        .replace("@NAME@", name)
                        .replace("@PORT@", Integer.toString(port)));
        // nginx opens its log by this path before it reads the file; everything stays in our directory.
        Process process = start(
                name,
                processor,
                List.of(
                        need("nginx", "nginx-light").toString(),
                        "-p",
                        directory.toString(),
                        "-e",
                        name + "-error.log",
                        "-c",
                        file.toString()));
        await(name, port);
        return process;
    }

    /** Starts the daemon on these processors as {@code ballast run} does; returns before it is ready. */
    Daemon startDaemon(String processors, String description) throws IOException, InterruptedException {
        Path home = Files.createDirectories(directory.resolve("node"));
        Daemon daemon = daemon(
                "bench", home, file("ballast.yaml", description), (log, command) -> start(log, processors, command));
        daemon.start(List.of());
        return daemon;
    }

    /** Starts a command whose output goes to a file. */
    @FunctionalInterface
    interface Starter {
        Process start(Path log, List<String> command) throws IOException;
    }

    /** A daemon that keeps its files in a directory of its own, and is not started yet. */
    static Daemon daemon(String node, Path home, Path description, Starter starter) {
        return new Daemon(
                node,
                home,
                description,
                (_, role, command) -> ProcessId.of(starter.start(home.resolve(role + ".log"), command)
                                .pid())
                        .orElseThrow(() -> new IOException("the " + role + " ended at once")));
    }

    /** Waits until a program answers an HTTP request, well or not, on this port of the loopback address. */
    void await(String program, int port) throws IOException, Failure, InterruptedException {
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (System.nanoTime() < deadline) {
            try (Socket socket = new Socket(LOOPBACK, port)) {
                socket.setSoTimeout(2_000);
                socket.getOutputStream().write("GET / HTTP/1.0\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                if (socket.getInputStream().read() == 'H') {
                    return;
                }
            } catch (IOException e) {
                // Not yet.
            }
            Thread.sleep(50);
        }
        throw Failure.failed(program + " does not answer on port " + port + ": "
                + log(program).strip());
    }

    /** A file that is part of this room: the configurations of peers. */
    static String resource(String name) throws IOException {
        try (var in = Programs.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IOException("resource " + name + " is missing from the program");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private void stop() {
        List<Process> all;
        synchronized (started) {
            all = List.copyOf(started);
            started.clear();
        }
        for (Process process : all.reversed()) {
            List<ProcessHandle> below = process.descendants().toList();
            process.destroy();
            try {
                if (!process.waitFor(5, TimeUnit.SECONDS)) {
                    process.destroyForcibly();
                }
            } catch (InterruptedException e) {
                process.destroyForcibly();
                Thread.currentThread().interrupt();
            }
            below.forEach(ProcessHandle::destroyForcibly);
        }
        // A worker outlives its daemon where that has ended badly.
        ProcessHandle.allProcesses()
                .filter(each -> isOf(each.pid(), directory))
                .forEach(ProcessHandle::destroyForcibly);
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            System.err.println("could not remove " + directory + ": " + e.getMessage());
        }
    }

    private static boolean isOf(long pid, Path directory) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), "cmdline"), StandardCharsets.ISO_8859_1)
                    .contains(directory + "/");
        } catch (IOException e) {
            return false; // it has ended, or is somebody else's
        }
    }

    @Override
    public void close() {
        stop();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The machine is already shutting down, and the hook has run or is about to find nothing left.
        }
    }
}

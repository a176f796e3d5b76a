package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * What a service tells its manager and gets from it, by systemd's protocol (sd_notify(3), sd_listen_fds(3),
 * sd_watchdog_enabled(3)): datagrams of {@code KEY=value} lines to the socket in NOTIFY_SOCKET. Without that variable
 * nobody asks, and every call does nothing.
 */
public final class Notify {
    private static final int LISTEN_FDS_START = 3;

    private final @Nullable String socket;

    private Notify(@Nullable String socket) {
        this.socket = socket;
    }

    /** For the manager that the environment names ({@link System#getenv()}). */
    public static Notify of(Map<String, String> environment) {
        String socket = environment.get("NOTIFY_SOCKET");
        return new Notify(socket == null || socket.isEmpty() ? null : socket);
    }

    /** True when there is a manager that listens. */
    public boolean isWanted() {
        return socket != null;
    }

    /** Start is finished; with a sentence for {@code systemctl status}. */
    public void ready(String status) throws IOException {
        send("READY=1\nSTATUS=" + line(status), List.of());
    }

    /** A reload begins; {@link #ready} ends it. With the time that Type=notify-reload asks for. */
    public void reloading() throws IOException {
        send("RELOADING=1\nMONOTONIC_USEC=" + monotonicMicros(), List.of());
    }

    /** The stop begins, and will take so long at most, however short the manager's own limit is. */
    public void stopping(String status, Duration atMost) throws IOException {
        send(
                "STOPPING=1\nSTATUS=" + line(status) + "\nEXTEND_TIMEOUT_USEC="
                        + TimeUnit.NANOSECONDS.toMicros(atMost.toNanos()),
                List.of());
    }

    /** Still alive; due more often than {@link #watchdogInterval}. */
    public void watchdog() throws IOException {
        send("WATCHDOG=1", List.of());
    }

    /** A sentence for {@code systemctl status}. */
    public void status(String status) throws IOException {
        send("STATUS=" + line(status), List.of());
    }

    /** Gives the manager copies of descriptors to keep over a restart, under a name; it passes them to the next start. */
    public void store(String name, List<Descriptor> descriptors) throws IOException {
        send("FDSTORE=1\nFDNAME=" + name(name), descriptors);
    }

    /** Has the manager close what it keeps under a name. */
    public void unstore(String name) throws IOException {
        send("FDSTOREREMOVE=1\nFDNAME=" + name(name), List.of());
    }

    private static String line(String text) {
        return text.replace('\n', ' ');
    }

    private static String name(String name) {
        // sd_notify(3): ASCII without control characters and colon, at most 255
        if (!name.matches("[ -9;-~]{1,255}")) {
            throw new IllegalArgumentException("not a name for stored descriptors: " + name);
        }
        return name;
    }

    private static long monotonicMicros() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment time = kernel.allocate(16, 8); // struct timespec
            LinuxException.check(kernel.clockGettime(Constants.CLOCK_MONOTONIC, time), "clock_gettime", "MONOTONIC");
            return time.get(ValueLayout.JAVA_LONG, 0) * 1_000_000 + time.get(ValueLayout.JAVA_LONG, 8) / 1_000;
        }
    }

    private void send(String text, List<Descriptor> descriptors) throws IOException {
        if (socket == null) {
            return;
        }
        try (Kernel kernel = Kernel.open()) {
            int type = Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC;
            int fd = LinuxException.check(kernel.socket(Constants.AF_UNIX, type, 0), "socket", "unix");
            try {
                LinuxException.check(
                        kernel.connect(fd, SocketAddresses.encodeUnix(kernel, socket)),
                        "connect NOTIFY_SOCKET",
                        socket);
                byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
                ControlMessage message = new ControlMessage(kernel, bytes.length);
                MemorySegment.copy(bytes, 0, message.buffer(), ValueLayout.JAVA_BYTE, 0, bytes.length);
                message.setLength(bytes.length);
                message.attach(descriptors);
                LinuxException.check(
                        kernel.sendmsg(fd, message.header(), Constants.MSG_NOSIGNAL), "sendmsg NOTIFY_SOCKET", socket);
            } finally {
                kernel.close(fd);
            }
        }
    }

    /**
     * A descriptor that the manager passed at start.
     *
     * @param name FileDescriptorName= of the socket unit, or the name it was stored under; {@code unknown} without
     */
    public record Passed(String name, Descriptor descriptor) {}

    /**
     * The descriptors that the manager passed to this process (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES), from number 3 on,
     * now closed on exec. To be called once: each call would own the same numbers.
     *
     * @param pid this process's id; descriptors for another are left alone
     */
    public static List<Passed> listenFds(Map<String, String> environment, long pid) throws IOException {
        return listenFds(environment, pid, LISTEN_FDS_START);
    }

    static List<Passed> listenFds(Map<String, String> environment, long pid, int start) throws IOException {
        String count = environment.get("LISTEN_FDS");
        if (count == null || !String.valueOf(pid).equals(environment.get("LISTEN_PID"))) {
            return List.of();
        }
        int number = number("LISTEN_FDS", count);
        String[] names = environment.getOrDefault("LISTEN_FDNAMES", "").split(":", -1);
        List<Passed> passed = new ArrayList<>();
        try (Kernel kernel = Kernel.open()) {
            for (int i = 0; i < number; i++) {
                int fd = start + i;
                String name = i < names.length && !names[i].isEmpty() ? names[i] : "unknown";
                LinuxException.check(
                        kernel.fcntl(fd, Constants.F_SETFD, Constants.FD_CLOEXEC), "fcntl F_SETFD", "passed fd " + fd);
                passed.add(new Passed(name, Descriptor.own(fd, name)));
            }
        }
        return passed;
    }

    /** How often {@link #watchdog} is due at the latest (WATCHDOG_USEC for this process); half of it is good practice. */
    public static Optional<Duration> watchdogInterval(Map<String, String> environment, long pid) throws IOException {
        String micros = environment.get("WATCHDOG_USEC");
        String forPid = environment.get("WATCHDOG_PID");
        if (micros == null || (forPid != null && !forPid.equals(String.valueOf(pid)))) {
            return Optional.empty();
        }
        try {
            long value = Long.parseLong(micros);
            if (value > 0) {
                return Optional.of(Duration.ofNanos(Math.multiplyExact(value, 1_000L)));
            }
        } catch (NumberFormatException | ArithmeticException e) {
            throw new IOException("WATCHDOG_USEC is not a number of microseconds: " + micros, e);
        }
        throw new IOException("WATCHDOG_USEC is not a number of microseconds: " + micros);
    }

    private static int number(String variable, String text) throws IOException {
        try {
            int value = Integer.parseInt(text);
            if (value >= 0) {
                return value;
            }
        } catch (NumberFormatException e) {
            throw new IOException(variable + " is not a number: " + text, e);
        }
        throw new IOException(variable + " is negative: " + text);
    }
}

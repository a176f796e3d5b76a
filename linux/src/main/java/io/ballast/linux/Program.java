package io.ballast.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Runs a program that is not trusted to behave, such as a check or a hook: until its end or a deadline, keeping a
 * bounded part of its output. It exists beside {@link ProcessBuilder} because that one cannot do three things. It
 * cannot end more than one process, so that what a script started would live on after it. It waits for the end of the
 * output, which does not come while a child that was left behind holds it open, or gathers it without bound. And it
 * says only that a program could not be run, where the error number tells a missing program from a lack of memory.
 *
 * <p>So the program leads a session of its own, which is killed as a whole; processes that left the session are found
 * by a mark in the environment that they inherited. When the program itself ends in time, what is left of its session's
 * group is killed too, and so is what still holds its output; or a program that starts something each time it is run
 * would fill the machine. Only who moved to a session of its own and let go of the output, as daemons do, is left
 * alone.
 */
public final class Program {

    /** Output beyond what is kept is thrown away; a program that prints more than this is ended. */
    public static final int FLOOD_BYTES = 1 << 20;

    private static final String MARK = "BALLAST_RUN";
    private static final int PIPE_CAPACITY = 64 * 1024;
    private static final int KILL_ROUNDS = 10;
    private static final int LOOK_MILLIS = 100;
    private static final int POLLFD_SIZE = 8;

    /** Of the service manager, and not the program's business. */
    private static final List<String> NOT_PASSED_ON = List.of(
            "NOTIFY_SOCKET",
            "WATCHDOG_PID",
            "WATCHDOG_USEC",
            "LISTEN_PID",
            "LISTEN_FDS",
            "LISTEN_FDNAMES",
            "INVOCATION_ID",
            "JOURNAL_STREAM");

    private Program() {}

    /** This process's environment, as far as it is a program's business. */
    public static Map<String, String> environment() {
        Map<String, String> environment = new HashMap<>(System.getenv());
        NOT_PASSED_ON.forEach(environment::remove);
        return environment;
    }

    /** What becomes of processes that are still there when the program itself has ended in time. */
    public enum Remains {
        /** They are killed, as this class says. */
        KILLED,
        /** They go on; what they print is thrown away. */
        LEFT
    }

    /** How a run ended. */
    public enum End {
        /** The program ended by itself, with an exit code. */
        EXITED,
        /** A signal that came from elsewhere ended it. */
        SIGNALLED,
        /** It was killed at the deadline. */
        KILLED_LATE,
        /** It was killed because it printed more than {@link #FLOOD_BYTES}. */
        KILLED_FLOODING
    }

    /**
     * What a run left.
     *
     * @param number the exit code, 0 to 255, or the number of the signal
     * @param output the beginning of what it printed
     * @param errors the beginning of what it printed to its standard error
     */
    public record Result(End end, int number, String output, String errors) {}

    /**
     * Runs a program. This blocks its thread, also while the kernel loads the program: for platform threads.
     *
     * @param command the program, as a path, and its arguments
     * @param environment all of it
     * @param keep bytes of output, and of errors, that are kept
     * @param deadlineNanos in {@link System#nanoTime()}'s terms
     * @throws LinuxException when it could not be started: ENOENT, EACCES, ENOEXEC, EMFILE, EAGAIN, ...
     * @throws InterruptedIOException when the thread was interrupted; the program was killed
     */
    public static Result run(List<String> command, Map<String, String> environment, int keep, long deadlineNanos)
            throws IOException {
        return run(command, environment, keep, deadlineNanos, Remains.KILLED);
    }

    /** As {@link #run(List, Map, int, long)}. */
    public static Result run(
            List<String> command, Map<String, String> environment, int keep, long deadlineNanos, Remains remains)
            throws IOException {
        String path = command.getFirst();
        byte[] random = new byte[8];
        ThreadLocalRandom.current().nextBytes(random);
        String mark = MARK + "=" + HexFormat.of().formatHex(random);
        try (Kernel kernel = Kernel.open();
                Reading output = Reading.open(kernel, keep);
                Reading errors = Reading.open(kernel, keep)) {
            List<String> variables = new ArrayList<>();
            environment.forEach((name, value) -> variables.add(name + "=" + value));
            variables.add(mark);
            int pid = LinuxException.check(
                    PosixSpawn.spawn(
                            kernel,
                            path,
                            pointers(kernel, command),
                            pointers(kernel, variables),
                            output.write.fd(),
                            errors.write.fd()),
                    "posix_spawn",
                    path);
            Child child = new Child(pid, path, mark);
            output.write.close();
            errors.write.close();
            int opened = kernel.pidfdOpen(pid);
            if (opened < 0) {
                child.kill(kernel);
                child.reap(kernel, Optional.empty());
            }
            try (Descriptor pidfd = Descriptor.own(LinuxException.check(opened, "pidfd_open", path), path)) {
                End end = watch(kernel, child, pidfd, output, errors, deadlineNanos);
                if (end == End.EXITED && remains == Remains.KILLED) {
                    // Before it is reaped: so long its number cannot become another group's.
                    child.killGroup(kernel);
                }
                int status = end == End.EXITED ? child.status(kernel) : child.reap(kernel, Optional.of(pidfd));
                output.rest(kernel);
                errors.rest(kernel);
                if (end == End.EXITED && !(output.ended && errors.ended)) {
                    if (remains == Remains.KILLED) {
                        child.killOthers(kernel);
                    } else {
                        output.discard();
                        errors.discard();
                    }
                }
                if (end == End.EXITED) {
                    int signal = status & 0x7f;
                    return signal == 0
                            ? new Result(End.EXITED, (status >> 8) & 0xff, output.text(), errors.text())
                            : new Result(End.SIGNALLED, signal, output.text(), errors.text());
                }
                return new Result(end, Signal.KILL.number(), output.text(), errors.text());
            }
        }
    }

    private static MemorySegment pointers(Kernel kernel, List<String> texts) {
        MemorySegment array = kernel.allocate(ValueLayout.ADDRESS, texts.size() + 1L);
        for (int i = 0; i < texts.size(); i++) {
            array.setAtIndex(ValueLayout.ADDRESS, i, kernel.string(texts.get(i)));
        }
        return array;
    }

    private static End watch(
            Kernel kernel, Child child, Descriptor pidfd, Reading output, Reading errors, long deadlineNanos)
            throws IOException {
        MemorySegment fds = kernel.allocate(3L * POLLFD_SIZE, 4);
        while (true) {
            long left = deadlineNanos - System.nanoTime();
            boolean interrupted = Thread.currentThread().isInterrupted();
            if (left <= 0 || interrupted) {
                child.kill(kernel);
                if (interrupted) {
                    child.reap(kernel, Optional.of(pidfd));
                    throw new InterruptedIOException(child.path + ": interrupted and killed");
                }
                return End.KILLED_LATE;
            }
            set(fds, 0, pidfd.fd());
            set(fds, 1, output.fd());
            set(fds, 2, errors.fd());
            int wait = (int) Math.min(LOOK_MILLIS, TimeUnit.NANOSECONDS.toMillis(left) + 1);
            int ready = kernel.poll(fds, 3, wait);
            if (ready < 0 && ready != -Errno.EINTR.number()) {
                child.kill(kernel);
                child.reap(kernel, Optional.of(pidfd));
                throw new LinuxException(-ready, "poll", child.path);
            }
            if (events(fds, 0) != 0) {
                return End.EXITED;
            }
            if (events(fds, 1) != 0) {
                output.some(kernel);
            }
            if (events(fds, 2) != 0) {
                errors.some(kernel);
            }
            if (output.total + errors.total > FLOOD_BYTES) {
                child.kill(kernel);
                return End.KILLED_FLOODING;
            }
        }
    }

    // struct pollfd: int fd, short events, short revents

    private static void set(MemorySegment fds, int index, int fd) {
        long at = (long) index * POLLFD_SIZE;
        fds.set(ValueLayout.JAVA_INT, at, fd);
        fds.set(ValueLayout.JAVA_SHORT, at + 4, (short) Constants.POLLIN);
        fds.set(ValueLayout.JAVA_SHORT, at + 6, (short) 0);
    }

    private static int events(MemorySegment fds, int index) {
        return fds.get(ValueLayout.JAVA_SHORT, (long) index * POLLFD_SIZE + 6);
    }

    /** The process, until it is reaped: so long its number cannot become another's. */
    private record Child(int pid, String path, String mark) {

        /** Ends the session and everything that left it, and looks again until nothing is found. */
        void kill(Kernel kernel) {
            killGroup(kernel);
            killOthers(kernel);
        }

        void killGroup(Kernel kernel) {
            int _ = kernel.kill(-pid, Signal.KILL.number()); // ESRCH where all are gone
        }

        void killOthers(Kernel kernel) {
            for (int round = 0; round < KILL_ROUNDS; round++) {
                List<Integer> others = others();
                if (others.isEmpty()) {
                    return;
                }
                for (int other : others) {
                    int _ = kernel.kill(other, Signal.KILL.number());
                }
            }
        }

        /** Living processes of the session or with the mark, whoever their parents are by now. */
        private List<Integer> others() {
            List<Integer> found = new ArrayList<>();
            try (DirectoryStream<Path> processes = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
                for (Path process : processes) {
                    if (isOurs(process)) {
                        found.add(Integer.parseInt(process.getFileName().toString()));
                    }
                }
            } catch (IOException e) {
                return List.of(); // no /proc: the session is all that can be ended
            }
            return found;
        }

        private boolean isOurs(Path process) {
            try {
                String stat = Files.readString(process.resolve("stat"), StandardCharsets.ISO_8859_1);
                // pid (name) state ppid pgrp session ...; the name may contain anything.
                String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", 5);
                if (fields[0].equals("Z") || fields[0].equals("X")) {
                    return false;
                }
                if (fields[3].equals(Integer.toString(pid))) {
                    return true;
                }
                String environment = Files.readString(process.resolve("environ"), StandardCharsets.ISO_8859_1);
                return ("\0" + environment).contains("\0" + mark + "\0");
            } catch (IOException | RuntimeException e) {
                return false; // gone meanwhile, or another user's
            }
        }

        /** Takes the status of the process, which has ended. */
        int status(Kernel kernel) throws LinuxException {
            MemorySegment status = kernel.allocate(ValueLayout.JAVA_INT);
            LinuxException.check(kernel.waitpid(pid, status, Constants.WNOHANG), "waitpid", path);
            return status.get(ValueLayout.JAVA_INT, 0);
        }

        /** Takes the status of the killed process, and leaves one that does not die in the kernel to a thread. */
        int reap(Kernel kernel, Optional<Descriptor> pidfd) throws LinuxException {
            if (pidfd.isPresent()) {
                MemorySegment fds = kernel.allocate(POLLFD_SIZE, 4);
                set(fds, 0, pidfd.get().fd());
                int ready = kernel.poll(fds, 1, 1000);
                if (ready > 0) {
                    return status(kernel);
                }
            }
            Thread.ofPlatform().daemon().name("reap-" + pid).start(() -> {
                try (Kernel own = Kernel.open()) {
                    int _ = own.waitpid(pid, own.allocate(ValueLayout.JAVA_INT), 0);
                }
            });
            return Signal.KILL.number();
        }
    }

    /** One pipe from the program, and what came through it. */
    private static final class Reading implements AutoCloseable {
        private final Descriptor read;
        private final Descriptor write;
        private final MemorySegment buffer;
        private final int keep;
        private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
        private long total;
        private boolean ended;

        private Reading(Descriptor read, Descriptor write, MemorySegment buffer, int keep) {
            this.read = read;
            this.write = write;
            this.buffer = buffer;
            this.keep = keep;
        }

        static Reading open(Kernel kernel, int keep) throws LinuxException {
            MemorySegment two = kernel.allocate(ValueLayout.JAVA_INT, 2);
            LinuxException.check(kernel.pipe2(two, Constants.O_CLOEXEC), "pipe2", "");
            Reading reading = new Reading(
                    Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 0), "pipe"),
                    Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 1), "pipe"),
                    kernel.allocate(4096, 1),
                    keep);
            // Only this end: a program does not expect its output to be non-blocking.
            int result = kernel.fcntl(reading.read.fd(), Constants.F_SETFL, Constants.O_NONBLOCK);
            if (result < 0) {
                reading.close();
                throw new LinuxException(-result, "fcntl", "pipe");
            }
            return reading;
        }

        /** The number to poll; negative, which poll passes over, once the output has ended. */
        int fd() {
            return ended ? -1 : read.fd();
        }

        /** Takes what is there, at most a few kibibytes; false when nothing was. */
        boolean some(Kernel kernel) {
            if (ended) {
                return false;
            }
            int count = kernel.read(read.fd(), buffer);
            if (count == -Errno.EAGAIN.number() || count == -Errno.EINTR.number()) {
                return false;
            }
            if (count <= 0) {
                ended = true;
                return false;
            }
            total += count;
            int room = Math.min(count, keep - kept.size());
            if (room > 0) {
                kept.writeBytes(buffer.asSlice(0, room).toArray(ValueLayout.JAVA_BYTE));
            }
            return true;
        }

        /** Takes what a program that has ended left in the pipe, but not what another goes on writing. */
        void rest(Kernel kernel) {
            for (int taken = 0; taken < PIPE_CAPACITY && kept.size() < keep && some(kernel); taken += 4096) {
                // some() does it
            }
        }

        /** Goes on to take what comes, until nobody can write any more, so that whoever does is not ended by it. */
        void discard() throws IOException {
            if (ended) {
                return;
            }
            Pollable pipe = new Pollable(read.duplicate().release(), () -> "pipe");
            Thread.ofVirtual().name("discard").start(() -> {
                try (Kernel kernel = Kernel.open()) {
                    MemorySegment bytes = kernel.allocate(4096, 1);
                    int fd = pipe.enter();
                    try {
                        int count;
                        do {
                            count = kernel.read(fd, bytes);
                            if (count == -Errno.EAGAIN.number()) {
                                pipe.await(false, Pollable.NEVER);
                            }
                        } while (count > 0 || count == -Errno.EAGAIN.number() || count == -Errno.EINTR.number());
                    } finally {
                        pipe.leave();
                    }
                } catch (IOException e) {
                    // Only from waiting, which fails where the machine is out of memory: then its writer is ended.
                } finally {
                    pipe.close();
                }
            });
        }

        String text() {
            return kept.toString(StandardCharsets.UTF_8);
        }

        @Override
        public void close() {
            read.close();
            write.close();
        }
    }
}

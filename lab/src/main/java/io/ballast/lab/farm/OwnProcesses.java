package io.ballast.lab.farm;

import io.ballast.lab.farm.ProcessId.Stat;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The processes of one lab, and no others.
 *
 * <p>A process belongs to the lab when it is in the session of one that the lab started, when its environment names the
 * lab's directory, or when it is in one of the lab's network namespaces. The first finds nginx, which overwrites its
 * environment with its title; the second finds the traffic worker of a daemon, whatever session it has moved to and even
 * after the daemon died; the third finds what somebody started there by hand, as with {@code ip netns exec}, which would
 * keep the network alive when its name is gone.
 */
final class OwnProcesses {
    /** The environment variable that names the lab's directory. */
    static final String VARIABLE = "BALLAST_LAB";

    private static final Duration POLITE = Duration.ofSeconds(2);
    private static final Duration FORCED = Duration.ofSeconds(5);

    private OwnProcesses() {}

    /** The live ones. */
    static List<Stat> of(Path lab, LabRecord record) throws IOException {
        List<Stat> all = ProcessId.all();
        Map<Long, Stat> byPid = all.stream().collect(Collectors.toMap(s -> s.id().pid(), s -> s));
        Set<Long> sessions = new HashSet<>();
        for (LabRecord.Leader leader : record.leaders()) {
            Stat now = byPid.get(leader.id().pid());
            // Where the number belongs to another process by now, the session does too.
            if (now == null || now.id().equals(leader.id())) {
                sessions.add(leader.id().pid());
            }
        }
        Set<Long> spared = new HashSet<>(); // this process and those that wait for it
        for (Stat s = byPid.get(ProcessHandle.current().pid()); s != null; s = byPid.get(s.parent())) {
            spared.add(s.id().pid());
        }
        Set<Object> networks = new HashSet<>();
        for (String namespace : record.namespaces()) {
            network(Network.file(namespace)).ifPresent(networks::add);
        }
        byte[] variable = (VARIABLE + "=" + lab).getBytes(StandardCharsets.UTF_8);
        return all.stream()
                .filter(s -> !s.zombie() && !spared.contains(s.id().pid()))
                .filter(s -> sessions.contains(s.session())
                        || hasVariable(s.id().pid(), variable)
                        || isIn(networks, s.id().pid()))
                .toList();
    }

    private static boolean isIn(Set<Object> networks, long pid) {
        return !networks.isEmpty()
                && network(Path.of("/proc", Long.toString(pid), "ns", "net"))
                        .filter(networks::contains)
                        .isPresent();
    }

    /** Which network a file of the kernel stands for; empty where there is none any more, or that is not ours to see. */
    private static Optional<Object> network(Path file) {
        try {
            return Optional.ofNullable(Files.getAttribute(file, "unix:ino"));
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** Ends them all: asks first, and does not ask twice. */
    static void end(Path lab, LabRecord record) throws IOException, InterruptedException {
        List<Stat> own = of(lab, record);
        for (Stat process : own) {
            signal(process.id(), Signal.TERM);
            signal(process.id(), Signal.CONT); // a frozen one hears nothing else
        }
        if (!gone(lab, record, POLITE)) {
            for (long until = System.nanoTime() + FORCED.toNanos(); ; ) {
                own = of(lab, record);
                for (Stat process : own) {
                    signal(process.id(), Signal.KILL);
                }
                if (own.isEmpty()) {
                    return;
                }
                if (System.nanoTime() > until) {
                    throw new IOException("these processes of the lab do not end, not even by SIGKILL: "
                            + own.stream().map(s -> s.id().pid()).toList());
                }
                Thread.sleep(10);
            }
        }
    }

    private static boolean gone(Path lab, LabRecord record, Duration patience)
            throws IOException, InterruptedException {
        for (long until = System.nanoTime() + patience.toNanos(); System.nanoTime() < until; ) {
            if (of(lab, record).isEmpty()) {
                return true;
            }
            Thread.sleep(20);
        }
        return false;
    }

    /** Signals a process if it still is that one; it may end at any moment, which is no error. */
    static void signal(ProcessId id, Signal signal) throws IOException {
        if (!id.alive()) {
            return;
        }
        try {
            Processes.kill(id.pid(), signal);
        } catch (LinuxException e) {
            if (e.errno() != Errno.ESRCH) {
                throw e;
            }
        }
    }

    private static boolean hasVariable(long pid, byte[] variable) {
        byte[] environment;
        try {
            environment = Files.readAllBytes(Path.of("/proc", Long.toString(pid), "environ"));
        } catch (IOException e) {
            return false; // it has ended, or is another user's
        }
        int start = 0;
        for (int i = 0; i <= environment.length; i++) {
            if (i == environment.length || environment[i] == 0) {
                if (i - start == variable.length && matches(environment, start, variable)) {
                    return true;
                }
                start = i + 1;
            }
        }
        return false;
    }

    private static boolean matches(byte[] environment, int start, byte[] variable) {
        for (int i = 0; i < variable.length; i++) {
            if (environment[start + i] != variable[i]) {
                return false;
            }
        }
        return true;
    }
}

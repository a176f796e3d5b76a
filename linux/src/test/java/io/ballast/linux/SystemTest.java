package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Signals, limits, capabilities, error numbers and the tables of /proc. */
@Timeout(60)
class SystemTest {
    private static char stateOf(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
            return stat.charAt(stat.lastIndexOf(')') + 2);
        } catch (IOException e) {
            return '-';
        }
    }

    @Test
    void signalsFreezeResumeAndEndAProcess() throws Exception {
        Process process = new ProcessBuilder("sleep", "60").start();
        try {
            Processes.kill(process.pid(), Signal.STOP);
            Host.await("stopped", () -> stateOf(process.pid()) == 'T');
            Processes.kill(process.pid(), Signal.CONT);
            Host.await("goes on", () -> stateOf(process.pid()) == 'S');
            Processes.kill(process.pid(), Signal.TERM);
            assertThat(process.waitFor()).isEqualTo(128 + Signal.TERM.number());
            assertThatThrownBy(() -> Processes.kill(process.pid(), Signal.TERM))
                    .hasMessage("kill pid " + process.pid() + " SIGTERM: ESRCH: no such process");
        } finally {
            process.destroyForcibly();
        }
    }

    @Test
    void groupsAndEverybodyAreNeverSignalled() {
        for (long pid : new long[] {0, -1, -77, 1L << 40}) {
            assertThatThrownBy(() -> Processes.kill(pid, Signal.CONT)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void watchedSignalsArriveAsCalls() throws Exception {
        BlockingQueue<Signal> seen = new LinkedBlockingQueue<>();
        long self = ProcessHandle.current().pid();
        for (Signal signal : List.of(Signal.HUP, Signal.USR1)) {
            signal.watch(seen::add);
            Processes.kill(self, signal);
            assertThat(seen.poll(30, TimeUnit.SECONDS)).isEqualTo(signal);
        }
    }

    @Test
    void signalsThatTheJvmNeedsAreRefused() {
        for (Signal signal : List.of(Signal.USR2, Signal.KILL, Signal.STOP)) {
            assertThatThrownBy(() -> signal.watch(seen -> {})).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void fileLimitIsReadAndSet() throws Exception {
        Processes.FileLimit before = Processes.fileLimit();
        assertThat(before.soft()).isPositive().isLessThanOrEqualTo(before.hard());
        Processes.setFileLimit(new Processes.FileLimit(before.soft() - 1, before.hard()));
        try {
            assertThat(Processes.fileLimit().soft()).isEqualTo(before.soft() - 1);
        } finally {
            Processes.setFileLimit(before);
        }
        assertThatThrownBy(() -> Host.withoutCapabilities(() -> {
                    Processes.setFileLimit(new Processes.FileLimit(before.soft(), before.hard() + 1));
                    return null;
                }))
                .hasMessageEndingWith("EPERM: operation not permitted (needs CAP_SYS_RESOURCE)");
    }

    @Test
    void capabilitiesAreThoseOfTheThread() throws Exception {
        Set<Capability> none = Host.withoutCapabilities(() -> Capability.effective());
        assertThat(none).isEmpty();
        assertThat(Capability.effective(List.of("Name:\tx", "CapEff:\t0000000000003400")))
                .containsExactlyInAnyOrder(Capability.NET_BIND_SERVICE, Capability.NET_ADMIN, Capability.NET_RAW);
        assertThatThrownBy(() -> Capability.effective(List.of())).isInstanceOf(IOException.class);
    }

    @Test
    void errorNumbersAreThoseOfTheKernel() {
        assertThat(Errno.of(98)).isEqualTo(Errno.EADDRINUSE);
        assertThat(Errno.of(1)).isEqualTo(Errno.EPERM);
        assertThat(Errno.of(133)).isEqualTo(Errno.EHWPOISON);
        for (int number : new int[] {0, -1, 41, 134, 512, Integer.MAX_VALUE}) {
            assertThat(Errno.of(number)).isEqualTo(Errno.UNKNOWN);
        }
        LinuxException unknown = new LinuxException(512, "frob", "thing");
        assertThat(unknown).hasMessage("frob thing: errno 512");
        assertThat(unknown.number()).isEqualTo(512);
    }

    @Test
    void listenersAreFoundInTheKernelsTable() {
        String header =
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        List<String> table = List.of(
                header,
                "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0",
                "   1: 00000000:0051 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0",
                "   2: 0100007F:0050 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0",
                "   3: 0200007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 0 1 0",
                "   4: broken");
        assertThat(inodes(table, "127.0.0.1", 80)).containsExactly("111");
        assertThat(inodes(table, "127.0.0.2", 80)).isEmpty();
        assertThat(inodes(table, "0.0.0.0", 80)).containsExactly("111");
        assertThat(inodes(table, "127.0.0.9", 81)).containsExactly("222");
        List<String> table6 = List.of(
                header,
                "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A"
                        + " 00000000:00000000 00:00000000 00000000 0 0 444 1 0");
        assertThat(inodes(table6, "::1", 80)).containsExactly("444");
        assertThat(inodes(List.of(), "::1", 80)).isEmpty();
    }

    private static Set<String> inodes(List<String> table, String address, int port) {
        return PortHolder.inodes(table, true, new InetSocketAddress(InetAddress.ofLiteral(address), port));
    }
}

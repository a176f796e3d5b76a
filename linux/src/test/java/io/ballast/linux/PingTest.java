package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PingTest {
    private static final InetAddress LOOPBACK = InetAddress.ofLiteral("127.0.0.1");
    private static final InetAddress LOOPBACK6 = InetAddress.ofLiteral("::1");

    private static long soon() {
        return NativeSocket.deadlineIn(TimeUnit.SECONDS.toNanos(30));
    }

    private static void assumeIcmp() throws IOException {
        try (NativeSocket socket = NativeSocket.icmp(LOOPBACK)) {
            assertThat(socket.isOpen()).isTrue();
        } catch (LinuxException e) {
            Assumptions.abort(e.toString());
        }
    }

    private static void sysctl(String name, String value) throws IOException {
        Files.writeString(Path.of("/proc/sys/net/" + name), value);
    }

    @Test
    void loopbackAnswersInBothFamilies() throws Exception {
        assumeIcmp();
        assertThat(Ping.echo(LOOPBACK, null, null, soon())).isPositive();
        assertThat(Ping.echo(LOOPBACK6, null, null, soon())).isPositive();
        for (int size : new int[] {0, 9, 1_473, 20_001, Ping.MAX_DATA_SIZE}) {
            assertThat(Ping.echo(LOOPBACK, null, null, size, soon())).isPositive();
            assertThat(Ping.echo(LOOPBACK6, null, null, size, soon())).isPositive();
        }
        assertThat(Ping.echo(LOOPBACK, InetAddress.ofLiteral("127.0.0.9"), "lo", soon()))
                .isPositive();
    }

    @Test
    void unprivilegedSocketIsUsedWhereTheGroupMay() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            namespace.call(() -> {
                sysctl("ipv4/ping_group_range", "0 2147483647");
                return Host.withoutCapabilities(() -> {
                    try (NativeSocket socket = NativeSocket.icmp(LOOPBACK)) {
                        assertThat(socket.isRaw()).isFalse();
                    }
                    assertThat(Ping.echo(LOOPBACK, null, null, soon())).isPositive();
                    assertThat(Ping.echo(LOOPBACK6, null, null, soon())).isPositive();
                    return null;
                });
            });
        }
    }

    @Test
    void rawSocketIsUsedWhereTheGroupMayNot() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            namespace.call(() -> {
                sysctl("ipv4/ping_group_range", "1 0");
                try (NativeSocket socket = NativeSocket.icmp(LOOPBACK)) {
                    assertThat(socket.isRaw()).isTrue();
                }
                assertThat(Ping.echo(LOOPBACK, null, null, soon())).isPositive();
                assertThat(Ping.echo(LOOPBACK6, null, null, soon())).isPositive();
                assertThatThrownBy(() -> Host.withoutCapabilities(() -> Ping.echo(LOOPBACK, null, null, soon())))
                        .hasMessage("socket icmp: EPERM: operation not permitted"
                                + " (needs this group in net.ipv4.ping_group_range, or CAP_NET_RAW)");
                return null;
            });
        }
    }

    @Test
    void silenceEndsAtTheDeadline() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            namespace.call(() -> {
                sysctl("ipv4/icmp_echo_ignore_all", "1");
                assertThatThrownBy(() -> Ping.echo(LOOPBACK, null, null, NativeSocket.deadlineIn(20_000_000)))
                        .isInstanceOf(SocketTimeoutException.class)
                        .hasMessage("echo 127.0.0.1: no reply in time");
                return null;
            });
        }
    }

    @Test
    void noRouteIsAnErrorAtOnce() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            namespace.call(() -> {
                assertThatThrownBy(() -> Ping.echo(InetAddress.ofLiteral("192.0.2.1"), null, null, soon()))
                        .isInstanceOfSatisfying(
                                LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENETUNREACH))
                        .hasMessageContaining("192.0.2.1/icmp");
                return null;
            });
        }
    }

    @Test
    void manyAtOnceEachGetTheirOwnReply() throws Exception {
        assumeIcmp();
        List<FutureTask<Long>> pings = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            FutureTask<Long> ping = new FutureTask<>(() -> Ping.echo(LOOPBACK, null, null, soon()));
            pings.add(ping);
            Thread.ofVirtual().start(ping);
        }
        for (FutureTask<Long> ping : pings) {
            assertThat(ping.get(30, TimeUnit.SECONDS)).isPositive();
        }
    }

    /** On a busy machine others' replies filled the receive buffer of a ping that had not yet sent its own. */
    @Test
    void othersRepliesTakeNoRoom() throws Exception {
        assumeIcmp();
        for (InetAddress target : List.of(LOOPBACK, LOOPBACK6)) {
            try (NativeSocket waiting = Ping.socket(target, null, null, 42)) {
                waiting.connect(new InetSocketAddress(target, 0), soon());
                for (int i = 0; i < 3; i++) {
                    assertThat(Ping.echo(target, null, null, soon())).isPositive();
                }
                assertThatThrownBy(() -> waiting.read(ByteBuffer.allocate(200), NativeSocket.deadlineIn(0)))
                        .isInstanceOf(SocketTimeoutException.class);
                waiting.write(Ping.request(target.equals(LOOPBACK6), 42, 56), soon());
                assertThat(waiting.read(ByteBuffer.allocate(200), soon())).isPositive();
            }
        }
    }

    @Test
    void onlyTheReplyWithItsTokenCounts() {
        ByteBuffer request = Ping.request(false, 0x1234_5678_9abc_def0L, 56);
        assertThat(Ping.isReply(request, false, false, 0x1234_5678_9abc_def0L)).isFalse();
        request.put(0, (byte) 0); // echo reply
        assertThat(Ping.isReply(request, false, false, 0x1234_5678_9abc_def0L)).isTrue();
        assertThat(Ping.isReply(request, false, false, 1)).isFalse();
        assertThat(Ping.isReply(request, false, true, 0x1234_5678_9abc_def0L)).isFalse();
    }

    @Test
    void garbageIsNoReplyAndNoError() {
        Random random = new Random(3);
        for (int i = 0; i < 20_000; i++) {
            byte[] garbage = new byte[random.nextInt(80)];
            random.nextBytes(garbage);
            assertThat(Ping.isReply(ByteBuffer.wrap(garbage), random.nextBoolean(), random.nextBoolean(), 5))
                    .isFalse();
        }
    }
}

package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class TimedSendsTest {
    private static final long MS = 1_000_000;

    private DatagramSocket receiver;
    private Descriptor socket;

    @BeforeEach
    void open() throws Exception {
        receiver = new DatagramSocket(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        receiver.setSoTimeout(5000);
        receiver.setReceiveBufferSize(1 << 20); // for what comes while this thread is not looking
        try (Kernel kernel = Kernel.open()) {
            int fd = kernel.socket(Constants.AF_INET, Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC, 0);
            socket = Descriptor.own(LinuxException.check(fd, "socket", "udp"), "udp");
            InetSocketAddress to = (InetSocketAddress) receiver.getLocalSocketAddress();
            LinuxException.check(kernel.connect(fd, SocketAddresses.encode(kernel, to)), "connect", "udp");
        }
    }

    @AfterEach
    void close() {
        receiver.close();
        socket.close();
    }

    private byte receive() throws Exception {
        DatagramPacket packet = new DatagramPacket(new byte[16], 16);
        receiver.receive(packet);
        assertThat(packet.getLength()).isEqualTo(4);
        return packet.getData()[0];
    }

    private static byte[] datagram(int number) {
        return new byte[] {(byte) number, 2, 3, 4};
    }

    /** The thread that queued them waits for them in a call that has nothing to do with the ring. */
    @Test
    void datagramsAreSentAtTheirTimesWithoutTheThreadThatQueuedThem() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            TimedSends.Stream sends = all.stream(socket, 30, 16);
            long start = System.nanoTime() + 20 * MS;
            for (int i = 0; i < 30; i++) {
                sends.add(start + 5L * i * MS, datagram(i));
            }
            all.flush();
            for (int i = 0; i < 30; i++) {
                assertThat(receive()).isEqualTo((byte) i);
                assertThat(System.nanoTime()).isGreaterThanOrEqualTo(start + 5L * i * MS);
            }
            assertThat(sends.sent()).isEqualTo(30);
            assertThat(sends.pending()).isZero();
            assertThat(sends.failed()).isZero();
        }
    }

    @Test
    void whatWasTakenBackIsNotSent() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            TimedSends.Stream sends = all.stream(socket, 40, 16);
            long start = System.nanoTime();
            for (int i = 0; i < 40; i++) {
                sends.add(start + (i < 3 ? 0 : 50 * MS + i * MS), datagram(i));
            }
            all.flush();
            for (int i = 0; i < 3; i++) {
                assertThat(receive()).isEqualTo((byte) i);
            }
            sends.cancel();
            long before = sends.sent();
            assertThat(sends.pending()).isZero();
            // Behind the last of those that are not to come.
            sends.add(start + 150 * MS, datagram(99));
            all.flush();
            List<Integer> came = new ArrayList<>();
            for (int last = 0; last != 99; ) {
                last = receive();
                came.add(last);
            }
            // On a machine that stood still, some had gone before they were taken back.
            assertThat(came).hasSize((int) (before - 3) + 1);
        }
    }

    @Test
    void thereIsRoomAgainForWhatHasBeenSentOrTakenBack() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            TimedSends.Stream sends = all.stream(socket, 4, 16);
            for (int round = 0; round < 200; round++) {
                for (int i = 0; i < 4; i++) {
                    sends.add(
                            round % 2 == 0
                                    ? 0
                                    : System.nanoTime() + Duration.ofHours(1).toNanos(),
                            datagram(i));
                }
                assertThatThrownBy(() -> sends.add(0, datagram(5)))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessage("4 datagrams are queued already");
                all.flush();
                if (round % 2 == 0) {
                    for (int i = 0; i < 4; i++) {
                        receive();
                    }
                    assertThat(sends.pending()).isZero();
                } else {
                    sends.cancel();
                }
            }
            assertThat(sends.sent()).isEqualTo(400);
        }
    }

    @Test
    void whatCannotBeSentIsSaid() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            TimedSends.Stream sends = all.stream(socket, 4, 16);
            receiver.close();
            for (int i = 0; i < 3 && sends.failed() == 0; i++) {
                sends.add(0, datagram(1));
                all.flush();
                long until = System.nanoTime() + 5000 * MS;
                while (sends.pending() > 0 && System.nanoTime() < until) {
                    Thread.onSpinWait();
                }
            }
            assertThat(sends.failed()).isEqualTo(1);
            assertThat(sends.lastError()).isEqualTo(Errno.ECONNREFUSED);
        }
        assertThatThrownBy(() -> {
                    try (TimedSends all = TimedSends.open()) {
                        all.stream(socket, 4, 2).add(0, datagram(1));
                    }
                })
                .hasMessage("4 bytes do not fit into 2");
    }

    @Test
    @Timeout(30)
    void whatFindsNoRoomIsNotSentLater() throws Exception {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment two = kernel.allocate(ValueLayout.JAVA_INT, 2);
            int type = Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC;
            LinuxException.check(kernel.socketpair(Constants.AF_UNIX, type, 0, two), "socketpair", "unix");
            try (Descriptor full = Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 0), "full");
                    Descriptor unread = Descriptor.own(two.getAtIndex(ValueLayout.JAVA_INT, 1), "unread");
                    TimedSends all = TimedSends.open();
                    TimedSends.Stream sends = all.stream(full, 5000, 16)) {
                assertThat(unread.isOpen()).isTrue();
                for (int i = 0; i < 5000; i++) {
                    sends.add(0, datagram(i));
                }
                all.flush();
                while (sends.pending() > 0) {
                    Thread.onSpinWait();
                }
                assertThat(sends.sent()).isPositive();
                assertThat(sends.sent() + sends.failed()).isEqualTo(5000);
                assertThat(sends.lastError()).isEqualTo(Errno.EAGAIN);
            }
        }
    }

    @Test
    void closingTakesBackWhatIsQueued() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            TimedSends.Stream sends = all.stream(socket, 4, 16);
            sends.add(System.nanoTime() + 50 * MS, datagram(1));
            all.flush();
        }
        receiver.setSoTimeout(200);
        assertThatThrownBy(this::receive).isInstanceOf(SocketTimeoutException.class);
    }

    @Test
    void oneStreamIsTakenBackAndTheOthersGoOn() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            long start = System.nanoTime();
            List<TimedSends.Stream> streams = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                streams.add(all.stream(socket, 100, 16));
            }
            for (int i = 0; i < 100; i++) {
                for (int s = 0; s < 5; s++) {
                    streams.get(s).add(start + 100 * MS + i * MS / 10, datagram(s));
                }
            }
            all.flush();
            streams.get(1).cancel();
            streams.get(3).close();
            int[] came = new int[5];
            for (int i = 0; i < 300 + (int) streams.get(1).sent(); i++) {
                came[receive()]++;
            }
            assertThat(came[0]).isEqualTo(100);
            assertThat(came[2]).isEqualTo(100);
            assertThat(came[4]).isEqualTo(100);
            assertThat((long) came[1]).isEqualTo(streams.get(1).sent());
            assertThat(all.stream(socket, 1, 16).pending()).isZero();
        }
    }

    @Test
    void moreThanTheKernelTakesIsRefusedAtOnce() throws Exception {
        try (TimedSends all = TimedSends.open()) {
            all.stream(socket, 30_000, 16);
            assertThatThrownBy(() -> all.stream(socket, 3000, 16))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("30000 datagrams may be queued already, and 3000 more are too many");
        }
    }
}

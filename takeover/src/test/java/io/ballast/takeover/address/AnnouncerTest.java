package io.ballast.takeover.address;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.takeover.address.Announcer.Settings;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class AnnouncerTest {
    private static final long SECOND = 1_000_000_000;
    private static final MacAddress MAC = MacAddress.parse("02:00:00:00:00:aa");
    private static final InetAddress A = InetAddress.ofLiteral("192.0.2.100");
    private static final InetAddress B = InetAddress.ofLiteral("192.0.2.101");
    private static final InetAddress A6 = InetAddress.ofLiteral("2001:db8::100");

    private final List<InetAddress> sent = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();
    private @Nullable IOException failure;

    private final Announcer announcer = new Announcer(
            "eth0",
            new Announcer.Wire() {
                @Override
                public void send(byte[] frame) throws IOException {
                    if (failure != null) {
                        throw failure;
                    }
                    sent.add(InetAddress.getByAddress(Arrays.copyOfRange(frame, 28, 32)));
                }

                @Override
                public void close() {}
            },
            failures::add);

    private void announce(String router, Settings settings, long now, InetAddress... addresses) {
        announcer.announce(router, MAC, List.of(addresses), settings, now);
    }

    @Test
    void allAreAnnouncedOnceBeforeOneIsTwice() {
        announce("one", Settings.USUAL, 0, A);
        announce("two", Settings.USUAL, 0, B);
        assertThat(announcer.due()).isZero();
        announcer.tick(0);
        assertThat(sent).containsExactly(A, B, A, B, A, B, A, B, A, B);
    }

    @Test
    void theyAreAnnouncedAgainAfterTheDelayAndThenNoMore() {
        announce("one", Settings.USUAL, 7, A);
        announcer.tick(7);
        assertThat(sent).hasSize(5);
        for (long half : new long[] {1, 2, 4, 8}) {
            assertThat(announcer.due()).isEqualTo(half * SECOND / 2 + 7);
            announcer.tick(announcer.due());
        }
        assertThat(sent).hasSize(9);
        assertThat(announcer.due()).isEqualTo(5 * SECOND + 7);
        announcer.tick(5 * SECOND + 6);
        assertThat(sent).hasSize(9);
        announcer.tick(5 * SECOND + 8);
        assertThat(sent).hasSize(14);
        assertThat(announcer.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void theyAreRefreshedOnceEverySoOften() {
        announce("one", new Settings(3, 5 * SECOND, 2 * SECOND, false), 0, A);
        int[] perSecond = new int[9];
        for (int second = 0; second < perSecond.length; second++) {
            announcer.tick(second * SECOND);
            perSecond[second] = sent.size();
            sent.clear();
        }
        assertThat(perSecond).containsExactly(3, 1, 1, 0, 1, 3, 0, 1, 0);
    }

    @Test
    void whatBecomesBackupIsNotAnnounced() {
        announce("one", Settings.USUAL, 0, A);
        announce("two", Settings.USUAL, 0, B);
        announcer.stop("one");
        announcer.tick(0);
        assertThat(sent).containsOnly(B);
        sent.clear();
        announcer.stop("two");
        announcer.tick(5 * SECOND);
        assertThat(sent).isEmpty();
        assertThat(announcer.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void whatIsContestedIsAnnouncedFromTheBeginning() {
        announce("one", Settings.USUAL, 0, A);
        announcer.tick(0);
        announcer.again("one", SECOND);
        announcer.again("two", SECOND);
        assertThat(announcer.due()).isEqualTo(SECOND);
        announcer.tick(SECOND);
        assertThat(sent).hasSize(10);
        assertThat(announcer.due()).isEqualTo(3 * SECOND / 2);
    }

    @Test
    void aTickSendsNoMoreThanItsShareAndGoesOnWhereItStopped() {
        InetAddress[] many = IntStream.range(0, 2 * Announcer.MOST_PER_TICK - 10)
                .mapToObj(i -> InetAddress.ofLiteral("198.51.100." + i))
                .toArray(InetAddress[]::new);
        announce("one", new Settings(1, 0, 0, false), 0, many);
        announce("two", new Settings(1, 0, 0, false), 0, A);
        announcer.tick(0);
        assertThat(sent).hasSize(Announcer.MOST_PER_TICK);
        assertThat(announcer.due()).isEqualTo(Announcer.PACE);
        announcer.tick(Announcer.PACE - 1);
        assertThat(sent).hasSize(Announcer.MOST_PER_TICK);
        announcer.tick(Announcer.PACE);
        assertThat(sent).hasSize(many.length + 1).doesNotHaveDuplicates().endsWith(A);
        assertThat(announcer.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void whatTheKernelDoesNotTakeIsTriedAgainAndDoesNotKeepOthersWaiting() {
        announce("one", new Settings(1, 0, 0, false), 0, A);
        failure = new LinuxException(Errno.ENOBUFS.number(), "write", "packet", null);
        announcer.tick(0);
        assertThat(announcer.due()).isEqualTo(Announcer.RETRY);
        announce("two", new Settings(1, 0, 0, false), 0, B);
        failure = null;
        announcer.tick(0);
        assertThat(sent).containsExactly(B);
        announcer.tick(Announcer.RETRY);
        assertThat(sent).containsExactly(B, A);
        assertThat(failures).isEmpty();
        assertThat(announcer.due()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void whatTheKernelNeverTakesIsGivenUpAndTold() {
        announce("one", new Settings(1, 0, 0, false), 0, A, B);
        failure = new LinuxException(Errno.ENOBUFS.number(), "write", "packet", null);
        int ticks = 0;
        long last = 0;
        for (long now = 0; now < Long.MAX_VALUE; now = announcer.due()) {
            assertThat(failures).hasSize(now > Announcer.PATIENCE ? 1 : 0);
            announcer.tick(now);
            last = now;
            ticks++;
        }
        assertThat(last).isEqualTo(Announcer.LONGEST);
        assertThat(ticks).isEqualTo((int) (Announcer.PATIENCE / Announcer.RETRY
                + (Announcer.LONGEST - Announcer.PATIENCE) / Announcer.SLOW_RETRY
                + 1));
        assertThat(failures)
                .containsExactly(
                        "addresses cannot be announced by eth0:" + " write packet: ENOBUFS: no buffer space available");
        assertThat(sent).isEmpty();
    }

    @Test
    void whatTheKernelTakesLateIsStillAnnounced() {
        announce("one", new Settings(1, 0, 0, false), 0, A, B);
        failure = new LinuxException(Errno.ENOBUFS.number(), "write", "packet", null);
        for (long now = 0; now < 2 * SECOND; now = announcer.due()) {
            announcer.tick(now);
        }
        failure = null;
        announcer.tick(announcer.due());
        assertThat(sent).containsExactly(A, B);
    }

    @Test
    void aFailureIsToldOnceUntilItChanges() {
        announce("one", new Settings(3, SECOND, 0, false), 0, A, B);
        failure = new LinuxException(Errno.ENETDOWN.number(), "write", "packet", null);
        announcer.tick(0);
        assertThat(failures).hasSize(1);
        failure = null;
        announcer.tick(SECOND);
        assertThat(sent).hasSize(6);
        failure = new LinuxException(Errno.ENETDOWN.number(), "write", "packet", null);
        announcer.again("one", 2 * SECOND);
        announcer.tick(2 * SECOND);
        assertThat(failures).hasSize(2);
    }

    @Test
    void neighboursLearnWhereTheAddressesAreNow() throws Exception {
        try (Segment segment = Segment.open()) {
            segment.theirs.add(Address.of(segment.far().index(), InetAddress.ofLiteral("192.0.2.1"), 24));
            segment.theirs.add(Address.of(segment.far().index(), InetAddress.ofLiteral("2001:db8::1"), 64)
                    .withFlags(Set.of(Address.Flag.NODAD)));
            int far = segment.far().index();
            for (InetAddress address : List.of(A, A6)) {
                segment.theirs.keepNeighbour(far, address); // as a host that wants to talk to it
            }
            MacAddress own = Objects.requireNonNull(segment.near().address());
            try (Announcer real = segment.here.call(() -> Announcer.open(segment.near(), failures::add));
                    NativeSocket ear = segment.there.call(() -> NativeSocket.packet(far, 0x0806))) {
                segment.here.call(() -> {
                    real.announce("one", own, List.of(A, A6), new Settings(2, 0, 0, true), 0);
                    return 0;
                });
                real.tick(0);
                Segment.await("both learnt", () -> at(segment, A, own) && at(segment, A6, own));
                List<ByteBuffer> expected = List.of(
                        ByteBuffer.wrap(Announcements.arpRequest(own, (Inet4Address) A)),
                        ByteBuffer.wrap(Announcements.arpReply(own, (Inet4Address) A)));
                for (int i = 0; i < 4; i++) {
                    ByteBuffer frame = ByteBuffer.allocate(100);
                    ear.read(frame, NativeSocket.deadlineIn(30 * SECOND));
                    assertThat(frame.flip()).isEqualTo(expected.get(i % 2));
                }
                assertThat(failures).isEmpty();

                segment.mine.setUp(segment.near().index(), false);
                real.again("one", 1);
                real.tick(1);
                segment.mine.deleteLink(segment.near().index());
                real.again("one", 2);
                real.tick(2);
                assertThat(failures)
                        .containsExactly(
                                "addresses cannot be announced by eth0: write packet: ENETDOWN: network is down",
                                "addresses cannot be announced by eth0:"
                                        + " write packet: ENXIO: no such device or address");
            }
        }
    }

    private static boolean at(Segment segment, InetAddress address, MacAddress mac) {
        return Segment.get(() -> segment.theirs.neighbour(segment.far().index(), address))
                .map(Neighbour::mac)
                .filter(mac::equals)
                .isPresent();
    }
}

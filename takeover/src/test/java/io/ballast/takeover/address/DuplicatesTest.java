package io.ballast.takeover.address;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.NativeSocket;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.takeover.address.Duplicates.Duplicate;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class DuplicatesTest {
    private static final MacAddress OTHER = MacAddress.parse("02:00:00:00:00:aa");
    private static final MacAddress THIRD = MacAddress.parse("02:00:00:00:00:bb");
    private static final Inet4Address LOW = ip("192.0.2.100");
    private static final Inet4Address BETWEEN = ip("192.0.2.150");
    private static final Inet4Address HIGH = ip("192.0.2.200");
    /** Above 127, which is negative where a sign is seen. */
    private static final Inet4Address LAST = ip("203.0.113.9");

    private final LinkedBlockingQueue<Duplicate> heard = new LinkedBlockingQueue<>();
    private Segment segment;
    private NativeSocket far;
    private MacAddress own;

    private static Inet4Address ip(String text) {
        return (Inet4Address) InetAddress.ofLiteral(text);
    }

    @BeforeEach
    void open() throws Exception {
        segment = Segment.open();
        far = segment.there.call(() -> NativeSocket.packet(segment.far().index(), 0));
        own = Objects.requireNonNull(segment.near().address());
    }

    @AfterEach
    void close() {
        if (segment != null) {
            far.close();
            segment.close();
        }
    }

    private Duplicates start(long settling) throws Exception {
        return segment.here.call(() -> Duplicates.start(segment.near(), false, Set.of(own), settling, heard::add));
    }

    private void say(MacAddress mac, Inet4Address address) throws Exception {
        far.write(ByteBuffer.wrap(Announcements.arpRequest(mac, address)), NativeSocket.deadlineIn(1_000_000_000));
    }

    private Duplicate next() throws InterruptedException {
        return Objects.requireNonNull(heard.poll(30, TimeUnit.SECONDS), "nothing was heard in 30 s");
    }

    @Test
    void whoeverHasAnAddressOfThisNodeIsToldOnce() throws Exception {
        try (Duplicates duplicates = start(0)) {
            duplicates.holds(List.of(HIGH, LOW, LAST));
            for (Inet4Address address : List.of(LOW, ip("192.0.2.99"), ip("203.0.113.10"), BETWEEN, LOW, HIGH)) {
                say(OTHER, address);
            }
            say(own, LOW);
            say(THIRD, LOW);
            say(OTHER, LOW);
            say(OTHER, LAST);
            assertThat(List.of(next(), next(), next(), next()))
                    .containsExactly(
                            new Duplicate(LOW, OTHER),
                            new Duplicate(HIGH, OTHER),
                            new Duplicate(LOW, THIRD),
                            new Duplicate(LAST, OTHER));
            assertThat(heard).isEmpty();
        }
    }

    @Test
    void whoeverHasAnIpv6AddressOfThisNodeIsToldOnce() throws Exception {
        Inet6Address vip = (Inet6Address) InetAddress.ofLiteral("2001:db8::100");
        Inet6Address other = (Inet6Address) InetAddress.ofLiteral("2001:db8::101");
        try (Duplicates duplicates =
                segment.here.call(() -> Duplicates.start(segment.near(), true, Set.of(own), 0, heard::add))) {
            duplicates.holds(List.of(vip));
            for (byte[] frame : List.of(
                    Announcements.neighbourAdvertisement(OTHER, other, false),
                    Announcements.neighbourAdvertisement(own, vip, false),
                    Announcements.neighbourProbe(THIRD, vip), // asks who has it, and does not say to
                    Announcements.neighbourAdvertisement(OTHER, vip, false),
                    Announcements.neighbourAdvertisement(OTHER, vip, true),
                    Announcements.neighbourAdvertisement(THIRD, vip, true))) {
                far.write(ByteBuffer.wrap(frame), NativeSocket.deadlineIn(1_000_000_000));
            }
            assertThat(List.of(next(), next())).containsExactly(new Duplicate(vip, OTHER), new Duplicate(vip, THIRD));
            assertThat(heard).isEmpty();
        }
    }

    @Test
    void whatThisNodeNoLongerHasIsNotListenedFor() throws Exception {
        try (Duplicates duplicates = start(0)) {
            duplicates.holds(List.of(LOW));
            say(OTHER, LOW);
            assertThat(next()).isEqualTo(new Duplicate(LOW, OTHER));
            duplicates.holds(List.of());
            say(THIRD, LOW);
            duplicates.holds(List.of(LOW, HIGH));
            say(OTHER, HIGH);
            assertThat(next()).isEqualTo(new Duplicate(HIGH, OTHER));
            say(OTHER, LOW);
            assertThat(next()).describedAs("again, as it was given up").isEqualTo(new Duplicate(LOW, OTHER));
        }
    }

    @Test
    void whatIsHeardDuringATakeoverCountsForNothing() throws Exception {
        try (Duplicates duplicates = start(Duplicates.SETTLING)) {
            long begin = System.nanoTime();
            duplicates.holds(List.of(LOW));
            while (heard.isEmpty()) {
                say(OTHER, LOW);
                Thread.sleep(20);
            }
            assertThat(System.nanoTime() - begin).isGreaterThan(Duplicates.SETTLING);
        }
    }

    @Test
    void anInterfaceThatGoesDownAndUpIsHeardAgain() throws Exception {
        try (Duplicates duplicates = start(0)) {
            duplicates.holds(List.of(LOW));
            int near = segment.near().index();
            segment.mine.setUp(near, false);
            segment.mine.setUp(near, true);
            Segment.await("the wire", () -> segment.near().running());
            say(OTHER, LOW);
            assertThat(next()).isEqualTo(new Duplicate(LOW, OTHER));
        }
    }
}

package io.ballast.takeover.lease;

import static io.ballast.takeover.lease.Frames.address;
import static io.ballast.takeover.lease.Frames.arp;
import static io.ballast.takeover.lease.Frames.discovery;
import static io.ballast.takeover.lease.Frames.frame;
import static io.ballast.takeover.lease.Frames.hex;
import static io.ballast.takeover.lease.Frames.ip;
import static io.ballast.takeover.lease.Frames.ip4;
import static io.ballast.takeover.lease.Frames.ip6;
import static io.ballast.takeover.lease.Frames.join;
import static io.ballast.takeover.lease.Frames.other;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Capability;
import io.ballast.linux.TimedSends;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.TrafficControl.Direction;
import io.ballast.takeover.lease.LeaseGate.Dropped;
import io.ballast.takeover.lease.LeaseGate.Guarded;
import io.ballast.takeover.lease.LeaseGate.Sender;
import java.io.FileNotFoundException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Frames through the programs, as the kernel runs them, one by one. */
@Timeout(60)
final class GateTest {
    private static final String VIP4 = "192.0.2.10";
    private static final String OWN4 = "192.0.2.1";
    private static final String PEER4 = "192.0.2.2";
    private static final String NOBODY = "0.0.0.0";
    private static final String VIP6 = "2001:db8::10";
    private static final String OWN6 = "2001:db8::1";
    private static final String PEER6 = "2001:db8::2";
    private static final String LOCAL6 = "fe80::1";
    private static final String ASKED6 = "ff02::1:ff00:10";
    private static final String ALL6 = "ff02::1";
    private static final int HOP_BY_HOP = 0;
    private static final int FRAGMENT = 44;
    private static final int ICMP6 = 58;
    private static final int DESTINATION = 60;
    private static final int SOLICITATION = 135;

    private static final Guarded V4 = new Guarded(address(VIP4), 0);
    private static final Guarded V6 = new Guarded(address(VIP6), 0);
    private static final List<Guarded> BOTH = List.of(V4, V6);

    private static final int NEITHER = -1; // TC_ACT_UNSPEC: others decide
    private static final int DROPPED = 2; // TC_ACT_SHOT

    /** A test run of a frame that comes from nowhere has it come from the loopback interface. */
    private static final int LINK = 1;

    private static final Duration LEASE = Duration.ofMinutes(10);

    private final Map<Direction, BpfProgram> programs = new EnumMap<>(Direction.class);
    private Gate gate;

    @BeforeEach
    void open() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        try {
            gate = Gate.load(LEASE);
        } catch (FileNotFoundException e) {
            Assumptions.abort(String.valueOf(e.getMessage()));
        }
        for (Direction direction : Direction.values()) {
            programs.put(direction, gate.program(direction));
        }
        gate.protect(BOTH);
        gate.aliveUntil(System.nanoTime() + LEASE.toNanos());
    }

    @AfterEach
    void close() {
        if (gate != null) {
            programs.values().forEach(BpfProgram::close);
            gate.close();
        }
    }

    /** A frame about an address. */
    private static final class About {
        private final String what;
        private final Direction direction;
        private final Guarded address;
        private final byte[] frame;
        /** How many of its bytes say so. */
        private final int needed;

        About(String what, Direction direction, Guarded address, byte[] frame, int needed) {
            this.what = what;
            this.direction = direction;
            this.address = address;
            this.frame = frame;
            this.needed = needed;
        }
    }

    private static About arrives(String what, Guarded address, byte[] frame, int needed) {
        return new About(what + " arrives", Direction.INGRESS, address, frame, needed);
    }

    private static About leaves(String what, Guarded address, byte[] frame, int needed) {
        return new About(what + " leaves", Direction.EGRESS, address, frame, needed);
    }

    private static final byte[] DATA = new byte[20];
    private static final String TAG = "81000007";
    private static final String OUTER_TAG = "88a80009";

    private static List<About> about() {
        return List.of(
                arrives("IPv4", V4, frame(ip(PEER4, VIP4, Frames.UDP, DATA)), 34),
                leaves("IPv4", V4, frame(ip(VIP4, PEER4, Frames.UDP, DATA)), 30),
                arrives("IPv6", V6, frame(ip(PEER6, VIP6, Frames.UDP, DATA)), 54),
                leaves("IPv6", V6, frame(ip(VIP6, PEER6, Frames.UDP, DATA)), 54),
                // What the addresses of the header say holds for whatever comes behind them.
                arrives("IPv4 with options", V4, frame(ip4(PEER4, VIP4, 1, "4000", "94040000", DATA)), 34),
                leaves("IPv4 with options", V4, frame(ip4(VIP4, PEER4, 1, "4000", "94040000", DATA)), 30),
                arrives("the first fragment", V4, frame(ip4(PEER4, VIP4, 17, "2000", "", DATA)), 34),
                arrives("a later fragment", V4, frame(ip4(PEER4, VIP4, 17, "0010", "", DATA)), 34),
                leaves("a later fragment", V4, frame(ip4(VIP4, PEER4, 17, "0010", "", DATA)), 30),
                arrives("IPv6 fragment", V6, frame(ip6(PEER6, VIP6, FRAGMENT, DATA)), 54),
                leaves("IPv6 behind a header", V6, frame(ip6(VIP6, PEER6, HOP_BY_HOP, DATA)), 54),
                // Who has it?
                arrives("a question", V4, frame(arp(1, PEER4, VIP4)), 42),
                arrives("a question of one without an address", V4, frame(arp(1, NOBODY, VIP4)), 42),
                arrives("a solicitation", V6, frame(ip6(PEER6, ASKED6, ICMP6, discovery(135, VIP6))), 78),
                arrives("a solicitation of one without", V6, frame(ip6("::", ASKED6, ICMP6, discovery(135, VIP6))), 78),
                arrives(
                        "a solicitation behind options",
                        V6,
                        frame(ip6(
                                PEER6,
                                ASKED6,
                                HOP_BY_HOP,
                                join(hex("3a 00 0104 00000000"), discovery(SOLICITATION, VIP6)))),
                        86),
                arrives(
                        "a solicitation behind longer options",
                        V6,
                        frame(ip6(
                                PEER6,
                                ASKED6,
                                HOP_BY_HOP,
                                join(hex("3a 02 0114" + "00".repeat(20)), discovery(SOLICITATION, VIP6)))),
                        102),
                // This node does.
                leaves("an answer", V4, frame(arp(2, VIP4, PEER4)), 42),
                leaves("a question in its name", V4, frame(arp(1, VIP4, PEER4)), 42),
                leaves("an announcement", V4, frame(arp(1, VIP4, VIP4)), 42),
                leaves("an announcement as an answer", V4, frame(arp(2, VIP4, VIP4)), 42),
                leaves("an advertisement", V6, frame(ip6(OWN6, PEER6, ICMP6, discovery(136, VIP6))), 78),
                leaves("an unasked one", V6, frame(ip6(LOCAL6, ALL6, ICMP6, discovery(136, VIP6))), 78),
                leaves("a solicitation from it", V6, frame(ip6(VIP6, ASKED6, ICMP6, discovery(135, PEER6))), 54),
                // VLANs whose tags the kernel has not taken away.
                arrives("tagged IPv4", V4, frame(TAG, ip(PEER4, VIP4, Frames.UDP, DATA)), 38),
                arrives("twice tagged IPv6", V6, frame(OUTER_TAG + TAG, ip(PEER6, VIP6, Frames.UDP, DATA)), 62),
                arrives("a tagged question", V4, frame(TAG, arp(1, PEER4, VIP4)), 46),
                leaves("a twice tagged answer", V4, frame(OUTER_TAG + TAG, arp(2, VIP4, PEER4)), 50));
    }

    /** Frames that are no matter, though they bear addresses that are guarded. */
    private static List<About> harmless() {
        return List.of(
                // Of who has it now.
                arrives("IPv4 from it", V4, frame(ip(VIP4, OWN4, Frames.UDP, DATA)), 0),
                arrives("IPv6 from it", V6, frame(ip(VIP6, OWN6, Frames.UDP, DATA)), 0),
                arrives("an answer of its owner", V4, frame(arp(2, VIP4, OWN4)), 0),
                arrives("an announcement of its owner", V4, frame(arp(1, VIP4, VIP4)), 0),
                arrives("a question of its owner", V4, frame(arp(1, VIP4, OWN4)), 0),
                arrives("an answer to its owner", V4, frame(arp(2, PEER4, VIP4)), 0),
                arrives("an advertisement of its owner", V6, frame(ip6(VIP6, ALL6, ICMP6, discovery(136, VIP6))), 0),
                arrives("a solicitation of its owner", V6, frame(ip6(VIP6, ASKED6, ICMP6, discovery(135, OWN6))), 0),
                // Of this node as one among others.
                leaves("IPv4 to it", V4, frame(ip(OWN4, VIP4, Frames.UDP, DATA)), 0),
                leaves("IPv6 to it", V6, frame(ip(OWN6, VIP6, Frames.UDP, DATA)), 0),
                leaves("a question", V4, frame(arp(1, OWN4, VIP4)), 0),
                leaves("a probe", V4, frame(arp(1, NOBODY, VIP4)), 0),
                leaves("an answer to its owner", V4, frame(arp(2, OWN4, VIP4)), 0),
                leaves("a solicitation", V6, frame(ip6(OWN6, ASKED6, ICMP6, discovery(135, VIP6))), 0),
                leaves("an advertisement of another", V6, frame(ip6(OWN6, PEER6, ICMP6, discovery(136, OWN6))), 0),
                // VRRP itself.
                arrives("an advertisement", V4, frame(ip(PEER4, "224.0.0.18", Frames.VRRP, DATA)), 0),
                leaves("an advertisement", V4, frame(ip(OWN4, "224.0.0.18", Frames.VRRP, DATA)), 0),
                leaves("an advertisement", V6, frame(ip(LOCAL6, "ff02::12", Frames.VRRP, DATA)), 0),
                // Of others.
                arrives("IPv4", V4, frame(ip(PEER4, OWN4, Frames.UDP, DATA)), 0),
                leaves("IPv4", V4, frame(ip(OWN4, PEER4, Frames.UDP, DATA)), 0),
                arrives("a question", V4, frame(arp(1, PEER4, OWN4)), 0),
                arrives("a solicitation", V6, frame(ip6(PEER6, ASKED6, ICMP6, discovery(135, OWN6))), 0),
                // Nobody takes these for what they look like.
                arrives("an echo about it", V6, frame(ip6(PEER6, OWN6, ICMP6, discovery(128, VIP6))), 0),
                arrives("UDP like a solicitation", V6, frame(ip6(PEER6, OWN6, 17, discovery(135, VIP6))), 0),
                arrives("reverse ARP", V4, other("8035", arp(1, PEER4, VIP4)), 0),
                arrives("MPLS", V4, other("8847", ip(PEER4, VIP4, Frames.UDP, DATA)), 0),
                arrives("three tags", V4, frame(TAG + TAG + TAG, ip(PEER4, VIP4, Frames.UDP, DATA)), 0),
                arrives("ARP of another network", V4, frame(with(arp(1, PEER4, VIP4), 3, 1)), 0),
                arrives("ARP of longer hardware addresses", V4, frame(with(arp(1, PEER4, VIP4), 4, 8)), 0),
                arrives("ARP of longer addresses", V4, frame(with(arp(1, PEER4, VIP4), 5, 16)), 0),
                // The kernel answers to it, and the answer does not leave.
                arrives(
                        "a solicitation behind options for its destination",
                        V6,
                        frame(ip6(
                                PEER6,
                                ASKED6,
                                DESTINATION,
                                join(hex("3a 00 0104 00000000"), discovery(SOLICITATION, VIP6)))),
                        0));
    }

    private static byte[] with(byte[] bytes, int at, int value) {
        bytes[at] = (byte) value;
        return bytes;
    }

    /** The kernel runs no program for a shorter one of that protocol. */
    private static int least(byte[] frame) {
        return switch (((frame[12] & 0xff) << 8) | (frame[13] & 0xff)) {
            case 0x0800 -> 34;
            case 0x86dd -> 54;
            default -> 14;
        };
    }

    private int run(Direction direction, byte[] frame) throws Exception {
        try (Arena arena = Arena.ofConfined()) {
            BpfProgram program = Objects.requireNonNull(programs.get(direction));
            return program.testRun(TestRun.of(arena.allocateFrom(ValueLayout.JAVA_BYTE, frame)))
                    .returned();
        }
    }

    private void assertThatAll(List<About> frames, int verdict) throws Exception {
        List<String> others = new ArrayList<>();
        for (About each : frames) {
            if (run(each.direction, each.frame) != verdict) {
                others.add(each.what);
            }
        }
        assertThat(others).isEmpty();
    }

    @Test
    void whatIsNotHeldDoesNotPass() throws Exception {
        assertThatAll(about(), DROPPED);
    }

    @Test
    void whatIsHeldPassesWhileTheLeaseRuns() throws Exception {
        gate.hold(BOTH, Gate.Holding.HELD);
        assertThatAll(about(), NEITHER);
        gate.aliveUntil(System.nanoTime() - 1);
        assertThatAll(about(), DROPPED);
        gate.aliveUntil(System.nanoTime() + LEASE.toNanos());
        assertThatAll(about(), NEITHER);
        gate.aliveUntil(0);
        assertThatAll(about(), DROPPED);
    }

    @Test
    void whatIsHandedOverPassesAndNobodyIsToldThatItIsHere() throws Exception {
        gate.hold(BOTH, Gate.Holding.HANDED_OVER);
        for (About each : about()) {
            boolean tells = Stream.of("question", "answer", "announcement", "solicitation", "advertisement", "unasked")
                    .anyMatch(each.what::contains);
            assertThat(run(each.direction, each.frame)).as(each.what).isEqualTo(tells ? DROPPED : NEITHER);
        }
        assertThatAll(harmless(), NEITHER);
        gate.aliveUntil(0);
        assertThatAll(about(), DROPPED);
    }

    @Test
    void whatIsHeldWithoutBeingAcceptedIsOnlyAskedForAndToldOf() throws Exception {
        gate.hold(BOTH, Gate.Holding.HELD);
        gate.accept(BOTH, false);
        List<About> discovery = new ArrayList<>(List.of(
                arrives("a solicitation to it", V6, frame(ip6(PEER6, VIP6, ICMP6, discovery(135, VIP6))), 0),
                arrives("an advertisement to it", V6, frame(ip6(PEER6, VIP6, ICMP6, discovery(136, PEER6))), 0)));
        List<About> data = new ArrayList<>(List.of(
                arrives("an echo to it", V6, frame(ip6(PEER6, VIP6, ICMP6, discovery(128, VIP6))), 0)));
        for (About each : about()) {
            boolean asks = Stream.of("question", "solicitation").anyMatch(each.what::contains);
            (each.direction == Direction.EGRESS || asks ? discovery : data).add(each);
        }
        assertThatAll(discovery, NEITHER);
        assertThatAll(data, DROPPED);
        assertThatAll(harmless(), NEITHER);
        assertThat(gate.misdirected()).isZero();
        gate.accept(BOTH, true);
        assertThatAll(data, NEITHER);
    }

    @Test
    void whoSendsToWhatIsNotHeldIsKnown() throws Exception {
        // To the Ethernet address of the loopback interface, where test runs come from.
        byte[] first = with(frame(ip(PEER4, VIP4, Frames.UDP, DATA)), 0, 0);
        first[5] = 0;
        byte[] second = with(frame(ip(PEER6, VIP6, Frames.UDP, DATA)), 0, 0);
        second[5] = 0;
        second[11] = 9;
        Sender one = new Sender(address(VIP4), LINK, MacAddress.parse("02:00:00:00:00:01"));
        Sender other = new Sender(address(VIP6), LINK, MacAddress.parse("02:00:00:00:00:09"));
        gate.hold(BOTH, Gate.Holding.HELD);
        run(Direction.INGRESS, first);
        gate.hold(BOTH, Gate.Holding.HANDED_OVER);
        run(Direction.INGRESS, first);
        gate.hold(BOTH, Gate.Holding.RELEASED);
        assertThat(gate.misdirected()).isZero();
        run(Direction.EGRESS, first);
        assertThatAll(about(), DROPPED); // to other Ethernet addresses
        assertThat(gate.misdirected()).isZero();
        run(Direction.INGRESS, first);
        run(Direction.INGRESS, first);
        run(Direction.INGRESS, second);
        assertThat(gate.misdirected()).isEqualTo(3);
        assertThat(gate.senders()).isEqualTo(Map.of(one, 2L, other, 1L));
        gate.forgetSenders(List.of(one));
        assertThat(gate.senders()).isEqualTo(Map.of(other, 1L));
    }

    @Test
    void whatIsHeldUntilATimeDoesNotPassLater() throws Exception {
        gate.hold(BOTH, Gate.Holding.HELD);
        gate.until(BOTH, System.nanoTime());
        assertThatAll(about(), DROPPED);
        gate.until(List.of(V4), System.nanoTime() + LEASE.toNanos());
        for (About each : about()) {
            assertThat(run(each.direction, each.frame))
                    .as(each.what)
                    .isEqualTo(each.address.equals(V4) ? NEITHER : DROPPED);
        }
    }

    @Test
    void eachAddressIsHeldAndReleasedByItself() throws Exception {
        gate.hold(List.of(V6), Gate.Holding.HELD);
        for (About each : about()) {
            assertThat(run(each.direction, each.frame))
                    .as(each.what)
                    .isEqualTo(each.address.equals(V6) ? NEITHER : DROPPED);
        }
        gate.hold(List.of(V4), Gate.Holding.HELD);
        gate.hold(List.of(V6), Gate.Holding.RELEASED);
        for (About each : about()) {
            assertThat(run(each.direction, each.frame))
                    .as(each.what)
                    .isEqualTo(each.address.equals(V6) ? DROPPED : NEITHER);
        }
        // To protect what is guarded already changes nothing.
        gate.protect(BOTH);
        assertThat(run(Direction.INGRESS, frame(arp(1, PEER4, VIP4)))).isEqualTo(NEITHER);
    }

    @Test
    void whatIsForgottenPasses() throws Exception {
        gate.forget(BOTH);
        assertThatAll(about(), NEITHER);
        gate.forget(BOTH);
        gate.hold(BOTH, Gate.Holding.RELEASED);
        assertThatAll(about(), NEITHER);
        // What was held is not held when it is guarded again.
        gate.protect(BOTH);
        gate.hold(BOTH, Gate.Holding.HELD);
        gate.forget(BOTH);
        gate.protect(List.of(V6, V4));
        assertThatAll(about(), DROPPED);
    }

    private static byte[] ethernet(String to, String from) {
        return join(hex(to + from), Arrays.copyOfRange(frame(ip(PEER4, OWN4, Frames.UDP, DATA)), 12, 54));
    }

    @Test
    void framesToAndFromAVirtualEthernetAddressPassWhileItIsHeld() throws Exception {
        String mac = "00005e000133";
        String other = "020000000001";
        Guarded guarded = Guarded.of(MacAddress.parse("00:00:5e:00:01:33"), LINK);
        assertThat(guarded).hasToString("00:00:5e:00:01:33 on interface 1");
        byte[] arriving = ethernet(mac, other);
        byte[] leaving = ethernet(other, mac);
        assertThat(run(Direction.INGRESS, arriving)).as("not guarded").isEqualTo(NEITHER);
        gate.protect(List.of(guarded, Guarded.of(MacAddress.parse("00:00:5e:00:01:34"), LINK + 1)));
        assertThat(run(Direction.INGRESS, arriving)).isEqualTo(DROPPED);
        assertThat(run(Direction.EGRESS, leaving)).isEqualTo(DROPPED);
        assertThat(gate.dropped()).containsEntry(guarded, new Dropped(1, 1));
        for (String another : List.of("00005e000134", "00005e000233", "00005f000133", "01005e000133", other)) {
            assertThat(run(Direction.INGRESS, ethernet(another, mac)))
                    .as(another)
                    .isEqualTo(NEITHER);
            assertThat(run(Direction.EGRESS, ethernet(mac, another)))
                    .as(another)
                    .isEqualTo(NEITHER);
        }
        gate.hold(List.of(guarded), Gate.Holding.HELD);
        assertThat(run(Direction.INGRESS, arriving)).isEqualTo(NEITHER);
        assertThat(run(Direction.EGRESS, leaving)).isEqualTo(NEITHER);
        gate.aliveUntil(0);
        assertThat(run(Direction.INGRESS, arriving)).isEqualTo(DROPPED);
        assertThat(run(Direction.EGRESS, leaving)).isEqualTo(DROPPED);
    }

    @Test
    void everythingElsePassesWhateverIsHeld() throws Exception {
        assertThatAll(harmless(), NEITHER);
        gate.hold(BOTH, Gate.Holding.HELD);
        assertThatAll(harmless(), NEITHER);
        gate.aliveUntil(0);
        assertThatAll(harmless(), NEITHER);
        assertThat(gate.dropped().values()).containsOnly(new Dropped(0, 0));
    }

    @Test
    void framesThatEndBeforeTheySayItPass() throws Exception {
        for (About each : about()) {
            for (int length = least(each.frame); length <= each.frame.length; length++) {
                assertThat(run(each.direction, Arrays.copyOf(each.frame, length)))
                        .as("%s, %d bytes", each.what, length)
                        .isEqualTo(length < each.needed ? NEITHER : DROPPED);
            }
        }
    }

    @Test
    void damagedFramesAreDroppedOnlyForTheAddressThatTheyBear() throws Exception {
        Random random = new Random(7);
        List<About> all = new ArrayList<>(about());
        all.addAll(harmless());
        gate.protect(List.of(new Guarded(address("203.0.113.77"), 0))); // in none of them
        int dropped = 0;
        for (int i = 0; i < 5_000; i++) {
            byte[] frame = all.get(random.nextInt(all.size())).frame.clone();
            for (int flips = random.nextInt(6); flips > 0; flips--) {
                frame[12 + random.nextInt(frame.length - 12)] ^= (byte) (1 << random.nextInt(8));
            }
            Direction direction = random.nextBoolean() ? Direction.INGRESS : Direction.EGRESS;
            int least = Math.min(least(frame), frame.length);
            int length = random.nextInt(3) == 0 ? least + random.nextInt(frame.length - least + 1) : frame.length;
            int verdict = run(direction, Arrays.copyOf(frame, length));
            assertThat(verdict).isIn(NEITHER, DROPPED);
            dropped += verdict == DROPPED ? 1 : 0;
        }
        assertThat(dropped).isGreaterThan(500);
        assertThat(gate.dropped().values().stream()
                        .mapToLong(each -> each.arriving() + each.leaving())
                        .sum())
                .isEqualTo(dropped);
        assertThat(gate.dropped()).containsEntry(new Guarded(address("203.0.113.77"), 0), new Dropped(0, 0));
    }

    @Test
    void anAddressOfEveryLinkIsGuardedOnItsOwn() throws Exception {
        for (String[] pair : new String[][] {{"fe80::10", "fe80::2"}, {"169.254.0.10", "169.254.0.2"}}) {
            InetAddress local = address(pair[0]);
            byte[] arriving = frame(ip(pair[1], pair[0], Frames.UDP, DATA));
            gate.protect(List.of(new Guarded(local, LINK + 1)));
            assertThat(run(Direction.INGRESS, arriving)).isEqualTo(NEITHER);
            gate.protect(List.of(new Guarded(local, LINK)));
            assertThat(run(Direction.INGRESS, arriving)).isEqualTo(DROPPED);
            gate.hold(List.of(new Guarded(local, LINK + 1)), Gate.Holding.HELD);
            assertThat(run(Direction.INGRESS, arriving)).isEqualTo(DROPPED);
            gate.hold(List.of(new Guarded(local, LINK)), Gate.Holding.HELD);
            assertThat(run(Direction.INGRESS, arriving)).isEqualTo(NEITHER);
            assertThatThrownBy(() -> new Guarded(local, 0)).hasMessageContaining("is of one link: which?");
        }
        // Others are the same on all of them.
        assertThat(new Guarded(address(VIP4), LINK)).isEqualTo(V4);
    }

    @Test
    void whatDidNotPassIsCountedByAddressAndDirection() throws Exception {
        for (int i = 0; i < 3; i++) {
            run(Direction.INGRESS, frame(arp(1, PEER4, VIP4)));
            run(Direction.INGRESS, frame(ip(PEER6, VIP6, Frames.UDP, DATA)));
        }
        run(Direction.EGRESS, frame(arp(2, VIP4, PEER4)));
        assertThat(gate.dropped()).containsExactly(Map.entry(V4, new Dropped(3, 1)), Map.entry(V6, new Dropped(3, 0)));
        gate.hold(BOTH, Gate.Holding.HELD);
        run(Direction.INGRESS, frame(arp(1, PEER4, VIP4)));
        assertThat(gate.dropped().get(V4)).isEqualTo(new Dropped(3, 1));
    }

    @Test
    void thereIsRoomForEveryVirtualRouterAndNoMoreThanThereIs() throws Exception {
        List<Guarded> many = new ArrayList<>();
        for (int router = 1; router <= 255; router++) {
            for (int address = 1; address <= 20; address++) {
                many.add(new Guarded(address("10." + router + ".0." + address), 0));
            }
        }
        gate.protect(many);
        byte[] last = frame(ip(PEER4, "10.255.0.20", Frames.UDP, DATA));
        assertThat(run(Direction.INGRESS, last)).isEqualTo(DROPPED);
        gate.hold(many, Gate.Holding.HELD);
        assertThat(run(Direction.INGRESS, last)).isEqualTo(NEITHER);
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 0x10000; i++) {
                        gate.protect(List.of(new Guarded(address("10.0." + (i >> 8) + "." + (i & 0xff)), 0)));
                    }
                })
                .hasMessageContaining("the gate has room for 16384 addresses");
        gate.forget(many);
        gate.protect(many);
        assertThat(run(Direction.INGRESS, last)).isEqualTo(DROPPED);
    }

    // Ticks.

    /** Sends them as the daemon does, and waits until they are sent. */
    private void tick(int count) throws Exception {
        try (TimedSends sends = TimedSends.open();
                TimedSends.Stream stream = sends.stream(gate.ticks(), count, 1)) {
            for (int i = 0; i < count; i++) {
                stream.add(0, new byte[] {1});
            }
            sends.flush();
            long until = System.nanoTime() + Duration.ofSeconds(20).toNanos();
            while (stream.pending() > 0 && System.nanoTime() < until) {
                Thread.onSpinWait();
            }
            // There is room for them for ever: nobody receives them.
            assertThat(stream.sent()).isEqualTo(count);
            assertThat(stream.failed()).isZero();
        }
    }

    @Test
    void aTickExtendsTheLease() throws Exception {
        long from = System.nanoTime();
        gate.aliveUntil(from + Duration.ofSeconds(60).toNanos());
        tick(1);
        assertThat(gate.aliveUntil()).isBetween(from + LEASE.toNanos(), System.nanoTime() + LEASE.toNanos());
        long before = gate.aliveUntil();
        tick(1000);
        assertThat(gate.aliveUntil()).isGreaterThan(before);
    }

    @Test
    void aTickBeginsNoLease() throws Exception {
        for (long over : new long[] {0, 1, System.nanoTime()}) {
            gate.aliveUntil(over);
            tick(3);
            assertThat(gate.aliveUntil()).isEqualTo(over);
        }
    }
}

package io.ballast.takeover.wire;

import static io.ballast.takeover.wire.Wire.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.ProtocolSocket;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.takeover.lease.LeaseGate;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.AdvertisementCodec;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.Discard;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Far more advertisements than anybody should send, which come in as from the left end's cable. */
@Timeout(60)
class SieveTest {
    private static final long MS = 1_000_000;
    private static final int MANY = 20_000;
    private static final int BATCH = 4_000; // each takes the kernel some 30 ms of preparation
    private static final InetAddress STRANGER = InetAddress.ofLiteral("192.0.2.77");
    private static final InetAddress LINK_LOCAL = InetAddress.ofLiteral("fe80::77");
    private static final InetAddress SHARED = InetAddress.ofLiteral("192.0.2.100");

    /** What is wrong with all of them. */
    enum Forgery {
        FAR(Discard.TTL),
        SUM(Discard.CHECKSUM),
        SHORT(Discard.LENGTH),
        PASSWORD(Discard.AUTHENTICATION),
        UNSIGNED(Discard.UNSIGNED),
        NO_PEER(Discard.NO_PEER),
        IPV6_FAR(Discard.TTL),
        IPV6_SUM(Discard.CHECKSUM),
        OTHER_ROUTER(null),
        /** Nothing: it can be told apart from what a node says only as there are too many of it. */
        NOTHING(Discard.CROWDED),
        IPV6_NOTHING(Discard.CROWDED);

        private final @Nullable Discard why;

        Forgery(@Nullable Discard why) {
            this.why = why;
        }

        boolean ipv6() {
            return name().startsWith("IPV6");
        }

        int version() {
            return this == PASSWORD ? 2 : 3;
        }
    }

    private Wire wire;

    @BeforeEach
    void plug() throws Exception {
        Assumptions.assumeTrue(LeaseGate.missing().isEmpty(), () -> "no programs: " + LeaseGate.missing());
        wire = Wire.open();
    }

    @AfterEach
    void unplug() {
        if (wire != null) {
            wire.close();
        }
    }

    private static Membership member(Forgery forgery, int priority, long interval) {
        Authentication by = switch (forgery) {
            case PASSWORD -> Authentication.password("secret");
            case UNSIGNED ->
                Authentication.of(new Authentication.Hmac(
                        List.of(new Authentication.Key(1, new byte[32])), Authentication.Mode.ENFORCE, true, 5));
            default -> Authentication.NONE;
        };
        return new Membership(
                "front",
                "eth0",
                forgery.version(),
                51,
                priority,
                forgery.version() == 2 ? 1000 * MS : interval,
                List.of(forgery.ipv6() ? new Cidr(LINK_LOCAL, 64) : new Cidr(SHARED, 24)),
                true,
                0,
                forgery == Forgery.NO_PEER ? List.of(Wire.RIGHT) : List.of(),
                false,
                Checksum.PSEUDO_HEADER,
                by,
                "",
                500 * MS,
                1,
                0);
    }

    /** An advertisement as a frame. */
    private static byte[] frame(Forgery forgery, InetAddress source) {
        boolean ipv6 = forgery.ipv6();
        InetAddress group = Takeover.group(ipv6);
        byte[] message = AdvertisementCodec.encode(
                new Advertisement(
                        forgery.version(),
                        forgery == Forgery.OTHER_ROUTER ? 77 : 51,
                        90,
                        1000 * MS,
                        List.of(ipv6 ? LINK_LOCAL : SHARED)),
                forgery == Forgery.PASSWORD ? Authentication.password("forged") : Authentication.NONE,
                Checksum.PSEUDO_HEADER,
                source,
                group);
        if (forgery == Forgery.SUM || forgery == Forgery.IPV6_SUM) {
            message[6] ^= 1;
        }
        if (forgery == Forgery.SHORT) {
            message = Arrays.copyOf(message, message.length - 4);
        }
        byte ttl = (byte) (forgery == Forgery.FAR || forgery == Forgery.IPV6_FAR ? 64 : 255);
        ByteBuffer out = ByteBuffer.allocate(14 + (ipv6 ? 40 : 20) + message.length);
        if (ipv6) {
            out.put(new byte[] {0x33, 0x33, 0, 0, 0, 0x12, 2, 0, 0, 0, 0, 7}).putShort((short) 0x86dd);
            out.putInt(6 << 28).putShort((short) message.length).put((byte) 112).put(ttl);
        } else {
            out.put(new byte[] {1, 0, 0x5e, 0, 0, 0x12, 2, 0, 0, 0, 0, 7}).putShort((short) 0x0800);
            out.putShort((short) 0x45c0).putShort((short) (20 + message.length)).putInt(0);
            out.put(ttl).put((byte) 112).putShort((short) 0);
        }
        out.put(source.getAddress()).put(group.getAddress()).put(message);
        if (!ipv6) {
            int sum = 0;
            for (int i = 14; i < 34; i += 2) {
                sum += out.getShort(i) & 0xffff;
            }
            out.putShort(24, (short) ~((sum & 0xffff) + (sum >> 16)));
        }
        return out.array();
    }

    /** Frames come in at the left end, so many. */
    private void flood(BpfProgram program, MemorySegment frame, int count) throws Exception {
        int link = Wire.link(wire.ofLeft).index();
        var _ = wire.left.call(() ->
                program.testRun(TestRun.of(frame).from(link, 0).times(count).live(0)));
    }

    private static MemorySegment segment(Arena arena, byte[] frame) {
        return arena.allocateFrom(ValueLayout.JAVA_BYTE, frame);
    }

    private Ear ear(Membership member) throws Exception {
        var on = new ProtocolSocket.Interface(Wire.link(wire.ofLeft).index(), "eth0");
        Ear ear = wire.left.call(() -> Ear.open(AdvertisementCodec.PROTOCOL, on, Takeover.group(member.ipv6())));
        assertThat(ear.trouble()).isEmpty();
        ear.admit(List.of(member));
        return ear;
    }

    private static int heard(Ear ear) throws Exception {
        int heard = 0;
        while (ear.receive() != null) {
            heard++;
        }
        return heard;
    }

    @ParameterizedTest
    @EnumSource
    void hardlyAnyOfThemIsHeardAndAllAreCounted(Forgery forgery) throws Exception {
        InetAddress source = forgery.ipv6() ? LINK_LOCAL : STRANGER;
        try (Arena arena = Arena.ofConfined();
                BpfProgram program = BpfProgram.passing();
                Ear ear = ear(member(forgery, 100, 100 * MS))) {
            MemorySegment frame = segment(arena, frame(forgery, source));
            long begun = System.nanoTime();
            int heard = 0;
            for (int sent = 0; sent < MANY; sent += BATCH) {
                flood(program, frame, BATCH);
                heard += heard(ear);
            }
            long seconds = 1 + (System.nanoTime() - begun) / (1000 * MS);
            if (forgery.why == null) {
                assertThat(heard).isZero();
                assertThat(ear.dropped(51)).isEmpty();
                return;
            }
            assertThat(heard).isPositive();
            assertThat((long) heard).isLessThan((forgery.why == Discard.CROWDED ? 1100 : 55) * (seconds + 1));
            assertThat(ear.dropped(51)).isEqualTo(Map.of(forgery.why, (long) MANY - heard));
        }
    }

    @Test
    void whoWasUnderstoodIsHeardAmongStrangers() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfProgram program = BpfProgram.passing();
                Ear ear = ear(member(Forgery.NOTHING, 100, 100 * MS))) {
            ear.know(51, Wire.RIGHT);
            flood(program, segment(arena, frame(Forgery.NOTHING, STRANGER)), MANY);
            flood(program, segment(arena, frame(Forgery.SUM, Wire.RIGHT)), MANY);
            flood(program, segment(arena, frame(Forgery.NOTHING, Wire.RIGHT)), 10);

            int known = 0;
            for (ProtocolSocket.Packet packet = ear.receive(); packet != null; packet = ear.receive()) {
                Optional<Discard> wrong = AdvertisementCodec.decode(
                                        packet.payload(),
                                        0,
                                        packet.ttl(),
                                        Authentication.NONE,
                                        packet.source(),
                                        packet.destination())
                                instanceof AdvertisementCodec.Decoded.Bad bad
                        ? Optional.of(bad.why())
                        : Optional.empty();
                known += packet.source().equals(Wire.RIGHT) && wrong.isEmpty() ? 1 : 0;
            }
            assertThat(known).isEqualTo(10);
        }
    }

    @Test
    void noRoleIsAnotherAndTheMasterIsHeard() throws Exception {
        List<RememberingNode> nodes = new ArrayList<>();
        try (Arena arena = Arena.ofConfined();
                BpfProgram program = BpfProgram.passing()) {
            RememberingNode high = new RememberingNode(wire.right);
            nodes.add(high);
            RememberingNode low = new RememberingNode(wire.left);
            nodes.add(low);
            high.takeover.become(List.of(member(Forgery.NOTHING, 150, 100 * MS)));
            low.takeover.become(List.of(member(Forgery.NOTHING, 100, 100 * MS)));
            await(
                    "the higher one is master",
                    () -> high.owns && low.status().peers().containsKey(Wire.RIGHT));
            List<Role> before = List.copyOf(low.roles);
            long heard = count(low);

            Map<Forgery, MemorySegment> frames = new HashMap<>();
            for (Forgery forgery : List.of(Forgery.FAR, Forgery.SUM, Forgery.SHORT, Forgery.OTHER_ROUTER)) {
                // In the master's name, which is the worst that can be.
                frames.put(forgery, segment(arena, frame(forgery, Wire.RIGHT)));
            }
            frames.put(Forgery.NOTHING, segment(arena, frame(Forgery.NOTHING, STRANGER)));
            long sent = 0;
            long end = System.nanoTime() + 2000 * MS;
            while (System.nanoTime() - end < 0 || count(low) < heard + 5) {
                for (MemorySegment frame : frames.values()) {
                    flood(program, frame, BATCH);
                    sent += BATCH;
                }
                assertThat(sent).as("the master is heard").isLessThan(10_000_000);
                Thread.sleep(5);
            }
            assertThat(low.roles).isEqualTo(before);
            assertThat(low.status().role()).isEqualTo(Role.BACKUP);
            assertThat(low.status().discarded().keySet())
                    .contains(Discard.TTL, Discard.CHECKSUM, Discard.LENGTH, Discard.CROWDED);
            long discarded = low.status().discarded().values().stream()
                    .mapToLong(Long::longValue)
                    .sum();
            assertThat(discarded).isGreaterThan(sent / 2);
        } finally {
            nodes.forEach(node -> node.takeover.close());
        }
    }

    private static long count(RememberingNode node) throws Exception {
        return Objects.requireNonNull(node.status().peers().get(Wire.RIGHT)).count();
    }
}

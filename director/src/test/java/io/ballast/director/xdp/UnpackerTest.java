package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.frame;
import static io.ballast.director.xdp.Frames.ip;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.tagged;
import static io.ballast.director.xdp.Frames.tcp;
import static io.ballast.director.xdp.Frames.udp;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Capability;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import io.ballast.linux.bpf.XdpAction;
import java.io.FileNotFoundException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Packets in tunnels in, packets out, byte for byte, through the kernel. */
final class UnpackerTest {
    private static final InetAddress CLIENT4 = address("198.51.100.7");
    private static final InetAddress VIP4 = address("192.0.2.1");
    private static final InetAddress CLIENT6 = address("2001:db8:c::7");
    private static final InetAddress VIP6 = address("2001:db8:1::1");
    private static final InetAddress END4 = address("10.0.0.1");
    private static final InetAddress END6 = address("2001:db8:5::1");
    private static final InetAddress FROM4 = address("10.0.0.254");
    private static final InetAddress FROM6 = address("2001:db8:5::fe");
    private static final byte[] HELLO = "hello".getBytes(java.nio.charset.StandardCharsets.US_ASCII);

    private Unpacker unpacker;
    private BpfProgram program;
    private Arena arena;

    @BeforeEach
    void open() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        try {
            unpacker = Unpacker.load();
        } catch (FileNotFoundException e) {
            Assumptions.abort(String.valueOf(e.getMessage()));
        }
        program = unpacker.program();
        arena = Arena.ofConfined();
        unpacker.become(Set.of(VIP4, VIP6), Set.of(END4, END6));
    }

    @AfterEach
    void close() {
        if (unpacker != null) {
            program.close();
            unpacker.close();
            arena.close();
        }
    }

    private byte[] run(byte[] frame) throws Exception {
        MemorySegment in = arena.allocateFrom(ValueLayout.JAVA_BYTE, frame);
        MemorySegment out = arena.allocate(frame.length + 256L);
        TestRun.Result result = program.testRun(TestRun.of(in).into(out));
        assertThat(result.action()).isEqualTo(XdpAction.PASS);
        return out.asSlice(0, result.length()).toArray(ValueLayout.JAVA_BYTE);
    }

    private static byte[] inner(boolean v6) {
        InetAddress client = v6 ? CLIENT6 : CLIENT4;
        InetAddress vip = v6 ? VIP6 : VIP4;
        return ip(client, vip, Frames.TCP, tcp(client, 4000, vip, 80, Frames.SYN, HELLO));
    }

    private static byte[] outer(boolean v6, int proto, byte[] packet) {
        return v6 ? ip(FROM6, END6, proto, packet) : ip(FROM4, END4, proto, packet);
    }

    @Test
    void theOuterHeaderGoesAndNothingElseChanges() throws Exception {
        long before = 0;
        for (boolean outer6 : new boolean[] {false, true}) {
            for (boolean inner6 : new boolean[] {false, true}) {
                byte[] packet = inner(inner6);
                byte[] gue = outer6 ? udp(FROM6, 50_000, END6, 6080, packet) : udp(FROM4, 50_000, END4, 6080, packet);
                for (byte[] tunnel : List.of(outer(outer6, inner6 ? 41 : 4, packet), outer(outer6, Frames.UDP, gue))) {
                    assertThat(run(frame(DIRECTOR, ROUTER, tunnel))).containsExactly(frame(DIRECTOR, ROUTER, packet));
                    assertThat(run(tagged(DIRECTOR, ROUTER, new int[] {7}, tunnel)))
                            .containsExactly(tagged(DIRECTOR, ROUTER, new int[] {7}, packet));
                    before += 2;
                }
            }
        }
        assertThat(unpacker.unpacked()).isEqualTo(before);
    }

    @Test
    void whatIsNotForAServiceHerePassesUntouched() throws Exception {
        byte[] packet = inner(false);
        byte[] stranger = ip(CLIENT4, address("192.0.2.9"), Frames.TCP, tcp(CLIENT4, 1, VIP4, 80, 0, HELLO));
        InetAddress other = address("10.0.0.9");
        for (byte[] each : List.of(
                packet,
                outer(false, 4, stranger),
                ip(FROM4, other, 4, packet),
                outer(false, Frames.UDP, udp(FROM4, 50_000, END4, 6081, packet)),
                join(ip4(FROM4, END4, 4, 0, 7, 0x2000, 63, new byte[0], packet.length), packet),
                join(ip4(FROM4, END4, 4, 0, 7, 0, 63, new byte[4], packet.length), packet))) {
            assertThat(run(frame(DIRECTOR, ROUTER, each))).containsExactly(frame(DIRECTOR, ROUTER, each));
        }
        assertThat(unpacker.unpacked()).isZero();
        unpacker.become(Set.of(VIP6), Set.of(END4));
        assertThat(run(frame(DIRECTOR, ROUTER, outer(false, 4, packet))))
                .as("no longer a service of this machine")
                .containsExactly(frame(DIRECTOR, ROUTER, outer(false, 4, packet)));
    }

    @Test
    void damagedPacketsPassAndAreNeverMadeLongerOrDropped() throws Exception {
        Random random = new Random(6);
        byte[][] whole = {
            frame(DIRECTOR, ROUTER, outer(false, 4, inner(false))),
            frame(DIRECTOR, ROUTER, outer(true, 41, inner(true))),
            tagged(DIRECTOR, ROUTER, new int[] {7}, outer(false, Frames.UDP, udp(FROM4, 1, END4, 6080, inner(true))))
        };
        for (int i = 0; i < 5_000; i++) {
            byte[] frame = whole[random.nextInt(whole.length)].clone();
            for (int flips = random.nextInt(4); flips > 0; flips--) {
                frame[12 + random.nextInt(frame.length - 12)] ^= (byte) (1 << random.nextInt(8));
            }
            frame = Arrays.copyOf(frame, 14 + random.nextInt(frame.length - 13));
            byte[] out = run(frame);
            if (out.length == frame.length) {
                assertThat(out).isEqualTo(frame);
            } else {
                int behind = Math.max(0, out.length - 18);
                assertThat(out.length).isLessThan(frame.length);
                assertThat(Arrays.copyOfRange(out, out.length - behind, out.length))
                        .isEqualTo(Arrays.copyOfRange(frame, frame.length - behind, frame.length));
            }
        }
    }
}

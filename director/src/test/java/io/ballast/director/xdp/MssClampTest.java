package io.ballast.director.xdp;

import static io.ballast.director.xdp.Frames.DIRECTOR;
import static io.ballast.director.xdp.Frames.ROUTER;
import static io.ballast.director.xdp.Frames.address;
import static io.ballast.director.xdp.Frames.frame;
import static io.ballast.director.xdp.Frames.hex;
import static io.ballast.director.xdp.Frames.ip;
import static io.ballast.director.xdp.Frames.ip4;
import static io.ballast.director.xdp.Frames.join;
import static io.ballast.director.xdp.Frames.shorts;
import static io.ballast.director.xdp.Frames.tagged;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Capability;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.TestRun;
import java.io.FileNotFoundException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** SYN-ACKs in, SYN-ACKs out, byte for byte, through the kernel. */
final class MssClampTest {
    private static final InetAddress CLIENT4 = address("198.51.100.7");
    private static final InetAddress VIP4 = address("192.0.2.1");
    private static final InetAddress OTHER4 = address("192.0.2.9");
    private static final InetAddress CLIENT6 = address("2001:db8:c::7");
    private static final InetAddress VIP6 = address("2001:db8:1::1");
    private static final int SYN_ACK = Frames.SYN | Frames.ACK;
    private static final int NEITHER = -1; // TC_ACT_UNSPEC: others decide

    private MssClamp clamp;
    private BpfProgram program;
    private Arena arena;

    @BeforeEach
    void open() throws Exception {
        for (Capability capability : List.of(Capability.BPF, Capability.NET_ADMIN)) {
            Assumptions.assumeTrue(capability.isEffective(), "needs " + capability);
        }
        try {
            clamp = MssClamp.load();
        } catch (FileNotFoundException e) {
            Assumptions.abort(String.valueOf(e.getMessage()));
        }
        program = clamp.program();
        arena = Arena.ofConfined();
        clamp.become(Map.of(
                new MssClamp.Source(VIP4, 80), 1440,
                new MssClamp.Source(VIP6, 80), 1400,
                new MssClamp.Source(VIP6, 0), 1300));
    }

    @AfterEach
    void close() {
        if (clamp != null) {
            program.close();
            clamp.close();
            arena.close();
        }
    }

    private byte[] run(byte[] frame) throws Exception {
        MemorySegment in = arena.allocateFrom(ValueLayout.JAVA_BYTE, frame);
        MemorySegment out = arena.allocate(frame.length + 256L);
        TestRun.Result result = program.testRun(TestRun.of(in).into(out));
        assertThat(result.returned()).isEqualTo(NEITHER);
        return out.asSlice(0, result.length()).toArray(ValueLayout.JAVA_BYTE);
    }

    private static byte[] options(String before, int mss, String behind) {
        byte[] options = join(hex(before), new byte[] {2, 4}, shorts(mss), hex(behind));
        return Arrays.copyOf(options, (options.length + 3) & ~3);
    }

    /** A segment with options, its checksum added up anew. */
    private static byte[] segment(InetAddress from, int port, InetAddress to, int flags, byte[] options) {
        byte[] plain = Frames.tcp(from, port, to, 4000, flags, options);
        plain[12] = (byte) ((5 + options.length / 4) << 4);
        plain[16] = 0;
        plain[17] = 0;
        byte[] pseudo = join(from.getAddress(), to.getAddress(), shorts(0, Frames.TCP, 0, plain.length));
        int sum = Frames.sum(pseudo, plain);
        plain[16] = (byte) (sum >> 8);
        plain[17] = (byte) sum;
        return plain;
    }

    private static byte[] packet(InetAddress from, int port, int flags, byte[] options) {
        InetAddress to = from.getAddress().length == 4 ? CLIENT4 : CLIENT6;
        return ip(from, to, Frames.TCP, segment(from, port, to, flags, options));
    }

    private void assertThatItBecomes(byte[] packet, byte[] expected) throws Exception {
        assertThat(run(frame(DIRECTOR, ROUTER, packet))).containsExactly(frame(DIRECTOR, ROUTER, expected));
    }

    private static final String LINUX = "0402 080a 01020304 05060708 01 030307";

    @Test
    void theMssIsLoweredAndTheChecksumFollows() throws Exception {
        for (int mss : new int[] {1441, 1460, 8960, 65_535}) {
            assertThatItBecomes(
                    packet(VIP4, 80, SYN_ACK, options("", mss, LINUX)),
                    packet(VIP4, 80, SYN_ACK, options("", 1440, LINUX)));
            assertThatItBecomes(
                    packet(VIP6, 80, SYN_ACK, options("", mss, LINUX)),
                    packet(VIP6, 80, SYN_ACK, options("", 1400, LINUX)));
        }
        assertThat(clamp.lowered()).isEqualTo(8);
    }

    @Test
    void theOptionIsFoundAmongOthersAndAtOddPlacesToo() throws Exception {
        for (String before :
                List.of("01", "0101", "010101", "0402", "01 080a 01020304 05060708", "1312" + "ab".repeat(16))) {
            for (boolean v6 : new boolean[] {false, true}) {
                assertThatItBecomes(
                        packet(v6 ? VIP6 : VIP4, 80, SYN_ACK, options(before, 1460, "030307")),
                        packet(v6 ? VIP6 : VIP4, 80, SYN_ACK, options(before, v6 ? 1400 : 1440, "030307")));
            }
        }
        // As the last of 40 bytes.
        assertThatItBecomes(
                packet(VIP4, 80, SYN_ACK, options("01".repeat(36), 1460, "")),
                packet(VIP4, 80, SYN_ACK, options("01".repeat(36), 1440, "")));
        // Behind options of IPv4.
        byte[] segment = segment(VIP4, 80, CLIENT4, SYN_ACK, options("", 1460, ""));
        byte[] lower = segment(VIP4, 80, CLIENT4, SYN_ACK, options("", 1440, ""));
        assertThatItBecomes(
                join(ip4(VIP4, CLIENT4, Frames.TCP, 0, 7, 0x4000, 64, hex("94040000"), segment.length), segment),
                join(ip4(VIP4, CLIENT4, Frames.TCP, 0, 7, 0x4000, 64, hex("94040000"), lower.length), lower));
    }

    @Test
    void aPortOfItsOwnGoesBeforeTheAddressesOthers() throws Exception {
        assertThatItBecomes(
                packet(VIP6, 443, SYN_ACK, options("", 1460, "")), packet(VIP6, 443, SYN_ACK, options("", 1300, "")));
        byte[] otherPort = packet(VIP4, 443, SYN_ACK, options("", 1460, ""));
        assertThatItBecomes(otherPort, otherPort);
        clamp.become(Map.of(new MssClamp.Source(VIP4, 443), 1000));
        assertThatItBecomes(otherPort, packet(VIP4, 443, SYN_ACK, options("", 1000, "")));
        byte[] gone = packet(VIP4, 80, SYN_ACK, options("", 1460, ""));
        assertThatItBecomes(gone, gone);
    }

    @Test
    void everythingElseStaysAsItIs() throws Exception {
        byte[] synAck = packet(VIP4, 80, SYN_ACK, options("", 1460, LINUX));
        for (byte[] packet : List.of(
                packet(VIP4, 80, SYN_ACK, options("", 1440, LINUX)), // fits
                packet(VIP4, 80, SYN_ACK, options("", 536, LINUX)), // never raised
                packet(VIP4, 80, SYN_ACK, hex("04020303 07010101")), // has none
                packet(VIP4, 80, SYN_ACK, new byte[0]),
                packet(VIP4, 80, Frames.SYN, options("", 1460, LINUX)),
                packet(VIP4, 80, Frames.ACK, options("", 1460, LINUX)),
                packet(OTHER4, 80, SYN_ACK, options("", 1460, LINUX)),
                packet(VIP4, 80, SYN_ACK, options("1d10" + "ab".repeat(14), 1460, "")), // TCP-AO signs it
                packet(VIP4, 80, SYN_ACK, hex("01010101 00020405")), // behind the end
                packet(VIP4, 80, SYN_ACK, hex("05000204 05b40000")), // an option without a length
                packet(VIP4, 80, SYN_ACK, hex("0203ffff 01010101")), // a wrong one
                packet(VIP4, 80, SYN_ACK, hex("010101ff 020405b4")), // one that leads out
                packet(VIP4, 80, SYN_ACK, hex("fe440101 020405b4")), // and not round to the beginning
                ip(VIP4, CLIENT4, Frames.UDP, Frames.tail(synAck, 20)),
                join(ip4(VIP4, CLIENT4, Frames.TCP, 0, 7, 0x0010, 64, new byte[0], 40), Frames.tail(synAck, 20)))) {
            assertThatItBecomes(packet, packet);
        }
        // A tag: the interface of that VLAN has seen it without.
        byte[] tagged = tagged(DIRECTOR, ROUTER, new int[] {7}, synAck);
        assertThat(run(tagged)).containsExactly(tagged);
        assertThat(clamp.lowered()).isZero();
    }

    @Test
    void ofDamagedPacketsOnlyTheMssAndItsChecksumChange() throws Exception {
        Random random = new Random(11);
        byte[][] whole = {
            frame(DIRECTOR, ROUTER, packet(VIP4, 80, SYN_ACK, options("", 1460, LINUX))),
            frame(DIRECTOR, ROUTER, packet(VIP6, 80, SYN_ACK, options("0101", 1460, LINUX)))
        };
        int lowered = 0;
        for (int i = 0; i < 5_000; i++) {
            byte[] frame = whole[random.nextInt(whole.length)].clone();
            int l4 = frame[14] >> 4 == 4 ? 34 : 54;
            for (int flips = random.nextInt(5); flips > 0; flips--) {
                frame[12 + random.nextInt(frame.length - 12)] ^= (byte) (1 << random.nextInt(8));
            }
            frame = Arrays.copyOf(
                    frame, random.nextInt(4) == 0 ? l4 + random.nextInt(frame.length - l4 + 1) : frame.length);
            byte[] out = run(frame);
            assertThat(out).hasSameSizeAs(frame);
            int changed = 0;
            for (int at = 0; at < out.length; at++) {
                changed += out[at] == frame[at] ? 0 : 1;
            }
            if (changed > 0) {
                lowered++;
                assertThat(changed).isLessThanOrEqualTo(4);
                // What was wrong with the sum is wrong with it still, and nothing more.
                assertThat(sum(out, l4)).isEqualTo(sum(frame, l4));
            }
        }
        assertThat(lowered).isGreaterThan(1_000);
    }

    private static int sum(byte[] frame, int l4) {
        byte[] segment = Frames.tail(frame, l4);
        return Frames.sum(segment) == 0xffff ? 0 : Frames.sum(segment);
    }
}

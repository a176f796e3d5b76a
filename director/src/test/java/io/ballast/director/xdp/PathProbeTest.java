package io.ballast.director.xdp;

import static io.ballast.director.xdp.Village.VIP4;
import static io.ballast.director.xdp.Village.VIP6;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Endpoint.Protocol;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.director.xdp.PathProbe.Answer;
import io.ballast.director.xdp.PathProbe.Question;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.XdpLink;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.RouteNetlink;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Questions byte for byte, and asked of the village's servers, over wires and with the engine's programs on them. */
@Timeout(60)
final class PathProbeTest {
    private static final Duration PATIENCE = Duration.ofMillis(900);

    private static Resolution.Hop hop(InetAddress source) {
        return new Resolution.Hop(
                3,
                "eth1",
                new MacAddress(0x02_00_00_00_00_0aL),
                new MacAddress(0x02_00_00_00_00_0bL),
                1500,
                source,
                source);
    }

    private static String hex(Question question, int flags) {
        ByteBuffer frame = PathProbe.frame(question, 40_000, 0x01020304, flags);
        byte[] bytes = new byte[frame.remaining()];
        frame.get(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    private static final String ETHERNET = "02000000000b02000000000a";

    @Test
    void framesAreWhatTheProgramSends() {
        InetAddress own = Frames.address("10.9.1.1");
        InetAddress server = Frames.address("10.9.1.2");
        Endpoint endpoint = new Endpoint(VIP4, 80, Protocol.TCP);
        String inner = "4500002c00004000" + "4006" + "6dbb" + "0a090101" + "c0000201";
        String syn = "9c400050" + "01020304" + "00000000" + "6002ffff";
        String direct = hex(new Question(endpoint, ForwardingMethod.DR, server, hop(own), own), 2);
        assertThat(direct)
                .startsWith(ETHERNET + "0800" + inner.substring(0, 20))
                .contains(syn)
                .endsWith("02040218");
        assertThat(direct).hasSize(2 * (14 + 20 + 24));
        String tunnel = hex(new Question(endpoint, ForwardingMethod.TUNNEL, server, hop(own), own), 2);
        assertThat(tunnel)
                .startsWith(ETHERNET + "0800" + "45000040000040004004")
                .endsWith(direct.substring(28));
        String gue = hex(new Question(endpoint, ForwardingMethod.GUE, server, hop(own), own), 2);
        assertThat(gue)
                .startsWith(ETHERNET + "0800" + "45000048000040004011")
                .endsWith("0a090101" + "0a090102" + "dc4017c000340000" + direct.substring(28));
        InetAddress own6 = Frames.address("2001:db8:9:1::1");
        InetAddress server6 = Frames.address("2001:db8:9:1::2");
        String mixed = hex(new Question(endpoint, ForwardingMethod.TUNNEL, server6, hop(own6), own), 2);
        assertThat(mixed)
                .startsWith(ETHERNET + "86dd" + "60000000" + "002c" + "04" + "40")
                .endsWith(direct.substring(28));
        Endpoint endpoint6 = new Endpoint(VIP6, 80, Protocol.TCP);
        String reset = hex(new Question(endpoint6, ForwardingMethod.DR, server6, hop(own6), own6), 4);
        assertThat(reset)
                .startsWith(ETHERNET + "86dd" + "60000000" + "0014" + "06" + "40" + "20010db8000900010000000000000001")
                .contains("9c400050" + "01020304" + "00000000" + "5004ffff");
        for (String each : List.of(direct, reset)) {
            assertThat(sumOfSegment(HexFormat.of().parseHex(each)))
                    .as("checksum of " + each)
                    .isEqualTo(0xffff);
        }
    }

    /** The sum over pseudo header and segment, which is all ones where the checksum is right. */
    private static int sumOfSegment(byte[] frame) {
        boolean ipv6 = (frame[14] >>> 4) == 6;
        int addresses = 14 + (ipv6 ? 8 : 12);
        int sum = 6 + frame.length - 14 - (ipv6 ? 40 : 20);
        for (int i = addresses; i < frame.length; i += 2) {
            sum += ((frame[i] & 0xff) << 8) + (frame[i + 1] & 0xff);
        }
        return (sum & 0xffff) + (sum >>> 16);
    }

    @Test
    void whatIsNoAnswerIsNotTakenForOne() {
        assertThat(PathProbe.heard(ByteBuffer.allocate(0))).isEmpty();
        InetAddress own = Frames.address("10.9.1.1");
        Question question =
                new Question(new Endpoint(VIP4, 80, Protocol.TCP), ForwardingMethod.DR, VIP4, hop(own), own);
        assertThat(PathProbe.heard(PathProbe.frame(question, 1, 2, 0x02)))
                .as("SYN")
                .isEmpty();
        assertThat(PathProbe.heard(PathProbe.frame(question, 1, 2, 0x10)))
                .as("ACK")
                .isEmpty();
        assertThat(PathProbe.heard(PathProbe.frame(question, 1, 2, 0x12)))
                .hasValueSatisfying(heard -> assertThat(heard.accepts()).isTrue());
        assertThat(PathProbe.heard(PathProbe.frame(question, 1, 2, 0x14)))
                .hasValueSatisfying(heard -> assertThat(heard.accepts()).isFalse());
        ByteBuffer cut = PathProbe.frame(question, 1, 2, 0x12);
        assertThat(PathProbe.heard(cut.limit(cut.limit() - 6))).isEmpty();
    }

    private static List<Question> questions(Village village, ForwardingMethod method, InetAddress vip, boolean ipv6)
            throws Exception {
        List<Question> questions = new ArrayList<>();
        for (int number = 1; number <= 2; number++) {
            String way = (ipv6 ? "2001:db8:9:" + number + "::" : "10.9." + number + ".");
            InetAddress own = Frames.address(way + "1");
            InetAddress inner = vip.equals(VIP6) == ipv6
                    ? own
                    : Frames.address(ipv6 ? "10.9." + number + ".1" : "2001:db8:9:" + number + "::1");
            MacAddress from = mac(village.director, "eth" + number);
            MacAddress to = mac(village.servers.get(number - 1), "eth0");
            questions.add(new Question(
                    new Endpoint(vip, Village.PORT, Protocol.TCP),
                    method,
                    Frames.address(way + "2"),
                    new Resolution.Hop(village.index("eth" + number), "eth" + number, from, to, 1500, own, own),
                    inner));
        }
        return questions;
    }

    private static MacAddress mac(NetworkNamespace where, String device) throws Exception {
        return where.call(() -> {
            try (RouteNetlink netlink = RouteNetlink.open()) {
                return Objects.requireNonNull(netlink.link(device).orElseThrow().address());
            }
        });
    }

    private static List<Answer> answers(Village village, List<Question> questions) throws Exception {
        Map<Question, Answer> answers = village.director.call(() -> PathProbe.ask(questions, PATIENCE));
        return questions.stream().map(answers::get).toList();
    }

    @Test
    void aServerWithoutTheAddressIsSilent() throws Exception {
        try (Village village = new Village()) {
            // Without forwarding by itself, a kernel drops what is for nobody it knows.
            Village.netlink(village.servers.getLast(), netlink -> {
                int lo = Village.index(netlink, "lo");
                netlink.remove(Address.of(lo, VIP4, 32));
                netlink.remove(Address.of(lo, VIP6, 128));
            });
            assertThat(answers(village, questions(village, ForwardingMethod.DR, VIP4, false)))
                    .containsExactly(Answer.ACCEPTS, Answer.SILENT);
            assertThat(answers(village, questions(village, ForwardingMethod.DR, VIP6, true)))
                    .containsExactly(Answer.ACCEPTS, Answer.SILENT);
        }
    }

    @Test
    void aServerThatDoesNotListenRefuses() throws Exception {
        try (Village village = new Village()) {
            village.silence(2);
            assertThat(answers(village, questions(village, ForwardingMethod.DR, VIP4, false)))
                    .containsExactly(Answer.ACCEPTS, Answer.REFUSES);
            assertThat(answers(village, questions(village, ForwardingMethod.DR, VIP6, true)))
                    .containsExactly(Answer.ACCEPTS, Answer.REFUSES);
        }
    }

    @Test
    void aServerThatUnpacksNoTunnelIsSilent() throws Exception {
        try (Village village = new Village();
                Unpacker unpacker = Unpacker.load();
                BpfProgram program = unpacker.program();
                XdpLink link = village.servers.getFirst().call(() -> {
                    try (RouteNetlink netlink = RouteNetlink.open()) {
                        return XdpLink.attach(program, Village.index(netlink, "eth0"), "eth0", XdpLink.Mode.NATIVE);
                    }
                })) {
            assertThat(link).isNotNull();
            unpacker.become(Set.of(VIP4, VIP6), Set.of(Frames.address("10.9.1.2"), Frames.address("2001:db8:9:1::2")));
            for (ForwardingMethod method : List.of(ForwardingMethod.TUNNEL, ForwardingMethod.GUE)) {
                for (InetAddress vip : List.of(VIP4, VIP6)) {
                    for (boolean ipv6 : new boolean[] {false, true}) {
                        assertThat(answers(village, questions(village, method, vip, ipv6)))
                                .as(method + " of " + vip + " in " + (ipv6 ? "IPv6" : "IPv4"))
                                .containsExactly(Answer.ACCEPTS, Answer.SILENT);
                    }
                }
            }
        }
    }
}

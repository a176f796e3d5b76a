package io.ballast.linux.neighbour;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.Capability;
import io.ballast.linux.Host;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ArpProbeTest {
    private static final Inet4Address VIP = (Inet4Address) InetAddress.ofLiteral("192.0.2.100");
    private static final Inet4Address NOBODY = (Inet4Address) InetAddress.ofLiteral("192.0.2.101");

    @Test
    void aRealServerThatSaysTooMuchIsHeard() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace here = NetworkNamespace.create();
                NetworkNamespace there = NetworkNamespace.create();
                RouteNetlink mine = here.call(RouteNetlink::open);
                RouteNetlink theirs = there.call(RouteNetlink::open)) {
            mine.create(new NewLink.Veth("eth0", "eth0", there));
            Link far = theirs.link("eth0").orElseThrow();
            mine.setUp(mine.link("eth0").orElseThrow().index(), true);
            theirs.setUp(far.index(), true);
            theirs.add(Address.of(1, VIP, 32));
            Host.await("the wire", () -> {
                try {
                    return mine.link("eth0").orElseThrow().running();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            Link wire = mine.link("eth0").orElseThrow();
            mine.add(Address.of(wire.index(), VIP, 24));

            Map<InetAddress, Set<MacAddress>> found =
                    here.call(() -> ArpProbe.whoElseHas(wire, Set.of(VIP, NOBODY), Duration.ofMillis(500)));
            assertThat(found).isEqualTo(Map.of(VIP, Set.of(Objects.requireNonNull(far.address()))));

            there.call(() -> Sysctl.write("net.ipv4.conf.all.arp_ignore", "1"));
            found = here.call(() -> ArpProbe.whoElseHas(wire, Set.of(VIP, NOBODY), Duration.ofMillis(200)));
            assertThat(found).isEmpty();
        }
    }

    @Test
    void theRequestIsThatOfTheStandard() {
        byte[] frame = new byte[42];
        ArpProbe.request(MacAddress.parse("02:00:00:00:00:aa"), VIP).get(frame);
        assertThat(HexFormat.of().formatHex(frame))
                .isEqualTo("ffffffffffff0200000000aa0806" + "0001080006040001" + "0200000000aa00000000"
                        + "000000000000c0000264");
    }

    @Test
    void garbageIsNoAnswer() {
        Random random = new Random(8);
        for (int i = 0; i < 20_000; i++) {
            byte[] garbage = new byte[random.nextInt(60)];
            random.nextBytes(garbage);
            assertThat(ArpProbe.sender(ByteBuffer.wrap(garbage))).isEmpty();
        }
    }
}

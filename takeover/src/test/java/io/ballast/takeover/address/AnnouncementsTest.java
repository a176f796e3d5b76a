package io.ballast.takeover.address;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.linux.netlink.MacAddress;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/** Bytes that tshark 4.0.17 finds well-formed, with a good ICMPv6 checksum. */
class AnnouncementsTest {
    private static final MacAddress MAC = MacAddress.parse("02:00:00:00:00:aa");
    private static final Inet4Address VIP = (Inet4Address) InetAddress.ofLiteral("192.0.2.100");
    private static final Inet6Address VIP6 = (Inet6Address) InetAddress.ofLiteral("2001:db8::100");

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    @Test
    void anArpRequestIsThatOfKeepalived() {
        assertThat(hex(Announcements.arpRequest(MAC, VIP)))
                .isEqualTo("ffffffffffff0200000000aa0806" + "0001080006040001" + "0200000000aac0000264"
                        + "ffffffffffffc0000264");
    }

    @Test
    void anArpReplyNamesItsSenderTwice() {
        assertThat(hex(Announcements.arpReply(MAC, VIP)))
                .isEqualTo("ffffffffffff0200000000aa0806" + "0001080006040002" + "0200000000aac0000264"
                        + "0200000000aac0000264");
    }

    /** 2001 + 0db8 + 0100 (source), ff02 + 0001, 0020 + 003a, 8800 + 2000, the target again, 0201 + 0200 + 00aa. */
    @Test
    void aNeighbourAdvertisementReplacesWhatWasKnown() {
        assertThat(hex(Announcements.neighbourAdvertisement(MAC, VIP6, false)))
                .isEqualTo("3333000000010200000000aa86dd" + "6000000000203aff"
                        + "20010db8000000000000000000000100" + "ff020000000000000000000000000001"
                        + "8800f68320000000" + "20010db8000000000000000000000100" + "02010200000000aa");
    }

    @Test
    void aProbeAsksInTheNameOfANeighbour() {
        assertThat(hex(Announcements.arpProbe(MAC, MacAddress.parse("02:00:00:00:00:bb"), VIP)))
                .isEqualTo("ffffffffffff0200000000aa0806" + "0001080006040001" + "0200000000bb00000000"
                        + "000000000000c0000264");
    }

    /** ff02 + 0001 + ff00 + 0100 twice (destination, target's end), 0018 + 003a, 8700, 2001 + 0db8. */
    @Test
    void aNeighbourProbeIsThatOfOneWithoutAnAddress() {
        assertThat(hex(Announcements.neighbourProbe(MAC, VIP6)))
                .isEqualTo("3333ff0001000200000000aa86dd" + "6000000000183aff" + "00000000000000000000000000000000"
                        + "ff0200000000000000000001ff000100" + "87004aef00000000" + "20010db8000000000000000000000100");
    }

    @Test
    void aRouterSaysThatItIsOne() {
        byte[] host = Announcements.neighbourAdvertisement(MAC, VIP6, false);
        byte[] router = Announcements.neighbourAdvertisement(MAC, VIP6, true);
        assertThat(hex(router).substring(2 * 54)).startsWith("88007683a0000000");
        assertThat(router).hasSameSizeAs(host);
    }
}

package io.ballast.takeover.vrrp;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.AdvertisementCodec.Decoded;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The packet is keepalived's (2.2.7), as it sent it on a wire of ours. */
class AuthenticationHeaderTest {
    private static final HexFormat HEX = HexFormat.of();
    private static final InetAddress FROM = InetAddress.ofLiteral("192.0.2.1");
    private static final InetAddress GROUP = InetAddress.ofLiteral("224.0.0.18");
    private static final InetAddress PEER = InetAddress.ofLiteral("192.0.2.2");
    private static final Authentication SECRET = Authentication.header("secret");
    private static final Advertisement AD =
            new Advertisement(2, 51, 100, Advertisement.SECOND, List.of(InetAddress.ofLiteral("192.0.2.100")));
    private static final String IP = "45c000400002" + "0000ff3318b5" + "c0000201e0000012";
    private static final String REST =
            "70040000c000020100000002acd706ca30140c6a8d9f9415" + "213364010201b665c00002640000000000000000";

    private static byte[] message() {
        return AdvertisementCodec.encode(AD, SECRET, Checksum.MESSAGE, FROM, GROUP);
    }

    @Test
    void itIsKeepalivedsByteForByte() {
        byte[] packet = new AuthenticationHeader("secret").packet(message(), 2, FROM, GROUP);
        assertThat(HEX.formatHex(packet)).isEqualTo(IP.replace("18b5", "0000") + REST);
        assertThat(packet).hasSize(AuthenticationHeader.AROUND + message().length);
    }

    @Test
    void keepalivedsIsAcceptedAndReadOnce() {
        AuthenticationHeader header = new AuthenticationHeader("secret");
        byte[] payload = HEX.parseHex(REST);
        assertThat(header.judge(HEX.parseHex(IP), payload, FROM)).isEmpty();
        byte[] message = AuthenticationHeader.message(payload);
        assertThat(AdvertisementCodec.decode(message, 0, 255, SECRET, FROM, GROUP))
                .isEqualTo(new Decoded.Good(AD, Checksum.MESSAGE));
        assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.password("secret"), FROM, GROUP))
                .isEqualTo(new Decoded.Bad(Discard.AUTHENTICATION_TYPE));
        assertThat(header.judge(HEX.parseHex(IP), payload, FROM)).contains(Discard.REPLAYED);
        assertThat(header.next(1, 0, 0)).as("above all that was heard").isEqualTo(3);
    }

    @ParameterizedTest
    @CsvSource({
        "ip, 3",
        "ip, 5",
        "ip, 12",
        "ip, 17",
        "rest, 7",
        "rest, 11",
        "rest, 12",
        "rest, 23",
        "rest, 26",
        "rest, 43"
    })
    void allOfItIsAuthenticated(String part, int at) {
        byte[] ip = HEX.parseHex(IP);
        byte[] rest = HEX.parseHex(REST);
        (part.equals("ip") ? ip : rest)[at] ^= 1;
        assertThat(new AuthenticationHeader("secret").judge(ip, rest, FROM)).contains(Discard.AUTHENTICATION);
    }

    @ParameterizedTest
    @CsvSource({"1", "6", "7", "10"})
    void whatChangesOnTheWayIsNot(int at) {
        byte[] ip = HEX.parseHex(IP);
        ip[at] ^= 1;
        assertThat(new AuthenticationHeader("secret").judge(ip, HEX.parseHex(REST), FROM))
                .isEmpty();
    }

    @Test
    void othersAreNotListenedTo() {
        byte[] ip = HEX.parseHex(IP);
        byte[] rest = HEX.parseHex(REST);
        assertThat(new AuthenticationHeader("Secret").judge(ip, rest, FROM)).contains(Discard.AUTHENTICATION);
        assertThat(new AuthenticationHeader("secret").judge(ip, rest, PEER)).contains(Discard.AUTHENTICATION);
        for (int at = 0; at < 4; at++) {
            byte[] other = rest.clone();
            other[at] ^= 1;
            assertThat(new AuthenticationHeader("secret").judge(ip, other, FROM))
                    .contains(Discard.HEADER);
        }
        for (int length = 0; length <= AuthenticationHeader.LENGTH; length++) {
            assertThat(new AuthenticationHeader("secret").judge(ip, Arrays.copyOf(rest, length), FROM))
                    .contains(Discard.HEADER);
        }
    }

    @Test
    void toAPeerTheTtlIsNoPartOfIt() {
        AuthenticationHeader header = new AuthenticationHeader("secret");
        byte[] packet = header.packet(message(), 9, FROM, PEER);
        byte[] ip = Arrays.copyOf(packet, 20);
        ip[8] = 7;
        assertThat(new AuthenticationHeader("secret").judge(ip, Arrays.copyOfRange(packet, 20, packet.length), FROM))
                .isEmpty();
    }

    @Test
    void sequencesGrowOverRestartsAndWhatIsTakenBackWasNotUsed() {
        AuthenticationHeader header = new AuthenticationHeader("secret");
        assertThat(header.next(10, 10, 1_000)).isEqualTo(1_000);
        assertThat(header.next(20, 10, 1_000)).isEqualTo(1_001);
        assertThat(header.next(30, 10, 1_002)).isEqualTo(1_002);
        header.takeBack(25);
        assertThat(header.next(26, 26, 1_000)).isEqualTo(1_002);
        assertThat(new AuthenticationHeader("secret").next(10, 10, 1_100)).isEqualTo(1_100);
    }
}

package io.ballast.takeover.vrrp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.AdvertisementCodec.Decoded;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes in and out; the sums of the fixed messages were worked out by hand. */
class AdvertisementCodecTest {
    private static final InetAddress FROM4 = InetAddress.ofLiteral("10.77.0.11");
    private static final InetAddress TO4 = InetAddress.ofLiteral("224.0.0.18");
    private static final InetAddress FROM6 = InetAddress.ofLiteral("fe80::11");
    private static final InetAddress TO6 = InetAddress.ofLiteral("ff02::12");
    private static final List<InetAddress> VIP4 = List.of(InetAddress.ofLiteral("10.77.0.100"));
    private static final List<InetAddress> VIP6 =
            List.of(InetAddress.ofLiteral("fe80::100"), InetAddress.ofLiteral("2001:db8::100"));
    private static final Advertisement V2 = new Advertisement(2, 77, 150, 3 * Advertisement.SECOND, VIP4);
    private static final Advertisement V3 = new Advertisement(3, 77, 150, Advertisement.CENTISECOND, VIP4);
    private static final Advertisement V3_IPV6 = new Advertisement(3, 77, 150, Advertisement.SECOND, VIP6);

    /** 214d + 9601 + 0003 + 0a4d + 0064 = c202, whose complement is 3dfd. */
    @Test
    void version2IsTheMessageWithEightBytesOfAuthentication() {
        byte[] message = AdvertisementCodec.encode(V2, Authentication.NONE, Checksum.PSEUDO_HEADER, FROM4, TO4);
        assertThat(HexFormat.of().formatHex(message)).isEqualTo("214d960100033dfd0a4d00640000000000000000");
        assertThat(decode(message, "")).isEqualTo(new Decoded.Good(V2, Checksum.MESSAGE));
    }

    /** "secret" adds 7365 + 6372 + 6574, its type 0100: ff4e with the carry, complement 00b1. */
    @Test
    void aPasswordOfVersion2TravelsInClear() {
        byte[] message = AdvertisementCodec.encode(V2, Authentication.password("secret"), Checksum.MESSAGE, FROM4, TO4);
        assertThat(HexFormat.of().formatHex(message)).isEqualTo("214d9601010300b10a4d00647365637265740000");
        assertThat(decode(message, "secret")).isInstanceOf(Decoded.Good.class);
        assertThat(decode(message, "secreT")).isEqualTo(new Decoded.Bad(Discard.AUTHENTICATION));
        assertThat(decode(message, "")).isEqualTo(new Decoded.Bad(Discard.AUTHENTICATION_TYPE));
    }

    /** 314d + 9601 + 0001 + 0a4d + 0064 = d200, complement 2dff; with 0a4d + 000b + e000 + 0012 + 0070 + 000c it is bce7, complement 4318. */
    @Test
    void version3OverIpv4HasEitherSum() {
        byte[] message = AdvertisementCodec.encode(V3, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        assertThat(HexFormat.of().formatHex(message)).isEqualTo("314d960100012dff0a4d0064");
        assertThat(decode(message, "")).isEqualTo(new Decoded.Good(V3, Checksum.MESSAGE));
        byte[] usual = AdvertisementCodec.encode(V3, Authentication.NONE, Checksum.PSEUDO_HEADER, FROM4, TO4);
        assertThat(HexFormat.of().formatHex(usual)).isEqualTo("314d9601000143180a4d0064");
        assertThat(decode(usual, "")).isEqualTo(new Decoded.Good(V3, Checksum.PSEUDO_HEADER));
    }

    @Test
    void version3OverIpv6HasThePseudoHeaderInItsSum() {
        for (Checksum checksum : Checksum.values()) {
            byte[] message = AdvertisementCodec.encode(V3_IPV6, Authentication.NONE, checksum, FROM6, TO6);
            assertThat(message).hasSize(40);
            assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.NONE, FROM6, TO6))
                    .isEqualTo(new Decoded.Good(V3_IPV6, Checksum.PSEUDO_HEADER));
            assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.NONE, FROM6, FROM6))
                    .isEqualTo(new Decoded.Bad(Discard.CHECKSUM));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "00, 41, VERSION",
        "00, 32, TYPE",
        "01, 00, ROUTER_ID",
        "03, 00, LENGTH",
        "03, 02, LENGTH",
        "02, 97, CHECKSUM",
        "05, 00, INTERVAL",
        "08, 0b, CHECKSUM"
    })
    void whatIsWrongIsSaid(String at, String value, Discard why) {
        byte[] message = AdvertisementCodec.encode(V3, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        int index = Integer.parseInt(at);
        message[index] = (byte) Integer.parseInt(value, 16);
        if (why != Discard.CHECKSUM) {
            mend(message);
        }
        assertThat(decode(message, "")).isEqualTo(new Decoded.Bad(why));
    }

    @Test
    void noAddressIsNoAdvertisement() {
        byte[] message = HexFormat.of().parseHex("314d96000064" + "0000");
        mend(message);
        assertThat(decode(message, "")).isEqualTo(new Decoded.Bad(Discard.NO_ADDRESS));
    }

    @Test
    void reservedBitsAreNotPartOfTheInterval() {
        byte[] message = AdvertisementCodec.encode(V3, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        message[4] |= (byte) 0xf0;
        mend(message);
        assertThat(decode(message, "")).isEqualTo(new Decoded.Good(V3, Checksum.MESSAGE));
    }

    @Test
    void version2IsNotForIpv6() {
        byte[] message = AdvertisementCodec.encode(V3_IPV6, Authentication.NONE, Checksum.MESSAGE, FROM6, TO6);
        message[0] = 0x21;
        assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.NONE, FROM6, TO6))
                .isEqualTo(new Decoded.Bad(Discard.VERSION));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 64, 254})
    void onlyTheLinkIsListenedTo(int ttl) {
        byte[] message = AdvertisementCodec.encode(V3, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        assertThat(AdvertisementCodec.decode(message, 0, ttl, Authentication.NONE, FROM4, TO4))
                .isEqualTo(new Decoded.Bad(Discard.TTL));
        assertThat(AdvertisementCodec.decode(message, 0, -1, Authentication.NONE, FROM4, TO4))
                .isInstanceOf(Decoded.Good.class);
    }

    @Test
    void everyAdvertisementComesBackAsItWent() {
        Random random = new Random(1);
        for (int run = 0; run < 2000; run++) {
            boolean ipv6 = random.nextBoolean();
            int version = ipv6 || random.nextBoolean() ? 3 : 2;
            List<InetAddress> addresses = new ArrayList<>();
            for (int i = random.nextInt(1, 256); i > 0; i--) {
                addresses.add(InetAddress.ofLiteral(
                        ipv6
                                ? "2001:db8::" + Integer.toHexString(random.nextInt(1, 65536))
                                : "10.1." + i + "." + run % 256));
            }
            Advertisement ad = new Advertisement(
                    version,
                    random.nextInt(1, 256),
                    random.nextInt(256),
                    random.nextLong(1, Advertisement.most(version) + 1) * Advertisement.unit(version),
                    addresses);
            InetAddress from = ipv6 ? FROM6 : FROM4;
            InetAddress to = ipv6 ? TO6 : TO4;
            String password = version == 2 && random.nextBoolean() ? "pass" + random.nextInt(1_000_000) : "";
            byte[] message = AdvertisementCodec.encode(
                    ad,
                    Authentication.password(password),
                    random.nextBoolean() ? Checksum.MESSAGE : Checksum.PSEUDO_HEADER,
                    from,
                    to);
            assertThat(message.length).isLessThanOrEqualTo(AdvertisementCodec.LONGEST);
            assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.password(password), from, to))
                    .isInstanceOfSatisfying(
                            Decoded.Good.class,
                            good -> assertThat(good.advertisement()).isEqualTo(ad));
        }
    }

    /** What comes from the network may be anything; it is decoded or discarded, and nothing else happens. */
    @Test
    void damagedAdvertisementsAreDiscarded() {
        Random random = new Random(2);
        int good = 0;
        for (int run = 0; run < 200_000; run++) {
            byte[] message = random.nextBoolean()
                    ? AdvertisementCodec.encode(V3_IPV6, Authentication.NONE, Checksum.MESSAGE, FROM6, TO6)
                    : AdvertisementCodec.encode(
                            random.nextBoolean() ? V2 : V3, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
            boolean ipv6 = message.length == 40;
            if (random.nextInt(4) == 0) {
                message = java.util.Arrays.copyOf(message, random.nextInt(message.length + 20));
            }
            for (int i = random.nextInt(4); i > 0 && message.length > 0; i--) {
                message[random.nextInt(message.length)] = (byte) random.nextInt();
            }
            if (!ipv6 && message.length >= 8 && random.nextBoolean()) {
                mend(message);
            }
            if (AdvertisementCodec.decode(message, 0, 255, Authentication.NONE, ipv6 ? FROM6 : FROM4, ipv6 ? TO6 : TO4)
                    instanceof Decoded.Good) {
                good++;
            }
        }
        assertThat(good).isBetween(40_000, 160_000);
    }

    /** An IPv4 address in the clothes of IPv6 is one of IPv6. */
    @Test
    void mappedAddressesStayOfTheirFamily() throws Exception {
        List<InetAddress> mapped = List.of(
                VIP6.getFirst(),
                java.net.Inet6Address.getByAddress(
                        null, HexFormat.of().parseHex("00000000000000000000ffff0a4d0064"), -1));
        Advertisement ad = new Advertisement(3, 77, 150, Advertisement.SECOND, mapped);
        byte[] message = AdvertisementCodec.encode(ad, Authentication.NONE, Checksum.MESSAGE, FROM6, TO6);
        assertThat(AdvertisementCodec.decode(message, 0, 255, Authentication.NONE, FROM6, TO6))
                .isEqualTo(new Decoded.Good(ad, Checksum.PSEUDO_HEADER));
    }

    @Test
    void whatCannotTravelCannotBeMade() {
        assertThatThrownBy(() -> new Advertisement(2, 1, 100, Advertisement.SECOND / 2, VIP4))
                .hasMessageContaining("interval");
        assertThatThrownBy(() -> new Advertisement(2, 1, 100, Advertisement.SECOND, VIP6))
                .hasMessageContaining("IPv4 only");
        assertThatThrownBy(() -> new Advertisement(3, 1, 100, 4096 * Advertisement.CENTISECOND, VIP4))
                .hasMessageContaining("interval");
        assertThatThrownBy(() -> new Advertisement(3, 0, 100, Advertisement.SECOND, VIP4))
                .hasMessageContaining("virtual router 0");
        assertThatThrownBy(() -> new Advertisement(3, 1, 100, Advertisement.SECOND, List.of()))
                .hasMessageContaining("0 addresses");
    }

    private static Decoded decode(byte[] message, String password) {
        return AdvertisementCodec.decode(message, 0, 255, Authentication.password(password), FROM4, TO4);
    }

    /** Makes the message's own sum right again. */
    private static void mend(byte[] message) {
        message[6] = 0;
        message[7] = 0;
        int sum = 0;
        for (int i = 0; i < message.length; i++) {
            sum += (message[i] & 0xff) << (i % 2 == 0 ? 8 : 0);
        }
        while (sum >> 16 != 0) {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        message[6] = (byte) (~sum >> 8);
        message[7] = (byte) ~sum;
    }
}

package io.ballast.takeover.vrrp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.AdvertisementCodec.Decoded;
import io.ballast.takeover.vrrp.Authentication.Hmac;
import io.ballast.takeover.vrrp.Authentication.Mode;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The fixed messages are those of the appendix of draft-cassen-vrrp-auth-hmac. */
class HmacTrailerTest {
    private static final HexFormat HEX = HexFormat.of();
    private static final Authentication.Key KEY =
            new Authentication.Key(1, HEX.parseHex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
    private static final Authentication.Key OTHER = new Authentication.Key(2, new byte[32]);
    private static final long SECOND = 1_000_000_000L;
    private static final long SEQUENCE = 0x6800000080000000L;
    /** Half a second behind the full one. */
    private static final long UTC = 0x68000000L * SECOND + SECOND / 2;

    private static final InetAddress FROM4 = InetAddress.ofLiteral("198.51.100.10");
    private static final InetAddress TO4 = InetAddress.ofLiteral("224.0.0.18");
    private static final InetAddress FROM6 = InetAddress.ofLiteral("fe80::10");
    private static final InetAddress TO6 = InetAddress.ofLiteral("fe80::20");
    private static final Advertisement AD4 =
            new Advertisement(3, 51, 200, SECOND, List.of(InetAddress.ofLiteral("192.0.2.100")));
    private static final Advertisement AD6 =
            new Advertisement(3, 51, 200, SECOND, List.of(InetAddress.ofLiteral("fe80::100")));
    private static final String SIGNED4 =
            "3133c80100644402c0000264" + "010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265";
    private static final String SIGNED6 = "3133c8010064a2e9fe800000000000000000000000000100"
            + "010100006800000080000000" + "c8c56146ebfd66ee10ec4d8186461b78";

    private static Hmac hmac(Mode mode, boolean fresh, Authentication.Key... keys) {
        return new Hmac(List.of(keys), mode, fresh, 5);
    }

    private static HmacTrailer trailer(Authentication.Key... keys) {
        return new HmacTrailer(hmac(Mode.ENFORCE, true, keys));
    }

    private static byte[] signed4(HmacTrailer by, long sequence) {
        byte[] message = AdvertisementCodec.encode(AD4, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        return by.sign(message, sequence, FROM4, TO4);
    }

    @Test
    void whatIsSignedIsTheDraftsByteForByte() {
        assertThat(HEX.formatHex(signed4(trailer(KEY), SEQUENCE))).isEqualTo(SIGNED4);
        byte[] six = AdvertisementCodec.encode(AD6, Authentication.NONE, Checksum.MESSAGE, FROM6, TO6);
        assertThat(HEX.formatHex(trailer(KEY).sign(six, SEQUENCE, FROM6, TO6))).isEqualTo(SIGNED6);
        assertThat(HmacTrailer.sequence(UTC)).isEqualTo(SEQUENCE);
    }

    @Test
    void theDraftsMessagesAreAcceptedAndRead() {
        byte[] four = HEX.parseHex(SIGNED4);
        byte[] six = HEX.parseHex(SIGNED6);
        assertThat(trailer(KEY).judge(four, FROM4, UTC)).isEmpty();
        assertThat(trailer(KEY).judge(six, FROM6, UTC)).isEmpty();
        assertThat(HmacTrailer.isBehind(four, FROM4)).isTrue();
        assertThat(AdvertisementCodec.decode(four, HmacTrailer.LENGTH, 255, Authentication.NONE, FROM4, TO4))
                .isEqualTo(new Decoded.Good(AD4, Checksum.MESSAGE));
        assertThat(AdvertisementCodec.decode(six, HmacTrailer.LENGTH, 255, Authentication.NONE, FROM6, TO6))
                .isEqualTo(new Decoded.Good(AD6, Checksum.PSEUDO_HEADER));
        assertThat(AdvertisementCodec.decode(four, 0, 255, Authentication.NONE, FROM4, TO4))
                .as("where nothing is signed")
                .isEqualTo(new Decoded.Bad(Discard.AUTHENTICATION_TYPE));
    }

    @ParameterizedTest
    @CsvSource({
        "2, SIGNATURE",
        "1, SIGNATURE",
        "5, SIGNATURE",
        "23, SIGNATURE",
        "24, SIGNATURE_TYPE",
        "25, UNKNOWN_KEY",
        "26, SIGNATURE_TYPE",
        "31, SIGNATURE",
        "28, STALE",
        "35, SIGNATURE",
        "36, SIGNATURE",
        "51, SIGNATURE"
    })
    void everyByteIsPartOfIt(int at, Discard why) {
        byte[] packet = HEX.parseHex(SIGNED6);
        packet[at] ^= 1;
        assertThat(trailer(KEY, new Authentication.Key(7, new byte[40])).judge(packet, FROM6, UTC))
                .contains(why);
    }

    @Test
    void itIsItsSendersAndNobodyElses() {
        assertThat(trailer(KEY).judge(HEX.parseHex(SIGNED6), TO6, UTC)).contains(Discard.SIGNATURE);
        assertThat(trailer(new Authentication.Key(1, new byte[32])).judge(HEX.parseHex(SIGNED6), FROM6, UTC))
                .contains(Discard.SIGNATURE);
        assertThat(trailer(OTHER).judge(HEX.parseHex(SIGNED6), FROM6, UTC)).contains(Discard.UNKNOWN_KEY);
        assertThat(trailer(OTHER, KEY).judge(HEX.parseHex(SIGNED6), FROM6, UTC)).isEmpty();
    }

    @Test
    void theModeSaysWhatIsAcceptedUnsigned() {
        byte[] unsigned = AdvertisementCodec.encode(AD4, Authentication.NONE, Checksum.MESSAGE, FROM4, TO4);
        byte[] forged = signed4(trailer(new Authentication.Key(1, new byte[32])), SEQUENCE);
        for (Mode mode : Mode.values()) {
            HmacTrailer trailer = new HmacTrailer(hmac(mode, true, KEY));
            assertThat(trailer.judge(unsigned, FROM4, UTC))
                    .as(mode.name())
                    .isEqualTo(mode == Mode.ENFORCE ? Optional.of(Discard.UNSIGNED) : Optional.empty());
            assertThat(trailer.judge(forged, FROM4, UTC)).contains(Discard.SIGNATURE);
            assertThat(trailer.signs()).isEqualTo(mode != Mode.RECEIVE_ONLY);
        }
    }

    @Test
    void whatWasHeardIsNotHeardAgain() {
        HmacTrailer trailer = trailer(KEY);
        byte[] first = signed4(trailer, SEQUENCE);
        byte[] second = signed4(trailer, SEQUENCE + 1);
        assertThat(trailer.judge(first, FROM4, UTC)).isEmpty();
        assertThat(trailer.judge(first, FROM4, UTC)).contains(Discard.REPLAYED);
        assertThat(trailer.judge(second, FROM4, UTC)).isEmpty();
        assertThat(trailer.judge(first, FROM4, UTC)).contains(Discard.REPLAYED);
        trailer.configure(hmac(Mode.ENFORCE, true, OTHER, KEY));
        assertThat(trailer.judge(second, FROM4, UTC)).as("with new keys").contains(Discard.REPLAYED);
    }

    @Test
    void whatWasNotHeardIsGoodForTheWindowOnly() {
        byte[] packet = signed4(trailer(KEY), SEQUENCE);
        assertThat(trailer(KEY).judge(packet, FROM4, UTC + 5 * SECOND)).isEmpty();
        assertThat(trailer(KEY).judge(packet, FROM4, UTC - 5 * SECOND)).isEmpty();
        assertThat(trailer(KEY).judge(packet, FROM4, UTC + 6 * SECOND)).contains(Discard.STALE);
        assertThat(trailer(KEY).judge(packet, FROM4, UTC - 6 * SECOND)).contains(Discard.STALE);
        assertThat(new HmacTrailer(hmac(Mode.ENFORCE, false, KEY)).judge(packet, FROM4, UTC + 3600 * SECOND))
                .as("where only the order counts")
                .isEmpty();
    }

    @Test
    void aSenderWhoseClockWasSetBackIsHeardAgain() {
        HmacTrailer trailer = trailer(KEY);
        HmacTrailer ordered = new HmacTrailer(hmac(Mode.ENFORCE, false, KEY));
        byte[] ahead = signed4(trailer, HmacTrailer.sequence(UTC + 3600 * SECOND));
        byte[] right = signed4(trailer, SEQUENCE);
        assertThat(trailer.judge(ahead, FROM4, UTC + 3600 * SECOND)).isEmpty();
        assertThat(trailer.judge(right, FROM4, UTC)).isEmpty();
        assertThat(ordered.judge(ahead, FROM4, UTC)).isEmpty();
        assertThat(ordered.judge(right, FROM4, UTC)).contains(Discard.REPLAYED);
    }

    @Test
    void sequencesGrowWithTheTimeOfSending() {
        HmacTrailer trailer = trailer(KEY);
        assertThat(trailer.next(100, 100, UTC)).isEqualTo(SEQUENCE);
        assertThat(trailer.next(100, 100, UTC)).as("at the same moment").isEqualTo(SEQUENCE + 1);
        assertThat(trailer.next(200, 100, UTC - SECOND))
                .as("the clock went back")
                .isEqualTo(SEQUENCE + 2);
        assertThat(trailer.next(300, 100, UTC + SECOND)).isEqualTo(HmacTrailer.sequence(UTC + SECOND));
    }

    @Test
    void whatIsTakenBackWasNotUsed() {
        HmacTrailer trailer = trailer(KEY);
        trailer.next(100, 100, UTC);
        trailer.next(200, 100, UTC + SECOND);
        trailer.next(300, 100, UTC + 2 * SECOND);
        trailer.takeBack(250);
        assertThat(trailer.next(260, 260, UTC))
                .as("behind the second")
                .isEqualTo(HmacTrailer.sequence(UTC + SECOND) + 1);
        trailer.takeBack(260);
        trailer.takeBack(400);
        assertThat(trailer.next(400, 400, UTC)).isEqualTo(HmacTrailer.sequence(UTC + SECOND) + 2);
    }

    @Test
    void aClockThatWasSetBackFarBeginsAnewUnlessOnlyTheOrderCounts() {
        HmacTrailer trailer = trailer(KEY);
        trailer.next(100, 100, UTC + 3600 * SECOND);
        assertThat(trailer.next(200, 200, UTC)).isEqualTo(SEQUENCE);
        HmacTrailer ordered = new HmacTrailer(hmac(Mode.ENFORCE, false, KEY));
        ordered.next(100, 100, UTC + 3600 * SECOND);
        assertThat(ordered.next(200, 200, UTC)).isEqualTo(HmacTrailer.sequence(UTC + 3600 * SECOND) + 1);
    }

    @Test
    void secretsAreNotShown() {
        assertThat(Authentication.of(hmac(
                                Mode.ENFORCE,
                                true,
                                new Authentication.Key(1, "s".repeat(32).getBytes(StandardCharsets.US_ASCII))))
                        .toString())
                .isEqualTo(
                        "Authentication[password=none, header=false, hmac=Hmac[keys=[key 1], mode=ENFORCE, fresh=true,"
                                + " window=5]]");
        assertThatThrownBy(() -> new Authentication.Key(1, new byte[31]))
                .hasMessage("key 1 has 31 bytes: from 32 to 64");
    }
}

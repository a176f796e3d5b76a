package io.ballast.core.quic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class QuicIdsTest {
    /** Of appendix B. */
    private static final String KEY = "8f95f09245765f80256934e50c66207f";

    private static byte[] hex(String digits) {
        return HexFormat.of().parseHex(digits);
    }

    /** Appendix B.1; of its second line, bytes are missing in print, so that the first byte and the nonce are added. */
    @ParameterizedTest
    @CsvSource({"0, c4605e, 4504cc4f, 07c4605e4504cc4f", "1, 350d28b420, 03487d970b, 2a350d28b42003487d970b"})
    void plainIdsAreTheDrafts(int config, String server, String nonce, String id) {
        QuicIds ids = QuicIds.plain(config, server.length() / 2, nonce.length() / 2);
        assertThat(ids.make(hex(server), hex(nonce))).isEqualTo(hex(id));
        assertThat(ids.serverId(hex(id))).contains(hex(server));
    }

    /** Appendix B.2; its last line's first byte is printed 12, without the configuration's number. */
    @ParameterizedTest
    @CsvSource({
        "0, ed793a, ee080dbf, 0720b1d07b359d3c",
        "1, ed793a51d49b8f5fab65, ee080dbf48, 2fcc381bc74cb4fbad2823a3d1f8fed2",
        "2, ed793a51d49b8f5f, ee080dbf48c0d1e5, 504dd2d05a7b0de9b2b9907afb5ecf8cc3",
        "3, ed793a51d49b8f5fab, ee080dbf48c0d1e55d, 725779c9cc86beb3a3a4a3ca96fce4bfe0cdbc"
    })
    void encryptedIdsAreTheDrafts(int config, String server, String nonce, String id) {
        QuicIds ids = QuicIds.encrypted(config, server.length() / 2, nonce.length() / 2, hex(KEY));
        assertThat(QuicIds.print(ids.make(hex(server), hex(nonce)))).isEqualTo(id);
        assertThat(ids.serverId(hex(id))).contains(hex(server));
    }

    /** The example of section 5.4.2.4, step by step in the draft. */
    @Test
    void theDraftsExample() {
        QuicIds ids = QuicIds.encrypted(0, 3, 4, hex("fdf726a9893ec05c0632d3956680baf0"));
        assertThat(QuicIds.print(ids.make(hex("31441a"), hex("9c69c275")))).isEqualTo("0767947d29be054a");
    }

    @Test
    void whatIsMadeCanBeRead() {
        Random random = new Random(7);
        for (int round = 0; round < 2000; round++) {
            int server = 1 + random.nextInt(15);
            int nonce = 4 + random.nextInt(19 - server - 3);
            byte[] key = new byte[16];
            byte[] serverId = new byte[server];
            byte[] nonceBytes = new byte[nonce];
            random.nextBytes(key);
            random.nextBytes(serverId);
            random.nextBytes(nonceBytes);
            QuicIds ids = round % 2 == 0
                    ? QuicIds.plain(round % 7, server, nonce)
                    : QuicIds.encrypted(round % 7, server, nonce, key);
            byte[] id = ids.make(serverId, nonceBytes);
            assertThat(id).hasSize(ids.length());
            assertThat(ids.serverId(id)).as(ids.toString()).contains(serverId);
            // A server may add bytes of its own.
            assertThat(ids.serverId(Arrays.copyOf(id, 40))).contains(serverId);
        }
    }

    @Test
    void anotherConfigurationAndWhatIsTooShortNameNobody() {
        QuicIds ids = QuicIds.plain(2, 2, 4);
        assertThat(ids.serverId(hex("46" + "0a01" + "01020304"))).contains(hex("0a01"));
        assertThat(ids.serverId(hex("26" + "0a01" + "01020304"))).isEmpty();
        assertThat(ids.serverId(hex("e6" + "0a01" + "01020304"))).isEmpty();
        assertThat(ids.serverId(hex("46" + "0a01" + "010203"))).isEmpty();
        assertThat(ids.serverId(new byte[0])).isEmpty();
    }

    @Test
    void whatCannotBeIsRefused() {
        assertThatThrownBy(() -> QuicIds.plain(7, 2, 4)).hasMessageContaining("0 to 6");
        assertThatThrownBy(() -> QuicIds.plain(0, 0, 4)).hasMessageContaining("at least 1");
        assertThatThrownBy(() -> QuicIds.plain(0, 2, 3)).hasMessageContaining("at least 4");
        assertThatThrownBy(() -> QuicIds.plain(0, 10, 10)).hasMessageContaining("room for 19");
        assertThatThrownBy(() -> QuicIds.encrypted(0, 2, 4, new byte[15])).hasMessageContaining("15 bytes");
        assertThatThrownBy(() -> QuicIds.plain(0, 2, 4).make(new byte[3], new byte[4]))
                .hasMessageContaining("3 bytes");
    }
}

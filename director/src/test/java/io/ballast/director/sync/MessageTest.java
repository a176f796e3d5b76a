package io.ballast.director.sync;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Endpoint;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class MessageTest {
    private static InetAddress address(String literal) {
        try {
            return InetAddress.getByName(literal);
        } catch (UnknownHostException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private static final List<Message> ALL = List.of(
            new Message.Numbers(new Names(
                    Map.of(
                            3,
                            new Names.Where(
                                    "web",
                                    Optional.of(new Endpoint(address("192.0.2.1"), 80, Endpoint.Protocol.TCP)),
                                    Names.Translation.NAT),
                            4,
                            new Names.Where(
                                    "dns",
                                    Optional.of(new Endpoint(
                                            address("2001:db8::1"), 1, Endpoint.MAX_PORT, Endpoint.Protocol.UDP)),
                                    Names.Translation.FULL_NAT),
                            0x8000_0000,
                            new Names.Where("web", Optional.empty(), Names.Translation.NONE)),
                    Map.of(
                            1,
                            new Names.Server("web", new InetSocketAddress(address("10.0.0.1"), 80)),
                            70_000,
                            new Names.Server("dns", new InetSocketAddress(address("2001:db8::5"), 65_535))))),
            new Message.Told(1L << 40, true, List.of()),
            new Message.Told(
                    7,
                    false,
                    List.of(
                            new Entry(
                                    3,
                                    70_000,
                                    0,
                                    0xffff_c633_6407L,
                                    65_535,
                                    80,
                                    Entry.State.ESTABLISHED,
                                    6700,
                                    32_767,
                                    0x0200_0000_00aaL,
                                    0x8100_0064_0000_0000L,
                                    18),
                            new Entry(0x8000_0000, 1, -1, 1, 24, 0, Entry.State.CLIENT, 0x3fff_ffff, 0, 0, 0, 0))),
            new Message.Heard(8, 1),
            new Message.Again());

    @Test
    void whatIsWrittenIsRead() throws Exception {
        for (Message message : ALL) {
            assertThat(Message.decode(Message.encode(message))).isEqualTo(message);
        }
    }

    @Test
    void whatIsCutOffOrGoesOnIsRefused() {
        for (Message message : ALL) {
            byte[] whole = Message.encode(message);
            for (int length = 0; length < whole.length; length++) {
                byte[] part = Arrays.copyOf(whole, length);
                boolean lessEntries = message instanceof Message.Told && length >= 10 && (length - 10) % 50 == 0;
                if (!lessEntries) {
                    assertThatThrownBy(() -> Message.decode(part)).isInstanceOf(Message.MalformedException.class);
                }
            }
            byte[] more = Arrays.copyOf(whole, whole.length + 1);
            assertThatThrownBy(() -> Message.decode(more)).isInstanceOf(Message.MalformedException.class);
        }
    }

    /** Whatever comes, it is a message or it is refused. */
    @Test
    void damagedMessagesDoNoHarm() {
        Random random = new Random(5);
        for (int i = 0; i < 200_000; i++) {
            byte[] bytes = Message.encode(ALL.get(random.nextInt(ALL.size())));
            for (int n = random.nextInt(4); n >= 0; n--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
            }
            try {
                assertThat(Message.decode(bytes)).isNotNull();
            } catch (Message.MalformedException e) {
                assertThat(e).hasMessageNotContaining("null");
            }
        }
    }

    @Test
    void numbersAreTranslatedByWhatTheyStandFor() {
        Names.Server www1 = new Names.Server("web", new InetSocketAddress(address("10.0.0.1"), 80));
        Names.Server www2 = new Names.Server("web", new InetSocketAddress(address("10.0.0.2"), 80));
        Names.Server www3 = new Names.Server("web", new InetSocketAddress(address("10.0.0.3"), 80));
        Names theirs = new Names(Map.of(), Map.of(0, www1, 1, www2, 2, www3));
        Names mine = new Names(Map.of(), Map.of(0, www2, 1, www1));
        assertThat(mine.from(theirs).servers()).isEqualTo(Map.of(0, 1, 1, 0));
    }

    // ---- Seals

    private static final byte[] SECRET = "a secret of theirs".getBytes(StandardCharsets.US_ASCII);

    private static Hello hello(String node, int nonce) {
        byte[] bytes = new byte[Seal.NONCE];
        bytes[0] = (byte) nonce;
        return new Hello(node, bytes);
    }

    private static Seal seal(byte[] secret, int nonce, boolean ofCaller) {
        return Seal.of(secret, hello("a", nonce), hello("b", 2), ofCaller);
    }

    @Test
    void whatIsSealedIsOpenedInItsOrder() {
        Seal sealing = seal(SECRET, 1, true);
        Seal opening = seal(SECRET, 1, true);
        for (int i = 0; i < 10; i++) {
            byte[] message = {1, 2, (byte) i};
            assertThat(opening.open(sealing.seal(message))).isEqualTo(message);
        }
    }

    @Test
    void nothingElseIsOpened() {
        byte[] message = {1, 2, 3};
        byte[] sealed = seal(SECRET, 1, true).seal(message);
        assertThat(seal(SECRET, 1, true).open(sealed)).isEqualTo(message);
        // Another secret, another connection, the other direction.
        assertThat(seal(new byte[] {1}, 1, true).open(sealed)).isEmpty();
        assertThat(seal(SECRET, 9, true).open(sealed)).isEmpty();
        assertThat(seal(SECRET, 1, false).open(sealed)).isEmpty();
        for (int i = 0; i < sealed.length; i++) {
            byte[] damaged = sealed.clone();
            damaged[i] ^= 1;
            assertThat(seal(SECRET, 1, true).open(damaged)).isEmpty();
        }
        // Said twice, or what was said before it left out.
        Seal opening = seal(SECRET, 1, true);
        assertThat(opening.open(sealed)).isEqualTo(message);
        assertThat(opening.open(sealed)).isEmpty();
        Seal later = seal(SECRET, 1, true);
        later.seal(message);
        assertThat(seal(SECRET, 1, true).open(later.seal(message))).isEmpty();
    }
}

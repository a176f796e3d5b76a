package io.ballast.takeover.quorum;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Judgement;
import io.ballast.takeover.quorum.Message.Request;
import io.ballast.takeover.quorum.Message.Verdict;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.junit.jupiter.api.Test;

class MessageCodecTest {
    private static final String SECRET = "correct-horse-battery-staple";
    private static final String LONGEST_NAME = "n".repeat(63);

    private final MessageCodec codec = new MessageCodec(SECRET);

    private static List<Message> messages() {
        List<String> most = Collections.nCopies(MessageCodec.RESOURCES, LONGEST_NAME);
        List<Message> messages = new ArrayList<>();
        for (boolean releases : new boolean[] {false, true}) {
            messages.add(new Request(releases, LONGEST_NAME, -1, Long.MIN_VALUE, 7, 0x80000001, 1_000_000_000, most));
            messages.add(new Request(releases, "d1", 1, 2, 3, 4, 5, List.of()));
        }
        for (Judgement judgement : Judgement.values()) {
            messages.add(new Answer("w", 1, 2, 3, judgement, 4, List.of()));
        }
        messages.add(new Answer(
                LONGEST_NAME,
                1,
                2,
                3,
                Judgement.JUDGED,
                4,
                most.stream().map(name -> new Verdict(false, name)).toList()));
        messages.add(new Answer(
                "w", 1, 2, 3, Judgement.JUDGED, 4, List.of(new Verdict(true, ""), new Verdict(false, "director2"))));
        return messages;
    }

    @Test
    void whatIsSaidIsUnderstoodAndFitsIntoADatagram() {
        for (Message message : messages()) {
            byte[] bytes = codec.encode(message);
            assertThat(bytes.length).isLessThanOrEqualTo(MessageCodec.LONGEST);
            assertThat(codec.decode(bytes, bytes.length)).contains(message);
        }
    }

    @Test
    void whatIsDamagedCutOffOrOfAnotherSecretSaysNothing() {
        MessageCodec other = new MessageCodec("another-secret-of-theirs");
        for (Message message : messages()) {
            byte[] bytes = codec.encode(message);
            assertThat(other.decode(bytes, bytes.length)).isEmpty();
            for (int length = 0; length < bytes.length; length++) {
                assertThat(codec.decode(bytes, length)).as("%s bytes", length).isEmpty();
                byte[] damaged = bytes.clone();
                damaged[length] ^= 0x10;
                assertThat(codec.decode(damaged, damaged.length)).isEmpty();
            }
        }
    }

    @Test
    void nonsenseThatBearsTheSecretSaysNothingAndHarmsNobody() throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(
                MessageDigest.getInstance("SHA-256").digest(("ballast quorum " + SECRET).getBytes(UTF_8)),
                "HmacSHA256"));
        Random random = new Random(1);
        List<byte[]> whole = messages().stream().map(codec::encode).toList();
        int understood = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] from = whole.get(random.nextInt(whole.size()));
            byte[] bytes = Arrays.copyOf(from, random.nextInt(from.length) + 1);
            for (int changes = random.nextInt(4); changes > 0; changes--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            byte[] sealed = Arrays.copyOf(bytes, bytes.length + 16);
            System.arraycopy(mac.doFinal(bytes), 0, sealed, bytes.length, 16);
            understood += codec.decode(sealed, sealed.length).isPresent() ? 1 : 0;
        }
        assertThat(understood).as("some change only a number").isPositive();
    }
}

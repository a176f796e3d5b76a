package io.ballast.takeover.quorum;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Judgement;
import io.ballast.takeover.quorum.Message.Request;
import io.ballast.takeover.quorum.Message.Verdict;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * {@link Message}s as datagrams: "BLQ" and the version, the kind, numbers in network order, texts with their length in a
 * byte before them, and half an HMAC-SHA256 of all that. What does not bear the secret says nothing. Of one thread.
 */
final class MessageCodec {
    /** What fits into a datagram that no network divides: names have 63 characters of ASCII at most. */
    static final int LONGEST = 1400;

    /** How many resources a request has room for. */
    static final int RESOURCES = 16;

    private static final int MAGIC = 'B' << 24 | 'L' << 16 | 'Q' << 8 | 1;
    private static final byte ASK = 1;
    private static final byte RELEASE = 2;
    private static final byte ANSWER = 3;
    private static final int SEAL = 16;

    private final Mac mac;

    MessageCodec(String secret) {
        try {
            mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(
                    MessageDigest.getInstance("SHA-256").digest(("ballast quorum " + secret).getBytes(UTF_8)),
                    "HmacSHA256"));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has HMAC-SHA256", e);
        }
    }

    byte[] encode(Message message) {
        ByteBuffer out = ByteBuffer.allocate(64 * 1024);
        out.putInt(MAGIC);
        switch (message) {
            case Request request -> {
                out.put(request.releases() ? RELEASE : ASK);
                put(out, request.from());
                out.putLong(request.life()).putLong(request.session()).putLong(request.sequence());
                out.putInt(request.electorate()).putLong(request.lease());
                out.putShort((short) request.resources().size());
                request.resources().forEach(resource -> put(out, resource));
            }
            case Answer answer -> {
                out.put(ANSWER);
                put(out, answer.voter());
                out.putLong(answer.life()).putLong(answer.session()).putLong(answer.sequence());
                out.put(number(answer.judgement())).putLong(answer.lease());
                out.putShort((short) answer.verdicts().size());
                for (Verdict verdict : answer.verdicts()) {
                    out.put((byte) (verdict.granted() ? 1 : 0));
                    put(out, verdict.holder());
                }
            }
        }
        mac.update(out.array(), 0, out.position());
        out.put(mac.doFinal(), 0, SEAL);
        return Arrays.copyOf(out.array(), out.position());
    }

    private static void put(ByteBuffer out, String text) {
        byte[] bytes = text.getBytes(UTF_8);
        out.put((byte) bytes.length).put(bytes);
    }

    private static byte number(Judgement judgement) {
        return switch (judgement) {
            case JUDGED -> 0;
            case STRANGER -> 1;
            case OTHER_ELECTORATE -> 2;
        };
    }

    /** Nothing where it is not from one of those who have the secret. */
    Optional<Message> decode(byte[] datagram, int length) {
        // Before the seal, which costs more than to drop what a stranger sends.
        if (length <= SEAL || length > LONGEST || ByteBuffer.wrap(datagram).getInt() != MAGIC) {
            return Optional.empty();
        }
        mac.update(datagram, 0, length - SEAL);
        byte[] seal = Arrays.copyOf(mac.doFinal(), SEAL);
        if (!MessageDigest.isEqual(seal, Arrays.copyOfRange(datagram, length - SEAL, length))) {
            return Optional.empty();
        }
        try {
            return decode(ByteBuffer.wrap(datagram, 0, length - SEAL));
        } catch (BufferUnderflowException e) {
            return Optional.empty(); // of another version of this program
        }
    }

    private static Optional<Message> decode(ByteBuffer in) {
        if (in.getInt() != MAGIC) {
            return Optional.empty();
        }
        byte kind = in.get();
        String name = text(in);
        long life = in.getLong();
        long session = in.getLong();
        long sequence = in.getLong();
        if (kind == ANSWER) {
            byte judgement = in.get();
            long lease = in.getLong();
            List<Verdict> verdicts = new ArrayList<>();
            for (int left = Short.toUnsignedInt(in.getShort()); left > 0; left--) {
                verdicts.add(new Verdict(in.get() == 1, text(in)));
            }
            return judgement(judgement).map(how -> new Answer(name, life, sequence, session, how, lease, verdicts));
        }
        if (kind != ASK && kind != RELEASE) {
            return Optional.empty();
        }
        int electorate = in.getInt();
        long lease = in.getLong();
        List<String> resources = new ArrayList<>();
        for (int left = Short.toUnsignedInt(in.getShort()); left > 0; left--) {
            resources.add(text(in));
        }
        return Optional.of(new Request(kind == RELEASE, name, life, session, sequence, electorate, lease, resources));
    }

    private static Optional<Judgement> judgement(byte number) {
        return switch (number) {
            case 0 -> Optional.of(Judgement.JUDGED);
            case 1 -> Optional.of(Judgement.STRANGER);
            case 2 -> Optional.of(Judgement.OTHER_ELECTORATE);
            default -> Optional.empty();
        };
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[Byte.toUnsignedInt(in.get())];
        in.get(bytes);
        return new String(bytes, UTF_8);
    }
}

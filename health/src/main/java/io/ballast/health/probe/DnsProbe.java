package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.linux.NativeSocket;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;

/** One DNS question, by UDP and again by TCP where the answer does not fit. */
final class DnsProbe extends NetworkProbe {

    private static final int PORT = 53;
    private static final int SHOWN = 5;

    private final ProbeSpec.Dns spec;
    private final int type;
    private final String question;

    DnsProbe(ProbeSpec.Dns spec) {
        this.spec = spec;
        this.type = DnsMessage.type(spec.type());
        this.question = DnsMessage.question(spec.query(), type);
        byte[] _ = DnsMessage.query(0, spec.query(), type); // so that a wrong name is found now
    }

    @Override
    void ask(Attempt attempt) throws IOException, ProbeFailure {
        int id = ThreadLocalRandom.current().nextInt(0x10000);
        byte[] query = DnsMessage.query(id, spec.query(), type);
        DnsMessage answer = spec.tcp() ? byTcp(attempt, id, query) : byUdp(attempt, id, query);
        if (answer.truncated() && !spec.tcp()) {
            answer = byTcp(attempt, id, query);
        }
        judge(attempt, answer);
    }

    private DnsMessage byUdp(Attempt attempt, int id, byte[] query) throws IOException, ProbeFailure {
        NativeSocket socket = attempt.datagrams(PORT);
        long deadline = attempt.deadline().nanoTime();
        socket.write(ByteBuffer.wrap(query), deadline);
        byte[] bytes = new byte[DnsMessage.MAX];
        while (true) {
            int length = socket.read(bytes, 0, bytes.length, deadline);
            // What answers another question, or nobody's, may be forged and is not an answer to this one.
            if (length >= 2 && (((bytes[0] & 0xff) << 8) | (bytes[1] & 0xff)) == id) {
                return answering(DnsMessage.read(bytes, length), id);
            }
            if (attempt.deadline().passed()) {
                throw new ProbeFailure("the server answers with other identifiers than it is asked with");
            }
        }
    }

    private DnsMessage byTcp(Attempt attempt, int id, byte[] query) throws IOException, ProbeFailure {
        attempt.connect(PORT);
        byte[] framed = new byte[query.length + 2];
        framed[0] = (byte) (query.length >> 8);
        framed[1] = (byte) query.length;
        System.arraycopy(query, 0, framed, 2, query.length);
        OutputStream out = attempt.output();
        out.write(framed);
        BoundedInput in = attempt.input();
        int length = (in.need() << 8) | in.need();
        return answering(DnsMessage.read(in.exactly(length), length), id);
    }

    private DnsMessage answering(DnsMessage message, int id) throws ProbeFailure {
        // A server that refuses before it reads may leave the question out.
        boolean answers = message.response()
                && message.id() == id
                && (message.question().equals(question) || (message.question().isEmpty() && message.rcode() != 0));
        if (!answers) {
            throw new ProbeFailure("the server's answer does not belong to the question");
        }
        return message;
    }

    private void judge(Attempt attempt, DnsMessage answer) throws ProbeFailure {
        String rcode = DnsMessage.rcodeName(answer.rcode());
        attempt.say(rcode);
        if (!rcode.equals(spec.rcode())) {
            throw new ProbeFailure("expected " + spec.rcode());
        }
        List<DnsMessage.Answer> records = answer.answers().stream()
                .filter(record -> record.type() == type)
                .toList();
        if (spec.expect().isPresent()) {
            String expected = spec.expect().get();
            if (records.stream().noneMatch(record -> DnsMessage.matches(record, expected))) {
                throw new ProbeFailure((records.isEmpty() ? "no record of type " + spec.type() : shown(records))
                        + ", expected " + expected);
            }
        } else if (records.isEmpty() && rcode.equals("NOERROR")) {
            throw new ProbeFailure("no record of type " + spec.type());
        }
        if (!records.isEmpty()) {
            attempt.say(shown(records));
        }
    }

    private static String shown(List<DnsMessage.Answer> records) {
        return records.stream().limit(SHOWN).map(DnsMessage.Answer::text).collect(Collectors.joining(", "))
                + (records.size() > SHOWN ? " and " + (records.size() - SHOWN) + " more" : "");
    }
}

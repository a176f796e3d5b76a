package io.ballast.linux.netlink;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Queue;
import org.junit.jupiter.api.Test;

class NetlinkTest {
    /** A datagram that answers the request of a sequence number. */
    @FunctionalInterface
    private interface Answer {
        ByteBuffer to(int sequence);
    }

    /** A kernel that answers each request with the next datagrams of a script. */
    private static final class Script implements Netlink.Line {
        private final Queue<List<Answer>> answers = new ArrayDeque<>();
        private final Queue<Answer> waiting = new ArrayDeque<>();
        private int sequence;
        private int requests;

        final Script then(Answer... datagrams) {
            answers.add(List.of(datagrams));
            return this;
        }

        @Override
        public void send(byte[] datagram) {
            sequence = ByteBuffer.wrap(datagram).order(ByteOrder.nativeOrder()).getInt(8);
            requests++;
            waiting.addAll(answers.remove());
        }

        @Override
        public ByteBuffer receive(long deadlineNanos) throws IOException {
            Answer datagram = waiting.remove();
            ByteBuffer bytes = datagram.to(sequence);
            if (bytes.limit() == 0) {
                throw new LinuxException(Errno.ENOBUFS.number(), "receive", "netlink", null);
            }
            return bytes;
        }

        @Override
        public void close() {}
    }

    private static ByteBuffer datagram(int type, int flags, int sequence, int... words) {
        ByteBuffer bytes = ByteBuffer.allocate(16 + 4 * words.length).order(ByteOrder.nativeOrder());
        bytes.putInt(bytes.capacity()).putShort((short) type).putShort((short) flags);
        bytes.putInt(sequence).putInt(0);
        for (int word : words) {
            bytes.putInt(word);
        }
        return bytes.flip();
    }

    private static Answer entry(int flags, int value) {
        return sequence -> datagram(99, 2 | flags, sequence, value);
    }

    private static Answer done(int flags, int result) {
        return sequence -> datagram(NetlinkMessage.NLMSG_DONE, 2 | flags, sequence, result);
    }

    private static Answer ack(int result) {
        return sequence -> datagram(NetlinkMessage.NLMSG_ERROR, 0x100, sequence, result, 16, 0, sequence, 0);
    }

    private static final Netlink.Reader<Integer> NUMBER =
            message -> message.type() == 99 ? message.header(4).getInt(0) : null;

    private static NetlinkMessage.Writer request() {
        return new NetlinkMessage.Writer(98, 0);
    }

    @Test
    void dumpThatWasInterruptedIsAskedForAgain() throws Exception {
        Script kernel = new Script()
                .then(entry(0, 1), entry(NetlinkMessage.NLM_F_DUMP_INTR, 2), done(0, 0))
                .then(entry(0, 1), done(NetlinkMessage.NLM_F_DUMP_INTR, 0))
                .then(entry(0, 3), entry(0, 4), done(0, 0));
        assertThat(new Netlink(kernel).dump(request(), NUMBER, "RTM_GETX")).containsExactly(3, 4);
        assertThat(kernel.requests).isEqualTo(3);
    }

    @Test
    void dumpThatNeverStandsStillIsGivenUp() {
        Script kernel = new Script();
        for (int i = 0; i < Netlink.DUMP_ATTEMPTS; i++) {
            kernel.then(done(NetlinkMessage.NLM_F_DUMP_INTR, 0));
        }
        assertThatThrownBy(() -> new Netlink(kernel).dump(request(), NUMBER, "RTM_GETX"))
                .hasMessage("RTM_GETX dump: EAGAIN: resource temporarily unavailable"
                        + " (it changed during each of 10 attempts)");
    }

    @Test
    void dumpThatFailsAtItsEndThrows() {
        Script kernel = new Script().then(entry(0, 1), done(0, -Errno.ENODEV.number()));
        assertThatThrownBy(() -> new Netlink(kernel).dump(request(), NUMBER, "RTM_GETX"))
                .hasMessage("RTM_GETX dump: ENODEV: no such device");
    }

    @Test
    void answersToEarlierRequestsArePassedOver() throws Exception {
        Script kernel = new Script()
                .then(
                        sequence -> datagram(99, 0, sequence - 1, 7),
                        sequence -> datagram(NetlinkMessage.NLMSG_ERROR, 0, sequence - 1, -1, 16, 0, 0, 0),
                        sequence -> datagram(99, 0, sequence, 8));
        assertThat(new Netlink(kernel).ask(request(), NUMBER, "RTM_GETX", () -> "x"))
                .isEqualTo(8);
    }

    @Test
    void refusalIsAnExceptionWithCallObjectAndTheKernelsWords() {
        Script kernel = new Script().then(ack(-Errno.EPERM.number())).then(sequence -> {
            byte[] words = "no\0\0".getBytes(StandardCharsets.US_ASCII);
            int text = ByteBuffer.wrap(words).order(ByteOrder.nativeOrder()).getInt();
            return datagram(
                    NetlinkMessage.NLMSG_ERROR,
                    0x300,
                    sequence,
                    -Errno.EINVAL.number(),
                    16,
                    0,
                    0,
                    0,
                    7 | 1 << 16,
                    text);
        });
        Netlink netlink = new Netlink(kernel);
        assertThatThrownBy(() -> netlink.change(request(), "RTM_NEWX", () -> "x on eth0"))
                .hasMessage("RTM_NEWX x on eth0: EPERM: operation not permitted (needs CAP_NET_ADMIN)");
        assertThatThrownBy(() -> netlink.change(request(), "RTM_NEWX", () -> "x on eth0"))
                .hasMessage("RTM_NEWX x on eth0: EINVAL: invalid argument (no)");
    }

    @Test
    void successAcknowledgesAChangeAndIsNoAnswerToAQuestion() throws Exception {
        Script kernel = new Script().then(ack(0)).then(ack(0));
        Netlink netlink = new Netlink(kernel);
        netlink.change(request(), "RTM_NEWX", () -> "x");
        assertThatThrownBy(() -> netlink.ask(request(), NUMBER, "RTM_GETX", () -> "x"))
                .isInstanceOf(MalformedMessageException.class);
    }

    @Test
    void lostAnswerSaysWhatWasAsked() {
        Script kernel = new Script().then(sequence -> ByteBuffer.allocate(0));
        assertThatThrownBy(() -> new Netlink(kernel)
                        .ask(
                                RouteMessages.getRoute(InetAddress.ofLiteral("192.0.2.1")),
                                NUMBER,
                                "RTM_GETROUTE",
                                () -> "192.0.2.1"))
                .hasMessage(
                        "RTM_GETROUTE 192.0.2.1: ENOBUFS: no buffer space available (while waiting for the answer)");
    }
}

package io.ballast.linux.netlink;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetlinkSocket;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Requests and their answers over one netlink socket, one at a time. Three kinds: a change that the kernel acknowledges,
 * a question with one answer, and a dump, whose answer is a list.
 *
 * <p>A dump of a table that changes meanwhile may miss an entry or show it twice; the kernel then marks it
 * (NLM_F_DUMP_INTR), and it is asked for again.
 */
final class Netlink implements AutoCloseable {
    /** How often a dump is asked for before giving up on a table that never stands still. */
    static final int DUMP_ATTEMPTS = 10;

    /** How many changes go in one datagram: of as many refusals each finds room in a socket's receive buffer. */
    private static final int BATCH = 64;

    /** The kernel answers before a request returns; so this only ends what a defect would make wait for ever. */
    private static final long ANSWER_LIMIT = TimeUnit.SECONDS.toNanos(10);

    /** What this needs of a socket. */
    interface Line extends AutoCloseable {
        void send(byte[] datagram) throws IOException;

        ByteBuffer receive(long deadlineNanos) throws IOException;

        @Override
        void close();
    }

    /** Takes what it needs from a message; null where the message is of no interest. */
    @FunctionalInterface
    interface Reader<T> {
        @Nullable
        T read(NetlinkMessage message) throws MalformedMessageException;
    }

    private final Line line;
    private int sequence;

    Netlink(Line line) {
        this.line = line;
    }

    /** Over a socket of its own, in the network namespace of the calling thread. */
    static Netlink open(NetlinkSocket.Family family) throws IOException {
        NetlinkSocket socket = NetlinkSocket.open(family);
        return new Netlink(new Line() {
            @Override
            public void send(byte[] datagram) throws IOException {
                socket.send(datagram);
            }

            @Override
            public ByteBuffer receive(long deadlineNanos) throws IOException {
                return socket.receive(deadlineNanos);
            }

            @Override
            public void close() {
                socket.close();
            }
        });
    }

    /**
     * Asks for a change.
     *
     * @param call the request's name, for messages: RTM_NEWADDR
     * @param object what is changed; asked for only on failure
     * @throws LinuxException with the kernel's error and its words
     */
    synchronized void change(NetlinkMessage.Writer request, String call, Supplier<String> object) throws IOException {
        int number = send(request, NetlinkMessage.NLM_F_ACK);
        while (true) {
            for (NetlinkMessage message : receive(call, object)) {
                if (message.sequence() == number && message.type() == NetlinkMessage.NLMSG_ERROR) {
                    check(message, call, object);
                    return;
                }
            }
        }
    }

    /**
     * Asks for many changes, with few turns to the kernel and back. It makes them in their order, and those behind one
     * that it refuses as well.
     *
     * @param object what is changed by the request of an index; asked for only on failure
     * @return the refusals by the requests' indexes
     */
    synchronized SortedMap<Integer, LinuxException> changeAll(
            List<NetlinkMessage.Writer> requests, String call, IntFunction<String> object) throws IOException {
        SortedMap<Integer, LinuxException> refused = new TreeMap<>();
        for (int from = 0; from < requests.size(); from += BATCH) {
            int end = Math.min(from + BATCH, requests.size());
            // Only once all have answered: what a name is asked for over the same socket.
            for (Map.Entry<Integer, NetlinkMessage> answer :
                    changeBatch(requests.subList(from, end), call).entrySet()) {
                int index = from + answer.getKey();
                try {
                    check(answer.getValue(), call, () -> object.apply(index));
                } catch (LinuxException e) {
                    refused.put(index, e);
                }
            }
        }
        return refused;
    }

    /** The answers, of which the kernel gives one for the last request and for each that it refuses. */
    private SortedMap<Integer, NetlinkMessage> changeBatch(List<NetlinkMessage.Writer> requests, String call)
            throws IOException {
        ByteArrayOutputStream datagram = new ByteArrayOutputStream();
        int last = requests.size() - 1;
        if (sequence > Integer.MAX_VALUE - requests.size()) {
            sequence = 0;
        }
        int first = sequence + 1;
        for (int i = 0; i <= last; i++) {
            sequence++;
            datagram.writeBytes(requests.get(i)
                    .flag(i == last ? NetlinkMessage.NLM_F_ACK : 0)
                    .finish(sequence));
        }
        line.send(datagram.toByteArray());
        SortedMap<Integer, NetlinkMessage> answers = new TreeMap<>();
        while (!answers.containsKey(last)) {
            for (NetlinkMessage message : receive(call, () -> requests.size() + " at once")) {
                int index = message.sequence() - first;
                if (index >= 0 && index <= last && message.type() == NetlinkMessage.NLMSG_ERROR) {
                    answers.put(index, message);
                }
            }
        }
        return answers;
    }

    /** Asks for one thing. The reader makes a result of every message that can be the answer. */
    synchronized <T> T ask(NetlinkMessage.Writer request, Reader<T> reader, String call, Supplier<String> object)
            throws IOException {
        int number = send(request, 0);
        while (true) {
            for (NetlinkMessage message : receive(call, object)) {
                if (message.sequence() != number) {
                    continue;
                }
                if (message.type() == NetlinkMessage.NLMSG_ERROR) {
                    check(message, call, object);
                    throw new MalformedMessageException(call + " " + object.get() + ": success without an answer");
                }
                T answer = reader.read(message);
                if (answer == null) {
                    throw new MalformedMessageException(
                            call + " " + object.get() + ": an answer of type " + message.type());
                }
                return answer;
            }
        }
    }

    /** Asks for a list; the request has to begin with NLM_F_DUMP. */
    synchronized <T> List<T> dump(NetlinkMessage.Writer request, Reader<T> reader, String call) throws IOException {
        for (int attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
            List<T> entries = new ArrayList<>();
            if (dumpOnce(request, reader, entries, call)) {
                return entries;
            }
        }
        throw new LinuxException(
                Errno.EAGAIN.number(), call, "dump", "it changed during each of " + DUMP_ATTEMPTS + " attempts");
    }

    /** False when the table changed meanwhile. */
    private <T> boolean dumpOnce(NetlinkMessage.Writer request, Reader<T> reader, List<T> entries, String call)
            throws IOException {
        int number = send(request, 0);
        boolean consistent = true;
        while (true) {
            for (NetlinkMessage message : receive(call, () -> "dump")) {
                if (message.sequence() != number) {
                    continue;
                }
                consistent &= !message.has(NetlinkMessage.NLM_F_DUMP_INTR);
                switch (message.type()) {
                    case NetlinkMessage.NLMSG_DONE, NetlinkMessage.NLMSG_ERROR -> {
                        check(message, call, () -> "dump");
                        return consistent;
                    }
                    default -> {
                        T entry = reader.read(message);
                        if (entry != null) {
                            entries.add(entry);
                        }
                    }
                }
            }
        }
    }

    private int send(NetlinkMessage.Writer request, int flags) throws IOException {
        sequence = sequence == Integer.MAX_VALUE ? 1 : sequence + 1;
        line.send(request.flag(flags).finish(sequence));
        return sequence;
    }

    private List<NetlinkMessage> receive(String call, Supplier<String> object) throws IOException {
        try {
            return NetlinkMessage.split(line.receive(System.nanoTime() + ANSWER_LIMIT));
        } catch (LinuxException e) {
            throw new LinuxException(e.number(), call, object.get(), "while waiting for the answer");
        }
    }

    private static void check(NetlinkMessage message, String call, Supplier<String> object) throws IOException {
        int result = message.result();
        if (result == 0) {
            return;
        }
        if (result > 0 || result == Integer.MIN_VALUE) {
            throw new MalformedMessageException(call + ": error number " + -(long) result);
        }
        String hint = message.explanation();
        if (Errno.of(-result) == Errno.EPERM) {
            hint = "needs CAP_NET_ADMIN" + (hint == null ? "" : "; " + hint);
        }
        throw new LinuxException(-result, call, object.get(), hint);
    }

    @Override
    public void close() {
        line.close();
    }
}

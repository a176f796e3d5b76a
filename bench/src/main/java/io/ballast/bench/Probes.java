package io.ballast.bench;

import io.ballast.linux.LinuxException;
import io.ballast.linux.RealTime;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.DatagramChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;

/**
 * A client that sends a small UDP packet to an address every millisecond, and the programs at the directors that send it
 * back with their number in it. Their threads have real-time priorities above those of who is measured: they sleep
 * nearly always, and must not be late themselves. The last {@value #CAPACITY} packets are remembered.
 */
final class Probes implements AutoCloseable {
    static final long EVERY = 1_000_000;

    private static final int CAPACITY = 1 << 18;
    private static final int PORT = 7;
    private static final int PRIORITY = 60;
    private static final int LENGTH = 5;

    private final long[] sent = new long[CAPACITY];
    /** Written before when it answered. */
    private final byte[] by = new byte[CAPACITY];

    private final AtomicLongArray answered = new AtomicLongArray(CAPACITY);
    /** How many were sent; written after what is remembered of them. */
    private volatile int count;

    private volatile boolean ended;
    private final List<DatagramChannel> channels = new ArrayList<>();

    private interface Loop {
        void run() throws IOException;
    }

    /** Between this client and these directors, of which each must let programs bind addresses that it has not. */
    static Probes start(Wiring wiring, InetAddress address) throws IOException {
        Probes probes = new Probes();
        try {
            for (Wiring.Place director : Wiring.DIRECTORS) {
                DatagramChannel echo = wiring.in(
                        director,
                        () -> DatagramChannel.open(StandardProtocolFamily.INET)
                                .bind(new InetSocketAddress(address, PORT)));
                probes.channels.add(echo);
                probes.begin("echo " + director, () -> echo(echo, (byte) director.number()));
            }
            DatagramChannel client = wiring.in(
                    Wiring.Place.CLIENT,
                    () -> DatagramChannel.open(StandardProtocolFamily.INET)
                            .connect(new InetSocketAddress(address, PORT)));
            probes.channels.add(client);
            probes.begin("answers", () -> probes.receive(client));
            probes.begin("questions", () -> probes.send(client));
            return probes;
        } catch (IOException | RuntimeException e) {
            probes.close();
            throw e;
        }
    }

    private void begin(String name, Loop loop) {
        Thread.ofPlatform().name(name).daemon().start(() -> {
            try {
                RealTime.fifo(PRIORITY);
            } catch (LinuxException e) {
                System.err.println(
                        "bench: " + name + " without a real-time priority, so figures are worse: " + e.getMessage());
            }
            while (!ended) {
                try {
                    loop.run();
                } catch (ClosedChannelException e) {
                    return;
                } catch (IOException e) {
                    // Refused, or no way there: a question without an answer, which is what is counted.
                }
            }
        });
    }

    private static void echo(DatagramChannel channel, byte number) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(LENGTH);
        while (true) {
            var from = channel.receive(buffer.clear());
            if (from != null && buffer.position() == LENGTH) {
                channel.send(buffer.put(LENGTH - 1, number).flip(), from);
            }
        }
    }

    private void send(DatagramChannel channel) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(LENGTH);
        long next = System.nanoTime();
        while (!ended) {
            long now = System.nanoTime();
            if (now < next) {
                LockSupport.parkNanos(next - now);
                continue;
            }
            next = Math.max(next + EVERY, now);
            int number = count;
            int at = number % CAPACITY;
            sent[at] = now;
            by[at] = 0;
            answered.set(at, 0);
            count = number + 1;
            channel.write(buffer.clear().putInt(number).put((byte) 0).flip());
        }
    }

    private void receive(DatagramChannel channel) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(LENGTH);
        while (true) {
            channel.read(buffer.clear());
            if (buffer.flip().remaining() == LENGTH) {
                int at = buffer.getInt() % CAPACITY;
                by[at] = buffer.get();
                answered.set(at, System.nanoTime());
            }
        }
    }

    /** What was sent from a moment on, so far; without what may be on its way still. */
    Train since(long begin) {
        int end = count;
        long latest = System.nanoTime() - 5 * EVERY;
        int first = end;
        int oldest = Math.max(0, end - CAPACITY / 2);
        while (first > oldest && sent[(first - 1) % CAPACITY] >= begin) {
            first--;
        }
        while (end > first && sent[(end - 1) % CAPACITY] > latest) {
            end--;
        }
        int length = end - first;
        Train train = new Train(new long[length], new long[length], new byte[length]);
        for (int i = 0; i < length; i++) {
            int at = (first + i) % CAPACITY;
            train.sent()[i] = sent[at];
            train.answered()[i] = answered.get(at);
            train.by()[i] = train.answered()[i] == 0 ? 0 : by[at];
        }
        return train;
    }

    /** Waits until the last so many were all answered by this director, or the patience is over. */
    boolean await(Wiring.Place director, int last, long begin, long patienceNanos) throws InterruptedException {
        long until = System.nanoTime() + patienceNanos;
        while (true) {
            long from = Math.max(begin, System.nanoTime() - (last + 10L) * 2 * EVERY);
            if (since(from).endsWith(last, director.number())) {
                return true;
            }
            if (System.nanoTime() > until) {
                return false;
            }
            Thread.sleep(5);
        }
    }

    @Override
    public void close() {
        ended = true;
        for (DatagramChannel channel : channels) {
            try {
                channel.close();
            } catch (IOException e) {
                // It is gone in any case.
            }
        }
    }
}

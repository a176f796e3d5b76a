package io.ballast.director.worker;

import com.google.gson.JsonObject;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Message;
import io.ballast.linux.MessageChannel;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * One node process at a worker's control socket. What the loops have to say is queued and sent by a thread of its own, so
 * a node process that does not read holds up nobody; when it has not read for too long, it is disconnected, and greeted
 * anew when it comes back.
 */
final class ControlSession {
    /** Descriptors in one message; the kernel allows 253. */
    static final int DESCRIPTORS = 250;

    private static final int QUEUE = 20_000;
    private static final Duration FINISH = Duration.ofSeconds(5);
    private static final long GREETING_NANOS = TimeUnit.SECONDS.toNanos(10);

    private final MessageChannel channel;
    private final TrafficWorker worker;
    private final LinkedBlockingQueue<Outgoing> outgoing = new LinkedBlockingQueue<>(QUEUE);
    private final Thread sender;

    /** Something to send, on the sender's thread; false ends the sender. */
    private interface Outgoing {
        boolean send() throws IOException;
    }

    ControlSession(MessageChannel channel, TrafficWorker worker) {
        this.channel = channel;
        this.worker = worker;
        this.sender = Thread.ofVirtual().name("worker-sender").unstarted(this::sendAll);
    }

    /** Greets the node process and does what it says, until it leaves. */
    void run() {
        sender.start();
        try {
            worker.greet(this);
            while (true) {
                try (Message message = channel.receive()) {
                    if (message == null) {
                        return;
                    }
                    worker.received(this, message);
                }
            }
        } catch (IOException e) {
            if (channel.isOpen()) {
                System.err.println("traffic worker: control session ended: " + e.getMessage());
            }
        } finally {
            close();
            worker.left(this);
        }
    }

    /** Queues a message. */
    void send(JsonObject message) {
        Outgoing text = () -> {
            channel.send(Wire.bytes(message), List.of());
            return true;
        };
        if (!outgoing.offer(text)) {
            close();
        }
    }

    /** Sends a message with descriptors, which need to exist only until this returns. */
    void sendNow(byte[] message, List<Descriptor> descriptors) throws IOException {
        channel.send(message, descriptors, System.nanoTime() + GREETING_NANOS);
    }

    private void sendAll() {
        try {
            while (outgoing.take().send()) {
                // until it is the last
            }
        } catch (IOException e) {
            close();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Waits, for a while, until what was queued is sent. */
    void finish() {
        if (outgoing.offer(() -> false)) {
            try {
                sender.join(FINISH);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    void close() {
        channel.close();
        sender.interrupt();
    }
}

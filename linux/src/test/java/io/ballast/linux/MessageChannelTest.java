package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
@SuppressWarnings("try") // closing early is what some tests are about
class MessageChannelTest {
    private static final int LIMIT = 1 << 20;

    private MessageChannel node;
    private MessageChannel worker;
    private int socketsBefore;

    @BeforeEach
    void open() throws IOException {
        Poller.instance();
        socketsBefore = Host.openSockets();
        MessageChannel[] pair = MessageChannel.pair(LIMIT);
        node = pair[0];
        worker = pair[1];
    }

    @AfterEach
    void nothingIsLeftOpen() throws IOException {
        node.close();
        worker.close();
        assertThat(Host.openSockets()).isLessThanOrEqualTo(socketsBefore);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static Descriptor listeningSocket() throws IOException {
        return Sockets.listenTcp(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), Sockets.Options.DEFAULT);
    }

    /** Writes bytes past the framing, with descriptors on the first of them. */
    private static void sendRaw(MessageChannel channel, byte[] bytes, List<Descriptor> descriptors) throws IOException {
        try (Kernel kernel = Kernel.open();
                Descriptor copy = channel.duplicate()) {
            ControlMessage message = new ControlMessage(kernel, bytes.length);
            MemorySegment.copy(bytes, 0, message.buffer(), ValueLayout.JAVA_BYTE, 0, bytes.length);
            message.setLength(bytes.length);
            message.attach(descriptors);
            int sent = kernel.sendmsg(copy.fd(), message.header(), Constants.MSG_NOSIGNAL);
            assertThat(LinuxException.check(sent, "sendmsg", "raw")).isEqualTo(bytes.length);
        }
    }

    private static byte[] header(int length) {
        return ByteBuffer.allocate(4).putInt(length).array();
    }

    @Test
    void listeningSocketArrivesWithItsMessage() throws Exception {
        try (Descriptor listening = listeningSocket()) {
            node.send(bytes("table"), List.of(listening));
            try (Message message = Objects.requireNonNull(worker.receive())) {
                assertThat(message.text()).isEqualTo("table");
                assertThat(message.descriptors()).hasSize(1);
                Descriptor received = message.descriptors().getFirst();
                assertThat(received.fd()).isNotEqualTo(listening.fd());
                assertThat(Sockets.isListening(received)).isTrue();
                assertThat(Sockets.localAddress(received)).isEqualTo(Sockets.localAddress(listening));
            }
        }
    }

    @Test
    void receivedDescriptorsAreClosedOnExec() throws Exception {
        try (Descriptor listening = listeningSocket();
                Kernel kernel = Kernel.open()) {
            node.send(bytes("x"), List.of(listening));
            try (Message message = Objects.requireNonNull(worker.receive())) {
                int flags = kernel.fcntl(message.descriptors().getFirst().fd(), Constants.F_GETFD, 0);
                assertThat(flags).isEqualTo(Constants.FD_CLOEXEC);
            }
        }
    }

    @Test
    void messagesKeepTheirBytesOrderAndDescriptors() throws Exception {
        Random random = new Random(7);
        List<byte[]> sent = new ArrayList<>();
        for (int size : new int[] {0, 1, 3, 4, 65_531, 65_532, 65_533, 65_536, 65_540, 131_072, LIMIT}) {
            byte[] payload = new byte[size];
            random.nextBytes(payload);
            sent.add(payload);
        }
        try (Descriptor listening = listeningSocket()) {
            FutureTask<Void> sender = new FutureTask<>(() -> {
                for (int i = 0; i < sent.size(); i++) {
                    node.send(sent.get(i), Collections.nCopies(i, listening));
                }
                return null;
            });
            Thread.ofVirtual().start(sender);
            for (int i = 0; i < sent.size(); i++) {
                try (Message message = Objects.requireNonNull(worker.receive())) {
                    assertThat(message.payload()).isEqualTo(sent.get(i));
                    assertThat(message.descriptors()).hasSize(i);
                }
            }
            sender.get();
        }
    }

    @Test
    void thousandDescriptorsPassWithoutALeak() throws Exception {
        try (Descriptor listening = listeningSocket()) {
            for (int i = 0; i < 4; i++) {
                node.send(bytes("batch"), Collections.nCopies(250, listening));
                try (Message message = Objects.requireNonNull(worker.receive())) {
                    assertThat(message.descriptors()).hasSize(250).allMatch(Descriptor::isOpen);
                }
            }
            for (int i = 0; i < 1000; i++) {
                node.send(bytes("one"), List.of(listening));
                Objects.requireNonNull(worker.receive()).close();
            }
        }
    }

    @Test
    void endBetweenMessagesIsNotAnError() throws Exception {
        node.send("last");
        node.close();
        assertThat(Objects.requireNonNull(worker.receive()).text()).isEqualTo("last");
        assertThat(worker.receive()).isNull();
        assertThat(worker.receive()).isNull();
    }

    @Test
    void peerThatDiesInsideTheLengthIsNoticed() throws Exception {
        sendRaw(node, new byte[] {0, 0}, List.of());
        node.close();
        assertThatThrownBy(() -> worker.receive())
                .isInstanceOf(EOFException.class)
                .hasMessageContaining("length");
        assertThat(worker.isOpen()).isFalse();
    }

    @Test
    void peerThatDiesInsideThePayloadLeavesNoDescriptorBehind() throws Exception {
        try (Descriptor listening = listeningSocket()) {
            sendRaw(node, header(100), List.of(listening, listening));
            sendRaw(node, new byte[12], List.of(listening));
            node.close();
            assertThatThrownBy(() -> worker.receive())
                    .isInstanceOf(EOFException.class)
                    .hasMessageEndingWith("the peer ended inside a frame, 12 of 100 bytes");
        }
    }

    @Test
    void oversizedLengthIsRefusedAndItsDescriptorsClosed() throws Exception {
        try (Descriptor listening = listeningSocket()) {
            sendRaw(node, header(LIMIT + 1), List.of(listening));
            assertThatThrownBy(() -> worker.receive())
                    .isInstanceOf(ProtocolException.class)
                    .hasMessage("receive pair: frame of 1048577 bytes announced; at most 1048576");
            assertThat(worker.isOpen()).isFalse();
        }
    }

    @Test
    void negativeLengthIsRefused() throws Exception {
        sendRaw(node, header(-1), List.of());
        assertThatThrownBy(() -> worker.receive())
                .isInstanceOf(ProtocolException.class)
                .hasMessageContaining("4294967295");
    }

    @Test
    void moreDescriptorsThanOneMessageMayCarryAreRefusedAndClosed() throws Exception {
        try (Descriptor listening = listeningSocket()) {
            List<Descriptor> many = Collections.nCopies(200, listening);
            sendRaw(node, header(8), many);
            sendRaw(node, new byte[4], many);
            assertThatThrownBy(() -> worker.receive())
                    .isInstanceOf(ProtocolException.class)
                    .hasMessageContaining("more than 253 descriptors");
        }
    }

    @Test
    void senderRefusesWhatTheReceiverWould() {
        assertThatThrownBy(() -> node.send(new byte[LIMIT + 1], List.of())).isInstanceOf(ProtocolException.class);
        assertThat(node.isOpen()).isTrue();
    }

    @Test
    void randomGarbageNeverLeaksOrHangs() throws Exception {
        Random random = new Random(42);
        try (Descriptor listening = listeningSocket()) {
            for (int round = 0; round < 300; round++) {
                MessageChannel[] pair = MessageChannel.pair(4096);
                try (MessageChannel bad = pair[0];
                        MessageChannel good = pair[1]) {
                    for (int part = random.nextInt(1, 4); part > 0; part--) {
                        byte[] garbage = new byte[random.nextInt(1, 200)];
                        random.nextBytes(garbage);
                        if (random.nextBoolean()) {
                            garbage[0] = 0;
                            if (garbage.length > 1) {
                                garbage[1] = 0;
                            }
                        }
                        sendRaw(bad, garbage, Collections.nCopies(random.nextInt(4), listening));
                    }
                    bad.close();
                    drain(good);
                }
            }
        }
    }

    private static void drain(MessageChannel channel) {
        try {
            Message message = channel.receive();
            while (message != null) {
                message.close();
                message = channel.receive();
            }
        } catch (IOException expected) {
            assertThat(channel.isOpen()).isFalse();
        }
    }

    @Test
    void closingWakesABlockedReceiver() throws Exception {
        for (Thread.Builder builder : List.of(Thread.ofPlatform(), Thread.ofVirtual())) {
            MessageChannel[] pair = MessageChannel.pair(LIMIT);
            FutureTask<Message> receiving = new FutureTask<>(pair[0]::receive);
            Thread thread = builder.start(receiving);
            Host.await("receiver waits", () -> Host.isWaiting(thread));
            pair[0].close();
            assertThatThrownBy(receiving::get).hasCauseInstanceOf(SocketException.class);
            pair[1].close();
        }
    }

    @Test
    void closingWakesABlockedSender() throws Exception {
        FutureTask<Void> sending = new FutureTask<>(() -> {
            while (true) {
                node.send(new byte[LIMIT], List.of());
            }
        });
        Thread thread = Thread.ofVirtual().start(sending);
        Host.await("sender waits", () -> Host.isWaiting(thread));
        node.close();
        assertThatThrownBy(sending::get).hasCauseInstanceOf(SocketException.class);
    }

    @Test
    void deadlineBetweenMessagesLeavesTheChannelUsable() throws Exception {
        assertThatThrownBy(() -> worker.receive(NativeSocket.deadlineIn(1_000_000)))
                .isInstanceOf(SocketTimeoutException.class);
        node.send("after");
        assertThat(Objects.requireNonNull(worker.receive()).text()).isEqualTo("after");
    }

    @Test
    void deadlineInsideAMessageClosesTheChannel() throws Exception {
        sendRaw(node, header(10), List.of());
        assertThatThrownBy(() -> worker.receive(NativeSocket.deadlineIn(1_000_000)))
                .isInstanceOf(SocketTimeoutException.class);
        assertThat(worker.isOpen()).isFalse();
    }

    @Test
    void senderWithADeadlineGivesUpOnAPeerThatDoesNotRead() {
        assertThatThrownBy(() -> {
                    while (true) {
                        node.send(new byte[LIMIT], List.of(), NativeSocket.deadlineIn(20_000_000));
                    }
                })
                .isInstanceOf(SocketTimeoutException.class);
    }

    @Test
    void concurrentSendersDoNotMixTheirFrames() throws Exception {
        int senders = 8;
        int each = 200;
        List<FutureTask<Void>> tasks = new ArrayList<>();
        for (int s = 0; s < senders; s++) {
            byte tag = (byte) s;
            FutureTask<Void> task = new FutureTask<>(() -> {
                Random random = new Random(tag);
                for (int i = 0; i < each; i++) {
                    byte[] payload = new byte[1 + random.nextInt(5_000)];
                    java.util.Arrays.fill(payload, tag);
                    node.send(payload, List.of());
                }
                return null;
            });
            tasks.add(task);
            Thread.ofVirtual().start(task);
        }
        for (int i = 0; i < senders * each; i++) {
            byte[] payload = Objects.requireNonNull(worker.receive()).payload();
            byte tag = payload[0];
            for (byte b : payload) {
                assertThat(b).isEqualTo(tag);
            }
        }
        for (FutureTask<Void> task : tasks) {
            task.get(30, TimeUnit.SECONDS);
        }
    }

    @Test
    void descriptorsThatDoNotFitThisProcessAreAnErrorNotALeak() throws Exception {
        Processes.FileLimit before = Processes.fileLimit();
        try (Descriptor listening = listeningSocket()) {
            node.send(bytes("too many"), Collections.nCopies(200, listening));
            // Numbers below the highest one in use stay free, so fill up to the limit first.
            int highest;
            try (Descriptor probe = listening.duplicate()) {
                highest = probe.fd();
            }
            Processes.setFileLimit(new Processes.FileLimit(highest + 20L, before.hard()));
            try {
                assertThatThrownBy(() -> worker.receive())
                        .isInstanceOf(ProtocolException.class)
                        .hasMessageContaining("MSG_CTRUNC");
            } finally {
                Processes.setFileLimit(before);
            }
        }
    }

    @Test
    void peerIsThisProcess() throws Exception {
        assertThat(node.peer().pid()).isEqualTo(ProcessHandle.current().pid());
    }
}

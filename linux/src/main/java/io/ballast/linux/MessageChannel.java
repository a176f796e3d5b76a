package io.ballast.linux;

import java.io.EOFException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.ProtocolException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Messages between two processes of one machine over a unix stream socket, each with descriptors if need be
 * (SCM_RIGHTS). This is how the node process gives a worker its table and its listening sockets.
 *
 * <p>A frame is a length of four bytes, big-endian, and that many bytes of payload. Descriptors travel with the frame's
 * first bytes; the kernel never merges them into a later read, so those that arrive while a frame is read belong to it.
 * They are closed on exec from their first moment (MSG_CMSG_CLOEXEC), and whenever a frame turns out to be malformed or
 * the channel is closed, what was received with it is closed too.
 *
 * <p>Any thread may send; sends are whole and in order. One thread receives. {@link #close()} from any thread wakes both.
 * After an error in the middle of a frame the stream has no boundary to go on from, so the channel closes itself. Works on
 * platform and virtual threads alike.
 */
public final class MessageChannel implements AutoCloseable {
    /** Wait for ever. */
    public static final long NO_DEADLINE = Pollable.NEVER;

    /** The largest payload unless another limit was given: 64 MiB. */
    public static final int DEFAULT_MAX_PAYLOAD = 64 * 1024 * 1024;

    /** Descriptors in one message; the kernel's SCM_MAX_FD. */
    public static final int MAX_DESCRIPTORS = ControlMessage.MAX_DESCRIPTORS;

    private static final int HEADER = 4;
    private static final int CHUNK = 64 * 1024;

    private static final ValueLayout.OfInt LENGTH = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private final Pollable pollable;
    private final String label;
    private final int maxPayload;
    private final ReentrantLock sending = new ReentrantLock();
    private final ReentrantLock receiving = new ReentrantLock();

    private MessageChannel(int fd, String label, int maxPayload) {
        this.pollable = new Pollable(fd, () -> label);
        this.label = label;
        this.maxPayload = maxPayload;
    }

    /** Connects to the {@link UnixListener} at a path. */
    public static MessageChannel connect(Path path) throws IOException {
        String name = path.toString();
        try (Kernel kernel = Kernel.open()) {
            MemorySegment address = SocketAddresses.encodeUnix(kernel, name);
            int fd = LinuxException.check(
                    kernel.socket(Constants.AF_UNIX, Constants.SOCK_STREAM | Constants.SOCK_CLOEXEC, 0),
                    "socket",
                    "unix");
            try {
                // A unix connect is immediate unless the backlog is full; then EAGAIN is the answer, not a wait.
                setNonBlocking(kernel, fd, name);
                LinuxException.check(kernel.connect(fd, address), "connect", name);
            } catch (IOException | RuntimeException e) {
                kernel.close(fd);
                throw e;
            }
            return new MessageChannel(fd, name, DEFAULT_MAX_PAYLOAD);
        }
    }

    /**
     * Makes a channel of a connected unix stream socket, which it then owns.
     *
     * @param maxPayload the largest payload to send or accept, in bytes
     */
    public static MessageChannel of(Descriptor socket, int maxPayload) throws IOException {
        String name = socket.label();
        try (Kernel kernel = Kernel.open()) {
            setNonBlocking(kernel, socket.fd(), name);
        }
        return new MessageChannel(socket.release(), name, maxPayload);
    }

    private static void setNonBlocking(Kernel kernel, int fd, String name) throws LinuxException {
        LinuxException.check(
                kernel.fcntl(fd, Constants.F_SETFL, Constants.O_NONBLOCK), "fcntl F_SETFL O_NONBLOCK", name);
    }

    /** Two connected channels in this process. */
    static MessageChannel[] pair(int maxPayload) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment two = kernel.allocate(ValueLayout.JAVA_INT, 2);
            int type = Constants.SOCK_STREAM | Constants.SOCK_CLOEXEC | Constants.SOCK_NONBLOCK;
            LinuxException.check(kernel.socketpair(Constants.AF_UNIX, type, 0, two), "socketpair", "unix");
            return new MessageChannel[] {
                new MessageChannel(two.getAtIndex(ValueLayout.JAVA_INT, 0), "pair", maxPayload),
                new MessageChannel(two.getAtIndex(ValueLayout.JAVA_INT, 1), "pair", maxPayload)
            };
        }
    }

    /** Sends a text without descriptors and without a deadline. */
    public void send(String text) throws IOException {
        send(text.getBytes(StandardCharsets.UTF_8), List.of(), NO_DEADLINE);
    }

    /** As {@link #send(byte[], List, long)} without a deadline. */
    public void send(byte[] payload, List<Descriptor> descriptors) throws IOException {
        send(payload, descriptors, NO_DEADLINE);
    }

    /**
     * Sends one message. The descriptors stay the caller's: the peer gets copies, made before this returns.
     *
     * @throws SocketTimeoutException when the peer does not read and the deadline passes; the channel is closed then if
     *     part of the frame was gone already
     */
    public void send(byte[] payload, List<Descriptor> descriptors, long deadlineNanos) throws IOException {
        if (payload.length > maxPayload) {
            throw new ProtocolException(
                    "send " + label + ": message of " + payload.length + " bytes; at most " + maxPayload);
        }
        if (descriptors.size() > MAX_DESCRIPTORS) {
            throw new ProtocolException("send " + label + ": " + descriptors.size()
                    + " descriptors in one message; at most " + MAX_DESCRIPTORS);
        }
        lockForSending(deadlineNanos);
        try {
            int fd = pollable.enter();
            try {
                sendFrame(fd, payload, descriptors, deadlineNanos);
            } finally {
                pollable.leave();
            }
        } finally {
            sending.unlock();
        }
    }

    private void lockForSending(long deadlineNanos) throws IOException {
        if (deadlineNanos == NO_DEADLINE) {
            sending.lock();
            return;
        }
        try {
            if (!sending.tryLock(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS)) {
                throw new SocketTimeoutException("send " + label + ": timed out behind another sender");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("send " + label + ": interrupted while waiting");
        }
    }

    private void sendFrame(int fd, byte[] payload, List<Descriptor> descriptors, long deadlineNanos)
            throws IOException {
        long total = (long) HEADER + payload.length;
        long sent = 0;
        try (Kernel kernel = Kernel.open()) {
            ControlMessage message = new ControlMessage(kernel, Math.min(total, CHUNK));
            while (sent < total) {
                int length;
                if (sent == 0) {
                    message.buffer().set(LENGTH, 0, payload.length);
                    length = HEADER + copy(payload, 0, message.buffer(), HEADER);
                    message.attach(descriptors);
                } else {
                    length = copy(payload, (int) sent - HEADER, message.buffer(), 0);
                    message.attach(List.of());
                }
                message.setLength(length);
                int result = kernel.sendmsg(fd, message.header(), Constants.MSG_DONTWAIT | Constants.MSG_NOSIGNAL);
                if (result == -Errno.EAGAIN.number()) {
                    if (!pollable.await(true, deadlineNanos)) {
                        throw new SocketTimeoutException("send " + label + ": timed out, the peer does not read");
                    }
                } else if (result != -Errno.EINTR.number()) {
                    sent += LinuxException.check(result, "sendmsg", label);
                }
            }
        } catch (IOException | RuntimeException e) {
            if (sent > 0) {
                close();
            }
            throw e;
        }
    }

    private static int copy(byte[] payload, int from, MemorySegment buffer, int to) {
        int length = (int) Math.min(payload.length - from, buffer.byteSize() - to);
        MemorySegment.copy(payload, from, buffer, ValueLayout.JAVA_BYTE, to, length);
        return length;
    }

    /** As {@link #receive(long)} without a deadline. */
    public @Nullable Message receive() throws IOException {
        return receive(NO_DEADLINE);
    }

    /**
     * Receives the next message; null when the peer has closed its end between two messages.
     *
     * @throws SocketTimeoutException when the deadline passes; between two messages the channel stays usable
     * @throws ProtocolException when the frame is not acceptable, {@link EOFException} when the peer ends inside one; the
     *     channel is closed
     * @throws SocketException when the channel is or becomes closed at this end
     */
    public @Nullable Message receive(long deadlineNanos) throws IOException {
        receiving.lock();
        try {
            int fd = pollable.enter();
            try {
                return receiveFrame(fd, deadlineNanos);
            } finally {
                pollable.leave();
            }
        } finally {
            receiving.unlock();
        }
    }

    private @Nullable Message receiveFrame(int fd, long deadlineNanos) throws IOException {
        List<Descriptor> descriptors = new ArrayList<>();
        byte[] start = new byte[HEADER];
        int have = 0;
        boolean complete = false;
        try (Kernel kernel = Kernel.open()) {
            ControlMessage message = new ControlMessage(kernel, HEADER);
            while (have < HEADER) {
                int count = receiveSome(kernel, fd, message, HEADER - have, descriptors, deadlineNanos);
                if (count == 0) {
                    if (have == 0) {
                        return null;
                    }
                    throw new EOFException("receive " + label + ": the peer ended inside a frame's length");
                }
                MemorySegment.copy(message.buffer(), ValueLayout.JAVA_BYTE, 0, start, have, count);
                have += count;
            }
            int length = ByteBuffer.wrap(start).getInt();
            if (length < 0 || length > maxPayload) {
                throw new ProtocolException("receive " + label + ": frame of " + Integer.toUnsignedString(length)
                        + " bytes announced; at most " + maxPayload);
            }
            byte[] payload = receivePayload(kernel, fd, length, descriptors, deadlineNanos);
            complete = true;
            return new Message(payload, descriptors);
        } finally {
            if (!complete) {
                descriptors.forEach(Descriptor::close);
                if (have > 0) {
                    close();
                }
            }
        }
    }

    private byte[] receivePayload(Kernel kernel, int fd, int length, List<Descriptor> descriptors, long deadlineNanos)
            throws IOException {
        // Grown as bytes arrive: a length alone makes nobody allocate.
        byte[] payload = new byte[Math.min(length, CHUNK)];
        ControlMessage message = new ControlMessage(kernel, payload.length);
        int have = 0;
        while (have < length) {
            int wanted = Math.min(length - have, CHUNK);
            int count = receiveSome(kernel, fd, message, wanted, descriptors, deadlineNanos);
            if (count == 0) {
                throw new EOFException(
                        "receive " + label + ": the peer ended inside a frame, " + have + " of " + length + " bytes");
            }
            if (have + count > payload.length) {
                payload = Arrays.copyOf(payload, (int) Math.min(length, Math.max(have + count, 2L * payload.length)));
            }
            MemorySegment.copy(message.buffer(), ValueLayout.JAVA_BYTE, 0, payload, have, count);
            have += count;
        }
        return payload;
    }

    /** One recvmsg; whatever descriptors it brings are in the list even when this throws. */
    private int receiveSome(
            Kernel kernel, int fd, ControlMessage message, int length, List<Descriptor> descriptors, long deadlineNanos)
            throws IOException {
        while (true) {
            message.setLength(length);
            message.expectDescriptors();
            int result = kernel.recvmsg(fd, message.header(), Constants.MSG_DONTWAIT | Constants.MSG_CMSG_CLOEXEC);
            if (result == -Errno.EAGAIN.number()) {
                if (!pollable.await(false, deadlineNanos)) {
                    throw new SocketTimeoutException("receive " + label + ": timed out");
                }
            } else if (result != -Errno.EINTR.number()) {
                LinuxException.check(result, "recvmsg", label);
                message.takeDescriptors(descriptors, "descriptor from " + label);
                if ((message.flags() & Constants.MSG_CTRUNC) != 0) {
                    throw new ProtocolException("receive " + label + ": descriptors were lost on the way (MSG_CTRUNC); "
                            + "this process is out of descriptors, or the peer sent too many");
                }
                if (descriptors.size() > MAX_DESCRIPTORS) {
                    throw new ProtocolException(
                            "receive " + label + ": more than " + MAX_DESCRIPTORS + " descriptors in one message");
                }
                return result;
            }
        }
    }

    /** The process at the other end (SO_PEERCRED). */
    public PeerCredentials peer() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            MemorySegment credentials = kernel.allocate(12, 4); // struct ucred: pid, uid, gid
            MemorySegment length = kernel.allocateFrom(ValueLayout.JAVA_INT, 12);
            int fd = pollable.enter();
            try {
                LinuxException.check(
                        kernel.getsockopt(fd, Constants.SOL_SOCKET, Constants.SO_PEERCRED, credentials, length),
                        "getsockopt SO_PEERCRED",
                        label);
            } finally {
                pollable.leave();
            }
            return new PeerCredentials(
                    credentials.getAtIndex(ValueLayout.JAVA_INT, 0),
                    Integer.toUnsignedLong(credentials.getAtIndex(ValueLayout.JAVA_INT, 1)),
                    Integer.toUnsignedLong(credentials.getAtIndex(ValueLayout.JAVA_INT, 2)));
        }
    }

    /** A second descriptor of the socket, for tests that go past the framing. */
    Descriptor duplicate() throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = pollable.enter();
            try {
                return Descriptor.own(
                        LinuxException.check(kernel.fcntl(fd, Constants.F_DUPFD_CLOEXEC, 0), "fcntl", label), label);
            } finally {
                pollable.leave();
            }
        }
    }

    /** False once closed at this end. */
    public boolean isOpen() {
        return pollable.isOpen();
    }

    /** Closes this end and wakes whoever sends or receives here. Idempotent. */
    @Override
    public void close() {
        pollable.close();
    }

    @Override
    public String toString() {
        return label;
    }
}

package io.ballast.director.worker;

import io.netty.buffer.ByteBuf;
import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoEvent;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.epoll.Native;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.NotYetConnectedException;
import org.jspecify.annotations.Nullable;

/**
 * One of the two sockets of a {@link Connection}, watched edge-triggered for everything from its first moment on, so that
 * no further epoll_ctl is needed: what an event said is remembered in the flags here until it is used up.
 */
final class Side implements EpollIoHandle, Closing {
    private static final EpollIoOps EVERYTHING =
            EpollIoOps.valueOf(Native.EPOLLIN | Native.EPOLLOUT | Native.EPOLLRDHUP | Native.EPOLLET);

    /** Linux's EPOLLHUP, which cannot be asked for and always comes: both directions are shut, or the peer reset. */
    static final int EPOLLHUP = 0x10;

    // linux/tcp.h: struct tcp_info, with tcpi_unacked and tcpi_notsent_bytes in it.
    private static final int IPPROTO_TCP = 6;
    private static final int TCP_CORK = 3;
    private static final int TCP_INFO = 11;
    private static final int TCP_INFO_LENGTH = 192;
    private static final int TCP_INFO_UNACKED = 24;
    private static final int TCP_INFO_NOTSENT = 144;

    private static final int SMALL_READ = 16 * 1024;

    final Socket socket;
    final Connection connection;
    private final Loop loop;
    private @Nullable IoRegistration registration;

    /** There may be something to read. */
    boolean readable;

    /** The peer has sent its end, so a short read does not mean that nothing follows. */
    boolean ending;

    /** It was reset: what can still be read comes before an error and not before an end. */
    private boolean reset;

    /** The kernel keeps the last, short segment back for our end to travel with it. */
    private boolean corked;

    /** The end was read. */
    boolean ended;

    /** Our end was sent, or is to be when {@link #unsent} is gone. */
    boolean finished;

    /** Writing failed: the peer is gone, though there may be something to read still. */
    boolean broken;

    /** What the socket did not take yet. */
    @Nullable
    ByteBuf unsent;

    /** How much to read at a time: grows while the other side takes everything. */
    int readSize = SMALL_READ;

    private boolean closed;

    Side(Socket socket, Connection connection, Loop loop) {
        this.socket = socket;
        this.connection = connection;
        this.loop = loop;
    }

    void register() throws IOException {
        registration = loop.register(this, EVERYTHING);
    }

    @Override
    public FileDescriptor fd() {
        return socket;
    }

    @Override
    public void handle(IoRegistration source, IoEvent event) {
        if (closed) {
            return;
        }
        int mask = ((EpollIoEvent) event).ops().value();
        if ((mask & ~Native.EPOLLOUT) != 0) {
            readable = true;
            ending |= (mask & (Native.EPOLLRDHUP | EPOLLHUP | Native.EPOLLERR)) != 0;
            reset |= (mask & Native.EPOLLERR) != 0;
        }
        connection.ready(this, mask);
    }

    /** More to read was left behind for the sake of others. */
    void goOn() {
        if (!closed) {
            connection.ready(this, Native.EPOLLIN);
        }
    }

    /** A read filled all it was given and all of it was taken. */
    void readMore() {
        readSize = Math.min(readSize * 2, Loop.SCRATCH);
    }

    /** What was read could not be passed on at once. */
    void readLess() {
        readSize = SMALL_READ;
    }

    /**
     * Sends from the shared buffer; what the socket does not take is kept.
     *
     * @return whether it took all
     */
    boolean send(int length) throws IOException {
        int sent;
        try {
            sent = socket.sendAddress(loop.scratchAddress, 0, length);
        } catch (NotYetConnectedException e) {
            throw new IOException("write: the peer has reset the connection", e);
        }
        if (sent == length) {
            return true;
        }
        unsent = loop.copyOfScratch(sent, length);
        return false;
    }

    /**
     * Sends what was kept, and then our end if that was waiting for it.
     *
     * @return whether nothing is left
     */
    boolean flush() throws IOException {
        ByteBuf rest = unsent;
        if (rest != null) {
            ByteBuffer bytes = rest.internalNioBuffer(rest.readerIndex(), rest.readableBytes());
            int sent = socket.send(bytes, bytes.position(), bytes.limit());
            rest.skipBytes(sent);
            if (rest.isReadable()) {
                return false;
            }
            rest.release();
            unsent = null;
            if (finished) {
                shutdownOutput();
            }
        }
        return true;
    }

    /** Whether nothing but its end follows a read that left room. */
    boolean endsOrderly() {
        return ending && !reset && !broken;
    }

    /**
     * Keeps the last segment of what is sent from now on until our end goes with it: a connection that ends with its
     * answer costs one packet less in each direction, and its peer one wake-up.
     */
    void cork() throws IOException {
        if (!corked) {
            corked = true;
            socket.setIntOpt(IPPROTO_TCP, TCP_CORK, 1);
        }
    }

    /** Our end does not follow after all: what the kernel kept goes now. */
    void uncork() throws IOException {
        if (corked) {
            corked = false;
            socket.setIntOpt(IPPROTO_TCP, TCP_CORK, 0);
        }
    }

    /** Sends our end, after what was kept. */
    void finish() throws IOException {
        finished = true;
        if (unsent == null) {
            shutdownOutput();
        }
    }

    private void shutdownOutput() throws IOException {
        try {
            socket.shutdown(false, true);
        } catch (NotYetConnectedException e) {
            throw new IOException("shutdown: the peer has reset the connection", e);
        }
    }

    /**
     * Reads into the shared buffer.
     *
     * @return the number of bytes, 0 when there is nothing now, -1 at the end
     */
    int read() throws IOException {
        try {
            return socket.recvAddress(loop.scratchAddress, 0, readSize);
        } catch (NotYetConnectedException e) {
            throw new IOException("read: the peer has reset the connection", e);
        }
    }

    /** Whether the peer has acknowledged all that was sent; asks the kernel. */
    boolean delivered() {
        if (unsent != null) {
            return false;
        }
        ByteBuffer information = ByteBuffer.allocateDirect(TCP_INFO_LENGTH).order(ByteOrder.nativeOrder());
        try {
            socket.getRawOpt(IPPROTO_TCP, TCP_INFO, information);
        } catch (IOException e) {
            return true;
        }
        return information.getInt(TCP_INFO_UNACKED) == 0 && information.getInt(TCP_INFO_NOTSENT) == 0;
    }

    boolean isClosed() {
        return closed;
    }

    /**
     * Ends it; the socket itself is closed a moment later.
     *
     * @param reset whether the peer gets a reset instead of an orderly end
     */
    void close(boolean reset) {
        if (closed) {
            return;
        }
        closed = true;
        if (unsent != null) {
            unsent.release();
            unsent = null;
        }
        if (reset) {
            try {
                socket.setSoLinger(0);
            } catch (IOException e) {
                // The socket is beyond a reset; close is all that is left.
            }
        }
        loop.bury(this);
    }

    @Override
    public void closeNow() {
        try {
            socket.close();
        } catch (IOException e) {
            // The number is free all the same, and nobody is left to be told.
        }
        if (registration != null) {
            registration.cancel();
        }
    }

    /** The loop is being shut down. */
    @Override
    public void close() {
        connection.end(true);
    }

    InetSocketAddress localAddress() {
        return socket.localAddress();
    }
}

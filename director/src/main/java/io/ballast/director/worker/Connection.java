package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ServiceSpec.ProxyProtocol;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.scheduler.FlowKey;
import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelException;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.epoll.Native;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/**
 * One client's TCP connection and the connection to a real server that it is relayed to.
 *
 * <p><b>How bytes move.</b> A read goes into the loop's shared buffer and from there straight into the other socket; in
 * the normal case nothing is allocated, copied or kept, and an idle connection holds no buffer. Only what the other
 * socket does not take is copied and kept, and nothing more is read from this side until that is gone. So a peer that
 * reads slowly stops its sender by TCP's own window, and a connection never holds more than one read for each direction,
 * plus the bytes kept for a repetition.
 *
 * <p><b>How it ends.</b> The end of one direction is passed on as such (FIN) and the other goes on; when both have ended,
 * both sockets are closed. A reset is passed on as a reset. A server that is lost before the first byte of its answer is
 * exchanged for another, where the service allows that; later, the client has to know.
 *
 * <p><b>Whose it is.</b> The sockets and everything about bytes belong to {@link #loop}. Which server it gets is decided
 * by the service's {@link Balancer}, on that one's loop. With one loop both are
 * the same thread, and every hop is a plain call.
 */
final class Connection extends Exchange {
    /** Reads from one side before the other connections have their turn. */
    private static final int READS_IN_A_ROW = 4;

    /** Linux's IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect, where it need not be unique for the source. */
    private static final int IP_BIND_ADDRESS_NO_PORT = 24;

    private static final int IPPROTO_IP = 0;

    /** Where it stands. */
    enum State {
        /** Waits for a server: the balancer is asked, or has it in the queue. */
        CHOOSING,
        /** A server was chosen and is being connected to. */
        CONNECTING,
        /** Bytes flow in both directions. */
        ESTABLISHED,
        /** One side has ended. */
        HALF_CLOSED,
        /** The server has reset it; the client is reset as soon as it has what the server said before. */
        DELIVERING,
        /** Over. */
        CLOSED
    }

    private final TcpListener listener;
    private final Side client;
    private @Nullable Side upstream;
    private @Nullable RealServer server;
    private @Nullable Tally tally;
    private State state = State.CHOOSING;
    private final long created;
    private long since;
    private long lastByte;
    private long bytesIn;
    private long bytesOut;

    /** The server has answered with a byte: it is kept from now on. */
    private boolean answered;

    /** What the client has said so far, to be said again to another server. */
    private @Nullable ByteBuf said;

    /** More was said than may be repeated. */
    private boolean tooMuchSaid;

    /** The balancer has it in the queue; that one's to read and write. */
    boolean queued;

    Connection(Balancer balancer, Loop loop, TcpListener listener, Socket accepted, FlowKey flow) {
        super(balancer, loop, flow);
        this.listener = listener;
        this.client = new Side(accepted, this, loop);
        this.created = System.nanoTime();
        this.since = created;
        this.lastByte = created;
    }

    /** Watches the client. */
    void begin() {
        try {
            client.register();
        } catch (IOException e) {
            balancer.note(true, "a connection was dropped: " + e.getMessage());
            end(true);
            return;
        }
        loop.arm(this);
    }

    // ---- The balancer's answers

    /** Connects to the server; the answer to every question that ends well. */
    void connect(RealServer target) {
        if (state == State.CLOSED) {
            return;
        }
        server = target;
        tally = target.tally(loop);
        state = State.CONNECTING;
        since = loop.now();
        LinuxSocket socket;
        try {
            socket = LinuxSocket.newSocketStream(target.isIpv6());
        } catch (ChannelException e) {
            balancer.worker.descriptors.refused(e);
            refuse();
            return;
        }
        balancer.worker.descriptors.opened();
        Side side = new Side(socket, this, loop);
        upstream = side;
        try {
            socket.setTcpNoDelay(true);
            socket.setKeepAlive(true);
            InetSocketAddress source = balancer.table().source();
            if (source != null) {
                socket.setIntOpt(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
                socket.bind(source);
            }
            socket.connect(target.address);
            side.register();
        } catch (IOException | ChannelException e) {
            serverLost(side);
            return;
        }
        loop.arm(this);
    }

    /** Ends it by a reset because no server can take it. */
    void refuse() {
        if (state != State.CLOSED) {
            balancer.run(() -> balancer.refused++);
            end(true);
        }
    }

    // ---- Events

    /** Something happened to one of the sockets; {@code mask} is what epoll said. */
    void ready(Side side, int mask) {
        try {
            switch (state) {
                case ESTABLISHED, HALF_CLOSED -> relay(side);
                case CONNECTING -> connecting(side, mask);
                case CHOOSING -> choosing(side, mask);
                case DELIVERING -> delivering(mask);
                case CLOSED -> {}
            }
        } catch (RuntimeException e) {
            balancer.note(true, "a connection was dropped by a defect: " + e);
            end(true);
        }
    }

    private void choosing(Side side, int mask) {
        if ((mask & (Native.EPOLLERR | Side.EPOLLHUP)) != 0 && side == client) {
            end(true);
        }
    }

    private void connecting(Side side, int mask) {
        if (side == client) {
            choosing(side, mask);
        } else if ((mask & (Native.EPOLLERR | Side.EPOLLHUP)) != 0) {
            serverLost(side);
        } else if ((mask & Native.EPOLLOUT) != 0) {
            connected(side);
        }
    }

    private void connected(Side side) {
        state = State.ESTABLISHED;
        since = loop.now();
        lastByte = since;
        loop.arm(this);
        int length = ProxyHeader.write(headerWanted(), this, loop.scratch);
        try {
            if (length > 0) {
                side.send(length);
            }
            ByteBuf again = said;
            if (again != null) {
                ByteBuf kept = side.unsent;
                side.unsent =
                        loop.buffers.directBuffer((kept == null ? 0 : kept.readableBytes()) + again.readableBytes());
                if (kept != null) {
                    side.unsent.writeBytes(kept);
                    kept.release();
                }
                side.unsent.writeBytes(again, again.readerIndex(), again.readableBytes());
                side.flush();
            }
            if (client.ended) {
                side.finish();
                halfClosed();
            }
        } catch (IOException e) {
            serverLost(side);
            return;
        }
        transfer(client, side);
        if (side.readable && !side.isClosed() && !client.isClosed()) {
            transfer(side, client);
        }
    }

    /** The sorry server is a plain one, whatever the real servers speak. */
    private ProxyProtocol headerWanted() {
        RealServer chosen = server;
        return chosen == null || chosen.sorry
                ? ProxyProtocol.OFF
                : balancer.table().proxyProtocol();
    }

    private void relay(Side side) {
        Side other = other(side);
        if (other == null) {
            return;
        }
        if (side.unsent != null && !flush(side, other)) {
            return;
        }
        if (side.readable && !side.isClosed() && !other.isClosed()) {
            transfer(side, other);
        }
    }

    /** Sends what the side did not take before, and reads on from the other; false where nothing is left to be done. */
    private boolean flush(Side side, Side other) {
        try {
            if (side.flush()) {
                if (side.finished && other.finished && other.unsent == null) {
                    end(false);
                } else {
                    transfer(other, side);
                }
            }
        } catch (IOException e) {
            unwritable(side, other);
        }
        return state != State.CLOSED;
    }

    /** Moves bytes until one side has no more, the other takes no more, or others should have their turn. */
    private void transfer(Side from, Side to) {
        int reads = READS_IN_A_ROW;
        while (from.readable && to.unsent == null && !to.broken) {
            if (reads-- == 0) {
                loop.again(from);
                return;
            }
            int size = from.readSize;
            int length;
            try {
                length = from.read();
            } catch (IOException e) {
                from.readable = false;
                lost(from, to);
                return;
            }
            if (length <= 0) {
                from.readable = false;
                if (from.broken) {
                    lost(from, to);
                } else if (length < 0) {
                    ended(from, to);
                }
                return;
            }
            count(from, length);
            try {
                if (length < size && from.endsOrderly()) {
                    to.cork();
                }
                if (!to.send(length)) {
                    from.readLess();
                } else if (length == size) {
                    from.readMore();
                }
            } catch (IOException e) {
                unwritable(to, from);
                return;
            }
            if (length < size && !from.ending) {
                from.readable = false;
            }
        }
    }

    private void count(Side from, int length) {
        lastByte = loop.now();
        Tally bytes = tally;
        if (from == client) {
            bytesIn += length;
            if (bytes != null) {
                bytes.in(length);
            }
            if (!answered) {
                remember(length);
            }
        } else {
            bytesOut += length;
            if (bytes != null) {
                bytes.out(length);
            }
            if (!answered) {
                answered = true;
                forget();
            }
        }
    }

    private void remember(int length) {
        int most = balancer.table().replayBytes();
        if (tooMuchSaid || most == 0) {
            return;
        }
        ByteBuf kept = said;
        if ((kept == null ? 0 : kept.readableBytes()) + length > most) {
            tooMuchSaid = true;
            forget();
        } else {
            if (kept == null) {
                kept = loop.buffers.directBuffer(length, most);
                said = kept;
            }
            loop.append(kept, 0, length);
        }
    }

    private void forget() {
        if (said != null) {
            said.release();
            said = null;
        }
    }

    // ---- Ends

    /** One side has sent its end: the other is told, and may go on talking. */
    private void ended(Side from, Side to) {
        from.ended = true;
        lastByte = loop.now();
        if (from == upstream && said != null && mayTryAgain()) {
            serverLost(from);
            return;
        }
        if (to.ended) {
            from.finished = true;
            to.finished = true;
            if (from.unsent == null && to.unsent == null) {
                end(false);
            }
            return;
        }
        try {
            to.finish();
        } catch (IOException e) {
            unwritable(to, from);
            return;
        }
        halfClosed();
    }

    private void halfClosed() {
        if (state == State.ESTABLISHED) {
            state = State.HALF_CLOSED;
            loop.arm(this);
            balancer.run(() -> balancer.halfClosed(this));
        }
    }

    /**
     * Reading failed, so this side was reset: the other is reset as well. A client gets before that what the server said,
     * since a reset takes back what is still on its way.
     */
    private void lost(Side side, Side other) {
        if (side == upstream && mayTryAgain()) {
            serverLost(side);
        } else if (side == upstream && uncorked(other) && !other.delivered()) {
            closeSocket(side, true);
            upstream = null;
            if (state == State.ESTABLISHED) {
                balancer.run(() -> balancer.halfClosed(this));
            }
            state = State.DELIVERING;
            since = loop.now();
            loop.arm(this);
        } else {
            end(true);
        }
    }

    /** Lets go what was to travel with an end that is not to come; false where the peer is gone. */
    private static boolean uncorked(Side side) {
        try {
            side.uncork();
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private void delivering(int mask) {
        try {
            boolean gone = (mask & (Native.EPOLLERR | Side.EPOLLHUP)) != 0;
            if (gone || (client.flush() && client.delivered())) {
                end(true);
            }
        } catch (IOException e) {
            end(true);
        }
    }

    /** Writing failed. A server may have answered all the same before it went: that is passed on first. */
    private void unwritable(Side side, Side other) {
        if (side == client) {
            end(true);
            return;
        }
        side.broken = true;
        if (side.unsent != null) {
            side.unsent.release();
            side.unsent = null;
        }
        side.readable = true;
        side.ending = true;
        transfer(side, other);
    }

    private boolean mayTryAgain() {
        return !answered && !tooMuchSaid && balancer.table().replayBytes() > 0;
    }

    /** The server did not take the connection, or died before it answered: the balancer is asked for another. */
    private void serverLost(Side side) {
        RealServer failed = server;
        closeSocket(side, true);
        upstream = null;
        server = null;
        state = State.CHOOSING;
        since = loop.now();
        loop.arm(this);
        if (failed == null) {
            end(true);
        } else {
            balancer.run(() -> balancer.failed(this, failed));
        }
    }

    private void closeSocket(Side side, boolean reset) {
        if (!side.isClosed()) {
            side.close(reset);
            balancer.worker.descriptors.closed();
        }
    }

    @Override
    void end(boolean reset) {
        if (state == State.CLOSED) {
            return;
        }
        state = State.CLOSED;
        loop.disarm(this);
        forget();
        closeSocket(client, reset);
        if (upstream != null) {
            closeSocket(upstream, reset);
        }
        balancer.run(() -> balancer.ended(this));
    }

    // ---- Time-outs

    @Override
    long due() {
        return switch (state) {
            case CHOOSING -> since + balancer.table().queueTimeout();
            case CONNECTING -> since + balancer.table().connectTimeout();
            case ESTABLISHED -> lastByte + balancer.table().idleTimeout();
            case HALF_CLOSED -> lastByte + balancer.table().halfClosedTimeout();
            case DELIVERING -> since + Wheel.TICK_NANOS;
            case CLOSED -> Long.MAX_VALUE;
        };
    }

    @Override
    void expire() {
        switch (state) {
            case CHOOSING -> refuse();
            case CONNECTING -> {
                Side side = upstream;
                if (side != null) {
                    serverLost(side);
                }
            }
            case ESTABLISHED, HALF_CLOSED -> end(false);
            case DELIVERING -> {
                since = loop.now();
                if (since - lastByte > balancer.table().halfClosedTimeout() || client.delivered()) {
                    end(true);
                } else {
                    loop.arm(this);
                }
            }
            case CLOSED -> {}
        }
    }

    private @Nullable Side other(Side side) {
        return side == client ? upstream : client;
    }

    // ---- For people

    /** The address the client connected to. */
    InetSocketAddress localAddress() {
        return listener.isWildcard() ? client.localAddress() : listener.endpoint.socketAddress();
    }

    @Override
    ConnectionFilter.Phase phase() {
        return switch (state) {
            case CHOOSING, CONNECTING -> ConnectionFilter.Phase.OPENING;
            case ESTABLISHED -> ConnectionFilter.Phase.ESTABLISHED;
            case HALF_CLOSED, DELIVERING, CLOSED -> ConnectionFilter.Phase.CLOSING;
        };
    }

    @Override
    Endpoint.Protocol protocol() {
        return Endpoint.Protocol.TCP;
    }

    @Override
    ConnectionInfo info(String serverName, long now) {
        return new ConnectionInfo(
                balancer.name,
                "tcp",
                client(),
                listener.endpoint.toString(),
                serverName,
                phase().word(),
                (now - created) / 1_000_000,
                Math.max(0, now - lastByte) / 1_000_000,
                bytesIn,
                bytesOut);
    }
}

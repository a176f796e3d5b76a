package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.director.ConnectionFilter;
import io.ballast.director.ConnectionInfo;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.scheduler.FlowKey;
import io.netty.channel.ChannelException;
import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import org.jspecify.annotations.Nullable;

/** The datagrams of one client address and port; see {@link UdpListener}. Belongs to the service's loop. */
final class Flow extends Exchange {
    private static final int DATAGRAMS_IN_A_ROW = 32;

    private final UdpListener listener;
    private final UdpListener.ClientKey key;
    private final InetSocketAddress client;
    private final long created;
    private @Nullable Path path;
    private long lastDatagram;
    private long bytesIn;
    private long bytesOut;

    @Nullable
    Flow older;

    @Nullable
    Flow newer;

    /** The connected socket to a server; another server gets another one. */
    private final class Path implements EpollIoHandle, Closing {
        final Socket socket;
        final RealServer server;
        final InetSocketAddress address;
        final Tally tally;

        @Nullable
        IoRegistration registration;

        Path(Socket socket, RealServer server) {
            this.socket = socket;
            this.server = server;
            this.address = server.address;
            this.tally = server.tally(loop);
        }

        @Override
        public FileDescriptor fd() {
            return socket;
        }

        @Override
        public void handle(IoRegistration source, IoEvent event) {
            if (path == this) {
                fromServer(this);
            }
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

        @Override
        public void close() {
            end(false);
        }
    }

    Flow(Balancer balancer, UdpListener listener, FlowKey flow, UdpListener.ClientKey key, InetSocketAddress client) {
        super(balancer, balancer.owner, flow);
        this.listener = listener;
        this.key = key;
        this.client = client;
        this.created = System.nanoTime();
        this.lastDatagram = created;
    }

    /** A datagram of the client is in the shared buffer. */
    void fromClient(int length) {
        lastDatagram = loop.now();
        Path now = path;
        if (now != null && !usable(now)) {
            leave(now);
            now = null;
        }
        // A server that refuses is known only by its answer to an earlier datagram, so one further try is enough.
        for (int attempt = 0; attempt < 2; attempt++) {
            if (now == null) {
                now = join();
            }
            if (now == null) {
                balancer.refused++;
                return;
            }
            try {
                now.socket.sendAddress(loop.scratchAddress, 0, length);
                bytesIn += length;
                now.tally.in(length);
                return;
            } catch (IOException e) {
                refused(now);
                now = null;
            }
        }
    }

    private static boolean usable(Path path) {
        return path.server.state != ServerState.DOWN && path.address.equals(path.server.address);
    }

    /** Finds a server and connects a socket to it. */
    private @Nullable Path join() {
        RealServer server = balancer.place(this);
        if (server == null && !tried.isEmpty()) {
            // All have refused once; they may have come back meanwhile.
            tried.clear();
            server = balancer.place(this);
        }
        if (server == null) {
            return null;
        }
        Socket socket;
        try {
            socket = LinuxSocket.newSocketDgram(server.isIpv6());
        } catch (ChannelException e) {
            balancer.tellOfCrowding();
            balancer.release(this);
            return null;
        }
        balancer.worker.descriptors.opened();
        Path joined = new Path(socket, server);
        path = joined;
        try {
            InetSocketAddress source = balancer.table().source();
            if (source != null) {
                socket.bind(source);
            }
            socket.connect(joined.address);
            joined.registration = loop.register(joined, EpollIoOps.EPOLLIN);
            return joined;
        } catch (IOException e) {
            refused(joined);
            return null;
        }
    }

    /** The server's host or port does not answer (ICMP): the next datagram goes elsewhere. */
    private void refused(Path refusing) {
        refusing.server.failures++;
        tried.add(refusing.server.member);
        leave(refusing);
    }

    private void leave(Path left) {
        if (path == left) {
            path = null;
            loop.bury(left);
            balancer.worker.descriptors.closed();
            balancer.release(this);
        }
    }

    private void fromServer(Path from) {
        for (int i = 0; i < DATAGRAMS_IN_A_ROW && path == from; i++) {
            int length;
            try {
                length = from.socket.recvAddress(loop.scratchAddress, 0, Loop.SCRATCH);
            } catch (IOException e) {
                refused(from);
                return;
            }
            if (length == 0) {
                return;
            }
            // -1 is a datagram without content.
            length = Math.max(0, length);
            lastDatagram = loop.now();
            bytesOut += length;
            from.tally.out(length);
            tried.clear();
            try {
                listener.socket.sendToAddress(loop.scratchAddress, 0, length, client.getAddress(), client.getPort());
            } catch (IOException e) {
                // The client is not reachable at the moment; datagrams may be lost.
            }
        }
    }

    @Override
    void end(boolean reset) {
        if (gone) {
            return;
        }
        listener.forget(this, key);
        Path left = path;
        if (left != null) {
            leave(left);
        }
        balancer.ended(this);
    }

    @Override
    long due() {
        return lastDatagram + balancer.table().udpTimeout();
    }

    @Override
    void expire() {
        // The listener's list of flows does it for all of them.
    }

    @Override
    ConnectionFilter.Phase phase() {
        return ConnectionFilter.Phase.ESTABLISHED;
    }

    @Override
    Endpoint.Protocol protocol() {
        return Endpoint.Protocol.UDP;
    }

    @Override
    ConnectionInfo info(String serverName, long now) {
        return new ConnectionInfo(
                balancer.name,
                "udp",
                client(),
                listener.endpoint.toString(),
                serverName,
                phase().word(),
                (now - created) / 1_000_000,
                Math.max(0, now - lastDatagram) / 1_000_000,
                bytesIn,
                bytesOut);
    }
}

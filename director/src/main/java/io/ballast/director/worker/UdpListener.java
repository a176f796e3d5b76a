package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.director.scheduler.FlowKey;
import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.DatagramSocketAddress;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One UDP socket of a service, and the flows of its clients. A flow is what one client address and port sends until it is
 * silent for the UDP time-out; it has a server and a connected socket to it, and the answers leave by this socket, so
 * they come from the address that the client asked.
 *
 * <p>Flows cost a descriptor each. At the service's limit, or when descriptors are out, a new one takes the place of the
 * one that has been silent for longest: a flood of new addresses costs others their place in the table, but not the
 * service. All of a service's flows are carried by its own loop.
 *
 * <p>A flow keeps its server while that drains. When it is down, has another address, or has answered with an ICMP
 * error, the flow's next datagram goes to another one.
 */
final class UdpListener extends Wheel.Entry implements EpollIoHandle, Listener {
    /** Received in a row before others have their turn. */
    private static final int DATAGRAMS_IN_A_ROW = 64;

    final Endpoint endpoint;
    final Socket socket;
    private final Balancer balancer;
    private final Map<ClientKey, Flow> flows = new HashMap<>();
    private final byte[] destination;
    private @Nullable IoRegistration registration;
    private boolean closed;

    /** The flows by the time of their last datagram. */
    private @Nullable Flow oldest;

    private @Nullable Flow newest;

    /** A client's address and port, hashed so that a client cannot choose where it lands. */
    record ClientKey(long high, long low, int port, long seed) {
        static ClientKey of(FlowKey flow, long seed) {
            return new ClientKey(flow.sourceHigh(), flow.sourceLow(), flow.sourcePort(), seed);
        }

        @Override
        public int hashCode() {
            long hash = (high ^ seed) * 0x9e3779b97f4a7c15L;
            hash = (hash ^ (hash >>> 29) ^ low) * 0xbf58476d1ce4e5b9L;
            hash = (hash ^ (hash >>> 32) ^ port) * 0x94d049bb133111ebL;
            return (int) (hash >>> 32);
        }
    }

    UdpListener(Balancer balancer, Endpoint endpoint, int fd) {
        this.balancer = balancer;
        this.endpoint = endpoint;
        this.socket = new Socket(fd);
        this.destination = endpoint.address().getAddress();
    }

    @Override
    public Endpoint endpoint() {
        return endpoint;
    }

    @Override
    public void start() throws IOException {
        registration = balancer.owner.register(this, EpollIoOps.EPOLLIN);
    }

    @Override
    public void resume() {
        // Datagrams are never held back.
    }

    @Override
    public FileDescriptor fd() {
        return socket;
    }

    @Override
    public void handle(IoRegistration source, IoEvent event) {
        Loop loop = balancer.owner;
        for (int i = 0; i < DATAGRAMS_IN_A_ROW && !closed; i++) {
            DatagramSocketAddress client;
            try {
                client = socket.recvFromAddress(loop.scratchAddress, 0, Loop.SCRATCH);
            } catch (IOException e) {
                // An error of the network about some earlier datagram; the next one is read when it is there.
                return;
            }
            if (client == null) {
                return;
            }
            received(client, client.receivedAmount());
        }
    }

    private void received(InetSocketAddress client, int length) {
        FlowKey key = FlowKey.of(client.getAddress().getAddress(), client.getPort(), destination);
        ClientKey clientKey = ClientKey.of(key, balancer.worker.seed());
        Flow flow = flows.get(clientKey);
        if (flow == null) {
            makePlace();
            flow = new Flow(balancer, this, key, clientKey, client);
            flows.put(clientKey, flow);
            balancer.begun(flow);
        } else {
            unlink(flow);
        }
        append(flow);
        if (oldest == newest) {
            balancer.owner.arm(this);
        }
        flow.fromClient(length);
    }

    private void makePlace() {
        int limit = balancer.table().forwarding().limits().connections();
        boolean full = limit > 0 && flows.size() >= limit;
        Flow silent = oldest;
        if (silent != null && (full || !balancer.worker.descriptors.room())) {
            balancer.tellOfCrowding();
            silent.end(true);
        }
    }

    private void append(Flow flow) {
        flow.older = newest;
        if (newest == null) {
            oldest = flow;
        } else {
            newest.newer = flow;
        }
        newest = flow;
    }

    private void unlink(Flow flow) {
        Flow older = flow.older;
        Flow newer = flow.newer;
        flow.older = null;
        flow.newer = null;
        if (older == null) {
            oldest = newer;
        } else {
            older.newer = newer;
        }
        if (newer == null) {
            newest = older;
        } else {
            newer.older = older;
        }
    }

    /** A flow has ended. */
    void forget(Flow flow, ClientKey key) {
        if (flows.remove(key, flow)) {
            unlink(flow);
            if (oldest == null) {
                balancer.owner.disarm(this);
            }
        }
    }

    @Override
    long due() {
        Flow silent = oldest;
        return silent == null ? Long.MAX_VALUE : silent.due();
    }

    @Override
    void expire() {
        long now = balancer.owner.now();
        for (Flow silent = oldest; silent != null && silent.due() <= now; silent = oldest) {
            silent.end(false);
        }
        if (oldest != null) {
            balancer.owner.arm(this);
        }
    }

    /** Stops receiving; flows go on as far as the server's answers, until they are silent. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        balancer.owner.disarm(this);
        while (oldest != null) {
            oldest.end(false);
        }
        if (registration != null) {
            registration.cancel();
        }
        try {
            socket.close();
        } catch (IOException e) {
            balancer.note(true, "close " + endpoint + ": " + e.getMessage());
        }
    }
}

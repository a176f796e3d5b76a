package io.ballast.director.worker;

import io.ballast.core.config.Endpoint;
import io.ballast.director.scheduler.FlowKey;
import io.netty.channel.IoEvent;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.Errors.NativeIoException;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Accepts the connections of one listening socket, which the node process opened and owns as well. While the service is
 * at its limit, or descriptors are out, it does not accept, and clients wait in the kernel's listen queue.
 */
final class TcpListener implements EpollIoHandle, Listener {
    /** Accepted in a row before connections have their turn. */
    private static final int ACCEPTS_IN_A_ROW = 32;

    // EPERM, ENETDOWN, ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, EPROTO, EHOSTDOWN, EHOSTUNREACH, ENONET
    private static final Set<Integer> ONE_CLIENT = Set.of(1, 100, 101, 102, 103, 104, 71, 112, 113, 64);

    /** To wait for nothing: errors come in any case. With NONE, Netty 4.2.18 forgets that the descriptor is out. */
    private static final EpollIoOps NOTHING = EpollIoOps.EPOLLERR;

    final Endpoint endpoint;
    private final Balancer balancer;
    private final Socket socket;
    private final byte[] accepted = new byte[Addresses.ACCEPTED];
    private final long destinationHigh;
    private final long destinationLow;
    private @Nullable IoRegistration registration;
    private boolean listening;
    private boolean closed;

    TcpListener(Balancer balancer, Endpoint endpoint, int fd) throws IOException {
        this.balancer = balancer;
        this.endpoint = endpoint;
        this.socket = new Socket(fd);
        FlowKey key = FlowKey.of(
                endpoint.address().getAddress(), 0, endpoint.address().getAddress());
        destinationHigh = key.destinationHigh();
        destinationLow = key.destinationLow();
        // Accepted sockets inherit both, which saves two calls for each.
        socket.setTcpNoDelay(true);
        socket.setKeepAlive(true);
    }

    @Override
    public Endpoint endpoint() {
        return endpoint;
    }

    boolean isWildcard() {
        return endpoint.address().isAnyLocalAddress();
    }

    @Override
    public void start() throws IOException {
        registration = balancer.owner.register(this, EpollIoOps.EPOLLIN);
        listening = true;
        listen(balancer.mayAccept());
    }

    /** Goes on accepting where it stopped and may again. */
    @Override
    public void resume() {
        if (!closed && balancer.mayAccept()) {
            listen(true);
        }
    }

    private void listen(boolean on) {
        if (on != listening && registration != null && !closed) {
            listening = on;
            registration.submit(on ? EpollIoOps.EPOLLIN : NOTHING);
        }
    }

    @Override
    public FileDescriptor fd() {
        return socket;
    }

    @Override
    public void handle(IoRegistration source, IoEvent event) {
        Descriptors descriptors = balancer.worker.descriptors;
        for (int i = 0; i < ACCEPTS_IN_A_ROW && !closed; i++) {
            if (!balancer.mayAccept()) {
                listen(false);
                return;
            }
            if (!descriptors.room()) {
                waitForDescriptors();
                return;
            }
            int fd;
            try {
                fd = socket.accept(accepted);
            } catch (IOException e) {
                if (Descriptors.isExhaustion(e)) {
                    waitForDescriptors();
                    return;
                }
                if (!concernsOneClient(e)) {
                    balancer.note(true, "accept " + endpoint + ": " + e.getMessage() + "; tried again soon");
                    pause();
                }
                return;
            }
            if (fd < 0) {
                return;
            }
            descriptors.opened();
            FlowKey flow = Addresses.flow(accepted, destinationHigh, destinationLow);
            balancer.accepted(this, new Socket(fd), flow);
        }
    }

    /** ECONNABORTED, and what a network or a firewall did to a connection that accept passes on (accept(2)). */
    private static boolean concernsOneClient(IOException error) {
        return error instanceof NativeIoException e && ONE_CLIENT.contains(-e.expectedErr());
    }

    private void waitForDescriptors() {
        balancer.worker.descriptors.stopped(this);
        pause();
    }

    private void pause() {
        listen(false);
        balancer.owner.schedule(this::askAgain, Descriptors.RETRY_NANOS);
    }

    private void askAgain() {
        if (closed) {
            return;
        }
        if (balancer.worker.descriptors.recovered()) {
            balancer.worker.descriptors.resumed(this);
            resume();
        } else {
            balancer.owner.schedule(this::askAgain, Descriptors.RETRY_NANOS);
        }
    }

    /** Stops listening here; the node process may go on. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            balancer.worker.descriptors.resumed(this);
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
}

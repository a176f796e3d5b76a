package io.ballast.linux.netlink;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetlinkSocket;
import java.io.IOException;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Follows what changes in the network namespace of the thread that starts it. Whoever wants to know the state and not
 * only its changes starts the watch first and asks then ({@link RouteNetlink}): so nothing falls between the two, and an
 * event may only repeat what the answer already said.
 *
 * <p>When changes come faster than they are taken, the kernel drops some; the consumer then gets
 * {@link RouteEvent.Lost} in their place and has to ask for everything anew.
 */
public final class RouteWatch implements AutoCloseable {
    /** About 5,000 changes of neighbours. */
    private static final int RECEIVE_BUFFER = 4 << 20;

    /** What can be followed. */
    public enum Topic {
        /** Network interfaces. */
        LINKS,
        /** Their addresses. */
        ADDRESSES,
        /** Entries of the neighbour tables. */
        NEIGHBOURS,
        /** Routes of all tables, and the rules that choose a table. */
        ROUTES
    }

    private final NetlinkSocket socket;
    private final Consumer<RouteEvent> consumer;

    private RouteWatch(NetlinkSocket socket, Consumer<RouteEvent> consumer) {
        this.socket = socket;
        this.consumer = consumer;
    }

    /**
     * Starts to follow. Needs no privileges.
     *
     * @param consumer is called on a virtual thread, one event after another; it should only hand them on
     */
    public static RouteWatch start(Set<Topic> topics, Consumer<RouteEvent> consumer) throws IOException {
        NetlinkSocket socket = NetlinkSocket.open(NetlinkSocket.Family.ROUTE);
        try {
            socket.receiveBuffer(RECEIVE_BUFFER);
            for (Topic topic : topics) {
                for (int group : RouteMessages.groups(topic)) {
                    socket.join(group);
                }
            }
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
        RouteWatch watch = new RouteWatch(socket, consumer);
        Thread.ofVirtual().name("netlink watch").start(watch::run);
        return watch;
    }

    private void run() {
        while (socket.isOpen()) {
            try {
                RouteMessages.events(socket.receive(NetlinkSocket.NO_DEADLINE)).forEach(consumer);
            } catch (LinuxException e) {
                if (e.errno() == Errno.ENOBUFS) {
                    drain();
                } else {
                    pause();
                }
                consumer.accept(new RouteEvent.Lost(e.reason()));
            } catch (SocketException e) {
                return; // closed
            } catch (IOException e) {
                pause();
                consumer.accept(new RouteEvent.Lost(e.toString()));
            }
        }
    }

    /**
     * Throws away what still waits. Having overrun once, the kernel drops everything, without another error, until the
     * queue has been empty: an answer that the consumer asked for before that could be outdated for ever.
     */
    private void drain() {
        while (socket.isOpen()) {
            try {
                socket.receive(System.nanoTime());
            } catch (SocketTimeoutException e) {
                return; // empty
            } catch (LinuxException e) {
                if (e.errno() != Errno.ENOBUFS) {
                    return; // the next receive meets it again
                }
            } catch (IOException e) {
                return;
            }
        }
    }

    /** Keeps an error that stays from becoming a busy loop. */
    private static void pause() {
        try {
            TimeUnit.SECONDS.sleep(1);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Ends it; an event that is being delivered may still arrive. */
    @Override
    public void close() {
        socket.close();
    }
}

package io.ballast.linux.neighbour;

import io.ballast.core.loop.Loop;
import io.ballast.core.loop.Timer;
import io.ballast.linux.LinuxException;
import io.ballast.linux.neighbour.state.HopTable;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.Neighbour;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.RouteWatch;
import java.io.IOException;
import java.net.InetAddress;
import java.util.EnumSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.ObjLongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the next hops of a set of servers current: the interface, both Ethernet addresses, the MTU and the source
 * address that packets to each leave with. What it decides is in {@link HopTable}, which runs on the control loop; here
 * are its hands: requests to the kernel are made by a thread of their own, because the kernel may make one wait for other
 * changes of the network, and what the kernel tells comes in as tasks of the loop.
 *
 * <p>The kernel's entries stay managed when this is closed or its process dies, so that packets that a program in the
 * kernel goes on sending still find their hosts awake. Tracking the empty set first gives them back.
 *
 * <p>Managing neighbours takes CAP_NET_ADMIN; without it each server is unresolved with that as the reason, unless the
 * kernel knows its neighbour anyway.
 */
public final class Neighbours implements AutoCloseable {

    /** Hears of every change, on the loop. */
    public interface Listener {
        /** A server that has not been told of since it is tracked is unresolved. */
        void changed(InetAddress server, Resolution resolution);
    }

    private final Loop loop;
    private final RouteNetlink netlink;
    private final RouteWatch watch;
    private final HopTable table;
    /** Made of one thread; discards what comes after its end. */
    private final ExecutorService requests = new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            Thread.ofPlatform().name("netlink requests").daemon().factory(),
            new ThreadPoolExecutor.DiscardPolicy());

    // Of the loop.
    private @Nullable Timer timer;
    private boolean closed;

    private Neighbours(Loop loop, Listener listener) throws IOException {
        this.loop = loop;
        this.netlink = RouteNetlink.open();
        this.table = new HopTable(new Hands(listener));
        try {
            this.watch = RouteWatch.start(
                    EnumSet.allOf(RouteWatch.Topic.class), event -> run((hops, now) -> hops.onEvent(now, event)));
        } catch (IOException e) {
            netlink.close();
            throw e;
        }
    }

    /** Starts in the network namespace of the calling thread. */
    public static Neighbours start(Loop loop, Listener listener) throws IOException {
        Neighbours neighbours = new Neighbours(loop, listener);
        neighbours.run(HopTable::start);
        return neighbours;
    }

    /** The servers that matter from now on; call it from any thread. */
    public void track(Set<InetAddress> servers) {
        Set<InetAddress> copy = Set.copyOf(servers);
        run((hops, now) -> hops.track(now, copy));
    }

    /** Has the kernel make sure at once that a server's next hop still is there; call it from any thread. */
    public void verify(InetAddress server) {
        run((hops, now) -> hops.verify(now, server));
    }

    private void run(ObjLongConsumer<HopTable> action) {
        loop.execute(() -> {
            if (!closed) {
                action.accept(table, loop.now());
                arm();
            }
        });
    }

    private void arm() {
        if (timer != null) {
            timer.cancel();
            timer = null;
        }
        OptionalLong next = table.nextTime();
        if (next.isPresent()) {
            timer = loop.scheduleAt(next.getAsLong(), () -> run(HopTable::onTime));
        }
    }

    /** Ends it; the listener hears no more once the loop has got that far. */
    @Override
    public void close() {
        watch.close();
        requests.shutdownNow();
        netlink.close();
        loop.execute(() -> {
            closed = true;
            if (timer != null) {
                timer.cancel();
            }
        });
    }

    /** A request to the kernel. */
    @FunctionalInterface
    private interface Request {
        void make() throws IOException;
    }

    /** Does what the table asks for, one after another in the order of asking. */
    private final class Hands implements HopTable.Output {
        private final Listener listener;

        Hands(Listener listener) {
            this.listener = listener;
        }

        private void make(Request request, Consumer<String> failed) {
            requests.execute(() -> {
                try {
                    request.make();
                } catch (IOException e) {
                    failed.accept(String.valueOf(e.getMessage()));
                }
            });
        }

        @Override
        public void lookUp(InetAddress server) {
            make(
                    () -> {
                        try {
                            Route route = netlink.route(server);
                            run((hops, now) -> hops.onRoute(now, server, route));
                        } catch (LinuxException e) {
                            run((hops, now) -> hops.onNoRoute(now, server, e.reason()));
                        }
                    },
                    why -> run((hops, now) -> hops.onNoRoute(now, server, why)));
        }

        @Override
        public void dump() {
            make(
                    () -> {
                        List<Link> links = netlink.links();
                        List<Neighbour> neighbours = netlink.neighbours();
                        run((hops, now) -> hops.onDump(now, links, neighbours));
                    },
                    why -> run((hops, now) -> hops.onDumpFailed(now, why)));
        }

        @Override
        public void keep(int link, InetAddress nextHop) {
            make(
                    () -> netlink.keepNeighbour(link, nextHop),
                    why -> run((hops, now) -> hops.onKeepFailed(now, link, nextHop, why)));
        }

        // The entry may be gone or have changed by the time the kernel is asked; its event says so, if it matters.

        @Override
        public void release(int link, InetAddress nextHop) {
            make(() -> netlink.releaseNeighbour(link, nextHop), why -> {});
        }

        @Override
        public void probe(int link, InetAddress nextHop) {
            make(() -> netlink.probeNeighbour(link, nextHop), why -> {});
        }

        @Override
        public void changed(InetAddress server, Resolution resolution) {
            listener.changed(server, resolution);
        }
    }
}

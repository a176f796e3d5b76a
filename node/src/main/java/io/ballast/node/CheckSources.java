package io.ballast.node;

import io.ballast.core.config.Addresses;
import io.ballast.linux.LinuxException;
import io.ballast.linux.neighbour.SourceChoice;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Route;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.RouteWatch;
import java.io.IOException;
import java.net.InetAddress;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Where checks of real servers are to be sent from. The kernel may choose an address of a service, of IPv6 above all, where
 * the director has it on the interface toward the servers. A server of direct routing or a tunnel has that address too and
 * would answer itself, so that its checks fail.
 *
 * <p>Where the kernel chooses otherwise, checks are left to it, and nothing is asked while no service's address is on this
 * machine. Changes of addresses and routes are followed.
 */
final class CheckSources implements AutoCloseable {
    private static final long PATIENCE_SECONDS = 2;
    private static final long SETTLING_MILLIS = 200;

    /** Hears of what changed by itself; on a thread of its own. */
    interface Listener {
        /** These checks are to be sent from there now, by the address that is asked; others from where the kernel likes. */
        void changed(Map<InetAddress, InetAddress> sources);

        /** Something worth the journal; once for each. */
        void warn(String message);
    }

    private final Listener listener;
    private final AtomicBoolean due = new AtomicBoolean();
    private final ScheduledThreadPoolExecutor thread = new ScheduledThreadPoolExecutor(
            1, Thread.ofPlatform().name("check sources").daemon().factory(), new ThreadPoolExecutor.DiscardPolicy());

    // Of the thread.
    private Set<InetAddress> servers = Set.of();
    private Set<InetAddress> services = Set.of();
    private Map<InetAddress, InetAddress> told = Map.of();
    private final Set<String> warned = new HashSet<>();
    private @Nullable RouteNetlink netlink;
    private @Nullable RouteWatch watch;

    /** For the network namespace of the calling thread. */
    CheckSources(Listener listener) {
        this.listener = listener;
        // It is of this namespace because it is made by a thread of it.
        thread.prestartCoreThread();
    }

    /**
     * What matters from now on; waits for the answer. From any thread but the control loop's.
     *
     * @param asked whom checks ask
     * @param ofServices addresses of services, which they are not to be sent from
     * @return as {@link Listener#changed} has it
     */
    Map<InetAddress, InetAddress> await(Set<InetAddress> asked, Set<InetAddress> ofServices)
            throws InterruptedException {
        Future<Map<InetAddress, InetAddress>> answer = thread.submit(() -> {
            servers = asked;
            services = ofServices;
            told = find();
            return told;
        });
        try {
            return answer.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            look();
            return Map.of();
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
    }

    /** As {@link #await}, for the control loop: the answer comes later. */
    void become(Set<InetAddress> asked, Set<InetAddress> ofServices) {
        thread.execute(() -> {
            servers = asked;
            services = ofServices;
        });
        look();
    }

    /** Has a look once what changes now has settled. */
    private void look() {
        if (due.getAndSet(true)) {
            return;
        }
        try {
            var _ = thread.schedule(
                    () -> {
                        due.set(false);
                        Map<InetAddress, InetAddress> now = find();
                        if (!now.equals(told)) {
                            told = now;
                            listener.changed(now);
                        }
                    },
                    SETTLING_MILLIS,
                    TimeUnit.MILLISECONDS);
        } catch (RejectedExecutionException e) {
            due.set(false); // closed
        }
    }

    private Map<InetAddress, InetAddress> find() {
        if (servers.isEmpty() || services.isEmpty()) {
            return Map.of();
        }
        try {
            return find(following());
        } catch (IOException e) {
            warn("checks are sent from where the kernel likes, which may be a service's address: " + e.getMessage());
            return told;
        }
    }

    private RouteNetlink following() throws IOException {
        RouteNetlink open = netlink;
        if (open == null) {
            watch = RouteWatch.start(EnumSet.of(RouteWatch.Topic.ADDRESSES, RouteWatch.Topic.ROUTES), event -> look());
            open = RouteNetlink.open();
            netlink = open;
        }
        return open;
    }

    private Map<InetAddress, InetAddress> find(RouteNetlink kernel) throws IOException {
        List<Address> own = kernel.addresses();
        if (own.stream().noneMatch(address -> services.contains(address.address()))) {
            return Map.of();
        }
        Map<InetAddress, InetAddress> sources = new HashMap<>();
        for (InetAddress server : servers) {
            Route route;
            try {
                route = kernel.route(server);
            } catch (LinuxException e) {
                continue; // no way there: the check says so itself
            }
            InetAddress usual = route.source();
            // A server here has the service's address anyway, and answers whoever asks.
            if (usual == null
                    || !services.contains(usual)
                    || route.type() == Route.Type.LOCAL
                    || route.hops().isEmpty()) {
                continue;
            }
            Optional<InetAddress> source =
                    SourceChoice.beside(usual, server, route.hops().getFirst().link(), own, services);
            if (source.isPresent()) {
                sources.put(server, source.get());
            } else {
                warn("checks of " + Addresses.print(server) + " are sent from " + Addresses.print(usual)
                        + ", which is a service's address, so a real server that has it too answers itself: give the"
                        + " interface toward it an address of its own, or the checks a `source`");
            }
        }
        return Map.copyOf(sources);
    }

    private void warn(String message) {
        if (warned.add(message)) {
            listener.warn(message);
        }
    }

    @Override
    public void close() {
        thread.execute(() -> {
            if (watch != null) {
                watch.close();
            }
            if (netlink != null) {
                netlink.close();
            }
        });
        thread.shutdown();
    }
}

package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.core.loop.Loop;
import io.ballast.director.EngineEvents;
import io.ballast.linux.neighbour.Neighbours;
import io.ballast.linux.neighbour.state.Resolution;
import io.ballast.linux.neighbour.state.Resolution.Reason;
import io.ballast.linux.netlink.Link;
import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The next hops as the kernel knows them, for all services together. A server that cannot be sent to is in the journal
 * once for each reason, and again when it can: that its packets go to the kernel meanwhile is invisible otherwise.
 */
final class KernelHops implements Hops, AutoCloseable {
    /**
     * Kinds of interfaces that a program may redirect packets to; empty is a network card's. The others have no
     * ndo_xdp_xmit, so that every packet would be lost without a word.
     */
    private static final Set<String> TAKE_PACKETS = Set.of("", "veth", "bond", "tun");

    /** The kernel has heard that it need not keep the neighbours by then. */
    private static final Duration RELEASE = Duration.ofSeconds(1);

    /** Answers of many servers come within this, so that a table is not written for each. */
    private static final Duration SOON = Duration.ofMillis(5);

    private final Loop loop;
    private final EngineEvents events;
    private final IntFunction<@Nullable Link> links;
    private final Neighbours neighbours;
    private final Predicate<InetAddress> described;
    private final Map<InetAddress, Set<Listener>> listeners = new HashMap<>();
    private final Map<InetAddress, Resolution> told = new HashMap<>();
    private final Map<InetAddress, String> troubles = new LinkedHashMap<>();
    private boolean started;
    private boolean trackDue;

    /**
     * For the network namespace of the calling thread.
     *
     * @param links what is known of an interface by its number
     * @param described whether a service has the server still; of others, whose connections may go on, nobody is told
     */
    KernelHops(Loop loop, EngineEvents events, IntFunction<@Nullable Link> links, Predicate<InetAddress> described)
            throws IOException {
        this.loop = loop;
        this.events = events;
        this.links = links;
        this.described = described;
        neighbours = Neighbours.start(loop, this::changed);
    }

    @Override
    public void watch(InetAddress server, Listener listener) {
        listeners.computeIfAbsent(server, unknown -> new HashSet<>()).add(listener);
        Resolution known = told.get(server);
        if (known != null) {
            listener.hop(server, hop(known));
        } else {
            track();
        }
    }

    @Override
    public void forget(InetAddress server, Listener listener) {
        Set<Listener> left = listeners.get(server);
        if (left != null && left.remove(listener) && left.isEmpty()) {
            listeners.remove(server);
            told.remove(server);
            troubles.remove(server);
            track();
        }
    }

    @Override
    public void soon(Runnable task) {
        loop.schedule(SOON, () -> {
            if (started) {
                task.run();
            }
        });
    }

    /** Tells listeners from now on; before, they are only noted, by whichever thread makes this. */
    void start() {
        started = true;
        track();
    }

    /** Changes of one turn of the loop go to the kernel together. */
    private void track() {
        if (started && !trackDue) {
            trackDue = true;
            loop.execute(() -> {
                trackDue = false;
                neighbours.track(Set.copyOf(listeners.keySet()));
            });
        }
    }

    private void changed(InetAddress server, Resolution resolution) {
        Set<Listener> interested = listeners.get(server);
        if (interested == null) {
            return;
        }
        told.put(server, resolution);
        tell(server, resolution);
        List.copyOf(interested).forEach(listener -> listener.hop(server, hop(resolution)));
    }

    private Optional<Hop> hop(Resolution resolution) {
        return switch (resolution) {
            case Resolution.Hop hop
            when unfit(hop).isEmpty() -> Optional.of(new Hop(hop.destination(), hop.source(), hop.link(), hop.mtu()));
            case Resolution.Unresolved none when none.reason() == Reason.OWN_ADDRESS -> Optional.of(Hop.HERE);
            default -> Optional.empty();
        };
    }

    private Optional<String> unfit(Resolution.Hop hop) {
        Link link = links.apply(hop.link());
        return link == null || TAKE_PACKETS.contains(link.kind())
                ? Optional.empty()
                : Optional.of("it is reached by " + hop.device() + ", a " + link.kind()
                        + ", to which an XDP program cannot send; reach it by a network card or a bond");
    }

    private void tell(InetAddress server, Resolution resolution) {
        String trouble = switch (resolution) {
            case Resolution.Hop hop -> unfit(hop).orElse("");
            // Of its own packets the kernel takes care: they pass to it, and whoever listens answers.
            case Resolution.Unresolved none
            when none.reason() == Reason.OWN_ADDRESS || none.reason() == Reason.RESOLVING -> "";
            case Resolution.Unresolved none -> none.detail();
        };
        String before = trouble.isEmpty() ? troubles.remove(server) : troubles.put(server, trouble);
        String subject = Addresses.print(server);
        if ((trouble.isEmpty() && before == null) || !described.test(server)) {
            return;
        }
        if (!trouble.isEmpty() && !trouble.equals(before)) {
            events.note(
                    true, subject, "packets for the real server " + subject + " go to the kernel instead: " + trouble);
        } else if (trouble.isEmpty() && before != null) {
            events.note(false, subject, "packets can be sent to the real server " + subject + " again");
        }
    }

    /** Why packets cannot be sent to a server, by its address; without those that they can be sent to. */
    Map<InetAddress, String> troubles() {
        Map<InetAddress, String> described = new LinkedHashMap<>(troubles);
        described.keySet().removeIf(server -> !this.described.test(server));
        return described;
    }

    /** The ways that packets to servers take, by their addresses; without those that they cannot be sent to. */
    Map<InetAddress, Resolution.Hop> ways() {
        Map<InetAddress, Resolution.Hop> ways = new HashMap<>();
        told.forEach((server, resolution) -> {
            if (resolution instanceof Resolution.Hop hop && unfit(hop).isEmpty()) {
                ways.put(server, hop);
            }
        });
        return ways;
    }

    /** Whether the way to every server that is watched is known, or that there is none. */
    boolean knowsAll() {
        return told.keySet().containsAll(listeners.keySet());
    }

    @Override
    public Optional<InetAddress> sourceFor(InetAddress server) {
        return told.get(server) instanceof Resolution.Hop hop
                ? Optional.ofNullable(hop.sourceAddress())
                : Optional.empty();
    }

    /**
     * The kernel goes on to keep the neighbours fresh, for the packets that go on; where no server is watched any more,
     * it is told to let go of them first.
     */
    @Override
    public void close() {
        if (listeners.isEmpty()) {
            release();
        } else {
            started = false;
            neighbours.close();
        }
    }

    /** Ends it with the packets. */
    void release() {
        started = false;
        neighbours.track(Set.of());
        loop.schedule(RELEASE, neighbours::close);
    }
}

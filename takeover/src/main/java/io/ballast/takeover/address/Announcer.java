package io.ballast.takeover.address;

import io.ballast.core.config.Addresses;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NativeSocket;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Tells the network of one interface which addresses are at this machine now ({@link Announcements}), as often as
 * settings say. It has no thread: whoever has one asks when something is {@link #due} and calls {@link #tick} then,
 * which sends no more than a bounded number of frames and never waits.
 *
 * <p>Every address is announced once before one is announced twice, also across virtual routers that became master
 * together: the first announcement is the one that matters.
 *
 * <p>What cannot be sent ends nothing and is told once until it changes. The kernel's ENOBUFS, which is also what it
 * says where a program on the interface drops the frame because this node's lease has not begun yet, is tried again at
 * a later tick, for five seconds; after a tenth of a second it is told.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class Announcer implements AutoCloseable {
    static final int MOST_PER_TICK = 64;

    /** Between as many as that and the next: more at once, and a backlog on the way overflows; seen at 5,100. */
    static final long PACE = TimeUnit.MILLISECONDS.toNanos(2);

    static final long RETRY = TimeUnit.MILLISECONDS.toNanos(1);
    /** For so long nobody needs to know. */
    static final long PATIENCE = TimeUnit.MILLISECONDS.toNanos(100);

    static final long SLOW_RETRY = TimeUnit.MILLISECONDS.toNanos(20);
    static final long LONGEST = TimeUnit.SECONDS.toNanos(5);

    private static final long NEVER = AnnouncementSchedule.NEVER;

    /**
     * How often addresses are announced.
     *
     * @param repeat how many times at once, and as many times again after the delay; at least 1
     * @param delay in nanoseconds; 0 for no second series
     * @param refresh every so many nanoseconds once more, for as long as they are here; 0 for not
     * @param arpReplies whether each gratuitous ARP request is followed by the same as a reply
     */
    public record Settings(int repeat, long delay, long refresh, boolean arpReplies) {
        /** Five times at once and after five seconds, as keepalived does. */
        public static final Settings USUAL = new Settings(5, TimeUnit.SECONDS.toNanos(5), 0, false);

        public Settings {
            if (repeat < 1 || delay < 0 || refresh < 0) {
                throw new IllegalArgumentException(
                        "announced " + repeat + " times, delay " + delay + " ns, refresh " + refresh + " ns");
            }
        }
    }

    /** Sends a frame by the interface, or fails at once. */
    interface Wire extends AutoCloseable {
        void send(byte[] frame) throws IOException;

        @Override
        void close();
    }

    /** What is announced for one virtual router. */
    private static final class Series {
        final String router;
        final List<byte[]> frames;
        final AnnouncementSchedule schedule;
        /** Which frame is sent next. */
        int next;
        /** Since when the kernel has not taken it. */
        long stuckSince = NEVER;

        long notBefore = Long.MIN_VALUE;

        Series(String router, List<byte[]> frames, AnnouncementSchedule schedule) {
            this.router = router;
            this.frames = frames;
            this.schedule = schedule;
        }

        long due() {
            return Math.max(schedule.due(), notBefore);
        }
    }

    private final String link;
    private final Wire wire;
    private final Consumer<String> failures;
    /** Whose turn is next comes first. */
    private final Deque<Series> turns = new ArrayDeque<>();

    /** When more may be sent. */
    private long notBefore = Long.MIN_VALUE;

    private String told = "";

    Announcer(String link, Wire wire, Consumer<String> failures) {
        this.link = link;
        this.wire = wire;
        this.failures = failures;
    }

    /**
     * For an Ethernet interface of the calling thread's network namespace. Needs CAP_NET_RAW. It stays with this
     * interface: one that vanished and came back is another, to be opened anew.
     *
     * @param failures hears what could not be announced and why, for people; called by {@link #tick}
     */
    public static Announcer open(Link link, Consumer<String> failures) throws IOException {
        NativeSocket socket = NativeSocket.packet(link.index(), 0);
        return new Announcer(
                link.name(),
                new Wire() {
                    @Override
                    public void send(byte[] frame) throws IOException {
                        socket.write(ByteBuffer.wrap(frame), NativeSocket.deadlineIn(0));
                    }

                    @Override
                    public void close() {
                        socket.close();
                    }
                },
                failures);
    }

    /**
     * Announces from now on, in place of what was announced for this virtual router before. Nothing is sent before the
     * next {@link #tick}.
     *
     * @param router tells virtual routers of this interface apart
     * @param mac where the addresses are: the interface's own, or a virtual one
     */
    public void announce(
            String router, MacAddress mac, Collection<InetAddress> addresses, Settings settings, long now) {
        stop(router);
        List<byte[]> frames = new ArrayList<>();
        boolean forwards = addresses.stream().anyMatch(Inet6Address.class::isInstance) && forwards();
        for (InetAddress address : addresses) {
            switch (address) {
                case Inet4Address ipv4 -> {
                    frames.add(Announcements.arpRequest(mac, ipv4));
                    if (settings.arpReplies()) {
                        frames.add(Announcements.arpReply(mac, ipv4));
                    }
                }
                case Inet6Address ipv6 -> frames.add(Announcements.neighbourAdvertisement(mac, ipv6, forwards));
                default -> throw new IllegalArgumentException(Addresses.print(address));
            }
        }
        Series series = new Series(router, frames, new AnnouncementSchedule(settings));
        series.schedule.begin(now);
        turns.addLast(series);
    }

    /** Whether this node is a router of IPv6 for its neighbours there. */
    private boolean forwards() {
        try {
            return !Sysctl.read("net/ipv6/conf/" + link + "/forwarding").equals("0");
        } catch (IOException e) {
            tell("whether " + link + " forwards IPv6 cannot be read, so its advertisements say no: " + e.getMessage());
            return false;
        }
    }

    /** Announces from the beginning what is announced for this virtual router: somebody may have heard otherwise. */
    public void again(String router, long now) {
        turns.stream().filter(series -> series.router.equals(router)).forEach(series -> series.schedule.begin(now));
    }

    /** Sends a frame of another kind once, now; what cannot be sent is told. */
    public void once(byte[] frame) {
        try {
            wire.send(frame);
        } catch (IOException e) {
            tell("neighbours cannot be asked by " + link + ": " + e.getMessage());
        }
    }

    /** Announces nothing for this virtual router any more. */
    public void stop(String router) {
        turns.removeIf(series -> series.router.equals(router));
    }

    /** When {@link #tick} has something to do; {@link Long#MAX_VALUE} where nothing is left. */
    public long due() {
        long due = NEVER;
        for (Series series : turns) {
            due = Math.min(due, series.due());
        }
        return Math.max(due, notBefore);
    }

    /** Sends what is due, or as much of it as is sent at once. */
    public void tick(long now) {
        if (now < notBefore) {
            return;
        }
        int room = MOST_PER_TICK;
        for (int idle = 0; idle < turns.size(); ) {
            Series series = turns.getFirst();
            idle = series.due() > now ? idle + 1 : 0;
            while (series.due() <= now && series.next < series.frames.size()) {
                if (room-- == 0) {
                    notBefore = now + PACE;
                    return;
                }
                send(series, now);
            }
            if (series.due() <= now) {
                series.next = 0;
                series.schedule.done(now);
            }
            turns.addLast(turns.removeFirst());
        }
    }

    /** Sends the next frame, or has it wait. */
    private void send(Series series, long now) {
        try {
            wire.send(series.frames.get(series.next));
            told = "";
        } catch (IOException e) {
            if (isPassing(e)) {
                series.stuckSince = Math.min(series.stuckSince, now);
                if (now - series.stuckSince < PATIENCE) {
                    series.notBefore = now + RETRY;
                    return;
                }
            }
            tell("addresses cannot be announced by " + link + ": " + e.getMessage());
            if (isPassing(e) && now - series.stuckSince < LONGEST) {
                series.notBefore = now + SLOW_RETRY;
                return;
            }
            series.next = series.frames.size(); // nor can the others
            series.stuckSince = NEVER;
            return;
        }
        series.stuckSince = NEVER;
        series.next++;
    }

    private static boolean isPassing(IOException e) {
        return e instanceof SocketTimeoutException
                || (e instanceof LinuxException refused && refused.errno() == Errno.ENOBUFS);
    }

    private void tell(String failure) {
        if (!failure.equals(told)) {
            told = failure;
            failures.accept(failure);
        }
    }

    @Override
    public void close() {
        wire.close();
    }
}

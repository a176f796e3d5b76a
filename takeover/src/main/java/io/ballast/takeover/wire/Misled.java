package io.ballast.takeover.wire;

import io.ballast.core.config.Addresses;
import io.ballast.takeover.lease.LeaseGate.Sender;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * Neighbours that go on sending to an address here when another node has it: they have missed, or do not believe, what that
 * one has announced.
 *
 * <p>Nobody but the owner may say where the address is, so this node does not tell them. It asks in their name, as one asks
 * who has no address yet (RFC 5227 section 2.1.1; for IPv6 RFC 4862 section 5.4.2), and whoever has the address answers
 * them. That is safe also where this node knows nothing of the owner, or there is none, and any kind of node answers. Each is
 * asked for once a second at most, since Linux takes no other answer within a second of the last, and only while it goes on.
 *
 * <p>Pure: what is seen is given, and what is to be asked returned. One thread, but {@link #strays}.
 */
final class Misled {
    static final long AGAIN = TimeUnit.SECONDS.toNanos(1);

    /** More in one look wait for the next. */
    static final int AT_ONCE = 16;

    /** Of one virtual router's; who sends from ever new Ethernet addresses must not fill the memory. */
    static final int MOST = 4096;

    /** Who is told so often and goes on does not listen. */
    private static final int STUBBORN = 5;

    /** After so much silence it is over. */
    private static final long QUIET = TimeUnit.SECONDS.toNanos(2);

    private static final int MOST_TOLD = 16;

    /** Addresses that left together, or were never here. */
    private static final class Gone {
        final String who;
        final Set<InetAddress> addresses;
        final long since;
        final Map<Sender, Neighbour> neighbours = new HashMap<>();
        long frames;
        long last;
        boolean told;
        int stubborn;

        Gone(String who, Set<InetAddress> addresses, long since) {
            this.who = who;
            this.addresses = addresses;
            this.since = since;
        }
    }

    private static final class Neighbour {
        long counted;
        long asked;
        int times;
    }

    private final Map<Membership.Key, Gone> all = new LinkedHashMap<>();
    private final Map<Membership.Key, Ownership.Strays> strays = new ConcurrentHashMap<>();

    /** Another has them from now on, or nobody. */
    void released(Membership.Key key, String who, Collection<InetAddress> addresses, long now) {
        all.put(key, new Gone(who, Set.copyOf(addresses), now));
        strays.remove(key);
    }

    /** They are here, or not looked after any more. */
    void forget(Membership.Key key) {
        all.remove(key);
        strays.remove(key);
    }

    /** Whether there is anything to look for. */
    boolean isWatching() {
        return !all.isEmpty();
    }

    /** What has been seen; on any thread. */
    Map<Membership.Key, Ownership.Strays> strays() {
        return strays;
    }

    /**
     * Looks at who has sent what.
     *
     * @param counts by sender, of all frames so far
     * @return in whose name to ask who has the address
     */
    List<Sender> see(Map<Sender, Long> counts, long now) {
        List<Sender> due = new ArrayList<>();
        all.forEach((key, gone) -> {
            boolean changed = false;
            for (Map.Entry<Sender, Long> each : counts.entrySet()) {
                if (gone.addresses.contains(each.getKey().address())) {
                    changed |= see(gone, each.getKey(), each.getValue(), now, due);
                }
            }
            if (changed) {
                strays.put(key, new Ownership.Strays(gone.neighbours.size(), gone.frames, gone.last - gone.since));
            }
        });
        return due;
    }

    private static boolean see(Gone gone, Sender sender, long count, long now, List<Sender> due) {
        if (gone.neighbours.size() >= MOST && !gone.neighbours.containsKey(sender)) {
            return false; // so many at once are none
        }
        Neighbour neighbour = gone.neighbours.computeIfAbsent(sender, _ -> new Neighbour());
        if (count < neighbour.counted) {
            neighbour.counted = 0; // forgotten meanwhile, for want of room
        }
        if (count == neighbour.counted) {
            return false;
        }
        gone.frames += count - neighbour.counted;
        gone.last = now;
        if (due.size() < AT_ONCE && (neighbour.times == 0 || now - neighbour.asked >= AGAIN)) {
            neighbour.asked = now;
            neighbour.times++;
            due.add(sender);
        }
        neighbour.counted = count;
        return true;
    }

    /** What people should know by now: what warns begins with {@code !}. */
    List<String> news(long now) {
        List<String> news = new ArrayList<>();
        for (Gone gone : all.values()) {
            if (gone.stubborn < MOST_TOLD) {
                gone.neighbours.forEach((sender, neighbour) -> {
                    if (neighbour.times == STUBBORN) {
                        neighbour.times++;
                        gone.stubborn++;
                        news.add("!" + gone.who + ": " + sender.mac() + " goes on sending to "
                                + Addresses.print(sender.address())
                                + " at this machine, though it was answered where that is: is its ARP entry fixed, or are"
                                + " answers kept from it?");
                    }
                });
            }
            if (gone.frames > 0 && !gone.told && now - gone.last > QUIET) {
                gone.told = true;
                news.add(String.format(
                        Locale.ROOT,
                        "%s: %d %s went on sending to its addresses here, %d packets, the last %.1f s after they had gone;"
                                + " they were answered where those are",
                        gone.who,
                        gone.neighbours.size(),
                        gone.neighbours.size() == 1 ? "neighbour" : "neighbours",
                        gone.frames,
                        (gone.last - gone.since) / 1e9));
            }
        }
        return news;
    }
}

package io.ballast.takeover.vrrp;

import static io.ballast.takeover.vrrp.Advertisement.LEAVES;
import static io.ballast.takeover.vrrp.Advertisement.OWNER;

import java.net.InetAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One node's part in a virtual router: whether it is to have the addresses (RFC 9568 section 6.4, RFC 3768 section 6.4).
 *
 * <p>The master advertises at an interval. A backup that has heard nothing for three intervals, and its skew on top, which
 * is the shorter the higher its priority, takes the addresses; so the best backup is the first to do so, and its
 * advertisement keeps the others still. Whoever is master and hears of a better one steps down.
 *
 * <p>Two things are different from what the RFCs draw, and both because a Java thread cannot promise to be on time:
 *
 * <ul>
 *   <li>There is no timer for the next advertisement. {@link Output#advertise} says what is to be sent from now on, and
 *       what sends it needs nobody to remind it. Where it could not send for so long that the others have taken over, it
 *       says so ({@link #lapsed}).
 *   <li>What was heard counts from when it arrived, not from when it was read ({@code at} beside {@code now}). Whoever
 *       calls {@link #tick} has read everything that arrived before.
 * </ul>
 *
 * <p>And one because it is better: a master that leaves in an orderly way ({@link #leave}) keeps the addresses until
 * another has them. For a moment both answer, and no packet finds nobody.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
public final class VirtualRouter {

    /** What a node is to a virtual router. */
    public enum Role {
        /** Takes no part. */
        STOPPED,
        /** Something that it needs is missing, so that it must not have the addresses. */
        FAULT,
        /** Another has the addresses, or is about to. */
        BACKUP,
        /** Has the addresses. */
        MASTER,
        /** Has the addresses until another has taken them. */
        LEAVING
    }

    /**
     * What a node is to be to a virtual router.
     *
     * @param version of VRRP, 2 or 3
     * @param routerId 1 to 255; tells virtual routers of one network apart
     * @param priority 1 to 255, which is the addresses' owner: always master while it is there
     * @param interval between advertisements, in nanoseconds, as {@link Advertisement} allows
     * @param addresses that go to whoever is master
     * @param preempt whether a master of lower priority is replaced
     * @param preemptDelay for how long such a one is left alone at first, in nanoseconds
     * @param own the address that this node's advertisements come from
     */
    public record Settings(
            int version,
            int routerId,
            int priority,
            long interval,
            List<InetAddress> addresses,
            boolean preempt,
            long preemptDelay,
            InetAddress own) {
        public Settings {
            addresses = List.copyOf(addresses);
            if (priority == LEAVES) {
                throw new IllegalArgumentException("priority 0 is of those that leave; from 1 to 255");
            }
            if (preemptDelay < 0) {
                throw new IllegalArgumentException("preemption delay " + preemptDelay + " ns: not negative");
            }
            // Its other limits are those of what it advertises.
            var _ = new Advertisement(version, routerId, priority, interval, addresses);
        }

        /** The same with another priority, and whether it preempts at once or not at all. */
        public Settings of(int otherPriority, boolean preempts) {
            return new Settings(
                    version,
                    routerId,
                    otherPriority,
                    interval,
                    addresses,
                    preempts,
                    preempts == preempt ? preemptDelay : 0,
                    own);
        }
    }

    /** Where decisions go. Calls come in the order in which things are to be done. */
    public interface Output {
        /** Sends this at once, and then at its interval until another is given, or {@link #silence} is. */
        void advertise(Advertisement advertisement);

        /** Sends this once, and nothing any more. */
        void farewell(Advertisement advertisement);

        /** Sends nothing any more. */
        void silence();

        /** The addresses are this node's: tell everybody. */
        void acquire();

        /** They are not. */
        void release();

        /**
         * They are another's, who is alive and says so first, before it gives them to its kernel and tells everybody: until
         * that is done they may stay.
         */
        void handOver();

        /** Another has advertised itself as master and been wrong: whoever believed it has to be told again. */
        void contested(InetAddress by);

        /** The role is another; the addresses have been acquired, released or handed over. */
        void changed(Role from, Role to, String why);
    }

    /** An answer to every advertisement of lower priority would let a stranger make this node send as fast as he can. */
    private static final int ANSWERS_PER_INTERVAL = 4;

    private static final long NEVER = Long.MAX_VALUE;

    private final Output output;
    private Settings settings;
    private int priority;
    private Role role = Role.STOPPED;
    private long since;
    private String why = "not started";
    private @Nullable InetAddress master;
    private long masterInterval;
    private long heard;
    private long due = NEVER;
    private long lowerSince = NEVER;
    private long answered;
    private boolean held;

    /** A virtual router that takes no part yet. */
    public VirtualRouter(Settings settings, Output output, long now) {
        this.settings = settings;
        this.output = output;
        this.priority = settings.priority();
        this.masterInterval = settings.interval();
        this.since = now;
    }

    /** Takes part from now on; an owner as master, others as backup. Who was about to leave stays. */
    public void start(long now) {
        if (role == Role.LEAVING) {
            due = NEVER;
            output.advertise(advertisement(priority));
            change(Role.MASTER, "stays", now);
        }
        if (role != Role.STOPPED) {
            return;
        }
        if (priority == OWNER && !held) {
            become(Role.MASTER, "started as the addresses' owner", now);
        } else {
            wait(null, "started", now);
        }
    }

    /**
     * Whether this node is to leave a master alone, also one of lower priority: it would have the addresses, and not what it
     * needs to serve them as well. A master that has fallen silent it replaces nevertheless.
     */
    public void hold(boolean holds) {
        held = holds;
    }

    /** Gives the addresses up at once and takes no part any more. */
    public void stop(String because, long now) {
        end(Role.STOPPED, because, now);
    }

    /**
     * Takes no part any more, but has the addresses until another does, or until everybody who could has had the time.
     * What is not master stops at once.
     */
    public void leave(String because, long now) {
        if (role != Role.MASTER) {
            stop(because, now);
            return;
        }
        due = now + down(settings.interval());
        output.advertise(advertisement(LEAVES));
        change(Role.LEAVING, because, now);
    }

    /** Gives the addresses up at once, for another to take, and waits as a backup. What is not master stays as it is. */
    public void stepDown(String because, long now) {
        if (role == Role.MASTER) {
            output.farewell(advertisement(LEAVES));
            output.release();
            wait(null, because, now);
        }
    }

    /** Must not have the addresses, as something is missing that they need. */
    public void fault(String because, long now) {
        if (role != Role.STOPPED) {
            end(Role.FAULT, because, now);
        }
    }

    /** Takes part from now on, as far as it can: something is missing, and {@link #whole} says when it is there. */
    public void startAtFault(String because, long now) {
        if (role == Role.STOPPED) {
            change(Role.FAULT, because, now);
        }
    }

    /** What was missing is there again. */
    public void whole(long now) {
        if (role == Role.FAULT) {
            role = Role.STOPPED;
            start(now);
        }
    }

    /**
     * New settings; the role stays. Of another version or virtual router they are another's: stop this one and start that.
     */
    public void configure(Settings next, long now) {
        if (next.version() != settings.version() || next.routerId() != settings.routerId()) {
            throw new IllegalArgumentException("virtual router " + settings.routerId() + " of version "
                    + settings.version() + " cannot become " + next.routerId() + " of " + next.version());
        }
        settings = next;
        priority = next.priority();
        if (master == null) {
            masterInterval = next.interval();
        }
        refresh(now);
    }

    private void refresh(long now) {
        if (role == Role.MASTER) {
            output.advertise(advertisement(priority));
        } else if (role == Role.BACKUP) {
            due = Math.max(now, heard + down(masterInterval));
        }
    }

    /**
     * An advertisement for this virtual router has arrived, in good order ({@link AdvertisementCodec}).
     *
     * @param from the sender's address; the node's own ones are not to be told of
     * @param at when it arrived
     */
    public void heard(Advertisement ad, InetAddress from, long at, long now) {
        if (settings.version() == 2 && ad.interval() != settings.interval()) {
            // RFC 3768 section 7.1: whoever disagrees about the interval disagrees about who is dead.
            return;
        }
        switch (role) {
            case STOPPED, FAULT -> {}
            case BACKUP -> heardByBackup(ad, from, at);
            case MASTER -> heardByMaster(ad, from, at, now);
            case LEAVING -> {
                if (ad.priority() != LEAVES) {
                    output.silence();
                    output.handOver();
                    due = NEVER;
                    change(Role.STOPPED, name(from) + " has taken over", now);
                }
            }
        }
    }

    private void heardByBackup(Advertisement ad, InetAddress from, long at) {
        if (ad.priority() == LEAVES) {
            // Where several believed to be master, one that gives up says nothing of the others.
            if (master == null || master.equals(from)) {
                due = Math.min(due, at + skew(masterInterval));
            }
            return;
        }
        if (ad.priority() < priority && preempts(at)) {
            return;
        }
        follow(ad, from, at);
    }

    private boolean preempts(long at) {
        if (held || (!settings.preempt() && priority != OWNER)) {
            return false;
        }
        if (priority == OWNER) {
            return true;
        }
        if (lowerSince == NEVER) {
            lowerSince = at;
        }
        return at - lowerSince >= settings.preemptDelay();
    }

    private void follow(Advertisement ad, InetAddress from, long at) {
        master = from;
        if (ad.priority() >= priority) {
            lowerSince = NEVER;
        }
        // RFC 9568 section 6.1: the master's, so that nodes of different settings agree about when it is dead.
        masterInterval = ad.interval();
        heard = Math.max(heard, at);
        due = heard + down(masterInterval);
    }

    private void heardByMaster(Advertisement ad, InetAddress from, long at, long now) {
        if (ad.priority() == LEAVES) {
            output.advertise(advertisement(priority));
            return;
        }
        if (isBetter(ad, from)) {
            output.silence();
            output.handOver();
            heard = at;
            lowerSince = NEVER;
            follow(ad, from, at);
            change(Role.BACKUP, name(from) + " advertises priority " + ad.priority() + ", this node " + priority, now);
            return;
        }
        // RFC 9568 section 6.4.3: at once, so that the other does not wait for the next.
        if (now - answered >= settings.interval() / ANSWERS_PER_INTERVAL) {
            answered = now;
            output.advertise(advertisement(priority));
            output.contested(from);
        }
    }

    /** Whether a master that hears this steps down. */
    public boolean isBetter(Advertisement ad, InetAddress from) {
        return ad.priority() > priority || (ad.priority() == priority && isAbove(from, settings.own()));
    }

    /** Does what has become due; everything that arrived until now has been told of. */
    public void tick(long now) {
        if (now < due) {
            return;
        }
        if (role == Role.BACKUP) {
            become(Role.MASTER, silence(now), now);
        } else if (role == Role.LEAVING) {
            end(Role.STOPPED, "nobody has taken over", now);
        }
    }

    private String silence(long now) {
        if (lowerSince != NEVER) {
            return "the master's priority was lower";
        }
        InetAddress of = master;
        return of == null
                ? "no master was heard"
                : "nothing was heard of " + name(of) + " for " + (now - heard) / 1_000_000 + " ms";
    }

    /** When {@link #tick} has something to do; {@link Long#MAX_VALUE} where nothing but time will change that. */
    public long due() {
        return due;
    }

    /**
     * Advertisements could not be sent for so long that others have taken the addresses, or may have. Whoever has would be
     * heard within an interval.
     */
    public void lapsed(long now) {
        if (role == Role.MASTER) {
            output.silence();
            output.release();
            wait(null, "this node stood still for too long", now);
            due = now + settings.interval() + skew(settings.interval());
        } else if (role == Role.LEAVING) {
            end(Role.STOPPED, "this node stood still for too long", now);
        }
    }

    private void wait(@Nullable InetAddress following, String because, long now) {
        master = following;
        masterInterval = settings.interval();
        heard = now;
        lowerSince = NEVER;
        due = now + down(masterInterval);
        change(Role.BACKUP, because, now);
    }

    private void become(Role next, String because, long now) {
        due = NEVER;
        master = null;
        output.advertise(advertisement(priority));
        output.acquire();
        change(next, because, now);
    }

    private void end(Role next, String because, long now) {
        if (role == next) {
            return;
        }
        if (role == Role.MASTER || role == Role.LEAVING) {
            output.farewell(advertisement(LEAVES));
            output.release();
        }
        due = NEVER;
        master = null;
        change(next, because, now);
    }

    private void change(Role next, String because, long now) {
        Role from = role;
        role = next;
        since = now;
        why = because;
        output.changed(from, next, because);
    }

    private Advertisement advertisement(int ofPriority) {
        return new Advertisement(
                settings.version(), settings.routerId(), ofPriority, settings.interval(), settings.addresses());
    }

    /**
     * How much longer than three intervals a backup of this priority waits, in nanoseconds. Version 2 reckons with a
     * second whatever the interval, which is the same thing as its intervals are seconds but for those above one.
     */
    private long skew(long interval) {
        return (256 - priority) * (settings.version() == 2 ? Advertisement.SECOND : interval) / 256;
    }

    private long down(long interval) {
        return 3 * interval + skew(interval);
    }

    private static boolean isAbove(InetAddress one, InetAddress other) {
        return Arrays.compareUnsigned(one.getAddress(), other.getAddress()) > 0;
    }

    private static String name(InetAddress address) {
        return address.getHostAddress();
    }

    public Role role() {
        return role;
    }

    /** Since when, by the clock of what it is told. */
    public long since() {
        return since;
    }

    /** What the role is due to, for people. */
    public String why() {
        return why;
    }

    /** How long a silence the others bear, in nanoseconds: of those that come after this node the first. */
    public long borne() {
        return down(settings.interval());
    }

    /** The priority now. */
    public int priority() {
        return priority;
    }

    /** Who is master, as far as a backup has heard of one. */
    public Optional<InetAddress> master() {
        return Optional.ofNullable(master);
    }
}

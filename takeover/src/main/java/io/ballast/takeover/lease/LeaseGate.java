package io.ballast.takeover.lease;

import io.ballast.core.config.Addresses;
import io.ballast.linux.Descriptor;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.BpfSupport;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.TrafficControl;
import io.ballast.linux.netlink.TrafficControl.Classifier;
import io.ballast.linux.netlink.TrafficControl.Direction;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A dead daemon owns nothing. An address that moves between nodes is configured in the kernel, and the kernel goes on
 * answering for it when the daemon that put it there has been killed, while another node has taken it: two owners. So the
 * addresses stand behind a gate, programs in the kernel on the way in and out of each interface. What comes to a guarded
 * address, goes out from it, asks who has it or answers that, passes only while
 *
 * <ul>
 *   <li>this node holds the address ({@link #hold}), and
 *   <li>the lease runs. {@link #begin} begins it, and each datagram on {@link #ticks} extends it by its length; they are
 *       queued in the kernel ahead of time ({@link io.ballast.linux.TimedSends}), so that a stop of the Java threads is no
 *       death. With the process goes what it has queued, and one length of the lease later nothing passes.
 * </ul>
 *
 * <p>A lease that has run out stays so, whatever ticks still come: after a stop (of the process, or of the whole
 * machine) they all come at once, and others may have the addresses by then. Whoever finds that it is over
 * ({@link #isAlive}) has to think about what it holds, and may then {@link #begin} again.
 *
 * <p>Programs and tables stay on the interfaces when the process ends without {@link #close}, and keep shut what they
 * guarded. The next daemon of the same name finds the programs by their name and puts its own into their place between
 * two packets. So it first {@link #protect}s, then takes what an earlier one has left in the kernel away, and only then
 * {@link #guard}s. Without a daemon {@link #dismantle} removes them, or a person does, after the addresses:
 *
 * <pre>{@code
 * ip address del 192.0.2.10/24 dev eth0
 * tc filter show dev eth0 ingress               # "bpf ... ballast NAME lease", with its pref and handle
 * tc filter del dev eth0 ingress pref 1 handle 0x1 bpf
 * tc filter show dev eth0 egress                # and the same there; or all of them at once, other programs' as well:
 * tc qdisc del dev eth0 clsact
 * }</pre>
 *
 * <p>The gate stands where {@code tc filter} puts programs ({@link TrafficControl}). XDP programs and packet sockets see
 * frames before it, and what goes from one address of this machine to another does not pass it.
 *
 * <p>{@link #begin}, {@link #end}, {@link #isAlive}, {@link #hold}, {@link #until} and {@link #release} write or read shared memory and
 * make no system call. All methods are for any thread.
 */
public final class LeaseGate implements AutoCloseable {
    /** A lease that lasts over the lateness of ticks on a busy machine, and is over before 100 ms. */
    public static final Duration LEASE = Duration.ofMillis(75);

    /** In the name of a program whose clsact is ours too, and goes with it. */
    private static final String WITH_CLSACT = " with clsact";

    /** Of this program's own, which decide about no packet that they do not drop. */
    private static final String OURS = "ballast ";

    /**
     * An address that the gate knows.
     *
     * @param link for addresses that every link has for itself (fe80::/10, 169.254.0.0/16, Ethernet), the number of the
     *     interface that is guarded; of others it is 0, whatever was given, since a kernel answers for those on all
     *     interfaces
     */
    public record Guarded(InetAddress address, int link) implements Comparable<Guarded> {
        /** Where Ethernet addresses stand among those of IPv6, in the order of the bytes: ::fffe:0:0:0/80. */
        private static final byte[] ETHERNET = {0, 0, 0, 0, 0, 0, 0, 0, (byte) 0xff, (byte) 0xfe};

        private static final Comparator<Guarded> ORDER = Comparator.comparingInt(
                        (Guarded guarded) -> guarded.address().getAddress().length)
                .thenComparing(guarded -> guarded.address().getAddress(), Arrays::compareUnsigned)
                .thenComparingInt(Guarded::link);

        public Guarded {
            if (!address.isLinkLocalAddress() && !isEthernet(address)) {
                link = 0;
            } else if (link <= 0) {
                throw new IllegalArgumentException(Addresses.print(address) + " is of one link: which?");
            }
        }

        /** A virtual router's Ethernet address (00:00:5e:00:01 and 02): all frames to it and from it. */
        public static Guarded of(MacAddress mac, int link) {
            byte[] bytes = Arrays.copyOf(ETHERNET, 16);
            System.arraycopy(mac.bytes(), 0, bytes, ETHERNET.length, MacAddress.LENGTH);
            try {
                return new Guarded(InetAddress.getByAddress(bytes), link);
            } catch (UnknownHostException e) {
                throw new IllegalStateException("16 bytes are an address", e);
            }
        }

        private static boolean isEthernet(InetAddress address) {
            byte[] bytes = address.getAddress();
            return bytes.length == 16 && Arrays.equals(bytes, 0, ETHERNET.length, ETHERNET, 0, ETHERNET.length);
        }

        @Override
        public int compareTo(Guarded other) {
            return ORDER.compare(this, other);
        }

        @Override
        public String toString() {
            String text = isEthernet(address)
                    ? MacAddress.of(Arrays.copyOfRange(address.getAddress(), ETHERNET.length, 16))
                            .toString()
                    : Addresses.print(address);
            return text + (link == 0 ? "" : " on interface " + link);
        }
    }

    /** Frames about an address that have not passed. */
    public record Dropped(long arriving, long leaving) {}

    private final String name;
    private final long lease;
    private final Gate gate;
    private final Map<Direction, BpfProgram> programs;
    private final TrafficControl control;
    private final RouteNetlink netlink;
    /** Names by numbers. */
    private final Map<Integer, String> links = new TreeMap<>();

    private LeaseGate(
            String name,
            long lease,
            Gate gate,
            Map<Direction, BpfProgram> programs,
            TrafficControl control,
            RouteNetlink netlink) {
        this.name = name;
        this.lease = lease;
        this.gate = gate;
        this.programs = programs;
        this.control = control;
        this.netlink = netlink;
    }

    /** What this build, this machine and this process lack for it, a sentence each; empty where it is nothing. */
    public static List<String> missing() {
        List<String> missing = new ArrayList<>();
        try {
            Gate.object();
        } catch (IOException e) {
            missing.add(String.valueOf(e.getMessage()));
        }
        try {
            missing.addAll(BpfSupport.missing());
        } catch (IOException e) {
            missing.add(String.valueOf(e.getMessage()));
        }
        return missing;
    }

    /**
     * Opens one for the network namespace of the calling thread; it guards nothing yet, and the lease is over.
     *
     * @param instance the name of this node among others on the machine
     * @param lease how long a tick is worth
     * @throws IOException why it cannot be had on this machine, for people
     */
    public static LeaseGate open(String instance, Duration lease) throws IOException {
        List<String> missing = missing();
        if (!missing.isEmpty()) {
            throw new IOException(String.join("; ", missing));
        }
        List<AutoCloseable> opened = new ArrayList<>();
        try {
            Gate gate = keep(opened, Gate.load(lease));
            Map<Direction, BpfProgram> programs = new EnumMap<>(Direction.class);
            for (Direction direction : Direction.values()) {
                programs.put(direction, keep(opened, gate.program(direction)));
            }
            return new LeaseGate(
                    name(instance),
                    lease.toNanos(),
                    gate,
                    programs,
                    keep(opened, TrafficControl.open()),
                    RouteNetlink.open());
        } catch (IOException | RuntimeException e) {
            for (AutoCloseable each : opened.reversed()) {
                try {
                    each.close();
                } catch (Exception again) {
                    e.addSuppressed(again);
                }
            }
            throw e;
        }
    }

    private static <T extends AutoCloseable> T keep(List<AutoCloseable> opened, T resource) {
        opened.add(resource);
        return resource;
    }

    private static String name(String instance) {
        return OURS + instance + " lease";
    }

    // The lease.

    /** A connected socket, still owned here: a datagram on it, whatever it says, extends a lease that runs. */
    public Descriptor ticks() {
        return gate.ticks();
    }

    /** The lease runs, from now on for its length. */
    public void begin() {
        gate.aliveUntil(System.nanoTime() + lease);
    }

    /** The lease is over at once. */
    public void end() {
        gate.aliveUntil(0);
    }

    /** Whether the lease runs. */
    public boolean isAlive() {
        return aliveUntil() > System.nanoTime();
    }

    /** Until when the lease runs or ran, by {@link System#nanoTime}; 0 where it was ended, or never begun. */
    public long aliveUntil() {
        return gate.aliveUntil();
    }

    // The addresses.

    /** Guards addresses, which are not held at first; those that are guarded already stay as they are. */
    public void protect(Collection<Guarded> addresses) throws IOException {
        gate.protect(addresses);
    }

    /** Lets everything of these addresses pass again. */
    public void forget(Collection<Guarded> addresses) throws IOException {
        gate.forget(addresses);
    }

    /** From now on this node holds them. Those that are not guarded are no matter, here and below: they pass anyway. */
    public void hold(Collection<Guarded> addresses) {
        gate.hold(addresses, Gate.Holding.HELD);
    }

    /**
     * Until when this node may hold them, by {@link System#nanoTime}, whatever its lease of life says; at first for ever.
     * Where it is over, they are as if they had been released, though nobody has told so.
     */
    public void until(Collection<Guarded> addresses, long time) {
        gate.until(addresses, time);
    }

    /**
     * Another is taking those that this node holds. Their packets still pass, but no ARP and no neighbour discovery: whoever
     * asked, and heard this node after the other one's announcement, would send here when nobody is here any more.
     */
    public void handOver(Collection<Guarded> addresses) {
        gate.hold(addresses, Gate.Holding.HANDED_OVER);
    }

    /** From now on this node does not hold them. */
    public void release(Collection<Guarded> addresses) {
        gate.hold(addresses, Gate.Holding.RELEASED);
    }

    /**
     * Whether packets to them pass, while this node holds them, to what listens here, as at first. Without that, only
     * questions and answers about who has them pass (RFC 9568 section 6.4.3).
     */
    public void accept(Collection<Guarded> addresses, boolean accepts) {
        gate.accept(addresses, accepts);
    }

    /** Who has sent to addresses that this node does not hold, by its Ethernet address. */
    public record Sender(InetAddress address, int link, MacAddress mac) {}

    /** How many frames of data came here to addresses that this node does not hold; costs no system call. */
    public long misdirected() {
        return gate.misdirected();
    }

    /** Who sent them, and how many each since it was forgotten; of many the last ones. */
    public Map<Sender, Long> senders() throws IOException {
        return gate.senders();
    }

    /** Counts them from nothing again. */
    public void forgetSenders(Collection<Sender> some) throws IOException {
        gate.forgetSenders(some);
    }

    /** The frames of each guarded address that have not passed since it has been guarded. */
    public Map<Guarded, Dropped> dropped() {
        return gate.dropped();
    }

    // The interfaces.

    /**
     * Stands in the way of an Ethernet interface from now on. An earlier gate of this name is replaced between two packets.
     *
     * @param link its number; with virtual MACs that of the interface below
     * @throws IOException why it cannot be guarded, for people
     */
    public synchronized void guard(int link) throws IOException {
        Link found = netlink.link(link)
                .orElseThrow(
                        () -> new IOException("cannot guard interface " + link + ": there is none of that number"));
        if (!found.isEthernet()) {
            throw new IOException("cannot guard " + found.name() + ": it carries no Ethernet frames");
        }
        try {
            attach(link, true);
        } catch (LinuxException e) {
            throw new IOException("cannot guard " + found.name() + ": " + e.getMessage() + remedy(found.name(), e), e);
        }
        links.put(link, found.name());
    }

    private static String remedy(String link, LinuxException e) {
        return switch (e.errno()) {
            case EEXIST ->
                " (another queueing discipline, `ingress`, is in the one place: `tc qdisc del dev " + link
                        + " ingress` where nobody needs it, or have its owner use clsact)";
            case EOPNOTSUPP, ENOENT -> " (this kernel has no sch_ingress or cls_bpf)";
            default -> "";
        };
    }

    /** Whether something was put there that was not. */
    private boolean attach(int link, boolean replace) throws IOException {
        boolean hasClsact = control.clsacts().contains(link);
        boolean added = false;
        if (!hasClsact) {
            control.addClsact(link);
        }
        for (Map.Entry<Direction, BpfProgram> each : programs.entrySet()) {
            Optional<Classifier> known = hasClsact ? find(control, link, each.getKey(), name) : Optional.empty();
            if (known.isEmpty()) {
                control.add(link, each.getKey(), each.getValue().fd(), hasClsact ? name : name + WITH_CLSACT);
                added = true;
            } else if (replace) {
                control.replace(known.get(), each.getValue().fd());
            }
        }
        return added;
    }

    private static boolean is(String name, Classifier classifier) {
        return classifier.name().equals(name) || classifier.name().equals(name + WITH_CLSACT);
    }

    private static Optional<Classifier> find(TrafficControl control, int link, Direction direction, String name)
            throws IOException {
        return control.classifiers(link, direction).stream()
                .filter(each -> is(name, each))
                .findFirst();
    }

    /**
     * Interfaces where an earlier daemon of this name has left a gate, and which this one does not guard. What it guarded
     * stays shut there, until {@link #guard} or {@link #unguard}.
     */
    public synchronized Set<Integer> left() throws IOException {
        Set<Integer> left = new TreeSet<>();
        for (int link : control.clsacts()) {
            for (Direction direction : Direction.values()) {
                if (!links.containsKey(link)
                        && find(control, link, direction, name).isPresent()) {
                    left.add(link);
                }
            }
        }
        return left;
    }

    /** Opens the way of an interface, whether this one guarded it or an earlier one has left its gate there. */
    public synchronized void unguard(int link) throws IOException {
        links.remove(link);
        remove(control, link, name);
    }

    private static void remove(TrafficControl control, int link, String name) throws IOException {
        boolean withClsact = false;
        for (Direction direction : Direction.values()) {
            for (Classifier each : control.classifiers(link, direction)) {
                if (is(name, each)) {
                    withClsact |= each.name().endsWith(WITH_CLSACT);
                    control.remove(each);
                }
            }
        }
        if (withClsact
                && control.classifiers(link, Direction.EGRESS).isEmpty()
                && control.classifiers(link, Direction.INGRESS).isEmpty()) {
            control.removeClsact(link);
        }
    }

    /**
     * Looks whether the gate is still in the way of the interfaces, and puts it back where it is not. Interfaces that are
     * gone are guarded no more.
     *
     * @return what others have done to it, and what may go past it, for people
     */
    public synchronized List<String> check() throws IOException {
        List<String> found = new ArrayList<>();
        for (Map.Entry<Integer, String> link : List.copyOf(links.entrySet())) {
            try {
                if (attach(link.getKey(), false)) {
                    found.add("another program took away from " + link.getValue() + " what keeps a dead daemon's"
                            + " addresses from answering (`tc qdisc del dev " + link.getValue()
                            + " clsact` does, or removing its filters); it is there again");
                }
                for (Direction direction : Direction.values()) {
                    before(link.getKey(), direction)
                            .ifPresent(first -> found.add("on " + link.getValue() + ", " + first.kind() + " classifier "
                                    + (first.name().isEmpty() ? "" : first.name() + " ") + "of priority "
                                    + first.priority() + " is asked about "
                                    + (direction == Direction.INGRESS ? "arriving" : "leaving")
                                    + " packets before the gate of addresses, and what it accepts passes when this"
                                    + " daemon is dead too: give it a higher priority number"));
                }
            } catch (LinuxException e) {
                if (e.errno() != Errno.ENODEV) {
                    throw e;
                }
                links.remove(link.getKey());
            }
        }
        return found;
    }

    /** Somebody else's that is asked before the gate. */
    private Optional<Classifier> before(int link, Direction direction) throws IOException {
        // The kernel tells of them in the order in which it asks them.
        return control.classifiers(link, direction).stream()
                .takeWhile(each -> !is(name, each))
                .filter(each -> !each.name().startsWith(OURS))
                .findFirst();
    }

    /**
     * Opens the way of all interfaces and lets go. The addresses that are not this node's any more have left the
     * interfaces before.
     */
    @Override
    public synchronized void close() throws IOException {
        end();
        try {
            for (int link : links.keySet()) {
                remove(control, link, name);
            }
        } finally {
            letGo();
        }
    }

    /** Ends as a killed process does: what is guarded stays shut. */
    synchronized void letGo() {
        links.clear();
        control.close();
        netlink.close();
        programs.values().forEach(BpfProgram::close);
        gate.close();
    }

    /** The interfaces on which an instance left something, in the network namespace of the calling thread. */
    public static Set<Integer> left(String instance) throws IOException {
        Set<Integer> left = new TreeSet<>();
        try (TrafficControl control = TrafficControl.open()) {
            for (int link : control.clsacts()) {
                for (Direction direction : Direction.values()) {
                    if (find(control, link, direction, name(instance)).isPresent()) {
                        left.add(link);
                    }
                }
            }
        }
        return left;
    }

    /** Takes away what an instance left in the network namespace of the calling thread. Does nothing where nothing is. */
    public static void dismantle(String instance) throws IOException {
        try (TrafficControl control = TrafficControl.open()) {
            for (int link : control.clsacts()) {
                remove(control, link, name(instance));
            }
        }
    }
}

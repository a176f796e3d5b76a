package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteNetlink;
import io.ballast.linux.netlink.RouteWatch;
import io.ballast.linux.netlink.TrafficControl;
import io.ballast.linux.netlink.TrafficControl.Classifier;
import io.ballast.linux.netlink.TrafficControl.Direction;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Has the clients of services that reach this machine in tunnels send segments that fit. The outer header takes room on the
 * way from the director, so a full packet of the client's would have to be answered by packet-too-big; what a client sends
 * is limited by the MSS in the SYN-ACK, and that goes from here straight to the client. So a program lowers it, on
 * the way out of each Ethernet interface that belongs to no other: which of them an answer takes is the routes' affair,
 * and may change. It lowers and never raises, so one that passes two interfaces is right too.
 *
 * <p>It stands where {@code tc filter} puts programs ({@link TrafficControl}), the one place that kernels before 6.6
 * have for it. It is known by its name, stays when the process ends, and is replaced by the next one's between two packets.
 * What a route could do ({@code advmss}) would need a copy of every route of the machine for packets from the services'
 * addresses, and rules of nftables go when whoever owns the firewall loads it anew.
 *
 * <p>For one thread.
 */
public final class MssClamping implements AutoCloseable {
    /** In the name of a program whose clsact is ours too, and goes with it. */
    private static final String WITH_CLSACT = " with clsact";

    private static final int GUE = 8; // UDP: variant 1 has no header of its own
    private static final int TCP = 20;

    /** The kernel takes no lower one for itself (TCP_MIN_MSS). */
    private static final int LEAST = 88;

    /**
     * What answers for a service.
     *
     * @param port 0 for every port that has no entry of its own
     * @param end the address of this machine to which its packets come inside others
     * @param gue whether inside UDP
     */
    public record Answer(InetAddress address, int port, InetAddress end, boolean gue) {
        /** What a packet of the way's MTU has for the client's bytes and TCP's options. */
        int fitting(int mtu) {
            return Math.max(LEAST, mtu - header(end) - (gue ? GUE : 0) - header(address) - TCP);
        }

        private static int header(InetAddress family) {
            return family instanceof Inet4Address ? 20 : 40;
        }
    }

    private final String name;
    private final MssClamp clamp;
    private final BpfProgram program;
    private final RouteNetlink netlink;
    private final TrafficControl control;
    private final RouteWatch watch;
    private final Consumer<String> warnings;
    private Set<Answer> answers = Set.of();
    /** Interfaces that have this one's program, and not an earlier process's. */
    private final Set<Integer> mine = new TreeSet<>();

    private MssClamping(
            String name,
            MssClamp clamp,
            BpfProgram program,
            RouteNetlink netlink,
            TrafficControl control,
            RouteWatch watch,
            Consumer<String> warnings) {
        this.name = name;
        this.clamp = clamp;
        this.program = program;
        this.netlink = netlink;
        this.control = control;
        this.watch = watch;
        this.warnings = warnings;
    }

    /**
     * Opens it in the network namespace of the calling thread; it does nothing before {@link #become}.
     *
     * @param instance the name of this real server among others of the machine
     * @param changed told, on a thread of its own, that interfaces or addresses have changed: time for {@link #look}
     * @param warnings told, by {@link #look}, for people, what others did to it
     * @throws IOException why it cannot be had on this machine, for people
     */
    public static MssClamping open(String instance, Runnable changed, Consumer<String> warnings) throws IOException {
        List<String> missing = XdpSupport.missing();
        if (!missing.isEmpty()) {
            throw new IOException(String.join("; ", missing));
        }
        List<AutoCloseable> opened = new ArrayList<>();
        try {
            MssClamp clamp = keep(opened, MssClamp.load());
            return new MssClamping(
                    name(instance),
                    clamp,
                    keep(opened, clamp.program()),
                    keep(opened, RouteNetlink.open()),
                    keep(opened, TrafficControl.open()),
                    RouteWatch.start(
                            EnumSet.of(RouteWatch.Topic.LINKS, RouteWatch.Topic.ADDRESSES), event -> changed.run()),
                    warnings);
        } catch (IOException | RuntimeException e) {
            for (AutoCloseable each : opened.reversed()) {
                close(each, e);
            }
            throw e;
        }
    }

    private static <T extends AutoCloseable> T keep(List<AutoCloseable> opened, T resource) {
        opened.add(resource);
        return resource;
    }

    private static void close(AutoCloseable resource, Exception because) {
        try {
            resource.close();
        } catch (Exception e) {
            because.addSuppressed(e);
        }
    }

    private static String name(String instance) {
        return "ballast " + instance + " mss";
    }

    /** From now on for these; what {@link #look} says. */
    public List<String> become(Set<Answer> next) throws IOException {
        answers = Set.copyOf(next);
        return look();
    }

    /**
     * Looks at the interfaces: how much fits the tunnels, and whether the program is where answers leave. Where another
     * program has taken it away, it is put back.
     *
     * @return why answers by some interfaces are not changed, for people
     */
    public List<String> look() throws IOException {
        List<Link> links = netlink.links();
        clamp.become(fitting(links, netlink.addresses()));
        mine.retainAll(links.stream().map(Link::index).toList()); // a number may come again
        Set<Integer> clsacts = control.clsacts();
        List<String> troubles = new ArrayList<>();
        for (Link link : links) {
            if (link.isEthernet() && !belongs(link, links)) {
                try {
                    attach(link, clsacts.contains(link.index()));
                } catch (LinuxException e) {
                    if (e.errno() != Errno.ENODEV) {
                        troubles.add("answers by " + link.name() + ": " + e.getMessage() + remedy(link, e));
                    }
                }
            }
        }
        return troubles;
    }

    private static String remedy(Link link, LinuxException e) {
        return switch (e.errno()) {
            case EEXIST ->
                " (another queueing discipline, `ingress`, is in the one place: `tc qdisc del dev " + link.name()
                        + " ingress` where nobody needs it, or have its owner use clsact)";
            case EOPNOTSUPP, ENOENT -> " (this kernel has no sch_ingress or cls_bpf)";
            default -> "";
        };
    }

    /** To a bridge or bond, whose own interface its packets have passed before; a VRF has none of that kind. */
    private static boolean belongs(Link link, List<Link> links) {
        return link.master() != 0
                && links.stream()
                        .noneMatch(master ->
                                master.index() == link.master() && master.kind().equals("vrf"));
    }

    private Map<MssClamp.Source, Integer> fitting(List<Link> links, List<Address> addresses) {
        Map<MssClamp.Source, Integer> fitting = new HashMap<>();
        for (Answer answer : answers) {
            // Where no interface has the address at the moment, nothing comes in that tunnel.
            addresses.stream()
                    .filter(address -> address.address().equals(answer.end()))
                    .flatMap(address -> links.stream().filter(link -> link.index() == address.link()))
                    .mapToInt(Link::mtu)
                    .min()
                    .ifPresent(mtu -> fitting.merge(
                            new MssClamp.Source(answer.address(), answer.port()), answer.fitting(mtu), Math::min));
        }
        return fitting;
    }

    private void attach(Link link, boolean hasClsact) throws IOException {
        Optional<Classifier> known = hasClsact ? find(control, link.index(), name) : Optional.empty();
        if (known.isPresent()) {
            if (mine.add(link.index())) {
                control.replace(known.get(), program.fd());
            }
            return;
        }
        if (!hasClsact) {
            control.addClsact(link.index());
        }
        control.add(link.index(), Direction.EGRESS, program.fd(), hasClsact ? name : name + WITH_CLSACT);
        if (!mine.add(link.index())) {
            warnings.accept("another program took away from " + link.name()
                    + " what lowers the MSS of answers to clients of tunnels (`tc qdisc del dev " + link.name()
                    + " clsact` does, or removing its filters); it is there again");
        }
    }

    private static Optional<Classifier> find(TrafficControl control, int link, String name) throws IOException {
        return control.classifiers(link, Direction.EGRESS).stream()
                .filter(each -> each.name().equals(name) || each.name().equals(name + WITH_CLSACT))
                .findFirst();
    }

    /** SYN-ACKs whose MSS was lowered since it was opened. */
    public long lowered() throws IOException {
        return clamp.lowered();
    }

    /** Lets go; answers go on to be changed. */
    @Override
    public void close() {
        watch.close();
        netlink.close();
        control.close();
        program.close();
        clamp.close();
    }

    /** Takes away what an instance left in the network namespace of the calling thread. Does nothing where nothing is. */
    public static void dismantle(String instance) throws IOException {
        try (TrafficControl control = TrafficControl.open()) {
            for (int link : control.clsacts()) {
                Optional<Classifier> known = find(control, link, name(instance));
                if (known.isEmpty()) {
                    continue;
                }
                control.remove(known.get());
                if (known.get().name().endsWith(WITH_CLSACT)
                        && control.classifiers(link, Direction.EGRESS).isEmpty()
                        && control.classifiers(link, Direction.INGRESS).isEmpty()) {
                    control.removeClsact(link);
                }
            }
        }
    }

    /** What is not done where this cannot be had, and what helps, for people. */
    public static String without(Collection<Answer> answers, String why) {
        Answer some = answers.iterator().next();
        return "the MSS of answers to clients of tunnels is not lowered, so clients that fill their packets are told"
                + " packet-too-big first, and hang where a firewall keeps that from them: " + why
                + "; or give the route to the clients an advmss by hand, as `ip route change default via GATEWAY advmss "
                + some.fitting(1500) + "` (" + Addresses.print(some.address()) + ", MTU 1500)";
    }
}

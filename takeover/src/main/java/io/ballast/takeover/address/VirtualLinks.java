package io.ballast.takeover.address;

import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.linux.netlink.NewLink;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Interfaces with the Ethernet address of a virtual router (RFC 9568 section 7.3): a macvlan over the interface that leads
 * to the other nodes. Its addresses go there, its packets leave by there, and nothing else does.
 *
 * <p>The macvlan is there, and up, for as long as the node takes part: making one has to wait its turn among all changes
 * of the machine's network, for which a takeover has no time. That it has no addresses on a backup, and that frames to and
 * from it are dropped there ({@link io.ballast.takeover.lease.LeaseGate}), keeps it quiet.
 *
 * <p>Its mode is VEPA, where keepalived's is private. Neither lets it talk to others on this machine. But the other node's
 * frames come from the same Ethernet address, and a private macvlan takes those of them that are for everybody away from
 * the interface below, so that this node would hear the other's advertisements only by a macvlan, which drops them while
 * it has no address itself and {@code rp_filter} is set for the whole machine.
 *
 * <p>Settings. On the interface below, {@code arp_ignore}: it would answer for the addresses above it as well. On the
 * macvlan, {@code arp_ignore} likewise, and a loose {@code rp_filter}, as the way back to who asks is by the interface
 * below; no addresses of IPv6 that come by themselves, which would be those of the other node too.
 *
 * <p>Not thread-safe; for the network namespace of the thread that opened it, which calls it too.
 */
public final class VirtualLinks implements AutoCloseable {
    private static final long MAC = 0x0000_5e00_0000L;
    private static final long OF_IPV4 = 0x100;
    private static final long OF_IPV6 = 0x200;
    private static final int NAMES = 64;

    /** What {@code ip link} shows of them, before the node's name. */
    private static final String ALIAS = "ballast ";

    private final RouteNetlink netlink;
    private final String alias;
    /** What was changed below, by the number of the interface; and the numbers of those above it. */
    private final Map<Integer, Sysctl.Change> below = new LinkedHashMap<>();

    private final Map<Integer, Integer> made = new LinkedHashMap<>();

    private VirtualLinks(RouteNetlink netlink, String alias) {
        this.netlink = netlink;
        this.alias = alias;
    }

    /**
     * Opens it, and removes what an earlier one of this name has left.
     *
     * @param instance the name of this node among others on the machine
     */
    public static VirtualLinks open(String instance) throws IOException {
        RouteNetlink netlink = RouteNetlink.open();
        try {
            VirtualLinks links = new VirtualLinks(netlink, ALIAS + instance);
            links.removeLeftovers();
            return links;
        } catch (IOException | RuntimeException e) {
            netlink.close();
            throw e;
        }
    }

    /** The Ethernet address of a virtual router. */
    public static MacAddress mac(boolean ipv6, int routerId) {
        return new MacAddress(MAC | (ipv6 ? OF_IPV6 : OF_IPV4) | routerId);
    }

    /** Whether it is one of a virtual router. */
    public static boolean isVirtual(MacAddress mac) {
        long kind = mac.bits() & ~0xffL;
        return kind == (MAC | OF_IPV4) || kind == (MAC | OF_IPV6);
    }

    private void removeLeftovers() throws IOException {
        for (Link link : netlink.links()) {
            if (link.alias().equals(alias) && isMacvlan(link)) {
                netlink.deleteLink(link.index());
            }
        }
    }

    private static boolean isMacvlan(Link link) {
        return link.kind().equals("macvlan");
    }

    /**
     * Makes one, or sees that one that was made here is up. Needs CAP_NET_ADMIN.
     *
     * @param parent the interface below
     * @throws IOException why it cannot be had, for people; nothing is left of it then
     */
    public Link make(boolean ipv6, int routerId, Link parent) throws IOException {
        MacAddress mac = mac(ipv6, routerId);
        List<Link> links = netlink.links();
        Optional<Link> known = links.stream()
                .filter(link -> made.containsKey(link.index()) && is(link, mac, parent.index()))
                .findFirst();
        if (known.isPresent()) {
            netlink.setUp(known.get().index(), true);
            return known.get();
        }
        Optional<Link> other =
                links.stream().filter(link -> is(link, mac, parent.index())).findFirst();
        if (other.isPresent()) {
            throw new IOException("the virtual MAC " + mac + " is not to be had on " + parent.name() + ": "
                    + other.get().name() + " has it, which is not this daemon's (ip link del "
                    + other.get().name() + ", where nobody needs it)");
        }
        String name = name(ipv6, routerId, links);
        try {
            netlink.create(new NewLink.Macvlan(name, parent.index(), NewLink.Macvlan.Mode.VEPA, mac));
        } catch (LinuxException e) {
            throw new IOException(
                    "the virtual MAC " + mac + " is not to be had on " + parent.name() + ": " + e.getMessage()
                            + remedy(e),
                    e);
        }
        Link link = netlink.link(name).orElseThrow(() -> new IOException(name + " went away as soon as it was made"));
        try {
            netlink.setAlias(link.index(), alias);
            prepare(link, ipv6);
            quiet(parent);
            netlink.setUp(link.index(), true);
        } catch (IOException | RuntimeException e) {
            netlink.deleteLink(link.index());
            throw e;
        }
        made.put(link.index(), parent.index());
        return link;
    }

    private static boolean is(Link link, MacAddress mac, int parent) {
        return isMacvlan(link) && link.peer() == parent && !link.peerElsewhere() && mac.equals(link.address());
    }

    /** As keepalived has them, where that is free. */
    private static String name(boolean ipv6, int routerId, List<Link> links) {
        String name = (ipv6 ? "vrrp6." : "vrrp.") + routerId;
        List<String> taken = links.stream().map(Link::name).toList();
        for (int number = 2; number < NAMES && taken.contains(name); number++) {
            name = (ipv6 ? "vrrp6." : "vrrp.") + routerId + "." + number;
        }
        return name;
    }

    private static String remedy(LinuxException e) {
        return switch (e.errno()) {
            case EOPNOTSUPP -> " (this kernel has no macvlan: load or build that module, or leave virtual-mac out)";
            case EBUSY, EINVAL ->
                " (an interface that is part of a bridge or a bond carries none: name the bridge or the bond itself)";
            case EADDRINUSE -> " (another interface has that address: two virtual routers of one router-id?)";
            default -> "";
        };
    }

    private static void prepare(Link link, boolean ipv6) throws IOException {
        String ipv4 = "net/ipv4/conf/" + link.name() + "/";
        Sysctl.write(ipv4 + "arp_ignore", "1");
        Sysctl.write(ipv4 + "rp_filter", "2");
        String of6 = "net/ipv6/conf/" + link.name() + "/";
        List<String> settings =
                ipv6 ? List.of("disable_ipv6=0", "addr_gen_mode=1", "accept_ra=0") : List.of("disable_ipv6=1");
        for (String setting : settings) {
            String[] parts = setting.split("=", 2);
            try {
                Sysctl.write(of6 + parts[0], parts[1]);
            } catch (LinuxException e) {
                if (e.errno() != Errno.ENOENT || ipv6) { // where there is no IPv6, nothing has to be switched off
                    throw e;
                }
            }
        }
    }

    private void quiet(Link parent) throws IOException {
        String setting = "net/ipv4/conf/" + parent.name() + "/arp_ignore";
        if (!below.containsKey(parent.index()) && Sysctl.read(setting).equals("0")) {
            below.put(parent.index(), Sysctl.write(setting, "1"));
        }
    }

    /** Removes one, with the addresses on it. */
    public void remove(int link) throws IOException {
        Integer parent = made.remove(link);
        if (parent == null) {
            return;
        }
        try {
            netlink.deleteLink(link);
        } catch (LinuxException e) {
            if (e.errno() != Errno.ENODEV) { // gone with the interface below
                throw e;
            }
        }
        if (!made.containsValue(parent)) {
            Sysctl.Change change = below.remove(parent);
            if (change != null) {
                undo(change);
            }
        }
    }

    private static void undo(Sysctl.Change change) throws IOException {
        try {
            Sysctl.undo(change);
        } catch (LinuxException e) {
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
        }
    }

    /** Removes all. */
    @Override
    public void close() throws IOException {
        try {
            for (int link : new ArrayList<>(made.keySet())) {
                remove(link);
            }
        } finally {
            netlink.close();
        }
    }
}

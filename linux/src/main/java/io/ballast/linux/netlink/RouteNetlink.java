package io.ballast.linux.netlink;

import io.ballast.core.config.Addresses;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetlinkSocket;
import java.io.IOException;
import java.net.InetAddress;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Asks the kernel about its links, addresses, neighbours and routes, and changes them: what ip(8) does, typed. It speaks
 * for the network namespace of the thread that opened it, whichever thread uses it later; requests of several threads
 * take turns.
 *
 * <p>Every answer is of the moment. Who needs to stay informed follows changes with {@link RouteWatch}; who needs the
 * next hops of some addresses has {@link io.ballast.linux.neighbour.Neighbours}, which does both.
 *
 * <p>Questions need no privileges, changes need CAP_NET_ADMIN. A failure is a {@link LinuxException} that names request,
 * object and error, with the kernel's own explanation where it gives one:
 * {@code RTM_NEWADDR 192.0.2.6/25 on eth0: EEXIST: file exists (address already assigned)}. All changes in a system take
 * turns in the kernel, and a request waits there for its own; so none should be made on a control loop.
 */
public final class RouteNetlink implements AutoCloseable {
    private final Netlink netlink;

    private RouteNetlink(Netlink netlink) {
        this.netlink = netlink;
    }

    /** For the calling thread's network namespace. */
    public static RouteNetlink open() throws IOException {
        return new RouteNetlink(Netlink.open(NetlinkSocket.Family.ROUTE));
    }

    // Links.

    /** All network interfaces. */
    public List<Link> links() throws IOException {
        return netlink.dump(RouteMessages.getLinks(), RouteMessages::link, "RTM_GETLINK");
    }

    /** The interface of a number, if there is one. */
    public Optional<Link> link(int index) throws IOException {
        if (index <= 0) {
            return Optional.empty();
        }
        return found(
                RouteMessages.getLink(index), RouteMessages::link, "RTM_GETLINK", "interface " + index, Errno.ENODEV);
    }

    /** The interface of a name, if there is one. */
    public Optional<Link> link(String name) throws IOException {
        return found(RouteMessages.getLink(name), RouteMessages::link, "RTM_GETLINK", name, Errno.ENODEV);
    }

    private <T> Optional<T> found(
            NetlinkMessage.Writer request, Netlink.Reader<T> reader, String call, String object, Errno none)
            throws IOException {
        try {
            return Optional.of(netlink.ask(request, reader, call, () -> object));
        } catch (LinuxException e) {
            if (e.errno() == none) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** Makes a virtual interface; it is down at first. */
    public void create(NewLink link) throws IOException {
        netlink.change(RouteMessages.newLink(link), "RTM_NEWLINK", link::name);
    }

    /** Removes a virtual interface; the other end of a veth goes with it. */
    public void deleteLink(int link) throws IOException {
        netlink.change(RouteMessages.deleteLink(link), "RTM_DELLINK", () -> name(link));
    }

    /** Switches an interface on or off. */
    public void setUp(int link, boolean up) throws IOException {
        netlink.change(RouteMessages.setUp(link, up), "RTM_NEWLINK", () -> name(link) + (up ? " up" : " down"));
    }

    /** Sets the longest packet that an interface sends, in bytes. */
    public void setMtu(int link, int mtu) throws IOException {
        netlink.change(RouteMessages.setMtu(link, mtu), "RTM_NEWLINK", () -> name(link) + " mtu " + mtu);
    }

    /** Sets the Ethernet address; some drivers only allow it while the interface is down. */
    public void setAddress(int link, MacAddress address) throws IOException {
        netlink.change(
                RouteMessages.setAddress(link, address), "RTM_NEWLINK", () -> name(link) + " address " + address);
    }

    /** Names an interface beside its name, for people and for who made it; at most 255 bytes. */
    public void setAlias(int link, String alias) throws IOException {
        netlink.change(RouteMessages.setAlias(link, alias), "RTM_NEWLINK", () -> name(link) + " alias " + alias);
    }

    /**
     * Puts an XDP program on an interface, in native mode and in place of any that was put there so. It stays as long as
     * the interface does; one that its owner may lose goes there by {@link io.ballast.linux.bpf.XdpLink}.
     *
     * @param program the program's descriptor
     */
    public void setXdp(int link, int program) throws IOException {
        netlink.change(RouteMessages.setXdp(link, program), "RTM_NEWLINK", () -> name(link) + " xdp");
    }

    // Addresses.

    /** The addresses of all interfaces. */
    public List<Address> addresses() throws IOException {
        return netlink.dump(RouteMessages.getAddresses(), RouteMessages::address, "RTM_GETADDR");
    }

    /** The addresses of one interface; ENODEV where there is none. */
    public List<Address> addresses(int link) throws IOException {
        return netlink.dump(RouteMessages.getAddresses(link), RouteMessages::address, "RTM_GETADDR").stream()
                .filter(address -> address.link() == link)
                .toList();
    }

    /** Adds an address; EEXIST when the interface already has it. */
    public void add(Address address) throws IOException {
        netlink.change(RouteMessages.addAddress(address, false), "RTM_NEWADDR", () -> text(address));
    }

    /** Adds an address, or gives the one that is there these lifetimes and flags. */
    public void replace(Address address) throws IOException {
        netlink.change(RouteMessages.addAddress(address, true), "RTM_NEWADDR", () -> text(address));
    }

    /** Removes an address, which interface, prefix length and peer name; EADDRNOTAVAIL when it is not there. */
    public void remove(Address address) throws IOException {
        netlink.change(RouteMessages.removeAddress(address), "RTM_DELADDR", () -> text(address));
    }

    /**
     * Adds addresses in little more time than the kernel itself needs; one that it refuses keeps none of the others away.
     *
     * @return what was refused, and why: as {@link #add(Address)}
     */
    public Map<Address, LinuxException> addAll(List<Address> addresses) throws IOException {
        return changeAll(addresses, address -> RouteMessages.addAddress(address, false), "RTM_NEWADDR");
    }

    /** As {@link #replace(Address)} and {@link #addAll}. */
    public Map<Address, LinuxException> replaceAll(List<Address> addresses) throws IOException {
        return changeAll(addresses, address -> RouteMessages.addAddress(address, true), "RTM_NEWADDR");
    }

    /** As {@link #remove(Address)} and {@link #addAll}. */
    public Map<Address, LinuxException> removeAll(List<Address> addresses) throws IOException {
        return changeAll(addresses, RouteMessages::removeAddress, "RTM_DELADDR");
    }

    private Map<Address, LinuxException> changeAll(
            List<Address> addresses, Function<Address, NetlinkMessage.Writer> request, String call) throws IOException {
        Map<Address, LinuxException> refused = new LinkedHashMap<>();
        netlink.changeAll(addresses.stream().map(request).toList(), call, index -> text(addresses.get(index)))
                .forEach((index, why) -> refused.put(addresses.get(index), why));
        return refused;
    }

    private String text(Address address) {
        return address.text() + " on " + name(address.link());
    }

    // Neighbours.

    /** The neighbour tables of IPv4 and IPv6. */
    public List<Neighbour> neighbours() throws IOException {
        return netlink.dump(RouteMessages.getNeighbours(), RouteMessages::neighbour, "RTM_GETNEIGH");
    }

    /** What is known about one neighbour, if anything. */
    public Optional<Neighbour> neighbour(int link, InetAddress address) throws IOException {
        return found(
                RouteMessages.getNeighbour(link, address),
                RouteMessages::neighbour,
                "RTM_GETNEIGH",
                Addresses.print(address) + " on interface " + link,
                Errno.ENOENT);
    }

    /**
     * Makes the kernel resolve a neighbour now and, from kernel 5.16, keep its entry fresh from then on without packets
     * having to go there (NTF_EXT_MANAGED). Older kernels only resolve; {@link Neighbour#managed} tells. An entry set by
     * an administrator (PERMANENT) would lose that state: do not call it for one.
     *
     * @throws LinuxException with ENOBUFS when the table is full: net.ipv4.neigh.default.gc_thresh3 (or ipv6)
     */
    public void keepNeighbour(int link, InetAddress address) throws IOException {
        netlink.change(
                RouteMessages.useNeighbour(link, address, true),
                "RTM_NEWNEIGH",
                () -> "keep " + Addresses.print(address) + " on " + name(link));
    }

    /** Takes {@link #keepNeighbour} back: the entry ages again. ENOENT when there is none. */
    public void releaseNeighbour(int link, InetAddress address) throws IOException {
        netlink.change(
                RouteMessages.useNeighbour(link, address, false),
                "RTM_NEWNEIGH",
                () -> "release " + Addresses.print(address) + " on " + name(link));
    }

    /**
     * Makes the kernel ask a known neighbour at once whether it still is there and has the same Ethernet address. The
     * entry is used meanwhile, and is no longer managed. EINVAL where the address is unknown, ENOENT without an entry.
     */
    public void probeNeighbour(int link, InetAddress address) throws IOException {
        netlink.change(
                RouteMessages.probeNeighbour(link, address),
                "RTM_NEWNEIGH",
                () -> "probe " + Addresses.print(address) + " on " + name(link));
    }

    /** Sets a neighbour's Ethernet address for good; the kernel asks no more. */
    public void setNeighbour(int link, InetAddress address, MacAddress mac) throws IOException {
        netlink.change(
                RouteMessages.setNeighbour(link, address, mac),
                "RTM_NEWNEIGH",
                () -> Addresses.print(address) + " at " + mac + " on " + name(link));
    }

    /** Forgets a neighbour. */
    public void removeNeighbour(int link, InetAddress address) throws IOException {
        netlink.change(
                RouteMessages.removeNeighbour(link, address),
                "RTM_DELNEIGH",
                () -> Addresses.print(address) + " on " + name(link));
    }

    // Routes.

    /** The routes of all tables. */
    public List<Route> routes() throws IOException {
        return netlink.dump(RouteMessages.getRoutes(), RouteMessages::route, "RTM_GETROUTE");
    }

    /**
     * The way that packets of this host to a destination take now: one hop, the source address that they would have, and
     * an MTU where the path's is known to be smaller than the interface's.
     *
     * @throws LinuxException ENETUNREACH, EHOSTUNREACH, EACCES (prohibit), EINVAL (blackhole) where there is no way
     */
    public Route route(InetAddress destination) throws IOException {
        return netlink.ask(
                RouteMessages.getRoute(destination),
                RouteMessages::route,
                "RTM_GETROUTE",
                () -> Addresses.print(destination));
    }

    /** Adds a route; EEXIST when its destination already has one of this metric in the table. */
    public void add(Route route) throws IOException {
        netlink.change(RouteMessages.addRoute(route, false), "RTM_NEWROUTE", () -> text(route));
    }

    /** Adds a route in place of the one of the same destination and metric, if there is one. */
    public void replace(Route route) throws IOException {
        netlink.change(RouteMessages.addRoute(route, true), "RTM_NEWROUTE", () -> text(route));
    }

    /** Removes a route; ESRCH when it is not there. */
    public void remove(Route route) throws IOException {
        netlink.change(RouteMessages.removeRoute(route), "RTM_DELROUTE", () -> text(route));
    }

    private String text(Route route) {
        StringBuilder text = new StringBuilder(route.destination().toString());
        for (Route.Hop hop : route.hops()) {
            if (hop.gateway() != null) {
                text.append(" via ").append(Addresses.print(hop.gateway()));
            }
            text.append(" on ").append(name(hop.link()));
        }
        return text.toString();
    }

    /** The interface's name for a message, where it still has one. */
    private String name(int link) {
        try {
            return link(link).map(Link::name).orElse("interface " + link);
        } catch (IOException e) {
            return "interface " + link; // the failure that is being reported matters more
        }
    }

    @Override
    public void close() {
        netlink.close();
    }
}

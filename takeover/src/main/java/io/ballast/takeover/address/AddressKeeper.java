package io.ballast.takeover.address;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.linux.Errno;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Sysctl;
import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Address.Flag;
import io.ballast.linux.netlink.Link;
import io.ballast.linux.netlink.RouteNetlink;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Puts virtual routers' addresses on interfaces and takes them away again, so that everything else there stays as it
 * was.
 *
 * <p>What is put there has a mark and a lifetime. By the mark ({@value #PROTOCOL} as the address's protocol, which
 * newer versions of ip(8) show) a daemon knows what an earlier one has left behind ({@link #removeLeftovers}); an
 * address without it was given by somebody else, is told of, and is never taken away. The lifetime is renewed; when
 * nobody is left to do so, the kernel removes the address by itself. That is the second net only: it is the lease at
 * the interface that keeps a daemon that died or hangs from being heard.
 *
 * <p>An interface usually has an address of the same network already. IPv4 addresses of one network are a row: the
 * first stands for it in routes, and takes the others with it where it goes, unless {@code promote_secondaries} is set.
 * What is put there after it comes behind it and is removed alone. Where a virtual address is the first of its network,
 * that setting is needed, or giving it up would take what came later away as well; so it is set here, and set back by
 * {@link #close}. Of IPv6, the network's route belongs to all its addresses, and renewing a lifetime renews it too,
 * which would end a route that had no end before: so a virtual address gets no route (noprefixroute) where another
 * address has brought it. IPv6 addresses are used at once, without asking whether others have them as another node has
 * had until now, and are no source of new connections as long as there is another.
 *
 * <p>A change waits for its turn among all changes to the system's network, however long these take. Whoever must not
 * wait has a thread of its own for this. Of IPv6, each costs Linux a look at all addresses of the interface: a few
 * hundred there are no matter, five thousand take seconds. Not thread-safe; times are nanoseconds of one clock that
 * never goes back.
 */
public final class AddressKeeper implements AutoCloseable {
    /** The mark of addresses that are put here (IFA_PROTO): the number of VRRP among the protocols of IP. */
    public static final int PROTOCOL = 112;

    /** Long enough for several renewals to fail; short enough not to be in the way of another daemon. */
    public static final Duration LIFETIME = Duration.ofSeconds(10);

    private static final int RENEWALS_PER_LIFETIME = 3;
    private static final int ATTEMPTS_PER_LIFETIME = 10;

    /**
     * What is not as it should be with an address.
     *
     * @param text for people
     */
    public record Problem(Kind kind, Cidr address, String text) {}

    /** Kinds of problems. */
    public enum Kind {
        /** This node does not have the address. */
        ABSENT,
        /** It has, but not from here: it keeps it where the address is another node's, unless somebody removes it. */
        FOREIGN,
        /** Somebody else had removed it, and it was put there again. */
        RESTORED,
        /** It could not be taken away; it ends with its lifetime. */
        REMAINS,
        /** It is there, but when it is removed, other addresses may go with it. */
        RISKY
    }

    private final RouteNetlink netlink;
    private final Duration lifetime;
    /** What was put there, by interface. */
    private final Map<Integer, Set<Cidr>> held = new LinkedHashMap<>();
    /** Addresses that are not held, as seen last; none for an interface that nobody has looked at. */
    private final Map<Integer, List<Address>> others = new HashMap<>();
    /** The interfaces below those that have a virtual router's Ethernet address. */
    private final Map<Integer, Integer> below = new HashMap<>();

    private final Map<Integer, Sysctl.Change> settings = new LinkedHashMap<>();
    private long due;

    private AddressKeeper(RouteNetlink netlink, Duration lifetime) {
        this.netlink = netlink;
        this.lifetime = lifetime;
    }

    /** For the network namespace of the calling thread, which also has to be that of all calls. */
    public static AddressKeeper open() throws IOException {
        return open(LIFETIME);
    }

    static AddressKeeper open(Duration lifetime) throws IOException {
        return new AddressKeeper(RouteNetlink.open(), lifetime);
    }

    /**
     * Puts addresses on an interface. Those that it has already from here stay. Needs CAP_NET_ADMIN.
     *
     * @return what did not go as it should; empty where all are there
     * @throws IOException when the kernel could not be asked at all; nothing is known of any address then
     */
    public List<Problem> acquire(Link link, Collection<Cidr> addresses, long now) throws IOException {
        if (held.isEmpty()) {
            due = now + lifetime.toNanos() / RENEWALS_PER_LIFETIME;
        }
        List<Problem> problems = new ArrayList<>();
        Set<Cidr> wanted = new LinkedHashSet<>(addresses);
        wanted.removeAll(held.getOrDefault(link.index(), Set.of()));
        if (link.address() != null && VirtualLinks.isVirtual(link.address())) {
            below.put(link.index(), link.peer());
        }
        try {
            if (!others.containsKey(link.index())
                    || wanted.stream().anyMatch(each -> isElsewhere(link.index(), each))) {
                look(link.index());
            }
            wanted.removeIf(each -> foreign(link, each, problems));
            promote(link, wanted, problems);
            Map<Address, LinuxException> refused = netlink.addAll(made(link.index(), wanted));
            if (refused.values().stream().anyMatch(e -> e.errno() == Errno.EEXIST)) {
                look(link.index());
                refused = adopt(link, refused, wanted, problems);
            }
            refused.forEach((address, why) -> {
                wanted.remove(cidr(address));
                problems.add(absent(cidr(address), why));
            });
        } catch (LinuxException e) {
            if (e.errno() != Errno.ENODEV) {
                throw e;
            }
            wanted.forEach(each -> problems.add(absent(each, e)));
            wanted.clear();
        }
        if (!wanted.isEmpty()) {
            held.computeIfAbsent(link.index(), unknown -> new LinkedHashSet<>()).addAll(wanted);
        }
        return problems;
    }

    private static Problem absent(Cidr address, LinuxException why) {
        return new Problem(Kind.ABSENT, address, String.valueOf(why.getMessage()));
    }

    /** Of those that are there already, goes on with the ones that have the mark. */
    private Map<Address, LinuxException> adopt(
            Link link, Map<Address, LinuxException> refused, Set<Cidr> wanted, List<Problem> problems)
            throws IOException {
        Map<Address, LinuxException> still = new LinkedHashMap<>();
        List<Address> own = new ArrayList<>();
        refused.forEach((address, why) -> {
            if (why.errno() != Errno.EEXIST) {
                still.put(address, why);
            } else if (foreign(link, cidr(address), problems)) {
                wanted.remove(cidr(address));
            } else {
                own.add(address);
            }
        });
        still.putAll(netlink.replaceAll(own));
        return still;
    }

    private boolean isElsewhere(int link, Cidr address) {
        return others.getOrDefault(link, List.of()).stream()
                .anyMatch(
                        other -> other.protocol() != PROTOCOL && other.address().equals(address.address()));
    }

    private boolean foreign(Link link, Cidr address, List<Problem> problems) {
        if (!isElsewhere(link.index(), address)) {
            return false;
        }
        problems.add(new Problem(
                Kind.FOREIGN,
                address,
                Addresses.print(address.address()) + " is on " + link.name() + " already, put there by somebody else,"
                        + " and stays there when another node is to have it: ip address del " + address + " dev "
                        + link.name()));
        return true;
    }

    /** What is asked of the kernel for these. */
    private List<Address> made(int link, Collection<Cidr> addresses) {
        return addresses.stream().map(each -> made(link, each)).toList();
    }

    private Address made(int link, Cidr cidr) {
        Address address = Address.of(link, cidr.address(), cidr.prefixLength()).withProtocol(PROTOCOL);
        Integer parent = below.get(link);
        boolean hasRoute = brings(link, cidr) || (parent != null && brings(parent, cidr));
        if (cidr.address() instanceof Inet4Address) {
            Set<Flag> flags = parent != null && hasRoute ? EnumSet.of(Flag.NOPREFIXROUTE) : EnumSet.noneOf(Flag.class);
            return address.withFlags(flags).withLifetime(lifetime, lifetime);
        }
        Set<Flag> flags = EnumSet.of(Flag.NODAD);
        if (hasRoute) {
            flags.add(Flag.NOPREFIXROUTE);
        }
        return address.withFlags(flags).withLifetime(Duration.ZERO, lifetime);
    }

    /** Whether an interface has the route to the network already, by another address. */
    private boolean brings(int link, Cidr cidr) {
        return others.getOrDefault(link, List.of()).stream()
                .anyMatch(other -> other.prefixLength() == cidr.prefixLength() && cidr.contains(other.address()));
    }

    private static Cidr cidr(Address address) {
        return new Cidr(address.address(), address.prefixLength());
    }

    /** Sees to it that no address goes with another of its network. */
    private void promote(Link link, Set<Cidr> wanted, List<Problem> problems) {
        if (settings.containsKey(link.index())) {
            return;
        }
        for (Cidr each : wanted) {
            if (each.address() instanceof Inet4Address && each.prefixLength() < 32) {
                try {
                    settings.put(
                            link.index(), Sysctl.write("net/ipv4/conf/" + link.name() + "/promote_secondaries", "1"));
                } catch (IOException e) {
                    problems.add(new Problem(
                            Kind.RISKY,
                            each,
                            "when " + each + " is taken away, addresses of its network may go with it: "
                                    + e.getMessage()));
                }
                return;
            }
        }
    }

    /** Learns what an interface has. */
    private Set<Cidr> look(int link) throws IOException {
        Integer parent = below.get(link);
        if (parent != null) {
            look(parent);
        }
        Set<Cidr> mine = new LinkedHashSet<>(held.getOrDefault(link, Set.of()));
        List<Address> rest = new ArrayList<>();
        Set<Cidr> there = new LinkedHashSet<>();
        for (Address address : netlink.addresses(link)) {
            Cidr cidr = cidr(address);
            if (mine.contains(cidr)) {
                there.add(cidr);
            } else {
                rest.add(address);
            }
        }
        others.put(link, rest);
        return there;
    }

    /**
     * Takes addresses away; those that are not from here stay.
     *
     * @return those that could not be taken away
     * @throws IOException when the kernel could not be asked at all; they end with their lifetime
     */
    public List<Problem> release(int link, Collection<Cidr> addresses) throws IOException {
        Set<Cidr> mine = held.getOrDefault(link, Set.of());
        List<Cidr> gone = addresses.stream().filter(mine::contains).distinct().toList();
        gone.forEach(mine::remove);
        if (mine.isEmpty()) {
            held.remove(link);
        }
        List<Problem> problems = new ArrayList<>();
        List<Address> there = made(link, gone);
        // The route to a network goes with its last address only where that had no end.
        netlink.replaceAll(there.stream()
                .filter(AddressKeeper::bringsRouteThatStays)
                .map(address -> address.withLifetime(Duration.ZERO, null))
                .toList());
        netlink.removeAll(there).forEach((address, why) -> {
            if (!isGone(why)) {
                problems.add(new Problem(
                        Kind.REMAINS,
                        cidr(address),
                        why.getMessage() + "; it ends in " + lifetime.toSeconds() + " s by itself"));
            }
        });
        return problems;
    }

    private static boolean bringsRouteThatStays(Address address) {
        return address.address() instanceof Inet6Address && !address.flags().contains(Flag.NOPREFIXROUTE);
    }

    private static boolean isGone(LinuxException e) {
        return e.errno() == Errno.EADDRNOTAVAIL || e.errno() == Errno.ENODEV;
    }

    /** When {@link #renew} is to be called; {@link Long#MAX_VALUE} where nothing is held. */
    public long due() {
        return held.isEmpty() ? Long.MAX_VALUE : due;
    }

    /**
     * Renews the lifetimes, where that is due, and puts there again what somebody has removed.
     *
     * @return what was not as it should be; what is {@link Kind#ABSENT} is not held any more
     * @throws IOException when the kernel could not be asked at all; it is due again a little later
     */
    public List<Problem> renew(long now) throws IOException {
        List<Problem> problems = new ArrayList<>();
        if (now < due()) {
            return problems;
        }
        due = now + lifetime.toNanos() / ATTEMPTS_PER_LIFETIME;
        for (Map.Entry<Integer, Set<Cidr>> entry : held.entrySet()) {
            renew(entry.getKey(), entry.getValue(), problems);
        }
        held.values().removeIf(Set::isEmpty);
        due = now + lifetime.toNanos() / RENEWALS_PER_LIFETIME;
        return problems;
    }

    private void renew(int link, Set<Cidr> mine, List<Problem> problems) throws IOException {
        try {
            Set<Cidr> there = look(link);
            Map<Address, LinuxException> refused = netlink.replaceAll(made(link, mine));
            for (Cidr each : mine) {
                if (!there.contains(each)) {
                    problems.add(
                            new Problem(Kind.RESTORED, each, each + " was removed by somebody else and is put back"));
                }
            }
            refused.forEach((address, why) -> {
                problems.removeIf(problem -> problem.address().equals(cidr(address)));
                problems.add(absent(cidr(address), why));
                mine.remove(cidr(address));
            });
        } catch (LinuxException e) {
            if (e.errno() != Errno.ENODEV) {
                throw e;
            }
            mine.forEach(each -> problems.add(absent(each, e)));
            mine.clear();
        }
    }

    /**
     * Removes what an earlier daemon has left on an interface.
     *
     * @return what that was
     * @throws IOException when it could not be removed, or not be looked for
     */
    public List<Cidr> removeLeftovers(int link) throws IOException {
        look(link);
        List<Address> left = others.getOrDefault(link, List.of()).stream()
                .filter(address -> address.protocol() == PROTOCOL)
                .toList();
        for (LinuxException why : netlink.removeAll(left).values()) {
            if (!isGone(why)) {
                throw why;
            }
        }
        look(link);
        return left.stream().map(AddressKeeper::cidr).toList();
    }

    /** Lets go: where all was released, settings are as before; other addresses end with their lifetime. */
    @Override
    public void close() throws IOException {
        netlink.close();
        IOException failure = null;
        settings.keySet().removeAll(held.keySet()); // needed until the kernel has removed them
        for (Sysctl.Change change : settings.values()) {
            try {
                Sysctl.undo(change);
            } catch (LinuxException e) {
                if (e.errno() != Errno.ENOENT) { // gone with its interface
                    failure = e;
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}

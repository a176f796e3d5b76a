package io.ballast.takeover.wire;

import io.ballast.core.config.NodeSpec.Cidr;
import io.ballast.core.config.VirtualRouterSpec.RouteSpec;
import io.ballast.linux.netlink.MacAddress;
import io.ballast.takeover.address.VirtualLinks;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.AdvertisementCodec.Checksum;
import io.ballast.takeover.vrrp.Authentication;
import io.ballast.takeover.vrrp.VirtualRouter;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.List;
import java.util.Optional;

/**
 * This node's part in one virtual router of one address family.
 *
 * @param name in the description
 * @param device the interface that its advertisements and addresses are on
 * @param version of VRRP
 * @param routerId 1 to 255
 * @param priority 1 to 255
 * @param interval between advertisements, in nanoseconds
 * @param addresses that go to the master, of one family
 * @param preemptDelay in nanoseconds
 * @param peers where advertisements go in place of the multicast group; empty for that
 * @param virtualMac whether the addresses have an Ethernet address of their own ({@link #mac})
 * @param authentication by what the nodes know each other
 * @param refused why this node cannot take part whatever the network is like, as when a key cannot be read; empty where it
 *     can
 * @param lookAhead how much is queued in the kernel, in nanoseconds: how long this process may stand still
 * @param announcements how many gratuitous ARP requests or neighbour advertisements an address has at once
 * @param announceAgain after how many nanoseconds all of them are sent once more; 0 for not
 * @param local what else having the addresses means on this machine
 */
public record Membership(
        String name,
        String device,
        int version,
        int routerId,
        int priority,
        long interval,
        List<Cidr> addresses,
        boolean preempt,
        long preemptDelay,
        List<InetAddress> peers,
        boolean virtualMac,
        Checksum checksum,
        Authentication authentication,
        String refused,
        long lookAhead,
        int announcements,
        long announceAgain,
        Local local) {
    /**
     * What having the addresses means on this machine beside what the others see of it.
     *
     * @param accepts whether programs here get what is sent to them
     * @param routes that are there while the addresses are
     */
    public record Local(boolean accepts, List<RouteSpec> routes) {
        /** Nothing else. */
        public static final Local USUAL = new Local(true, List.of());

        public Local {
            routes = List.copyOf(routes);
        }
    }

    /** As usual on this machine. */
    public Membership(
            String name,
            String device,
            int version,
            int routerId,
            int priority,
            long interval,
            List<Cidr> addresses,
            boolean preempt,
            long preemptDelay,
            List<InetAddress> peers,
            boolean virtualMac,
            Checksum checksum,
            Authentication authentication,
            String refused,
            long lookAhead,
            int announcements,
            long announceAgain) {
        this(
                name,
                device,
                version,
                routerId,
                priority,
                interval,
                addresses,
                preempt,
                preemptDelay,
                peers,
                virtualMac,
                checksum,
                authentication,
                refused,
                lookAhead,
                announcements,
                announceAgain,
                Local.USUAL);
    }

    public Membership {
        addresses = List.copyOf(addresses);
        peers = List.copyOf(peers);
        // Its limits are those of what it advertises.
        var _ = new Advertisement(
                version,
                routerId,
                priority,
                interval,
                addresses.stream().map(Cidr::address).toList());
    }

    /** The same, known by this, which refuses nothing. */
    public Membership with(Authentication other) {
        return new Membership(
                name,
                device,
                version,
                routerId,
                priority,
                interval,
                addresses,
                preempt,
                preemptDelay,
                peers,
                virtualMac,
                checksum,
                other,
                "",
                lookAhead,
                announcements,
                announceAgain,
                local);
    }

    /** The same with something else on this machine. */
    public Membership with(Local other) {
        return new Membership(
                name,
                device,
                version,
                routerId,
                priority,
                interval,
                addresses,
                preempt,
                preemptDelay,
                peers,
                virtualMac,
                checksum,
                authentication,
                refused,
                lookAhead,
                announcements,
                announceAgain,
                other);
    }

    /** Whether it is of IPv6. */
    public boolean ipv6() {
        return addresses.getFirst().address() instanceof Inet6Address;
    }

    /** The Ethernet address that goes with the addresses, where they have one of their own. */
    public Optional<MacAddress> mac() {
        return virtualMac ? Optional.of(VirtualLinks.mac(ipv6(), routerId)) : Optional.empty();
    }

    /** What tells it apart on this machine. */
    public Key key() {
        return new Key(device, ipv6(), routerId);
    }

    /** Two of the same key cannot be told apart by who hears them. */
    public record Key(String device, boolean ipv6, int routerId) {}

    VirtualRouter.Settings settings(InetAddress own) {
        return new VirtualRouter.Settings(
                version,
                routerId,
                priority,
                interval,
                addresses.stream().map(Cidr::address).toList(),
                preempt,
                preemptDelay,
                own);
    }

    /** Without what is secret. */
    @Override
    public String toString() {
        return name + " (router " + routerId + (ipv6() ? ", IPv6" : ", IPv4") + ", on " + device + ")";
    }
}

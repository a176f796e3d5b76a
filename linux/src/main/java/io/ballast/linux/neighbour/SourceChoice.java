package io.ballast.linux.neighbour;

import io.ballast.linux.netlink.Address;
import io.ballast.linux.netlink.Scope;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Which of its addresses a director sends from under its own name. The kernel knows no address as a service's and may
 * choose one, of IPv6 above all; a real server that has the service's address too would then answer itself.
 */
public final class SourceChoice {
    private SourceChoice() {}

    /**
     * The kernel's choice where that is no service's, else that address of the same interface which has most bits in common
     * with the destination (RFC 6724 section 5, rule 8).
     *
     * @param usual the kernel's choice
     * @param link the number of the interface that it leaves by
     * @param own the addresses of this machine
     * @param services the addresses of services
     * @return empty where there is no other
     */
    public static Optional<InetAddress> beside(
            InetAddress usual, InetAddress destination, int link, Collection<Address> own, Set<InetAddress> services) {
        if (!services.contains(usual)) {
            return Optional.of(usual);
        }
        return candidates(own, usual instanceof Inet6Address, services)
                .filter(address -> address.link() == link)
                .max(preferred(destination))
                .map(Address::address);
    }

    /**
     * An address to which an answer is to come: the kernel's choice where it may be, else one of the interface, else any.
     *
     * @param usual the kernel's choice; null where there is none
     * @param ipv6 the family that is needed
     */
    public static Optional<InetAddress> any(
            @Nullable InetAddress usual,
            InetAddress destination,
            int link,
            boolean ipv6,
            Collection<Address> own,
            Set<InetAddress> services) {
        if (usual != null && usual instanceof Inet6Address == ipv6 && !services.contains(usual)) {
            return Optional.of(usual);
        }
        return candidates(own, ipv6, services)
                .max(Comparator.comparing((Address address) -> address.link() == link)
                        .thenComparing(preferred(destination)))
                .map(Address::address);
    }

    private static Comparator<Address> preferred(InetAddress destination) {
        return Comparator.comparing((Address address) -> !address.flags().contains(Address.Flag.DEPRECATED))
                .thenComparingInt(address -> commonBits(address.address(), destination));
    }

    private static int commonBits(InetAddress one, InetAddress other) {
        byte[] a = one.getAddress();
        byte[] b = other.getAddress();
        int bits = 0;
        for (int i = 0; i < a.length && a.length == b.length; i++) {
            int difference = (a[i] ^ b[i]) & 0xff;
            if (difference != 0) {
                return bits + Integer.numberOfLeadingZeros(difference) - 24;
            }
            bits += 8;
        }
        return bits;
    }

    private static Stream<Address> candidates(Collection<Address> own, boolean ipv6, Set<InetAddress> services) {
        return own.stream()
                .filter(address -> address.address() instanceof Inet6Address == ipv6
                        && address.scope().equals(Scope.UNIVERSE)
                        && !address.address().isLoopbackAddress()
                        && !address.flags().contains(Address.Flag.TENTATIVE)
                        && !address.flags().contains(Address.Flag.DADFAILED)
                        && !services.contains(address.address()));
    }
}

package io.ballast.linux.netlink;

import io.ballast.core.config.Addresses;
import java.net.InetAddress;
import java.time.Duration;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * An address of an interface.
 *
 * @param link the interface's number
 * @param address the address itself
 * @param prefixLength bits of the network that is reached without a gateway
 * @param peer the other end of a point-to-point link, or null
 * @param scope how far it is meant to reach
 * @param flags what the kernel says about it, or is to do with it
 * @param preferred how long it is chosen as a source for new connections; null for ever
 * @param valid how long it exists; null for ever. The kernel counts in whole seconds and removes it by itself
 * @param protocol who has put it there (IFA_PROTO, Linux 5.18): 0 for nobody in particular, to 3 the kernel itself
 */
public record Address(
        int link,
        InetAddress address,
        int prefixLength,
        @Nullable InetAddress peer,
        Scope scope,
        Set<Flag> flags,
        @Nullable Duration preferred,
        @Nullable Duration valid,
        int protocol) {

    /** IFA_F_... */
    public enum Flag {
        /** Another address of the same network came first; of IPv6, one that changes for privacy. */
        SECONDARY(0x1),
        /** Use it at once, without asking whether another host has it (IPv6; RFC 4862 section 5.4). */
        NODAD(0x2),
        /** Use it while that question is still open (RFC 4429). */
        OPTIMISTIC(0x4),
        /** Another host has it: not used. */
        DADFAILED(0x8),
        /** A mobile node's home address. */
        HOMEADDRESS(0x10),
        /** No longer preferred. */
        DEPRECATED(0x20),
        /** Not used yet: the question whether another host has it is open. */
        TENTATIVE(0x40),
        /** Does not end by itself. */
        PERMANENT(0x80),
        /** The kernel makes temporary addresses from it. */
        MANAGETEMPADDR(0x100),
        /** Makes no route to its network. */
        NOPREFIXROUTE(0x200),
        /** Joins a multicast group. */
        MCAUTOJOIN(0x400),
        /** Made by RFC 7217. */
        STABLE_PRIVACY(0x800);

        private final int bit;

        Flag(int bit) {
            this.bit = bit;
        }

        static Set<Flag> of(int bits) {
            EnumSet<Flag> flags = EnumSet.noneOf(Flag.class);
            for (Flag flag : values()) {
                if ((bits & flag.bit) != 0) {
                    flags.add(flag);
                }
            }
            return flags;
        }

        static int bits(Set<Flag> flags) {
            return flags.stream().mapToInt(flag -> flag.bit).sum();
        }
    }

    public Address {
        new Prefix(address, prefixLength); // for its check
        if (protocol < 0 || protocol > 255) {
            throw new IllegalArgumentException("protocol " + protocol + ": from 0 to 255");
        }
        flags = Set.copyOf(flags);
    }

    /** An address to add that stays, of scope universe, without flags. */
    public static Address of(int link, InetAddress address, int prefixLength) {
        return new Address(link, address, prefixLength, null, Scope.UNIVERSE, Set.of(), null, null, 0);
    }

    /** This address with another scope. */
    public Address withScope(Scope newScope) {
        return new Address(link, address, prefixLength, peer, newScope, flags, preferred, valid, protocol);
    }

    /** This address with these flags, of which a request heeds NODAD, HOMEADDRESS, NOPREFIXROUTE, MCAUTOJOIN. */
    public Address withFlags(Set<Flag> newFlags) {
        return new Address(link, address, prefixLength, peer, scope, newFlags, preferred, valid, protocol);
    }

    /** This address for so long; preferred zero for one that is no source of new connections. */
    public Address withLifetime(@Nullable Duration newPreferred, @Nullable Duration newValid) {
        return new Address(link, address, prefixLength, peer, scope, flags, newPreferred, newValid, protocol);
    }

    /** This address with the mark of whoever puts it there, 1 to 255, which newer versions of ip(8) show. */
    public Address withProtocol(int newProtocol) {
        return new Address(link, address, prefixLength, peer, scope, flags, preferred, valid, newProtocol);
    }

    /** {@code 192.0.2.6/25} */
    String text() {
        return Addresses.print(address) + "/" + prefixLength;
    }
}

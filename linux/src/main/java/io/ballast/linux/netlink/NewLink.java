package io.ballast.linux.netlink;

import io.ballast.linux.NetworkNamespace;
import java.net.InetAddress;
import org.jspecify.annotations.Nullable;

/** A virtual interface to make. Names have at most 15 bytes. */
public sealed interface NewLink {
    /** Its name. */
    String name();

    /** One that leads nowhere, for addresses that need no network. */
    record Dummy(String name) implements NewLink {}

    /**
     * A pair, each end of which receives what the other sends.
     *
     * @param peerName the other end's name
     * @param peerNamespace where the other end is, or null for the same namespace
     */
    record Veth(String name, String peerName, @Nullable NetworkNamespace peerNamespace) implements NewLink {}

    /**
     * An interface with an Ethernet address of its own on top of another's wire.
     *
     * @param parent the other's number
     * @param mode who of the parent's macvlans may talk to whom
     * @param address its Ethernet address, or null for a random one
     */
    record Macvlan(
            String name, int parent, Mode mode, @Nullable MacAddress address) implements NewLink {
        /** MACVLAN_MODE_... */
        public enum Mode {
            /** To nobody else on this host. */
            PRIVATE(1),
            /** By way of the switch outside. */
            VEPA(2),
            /** With each other directly. */
            BRIDGE(4);

            private final int number;

            Mode(int number) {
                this.number = number;
            }

            int number() {
                return number;
            }
        }
    }

    /**
     * The end of IP-in-IP tunnels.
     *
     * @param local the outer address here, or null for any
     * @param remote the only other end, or null for any
     * @param external takes every such packet whatever its outer addresses, and sends only what a route or a program
     *     gives them: right for a server behind a tunnelling director, which only receives. Excludes the addresses
     */
    record Tunnel(
            String name,
            Kind kind,
            @Nullable InetAddress local,
            @Nullable InetAddress remote,
            boolean external) implements NewLink {
        /** What is inside what. */
        public enum Kind {
            /** IPv4 in IPv4 (RFC 2003). */
            IPIP("ipip"),
            /** IPv6 or IPv4 in IPv6 (RFC 2473). */
            IP6TNL("ip6tnl");

            private final String kernelName;

            Kind(String kernelName) {
                this.kernelName = kernelName;
            }

            String kernelName() {
                return kernelName;
            }
        }

        public Tunnel {
            if (external && (local != null || remote != null)) {
                throw new IllegalArgumentException("tunnel " + name + ": external, yet with addresses");
            }
        }
    }
}

package io.ballast.linux.netlink;

import java.net.InetAddress;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A route of a table, or the kernel's answer to which way a destination is reached.
 *
 * @param destination where it leads; of length 0 for the default route
 * @param type what happens to the packets
 * @param table the routing table's number; 254 is main
 * @param protocol who made it (RTPROT_...): 2 the kernel, 3 boot, 4 an administrator
 * @param scope how far away the destination is
 * @param metric among routes to one destination the smallest wins
 * @param hops the ways, of which one is chosen per flow; empty where packets go nowhere
 * @param source the address that own packets get, or null
 * @param mtu the longest packet, in bytes, or 0 for what the interface allows
 * @param advmss what own TCP connections announce as their maximum segment, in bytes, or 0 for what follows from the MTU
 */
public record Route(
        Prefix destination,
        Type type,
        int table,
        int protocol,
        Scope scope,
        int metric,
        List<Hop> hops,
        @Nullable InetAddress source,
        int mtu,
        int advmss) {
    /** The table that is used where no rule says otherwise. */
    public static final int MAIN = 254;

    private static final int STATIC = 4;

    /**
     * A way.
     *
     * @param link the interface's number
     * @param gateway the router, which may be of the other family (RFC 5549), or null where the destination is on the link
     */
    public record Hop(int link, @Nullable InetAddress gateway) {}

    /** RTN_... */
    public enum Type {
        /** None given. */
        UNSPECIFIED(0),
        /** Sent on to a gateway or to the destination. */
        UNICAST(1),
        /** An address of this host. */
        LOCAL(2),
        /** Sent to all on the link, received here. */
        BROADCAST(3),
        /** As broadcast, sent to one. */
        ANYCAST(4),
        /** Sent to a group. */
        MULTICAST(5),
        /** Dropped without a word. */
        BLACKHOLE(6),
        /** Dropped; the sender is told that the host is unreachable. */
        UNREACHABLE(7),
        /** Dropped; the sender is told that it is forbidden. */
        PROHIBIT(8),
        /** Looked for in the next table. */
        THROW(9),
        /** Translated; no longer in use. */
        NAT(10),
        /** Resolved elsewhere. */
        XRESOLVE(11);

        private final int number;

        Type(int number) {
            this.number = number;
        }

        int number() {
            return number;
        }

        static @Nullable Type of(int number) {
            for (Type type : values()) {
                if (type.number == number) {
                    return type;
                }
            }
            return null;
        }
    }

    public Route {
        hops = List.copyOf(hops);
    }

    /** A route to add: unicast, static, in the main table. */
    public static Route to(Prefix destination, int link, @Nullable InetAddress gateway) {
        Scope scope = gateway == null && destination.address().getAddress().length == 4 ? Scope.LINK : Scope.UNIVERSE;
        return new Route(
                destination, Type.UNICAST, MAIN, STATIC, scope, 0, List.of(new Hop(link, gateway)), null, 0, 0);
    }

    /** This route in another table. */
    public Route withTable(int newTable) {
        return new Route(destination, type, newTable, protocol, scope, metric, hops, source, mtu, advmss);
    }

    /** This route by another maker. */
    public Route withProtocol(int newProtocol) {
        return new Route(destination, type, table, newProtocol, scope, metric, hops, source, mtu, advmss);
    }

    /** This route with another metric. */
    public Route withMetric(int newMetric) {
        return new Route(destination, type, table, protocol, scope, newMetric, hops, source, mtu, advmss);
    }

    /** This route with a source address for own packets. */
    public Route withSource(InetAddress newSource) {
        return new Route(destination, type, table, protocol, scope, metric, hops, newSource, mtu, advmss);
    }

    /** This route with a limit of packets and one of TCP segments, each in bytes or 0 for none. */
    public Route withLimits(int newMtu, int newAdvmss) {
        return new Route(destination, type, table, protocol, scope, metric, hops, source, newMtu, newAdvmss);
    }
}

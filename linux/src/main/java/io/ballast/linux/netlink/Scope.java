package io.ballast.linux.netlink;

/**
 * How far an address or a route is meant to reach; smaller is farther. Administrators may use numbers of their own.
 *
 * @param number as in {@code /etc/iproute2/rt_scopes}
 */
public record Scope(int number) {
    /** Everywhere. */
    public static final Scope UNIVERSE = new Scope(0);
    /** Within the site. */
    public static final Scope SITE = new Scope(200);
    /** On the network of the interface. */
    public static final Scope LINK = new Scope(253);
    /** In this host. */
    public static final Scope HOST = new Scope(254);
}

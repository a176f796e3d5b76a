package io.ballast.linux.netlink;

import static io.ballast.linux.netlink.NetlinkMessage.NLM_F_CREATE;
import static io.ballast.linux.netlink.NetlinkMessage.NLM_F_DUMP;
import static io.ballast.linux.netlink.NetlinkMessage.NLM_F_EXCL;
import static io.ballast.linux.netlink.NetlinkMessage.NLM_F_REPLACE;

import io.ballast.linux.netlink.NetlinkMessage.Attributes;
import io.ballast.linux.netlink.NetlinkMessage.Writer;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The messages of rtnetlink(7) as typed values and back (linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h). Requests
 * have the same bytes as those of ip(8), which the tests hold them to.
 *
 * <p>Readers give null for what is of another kind than asked for: another message type, a bridge's forwarding entry
 * among neighbours, an address that is not of the Internet.
 */
final class RouteMessages {
    static final int RTM_NEWLINK = 16;
    static final int RTM_DELLINK = 17;
    static final int RTM_GETLINK = 18;
    static final int RTM_NEWADDR = 20;
    static final int RTM_DELADDR = 21;
    static final int RTM_GETADDR = 22;
    static final int RTM_NEWROUTE = 24;
    static final int RTM_DELROUTE = 25;
    static final int RTM_GETROUTE = 26;
    static final int RTM_NEWNEIGH = 28;
    static final int RTM_DELNEIGH = 29;
    static final int RTM_GETNEIGH = 30;
    static final int RTM_NEWRULE = 32;
    static final int RTM_DELRULE = 33;

    private static final int IFINFO = 16;
    private static final int IFLA_ADDRESS = 1;
    private static final int IFLA_IFNAME = 3;
    private static final int IFLA_MTU = 4;
    private static final int IFLA_LINK = 5;
    private static final int IFLA_MASTER = 10;
    private static final int IFLA_LINKINFO = 18;
    private static final int IFLA_IFALIAS = 20;
    private static final int IFLA_NET_NS_FD = 28;
    private static final int IFLA_EXT_MASK = 29;
    private static final int IFLA_LINK_NETNSID = 37;
    private static final int IFLA_XDP = 43;
    private static final int IFLA_INFO_KIND = 1;
    private static final int IFLA_INFO_DATA = 2;
    private static final int IFLA_XDP_FD = 1;
    private static final int IFLA_XDP_ATTACHED = 2;
    private static final int IFLA_XDP_FLAGS = 3;
    private static final int IFLA_XDP_PROG_ID = 4;
    private static final int XDP_FLAGS_DRV_MODE = 1 << 2;
    private static final int IFLA_MACVLAN_MODE = 1;
    private static final int IFLA_IPTUN_LOCAL = 2;
    private static final int IFLA_IPTUN_REMOTE = 3;
    private static final int IFLA_IPTUN_FLAGS = 8;
    private static final int IFLA_IPTUN_PROTO = 9;
    private static final int IFLA_IPTUN_COLLECT_METADATA = 19;
    private static final int IP6_TNL_F_IGN_ENCAP_LIMIT = 1;
    private static final int VETH_INFO_PEER = 1;
    private static final int RTEXT_FILTER_SKIP_STATS = 8;
    private static final int IFF_UP = 0x1;
    private static final int IFF_RUNNING = 0x40;
    private static final int IFF_NOARP = 0x80;
    /** Names end with a NUL within 16 bytes. */
    private static final int IFNAMSIZ = 16;

    private static final int IFADDR = 8;
    private static final int IFA_ADDRESS = 1;
    private static final int IFA_LOCAL = 2;
    private static final int IFA_CACHEINFO = 6;
    private static final int IFA_FLAGS = 8;
    private static final int IFA_PROTO = 11;

    private static final int NDM = 12;
    private static final int NDA_DST = 1;
    private static final int NDA_LLADDR = 2;
    private static final int NDA_FLAGS_EXT = 15;
    private static final int NTF_USE = 0x1;
    private static final int NTF_PROXY = 0x8;
    private static final int NTF_EXT_MANAGED = 0x1;

    private static final int RTM = 12;
    private static final int RTA_DST = 1;
    private static final int RTA_OIF = 4;
    private static final int RTA_GATEWAY = 5;
    private static final int RTA_PRIORITY = 6;
    private static final int RTA_PREFSRC = 7;
    private static final int RTA_METRICS = 8;
    private static final int RTA_MULTIPATH = 9;
    private static final int RTA_TABLE = 15;
    private static final int RTA_VIA = 18;
    private static final int RTAX_MTU = 2;
    private static final int RTAX_ADVMSS = 8;
    private static final int RTM_F_LOOKUP_TABLE = 0x1000;
    private static final int RTM_F_CLONED = 0x200;
    /** {@code struct rtnexthop}: length, flags, weight, interface. */
    private static final int RTNEXTHOP = 8;

    private RouteMessages() {}

    // Links.

    private static Writer link(int type, int flags, int index, int ifiFlags, int change) {
        return new Writer(type, flags)
                .u8(0)
                .u8(0)
                .u16(0)
                .i32(index)
                .i32(ifiFlags)
                .i32(change);
    }

    static Writer getLinks() {
        return link(RTM_GETLINK, NLM_F_DUMP, 0, 0, 0).attributeI32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }

    static Writer getLink(int index) {
        return link(RTM_GETLINK, 0, index, 0, 0).attributeI32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    }

    static Writer getLink(String name) {
        return link(RTM_GETLINK, 0, 0, 0, 0)
                .attributeI32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
                .attribute(IFLA_IFNAME, checkedName(name));
    }

    static Writer setUp(int index, boolean up) {
        return link(RTM_NEWLINK, 0, index, up ? IFF_UP : 0, IFF_UP);
    }

    static Writer setMtu(int index, int mtu) {
        return link(RTM_NEWLINK, 0, index, 0, 0).attributeI32(IFLA_MTU, mtu);
    }

    static Writer setAddress(int index, MacAddress address) {
        return link(RTM_NEWLINK, 0, index, 0, 0).attribute(IFLA_ADDRESS, address.bytes());
    }

    static Writer setAlias(int index, String alias) {
        return link(RTM_NEWLINK, 0, index, 0, 0).attribute(IFLA_IFALIAS, alias.getBytes(StandardCharsets.UTF_8));
    }

    static Writer setXdp(int index, int program) {
        Writer request = link(RTM_NEWLINK, 0, index, 0, 0);
        int xdp = request.begin(IFLA_XDP);
        return request.attributeI32(IFLA_XDP_FD, program)
                .attributeI32(IFLA_XDP_FLAGS, XDP_FLAGS_DRV_MODE)
                .end(xdp);
    }

    static Writer deleteLink(int index) {
        return link(RTM_DELLINK, 0, index, 0, 0);
    }

    static Writer newLink(NewLink link) {
        Writer request = link(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
        switch (link) {
            case NewLink.Macvlan macvlan -> {
                request.attributeI32(IFLA_LINK, macvlan.parent()).attribute(IFLA_IFNAME, checkedName(link.name()));
                if (macvlan.address() != null) {
                    request.attribute(IFLA_ADDRESS, macvlan.address().bytes());
                }
            }
            case NewLink.Dummy dummy -> request.attribute(IFLA_IFNAME, checkedName(dummy.name()));
            case NewLink.Veth veth -> request.attribute(IFLA_IFNAME, checkedName(veth.name()));
            case NewLink.Tunnel tunnel -> request.attribute(IFLA_IFNAME, checkedName(tunnel.name()));
        }
        int info = request.begin(IFLA_LINKINFO);
        kind(request, kind(link));
        switch (link) {
            case NewLink.Dummy dummy -> {
                // has no parameters
            }
            case NewLink.Veth veth -> {
                int data = request.begin(IFLA_INFO_DATA);
                int peer = request.begin(VETH_INFO_PEER);
                request.i32(0).i32(0).i32(0).i32(0).attribute(IFLA_IFNAME, checkedName(veth.peerName()));
                if (veth.peerNamespace() != null) {
                    request.attributeI32(IFLA_NET_NS_FD, veth.peerNamespace().fd());
                }
                request.end(peer).end(data);
            }
            case NewLink.Macvlan macvlan -> {
                int data = request.begin(IFLA_INFO_DATA);
                request.attributeI32(IFLA_MACVLAN_MODE, macvlan.mode().number()).end(data);
            }
            case NewLink.Tunnel tunnel -> {
                int data = request.begin(IFLA_INFO_DATA);
                request.attributeU8(IFLA_IPTUN_PROTO, 0); // any inner protocol
                if (tunnel.external()) {
                    request.attribute(IFLA_IPTUN_COLLECT_METADATA, new byte[0]);
                } else if (tunnel.kind() == NewLink.Tunnel.Kind.IP6TNL) {
                    // Without it the kernel puts an option of limit 0 into each packet (RFC 2473 section 4.1.1).
                    request.attributeI32(IFLA_IPTUN_FLAGS, IP6_TNL_F_IGN_ENCAP_LIMIT);
                }
                if (tunnel.local() != null) {
                    request.attribute(IFLA_IPTUN_LOCAL, tunnel.local());
                }
                if (tunnel.remote() != null) {
                    request.attribute(IFLA_IPTUN_REMOTE, tunnel.remote());
                }
                request.end(data);
            }
        }
        return request.end(info);
    }

    private static void kind(Writer request, String kind) {
        // Here alone ip(8), and so this, sends the text without its NUL.
        request.attribute(IFLA_INFO_KIND, kind.getBytes(StandardCharsets.US_ASCII));
    }

    private static String kind(NewLink link) {
        return switch (link) {
            case NewLink.Dummy dummy -> "dummy";
            case NewLink.Veth veth -> "veth";
            case NewLink.Macvlan macvlan -> "macvlan";
            case NewLink.Tunnel tunnel -> tunnel.kind().kernelName();
        };
    }

    private static String checkedName(String name) {
        int length = name.getBytes(StandardCharsets.UTF_8).length;
        if (length == 0 || length >= IFNAMSIZ) {
            throw new IllegalArgumentException(
                    "interface name '" + name + "': 1 to " + (IFNAMSIZ - 1) + " bytes, not " + length);
        }
        return name;
    }

    static @Nullable Link link(NetlinkMessage message) throws MalformedMessageException {
        if (message.type() != RTM_NEWLINK && message.type() != RTM_DELLINK) {
            return null;
        }
        ByteBuffer header = message.header(IFINFO);
        // Of family AF_BRIDGE or AF_INET6 it tells of a port or of settings, in the same types: not of the link.
        if (header.get(0) != 0) {
            return null;
        }
        Attributes attributes = message.attributes(IFINFO);
        int flags = header.getInt(8);
        String name = attributes.text(IFLA_IFNAME);
        String kind = attributes.nested(IFLA_LINKINFO).text(IFLA_INFO_KIND);
        String alias = attributes.text(IFLA_IFALIAS);
        return new Link(
                header.getInt(4),
                name == null ? "" : name,
                Short.toUnsignedInt(header.getShort(2)),
                attributes.mac(IFLA_ADDRESS),
                attributes.i32(IFLA_MTU, 0),
                (flags & IFF_UP) != 0,
                (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0,
                (flags & IFF_NOARP) == 0,
                kind == null ? "" : kind,
                alias == null ? "" : alias,
                attributes.i32(IFLA_MASTER, 0),
                attributes.i32(IFLA_LINK, 0),
                attributes.has(IFLA_LINK_NETNSID),
                xdp(attributes.nested(IFLA_XDP)));
    }

    private static Link.@Nullable Xdp xdp(Attributes attributes) throws MalformedMessageException {
        Link.Xdp.Mode mode = switch (attributes.u8(IFLA_XDP_ATTACHED, 0)) {
            case 1 -> Link.Xdp.Mode.DRIVER;
            case 2 -> Link.Xdp.Mode.GENERIC;
            case 3 -> Link.Xdp.Mode.HARDWARE;
            case 4 -> Link.Xdp.Mode.MULTIPLE;
            default -> null;
        };
        return mode == null ? null : new Link.Xdp(mode, attributes.i32(IFLA_XDP_PROG_ID, 0));
    }

    // Addresses.

    static Writer getAddresses() {
        return getAddresses(0);
    }

    /** Of one interface; of all for 0. Kernels that do not look at the number (before 4.20) tell all. */
    static Writer getAddresses(int link) {
        return new Writer(RTM_GETADDR, NLM_F_DUMP).i32(0).i32(link);
    }

    static Writer addAddress(Address address, boolean replace) {
        return address(RTM_NEWADDR, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), address);
    }

    static Writer removeAddress(Address address) {
        return address(RTM_DELADDR, 0, address);
    }

    private static Writer address(int type, int flags, Address address) {
        int bits = Address.Flag.bits(address.flags());
        InetAddress peer = address.peer() == null ? address.address() : address.peer();
        Writer request = new Writer(type, flags)
                .u8(Ip.family(address.address()))
                .u8(address.prefixLength())
                .u8(bits)
                .u8(address.scope().number())
                .i32(address.link())
                .attribute(IFA_LOCAL, address.address())
                .attribute(IFA_ADDRESS, peer);
        if (type == RTM_DELADDR) {
            return request;
        }
        if ((bits & ~0xff) != 0) {
            request.attributeI32(IFA_FLAGS, bits);
        }
        if (address.preferred() != null || address.valid() != null) {
            int lifetimes = request.begin(IFA_CACHEINFO);
            request.i32(seconds(address.preferred()))
                    .i32(seconds(address.valid()))
                    .i32(0)
                    .i32(0)
                    .end(lifetimes);
        }
        if (address.protocol() != 0) {
            request.attributeU8(IFA_PROTO, address.protocol());
        }
        return request;
    }

    /** INFINITY_LIFE_TIME is all ones; parts of a second count as a whole one. */
    private static int seconds(@Nullable Duration lifetime) {
        return lifetime == null
                ? -1
                : (int) Math.clamp(lifetime.plusNanos(999_999_999).toSeconds(), 0, 0xffff_fffeL);
    }

    static @Nullable Address address(NetlinkMessage message) throws MalformedMessageException {
        if (message.type() != RTM_NEWADDR && message.type() != RTM_DELADDR) {
            return null;
        }
        ByteBuffer header = message.header(IFADDR);
        int family = Byte.toUnsignedInt(header.get(0));
        if (!Ip.isFamily(family)) {
            return null;
        }
        Attributes attributes = message.attributes(IFADDR);
        InetAddress local = of(family, attributes.address(IFA_LOCAL));
        InetAddress network = of(family, attributes.address(IFA_ADDRESS));
        InetAddress address = local == null ? network : local;
        if (address == null) {
            throw new MalformedMessageException("an address message without an address");
        }
        ByteBuffer lifetimes = attributes.value(IFA_CACHEINFO);
        if (lifetimes != null && lifetimes.limit() < 8) {
            throw new MalformedMessageException("lifetimes of " + lifetimes.limit() + " bytes");
        }
        return new Address(
                header.getInt(4),
                address,
                prefixLength(header.get(1), family),
                network == null || network.equals(address) ? null : network,
                new Scope(Byte.toUnsignedInt(header.get(3))),
                Address.Flag.of(attributes.i32(IFA_FLAGS, Byte.toUnsignedInt(header.get(2)))),
                lifetime(lifetimes, 0),
                lifetime(lifetimes, 4),
                attributes.u8(IFA_PROTO, 0));
    }

    private static @Nullable Duration lifetime(@Nullable ByteBuffer lifetimes, int at) {
        int seconds = lifetimes == null ? -1 : lifetimes.getInt(at);
        return seconds == -1 ? null : Duration.ofSeconds(Integer.toUnsignedLong(seconds));
    }

    private static int prefixLength(byte length, int family) throws MalformedMessageException {
        int bits = Byte.toUnsignedInt(length);
        if (bits > (family == Ip.AF_INET ? 32 : 128)) {
            throw new MalformedMessageException("a prefix of " + bits + " bits");
        }
        return bits;
    }

    /** The address, which has to be of the message's family. */
    private static @Nullable InetAddress of(int family, @Nullable InetAddress address)
            throws MalformedMessageException {
        if (address != null && Ip.family(address) != family) {
            throw new MalformedMessageException("an address of the other family");
        }
        return address;
    }

    // Neighbours.

    private static Writer neighbour(int type, int flags, int link, InetAddress address, int state, int neighbourFlags) {
        return new Writer(type, flags)
                .u8(Ip.family(address))
                .u8(0)
                .u16(0)
                .i32(link)
                .u16(state)
                .u8(neighbourFlags)
                .u8(0)
                .attribute(NDA_DST, address);
    }

    static Writer getNeighbours() {
        return new Writer(RTM_GETNEIGH, NLM_F_DUMP).i32(0).i32(0).i32(0);
    }

    static Writer getNeighbour(int link, InetAddress address) {
        return neighbour(RTM_GETNEIGH, 0, link, address, 0, 0);
    }

    /** Makes the kernel resolve an address as if a packet were on its way there, and keep at it where managed. */
    static Writer useNeighbour(int link, InetAddress address, boolean managed) {
        Writer request = neighbour(RTM_NEWNEIGH, managed ? NLM_F_CREATE : 0, link, address, 0, NTF_USE);
        return managed ? request.attributeI32(NDA_FLAGS_EXT, NTF_EXT_MANAGED) : request;
    }

    static Writer probeNeighbour(int link, InetAddress address) {
        return neighbour(RTM_NEWNEIGH, NLM_F_REPLACE, link, address, Neighbour.State.PROBE.bit(), 0);
    }

    static Writer setNeighbour(int link, InetAddress address, MacAddress mac) {
        return neighbour(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, link, address, Neighbour.State.PERMANENT.bit(), 0)
                .attribute(NDA_LLADDR, mac.bytes());
    }

    static Writer removeNeighbour(int link, InetAddress address) {
        return neighbour(RTM_DELNEIGH, 0, link, address, 0, 0);
    }

    static @Nullable Neighbour neighbour(NetlinkMessage message) throws MalformedMessageException {
        if (message.type() != RTM_NEWNEIGH && message.type() != RTM_DELNEIGH) {
            return null;
        }
        ByteBuffer header = message.header(NDM);
        int family = Byte.toUnsignedInt(header.get(0));
        // Bridges tell of their forwarding entries in the same messages.
        if (!Ip.isFamily(family) || (header.get(10) & NTF_PROXY) != 0) {
            return null;
        }
        Attributes attributes = message.attributes(NDM);
        InetAddress address = of(family, attributes.address(NDA_DST));
        if (address == null) {
            throw new MalformedMessageException("a neighbour without an address");
        }
        int bits = Short.toUnsignedInt(header.getShort(8));
        Neighbour.State state = Neighbour.State.of(bits);
        if (state == null) {
            throw new MalformedMessageException("a neighbour in state 0x" + Integer.toHexString(bits));
        }
        return new Neighbour(
                header.getInt(4),
                address,
                state,
                attributes.mac(NDA_LLADDR),
                (attributes.i32(NDA_FLAGS_EXT, 0) & NTF_EXT_MANAGED) != 0);
    }

    // Routes.

    static Writer getRoutes() {
        return new Writer(RTM_GETROUTE, NLM_F_DUMP).i32(0).i32(0).i32(0);
    }

    static Writer getRoute(InetAddress destination) {
        int family = Ip.family(destination);
        return new Writer(RTM_GETROUTE, 0)
                .u8(family)
                .u8(Ip.bits(destination))
                .u16(0)
                .i32(0)
                .i32(family == Ip.AF_INET ? RTM_F_LOOKUP_TABLE : 0) // IPv6 tells the table anyway
                .attribute(RTA_DST, destination);
    }

    static Writer addRoute(Route route, boolean replace) {
        return route(RTM_NEWROUTE, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), route);
    }

    static Writer removeRoute(Route route) {
        return route(RTM_DELROUTE, 0, route);
    }

    private static Writer route(int type, int flags, Route route) {
        if (route.hops().size() > 1) {
            throw new IllegalArgumentException("a route of several ways is only read here: " + route);
        }
        InetAddress destination = route.destination().address();
        Writer request = new Writer(type, flags)
                .u8(Ip.family(destination))
                .u8(route.destination().length())
                .u8(0)
                .u8(0)
                .u8(route.table() < 256 ? route.table() : 0)
                .u8(route.protocol())
                .u8(route.scope().number())
                .u8(route.type().number())
                .i32(0);
        if (route.destination().length() > 0) {
            request.attribute(RTA_DST, destination);
        }
        for (Route.Hop hop : route.hops()) {
            gateway(request, hop.gateway(), destination);
        }
        if (route.table() >= 256) {
            request.attributeI32(RTA_TABLE, route.table());
        }
        for (Route.Hop hop : route.hops()) {
            if (hop.link() != 0) {
                request.attributeI32(RTA_OIF, hop.link());
            }
        }
        if (route.source() != null) {
            request.attribute(RTA_PREFSRC, route.source());
        }
        if (route.metric() != 0) {
            request.attributeI32(RTA_PRIORITY, route.metric());
        }
        if (route.mtu() != 0 || route.advmss() != 0) {
            int metrics = request.begin(RTA_METRICS);
            if (route.mtu() != 0) {
                request.attributeI32(RTAX_MTU, route.mtu());
            }
            if (route.advmss() != 0) {
                request.attributeI32(RTAX_ADVMSS, route.advmss());
            }
            request.end(metrics);
        }
        return request;
    }

    private static void gateway(Writer request, @Nullable InetAddress gateway, InetAddress destination) {
        if (gateway == null) {
            return;
        }
        if (Ip.family(gateway) == Ip.family(destination)) {
            request.attribute(RTA_GATEWAY, gateway);
        } else {
            int via = request.begin(RTA_VIA);
            request.u16(Ip.family(gateway));
            for (byte part : gateway.getAddress()) {
                request.u8(part);
            }
            request.end(via);
        }
    }

    static @Nullable Route route(NetlinkMessage message) throws MalformedMessageException {
        if (message.type() != RTM_NEWROUTE && message.type() != RTM_DELROUTE) {
            return null;
        }
        ByteBuffer header = message.header(RTM);
        int family = Byte.toUnsignedInt(header.get(0));
        if (!Ip.isFamily(family)) {
            return null; // of multicast routing, MPLS
        }
        Attributes attributes = message.attributes(RTM);
        InetAddress destination = of(family, attributes.address(RTA_DST));
        Attributes metrics = attributes.nested(RTA_METRICS);
        Route.Type type = Route.Type.of(Byte.toUnsignedInt(header.get(7)));
        if (type == null) {
            throw new MalformedMessageException("a route of type " + header.get(7));
        }
        return new Route(
                new Prefix(destination == null ? Ip.any(family) : destination, prefixLength(header.get(1), family)),
                type,
                attributes.i32(RTA_TABLE, Byte.toUnsignedInt(header.get(4))),
                Byte.toUnsignedInt(header.get(5)),
                new Scope(Byte.toUnsignedInt(header.get(6))),
                attributes.i32(RTA_PRIORITY, 0),
                hops(attributes),
                of(family, attributes.address(RTA_PREFSRC)),
                metrics.i32(RTAX_MTU, 0),
                metrics.i32(RTAX_ADVMSS, 0));
    }

    private static List<Route.Hop> hops(Attributes attributes) throws MalformedMessageException {
        ByteBuffer several = attributes.value(RTA_MULTIPATH);
        if (several == null) {
            int link = attributes.i32(RTA_OIF, 0);
            return link == 0 ? List.of() : List.of(new Route.Hop(link, gateway(attributes)));
        }
        List<Route.Hop> hops = new ArrayList<>();
        int at = 0;
        while (at < several.limit()) {
            int room = several.limit() - at;
            int length = room < RTNEXTHOP ? 0 : Short.toUnsignedInt(several.getShort(at));
            if (length < RTNEXTHOP || length > room) {
                throw new MalformedMessageException("a hop of length " + length + " where " + room + " bytes are");
            }
            Attributes own = Attributes.parse(
                    several.slice(at + RTNEXTHOP, length - RTNEXTHOP).order(several.order()));
            hops.add(new Route.Hop(several.getInt(at + 4), gateway(own)));
            at = Math.min(several.limit(), at + NetlinkMessage.align(length));
        }
        return hops;
    }

    private static @Nullable InetAddress gateway(Attributes attributes) throws MalformedMessageException {
        ByteBuffer via = attributes.value(RTA_VIA);
        if (via == null) {
            return attributes.address(RTA_GATEWAY);
        }
        if (via.limit() < 2) {
            throw new MalformedMessageException("a gateway of " + via.limit() + " bytes");
        }
        byte[] bytes = new byte[via.limit() - 2];
        via.get(2, bytes);
        return Ip.of(bytes);
    }

    // Events.

    /** What a message of a multicast group tells, if it is of interest. */
    static Optional<RouteEvent> event(NetlinkMessage message) throws MalformedMessageException {
        return switch (message.type()) {
            case RTM_NEWLINK -> Optional.ofNullable(link(message)).map(RouteEvent.LinkChanged::new);
            case RTM_DELLINK -> Optional.ofNullable(link(message)).map(RouteEvent.LinkRemoved::new);
            case RTM_NEWADDR -> Optional.ofNullable(address(message)).map(RouteEvent.AddressChanged::new);
            case RTM_DELADDR -> Optional.ofNullable(address(message)).map(RouteEvent.AddressRemoved::new);
            case RTM_NEWNEIGH -> Optional.ofNullable(neighbour(message)).map(RouteEvent.NeighbourChanged::new);
            case RTM_DELNEIGH -> Optional.ofNullable(neighbour(message)).map(RouteEvent.NeighbourRemoved::new);
            // A clone is what the kernel remembers for one flow, not a route of a table.
            case RTM_NEWROUTE, RTM_DELROUTE ->
                (message.header(RTM).getInt(8) & RTM_F_CLONED) != 0
                        ? Optional.empty()
                        : Optional.ofNullable(route(message)).map(route -> routeEvent(message, route));
            case RTM_NEWRULE, RTM_DELRULE -> Optional.of(new RouteEvent.RulesChanged());
            case NetlinkMessage.NLMSG_OVERRUN -> Optional.of(new RouteEvent.Lost("the kernel dropped messages"));
            default -> Optional.empty();
        };
    }

    private static RouteEvent routeEvent(NetlinkMessage message, Route route) {
        return message.type() == RTM_NEWROUTE ? new RouteEvent.RouteChanged(route) : new RouteEvent.RouteRemoved(route);
    }

    /** What a datagram tells; where it is malformed, that something is lost, in place of the rest. */
    static List<RouteEvent> events(ByteBuffer datagram) {
        List<RouteEvent> events = new ArrayList<>(1);
        try {
            for (NetlinkMessage message : NetlinkMessage.split(datagram)) {
                event(message).ifPresent(events::add);
            }
        } catch (MalformedMessageException e) {
            events.add(new RouteEvent.Lost(String.valueOf(e.getMessage())));
        }
        return events;
    }

    /** What to follow. */
    static Set<Integer> groups(RouteWatch.Topic topic) {
        return switch (topic) {
            case LINKS -> Set.of(1); // RTNLGRP_LINK
            case NEIGHBOURS -> Set.of(3); // RTNLGRP_NEIGH
            case ADDRESSES -> Set.of(5, 9); // RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR
            case ROUTES -> Set.of(7, 11, 8, 19); // RTNLGRP_IPV4_ROUTE, _IPV6_ROUTE, _IPV4_RULE, _IPV6_RULE
        };
    }
}

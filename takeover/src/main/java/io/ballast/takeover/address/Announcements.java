package io.ballast.takeover.address;

import io.ballast.linux.netlink.MacAddress;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;

/**
 * What tells the network that an address is at another Ethernet address now: a gratuitous ARP (RFC 5227 section 3,
 * RFC 5944 section 4.6) or an unsolicited neighbour advertisement (RFC 4861 section 7.2.6). Hosts that know the address
 * learn where it is, and so do bridges from the frame's sender. Bytes only; {@link Announcer} sends them.
 */
public final class Announcements {
    private static final short ARP = 0x0806;
    private static final short IPV6 = (short) 0x86dd;
    private static final int ETHERNET_HEADER = 14;
    private static final int ARP_LENGTH = 28;
    private static final int IPV6_HEADER = 40;
    private static final int ADVERTISEMENT_LENGTH = 32;
    /** Ethernet and IPv4, with addresses of 6 and 4 bytes (RFC 826). */
    private static final byte[] ARP_KIND = {0, 1, 8, 0, 6, 4};

    private static final short ARP_REQUEST = 1;
    private static final short ARP_REPLY = 2;

    /** To whom it is sent. */
    private static final MacAddress EVERYBODY = new MacAddress(0xffff_ffff_ffffL);

    /** Where ff02::1, all nodes, is on Ethernet (RFC 2464 section 7). */
    private static final MacAddress ALL_NODES_MAC = new MacAddress(0x3333_0000_0001L);

    private static final byte[] ALL_NODES = InetAddress.ofLiteral("ff02::1").getAddress();

    /** With the last three bytes of an address (RFC 4291 section 2.7.1). */
    private static final byte[] SOLICITED_NODE =
            InetAddress.ofLiteral("ff02::1:ff00:0").getAddress();

    private static final byte ICMPV6 = 58;
    private static final byte NEIGHBOUR_SOLICITATION = (byte) 135;
    private static final int SOLICITATION_LENGTH = 24;
    private static final byte NEIGHBOUR_ADVERTISEMENT = (byte) 136;
    private static final byte TARGET_LINK_LAYER_ADDRESS = 2;
    private static final int ROUTER = 1 << 31;
    private static final int OVERRIDE = 1 << 29;
    /** What proves to its receivers that no router has passed it on (RFC 4861 section 7.1.2). */
    private static final byte HOP_LIMIT = (byte) 255;

    private Announcements() {}

    /**
     * A gratuitous ARP request: the frame, which everybody gets. The target's Ethernet address is one that nobody is to look
     * at (RFC 5227 section 3). RFC 9568 wants a virtual router's own there (section 6.4.1, errata 7947 and 7949); without
     * one it is what keepalived sends, and so what every network has seen.
     */
    public static byte[] arpRequest(MacAddress mac, Inet4Address address) {
        return arp(ARP_REQUEST, mac, address, VirtualLinks.isVirtual(mac) ? mac : EVERYBODY);
    }

    /** A gratuitous ARP reply, for who learns from replies only. Its target is its sender (RFC 5944 section 4.6). */
    public static byte[] arpReply(MacAddress mac, Inet4Address address) {
        return arp(ARP_REPLY, mac, address, mac);
    }

    /**
     * Asks who has an address in the name of a neighbour, as it would ask without an address of its own (RFC 5227 section
     * 2.1.1): whoever has the address answers the neighbour.
     *
     * @param from the Ethernet address of this machine
     */
    public static byte[] arpProbe(MacAddress from, MacAddress neighbour, Inet4Address address) {
        return ByteBuffer.allocate(ETHERNET_HEADER + ARP_LENGTH)
                .put(EVERYBODY.bytes())
                .put(from.bytes())
                .putShort(ARP)
                .put(ARP_KIND)
                .putShort(ARP_REQUEST)
                .put(neighbour.bytes())
                .putInt(0)
                .putShort((short) 0)
                .putInt(0)
                .put(address.getAddress())
                .array();
    }

    /**
     * Asks who has an address as one who has none yet (RFC 4862 section 5.4.2): whoever has it tells all nodes.
     *
     * @param from the Ethernet address of this machine
     */
    public static byte[] neighbourProbe(MacAddress from, Inet6Address address) {
        byte[] target = address.getAddress();
        byte[] group = SOLICITED_NODE.clone();
        System.arraycopy(target, 13, group, 13, 3);
        byte[] nobody = new byte[16];
        ByteBuffer message = ByteBuffer.allocate(SOLICITATION_LENGTH)
                .put(NEIGHBOUR_SOLICITATION)
                .put((byte) 0)
                .putShort((short) 0)
                .putInt(0)
                .put(target);
        message.putShort(2, checksum(nobody, group, message.array()));
        return ByteBuffer.allocate(ETHERNET_HEADER + IPV6_HEADER + SOLICITATION_LENGTH)
                .putShort((short) 0x3333)
                .put(group, 12, 4)
                .put(from.bytes())
                .putShort(IPV6)
                .putInt(6 << 28)
                .putShort((short) SOLICITATION_LENGTH)
                .put(ICMPV6)
                .put(HOP_LIMIT)
                .put(nobody)
                .put(group)
                .put(message.array())
                .array();
    }

    private static byte[] arp(short operation, MacAddress mac, Inet4Address address, MacAddress target) {
        return ByteBuffer.allocate(ETHERNET_HEADER + ARP_LENGTH)
                .put(EVERYBODY.bytes())
                .put(mac.bytes())
                .putShort(ARP)
                .put(ARP_KIND)
                .putShort(operation)
                .put(mac.bytes())
                .put(address.getAddress())
                .put(target.bytes())
                .put(address.getAddress())
                .array();
    }

    /**
     * An unsolicited neighbour advertisement to all nodes, which replaces what they knew.
     *
     * @param router whether this node forwards IPv6: one that says no is taken off its neighbours' lists of routers
     */
    public static byte[] neighbourAdvertisement(MacAddress mac, Inet6Address address, boolean router) {
        byte[] own = address.getAddress();
        ByteBuffer message = ByteBuffer.allocate(ADVERTISEMENT_LENGTH)
                .put(NEIGHBOUR_ADVERTISEMENT)
                .put((byte) 0)
                .putShort((short) 0)
                .putInt(OVERRIDE | (router ? ROUTER : 0))
                .put(own)
                .put(TARGET_LINK_LAYER_ADDRESS)
                .put((byte) 1) // in units of eight bytes
                .put(mac.bytes());
        message.putShort(2, checksum(own, ALL_NODES, message.array()));
        return ByteBuffer.allocate(ETHERNET_HEADER + IPV6_HEADER + ADVERTISEMENT_LENGTH)
                .put(ALL_NODES_MAC.bytes())
                .put(mac.bytes())
                .putShort(IPV6)
                .putInt(6 << 28)
                .putShort((short) ADVERTISEMENT_LENGTH)
                .put(ICMPV6)
                .put(HOP_LIMIT)
                .put(own)
                .put(ALL_NODES)
                .put(message.array())
                .array();
    }

    /** Over the message and its pseudo-header (RFC 8200 section 8.1). */
    private static short checksum(byte[] source, byte[] destination, byte[] message) {
        long sum = sum(source) + sum(destination) + message.length + ICMPV6 + sum(message);
        while (sum > 0xffff) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return (short) ~sum;
    }

    private static long sum(byte[] bytes) {
        ByteBuffer words = ByteBuffer.wrap(bytes);
        long sum = 0;
        while (words.hasRemaining()) {
            sum += Short.toUnsignedLong(words.getShort());
        }
        return sum;
    }
}

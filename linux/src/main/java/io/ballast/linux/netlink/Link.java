package io.ballast.linux.netlink;

import org.jspecify.annotations.Nullable;

/**
 * A network interface.
 *
 * @param index its number in its namespace (ifindex)
 * @param name for example {@code eth0}
 * @param hardwareType ARPHRD_...: 1 for Ethernet, 772 for loopback
 * @param address its Ethernet address; null where the kind of link has none
 * @param mtu the longest packet that it sends, in bytes, without the Ethernet header
 * @param up whether it is switched on (IFF_UP)
 * @param running whether it can pass packets: switched on and with carrier (IFF_RUNNING)
 * @param resolves whether next hops are resolved to Ethernet addresses on it (not IFF_NOARP)
 * @param kind the driver's name for virtual ones: {@code veth}, {@code bridge}, {@code macvlan}, {@code ipip}; empty for
 *     others
 * @param alias what its maker or an administrator calls it (ifalias); usually empty
 * @param master the bridge or bond that it belongs to, or 0
 * @param peer what it hangs on, or 0: the other end of a veth, the interface below a macvlan or VLAN (IFLA_LINK)
 * @param peerElsewhere whether {@code peer} is a number in another namespace
 * @param xdp the XDP program on it, or null
 */
public record Link(
        int index,
        String name,
        int hardwareType,
        @Nullable MacAddress address,
        int mtu,
        boolean up,
        boolean running,
        boolean resolves,
        String kind,
        String alias,
        int master,
        int peer,
        boolean peerElsewhere,
        @Nullable Xdp xdp) {
    private static final int ARPHRD_ETHER = 1;

    /** Whether it carries Ethernet frames. */
    public boolean isEthernet() {
        return hardwareType == ARPHRD_ETHER;
    }

    /**
     * An XDP program on an interface.
     *
     * @param program its number (bpf_prog_info.id); 0 where several are attached, one per mode
     */
    public record Xdp(Mode mode, int program) {
        /** Where it runs. */
        public enum Mode {
            /** In the driver, before the kernel makes a packet of the frame: native mode. */
            DRIVER,
            /** Later, on the kernel's packets: generic mode, the slow one. */
            GENERIC,
            /** In the network card. */
            HARDWARE,
            /** Programs in several of the places. */
            MULTIPLE
        }
    }
}

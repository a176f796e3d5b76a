package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Work on packets that a network interface may do in the kernel's place, or put off (what {@code ethtool -K} sets). */
public enum Offload {
    /**
     * Checksums of what is sent are left to the interface ({@code tx}). A veth leaves them out altogether, which the
     * kernel at the other end knows, but an XDP program that sends the packet on does not.
     */
    TRANSMIT_CHECKSUM(0x16, 0x17),
    /**
     * What comes in is put together into larger packets ({@code gro}). A veth with it takes what an XDP program redirects
     * to its other end; what one transmits there (XDP_TX) it takes only where it has an XDP program itself.
     */
    RECEIVE_TOGETHER(0x2b, 0x2c);

    private final int get; // ETHTOOL_G...
    private final int set; // ETHTOOL_S...

    Offload(int get, int set) {
        this.get = get;
        this.set = set;
    }

    /** Whether an interface of the calling thread's network namespace does it. */
    public boolean of(String device) throws IOException {
        return ioctl(device, get, 0) != 0;
    }

    /** Switches it for an interface of the calling thread's network namespace. Needs CAP_NET_ADMIN. */
    public void set(String device, boolean on) throws IOException {
        ioctl(device, set, on ? 1 : 0);
    }

    private int ioctl(String device, int command, int value) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int type = Constants.SOCK_DGRAM | Constants.SOCK_CLOEXEC;
            int fd = LinuxException.check(kernel.socket(Constants.AF_INET, type, 0), "socket", "udp");
            try {
                MemorySegment setting = kernel.allocate(8, 8); // struct ethtool_value: u32 cmd, u32 data
                setting.set(ValueLayout.JAVA_INT, 0, command);
                setting.set(ValueLayout.JAVA_INT, 4, value);
                MemorySegment request = kernel.allocate(40, 8); // struct ifreq: char name[16]; void *data; ...
                request.setString(0, device);
                request.set(ValueLayout.JAVA_LONG, 16, setting.address());
                LinuxException.check(
                        kernel.ioctl(fd, Constants.SIOCETHTOOL, request),
                        "ioctl SIOCETHTOOL",
                        name() + " of " + device,
                        Capability.NET_ADMIN);
                return setting.get(ValueLayout.JAVA_INT, 4);
            } finally {
                kernel.close(fd);
            }
        }
    }
}

package io.ballast.linux;

import java.util.Locale;

/** The capabilities (capabilities(7)) that Ballast asks for or explains the lack of. */
public enum Capability {
    /** Change the owner of files. */
    CHOWN(0),
    /** Signal processes of other users. */
    KILL(5),
    /** Bind ports below {@code net.ipv4.ip_unprivileged_port_start}. */
    NET_BIND_SERVICE(10),
    /** Addresses, routes, IPVS, transparent sockets. */
    NET_ADMIN(12),
    /** Raw and packet sockets. */
    NET_RAW(13),
    /** Lock memory. */
    IPC_LOCK(14),
    /** Namespaces and mounts. */
    SYS_ADMIN(21),
    /** Real-time scheduling. */
    SYS_NICE(23),
    /** Raise hard resource limits. */
    SYS_RESOURCE(24),
    /** Load eBPF programs. */
    BPF(39);

    private final int bit;

    Capability(int bit) {
        this.bit = bit;
    }

    /** The bit in the kernel's capability sets. */
    public int bit() {
        return bit;
    }

    /** The name as in capabilities(7), for example {@code CAP_NET_ADMIN}. */
    public String kernelName() {
        return "CAP_" + name().toUpperCase(Locale.ROOT);
    }
}
